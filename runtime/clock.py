"""The clock: what the steps of a plan took."""

from __future__ import annotations

import numpy as np

from graphc.core.node import Array
from graphc.runtime import natives
from graphc.runtime.link import TABLE_WORD, Linked


class Clock:
    """Times of a plan's steps, and of those in the bodies of its loops.

    Parameters
    ----------
    linked : Linked
        The plan in memory.

    Attributes
    ----------
    record : int64 array
        Nanoseconds and calls of each step; the native loop adds to it.
    bodies : dict
        The clocks of loops, by the number of their step.
    calls : int
        Of the whole plan.
    seconds : float
        What those took.
    """

    def __init__(self, linked: Linked) -> None:
        steps = len(linked.plan.steps)
        self.record: Array = np.zeros((max(steps, 1), 2), "int64")
        self.calls = 0
        self.seconds = 0.0
        self._walk = natives.address("walk_profiled")
        words = natives.profile_words(linked.table.ctypes.data, self.record.ctypes.data)
        self._block = np.array(words, "int64")
        self._row = np.array([self._walk, self._block.ctypes.data, 0, steps], "int64")
        self.bodies: dict[int, Clock] = {}
        for k, body in linked.loops.items():
            self.bodies[k] = Clock(body)
            self.bodies[k]._step_in(linked, k)

    def _step_in(self, outer: Linked, k: int) -> None:
        """Let step `k` of the plan around this one walk its body with a look at the clock.

        To the loop, the body then has one step, which is the walk.
        """
        block = outer.starts[k]
        outer.words[block + TABLE_WORD : block + TABLE_WORD + 2] = self._row.ctypes.data, 1

    def walk(self, start: int, stop: int) -> int:
        """Run steps natively; returns the code of the loop."""
        return natives.call(self._walk, self._block.ctypes.data, start, stop)

    @property
    def result(self) -> int:
        """What the walk returned that failed last."""
        return int(self._block[4])

    def add(self, step: int, nanoseconds: int) -> None:
        """Note a run of a step that isn't native."""
        self.record[step] += (nanoseconds, 1)

    def add_call(self, seconds: float) -> None:
        """Note a call of the plan."""
        self.calls += 1
        self.seconds += seconds
