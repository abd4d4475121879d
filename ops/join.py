"""Tensors put together: concatenate, stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, user_frames
from graphc.core.op import Library, Op, apply, declare
from graphc.ops.convert import as_variable, normal_axis, operands
from graphc.ops.elementwise import cast
from graphc.ops.shape import dim, make_vector, shape_padaxis, shape_padleft


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
        facts={"widens": False},
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
