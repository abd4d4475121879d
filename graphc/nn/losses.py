"""Losses: functions from what a model says and what is right to how wrong that is.

None of them takes a mean: each gives one number per example or per element, as its docstring
says, so that it can be weighted, masked and averaged in plain sight:
``cross_entropy(scores, y).mean()``. Scores are what a last layer gives without softmax or
sigmoid; that of log(softmax) is computed stably.
"""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.nn.sequences import crf_log_likelihood, crf_viterbi, ctc
from graphc.ops.axes import specify_shape
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import (
    abs_,
    add,
    cast,
    eq,
    exp,
    log,
    mul,
    neg,
    softplus,
    sqr,
    sub,
    switch,
)
from graphc.ops.losses import (
    hinge,
    huber,
    multiclass_hinge,
    paired,
    pick,
    squared_error,
    squared_hinge,
)
from graphc.ops.nnet import binary_crossentropy, logsoftmax, sigmoid_binary_crossentropy
from graphc.ops.nnet import categorical_crossentropy as crossentropy_of_probabilities
from graphc.ops.reduce import mean as mean_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim

__all__ = [
    "absolute_error", "binary_cross_entropy", "binary_cross_entropy_of_probabilities",
    "crf_log_likelihood", "crf_viterbi", "cross_entropy", "cross_entropy_of_probabilities", "ctc",
    "hinge", "huber", "kl_divergence", "kl_from_standard_normal", "logistic", "multiclass_hinge",
    "negative_log_likelihood", "negative_sampling", "squared_error", "squared_hinge",
]  # fmt: skip


def _float(x: Any) -> Variable:
    variable = as_variable(x)
    return cast(variable, dtypes.float_for(variable.dtype))


# --- of numbers -----------------------------------------------------------------------


def absolute_error(predictions: Any, targets: Any) -> Variable:
    """``|p - t|``, elementwise.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.absolute_error(np.array([1.0, -2.0]), 0.5).eval()
    array([0.5, 2.5])
    """
    return abs_(sub(*paired("absolute_error", predictions, targets)))


# --- of two classes -------------------------------------------------------------------


def logistic(scores: Any, targets: Any) -> Variable:
    """``log(1 + exp(-t s))`` for targets -1 and 1, elementwise.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.logistic(np.array([0.0, 1000.0]), np.array([1, -1])).eval().round(3)
    array([6.93e-01, 1.00e+03])
    """
    s, t = paired("logistic", scores, targets)
    return softplus(neg(mul(t, _float(s))))


def binary_cross_entropy(scores: Any, targets: Any) -> Variable:
    """``-(t log p + (1 - t) log(1 - p))`` with ``p = sigmoid(s)``, for targets from 0 to 1,
    elementwise; exact for large scores.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.binary_cross_entropy(np.array([0.0, -1000.0]), np.array([1, 1])).eval().round(3)
    array([6.93e-01, 1.00e+03])
    """
    s, t = paired("binary_cross_entropy", scores, targets)
    return sigmoid_binary_crossentropy(_float(s), t)


def binary_cross_entropy_of_probabilities(probabilities: Any, targets: Any) -> Variable:
    """`binary_cross_entropy` of probabilities, such as a sigmoid's, elementwise."""
    what = "binary_cross_entropy_of_probabilities"
    return binary_crossentropy(*paired(what, probabilities, targets))


# --- of several classes ---------------------------------------------------------------


def cross_entropy(scores: Any, targets: Any, smoothing: float = 0.0) -> Variable:
    """``-sum over k of t[k] log softmax(s)[k]``, one number per row.

    Parameters
    ----------
    scores : (..., k) floats
        Of k classes, before softmax.
    targets : (...) integers or (..., k) floats
        Class numbers, or probabilities. Numbers below 0 count from the end, as indices do: mask
        what has no class.
    smoothing : float
        A part of the target, from 0 to 1, that is spread over all classes (Szegedy et al., 2016,
        section 7).

    Returns
    -------
    (...) floats

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> scores = np.array([[0.0, 0.0], [0.0, 1000.0]])
    >>> nn.losses.cross_entropy(scores, np.array([0, 0])).eval().round(3)
    array([6.93e-01, 1.00e+03])
    """
    return negative_log_likelihood(logsoftmax(_float(scores)), targets, smoothing)


