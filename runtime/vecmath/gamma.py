"""gamma, gammaln = log(abs(gamma)) and digamma, the derivative of gammaln.

Below 8 the recurrence ``gamma(x + 1) = x gamma(x)`` leads to a polynomial about 2, above there is
Stirling's series, for negative numbers the reflection ``gamma(x) gamma(-x) = -pi / (x sin(pi x))``.
float32 computes in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from graphc.runtime.vecmath.coefficients import (
    DIGAMMA_MIDDLE,
    DIGAMMA_STIRLING,
    EXP2,
    GAMMA_MIDDLE,
    GAMMA_STIRLING,
    GAMMALN_MIDDLE,
    GAMMALN_STIRLING,
)
from graphc.runtime.vecmath.exponential import scaled
from graphc.runtime.vecmath.lanes import (
    FLOAT64,
    Mask,
    Real,
    at_least,
    at_most,
    polynomial,
    two_product,
    two_sum,
    where,
)
from graphc.runtime.vecmath.logarithm import log
from graphc.runtime.vecmath.power import log2_in_two_parts
from graphc.runtime.vecmath.rounding import rint
from graphc.runtime.vecmath.trigonometric import cosine, sine

STIRLING = 8.0  # from here on Stirling's series holds
PI = (3.141592653589793, 1.2246467991473532e-16)
LOG2_E = (1.4426950408889634, 2.0355273740931033e-17)
LOG2_ROOT_TWO_PI = (1.3257480647361595, -7.153413670427599e-17)
# gammaln(x) = (x - 1/2) (log(x) - 1) + this + a series in 1 / x
GAMMALN_OFFSET = 0.4189385332046727
# The positive zero of digamma in two parts
DIGAMMA_ZERO = (1.4616321449683622, 9.549995429965697e-17)


def _in_double(function: Callable[[Real], Real]) -> Callable[[Real], Real]:
    """The function, computed in float64 for any format."""

    def wrapped(x: Real) -> Real:
        return function(x.to(FLOAT64)).to(x.format)

    wrapped.__doc__ = function.__doc__
    return wrapped


@dataclass(frozen=True)
class _HalfTurns:
    """An angle ``pi x``: sine and cosine up to a common sign, and whether x is an integer."""

    sine: Real
    cosine: Real
    whole: Mask
    odd: Mask


def _half_turns(x: Real) -> _HalfTurns:
    """``sin(pi x)`` and ``cos(pi x)`` with exact range reduction."""
    near = rint(x)
    half = near * 0.5
    offset = x - near
    steep = abs(offset) > 0.25
    inner = where(steep, (0.5 - abs(offset)).copysign(offset), offset)
    r, error = two_product(inner, PI[0])
    rest = inner.fma(PI[1], error)
    z = r * r
    one, other = sine(r, rest, z), cosine(r, rest, z)
    return _HalfTurns(
        where(steep, other.copysign(offset), one),
        where(steep, abs(one), other),
        offset.equals(0.0),
        rint(half).differs(half),
    )


@dataclass(frozen=True)
class _Steps:
    """Steps from x to an ``m`` near 2: ``m - 2``, and the factors between.

    They are a divisor where x is below m, or a product where it is above; `lost` is what
    rounding takes off the product, `total` the sum of their reciprocals times either.
    """

    shifted: Real
    divisor: Real
    product: Real
    lost: Real
    total: Real


def _middle(x: Real, low: float) -> _Steps:
    """Steps from x, above -1/2 and below 8, to ``m`` in ``[low, low + 1)``."""
    one = x.constant(1.0)
    shifted, product, total = x - 2.0, one, x.constant(0.0)
    lost = total
    for i in range(1, 7):
        factor = x - float(i)
        active = factor >= low
        total = where(active, total.fma(factor, product), total)
        longer, error = two_product(product, factor)
        lost = where(active, lost.fma(factor, error), lost)
        product = where(active, longer, product)
        shifted = where(active, x - (i + 2.0), shifted)
    below, far_below = x < low, x < low - 1.0
    divisor = where(below, where(far_below, x * (x + 1.0), x), 1.0)
    total = where(below, where(far_below, x + x + 1.0, 1.0), total)
    shifted = where(below, where(far_below, x, x - 1.0), shifted)
    return _Steps(shifted, divisor, product, lost, total)


def _gammaln(x: Real) -> Real:
    """``log(abs(gamma(x)))``: inf at 0, -1, -2, ... and at both infinities."""
    reflected = x < -0.5
    a = where(reflected, -x, x)
    large = a >= STIRLING
    steps = _middle(where(large, 2.0, a), 1.2)
    below = a < 1.2
    logarithm = log(where(large, a, where(below, abs(steps.divisor), steps.product)))
    middle = steps.shifted * polynomial(steps.shifted, GAMMALN_MIDDLE["float64"])
    middle = middle + where(below, -logarithm, logarithm)
    inverse = 1.0 / a
    series = inverse * polynomial(inverse * inverse, GAMMALN_STIRLING["float64"])
    far = (a - 0.5).fma(logarithm - 1.0, series + GAMMALN_OFFSET)
    result = where(large, far, middle)
    turns = _half_turns(a)
    other = log(PI[0] / (a * abs(turns.sine))) - result
    other = where(turns.whole | a.equals(math.inf), math.inf, other)
    return where(reflected, other, where(a.equals(math.inf), a, result))


def _gamma(x: Real) -> Real:
    """The gamma function: signed inf at 0, NaN at negative integers and -inf."""
    reflected = x < -0.5
    a = where(reflected, -x, x)
    large = a >= STIRLING
    steps = _middle(where(large, 2.0, a), 1.5)
    middle = polynomial(steps.shifted, GAMMA_MIDDLE["float64"])
    above = middle.fma(steps.product, middle * steps.lost)
    middle = where(a < 1.5, middle / steps.divisor, above)
    # sqrt(2 pi) a**(a - 1/2) exp(-a) as a power of 2, its exponent in two parts
    bounded = at_most(where(large, a, STIRLING), 200.0)
    high, low = log2_in_two_parts(bounded)
    raised, raised_low = two_product(bounded - 0.5, high)
    lowered, lowered_low = two_product(bounded, LOG2_E[0])
    power, rest = two_sum(raised, -lowered)
    rest = rest + ((bounded - 0.5).fma(low, raised_low) - bounded.fma(LOG2_E[1], lowered_low))
    power, lost = two_sum(power, power.constant(LOG2_ROOT_TWO_PI[0]))
    rest = rest + (lost + LOG2_ROOT_TWO_PI[1])
    power, rest = (where(large, v, 0.0) for v in (power, rest))
    power, rest = (where(reflected, -v, v) for v in (power, rest))
    series = polynomial(1.0 / bounded, GAMMA_STIRLING["float64"])
    factor = where(large, series, middle)
    turns = _half_turns(a)
    sign = where(turns.odd, x.constant(1.0), -1.0)
    factor = where(reflected, _mirrored(a, turns.sine, factor) * sign, factor)
    undefined = reflected & (turns.whole | a.equals(math.inf))
    result = where(undefined, math.nan, _times_power_of_two(factor, power, rest))
    return where(x.equals(math.inf) | x.differs(x), x, result)


def _mirrored(a: Real, sine: Real, factor: Real) -> Real:
    """``pi / (a sine factor)``, with what the products and the quotient lose put back."""
    first, lost = two_product(a, sine)
    divisor, more = two_product(first, factor)
    lost = lost.fma(factor, more)
    inverse = 1.0 / divisor
    quotient = PI[0] * inverse
    rest = quotient.fma(-divisor, PI[0]) + quotient.fma(-lost, PI[1])
    return rest.fma(inverse, quotient)


def _times_power_of_two(factor: Real, power: Real, rest: Real) -> Real:
    """``factor * 2**(power + rest)``, with gradual underflow."""
    power = at_least(at_most(power, 1025.0), -1080.0)
    shifted = power + FLOAT64.magic
    r = (power - (shifted - FLOAT64.magic)) + rest
    value = r.fma(polynomial(r, EXP2["float64"]), 1.0)
    return scaled(power, shifted.bits(), -1000.0, (64, -1), factor * value)


def _digamma(x: Real) -> Real:
    """The derivative of ``log(gamma(x))``: signed inf at 0, NaN at negative integers and -inf."""
    reflected = x < -0.2
    a = where(reflected, -x, x)
    large = a >= STIRLING
    way = _middle(where(large, 2.0, a), 1.2)
    from_zero = (way.shifted - (DIGAMMA_ZERO[0] - 2.0)) - DIGAMMA_ZERO[1]
    near_two = from_zero * polynomial(way.shifted, DIGAMMA_MIDDLE["float64"])
    below = a < 1.2
    steps = way.total / where(below, -way.divisor, way.product)
    inverse = 1.0 / a
    square = inverse * inverse
    series = square * polynomial(square, DIGAMMA_STIRLING["float64"])
    far = log(a) - inverse.fma(0.5, series)
    result = where(large, far, near_two + steps)
    turns = _half_turns(a)
    mirrored = (result + inverse) + PI[0] * turns.cosine / turns.sine
    mirrored = where(turns.whole | a.equals(math.inf), math.nan, mirrored)
    return where(reflected, mirrored, where(a.equals(math.inf), a, result))


gamma = _in_double(_gamma)
gammaln = _in_double(_gammaln)
digamma = _in_double(_digamma)
