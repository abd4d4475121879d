"""The steps of tasks whose values have places: one native (or host) call each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.dtypes import wide
from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.op import Scalar, Update
from graphc.core.plan import Address, Place, Real, Split, Step, Word, WordAddress
from graphc.passes.blas import BLAS_DTYPES
from graphc.passes.compressed import OPERANDS as COMPRESSED
from graphc.passes.compressed import compressed_step, is_compressed
from graphc.passes.convolution import convolution_step, is_native, operand_words, work_of
from graphc.passes.copies import copy_nest, scatter_nest
from graphc.passes.depthwise import WORDS as DEPTHWISE_WORDS
from graphc.passes.depthwise import depthwise_step, is_depthwise
from graphc.passes.group import NATIVE, Group, Task
from graphc.passes.hosts import for_host
from graphc.passes.implicit import implicit_step, is_implicit
from graphc.passes.implicit import operand_words as implicit_words
from graphc.passes.layout import Layout, Layouts, part_layout, shape_of
from graphc.passes.loop_plan import LoopPlan, loop_step
from graphc.passes.lower import (
    Launch,
    alias,
    constant_scalar,
    itemsize,
    kernel_step,
    whole,
)
from graphc.passes.memory import Assignment
from graphc.passes.nest import Nest
from graphc.passes.operands import Binding
from graphc.passes.pooling import OPERANDS, WORDS, is_pooling, pooling_step
from graphc.passes.running import is_running, running_step
from graphc.passes.solvers import is_solved, solver_step
from graphc.passes.stacked import is_stacked, stacked_step

PAGE = 4096  # bytes: what is copied by one of several threads
SHORT = 128  # steps of an inner loop below which masked vectors are faster


@dataclass(frozen=True)
class Product:
    """A matrix product as a library sees it: sizes, strides in elements, scales."""

    m: int
    n: int
    k: int
    dtype: str
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]
    c_row: int
    beta: float


class Steps:
    """Writes the steps of tasks, one after the other.

    Parameters
    ----------
    layouts : Layouts
        Of the graph's variables.
    nests, pairs : dict
        Of each group, its loop nest, and what it may overwrite.
    loops : dict
        Of each task with bodies, the plans of these.
    target : str
        Where the steps will run: it says which kernels there are.
    """

    def __init__(
        self,
        layouts: Layouts,
        nests: dict[Task, Nest],
        pairs: dict[Task, list[tuple[Variable, Variable, str]]],
        loops: dict[Task, list[LoopPlan]],
        target: str = "cpu",
    ) -> None:
        self.layouts, self.nests, self.pairs, self.loops = layouts, nests, pairs, loops
        self.target = target
        self.steps: list[Step] = []
        self.made: dict[Variable, int] = {}  # the first step that may read it
        self.known: dict[int, int] = {}  # of steps that look at an index; see `hoist`

    def add(
        self, t: Task, found: Assignment, scratch: Sequence[Place],
        aliases: Sequence[tuple[Variable, Variable]],
    ) -> None:  # fmt: skip
        if isinstance(t, Group):
            nest = self.nests[t]
            for made, read, written in self.pairs[t]:
                if (made, read) in aliases:
                    nest.kernel = alias(nest, read, written)
            cost = sum(_work(v) for v in t.members)
            launch = Launch(nest, _label(t.members), (*t.members, *t.joined), flops=cost)
            self._launch(launch, found.places, scratch)
            return
        if t in self.loops:
            for loop in self.loops[t]:
                self._loop(loop, found.places, scratch, aliases)
            return
        kind = kind_of(t.node, self.target)
        if kind == "product":
            self._product(t.node, found.places, bool(aliases))
        elif kind == "convolution":
            self._convolution(t.node, found.places, scratch)
        elif kind in _ALONE:
            _ALONE[kind](self, t.node, found.places)
        elif kind == "update":
            self._update(t.node, found.places, bool(aliases))
        else:
            for v in t.members:  # several results of a loop that is interpreted
                if v in found.places:
                    self._host(v, found.places)

    def _launch(
        self, launch: Launch, places: Mapping[Variable, Place], scratch: Sequence[Place] = (),
        splittable: bool = True,
    ) -> None:  # fmt: skip
        nest = launch.nest
        nest.kernel.short = _has_short_rows(nest)
        step = kernel_step(launch, places, scratch, splittable)
        names = [name for kind, name, _ in nest.kernel.words() if kind == "pointer"]
        moving = [
            (word, lay) for word, name in enumerate(names)
            if (lay := nest.bindings[name].layout) is not None and lay.dynamic
        ]  # fmt: skip
        target = len(self.steps) + sum(len(lay.dynamic) for _, lay in moving)
        for word, lay in moving:
            self._offsets(step, word, lay, places, target)
        step.reads = tuple(
            self._place_text(nest.bindings[o.name], places)
            for o in nest.kernel.operands if not o.written
        )  # fmt: skip
        step.writes = tuple(
            self._place_text(nest.bindings[o.name], places)
            for o in nest.kernel.operands if o.written
        )  # fmt: skip
        self.steps.append(step)

    def _place_text(self, b: Binding, places: Mapping[Variable, Place]) -> str:
        if b.scratch:
            return "scratch"
        base = b.node if b.layout is None else b.layout.base
        assert base is not None
        return str(places[base]) if base in places else "constant"

    def _pointer(self, layout: Layout, places: Mapping[Variable, Place]) -> Address:
        base = layout.base
        place = places.get(base)
        if place is None:
            assert isinstance(base, Constant)
            place = Place("constant", 0, base.data)
        return Address(place, layout.offset * itemsize(base.dtype))

    def _product(self, v: Variable, places: Mapping[Variable, Place], inplace: bool) -> None:
        accumulates = v.op is not None and v.op.name == "gemm"
        a, b = v.args[1:3] if accumulates else v.args
        alpha: Any = constant_scalar(v.args[3]) if accumulates else 1.0
        beta: Any = constant_scalar(v.args[4]) if accumulates else 0.0
        if accumulates and beta != 0 and not inplace:
            self._copy_into(v, v.args[0], places)
        la, lb = self.layouts.of(a), self.layouts.of(b)
        m, k = shape_of(a)
        n = shape_of(b)[1]
        known = float("nan") if beta is None else float(beta)
        product = Product(m, n, k, wide(v.dtype), la.strides, lb.strides, n, known)
        words: list[Word] = [
            self._pointer(la, places), self._pointer(lb, places), Address(places[v]), m, n, k,
            *la.strides, *lb.strides, n,
            Real(0.0 if alpha is None else float(alpha)),
            Real(0.0 if beta is None else float(beta)),
        ]  # fmt: skip
        step = Step(
            "gemm", f"{m}x{k} @ {k}x{n}" + (" accumulated" if accumulates else ""), words,
            nodes=(v,), flops=2.0 * m * n * k,
            bytes=float(itemsize(a.dtype) * (m * k + k * n)
                        + itemsize(v.dtype) * m * n * (1 + (beta != 0))),
            reads=(str(words[0].place), str(words[1].place)),  # type: ignore[union-attr]
            writes=(str(places[v]),), extra=product,
        )  # fmt: skip
        moving = [(w, lay) for w, lay in ((0, la), (1, lb)) if lay.dynamic]
        scales = [(w, s) for w, s, c in ((11, v.args[3:4], alpha), (12, v.args[4:5], beta))
                  if c is None]  # fmt: skip
        first = len(self.steps)
        target = first + sum(len(lay.dynamic) for _, lay in moving) + len(scales)
        for word, scale in scales:
            source = self.layouts.of(scale[0])
            self.steps.append(
                Step(f"scale_{v.dtype}", "coefficient", [
                    Address(places[source.base], source.offset * itemsize(v.dtype)),
                    WordAddress(target, word),
                ], nodes=(v,))
            )  # fmt: skip
        for word, lay in moving:
            self._offsets(step, word, lay, places, target)
        self.steps.append(step)

    def _convolution(
        self, v: Variable, places: Mapping[Variable, Place], scratch: Sequence[Place]
    ) -> None:
        layouts = [self.layouts.of(a) for a in v.args[:2]]
        work = work_of(v, layouts[1])
        addresses = [self._pointer(layout, places) for layout in layouts]
        step = convolution_step(v, work, layouts, addresses, places, scratch)
        self._moved(step, list(zip(operand_words(work), layouts)), places)

    def _implicit(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        layouts = [self.layouts.of(a) for a in v.args[:2]]
        addresses = [self._pointer(layout, places) for layout in layouts]
        stacked = is_stacked(v)
        step = (stacked_step if stacked else implicit_step)(v, layouts, addresses, places)
        self._moved(step, list(zip((0, 1) if stacked else implicit_words(v), layouts)), places)

    def _depthwise(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        layouts = [self.layouts.of(a) for a in v.args[:2]]
        addresses = [self._pointer(layout, places) for layout in layouts]
        step = depthwise_step(v, layouts, addresses, places)
        self._moved(step, [(DEPTHWISE_WORDS * k, lay) for k, lay in enumerate(layouts)], places)

    def _pooling(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        layouts = [self.layouts.of(a) for a in v.args[: OPERANDS[v.op.name]]]  # type: ignore[union-attr]
        addresses = [self._pointer(layout, places) for layout in layouts]
        step = pooling_step(v, layouts, addresses, places)
        self._moved(step, [(WORDS * k, lay) for k, lay in enumerate(layouts)], places)

    def _compressed(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        assert v.op is not None
        layouts = [self.layouts.of(v.args[k]) for k in COMPRESSED[v.op.name]]
        addresses = [self._pointer(layout, places) for layout in layouts]
        step, starts = compressed_step(v, layouts, addresses, places)
        self._moved(step, list(zip(starts, layouts)), places)

    def _running(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        layouts = [self.layouts.of(a) for a in v.args]
        addresses = [self._pointer(layout, places) for layout in layouts]
        step, starts = running_step(v, layouts, addresses, places)
        self._moved(step, list(zip(starts, layouts)), places)

    def _moved(
        self, step: Step, pointers: Sequence[tuple[int, Layout]], places: Mapping[Variable, Place]
    ) -> None:
        """Add a step behind those that move its pointers to parts of arrays."""
        moving = [(word, lay) for word, lay in pointers if lay.dynamic]
        target = len(self.steps) + sum(len(lay.dynamic) for _, lay in moving)
        for word, lay in moving:
            self._offsets(step, word, lay, places, target)
        self.steps.append(step)

    def _offsets(
        self, step: Step, word: int, layout: Layout, places: Mapping[Variable, Place], target: int
    ) -> None:
        """Steps that move pointer `word` of step `target` by what only run time tells."""
        size = itemsize(layout.base.dtype)
        for k, d in enumerate(layout.dynamic):
            maker = self.layouts.of(d.index).base
            self.known[len(self.steps)] = self.made.get(maker, 0)
            index = places[maker]
            words: list[Word] = [
                step.words[word] if k == 0 else 0, Address(index), d.size, d.stride * size,
                int(d.checked), WordAddress(target, word), Address(Place("error")),
            ]  # fmt: skip
            self.steps.append(
                Step("offset", "pointer of a part", words, nodes=(d.owner,), checks=[d.owner])
            )

    def _copy_into(self, v: Variable, source: Variable, places: Mapping[Variable, Place]) -> None:
        number = constant_scalar(source)
        layout = whole(v) if number is not None else self.layouts.of(source)
        nest = copy_nest(whole(v), layout, v.dtype, constant=number)
        self._launch(Launch(nest, f"copy for {_name(v)}", (v,)), places)

    def store_shared(self, s: SharedVariable, v: Variable, place: Place) -> None:
        """A new value that could not be made in its variable's memory is copied there."""
        target = Place("shared", 0, s)
        self.steps.append(
            Step("copy_bytes", f"update of {s.name or 'a shared variable'}",
                 [Address(target), Address(place)], 0, v.type.nbytes, nodes=(v,),
                 bytes=2.0 * v.type.nbytes, reads=(str(place),), writes=(str(target),),
                 split=Split(v.type.nbytes, PAGE))
        )  # fmt: skip

    def _update(self, v: Variable, places: Mapping[Variable, Place], inplace: bool) -> None:
        if not inplace:
            self._copy_into(v, v.args[0], places)
        assert v.op is not None
        if v.op.name == "scatter":
            nest = scatter_nest(v, whole(v), self.layouts)
            self._launch(Launch(nest, _name(v), (v,), flops=float(v.type.size)), places, (), False)
            return
        target = window_of(v)
        value = v.args[1]
        number = constant_scalar(value)
        source = target if number is not None else self.layouts.of(value)
        nest = copy_nest(target, source, v.dtype, v.attrs["mode"], number)
        self._launch(Launch(nest, _name(v), (v,)), places)

    def _join(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        axis = v.attrs.get("axis", 0)
        full = whole(v)
        start = 0
        for a in v.args:
            shape = shape_of(a) or (1,)
            target = Layout(v, shape, full.strides, start * full.strides[axis])
            number = constant_scalar(a)
            source = target if number is not None else self.layouts.of(a)
            nest = copy_nest(target, source, v.dtype, constant=number)
            self._launch(Launch(nest, f"{_name(v)}: part", (v,)), places)
            start += shape[axis]

    def _loop(
        self, loop: LoopPlan, places: Mapping[Variable, Place], scratch: Sequence[Place],
        aliases: Sequence[tuple[Variable, Variable]],
    ) -> None:  # fmt: skip
        """Initial rows are put where the loop goes on from them; then it runs."""
        overwritten = {made for made, _ in aliases}
        for v, initial, offset in loop.prologue:
            if v not in overwritten:
                self._put(v, initial, offset, places)
        step, moving = loop_step(loop, self.layouts, self._pointer, places, scratch)
        self._moved(step, moving, places)

    def _put(
        self, v: Variable, source: Variable, offset: int, places: Mapping[Variable, Place]
    ) -> None:
        """Write rows of a variable's buffer, from a number of elements on."""
        shape = shape_of(source)
        target = Layout(v, shape, whole(v).strides, offset)
        number = constant_scalar(source)
        layout = target if number is not None else self.layouts.of(source)
        nest = copy_nest(target, layout, v.dtype, constant=number)
        self._launch(Launch(nest, f"initial rows of {_name(v)}", (v,)), places)

    def _solver(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        layouts = [self.layouts.of(a) for a in v.args]
        addresses = [self._pointer(layout, places) for layout in layouts]
        host = self._for_host(v, places)
        step, starts = solver_step(v, layouts, addresses, places[v], host)
        self._moved(step, list(zip(starts, layouts)), places)

    def _host(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        self.steps.append(
            Step("host", _name(v), [], nodes=(v,), extra=self._for_host(v, places),
                 writes=(str(places[v]),))
        )  # fmt: skip

    def _for_host(self, v: Variable, places: Mapping[Variable, Place]) -> tuple[Any, ...]:
        return for_host(v, self.layouts, lambda layout: self._pointer(layout, places), places)


_ALONE = {
    "implicit": Steps._implicit, "depthwise": Steps._depthwise, "pooling": Steps._pooling,
    "compressed": Steps._compressed, "running": Steps._running, "join": Steps._join,
    "solver": Steps._solver, "stacked": Steps._implicit,
}  # fmt: skip
"""By its kind, what writes the step of an op that needs only places."""


def kind_of(v: Variable, target: str = "cpu") -> str:
    """By what the one op of a task is done on a target."""
    op = v.op
    assert op is not None
    if op.name in ("dot", "gemm") and wide(v.dtype) in BLAS_DTYPES:
        return "product"
    if target == "cuda" and (is_implicit(v) or is_stacked(v)):
        return "implicit" if is_implicit(v) else "stacked"
    if is_native(v):
        return "convolution"
    if is_depthwise(v):
        return "depthwise"
    if is_pooling(v):
        return "pooling"
    if is_compressed(v):
        return "compressed"
    if is_running(v):
        return "running"
    if target == "cuda" and is_solved(v):
        return "solver"
    if isinstance(op.lower, Update) and v.dtype in NATIVE:
        return "update"
    return "join" if op.name in ("join", "make_vector") and v.dtype in NATIVE else "host"


def window_of(v: Variable) -> Layout:
    """The layout of the part of its own buffer that an update writes."""
    return part_layout(v, whole(v), v.args[2:])


def _has_short_rows(nest: Nest) -> bool:
    """Whether the innermost loop is inside another and takes few steps."""
    if len(nest.extents) < 2:
        return False
    innermost = len(nest.kernel.outer) - 1 if nest.kernel.lanes else len(nest.extents) - 1
    return nest.extents[innermost] < SHORT


def _work(v: Variable) -> float:
    count = v.args[0].type.size if v.args and v.args[0].type.known else v.type.size
    cost = v.op.lower.cost if v.op is not None and isinstance(v.op.lower, Scalar) else 1.0
    return float(max(count, v.type.size)) * cost


def _name(v: Variable) -> str:
    assert v.op is not None
    return f"{v.name}: {v.op.name}" if v.name else v.op.name


def _label(members: Sequence[Variable]) -> str:
    names = [v.op.name for v in members if v.op is not None]
    return ", ".join(names[:8]) + (f", ... {len(names)} in all" if len(names) > 8 else "")
