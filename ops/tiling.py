"""Tensors repeated, rolled, flipped, padded and split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.axes import specify_shape
from graphc.ops.broadcast import alloc
from graphc.ops.convert import as_size, as_variable, normal_axis, split_vector, unpack_sizes
from graphc.ops.elementwise import abs_, cast, clip, mod, sub
from graphc.ops.index import getitem, set_subtensor, take
from graphc.ops.join import concatenate
from graphc.ops.make import arange
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, flatten, reshape, shape_padleft


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """`x` repeated ``reps[k]`` times along axis k, as ``numpy.tile``.

    Parameters
    ----------
    reps : integer or sequence
        Counts, which may be symbolic; the last ones go with the last axes.
    ndim : int, optional
        The rank of the result, where it is more than those of `x` and `reps`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.tile(T.constant([1, 2]), (2, 2)).eval()
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    variable = as_variable(x)
    counts = unpack_sizes(reps, "tile")
    rank = max(variable.ndim, len(counts), ndim or 0)
    if ndim is not None and rank > ndim:
        raise ArgumentError(f"tile: ndim={ndim} is less than the rank {rank}", at=user_frames())
    counts = [Constant(1, "int64")] * (rank - len(counts)) + counts
    variable = shape_padleft(variable, rank - variable.ndim)
    apart, sizes, joined = [], [], []
    for k, count in enumerate(counts):
        apart += ["x", k]
        sizes += [count, dim(variable, k)]
        joined.append(_times(count, dim(variable, k)))
    return reshape(alloc(dimshuffle(variable, *apart), *sizes), joined) if rank else variable


def _times(a: Variable, b: Variable) -> Any:
    known = static_int(a), static_int(b)
    return a * b if None in known else known[0] * known[1]  # type: ignore[operator]


