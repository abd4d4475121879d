"""Kernels for CUDA: how a loop nest is dealt out to threads.

A nest takes one of five forms:

- ``flat``: every element of all axes is one step of one thread (elementwise work, and sums of
  everything);
- ``rows``: a team of threads takes one row, its threads the row's elements (softmax, norms, sums
  of rows); teams are parts of a warp, a warp, or a block, as rows are short or long;
- ``lanes``: a thread takes one row alone or with few others, where neighbouring rows are
  neighbours in memory (sums along the slow axis);
- ``scatter``: a thread takes all writes to its own elements, in order;
- ``atomic``: every addition of a scatter is one step of one thread, in no order. Only where that
  was asked for, and the nest is one of :mod:`graphc.runtime.cuda.atomics`.

How many elements a thread has at once, how large a team is, and whether several blocks share a
row is chosen from sizes (:mod:`graphc.runtime.cuda.deal`). A row that a team's registers hold is
read once: what later passes over it load again, or keep in scratch memory, stays where it is.

Sums over all rows, sums of columns, and rows that blocks share take two kernels: in the first
every block writes what it found to the work area, the second adds that up. Which thread adds what
depends on sizes alone, so a result is the same every time. Floats are summed in float64.

A kernel's arguments are the addresses of its argument block, of the plan's work area and of the
error record, the step's number plus 1, and how many blocks the first of two kernels has (of rows
that blocks share: how many blocks share one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.core.dtypes import numpy_dtype
from graphc.core.kernel import (
    Accumulate,
    Axis,
    Check,
    Kernel,
    Phase,
    Store,
)
from graphc.runtime.cuda.atomics import addition_of
from graphc.runtime.cuda.bits import loaded, stored
from graphc.runtime.cuda.combine import CELL, numba_name
from graphc.runtime.cuda.deal import COLUMN_BLOCKS, Deal, Sizes, deal_of
from graphc.runtime.cuda.rows import Rows
from graphc.runtime.cuda.strips import Strips
from graphc.runtime.statements import POSITIONS

THREADS = 256
"""Most threads of a block: what arrays in shared memory have room for."""
BLOCKS = 1024
"""Most blocks of a kernel whose blocks hand something on, or have scratch memory."""
MANY_BLOCKS = 8192
"""Most blocks of other kernels: devices take them one after the other as they have room, and
the last ones leave little of a device idle. With more elements, blocks take several."""
STEP_BITS = 32
"""In the error record, the number of the step that stopped stands above these bits."""


@dataclass(frozen=True)
class Part:
    """One of a kernel's launches: its source and its grid."""

    source: str
    grid: int


@dataclass(frozen=True)
class Emitted:
    """The launches of a kernel, their last argument, and the room they want in the work area."""

    parts: tuple[Part, ...]
    shared: int
    room: int = 0
    form: str = "flat"


def emit(kernel: Kernel, sizes: Sizes, deterministic: bool = True) -> Emitted:
    """The launches of a kernel for CUDA; equal kernels of like sizes have equal sources.

    If nothing has to be `deterministic`, scatters that add may do so in any order.
    """
    kernel = widened(kernel)
    form = form_of(kernel)
    if form == "scatter" and not deterministic and addition_of(kernel) is not None:
        form = "atomic"
    deal = deal_of(kernel, form, sizes)
    grid = _grid(kernel, form, deal, sizes)
    first = Writer(kernel, form, deal)
    parts = [Part(first.first(), 1 if first.needs_one_block(last=not first.two) else grid)]
    if first.two:
        after = replace(deal, team=sizes.warp, kept=False, shares=1)
        second = Writer(kernel, form, after, is_second=True)
        parts.append(Part(second.second(), _second_grid(kernel, second, after, sizes)))
    return Emitted(tuple(parts), deal.shares if deal.shares > 1 else parts[0].grid,
                   _room(kernel, deal, parts[0].grid, sizes), form)  # fmt: skip


def _count(kernel: Kernel, sizes: Sizes, axes: Sequence[Axis]) -> int:
    return prod(sizes.extents[kernel.axes.index(a)] for a in axes)


