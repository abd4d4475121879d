"""Where compiled functions run, by name, and what a target doesn't have."""

from __future__ import annotations

from typing import Any

from graphc.core.devices import ordinal_of
from graphc.core.errors import TargetError
from graphc.core.graph import Graph
from graphc.core.node import Variable, describe
from graphc.passes.loop_bodies import all_nodes
from graphc.runtime.bound import Bound

HALVES = ("float16", "bfloat16")


def target_of(name: str, graph: Graph) -> Any:
    """The class that binds plans for a target; an error if it can't run the graph.

    It asks for the device, so that a function that can't run there isn't made.
    """
    if name == "cpu":
        return Bound
    from graphc.runtime.cuda.bound import CudaBound  # asked for, so worth its imports
    from graphc.runtime.cuda.driver import current_driver

    for v in all_nodes(graph.roots):
        _refuse(v)
    current_driver(ordinal_of(name))
    return CudaBound


def _refuse(v: Variable) -> None:
    if v.dtype in HALVES:
        raise TargetError(
            f"the CUDA target has no {v.dtype} yet: {describe(v)}",
            "compile this function with target='cpu'",
            v.where,
        )
