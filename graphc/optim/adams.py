"""Adam and its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.node import SharedVariable, Variable
from graphc.ops.elementwise import abs_, cast, maximum
from graphc.optim.moments import correction, counted, running_moments
from graphc.optim.parts import (
    Updates,
    checked,
    fading,
    number,
    scalar_state,
    state_like,
    widest,
    with_gradients,
)


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
        p := p - eta * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    with the new t, m and v in the last line.

    Parameters
    ----------
    loss_or_grads, params, learning_rate
        As for `sgd`.
    beta1, beta2 : float or scalar variable
        How slowly the two means forget.
    epsilon : float or scalar variable
        Keeps the divisor from zero.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Kingma, Ba: Adam, a method for stochastic optimization. ICLR 2015, arXiv:1412.6980,
    algorithm 1.

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
    t, updates = counted("adam")
    for m in running_moments(loss_or_grads, params, (beta1, beta2), t, updates):
        new = m.param - m.step(learning_rate, epsilon)
        updates.append((m.param, cast(new, m.param.dtype)))
    return updates


def amsgrad(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    """Adam with a divisor that never falls: no weight's rate grows again.

    ::

        t, m, v as for adam
        w := max(w, v)
        p := p - eta * m / (1 - beta1^t) / (sqrt(w / (1 - beta2^t)) + epsilon)

    with the new t, m and w in the last line.

    Parameters
    ----------
    loss_or_grads, params, learning_rate, beta1, beta2, epsilon
        As for `adam`.

    Returns
    -------
    list of (shared variable, expression)

    Notes
    -----
    The paper leaves out the corrections; they are kept here, as PyTorch keeps them.

    References
    ----------
    Reddi, Kale, Kumar: On the convergence of Adam and beyond. ICLR 2018, arXiv:1904.09237,
    algorithm 2.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import amsgrad
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=amsgrad(w**2, [w], learning_rate=0.5))
    >>> step()
    >>> round(float(w.get_value()), 6)
    0.5
    """
    t, updates = counted("amsgrad")
    for m in running_moments(loss_or_grads, params, (beta1, beta2), t, updates):
        highest = state_like(m.param, "highest")
        new_highest = maximum(highest, m.squares)
        new = m.param - m.step(learning_rate, epsilon, new_highest)
        updates += [(highest, new_highest), (m.param, cast(new, m.param.dtype))]
    return updates


def adamw(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
    weight_decay: Any = 0.01,
) -> Updates:
    """Adam with weights that decay at one rate, however large their gradients are.

    ::

        t, m, v as for adam
        p := p - eta * lambda * p - eta * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Parameters
    ----------
    loss_or_grads, params, learning_rate, beta1, beta2, epsilon
        As for `adam`.
    weight_decay : float or scalar variable
        ``lambda``.

    Returns
    -------
    list of (shared variable, expression)

    Notes
    -----
    All `params` decay. To leave out biases, call it twice, with ``weight_decay=0`` for them,
    and join the two lists.

    References
    ----------
    Loshchilov, Hutter: Decoupled weight decay regularization. ICLR 2019, arXiv:1711.05101,
    algorithm 2; the decay is scaled by ``eta``, as in PyTorch.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import adamw
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=adamw(w**2, [w], 0.5, weight_decay=0.5))
    >>> step()
    >>> round(float(w.get_value()), 6)
    0.25
    """
    t, updates = counted("adamw")
    for m in running_moments(loss_or_grads, params, (beta1, beta2), t, updates):
        kept = 1 - number(learning_rate * weight_decay, m.param)
        new = kept * m.scaled(m.param) - m.step(learning_rate, epsilon)
        updates.append((m.param, cast(new, m.param.dtype)))
    return updates


def adamax(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.002,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    """Adam with the largest gradient of late in the place of the mean square.

    ::

        t := t + 1
        m := beta1 * m + (1 - beta1) * g
        u := max(beta2 * u, |g| + epsilon)
        p := p - eta / (1 - beta1^t) * m / u

    with the new t, m and u in the last line.

    Parameters
    ----------
    loss_or_grads, params, learning_rate, beta1, beta2, epsilon
        As for `adam`.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Kingma, Ba: Adam, a method for stochastic optimization. ICLR 2015, arXiv:1412.6980,
    algorithm 2; ``epsilon``, which the paper has not, as in PyTorch.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import adamax
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=adamax(w**2, [w], learning_rate=0.5))
    >>> step()
    >>> round(float(w.get_value()), 6)
    0.5
    """
    t, updates = counted("adamax")
    first = correction(beta1, t)
    for p, g in with_gradients(loss_or_grads, params):
        mean, largest = state_like(p, "mean"), state_like(p, "largest")
        new_mean = fading(number(beta1, p) * mean + number(1 - beta1, p) * g)
        new_largest = maximum(number(beta2, p) * largest, abs_(g) + number(epsilon, p))
        rate = cast(learning_rate / first, dtypes.wide(p.dtype))
        new = cast(p - rate * new_mean / new_largest, p.dtype)
        updates += [(mean, new_mean), (largest, new_largest), (p, new)]
    return updates


def nadam(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.002,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
    momentum_decay: Any = 0.004,
) -> Updates:
    """Adam with Nesterov's look ahead: the mean is used as the next step will see it.

    ::

        t, m, v as for adam
        mu(t) = beta1 * (1 - 0.96^(t * psi) / 2),   q := q * mu(t)
        n = mu(t + 1) * m / (1 - q * mu(t + 1)) + (1 - mu(t)) * g / (1 - q)
        p := p - eta * n / (sqrt(v / (1 - beta2^t)) + epsilon)

    with the new t, m, v and q in the last two lines; q starts from 1.

    Parameters
    ----------
    loss_or_grads, params, learning_rate, beta1, beta2, epsilon
        As for `adam`.
    momentum_decay : float or scalar variable
        ``psi``, how fast the momentum rises to ``beta1``.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    Dozat: Incorporating Nesterov momentum into Adam. ICLR workshop, 2016, algorithm 2 with the
    schedule of its appendix.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import nadam
    >>> w = graphc.shared(1.0, name="w")
    >>> step = graphc.function([], updates=nadam(w**2, [w], learning_rate=0.1))
    >>> step(), step()
    (None, None)
    >>> round(float(w.get_value()), 4)
    0.82
    """
    t, updates = counted("nadam")
    product = scalar_state("nadam.product", 1, widest(checked(params)))
    now, then = (_momentum(beta1, momentum_decay, k) for k in (t, t + 1))
    new_product = cast(product, "float64") * now
    updates.append((product, cast(new_product, product.dtype)))
    for m in running_moments(loss_or_grads, params, (beta1, beta2), t, updates):
        of_mean = m.scaled(learning_rate * then / (1 - new_product * then))
        of_gradient = m.scaled(learning_rate * (1 - now) / (1 - new_product))
        ahead = of_mean * m.mean + of_gradient * m.gradient
        new = m.param - ahead / (m.root() + number(epsilon, m.param))
        updates.append((m.param, cast(new, m.param.dtype)))
    return updates


def _momentum(beta: Any, decay: Any, step: Variable) -> Variable:
    """``beta * (1 - 0.96^(t * psi) / 2)`` in float64."""
    exponent = cast(step, "float64") * decay
    return beta * (1 - 0.5 * 0.96**exponent)
