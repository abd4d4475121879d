"""Axes moved, dropped and put in, and sizes that are promised and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Expand, Op, apply, declare, static_int
from graphc.ops.convert import as_size, as_variable, normal_axis
from graphc.ops.shape import dimshuffle, expand_axes


def _axes_of(axis: Any, ndim: int, what: str) -> tuple[int, ...]:
    found = tuple(
        normal_axis(a, ndim, what) for a in (axis if isinstance(axis, list | tuple) else (axis,))
    )
    if len(set(found)) != len(found):
        raise ArgumentError(f"{what}: an axis is given twice in {axis}", at=user_frames())
    return found


def swapaxes(y: Any, axis1: int, axis2: int) -> Variable:
    """Two axes exchanged, as ``numpy.swapaxes``."""
    variable = as_variable(y)
    first, second = (normal_axis(a, variable.ndim, "swapaxes") for a in (axis1, axis2))
    order = list(range(variable.ndim))
    order[first], order[second] = second, first
    return dimshuffle(variable, *order)


def moveaxis(a: Any, source: Any, destination: Any) -> Variable:
    """Axes moved to other positions, as ``numpy.moveaxis``.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.moveaxis(T.zeros((2, 3, 4)), 0, -1).type.shape
    (3, 4, 2)
    """
    variable = as_variable(a)
    origin = _axes_of(source, variable.ndim, "moveaxis")
    target = _axes_of(destination, variable.ndim, "moveaxis")
    if len(origin) != len(target):
        raise ArgumentError(
            f"moveaxis: {len(origin)} axes to {len(target)} positions", at=user_frames()
        )
    order = [k for k in range(variable.ndim) if k not in origin]
    for to, axis in sorted(zip(target, origin)):
        order.insert(to, axis)
    return dimshuffle(variable, *order)


def squeeze(x: Any, axis: Any = None) -> Variable:
    """Without the axes of size 1; without `axis`, those that are known to be 1 by type."""
    variable = as_variable(x)
    if axis is None:
        dropped = tuple(k for k, n in enumerate(variable.type.shape) if n == 1)
    else:
        dropped = _axes_of(axis, variable.ndim, "squeeze")
    return dimshuffle(variable, *(k for k in range(variable.ndim) if k not in dropped))


def expand_dims(a: Any, axis: Any) -> Variable:
    """Axes of size 1 put in at the positions `axis` of the result, as ``numpy.expand_dims``."""
    variable = as_variable(a)
    count = len(axis) if isinstance(axis, list | tuple) else 1
    return expand_axes(variable, _axes_of(axis, variable.ndim + count, "expand_dims"))


def atleast_1d(x: Any) -> Variable:
    """`x`, a scalar as a vector of one element."""
    variable = as_variable(x)
    return dimshuffle(variable, "x") if variable.ndim == 0 else variable


# --- promised sizes -------------------------------------------------------------------


def _specify_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, *sizes = args
    shape = list(x.type.shape)
    for axis, size in zip(attrs["axes"], sizes):
        wanted, present = static_int(size), shape[axis]
        if wanted is not None and present is not None and wanted != present:
            raise ShapeError(
                f"axis {axis} was to have size {wanted}, and has {present}",
                "specify_shape and addbroadcast promise sizes; correct the promise or the value",
            )
        shape[axis] = wanted if present is None else present
    return TensorType(x.dtype, tuple(shape))


def _specify_numpy(x: Any, *sizes: Any, axes: tuple[int, ...]) -> Any:
    for axis, size in zip(axes, sizes):
        if np.shape(x)[axis] != size:
            raise ValueError(f"axis {axis} was to have size {size}, and has {np.shape(x)[axis]}")
    return x


_specify = declare(
    Op(
        "specify_shape",
        _specify_infer,
        _specify_numpy,
        Expand(lambda x, *sizes, axes: x),
        vjp=lambda g, out, x, *sizes, axes: (g, *(None,) * len(sizes)),
        jvp=lambda tangents, out, x, *sizes, axes: tangents[0],
        formula="x, whose sizes are checked",
        size_args=lambda n, attrs: tuple(range(1, n)),
        checks=True,
    )
)


def specify_shape(x: Any, shape: Any) -> Variable:
    """`x`, with a promise about its sizes that is checked at run time.

    Parameters
    ----------
    shape : sequence
        One entry per axis: a size, a symbolic size, or None for any.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.specify_shape(T.fmatrix("x"), (None, 10)).type.shape
    (None, 10)
    """
    variable = as_variable(x)
    if isinstance(shape, Variable):
        entries: Sequence[Any] = [shape[k] for k in range(variable.ndim)]  # type: ignore[index]
    else:
        entries = tuple(shape) if isinstance(shape, list | tuple | np.ndarray) else (shape,)
    if len(entries) != variable.ndim:
        raise ArgumentError(
            f"specify_shape: {len(entries)} sizes for {describe(variable)}", at=user_frames()
        )
    axes = tuple(k for k, n in enumerate(entries) if n is not None)
    return _promised(variable, axes, [as_size(entries[k], "specify_shape") for k in axes])


def _promised(x: Variable, axes: tuple[int, ...], sizes: Sequence[Variable]) -> Variable:
    if all(x.type.shape[k] is not None and x.type.shape[k] == static_int(n)
           for k, n in zip(axes, sizes)):  # fmt: skip
        return x
    return apply(_specify, (x, *sizes), {"axes": axes})


def addbroadcast(x: Any, *axes: int) -> Variable:
    """`x`, with a promise that some axes have size 1; checked at run time."""
    variable = as_variable(x)
    found = _axes_of(axes, variable.ndim, "addbroadcast")
    return _promised(variable, found, [Constant(1, "int64")] * len(found))


def unbroadcast(x: Any, *axes: int) -> Variable:
    """`x` itself: which axes are broadcast is decided at run time, by their sizes."""
    variable = as_variable(x)
    _axes_of(axes, variable.ndim, "unbroadcast")
    return variable


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Variable:
    """`x`, with a promise that the axes flagged in `broadcastable` have size 1."""
    variable = as_variable(x)
    if len(broadcastable) != variable.ndim:
        raise ArgumentError(
            f"patternbroadcast: {len(broadcastable)} flags for {describe(variable)}",
            at=user_frames(),
        )
    return addbroadcast(variable, *(k for k, flag in enumerate(broadcastable) if flag))
