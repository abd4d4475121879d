"""sinh, cosh and the inverse hyperbolic functions. (tanh lies with the exponentials.)"""

import math

from graphc.runtime.vecmath.coefficients import SINH
from graphc.runtime.vecmath.exponential import exponent, reduced
from graphc.runtime.vecmath.lanes import Real, at_most, fast_two_sum, polynomial, where
from graphc.runtime.vecmath.logarithm import log1p_above

# Above these sinh and cosh are infinite.
OVERFLOW = {"float32": 89.5, "float64": 710.6}


def sinh(x: Real) -> Real:
    """``(e - 1 / e) / 2`` with ``e = exp(abs(x))``, of which a quarter is computed.

    Below 1, where that cancels, an odd polynomial.
    """
    name = x.format.name
    n, minus_one = reduced(at_most(abs(x), OVERFLOW[name]))
    power = exponent(n, -2)
    quarter = minus_one.fma(power, power)
    half = quarter - 0.0625 / quarter
    z = x * x
    small = x.fma(z * polynomial(z, SINH[name]), x)
    return where(abs(x) < 1.0, small, (half + half).copysign(x))


def cosh(x: Real) -> Real:
    """``(e + 1 / e) / 2`` with ``e = exp(abs(x))``, of which a quarter is computed."""
    n, minus_one = reduced(at_most(abs(x), OVERFLOW[x.format.name]))
    power = exponent(n, -2)
    quarter = minus_one.fma(power, power)
    half = quarter + 0.0625 / quarter
    return half + half


def arcsinh(x: Real) -> Real:
    """``log1p(a + a**2 / (1 + sqrt(1 + a**2)))`` with ``a = abs(x)``; ``log(2 a)`` if large."""
    size = abs(x)
    large = size > 2.0 ** (x.format.digits + 2)
    square = size * size
    small = size + square / ((square + 1.0).sqrt() + 1.0)
    result = log1p_above(where(large, size, small), where(large, x.constant(1.0), 0.0))
    return where(size < math.inf, result.copysign(x), x)


def arccosh(x: Real) -> Real:
    """``log1p(t + sqrt(t (t + 2)))`` with ``t = x - 1``; ``log(2 x)`` if large; NaN below 1."""
    large = x > 2.0 ** (x.format.digits + 2)
    t = x - 1.0
    small, low = fast_two_sum(t.fma(t, t + t).sqrt(), t)
    extra = where(large, x.constant(1.0), 0.0)
    result = log1p_above(where(large, x, small), extra, where(large, 0.0, low))
    return where(x < math.inf, where(x >= 1.0, result, math.nan), x)


def arctanh(x: Real) -> Real:
    """``log1p(2 a / (1 - a)) / 2`` with ``a = abs(x)``; infinite at 1, NaN beyond."""
    size = abs(x)
    below, below_error = fast_two_sum(x.constant(1.0), -size)
    reciprocal = 1.0 / below
    ratio = (size + size) * reciprocal
    rest = ratio.fma(-below, size + size) - ratio * below_error
    result = log1p_above(ratio, low=rest * reciprocal) * 0.5
    edge = where(size.equals(1.0), x.constant(math.inf), math.nan)
    return where(size < 1.0, result, edge).copysign(x)
