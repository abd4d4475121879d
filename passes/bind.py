"""Binding: from an optimised graph and the sizes of one call to a plan.

Nothing is compiled here; it is planning, in milliseconds, and its result is kept per set
of sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.op import Scalar, Update
from graphc.core.plan import Address, Place, Plan, Real, Step, Word, WordAddress
from graphc.passes.blas import BLAS_DTYPES
from graphc.passes.fuse import NATIVE, Fuser, Group, Single, Task
from graphc.passes.hazards import checked_indices, has_checks, hoist, stored_too_early
from graphc.passes.layout import Layout, Layouts, part_layout, shape_of, trace
from graphc.passes.lower import (
    Launch,
    alias,
    collapse,
    constant_scalar,
    copy_nest,
    inplace_pairs,
    itemsize,
    kernel_step,
    scatter_nest,
    whole,
)
from graphc.passes.memory import Assignment, Demand, assign
from graphc.passes.nest import Nest, build_nest
from graphc.passes.operands import Binding
from graphc.passes.order import schedule
from graphc.passes.recompute import recompute
from graphc.passes.specialise import Sized

STEP_SECONDS, BYTES_PER_SECOND = 40e-9, 1e10  # what a step costs besides its memory traffic


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


class Binder:
    """Turns one sized graph into a plan."""

    def __init__(self, sized: Sized, limit: int) -> None:
        self.sized = sized
        self.graph = sized.graph
        self.layouts = Layouts()
        self.fuser = Fuser(self.layouts, limit)
        self.steps: list[Step] = []
        self.nests: dict[Task, Nest] = {}
        self.outputs: dict[Task, list[Variable]] = {}
        self.reads: dict[Task, list[Variable]] = {}
        self.readers_of: dict[Variable, list[Task]] = {}
        self.pairs: dict[Task, list[tuple[Variable, Variable, str]]] = {}
        self.made: dict[Variable, int] = {}  # the first step that may read it
        self.known: dict[int, int] = {}  # of steps that look at an index; see `hoist`

    def run(self) -> Plan:
        order = self.graph.nodes()
        self.readers = Counter(a for v in order for a in v.args)
        self.readers.update(self.graph.roots)
        tasks = self.fuser.run(order)
        self._find_outputs(tasks)
        recompute(
            tasks, self.outputs, self.readers_of, self.graph.roots, self.graph.inputs
        )
        tasks = [t for t in tasks if self.outputs[t]]  # others are done where they are read
        for t in tasks:
            self._analyse(t)
        leaf_of = {s: leaf for leaf, s in self.sized.origin.items()}
        roots = [new for _, new in self.graph.updates]
        chains = {new: self._chain(new) for new in roots}
        updated = {
            leaf_of[s]: self.fuser.task_of[chains[new][0]]
            for (s, _), new in zip(self.graph.updates, roots)
            if s in leaf_of
        }
        ordered = schedule(
            tasks, self.reads, self.outputs, lambda v: v.type.nbytes, updated,
            self._find_risky(tasks),
        )  # fmt: skip
        demands = [self._demand(t) for t in ordered]
        self._find_exposed(ordered, demands)
        numbers = {v: k for k, v in enumerate(self.graph.outputs)}
        updates = {
            v: (s, leaf_of.get(s))
            for (s, _), new in zip(self.graph.updates, roots)
            for v in chains[new]
        }
        found = assign(demands, numbers, updates, self._leaf_places(), set(roots))
        for k, t in enumerate(ordered):
            self._lower(t, found, found.scratch[k], found.aliases[k])
            self.made.update(dict.fromkeys(self.outputs[t], len(self.steps)))
        self.steps = hoist(self.steps, self.known)
        outputs = [(v.dtype, shape_of(v)) for v in self.graph.outputs]
        moved = []
        for s, v in found.late:
            if s.storage.array.shape == shape_of(v):
                self._store_shared(s, v, found.places[v])
            else:
                moved.append((s, v, found.places[v]))
        return Plan(
            self.steps, found.places, found.total, list(self.graph.inputs), outputs, moved=moved,
            updated=[s for s, _ in self.graph.updates], guards=frozenset(self.graph.guards),
        )  # fmt: skip

    def _chain(self, new: Variable) -> list[Variable]:
        """A new value made by products that accumulate into one memory, first one first."""
        chain = [new]
        readers = self.readers
        while chain[0].op is not None and chain[0].op.name == "gemm":
            before = chain[0].args[0]
            if before.op is None or before.op.name != "gemm" or readers[before] != 1:
                break
            chain.insert(0, before)
        return chain

    def _leaf_places(self) -> dict[Variable, Place]:
        places: dict[Variable, Place] = {}
        for k, v in enumerate(self.graph.inputs):
            places[v] = Place("input", k)
        for leaf, origin in self.sized.origin.items():
            if isinstance(origin, SharedVariable):
                places[leaf] = Place("shared", 0, origin)
        return places

    # --- what tasks read and leave ----------------------------------------------------

    def _find_outputs(self, tasks: Sequence[Task]) -> None:
        wanted: set[Variable] = set(self.graph.roots)
        for t in tasks:
            for v in t.members if isinstance(t, Group) else [t.node]:
                for k, a in enumerate(v.args):
                    source, _ = trace(a)
                    gathered = v.op is not None and v.op.name == "gather" and k == 0
                    inside = isinstance(t, Group) and source in t.domain and not gathered
                    if not inside:
                        for u in self.fuser.sources(a):
                            wanted.add(u)
                            if t not in self.readers_of.setdefault(u, []):
                                self.readers_of[u].append(t)
        for t in tasks:
            members = t.members if isinstance(t, Group) else [t.node]
            self.outputs[t] = [v for v in members if v in wanted]

    def _analyse(self, t: Task) -> None:
        """Make a group's nest, and find what a task reads from memory."""
        if isinstance(t, Group):
            nest = collapse(build_nest(t, self.outputs[t], self.layouts))
            self.nests[t] = nest
            self.pairs[t] = inplace_pairs(nest)
            found: dict[Variable, None] = {}
            for b in nest.bindings.values():
                if b.layout is not None:
                    found.update(dict.fromkeys(_bases(b.layout)))
            self.reads[t] = [v for v in found if not isinstance(v, Constant)]
            return
        found = {}
        for k, a in enumerate(t.node.args):
            if k in (t.node.op.shape_only if t.node.op else ()):
                continue
            if constant_scalar(a) is None:
                found.update(dict.fromkeys(_bases(self.layouts.of(a))))
        self.reads[t] = [v for v in found if not isinstance(v, Constant)]

    def _demand(self, t: Task) -> Demand:
        demand = Demand(self.reads[t], self.outputs[t])
        if isinstance(t, Group):
            nest = self.nests[t]
            demand.inplace = [(made, read) for made, read, _ in self.pairs[t]]
            demand.scratch = [
                b.scratch * itemsize(o.dtype)
                for o in nest.kernel.operands
                if (b := nest.bindings[o.name]).scratch
            ]
        else:
            base = self._overwritten(t)
            if base is not None:
                demand.inplace = [(t.node, base)]
        return demand

    def _overwritten(self, t: Single) -> Variable | None:
        """The buffer that an update or an accumulating product could write over."""
        op = t.node.op
        if op is None or not (isinstance(op.lower, Update) or op.name == "gemm"):
            return None
        first = t.node.args[0]
        if constant_scalar(first) is not None:
            return None
        layout = self.layouts.of(first)
        others = [self.layouts.of(a).base for a in t.node.args[1:] if constant_scalar(a) is None]
        exact = layout.offset == 0 and not layout.dynamic and layout.contiguous
        same_size = layout.base.type.nbytes == t.node.type.nbytes
        return layout.base if exact and same_size and layout.base not in others else None

    # --- errors -----------------------------------------------------------------------

    def _find_risky(self, tasks: Sequence[Task]) -> set[Task]:
        """The tasks that may stop a call, by themselves or by an index that they make."""
        found: set[Task] = set()
        for t in tasks:
            found.update(self.fuser.task_of[v] for v in self._indices(t) if v.op is not None)
            if has_checks(self.nests[t]) if isinstance(t, Group) else _kind(t.node) == "host":
                found.add(t)
        return found

    def _indices(self, t: Task) -> list[Variable]:
        """The scalar indices that are checked before a task."""
        if isinstance(t, Group):
            found = [b.layout for b in self.nests[t].bindings.values() if b.layout is not None]
        elif _kind(t.node) == "host":
            return []
        else:
            found = [self.layouts.of(a) for a in t.node.args]
            if t.node.op is not None and t.node.op.name == "update_subtensor":
                found.append(_window_of(t.node))
        return [self.layouts.of(v).base for v in checked_indices(found)]

    def _find_exposed(self, ordered: Sequence[Task], demands: Sequence[Demand]) -> None:
        """Mark what is written before everything that may stop the call has run."""
        risky = self._find_risky(ordered)
        indices = {v for t in ordered for v in self._indices(t)}
        last = max((k for k, t in enumerate(ordered) if t in risky), default=-1)
        for k, (t, demand) in enumerate(zip(ordered[: last + 1], demands)):
            if k < last or not indices.isdisjoint(demand.makes):
                demand.exposed = set(demand.makes)
            elif isinstance(t, Group):
                demand.exposed = stored_too_early(self.nests[t])

    # --- steps ------------------------------------------------------------------------

    def _lower(
        self, t: Task, found: Assignment, scratch: Sequence[Place],
        aliases: Sequence[tuple[Variable, Variable]],
    ) -> None:  # fmt: skip
        if isinstance(t, Group):
            nest = self.nests[t]
            for made, read, written in self.pairs[t]:
                if (made, read) in aliases:
                    nest.kernel = alias(nest, read, written)
            cost = sum(_work(v) for v in t.members)
            launch = Launch(nest, _label(t.members), tuple(t.members), flops=cost)
            self._launch(launch, found.places, scratch)
            return
        kind = _kind(t.node)
        if kind == "product":
            self._product(t.node, found.places, bool(aliases))
        elif kind == "update":
            self._update(t.node, found.places, bool(aliases))
        elif kind == "join":
            self._join(t.node, found.places)
        else:
            self._host(t.node, found.places)

    def _launch(
        self, launch: Launch, places: Mapping[Variable, Place], scratch: Sequence[Place] = (),
        splittable: bool = True,
    ) -> None:  # fmt: skip
        nest = launch.nest
        step = kernel_step(launch, places, scratch, splittable and _splits(nest))
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
        product = Product(m, n, k, v.dtype, la.strides, lb.strides, n, known)
        words: list[Word] = [
            self._pointer(la, places), self._pointer(lb, places), Address(places[v]), m, n, k,
            *la.strides, *lb.strides, n,
            Real(0.0 if alpha is None else float(alpha)), Real(0.0 if beta is None else float(beta)),
        ]  # fmt: skip
        step = Step(
            "gemm", f"{m}x{k} @ {k}x{n}" + (" accumulated" if accumulates else ""), words,
            nodes=(v,), flops=2.0 * m * n * k,
            bytes=float(itemsize(v.dtype) * (m * k + k * n + m * n * (1 + (beta != 0)))),
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
                Step("scale", "coefficient", [
                    Address(places[source.base], source.offset * itemsize(v.dtype)),
                    WordAddress(target, word),
                ], nodes=(v,), extra=v.dtype)
            )  # fmt: skip
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

    def _store_shared(self, s: SharedVariable, v: Variable, place: Place) -> None:
        """A new value that could not be made in its variable's memory is copied there."""
        target = Place("shared", 0, s)
        self.steps.append(
            Step("copy_bytes", f"update of {s.name or 'a shared variable'}",
                 [Address(target), Address(place)], 0, v.type.nbytes, nodes=(v,),
                 bytes=2.0 * v.type.nbytes, reads=(str(place),), writes=(str(target),))
        )  # fmt: skip

    def _update(self, v: Variable, places: Mapping[Variable, Place], inplace: bool) -> None:
        if not inplace:
            self._copy_into(v, v.args[0], places)
        assert v.op is not None
        if v.op.name == "scatter":
            nest = scatter_nest(v, whole(v), self.layouts)
            self._launch(Launch(nest, _name(v), (v,), flops=float(v.type.size)), places, (), False)
            return
        target = _window_of(v)
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

    def _host(self, v: Variable, places: Mapping[Variable, Place]) -> None:
        operands: list[Any] = []
        for a in v.args:
            number = constant_scalar(a)
            if isinstance(a, Constant):
                operands.append(a.data)
            elif number is not None:
                operands.append((number, shape_of(a), a.dtype))
            else:
                layout = self.layouts.of(a)
                moves = [(self._pointer(self.layouts.of(d.index), places), d)
                         for d in layout.dynamic]  # fmt: skip
                operands.append((self._pointer(layout, places), layout, a.dtype, moves))
        self.steps.append(
            Step("host", _name(v), [], nodes=(v,), extra=(v, operands, Address(places[v])),
                 writes=(str(places[v]),))
        )  # fmt: skip


