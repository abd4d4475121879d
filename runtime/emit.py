"""Kernels as readable Python functions in the kernel language that Numba compiles.

A kernel takes the address of its argument block (addresses, sizes, strides, constants)
and the range of its outermost axis that this call works on. Elements are read and written
through typed pointers: ``x0[i0 * x0_s0 + i1]``.

Sums of floats are accumulated in blocks of `BLOCK` elements in their own dtype, which the
vectoriser splits into lanes, and the blocks in float64: at least as accurate as pairwise
summation. Sums of columns are accumulated over `ROWS` rows before they go on in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.dtypes import FLOATS
from graphc.core.kernel import (
    Accumulate,
    Accumulator,
    Axis,
    Check,
    Kernel,
    Load,
    Phase,
    Statement,
    Store,
)
from graphc.runtime.statements import POSITIONS, Statements, neutral, type_name

BLOCK = 256
ROWS = 64
SHORT = "  # short rows"
LANES = 128


def emit(kernel: Kernel) -> str:
    """The source of a kernel; equal kernels have equal sources."""
    return Writer(kernel).write()


class Writer(Statements):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.partial: set[str] = set()
        self.lane = kernel.outer[-1] if kernel.lanes else None
        self.range = None if kernel.range_axis is None else kernel.axes[kernel.range_axis]

    def write(self) -> str:
        self.begin()
        self.loops()
        self.end()
        return self.text()

    def begin(self) -> None:
        """What comes before the rows."""
        self.arguments()
        for name, dtype in self.kernel.arrays.items():
            self.put(f"{name} = local_{dtype}({LANES})")
        for a in self.kernel.cross:
            self.start(a)
        if any(a.block for a in self.kernel.cross):
            self.put("rows = 0")
        self.statements(self.kernel.top)

    def end(self) -> None:
        """What comes after the rows."""
        self.finish(self.kernel.cross)
        self.statements(self.kernel.post)
        if self.kernel.columns:
            self.nest(self.kernel.inner, self.kernel.columns)

    def text(self) -> str:
        self.put("return 0")
        mark = SHORT if self.kernel.short else ""
        return f"def kernel(block, low, high):{mark}\n" + "\n".join(self.lines) + "\n"

    def error_record(self, word: int) -> None:
        self.put(f"error = write_int64(block, {word})")

    # --- loops ------------------------------------------------------------------------

    def loops(self) -> None:
        kernel = self.kernel
        if not kernel.row and not any(p.elem or p.row for p in kernel.phases):
            return
        before = self.depth
        for axis in self.kernel.outer:
            if axis is self.lane:
                low, high = self.span(axis)
                self.put(f"for b in range({low}, {high}, {LANES}):")
                self.depth += 1
                self.put(f"m = imin({LANES}, {high} - b)")
            else:
                self.loop(axis)
        self.row(self.kernel.row)
        for phase in self.kernel.phases:
            self.phase(phase)
            self.row(phase.row)
        blocked = [a for a in self.kernel.cross if a.block]
        if blocked:
            self.put("rows = rows + 1")
            self.put(f"if rows == {ROWS}:")
            self.depth += 1
            self.put("rows = 0")
            self.flush(blocked)
        self.depth = before
        if blocked:
            self.flush(blocked)

    def flush(self, blocked: Sequence[Accumulator]) -> None:
        """Add what the rows since the last time gave each column to its total."""
        body: list[Statement] = []
        for a in blocked:
            total, part = f"{a.name}_t", f"{a.name}_p"
            body += [
                Load(total, a.operand), Load(part, a.block),
                Store(a.operand, f"add_exact({total}, float64({part}))"),
                Store(a.block, "float32(0)"),
            ]  # fmt: skip
        self.nest(self.kernel.inner, body)

    def row(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        if self.lane is None:
            self.statements(statements)
            return
        self.put("for t in range(m):")
        self.depth += 1
        self.put(f"{self.lane.name} = b + t")
        self.statements(statements)
        self.depth -= 1

    def phase(self, phase: Phase) -> None:
        if self.lane is not None:
            self.lane_phase(phase)
            return
        blocked = [a for a in phase.accumulators if a.kind == "sum" and a.dtype in FLOATS]
        for a in phase.accumulators:
            self.start(a)
        inner = self.kernel.inner
        if not blocked:
            self.nest(inner, phase.elem)
            return
        depth = self.depth
        for axis in inner[:-1]:
            self.loop(axis)
        self.blocks(inner[-1], blocked, phase.elem)
        self.depth = depth
        self.finish(phase.accumulators)

    def blocks(self, axis: Axis, blocked: list[Accumulator], body: Sequence[Statement]) -> None:
        """The innermost loop of float sums, in blocks."""
        low, high = self.span(axis)
        self.put(f"for b in range({low}, {high}, {BLOCK}):")
        self.depth += 1
        for a in blocked:
            self.put(f"{a.name}_b = {neutral('sum', a.dtype)}")
        self.partial = {a.name for a in blocked}
        self.put(f"for {axis.name} in range(b, imin(b + {BLOCK}, {high})):")
        self.depth += 1
        self.statements(body)
        self.depth -= 1
        self.partial = set()
        for a in blocked:
            self.add(a, f"float64({a.name}_b)")
        self.depth -= 1

    def lane_phase(self, phase: Phase) -> None:
        for a in phase.accumulators:
            wide = self.total_dtype(a)
            self.put(f"{a.name} = local_{wide}({LANES})")
            if a.kind in POSITIONS:
                self.put(f"{a.name}_at = local_int64({LANES})")
            self.put("for t in range(m):")
            self.depth += 1
            self.put(f"{a.name}[t] = {neutral(a.kind, wide)}")
            if a.kind in POSITIONS:
                self.put(f"{a.name}_at[t] = int64(0)")
            self.depth -= 1
        before = self.depth
        for axis in self.kernel.inner:
            self.put(f"for {axis.name} in range(n_{axis.name}):")
            self.depth += 1
        self.put("for t in range(m):")
        self.depth += 1
        assert self.lane is not None
        self.put(f"{self.lane.name} = b + t")
        self.statements(phase.elem)
        self.depth = before

    def nest(self, axes: Sequence[Axis], body: Sequence[Statement]) -> None:
        """Loops over axes around statements; of its range, the call takes its part."""
        if not body:
            return
        before = self.depth
        for axis in axes:
            self.loop(axis)
        self.statements(body)
        self.depth = before

    def loop(self, axis: Axis) -> None:
        self.put(f"for {axis.name} in range({', '.join(self.span(axis))}):")
        self.depth += 1

    def span(self, axis: Axis) -> tuple[str, str]:
        """Where an axis begins and ends for this call."""
        return ("low", "high") if axis is self.range else ("0", f"n_{axis.name}")

    # --- statements -------------------------------------------------------------------

    def check(self, s: Check) -> None:
        self.put(f"if {s.index} < 0 or {s.index} >= {s.size}:")
        self.depth += 1
        self.put(f"error[0] = int64({s.given})")
        self.put(f"error[1] = int64({s.size})")
        self.put(f"return {s.code}")
        self.depth -= 1

    def start(self, a: Accumulator) -> None:
        if a.scope == "column":
            body: list[Statement] = [Store(a.operand, neutral(a.kind, a.dtype))]
            if a.block:
                body.append(Store(a.block, "float32(0)"))
            self.nest(self.kernel.inner, body)
            return
        self.put(f"{a.name} = {neutral(a.kind, self.total_dtype(a))}")
        if a.kind in POSITIONS:
            self.put(f"{a.name}_at = int64(0)")
        if self.is_compensated(a):
            self.put(f"{a.name}_e = float64(0)")

    def is_compensated(self, a: Accumulator) -> bool:
        """Whether what is lost in a float64 total is summed up beside it."""
        wide = a.kind == "sum" and a.dtype == "float64"
        return wide and a.scope != "column" and self.lane is None

    def add(self, a: Accumulator, value: str, target: str = "") -> None:
        """Add to a total in float64; see Knuth, TAOCP 4.2.2, theorem B."""
        total = target or a.name
        if not self.is_compensated(a):
            self.put(f"{total} = add_exact({total}, {value})")
            return
        self.put(f"{total}_x = {value}")
        self.put(f"{total}_t = add_exact({total}, {total}_x)")
        self.put(f"{total}_z = {total}_t - {total}")
        lost = f"({total} - ({total}_t - {total}_z)) + ({total}_x - {total}_z)"
        self.put(f"{total}_e = {total}_e + ({lost})")
        self.put(f"{total} = {total}_t")

    def finish(self, accumulators: Sequence[Accumulator]) -> None:
        """Give totals back what they lost, which is NaN where they are infinite."""
        for a in accumulators:
            if self.is_compensated(a):
                self.put(f"{a.name} = select(isnan({a.name}_e), {a.name}, {a.name} + {a.name}_e)")

    def accumulate(self, s: Accumulate) -> None:
        a = self.kinds[s.accumulator]
        if a.scope == "column" and a.block:
            place = f"{a.block}[{self.index(a.block)}]"
            self.put(f"{place} = reduce_add({place}, {s.value})")
            return
        if a.scope == "column":
            place = f"{a.operand}[{self.index(a.operand)}]"
            self.put(f"{place} = {self.combined(a, place, f'{type_name(a.dtype)}({s.value})')}")
            return
        target = f"{a.name}[t]" if self.lane is not None else a.name
        if a.kind in POSITIONS:
            at = f"{a.name}_at[t]" if self.lane is not None else f"{a.name}_at"
            self.position(a, target, at, s.value)
        elif a.name in self.partial:
            self.put(f"{a.name}_b = reduce_add({a.name}_b, {s.value})")
        elif a.kind == "sum" and a.dtype in FLOATS:
            self.add(a, f"float64({s.value})", target)
        else:
            self.put(f"{target} = {self.combined(a, target, s.value)}")
