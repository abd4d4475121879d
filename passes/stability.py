"""Expressions that overflow or cancel, replaced by ones that don't.

These rules change results, for the better: where the left side gives an infinity, a NaN
or a 0 that its formula does not have, the right side gives the number.
"""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.node import Variable
from graphc.core.op import OPS, apply
from graphc.core.pattern import Rule, Sides, rewrites, rule
from graphc.ops.elementwise import (
    abs_,
    add,
    cast,
    erf,
    erfc,
    exp,
    expm1,
    inv,
    log,
    log1p,
    mul,
    neg,
    sigmoid,
    softplus,
    sqr,
    sqrt,
    sub,
    true_div,
)  # fmt: skip
from graphc.ops.nnet import logsoftmax, softmax
from graphc.passes.sizes import same_sizes

# --- exponentials and logarithms ------------------------------------------------------


@rule
def log_one_plus(x: Any) -> Sides:
    return log(1 + x), log1p(x)


@rule
def log_one_minus(x: Any) -> Sides:
    return log(1 - x), log1p(-x)


@rule
def exp_minus_one(x: Any) -> Sides:
    return sub(exp(x), 1), expm1(x)


@rule
def exp_plus_minus_one(x: Any) -> Sides:
    return add(exp(x), -1), expm1(x)


@rule
def one_minus_exp(x: Any) -> Sides:
    return sub(1, exp(x)), neg(expm1(x))


@rule
def log_exp(x: Any) -> Sides:
    return log(exp(x)), x


@rule
def sqrt_sqr(x: Any) -> Sides:
    return sqrt(sqr(x)), abs_(x)


@rule
def one_minus_erf(x: Any) -> Sides:
    return sub(1, erf(x)), erfc(x)


# --- the logistic function ------------------------------------------------------------


@rule
def sigmoid_of_negated(x: Any) -> Sides:
    return inv(add(1, exp(-x))), sigmoid(x)


@rule
def sigmoid_by_inverse(x: Any) -> Sides:
    return inv(add(1, exp(x))), sigmoid(-x)


@rule
def sigmoid_by_quotient(x: Any) -> Sides:
    return true_div(exp(x), add(1, exp(x))), sigmoid(x)


@rule
def exp_times_sigmoid(x: Any) -> Sides:
    return mul(exp(x), sigmoid(-x)), sigmoid(x)


@rule
def exp_times_sigmoid_negated(x: Any) -> Sides:
    return mul(exp(-x), sigmoid(x)), sigmoid(-x)


@rule
def one_minus_sigmoid(x: Any) -> Sides:
    return sub(1, sigmoid(x)), sigmoid(-x)


@rule
def log_sigmoid(x: Any) -> Sides:
    return log(sigmoid(x)), neg(softplus(-x))


@rule
def log1p_minus_sigmoid(x: Any) -> Sides:
    return log1p(neg(sigmoid(x))), neg(softplus(x))


@rule
def log1p_exp(x: Any) -> Sides:
    return log1p(exp(x)), softplus(x)


# --- softmax and its kin --------------------------------------------------------------


def exponent(v: Variable) -> Variable | None:
    """x where v is e^x, perhaps cast from one float to another."""
    kinds = []
    while v.op is not None and v.op.name == "cast" and dtypes.is_float(v.args[0].dtype):
        kinds.append(v.dtype)
        v = v.args[0]
    if v.op is not OPS["exp"]:
        return None
    x = v.args[0]
    for dtype in reversed(kinds):
        x = cast(x, dtype)
    return x


def pattern_of(v: Variable) -> tuple[Variable, tuple[Any, ...]]:
    """x and the pattern of v as ``x.dimshuffle(pattern)``; of anything else, itself in order."""
    x: Variable = v
    pattern: tuple[Any, ...] = tuple(range(v.ndim))
    while x.op is not None and (x.op.name == "dimshuffle" or _only_new_axes(x)):
        if x.op.name == "dimshuffle":
            inner = x.attrs["pattern"]
        else:
            order = iter(range(x.args[0].ndim))
            inner = tuple("x" if e[0] == "n" else next(order) for e in x.attrs["window"])
            inner += tuple(order)
        pattern = tuple("x" if p == "x" else inner[p] for p in pattern)
        x = x.args[0]
    return x, pattern


def _only_new_axes(v: Variable) -> bool:
    return (
        v.op is not None
        and v.op.name == "subtensor"
        and all(e[0] in ("n", "a") for e in v.attrs["window"])
    )


def broadcasts_back(pattern: tuple[Any, ...], ndim: int, axes: tuple[int, ...]) -> bool:
    """Whether something reduced over `axes` and shuffled so meets what it was reduced from."""
    kept = iter(range(ndim - len(axes)))
    wanted = ["x" if k in axes else next(kept) for k in range(ndim)]
    return list(("x",) * (ndim - len(pattern)) + pattern) == wanted


@rewrites("true_div", on=("exp", "cast"))
def softmax_by_quotient(node: Variable) -> Variable | None:
    """exp(x) / sum(exp(x), axis, keepdims) -> softmax(x, axis)"""
    x = exponent(node.args[0])
    if x is None:
        return None
    total, pattern = pattern_of(node.args[1])
    if total.op is None or total.op.name != "sum" or len(total.attrs["axes"]) != 1:
        return None
    axes = total.attrs["axes"]
    if exponent(total.args[0]) is not x or not broadcasts_back(pattern, x.ndim, axes):
        return None
    return softmax(x, axes[0])


