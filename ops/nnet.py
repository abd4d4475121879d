"""Neural-network functions: softmax and its kin, losses, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Expand, Op, apply, declare
from graphc.ops.convert import as_variable, need, normal_axis
from graphc.ops.elementwise import (
    abs_,
    add,
    cast,
    clip,
    eq,
    exp,
    expm1,
    isinf,
    log,
    mul,
    relu_,
    softplus,
    sub,
    switch,
)
from graphc.ops.index import getitem
from graphc.ops.make import arange
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, expand_axes


def _same_type(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return args[0].type


def _softmax_numpy(x: Any, axis: int) -> Any:
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis, keepdims=True)) if x.size else x
        return e / e.sum(axis, keepdims=True)


def _softmax_expand(x: Variable, axis: int) -> Variable:
    e = exp(sub(x, max_(x, axis, keepdims=True)))
    return e / sum_(e, axis, keepdims=True)  # type: ignore[operator, no-any-return]


def _softmax_vjp(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    return (mul(out, sub(g, sum_(mul(g, out), axis, keepdims=True))),)


_softmax = declare(
    Op("softmax", _same_type, _softmax_numpy, Expand(_softmax_expand), vjp=_softmax_vjp,
       formula="e^x / sum of e^x along an axis", facts={"widens": True})
)  # fmt: skip


def _logsoftmax_numpy(x: Any, axis: int) -> Any:
    with np.errstate(all="ignore"):
        if not x.size:
            return x
        centred = x - x.max(axis, keepdims=True)
        return centred - np.log(np.exp(centred).sum(axis, keepdims=True))


def _logsoftmax_expand(x: Variable, axis: int) -> Variable:
    top = max_(x, axis, keepdims=True)
    return sub(sub(x, top), log(sum_(exp(sub(x, top)), axis, keepdims=True)))


def _logsoftmax_vjp(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    return (sub(g, mul(softmax(x, axis), sum_(g, axis, keepdims=True))),)


_logsoftmax = declare(
    Op("logsoftmax", _same_type, _logsoftmax_numpy, Expand(_logsoftmax_expand),
       vjp=_logsoftmax_vjp, formula="x - ln sum of e^x along an axis",
       facts={"widens": True})
)  # fmt: skip


def _logsumexp_numpy(x: Any, axes: tuple[int, ...]) -> Any:
    with np.errstate(all="ignore"):
        top = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isinf(top), 0, top).astype(x.dtype)
        total = np.exp(x - top).sum(axis=axes, keepdims=True)
        return (np.log(total) + top).reshape([n for k, n in enumerate(x.shape) if k not in axes])


def _logsumexp_expand(x: Variable, axes: tuple[int, ...]) -> Variable:
    top = max_(x, axes, keepdims=True)
    top = switch(isinf(top), 0, top)
    total = add(log(sum_(exp(sub(x, top)), axes, keepdims=True)), top)
    return dimshuffle(total, *(k for k in range(x.ndim) if k not in axes))


def _logsumexp_vjp(
    g: Variable, out: Variable, x: Variable, axes: tuple[int, ...]
) -> tuple[Variable]:
    return (mul(expand_axes(g, axes), exp(sub(x, expand_axes(out, axes)))),)


_logsumexp = declare(
    Op(
        "logsumexp",
        lambda args, attrs: TensorType(
            args[0].dtype,
            tuple(n for k, n in enumerate(args[0].type.shape) if k not in attrs["axes"]),
        ),
        _logsumexp_numpy, Expand(_logsumexp_expand), vjp=_logsumexp_vjp,
        formula="ln of the sum of e^x over axes", facts={"widens": True},
    )
)  # fmt: skip


def _over_axis(op: Op, x: Any, axis: int | None) -> Variable:
    variable = as_variable(x)
    need(variable.dtype not in dtypes.COMPLEX, [variable], f"{op.name} is for real numbers")
    variable = cast(variable, dtypes.float_for(variable.dtype))
    if variable.ndim == 0:
        raise ArgumentError(f"{op.name} of a scalar: {describe(variable)}", at=user_frames())
    place = normal_axis(-1 if axis is None else axis, variable.ndim, op.name)
    return apply(op, (variable,), {"axis": place})


def softmax(c: Any, axis: int | None = -1) -> Variable:
    """``exp(c) / sum(exp(c))`` along `axis`, without overflow."""
    return _over_axis(_softmax, c, axis)


def logsoftmax(c: Any, axis: int | None = -1) -> Variable:
    """``log(softmax(c))`` along `axis`, exact where softmax is 0."""
    return _over_axis(_logsoftmax, c, axis)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Variable:
    """``-sum(true * log(coding))`` over the last axis, one number per row.

    Parameters
    ----------
    coding_dist : (n, classes) floats
        Probabilities, such as a softmax's; the logarithm of a softmax is computed stably.
    true_dist : (n,) integers or (n, classes) floats
        Class numbers, or probabilities.
    """
    p, t = as_variable(coding_dist), as_variable(true_dist)
    if t.ndim == p.ndim:
        return -sum_(mul(t, log(p)), axis=p.ndim - 1)  # type: ignore[operator, no-any-return]
    if t.ndim != 1 or p.ndim != 2:
        raise ShapeError(
            f"categorical_crossentropy({describe(p)}, {describe(t)}): ranks {p.ndim} and {t.ndim}",
            "give (n, classes) probabilities with (n,) class numbers or (n, classes) targets",
            user_frames(),
        )
    if not dtypes.is_integer(t.dtype):
        raise ArgumentError(
            f"categorical_crossentropy: class numbers must be integers, not {describe(t)}",
            "declare them T.ivector, or cast: y.astype('int32')",
            user_frames(),
        )
    return -getitem(log(p), (arange(dim(t, 0)), t))  # type: ignore[operator, no-any-return]


def binary_crossentropy(output: Any, target: Any) -> Variable:
    """``-(t log o + (1 - t) log(1 - o))``, elementwise; stable for ``o = sigmoid(x)``."""
    o, t = as_variable(output), as_variable(target)
    return -(t * log(o) + (1 - t) * log(1 - o))  # type: ignore[operator, no-any-return]


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Variable:
    """Binary cross-entropy of ``sigmoid(output)``: ``softplus(x) - t x``, elementwise."""
    return softplus(output) - mul(target, output)  # type: ignore[operator, no-any-return]


def relu(x: Any, alpha: Any = 0) -> Variable:
    """``max(x, 0) + alpha * min(x, 0)``; the derivative at 0 is `alpha`."""
    if not isinstance(alpha, Variable) and np.ndim(alpha) == 0 and alpha == 0:
        return relu_(x)
    variable = as_variable(x)
    return switch(variable > 0, variable, mul(alpha, variable))  # type: ignore[operator]


def elu(x: Any, alpha: Any = 1) -> Variable:
    """``x`` where x > 0, else ``alpha (e^x - 1)``."""
    variable = as_variable(x)
    return switch(variable > 0, variable, mul(alpha, expm1(minimum_zero(variable))))  # type: ignore


def minimum_zero(x: Variable) -> Variable:
    """x where it is negative: keeps the other branch of a switch from overflowing."""
    return -relu_(-x)  # type: ignore[operator, no-any-return]


def hard_sigmoid(x: Any) -> Variable:
    """``clip(0.2 x + 0.5, 0, 1)``."""
    return clip(mul(x, 0.2) + 0.5, 0, 1)  # type: ignore[operator]


def softsign(x: Any) -> Variable:
    """``x / (1 + |x|)``."""
    variable = as_variable(x)
    return variable / (1 + abs_(variable))  # type: ignore[operator, no-any-return]


def softmax_with_bias(x: Any, b: Any) -> Variable:
    """``softmax(x + b)``."""
    return softmax(as_variable(x) + b)  # type: ignore[operator]


def one_hot(y: Any, classes: Any, dtype: Any = None) -> Variable:
    """Rows with a 1 at the class number, 0 elsewhere."""
    variable = as_variable(y)
    columns = dimshuffle(arange(classes), *("x",) * variable.ndim, 0)
    row = dimshuffle(variable, *range(variable.ndim), "x")
    return cast(eq(row, columns), dtype or "floatX")
