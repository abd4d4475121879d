"""The integers on which sizes depend: known from a call's arguments, before its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.errors import GraphError
from graphc.core.graph import Graph, toposort
from graphc.core.node import Array, SharedVariable, Variable
from graphc.passes.specialise import size_numbers, specialise
from graphc.runtime.reference import evaluate, interpret

KEPT = 256  # sizes that are remembered

Shapes = Mapping[Variable, tuple[int, ...]]


@dataclass(frozen=True)
class Formula:
    """A number as a function of leaves, of earlier numbers, and of sizes of computed things."""

    number: Variable
    leaves: tuple[Variable, ...]
    dims: tuple[Variable, ...]
    value: Callable[[Sequence[Any]], list[Array]]


class SizeNumbers:
    """The numbers of a graph, as `size_numbers` lists them.

    The size of something computed, such as the rows of a loop, is inferred, as it is when a plan
    is made: nothing is computed for the sake of its size.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.numbers = size_numbers(graph)
        self.formulas = [self._formula(k) for k in range(len(self.numbers))]
        self.shared = {
            d: [v for v in toposort(d.args) if isinstance(v, SharedVariable)]
            for formula in self.formulas for d in formula.dims
        }  # fmt: skip
        self._found: dict[Any, int] = {}

    def _formula(self, place: int) -> Formula:
        number, earlier = self.numbers[place], frozenset(self.numbers[:place])
        order = toposort([number], leaves=earlier)
        dims = [v for v in order if _of_computed(v) and v not in earlier]
        cut = earlier | frozenset(dims)
        order = toposort([number], leaves=cut)
        leaves = tuple(v for v in order if v in cut or (v.op is None and v in self.graph.inputs))
        used = tuple(v for v in leaves if v in dims)
        return Formula(number, leaves, used, interpret([number], leaves))

    def values(self, arrays: Sequence[Array]) -> dict[Variable, int]:
        """Each number's value for a call with these arguments."""
        known: dict[Variable, int] = {}
        given: dict[Variable, Any] = dict(zip(self.graph.inputs, arrays))
        for formula in self.formulas:
            for d in formula.dims:
                given[d] = self._size(d, given, known)
            (value,) = formula.value([given[v] for v in formula.leaves])
            known[formula.number], given[formula.number] = int(value), value
        return known

    def _size(
        self, dim: Variable, given: Mapping[Variable, Any], known: dict[Variable, int]
    ) -> int:
        shapes = {v: given[v].shape for v in self.graph.inputs}
        shapes.update({v: v.storage.shape for v in self.shared[dim]})
        key = dim, tuple(shapes.values()), tuple(known.values())
        size = self._found.get(key)
        if size is None:
            size = self._inferred(dim, shapes, known, given)
            if len(self._found) >= KEPT:
                self._found.clear()
            self._found[key] = size
        return size

    def _inferred(
        self, dim: Variable, shapes: Shapes, known: dict[Variable, int],
        given: Mapping[Variable, Any],
    ) -> int:  # fmt: skip
        part = Graph(self.graph.inputs, dim.args)
        try:
            (made,) = specialise(part, shapes, known).graph.outputs
            size = made.type.shape[dim.attrs["axis"]]
        except GraphError:  # the plan will say what is wrong; or only values tell the size
            size = None
        if size is None:
            inputs = {v: given[v] for v in self.graph.inputs}
            size = int(evaluate([dim], inputs)[0])
        return size


def _of_computed(v: Variable) -> bool:
    return v.op is not None and v.op.name == "dim" and v.args[0].op is not None
