"""Binding: from an optimised graph and the sizes of one call to a plan.

Nothing is compiled here; it is planning, in milliseconds, and its result is kept per set
of sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.op import Update
from graphc.core.plan import Place, Plan
from graphc.ops.choice import is_branch
from graphc.passes.convolution import work_of
from graphc.passes.fuse import Fuser
from graphc.passes.group import Group, Single, Task
from graphc.passes.hazards import checked_indices, has_checks, hoist, stored_too_early
from graphc.passes.joins import fill_joins
from graphc.passes.layout import Layout, Layouts, shape_of, trace
from graphc.passes.loop_plan import LoopPlan, is_native_loop, plan_branch, plan_loop
from graphc.passes.lower import (
    collapse,
    constant_scalar,
    inplace_pairs,
    itemsize,
)
from graphc.passes.memory import Assignment, Demand, assign
from graphc.passes.nest import Nest, build_nest
from graphc.passes.order import schedule
from graphc.passes.recompute import recompute
from graphc.passes.specialise import Sized
from graphc.passes.steps import Steps, kind_of, window_of


class Binder:
    """Turns one sized graph into a plan.

    With `atomic`, nothing is overwritten that a step which stops the call would leave half done.
    """

    def __init__(
        self, sized: Sized, limit: int, atomic: bool = True, target: str = "cpu"
    ) -> None:
        self.sized, self.limit, self.atomic, self.target = sized, limit, atomic, target
        self.graph = sized.graph
        self.loops: dict[Task, list[LoopPlan]] = {}
        self.layouts = Layouts()
        self.fuser = Fuser(self.layouts, limit)
        self.nests: dict[Task, Nest] = {}
        self.outputs: dict[Task, list[Variable]] = {}
        self.reads: dict[Task, list[Variable]] = {}
        self.readers_of: dict[Variable, list[Task]] = {}
        self.pairs: dict[Task, list[tuple[Variable, Variable, str]]] = {}
        self.stored: dict[Task, list[Variable]] = {}
        self.writer = Steps(self.layouts, self.nests, self.pairs, self.loops, target)

    def run(self) -> Plan:
        """The plan: tasks found, put in order, given memory, and written as steps."""
        order = self.graph.nodes()
        self.readers = Counter(a for v in order for a in v.args)
        self.readers.update(self.graph.roots)
        tasks = self.fuser.run(order)
        self._find_outputs(tasks)
        recompute(tasks, self.outputs, self.readers_of, self.graph.roots, self.graph.inputs)
        self.stored = fill_joins(
            tasks, self.outputs, self.readers_of, self.graph.roots, self.fuser.task_of,
            self.layouts,
        )  # fmt: skip
        tasks = [t for t in tasks if self.outputs[t]]  # others are done where they are read
        for t in tasks:
            self._analyse(t)
        leaf_of = {s: leaf for leaf, s in self.sized.origin.items()}
        chains = {new: self._chain(new) for _, new in self.graph.updates}
        ordered = self._ordered(tasks, leaf_of, chains)
        found = self._assigned(ordered, leaf_of, chains)
        return self._written(ordered, found)

    def _ordered(
        self, tasks: Sequence[Task], leaf_of: Mapping[Variable, Variable],
        chains: Mapping[Variable, Sequence[Variable]],
    ) -> list[Task]:  # fmt: skip
        updated = {
            leaf_of[s]: self.fuser.task_of[chains[new][0]]
            for s, new in self.graph.updates
            if s in leaf_of
        }
        return schedule(
            tasks, self.reads, self.outputs, lambda v: v.type.nbytes, updated,
            self._find_risky(tasks), self.graph.guards,
        )  # fmt: skip

    def _assigned(
        self, ordered: Sequence[Task], leaf_of: Mapping[Variable, Variable],
        chains: Mapping[Variable, Sequence[Variable]],
    ) -> Assignment:  # fmt: skip
        demands = [self._demand(t) for t in ordered]
        if self.atomic:
            self._find_exposed(ordered, demands)
        numbers = {v: k for k, v in enumerate(self.graph.outputs)}
        updates = {
            v: (s, leaf_of.get(s)) for s, new in self.graph.updates for v in chains[new]
        }
        return assign(demands, numbers, updates, self._leaf_places(), set(chains))

    def _written(self, ordered: Sequence[Task], found: Assignment) -> Plan:
        writer = self.writer
        for k, t in enumerate(ordered):
            writer.add(t, found, found.scratch[k], found.aliases[k])
            writer.made.update(dict.fromkeys(self.outputs[t], len(writer.steps)))
        writer.steps = hoist(writer.steps, writer.known)
        moved = []
        for s, v in found.late:
            if s.storage.shape == shape_of(v):
                writer.store_shared(s, v, found.places[v])
            else:
                moved.append((s, v, found.places[v]))
        outputs = [(v.dtype, shape_of(v)) for v in self.graph.outputs]
        return Plan(
            writer.steps, found.places, found.total, list(self.graph.inputs), outputs,
            moved=moved, updated=[s for s, _ in self.graph.updates],
            guards=frozenset(self.graph.guards),
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
            for v in t.members:
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
            self.outputs[t] = [v for v in t.members if v in wanted]

    def _analyse(self, t: Task) -> None:
        """Make a group's nest, and find what a task reads from memory."""
        if isinstance(t, Group):
            stored = self.stored.get(t, self.outputs[t])
            nest = collapse(build_nest(t, stored, self.layouts))
            self.nests[t] = nest
            self.pairs[t] = inplace_pairs(nest)
            found: dict[Variable, None] = {}
            for o in nest.kernel.operands:
                layout = nest.bindings[o.name].layout
                if layout is not None and not o.written:
                    found.update(dict.fromkeys(_bases(layout)))
            self.reads[t] = [v for v in found if not isinstance(v, Constant)]
            return
        if is_native_loop(t.members):
            loop = plan_loop(t.members, self.sized.interner, self.layouts, self._bind)
            self.loops[t] = [loop]
            t.members = self.outputs[t] = loop.results
        elif is_branch(t.node):
            self.loops[t] = plan_branch(
                t.members, self.sized.interner, self.layouts, self._bind
            )  # fmt: skip
        found = {}
        for k, a in enumerate(t.node.args):
            if k in (t.node.op.shape_only if t.node.op else ()):
                continue
            if constant_scalar(a) is None:
                found.update(dict.fromkeys(_bases(self.layouts.of(a))))
        self.reads[t] = [v for v in found if not isinstance(v, Constant)]

    def _bind(self, sized: Sized) -> Plan:
        """The plan of a loop's body."""
        return Binder(sized, self.limit, atomic=False, target=self.target).run()

    def _demand(self, t: Task) -> Demand:
        demand = Demand(self.reads[t], self.outputs[t])
        if t in self.loops:
            demand.inplace = [pair for p in self.loops[t] for pair in p.inplace]
            demand.scratch = [size for p in self.loops[t] for size in p.scratch]
        elif isinstance(t, Group):
            nest = self.nests[t]
            demand.inplace = [(made, read) for made, read, _ in self.pairs[t]]
            demand.scratch = [
                b.scratch * itemsize(o.dtype)
                for o in nest.kernel.operands
                if (b := nest.bindings[o.name]).scratch
            ]
        else:
            if kind_of(t.node, self.target) == "convolution":
                demand.scratch = work_of(t.node, self.layouts.of(t.node.args[1])).scratch
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
            if self._may_stop(t):
                found.add(t)
        return found

    def _may_stop(self, t: Task) -> bool:
        if isinstance(t, Group):
            return has_checks(self.nests[t])
        if t in self.loops:
            return any(p.risky for p in self.loops[t])
        return kind_of(t.node, self.target) in ("host", "solver")

    def _indices(self, t: Task) -> list[Variable]:
        """The scalar indices that are checked before a task."""
        if isinstance(t, Group):
            found = [b.layout for b in self.nests[t].bindings.values() if b.layout is not None]
        elif kind_of(t.node, self.target) == "host":
            return []
        else:
            found = [self.layouts.of(a) for a in t.node.args]
            if t.node.op is not None and t.node.op.name == "update_subtensor":
                found.append(window_of(t.node))
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
            elif t in self.loops:
                demand.exposed = set(demand.makes)


def _bases(layout: Layout) -> list[Variable]:
    return [layout.base, *(d.index for d in layout.dynamic)]


def bind(sized: Sized, limit: int, target: str = "cpu") -> Plan:
    """The plan of a sized graph whose kernels hold at most `limit` operations."""
    return Binder(sized, limit, target=target).run()
