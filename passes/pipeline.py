"""The way of a graph through the passes: a tuple, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc.core.graph import Graph, Interner
from graphc.core.node import Variable
from graphc.core.op import Expand, apply
from graphc.core.pattern import Rule
from graphc.passes import loop_bodies, loop_motion
from graphc.passes.algebra import ALGEBRA, divided_by_power_of_two
from graphc.passes.branching import CHOICES
from graphc.passes.canonical import CANONICAL
from graphc.passes.fold import FOLD
from graphc.passes.movement import MOVEMENT
from graphc.passes.rewrite import Firing, rewrite
from graphc.passes.stability import STABLE


class Pass(Protocol):
    """A step of the pipeline: valid graph in, valid graph out."""

    @property
    def name(self) -> str: ...

    def __call__(self, graph: Graph, interner: Interner, log: list[Firing]) -> Graph: ...


def written_out(v: Variable, args: tuple[Variable, ...]) -> Variable:
    """An application, or what stands for it from the beginning."""
    assert v.op is not None
    if isinstance(v.op.lower, Expand) and v.op.lower.early:
        return v.op.lower.rule(*args, **v.attrs)
    return apply(v.op, args, v.attrs)


@dataclass(frozen=True)
class Import:
    """Interns a user's graph: common sub-expressions become one node.

    Ops that stand for graphs are replaced with these, so that rules see through them.
    """

    name: str = "import"

    def __call__(self, graph: Graph, interner: Interner, log: list[Firing]) -> Graph:
        transform = loop_bodies.imported(interner, written_out)
        done = loop_bodies.rebuild(graph.nodes(), interner, {}, written_out, transform)
        return graph.with_roots([done[r] for r in graph.roots])


@dataclass(frozen=True)
class Rewrite:
    """Brings a graph to the normal form of some rules."""

    name: str
    rules: tuple[Rule, ...]

    def __call__(self, graph: Graph, interner: Interner, log: list[Firing]) -> Graph:

        def change(part: Graph) -> Graph:
            return rewrite(part, self.rules, interner, log)

        return change(loop_bodies.in_bodies(graph, interner, change))


@dataclass(frozen=True)
class Move:
    """Takes out of loops what need not be in them, and brings it to the normal form of rules."""

    rules: tuple[Rule, ...]
    name: str = "loops"

    def __call__(self, graph: Graph, interner: Interner, log: list[Firing]) -> Graph:
        def change(part: Graph) -> Graph:
            return loop_motion.move(part, interner)

        moved = change(loop_bodies.in_bodies(graph, interner, change))
        same = all(a is b for a, b in zip(moved.roots, graph.roots))
        return graph if same else Rewrite(self.name, self.rules)(moved, interner, log)


# Each pass has the rules of those before it, so that what it makes is brought into their form
# too: the last one's normal form is one for all, and a second run changes nothing.
SIMPLIFY: tuple[Rewrite, ...] = (
    Rewrite("canonical", CANONICAL),
    Rewrite("stable", CANONICAL + STABLE),
    Rewrite("fold", CANONICAL + STABLE + FOLD),
    Rewrite("algebra", CANONICAL + STABLE + FOLD + ALGEBRA + MOVEMENT + CHOICES),
)
PIPELINE: tuple[Pass, ...] = (Import(), *SIMPLIFY, Move(SIMPLIFY[-1].rules))

# What runs again once sizes are known: first all rules, then, when composed ops are written
# out, those that don't put them together again. A division by a size stays one: a batch of 128
# and its rest of 100 rows are served by the same kernels.
AGAIN: tuple[Rule, ...] = tuple(r for r in ALGEBRA if r is not divided_by_power_of_two)
SIZED = Rewrite("sized", CANONICAL + STABLE + FOLD + AGAIN + MOVEMENT + CHOICES)
EXPANDED: tuple[Rule, ...] = CANONICAL + FOLD + AGAIN + MOVEMENT + CHOICES
WRITTEN_OUT = Rewrite("written out", EXPANDED)


@dataclass(frozen=True)
class Optimised:
    """A graph in its normal form, who built its nodes, and what was rewritten."""

    graph: Graph
    interner: Interner
    log: tuple[Firing, ...]


def optimise(
    graph: Graph, passes: Sequence[Pass] = PIPELINE, interner: Interner | None = None
) -> Optimised:
    """Everything that can be done before sizes are known.

    Parameters
    ----------
    graph : Graph
        As users declare it, or optimised already: then nothing changes.
    passes : sequence of Pass, optional
        Fewer of them, to find out which one does what.
    interner : Interner, optional
        Of an earlier run, so that equal nodes are the same.
    """
    builder = Interner() if interner is None else interner
    log: list[Firing] = []
    for step in passes:
        graph = step(graph, builder, log)
    return Optimised(graph, builder, tuple(log))
