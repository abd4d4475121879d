"""Choices, comparisons, integer arithmetic and what accumulates, dtype by dtype.

The meaning is that of :mod:`graphc.runtime.primitives`. Python's own operators are Numba's:
kernels have both operands of one dtype, and cast what small integers give.
"""

from __future__ import annotations

from typing import Any

from graphc.runtime.cuda.maths import library
from graphc.runtime.cuda.words import Kind, word


@word("select", 3, typed=1)
def _select(kind: Kind) -> Any:
    return lambda x, y, z: y if x else z


def _extreme(name: str, larger: bool) -> None:
    @word(name, 2)
    def make(kind: Kind) -> Any:
        """NaN where either is NaN."""
        if larger and kind.is_float:
            return lambda x, y: y if y > x or y != y else x
        if kind.is_float:
            return lambda x, y: y if y < x or y != y else x
        return (lambda x, y: y if y > x else x) if larger else (lambda x, y: y if y < x else x)


for _name in ("maximum", "reduce_max", "imax"):
    _extreme(_name, True)
for _name in ("minimum", "reduce_min", "imin"):
    _extreme(_name, False)


def _sum(name: str) -> None:
    @word(name, 2)
    def make(kind: Kind) -> Any:
        to = kind.cast
        if kind.is_bool:
            return lambda x, y: x or y
        return (lambda x, y: x + y) if kind.is_float else (lambda x, y: to(x + y))


_sum("reduce_add")
_sum("add_exact")  # nothing is reassociated on this target


@word("reduce_mul", 2)
def _product(kind: Kind) -> Any:
    to = kind.cast
    if kind.is_bool:
        return lambda x, y: x and y
    return (lambda x, y: x * y) if kind.is_float else (lambda x, y: to(x * y))


@word("reduce_or", 2)
def _or(kind: Kind) -> Any:
    return lambda x, y: x or y


@word("reduce_and", 2)
def _and(kind: Kind) -> Any:
    return lambda x, y: x and y


def _beats(name: str, larger: bool) -> None:
    @word(name, 2)
    def make(kind: Kind) -> Any:
        """Whether x comes before y, wherever they are; NaN comes before all, and not before NaN."""
        if not kind.is_float:
            return (lambda x, y: x > y) if larger else (lambda x, y: x < y)
        if larger:
            return lambda x, y: ((x > y) | (x != x)) & (y == y)
        return lambda x, y: ((x < y) | (x != x)) & (y == y)


_beats("beats_argmax", True)
_beats("beats_argmin", False)


@word("ties", 2)
def _ties(kind: Kind) -> Any:
    """Whether neither comes before the other."""
    if kind.is_float:
        return lambda x, y: (x == y) | ((x != x) & (y != y))
    return lambda x, y: x == y


@word("abs")
def _abs(kind: Kind) -> Any:
    to, zero = kind.cast, kind.number(0)
    if kind.is_float:
        fabs = library("fabs", kind)
        return lambda x: fabs(x)
    if not kind.is_signed:
        return lambda x: x
    return lambda x: to(-x) if x < zero else x


@word("sgn")
def _sgn(kind: Kind) -> Any:
    if kind.is_bool:
        return lambda x: x
    zero, one = kind.number(0), kind.number(1)
    if not kind.is_signed and not kind.is_float:
        return lambda x: one if x > zero else zero
    minus = kind.number(-1)
    if kind.is_float:
        return lambda x: x if x != x else (one if x > zero else (minus if x < zero else zero))
    return lambda x: one if x > zero else (minus if x < zero else zero)


@word("isnan")
def _isnan(kind: Kind) -> Any:
    return lambda x: x != x


@word("isinf")
def _isinf(kind: Kind) -> Any:
    if not kind.is_float:
        return lambda x: x != x
    infinite, minus = kind.number(float("inf")), kind.number(float("-inf"))
    return lambda x: x == infinite or x == minus


@word("invert")
def _invert(kind: Kind) -> Any:
    to = kind.cast
    return (lambda x: not x) if kind.is_bool else (lambda x: to(~x))


@word("logical_not")
def _logical_not(kind: Kind) -> Any:
    zero = kind.number(0)
    return lambda x: x == zero


# Division -------------------------------------------------------------------------------------


@word("floor_div", 2)
def _floor_div(kind: Kind) -> Any:
    """Integers: division by zero gives 0, the least integer divided by -1 wraps around."""
    if kind.is_float:
        return _float_quotient(kind)
    to, zero, one = kind.cast, kind.number(0), kind.number(1)
    if not kind.is_signed:
        return lambda x, y: to(x // (y if y != zero else one)) if y != zero else zero
    minus = kind.number(-1)

    def divide(x, y):
        ordinary = y != zero and y != minus
        found = to(x // (y if ordinary else one))
        return found if ordinary else (to(-x) if y == minus else zero)

    return divide


@word("mod", 2)
def _mod(kind: Kind) -> Any:
    """The remainder with the divisor's sign; of integers by zero 0."""
    if kind.is_float:
        return _float_remainder(kind)
    to, zero, one = kind.cast, kind.number(0), kind.number(1)
    if not kind.is_signed:
        return lambda x, y: to(x % (y if y != zero else one)) if y != zero else zero
    minus = kind.number(-1)

    def rest(x, y):
        ordinary = y != zero and y != minus
        found = to(x % (y if ordinary else one))
        return found if ordinary else zero

    return rest


def _float_remainder(kind: Kind) -> Any:
    fmod, copysign, zero = library("fmod", kind), library("copysign", kind), kind.number(0)

    def rest(x, y):
        found = fmod(x, y)
        if found == zero:
            return copysign(zero, y)
        return found + y if (found < zero) != (y < zero) else found

    return rest


def _float_quotient(kind: Kind) -> Any:
    """``floor(x / y)`` from the remainder, so that rounding x / y can't lift it (CPython's way)."""
    fmod, copysign, floor = (library(name, kind) for name in ("fmod", "copysign", "floor"))
    zero, one, half = kind.number(0), kind.number(1), kind.number(0.5)

    def divide(x, y):
        plain = x / y
        if y == zero:
            return plain
        rest = fmod(x, y)
        whole = (x - rest) / y
        if ((rest < zero) != (y < zero)) and rest != zero:
            whole = whole - one
        if whole == zero:
            return copysign(zero, plain)
        floored = floor(whole)
        return floored + one if whole - floored > half else floored

    return divide


@word("pow", 2)
def _pow(kind: Kind) -> Any:
    """Floats: the library's. Integers: a negative power is 0, but for bases 1 and -1."""
    if kind.is_float:
        power = library("pow", kind)
        return lambda x, y: power(x, y)
    to, zero, one = kind.cast, kind.number(0), kind.number(1)
    signed = kind.is_signed
    minus = kind.number(-1) if signed else one

    def power(x, y):
        if signed and y < zero:
            if x == minus:
                return x if y & one else one
            return one if x == one else zero
        result, square, left = one, x, y
        while left > zero:
            if left & one:
                result = to(result * square)
            square = to(square * square)
            left = to(left >> one)
        return result

    return power
