"""Pinned memory of the host, through which copies go to a device while the host goes on.

The driver copies from pinned memory by itself. From any other it would copy to pinned memory of
its own first, and wait for that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.core.plan import size_text

LINE = 256  # bytes; copies start where no other ends
FIRST, MOST = 2**20, 2**26
"""Bytes that are pinned at first, and at most: pinned memory is taken from everybody else."""


class Staging:
    """Room for copies that are under way, given out from the start until a wait.

    Parameters
    ----------
    pin : makes an array of so many bytes that is pinned; raises where there is no more.
    """

    def __init__(self, pin: Callable[[int], Array]) -> None:
        self.pin, self.memory, self.used, self.failed = pin, np.empty(0, np.uint8), 0, False
        self.old: list[Array] = []  # copies may still read what was too small

    def room(self, size: int) -> Any:
        """Pinned bytes; None where there is none for so many."""
        start = -(-self.used // LINE) * LINE
        if start + size > self.memory.size and not self._grow(size):
            return None
        start = -(-self.used // LINE) * LINE
        self.used = start + size
        return self.memory[start : self.used]

    def _grow(self, size: int) -> bool:
        """Larger memory, of which nothing is used; whether there is any."""
        wanted = max(FIRST, 2 * self.memory.size)
        while wanted < size:
            wanted *= 2
        if self.failed or wanted > MOST:
            return False
        try:
            found = self.pin(wanted)
        except Exception as error:  # what has less to pin goes on in ordinary memory
            self.failed = True
            warnings.warn(
                f"the host has no {size_text(wanted)} of pinned memory for copies to and from a "
                f"device ({' '.join(str(error).split())}): copies are right, and slower; `ulimit "
                "-l` and the memory limit of the container say how much there may be",
                RuntimeWarning, stacklevel=3,
            )  # fmt: skip
            return False
        self.old.append(self.memory)
        self.memory, self.used = found, 0
        return True

    def forget(self) -> None:
        """All copies have been waited for."""
        self.used = 0
        self.old.clear()