@rewrites("log", on=("softmax",))
def log_softmax(node: Variable) -> Variable | None:
    """log(softmax(x)) -> logsoftmax(x)"""
    p = node.args[0]
    if p.op is not OPS["softmax"]:
        return None
    return logsoftmax(p.args[0], p.attrs["axis"])


@rewrites("log", on=("sum",))
def log_sum_exp(node: Variable) -> Variable | None:
    """log(sum(exp(x), axes)) -> logsumexp(x, axes)

    That is ``max + log(sum(exp(x - max)))``, with a maximum that is infinite taken for 0.
    """
    total = node.args[0]
    if total.op is not OPS["sum"]:
        return None
    x = exponent(total.args[0])
    if x is None or any(x.type.shape[k] == 0 for k in total.attrs["axes"]):
        return None
    return apply(OPS["logsumexp"], (x,), {"axes": total.attrs["axes"]})


@rewrites("sub", on=("logsumexp", "dimshuffle", "subtensor"))
def minus_logsumexp(node: Variable) -> Variable | None:
    """x - logsumexp(x, axis, keepdims) -> logsoftmax(x, axis)"""
    x = node.args[0]
    total, pattern = pattern_of(node.args[1])
    if total.op is not OPS["logsumexp"] or total.args[0] is not x:
        return None
    axes = total.attrs["axes"]
    if len(axes) != 1 or not broadcasts_back(pattern, x.ndim, axes):
        return None
    return logsoftmax(x, axes[0])


# --- logarithms moved inwards ---------------------------------------------------------

MOVING = ("dimshuffle", "reshape", "subtensor", "gather", "broadcast_like", "alloc")


def moves(v: Variable) -> bool:
    """Whether v has the elements of its first operand, in other places or another float."""
    if v.op is None:
        return False
    if v.op.name == "cast":
        return dtypes.is_float(v.dtype) and dtypes.is_float(v.args[0].dtype)
    return v.op.name in MOVING


@rewrites("log", "log1p", on=("neg", "cast", *MOVING))
def log_through_movement(node: Variable) -> Variable | None:
    """log(move(p)) -> move(log(p)) where log(p) has a stable form

    Moves are dimshuffle, reshape, subtensor, gather, casts between floats, and broadcasts.
    """
    steps = []
    inner = node.args[0]
    negated = node.op is OPS["log1p"]
    if negated and inner.op is OPS["neg"]:
        inner = inner.args[0]
    elif negated:
        return None
    while moves(inner):
        steps.append(inner)
        inner = inner.args[0]
    if not steps:
        return None
    result = stable_log(neg(inner) if negated else inner, node)
    if result is None:
        return None
    for step in reversed(steps):
        assert step.op is not None
        result = apply(step.op, (result, *step.args[1:]), step.attrs)
    return result


def stable_log(p: Variable, like: Variable) -> Variable | None:
    """log(p), or log1p(p) if `like` is one, where a rule has a better form for it."""
    assert like.op is not None
    return _first(LOGARITHMS, apply(like.op, (p,), {}))


def _first(rules: tuple[Rule, ...], node: Variable) -> Variable | None:
    for r in rules:
        if node.op is not None and node.op.name in r.roots:
            found = r.step(node)
            if found is not None and same_sizes(found, node):
                return found
    return None


@rewrites("log", on=("true_div",))
def log_of_quotient(node: Variable) -> Variable | None:
    """log(a / b) -> log(a) - log(b) where one of them has a stable logarithm"""
    p = node.args[0]
    if p.op is not OPS["true_div"]:
        return None
    return _separate(p, sub, node)


@rewrites("log", on=("mul",))
def log_of_product(node: Variable) -> Variable | None:
    """log(a b) -> log(a) + log(b) where one of them is an exponential"""
    p = node.args[0]
    if p.op is not OPS["mul"] or all(exponent(a) is None for a in p.args):
        return None
    return _separate(p, OPS["add"], node)


def _separate(p: Variable, combine: Any, node: Variable) -> Variable | None:
    found = [stable_log(a, node) for a in p.args]
    if all(f is None for f in found):
        return None
    a, b = (log(a) if f is None else f for a, f in zip(p.args, found))
    result: Variable = combine(a, b)
    return result


LOGARITHMS: tuple[Rule, ...] = (
    log_softmax, log_sum_exp, log_sigmoid, log1p_minus_sigmoid, log_exp, log_through_movement,
)  # fmt: skip

STABLE: tuple[Rule, ...] = (
    log_exp, log_softmax, log_sum_exp, log_sigmoid, log1p_minus_sigmoid, log1p_exp,
    log_one_plus, log_one_minus, log_through_movement, log_of_quotient, log_of_product,
    exp_minus_one, exp_plus_minus_one, one_minus_exp, sqrt_sqr, one_minus_erf,
    softmax_by_quotient, minus_logsumexp, sigmoid_of_negated, sigmoid_by_inverse,
    sigmoid_by_quotient, exp_times_sigmoid, exp_times_sigmoid_negated, one_minus_sigmoid,
)  # fmt: skip
