"""Steps that NumPy does, on copies of operands that lie on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.core.plan import Address, Place, Step
from graphc.runtime.cuda.driver import Memory
from graphc.runtime.hosts import host_value, moved

if TYPE_CHECKING:
    from graphc.runtime.cuda.link import Linked

MOVED = ("input", "output", "shared")
"""The kinds of places that a loop moves from step to step of its body."""


def places_that_move(step: Step) -> list[Place]:
    """The places of a host step's operands and result that the loop around it moves, each once."""
    _, operands, target = step.extra
    found = [target.place]
    for operand in operands:
        if not isinstance(operand, np.ndarray) and not isinstance(operand[1], tuple):
            found += [operand[0].place, *(address.place for address, _ in operand[3])]
    return list({_key(p): p for p in found if p.kind in MOVED}.values())


def _key(place: Place) -> tuple[str, int, int]:
    return place.kind, place.index, id(place.owner)


class HostSteps:
    """The host steps of a plan, or of a loop's body.

    In a body, the addresses that the loop moves are words of the step's block, which the same
    kernel moves that moves those of other steps. They are read from the device: so there is one
    arithmetic of rows, also where loops are inside loops.
    """

    def __init__(self, linked: Linked) -> None:
        self.linked, self.driver = linked, linked.driver
        self.where: dict[tuple[str, int, int], int] = {}

    def run(self, k: int) -> None:
        """Run one op with NumPy, after all that was launched before."""
        linked, step = self.linked, self.linked.plan.steps[k]
        linked.failures.raise_if_any()
        self._look_up(k, step)
        target: Address = step.extra[2]
        value = np.ascontiguousarray(host_value(step, self._operand))
        if value.nbytes:
            memory, start = self._memory(target.place, target.offset, value.nbytes)
            memory.write(value, start)

    def _look_up(self, k: int, step: Step) -> None:
        self.where = {}
        if self.linked.outer is None:
            return
        places = places_that_move(step)
        words = np.zeros(len(places), "int64")
        if places:
            self.linked.block.read(words, 8 * self.linked.starts[k])
        self.where = {_key(p): int(w) for p, w in zip(places, words)}

    def _memory(self, place: Place, offset: int, size: int) -> tuple[Memory, int]:
        address = self.where.get(_key(place))
        if address is not None:
            return self.driver.adopt(address + offset, size, None), 0
        memory, start = self.linked.memory_of(place)
        return memory, start + offset

    def _index_at(self, address: Any) -> int:
        return int(self._fetched(address.place, address.offset, 8, "int64")[0])

    def _outside(self, owner: Any, index: int, size: int) -> Exception:
        return self.linked.failures.outside(owner, np.array([index, size], "int64"))

    def _operand(self, address: Any, layout: Any, dtype: str, moves: Any) -> Array:
        """A copy of a value's memory, seen with its layout."""
        kind = dtypes.numpy_dtype(dtype)
        offset = moved(moves, self._index_at, self._outside)
        if not all(layout.shape):
            return np.zeros(layout.shape, kind)
        lowest = sum(min(0, (n - 1) * s) for n, s in zip(layout.shape, layout.strides))
        highest = sum(max(0, (n - 1) * s) for n, s in zip(layout.shape, layout.strides))
        start = address.offset + (offset + lowest) * kind.itemsize
        flat = self._fetched(address.place, start, (highest - lowest + 1) * kind.itemsize, dtype)
        return np.ndarray(
            layout.shape, kind, flat.data, -lowest * kind.itemsize,
            tuple(s * kind.itemsize for s in layout.strides),
        )  # fmt: skip

    def _fetched(self, place: Place, offset: int, size: int, dtype: str) -> Array:
        kind = dtypes.numpy_dtype(dtype)
        if place.kind == "constant":
            flat = np.ascontiguousarray(place.owner).reshape(-1).view(np.uint8)  # type: ignore
            return flat[offset : offset + size].view(kind)
        memory, start = self._memory(place, offset, size)
        found = np.empty(size // kind.itemsize, kind)
        memory.read(found, start)
        return found
