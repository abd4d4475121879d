"""The error function, its complement and their inverses."""

import math
from dataclasses import dataclass

from graphc.runtime.vecmath.coefficients import (
    ERF_LARGE,
    ERF_SMALL,
    ERFC,
    ERFC_SINGLE,
    ERFINV_CENTRE,
    ERFINV_TAIL,
)
from graphc.runtime.vecmath.exponential import UNDERFLOW, exponent, reduced, scaled
from graphc.runtime.vecmath.lanes import (
    FLOAT32,
    FLOAT64,
    Format,
    Real,
    Word,
    at_most,
    polynomial,
    two_product,
    two_sum,
    where,
)
from graphc.runtime.vecmath.logarithm import log

# From here on erf is 1 and erfc is 0.
ERF_ONE = {"float32": 4.0, "float64": 6.0}
ERFC_ZERO = {"float32": 10.2, "float64": 27.3}


@dataclass(frozen=True)
class _Erfc:
    """``erfc(x) = mantissa 2**n`` and ``scaled = exp(x**2) erfc(x)``; minus_square is ``-x**2``."""

    mantissa: Real
    n: Word
    scaled: Real
    minus_square: Real


def _erfc_far(x: Real, fine: bool = True) -> _Erfc:
    """``erfc(x) = exp(-x**2) p(t) / (1 + x)`` for ``x >= 3 / 4`` (cf. Shepherd, Laframboise 1981).

    One reciprocal serves both quotients, and one step of refinement makes the second exact. The
    square is kept in two numbers: its rounding error alone would cost ``x**2`` units. `fine` puts
    back what rounding takes off t, the polynomial and the quotient: half of the error that is left.
    """
    name = x.format.name
    x = at_most(x, ERFC_ZERO[name])
    below, below_error = two_sum(x, x.constant(1.0))
    above = x + 3.0
    reciprocal = 1.0 / (above * below)
    inverse = above * reciprocal
    t = ((x - 3.0) * below) * reciprocal
    if fine:
        t = t.fma(-above, x - 3.0).fma(below * reciprocal, t)
    coefficients = (ERFC | ERFC_SINGLE)[name]
    slope = polynomial(t, coefficients[1:])
    value = slope.fma(t, coefficients[0])
    lost = slope.fma(t, coefficients[0] - value) if fine else 0.0
    start = value * inverse
    rest = start.fma(-below, value) + start.fma(-below_error, lost)
    quotient = rest.fma(inverse, start)
    lost = rest.fma(inverse, start - quotient) if fine else 0.0
    square, square_error = two_product(x, x)
    n, minus_one = reduced(-square, -square_error)
    mantissa = quotient + quotient.fma(minus_one, lost)
    return _Erfc(mantissa, n, quotient, -square)


def _erfc_value(x: Real, fine: bool = True) -> Real:
    """``erfc(x)`` for ``x >= 3 / 4``."""
    far = _erfc_far(x, fine)
    limit = UNDERFLOW[x.format.name] / 1.25
    return scaled(far.minus_square, far.n, limit, (64, 0), far.mantissa)


def erfc(x: Real) -> Real:
    """``1 - erf(x)``; underflows gradually for large x, approaches 2 for negative x."""
    size = abs(x)
    small = x.fma(-polynomial(x * x, ERF_SMALL[x.format.name]), 1.0 - x)
    large = _erfc_value(size)
    return where(size < 0.75, small, where(x < 0.0, 2.0 - large, large))


def erf(x: Real) -> Real:
    """``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to x.

    An odd polynomial below 1; above, ``1 - exp(-x p(x))`` in float32 and ``1 - erfc(x)`` in
    float64.
    """
    name = x.format.name
    size = abs(x)
    small = x.fma(polynomial(x * x, ERF_SMALL[name]), x)
    if x.format is FLOAT32:
        limited = at_most(size, ERF_ONE[name])
        n, minus_one = reduced(-(limited * polynomial(limited, ERF_LARGE[name])))
        power = exponent(n)
        large = minus_one.fma(-power, 1.0 - power)
    else:
        large = 1.0 - _erfc_value(at_most(size, ERF_ONE[name]), fine=False)
    return where(size < 1.0, small, large.copysign(x))


def _inverse(x: Real, q: Real) -> Real:
    """The ``y >= 0`` of ``erf(y) = x`` and ``erfc(y) = q``, where ``q = 1 - x``, in float64.

    A start from ``w = -log(1 - x**2)`` (after M. Giles 2010) is good to ``1e-9``.
    """
    w = -log(q * (2.0 - q))
    s = w.sqrt()
    centre = x * polynomial(w - 3.0, ERFINV_CENTRE["float64"])
    return where(w < 6.0, centre, s * polynomial(1.0 / s, ERFINV_TAIL["float64"]))


def _refined(y: Real, x: Real, q: Real) -> Real:
    """One step of Newton's method: on erf where y is small, on ``log(erfc)`` where it is not."""
    z = y * y
    slope = math.sqrt(math.pi) / 2
    growth = polynomial(z, tuple(1 / math.factorial(i) for i in range(9)))
    near = x - y.fma(polynomial(z, ERF_SMALL["float64"]), y)
    far = _erfc_far(y, fine=False)
    # erfc(y) / q - 1, where the power of 2 of erfc(y) may be too small a number by itself
    down = (0 - far.n) & 0xFFF
    half = down >> 1
    target = q * exponent(half) * exponent(down - half)
    excess = (far.mantissa - target) / target
    excess = excess.fma(excess * -0.5, excess)
    step = where(y < 0.75, near * growth, excess * far.scaled)
    refined = step.fma(slope, y)
    return where(q > 0.0, refined, where(q.equals(0.0), q.constant(math.inf), math.nan))


def _solved(x: Real, q: Real, form: Format) -> Real:
    start = _inverse(x, q)
    return (where(q.equals(0.0), math.inf, start) if form is FLOAT32
            else _refined(start, x, q)).to(form)


def erfinv(x: Real) -> Real:
    """The inverse of erf: infinite at -1 and 1, NaN beyond."""
    size = abs(x).to(FLOAT64)
    return _solved(size, 1.0 - size, x.format).copysign(x)


def erfcinv(q: Real) -> Real:
    """The inverse of erfc: inf at 0, -inf at 2, NaN beyond."""
    wide = q.to(FLOAT64)
    lower = wide > 1.0
    wide = where(lower, 2.0 - wide, wide)
    result = _solved(1.0 - wide, wide, q.format)
    return where(lower, -result, result)