def _grid(kernel: Kernel, form: str, deal: Deal, sizes: Sizes) -> int:
    """The blocks of the first kernel."""
    hands_on = bool(kernel.cross) or (bool(stashes(kernel)) and not deal.kept)
    most = BLOCKS if hands_on else MANY_BLOCKS
    if any(a.scope == "column" for a in kernel.cross):
        most = COLUMN_BLOCKS
    most = most if sizes.blocks >= BLOCKS else min(most, sizes.blocks)
    if form == "rows":
        each, count = deal.teams, _count(kernel, sizes, kernel.outer)
    elif form == "lanes":
        each, count = deal.team, _count(kernel, sizes, kernel.outer)
    elif form == "scatter":
        each, count = deal.threads, _count(kernel, sizes, own_axes(kernel))
    elif form == "atomic":
        each, count = deal.threads, _count(kernel, sizes, kernel.axes)
    else:
        each = deal.threads * deal.groups
        count = -(-_count(kernel, sizes, kernel.axes) // deal.width)
    if deal.shares > 1:
        return -(-count // each) * deal.shares
    return max(1, min(-(-count // each), most))


def _second_grid(kernel: Kernel, second: Writer, deal: Deal, sizes: Sizes) -> int:
    if second.needs_one_block(last=True):
        return 1
    axes = kernel.inner if kernel.columns else ()
    if not kernel.cross and not kernel.post:
        axes = kernel.outer
    each = deal.team if kernel.columns or second.form == "lanes" else deal.teams
    return max(1, min(-(-_count(kernel, sizes, axes) // each), sizes.blocks))


def _room(kernel: Kernel, deal: Deal, grid: int, sizes: Sizes) -> int:
    """Bytes of the work area."""
    if deal.shares > 1:
        found = kernel.phases[0].accumulators
        count = _count(kernel, sizes, kernel.outer) * deal.shares
        return CELL * count * sum(2 if a.kind in POSITIONS else 1 for a in found)
    cross = [a for a in kernel.cross if a.scope == "cross"]
    cells = sum(2 if a.kind in POSITIONS else 1 for a in cross)
    rows = len(kernel.cross) - len(cross) + (0 if deal.kept else len(stashes(kernel)))
    return CELL * grid * (cells + rows * _count(kernel, sizes, kernel.inner))


def widened(kernel: Kernel) -> Kernel:
    """A kernel with one row and one pass over it, as one that sums over everything.

    So that all blocks share in the row, its reductions become ones over all rows.
    """
    if kernel.outer or kernel.lanes or kernel.cross or len(kernel.phases) != 1:
        return kernel
    phase = kernel.phases[0]
    if not phase.accumulators:
        return kernel
    cross = [replace(a, scope="cross") for a in phase.accumulators]
    return replace(
        kernel, top=kernel.top + kernel.row, row=[], phases=[Phase(phase.elem, [], [])],
        cross=cross, post=phase.row + kernel.post,
    )  # fmt: skip


def form_of(kernel: Kernel) -> str:
    """``flat``, ``rows``, ``lanes`` or ``scatter``; see the module's text."""
    if kernel.lanes:
        return "lanes"
    in_rows = [*kernel.row, *(s for p in kernel.phases for s in p.row)]
    if not kernel.phases and any(isinstance(s, Store) for s in in_rows):
        return "scatter"
    kept = any(isinstance(s, Store | Accumulate) for s in in_rows)
    columns = any(a.scope == "column" for a in kernel.cross)
    reduced = any(p.accumulators for p in kernel.phases)
    return "rows" if kept or columns or reduced or stashes(kernel) else "flat"


def stashes(kernel: Kernel) -> list[str]:
    """The operands that keep a row's values from one pass over it to the next."""
    return [o.name for o in kernel.operands if o.stash]


def own_axes(kernel: Kernel) -> list[Axis]:
    """Of a scatter, the axes along which every step writes to elements of its own."""
    stored = [s.operand for s in kernel.row if isinstance(s, Store)]
    operands = {o.name: o for o in kernel.operands}
    return [
        a for k, a in enumerate(kernel.axes)
        if all(operands[name].strides[k] != 0 for name in stored)
    ]  # fmt: skip


class Writer(Rows, Strips):
    """Writes the one or two kernels of a nest."""

    def __init__(self, kernel: Kernel, form: str, deal: Deal, is_second: bool = False) -> None:
        super().__init__(kernel, form, deal, is_second)
        self.stashes = [] if deal.kept else stashes(kernel)
        self.two = bool(kernel.cross or kernel.post or kernel.columns) or deal.shares > 1

    def first(self) -> str:
        """The kernel, or the first of two."""
        self._start()
        self._places()
        flat = self.deal.width * self.deal.groups if self.form == "flat" else 1
        for a in self.cross:
            self.start(a, flat)
        self.once(self.kernel.top, stores=not self.two)
        {"flat": self._flat, "rows": self.rows, "lanes": self.lanes, "scatter": self._scatter,
         "atomic": self._atomic}[self.form]()  # fmt: skip
        for a in self.cross:
            self.fold(a, flat)
            self.combine(a, self.deal.threads)
            self.hand_on(a, "thread == 0", "here")
        return self._text()

    def second(self) -> str:
        """The second of two kernels: what blocks found is combined, and what follows from it."""
        self._start()
        self._places()
        if not self.kernel.cross and not self.kernel.post:
            self.once(self.kernel.top, stores=True)
            (self.lanes if self.form == "lanes" else self.rows)()
            return self._text()
        for a in self.cross:
            self.collect(a, "thread", "threads", "k", "parts")
            self.combine(a, self.deal.threads)
        self.once(self.kernel.top, stores=True)
        self.once(self.kernel.post, stores=True)
        if self.kernel.columns or self.columns:
            self.collect_columns()
        return self._text()

    def _text(self) -> str:
        head = "def kernel(block, work, error, step, parts):\n"
        return head + "\n".join(self.lines) + "\n"

    def _start(self) -> None:
        self.put("if stopped(error, step):")
        self.put("    return")
        self.arguments()
        self.put("thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)")
        self.put("here, blocks = int64(cuda.blockIdx.x), int64(cuda.gridDim.x)")
        for dtype in self.shared:
            self.put(f"shared_{dtype} = cuda.shared.array(THREADS, {numba_name(dtype)})")
        if self.form == "lanes":
            for name, dtype in self.lane_arrays().items():
                self.put(f"{name} = cuda.local.array(1, {numba_name(dtype)})")

    def _places(self) -> None:
        """Names for the parts of the work area."""
        self.put("place = work")
        if self.shared_rows():
            self.put(f"rows = {self.number(self.kernel.outer)}")
            self.parts_of(self.kernel.phases[0].accumulators, "rows * parts")
            return
        self.parts_of(self.cross, "parts")
        if self.columns or self.stashes:
            self.put(f"n_row = {self.number(self.kernel.inner)}")
        for a in self.columns:
            if self.is_second:
                self.put(f"{a.name}_p = at_{a.dtype}(place)")
            else:
                size = numpy_dtype(a.dtype).itemsize
                self.put(f"{a.operand} = at_{a.dtype}(place + here * n_row * {size})")
            self.put(f"place = place + parts * n_row * {CELL}")
        for name in self.stashes:
            dtype = self.operands[name].dtype
            self.put(f"{name} = at_{dtype}(place + here * n_row * {CELL})")
            self.put(f"place = place + parts * n_row * {CELL}")

    def needs_one_block(self, last: bool) -> bool:
        """Whether what one thread stores may be what others have yet to read."""
        if not last:
            return False
        once = self.kernel.top + (self.kernel.post if self.two else [])
        stored = {self.memory(s.operand) for s in once if isinstance(s, Store)}
        return bool(stored & self.read_here)

    def _flat(self) -> None:
        k, deal = self.kernel, self.deal
        body = list(k.row)
        for p in k.phases:
            body += p.elem + p.row
        self.walk(k.axes, "here * threads + thread", "blocks * threads", body, deal.width,
                  deal.groups, deal.tail)  # fmt: skip

    def _scatter(self) -> None:
        """Writes to one element keep their order: one thread does them all."""
        own = own_axes(self.kernel)
        others = [a for a in self.kernel.axes if a not in own]
        self.put(f"span = {self.number(own)}")
        self.put("at = here * threads + thread")
        self.put("while at < span:")
        self.depth += 1
        self.here(own, "at")
        self.nest(others, self.kernel.row)
        self.put("at = at + blocks * threads")
        self.depth -= 1

    def _atomic(self) -> None:
        """Every addition is a step of its own: where two meet, memory does one after the other."""
        found = addition_of(self.kernel)
        assert found is not None
        self.put(f"span = {self.number(self.kernel.axes)}")
        self.put("at = here * threads + thread")
        self.put("while at < span:")
        self.depth += 1
        self.here(self.kernel.axes, "at")
        self.statements(found.before)
        index = self.index(found.store.operand, found.store.offset)
        self.put(f"cuda.atomic.add({found.store.operand}, {index}, {found.store.adds})")
        self.put("at = at + blocks * threads")
        self.depth -= 1

    def loaded(self, operand: str, element: str) -> str:
        return loaded(self.operands[operand].dtype, element)

    def stored(self, operand: str, value: str) -> str:
        return stored(self.operands[operand].dtype, value)

    def error_record(self, word: int) -> None:
        """It is an argument of every kernel."""

    def check(self, s: Check) -> None:
        """Note a bad index, and go on with a good one: threads wait for each other."""
        self.put(f"if {s.index} < 0 or {s.index} >= {s.size}:")
        found = f"failed(error, step, {s.code}, int64({s.given}), int64({s.size}))"
        if self.reports:
            self.put(f"    if {self.reports}:")
        self.put(f"    {'    ' if self.reports else ''}{found}")
        self.put(f"    {s.index} = int64(0)")
