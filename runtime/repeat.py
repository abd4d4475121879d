"""A bound plan run many times in one native loop, over rows of arguments and of results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.runtime import natives
from graphc.runtime.bound import Bound
from graphc.runtime.link import HEAD, POINTER_WORDS, RESULT_WORD

COUNT_WORD, CONDITION_WORD = 6, 5
PAUSE = 0.05  # seconds after which Python may look for signals


class Repeat:
    """Runs of one plan.

    Parameters
    ----------
    bound : Bound
        A plan whose steps are all native.
    given : sequence of (array, bool)
        Per input, an array in C order, and whether each run has a row of it.
    results : sequence of array
        Per output, an array with a row for each run.
    until : int or None
        The output, a bool, after which runs end when it is true.
    """

    def __init__(
        self, bound: Bound, given: Sequence[tuple[Array, bool]], results: Sequence[Array],
        until: int | None = None,
    ) -> None:  # fmt: skip
        self.bound, self.until = bound, until
        self.kept = [a for a, _ in given] + list(results)
        linked = bound.linked
        self.done = np.zeros(1, "int64")
        self.condition = np.zeros(1, "bool")
        pointers = []
        for number, (array, rows) in enumerate(given):
            step = array.strides[0] if rows and len(array) else 0
            pointers.append((array.ctypes.data, step, self._targets(linked.inputs, number)))
        for number, array in enumerate(results):
            start, step = array.ctypes.data, array[0].nbytes
            if number == until:
                start, step = self.condition.ctypes.data, 0
            pointers.append((start, step, self._targets(linked.outputs, number)))
        pointers.sort(key=lambda p: p[1] != 0)
        self.pointers = pointers
        self.block = np.zeros(HEAD + POINTER_WORDS * len(pointers), "int64")
        fixed = sum(step == 0 for _, step, _ in pointers)
        self.block[1:5] = linked.table.ctypes.data, len(linked.table), fixed, len(pointers)
        if until is not None:
            self.block[CONDITION_WORD] = self.condition.ctypes.data
        self.block[COUNT_WORD] = self.done.ctypes.data
        for k, (_, step, targets) in enumerate(pointers):
            entry = HEAD + POINTER_WORDS * k
            self.block[entry + 4 : entry + 7] = step, targets.ctypes.data, len(targets)

    def _targets(self, found: list[tuple[int, int, int]], number: int) -> Array:
        base = self.bound.linked.words.ctypes.data
        pairs = [(base + 8 * word, offset) for n, offset, word in found if n == number]
        return np.array(pairs, "int64").reshape(-1, 2)

    def run(self, first: int, last: int) -> tuple[int, bool, Exception | None, bool]:
        """Run rows from `first` to `last`.

        Returns
        -------
        done : int
            The row after the last one that was run.
        ended : bool
            Whether the condition was true.
        error : Exception or None
            What stopped a run.
        stopped : bool
            Whether a run stopped; without an error, its sizes were not the plan's.
        """
        row, count = first, 1
        loop = natives.address("loop")
        while row < last:
            count = min(count, last - row)
            self.block[0] = count
            for k, (start, step, _) in enumerate(self.pointers):
                self.block[HEAD + POINTER_WORDS * k + 3] = start + row * step
            before = time.perf_counter()
            code = natives.call_released(loop, self.block.ctypes.data)
            row += int(self.done[0])
            if code:
                found = natives.failed_step(int(self.block[RESULT_WORD]))
                return row, False, self.bound.walker.error(*found), True
            if self.until is not None and self.condition[0]:
                return row, True, None, False
            if time.perf_counter() - before < PAUSE:
                count *= 2
        return row, False, None, False


def fits(bound: Any) -> bool:
    """Whether a plan can be run so: natively, with updates in place."""
    if isinstance(bound, Bound):
        return bound.native is not None and not bound.stale
    return bool(getattr(bound, "can_repeat", False))


def repeat_of(
    bound: Any, given: Sequence[tuple[Array, bool]], results: Sequence[Array],
    until: int | None = None,
) -> Any:  # fmt: skip
    """A `Repeat` of a plan on the host, or what does its work on the plan's device."""
    if isinstance(bound, Bound):
        return Repeat(bound, given, results, until)
    return bound.repeat(given, results, until)
