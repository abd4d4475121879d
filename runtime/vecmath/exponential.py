"""exp, exp2, expm1, sigmoid, softplus and tanh.

All but exp2 share one range reduction, ``x = n ln 2 + r`` with ``abs(r) <= ln(2) / 2`` (Cody and
Waite's two-part ``ln 2``: the product of n and its upper part is exact), and one polynomial for
``exp(r) - 1``. The exponent n comes from the lowest bits of ``x / ln 2 + 1.5 * 2**fraction``, so
there is no conversion between numbers and integers, which AVX2 lacks for 64 bits.
"""

import math

from graphc.runtime.vecmath.coefficients import EXP, EXP2, LOG_UNIT
from graphc.runtime.vecmath.lanes import (
    FLOAT32,
    Number,
    Real,
    Word,
    at_least,
    at_most,
    choose,
    polynomial,
    where,
)

# The upper parts end in enough zeros for an exact product with any exponent.
LN2_HIGH = {"float32": 0.693359375, "float64": 6.93147180369123816490e-01}
LN2_LOW = {"float32": -2.12194440054690583e-4, "float64": 1.90821492927058770002e-10}

# Beyond these the results are infinite, or zero, or -1.
OVERFLOW = {"float32": 89.0, "float64": 710.0}
UNDERFLOW = {"float32": -104.0, "float64": -746.0}
VANISHES = {"float32": -18.0, "float64": -38.0}


def reduced(x: Real, low: Real | None = None) -> tuple[Word, Real]:
    """``x + low = n ln 2 + r``: a word with n in its lowest bits, and ``exp(r) - 1``.

    ``abs(x)`` has to be below ``2**9 ln 2`` (float32) or ``2**12 ln 2`` (float64), and low tiny.
    What rounding r loses is kept in float64 and beside a low part; float32 alone favours speed.
    """
    name, magic = x.format.name, x.format.magic
    shifted = x.fma(1 / math.log(2), magic)
    n = shifted - magic
    near = n.fma(-LN2_HIGH[name], x)
    r = n.fma(-LN2_LOW[name], near)
    curve = polynomial(r, EXP[name])
    square = r * r
    minus_one = square.fma(curve, r)
    if x.format is FLOAT32 and low is None:
        return shifted.bits(), minus_one
    rest = n.fma(-LN2_LOW[name], near - r)
    rest = rest if low is None else rest + low
    return shifted.bits(), r + square.fma(curve, rest.fma(minus_one, rest))


def exponent(n: Word, offset: int = 0) -> Real:
    """``2**(n + offset)``, where that is normal, from the lowest bits of a word."""
    fraction = n.format.fraction
    return ((n << fraction) + ((n.format.maximum + offset) << fraction)).real()


def scaled(x: Real, n: Word, tiny: Number, offsets: tuple[int, int], factor: Real) -> Real:
    """``factor * 2**n`` in two steps, so that the result may be subnormal or infinite.

    Where ``x < tiny`` the first step is by ``2**(n + offsets[0])``, elsewhere by
    ``2**(n + offsets[1])``: both stay normal numbers.
    """
    fraction, bias = n.format.fraction, n.format.maximum
    small = x < tiny
    low, high = offsets
    biased = choose(small, (bias + low) << fraction, (bias + high) << fraction)
    first = ((n << fraction) + biased).real()
    return factor * first * where(small, x.constant(2.0**-low), 2.0**-high)


def exp(x: Real) -> Real:
    """``e**x``: overflows to inf, underflows gradually to 0."""
    name = x.format.name
    x = at_least(at_most(x, OVERFLOW[name]), UNDERFLOW[name])
    n, minus_one = reduced(x)
    return scaled(x, n, UNDERFLOW[name] / 1.25, (64, -1), minus_one + 1.0)


def exp_negative(x: Real) -> Real:
    """``e**x`` for ``x <= 0``."""
    name = x.format.name
    x = at_least(x, UNDERFLOW[name])
    n, minus_one = reduced(x)
    return scaled(x, n, UNDERFLOW[name] / 1.25, (64, 0), minus_one + 1.0)


def exp2(x: Real) -> Real:
    """``2**x``, with ``x = n + r``; r is exact."""
    bias, magic = x.format.maximum, x.format.magic
    x = at_least(at_most(x, bias + 2.0), -float(bias + x.format.digits))
    shifted = x + magic
    r = x - (shifted - magic)
    power = r.fma(polynomial(r, EXP2[x.format.name]), 1.0)
    return scaled(x, shifted.bits(), 4.0 - bias, (64, -1), power)


def expm1(x: Real) -> Real:
    """``e**x - 1 = 2**n (exp(r) - 1) + (2**n - 1)``."""
    name = x.format.name
    clamped = at_least(at_most(x, OVERFLOW[name]), VANISHES[name])
    n, minus_one = reduced(clamped)
    half = exponent(n, -1)
    result = minus_one.fma(half, half - 0.5)
    return where(abs(x) < 2.0 ** (-x.format.digits - 1), x, result + result)


def tanh(x: Real) -> Real:
    """``(1 - z) / (1 + z)``, ``z = exp(-2 abs(x))``, and the sign of x.

    ``1 - z`` is formed as in expm1, so it keeps its digits where x is small.
    """
    doubled = at_least(abs(x) * -2.0, VANISHES[x.format.name])
    n, minus_one = reduced(doubled)
    power = exponent(n)
    return (minus_one.fma(-power, 1.0 - power) / minus_one.fma(power, power + 1.0)).copysign(x)


def sigmoid(x: Real) -> Real:
    """``1 / (1 + exp(-x)) = 1 - q`` with ``q = z / (1 + z)``, ``z = exp(-abs(x))``.

    For negative x it is ``z - z q``, which is q with a smaller rounding error.
    """
    z = exp_negative(-abs(x))
    q = z / (z + 1.0)
    unit = where(x < 0.0, z, 1.0)
    return unit.fma(-q, unit)


def softplus(x: Real) -> Real:
    """``log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x)))``."""
    z = exp_negative(-abs(x))
    return z.fma(polynomial(z, LOG_UNIT[x.format.name]), where(x > 0.0, x, 0.0))
