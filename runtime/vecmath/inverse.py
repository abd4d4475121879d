"""arcsin, arccos, arctan and arctan2."""

import math

from graphc.runtime.vecmath.coefficients import ARCSIN, ARCTAN
from graphc.runtime.vecmath.lanes import Mask, Real, polynomial, where

# pi / 2 and pi / 4 in two parts
HALF_PI = {
    "float32": (1.5707963705062866, -4.371138828673793e-08),
    "float64": (1.5707963267948966, 6.123233995736766e-17),
}
QUARTER_PI = {name: (high / 2, low / 2) for name, (high, low) in HALF_PI.items()}


def _arcsin_parts(x: Real) -> tuple[Mask, Real, Real]:
    """``arcsin`` of x, or of ``sqrt((1 - abs(x)) / 2)`` where the mask says, as a sum."""
    size = abs(x)
    large = size > 0.5
    z = where(large, 0.5 - size * 0.5, x * x)
    s = where(large, z.sqrt(), x)
    return large, s, s * (z * polynomial(z, ARCSIN[z.format.name]))


def arcsin(x: Real) -> Real:
    """``pi/2 - 2 arcsin(sqrt((1 - x) / 2))`` above 1/2 (both signs alike); NaN beyond 1."""
    large, s, rest = _arcsin_parts(x)
    high, low = HALF_PI[x.format.name]
    folded = ((high - s * 2.0) + (low - rest * 2.0)).copysign(x)
    return where(large, folded, s + rest)


def arccos(x: Real) -> Real:
    """``pi/2 - arcsin(x)``; ``2 arcsin(sqrt((1 - abs(x)) / 2))`` or pi less that beyond 1/2."""
    large, s, rest = _arcsin_parts(x)
    high, low = HALF_PI[x.format.name]
    small = high - (s - (low - rest))
    doubled = (s + rest) * 2.0
    turned = 2 * high - (doubled - 2 * low)
    return where(large, where(x < 0.0, turned, doubled), small)


def _angle(opposite: Real, adjacent: Real, turned: Mask | None) -> Real:
    """The angle of ``(adjacent, opposite)``, both at least 0; its supplement where turned.

    The larger one divides the smaller one: ``t = a / b``. From 1/2 on it is
    ``arctan(t) = pi/4 + arctan((a - b) / (a + b))``. Multiples of pi/4 are added at the end.
    """
    steep = opposite > adjacent
    a, b = where(steep, adjacent, opposite), where(steep, opposite, adjacent)
    upper = a * 2.0 >= b  # b / 2 would be rounded where b is the least number
    t = where(upper, a - b, a) / where(upper, a + b, b)
    z = t * t
    angle = t.fma(z * polynomial(z, ARCTAN[z.format.name]), t)
    quarters = where(upper, a.constant(1.0), 0.0)
    quarters, angle = where(steep, 2.0 - quarters, quarters), where(steep, -angle, angle)
    if turned is not None:
        quarters, angle = where(turned, 4.0 - quarters, quarters), where(turned, -angle, angle)
    high, low = QUARTER_PI[t.format.name]
    return quarters.fma(high, quarters.fma(low, angle))


def arctan(x: Real) -> Real:
    """The inverse tangent, between -pi/2 and pi/2."""
    size = abs(x)
    return _angle(where(size.equals(math.inf), size.format.largest, size),
                  x.constant(1.0), None).copysign(x)


def arctan2(y: Real, x: Real) -> Real:
    """The angle of the point ``(x, y)``, with C's rules for zeros and infinities."""
    form = x.format
    opposite, adjacent = abs(y), abs(x)
    both_zero = (opposite + adjacent).equals(0.0)
    both_infinite = opposite.equals(adjacent) & opposite.equals(math.inf)
    # Where the sum might overflow, or be infinite, smaller numbers have the same angle.
    scale = where((opposite > form.largest / 4) | (adjacent > form.largest / 4),
                  x.constant(0.25), 1.0)
    opposite = where(both_infinite, 1.0, opposite * scale)
    adjacent = where(both_infinite | both_zero, 1.0, adjacent * scale)
    negative = x.constant(1.0).copysign(x) < 0.0
    return _angle(opposite, adjacent, negative).copysign(y)
