"""log, log2, log10 and log1p.

``x = 2**k m`` with ``m`` in ``[sqrt(1/2), sqrt(2))`` and ``log(x) = k ln 2 + log(1 + f)``,
``f = m - 1``. In float32 ``log(1 + f)`` is a polynomial in f; in float64 it is fdlibm's form
``f - (f**2/2 - s (f**2/2 + s**2 R(s**2)))``, ``s = f / (2 + f)``, which needs a third of the terms.
"""

import math

from graphc.runtime.vecmath.coefficients import LOG, LOG_QUOTIENT
from graphc.runtime.vecmath.exponential import LN2_HIGH, LN2_LOW
from graphc.runtime.vecmath.lanes import FLOAT32, Real, polynomial, where

# Logarithms of e and of 2, in two parts; fdlibm's upper parts of log10(2) end in zeros.
LOG2_E = {
    "float32": (1.442695021629333, 1.925963033500952e-08),
    "float64": (1.4426950408889634, 2.0355273740931033e-17),
}
LOG10_E = {
    "float32": (0.4342944920063019, -1.0103049952192578e-08),
    "float64": (0.4342944819032518, 1.098319650216765e-17),
}
LOG10_2 = {
    "float32": (3.0102920532226562e-01, 7.9034151667615552e-07),
    "float64": (3.01029995663611771306e-01, 3.69423907715893078616e-13),
}


def split(x: Real) -> tuple[Real, Real]:
    """``x = 2**k m`` for positive finite x, subnormal ones included."""
    form = x.format
    tiny = x < form.least_normal
    bits = where(tiny, x * 2.0**form.digits, x).bits()
    root = form.encode(math.sqrt(0.5))
    moved = bits + ((form.maximum << form.fraction) - root)
    bias = where(tiny, x.constant(form.maximum + form.digits), form.maximum)
    k = (moved >> form.fraction).small_integer() - bias
    return k, ((moved & (2**form.fraction - 1)) + root).real()


def log_one_plus(f: Real) -> tuple[Real, Real]:
    """``log(1 + f)`` as f and what has to be added to it, for ``1 + f`` between the roots."""
    if f.format is FLOAT32:
        return f, f * f * polynomial(f, (-0.5, *LOG["float32"]))
    s = f / (f + 2.0)
    square = s * s
    half = f * f * 0.5
    return f, s * (half + square * polynomial(square, LOG_QUOTIENT["float64"])) - half


def at_the_edges(x: Real, result: Real, pole: float = 0.0) -> Real:
    """-inf at the pole, NaN below it and for NaN, inf for inf, elsewhere the result."""
    below = where(x.equals(pole), x.constant(-math.inf), math.nan)
    return where(x.equals(math.inf), x, where(x > pole, result, below))


def times_ln2(k: Real, f: Real, rest: Real) -> Real:
    """``k ln 2 + f + rest``."""
    name = k.format.name
    return k.fma(LN2_HIGH[name], f + k.fma(LN2_LOW[name], rest))


def log(x: Real) -> Real:
    """The natural logarithm."""
    k, m = split(x)
    return at_the_edges(x, times_ln2(k, *log_one_plus(m - 1.0)))


def _log_mantissa(m: Real, scale: dict[str, tuple[float, float]]) -> Real:
    """``log(m)`` to the base whose logarithm of e is given."""
    high, low = scale[m.format.name]
    f, rest = log_one_plus(m - 1.0)
    return f.fma(high, rest.fma(high, f * low))


def log2(x: Real) -> Real:
    """The logarithm to base 2; exact for powers of 2."""
    k, m = split(x)
    return at_the_edges(x, k + _log_mantissa(m, LOG2_E))


def log10(x: Real) -> Real:
    """The logarithm to base 10."""
    k, m = split(x)
    high, low = LOG10_2[x.format.name]
    return at_the_edges(x, k.fma(high, k.fma(low, _log_mantissa(m, LOG10_E))))


def log1p_above(x: Real, extra: Real | float = 0.0, low: Real | None = None) -> Real:
    """``log(1 + x + low) + extra ln 2`` for finite ``x > -1`` and a tiny low part.

    ``1 + x`` gives k only; ``f = 2**-k x + (2**-k - 1)`` is rounded once (N. Juffa's reduction).
    """
    form = x.format
    root = form.encode(math.sqrt(0.5))
    biased = ((x + 1.0).bits() + ((form.maximum << form.fraction) - root)) >> form.fraction
    k = biased.small_integer() - (x.coerce(form.maximum) - extra)
    shift = (biased - form.maximum) << form.fraction
    # 2**-k itself may be subnormal; four times that is not.
    quarter = (form.encode(4.0) - shift).real()
    f = (x.bits() - shift).real() + quarter.fma(0.25, -1.0)
    near, rest = log_one_plus(f)
    if low is not None:
        rest = (low - low * f).fma(quarter * 0.25, rest)
    return times_ln2(k, near, rest)


def log1p(x: Real) -> Real:
    """``log(1 + x)``, of the sign of x, which keeps -0."""
    return at_the_edges(x, log1p_above(x).copysign(x), pole=-1.0)
