"""More activations and losses of neural networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.core.op import static_int
from graphc.ops.convert import as_variable, normal_axis
from graphc.ops.elementwise import (
    abs_,
    add,
    cast,
    eq,
    erf,
    minimum,
    mul,
    relu_,
    sigmoid,
    sqr,
    sub,
    switch,
    tanh,
)
from graphc.ops.index import getitem
from graphc.ops.join import concatenate
from graphc.ops.linalg import dot
from graphc.ops.make import arange
from graphc.ops.nnet import categorical_crossentropy, elu, relu, softmax
from graphc.ops.ordering import unique
from graphc.ops.reduce import argmax
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, flatten, reshape

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _float(x: Any) -> Variable:
    variable = as_variable(x)
    return cast(variable, dtypes.float_for(variable.dtype))


# --- activations ----------------------------------------------------------------------


def selu(x: Any) -> Variable:
    """``scale elu(x, alpha)`` with the constants of Klambauer et al., 2017."""
    return mul(SELU_SCALE, elu(_float(x), SELU_ALPHA))


def gelu(x: Any, approximate: bool = False) -> Variable:
    """``x Phi(x)``, Phi the distribution function of the normal distribution.

    Hendrycks and Gimpel, 2016; with `approximate`, their formula with tanh.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> round(float(T.nnet.gelu(T.constant(1.0)).eval()), 6)
    0.841345
    """
    v = _float(x)
    if approximate:
        inner = float(np.sqrt(2 / np.pi)) * (v + 0.044715 * v * v * v)  # type: ignore[operator]
        return 0.5 * v * (1 + tanh(inner))  # type: ignore[operator, no-any-return]
    return 0.5 * v * (1 + erf(v * float(np.sqrt(0.5))))  # type: ignore[operator, no-any-return]


def swish(x: Any, beta: Any = 1) -> Variable:
    """``x sigmoid(beta x)``, also called SiLU (Ramachandran et al., 2017)."""
    v = _float(x)
    return mul(v, sigmoid(v if isinstance(beta, int | float) and beta == 1 else mul(beta, v)))


def leaky_relu(x: Any, alpha: Any = 0.01) -> Variable:
    """`x` where it is positive, else ``alpha x``."""
    return relu(x, alpha)


def maxout(x: Any, pieces: int, axis: int = -1) -> Variable:
    """The largest of each `pieces` neighbours along `axis` (Goodfellow et al., 2013).

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nnet.maxout(T.constant([[1, 5, 2, 3]]), 2).eval()
    array([[5, 3]])
    """
    variable = as_variable(x)
    place = normal_axis(axis, variable.ndim, "maxout")
    size = static_int(dim(variable, place))
    if pieces < 1 or (size is not None and size % pieces):
        raise ShapeError(
            f"maxout: {size} units of {describe(variable)} are no groups of {pieces}",
            at=user_frames(),
        )
    sizes: list[Any] = [dim(variable, k) for k in range(variable.ndim)]
    sizes[place : place + 1] = [sizes[place] // pieces, pieces]
    return max_(reshape(variable, sizes), place + 1)


# --- losses, elementwise --------------------------------------------------------------


def paired(what: str, predictions: Any, targets: Any) -> tuple[Variable, Variable]:
    """Both as variables, of one rank: (n, 1) with (n,) would broadcast to (n, n).

    Raises
    ------
    ShapeError
        For ranks that differ, where neither is a scalar.
    """
    p, t = as_variable(predictions), as_variable(targets)
    if p.ndim != t.ndim and p.ndim and t.ndim:
        more, less = ("predictions", "targets") if p.ndim > t.ndim else ("targets", "predictions")
        raise ShapeError(
            f"{what}({describe(p)}, {describe(t)}): {p.ndim} and {t.ndim} axes would be compared "
            "by broadcasting, each row with all others",
            f"leave out the last axis where it has size 1, {more}[..., 0], or give the other "
            f"one too, {less}[..., None]", user_frames(),
        )  # fmt: skip
    return p, t


def hinge(predictions: Any, targets: Any, delta: float = 1) -> Variable:
    """``max(0, delta - t p)`` for targets -1 and 1, elementwise."""
    p, t = paired("hinge", predictions, targets)
    return relu_(sub(delta, mul(t, p)))


def squared_hinge(predictions: Any, targets: Any, delta: float = 1) -> Variable:
    """The square of `hinge`."""
    return sqr(hinge(predictions, targets, delta))


def huber(predictions: Any, targets: Any, delta: float = 1.0) -> Variable:
    """``d^2 / 2`` where ``d = |p - t|`` is at most `delta`, else ``delta (d - delta / 2)``.

    Huber, 1964, elementwise.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nnet.huber(T.constant([0.5, 3.0]), 0.0).eval()
    array([0.125, 2.5  ])
    """
    distance = abs_(sub(*paired("huber", predictions, targets)))
    near = minimum(distance, delta)
    return near * (distance - 0.5 * near)  # type: ignore[operator, no-any-return]


def squared_error(predictions: Any, targets: Any) -> Variable:
    """``(p - t)^2``, elementwise."""
    return sqr(sub(*paired("squared_error", predictions, targets)))


# --- losses over classes --------------------------------------------------------------


def pick(x: Variable, classes: Variable, what: str) -> Variable:
    """``x[..., classes[...]]``: of each row along the last axis, one entry."""
    if classes.ndim != x.ndim - 1 or not dtypes.is_integer(classes.dtype):
        raise ArgumentError(
            f"{what}({describe(x)}, {describe(classes)}): the classes don't go with the scores",
            "give (..., k) scores with (...) class numbers, which are integers: "
            "y.astype('int32'), or with (..., k) probabilities", user_frames(),
        )  # fmt: skip
    for m, n in zip(x.type.shape, classes.type.shape):
        if None not in (m, n) and m != n:
            raise ShapeError(
                f"{what}({describe(x)}, {describe(classes)}): {m} and {n} examples",
                at=user_frames(),
            )
    if x.ndim == 1:
        return getitem(x, classes)
    rows = x if x.ndim == 2 else reshape(x, [-1, dim(x, x.ndim - 1)])
    flat = flatten(classes)
    found = getitem(rows, (arange(dim(flat, 0)), flat))
    return found if x.ndim == 2 else reshape(found, [dim(classes, k) for k in range(classes.ndim)])


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Variable:
    """Theano's name of `categorical_crossentropy` with class numbers."""
    return categorical_crossentropy(coding_dist, true_one_of_n)


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Variable, ...]:
    """The cross-entropy of class numbers under ``softmax(x)``, and that softmax."""
    p = softmax(x)
    return categorical_crossentropy(p, y_idx), p


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, ...]:
    """`crossentropy_softmax_1hot` of ``x + b``."""
    return crossentropy_softmax_1hot(as_variable(x) + b, y_idx)  # type: ignore[operator]


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, ...]:
    """Cross-entropy, softmax and most likely class of ``x + b``."""
    loss, p = crossentropy_softmax_1hot_with_bias(x, b, y_idx)
    return loss, p, argmax(p, axis=-1)


