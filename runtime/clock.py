"""The clock: what the steps of a plan took."""

from __future__ import annotations

import numpy as np

from graphc.core.node import Array
from graphc.runtime import natives


class Clock:
    """Times of a plan's steps.

    Parameters
    ----------
    steps : int
        Their number.

    Attributes
    ----------
    record : int64 array
        Nanoseconds and calls of each step; the native loop adds to it.
    calls : int
        Of the whole plan.
    seconds : float
        What those took.
    """

    def __init__(self, steps: int) -> None:
        self.record: Array = np.zeros((max(steps, 1), 2), "int64")
        self.calls = 0
        self.seconds = 0.0
        self._walk = natives.address("walk_profiled")
        self._block: Array | None = None
        self._table = 0

    def walk(self, table: Array, start: int, stop: int) -> int:
        """Run steps of a table natively; returns the code of the loop."""
        if self._block is None or self._table != table.ctypes.data:
            self._table = table.ctypes.data
            words = natives.profile_words(self._table, self.record.ctypes.data)
            self._block = np.array(words, "int64")
        return natives.call(self._walk, self._block.ctypes.data, start, stop)

    def add(self, step: int, nanoseconds: int) -> None:
        """Note a run of a step that isn't native."""
        self.record[step] += (nanoseconds, 1)

    def add_call(self, seconds: float) -> None:
        """Note a call of the plan."""
        self.calls += 1
        self.seconds += seconds
