"""Learning rules older than gradients of a loss: the perceptron's and Adaline's."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, le, switch
from graphc.ops.linalg import dot
from graphc.ops.reduce import mean
from graphc.ops.shape import expand_axes
from graphc.optim.parts import Updates, checked, number


def perceptron(
    x: Any,
    target: Any,
    weights: SharedVariable,
    bias: SharedVariable | None = None,
    learning_rate: Any = 1.0,
) -> Updates:
    """Rosenblatt's rule: weights change by the inputs that they get wrong.

    ::

        w := w + eta * t * x,   b := b + eta * t        where t * (x . w + b) <= 0

    Parameters
    ----------
    x : (d,) or (n, d)
        One input, or a batch, whose changes are averaged.
    target : () or (n,), or with k outputs (k,) or (n, k)
        ``t``: 1 or -1.
    weights : shared (d,) or (d, k)
    bias : shared () or (k,), optional
    learning_rate : float or scalar variable
        ``eta``; it only scales the weights, if they start from zero.

    Returns
    -------
    list of (shared variable, expression)

    Raises
    ------
    ArgumentError
        If the ranks don't go together.

    References
    ----------
    Rosenblatt: The perceptron, a probabilistic model for information storage and organization
    in the brain. Psychological Review 65(6), 1958.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc.optim import perceptron
    >>> x, t = T.dvector("x"), T.dscalar("t")
    >>> w, b = graphc.shared(np.zeros(2), name="w"), graphc.shared(0.0, name="b")
    >>> learn = graphc.function([x, t], updates=perceptron(x, t, w, b))
    >>> learn([1.0, 2.0], 1.0), learn([3.0, 1.0], 1.0)
    (None, None)
    >>> w.get_value(), float(b.get_value())
    (array([1., 2.]), 1.0)
    """
    x, t, answer = _answers("perceptron", x, target, weights, bias)
    wrong = switch(le(t * answer, 0), t, 0)
    return _changes(x, wrong, weights, bias, learning_rate)


def adaline(
    x: Any,
    target: Any,
    weights: SharedVariable,
    bias: SharedVariable | None = None,
    learning_rate: Any = 0.01,
) -> Updates:
    """The rule of Widrow and Hoff (LMS, delta rule): errors are corrected before the threshold.

    ::

        e = t - (x . w + b)
        w := w + eta * e * x,   b := b + eta * e

    Parameters
    ----------
    x, target, weights, bias
        As for `perceptron`; targets may be any numbers.
    learning_rate : float or scalar variable
        ``eta``.

    Returns
    -------
    list of (shared variable, expression)

    Raises
    ------
    ArgumentError
        If the ranks don't go together.

    Notes
    -----
    It is `sgd` on ``mean(e^2) / 2``.

    References
    ----------
    Widrow, Hoff: Adaptive switching circuits. IRE WESCON Convention Record 4, 1960.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc.optim import adaline
    >>> x, t = T.dvector("x"), T.dscalar("t")
    >>> w = graphc.shared(np.zeros(2), name="w")
    >>> learn = graphc.function([x, t], updates=adaline(x, t, w, learning_rate=0.5))
    >>> learn([1.0, 0.0], 1.0), learn([1.0, 0.0], 1.0)
    (None, None)
    >>> w.get_value()
    array([0.75, 0.  ])
    """
    x, t, answer = _answers("adaline", x, target, weights, bias)
    return _changes(x, t - answer, weights, bias, learning_rate)


def _answers(
    what: str, x: Any, target: Any, weights: SharedVariable, bias: SharedVariable | None
) -> tuple[Variable, Variable, Variable]:
    """Inputs and targets in the dtype of the weights, and what the unit answers."""
    checked([weights] if bias is None else [weights, bias])
    x, t = (cast(as_variable(v), weights.dtype) for v in (x, target))
    fits = x.ndim in (1, 2) and weights.ndim in (1, 2)
    outputs = weights.ndim - 1
    if not fits or t.ndim != x.ndim - 1 + outputs or (bias is not None and bias.ndim != outputs):
        given = [("x", x), ("target", t), ("weights", weights), ("bias", bias)]
        ranks = ", ".join(f"{name} {v.ndim}" for name, v in given if v is not None)
        raise ArgumentError(
            f"{what}: {describe(weights)} doesn't go with the others; the ranks are {ranks}",
            "x (n, d), target (n,), weights (d,), bias (); with k outputs (n, k), (d, k), (k,)",
            user_frames(),
        )
    answer = dot(x, weights)
    return x, t, answer if bias is None else answer + cast(bias, weights.dtype)


def _changes(
    x: Variable, error: Variable, weights: SharedVariable, bias: SharedVariable | None, rate: Any
) -> Updates:
    """Errors times inputs, averaged over the rows of a batch."""
    batch = x.ndim == 2
    if batch:
        change = dot(x.T, error) / cast(x.shape[0], weights.dtype)
    elif weights.ndim == 2:
        change = expand_axes(x, (1,)) * error
    else:
        change = x * error
    updates: Updates = [(weights, weights + number(rate, weights) * change)]
    if bias is not None:
        mean_error = cast(mean(error, axis=0) if batch else error, bias.dtype)
        updates.append((bias, bias + number(rate, bias) * mean_error))
    return [(p, cast(new, p.dtype)) for p, new in updates]
