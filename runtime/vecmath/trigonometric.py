"""sin, cos and tan.

``x = n pi/2 + r`` (see ``quadrant.py``); n mod 4 picks the polynomial and the sign.
"""

from graphc.runtime.vecmath.coefficients import COS, SIN, TAN, TAN_DOUBLE
from graphc.runtime.vecmath.lanes import Mask, Real, Word, polynomial, where
from graphc.runtime.vecmath.quadrant import reduced


def _odd(n: Word) -> Mask:
    return (n & 1).differs(0)


def sine(r: Real, rest: Real, z: Real) -> Real:
    """``sin(r + rest)``, the rest being tiny."""
    tail = z * polynomial(z, SIN[r.format.name])
    return r + r.fma(tail, rest)


def cosine(r: Real, rest: Real, z: Real) -> Real:
    """``cos(r + rest)``; ``1 - z / 2`` is kept in two parts."""
    half = z * 0.5
    near = 1.0 - half
    lost = (1.0 - near) - half
    return near + (z * z).fma(polynomial(z, COS[r.format.name]), lost - r * rest)


def _circular(x: Real, quarter: int) -> Real:
    """``sin(x + quarter pi / 2)``."""
    n, r, rest = reduced(x)
    n = n + quarter
    z = r * r
    value = where(_odd(n), cosine(r, rest, z), sine(r, rest, z))
    return (value.bits() ^ ((n & 2) << (x.format.bits - 2))).real()


def _itself_if_tiny(x: Real, result: Real) -> Real:
    """x where its cube is lost beside it, which keeps -0 and subnormal numbers."""
    return where(abs(x) < 2.0 ** (-(x.format.digits // 2) - 1), x, result)


def sin(x: Real) -> Real:
    """The sine; NaN for infinities."""
    return _itself_if_tiny(x, _circular(x, 0))


def cos(x: Real) -> Real:
    """The cosine; NaN for infinities."""
    return _circular(x, 1)


def tan(x: Real) -> Real:
    """``tan(r)`` in even quadrants, ``-1 / tan(r)`` in odd ones; NaN for infinities."""
    n, r, rest = reduced(x)
    z = r * r
    odd = _odd(n)
    tail = r.fma(z * polynomial(z, (TAN | TAN_DOUBLE)[x.format.name]), rest * (z + 1.0))
    tangent = r + tail
    lost = (r - tangent) + tail
    inverse = -1.0 / tangent
    # One step of Newton's method on the rounded tangent and what rounding lost.
    correction = inverse * (tangent.fma(inverse, 1.0) + lost * inverse)
    return _itself_if_tiny(x, where(odd, inverse + correction, tangent))
