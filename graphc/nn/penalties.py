"""Penalties on parameters, to be added to a loss, and constraints on updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import abs_, add, cast, maximum, minimum, mul, sqr, sqrt
from graphc.ops.reduce import sum as sum_

__all__ = ["constrained", "elastic", "l1", "l2", "max_norm"]


def _total(parts: Iterable[Variable], what: str) -> Variable:
    found: Any = None
    for part in parts:
        found = part if found is None else add(found, part)
    if found is None:
        raise ArgumentError(f"{what}: there are no parameters", at=user_frames())
    return found  # type: ignore[no-any-return]


def _listed(parameters: Any) -> list[Variable]:
    return list(parameters) if isinstance(parameters, list | tuple) else [as_variable(parameters)]


def l1(parameters: Any) -> Variable:
    """``sum of |w|`` over one parameter or all of a list.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.penalties.l1(np.array([1.0, -2.0])).eval().item()
    3.0
    """
    return _total((sum_(abs_(w)) for w in _listed(parameters)), "l1")


def l2(parameters: Any) -> Variable:
    """``sum of w^2`` over one parameter or all of a list; there is no 1/2 in it.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.penalties.l2(np.array([1.0, -2.0])).eval().item()
    5.0
    """
    return _total((sum_(sqr(w)) for w in _listed(parameters)), "l2")


def elastic(parameters: Any, share: float = 0.5) -> Variable:
    """``share * l1 + (1 - share) / 2 * l2`` (Zou and Hastie, 2005, as scikit-learn has it).

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.penalties.elastic(np.array([1.0, -2.0])).eval().item()
    2.75
    """
    return add(mul(l1(parameters), share), mul(l2(parameters), (1 - share) / 2))


def max_norm(weights: Any, limit: float, axis: int | Sequence[int] = 0) -> Variable:
    """`weights` scaled down where the norm along `axis` is above `limit`.

    ``w min(1, limit / |w|)``; for a matrix (inputs, units), axis 0 makes it the norm of each
    unit's incoming weights, for filters axes (1, 2, 3). Srivastava et al., 2014, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.penalties.max_norm(np.array([[3.0, 0.1], [4.0, 0.0]]), 1.0).eval()
    array([[0.6, 0.1],
           [0.8, 0. ]])
    """
    w: Any = as_variable(weights)
    norm = sqrt(sum_(sqr(w), axis=axis, keepdims=True))
    return w * minimum(1.0, limit / maximum(norm, 1e-12))  # type: ignore[operator, no-any-return]


def constrained(
    updates: Iterable[tuple[SharedVariable, Variable]], constraints: Any
) -> list[tuple[SharedVariable, Variable]]:
    """Updates whose new values were put through a function.

    Parameters
    ----------
    updates : pairs
        An optimiser's.
    constraints : dict
        From shared variables to functions of their new value.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc import nn
    >>> w = graphc.shared(np.array([[0.0]]), name="w")
    >>> pairs = nn.penalties.constrained([(w, w + 3)], {w: lambda v: nn.penalties.max_norm(v, 1.0)})
    >>> graphc.function([], updates=pairs, mode="numpy")()
    >>> w.get_value()
    array([[1.]])
    """
    found = [
        (p, cast(constraints[p](new), p.dtype) if p in constraints else new) for p, new in updates
    ]
    absent = [p.name for p in constraints if all(p is not q for q, _ in found)]
    if absent:
        raise ArgumentError(f"constrained: there is no update of {absent}", at=user_frames())
    return found
