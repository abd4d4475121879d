"""Ctrl-C and a request to terminate, taken between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While the block runs, the first signal is only noted; the second one acts at once.

    Signals reach the main thread only; in others nothing is changed.

    Attributes
    ----------
    caught : int or None
        The number of the signal.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if kind is None:
            self.pass_on()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            raise KeyboardInterrupt
        self.caught = number

    def pass_on(self) -> None:
        """Raise what was noted."""
        if self.caught is not None:
            raise KeyboardInterrupt if self.caught == signal.SIGINT else SystemExit(
                128 + self.caught
            )
