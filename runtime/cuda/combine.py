"""Sums and their kin among threads: what each accumulates, and how that becomes one value.

A thread has up to `LANES` accumulators for each reduction, so that additions needn't wait for
each other, and adds them up in order. Threads of a warp combine theirs by shuffles, as a tree:
thread k takes what thread k + 16 has, then k + 8, and so on; then all threads of the team take
the first one's. A block's warps leave theirs in shared memory, and every thread combines those in
order. Teams of lanes and of columns, whose threads lie `team` apart, combine as a tree in shared
memory. Blocks hand on what they found through the work area, and the second kernel combines that.
What is combined with what, and in which order, depends on sizes alone.

Barriers and shuffles stand where all threads of a block come together: the loops around them
have as many steps for all threads, and no condition depends on the thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.dtypes import wide
from graphc.core.kernel import Accumulate, Accumulator, Kernel
from graphc.runtime.cuda.deal import Deal
from graphc.runtime.statements import POSITIONS, Statements, neutral
from graphc.runtime.statements import type_name as cast_name

CELL = 8
"""Bytes in the work area for every value, whatever its dtype."""
LANES = 4
"""Most accumulators of a thread for one reduction."""


class Combining(Statements):
    """Writes what accumulators do in a nest of a form; see :mod:`graphc.runtime.cuda.emit`."""

    def __init__(self, kernel: Kernel, form: str, deal: Deal) -> None:
        super().__init__(kernel)
        self.form, self.deal = form, deal
        self.adds: str | None = None  # the condition under which a thread accumulates, if any
        self.copied: set[str] = set()  # the accumulators of which a thread has several
        self.shared = self.shared_dtypes()

    # --- a thread's own ---------------------------------------------------------------

    def held(self, a: Accumulator) -> str:
        """The name under which a thread accumulates (in lanes, the plain one is an array)."""
        return f"{a.name}_v" if self.form == "lanes" else a.name

    def start(self, a: Accumulator, copies: int = 1) -> None:
        for name in self.copies_of(a, copies):
            self.put(f"{name} = {neutral(a.kind, self.total_dtype(a))}")
            if a.kind in POSITIONS:
                self.put(f"{name}_at = int64(0)")

    def copies_of(self, a: Accumulator, copies: int) -> list[str]:
        """The accumulators of a thread that has a body so many times."""
        name = self.held(a)
        return [name, *(f"{name}_{k}" for k in range(1, min(copies, LANES)))]

    def fold(self, a: Accumulator, copies: int) -> None:
        """Add up what a thread has."""
        first, *others = self.copies_of(a, copies)
        for other in others:
            self.take(a, first, other, f"{first}_at", f"{other}_at")

    def take(self, a: Accumulator, mine: str, other: str, at: str, other_at: str) -> None:
        """Combine two values, with their positions where they have some."""
        if a.kind not in POSITIONS:
            self._add(a, mine, other)
            return
        self.put(f"if {self._better(a, mine, at, other, other_at)}:")
        self.put(f"    {mine} = {other}")
        self.put(f"    {at} = {other_at}")

    def accumulate(self, s: Accumulate) -> None:
        if self.adds is not None:
            self.put(f"if {self.adds}:")
            self.depth += 1
        a = self.kinds[s.accumulator]
        if a.scope == "column":
            place = f"{a.name}_c" if self.deal.kept else f"{a.operand}[{self.index(a.operand)}]"
            self._add(a, place, f"{cast_name(a.dtype)}({s.value})")
        elif a.kind in POSITIONS:
            self.position(a, self.held(a), f"{self.held(a)}_at", s.value)
        else:
            self._add(a, self.held(a), f"{cast_name(self.total_dtype(a))}({s.value})")
        if self.adds is not None:
            self.depth -= 1

    def _add(self, a: Accumulator, target: str, value: str) -> None:
        self.put(f"{target} = {self.combined(a, target, value)}")

    def _better(self, a: Accumulator, best: str, at: str, value: str, where: str) -> str:
        """Whether a candidate for a position beats another; of equal ones the first does."""
        return f"beats_{a.kind}({value}, {best}) | (ties({value}, {best}) & ({where} < {at}))"

    def position(self, a: Accumulator, best: str, at: str, value: str) -> None:
        """A thread meets positions in order."""
        self.put(f"if beats_{a.kind}({value}, {best}):")
        self.put(f"    {best} = {value}")
        self.put(f"    {at} = {self.linear_index()}")

    # --- among threads ----------------------------------------------------------------

    def shared_dtypes(self) -> list[str]:
        """The dtypes for which threads of a block need memory in common."""
        deal = self.deal
        found = [a for a in self.kernel.cross if a.scope == "cross"]
        apart = self.form == "lanes" and deal.teams > 1
        if apart or (self.form == "rows" and deal.team > deal.warp):
            found += [a for p in self.kernel.phases for a in p.accumulators]
        found += [a for a in self.kernel.cross if a.scope == "column"]
        needed = {self.total_dtype(a) for a in found}
        if any(a.kind in POSITIONS for a in found):
            needed.add("int64_at")
        return sorted(needed)

    def combine(self, a: Accumulator, team: int) -> None:
        """Combine what a team of neighbouring threads holds; all of them get the result."""
        name, at = self.held(a), a.kind in POSITIONS
        step = min(team, self.deal.warp) // 2
        while step > 0:
            # Each exchange is a statement of its own: all threads have to come there.
            self.put(f"other = shuffle_down({name}, {step})")
            if at:
                self.put(f"other_at = shuffle_down({name}_at, {step})")
            self.take(a, name, "other", f"{name}_at", "other_at")
            step //= 2
        if team <= self.deal.warp:
            if team > 1:
                self.put(f"{name} = shuffle_from({name}, leader)")
                if at:
                    self.put(f"{name}_at = shuffle_from({name}_at, leader)")
            return
        values, places = f"shared_{self.total_dtype(a)}", "shared_int64_at"
        warp = self.deal.warp
        self.put(f"if thread % {warp} == 0:")
        self.put(f"    {values}[thread // {warp}] = {name}")
        if at:
            self.put(f"    {places}[thread // {warp}] = {name}_at")
        self.put("cuda.syncthreads()")
        first = ""
        if team < self.deal.threads:
            self.put(f"leader = thread // {team} * {team // warp}")
            first = "leader + "
        self.put(f"{name} = {values}[{first}0]")
        if at:
            self.put(f"{name}_at = {places}[{first}0]")
        for k in range(1, team // warp):
            self.take(a, name, f"{values}[{first}{k}]", f"{name}_at", f"{places}[{first}{k}]")
        self.put("cuda.syncthreads()")  # all have read before anything is written there again

    def combine_apart(self, a: Accumulator, name: str, at: bool = False) -> None:
        """Combine what threads `team` apart hold; all of them get the result."""
        deal = self.deal
        if deal.teams == 1:
            return
        values, places = f"shared_{self.total_dtype(a)}", "shared_int64_at"
        self.put(f"{values}[thread] = {name}")
        if at:
            self.put(f"{places}[thread] = {name}_at")
        self.put("cuda.syncthreads()")
        half = deal.threads // 2
        while half >= deal.team:
            self.put(f"if thread < {half}:")
            self.depth += 1
            self.take(a, f"{values}[thread]", f"{values}[thread + {half}]",
                      f"{places}[thread]", f"{places}[thread + {half}]")  # fmt: skip
            self.depth -= 1
            self.put("cuda.syncthreads()")
            half //= 2
        self.put(f"{name} = {values}[thread % {deal.team}]")
        if at:
            self.put(f"{name}_at = {places}[thread % {deal.team}]")
        self.put("cuda.syncthreads()")

    # --- among blocks -----------------------------------------------------------------

    def hand_on(self, a: Accumulator, condition: str, place: str) -> None:
        """Leave what a team found in the work area."""
        name = self.held(a)
        self.put(f"if {condition}:")
        self.put(f"    {a.name}_p[{place}] = {name}")
        if a.kind in POSITIONS:
            self.put(f"    {a.name}_q[{place}] = {name}_at")

    def collect(self, a: Accumulator, first: str, step: str, place: str, count: str) -> None:
        """Combine what blocks left, from `first` in steps, `place` of number k."""
        name = self.held(a)
        self.start(a)
        self.put(f"k = {first}")
        self.put(f"while k < {count}:")
        self.depth += 1
        self.take(a, name, f"{a.name}_p[{place}]", f"{name}_at", f"{a.name}_q[{place}]")
        self.put(f"k = k + {step}")
        self.depth -= 1

    def parts_of(self, accumulators: Sequence[Accumulator], count: str) -> None:
        """Names for the parts of the work area where blocks leave what they found."""
        for a in accumulators:
            self.put(f"{a.name}_p = at_{self.total_dtype(a)}(place)")
            self.put(f"place = place + {count} * {CELL}")
            if a.kind in POSITIONS:
                self.put(f"{a.name}_q = at_int64(place)")
                self.put(f"place = place + {count} * {CELL}")


def numba_name(dtype: str) -> str:
    """Numba's type of a dtype in registers, in a kernel's text."""
    return "types." + {"bool": "boolean", "int64_at": "int64"}.get(dtype, wide(dtype))
