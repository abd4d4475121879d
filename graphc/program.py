"""What a compiled function runs on: a program over checked arrays.

A program is made from a declared graph. Each mode has its own maker; the plain one
interprets the graph with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphc.core.errors import ShapeError
from graphc.core.graph import Graph
from graphc.core.node import Array, SharedVariable, Variable, as_storage, describe
from graphc.ops.choice import is_choice
from graphc.passes.loop_bodies import all_nodes
from graphc.runtime.reference import evaluate
from graphc.runtime.timed import NodeClock


@dataclass(frozen=True)
class Options:
    """How a program is to be made.

    Parameters
    ----------
    mode : str
        A key of `graphc.modes.MAKERS`.
    name : str or None
        The function's name, for listings.
    returns : {"one", "list", "none"}
        In which form `entry` returns results.
    borrow_inputs, borrow_outputs : tuple of bool
        Per input, whether it may be overwritten or shared with outputs; per output,
        whether it may share memory with inputs, shared variables or later results.
    profile : bool
        Whether every step is timed.
    target : {"cpu", "cuda", "cuda:1", ...}
        Where compiled functions run.
    device_outputs : tuple of str
        Per output, the device on which it stays, or nothing.
    cuda_products : {"float32", "tf32", "bfloat16", "float16"}
        To what factors of float32 products are rounded on the device.
    cuda_solvers : {"auto", "library", "host"}
        Who does linear algebra for the device.
    cuda_convolutions : {"graphc", "cudnn"}
        Whose kernels do convolutions on the device.
    cuda_deterministic : bool
        Whether the device adds to indexed elements in the order of the indices.
    cuda_graphs : {"auto", True, False}
        Whether what plans launch is captured as CUDA graphs; True raises where that can't be.
    """

    mode: str
    name: str | None = None
    returns: str = "list"
    borrow_inputs: tuple[bool, ...] = ()
    borrow_outputs: tuple[bool, ...] = ()
    profile: bool = False
    target: str = "cpu"
    device_outputs: tuple[str, ...] = ()
    cuda_products: str = "float32"
    cuda_solvers: str = "auto"
    cuda_convolutions: str = "graphc"
    cuda_deterministic: bool = True
    cuda_graphs: bool | str = "auto"


class Program(Protocol):
    """A graph ready to run.

    `entry` is None, or takes a call's raw positional arguments and returns the result in
    the form that the options say, or an `Outcome` for anything that it wants checked and
    converted first. It may change after a call.
    """

    entry: Callable[..., Any] | None

    def call(self, arrays: list[Array]) -> list[Array]:
        """The outputs for arguments of the declared dtypes and ranks; performs the updates."""
        ...

    def failure(self) -> Exception | None:
        """What stopped the latest call of `entry`; None where another plan will do."""
        ...


def has_choices(graph: Graph) -> bool:
    """Whether anything is chosen, in loops, too."""
    return any(is_choice(v) for v in all_nodes(graph.roots))


def lazy_graphs(graph: Graph) -> Any:
    """Of a graph with choices, those whose sides are lazy; needs passes, imported with it."""
    from graphc.lazy import LazyGraphs

    return LazyGraphs(graph)


class NumpyProgram:
    """Interprets the graph; updates happen after all outputs are computed, all or none."""

    entry: Callable[..., Any] | None = None

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph, self.options = graph, options
        self.lazy = lazy_graphs(graph) if has_choices(graph) else None
        self.clock = NodeClock()
        self._evaluate = self.clock.evaluate if options.profile else evaluate

    def failure(self) -> Exception | None:
        return None

    def call(self, arrays: list[Array]) -> list[Array]:
        graph = self.graph
        if self.lazy is not None and not self.options.profile:
            results = self.lazy.evaluate(arrays)
        else:
            results = self._evaluate(graph.roots, dict(zip(graph.inputs, arrays)))
        count = len(graph.outputs)
        borrowed = self.options.borrow_outputs or (False,) * count
        taken = {id(a) for a in arrays} | {id(v.storage.array) for v in graph.shared()}
        outputs = [_own(r, taken, b) for r, b in zip(results[:count], borrowed)]
        new = [_own(r, taken, False) for r in results[count:]]
        for (variable, expression), value in zip(graph.updates, new):
            check_update(variable, expression, value.shape)
        for (variable, _), value in zip(graph.updates, new):
            store(variable, value)
        return outputs


def _own(array: Array, taken: set[int], borrow: bool) -> Array:
    """An array that nobody else holds, or with `borrow` the array as it is."""
    if borrow:
        return array
    if id(array) in taken or array.base is not None or not array.flags.writeable:
        array = np.array(array)
    taken.add(id(array))
    return array


def check_update(
    variable: SharedVariable, expression: Variable, shape: tuple[int | None, ...]
) -> None:
    """Raise unless a shared variable can take a value of this shape."""
    for k, (n, m) in enumerate(zip(variable.type.shape, shape)):
        if n is not None and n != m:
            raise ShapeError(
                f"the update of {describe(variable)} has shape {shape}: axis {k} must "
                f"have size {n}",
                "no update of this call was done",
                expression.where,
            )


def store(variable: SharedVariable, value: Array) -> None:
    """Give a shared variable a computed value, in place where the shape stays."""
    old = variable.storage.array
    if old.shape == value.shape and old.flags.writeable:
        np.copyto(old, value)
    else:
        variable.storage.replace(as_storage(value, copy=False))


def results_of(structure: Any, values: Sequence[Array]) -> Any:
    """Output arrays in the form in which the user gave the outputs."""
    if structure is None:
        return None
    if structure == "one":
        return values[0]
    if structure == "list":
        return list(values)
    return dict(zip(structure, values))
