"""The statements of a kernel as lines of Python, the same for every target.

What a target adds is where the loops come from: :mod:`graphc.runtime.emit` nests them for a CPU,
:mod:`graphc.runtime.cuda.emit` deals their steps out to threads.
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
    Statement,
    Store,
)

COMBINE = {
    "sum": "reduce_add", "prod": "reduce_mul", "max": "reduce_max", "min": "reduce_min",
    "all": "reduce_and", "any": "reduce_or",
}  # fmt: skip
POSITIONS = ("argmax", "argmin")


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


class Statements:
    """Lines of a kernel; a target's writer says what its loops and accumulators are."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.depth = 1
        self.operands = {o.name: o for o in kernel.operands}
        self.kinds: dict[str, Accumulator] = {a.name: a for a in kernel.cross}
        for phase in kernel.phases:
            self.kinds.update({a.name: a for a in phase.accumulators})

    def put(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def arguments(self) -> None:
        """Names for what the argument block holds."""
        for k, (kind, name, axis) in enumerate(self.kernel.words()):
            if kind == "pointer":
                operand = self.operands[name]
                way = "write" if operand.written else "read"
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
                self.error_record(k)
        for o in self.kernel.operands:
            if o.alias:
                self.put(f"{o.name} = {o.alias}")

    def statements(self, statements: Sequence[Statement]) -> None:
        for s in statements:
            if isinstance(s, Let):
                self.put(f"{s.name} = {s.text}")
            elif isinstance(s, Load):
                found = f"{s.operand}[{self.index(s.operand, s.offset)}]"
                self.put(f"{s.name} = {self.loaded(s.operand, found)}")
            elif isinstance(s, Store):
                self.store(s)
            elif isinstance(s, Check):
                self.check(s)
            else:
                self.accumulate(s)

    def store(self, s: Store) -> None:
        place = f"{s.operand}[{self.index(s.operand, s.offset)}]"
        self.put(f"{place} = {self.stored(s.operand, s.value)}")

    def index(self, name: str, offset: str = "") -> str:
        operand: Operand = self.operands[name]
        terms = [offset] if offset else []
        for axis, stride in zip(self.kernel.axes, operand.strides):
            if stride == 1:
                terms.append(axis.name)
            elif stride is None:
                terms.append(f"{axis.name} * {name}_{axis.name}")
        return " + ".join(terms) or "0"

    def nest(self, axes: Sequence[Axis], body: Sequence[Statement]) -> None:
        """Loops over axes around statements."""
        if not body:
            return
        before = self.depth
        for axis in axes:
            self.put(f"for {axis.name} in range(n_{axis.name}):")
            self.depth += 1
        self.statements(body)
        self.depth = before

    def total_dtype(self, a: Accumulator) -> str:
        """The dtype in which an accumulator lives."""
        return "float64" if a.kind == "sum" and a.dtype in FLOATS else a.dtype

    def combined(self, a: Accumulator, old: str, value: str) -> str:
        return f"{COMBINE[a.kind]}({old}, {value})"

    def position(self, a: Accumulator, best: str, at: str, value: str) -> None:
        """The first largest (or smallest) element; the first NaN beats all."""
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

    def loaded(self, operand: str, element: str) -> str:
        """The value of an element of an operand's array."""
        return element

    def stored(self, operand: str, value: str) -> str:
        """The element of an operand's array that a value becomes."""
        return value

    # --- a target's own ---------------------------------------------------------------

    def error_record(self, word: int) -> None:
        """The name of the memory where checks say what went wrong."""
        raise NotImplementedError

    def check(self, s: Check) -> None:
        raise NotImplementedError

    def accumulate(self, s: Accumulate) -> None:
        raise NotImplementedError
