"""pow, sqrt and the reciprocal square root.

``x**y = 2**(y log2(x))`` needs the logarithm to many more digits than the result has: its error is
multiplied by up to ``1024 ln 2``. float32 computes in float64; float64 keeps the logarithm in two
numbers (about 65 digits).
"""

import math

from graphc.runtime.vecmath.coefficients import ARTANH, EXP2, EXP2_33_BITS, LOG2_36_BITS
from graphc.runtime.vecmath.exponential import scaled
from graphc.runtime.vecmath.lanes import (
    FLOAT32,
    FLOAT64,
    Real,
    at_least,
    at_most,
    choose,
    fast_two_sum,
    polynomial,
    two_product,
    where,
)
from graphc.runtime.vecmath.logarithm import split
from graphc.runtime.vecmath.rounding import rint

# Constants in two parts.
THIRD = (0.3333333333333333, 1.850371707708594e-17)
TWO_LOG2_E = (2.8853900817779268, 4.0710547481862066e-17)


def sqrt(x: Real) -> Real:
    """The square root, correctly rounded; NaN for negative numbers."""
    return x.sqrt()


def rsqrt(x: Real) -> Real:
    """``1 / sqrt(x)``: inf at 0, 0 at inf, NaN for negative numbers."""
    return 1.0 / x.sqrt()


def _unsigned_single(size: Real, y: Real) -> Real:
    """``size**y`` in float32 for positive sizes."""
    size, y = size.to(FLOAT64), y.to(FLOAT64)
    k, m = split(size)
    f = m - 1.0
    logarithm = f.fma(polynomial(f, LOG2_36_BITS["float64"]), k)
    logarithm = _log_of_edges(size, logarithm)
    power = y * logarithm
    power = at_least(at_most(power, 200.0), -200.0)
    shifted = power + FLOAT64.magic
    r = power - (shifted - FLOAT64.magic)
    result = r.fma(polynomial(r, EXP2_33_BITS["float64"]), 1.0)
    # In float64 no result overflows or is subnormal: the exponent is added as an integer.
    scale = ((shifted.bits() + FLOAT64.maximum) << FLOAT64.fraction).real()
    return (result * scale).to(FLOAT32)


def _log_of_edges(size: Real, logarithm: Real) -> Real:
    """The logarithm, -inf at 0, inf at inf, NaN for NaN."""
    finite = where(size.equals(0.0), -math.inf, logarithm)
    return where(size < math.inf, finite, size)


def log2_in_two_parts(size: Real) -> tuple[Real, Real]:
    """``log2(size) = k + 2 log2(e) artanh(s)``, ``s = f / (2 + f)``, to about 65 digits."""
    k, m = split(size)
    f = m - 1.0
    below, below_error = fast_two_sum(f.constant(2.0), f)
    reciprocal = 1.0 / below
    s = f * reciprocal
    product, error = two_product(s, below)
    s_low = (((f - product) - error) - s * below_error) * reciprocal
    z, z_low = two_product(s, s)
    z_low = s.fma(s_low * 2.0, z_low)
    # u = artanh(s) / s - 1
    u, u_low = two_product(z, THIRD[0])
    u_low = z.fma(THIRD[1], z_low.fma(THIRD[0], u_low))
    u, u_low = fast_two_sum(u, (z * z).fma(polynomial(z, ARTANH["float64"]), u_low))
    # w = 2 log2(e) s, log2(m) = w + w u
    w, w_low = two_product(s, TWO_LOG2_E[0])
    w_low = s.fma(TWO_LOG2_E[1], s_low.fma(TWO_LOG2_E[0], w_low))
    v, v_low = two_product(w, u)
    v_low = w.fma(u_low, w_low.fma(u, v_low))
    high, low = fast_two_sum(k, w)
    high, low_more = fast_two_sum(high, v)
    return fast_two_sum(high, low + (low_more + (w_low + v_low)))


def _unsigned_double(size: Real, y: Real) -> Real:
    """``size**y`` in float64 for positive sizes."""
    high, low = log2_in_two_parts(size)
    high = _log_of_edges(size, high)
    power, error = two_product(y, high)
    rest = where(abs(power) < 2048.0, y.fma(low, error), 0.0)
    power = at_least(at_most(power, 1025.0), -1080.0)
    shifted = power + FLOAT64.magic
    r = (power - (shifted - FLOAT64.magic)) + rest
    result = r.fma(polynomial(r, EXP2["float64"]), 1.0)
    return scaled(power, shifted.bits(), -1000.0, (64, -1), result)


def power(x: Real, y: Real) -> Real:
    """``x**y`` with the special cases of C and NumPy.

    ``x**0`` and ``1**y`` are 1, even for NaN. A negative base gives a signed result for integer
    exponents and NaN for others; zeros and infinities follow their signs.
    """
    unsigned = _unsigned_single if x.format is FLOAT32 else _unsigned_double
    size = abs(x)
    # 1**inf would be inf times 0.
    result = unsigned(size, where(size.equals(1.0) & abs(y).equals(math.inf), 0.0, y))
    half = y * 0.5
    whole = rint(y).equals(y)
    odd = whole & rint(half).differs(half)
    sign = choose(odd, x.bits() & (1 << (x.format.bits - 1)), 0)
    result = (result.bits() ^ sign).real()
    undefined = (x < 0.0) & (x > -math.inf) & ~whole
    result = where(undefined, math.nan, result)
    return where(x.equals(1.0) | y.equals(0.0), 1.0, result)
