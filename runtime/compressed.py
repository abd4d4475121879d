"""Products with matrices in compressed rows, as kernels.

A block has the operands' addresses, a vector's followed by its stride and a matrix's by two
strides, then the addresses of the result and of the error record, and sizes. Every pointer and
index is checked before it is followed. The range is that of rows; where results go to columns
in any order, it is that of the dense matrix's columns.
"""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compile import Compiled, compile_source

# Each op's operands: v a vector, m a matrix, s a number.
OPERANDS = {
    "csr_rows": {"indptr": "v"},
    "csr_dot": {"data": "v", "indices": "v", "indptr": "v", "b": "m", "minor": "s"},
    "csr_dot_turned": {"data": "v", "indices": "v", "indptr": "v", "b": "m"},
    "csr_sampled_dot": {"indices": "v", "indptr": "v", "a": "m", "b": "m", "minor": "s"},
}
SIZES = ("rows", "entries", "minor_size", "columns")
WIDTHS = {"v": 2, "m": 3, "s": 1}  # words of an operand


def prepare(step: Step) -> Compiled:
    """The native function of a product with a sparse matrix."""
    step.source = source(step.extra)
    return compile_source(step.source, step.label)


def source(p: Any) -> str:
    """The kernel of a request: `name`, `dtype`, the dtypes of operands, and `single`."""
    lines, word = ["def kernel(block, low, high):"], 0
    operands = OPERANDS[p.name]
    for (name, kind), dtype in zip(operands.items(), p.dtypes):
        lines.append(f"    {name} = read_{dtype}(block, {word})")
        for k in range(1, WIDTHS[kind]):
            lines.append(f"    {name}_step{k} = word(block, {word + k})")
        word += WIDTHS[kind]
    lines.append(f"    out = write_{p.dtype}(block, {word})")
    lines.append(f"    error = write_int64(block, {word + 1})")
    lines += [f"    {name} = word(block, {word + 2 + k})" for k, name in enumerate(SIZES)]
    if "minor" in operands:
        lines.append("    if minor[0] != minor_size:")
        lines += [f"        {line}" for line in _fail(1, "minor[0]", "minor_size")]
    lines += [f"    {line}" for line in _BODIES[p.name](p)]
    return "\n".join([*lines, "    return 0", ""])


def _fail(kind: int, found: str, limit: str) -> list[str]:
    return [f"error[0] = {kind}", f"error[1] = {found}", f"error[2] = {limit}", "return 1"]


def _indented(lines: list[str], by: int = 1) -> list[str]:
    return [f"{'    ' * by}{line}" for line in lines]


def _vector(p: Any, name: str, index: str) -> str:
    return f"{name}[{index}]" if name in p.adjacent else f"{name}[({index}) * {name}_step1]"


def _row(
    p: Any, before: list[str], entry: list[str], after: list[str], span: str = "low, high",
    whole: bool = False,
) -> list[str]:  # fmt: skip
    """The loop over rows and their entries, whose column is `c`; `whole` if none is left over."""
    check = [
        f"start = int64({_vector(p, 'indptr', 'i')})",
        f"stop = int64({_vector(p, 'indptr', 'i + 1')})",
        "if start < 0 or stop < start or stop > entries or (i == 0 and start != 0):",
        *_indented(_fail(2, "start", "entries")),
    ]
    if whole:
        check += ["if i == rows - 1 and stop != entries:", *_indented(_fail(2, "stop", "entries"))]
    return [
        f"for i in range({span}):",
        *_indented([*check, *before, "for p in range(start, stop):", *_indented(entry), *after]),
    ]


def _column(p: Any) -> list[str]:
    return [
        f"c = int64({_vector(p, 'indices', 'p')})",
        "if c < 0 or c >= minor_size:",
        *_indented(_fail(3, "c", "minor_size")),
    ]


def _matrix(name: str, row: str, column: str) -> str:
    return f"{name}[({row}) * {name}_step1 + ({column}) * {name}_step2]"


def _step(p: Any, name: str, row: str) -> str:
    """An element of a matrix's row, at column j; adjacent ones need no product."""
    if name in p.adjacent:
        return f"{name}[{row} * {name}_step1 + j]"
    return _matrix(name, row, "j")


def _rows(p: Any) -> list[str]:
    return _row(p, [], ["out[p] = i"], [], whole=True)


def _dot(p: Any) -> list[str]:
    value = _vector(p, "data", "p")
    if p.single:
        entry = [*_column(p), f"total = reduce_add(total, {value} * {_matrix('b', 'c', '0')})"]
        return _row(p, [f"total = {p.dtype}(0)"], entry, ["out[i] = total"])
    clear = ["for j in range(columns):", f"    out[i * columns + j] = {p.dtype}(0)"]
    add = f"out[i * columns + j] = out[i * columns + j] + value * {_step(p, 'b', 'c')}"
    entry = [*_column(p), f"value = {value}", "for j in range(columns):", f"    {add}"]
    return _row(p, clear, entry, [])


def _turned(p: Any) -> list[str]:
    if p.single:
        before = [f"given = {_matrix('b', 'i', '0')}"]
        add = f"out[c] = out[c] + {_vector(p, 'data', 'p')} * given"
        clear = ["for i in range(minor_size):", f"    out[i] = {p.dtype}(0)"]
        return [*clear, *_row(p, before, [*_column(p), add], [], "rows")]
    clear = [
        "for i in range(minor_size):",
        "    for j in range(low, high):",
        f"        out[i * columns + j] = {p.dtype}(0)",
    ]
    add = f"out[c * columns + j] = out[c * columns + j] + value * {_step(p, 'b', 'i')}"
    entry = [*_column(p), f"value = {_vector(p, 'data', 'p')}", "for j in range(low, high):",
             f"    {add}"]  # fmt: skip
    return [*clear, *_row(p, [], entry, [], "rows")]


def _sampled(p: Any) -> list[str]:
    if p.single:
        value = f"given * {_matrix('b', 'c', '0')}"
        before = [f"given = {_matrix('a', 'i', '0')}"]
        return _row(p, before, [*_column(p), f"out[p] = {value}"], [], whole=True)
    total = f"total = reduce_add(total, {_step(p, 'a', 'i')} * {_step(p, 'b', 'c')})"
    entry = [*_column(p), f"total = {p.dtype}(0)", "for j in range(columns):", f"    {total}",
             "out[p] = total"]  # fmt: skip
    return _row(p, [], entry, [], whole=True)


_BODIES = {
    "csr_rows": _rows, "csr_dot": _dot, "csr_dot_turned": _turned, "csr_sampled_dot": _sampled,
}  # fmt: skip
