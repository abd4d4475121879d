"""Products with matrices in compressed rows: a thread makes one element, or goes along one row.

Blocks of words are those of :mod:`graphc.runtime.compressed`, and so is what is checked: every
pointer and index before it is followed. What is wrong goes into the error record with its kind as
the code. The turned product has kernels of its own (:mod:`graphc.runtime.cuda.turned`).
"""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compressed import OPERANDS, SIZES, WIDTHS
from graphc.runtime.cuda.shapes import Shape, indented


def shapes(step: Step, threads: int, blocks: int) -> list[Shape]:
    """The launch of a step."""
    p: Any = step.extra
    rows, columns = (int(step.words[k]) for k in (-4, -1))  # type: ignore[arg-type]
    count = rows * (columns if p.name == "csr_dot" else 1)
    grid = min(-(-count // threads), blocks)
    return [Shape(source(p), grid, threads, count)] if grid else []


def source(p: Any) -> str:
    """The kernel of a request; its last argument is how many elements, or rows, there are."""
    lines = ["if stopped(error, step):", "    return", *arguments(p)]
    if "minor" in OPERANDS[p.name]:
        lines += _unless("minor[0] != minor_size", 1, "minor[0]", "minor_size")
    lines += [
        "first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)",
        "for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):",
        *indented(_BODIES[p.name](p)),
    ]
    return "\n".join(["def kernel(block, work, error, step, parts):", *indented(lines), ""])


def arguments(p: Any) -> list[str]:
    """Names for what the block holds."""
    lines: list[str] = []
    word = 0
    for (name, kind), dtype in zip(OPERANDS[p.name].items(), p.dtypes):
        lines.append(f"{name} = read_{dtype}(block, {word})")
        lines += [f"{name}_step{k} = word(block, {word + k})" for k in range(1, WIDTHS[kind])]
        word += WIDTHS[kind]
    lines.append(f"out = write_{p.dtype}(block, {word})")
    return lines + [f"{name} = word(block, {word + 2 + k})" for k, name in enumerate(SIZES)]


def _unless(wrong: str, kind: int, found: str, limit: str) -> list[str]:
    return [f"if {wrong}:", f"    failed(error, step, {kind}, int64({found}), {limit})",
            "    return"]  # fmt: skip


def span(row: str) -> list[str]:
    """The entries of a row, from `start` to `stop`."""
    return [
        f"i = {row}",
        "start = int64(indptr[i * indptr_step1])",
        "stop = int64(indptr[(i + 1) * indptr_step1])",
        *_unless("start < 0 or stop < start or stop > entries or (i == 0 and start != 0)", 2,
                 "start", "entries"),
    ]  # fmt: skip


def whole() -> list[str]:
    """Nothing is left behind the last row."""
    return _unless("i == rows - 1 and stop != entries", 2, "stop", "entries")


def column() -> list[str]:
    """The column of entry `p`."""
    return ["c = int64(indices[p * indices_step1])",
            *_unless("c < 0 or c >= minor_size", 3, "c", "minor_size")]  # fmt: skip


def _rows(p: Any) -> list[str]:
    return [*span("at"), *whole(), "for p in range(start, stop):", "    out[p] = i"]


def _dot(p: Any) -> list[str]:
    return [
        "j = at % columns", *span("at // columns"), f"total = {p.dtype}(0)",
        "for p in range(start, stop):",
        *indented([
            *column(),
            "total = total + data[p * data_step1] * b[c * b_step1 + j * b_step2]",
        ]),
        "out[at] = total",
    ]  # fmt: skip


def _sampled(p: Any) -> list[str]:
    return [
        *span("at"), *whole(), "for p in range(start, stop):",
        *indented([
            *column(), f"total = {p.dtype}(0)", "for j in range(columns):",
            "    total = total + a[i * a_step1 + j * a_step2] * b[c * b_step1 + j * b_step2]",
            "out[p] = total",
        ]),
    ]  # fmt: skip


_BODIES = {"csr_rows": _rows, "csr_dot": _dot, "csr_sampled_dot": _sampled}
