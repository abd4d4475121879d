"""A fused loop nest as data: axes, operands, and sections of scalar statements.

The same kernel is printed for every target; targets differ in header and index
computation. Statements are texts in the kernel language (see `graphc.runtime.emit`).

A nest has this form; every part but the innermost loop may be empty::

    top                                 once
    for the outer axes:
        row 0                           once per row
        for the inner axes: elem 0      phase 0: loads, arithmetic, stores, accumulation
        row 1                           what the sums of phase 0 give
        for the inner axes: elem 1
        ...
    post                                once, after all rows
    for the inner axes: columns         what sums over all rows give

With `lanes`, the last outer axis is cut into strips, and every row statement runs for
each lane of the strip: that is how sums over the slow axis of memory go fast. `short` says
that the innermost loop has so few steps that its vectors had better be masked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.core.dtypes import is_half


@dataclass(frozen=True)
class Axis:
    """One loop: its variable, and whether it is an outer or an inner one."""

    name: str
    outer: bool


@dataclass(frozen=True)
class Operand:
    """An array that the kernel reads or writes.

    `strides` has one entry per axis: 0 (not indexed by it), 1 (its elements lie side by
    side), or None (a stride that is passed). `alias` names the operand whose memory it is,
    when a value is overwritten in place. A `stash` keeps a row's values from one pass over it
    to the next: every row may have its own.
    """

    name: str
    dtype: str
    strides: tuple[int | None, ...]
    written: bool = False
    alias: str = ""
    stash: bool = False


@dataclass(frozen=True)
class Let:
    """``name = text``."""

    name: str
    text: str


@dataclass(frozen=True)
class Load:
    """``name = operand[indices of the axes (+ offset)]``."""

    name: str
    operand: str
    offset: str = ""


@dataclass(frozen=True)
class Store:
    """``operand[indices of the axes (+ offset)] = value``.

    `adds` names what was added, where `value` is that and what this very element had before.
    """

    operand: str
    value: str
    offset: str = ""
    adds: str = ""


@dataclass(frozen=True)
class Check:
    """Leave the kernel with an error, which is about `given`, unless ``0 <= index < size``."""

    index: str
    size: str
    code: int
    given: str


@dataclass(frozen=True)
class Accumulate:
    """Combine a value into an accumulator of an enclosing section."""

    accumulator: str
    value: str


Statement = Let | Load | Store | Check | Accumulate


@dataclass(frozen=True)
class Accumulator:
    """What a reduction keeps: its kind, the dtype of its values, and where it lives.

    `scope` is ``row`` (one per row), ``cross`` (one for all rows) or ``column`` (an
    operand with one element per inner position). Sums of columns of float32 go into the
    operand `block` first, and every so many rows from there into the float64 `operand`.
    """

    name: str
    kind: str
    dtype: str
    scope: str
    operand: str = ""
    block: str = ""


@dataclass
class Phase:
    """One pass over the inner axes and the row statements that follow it."""

    elem: list[Statement] = field(default_factory=list)
    accumulators: list[Accumulator] = field(default_factory=list)
    row: list[Statement] = field(default_factory=list)


@dataclass
class Kernel:
    """A loop nest; see the module's text for its form."""

    axes: tuple[Axis, ...]
    operands: list[Operand]
    constants: list[tuple[str, str]]
    top: list[Statement] = field(default_factory=list)
    row: list[Statement] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    cross: list[Accumulator] = field(default_factory=list)
    post: list[Statement] = field(default_factory=list)
    columns: list[Statement] = field(default_factory=list)
    lanes: bool = False
    short: bool = False
    arrays: dict[str, str] = field(default_factory=dict)
    sizes: list[str] = field(default_factory=list)

    @property
    def outer(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if a.outer)

    @property
    def inner(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if not a.outer)

    @property
    def by_columns(self) -> bool:
        """Whether there is nothing but columns: every one could be done by itself."""
        once = self.row or self.post or any(isinstance(s, Store) for s in self.top)
        rows = any(p.row or p.accumulators for p in self.phases)
        columns = bool(self.cross) and all(a.scope == "column" for a in self.cross)
        return columns and bool(self.inner) and not once and not rows

    @property
    def range_axis(self) -> int | None:
        """The axis of which a call does a range; None if it does everything."""
        if self.by_columns:
            return len(self.outer)
        if self.outer:
            return 0
        reduces = self.cross or any(p.accumulators for p in self.phases)
        return 0 if self.axes and not reduces else None

    @property
    def totals(self) -> list[Accumulator]:
        """What is combined over everything, not row by row."""
        rows = [] if self.outer else [a for p in self.phases for a in p.accumulators]
        return [*self.cross, *rows]

    @property
    def apart(self) -> bool:
        """Whether calls for parts of the range may run at the same time.

        They make up the whole, or where there are `totals`, give parts of those. What comes
        before the rows is done by each of them, and what comes after by none of them but where
        there is nothing but columns. None may overwrite what another reads elsewhere, as
        through an alias with other strides.
        """
        once = self.top
        if self.totals and not self.by_columns:
            if self.lanes or not self.axes or any(is_half(a.dtype) for a in self.totals):
                return False
            if not self.outer:
                once = self.top + self.row
                if len(self.phases) != 1:
                    return False
        elif self.range_axis is None:
            return False
        elif not self.by_columns:
            once = [*self.top, *self.post, *self.columns]
        written = {o.name for o in self.operands if o.written}
        aliases = any(o.alias for o in self.operands)
        picks = any(isinstance(s, Load | Store) and s.offset and s.operand in written
                    for s in self._statements())  # fmt: skip
        return not (aliases or picks or any(isinstance(s, Store) for s in once))

    def words(self) -> list[tuple[str, str, int]]:
        """What the argument block holds: (kind, name, axis) per word, in order."""
        words = [("pointer", o.name, 0) for o in self.operands if not o.alias]
        words += [("extent", a.name, k) for k, a in enumerate(self.axes)]
        for o in self.operands:
            words += [("stride", o.name, k) for k, s in enumerate(o.strides) if s is None]
        words += [("constant", name, 0) for name, _ in self.constants]
        words += [("size", name, 0) for name in self.sizes]
        if any(isinstance(s, Check) for s in self._statements()):
            words.append(("error", "error", 0))
        return words

    def _statements(self) -> list[Statement]:
        found = self.top + self.row + self.post + self.columns
        for phase in self.phases:
            found = found + phase.elem + phase.row
        return found
