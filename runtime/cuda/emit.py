"""Kernels for CUDA: how a loop nest is dealt out to threads.

A nest takes one of four forms:

- ``flat``: every element of all axes is one step of one thread (elementwise work, and sums of
  everything);
- ``rows``: a block of threads takes one row, its threads the row's elements (softmax, norms, sums
  of rows); what the threads found is combined in shared memory, as a tree;
- ``lanes``: a thread takes one row alone, where neighbouring rows are neighbours in memory (sums
  along the slow axis);
- ``scatter``: a thread takes all writes to its own elements, in order.

Sums over all rows, and of columns, take two kernels: in the first every block writes what it
found to the work area, the second adds that up. Which thread adds what depends on sizes alone, so
a result is the same every time. Floats are summed in float64.

A kernel's arguments are the addresses of its argument block, of the plan's work area and of the
error record, the step's number plus 1, and how many blocks the first of two kernels has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from graphc.runtime.cuda.bits import loaded, stored
from graphc.runtime.cuda.combine import CELL, Combining, numba_name
from graphc.runtime.statements import POSITIONS

THREADS = 256
"""Most threads of a block: what arrays in shared memory have room for."""
BLOCKS = 1024
"""Most blocks of a kernel; with more rows or elements, blocks take several."""
STEP_BITS = 32
"""In the error record, the number of the step that stopped stands above these bits."""


@dataclass(frozen=True)
class Part:
    """One of a kernel's launches: its source, and how many steps there are to deal out.

    `axes` are those whose sizes multiply to the steps; with `by_block`, each is for a block of
    threads instead of for a thread. `single` asks for one block.
    """

    source: str
    axes: tuple[int, ...]
    by_block: bool = False
    single: bool = False


@dataclass(frozen=True)
class Emitted:
    """The launches of a kernel, and the room it wants in the work area.

    Every block of the first launch wants `cells` values there, and `rows` values for each
    element of a row.
    """

    parts: tuple[Part, ...]
    cells: int = 0
    rows: int = 0


def emit(kernel: Kernel) -> Emitted:
    """The sources of a kernel for CUDA; equal kernels have equal sources."""
    kernel = widened(kernel)
    form = form_of(kernel)
    writer = _Writer(kernel, form)
    first = writer.first()
    parts = [Part(first, writer.dealt, form == "rows", writer.needs_one_block(last=not writer.two))]
    if writer.two:
        second = _Writer(kernel, form)
        axes = second.numbers(kernel.inner) if kernel.columns else ()
        parts.append(Part(second.second(), axes, single=second.needs_one_block(last=True)))
    cross = [a for a in kernel.cross if a.scope == "cross"]
    cells = sum(2 if a.kind in POSITIONS else 1 for a in cross)
    rows = len(kernel.cross) - len(cross) + len(writer.stashes)
    return Emitted(tuple(parts), cells, rows)


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


class _Writer(Combining):
    def __init__(self, kernel: Kernel, form: str) -> None:
        super().__init__(kernel, form)
        self.dealt: tuple[int, ...] = ()
        self.stashes = stashes(kernel)
        self.two = bool(kernel.cross or kernel.post or kernel.columns)
        self.is_second = False
        self.guard: str | None = None  # the condition under which a thread stores, if not always

    # --- whole kernels ----------------------------------------------------------------

    def first(self) -> str:
        """The kernel, or the first of two."""
        self._start()
        self._places()
        for a in self.kernel.cross:
            if a.scope == "cross":
                self.start(a)
        self._once(self.kernel.top, stores=not self.two)
        for a in self.kernel.cross:
            if a.scope == "column":
                self._deal_inner(lambda a=a: self.clear_column(a))
        {"flat": self._flat, "rows": self._rows, "lanes": self._lanes, "scatter": self._scatter}[
            self.form
        ]()
        for a in self.kernel.cross:
            if a.scope == "cross":
                self.tree(a)
                self.hand_on(a)
        return self._text()

    def second(self) -> str:
        """The second of two kernels: what blocks found is combined, and what follows from it."""
        self.is_second = True
        self._start()
        self._places()
        for a in self.kernel.cross:
            if a.scope == "cross":
                self.collect(a)
        self._once(self.kernel.top, stores=True)
        self._once(self.kernel.post, stores=True)
        columns = [a for a in self.kernel.cross if a.scope == "column"]
        if self.kernel.columns or columns:

            def body() -> None:
                for a in columns:
                    self.collect_column(a)
                self.statements(self.kernel.columns)

            self._deal(self.kernel.inner, body)
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
        kept = [a for a in self.kernel.cross if a.scope == "column"]
        if not self.kernel.cross and not self.stashes:
            return
        self.put("place = work")
        for a in self.kernel.cross:
            if a.scope != "cross":
                continue
            self.put(f"{a.name}_p = at_{self.total_dtype(a)}(place)")
            self.put(f"place = place + parts * {CELL}")
            if a.kind in POSITIONS:
                self.put(f"{a.name}_q = at_int64(place)")
                self.put(f"place = place + parts * {CELL}")
        if kept or self.stashes:
            self.put(f"n_row = {self._count(self.kernel.inner)}")
        for a in kept:
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
        stored = {self._memory(s.operand) for s in once if isinstance(s, Store)}
        return any(self._memory(s.operand) in stored for s in self._all() if isinstance(s, Load))

    def _memory(self, operand: str) -> str:
        return self.operands[operand].alias or operand

    def _all(self) -> list[Statement]:
        k = self.kernel
        found = k.top + k.row + k.post + k.columns
        for p in k.phases:
            found = found + p.elem + p.row
        return found

    # --- dealing out ------------------------------------------------------------------

    def numbers(self, axes: Sequence[Axis]) -> tuple[int, ...]:
        return tuple(self.kernel.axes.index(a) for a in axes)

    def _count(self, axes: Sequence[Axis]) -> str:
        return " * ".join(f"n_{a.name}" for a in axes) or "1"

    def _decompose(self, axes: Sequence[Axis], at: str) -> None:
        """The indices of axes from a position among all their steps."""
        if len(axes) == 1:
            self.put(f"{axes[0].name} = {at}")
            return
        rest = at
        for k, a in reversed(list(enumerate(axes))):
            if k == 0:
                self.put(f"{a.name} = {rest}")
            else:
                self.put(f"{a.name} = {rest} % n_{a.name}")
                self.put(f"rest_{k} = {rest} // n_{a.name}")
                rest = f"rest_{k}"

    def _loop(self, axes: Sequence[Axis], span: str, at: str, body: Callable[[], None]) -> None:
        before = self.depth
        self.put(f"for {at} in range({span}):")
        self.depth += 1
        self._decompose(axes, at)
        body()
        self.depth = before

    def _deal(self, axes: Sequence[Axis], body: Callable[[], None]) -> None:
        """To all threads of all blocks, neighbours to neighbours."""
        self.dealt = self.numbers(axes)
        total = self._count(axes)
        self._loop(axes, f"here * threads + thread, {total}, blocks * threads", "at", body)

    def _deal_inner(self, body: Callable[[], None]) -> None:
        """A row's elements to the threads of a block; each takes the same ones every time."""
        inner = self.kernel.inner
        self._loop(inner, f"thread, {self._count(inner)}, threads", "at", body)

    def _flat(self) -> None:
        k = self.kernel

        def body() -> None:
            self.statements(k.row)
            for p in k.phases:
                self.statements(p.elem)
                self.statements(p.row)

        if k.row or any(p.elem or p.row for p in k.phases):
            self._deal(k.axes, body)

    def _rows(self) -> None:
        outer = self.kernel.outer
        self.dealt = self.numbers(outer)

        def body() -> None:
            self._row(self.kernel.row)
            for phase in self.kernel.phases:
                for a in phase.accumulators:
                    self.start(a)
                if phase.elem:
                    self._deal_inner(lambda phase=phase: self.statements(phase.elem))
                for a in phase.accumulators:
                    self.tree(a)
                self._row(phase.row)

        self._loop(outer, f"here, {self._count(outer)}, blocks", "row", body)

    def _row(self, statements: Sequence[Statement]) -> None:
        """All threads compute what is a row's own; one stores and accumulates it."""
        self.guard = self.adds = "thread == 0"
        self.statements(statements)
        self.guard = self.adds = None

    def _once(self, statements: Sequence[Statement], stores: bool) -> None:
        """All threads compute what is the kernel's own; one stores it, in the last kernel."""
        kept = [s for s in statements if stores or not isinstance(s, Store)]
        self.guard = "thread == 0 and here == 0"
        self.statements(kept)
        self.guard = None

    def _lanes(self) -> None:
        def body() -> None:
            self.put("t = 0")
            self.statements(self.kernel.row)
            for phase in self.kernel.phases:
                for a in phase.accumulators:
                    self.start(a)
                self.nest(self.kernel.inner, phase.elem)
                self.statements(phase.row)

        self._deal(self.kernel.outer, body)

    def _lane_arrays(self) -> dict[str, str]:
        found = dict(self.kernel.arrays)
        for phase in self.kernel.phases:
            for a in phase.accumulators:
                found[a.name] = self.total_dtype(a)
                if a.kind in POSITIONS:
                    found[f"{a.name}_at"] = "int64"
        return found

    def _scatter(self) -> None:
        """Writes to one element keep their order: one thread does them all."""
        stored = [s.operand for s in self.kernel.row if isinstance(s, Store)]
        own = [
            a for k, a in enumerate(self.kernel.axes)
            if all(self.operands[name].strides[k] != 0 for name in stored)
        ]  # fmt: skip
        others = [a for a in self.kernel.axes if a not in own]
        self._deal(own, lambda: self.nest(others, self.kernel.row))

    # --- stores and checks ------------------------------------------------------------

    def store(self, s: Store) -> None:
        if self.guard is None:
            super().store(s)
            return
        self.put("cuda.syncthreads()")
        self.put(f"if {self.guard}:")
        self.depth += 1
        super().store(s)
        self.depth -= 1
        self.put("cuda.syncthreads()")

    def loaded(self, operand: str, element: str) -> str:
        return loaded(self.operands[operand].dtype, element)

    def stored(self, operand: str, value: str) -> str:
        return stored(self.operands[operand].dtype, value)

    def error_record(self, word: int) -> None:
        """It is an argument of every kernel."""

    def check(self, s: Check) -> None:
        """Note a bad index, and go on with a good one: threads wait for each other."""
        self.put(f"if {s.index} < 0 or {s.index} >= {s.size}:")
        self.put(f"    failed(error, step, {s.code}, int64({s.given}), int64({s.size}))")
        self.put(f"    {s.index} = int64(0)")


def steps_of(part: Part, extents: Sequence[int]) -> int:
    """How many steps a launch deals out."""
    return prod(extents[k] for k in part.axes)
