"""The interpreter with a look at the clock: what the nodes of a graph took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.graph import toposort
from graphc.core.node import Array, Variable
from graphc.core.op import Scalar
from graphc.runtime.reference import value_of


@dataclass
class Entry:
    """What one node's interpretation took, and the work of its last run."""

    nanoseconds: int = 0
    calls: int = 0
    flops: float = 0.0
    bytes: float = 0.0


class NodeClock:
    """Times of an interpreted graph's nodes."""

    def __init__(self) -> None:
        self.entries: dict[Variable, Entry] = {}
        self.calls = 0
        self.seconds = 0.0

    def evaluate(self, roots: Sequence[Variable], given: Mapping[Variable, Any]) -> list[Array]:
        """The same as `graphc.runtime.reference.evaluate`, with a look at the clock."""
        start = time.perf_counter()
        values: dict[Variable, Any] = dict(given)
        for v in toposort(roots, leaves=values.keys()):
            if v in values:
                continue
            before = time.perf_counter_ns()
            values[v] = value_of(v, values)
            if v.op is not None:
                self._note(v, values, time.perf_counter_ns() - before)
        self.calls += 1
        self.seconds += time.perf_counter() - start
        return [np.asarray(values[r]) for r in roots]

    def _note(self, v: Variable, values: Mapping[Variable, Any], nanoseconds: int) -> None:
        entry = self.entries.setdefault(v, Entry())
        operands = [np.asarray(values[a]) for a in v.args]
        entry.nanoseconds += nanoseconds
        entry.calls += 1
        entry.bytes = float(values[v].nbytes + sum(a.nbytes for a in operands))
        entry.flops = flops(v, operands, values[v])


def flops(v: Variable, operands: Sequence[Array], result: Array) -> float:
    """The operations that a node's value takes, about."""
    assert v.op is not None
    if v.op.name == "dot":
        return 2.0 * result.size * operands[0].shape[-1]
    cost = v.op.lower.cost if isinstance(v.op.lower, Scalar) else 1.0
    return cost * max([result.size, *(a.size for a in operands)])
