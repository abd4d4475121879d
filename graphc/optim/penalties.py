"""Penalties on weights, to be added to a loss, and constraints on updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import abs_, cast, maximum, sqr, sqrt
from graphc.ops.reduce import sum as total
from graphc.optim.parts import Updates, checked


def l1(params: Any) -> Variable:
    """The sum of all absolute values: it drives weights to exactly zero.

    Parameters
    ----------
    params : variable, array, or list of these
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


def l2(params: Any) -> Variable:
    """The sum of all squares, without a factor of 1/2.

    ``loss + decay / 2 * l2(params)`` has the gradient ``g + decay * p``, the ``weight_decay`` of
    other programs.

    Parameters
    ----------
    params
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


def elastic(params: Any, ratio: Any = 0.5) -> Variable:
    """Both: ``ratio * l1 + (1 - ratio) / 2 * l2``.

    Parameters
    ----------
    params
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


def within_norm(weights: Any, limit: Any, axes: Sequence[int] | None = None) -> Variable:
    """Weights, scaled down where a unit's incoming ones are longer than `limit`.

    ``w min(1, limit / |w|)``, with norms over `axes`.

    Parameters
    ----------
    weights : variable or array
    limit : float or scalar variable
        The largest norm.
    axes : sequence of int, optional
        Over which axes a norm is taken. By default those that lead into a unit: axis 0 of a
        matrix (inputs, outputs), all but axis 0 of filters (outputs, inputs, ...).

    Returns
    -------
    variable
        Of the shape and the dtype of `weights`; norms of halves are computed in float32.

    Raises
    ------
    ArgumentError
        If `weights` is a vector or scalar and `axes` is not given, or the limit isn't positive.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.optim import within_norm
    >>> within_norm(np.array([[3.0, 0.1], [4.0, 0.0]]), 1.0).eval()
    array([[0.6, 0.1],
           [0.8, 0. ]])
    """
    if not isinstance(limit, Variable) and not 0 < limit < inf:
        hint = "give a positive, finite number"
        raise ArgumentError(f"max_norm: a limit of {limit}", hint, user_frames())
    w = as_variable(weights)
    if axes is None and w.ndim < 2:
        raise ArgumentError(
            f"max_norm: {describe(w)} has no axis of inputs",
            "leave it out, or say over which axes: axes=(0,)",
            user_frames(),
        )
    incoming = (0,) if w.ndim == 2 else tuple(range(1, w.ndim))
    over = incoming if axes is None else tuple(axes)
    wide = cast(w, dtypes.wide(w.dtype))
    length = sqrt(total(sqr(wide), axis=over, keepdims=True))
    most = cast(limit, wide.dtype) if isinstance(limit, Variable) else limit
    factor = most / maximum(maximum(length, most), 1e-30)
    return cast(wide * factor, w.dtype)


def constrained(
    updates: Iterable[tuple[SharedVariable, Variable]],
    constraints: Mapping[SharedVariable, Callable[[Variable], Any]],
) -> Updates:
    """Updates whose new values were put through a function.

    Parameters
    ----------
    updates : list of (shared variable, expression)
        Of any optimiser.
    constraints : dict
        From shared variables to functions of their new value.

    Returns
    -------
    list of (shared variable, expression)

    Raises
    ------
    ArgumentError
        If a parameter isn't updated.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc.optim import constrained, sgd
    >>> w = graphc.shared(np.array([0.5, 2.0]), name="w")
    >>> updates = constrained(sgd(w.sum(), [w], 1.0), {w: lambda v: T.maximum(v, 0)})
    >>> graphc.function([], updates=updates)()
    >>> w.get_value()
    array([0., 1.])
    """
    return _through(updates, constraints, "constrained")


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
    limit, axes
        As for `within_norm`.

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
    listed = checked(params)
    for p in listed:
        within_norm(p, limit, axes)  # so that errors name the parameter
    bounds = {p: lambda new: within_norm(new, limit, axes) for p in listed}
    return _through(updates, bounds, "max_norm")


def _through(
    updates: Iterable[tuple[SharedVariable, Variable]],
    functions: Mapping[SharedVariable, Callable[[Variable], Any]],
    what: str,
) -> Updates:
    pairs = list(updates)
    trained = {p for p, _ in pairs}
    for p in functions:
        if p not in trained:
            raise ArgumentError(
                f"{what}: {describe(p)} is not among the updates",
                "give parameters that the optimiser trains",
                user_frames(),
            )
    return [(p, cast(functions[p](new), p.dtype) if p in functions else new) for p, new in pairs]


def _summed(params: Any, of: Any) -> Variable:
    listed = list(params) if isinstance(params, list | tuple) else [params]
    if not listed:
        raise ArgumentError("a penalty on no parameters", "pass at least one", user_frames())
    variables = [as_variable(p) for p in listed]
    terms = [total(of(cast(p, dtypes.wide(p.dtype)))) for p in variables]
    found = terms[0]
    for term in terms[1:]:
        found = found + term
    return found
