"""Where a NaN came from: the step is done once more by the interpreter, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.compiled import Function
from graphc.core import dtypes
from graphc.core.errors import GraphError, quote
from graphc.core.graph import Graph
from graphc.core.node import Array, Constant, SharedVariable, Variable, describe
from graphc.inspect import pp
from graphc.runtime.reference import evaluate


class NonFiniteError(GraphError, FloatingPointError):
    """Training that came upon NaN or infinity.

    The model has the values from before the step that made it.
    """


@dataclass(frozen=True)
class Culprit:
    """An operation that made NaN or infinity of finite operands, or a leaf that held it."""

    variable: Variable
    value: Array
    operands: Sequence[tuple[Variable, Array]]

    def __str__(self) -> str:
        lines = [f"{_kind(self.value)} in {self._label()}"]
        if self.variable.where:
            lines.append(quote(self.variable.where))
        for operand, value in self.operands:
            lines.append(f"    {_short(operand)}: {_extent(value)}")
        return "\n".join(lines)

    def _label(self) -> str:
        if self.variable.op is None:
            return describe(self.variable)
        return f"{self.variable.op.name}: {_short(self.variable)}"


def culprits(step: Function, batch: Sequence[Array]) -> list[Culprit]:
    """What made the first NaN or infinity that reaches a result of a step, NaN first.

    Computed from the present values of the shared variables, in NumPy, operation by operation of
    the optimised graph; nothing is changed. Empty where all results are finite.
    """
    graph: Graph = getattr(step.program, "graph", step.graph)
    order = [v for v in graph.nodes() if not isinstance(v, Constant)]
    given = dict(zip(graph.inputs, batch))
    values: dict[Variable, Array] = dict(zip(order, evaluate(order, given)))
    roots = [r for r in graph.roots if r in values]
    found: list[Culprit] = []
    for bad in (np.isnan, np.isinf):
        origin = _origin(roots, values, bad)
        if origin is None:
            continue
        operands = [(a, values[a]) for a in dict.fromkeys(origin.args) if a in values]
        found.append(Culprit(origin, values[origin], operands))
        # NaN of infinities: where those came from is what the reader wants to know
        roots = [a for a, v in operands if _any(np.isinf, v)] if bad is np.isnan else []
    return found


def _origin(roots: Sequence[Variable], values: Mapping[Variable, Array], bad: Any) -> Any:
    """Going up from the first bad root through bad operands: one that has none."""
    at = next((r for r in roots if _any(bad, values[r])), None)
    while at is not None:
        worse = next((a for a in at.args if a in values and _any(bad, values[a])), None)
        if worse is None:
            return at
        at = worse
    return None


def _any(bad: Any, value: Array) -> bool:
    return value.dtype.kind in "fc" and bool(bad(value).any())


def bad_leaves(variables: Mapping[str, SharedVariable]) -> list[str]:
    """The names of shared variables that hold NaN or infinities."""
    return [name for name, v in variables.items() if not all_finite(v.get_value(borrow=True))]


def all_finite(value: Array) -> bool:
    """Whether an array of any dtype holds neither NaN nor infinities."""
    if value.dtype.kind == "V":
        value = dtypes.convert(value, "float32")
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


def _short(v: Variable, most: int = 70) -> str:
    text = v.name or pp(v)
    return text if len(text) <= most else text[: most - 3] + "..."


def _kind(value: Array) -> str:
    nan, inf = int(np.isnan(value).sum()), int(np.isinf(value).sum())
    if value.ndim == 0:
        return str(value)
    counts = [f"{n} {name}" for n, name in ((nan, "NaN"), (inf, "infinite")) if n]
    return f"{' and '.join(counts)} of {value.size} values"


def _extent(value: Array) -> str:
    """Shape, dtype, and from where to where the finite values go."""
    label = f"{value.dtype}{list(value.shape)}"
    if value.dtype.kind not in "fiu" or not value.size:
        return label
    finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    if not finite.size:
        return f"{label}, nothing finite"
    if value.ndim == 0:
        return f"{label} = {value}"
    more = "" if finite.size == value.size else f", {value.size - finite.size} not finite"
    return f"{label} from {finite.min():.4g} to {finite.max():.4g}{more}"
