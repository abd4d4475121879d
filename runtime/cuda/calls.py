"""What is done for a step of linear algebra: launches and calls, over one part of the work area."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from graphc.core.plan import Step
from graphc.runtime.cuda import matrix_kernels
from graphc.runtime.cuda.shapes import Shape

ALIGNED = 256  # bytes
MANY, SMALL = 4, 128  # from how many matrices on, and up to which size, one call takes them all


@dataclass(frozen=True)
class At:
    """An address: an offset into the work area."""

    offset: int


@dataclass(frozen=True)
class Call:
    """A call of a library: the binding's arguments behind the handle.

    Those of ``trsm`` have no alpha, which is 1, and ``getrs_batched`` has no code of the host's.
    """

    routine: str
    dtype: str
    arguments: tuple[int | At, ...]

    def resolved(self, work: int) -> list[int]:
        """The arguments, with the work area at an address."""
        return [work + a.offset if isinstance(a, At) else a for a in self.arguments]


@dataclass
class Solved:
    """What is done for a step: launches and calls, in order, and the room that they need."""

    label: str
    sequence: list[Shape | Call] = field(default_factory=list)
    room: int = 0

    @property
    def routines(self) -> list[str]:
        return list(dict.fromkeys(c.routine for c in self.sequence if isinstance(c, Call)))


Ask = Callable[[str, str, Sequence[int]], int]
"""How many elements of work area a routine wants: its name, the dtype, sizes."""


class Maker:
    """Writes what is done for steps that share a decomposition of their first operand."""

    def __init__(self, run: Sequence[Step], ask: Ask, threads: int, blocks: int) -> None:
        self.run, self.ask, self.threads, self.blocks = run, ask, threads, blocks
        self.nodes = [s.nodes[-1] for s in run]
        self.dtype = self.nodes[0].dtype
        self.item = np.dtype(self.dtype).itemsize
        self.room = 0
        *self.front, self.m, self.n = self._shape(0)
        self.batch = prod(self.front)
        self.into, self.step = Solved(""), run[0]

    def made(self) -> list[Solved]:
        found = []
        for k, step in enumerate(self.run):
            self.step, self.into = step, Solved(step.label)
            if k == 0:
                self.prepare()
            self.finish(step)
            found.append(self.into)
        for solved in found:
            solved.room = self.room
        return found

    def prepare(self) -> None:
        """What all steps of the run need."""
        raise NotImplementedError

    def finish(self, step: Step) -> None:
        """A step's own result."""
        raise NotImplementedError

    # what both write

    def _shape(self, operand: int) -> tuple[int, ...]:
        return self.nodes[0].args[operand].type.shape  # type: ignore[return-value]

    def buffer(self, count: int, item: int = 0) -> int:
        """Room for some values: its offset."""
        start = self.room
        self.room = start + -(-max(count, 1) * (item or self.item) // ALIGNED) * ALIGNED
        return start

    def codes(self) -> int:
        return self.buffer(self.batch, 4)

    def call(self, routine: str, *arguments: int | At) -> None:
        self.into.sequence.append(Call(routine, self.dtype, arguments))

    def workspace(self, *asked: tuple[str, Sequence[int]]) -> tuple[At, int]:
        """Room for what routines need besides, and how many elements that are."""
        count = max(self.ask(routine, self.dtype, numbers) for routine, numbers in asked)
        return At(self.buffer(count)), count

    def at(self, start: int, k: int, each: int, item: int = 0) -> At:
        """The place of matrix k's values."""
        return At(start + k * each * (item or self.item))

    def launch(self, source: str, parts: int, one: bool = False, by_block: bool = False) -> None:
        threads = self.threads
        count = parts if by_block else -(-parts // threads)
        self.into.sequence.append(Shape(source, 1 if one else min(count, self.blocks), threads,
                                        parts))  # fmt: skip

    def words(self, *numbers: int) -> int:
        """Append words to the step's block; the number of the first."""
        first = len(self.step.words)
        self.step.words.extend(numbers)
        return first

    def pointer(self, operand: int) -> int:
        """The word of an operand's address; behind the last, of the result's."""
        args = self.step.nodes[-1].args
        return sum(1 + a.ndim for a in args[:operand])

    @property
    def result(self) -> int:
        return self.pointer(len(self.step.nodes[-1].args))

    def together(self, count: int) -> bool:
        """Whether one call had better take that many matrices."""
        return count >= MANY and self.n <= SMALL

    def table(self, start: int, each: int, count: int) -> At:
        """The addresses of matrices, on the device."""
        found = self.buffer(count, 8)
        at = self.words(found, start, each * self.item)
        self.launch(matrix_kernels.pointers(at), count)
        return At(found)

    def load(
        self, operand: int, target: int, turned: bool, apart: int = 0, front: Sequence[int] = ()
    ) -> None:
        """Copy an operand; `front` are the sizes to which the axes before the matrix's go."""
        word = self.pointer(operand)
        v = self.step.nodes[-1].args[operand]
        shape: Any = v.type.shape
        strides = [int(s) for s in self.step.words[word + 1 : word + 1 + v.ndim]]  # type: ignore
        front = list(front) or list(shape[:-2])
        missing = len(front) - (v.ndim - 2)
        sizes = [*front, *shape[-2:]]
        spread = [0] * missing + [
            0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2])
        ] + strides[-2:]  # fmt: skip
        at = self.words(target, apart or shape[-2] * shape[-1], *sizes, *spread)
        source = matrix_kernels.load(self.dtype, word, at, len(sizes), turned)
        self.launch(source, prod(sizes))

    def store(self, made: int, apart: int, lead: int, turned: bool = False, part: str = "") -> None:
        shape: Any = self.step.nodes[-1].type.shape
        at = self.words(made, apart, lead, *shape[-2:])
        source = matrix_kernels.store(self.dtype, self.result, at, turned, part)
        self.launch(source, prod(shape))

    def check(self, codes: int, test: str = "", *values: int) -> None:
        """Stop where a call has a code, or one of some values (offset, distance from matrix to
        matrix, count, distance) isn't as it must be."""
        source = matrix_kernels.check(self.dtype, self.words(codes, *values), test)
        self.launch(source, self.batch * (values[2] if test else 1), one=True)
