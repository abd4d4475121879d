"""Picks of a tensor by integer arrays, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import BadIndexError
from graphc.core.node import Attrs, Constant, TensorType, Variable
from graphc.core.op import Gather, Op, Scalar, Update, apply, declare
from graphc.ops.broadcast import sum_like, zeros_like
from graphc.ops.convert import operands
from graphc.ops.elementwise import broadcast_shape, cast
from graphc.ops.windows import must_broadcast


def _pick_shape(x: Variable, indices: Sequence[Variable], axes: tuple[int, ...]) -> Any:
    for axis, index in zip(axes, indices):
        size = x.type.shape[axis]
        if isinstance(index, Constant) and size is not None and index.data.size:
            low, high = int(index.data.min()), int(index.data.max())
            if low < -size or high >= size:
                raise BadIndexError(
                    f"index {low if low < -size else high} is outside axis {axis} of size {size}",
                    f"indices go from {-size} to {size - 1}" if size else "the axis is empty",
                )
    picked = broadcast_shape([i.type.shape for i in indices])
    rest = tuple(n for k, n in enumerate(x.type.shape) if k not in axes)
    at = pick_position(axes)
    return rest[:at] + picked + rest[at:]


def pick_position(axes: tuple[int, ...]) -> int:
    """Where the axes of the index arrays go: in place if they stand together, else first."""
    return axes[0] if axes == tuple(range(axes[0], axes[0] + len(axes))) else 0


def _full_index(indices: Sequence[Any], axes: tuple[int, ...], ndim: int) -> tuple[Any, ...]:
    index: list[Any] = [slice(None)] * ndim
    for axis, i in zip(axes, indices):
        index[axis] = i
    return tuple(index)


def _gather_vjp(
    g: Variable, out: Variable, x: Variable, *indices: Variable, axes: tuple[int, ...]
) -> tuple[Variable | None, ...]:
    attrs = {"axes": axes, "mode": "inc"}
    return apply(scatter, (zeros_like(x), g, *indices), attrs), *(None,) * len(indices)


gather = declare(
    Op(
        "gather",
        lambda args, attrs: TensorType(
            args[0].dtype, _pick_shape(args[0], args[1:], attrs["axes"])
        ),
        lambda x, *indices, axes: x[_full_index(indices, axes, x.ndim)],
        Gather(),
        vjp=_gather_vjp,
        formula="x[i, j, ...] with integer arrays",
        checks=True,
    )
)


def _scatter_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, v, *indices = args
    must_broadcast(v, _pick_shape(x, indices, attrs["axes"]))
    return x.type


def _scatter_numpy(x: Any, v: Any, *indices: Any, axes: tuple[int, ...], mode: str) -> Any:
    result = np.array(x)
    index = _full_index(indices, axes, x.ndim)
    if mode == "set":
        result[index] = v
    else:
        np.add.at(result, index, v)
    return result


def _scatter_vjp(
    g: Variable, out: Variable, x: Variable, v: Variable, *indices: Variable,
    axes: tuple[int, ...], mode: str,
) -> tuple[Variable | None, ...]:  # fmt: skip
    part = apply(gather, (g, *indices), {"axes": axes})
    gx = g
    if mode == "set":
        zero = Constant(0, g.dtype)
        gx = apply(scatter, (g, zero, *indices), {"axes": axes, "mode": "set"})
    return gx, sum_like(part, v), *(None,) * len(indices)


scatter = declare(
    Op(
        "scatter",
        _scatter_infer,
        _scatter_numpy,
        Update(),
        vjp=_scatter_vjp,
        formula="x with x[i, j, ...] = v, or += v once per occurrence",
        checks=True,
    )
)


def _checked_numpy(index: Any, size: Any) -> Any:
    if np.size(index) and not np.all((index >= -size) & (index < size)):
        low, high = np.min(index), np.max(index)
        raise IndexError(f"indices from {low} to {high} for an axis of size {np.max(size)}")
    return np.where(index < 0, index + size, index)


checked_index = declare(
    Op(
        "checked_index",
        lambda args, attrs: TensorType("int64", broadcast_shape([a.type.shape for a in args])),
        _checked_numpy,
        Scalar("checked({0}, {1})", 2.0),
        formula="y, or y + n where y < 0; an error unless -n <= y < n",
        checks=True,
        prepare=lambda args, name: [cast(a, "int64") for a in operands(args)],
    )
)
