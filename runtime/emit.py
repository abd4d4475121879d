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
    Let,
    Load,
    Operand,
    Phase,
    Statement,
    Store,
)

BLOCK = 256
ROWS = 64
SHORT = "  # short rows"
LANES = 128
COMBINE = {
    "sum": "reduce_add", "prod": "reduce_mul", "max": "reduce_max", "min": "reduce_min",
    "all": "reduce_and", "any": "reduce_or",
}  # fmt: skip


def emit(kernel: Kernel) -> str:
    """The source of a kernel; equal kernels have equal sources."""
    return _Writer(kernel).write()


def is_splittable(kernel: Kernel) -> bool:
    """Whether calls on parts of the outermost axis make up the whole."""
    if kernel.cross or not kernel.axes:
        return False
    return bool(kernel.outer) or not any(p.accumulators for p in kernel.phases)


def type_name(dtype: str) -> str:
    """A dtype's name in the kernel language."""
    return "bool_" if dtype == "bool" else dtype


def neutral(kind: str, dtype: str) -> str:
    """The value with which an accumulator starts."""
    name = type_name(dtype)
    if kind in ("max", "argmax", "min", "argmin"):
        lowest = kind in ("max", "argmax")
        if dtype in FLOATS:
            return f"{name}({'-' if lowest else ''}1e999)"
        if dtype == "bool":
            return f"bool_({0 if lowest else 1})"
        bits = int(dtype.lstrip("uint"))
        if dtype.startswith("u"):
            return f"{name}({0 if lowest else 2**bits - 1})"
        return f"{name}({-(2 ** (bits - 1)) if lowest else 2 ** (bits - 1) - 1})"
    start = {"sum": "0", "prod": "1", "all": "1", "any": "0"}[kind]
    return f"{name}({start})"


