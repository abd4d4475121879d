"""Where a NaN came from: the step is done once more by the interpreter, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.compiled import Function
from graphc.core import dtypes
from graphc.core.errors import GraphError, quote
from graphc.core.graph import Graph, toposort
from graphc.core.node import Array, Constant, SharedVariable, Variable, describe
from graphc.inspect import pp
from graphc.runtime.reference import evaluate, interpret

WIDTH = 64  # characters that a formula may have
Names = Mapping[Variable, str]
Test = Callable[[Array], Any]


class NonFiniteError(GraphError, FloatingPointError):
    """Training that came upon NaN or infinity.

    The model has the values from before the step that made it.
    """


@dataclass(frozen=True)
class Culprit:
    """An operation that made NaN or infinity of finite operands, or a leaf that held it.

    Attributes
    ----------
    variable : Variable
    value : array
    operands : sequence of (variable, value)
    names : mapping of variables to str
        What parameters are called in their model.
    call : int or None
        In a loop, which of its steps it was, counted from 1.
    towards : str
        Which result of the step it reached.
    """

    variable: Variable
    value: Array
    operands: Sequence[tuple[Variable, Array]] = ()
    names: Names | None = None
    call: int | None = None
    towards: str = ""

    def __str__(self) -> str:
        towards = f", on the way to {self.towards}" if self.towards else ""
        lines = [f"{_kind(self.value)} {self._place()}{towards}"]
        if self.variable.where:
            lines.append(quote(self.variable.where, 1))
        texts = [_formula(v, self.names or {}) for v, _ in self.operands]
        widest = max(map(len, texts), default=0)
        for text, (_, value) in zip(texts, self.operands):
            lines.append(f"    of {text:{widest}s}  {_extent(value)}")
        return "\n".join(lines)

    def _place(self) -> str:
        v, names = self.variable, self.names or {}
        if v.op is None:
            label = names.get(v) or describe(v)
            if not self.value.ndim:
                return f"in {label}"
            bad = np.argwhere(~np.isfinite(self.value))
            return f"in {label}, first at [{', '.join(map(str, bad[0]))}]"
        inside = "" if self.call is None else f", step {self.call} of a loop"
        text = _formula(v, names)
        return f"in {text}{inside}" if text.startswith(v.op.name) else (
            f"in {v.op.name}{inside}: {text}"
        )


def culprits(
    step: Function, batch: Sequence[Array], names: Names | None = None
) -> list[Culprit]:  # fmt: skip
    """What made the first NaN or infinity that reaches a result of a step, NaN first.

    Computed from the present values of the shared variables, in NumPy, operation by operation of
    the optimised graph; nothing is changed. Empty where all results are finite.
    """
    graph: Graph = getattr(step.program, "graph", step.graph)
    order = [v for v in graph.nodes() if not isinstance(v, Constant)]
    with np.errstate(all="ignore"):
        values = dict(zip(order, evaluate(order, dict(zip(graph.inputs, batch)))))
        roots = [r for r in graph.roots if r in values and not all_finite(values[r])]
        if roots and roots[0] is graph.roots[0]:
            roots = roots[:1]  # of a loss that is infinite, its gradient is NaN for no other reason
        found = _found(roots, values, dict(names or {}))
    if found:
        new = [names.get(s) or s.name for s, r in graph.updates if r is roots[0]] if names else []
        towards = "the loss" if roots[0] is graph.roots[0] else f"the new {new[0]}" if new else ""
        found[0] = replace(found[0], towards=towards)
    return found


def _found(
    roots: Sequence[Variable], values: Mapping[Variable, Array], names: Names,
    call: int | None = None,
) -> list[Culprit]:  # fmt: skip
    found: list[Culprit] = []
    for bad in (np.isnan, np.isinf):
        origin = _origin(roots, values, bad)
        if origin is None:
            continue
        operands = [(a, values[a]) for a in dict.fromkeys(origin.args) if a in values]
        inside = _inside(origin, values, names) if _is_loop(origin) else []
        if inside:
            return found + inside
        found.append(Culprit(origin, values[origin], operands, names, call))
        # NaN of infinities: where those came from is what the reader wants to know
        roots = [a for a, v in operands if _any(np.isinf, v)] if bad is np.isnan else []
    return found


def _origin(roots: Sequence[Variable], values: Mapping[Variable, Array], bad: Test) -> Any:
    """Going up from the first bad root through bad operands: one that has none."""
    at = next((r for r in roots if r in values and _any(bad, values[r])), None)
    while at is not None:
        worse = next((a for a in at.args if a in values and _any(bad, values[a])), None)
        if worse is None:
            return at
        at = worse
    return None


# --- in loops -------------------------------------------------------------------------


class _Found(Exception):
    """Leaves a loop with what was looked for."""

    def __init__(self, culprits: list[Culprit]) -> None:
        self.culprits = culprits


def _is_loop(v: Variable) -> bool:
    return v.op is not None and "together" in v.op.facts and "loop" in v.attrs


def _inside(v: Variable, values: Mapping[Variable, Array], names: Names) -> list[Culprit]:
    """Of a loop that made NaN or infinity of finite operands: what in its step did."""
    assert v.op is not None

    def watching(roots: Sequence[Variable], leaves: Sequence[Variable]) -> Any:
        order = [n for n in toposort(roots, leaves=frozenset(leaves))
                 if not isinstance(n, Constant)]  # fmt: skip
        run, calls = interpret(order, leaves), 0

        def watched(given: Sequence[Any]) -> list[Array]:
            nonlocal calls
            calls += 1
            known = dict(zip(order, run(given)))
            found = _found(roots, known, names, calls)
            if found and found[0].variable.op is not None:  # not what was given
                raise _Found(found)
            return [known[r] if r in known else np.asarray(r.data) for r in roots]  # type: ignore

        return watched

    arrays = [values[a] if a in values else a.data for a in v.args]  # type: ignore[attr-defined]
    try:
        v.op.facts["together"](arrays, [v], watching)
    except _Found as found:
        return found.culprits
    return []


# --- what is finite -------------------------------------------------------------------


def _any(bad: Test, value: Array) -> bool:
    return value.dtype.kind in "fc" and bool(bad(value).any())


def bad_leaves(variables: Mapping[str, SharedVariable]) -> list[str]:
    """The names of shared variables that hold NaN or infinities."""
    return [name for name, v in variables.items() if not all_finite(v.get_value(borrow=True))]


def all_finite(value: Array) -> bool:
    """Whether an array of any dtype holds neither NaN nor infinities."""
    if value.dtype.kind == "V":
        value = dtypes.convert(value, "float32")
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


def listed(names: Sequence[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- words ----------------------------------------------------------------------------


def _formula(v: Variable, names: Names) -> str:
    """A name, or as much of the formula as fits in a line."""
    text = names.get(v) or v.name
    if text:
        return text
    for depth in (-1, 5, 4, 3, 2):
        text = pp(v, depth)
        if len(text) <= WIDTH:
            return text
    text = pp(v, 1)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _kind(value: Array) -> str:
    nan, inf = int(np.isnan(value).sum()), int(np.isinf(value).sum())
    if value.ndim == 0:
        return str(value)
    counts = [f"{n} {name}" for n, name in ((nan, "NaN"), (inf, "infinite")) if n]
    return f"{' and '.join(counts)} of {value.size} values"


def _extent(value: Array) -> str:
    """Shape, dtype, and from where to where the finite values go."""
    if value.dtype.kind == "V":
        value = dtypes.convert(value, "float32")
    label = f"{value.dtype}{list(value.shape)}"
    if value.dtype.kind not in "fiu" or not value.size:
        return label
    if value.ndim == 0:
        return f"{value.dtype} {value:.6g}" if value.dtype.kind == "f" else f"{label} {value}"
    finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    if not finite.size:
        return f"{label}, nothing finite"
    more = "" if finite.size == value.size else f", {value.size - finite.size} not finite"
    return f"{label} from {finite.min():.4g} to {finite.max():.4g}{more}"