def negative_log_likelihood(
    log_probabilities: Any, targets: Any, smoothing: float = 0.0
) -> Variable:
    """`cross_entropy` of logarithms of probabilities, such as ``T.nnet.logsoftmax`` gives.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.negative_log_likelihood(np.log([[0.5, 0.5]]), np.array([1])).eval().round(3)
    array([0.693])
    """
    logs, t = _float(log_probabilities), as_variable(targets)
    if not 0 <= smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: smoothing={smoothing!r} is no part of the target, from 0 to 1",
            at=user_frames(),
        )
    if t.ndim == logs.ndim and logs.ndim:
        right = sum_(mul(_rows_of(t, logs), logs), axis=logs.ndim - 1)
    else:
        right = pick(logs, t, "cross_entropy")
    if not smoothing:
        return neg(right)
    level = mean_(logs, axis=logs.ndim - 1)
    return neg(add(mul(right, 1 - smoothing), mul(level, smoothing)))


def _rows_of(targets: Variable, scores: Variable) -> Variable:
    """Targets that have as many classes as the scores: (n, 1) class numbers don't broadcast."""
    any_size = (None,) * (targets.ndim - 1)
    return specify_shape(targets, (*any_size, dim(scores, scores.ndim - 1)))


def cross_entropy_of_probabilities(probabilities: Any, targets: Any) -> Variable:
    """``-sum over k of t[k] log p[k]``: `cross_entropy` of the probabilities themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> p = np.array([[0.25, 0.75]])
    >>> nn.losses.cross_entropy_of_probabilities(p, np.array([0])).eval().round(3)
    array([1.386])
    """
    p, t = as_variable(probabilities), as_variable(targets)
    return crossentropy_of_probabilities(p, _rows_of(t, p) if t.ndim == p.ndim else t)


def kl_divergence(p: Any, q: Any) -> Variable:
    """``sum over k of p[k] log(p[k] / q[k])`` over the last axis; terms with ``p[k] = 0`` are 0.

    Kullback and Leibler, 1951.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).eval().round(3)
    array([0.693])
    """
    first, second = _float(p), _float(q)
    nothing = eq(first, 0)
    one = Constant(1.0, first.dtype)
    ratio = sub(log(switch(nothing, one, first)), log(switch(nothing, one, second)))
    return sum_(mul(first, ratio), axis=first.ndim - 1)


def kl_from_standard_normal(mean: Any, log_variance: Any) -> Variable:
    """``(m^2 + exp(v) - v - 1) / 2``, summed over the last axis: the divergence of a normal
    distribution from the standard one.

    Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.kl_from_standard_normal(np.array([[1.0, 0.0]]), np.zeros((1, 2))).eval()
    array([0.5])
    """
    m, v = _float(mean), _float(log_variance)
    inner: Any = add(sqr(m), sub(exp(v), v))
    return sum_((inner - 1) * 0.5, axis=inner.ndim - 1)


def negative_sampling(centres: Any, contexts: Any, negatives: Any) -> Variable:
    """``-log sigmoid(u . v) - sum over j of log sigmoid(-u . n[j])``, one number per example.

    Parameters
    ----------
    centres : (batch, size)
        Vectors of words.
    contexts : (batch, size)
        Vectors of words that stand near them.
    negatives : (batch, k, size)
        Vectors of words drawn at random.

    Notes
    -----
    Mikolov et al., "Distributed Representations of Words and Phrases", 2013, equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.losses.negative_sampling(np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 3, 2))).eval(
    ...     ).round(3)
    array([2.773])
    """
    u, v, n = _float(centres), _float(contexts), _float(negatives)
    if (u.ndim, v.ndim, n.ndim) != (2, 2, 3):
        raise ShapeError(
            f"negative_sampling({describe(u)}, {describe(v)}, {describe(n)})",
            "give (batch, size), (batch, size) and (batch, k, size)", user_frames(),
        )  # fmt: skip
    right = sum_(mul(u, v), axis=1)
    wrong = sum_(mul(u.dimshuffle(0, "x", 1), n), axis=2)  # type: ignore[attr-defined]
    return add(softplus(neg(right)), sum_(softplus(wrong), axis=1))
