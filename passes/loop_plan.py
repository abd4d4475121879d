"""The plan of a loop: that of its body, and the pointers that move from step to step.

A state of which rows are kept is read from the row before; one of which only the last value
is wanted has one place that steps write over, as updates write over shared variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from graphc.core import dtypes
from graphc.core.graph import Graph, Interner, toposort
from graphc.core.loop import Branch
from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.op import building_with
from graphc.core.plan import Address, Place, Plan, Step, Word
from graphc.ops import scan
from graphc.passes.layout import Layout, Layouts, shape_of
from graphc.passes.loop_bodies import traced
from graphc.passes.lower import itemsize
from graphc.passes.specialise import Sized, materialise


@dataclass(frozen=True)
class Rows:
    """Where a pointer of the body stands in step i: ``start + i * stride`` elements into `base`."""

    base: Variable
    start: int
    stride: int


@dataclass
class Pointer:
    """A pointer of the body.

    Parameters
    ----------
    kind, number
        ``input``, ``output`` or ``shared``, and which.
    later : Rows
        Where it stands.
    early : Rows, optional
        Where it stands in the first `count` steps.
    """

    kind: str
    number: int | SharedVariable
    later: Rows
    early: Rows | None = None
    count: int = 0

    @property
    def fixed(self) -> bool:
        return self.later.stride == 0 and self.early is None


@dataclass
class LoopPlan:
    """A loop whose body has a plan.

    Parameters
    ----------
    results : list of Variable
        What the loop makes.
    prologue : list of (Variable, Variable, int)
        Initial rows that are copied: into which result, what, and from which element on.
    inplace : list of (made, read)
        Results that may be made in the memory of an initial value.
    until : int or None
        Which output of the body is the condition.
    when : (Variable, bool), optional
        The loop is a side of a choice: it takes its one step if this is so.
    """

    name: str
    body: Plan
    steps: int
    results: list[Variable]
    pointers: list[Pointer]
    prologue: list[tuple[Variable, Variable, int]]
    inplace: list[tuple[Variable, Variable]]
    scratch: list[int] = field(default_factory=list)
    until: int | None = None
    count: Variable | None = None
    when: tuple[Variable, bool] | None = None

    @property
    def risky(self) -> bool:
        """Whether a step may stop the call."""
        return any(s.checks or s.routine in ("host", "loop") for s in self.body.steps)


def is_native_loop(results: Sequence[Variable]) -> bool:
    """Whether variables are results of a loop whose body's sizes are known."""
    first = results[0]
    if not scan.is_scan(first) or not isinstance(first.args[0], Constant):
        return False
    loop = first.attrs["loop"]
    inside = toposort([*loop.results, *traced(results)], leaves=frozenset(loop.leaves))
    return all(v.type.known for v in (*loop.leaves, *inside))


def plan_loop(
    results: Sequence[Variable], interner: Interner, layouts: Layouts,
    bind: Callable[[Sized], Plan],
) -> LoopPlan:  # fmt: skip
    """The plan of a loop of which `results` are asked for."""
    return _Planner(results, interner, layouts).run(bind)