class _Writer:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.depth = 1
        self.operands = {o.name: o for o in kernel.operands}
        self.kinds: dict[str, Accumulator] = {a.name: a for a in kernel.cross}
        for phase in kernel.phases:
            self.kinds.update({a.name: a for a in phase.accumulators})
        self.partial: set[str] = set()
        self.lane = kernel.outer[-1] if kernel.lanes else None

    def put(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def write(self) -> str:
        self.header()
        for a in self.kernel.cross:
            self.start(a)
        if any(a.block for a in self.kernel.cross):
            self.put("rows = 0")
        self.statements(self.kernel.top)
        self.loops()
        self.finish(self.kernel.cross)
        self.statements(self.kernel.post)
        if self.kernel.columns:
            self.nest(self.kernel.inner, self.kernel.columns)
        self.put("return 0")
        mark = SHORT if self.kernel.short else ""
        return f"def kernel(block, low, high):{mark}\n" + "\n".join(self.lines) + "\n"

    def header(self) -> None:
        writes = 0
        for k, (kind, name, axis) in enumerate(self.kernel.words()):
            if kind == "pointer":
                operand = self.operands[name]
                way = "write" if operand.written else "read"
                writes += operand.written
                self.put(f"{name} = {way}_{operand.dtype}(block, {k})")
            elif kind == "extent":
                self.put(f"n_{name} = word(block, {k})")
            elif kind == "stride":
                self.put(f"{name}_{self.kernel.axes[axis].name} = word(block, {k})")
            elif kind == "constant":
                dtype = dict(self.kernel.constants)[name]
                word = "real_word" if dtype in FLOATS else "word"
                self.put(f"{name} = {type_name(dtype)}({word}(block, {k}))")
            elif kind == "size":
                self.put(f"{name} = word(block, {k})")
            else:
                self.put(f"error = write_int64(block, {k})")
        for o in self.kernel.operands:
            if o.alias:
                self.put(f"{o.name} = {o.alias}")
        for name, dtype in self.kernel.arrays.items():
            self.put(f"{name} = local_{dtype}({LANES})")

    # --- loops ------------------------------------------------------------------------

    def loops(self) -> None:
        kernel = self.kernel
        if not kernel.row and not any(p.elem or p.row for p in kernel.phases):
            return
        before = self.depth
        outer = self.kernel.outer
        for k, axis in enumerate(outer):
            span = "low, high" if k == 0 else f"n_{axis.name}"
            if axis is self.lane:
                low, high = ("low", "high") if k == 0 else ("0", f"n_{axis.name}")
                self.put(f"for b in range({low}, {high}, {LANES}):")
                self.depth += 1
                self.put(f"m = imin({LANES}, {high} - b)")
            else:
                self.put(f"for {axis.name} in range({span}):")
                self.depth += 1
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
            self.nest(inner, phase.elem, split=not self.kernel.outer and is_splittable(self.kernel))
            return
        depth = self.depth
        for axis in inner[:-1]:
            self.put(f"for {axis.name} in range(n_{axis.name}):")
            self.depth += 1
        self.blocks(inner[-1], blocked, phase.elem)
        self.depth = depth
        self.finish(phase.accumulators)

    def blocks(self, axis: Axis, blocked: list[Accumulator], body: Sequence[Statement]) -> None:
        """The innermost loop of float sums, in blocks."""
        self.put(f"for b in range(0, n_{axis.name}, {BLOCK}):")
        self.depth += 1
        for a in blocked:
            self.put(f"{a.name}_b = {neutral('sum', a.dtype)}")
        self.partial = {a.name for a in blocked}
        self.put(f"for {axis.name} in range(b, imin(b + {BLOCK}, n_{axis.name})):")
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
            if a.kind in ("argmax", "argmin"):
                self.put(f"{a.name}_at = local_int64({LANES})")
            self.put("for t in range(m):")
            self.depth += 1
            self.put(f"{a.name}[t] = {neutral(a.kind, wide)}")
            if a.kind in ("argmax", "argmin"):
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

    def nest(
        self, axes: Sequence[Axis], body: Sequence[Statement], split: bool = False
    ) -> None:
        if not body:
            return
        before = self.depth
        for k, axis in enumerate(axes):
            span = "low, high" if split and k == 0 else f"n_{axis.name}"
            self.put(f"for {axis.name} in range({span}):")
            self.depth += 1
        self.statements(body)
        self.depth = before

    # --- statements -------------------------------------------------------------------

    def statements(self, statements: Sequence[Statement]) -> None:
        for s in statements:
            if isinstance(s, Let):
                self.put(f"{s.name} = {s.text}")
            elif isinstance(s, Load):
                self.put(f"{s.name} = {s.operand}[{self.index(s.operand, s.offset)}]")
            elif isinstance(s, Store):
                self.put(f"{s.operand}[{self.index(s.operand, s.offset)}] = {s.value}")
            elif isinstance(s, Check):
                self.check(s)
            else:
                self.accumulate(s)

    def index(self, name: str, offset: str = "") -> str:
        operand: Operand = self.operands[name]
        terms = [offset] if offset else []
        for axis, stride in zip(self.kernel.axes, operand.strides):
            if stride == 1:
                terms.append(axis.name)
            elif stride is None:
                terms.append(f"{axis.name} * {name}_{axis.name}")
        return " + ".join(terms) or "0"

    def check(self, s: Check) -> None:
        self.put(f"if {s.index} < 0 or {s.index} >= {s.size}:")
        self.depth += 1
        self.put(f"error[0] = int64({s.index})")
        self.put(f"error[1] = int64({s.size})")
        self.put(f"return {s.code}")
        self.depth -= 1

    def total_dtype(self, a: Accumulator) -> str:
        """The dtype in which an accumulator lives."""
        return "float64" if a.kind == "sum" and a.dtype in FLOATS else a.dtype

    def start(self, a: Accumulator) -> None:
        if a.scope == "column":
            body: list[Statement] = [Store(a.operand, neutral(a.kind, a.dtype))]
            if a.block:
                body.append(Store(a.block, "float32(0)"))
            self.nest(self.kernel.inner, body)
            return
        self.put(f"{a.name} = {neutral(a.kind, self.total_dtype(a))}")
        if a.kind in ("argmax", "argmin"):
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
        if a.kind in ("argmax", "argmin"):
            self.position(a, target, s.value)
        elif a.name in self.partial:
            self.put(f"{a.name}_b = reduce_add({a.name}_b, {s.value})")
        elif a.kind == "sum" and a.dtype in FLOATS:
            self.add(a, f"float64({s.value})", target)
        else:
            self.put(f"{target} = {self.combined(a, target, s.value)}")

    def combined(self, a: Accumulator, old: str, value: str) -> str:
        text = f"{COMBINE[a.kind]}({old}, {value})"
        return text

    def position(self, a: Accumulator, best: str, value: str) -> None:
        """The first largest (or smallest) element; the first NaN beats all."""
        at = f"{a.name}_at[t]" if self.lane is not None else f"{a.name}_at"
        sign = ">" if a.kind == "argmax" else "<"
        better = f"{value} {sign} {best}"
        if a.dtype in FLOATS:
            better = f"({better} or isnan({value})) and not isnan({best})"
        self.put(f"if {better}:")
        self.depth += 1
        self.put(f"{best} = {value}")
        self.put(f"{at} = {self.linear_index()}")
        self.depth -= 1

    def linear_index(self) -> str:
        text = ""
        for axis in self.kernel.inner:
            text = f"({text}) * n_{axis.name} + {axis.name}" if text else axis.name
        return text or "int64(0)"
