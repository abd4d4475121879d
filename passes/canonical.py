"""One spelling for each thing: rules that make an expression simpler and nothing else.

NaNs and infinities stay as they are; where a rule is less strict than that, its docstring
says so. The sign of a zero may change.
"""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.node import Variable, safely
from graphc.core.op import OPS
from graphc.core.pattern import Rule, Sides, Truth, rewrites, rule, uniform_value
from graphc.ops.broadcast import alloc, ones_like
from graphc.ops.elementwise import (
    abs_,
    and_,
    cast,
    eq,
    int_div,
    inv,
    invert,
    maximum,
    minimum,
    neg,
    neq,
    or_,
    pow_,
    sqr,
    sqrt,
    switch,
    true_div,
)  # fmt: skip
from graphc.passes.sizes import same_sizes
from graphc.passes.views import VIEWS


def is_continuous(x: Variable, **others: Variable) -> bool:
    return dtypes.is_continuous(x.dtype)


def is_real_float(x: Variable, **others: Variable) -> bool:
    return dtypes.is_float(x.dtype)


def is_integer(x: Variable, **others: Variable) -> bool:
    return dtypes.is_integer(x.dtype)


def is_number(x: Variable, **others: Variable) -> bool:
    return x.dtype != "bool"


def is_signed(x: Variable, **others: Variable) -> bool:
    return x.dtype not in dtypes.UNSIGNED


def is_bool(c: Variable, **others: Variable) -> bool:
    return c.dtype == "bool"


# --- neutral elements -----------------------------------------------------------------


@rule
def plus_zero(x: Any) -> Sides:
    return x + 0, x


@rule
def minus_zero(x: Any) -> Sides:
    return x - 0, x


@rule
def zero_minus(x: Any) -> Sides:
    return 0 - x, -x


@rule
def times_one(x: Any) -> Sides:
    return x * 1, x


@rule
def over_one(x: Any) -> Sides:
    return x / 1, x


@rule(when=is_integer)
def floor_over_one(x: Any) -> Sides:
    return int_div(x, 1), x


# --- signs ----------------------------------------------------------------------------


@rule
def times_minus_one(x: Any) -> Sides:
    return x * (-1), -x


@rule
def over_minus_one(x: Any) -> Sides:
    return x / (-1), -x


@rule
def negated_twice(x: Any) -> Sides:
    return neg(neg(x)), x


@rule
def negated_difference(x: Any, y: Any) -> Sides:
    return -(x - y), y - x


@rule
def plus_negated(x: Any, y: Any) -> Sides:
    return x + (-y), x - y


@rule
def minus_negated(x: Any, y: Any) -> Sides:
    return x - (-y), x + y


@rule
def negated_times_negated(x: Any, y: Any) -> Sides:
    return (-x) * (-y), x * y


@rule
def negated_over_negated(x: Any, y: Any) -> Sides:
    return (-x) / (-y), x / y


@rule
def negated_times(x: Any, y: Any) -> Sides:
    return (-x) * y, -(x * y)


@rule
def negated_over(x: Any, y: Any) -> Sides:
    return (-x) / y, -(x / y)


@rule
def over_negated(x: Any, y: Any) -> Sides:
    return x / (-y), -(x / y)


@rule
def sqr_negated(x: Any) -> Sides:
    return sqr(-x), sqr(x)


@rule(when=is_signed)
def abs_negated(x: Any) -> Sides:
    return abs_(-x), abs_(x)


@rule
def sqr_abs(x: Any) -> Sides:
    return sqr(abs_(x)), sqr(x)


@rule
def abs_twice(x: Any) -> Sides:
    return abs_(abs_(x)), abs_(x)


# --- powers and reciprocals -----------------------------------------------------------


@rule
def power_one(x: Any) -> Sides:
    return pow_(x, 1), x


@rule
def power_two(x: Any) -> Sides:
    return pow_(x, 2), sqr(x)


@rule(when=is_real_float)
def power_half(x: Any) -> Sides:
    """pow(x, 0.5) -> sqrt(x), which is NaN, not inf, at -inf"""
    return pow_(x, 0.5), sqrt(x)


@rule(when=is_continuous)
def power_minus_one(x: Any) -> Sides:
    return pow_(x, -1), inv(x)


@rewrites("pow")
def power_zero(node: Variable) -> Variable | None:
    """pow(x, 0) -> 1, of NaN too"""
    x, exponent = node.args
    if uniform_value(exponent) == 0 and same_sizes(x, node):
        return ones_like(x)
    return None


