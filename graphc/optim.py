"""Optimisers: functions that turn a loss and its parameters into updates.

Each returns a list of pairs ``(shared variable, new value)`` for ``function(updates=...)``. What
an optimiser remembers from step to step it keeps in shared variables of its own, which are among
the pairs. Hyper-parameters may be numbers or symbolic scalars: a learning rate that is a shared
variable can be changed between calls without compiling again.

In the formulas, ``p`` is a parameter, ``g`` the gradient of the loss with respect to it, and
``eta`` the learning rate; ``:=`` is one step. Parameters of float16 and bfloat16 are updated in
float32, in which state is kept too, and rounded at the end of a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, as_storage, describe, user_frames
from graphc.ops.elementwise import cast, sqr, sqrt
from graphc.passes.autodiff import grad

Updates = list[tuple[SharedVariable, Variable]]


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
        new = number(momentum, p) * velocity - number(learning_rate, p) * g
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
        new = kept * velocity - step
        updates += [(velocity, new), (p, cast(p + kept * new - step, p.dtype))]
    return updates


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
) -> Updates:
    """Gradients divided by a running root mean square of themselves.

    ::

        s := rho * s + (1 - rho) * g^2
        p := p - eta * g / sqrt(s + epsilon)        (with the new s)

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    rho : float or scalar variable
        How slowly the mean forgets.
    epsilon : float or scalar variable
        Keeps the divisor from zero.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Tieleman, Hinton: Lecture 6.5, rmsprop. Coursera, Neural networks for machine learning, 2012.

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
        squares, kept = state_like(p, "squares"), number(rho, p)
        new = kept * squares + (1 - kept) * sqr(g)
        step = number(learning_rate, p) * g / sqrt(new + number(epsilon, p))
        updates += [(squares, new), (p, cast(p - step, p.dtype))]
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
        kept, small = number(rho, p), number(epsilon, p)
        new = kept * squares + (1 - kept) * sqr(g)
        move = g * sqrt(moves + small) / sqrt(new + small)
        updates += [
            (squares, new),
            (moves, kept * moves + (1 - kept) * sqr(move)),
            (p, cast(p - number(learning_rate, p) * move, p.dtype)),
        ]
    return updates


def adam(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    """Running means of the gradients and of their squares, corrected for starting at zero.

    ::

        t := t + 1
        m := beta1 * m + (1 - beta1) * g
        v := beta2 * v + (1 - beta2) * g^2
        p := p - eta * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)

    with the new t, m and v in the last line.

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    beta1, beta2 : float or scalar variable
        How slowly the two means forget.
    epsilon : float or scalar variable
        Keeps the divisor from zero; it is the ``epsilon hat`` of the paper.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Kingma, Ba: Adam, a method for stochastic optimization. ICLR 2015, arXiv:1412.6980, the form
    at the end of section 2.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import adam
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=adam(w**2, [w], learning_rate=0.5))
    >>> step()
    >>> round(float(w.get_value()), 6)
    0.5
    """
    pairs = list(with_gradients(loss_or_grads, params))
    count = SharedVariable(np.zeros((), "int64"), "adam.steps")
    updates: Updates = [(count, count + 1)]
    for p, g in pairs:
        b1, b2, t = number(beta1, p), number(beta2, p), cast(count + 1, dtypes.wide(p.dtype))
        mean, squares = state_like(p, "mean"), state_like(p, "squares")
        new_mean = b1 * mean + (1 - b1) * g
        new_squares = b2 * squares + (1 - b2) * sqr(g)
        rate = number(learning_rate, p) * sqrt(1 - b2**t) / (1 - b1**t)
        step = rate * new_mean / (sqrt(new_squares) + number(epsilon, p))
        updates += [(mean, new_mean), (squares, new_squares), (p, cast(p - step, p.dtype))]
    return updates


def with_gradients(
    loss_or_grads: Variable | Sequence[Variable], params: Sequence[SharedVariable]
) -> Iterator[tuple[SharedVariable, Variable]]:
    """Each parameter with its gradient, in the dtype in which it is trained.

    Raises
    ------
    ArgumentError
        If a parameter isn't a shared variable, or there is not one gradient for each.
    """
    for p in params:
        if not isinstance(p, SharedVariable):
            label = describe(p) if isinstance(p, Variable) else repr(p)
            raise ArgumentError(
                f"only shared variables can be trained, not {label}",
                "make it with graphc.shared, or leave it out",
                user_frames(),
            )
    if isinstance(loss_or_grads, Variable):
        gradients: Sequence[Variable] = grad(loss_or_grads, list(params))
    else:
        gradients = list(loss_or_grads)
    if len(gradients) != len(params):
        raise ArgumentError(
            f"{len(gradients)} gradients for {len(params)} parameters",
            "pass the loss itself, or one gradient per parameter",
            user_frames(),
        )
    for p, g in zip(params, gradients):
        yield p, cast(g, dtypes.wide(p.dtype))


def state_like(param: SharedVariable, what: str) -> SharedVariable:
    """A shared variable of zeros, shaped like a parameter and named after it."""
    shape, dtype = param.get_value(borrow=True).shape, dtypes.wide(param.dtype)
    zeros = as_storage(np.zeros(shape, dtypes.numpy_dtype(dtype)), copy=True)
    return SharedVariable(zeros, f"{param.name or 'param'}.{what}", param.broadcastable)


def number(value: Any, param: SharedVariable) -> Any:
    """A hyper-parameter that doesn't widen a parameter: symbolic ones get its dtype."""
    return cast(value, dtypes.wide(param.dtype)) if isinstance(value, Variable) else value


__all__ = ["adadelta", "adagrad", "adam", "momentum", "nesterov", "rmsprop", "sgd"]
