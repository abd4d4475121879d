"""Ops that move, view or make elements without arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Generator, Library, Op, View, apply, declare, static_int
from graphc.ops.convert import as_size, as_variable, normal_axis, operands, unpack_sizes
from graphc.ops.elementwise import broadcast_shape, cast, ceil, maximum

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
        lambda *a: np.array(a) if a else np.zeros(0, "int64"),
        Library("join"),
        vjp=_make_vector_vjp,
        formula="scalars as a vector",
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


# --- broadcasting ---------------------------------------------------------------------


def _broadcast_like_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, like = args
    meeting = broadcast_shape([x.type.shape, like.type.shape])
    if len(meeting) != like.ndim or (like.type.known and meeting != like.type.shape):
        raise ShapeError(f"{x.type.shape} does not broadcast to {like.type.shape}")
    return TensorType(x.dtype, like.type.shape)


_broadcast_like = declare(
    Op(
        "broadcast_like",
        _broadcast_like_infer,
        lambda x, like: np.broadcast_to(x, np.shape(like)),
        View(),
        vjp=lambda g, out, x, like: (sum_like(g, x), None),
        formula="x broadcast to the shape of y",
        shape_only=(1,),
    )
)


def broadcast_like(x: Any, like: Any, always: bool = False) -> Variable:
    """`x` broadcast to the shape of `like`; with `always` it depends on `like` in any case."""
    variable, model = as_variable(x), as_variable(like)
    if always:
        return apply(_broadcast_like, (variable, model), {})
    if variable.type.shape == model.type.shape and variable.type.known:
        return variable
    if variable is model:
        return variable
    return apply(_broadcast_like, (variable, model), {})


def _sum_like_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, like = args
    broadcast_shape([g.type.shape, like.type.shape])
    return TensorType(g.dtype, like.type.shape)


def _sum_like_numpy(g: Any, like: Any) -> Any:
    target, lead = np.shape(like), np.ndim(g) - np.ndim(like)
    axes = tuple(k for k in range(np.ndim(g)) if k < lead or (target[k - lead] == 1 != g.shape[k]))
    return np.sum(g, axis=axes, dtype=g.dtype).reshape(target) if axes else g


_sum_like = declare(
    Op(
        "sum_like",
        _sum_like_infer,
        _sum_like_numpy,
        Library("sum_like"),
        vjp=lambda g, out, x, like: (broadcast_like(g, x), None),
        formula="x summed over the axes along which y was broadcast to it",
        shape_only=(1,),
    )
)


def sum_like(g: Variable, like: Variable) -> Variable:
    """The adjoint of broadcasting `like` to the shape of `g`."""
    if g is like or (g.type.known and g.type.shape == like.type.shape):
        return g
    return apply(_sum_like, (g, like), {})


def _alloc_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    value, *sizes = args
    target = tuple(static_int(s) for s in sizes)
    for n in target:
        if n is not None and n < 0:
            raise ShapeError(f"size {n} in {target} is negative")
    meeting = broadcast_shape([value.type.shape, target])
    if len(meeting) != len(target) or any(
        n is not None and n != m for n, m in zip(target, meeting)
    ):
        raise ShapeError(f"{value.type.shape} does not broadcast to {target}")
    return TensorType(value.dtype, target)


_alloc = declare(
    Op(
        "alloc",
        _alloc_infer,
        lambda v, *sizes: np.broadcast_to(v, tuple(int(s) for s in sizes)),
        View(),
        vjp=lambda g, out, v, *sizes: (sum_like(g, v), *(None,) * len(sizes)),
        formula="a value broadcast to a shape",
        size_args=lambda n, attrs: tuple(range(1, n)),
    )
)


def alloc(value: Any, *shape: Any) -> Variable:
    """`value` broadcast to a shape given as sizes."""
    sizes = unpack_sizes(shape[0] if len(shape) == 1 else shape, "alloc")
    return apply(_alloc, (as_variable(value), *sizes), {})


def broadcast_to(x: Any, shape: Any) -> Variable:
    """`x` broadcast to a shape, as ``numpy.broadcast_to``."""
    return apply(_alloc, (as_variable(x), *unpack_sizes(shape, "broadcast_to")), {})


def _full(value: float, shape: Any, dtype: Any) -> Variable:
    name = dtypes.canonical("floatX" if dtype is None else dtype)
    return apply(_alloc, (Constant(value, name), *unpack_sizes(shape, "shape")), {})


def zeros(shape: Any, dtype: Any = None) -> Variable:
    """Zeros, ``floatX`` by default."""
    return _full(0, shape, dtype)


def ones(shape: Any, dtype: Any = None) -> Variable:
    """Ones, ``floatX`` by default."""
    return _full(1, shape, dtype)


def full_like(model: Any, fill_value: Any, dtype: Any = None) -> Variable:
    """`fill_value` in the shape of `model`."""
    variable = as_variable(model)
    name = variable.dtype if dtype is None else dtypes.canonical(dtype)
    return broadcast_like(cast(fill_value, name), variable)


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    """Zeros in the shape of `model`."""
    return full_like(model, 0, dtype)


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    """Ones in the shape of `model`."""
    return full_like(model, 1, dtype)


def fill(model: Any, value: Any) -> Variable:
    """`value` broadcast to the shape of `model`, in its own dtype."""
    return broadcast_like(value, model)


# --- generators -----------------------------------------------------------------------


def _arange_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(attrs["dtype"], (static_int(args[2]),))


def _arange_numpy(start: Any, step: Any, length: Any, dtype: str) -> Any:
    return (start + np.arange(int(length)) * step).astype(dtype)


_arange = declare(
    Op(
        "arange",
        _arange_infer,
        _arange_numpy,
        Generator("cast(add_exact({0}, {T}({i0}) * {1}))"),
        formula="start, start + step, ...",
        size_args=lambda n, attrs: (2,),
    )
)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """Evenly spaced values in ``[start, stop)``, as ``numpy.arange``."""
    if stop is None:
        start, stop = 0, start
    first, last, by = operands([start, stop, step])
    for v in (first, last, by):
        if v.ndim:
            raise ArgumentError(f"arange takes scalars, not {describe(v)}", at=user_frames())
    meeting = dtypes.promote([v.dtype for v in (first, last, by)])
    name = dtypes.canonical(dtype) if dtype is not None else meeting
    if dtypes.is_discrete(meeting):
        first, last, by = (cast(v, "int64") for v in (first, last, by))
        length = _range_length(first, last, by)
    else:
        first, last, by = (cast(v, "float64") for v in (first, last, by))
        length = _float_range_length(first, last, by)
    return apply(_arange, (first, by, length), {"dtype": name})


def _float_range_length(first: Variable, last: Variable, by: Variable) -> Variable:
    values = [v.data.item() for v in (first, last, by) if isinstance(v, Constant)]
    if len(values) == 3:
        return Constant(len(np.arange(*values)), "int64")
    return cast(maximum(ceil((last - first) / by), 0), "int64")  # type: ignore[operator]


def _range_length(first: Variable, last: Variable, by: Variable) -> Variable:
    numbers = [static_int(v) for v in (first, last, by)]
    if numbers[2] == 0:
        raise ArgumentError("arange: the step is 0", at=user_frames())
    if None not in numbers:
        return Constant(len(range(*numbers)), "int64")  # type: ignore[arg-type]
    if numbers[0] == 0 and numbers[2] == 1:
        return maximum(last, 0)
    return maximum(-((first - last) // by), 0)  # type: ignore[operator]


_eye = declare(
    Op(
        "eye",
        lambda args, attrs: TensorType(attrs["dtype"], (static_int(args[0]), static_int(args[1]))),
        lambda n, m, k, dtype: np.eye(int(n), int(m), int(k), dtype=dtype),
        Generator("cast({i1} - {i0} == {2})"),
        formula="1 where the column is the row plus k, else 0",
        size_args=lambda n, attrs: (0, 1),
    )
)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Ones on the k-th diagonal of an n x m matrix, zeros elsewhere."""
    rows = as_size(n, "eye")
    columns = rows if m is None else as_size(m, "eye")
    name = dtypes.canonical("floatX" if dtype is None else dtype)
    return apply(_eye, (rows, columns, as_size(k, "eye")), {"dtype": name})