_positions = declare(
    Op(
        "repeat_positions",
        lambda args, attrs: TensorType("int64", (static_int(args[1]),)),
        lambda counts, total: np.repeat(np.arange(len(counts)), counts),
        Host(),
        formula="0, 0, ..., 1, 1, ...: i as often as y[i] says",
        size_args=lambda n, attrs: (1,),
        checks=True,
        facts={"by_values": True},
    )
)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Each element repeated, along `axis` or of the flat tensor, as ``numpy.repeat``.

    Parameters
    ----------
    repeats : integer or vector of integers
        How often: one number for all, or one per element of the axis. May be symbolic.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.repeat(T.constant([5, 6]), T.constant([1, 3])).eval()
    array([5, 6, 6, 6])
    """
    variable, counts = as_variable(x), as_variable(repeats)
    if not dtypes.is_discrete(counts.dtype) or counts.ndim > 1:
        raise ArgumentError(
            f"repeat: {describe(counts)} is no count and no vector of counts", at=user_frames()
        )
    if axis is None:
        variable, axis = flatten(variable), 0
    place = normal_axis(axis, variable.ndim, "repeat")
    if counts.ndim == 1 and counts.type.shape[0] == 1:
        counts = dimshuffle(counts)
    if counts.ndim == 1:
        counts = specify_shape(cast(counts, "int64"), (dim(variable, place),))
        return take(variable, apply(_positions, (counts, sum_(counts)), {}), place)
    sizes = [dim(variable, k) for k in range(variable.ndim)]
    count = as_size(counts, "repeat")
    order = [*range(place + 1), "x", *range(place + 1, variable.ndim)]
    wide = alloc(dimshuffle(variable, *order), *sizes[: place + 1], count, *sizes[place + 1 :])
    joined = [*sizes[:place], _times(sizes[place], count), *sizes[place + 1 :]]
    return reshape(wide, joined)


def _slices(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)


def flip(x: Any, axis: Any = None) -> Variable:
    """The elements in reverse order along `axis` (all axes by default)."""
    variable = as_variable(x)
    axes = range(variable.ndim) if axis is None else axis
    for k in axes if isinstance(axes, range | list | tuple) else (axes,):
        place = normal_axis(k, variable.ndim, "flip")
        variable = getitem(variable, _slices(place, slice(None, None, -1)))
    return variable


def roll(x: Any, shift: Any, axis: int | None = None) -> Variable:
    """The elements moved by `shift` places, those at the end back in front.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.roll(T.arange(5), 2).eval()
    array([3, 4, 0, 1, 2])
    """
    variable = as_variable(x)
    if axis is None:
        if variable.ndim == 1:
            return roll(variable, shift, 0)
        sizes = [dim(variable, k) for k in range(variable.ndim)]
        return reshape(roll(flatten(variable), shift, 0), sizes)
    place = normal_axis(axis, variable.ndim, "roll")
    size, by = dim(variable, place), as_size(shift, "roll")
    if static_int(by) is None:
        return take(variable, mod(sub(arange(size), by), size), place)
    start = mod(-by, size)  # type: ignore[operator]
    return concatenate(
        [
            getitem(variable, _slices(place, slice(start, None))),
            getitem(variable, _slices(place, slice(None, start))),
        ],
        place,
    )


def split(
    x: Any, splits_size: Any, n_splits: int | None = None, axis: int = 0
) -> list[Variable]:
    """`x` taken apart along `axis` into pieces of the given sizes.

    Parameters
    ----------
    splits_size : sequence or vector of integers
        The pieces' sizes, which may be symbolic; their sum is checked.
    n_splits : int, optional
        How many pieces, where the length of `splits_size` does not say.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> [p.eval().tolist() for p in T.split(T.arange(5), [2, 3], 2)]
    [[0, 1], [2, 3, 4]]
    """
    variable = as_variable(x)
    place = normal_axis(axis, variable.ndim, "split")
    if isinstance(splits_size, Variable) and splits_size.type.shape == (None,):
        if n_splits is None:
            raise ArgumentError("split: how many pieces? Give n_splits", at=user_frames())
        splits_size = specify_shape(splits_size, (n_splits,))
    if isinstance(splits_size, Variable):
        sizes = split_vector(splits_size, "split")
    else:
        sizes = unpack_sizes(splits_size, "split")
    if n_splits is not None and len(sizes) != n_splits:
        raise ArgumentError(f"split: {len(sizes)} sizes for {n_splits} pieces", at=user_frames())
    bounds: list[Any] = [0]
    for n in sizes:
        known = static_int(n)
        bounds.append(bounds[-1] + (n if known is None else known))
    promise = [None] * variable.ndim
    promise[place] = bounds[-1]
    variable = specify_shape(variable, promise)
    return [
        getitem(variable, _slices(place, slice(low, high))) for low, high in zip(bounds, bounds[1:])
    ]


# --- padding --------------------------------------------------------------------------


def _reflected(i: Variable, n: Variable) -> Variable:
    last = sub(n, 1)
    period = 2 * last  # type: ignore[operator]
    return sub(last, abs_(sub(last, mod(i, period))))


def _symmetric(i: Variable, n: Variable) -> Variable:
    j = mod(i, 2 * n)  # type: ignore[operator]
    far = 2 * n - 1  # type: ignore[operator]
    return (far - abs_(2 * j - far)) // 2  # type: ignore[operator, no-any-return]


_SOURCES = {
    "edge": lambda i, n: clip(i, 0, sub(n, 1)),
    "wrap": lambda i, n: mod(i, n),
    "reflect": _reflected,
    "symmetric": _symmetric,
}


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Variable:
    """`x` with a margin, as ``numpy.pad``.

    Parameters
    ----------
    pad_width : integer, pair or sequence of pairs
        How many elements before and after: for all axes, or one pair per axis.
    mode : {'constant', 'edge', 'wrap', 'reflect', 'symmetric'}
        What the margin holds.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.pad(T.constant([1, 2, 3]), (2, 1), "reflect").eval()
    array([3, 2, 1, 2, 3, 2])
    """
    variable = as_variable(x)
    widths = _widths(pad_width, variable.ndim)
    if mode == "constant":
        return _pad_constant(variable, widths, constant_values)
    if mode not in _SOURCES:
        known = ["constant", *_SOURCES]
        raise ArgumentError(f"pad: mode {mode!r} is not one of {known}", at=user_frames())
    for axis, (before, after) in enumerate(widths):
        if (before, after) != (0, 0):
            n = dim(variable, axis)
            if static_int(n) == 0:
                raise ShapeError(f"pad: axis {axis} is empty, so {mode!r} has nothing to repeat")
            variable = take(variable, _SOURCES[mode](arange(-before, n + after), n), axis)
    return variable


def _widths(pad_width: Any, ndim: int) -> list[tuple[Any, Any]]:
    if not isinstance(pad_width, list | tuple | np.ndarray):
        return [(pad_width, pad_width)] * ndim
    entries = list(pad_width)
    pairs = [tuple(e) if isinstance(e, list | tuple | np.ndarray) else None for e in entries]
    if None in pairs:
        pairs = [(entries[0], entries[-1])] if len(entries) in (1, 2) else []
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim or any(p is None or len(p) != 2 for p in pairs):
        raise ArgumentError(
            f"pad: {pad_width!r} is no margin for a tensor of rank {ndim}",
            "give a number, a pair (before, after), or one pair per axis", user_frames(),
        )  # fmt: skip
    return [(p[0], p[1]) for p in pairs if p is not None]


def _pad_constant(x: Variable, widths: Sequence[tuple[Any, Any]], value: Any) -> Variable:
    sizes = [dim(x, k) for k in range(x.ndim)]
    total = [before + n + after for n, (before, after) in zip(sizes, widths)]
    field = alloc(cast(value, x.dtype), *map(_settled, total))
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(sizes, widths))
    return set_subtensor(getitem(field, inside), x)


def _settled(n: Any) -> Any:
    if isinstance(n, Variable) and n.op is not None and all(
        isinstance(a, Constant) for a in n.args
    ):
        return int(n.op.numpy(*(a.data for a in n.args if isinstance(a, Constant)), **n.attrs))
    return n
