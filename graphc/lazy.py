"""Choices in the NumPy mode: graphs in which one side is interpreted, made for sizes."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ShapeError
from graphc.core.graph import Graph, Interner
from graphc.core.node import Array
from graphc.passes.branching import CHOICES, make_lazy
from graphc.passes.loop_bodies import again, imported, rebuild
from graphc.passes.rewrite import rewrite
from graphc.passes.specialise import specialise
from graphc.runtime.reference import evaluate
from graphc.sizing import SizeNumbers


class LazyGraphs:
    """Of one graph, those with lazy sides, by the sizes of a call.

    Without sizes a gradient's zeros would depend on what they are like, which would then be
    computed for its shape.
    """

    def __init__(self, graph: Graph) -> None:
        self.interner = Interner()
        transform = imported(self.interner, again)
        known = {v: v for v in graph.inputs}
        done = rebuild(graph.nodes(), self.interner, known, again, transform)
        self.graph = graph.with_roots([done[r] for r in graph.roots])
        self.numbers = SizeNumbers(self.graph)
        self.shared = self.graph.shared()
        self.found: dict[Any, tuple[Graph, list[Any]]] = {}

    def evaluate(self, arrays: list[Array]) -> list[Array]:
        """The values of the roots."""
        given = dict(zip(self.graph.inputs, arrays))
        numbers = self.numbers.values(arrays)
        key = (
            tuple(a.shape for a in arrays),
            tuple(s.storage.shape for s in self.shared), tuple(numbers.values()),
        )  # fmt: skip
        if key not in self.found:
            self.found[key] = self._made(arrays, numbers)
        lazy, leaves = self.found[key]
        values = [given[v] if v in given else v.storage.array for v in leaves]
        inputs = list(lazy.inputs)
        return evaluate(lazy.roots, dict(zip(inputs, values)))

    def _made(self, arrays: list[Array], numbers: dict[Any, int]) -> tuple[Graph, list[Any]]:
        shapes = {v: a.shape for v, a in zip(self.graph.inputs, arrays)}
        shapes.update({s: s.storage.shape for s in self.shared})
        try:
            sized = specialise(self.graph, shapes, numbers)
        except ShapeError:  # sizes that depend on values, or an error that comes up by itself
            simple = rewrite(self.graph, CHOICES, self.interner, [])
            return make_lazy(simple, self.interner), list(self.graph.inputs)
        simple = rewrite(sized.graph, CHOICES, sized.interner, [])
        lazy = make_lazy(simple, sized.interner)
        leaves = {leaf: origin for leaf, origin in sized.origin.items()}
        count = len(lazy.outputs) + len(lazy.updates)
        roots = lazy.roots[:count]
        return Graph(tuple(leaves), roots), list(leaves.values())