class _Planner:
    def __init__(
        self, results: Sequence[Variable], interner: Interner, layouts: Layouts
    ) -> None:
        self.loop, self.args = scan.key_of(results[0])
        self.given = self.loop.split(self.args)
        self.interner, self.layouts = interner, layouts
        self.results = list(results)
        assert isinstance(self.given.steps, Constant)
        self.steps = int(self.given.steps.data)
        self.by_wish = {scan.wanted_of(v): v for v in results}
        self.outputs: list[tuple[Variable, Variable, int]] = []  # inner, result, first element
        self.pointers: list[Pointer] = []
        self.prologue: list[tuple[Variable, Variable, int]] = []
        self.inplace: list[tuple[Variable, Variable]] = []
        self.inputs: list[Variable] = []
        self.cells: dict[SharedVariable, Variable] = {}
        self.origin: dict[Variable, Variable] = {}

    def run(self, bind: Callable[[Sized], Plan]) -> LoopPlan:
        loop = self.loop
        self._want_histories()
        for (of, which), v in self.by_wish.items():
            if of == "rows":
                self.outputs.append((which, v, 0))
            elif of == "history":
                rows = 0 if loop.reverse else loop.states[which].back
                self.outputs.append((loop.states[which].next, v, rows * _row(v)))
                self._put_initial(which, v)
        for k, v in enumerate(loop.slices):
            self._slice(v, self.given.sequences[k])
        for k in range(len(loop.states)):
            self._state(k)
        for leaf, a in zip(loop.constants, self.given.constants):
            layout = self.layouts.of(a)
            self._input(leaf, Rows(a, 0, 0))
            assert layout.contiguous
        until = None
        outputs = [inner for inner, _, _ in self.outputs]
        if loop.until is not None:
            until = len(outputs)
            outputs.append(loop.until)
        body = bind(self._sized(outputs))
        for k, (_, v, first) in enumerate(self.outputs):
            self.pointers.append(Pointer("output", k, self._rows(v, first, _row(v))))
        return LoopPlan(
            loop.name or "loop", body, self.steps, self.results, self.pointers, self.prologue,
            self.inplace, [1] if until is not None else [], until, self.by_wish.get(("count", 0)),
        )  # fmt: skip

    def _want_histories(self) -> None:
        """Make room for states of which only the loop reads rows from further back."""
        for k, state in enumerate(self.loop.states):
            kept = ("rows", state.next) in self.by_wish or ("history", k) in self.by_wish
            if state.taps != (-1,) and not kept:
                with building_with(self.interner):
                    v = self.by_wish["history", k] = scan.history(self.loop, self.args, k)
                self.results.append(v)

    def _sized(self, outputs: Sequence[Variable]) -> Sized:
        updates = tuple(self.cells.items())
        graph = Graph(tuple(self.inputs), tuple(outputs), updates)
        return materialise(Sized(graph, self.interner, self.origin))

    def _rows(self, base: Variable, start: int, row: int) -> Rows:
        """Row t in step t, of rows that begin at an element."""
        if self.loop.reverse:
            return Rows(base, start + (self.steps - 1) * row, -row)
        return Rows(base, start, row)

    def _input(
        self, leaf: Variable, later: Rows, early: Rows | None = None, count: int = 0
    ) -> None:
        self.pointers.append(Pointer("input", len(self.inputs), later, early, count))
        self.inputs.append(leaf)

    def _slice(self, leaf: Variable, sequence: Variable) -> None:
        layout = self.layouts.of(sequence)
        self._input(leaf, self._rows(sequence, 0, layout.strides[0] if layout.strides else 0))

    def _state(self, k: int) -> None:
        state, initial = self.loop.states[k], self.given.initials[k]
        place = next(((v, first) for inner, v, first in self.outputs if inner is state.next), None)
        if place is None:
            self._cell(k)
            return
        v, first = place
        row = _row(v)
        for tap, read in zip(state.taps, state.reads):
            # The rows that steps made begin after the first |tap| steps.
            if self.loop.reverse:
                later = Rows(v, first + (self.steps - 1 - tap) * row, -row)
                early = Rows(initial, (-tap - 1) * row, -row)
            else:
                later = Rows(v, first + tap * row, row)
                early = Rows(initial, (state.back + tap) * row, row)
            self._input(read, later, early, -tap)

    def _cell(self, k: int) -> None:
        """A state in one place: it is updated as a shared variable is."""
        state = self.loop.states[k]
        assert state.taps == (-1,)
        (read,) = state.reads
        zero = np.zeros((), dtypes.numpy_dtype(read.type.dtype))
        name = self.loop.name_of(read)
        cell = SharedVariable(np.broadcast_to(zero, shape_of(read)), name=name)
        v = self.by_wish.get(("final", k))
        if v is None:
            with building_with(self.interner):
                v = scan.final(self.loop, self.args, k)
            self.results.append(v)
        self._put_initial(k, v)
        layout = self.layouts.of(self.given.initials[k])
        others = [self.layouts.of(a).base for a in self.args[1:]].count(layout.base) - 1
        if layout.contiguous and layout.offset == 0 and not layout.dynamic and not others:
            if layout.base.type.nbytes == v.type.nbytes:
                self.inplace.append((v, layout.base))
        self.cells[cell] = state.next
        self.origin[read] = cell
        self.pointers.append(Pointer("shared", cell, Rows(v, 0, 0)))

    def _put_initial(self, k: int, v: Variable) -> None:
        of = v.attrs["of"]
        first = self.steps * _row(v) if of == "history" and self.loop.reverse else 0
        self.prologue.append((v, self.given.initials[k], first))


