"""A plan run many times in a row on a device: what `graphc.loop` does there.

Arguments that change have a row per call on the device, and so have results. A kernel moves the
plan's pointers from row to row, as for the steps of a loop, and everything that a call launches is
the same in each: so one captured graph is launched again and again, and the host waits at the end.
A call that fails, or of which the condition is true, stops those that are on the stream already
through the error record, as a failing step stops those after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.runtime.cuda.actions import Action
from graphc.runtime.cuda.arrays import DeviceArray
from graphc.runtime.cuda.driver import Memory
from graphc.runtime.cuda.link import Call, Linked
from graphc.runtime.cuda.loops import (
    CONDITION_WORD,
    COUNTER_WORD,
    HEAD,
    POINTER_WORDS,
    LoopKernels,
    Targets,
)
from graphc.runtime.cuda.schedule import Captures, Schedule

ROOM = 256 * 2**20  # bytes of rows that lie on the device at a time


class CudaRepeat:
    """Runs of one plan over rows.

    Parameters
    ----------
    rows : per input, whether each run has a row of it.
    until : the output, a bool, after which runs end when it is true, or None.
    """

    def __init__(
        self, linked: Linked, captures: Captures, rows: Sequence[bool], until: int | None
    ) -> None:
        self.linked, self.driver, self.failures = linked, linked.driver, linked.failures
        self.rows, self.until = rows, until
        plan = linked.plan
        self.results = [
            int(np.prod(shape)) * dtypes.numpy_dtype(dtype).itemsize
            for dtype, shape in plan.outputs
        ]
        inputs = [("input", k, moves) for k, moves in enumerate(rows)]
        outputs = [("output", k, k != until) for k in range(len(plan.outputs))]
        self.pointers = sorted((*inputs, *outputs), key=lambda p: p[2])  # still ones first
        self.words = np.zeros(HEAD + POINTER_WORDS * len(self.pointers), "int64")
        self.block = self.driver.allocate(self.words.nbytes, "words")
        self.memories: dict[tuple[str, int], Memory] = {}
        self.targets, self.kernels = Targets(self.driver), LoopKernels(self.driver)
        self.start = self._call(self.kernels.start, 1)
        # Two numbers that no step has: so `stop` stops `advance`, and nothing stops itself.
        self.ending = len(self.failures.steps) + 1
        after = [self._call(self.kernels.stop, 2)] if until is not None else []
        self.schedule = Schedule(
            linked, captures, before=[self._call(self.kernels.advance, 1)], after=after,
            moving=True,
        )  # fmt: skip
        # A call of a library can't be stopped by the record: the next one's would overwrite what
        # the last one made, so the host looks in between.
        self.looks = until is not None and any(
            action.by_library for action in _all_actions(linked)
        )

    def _call(self, launch: Any, number: int) -> Call:
        given = (self.block.address, 0, self.failures.memory.address,
                 len(self.failures.steps) + number, 0)  # fmt: skip
        return self.driver.prepare(launch.kernel, launch.grid, launch.threads, given)

    # --- where rows lie ---------------------------------------------------------------

    def _memory(self, kind: str, number: int, size: int) -> Memory:
        found = self.memories.get((kind, number))
        if found is None or found.size < size:
            sort = "argument" if kind == "input" else "result"
            memory = self.driver.allocate(size, sort, f"number {number}, rows of many calls")
            found = self.memories[kind, number] = memory
        return found

    def _input(self, number: int, array: Any, first: int, last: int) -> tuple[int, int]:
        """Bring an argument, or rows of it, to the device: its address, and that between rows."""
        if isinstance(array, DeviceArray):
            if array.contiguous:
                return array.address, 0
            array = np.ascontiguousarray(np.asarray(array))
        part = array[first:last] if self.rows[number] else array
        memory = self._memory("input", number, part.nbytes)
        memory.write(np.ascontiguousarray(part))
        return memory.address, part[0].nbytes if self.rows[number] else 0

    def _output(self, number: int, count: int) -> tuple[int, int]:
        if number == self.until:
            memory = self._memory("output", number, 8)
            self.words[CONDITION_WORD] = memory.address
            return memory.address, 0
        size = self.results[number]
        return self._memory("output", number, count * size).address, size

    def _place(self, given: Sequence[Any], first: int, last: int) -> None:
        """Write where the rows lie, and which of the plan's words go there."""
        linked, found = self.linked, []
        fixed = sum(not moves for _, _, moves in self.pointers)
        self.words[3:5] = fixed, len(self.pointers)
        for k, (kind, number, _) in enumerate(self.pointers):
            at = (self._input(number, given[number], first, last) if kind == "input"
                  else self._output(number, last - first))  # fmt: skip
            entry = HEAD + POINTER_WORDS * k
            self.words[entry + 3 : entry + 5] = at
            table = linked.input_words if kind == "input" else linked.output_words
            found.append(table.get(number, []))
        self.targets.write(linked.block.address, found, self.words)
        self.block.write(self.words)

    # --- runs -------------------------------------------------------------------------

    def run(
        self, given: Sequence[Any], results: Sequence[Array], first: int, last: int
    ) -> tuple[int, bool, Exception | None, bool]:
        """Run rows from `first` to `last`; see `graphc.runtime.repeat.Repeat.run`."""
        row = first
        try:
            while row < last:
                until = min(last, row + self._fitting(given))
                done, ended, error, stopped = self._run(given, results, row, until)
                row += done
                if stopped or ended:
                    return row, ended, error, stopped
        finally:
            self.linked.forget_places()
        return row, False, None, False

    def _fitting(self, given: Sequence[Any]) -> int:
        """How many rows are brought to the device at a time."""
        size = sum(self.results)
        size += sum(a[0].nbytes for a, moves in zip(given, self.rows) if moves and len(a))
        return max(1, ROOM // max(size, 1))

    def _run(
        self, given: Sequence[Any], results: Sequence[Array], first: int, last: int
    ) -> tuple[int, bool, Exception | None, bool]:
        self.failures.clear()
        self.linked.place()
        self._place(given, first, last)
        self.start()
        for _ in range(first, last):
            self.schedule.run()
            if self.looks and self.failures.found() is not None:
                break
        found = self.failures.found()
        done = last - first if found is None else self._begun()
        ended = found is not None and found[0] == self.ending
        failed = found is not None and not ended
        done -= failed
        for number, array in enumerate(results):
            if number != self.until and done:
                self.memories["output", number].read(array[first : first + done])
        error = self.failures.error(*found) if found is not None and failed else None
        return done, ended, error, failed

    def _begun(self) -> int:
        """How many runs were begun before one stopped the others."""
        counter = np.zeros(1, "int64")
        self.block.read(counter, 8 * COUNTER_WORD)
        return int(counter[0])


def _all_actions(linked: Linked) -> list[Action]:
    found: list[Action] = []
    for action in linked.actions:
        found.append(action)
        if action.loop is not None:
            found += _all_actions(action.loop.body)
    return found
