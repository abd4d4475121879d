"""Transfers in a graph: where results are to be, and what one device can't do."""

from __future__ import annotations

from dataclasses import replace

from graphc.core.errors import TargetError
from graphc.core.graph import Graph
from graphc.core.node import Variable, describe
from graphc.passes.loop_bodies import all_nodes
from graphc.program import Options


def at_borders(graph: Graph, options: Options) -> tuple[Graph, Options]:
    """A graph without the transfers that its outputs are, and options that say where these stay.

    All steps of a plan run on one device, and the host does what it does without being asked. So
    a transfer inside of a graph to the function's own device means nothing, and to another one
    can't be had.

    Raises
    ------
    TargetError
        For a transfer to another device that isn't an output.
    """
    nodes = [v for v in all_nodes(graph.roots) if _is_transfer(v)]
    if not nodes or options.target == "cpu":
        return graph, options
    count, stays = len(graph.outputs), list(options.device_outputs)
    stays += [""] * (count - len(stays))
    roots = list(graph.roots)
    for k in range(count):
        if _is_transfer(roots[k]):
            stays[k] = roots[k].attrs["target"]
        while _is_transfer(roots[k]):
            (roots[k],) = roots[k].args
    for v in all_nodes(roots):
        if _is_transfer(v) and v.attrs["target"] != options.target:
            _refuse(v, options)
    return graph.with_roots(roots), replace(options, device_outputs=tuple(stays))


def _is_transfer(v: Variable) -> bool:
    return v.op is not None and v.op.name == "transfer"


def _refuse(v: Variable, options: Options) -> None:
    target = v.attrs["target"]
    raise TargetError(
        f"transfer({describe(v.args[0])}, {target!r}) is no output of the function, which runs on "
        f"{options.target!r}: all its steps run there",
        f"make it an output, and compile what reads it as a function with target={target!r}; or "
        "leave the transfer out", v.where,
    )  # fmt: skip
