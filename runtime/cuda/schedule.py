"""A plan's work in order: stretches of calls, captured as graphs, and the host between them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from graphc.core.errors import TargetError
from graphc.runtime.cuda.driver import Driver
from graphc.runtime.cuda.loops import LIMIT

if TYPE_CHECKING:
    from graphc.runtime.cuda.link import Call, Linked

KEPT = 4  # graphs of one stretch, by the addresses that they hold
TRIES = 16  # captures of one stretch, after which its addresses change too often


def _make_all(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


class Captures:
    """Whether the stretches of a plan are captured.

    Parameters
    ----------
    wanted : False, ``"auto"`` or True
        With ``"auto"``, stretches of one call are launched, and where the driver can't capture,
        all are, after a warning. With True that is an error.
    """

    def __init__(self, driver: Driver, wanted: bool | str) -> None:
        self.driver, self.wanted = driver, wanted
        self.on = bool(wanted)
        self.least = 2 if wanted == "auto" else 1

    def capture(self, calls: Sequence[Call]) -> Call | None:
        """What replays calls, once it did; None if they are to be made one by one.

        Where the first launch of a graph is refused, nothing of it is on the stream.
        """

        try:
            replay: Call | None = self.driver.capture(partial(_make_all, calls))
            if replay is not None:
                replay()
        except Exception as error:  # the driver's own errors have no common base
            self._refused(error)
            return None
        self.on = replay is not None
        return replay

    def _refused(self, error: Exception) -> None:
        self.on = False
        reason = " ".join(str(error).split()) or type(error).__name__
        if self.wanted != "auto":
            raise TargetError(
                f"{self.driver.name} can't capture a plan as a CUDA graph: {reason}",
                "graphc.config.cuda_graphs = 'auto' launches such plans, False all",
            ) from error
        warnings.warn(
            f"{self.driver.name} can't capture a plan as a CUDA graph ({reason}); its steps are "
            "launched one by one. graphc.config.cuda_graphs = False asks for no capture.",
            stacklevel=2,
        )


class Stretch:
    """Calls between which the host does nothing. They are captured when they run again.

    By then all kernels are loaded, and libraries have made what they need: neither may happen
    while a stream is captured. Kernels read addresses from the device, so that a graph stays right
    when one changes; calls of libraries hold some, and there is a graph for each set of these.
    """

    def __init__(
        self, linked: Linked, captures: Captures, calls: list[Call], held: list[int]
    ) -> None:
        self.linked, self.captures, self.calls, self.held = linked, captures, calls, held
        self.graphs: dict[tuple[int, ...], Call] = {}
        self.ran, self.tries = False, 0

    def run(self) -> None:
        captures = self.captures
        if self.ran and captures.on and len(self.calls) >= captures.least:
            key = tuple(int(w) for w in self.linked.words[self.held]) if self.held else ()
            replay = self.graphs.get(key)
            if replay is not None:
                replay()
                return
            if self.tries < TRIES and self._capture(key):
                return
        _make_all(self.calls)
        self.ran = True

    def _capture(self, key: tuple[int, ...]) -> bool:
        """Capture the calls, and run them; whether that could be done."""
        self.tries += 1
        replay = self.captures.capture(self.calls)
        if replay is None:
            return False
        while len(self.graphs) >= KEPT:
            del self.graphs[next(iter(self.graphs))]
        self.graphs[key] = replay
        return True


class Schedule:
    """What a plan, or the body of a loop that the host drives, does from begin to end.

    Parameters
    ----------
    before, after : sequence of callables
        What is put on the stream first and last.
    moving : bool
        Whether a kernel moves the plan's arguments and results.
    steps : sequence of int, optional
        Those of which it is.

    Attributes
    ----------
    parts : list
        Stretches, and between them what the host runs.
    """

    def __init__(
        self, linked: Linked, captures: Captures, before: Sequence[Call] = (),
        after: Sequence[Call] = (), moving: bool = False, steps: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.parts: list[Stretch | Callable[[], Any]] = []
        self.linked, self.captures = linked, captures
        self._open, self._held = list(before), list[int]()
        for k in range(len(linked.actions)) if steps is None else steps:
            action = linked.actions[k]
            if action.driven:
                self._cut()
                self.parts.append(self._driven(k))
                continue
            if len(self._open) + action.nodes > LIMIT:
                self._cut()
            self._open += linked.calls_of(k, moving)
            self._held += linked.held_words(k, moving)
        self._open += after
        self._cut()
        self.runs = [part.run if isinstance(part, Stretch) else part for part in self.parts]

    def _driven(self, k: int) -> Callable[[], Any]:
        action, loop = self.linked.actions[k], self.linked.actions[k].loop
        if action.waits:
            return partial(_make_all, self.linked.calls_of(k))
        if loop is None:
            return partial(self.linked.hosts.run, k)
        loop.drive(self.captures, Schedule)
        return loop.run

    def _cut(self) -> None:
        if self._open:
            self.parts.append(Stretch(self.linked, self.captures, self._open, self._held))
        self._open, self._held = [], []

    def run(self) -> None:
        """Put everything on the stream, waiting for the device where the host is needed."""
        for run in self.runs:
            run()
