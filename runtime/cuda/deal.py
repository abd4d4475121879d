"""How a loop nest is dealt out to threads: what is chosen from its sizes, before it is printed.

Nothing here looks at a device's number of multiprocessors, so that the same sizes give the same
order of additions everywhere. A choice is one of few, so that most sizes share their kernels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from graphc.core.dtypes import numpy_dtype
from graphc.core.kernel import Kernel, Load, Statement, Store
from graphc.core.plan import Step

SIMULATED_WARP = 2  # threads of the simulator's blocks that exchange values as a warp does
ACCESS = 16
"""Bytes that a thread reads or writes at once, where it can."""
VECTORS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float16", "bfloat16", "float32", "float64")  # fmt: skip
"""The dtypes that have vector accesses (:mod:`graphc.runtime.cuda.accesses`)."""
IN_REGISTERS = 16
"""Elements of a row that a thread keeps in registers at most."""
LINES = 400
"""Most statements that the copies of a body may come to: compilers take time for each."""
FILLED = 256 * 1024
"""Threads below which a device has too little to do: then several blocks share a row."""
COLUMN_BLOCKS = 256
"""Most blocks that hand on sums of columns: each hands on a whole row, which is read again."""
STRIPS = 128
"""Strips of lanes that are wanted at least."""
LEAST_SHARE = 16
"""Elements of a row that a thread has to itself at least, where several blocks share the row."""
NAMES = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Sizes:
    """A nest's sizes and strides in a plan, and what the device allows.

    `strides` has those that are passed, by operand and number of the axis.
    """

    extents: tuple[int, ...]
    strides: dict[tuple[str, int], int]
    threads: int
    blocks: int
    warp: int


def sizes_of(kernel: Kernel, step: Step, threads: int, blocks: int, warp: int) -> Sizes:
    """What the words of a step say about its nest."""
    found: dict[tuple[str, int], int] = {}
    extents = []
    for (kind, name, axis), word in zip(kernel.words(), step.words):
        if kind == "stride":
            found[name, axis] = int(word)  # type: ignore[arg-type]
        elif kind == "extent":
            extents.append(int(word))  # type: ignore[arg-type]
    return Sizes(tuple(extents), found, threads, blocks, warp)


@dataclass(frozen=True)
class Deal:
    """What a nest's form leaves open.

    Attributes
    ----------
    threads, warp : of a block, and of those that exchange registers.
    width : elements that are next to each other in memory and go to one thread.
    groups : how many such runs a thread has under way at once.
    team : threads that share a row; in lanes, how many neighbouring lanes a block takes.
    kept : whether a thread keeps its elements of a row in registers.
    tail : whether a last run may be shorter.
    shares : by how many blocks a row (a strip of lanes) is shared; with more than one, a
        second kernel combines what they found.
    """

    threads: int
    warp: int
    width: int = 1
    groups: int = 1
    team: int = 0
    kept: bool = False
    tail: bool = False
    shares: int = 1

    @property
    def teams(self) -> int:
        """How many teams (in lanes: threads of a lane) a block has."""
        return self.threads // self.team


def deal_of(kernel: Kernel, form: str, sizes: Sizes) -> Deal:
    """The choice for a nest of a form."""
    if form == "flat":
        return _flat(kernel, sizes)
    if form == "rows":
        return _rows(kernel, sizes)
    if form == "lanes":
        return _lanes(kernel, sizes)
    return Deal(sizes.threads, sizes.warp, team=sizes.threads)


def _flat(kernel: Kernel, sizes: Sizes) -> Deal:
    body = list(kernel.row)
    for p in kernel.phases:
        body += p.elem + p.row
    last = len(kernel.axes) - 1
    alone = len(kernel.axes) == 1
    width = width_of(kernel, body, last, sizes, whole=not alone) if kernel.axes else 1
    groups = under_way(width, len(body))
    return Deal(sizes.threads, sizes.warp, width, groups, sizes.threads, tail=alone)


def under_way(width: int, statements: int) -> int:
    """Runs that a thread has under way: loads of short bodies go out before the first is needed.

    A multiprocessor of 2048 threads with 16 bytes each has 32 KiB under way, which covers the
    latency of memory; bodies that compute need fewer.
    """
    if statements > 12:
        return 1
    wanted = 4 if width == 1 else 2
    return wanted if wanted * width * statements <= LINES // 4 else 1


def _rows(kernel: Kernel, sizes: Sizes) -> Deal:
    inner = [k for k, a in enumerate(kernel.axes) if not a.outer]
    body = [s for p in kernel.phases for s in p.elem]
    length = prod(sizes.extents[k] for k in inner)
    rows = prod(n for k, n in enumerate(sizes.extents) if k not in inner)
    threads, warp = sizes.threads, sizes.warp
    width = 1
    if inner:
        width = width_of(kernel, body, inner[-1], sizes, whole=len(inner) > 1)
    if 0 < length:
        fits = width if length % width == 0 else 1
        found = _kept(kernel, body, length // fits, fits, sizes)
        if found is not None:
            return found
    alone = len(inner) == 1
    shares = shares_of(kernel, rows, length, threads, sizes.blocks)
    return Deal(threads, warp, width, under_way(width, len(body)), threads, tail=alone,
                shares=shares)  # fmt: skip


def _kept(
    kernel: Kernel, body: Sequence[Statement], runs: int, width: int, sizes: Sizes
) -> Deal | None:
    """Teams whose threads keep their part of a row; None for rows that are too long.

    Two runs for each thread leave registers to others. Threads of a block have more, rather than
    reading rows again; so have those of a warp in a single pass, rather than meeting at barriers.
    """
    columns = sum(a.scope == "column" for a in kernel.cross)
    most = min(IN_REGISTERS // (1 + columns), LINES // max(len(body), 1)) // width
    more = [sizes.threads, sizes.warp] if len(kernel.phases) == 1 else [sizes.threads]
    for team in (2**k for k in range(sizes.threads.bit_length())):
        each = -(-runs // team)
        if each <= (most if team in more else min(most, 2)):
            return Deal(sizes.threads, sizes.warp, width, each, team, kept=True)
    return None


def shares_of(kernel: Kernel, rows: int, length: int, threads: int, blocks: int) -> int:
    """Blocks that share a row, or a strip: more than one where rows are few and long.

    Only what has one pass over its rows can be shared.
    """
    single = len(kernel.phases) == 1 and bool(kernel.phases[0].accumulators)
    stores = any(isinstance(s, Store) for s in [*kernel.row, *kernel.top])
    if not single or stores or kernel.cross or kernel.post or kernel.columns or not rows:
        return 1
    if any(o.stash or o.alias for o in kernel.operands):
        return 1
    wanted = FILLED // (rows * threads)
    return max(1, min(wanted, length // (threads * LEAST_SHARE), blocks // rows))


def _lanes(kernel: Kernel, sizes: Sizes) -> Deal:
    """Strips of a warp's width: a warp reads neighbours, its block's warps take turns in rows."""
    inner = [k for k, a in enumerate(kernel.axes) if not a.outer]
    length = prod(sizes.extents[k] for k in inner)
    count = prod(n for k, n in enumerate(sizes.extents) if k not in inner)
    threads, warp = sizes.threads, sizes.warp
    team = threads if count >= FILLED or length < 2 * threads // warp else warp
    strips = -(-count // team)
    statements = sum(len(p.elem) for p in kernel.phases)
    shares = 1
    if team == warp:
        shares = shares_of(kernel, strips, length * warp, threads, sizes.blocks)
    # Where blocks can't share: narrow strips make more of them; 8 lanes of 4 bytes are what
    # memory hands out at once.
    while shares == 1 and 8 < team <= warp and -(-count // team) < STRIPS:
        team //= 2
    return Deal(threads, warp, 1, under_way(1, statements), team, shares=shares)


def width_of(
    kernel: Kernel, body: Sequence[Statement], last: int, sizes: Sizes, whole: bool
) -> int:
    """How many neighbours along an axis go to one thread: as many as 16 bytes have.

    One, where something is read or written in larger steps, or where rows don't lie apart by
    whole vectors: then threads that are neighbours take neighbours. With `whole`, the axis has
    to have a multiple as its size.
    """
    operands = {o.name: o for o in kernel.operands}
    moved = [s for s in body if isinstance(s, Load | Store)]
    beside = [operands[s.operand] for s in moved if operands[s.operand].strides[last] == 1]
    if not beside or any(o.dtype not in VECTORS for o in beside):
        return 1
    if any(operands[s.operand].strides[last] is None for s in moved):
        return 1
    if any(isinstance(s, Store) and operands[s.operand].strides[last] != 1 for s in moved):
        return 1
    largest = max(numpy_dtype(o.dtype).itemsize for o in beside)
    width = max(2, min(8, ACCESS // largest))
    while width > 1 and not (
        width * len(body) <= LINES // 2
        and (not whole or sizes.extents[last] % width == 0)
        and all(_apart(o.name, o.strides, last, sizes, width) for o in beside)
    ):
        width = width // 2
    return width


def _apart(name: str, strides: Sequence[int | None], last: int, sizes: Sizes, width: int) -> bool:
    """Whether all rows of an operand begin at a multiple of a width, if the first does."""
    steps = (sizes.strides[name, k] if s is None else s for k, s in enumerate(strides) if k != last)
    return all(step % width == 0 for step in steps)


def names_in(text: str) -> set[str]:
    """The identifiers of a text in the kernel language."""
    return set(NAMES.findall(text))


def renamed(text: str, names: dict[str, str]) -> str:
    """A text with other identifiers."""
    return NAMES.sub(lambda m: names.get(m[0], m[0]), text)
