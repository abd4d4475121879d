"""Functions whose sizes depend on values: ``x[mask]``, ``nonzero``, ``unique``.

What decides such sizes is computed by a program of its own, first; its results are inputs of
the main program, whose plan is then looked up by their sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc.core import dtypes
from graphc.core.graph import Graph, substitute
from graphc.core.node import Array, Variable, as_storage
from graphc.native import NativeProgram
from graphc.program import Options, Program


def by_values(graph: Graph) -> list[Variable]:
    """The nodes whose sizes depend on the values of their first operand."""
    return [v for v in graph.nodes() if v.op is not None and v.op.facts.get("by_values")]


def compiled(graph: Graph, options: Options) -> Program:
    """A native program, in stages where sizes depend on values."""
    nodes = by_values(graph)
    return StagedProgram(graph, options, nodes) if nodes else NativeProgram(graph, options)


class StagedProgram:
    """A program for what decides sizes, and the main one; inspection shows the main one.

    Where a node needs the result of another, the first program has stages itself.
    """

    entry: Any = None

    def __init__(self, graph: Graph, options: Options, nodes: list[Variable]) -> None:
        self.nodes = nodes
        operands = list(dict.fromkeys(v.args[0] for v in nodes))
        self.places = [operands.index(v.args[0]) for v in nodes]
        first = replace(
            options, returns="list", borrow_outputs=(), profile=False, device_outputs=()
        )
        kept = tuple(False for _ in options.borrow_inputs)
        self.first = compiled(
            Graph(graph.inputs, tuple(operands)), replace(first, borrow_inputs=kept)
        )
        found = {v: Variable(v.type, name=v.name, where=v.where) for v in nodes}
        main = graph.with_roots(substitute(graph.roots, found))
        owned = options.borrow_inputs and (*options.borrow_inputs, *(False for _ in nodes))
        self.main = NativeProgram(
            Graph((*graph.inputs, *found.values()), main.outputs, main.updates),
            replace(options, borrow_inputs=owned),
        )

    def call(self, arrays: list[Array]) -> list[Array]:
        """The outputs for checked arguments; performs the updates."""
        values = self.first.call(arrays)
        found = []
        for v, place in zip(self.nodes, self.places):
            assert v.op is not None
            value = dtypes.convert(v.op.numpy(values[place], None, **v.attrs), v.dtype)
            found.append(as_storage(value, copy=False))
        return self.main.call([*arrays, *found])

    def failure(self) -> Exception | None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.main, name)
