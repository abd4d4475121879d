"""Kernels for CUDA: how a loop nest is dealt out to threads.

A nest takes one of four forms:

- ``flat``: every element of all axes is one step of one thread (elementwise work, and sums of
  everything);
- ``rows``: a team of threads takes one row, its threads the row's elements (softmax, norms, sums
  of rows); teams are parts of a warp, a warp, or a block, as rows are short or long;
- ``lanes``: a thread takes one row alone or with few others, where neighbouring rows are
  neighbours in memory (sums along the slow axis);
- ``scatter``: a thread takes all writes to its own elements, in order.

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
    Load,
    Phase,
    Statement,
    Store,
)
from graphc.runtime.cuda.combine import CELL, numba_name
from graphc.runtime.cuda.copies import Copying
from graphc.runtime.cuda.deal import COLUMN_BLOCKS, Deal, Sizes, deal_of, renamed
from graphc.runtime.statements import POSITIONS, neutral

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


def emit(kernel: Kernel, sizes: Sizes) -> Emitted:
    """The launches of a kernel for CUDA; equal kernels of like sizes have equal sources."""
    kernel = widened(kernel)
    form = form_of(kernel)
    deal = deal_of(kernel, form, sizes)
    grid = _grid(kernel, form, deal, sizes)
    first = Writer(kernel, form, deal)
    parts = [Part(first.first(), 1 if first.needs_one_block(last=not first.two) else grid)]
    if first.two:
        after = replace(deal, team=sizes.warp, kept=False, shares=1)
        second = Writer(kernel, form, after, is_second=True)
        parts.append(Part(second.second(), _second_grid(kernel, second, after, sizes)))
    return Emitted(tuple(parts), deal.shares if deal.shares > 1 else parts[0].grid,
                   _room(kernel, deal, parts[0].grid, sizes))  # fmt: skip


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


class Writer(Copying):
    """Writes the one or two kernels of a nest."""

    def __init__(self, kernel: Kernel, form: str, deal: Deal, is_second: bool = False) -> None:
        super().__init__(kernel, form, deal)
        self.stashes = [] if deal.kept else stashes(kernel)
        # What is combined over all rows, and what of each row.
        self.cross = [a for a in kernel.cross if a.scope == "cross"]
        self.columns = [a for a in kernel.cross if a.scope == "column"]
        self.two = bool(kernel.cross or kernel.post or kernel.columns) or deal.shares > 1
        self.is_second = is_second
        self.guard: str | None = None  # the condition under which a thread stores, if not always
        self.member = "thread"
        self.read_here = {self.memory(s.operand) for s in self._all() if isinstance(s, Load)}

    # --- whole kernels ----------------------------------------------------------------

    def first(self) -> str:
        """The kernel, or the first of two."""
        self._start()
        self._places()
        flat = self.deal.width * self.deal.groups if self.form == "flat" else 1
        for a in self.cross:
            self.start(a, flat)
        self._once(self.kernel.top, stores=not self.two)
        {"flat": self._flat, "rows": self._rows, "lanes": self._lanes, "scatter": self._scatter}[
            self.form
        ]()
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
            self._once(self.kernel.top, stores=True)
            (self._lanes if self.form == "lanes" else self._rows)()
            return self._text()
        for a in self.cross:
            self.collect(a, "thread", "threads", "k", "parts")
            self.combine(a, self.deal.threads)
        self._once(self.kernel.top, stores=True)
        self._once(self.kernel.post, stores=True)
        if self.kernel.columns or self.columns:
            self._collect_columns()
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
            for name, dtype in self._lane_arrays().items():
                self.put(f"{name} = cuda.local.array(1, {numba_name(dtype)})")

    def _places(self) -> None:
        """Names for the parts of the work area."""
        self.put("place = work")
        if self._shared_rows():
            self.put(f"rows = {self._number(self.kernel.outer)}")
            self.parts_of(self.kernel.phases[0].accumulators, "rows * parts")
            return
        self.parts_of(self.cross, "parts")
        if self.columns or self.stashes:
            self.put(f"n_row = {self._number(self.kernel.inner)}")
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

    def _shared_rows(self) -> bool:
        """Whether blocks share rows; the second kernel combines them."""
        return self.deal.shares > 1 or (
            self.is_second and not self.kernel.cross and not self.kernel.post
        )

    def needs_one_block(self, last: bool) -> bool:
        """Whether what one thread stores may be what others have yet to read."""
        if not last:
            return False
        once = self.kernel.top + (self.kernel.post if self.two else [])
        stored = {self.memory(s.operand) for s in once if isinstance(s, Store)}
        return bool(stored & self.read_here)

    def _all(self) -> list[Statement]:
        k = self.kernel
        found = k.top + k.row + k.post + k.columns
        for p in k.phases:
            found = found + p.elem + p.row
        return found

    # --- dealing out ------------------------------------------------------------------

    def _number(self, axes: Sequence[Axis]) -> str:
        return " * ".join(f"n_{a.name}" for a in axes) or "int64(1)"

    def _places_of(self, axes: Sequence[Axis], at: str, names: Sequence[str]) -> None:
        """The places along axes from a position among all their steps."""
        rest = at
        for k in range(len(axes) - 1, 0, -1):
            self.put(f"{names[k]} = low({rest}, m_{axes[k].name})")
            self.put(f"rest_{k} = high({rest}, m_{axes[k].name})")
            rest = f"rest_{k}"
        if axes:
            self.put(f"{names[0]} = {rest}")

    def _runs(self, axes: Sequence[Axis], width: int) -> str:
        """How many steps axes have, each ``m_...``, and all together."""
        for a in axes:
            last = width > 1 and a is axes[-1]
            self.put(f"m_{a.name} = n_{a.name} // {width}" if last else f"m_{a.name} = n_{a.name}")
        return " * ".join(f"m_{a.name}" for a in axes) or "int64(1)"

    def _elements(self, axes: Sequence[Axis], run: str, width: int, first: int) -> None:
        """The elements of a run: of copy `first` and those after it."""
        if width == 1 or not axes:
            return
        last = axes[-1].name
        self.put(f"{self.names[first][last]} = {run} * {width}")
        for k in range(first + 1, first + width):
            self.put(f"{self.names[k][last]} = {self.names[first][last]} + {k - first}")

    def walk(
        self, axes: Sequence[Axis], first: str, hop: str, body: Sequence[Statement],
        width: int, groups: int, tail: bool = False,
    ) -> None:  # fmt: skip
        """Let a thread take the steps of axes from `first` on in hops.

        Places along several axes go on by adding those of a hop, axis by axis with a carry:
        neither is more than an axis has, so one subtraction is enough, and no step divides.
        """
        if not body:
            return
        self.begin(axes, width, groups, ["", *(f"ok_{g}" for g in range(1, groups))])
        self.put(f"span = {self._runs(axes, width)}")
        self.put(f"hop = {hop}")
        self.put(f"at = {first}")
        places = [[self._place_name(a, axes, width, g) for a in axes] for g in range(groups)]
        several = len(axes) > 1
        if several:
            self._places_of(axes, "at", places[0])
            self._places_of(axes, "hop", [f"hop_{a.name}" for a in axes])
        self.put("while at < span:")
        self.depth += 1
        self.put("rolled()")
        for g in range(groups):
            later = "at + hop" if g == 1 else f"at + {g} * hop"
            if g:
                self.put(f"ok_{g} = {later} < span")
            if several and g:
                self._go_on(axes, places[g - 1], places[g])
                self.put(f"if not ok_{g}:")
                for mine, plain in zip(places[g], places[0]):
                    self.put(f"    {mine} = {plain}")
            elif len(axes) == 1 and g == 0:
                self.put(f"{places[g][0]} = at")
            elif len(axes) == 1:
                self.put(f"{places[g][0]} = {later} if ok_{g} else at")
            self._elements(axes, places[g][-1] if axes else "", width, g * width)
        self.body(body)
        self.put("at = at + hop" if groups == 1 else f"at = at + {groups} * hop")
        if several:
            self._go_on(axes, places[-1], places[0])
        self.depth -= 1
        if tail and width > 1:
            self.begin(axes, 1, 1, [""])
            name = axes[-1].name
            self.put(f"{name} = span * {width} + {first}")
            self.put(f"while {name} < n_{name}:")
            self.depth += 1
            self.put("rolled()")
            self.body(body)
            self.put(f"{name} = {name} + hop")
            self.depth -= 1

    def _place_name(self, axis: Axis, axes: Sequence[Axis], width: int, group: int) -> str:
        """Where along an axis a run is; with vectors, the last axis counts runs."""
        if width > 1 and axis is axes[-1]:
            return f"run_{group}" if group else "run"
        return self.names[group * width][axis.name]

    def _go_on(self, axes: Sequence[Axis], old: Sequence[str], new: Sequence[str]) -> None:
        """The places that are a hop after others."""
        for k, a in enumerate(axes):
            self.put(f"{new[k]} = {old[k]} + hop_{a.name}")
        for k in range(len(axes) - 1, 0, -1):
            self.put(f"if {new[k]} >= m_{axes[k].name}:")
            self.put(f"    {new[k]} = {new[k]} - m_{axes[k].name}")
            self.put(f"    {new[k - 1]} = {new[k - 1]} + 1")

    def _flat(self) -> None:
        k, deal = self.kernel, self.deal
        body = list(k.row)
        for p in k.phases:
            body += p.elem + p.row
        self.walk(k.axes, "here * threads + thread", "blocks * threads", body, deal.width,
                  deal.groups, deal.tail)  # fmt: skip

    # --- rows -------------------------------------------------------------------------

    def _rows(self) -> None:
        deal = self.deal
        self._members()
        if deal.kept:
            self._keep()
        else:
            for a in self.columns:
                self._walk_row([Store(a.operand, neutral(a.kind, a.dtype))])
        self.put(f"rows = {self._number(self.kernel.outer)}")
        if deal.shares > 1:
            self.put("row, part = high(here, parts), low(here, parts)")
            self._one_row()
            return
        before = self.depth
        if deal.teams == 1:
            self.put("row = here")
            self.put("while row < rows:")
            self.depth += 1
            self._one_row()
            self.put("row = row + blocks")
        else:
            # All teams of a block go on together; one without a row takes the last one again.
            self.put(f"base = here * {deal.teams}")
            self.put("while base < rows:")
            self.depth += 1
            self.put(f"row = base + thread // {deal.team}")
            self.put("live = row < rows")
            self.put("if not live:")
            self.put("    row = rows - 1")
            self._one_row()
            self.put(f"base = base + blocks * {deal.teams}")
        self.depth = before
        if deal.kept:
            self._hand_on_columns()

    def _members(self) -> None:
        deal = self.deal
        if deal.teams > 1:
            self.put(f"member = thread % {deal.team}")
            self.member, self.live = "member", "live"
        if 1 < deal.team <= deal.warp:
            self.put(f"leader = thread % {deal.warp} // {deal.team} * {deal.team}")

    def _keep(self) -> None:
        """The places of a thread's elements in all rows, and its sums of columns."""
        deal, inner = self.deal, self.kernel.inner
        self.begin(inner, deal.width, deal.groups, [f"ok_{g}" for g in range(deal.groups)])
        self.put(f"span = {self._runs(inner, deal.width)}")
        for g in range(deal.groups):
            self.put(f"at = {self.member} + {g * deal.team}" if g else f"at = {self.member}")
            self.put(f"ok_{g} = at < span")
            self.put(f"if not ok_{g}:")
            self.put("    at = int64(0)")
            places = [self._place_name(a, inner, deal.width, g) for a in inner]
            self._places_of(inner, "at", places)
            self._elements(inner, places[-1] if inner else "", deal.width, g * deal.width)
        for a in self.columns:
            for k in range(self.count):
                self.put(f"{a.name}_c_{k} = {neutral(a.kind, a.dtype)}")

    def _hand_on_columns(self) -> None:
        """What the block's teams have of each column, to the block's part of the work area."""
        for a in self.columns:
            lines = self._captured(lambda a=a: self.put(
                f"    {a.operand}[{self.index(a.operand)}] = {a.name}_c"))  # fmt: skip
            for k in range(self.count):
                own = f"{a.name}_c_{k}"
                self.combine_apart(a, own)
                ok = f"ok_{k // self.width}"
                self.put(f"if {ok} and thread < {self.deal.team}:")
                names = {**self.names[k], f"{a.name}_c": own}
                self.lines += [renamed(line, names) for line in lines]

    def _one_row(self) -> None:
        kernel, deal = self.kernel, self.deal
        self._here(kernel.outer, "row")
        self.known, self.keeps = {}, deal.kept
        self._row(kernel.row)
        for number, phase in enumerate(kernel.phases):
            if self._shared_rows() and self.is_second:
                for a in phase.accumulators:
                    self.collect(a, self.member, str(deal.team), "row * parts + k", "parts")
                    self.combine(a, deal.team)
                self._row(phase.row)
                continue
            copies = deal.width * deal.groups
            for a in phase.accumulators:
                self.start(a, copies)
            if deal.kept and number == 0:
                self.body(phase.elem)  # all of a row under way at once
            elif deal.kept:
                self.body_by_run(phase.elem)  # few values at once beside those that are kept
            else:
                self._walk_row(phase.elem)
            for a in phase.accumulators:
                self.fold(a, copies)
                self.combine(a, deal.team)
            if deal.shares > 1:
                for a in phase.accumulators:
                    self.hand_on(a, "thread == 0", "here")
                return
            self._row(phase.row)

    def _here(self, axes: Sequence[Axis], at: str) -> None:
        """The indices of axes at a position."""
        for a in axes[1:]:
            self.put(f"m_{a.name} = n_{a.name}")
        self._places_of(axes, at, [a.name for a in axes])

    def _walk_row(self, body: Sequence[Statement]) -> None:
        """A row's elements to the threads of a team; each takes the same ones every time."""
        deal = self.deal
        first, hop = self.member, "threads"
        if deal.shares > 1:
            first, hop = "part * threads + thread", "parts * threads"
        self.walk(self.kernel.inner, first, hop, body, deal.width, deal.groups, deal.tail)

    def _row(self, statements: Sequence[Statement]) -> None:
        """All threads compute what is a row's own; one stores and accumulates it."""
        guard = f"{self.member} == 0" + (f" and {self.live}" if self.live else "")
        self.guard, self.adds, self.reports = guard, guard, self.live
        self.statements(statements)
        self.guard, self.adds, self.reports = None, None, ""
        stored = {self.memory(s.operand) for s in statements if isinstance(s, Store)}
        self.known = {p: n for p, n in self.known.items() if p[0] not in stored}

    def _once(self, statements: Sequence[Statement], stores: bool) -> None:
        """All threads compute what is the kernel's own; one stores it, in the last kernel."""
        kept = [s for s in statements if stores or not isinstance(s, Store)]
        self.guard = "thread == 0 and here == 0"
        self.statements(kept)
        self.guard = None

    # --- lanes ------------------------------------------------------------------------

    def _lanes(self) -> None:
        """A strip of lanes to a block; the block's teams take turns along the inner axes."""
        deal, kernel = self.deal, self.kernel
        self.put(f"count = {self._number(kernel.outer)}")
        self.put(f"strips = (count + {deal.team - 1}) // {deal.team}")
        self.put("t = 0")
        if deal.shares > 1:
            self.put("strip, part = high(here, parts), low(here, parts)")
            self._strip()
            return
        self.put("strip = here")
        self.put("while strip < strips:")
        self.depth += 1
        self._strip()
        self.put("strip = strip + blocks")
        self.depth -= 1

    def _strip(self) -> None:
        deal, kernel = self.deal, self.kernel
        self.put(f"lane = strip * {deal.team} + thread % {deal.team}")
        self.put("live = lane < count")
        self.put("if not live:")
        self.put("    lane = count - 1")
        self._here(kernel.outer, "lane")
        self.live = "live"
        turn = f"thread // {deal.team}" if deal.teams > 1 else "int64(0)"
        self.guard = f"{turn} == 0 and live" if deal.teams > 1 else "live"
        first, hop = turn, f"int64({deal.teams})"
        if deal.shares > 1:
            first, hop = f"part * {deal.teams} + {turn}", f"parts * {deal.teams}"
        self.statements(kernel.row)
        for phase in kernel.phases:
            guard, self.guard = self.guard, None
            if self._shared_rows() and self.is_second:
                for a in phase.accumulators:
                    self.collect(a, turn, str(deal.teams), "k * rows + lane", "parts")
            else:
                for a in phase.accumulators:
                    self.start(a, deal.groups)
                self.walk(kernel.inner, first, hop, phase.elem, 1, deal.groups)
                for a in phase.accumulators:
                    self.fold(a, deal.groups)
            for a in phase.accumulators:
                self.combine_apart(a, self.held(a), a.kind in POSITIONS)
                self.put(f"{a.name}[0] = {self.held(a)}")
                if a.kind in POSITIONS:
                    self.put(f"{a.name}_at[0] = {self.held(a)}_at")
            self.guard = guard
            if deal.shares > 1:
                for a in phase.accumulators:
                    self.hand_on(a, guard, "part * rows + lane")
                break
            self.statements(phase.row)
        self.guard, self.live = None, ""

    def _lane_arrays(self) -> dict[str, str]:
        found = dict(self.kernel.arrays)
        for phase in self.kernel.phases:
            for a in phase.accumulators:
                found[a.name] = self.total_dtype(a)
                if a.kind in POSITIONS:
                    found[f"{a.name}_at"] = "int64"
        return found

    def _collect_columns(self) -> None:
        """Sums of columns, a strip to a block, whose teams take turns in what blocks left."""
        deal, inner = self.deal, self.kernel.inner
        turn = f"thread // {deal.team}"
        self.put(f"count = {self._number(inner)}")
        self.put(f"strip = here * {deal.team}")
        self.put("while strip < count:")
        self.depth += 1
        self.put(f"lane = strip + thread % {deal.team}")
        self.put("live = lane < count")
        self.put("if not live:")
        self.put("    lane = count - 1")
        self._here(inner, "lane")
        for a in self.columns:
            total = replace(a, name=f"{a.name}_t", scope="row")
            place = self.index(a.operand)
            self.put(f"{total.name}_p = {a.name}_p")
            form, self.form = self.form, "rows"
            self.collect(total, turn, str(deal.teams), f"k * n_row + {place}", "parts")
            self.combine_apart(total, total.name)
            self.form = form
            # Threads of one lane write the same, and each reads what it wrote.
            self.put(f"{a.operand}[{place}] = {total.name}")
        self.guard = f"{turn} == 0 and live"
        self.statements(self.kernel.columns)
        self.guard = None
        self.put(f"strip = strip + blocks * {deal.team}")
        self.depth -= 1

    def _scatter(self) -> None:
        """Writes to one element keep their order: one thread does them all."""
        own = own_axes(self.kernel)
        others = [a for a in self.kernel.axes if a not in own]
        self.put(f"span = {self._number(own)}")
        self.put("at = here * threads + thread")
        self.put("while at < span:")
        self.depth += 1
        self._here(own, "at")
        self.nest(others, self.kernel.row)
        self.put("at = at + blocks * threads")
        self.depth -= 1

    # --- stores and checks ------------------------------------------------------------

    def store(self, s: Store) -> None:
        if self.guard is None:
            super().store(s)
            return
        # Others may have yet to read what is overwritten, or read it later.
        read = self.memory(s.operand) in self.read_here
        if read:
            self.put("cuda.syncthreads()")
        self.put(f"if {self.guard}:")
        self.depth += 1
        super().store(s)
        self.depth -= 1
        if read:
            self.put("cuda.syncthreads()")

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
