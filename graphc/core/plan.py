"""A bound plan: linear steps over memory, as data that can be printed, run and profiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.core.kernel import Kernel
from graphc.core.node import Array, SharedVariable, Variable


@dataclass(frozen=True)
class Place:
    """Where a value lives: ``arena``, ``input``, ``output``, ``shared`` or ``constant``.

    `index` is a byte offset into the arena, or the number of the input or output; `owner`
    is the shared variable or the constant array.
    """

    kind: str
    index: int = 0
    owner: SharedVariable | Array | None = None

    def __str__(self) -> str:
        if self.kind == "arena":
            return f"arena+{self.index}"
        if self.kind == "shared":
            assert isinstance(self.owner, SharedVariable)
            return f"shared {self.owner.name or '?'}"
        return f"{self.kind} {self.index}" if self.kind != "constant" else "constant"


@dataclass(frozen=True)
class Address:
    """A word that is an address: a place plus bytes."""

    place: Place
    offset: int = 0


@dataclass(frozen=True)
class Real:
    """A word that holds the bits of a float64."""

    value: float


@dataclass(frozen=True)
class WordAddress:
    """A word that is the address of another word: of block `step`, number `word`."""

    step: int
    word: int


Word = int | Address | Real | WordAddress


@dataclass(frozen=True)
class Split:
    """How a step falls into parts that can be done at the same time.

    Parameters
    ----------
    size, unit : int
        What is shared out: the range of the step, or what the word `counted` says. Parts begin
        at multiples of `unit`.
    counted : int, optional
        The word that says how many a call has to do; without one, the call's range does.
    moves : tuple of (word, int)
        Words with addresses that go with the part, and by how many bytes for each of `size`.
    scratch : tuple of (word, int)
        Words with addresses of memory that each part needs for itself, and its bytes.
    sums : (word, int, str), optional
        The word of a result that is the sum of what the parts give, its elements and dtype.
    totals : bool
        Parts of a kernel leave totals, which a kernel of its own combines.
    """

    size: int
    unit: int = 1
    counted: int | None = None
    moves: tuple[tuple[int, int], ...] = ()
    scratch: tuple[tuple[int, int], ...] = ()
    sums: tuple[int, int, str] | None = None
    totals: bool = False


@dataclass
class Step:
    """One native call (or host call) of a plan.

    Parameters
    ----------
    routine : str
        ``kernel``, or the name of a native routine (``gemm``, ``offset``, ...), or ``host``.
    label : str
        What it computes, for people.
    words : list of Word
        Its argument block.
    low, high : int
        The range of its outermost axis.
    kernel : Kernel, optional
        The loop nest, for ``kernel`` steps.
    nodes : tuple of Variable
        The operations it stands for.
    checks : list of Variable
        By error code less one, what an error is about.
    split : Split, optional
        How several threads share it.
    """

    routine: str
    label: str
    words: list[Word]
    low: int = 0
    high: int = 1
    kernel: Kernel | None = None
    source: str = ""
    nodes: tuple[Variable, ...] = ()
    checks: list[Variable] = field(default_factory=list)
    flops: float = 0.0
    bytes: float = 0.0
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    split: Split | None = None
    extra: Any = None
    served: Any = None

    @property
    def body(self) -> Plan | None:
        """Of a loop, the plan of one of its steps."""
        return self.extra[0].body if self.routine == "loop" else None


@dataclass
class Plan:
    """Steps over places; what every value's place is, and how much memory that takes.

    `updated` are the shared variables that steps overwrite, `moved` those whose new value
    has another shape and is stored after the steps. A check of one of the `guards` that
    fails says that the plan is for other sizes.
    """

    steps: list[Step]
    places: dict[Variable, Place]
    arena_bytes: int
    inputs: list[Variable]
    outputs: list[tuple[str, tuple[int, ...]]]
    notes: list[str] = field(default_factory=list)
    moved: list[tuple[SharedVariable, Variable, Place]] = field(default_factory=list)
    updated: list[SharedVariable] = field(default_factory=list)
    guards: frozenset[Variable] = frozenset()

    def all_steps(self) -> Iterator[tuple[tuple[int, ...], Step]]:
        """All steps with their numbers; those of a loop's body follow it, as ``(3, 0)``."""
        for k, step in enumerate(self.steps):
            yield (k,), step
            if step.body is not None:
                for number, inner in step.body.all_steps():
                    yield (k, *number), inner

    @property
    def all_arena_bytes(self) -> int:
        """The memory between steps, that of the bodies of loops included."""
        bodies = [s.body for _, s in self.all_steps() if s.body is not None]
        return self.arena_bytes + sum(b.arena_bytes for b in bodies)

    def __str__(self) -> str:
        found = list(self.all_steps())
        inner = len(found) - len(self.steps)
        more = f" and {inner} in loops" if inner else ""
        lines = [f"{len(self.steps)} steps{more}, arena {size_text(self.all_arena_bytes)}"]
        width = max((len(s.routine) for _, s in found), default=0)
        digits = max((len(step_number(n)) for n, _ in found), default=0)
        for number, s in found:
            deep = "  " * (len(number) - 1)
            lines.append(f"{step_number(number):>{max(digits, 4)}}  {deep}"
                         f"{s.routine:<{width}}  {s.label}")  # fmt: skip
            if s.reads or s.writes:
                lines.append(f"{'':{max(digits, 4) + 2}}{deep}{'':{width}}  "
                             f"{', '.join(s.reads)} -> {', '.join(s.writes)}")  # fmt: skip
        lines += [f"note: {n}" for n in self.notes]
        return "\n".join(lines)


def step_number(number: Sequence[int]) -> str:
    """``3.0``: step 0 of the body of step 3."""
    return ".".join(map(str, number))


def size_text(count: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


class Outcome:
    """Why a plan's native entry returned no results."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<outcome {self.name}>"


FAILED = Outcome("failed")
"""A step returned a code."""
