"""Ops that move, view or make elements without arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Generator, Library, Op, View, apply, declare, static_int
from graphc.ops.convert import as_variable, normal_axis, operands, unpack_sizes
from graphc.ops.elementwise import cast

# --- sizes ----------------------------------------------------------------------------


def _dim_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType("int64", ())


_dim = declare(
    Op(
        "dim",
        _dim_infer,
        lambda x, axis: np.asarray(np.shape(x)[axis], "int64"),
        Generator("size"),
        formula="the size of one axis",
        shape_only=(0,),
    )
)


def dim(x: Variable, axis: int) -> Variable:
    """The size of an axis: a number where it is known, else a symbolic integer."""
    known = x.type.shape[axis]
    return Constant(known, "int64") if known is not None else apply(_dim, (x,), {"axis": axis})


def _make_vector_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(args[0].dtype if args else "int64", (len(args),))


def _make_vector_vjp(g: Variable, out: Variable, *args: Variable) -> tuple[Variable, ...]:
    return tuple(g[i] for i in range(len(args)))  # type: ignore[index]


_make_vector = declare(
    Op(
        "make_vector",
        _make_vector_infer,
        lambda *a: np.stack(a) if a else np.zeros(0, "int64"),
        Library("join"),
        vjp=_make_vector_vjp,
        formula="scalars as a vector",
        facts={"widens": False},
    )
)


def make_vector(scalars: Sequence[Any]) -> Variable:
    """A vector of scalars."""
    found = operands(scalars)
    meeting = dtypes.promote([a.dtype for a in found]) if found else "int64"
    return apply(_make_vector, [cast(a, meeting) for a in found], {})


def shape(x: Any) -> Variable:
    """The shape of a tensor as a symbolic vector."""
    variable = as_variable(x)
    return make_vector([dim(variable, k) for k in range(variable.ndim)])


# --- axes -----------------------------------------------------------------------------


def _dimshuffle_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    (x,), pattern = args, attrs["pattern"]
    for axis in set(range(x.ndim)) - {p for p in pattern if p != "x"}:
        if x.type.shape[axis] not in (None, 1):
            raise ShapeError(
                f"axis {axis} of size {x.type.shape[axis]} can't be dropped by {pattern}",
                "only axes of size 1 can; reduce or index the others",
            )
    return TensorType(x.dtype, tuple(1 if p == "x" else x.type.shape[p] for p in pattern))


def _dimshuffle_numpy(x: Any, pattern: tuple[Any, ...]) -> Any:
    kept = [p for p in pattern if p != "x"]
    dropped = tuple(k for k in range(np.ndim(x)) if k not in kept)
    moved = np.transpose(x, (*kept, *dropped))
    if any(x.shape[k] != 1 for k in dropped):
        raise ValueError(f"dimshuffle{pattern} drops an axis of shape {np.shape(x)}")
    moved = moved.reshape(moved.shape[: len(kept)])
    return moved[tuple(np.newaxis if p == "x" else slice(None) for p in pattern)]


def _dimshuffle_vjp(
    g: Variable, out: Variable, x: Variable, pattern: tuple[Any, ...]
) -> tuple[Variable]:
    back = tuple(pattern.index(k) if k in pattern else "x" for k in range(x.ndim))
    return (dimshuffle(g, *back),)


_dimshuffle = declare(
    Op(
        "dimshuffle",
        _dimshuffle_infer,
        _dimshuffle_numpy,
        View(),
        vjp=_dimshuffle_vjp,
        formula="axes in another order; 'x' is a new axis of size 1",
    )
)


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """Permute axes, drop axes of size 1, and insert new ones where the pattern has ``'x'``."""
    variable = as_variable(x)
    if len(pattern) == 1 and isinstance(pattern[0], list | tuple):
        pattern = tuple(pattern[0])
    axes = tuple(
        "x" if isinstance(p, str) and p == "x" else normal_axis(p, variable.ndim, "dimshuffle")
        for p in pattern
    )
    kept = [p for p in axes if p != "x"]
    if len(set(kept)) != len(kept):
        raise ArgumentError(f"dimshuffle{axes} names an axis twice", at=user_frames())
    if axes == tuple(range(variable.ndim)):
        return variable
    return apply(_dimshuffle, (variable,), {"pattern": axes})


def transpose(x: Any, axes: Any = None) -> Variable:
    """Axes in the given order, reversed by default."""
    variable = as_variable(x)
    order = tuple(axes) if axes is not None else tuple(reversed(range(variable.ndim)))
    if len(order) != variable.ndim:
        raise ArgumentError(
            f"transpose: {order} is no order of the {variable.ndim} axes of {describe(variable)}",
            at=user_frames(),
        )
    return dimshuffle(variable, *order)


def expand_axes(x: Variable, axes: Sequence[int]) -> Variable:
    """`x` with axes of size 1 put in at the positions `axes` of the result."""
    order = iter(range(x.ndim))
    return dimshuffle(x, *("x" if k in axes else next(order) for k in range(x.ndim + len(axes))))


def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """`n_ones` axes of size 1 in front."""
    variable = as_variable(x)
    return dimshuffle(variable, *("x",) * n_ones, *range(variable.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """`n_ones` axes of size 1 behind."""
    variable = as_variable(x)
    return dimshuffle(variable, *range(variable.ndim), *("x",) * n_ones)


def shape_padaxis(x: Any, axis: int) -> Variable:
    """One axis of size 1 at position `axis`."""
    variable = as_variable(x)
    return expand_axes(variable, [normal_axis(axis, variable.ndim + 1, "shape_padaxis")])


# --- reshape --------------------------------------------------------------------------


def _reshape_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, *sizes = args
    wanted = [static_int(s) for s in sizes]
    if wanted.count(-1) > 1:
        raise ShapeError(f"{tuple(wanted)} leaves more than one size open")
    for k, n in enumerate(wanted):
        if n is not None and n < -1:
            raise ShapeError(f"size {n} of axis {k} is negative")
    if x.type.known and None not in wanted:
        known = 1
        for n in wanted:
            known *= 1 if n == -1 else n  # type: ignore[operator]
        total = x.type.size
        fits = total == known if -1 not in wanted else known > 0 and total % known == 0
        if not fits:
            raise ShapeError(
                f"{total} elements of shape {x.type.shape} don't make {tuple(wanted)}",
                "the number of elements must stay the same",
            )
        wanted = [total // known if n == -1 else n for n in wanted]
    return TensorType(x.dtype, tuple(None if n == -1 else n for n in wanted))


_reshape = declare(
    Op(
        "reshape",
        _reshape_infer,
        lambda x, *sizes: np.reshape(x, tuple(int(s) for s in sizes)),
        View(),
        vjp=lambda g, out, x, *sizes: (reshape(g, shape(x)), *(None,) * len(sizes)),
        formula="the same elements in C order under another shape",
        size_args=lambda n, attrs: tuple(range(1, n)),
    )
)


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Variable:
    """The elements of `x`, in C order, under another shape; one size may be -1."""
    variable = as_variable(x)
    if isinstance(newshape, Variable) and newshape.ndim == 1 and ndim is not None:
        sizes = [newshape[i] for i in range(ndim)]  # type: ignore[index]
    else:
        sizes = unpack_sizes(newshape, "reshape")
    if ndim is not None and len(sizes) != ndim:
        raise ArgumentError(
            f"reshape: ndim={ndim} and a shape of {len(sizes)} sizes", at=user_frames()
        )
    return apply(_reshape, (variable, *sizes), {})


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Variable:
    """The first ``ndim - 1`` axes as they are, the others as one."""
    variable, rank = as_variable(x), outdim if outdim is not None else ndim
    if not 1 <= rank <= max(variable.ndim, 1):
        raise ArgumentError(f"flatten: ndim={rank} for {describe(variable)}", at=user_frames())
    if rank == variable.ndim:
        return variable
    kept = [dim(variable, k) for k in range(rank - 1)]
    rest = variable.type.shape[rank - 1 :]
    last = -1 if None in rest else int(np.prod([n for n in rest if n is not None], dtype=int))
    return reshape(variable, [*kept, last])
