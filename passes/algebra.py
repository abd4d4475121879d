"""Arithmetic on constants gathered, and sums made cheaper.

These rules reorder arithmetic, so results may differ in the last digits, and beyond the
range of a dtype: ``(x * 1e30) * 1e-30`` becomes ``x``. They apply to floats and, where
that is exact modulo 2^n, to integers. Only constants that are one number throughout are
gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Constant, Variable
from graphc.core.op import OPS, apply
from graphc.core.pattern import CONSTANT, Rule, Sides, rewrites, rule, uniform_value
from graphc.ops.elementwise import add, inv, mul, neg, pow_, sqr, sub, true_div
from graphc.passes.canonical import is_continuous

Number = Any


def scalar_of(variable: Variable) -> Number | None:
    """The number that a constant of rank 0 is, as a scalar of its dtype.

    Operands that are one number throughout have rank 0: see `operand_as_number`.
    """
    if not isinstance(variable, Constant) or variable.ndim:
        return None
    return None if variable.dtype == "bfloat16" else variable.data[()]


def split(node: Variable) -> tuple[Variable, Number] | None:
    """x and c of ``f(x, c)``; for a commutative f also of ``f(c, x)``."""
    a, b = node.args
    c = scalar_of(b)
    if c is not None:
        return None if isinstance(a, Constant) else (a, c)
    assert node.op is not None
    c = scalar_of(a) if node.op.commutative else None
    return None if c is None else (b, c)


def gathered(combine: Callable[[Any, Any], Any], a: Number, b: Number) -> Number | None:
    """A combination of two constants; None if it leaves the range that both are in."""
    with np.errstate(all="ignore"):
        result = combine(a, b)
    if isinstance(result, np.floating | np.complexfloating):
        tiny = np.finfo(result.dtype).tiny
        if not np.isfinite(result) or (abs(result) < tiny and a != 0 and b != 0 and a != b):
            return None
    return result


@rewrites("add", on=("add", "sub"))
def added_twice(node: Variable) -> Variable | None:
    """(x + a) + b -> x + (a + b), (x - a) + b -> x + (b - a), (a - x) + b -> (a + b) - x"""
    found = split(node)
    if found is None or found[0].op is None or found[0].op.name not in ("add", "sub"):
        return None
    inner, b = found
    return _plus(inner, b, np.add, np.subtract)


@rewrites("sub", on=("add", "sub"))
def subtracted_twice(node: Variable) -> Variable | None:
    """(x + a) - b -> x + (a - b), (x - a) - b -> x - (a + b), (a - x) - b -> (a - b) - x"""
    b = scalar_of(node.args[1])
    inner = node.args[0]
    if b is None or inner.op is None or inner.op.name not in ("add", "sub"):
        return None
    return _plus(inner, b, np.subtract, None)


def _plus(inner: Variable, b: Number, with_a: Any, against_a: Any) -> Variable | None:
    """``inner + b`` or ``inner - b`` with the constant of `inner` combined."""
    first = scalar_of(inner.args[0])
    if inner.op is OPS["sub"] and first is not None:
        c = gathered(with_a, first, b)
        return None if c is None else sub(c, inner.args[1])
    found = split(inner)
    if found is None:
        return None
    x, a = found
    if inner.op is OPS["add"]:
        c = gathered(with_a, a, b)
        return None if c is None else add(x, c)
    c = gathered(np.add, a, b) if against_a is None else gathered(against_a, b, a)
    if c is None:
        return None
    return sub(x, c) if against_a is None else add(x, c)


@rewrites("sub", on=("add", "sub"))
def subtracted_from(node: Variable) -> Variable | None:
    """b - (x + a) -> (b - a) - x, b - (x - a) -> (b + a) - x, b - (a - x) -> x + (b - a)"""
    b, inner = scalar_of(node.args[0]), node.args[1]
    if b is None or inner.op is None or inner.op.name not in ("add", "sub"):
        return None
    first = scalar_of(inner.args[0])
    if inner.op is OPS["sub"] and first is not None:
        c = gathered(np.subtract, b, first)
        return None if c is None else add(inner.args[1], c)
    found = split(inner)
    if found is None:
        return None
    x, a = found
    c = gathered(np.subtract if inner.op is OPS["add"] else np.add, b, a)
    return None if c is None else sub(c, x)


@rewrites("mul", on=("mul", "inv", "true_div"))
def multiplied_twice(node: Variable) -> Variable | None:
    """(x a) b -> x (a b), (x / a) b -> x (b / a), (a / x) b -> (a b) / x"""
    found = split(node)
    if found is None or found[0].op is None:
        return None
    inner, b = found
    if inner.op is OPS["mul"]:
        within = split(inner)
        c = None if within is None else gathered(np.multiply, within[1], b)
        return None if within is None or c is None else mul(within[0], c)
    if inner.op is OPS["inv"]:
        return true_div(b, inner.args[0])
    if inner.op is not OPS["true_div"]:
        return None
    first, second = (scalar_of(a) for a in inner.args)
    if first is not None:
        c = gathered(np.multiply, first, b)
        return None if c is None else true_div(c, inner.args[1])
    if second is not None and second != 0 and np.isfinite(second):
        c = gathered(np.divide, b, second)
        return None if c is None else mul(inner.args[0], c)
    return None


@rewrites("true_div", on=("mul", "inv", "true_div"))
def divided_by_constant(node: Variable) -> Variable | None:
    """(x a) / b -> x (a / b), (x / a) / b -> x / (a b), (a / x) / b -> (a / b) / x"""
    b, inner = scalar_of(node.args[1]), node.args[0]
    if b is None or b == 0 or not np.isfinite(b) or inner.op is None:
        return None
    if inner.op is OPS["inv"]:
        c = gathered(np.divide, b.dtype.type(1), b)
        return None if c is None else true_div(c, inner.args[0])
    if inner.op.name not in ("mul", "true_div"):
        return None
    first = scalar_of(inner.args[0])
    if inner.op is OPS["true_div"] and first is not None:
        c = gathered(np.divide, first, b)
        return None if c is None else true_div(c, inner.args[1])
    found = split(inner)
    if found is None:
        return None
    x, a = found
    if inner.op is OPS["mul"]:
        c = gathered(np.divide, a, b)
        return None if c is None else mul(x, c)
    c = gathered(np.multiply, a, b)
    return None if c is None or a == 0 else true_div(x, c)


@rewrites("true_div", on=(CONSTANT,))
def divided_by_power_of_two(node: Variable) -> Variable | None:
    """x / c -> x (1 / c) where 1 / c is exact"""
    c = scalar_of(node.args[1])
    if c is None or not dtypes.is_float(node.dtype) or not np.isfinite(c) or c == 0:
        return None
    if np.frexp(c)[0] not in (0.5, -0.5) or uniform_value(node.args[0]) is not None:
        return None
    inverse = gathered(np.divide, c.dtype.type(1), c)
    if inverse is None or abs(inverse) < np.finfo(c.dtype).tiny:
        return None
    return mul(node.args[0], inverse)


@rewrites("neg", on=("mul", "true_div"))
def negated_product(node: Variable) -> Variable | None:
    """-(x c) -> x (-c), -(x / c) -> x / (-c), -(c / x) -> (-c) / x"""
    inner = node.args[0]
    if inner.op is None or inner.op.name not in ("mul", "true_div"):
        return None
    first, second = (scalar_of(a) for a in inner.args)
    if dtypes.is_discrete(node.dtype):
        return None
    if first is not None:
        return inner.op(-first, inner.args[1])
    return inner.op(inner.args[0], -second) if second is not None else None


@rule(when=is_continuous)
def power_three(x: Any) -> Sides:
    return pow_(x, 3), x * sqr(x)


@rule(when=is_continuous)
def power_four(x: Any) -> Sides:
    return pow_(x, 4), sqr(sqr(x))


@rule(when=is_continuous)
def power_minus_two(x: Any) -> Sides:
    return pow_(x, -2), inv(sqr(x))


@rewrites("sum", on=("neg",))
def sum_of_negated(node: Variable) -> Variable | None:
    """sum(-x) -> -sum(x)"""
    x = node.args[0]
    if x.op is not OPS["neg"]:
        return None
    return neg(apply(OPS["sum"], x.args, node.attrs))


@rewrites("sum", on=("mul", "true_div"))
def sum_of_multiple(node: Variable) -> Variable | None:
    """sum(x c) -> sum(x) c, and sum(x / c) -> sum(x) / c"""
    x = node.args[0]
    if x.op is None or x.op.name not in ("mul", "true_div"):
        return None
    found = split(x)
    if found is None or dtypes.is_discrete(x.dtype):
        return None
    return x.op(apply(OPS["sum"], (found[0],), node.attrs), found[1])


ALGEBRA: tuple[Rule, ...] = (
    added_twice, subtracted_twice, subtracted_from, multiplied_twice, divided_by_constant,
    divided_by_power_of_two, negated_product, power_three, power_four, power_minus_two,
    sum_of_negated, sum_of_multiple,
)  # fmt: skip
