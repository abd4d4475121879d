"""Strips of neighbouring lanes for blocks; see :mod:`graphc.runtime.cuda.emit`."""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.cuda.walks import Walking
from graphc.runtime.statements import POSITIONS


class Strips(Walking):
    """Writes the form ``lanes``, and sums of columns that blocks left."""

    def lanes(self) -> None:
        """A strip of lanes to a block; the block's teams take turns along the inner axes."""
        deal, kernel = self.deal, self.kernel
        self.put(f"count = {self.number(kernel.outer)}")
        self.put(f"strips = (count + {deal.team - 1}) // {deal.team}")
        self.put("t = 0")
        if deal.shares > 1:
            self.put("strip, part = high(here, parts), low(here, parts)")
            self._strip()
            return
        self.put("strip = here")
        self.put("while strip < strips:")
        self.depth += 1
        self._strip()
        self.put("strip = strip + blocks")
        self.depth -= 1

    def _strip(self) -> None:
        deal, kernel = self.deal, self.kernel
        self.put(f"lane = strip * {deal.team} + thread % {deal.team}")
        self.put("live = lane < count")
        self.put("if not live:")
        self.put("    lane = count - 1")
        self.here(kernel.outer, "lane")
        self.live = "live"
        turn = f"thread // {deal.team}" if deal.teams > 1 else "int64(0)"
        self.guard = f"{turn} == 0 and live" if deal.teams > 1 else "live"
        first, hop = turn, f"int64({deal.teams})"
        if deal.shares > 1:
            first, hop = f"part * {deal.teams} + {turn}", f"parts * {deal.teams}"
        self.statements(kernel.row)
        for phase in kernel.phases:
            guard, self.guard = self.guard, None
            if self.shared_rows() and self.is_second:
                for a in phase.accumulators:
                    self.collect(a, turn, str(deal.teams), "k * rows + lane", "parts")
            else:
                for a in phase.accumulators:
                    self.start(a, deal.groups)
                self.walk(kernel.inner, first, hop, phase.elem, 1, deal.groups)
                for a in phase.accumulators:
                    self.fold(a, deal.groups)
            for a in phase.accumulators:
                self.combine_apart(a, self.held(a), a.kind in POSITIONS)
                self.put(f"{a.name}[0] = {self.held(a)}")
                if a.kind in POSITIONS:
                    self.put(f"{a.name}_at[0] = {self.held(a)}_at")
            self.guard = guard
            if deal.shares > 1:
                for a in phase.accumulators:
                    self.hand_on(a, guard, "part * rows + lane")
                break
            self.statements(phase.row)
        self.guard, self.live = None, ""

    def lane_arrays(self) -> dict[str, str]:
        found = dict(self.kernel.arrays)
        for phase in self.kernel.phases:
            for a in phase.accumulators:
                found[a.name] = self.total_dtype(a)
                if a.kind in POSITIONS:
                    found[f"{a.name}_at"] = "int64"
        return found

    def collect_columns(self) -> None:
        """Sums of columns, a strip to a block, whose teams take turns in what blocks left."""
        deal, inner = self.deal, self.kernel.inner
        turn = f"thread // {deal.team}"
        self.put(f"count = {self.number(inner)}")
        self.put(f"strip = here * {deal.team}")
        self.put("while strip < count:")
        self.depth += 1
        self.put(f"lane = strip + thread % {deal.team}")
        self.put("live = lane < count")
        self.put("if not live:")
        self.put("    lane = count - 1")
        self.here(inner, "lane")
        for a in self.columns:
            total = replace(a, name=f"{a.name}_t", scope="row")
            place = self.index(a.operand)
            self.put(f"{total.name}_p = {a.name}_p")
            form, self.form = self.form, "rows"
            self.collect(total, turn, str(deal.teams), f"k * n_row + {place}", "parts")
            self.combine_apart(total, total.name)
            self.form = form
            # Threads of one lane write the same, and each reads what it wrote.
            self.put(f"{a.operand}[{place}] = {total.name}")
        self.guard = f"{turn} == 0 and live"
        self.statements(self.kernel.columns)
        self.guard = None
        self.put(f"strip = strip + blocks * {deal.team}")
        self.depth -= 1
