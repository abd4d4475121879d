"""The error function and its complement."""

from graphc.runtime.vecmath.coefficients import (
    ERF_LARGE,
    ERF_SMALL,
    ERFC,
    ERFC_SINGLE,
)
from graphc.runtime.vecmath.exponential import UNDERFLOW, exponent, reduced, scaled
from graphc.runtime.vecmath.lanes import (
    FLOAT32,
    Real,
    at_most,
    polynomial,
    two_product,
    two_sum,
    where,
)

# From here on erf is 1 and erfc is 0.
ERF_ONE = {"float32": 4.0, "float64": 6.0}
ERFC_ZERO = {"float32": 10.2, "float64": 27.3}


def _erfc_far(x: Real) -> Real:
    """``erfc(x) = exp(-x**2) p(t) / (1 + x)`` for ``x >= 3 / 4`` (cf. Shepherd and Laframboise 1981).

    One reciprocal serves both quotients, and one step of refinement makes the second exact. The
    square is kept in two numbers: its rounding error alone would cost ``x**2`` units.
    """
    name = x.format.name
    x = at_most(x, ERFC_ZERO[name])
    below, below_error = two_sum(x, x.constant(1.0))
    reciprocal = 1.0 / ((x + 3.0) * below)
    inverse = (x + 3.0) * reciprocal
    t = ((x - 3.0) * below) * reciprocal
    value = polynomial(t, (ERFC | ERFC_SINGLE)[name])
    quotient = value * inverse
    rest = quotient.fma(-below, value) - quotient * below_error
    quotient = rest.fma(inverse, quotient)
    square, square_error = two_product(x, x)
    n, minus_one = reduced(-square, -square_error)
    return scaled(-square, n, UNDERFLOW[name] / 1.25, (64, 0), quotient.fma(minus_one, quotient))


def erfc(x: Real) -> Real:
    """``1 - erf(x)``; underflows gradually for large x, approaches 2 for negative x."""
    size = abs(x)
    small = x.fma(-polynomial(x * x, ERF_SMALL[x.format.name]), 1.0 - x)
    large = _erfc_far(size)
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
        large = 1.0 - _erfc_far(at_most(size, ERF_ONE[name]))
    return where(size < 1.0, small, large.copysign(x))