@rule(when=is_number)
def times_itself(x: Any) -> Sides:
    return x * x, sqr(x)


@rule
def one_over(x: Any) -> Sides:
    return true_div(1, x), inv(x)


@rule
def inverse_twice(x: Any) -> Sides:
    """inv(inv(x)) -> x, also where 1/x leaves the range of its dtype"""
    return inv(inv(x)), x


@rule
def times_inverse(x: Any, y: Any) -> Sides:
    """mul(x, inv(y)) -> true_div(x, y), also where 1/y leaves the range of its dtype"""
    return x * inv(y), x / y


@rule
def over_inverse(x: Any, y: Any) -> Sides:
    """true_div(x, inv(y)) -> mul(x, y), also where 1/y leaves the range of its dtype"""
    return x / inv(y), x * y


# --- choices and logic ----------------------------------------------------------------


@rule
def largest_of_same(x: Any) -> Sides:
    return maximum(x, x), x


@rule
def smallest_of_same(x: Any) -> Sides:
    return minimum(x, x), x


@rule
def and_itself(c: Truth) -> Sides:
    return and_(c, c), c


@rule
def or_itself(c: Truth) -> Sides:
    return or_(c, c), c


@rule
def not_twice(c: Truth) -> Sides:
    return invert(invert(c)), c


@rule(when=is_bool)
def is_not_false(c: Truth) -> Sides:
    return neq(c, False), c


@rule(when=is_bool)
def is_true(c: Truth) -> Sides:
    return eq(c, True), c


@rewrites("neq", on=("cast",))
def number_of_truth(node: Variable) -> Variable | None:
    """neq(cast(c), 0) -> c where c is bool"""
    for number, zero in (node.args, node.args[::-1]):
        if number.op is OPS["cast"] and uniform_value(zero) == 0:
            c = number.args[0]
            if c.dtype == "bool" and same_sizes(c, node):
                return c
    return None


@rule
def switch_same(c: Truth, x: Any) -> Sides:
    return switch(c, x, x), x


@rule
def switch_not(c: Truth, x: Any, y: Any) -> Sides:
    return switch(invert(c), x, y), switch(c, y, x)


@rule
def switch_switch_first(c: Truth, x: Any, y: Any, z: Any) -> Sides:
    return switch(c, switch(c, x, y), z), switch(c, x, z)


@rule
def switch_switch_second(c: Truth, x: Any, y: Any, z: Any) -> Sides:
    return switch(c, x, switch(c, y, z)), switch(c, x, z)


@rewrites("switch")
def switch_constant(node: Variable) -> Variable | None:
    """switch(True, x, y) -> x, switch(False, x, y) -> y"""
    condition = uniform_value(node.args[0])
    if condition is None:
        return None
    chosen = node.args[1 if condition else 2]
    if same_sizes(chosen, node):
        return chosen
    return alloc(chosen, *node.type.shape) if node.type.known else None


# --- casts ----------------------------------------------------------------------------


def holds_exactly(dtype: str, values_of: str) -> bool:
    """Whether all values of one dtype are values of another."""
    if values_of in ("int64", "uint64") and dtypes.is_continuous(dtype):
        return False
    return safely(values_of, dtype)


@rewrites("cast", on=("cast",))
def cast_twice(node: Variable) -> Variable | None:
    """cast(cast(x, a), b) -> cast(x, b) where a holds all values of x"""
    inner = node.args[0]
    if inner.op is not OPS["cast"] or not holds_exactly(inner.dtype, inner.args[0].dtype):
        return None
    return cast(inner.args[0], node.dtype)


ARITHMETIC: tuple[Rule, ...] = (
    plus_zero, minus_zero, zero_minus, times_one, over_one, floor_over_one,
    times_minus_one, over_minus_one, negated_twice, negated_difference, plus_negated,
    minus_negated, negated_times_negated, negated_over_negated, negated_times, negated_over,
    over_negated, sqr_negated, abs_negated, sqr_abs, abs_twice,
    power_one, power_two, power_half, power_minus_one, power_zero, times_itself,
    one_over, inverse_twice, times_inverse, over_inverse,
    largest_of_same, smallest_of_same, and_itself, or_itself, not_twice, is_not_false, is_true,
    number_of_truth, switch_same, switch_not, switch_switch_first, switch_switch_second,
    switch_constant, cast_twice,
)  # fmt: skip

CANONICAL: tuple[Rule, ...] = ARITHMETIC + VIEWS
