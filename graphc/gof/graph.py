"""``graphc.gof.graph``: walks over graphs, under Theano's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphc.core.graph import Interner, substitute, toposort
from graphc.core.node import Apply, Constant, Variable


def ancestors(variable_list: Iterable[Variable], blockers: Any = None) -> list[Variable]:
    """Everything that variables are made of, and themselves; not what lies beyond `blockers`.

    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> graphc.gof.graph.ancestors([x + 1])
    [x, 1.0: float64[], add: float64[]]
    """
    return toposort(list(variable_list), leaves=set(blockers or ()))


def inputs(variable_list: Iterable[Variable], blockers: Any = None) -> list[Variable]:
    """The leaves that variables are made of: inputs, constants, shared variables.

    >>> import graphc, graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> graphc.gof.graph.inputs([x * T.exp(y)])
    [x, y]
    """
    return [v for v in ancestors(variable_list, blockers) if v.op is None]


def io_toposort(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Apply]:
    """The applications between inputs and outputs, operands first."""
    order = toposort(list(outputs), leaves=set(inputs))
    return [Apply(v) for v in order if v.op is not None and v not in inputs]


def is_same_graph(var1: Variable, var2: Variable, givens: Any = None, debug: bool = False) -> bool:
    """Whether two expressions do the same to the same leaves; constants count by value.

    Parameters
    ----------
    givens : dict or list of pairs, optional
        Variables of either that stand for others.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> same = graphc.gof.graph.is_same_graph
    >>> same(x + 1, x + 1), same(x + 1, y + 1), same(x + 1, y + 1, givens={x: y})
    (True, False, True)
    """
    pairs = dict(givens.items() if isinstance(givens, Mapping) else givens or ())
    first, second = substitute([var1, var2], pairs)
    interner = Interner()
    done = interner.rebuild(toposort([first, second]), {})
    return done[first] is done[second]


__all__ = ["Apply", "Constant", "Variable", "ancestors", "inputs", "io_toposort", "is_same_graph"]
