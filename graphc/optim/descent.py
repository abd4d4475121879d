"""Descent along the gradient, plain and with a velocity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import SharedVariable, Variable
from graphc.ops.elementwise import cast
from graphc.optim.parts import Updates, fading, number, state_like, with_gradients


def sgd(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.01,
) -> Updates:
    """Stochastic gradient descent.

    ::

        p := p - eta * g

    Parameters
    ----------
    loss_or_grads : variable or list of variables
        A scalar, or one gradient per parameter (clipped ones, for example).
    params : list of shared variables
        What is trained.
    learning_rate : float or scalar variable
        ``eta``.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Robbins, Monro: A stochastic approximation method. Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import sgd
    >>> w = graphc.shared(4.0, name="w")
    >>> step = graphc.function([], updates=sgd(w**2, [w], learning_rate=0.25))
    >>> step()
    >>> float(w.get_value())
    2.0
    """
    return [
        (p, cast(p - number(learning_rate, p) * g, p.dtype))
        for p, g in with_gradients(loss_or_grads, params)
    ]


def momentum(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.01,
    momentum: Any = 0.9,
) -> Updates:
    """Gradient descent with a velocity: steps add up where gradients agree.

    ::

        v := mu * v - eta * g
        p := p + v

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    momentum : float or scalar variable
        ``mu``, the part of the velocity that a step keeps.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Polyak: Some methods of speeding up the convergence of iteration methods. USSR Computational
    Mathematics and Mathematical Physics 4(5), 1964.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import momentum
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=momentum(w, [w], learning_rate=0.5, momentum=0.5))
    >>> step(), step()
    (None, None)
    >>> float(w.get_value())
    -0.25
    """
    updates: Updates = []
    for p, g in with_gradients(loss_or_grads, params):
        velocity = state_like(p, "velocity")
        new = fading(number(momentum, p) * velocity - number(learning_rate, p) * g)
        updates += [(velocity, new), (p, cast(p + new, p.dtype))]
    return updates


def nesterov(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.01,
    momentum: Any = 0.9,
) -> Updates:
    """Nesterov's accelerated gradient: the velocity is applied before the gradient is taken.

    ::

        v := mu * v - eta * g
        p := p + mu * v - eta * g        (with the new v)

    Parameters
    ----------
    loss_or_grads, params, learning_rate, momentum
        As for `graphc.optim.momentum`.

    Returns
    -------
    list of (shared variable, expression)

    Notes
    -----
    The parameters that are kept are those ahead by ``mu * v``, so that the gradient is taken
    where they are (Bengio et al., equation 7).

    References
    ----------
    Nesterov: A method for solving the convex programming problem with convergence rate O(1/k^2).
    Doklady Akademii Nauk SSSR 269, 1983. Bengio, Boulanger-Lewandowski, Pascanu: Advances in
    optimizing recurrent networks. ICASSP 2013, arXiv:1212.0901.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import nesterov
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=nesterov(w, [w], learning_rate=0.5, momentum=0.5))
    >>> step()
    >>> float(w.get_value())
    0.25
    """
    updates: Updates = []
    for p, g in with_gradients(loss_or_grads, params):
        velocity = state_like(p, "velocity")
        kept, step = number(momentum, p), number(learning_rate, p) * g
        new = fading(kept * velocity - step)
        updates += [(velocity, new), (p, cast(p + kept * new - step, p.dtype))]
    return updates
