"""Rows for teams of threads, in registers or in loops; see :mod:`graphc.runtime.cuda.emit`."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.kernel import Statement, Store
from graphc.runtime.cuda.deal import renamed
from graphc.runtime.cuda.walks import Walking
from graphc.runtime.statements import neutral


class Rows(Walking):
    """Writes the form ``rows``."""

    def rows(self) -> None:
        deal = self.deal
        self._members()
        if deal.kept:
            self._keep()
        else:
            for a in self.columns:
                self._walk_row([Store(a.operand, neutral(a.kind, a.dtype))])
        self.put(f"rows = {self.number(self.kernel.outer)}")
        if deal.shares > 1:
            self.put("row, part = high(here, parts), low(here, parts)")
            self._one_row()
            return
        before = self.depth
        if deal.teams == 1:
            self.put("row = here")
            self.put("while row < rows:")
            self.depth += 1
            self._one_row()
            self.put("row = row + blocks")
        else:
            # All teams of a block go on together; one without a row takes the last one again.
            self.put(f"base = here * {deal.teams}")
            self.put("while base < rows:")
            self.depth += 1
            self.put(f"row = base + thread // {deal.team}")
            self.put("live = row < rows")
            self.put("if not live:")
            self.put("    row = rows - 1")
            self._one_row()
            self.put(f"base = base + blocks * {deal.teams}")
        self.depth = before
        if deal.kept:
            self.hand_on_columns()

    def _members(self) -> None:
        deal = self.deal
        if deal.teams > 1:
            self.put(f"member = thread % {deal.team}")
            self.member, self.live = "member", "live"
        if 1 < deal.team <= deal.warp:
            self.put(f"leader = thread % {deal.warp} // {deal.team} * {deal.team}")

    def _keep(self) -> None:
        """The places of a thread's elements in all rows, and its sums of columns."""
        deal, inner = self.deal, self.kernel.inner
        self.begin(inner, deal.width, deal.groups, [f"ok_{g}" for g in range(deal.groups)])
        self.put(f"span = {self.runs(inner, deal.width)}")
        for g in range(deal.groups):
            self.put(f"at = {self.member} + {g * deal.team}" if g else f"at = {self.member}")
            self.put(f"ok_{g} = at < span")
            self.put(f"if not ok_{g}:")
            self.put("    at = int64(0)")
            places = [self._place_name(a, inner, deal.width, g) for a in inner]
            self.places_of(inner, "at", places)
            self._elements(inner, places[-1] if inner else "", deal.width, g * deal.width)
        for a in self.columns:
            for k in range(self.count):
                self.put(f"{a.name}_c_{k} = {neutral(a.kind, a.dtype)}")

    def hand_on_columns(self) -> None:
        """What the block's teams have of each column, to the block's part of the work area."""
        for a in self.columns:
            lines = self._captured(lambda a=a: self.put(
                f"    {a.operand}[{self.index(a.operand)}] = {a.name}_c"))  # fmt: skip
            for k in range(self.count):
                own = f"{a.name}_c_{k}"
                self.combine_apart(a, own)
                ok = f"ok_{k // self.width}"
                self.put(f"if {ok} and thread < {self.deal.team}:")
                names = {**self.names[k], f"{a.name}_c": own}
                self.lines += [renamed(line, names) for line in lines]

    def _one_row(self) -> None:
        kernel, deal = self.kernel, self.deal
        self.here(kernel.outer, "row")
        self.known, self.keeps = {}, deal.kept
        self._row(kernel.row)
        for number, phase in enumerate(kernel.phases):
            if self.shared_rows() and self.is_second:
                for a in phase.accumulators:
                    self.collect(a, self.member, str(deal.team), "row * parts + k", "parts")
                    self.combine(a, deal.team)
                self._row(phase.row)
                continue
            copies = deal.width * deal.groups
            for a in phase.accumulators:
                self.start(a, copies)
            if deal.kept and number == 0:
                self.body(phase.elem)  # all of a row under way at once
            elif deal.kept:
                self.body_by_run(phase.elem)  # few values at once beside those that are kept
            else:
                self._walk_row(phase.elem)
            for a in phase.accumulators:
                self.fold(a, copies)
                self.combine(a, deal.team)
            if deal.shares > 1:
                for a in phase.accumulators:
                    self.hand_on(a, "thread == 0", "here")
                return
            self._row(phase.row)

    def _walk_row(self, body: Sequence[Statement]) -> None:
        """A row's elements to the threads of a team; each takes the same ones every time."""
        deal = self.deal
        first, hop = self.member, "threads"
        if deal.shares > 1:
            first, hop = "part * threads + thread", "parts * threads"
        self.walk(self.kernel.inner, first, hop, body, deal.width, deal.groups, deal.tail)

    def _row(self, statements: Sequence[Statement]) -> None:
        """All threads compute what is a row's own; one stores and accumulates it."""
        guard = f"{self.member} == 0" + (f" and {self.live}" if self.live else "")
        self.guard, self.adds, self.reports = guard, guard, self.live
        self.statements(statements)
        self.guard, self.adds, self.reports = None, None, ""
        stored = {self.memory(s.operand) for s in statements if isinstance(s, Store)}
        self.known = {p: n for p, n in self.known.items() if p[0] not in stored}