def identity_like(x: Any) -> Variable:
    """The identity matrix in the shape and dtype of a matrix."""
    variable = as_variable(x)
    return eye(dim(variable, 0), dim(variable, 1), dtype=variable.dtype)


# --- joining --------------------------------------------------------------------------


def _join_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    axis = attrs["axis"]
    total: int | None = 0
    others: list[list[int | None]] = []
    for a in args:
        if a.ndim != args[0].ndim:
            raise ShapeError("tensors of different ranks can't be joined")
        sizes = list(a.type.shape)
        size = sizes.pop(axis)
        total = None if total is None or size is None else total + size
        others.append(sizes)
    result: list[int | None] = []
    for k, sizes_k in enumerate(zip(*others)):
        known = {n for n in sizes_k if n is not None}
        if len(known) > 1:
            raise ShapeError(
                f"sizes {sorted(known)} of axis {k + (k >= axis)} differ",
                "only the axis that is joined may have different sizes",
            )
        result.append(known.pop() if known else None)
    result.insert(axis, total)
    return TensorType(args[0].dtype, tuple(result))


def _join_vjp(
    g: Variable, out: Variable, *args: Variable, axis: int
) -> tuple[Variable | None, ...]:
    grads, start = [], Constant(0, "int64")
    for a in args:
        stop = start + dim(a, axis)  # type: ignore[operator]
        index = (slice(None),) * axis + (slice(start, stop),)
        grads.append(g[index])  # type: ignore[index]
        start = stop
    return tuple(grads)


