"""A rate for each weight: gradients divided by the root of sums or means of their squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import SharedVariable, Variable
from graphc.ops.elementwise import cast, maximum, sqr, sqrt
from graphc.optim.parts import Updates, fading, number, state_like, with_gradients


def adagrad(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 1.0,
    epsilon: Any = 1e-6,
) -> Updates:
    """A rate for each weight, which falls with the squared gradients it has seen.

    ::

        s := s + g^2
        p := p - eta * g / sqrt(s + epsilon)        (with the new s)

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    epsilon : float or scalar variable
        Keeps the divisor from zero.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic
    optimization. JMLR 12, 2011, section 1.3.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import adagrad
    >>> w = graphc.shared(3.0, name="w")
    >>> step = graphc.function([], updates=adagrad(2 * w, [w], learning_rate=1.0, epsilon=0.0))
    >>> step()
    >>> float(w.get_value())
    2.0
    """
    updates: Updates = []
    for p, g in with_gradients(loss_or_grads, params):
        squares = state_like(p, "squares")
        new = squares + sqr(g)
        step = number(learning_rate, p) * g / sqrt(new + number(epsilon, p))
        updates += [(squares, new), (p, cast(p - step, p.dtype))]
    return updates


def rmsprop(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.001,
    rho: Any = 0.9,
    epsilon: Any = 1e-6,
    centred: bool = False,
) -> Updates:
    """Gradients divided by a running root mean square of themselves.

    ::

        s := rho * s + (1 - rho) * g^2
        p := p - eta * g / sqrt(s + epsilon)        (with the new s)

    and centred, by a running standard deviation::

        m := rho * m + (1 - rho) * g
        p := p - eta * g / sqrt(s - m^2 + epsilon)        (with the new s and m)

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    rho : float or scalar variable
        How slowly the means forget.
    epsilon : float or scalar variable
        Keeps the divisor from zero.
    centred : bool
        Whether the mean gradient is taken off.

    Returns
    -------
    list of (shared variable, expression)

    Notes
    -----
    A variance that rounding makes negative counts as zero.

    References
    ----------
    Tieleman, Hinton: Lecture 6.5, rmsprop. Coursera, Neural networks for machine learning, 2012.
    Centred: Graves: Generating sequences with recurrent neural networks. 2013, arXiv:1308.0850,
    equations 38 to 40.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import rmsprop
    >>> w = graphc.shared(3.0, name="w")
    >>> step = graphc.function([], updates=rmsprop(w, [w], 1.0, rho=0.75, epsilon=0.0))
    >>> step()
    >>> float(w.get_value())
    1.0
    """
    updates: Updates = []
    for p, g in with_gradients(loss_or_grads, params):
        squares, kept, rest = state_like(p, "squares"), number(rho, p), number(1 - rho, p)
        new = fading(kept * squares + rest * sqr(g))
        updates.append((squares, new))
        if centred:
            mean = state_like(p, "mean")
            new_mean = fading(kept * mean + rest * g)
            updates.append((mean, new_mean))
            new = maximum(new - sqr(new_mean), 0)
        step = number(learning_rate, p) * g / sqrt(new + number(epsilon, p))
        updates.append((p, cast(p - step, p.dtype)))
    return updates


def adadelta(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 1.0,
    rho: Any = 0.95,
    epsilon: Any = 1e-6,
) -> Updates:
    """Steps of the size of earlier steps: nothing to be tuned has the units of the weights.

    ::

        s := rho * s + (1 - rho) * g^2
        u := g * sqrt(d + epsilon) / sqrt(s + epsilon)        (with the new s)
        d := rho * d + (1 - rho) * u^2
        p := p - eta * u

    Parameters
    ----------
    loss_or_grads, params
        As for `sgd`.
    learning_rate : float or scalar variable
        ``eta``; the paper's method is 1.
    rho : float or scalar variable
        How slowly both means forget.
    epsilon : float or scalar variable
        Starts the first step, when there are no earlier ones.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Zeiler: ADADELTA, an adaptive learning rate method. 2012, arXiv:1212.5701, algorithm 1.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import adadelta
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=adadelta(w, [w], rho=0.0, epsilon=1.0))
    >>> step()
    >>> round(float(w.get_value()), 3)
    0.293
    """
    updates: Updates = []
    for p, g in with_gradients(loss_or_grads, params):
        squares, moves = state_like(p, "squares"), state_like(p, "moves")
        kept, rest, small = number(rho, p), number(1 - rho, p), number(epsilon, p)
        new = fading(kept * squares + rest * sqr(g))
        move = g * sqrt(moves + small) / sqrt(new + small)
        updates += [
            (squares, new),
            (moves, fading(kept * moves + rest * sqr(move))),
            (p, cast(p - number(learning_rate, p) * move, p.dtype)),
        ]
    return updates