def multiclass_hinge(
    predictions: Any, targets: Any, delta: float = 1, over: str = "max"
) -> Variable:
    """``max(0, delta + largest score of the others - score of the class)``, one per row.

    With ``over="sum"``, ``sum over others k of max(0, delta + s[k] - score of the class)``.

    Parameters
    ----------
    predictions : (..., classes) floats
        Scores.
    targets : (...) integers
        Class numbers.
    delta : float
        The margin.
    over : {"max", "sum"}
        Whether the worst of the other classes counts, or each.

    Notes
    -----
    Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines", 2001; the sum is that of Weston and Watkins, "Support Vector Machines for
    Multi-class Pattern Recognition", 1999. PyTorch's ``multi_margin_loss`` divides it by the
    number of classes.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> scores, classes = np.array([[2.0, 1.5, 3.0]]), np.array([0])
    >>> T.nnet.multiclass_hinge(scores, classes).eval()
    array([2.])
    >>> T.nnet.multiclass_hinge(scores, classes, over="sum").eval()
    array([2.5])
    """
    scores, classes = _float(predictions), as_variable(targets)
    if over not in ("max", "sum"):
        raise ArgumentError(
            f"multiclass_hinge: over={over!r}", "give 'max' or 'sum'", user_frames()
        )
    right: Any = pick(scores, classes, "multiclass_hinge")
    last = classes.ndim
    own = eq(dimshuffle(classes, *range(last), "x"), arange(dim(scores, last)))
    if over == "max":
        others = max_(switch(own, -np.inf, scores), axis=last)
        return relu_(others - right + delta)  # type: ignore[operator]
    each = relu_(add(sub(scores, dimshuffle(right, *range(last), "x")), delta))
    return sum_(switch(own, Constant(0.0, scores.dtype), each), axis=last)


def embedding(table: Any, indices: Any) -> Variable:
    """The rows of a table that integers name; their gradients add up."""
    return getitem(as_variable(table), indices)


def confusion_matrix(actual: Any, pred: Any) -> list[Variable]:
    """How often class i was predicted as class j; and the classes, in ascending order.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> m, classes = T.nnet.confusion_matrix(T.constant([1, 1, 4]), T.constant([1, 4, 4]))
    >>> m.eval().tolist(), classes.eval().tolist()
    ([[1, 1], [0, 1]], [1, 4])
    """
    first, second = flatten(actual), flatten(pred)
    order = unique(concatenate([first, second]))
    hot = [cast(eq(dimshuffle(v, 0, "x"), order), "int64") for v in (first, second)]
    return [dot(hot[0].T, hot[1]), order]  # type: ignore[attr-defined]
