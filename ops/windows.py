"""Windows of a tensor (ints, slices, new axes), read and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import BadIndexError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable
from graphc.core.op import Op, Update, View, apply, declare, static_int
from graphc.ops.broadcast import sum_like, zeros_like
from graphc.ops.elementwise import broadcast_shape

# A window: per axis ("i", position of the index among the operands), ("s", positions of
# start and length, step), ("a",) for all of it; and ("n",) for a new axis.
Window = tuple[tuple[Any, ...], ...]


def _window_shape(x: Variable, numbers: Sequence[Variable], window: Window) -> Any:
    axis, shape = 0, []
    for entry in window:
        if entry[0] == "n":
            shape.append(1)
            continue
        size = x.type.shape[axis]
        if entry[0] == "a":
            shape.append(size)
        elif entry[0] == "s":
            shape.append(static_int(numbers[entry[2]]))
        elif size is not None:
            known = static_int(numbers[entry[1]])
            if known is not None and not -size <= known < size:
                raise BadIndexError(
                    f"index {known} is outside axis {axis} of size {size}",
                    f"indices go from {-size} to {size - 1}" if size else "the axis is empty",
                )
        axis += 1
    return tuple(shape) + x.type.shape[axis:]


def _subtensor_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(args[0].dtype, _window_shape(args[0], args[1:], attrs["window"]))


def numpy_index(numbers: Sequence[Any], window: Window) -> tuple[Any, ...]:
    """The index that NumPy would be given for a window."""
    index: list[Any] = []
    for entry in window:
        if entry[0] == "i":
            index.append(int(numbers[entry[1]]))
        elif entry[0] == "s":
            start, length, step = int(numbers[entry[1]]), int(numbers[entry[2]]), entry[3]
            stop: int | None = start + length * step
            if length == 0:
                start, stop = 0, 0
            index.append(slice(start, None if stop is not None and stop < 0 else stop, step))
        else:
            index.append(np.newaxis if entry[0] == "n" else slice(None))
    return tuple(index)


def _window_sizes(first: int) -> Any:
    def positions(count: int, attrs: Attrs) -> tuple[int, ...]:
        return tuple(first + e[2] for e in attrs["window"] if e[0] == "s")

    return positions


def _subtensor_vjp(
    g: Variable, out: Variable, x: Variable, *numbers: Variable, window: Window
) -> tuple[Variable | None, ...]:
    attrs = {"window": window, "mode": "inc"}
    return apply(update, (zeros_like(x), g, *numbers), attrs), *(None,) * len(numbers)


subtensor = declare(
    Op(
        "subtensor",
        _subtensor_infer,
        lambda x, *numbers, window: x[numpy_index(numbers, window)],
        View(),
        vjp=_subtensor_vjp,
        formula="x[i, a:b:c, newaxis, ...]",
        size_args=_window_sizes(1),
        checks=True,
    )
)


def _update_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, v, *numbers = args
    part = _window_shape(x, numbers, attrs["window"])
    must_broadcast(v, part)
    return x.type


def must_broadcast(v: Variable, part: tuple[int | None, ...]) -> None:
    meeting = broadcast_shape([v.type.shape, part])
    if len(meeting) > len(part) or any(
        n is not None and m is not None and n != m for n, m in zip(part, meeting)
    ):
        raise ShapeError(f"a value of shape {v.type.shape} does not go into a part of {part}")


def _update_numpy(x: Any, v: Any, *numbers: Any, window: Window, mode: str) -> Any:
    result = np.array(x)
    if mode == "set":
        result[numpy_index(numbers, window)] = v
    else:
        result[numpy_index(numbers, window)] += v
    return result


def _update_vjp(
    g: Variable, out: Variable, x: Variable, v: Variable, *numbers: Variable,
    window: Window, mode: str,
) -> tuple[Variable | None, ...]:  # fmt: skip
    part = apply(subtensor, (g, *numbers), {"window": window})
    gx = g
    if mode == "set":
        zero = Constant(0, g.dtype)
        gx = apply(update, (g, zero, *numbers), {"window": window, "mode": "set"})
    return gx, sum_like(part, v), *(None,) * len(numbers)


update = declare(
    Op(
        "update_subtensor",
        _update_infer,
        _update_numpy,
        Update(),
        vjp=_update_vjp,
        formula="x with x[window] = v, or += v",
        size_args=_window_sizes(2),
        checks=True,
    )
)
