"""Metrics: what people look at, as expressions. None of them is differentiated."""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, eq, exp, gt, lt
from graphc.ops.linalg import dot
from graphc.ops.losses import paired, pick
from graphc.ops.make import arange
from graphc.ops.reduce import argmax
from graphc.ops.reduce import mean as mean_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import flatten

__all__ = ["accuracy", "binary_accuracy", "confusion_matrix", "perplexity", "top_k_accuracy"]


def _predicted(predictions: Any, classes: Variable) -> Variable:
    """Class numbers, of scores or as they are."""
    p = as_variable(predictions)
    if p.ndim == classes.ndim + 1:
        return argmax(p, axis=p.ndim - 1)
    if p.ndim != classes.ndim or not dtypes.is_discrete(p.dtype):
        raise ShapeError(
            f"predictions {describe(p)} for classes {describe(classes)}",
            "give (..., k) scores or (...) class numbers for (...) classes", user_frames(),
        )  # fmt: skip
    return p


def _share(right: Variable, counted: Any) -> Variable:
    """The part that is right of what counts."""
    each: Any = cast(right, dtypes.wide(dtypes.float_x()))
    if counted is None:
        return mean_(each)
    weights: Any = cast(paired("counted", each, counted)[1], each.dtype)
    return sum_(each * weights) / sum_(weights)  # type: ignore[operator, no-any-return]


def accuracy(predictions: Any, classes: Any, counted: Any = None) -> Variable:
    """The part of the predictions that is right.

    Parameters
    ----------
    predictions : (..., k) scores or probabilities, or (...) integers
        Of scores, the largest counts, the first of equal ones.
    classes : (...) integers
    counted : (...), optional
        Weights, such as a mask: 0 for what fills up a sequence.

    Returns
    -------
    floatX scalar

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.metrics.accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1])).eval().item()
    0.5
    """
    y = as_variable(classes)
    return _share(eq(_predicted(predictions, y), y), counted)


def binary_accuracy(
    scores: Any, targets: Any, threshold: Any = 0.0, counted: Any = None
) -> Variable:
    """The part of scores that lies above a threshold where the target does above 0.

    Parameters
    ----------
    scores, targets : of one shape
        Targets are 0 and 1, or -1 and 1.
    threshold : float
        0 for scores, 0.5 for probabilities.
    counted : of that shape, optional
        As for `accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.metrics.binary_accuracy(np.array([2.0, -1.0]), np.array([1, 1])).eval().item()
    0.5
    """
    x, y = paired("binary_accuracy", scores, targets)
    right = eq(gt(x, threshold), gt(y, 0))
    return _share(right, counted)


def top_k_accuracy(scores: Any, classes: Any, k: int = 5, counted: Any = None) -> Variable:
    """The part of the rows whose class has one of the `k` largest scores.

    Parameters
    ----------
    scores : (..., classes) floats
    classes : (...) integers
    k : int
        Scores that equal the class's own don't count against it.
    counted : (...), optional
        As for `accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    >>> nn.metrics.top_k_accuracy(scores, np.array([1, 2]), k=2).eval().item()
    0.5
    """
    x, y = as_variable(scores), as_variable(classes)
    if k < 1:
        raise ArgumentError(f"top_k_accuracy: k={k!r} is not positive", at=user_frames())
    own = pick(x, y, "top_k_accuracy")
    order = (*range(own.ndim), "x")
    above = gt(x, own.dimshuffle(*order))  # type: ignore[attr-defined]
    larger = sum_(cast(above, "int64"), axis=x.ndim - 1)
    return _share(lt(larger, k), counted)


def confusion_matrix(predictions: Any, classes: Any, count: int) -> Variable:
    """How often class i, by row, was taken for class j, by column.

    Parameters
    ----------
    predictions : (..., k) scores, or (...) integers
    classes : (...) integers
    count : int
        How many classes there are. What lies outside of them isn't counted: -1 leaves a place
        out.

    Returns
    -------
    (count, count) int64

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.metrics.confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).eval()
    array([[1, 1],
           [0, 1]])
    """
    y = as_variable(classes)
    p = _predicted(predictions, y)
    every = arange(count)
    hot: list[Any] = [
        cast(eq(flatten(v).dimshuffle(0, "x"), every), "int64")  # type: ignore[attr-defined]
        for v in (y, p)
    ]
    return dot(hot[0].T, hot[1])


def perplexity(losses: Any, counted: Any = None) -> Variable:
    """``exp(mean of losses)`` of cross-entropies in nats: how many equal choices they stand for.

    Parameters
    ----------
    losses : floats of any shape
        One for each token.
    counted : of that shape, optional
        Weights, such as a mask: 0 for tokens that are padding.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.metrics.perplexity(np.log([8.0, 2.0])).eval().round(6).item()
    4.0
    """
    each: Any = as_variable(losses)
    if counted is None:
        return exp(mean_(each))
    weights: Any = cast(paired("perplexity", each, counted)[1], dtypes.float_for(each.dtype))
    return exp(sum_(each * weights) / sum_(weights))  # type: ignore[operator]
