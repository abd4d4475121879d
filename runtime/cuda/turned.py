"""The product of a turned matrix in compressed rows, whose sums go to any place.

Rows of the result get what entries give them in the entries' order, so that sums are the same every
time, and the CPU's: entries are put together by column first (counted, placed by atomics, then
sorted in each column), and a thread adds up one element. Six launches; those behind the second,
which checks everything, do nothing where that has found something wrong.

Blocks of words are those of :mod:`graphc.runtime.compressed`. The work area holds, 8 bytes each,
where each column's entries begin (and behind the last, where they end), where its next one goes,
the entries by column, and the row of each entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.plan import Step
from graphc.runtime.cuda.compressed import arguments, column, span
from graphc.runtime.cuda.emit import THREADS
from graphc.runtime.cuda.shapes import Shape, indented

CELL = 8
DEALT = [
    "first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)",
    "for at in range(first, parts, int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):",
]
AREAS = [
    "starts, ends = at_int64(work), at_int64(work + (minor_size + 1) * 8)",
    "order = at_int64(work + (2 * minor_size + 1) * 8)",
    "row_of = at_int64(work + (2 * minor_size + 1 + entries) * 8)",
]
UNLESS_WRONG = ["if at_int64(error)[2] != 0:", "    return"]


def shapes(step: Step, threads: int, blocks: int) -> tuple[list[Shape], int]:
    """The launches of a step, and the bytes that they need in the work area."""
    p: Any = step.extra
    rows, entries, minor, columns = (int(n) for n in step.words[-4:])  # type: ignore[arg-type]
    if not minor * columns:
        return [], 0

    def dealt(body: Sequence[str], count: int, checked: bool = True) -> Shape:
        source = _kernel(p, [*(UNLESS_WRONG if checked else []), *DEALT, *indented(body)])
        return Shape(source, max(1, min(-(-count // threads), blocks)), threads, count)

    sums = [f"total = {p.dtype}(0)", *_sum(p), "out[at] = total"]
    launches = [
        dealt(["ends[at] = 0"], minor, checked=False),
        dealt(_each_entry(["cuda.atomic.add(ends, c, 1)"], checked=True), rows, checked=False),
        Shape(_kernel(p, [*UNLESS_WRONG, *_begin()]), 1, threads, minor),
        dealt(_each_entry(["order[cuda.atomic.add(ends, c, 1)] = p", "row_of[p] = i"]), rows),
        dealt(_sorted(), minor),
        dealt(sums, minor * columns),
    ]
    return launches, (2 * minor + 1 + 2 * entries) * CELL


def _kernel(p: Any, lines: Sequence[str]) -> str:
    head = ["if stopped(error, step):", "    return", *arguments(p), *AREAS]
    text = ["def kernel(block, work, error, step, parts):", *indented([*head, *lines]), ""]
    return "\n".join(text)


def _each_entry(body: Sequence[str], checked: bool = False) -> list[str]:
    """A thread goes along a row."""
    if checked:
        return [*span("at"), "for p in range(start, stop):", *indented([*column(), *body])]
    return [
        "i = at", "start, stop = int64(indptr[i * indptr_step1]), "
        "int64(indptr[(i + 1) * indptr_step1])",
        "for p in range(start, stop):",
        *indented(["c = int64(indices[p * indices_step1])", *body]),
    ]  # fmt: skip


def _begin() -> list[str]:
    """From how many entries each column has to where they begin; one block, whose threads take
    neighbouring columns. Integers: the order of sums doesn't matter."""
    return [
        "thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)",
        f"shared = cuda.shared.array({THREADS}, types.int64)",
        "each = (parts + threads - 1) // threads",
        "low, high = imin(thread * each, parts), imin((thread + 1) * each, parts)",
        "total = int64(0)",
        "for c in range(low, high):",
        "    total = total + ends[c]",
        "shared[thread] = total",
        "cuda.syncthreads()",  # all sums are there
        "before = int64(0)",
        "for other in range(thread):",
        "    before = before + shared[other]",
        "for c in range(low, high):",
        "    count = ends[c]",
        "    starts[c] = before",
        "    ends[c] = before",
        "    before = before + count",
        "if high == parts and low < high:",
        "    starts[parts] = before",
    ]


def _sorted() -> list[str]:
    """Sort a column's entries, which lie in any order, by their numbers: as a heap, in place."""
    return [
        "low = starts[at]",
        "count = starts[at + 1] - low",
        "root, last = count // 2, count - 1",
        "while last > 0:",
        *indented([
            "if root > 0:",  # first all parents are made no less than their children
            "    root = root - 1",
            "    value = order[low + root]",
            "else:",  # then the largest one goes behind the others, again and again
            "    value = order[low + last]",
            "    order[low + last] = order[low]",
            "    last = last - 1",
            "hole, child = root, 2 * root + 1",
            "while child <= last:",
            "    if child < last:",
            "        if order[low + child + 1] > order[low + child]:",
            "            child = child + 1",
            "    if order[low + child] > value:",
            "        order[low + hole] = order[low + child]",
            "        hole, child = child, 2 * child + 1",
            "    else:",
            "        child = last + 1",
            "order[low + hole] = value",
        ]),
    ]  # fmt: skip


def _sum(p: Any) -> list[str]:
    return [
        "c, j = at // columns, at % columns",
        "for q in range(starts[c], starts[c + 1]):",
        "    p = order[q]",
        "    total = total + data[p * data_step1] * b[row_of[p] * b_step1 + j * b_step2]",
    ]
