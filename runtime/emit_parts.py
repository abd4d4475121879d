"""Kernels with totals in two stages: parts that run at the same time, and what completes them.

A part goes through its rows as the whole kernel would, and leaves its totals in memory: words
of its own, one after the other, and the columns that it has added up. The end combines those of
all parts in their order, and goes on as the whole kernel does after its rows.

Blocks begin with the words of the whole kernel. A part's has one more, the address of its totals;
that of the end has the address of the first part's totals, the number of parts, the bytes from
one part's memory to the next, and the address of the first part's memory for every operand that
columns are added up in.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.kernel import Accumulator, Kernel, Statement
from graphc.runtime.emit import Writer
from graphc.runtime.statements import POSITIONS

WORD = 8


def emit_part(kernel: Kernel) -> str:
    """The source of a part."""
    return _Part(kernel).write()


def emit_end(kernel: Kernel) -> str:
    """The source of what comes after the parts."""
    return _End(kernel).write()


def total_words(kernel: Kernel) -> int:
    """How many words a part's totals take: a value and what comes with it."""
    return 2 * sum(a.scope != "column" for a in kernel.totals)


def column_operands(kernel: Kernel) -> list[str]:
    """The operands that columns are added up in."""
    return [a.operand for a in kernel.totals if a.scope == "column"]


class _Stage(Writer):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.extra = len(kernel.words())
        self.singles = [a for a in kernel.totals if a.scope != "column"]
        self.columns = [a for a in kernel.totals if a.scope == "column"]

    def beside(self, a: Accumulator) -> tuple[str, str] | None:
        """What an accumulator has besides its value, and its dtype."""
        if a.kind in POSITIONS:
            return f"{a.name}_at", "int64"
        return (f"{a.name}_e", "float64") if self.is_compensated(a) else None


class _Part(_Stage):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.range = kernel.axes[0]

    def end(self) -> None:
        self.put(f"totals = word(block, {self.extra})")
        for k, a in enumerate(self.singles):
            self.put(f"poke_{self.total_dtype(a)}(totals + {2 * WORD * k}, {a.name})")
            if more := self.beside(a):
                name, dtype = more
                self.put(f"poke_{dtype}(totals + {2 * WORD * k + WORD}, {name})")

    def finish(self, accumulators: Sequence[Accumulator]) -> None:
        """The end does that for totals; rows have theirs done here."""
        super().finish([a for a in accumulators if a not in self.singles])

    def row(self, statements: Sequence[Statement]) -> None:
        after = not self.kernel.outer and statements is not self.kernel.row
        super().row([] if after else statements)


class _End(_Stage):
    def write(self) -> str:
        self.begin()
        if not self.kernel.outer:
            self.statements(self.kernel.row)
            for a in self.kernel.phases[0].accumulators:
                self.start(a)
        self.put(f"totals = word(block, {self.extra})")
        self.put(f"parts = word(block, {self.extra + 1})")
        self.put(f"apart = word(block, {self.extra + 2})")
        self.put("for p in range(parts):")
        self.depth += 1
        for k, a in enumerate(self.singles):
            self.combine(k, a)
        for k, a in enumerate(self.columns):
            self.combine_columns(k, a)
        self.depth -= 1
        if not self.kernel.outer:
            self.finish(self.kernel.phases[0].accumulators)
            self.statements(self.kernel.phases[0].row)
        self.end()
        return self.text()

    def combine(self, k: int, a: Accumulator) -> None:
        place, wide = f"totals + p * {2 * WORD * len(self.singles)}", self.total_dtype(a)
        self.put(f"{a.name}_v = peek_{wide}({place}, {2 * WORD * k})")
        more = self.beside(a)
        if a.kind in POSITIONS:
            self.put(f"{a.name}_w = peek_int64({place}, {2 * WORD * k + WORD})")
            self.position(a, a.name, f"{a.name}_at", f"{a.name}_v", f"{a.name}_w")
        elif a.kind == "sum" and wide == "float64":
            self.add(a, f"{a.name}_v")
            if more:
                lost = f"peek_float64({place}, {2 * WORD * k + WORD})"
                self.put(f"{a.name}_e = {a.name}_e + {lost}")
        else:
            self.put(f"{a.name} = {self.combined(a, a.name, f'{a.name}_v')}")

    def combine_columns(self, k: int, a: Accumulator) -> None:
        part, wide = f"{a.operand}_c", a.dtype
        self.put(f"{part} = word(block, {self.extra + 3 + k}) + p * apart")
        before = self.depth
        for axis in self.kernel.inner:
            self.loop(axis)
        place = f"{a.operand}[{self.index(a.operand)}]"
        item = 8 if wide == "float64" else int("".join(filter(str.isdigit, wide)) or 8) // 8
        value = f"{a.operand}_v"
        self.put(f"{value} = peek_{wide}({part}, ({self.index(a.operand)}) * {item})")
        self.put(f"{place} = {self.combined(a, place, value)}")
        self.depth = before
