"""Penalties on weights, to be added to a loss, and bounds on their norms."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.ops.elementwise import abs_, cast, maximum, sqr, sqrt
from graphc.ops.reduce import sum as total
from graphc.optim.parts import Updates, checked


def l1(params: Sequence[Variable]) -> Variable:
    """The sum of all absolute values: it drives weights to exactly zero.

    Parameters
    ----------
    params : list of variables
        Usually the weights without the biases; float16 and bfloat16 are added up in float32.

    Returns
    -------
    scalar

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc.optim import l1
    >>> float(l1([graphc.shared(np.array([1.0, -2.0]))]).eval())
    3.0
    """
    return _summed(params, abs_)


def l2(params: Sequence[Variable]) -> Variable:
    """The sum of all squares, without a factor of 1/2.

    ``loss + decay / 2 * l2(params)`` has the gradient ``g + decay * p``, the ``weight_decay`` of
    other programs.

    Parameters
    ----------
    params : list of variables
        As for `l1`.

    Returns
    -------
    scalar

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc.optim import l2
    >>> float(l2([graphc.shared(np.array([1.0, -2.0])), graphc.shared(3.0)]).eval())
    14.0
    """
    return _summed(params, sqr)


def elastic(params: Sequence[Variable], ratio: Any = 0.5) -> Variable:
    """Both: ``ratio * l1 + (1 - ratio) / 2 * l2``.

    Parameters
    ----------
    params : list of variables
        As for `l1`.
    ratio : float or scalar variable
        The part of `l1`, between 0 and 1.

    Returns
    -------
    scalar

    References
    ----------
    Zou, Hastie: Regularization and variable selection via the elastic net. JRSS B 67(2), 2005;
    with the factors of scikit-learn's ``ElasticNet``.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc.optim import elastic
    >>> float(elastic([graphc.shared(np.array([1.0, -2.0]))], ratio=0.5).eval())
    2.75
    """
    sparse, small = l1(params), l2(params)
    part = cast(ratio, sparse.dtype) if isinstance(ratio, Variable) else ratio
    return part * sparse + (1 - part) / 2 * small


def max_norm(
    updates: Updates,
    params: Sequence[SharedVariable],
    limit: Any,
    axes: Sequence[int] | None = None,
) -> Updates:
    """Updates after which no unit's incoming weights are longer than `limit`.

    ::

        p := p * min(1, limit / |p|)        (norms over `axes`)

    Parameters
    ----------
    updates : list of (shared variable, expression)
        Of any optimiser.
    params : list of shared variables
        Those to bound, usually weights without biases; each must be updated.
    limit : float or scalar variable
        The largest norm.
    axes : sequence of int, optional
        Over which axes a norm is taken. By default those that lead into a unit: axis 0 of a
        matrix (inputs, outputs), all but axis 0 of filters (outputs, inputs, ...).

    Returns
    -------
    list of (shared variable, expression)

    Raises
    ------
    ArgumentError
        If a parameter isn't updated, or is a vector or scalar and `axes` is not given.

    References
    ----------
    Srebro, Shraibman: Rank, trace-norm and max-norm. COLT 2005. Hinton et al.: Improving neural
    networks by preventing co-adaptation of feature detectors. 2012, arXiv:1207.0580.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc.optim import max_norm, sgd
    >>> w = graphc.shared(np.array([[3.0, 0.1], [4.0, 0.0]]), name="w")
    >>> updates = max_norm(sgd(0 * w.sum(), [w]), [w], limit=1.0)
    >>> graphc.function([], updates=updates)()
    >>> w.get_value()
    array([[0.6, 0.1],
           [0.8, 0. ]])
    """
    if not isinstance(limit, Variable) and not 0 < limit < inf:
        hint = "give a positive, finite number"
        raise ArgumentError(f"max_norm: a limit of {limit}", hint, user_frames())
    found = dict(updates)
    for p in checked(params):
        if p not in found:
            raise ArgumentError(
                f"max_norm: {describe(p)} is not among the updates",
                "bound parameters that the optimiser trains",
                user_frames(),
            )
        found[p] = _bounded(p, found[p], limit, axes)
    return list(found.items())


def _bounded(param: SharedVariable, new: Variable, limit: Any,
             axes: Sequence[int] | None) -> Variable:  # fmt: skip
    if axes is None and param.ndim < 2:
        raise ArgumentError(
            f"max_norm: {describe(param)} has no axis of inputs",
            "leave it out, or say over which axes: axes=(0,)",
            user_frames(),
        )
    incoming = (0,) if param.ndim == 2 else tuple(range(1, param.ndim))
    over = incoming if axes is None else tuple(axes)
    wide = cast(new, dtypes.wide(param.dtype))
    length = sqrt(total(sqr(wide), axis=over, keepdims=True))
    most = cast(limit, wide.dtype) if isinstance(limit, Variable) else limit
    factor = most / maximum(maximum(length, most), 1e-30)
    return cast(wide * factor, param.dtype)


def _summed(params: Sequence[Variable], of: Any) -> Variable:
    listed = [params] if isinstance(params, Variable) else list(params)
    if not listed:
        raise ArgumentError("a penalty on no parameters", "pass at least one", user_frames())
    terms = [total(of(cast(p, dtypes.wide(p.dtype)))) for p in listed]
    found = terms[0]
    for term in terms[1:]:
        found = found + term
    return found
