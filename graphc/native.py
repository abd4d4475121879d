"""Native programs: optimise once, bind per set of sizes, run without Python between steps."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from graphc.core.devices import kind_of
from graphc.core.errors import BadIndexError
from graphc.core.graph import Graph
from graphc.core.node import Array, Variable, describe
from graphc.core.plan import Plan
from graphc.passes.bind import bind
from graphc.passes.blas import fold_products
from graphc.passes.branching import make_lazy
from graphc.passes.budget import estimate
from graphc.passes.fuse import MEMBERS
from graphc.passes.halves import narrowed
from graphc.passes.loop_bodies import in_bodies
from graphc.passes.loop_settle import settle
from graphc.passes.loop_unroll import unroll
from graphc.passes.pipeline import EXPANDED, SIZED, WRITTEN_OUT, Move, Optimised, optimise
from graphc.passes.specialise import (
    Sized,
    expand,
    materialise,
    specialise,
    widen,
)
from graphc.program import Options
from graphc.runtime.bound import Bound
from graphc.runtime.forks import unlock_in_children
from graphc.sizing import SizeNumbers
from graphc.targets import target_of

KEPT = 16  # plans that a program keeps, one per set of sizes
KERNELS_AT_ONCE = 16  # kernels that are compiled without asking whether it pays
COMPILE_SECONDS = 0.07  # a kernel, about
WORTH_CALLS = 20_000  # calls within which compiling has to pay


@dataclass
class Kernel:
    """What `Function.kernels` lists: one kernel's source in every form.

    Attributes
    ----------
    source : str
        The readable Python function.
    name : str
        The operations that it does.
    """

    name: str
    source: str
    compiled: Any

    @property
    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return str(self.compiled.llvm)

    @property
    def asm(self) -> str:
        """The machine code as assembly."""
        return str(self.compiled.asm)

    def __repr__(self) -> str:
        return f"<kernel: {self.name}>"


class NativeProgram:
    """A graph on its way through optimisation, binding and native execution."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self.declared, self.options = graph, options
        self.bind_on: type[Bound] = target_of(options.target)
        self.optimised: Optimised = optimise(graph)
        self.graph = self.optimised.graph
        self.numbers = SizeNumbers(self.graph)
        self.shared = self.graph.shared()
        self.bound: OrderedDict[Any, Bound] = OrderedDict()
        self.latest: Bound | None = None
        self.forget_callers()
        unlock_in_children(self)
        self.entry: Any = None
        self.decisions: list[str] = []
        self.binding_seconds = 0.0
        for variable in self.shared:
            variable.storage.watchers.add(self)

    def forget_callers(self) -> None:
        """Let calls in; for a child process, where no other thread is inside."""
        self.lock = threading.RLock()

    def storage_moved(self) -> None:
        """A shared variable has another array: addresses are looked up again."""
        self.entry = None
        self.latest = None
        for bound in self.bound.values():
            bound.retire()

    # --- calling ----------------------------------------------------------------------

    def call(self, arrays: list[Array]) -> list[Array]:
        """The outputs for checked arguments; performs the updates."""
        with self.lock:
            bound = self.bound_for(arrays)
            results = bound.run(arrays)
            self.latest = bound
            self.entry = bound.entry
            return results

    def bound_for(self, arrays: list[Array]) -> Bound:
        """The plan for the sizes of these arguments, made when they are new."""
        values = self.numbers.values(arrays)
        key = (
            tuple(a.shape for a in arrays),
            tuple(s.storage.shape for s in self.shared),
            tuple(values.values()),
        )
        bound = self.bound.get(key)
        if bound is None:
            bound = self.bound[key] = self._bind(arrays, values)
            while len(self.bound) > KEPT:
                self.bound.popitem(last=False)[1].retire()
        else:
            self.bound.move_to_end(key)
        if bound.stale:
            bound.relocate()
        return bound

    def _bind(self, arrays: list[Array], values: dict[Variable, int]) -> Bound:
        start = time.perf_counter()
        sized = self._sized(arrays, values)
        plan = self._plan(sized)
        earlier = next((b.plan for b in self.bound.values()), None)
        timed = self.options.profile
        bound = self.bind_on(plan, self, self.options.returns, timed, earlier)
        known = sized.interner.lines
        bound.lines = {v: known.get(v, ()) for _, s in plan.all_steps() for v in s.nodes}
        self.binding_seconds += time.perf_counter() - start
        return bound

    def _sized(self, arrays: list[Array], values: dict[Variable, int]) -> Sized:
        shapes = {v: a.shape for v, a in zip(self.graph.inputs, arrays)}
        shapes.update({s: s.storage.shape for s in self.shared})
        sized = specialise(self.graph, shapes, values, self.optimised.interner.lines)
        interner = sized.interner
        again = SIZED(sized.graph, interner, [])
        sized = expand(widen(replace(sized, graph=again)))
        simple = WRITTEN_OUT(sized.graph, interner, [])
        simple = unroll(Move(EXPANDED)(simple, interner, []), interner, WRITTEN_OUT)
        simple = settle(simple, interner)

        def change(part: Graph) -> Graph:
            folded = fold_products(part, interner)
            return narrowed(folded, interner) if self.options.target == "cuda" else folded

        folded = change(in_bodies(simple, interner, change))
        return materialise(replace(sized, graph=make_lazy(folded, interner)))

    def _plan(self, sized: Sized) -> Plan:
        """A plan of fused kernels, unless compiling them would not pay.

        The choice depends on the graph alone, not on what happens to be cached.
        """
        kernels, seconds = estimate(sized, MEMBERS)
        if kernels <= KERNELS_AT_ONCE:
            return bind(sized, MEMBERS, kind_of(self.options.target))
        single_kernels, single_seconds = estimate(sized, 1)
        more = (kernels - single_kernels) * COMPILE_SECONDS
        saved = single_seconds - seconds
        fused = more <= saved * WORTH_CALLS
        self.decisions.append(
            f"{kernels} fused kernels take about {more:.1f} s more to compile than "
            f"{single_kernels} with one operation each, and save {saved * 1e6:.0f} us a call: "
            + ("fused" if fused else "not fused")
        )
        return bind(sized, MEMBERS if fused else 1, kind_of(self.options.target))

    # --- errors -----------------------------------------------------------------------

    def failure(self) -> Exception | None:
        """What stopped the latest call of `entry`; None where another plan will do."""
        with self.lock:
            return self._latest().failure()

    def failed(self, about: Variable, record: Array) -> Exception:
        """The error for a check that failed, about the user's line."""
        explain = about.op.facts.get("explain") if about.op is not None else None
        if explain is not None:
            failed: Exception = explain(about, record)
            return failed
        index, size = int(record[0]), int(record[1])
        checked = about.op is not None and about.op.name == "checked_index"
        return BadIndexError(
            f"index {index} is outside an axis of size {size}, in "
            f"{describe(about.args[0] if checked else about)}",
            f"indices go from {-size} to {size - 1}; no shared variable was changed by this call",
            about.where,
        )

    # --- inspection -------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan of the latest call."""
        return self._latest().plan

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of the latest call's plan, those in the bodies of loops too, each once."""
        found: dict[int, Kernel] = {}
        for step, function in self._latest().linked.all_functions():
            if function is not None and step.routine in ("kernel", "running"):
                found.setdefault(function.address, Kernel(function.name, function.source, function))
        return list(found.values())

    def _latest(self) -> Bound:
        if self.latest is None:
            if not self.bound:
                raise RuntimeError(
                    "plans and kernels are made for sizes: call the function once, then look"
                )
            return next(reversed(self.bound.values()))
        return self.latest