def _row(v: Variable) -> int:
    """The elements of one row."""
    return prod(shape_of(v)[1:])


def plan_branch(
    results: Sequence[Variable], interner: Interner, layouts: Layouts,
    bind: Callable[[Sized], Plan],
) -> list[LoopPlan]:  # fmt: skip
    """The plans of the sides of a choice of which `results` are asked for."""
    first = results[0]
    branch: Branch = first.attrs["branch"]
    plans = []
    for side, wanted in ((branch.then, True), (branch.otherwise, False)):
        made = [v for v in results if side[v.attrs["which"]] is not None]
        outputs = tuple(side[v.attrs["which"]] for v in made)
        graph = Graph(branch.leaves, outputs)  # type: ignore[arg-type]
        body = bind(materialise(Sized(graph, interner, {})))
        pointers = [
            Pointer("input", k, Rows(a, 0, 0)) for k, a in enumerate(first.args[1:])
        ] + [Pointer("output", k, Rows(v, 0, 0)) for k, v in enumerate(made)]
        plans.append(
            LoopPlan("then" if wanted else "else", body, 1, list(results), pointers, [], [],
                     when=(first.args[0], wanted))
        )  # fmt: skip
    return plans


# --- the step -------------------------------------------------------------------------

Point = Callable[[Layout, Mapping[Variable, Place]], Address]
HEAD = 10  # words before those of the pointers
POINTER_WORDS = 7  # early steps, early start and stride, later start and stride, targets, count


def loop_step(
    plan: LoopPlan, layouts: Layouts, point: Point, places: Mapping[Variable, Place],
    scratch: Sequence[Place],
) -> tuple[Step, list[tuple[int, Layout]]]:  # fmt: skip
    """The step of a loop, and which of its words are moved by what only run time tells.

    Words: number of steps; table and number of the body's steps, and how many pointers stand
    still and how many move, their targets: all filled in when the body is linked; address of
    the condition or 0; of the count or 0; what the walk of the body returned; address of the
    condition under which the loop runs at all, or 0, and what it has to be. Then for each
    pointer, those that stand still first: see `POINTER_WORDS`.
    """
    pointers = sorted(plan.pointers, key=lambda p: not p.fixed)
    until: Word = Address(scratch[0]) if plan.until is not None else 0
    count: Word = Address(places[plan.count]) if plan.count is not None else 0
    fixed = sum(p.fixed for p in pointers)
    words: list[Word] = [plan.steps, 0, 0, fixed, len(pointers), until, count, 0, 0, 0]
    moving: list[tuple[int, Layout]] = []
    if plan.when is not None:
        layout = layouts.of(plan.when[0])
        words[8:10] = [point(layout, places), int(plan.when[1])]
        moving += [(8, layout)] if layout.dynamic else []
    for p in pointers:
        early = p.early or Rows(p.later.base, 0, 0)
        words.append(p.count)
        for rows in (early, p.later):
            layout = layouts.of(rows.base)
            size = itemsize(rows.base.dtype)
            address = point(layout, places)
            if layout.dynamic:
                moving.append((len(words), layout))
            words += [Address(address.place, address.offset + rows.start * size),
                      rows.stride * size]  # fmt: skip
        words += [0, 0]
    count_text = "1 step" if plan.steps == 1 else f"{plan.steps} steps"
    label = f"{plan.name}: {count_text} of {len(plan.body.steps)}"
    if plan.when is not None:
        label = f"{plan.name}: {len(plan.body.steps)} step{'s' * (len(plan.body.steps) != 1)}"
    step = Step(
        "loop", label, words,
        nodes=tuple(plan.results), flops=plan.steps * sum(s.flops for s in plan.body.steps),
        bytes=plan.steps * sum(s.bytes for s in plan.body.steps),
        reads=tuple(str(places[a]) for a in plan.results[0].args if a in places),
        writes=tuple(str(places[v]) for v in plan.results),
        extra=(plan, pointers),
    )  # fmt: skip
    return step, moving