def _kind(v: Variable) -> str:
    """By what the one op of a task is done."""
    op = v.op
    assert op is not None
    if op.name in ("dot", "gemm") and v.dtype in BLAS_DTYPES:
        return "product"
    if isinstance(op.lower, Update) and v.dtype in NATIVE:
        return "update"
    return "join" if op.name in ("join", "make_vector") and v.dtype in NATIVE else "host"


def _bases(layout: Layout) -> list[Variable]:
    return [layout.base, *(d.index for d in layout.dynamic)]


def _window_of(v: Variable) -> Layout:
    """The layout of the part of its own buffer that an update writes."""
    return part_layout(v, whole(v), v.args[2:])


def _splits(nest: Nest) -> bool:
    kernel = nest.kernel
    if kernel.cross or not kernel.axes:
        return False
    return bool(kernel.outer) or not any(p.accumulators for p in kernel.phases)


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


def bind(sized: Sized, limit: int) -> Plan:
    """The plan of a sized graph whose kernels hold at most `limit` operations."""
    return Binder(sized, limit).run()


def estimate(sized: Sized, limit: int) -> tuple[int, float]:
    """How many different kernels a plan would have, and the seconds a call of them takes.

    Only the grouping is done, which is the small part of binding.
    """
    layouts = Layouts()
    tasks = Fuser(layouts, limit).run(sized.graph.nodes())
    groups = [t for t in tasks if isinstance(t, Group)]
    seconds = STEP_SECONDS * len(groups)
    for g in groups:
        arrays = {source for m in g.members for a in m.args if (source := trace(a)[0]) not in g.domain}
        made = sum(v.type.nbytes for v in g.members[-1:])
        seconds += (made + sum(v.type.nbytes for v in arrays)) / BYTES_PER_SECOND
    return len({_signature(g) for g in groups}), seconds


def _signature(group: Group) -> tuple[Any, ...]:
    """What a group's kernel depends on, about: its operations and how they hang together."""
    place = {m: k for k, m in enumerate(group.members)}
    found = []
    for m in group.members:
        assert m.op is not None
        sources = tuple(place.get(trace(a)[0], -1) for a in m.args)
        found.append((m.op.name, m.dtype, sources, group.domain[m]))
    return tuple(found)
