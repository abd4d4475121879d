"""Where the elements of a view lie: strides over the buffer of another variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.node import Constant, Variable
from graphc.core.op import View, static_int

AXIS_VIEWS = ("dimshuffle", "alloc", "broadcast_like")


@dataclass(frozen=True)
class Dynamic:
    """An offset known only at run time: ``index * stride``, the index checked or clipped."""

    index: Variable
    stride: int
    size: int
    checked: bool
    owner: Variable


@dataclass(frozen=True)
class Layout:
    """Element strides and offset over the buffer of `base`."""

    base: Variable
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    dynamic: tuple[Dynamic, ...] = ()

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie side by side in C order."""
        return all(
            n == 1 or s == c
            for n, s, c in zip(self.shape, self.strides, c_strides(self.shape))
        )


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The element strides of an array in C order."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def is_view(variable: Variable) -> bool:
    return variable.op is not None and isinstance(variable.op.lower, View)


def shape_of(variable: Variable) -> tuple[int, ...]:
    """The sizes of a variable, all known."""
    assert variable.type.known, variable
    return variable.type.shape  # type: ignore[return-value]


class Layouts:
    """The layouts of a sized graph's variables, computed when asked for."""

    def __init__(self) -> None:
        self.found: dict[Variable, Layout] = {}

    def of(self, variable: Variable) -> Layout:
        """The layout of a variable; of what is no view, its own buffer in C order.

        Raises
        ------
        ValueError
            For a reshape whose elements don't lie evenly.
        """
        chain = []
        v = variable
        while v not in self.found and is_view(v):
            chain.append(v)
            v = v.args[0]
        layout = self.found.get(v)
        if layout is None:
            shape = shape_of(v)
            layout = self.found[v] = Layout(v, shape, c_strides(shape))
        for v in reversed(chain):
            layout = self.found[v] = view_layout(v, layout)
        return layout


def view_layout(v: Variable, parent: Layout) -> Layout:
    """The layout of a view over that of what it views."""
    assert v.op is not None
    found: Layout = _VIEWS[v.op.name](v, parent)
    return found


def _dimshuffle(v: Variable, parent: Layout) -> Layout:
    pattern = v.attrs["pattern"]
    strides = tuple(0 if p == "x" else parent.strides[p] for p in pattern)
    return Layout(parent.base, shape_of(v), strides, parent.offset, parent.dynamic)


def _broadcast(v: Variable, parent: Layout) -> Layout:
    shape = shape_of(v)
    lead = len(shape) - len(parent.shape)
    strides = [0] * lead + [
        0 if m == 1 and n != 1 else s
        for m, n, s in zip(parent.shape, shape[lead:], parent.strides)
    ]
    return Layout(parent.base, shape, tuple(strides), parent.offset, parent.dynamic)


def _reshape(v: Variable, parent: Layout) -> Layout:
    shape = shape_of(v)
    if parent.contiguous or 0 in shape:
        strides = c_strides(shape)
    else:
        ghost = np.lib.stride_tricks.as_strided(
            np.empty(1, "int8"), parent.shape, parent.strides, writeable=False
        )
        strides = np.reshape(ghost, shape, copy=False).strides
    return Layout(parent.base, shape, strides, parent.offset, parent.dynamic)


def _subtensor(v: Variable, parent: Layout) -> Layout:
    return part_layout(v, parent, v.args[1:])


def part_layout(v: Variable, whole: Layout, numbers: Sequence[Variable]) -> Layout:
    """The layout of the part of `whole` that a window op `v` reads or writes."""
    strides: list[int] = []
    shape: list[int] = []
    offset, dynamic, axis = whole.offset, list(whole.dynamic), 0
    for entry in v.attrs["window"]:
        if entry[0] == "n":
            strides.append(0)
            shape.append(1)
            continue
        stride, size = whole.strides[axis], whole.shape[axis]
        axis += 1
        if entry[0] == "a":
            strides.append(stride)
            shape.append(size)
            continue
        start = static_int(numbers[entry[1]])
        if start is None:
            dynamic.append(Dynamic(numbers[entry[1]], stride, size, entry[0] == "i", v))
        else:
            offset += (start + size if start < 0 and entry[0] == "i" else start) * stride
        if entry[0] == "s":
            length = static_int(numbers[entry[2]])
            assert length is not None
            strides.append(stride * entry[3])
            shape.append(length)
    strides += whole.strides[axis:]
    shape += whole.shape[axis:]
    return Layout(whole.base, tuple(shape), tuple(strides), offset, tuple(dynamic))


_VIEWS: Mapping[str, Any] = {
    "dimshuffle": _dimshuffle,
    "alloc": _broadcast,
    "broadcast_like": _broadcast,
    "reshape": _reshape,
    "subtensor": _subtensor,
}


def trace(variable: Variable) -> tuple[Variable, tuple[int | None, ...]]:
    """Through permutations and broadcasts to what they are of: that variable, and for each
    axis the one of its axes it runs along (None for a new or broadcast axis)."""
    axes: list[int | None] = list(range(variable.ndim))
    v = variable
    while v.op is not None and v.op.name in AXIS_VIEWS:
        inner = v.args[0]
        if v.op.name == "dimshuffle":
            pattern = v.attrs["pattern"]
            axes = [None if k is None or pattern[k] == "x" else pattern[k] for k in axes]
        else:
            lead = v.ndim - inner.ndim
            axes = [
                None if k is None or k < lead or inner.type.shape[k - lead] == 1 else k - lead
                for k in axes
            ]
        v = inner
    return v, tuple(axes)


def uniform(variable: Variable) -> Constant | None:
    """The scalar constant that a variable is a broadcast of, or None."""
    source, _ = trace(variable)
    if isinstance(source, Constant) and source.data.size == 1:
        return source
    return None


def inside(index: Variable, size: int) -> bool:
    """Whether indices are known to lie in an axis, counted from the front."""
    source, _ = trace(index)
    if isinstance(source, Constant):
        return not source.data.size or bool(source.data.min() >= 0 and source.data.max() < size)
    if source.op is not None and source.op.name == "checked_index":
        limit = static_int(trace(source.args[1])[0])
        return limit is not None and limit <= size
    if source.op is None or source.op.name != "arange":
        return False
    start, step, length = (static_int(a) for a in source.args)
    if start is None or step is None or length is None:
        return False
    last = start + step * max(length - 1, 0)
    return min(start, last) >= 0 and max(start, last) < size
