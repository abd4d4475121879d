"""A rate for each layer, from the norms of its weights and of its step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import SharedVariable, Variable
from graphc.ops.elementwise import and_, cast, gt, sqr, sqrt, switch
from graphc.ops.reduce import sum as total
from graphc.optim.moments import counted, running_moments
from graphc.optim.parts import Updates, number


def lamb(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-6,
    weight_decay: Any = 0.01,
) -> Updates:
    """Adam's steps, made as long as the weights that they change: for very large batches.

    ::

        t, m, v as for adam
        r = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + lambda * p
        p := p - eta * |p| / |r| * r

    with Euclidean norms over the whole parameter; the ratio is 1 where either is 0.

    Parameters
    ----------
    loss_or_grads, params, learning_rate, beta1, beta2, epsilon
        As for `adam`.
    weight_decay : float or scalar variable
        ``lambda``.

    Returns
    -------
    list of (shared variable, expression)

    References
    ----------
    You et al.: Large batch optimization for deep learning, training BERT in 76 minutes.
    ICLR 2020, arXiv:1904.00962, algorithm 2, with the identity for ``phi``.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import lamb
    >>> w = graphc.shared(4.0, name="w")
    >>> step = graphc.function([], updates=lamb(w**2, [w], learning_rate=0.25))
    >>> step()
    >>> round(float(w.get_value()), 6)
    3.0
    """
    t, updates = counted("lamb")
    for m in running_moments(loss_or_grads, params, (beta1, beta2), t, updates):
        p = m.scaled(m.param)
        step = m.step(1.0, epsilon) + number(weight_decay, m.param) * p
        length, stride = sqrt(total(sqr(p))), sqrt(total(sqr(step)))
        usable = and_(gt(length, 0), gt(stride, 0))
        ratio = switch(usable, length / switch(usable, stride, 1), 1)
        new = p - number(learning_rate, m.param) * ratio * step
        updates.append((m.param, cast(new, m.param.dtype)))
    return updates
