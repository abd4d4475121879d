"""Sums and their kin among threads: what each accumulates, and how that becomes one value.

Threads of a block combine what they hold in shared memory, as a tree; blocks hand on what they
found through the work area, and the second kernel combines that in order.
"""

from __future__ import annotations

from graphc.core.dtypes import wide
from graphc.core.kernel import Accumulate, Accumulator, Kernel
from graphc.runtime.statements import POSITIONS, Statements, neutral
from graphc.runtime.statements import type_name as cast_name

CELL = 8
"""Bytes in the work area for every value, whatever its dtype."""


class Combining(Statements):
    """Writes what accumulators do in a nest of a form; see :mod:`graphc.runtime.cuda.emit`."""

    def __init__(self, kernel: Kernel, form: str) -> None:
        super().__init__(kernel)
        self.form = form
        self.adds: str | None = None  # the condition under which a thread accumulates, if any
        self.shared = self.shared_dtypes()

    def start(self, a: Accumulator) -> None:
        lane = "[0]" if self.form == "lanes" else ""
        self.put(f"{a.name}{lane} = {neutral(a.kind, self.total_dtype(a))}")
        if a.kind in POSITIONS:
            self.put(f"{a.name}_at{lane} = int64(0)")

    def accumulate(self, s: Accumulate) -> None:
        if self.adds is not None:
            self.put(f"if {self.adds}:")
            self.depth += 1
        a = self.kinds[s.accumulator]
        if a.scope == "column":
            place = f"{a.operand}[{self.index(a.operand)}]"
            self._add(a, place, f"{cast_name(a.dtype)}({s.value})")
        elif a.kind in POSITIONS:
            lane = "[t]" if self.form == "lanes" else ""
            self.position(a, f"{a.name}{lane}", f"{a.name}_at{lane}", s.value)
        else:
            lane = "[t]" if self.form == "lanes" else ""
            self._add(a, f"{a.name}{lane}", f"{cast_name(self.total_dtype(a))}({s.value})")
        if self.adds is not None:
            self.depth -= 1

    def _add(self, a: Accumulator, target: str, value: str) -> None:
        self.put(f"{target} = {self.combined(a, target, value)}")

    def _better(self, a: Accumulator, best: str, at: str, value: str, where: str) -> str:
        """Whether a candidate for a position beats another; of equal ones the first does."""
        sign = ">" if a.kind == "argmax" else "<"
        text = f"{value} {sign} {best} or ({value} == {best} and {where} < {at})"
        if "float" in a.dtype:
            first = f"(not isnan({best}) or {where} < {at})"
            text = f"(isnan({value}) and {first}) or (not isnan({best}) and ({text}))"
        return text

    def shared_dtypes(self) -> list[str]:
        """The dtypes for which threads of a block need memory in common."""
        found = [a for a in self.kernel.cross if a.scope == "cross"]
        if self.form == "rows":
            found += [a for p in self.kernel.phases for a in p.accumulators]
        needed = {self.total_dtype(a) for a in found}
        if any(a.kind in POSITIONS for a in found):
            needed.add("int64_at")
        return sorted(needed)

    def tree(self, a: Accumulator) -> None:
        """Combine what the threads of a block hold; all of them get the result."""
        values, places = f"shared_{self.total_dtype(a)}", "shared_int64_at"
        at = a.kind in POSITIONS
        self.put(f"{values}[thread] = {a.name}")
        if at:
            self.put(f"{places}[thread] = {a.name}_at")
        self.put("cuda.syncthreads()")
        self.put("half = threads // 2")
        self.put("while half > 0:")
        self.depth += 1
        self.put("if thread < half:")
        self.depth += 1
        mine, other = f"{values}[thread]", f"{values}[thread + half]"
        if at:
            self.put(f"if {self._better(a, mine, f'{places}[thread]', other, f'{places}[thread + half]')}:")  # noqa: E501
            self.put(f"    {mine} = {other}")
            self.put(f"    {places}[thread] = {places}[thread + half]")
        else:
            self._add(a, mine, other)
        self.depth -= 1
        self.put("cuda.syncthreads()")
        self.put("half = half // 2")
        self.depth -= 1
        self.put(f"{a.name} = {values}[0]")
        if at:
            self.put(f"{a.name}_at = {places}[0]")
        self.put("cuda.syncthreads()")

    def hand_on(self, a: Accumulator) -> None:
        self.put("if thread == 0:")
        self.put(f"    {a.name}_p[here] = {a.name}")
        if a.kind in POSITIONS:
            self.put(f"    {a.name}_q[here] = {a.name}_at")

    def collect(self, a: Accumulator) -> None:
        """Combine what all blocks of the first kernel found, in every block of the second."""
        self.start(a)
        self.put("for k in range(thread, parts, threads):")
        self.depth += 1
        if a.kind in POSITIONS:
            better = self._better(a, a.name, f"{a.name}_at", f"{a.name}_p[k]", f"{a.name}_q[k]")
            self.put(f"if {better}:")
            self.put(f"    {a.name} = {a.name}_p[k]")
            self.put(f"    {a.name}_at = {a.name}_q[k]")
        else:
            self._add(a, a.name, f"{a.name}_p[k]")
        self.depth -= 1
        self.tree(a)

    def clear_column(self, a: Accumulator) -> None:
        self.put(f"{a.operand}[{self.index(a.operand)}] = {neutral(a.kind, a.dtype)}")

    def collect_column(self, a: Accumulator) -> None:
        self.put(f"{a.name}_t = {neutral(a.kind, a.dtype)}")
        self.put("for k in range(parts):")
        self.depth += 1
        self._add(a, f"{a.name}_t", f"{a.name}_p[k * n_row + {self.index(a.operand)}]")
        self.depth -= 1
        self.put(f"{a.operand}[{self.index(a.operand)}] = {a.name}_t")


def numba_name(dtype: str) -> str:
    """Numba's type of a dtype in registers, in a kernel's text."""
    return "types." + {"bool": "boolean", "int64_at": "int64"}.get(dtype, wide(dtype))