_join = declare(
    Op(
        "join",
        _join_infer,
        lambda *arrays, axis: np.concatenate(arrays, axis),
        Library("join"),
        vjp=_join_vjp,
        formula="tensors one after the other along an axis",
    )
)


def concatenate(tensor_list: Any, axis: int = 0) -> Variable:
    """Tensors one after the other along `axis`; the other sizes must be equal."""
    if isinstance(tensor_list, Variable) or len(tensor_list) == 0:
        raise ArgumentError("concatenate takes a non-empty list of tensors", at=user_frames())
    found = operands(tensor_list)
    if any(a.ndim == 0 for a in found):
        raise ArgumentError("scalars can't be concatenated", "use T.stack", user_frames())
    meeting = dtypes.promote([a.dtype for a in found])
    place = normal_axis(axis, found[0].ndim, "concatenate")
    if len(found) == 1:
        return found[0]
    return apply(_join, [cast(a, meeting) for a in found], {"axis": place})


def join(axis: int, *tensors: Any) -> Variable:
    """Theano's spelling of `concatenate`."""
    return concatenate(list(tensors), axis)


def stack(tensors: Any, *more: Any, axis: int = 0) -> Variable:
    """Tensors of one shape along a new axis."""
    if isinstance(tensors, Variable) or more:
        tensors = [tensors, *more]
    found = operands(tensors)
    if not found:
        raise ArgumentError("stack takes a non-empty list of tensors", at=user_frames())
    if all(a.ndim == 0 for a in found):
        return make_vector(found)
    return concatenate([shape_padaxis(a, axis) for a in found], axis)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Variable:
    """A variable from a number, an array, or a nested list that may hold variables."""
    if isinstance(x, list | tuple) and _nested_variable(x):
        variable = stack([as_tensor_variable(v) for v in x])
    else:
        variable = as_variable(x, name=name)
    if ndim is not None and variable.ndim < ndim:
        variable = shape_padleft(variable, ndim - variable.ndim)
    return variable


def _nested_variable(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(_nested_variable(v) for v in x)
    return isinstance(x, Variable)
