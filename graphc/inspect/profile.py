"""Where the time of calls goes: per step and per line of the user's program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphc.core.errors import ArgumentError, Frame
from graphc.core.node import user_frames
from graphc.core.plan import Plan
from graphc.inspect.explanation import lines_of
from graphc.inspect.parts import counted, quoted, short_lines, sizes_of, table

MOST_ROWS = 25
AT_BORDERS = -1
"""The number of copies to a device before all steps, and from there after them."""


@dataclass(frozen=True)
class Record:
    """One step of one plan, over all calls.

    Attributes
    ----------
    sizes : str
        Those of the inputs, which the plan was made for.
    number : int
        The step's number in the plan, or the operation's in the graph; `AT_BORDERS` of transfers.
    kind, label : str
        What it is and what it does.
    lines : tuple of Frame
        The lines of the program that it computes.
    calls : int
        How often it ran.
    seconds : float
        What all runs took together.
    flops, bytes : float
        Operations, and memory read and written, of one run, as planned.
    inner : tuple of Record
        Of a loop, the steps of its body, whose times are part of the loop's.
    """

    sizes: str
    number: int
    kind: str
    label: str
    lines: tuple[Frame, ...]
    calls: int
    seconds: float
    flops: float
    bytes: float
    inner: tuple[Record, ...] = ()

    @property
    def gflops(self) -> float:
        """10^9 operations a second."""
        return _rate(self.flops * self.calls, self.seconds)

    @property
    def gigabytes(self) -> float:
        """10^9 bytes a second."""
        return _rate(self.bytes * self.calls, self.seconds)


@dataclass(frozen=True)
class Profile:
    """A function's times up to now.

    Attributes
    ----------
    name : str
        The function's.
    calls : int
        How often it was called.
    seconds : float
        What its calls took, from checked arguments to results.
    records : tuple of Record
        In the order in which steps run.
    """

    name: str
    calls: int
    seconds: float
    records: tuple[Record, ...]

    def by_line(self) -> dict[Frame | None, float]:
        """Seconds per line of the program, most first; a step's are shared among its lines."""
        found: dict[Frame | None, float] = {}
        pending = list(self.records)
        while pending:
            record = pending.pop()
            pending += record.inner
            own = record.seconds - sum(r.seconds for r in record.inner)
            for frame in record.lines or (None,):
                share = own / max(len(record.lines), 1)
                found[frame] = found.get(frame, 0.0) + share
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def summary(self, most: int = MOST_ROWS) -> str:
        """Steps and lines as tables, those that took longest first.

        Parameters
        ----------
        most : int
            The number of steps to list.
        """
        inside = sum(r.seconds for r in self.records)
        each = f" ({1e6 * self.seconds / self.calls:.1f} us a call)" if self.calls else ""
        lines = [f"{self.name}: {counted(self.calls, 'call')}, {self.seconds:.4f} s{each}"]
        if not self.calls:
            return lines[0]
        order = sorted((r for r in self.records if r.calls), key=lambda r: -r.seconds)
        several = len({r.sizes for r in order}) > 1
        head = ("share", "us a run", "runs", "GFLOP/s", "GB/s", "step", "", "lines")
        rows = [head]
        for r in order[:most]:
            rows += self._rows(r, several, "", "")
        lines += ["", *table(rows, "rrrrrr")]
        rest = order[most:]
        if rest:
            share = sum(r.seconds for r in rest) / self.seconds
            lines.append(f"  … and {counted(len(rest), 'step')} with {share:.1%} together")
        outside = max(self.seconds - inside, 0.0) / self.seconds
        lines.append(f"  around them, as timed calls go through Python: {outside:.1%}")
        lines += ["", "by line of your program"]
        texts: dict[str, float] = {}
        for frame, seconds in self.by_line().items():
            text = quoted(frame) if frame else "(no line of yours)"
            texts[text] = texts.get(text, 0.0) + seconds
        shares = [
            (f"{texts[text] / self.seconds:.1%}", text)
            for text in sorted(texts, key=lambda text: -texts[text])
        ]
        return "\n".join(lines + table(shares[:most], "r"))

    def _rows(self, r: Record, several: bool, outer: str, deep: str) -> list[tuple[str, ...]]:
        """A row for a step, and below that of a loop one for each step of its body."""
        label = r.label if len(r.label) <= 60 else r.label[:59] + "…"
        where = f"  ({r.sizes})" if several and not deep else ""
        number = "" if r.number == AT_BORDERS else f"{outer}{r.number}"
        row = (
            f"{r.seconds / self.seconds:.1%}", f"{1e6 * r.seconds / max(r.calls, 1):.2f}",
            f"{r.calls:,}", _figure(r.gflops), _figure(r.gigabytes), number,
            f"{deep}{r.kind}  {label}{where}", short_lines(r.lines),
        )  # fmt: skip
        found = [row]
        for inner in r.inner:
            found += self._rows(inner, several, f"{outer}{r.number}.", deep + "  ")
        return found

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def profile_of(function: Any) -> Profile:
    """The profile of a function that was compiled with ``profile=True``.

    Raises
    ------
    ArgumentError
        If it wasn't.
    """
    program = function.program
    label = f"function {function.name!r}" if function.name else "function"
    if not program.options.profile:
        raise ArgumentError(
            f"{label} keeps no times",
            "compile it with graphc.function(..., profile=True), or set graphc.config.profile",
            user_frames(),
        )
    if hasattr(program, "clock"):
        clock = program.clock
        records = tuple(_interpreted(program.graph.nodes(), clock))
        return Profile(label, clock.calls, clock.seconds, records)
    clocks = [(bound, bound.clock) for bound in program.bound.values()]
    return Profile(
        label,
        sum(clock.calls for _, clock in clocks),
        sum(clock.seconds for _, clock in clocks),
        tuple(r for bound, clock in clocks
              for r in _stepped(sizes_of(program, bound), bound, bound.plan, clock)),
    )  # fmt: skip


def _stepped(sizes: str, bound: Any, plan: Plan, clock: Any) -> Iterator[Record]:
    for label, (size, calls, nanoseconds) in getattr(clock, "transfers", {}).items():
        yield Record(sizes, AT_BORDERS, "transfer", label, (), calls, nanoseconds * 1e-9, 0.0,
                     float(size))  # fmt: skip
    for k, step in enumerate(plan.steps):
        nanoseconds, calls = (int(n) for n in clock.record[k])
        inner: tuple[Record, ...] = ()
        if step.body is not None:
            inner = tuple(_stepped(sizes, bound, step.body, clock.bodies[k]))
        yield Record(
            sizes, k, step.routine, step.label, tuple(lines_of(bound, step)), calls,
            nanoseconds * 1e-9, step.flops, step.bytes, inner,
        )  # fmt: skip


def _interpreted(nodes: Any, clock: Any) -> Iterator[Record]:
    for k, v in enumerate(nodes):
        entry = clock.entries.get(v)
        if entry is not None:
            lines = tuple(v.where[-1:])
            yield Record("", k, "numpy", f"{v.op.name}: {v.type}", lines, entry.calls,
                         entry.nanoseconds * 1e-9, entry.flops, entry.bytes)  # fmt: skip


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds * 1e-9 if seconds else 0.0


def _figure(value: float) -> str:
    return f"{value:.1f}" if value else ""
