"""Steps in parts: which are worth it, and how a step is handed to the team.

A step's row in the plan's table becomes one of the function ``share``, whose block says what the
parts are. So nothing else in the executor knows of threads: loops, clocks and walks from Python
call a step as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.core.plan import Step
from graphc.runtime import blas
from graphc.runtime.buffers import allocate
from graphc.runtime.emit_parts import column_operands, total_words
from graphc.runtime.team import native, team

FLOPS, BYTES = 5e10, 1e10  # of one thread in a second, about
LEAST = 8e-6  # seconds of a part
BLAS_SETTER = 15  # the word of a product by BLAS that a part has no use for: see `natives.GEMM`
ADD, SET = -1, 0  # which bits of a word stay when something is added
ALIGNMENT = 64


def rounded(count: int) -> int:
    """Bytes, up to a whole line."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def seconds(step: Step) -> float:
    """What one thread takes, about."""
    return step.flops / FLOPS + step.bytes / BYTES


def bounds_of(step: Step, most: int) -> list[int]:
    """Where the parts of a step begin, and its end; one part if more aren't worth it.

    `most` is the number of threads.
    """
    s = step.split
    if s is None:
        return [step.low, step.high]
    units = -(-s.size // s.unit)
    count = max(1, min(most, units, int(seconds(step) / LEAST)))
    return [*(units * k // count * s.unit for k in range(count)), s.size]


def leaves_totals(step: Step, most: int) -> bool:
    """Whether a kernel is done in parts that leave totals, and so in two stages."""
    totals = step.split is not None and step.split.totals
    return totals and len(bounds_of(step, most)) > 2


def share_out(
    steps: Sequence[Step], most: int, ends: Mapping[int, int], table: Array, words: Array,
    starts: Sequence[int], kept: list[Any],
) -> int:  # fmt: skip
    """Make the rows of steps in parts ones that share them with the team.

    Parameters
    ----------
    most : the number of threads.
    ends : by the number of a step, the address of the kernel that completes its parts.
    table : the plan's rows of function, block, low and high; changed in place.
    words, starts : the steps' blocks, and where each begins.
    kept : where memory is added that has to live as long as the table.

    Returns
    -------
    int : how many steps are shared.
    """
    found = {k: b for k, step in enumerate(steps) if len(b := bounds_of(step, most)) > 2}
    if not found:
        return 0
    team().grow(most - 1)
    writers = [_Writer(steps[k], table[k], b, ends.get(k, 0), kept) for k, b in found.items()]
    memory = allocate(max(w.apart * w.parts for w in writers))
    kept.append(memory)
    for w in writers:
        w.write(memory.ctypes.data)
    return len(found)


class _Writer:
    """Writes what the function ``share`` is told of one step.

    Attributes
    ----------
    apart : int
        The bytes of memory that each part has: its scratch, then what it gives.
    """

    def __init__(
        self, step: Step, row: Array, bounds: Sequence[int], end: int, kept: list[Any]
    ) -> None:
        assert step.split is not None
        self.step, self.row, self.split, self.end, self.kept = step, row, step.split, end, kept
        self.ranges = list(pairwise(bounds))
        self.parts, self.words = len(self.ranges), len(step.words)
        self.scratch: dict[int, int] = {}
        size = 0
        for word, count in self.split.scratch:
            self.scratch[word] = size
            size += rounded(count)
        self.given = size
        if self.split.sums is not None:
            _, count, dtype = self.split.sums
            size += rounded(count * dtypes.numpy_dtype(dtype).itemsize)
        self.apart = size

    def write(self, memory: int) -> None:
        function, block = int(self.row[0]), int(self.row[1])
        setter, changes = (0, 0), self.changes(memory)
        if self.step.routine == "gemm" and self.step.served.variant is None:
            setter = blas.threads() if blas.threads()[1] > 1 else setter
            changes += [(k, BLAS_SETTER, SET, 0) for k in range(self.parts)]
        end = self.end_words(memory)
        copies = self.parts + bool(end) if changes or end else 0
        each = self.words + 1  # and the address of totals
        first = self.keep([0] * (copies * each + len(end)))
        blocks = [first + 8 * each * k for k in range(copies)] or [block] * self.parts
        if end:
            changes += [(k, self.words, SET, end[0] + 8 * self.total_words * k)
                        for k in range(self.parts)]  # fmt: skip
            changes += [(self.parts, self.words + k, SET, n) for k, n in enumerate(end)]
        flat = [n for k, word, mask, value in changes for n in (blocks[k] + 8 * word, mask, value)]
        table = []
        for k, (low, high) in enumerate(self.ranges):
            whole = self.split.counted is not None
            span = (self.step.low, self.step.high) if whole else (low, high)
            table += [function, blocks[k], *span]
        finish = (self.end, blocks[-1]) if end else self.sum_up(block, memory)
        self.row[1] = self.keep([
            team().address, self.parts, self.keep(table), block, self.words, first, copies,
            8 * each, self.keep(flat), len(changes), *setter, native("wake"), *finish,
        ])  # fmt: skip
        self.row[0], self.row[2], self.row[3] = native("share"), 0, 1

    def changes(self, memory: int) -> list[tuple[int, int, int, int]]:
        """What parts have other than the step: (part, word, mask of what stays, what is added)."""
        found = []
        for k, (low, high) in enumerate(self.ranges):
            own = memory + k * self.apart
            if self.split.counted is not None:
                found.append((k, self.split.counted, SET, high - low))
            found += [(k, word, ADD, low * step) for word, step in self.split.moves]
            found += [(k, word, SET, own + at) for word, at in self.scratch.items()]
            if self.split.sums is not None:
                found.append((k, self.split.sums[0], SET, own + self.given))
        return found

    def sum_up(self, block: int, memory: int) -> tuple[int, int]:
        """The step that adds up what the parts give, if they do, and its block."""
        if self.split.sums is None:
            return 0, 0
        word, count, dtype = self.split.sums
        inputs = [block, word, memory + self.given, self.parts, self.apart, count]
        return native(f"add_up_{dtype}"), self.keep(inputs)

    def end_words(self, memory: int) -> list[int]:
        """The words that the end has besides those of the kernel; see `emit_parts`."""
        if not self.end:
            return []
        kernel = self.step.kernel
        assert kernel is not None
        self.total_words = total_words(kernel)
        totals = self.keep([0] * (self.total_words * self.parts))
        pointers = [name for kind, name, _ in kernel.words() if kind == "pointer"]
        columns = [memory + self.scratch[pointers.index(c)] for c in column_operands(kernel)]
        return [totals, self.parts, self.apart, *columns]

    def keep(self, words: Sequence[int]) -> int:
        """Hold words for as long as the plan is there, and return their address."""
        array = np.array([*words, 0], "int64")
        self.kept.append(array)
        return int(array.ctypes.data)
