"""Bounds for gradients: each function takes a list of them and returns one like it.

::

    gradients = clip_by_global_norm(graphc.grad(loss, params), 5.0)
    updates = adam(gradients, params)

Gradients of float16 and bfloat16 are returned in float32, so that their squares fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.elementwise import cast, clip, maximum, sqr, sqrt
from graphc.ops.reduce import sum as total


def clip_by_value(gradients: Sequence[Variable], limit: Any) -> list[Variable]:
    """Every entry between ``-limit`` and ``limit``.

    Parameters
    ----------
    gradients : list of variables
    limit : float or scalar variable
        Not negative.

    Returns
    -------
    list of variables

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.optim import clip_by_value
    >>> (g,) = clip_by_value([T.constant([3.0, -0.5, -2.0])], 1.0)
    >>> g.eval()
    array([ 1. , -0.5, -1. ])
    """
    bound = _bound("clip_by_value", limit)
    return [clip(g, -_scalar(bound, g), _scalar(bound, g)) for g in _wide(gradients)]


def clip_by_norm(gradients: Sequence[Variable], limit: Any) -> list[Variable]:
    """Each gradient no longer than `limit`, with its direction kept.

    ::

        g := g * min(1, limit / |g|)

    Parameters
    ----------
    gradients : list of variables
    limit : float or scalar variable
        The largest Euclidean norm of one gradient.

    Returns
    -------
    list of variables

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.optim import clip_by_norm
    >>> f, g = clip_by_norm([T.constant([3.0, 4.0]), T.constant([0.5])], 1.0)
    >>> f.eval(), g.eval()
    (array([0.6, 0.8]), array([0.5]))
    """
    bound = _bound("clip_by_norm", limit)
    wide = _wide(gradients)
    return [g * _factor(sqrt(total(sqr(g))), _scalar(bound, g)) for g in wide]


def clip_by_global_norm(gradients: Sequence[Variable], limit: Any) -> list[Variable]:
    """All gradients together no longer than `limit`: the direction of the step is kept.

    ::

        g := g * min(1, limit / n),   n = global_norm(gradients)

    Parameters
    ----------
    gradients : list of variables
    limit : float or scalar variable
        The largest norm of all gradients as one vector.

    Returns
    -------
    list of variables
        All of them NaN, if one entry is.

    References
    ----------
    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks. ICML 2013,
    algorithm 1.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.optim import clip_by_global_norm
    >>> f, g = clip_by_global_norm([T.constant([3.0]), T.constant([4.0])], 1.0)
    >>> f.eval(), g.eval()
    (array([0.6]), array([0.8]))
    """
    bound = _bound("clip_by_global_norm", limit)
    wide = _wide(gradients)
    if not wide:
        return []
    length = global_norm(wide)
    factor = _factor(length, _scalar(bound, length))
    return [g * cast(factor, g.dtype) for g in wide]


def global_norm(gradients: Sequence[Variable]) -> Variable:
    """The Euclidean norm of all entries as one vector: a figure to watch.

    Parameters
    ----------
    gradients : list of variables
        At least one.

    Returns
    -------
    scalar

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.optim import global_norm
    >>> float(global_norm([T.constant([3.0]), T.constant([[4.0]])]).eval())
    5.0
    """
    squares = [total(sqr(g)) for g in _wide(gradients)]
    if not squares:
        raise ArgumentError("global_norm: no gradients", "pass at least one", user_frames())
    found = squares[0]
    for s in squares[1:]:
        found = found + s
    return sqrt(found)


def _wide(gradients: Sequence[Variable]) -> list[Variable]:
    if isinstance(gradients, Variable):
        raise ArgumentError(
            f"gradients come as a list, not as {describe(gradients)}",
            "pass graphc.grad(loss, params), or [gradient]",
            user_frames(),
        )
    return [cast(g, dtypes.wide(g.dtype)) for g in gradients]


def _bound(what: str, limit: Any) -> Any:
    if not isinstance(limit, Variable) and not 0 <= limit < inf:
        raise ArgumentError(
            f"{what}: a limit of {limit}",
            "give a finite number that is not negative",
            user_frames(),
        )
    return limit


def _scalar(limit: Any, like: Variable) -> Any:
    return cast(limit, like.dtype) if isinstance(limit, Variable) else limit


def _factor(length: Variable, limit: Any) -> Variable:
    """``min(1, limit / length)``: exactly 1 for what is short, NaN where the length is."""
    return limit / maximum(maximum(length, limit), 1e-30)
