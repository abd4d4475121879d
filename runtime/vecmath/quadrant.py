"""Reduction of an angle to a quarter turn, right over the whole range.

``x = n pi/2 + r``. Payne and Hanek (1983) observed that for a large x, an integer times ``2**s``,
only ``2**s 2/pi`` modulo 4 matters: most digits of ``2/pi`` drop out. Which digits are left depends
on the exponent of x; here compares and selects pick them, not a table in memory.
"""

from graphc.runtime.vecmath.lanes import (
    FLOAT32,
    FLOAT64,
    Real,
    Word,
    at_least,
    fast_two_sum,
    two_product,
    two_sum,
    where,
)
from graphc.runtime.vecmath.rounding import rint

# pi / 2 in parts of 53 bits
HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
# (from which abs(x) on, s, 2**s * 2 / pi mod 4 in two parts)
TWO_OVER_PI = (
    (0.0, 0, 0.6366197723675814, -3.935735335036497e-17),
    (2.0**50, 27, -0.5529460512772132, 3.808591801500832e-17),
    (2.0**77, 54, 1.2910009524680295, -3.862804515881076e-17),
    (2.0**102, 79, -0.3284762738195453, 2.3488816399632256e-17),
)


def reduced_single(x: Real) -> tuple[Word, Real, Real]:
    """The reduction of float32: n in the lowest bits of a word, and r in two parts.

    Rounding errors of the largest products let ``abs(r)`` grow to 0.96; the polynomials allow it.
    """
    size = abs(x)
    scale = x.constant(1.0)
    high, low = (x.to(FLOAT64).constant(c) for c in TWO_OVER_PI[0][2:])
    for limit, shift, upper, lower in TWO_OVER_PI[1:]:
        beyond = size >= limit
        scale = where(beyond, 2.0**-shift, scale)
        high, low = where(beyond, upper, high), where(beyond, lower, low)
    y = (x * scale).to(FLOAT64)
    product, error = two_product(y, high)
    shifted = product + FLOAT64.magic
    part = (product - (shifted - FLOAT64.magic)) + y.fma(low, error)
    exact = part * HALF_PI[0]
    r = exact.to(FLOAT32)
    return shifted.bits().to(FLOAT32), r, (exact - r.to(FLOAT64)).to(FLOAT32)


# float64: 2 / pi in pieces of 48 bits, each times 2**(48 i), and so below 4.
PIECE = 48
PIECES = (
    0.636619772367581, 0.082671889882306, 1.9578379245607493, 2.5843694367360968,
    1.9934294027904969, 3.771022268671203, 2.2589999958929923, 1.1832586418769182,
    0.9926440186547154, 1.6533036535165166, 1.1825449776166437, 0.4380905850541694,
    1.2248815431988191, 3.226388723676365, 3.742083086428437, 0.5937479747445167,
    3.934311958810241, 2.426260782055394, 3.15544186330159, 2.2476595863501387,
    1.457637475785205, 1.9432867186205414, 3.54032247756183, 3.3737964363217827,
)


def _window(index: Word, width: int) -> list[Real]:
    """``PIECES[index : index + width]``, picked by the bits of an index up to 20."""
    items = [Real(index.builder, index.value, FLOAT64, index.fused).constant(c) for c in PIECES]
    for step in (16, 8, 4, 2, 1):
        chosen = (index & step).differs(0)
        items = [
            where(chosen, items[i + step], items[i]) if i + step < len(items) else items[i]
            for i in range(step - 1 + width)
        ]
    return items


def _modulo_4(x: Real) -> Real:
    """x less the nearest multiple of 4; exact."""
    return rint(x * 0.25).fma(-4.0, x)


def reduced_double(x: Real) -> tuple[Word, Real, Real]:
    """The reduction of float64: n in the lowest bits of a word, and r in two parts.

    ``y = 2**(-48 j) x`` is multiplied by the four pieces of ``2/pi`` from the j-th on: j is 0 up to
    ``2**100``, and beyond y is an integer that makes the product with earlier pieces a multiple of
    4. Up to ``2**48`` r has all its digits; beyond, its error is below ``2**-88``, which matters
    only where x lies nearer than ``2**-35`` to a multiple of pi/2 (one number in ``10**10``).
    """
    form = x.format
    exponent = (abs(x).bits() >> form.fraction).small_integer()
    # Rounding (exponent - 52 - 23.5) / 48, which is never a tie, gives floor((exponent - 52) / 48).
    first = 52 + form.maximum + (PIECE - 1) / 2
    shifted = at_least((exponent - first) * (1.0 / PIECE), 0.0) + form.magic
    index = shifted.bits() & 31
    scale = form.encode(1.0) - (index << (form.fraction + 5)) - (index << (form.fraction + 4))
    y = x * scale.real()
    pieces = _window(index, 4)
    products = [two_product(y * 2.0 ** (-PIECE * i), pieces[i]) for i in range(3)]
    (a, a_low), (b, b_low), (c, c_low) = products
    total, rest = two_sum(_modulo_4(a), _modulo_4(a_low))
    for term in (_modulo_4(b), b_low, c):
        total, lost = two_sum(total, term)
        rest = rest + lost
    turned = total + form.magic
    rest = rest + (y * 2.0 ** (-PIECE * 3)).fma(pieces[3], c_low)
    part, rest = fast_two_sum(total - (turned - form.magic), rest)
    r, error = two_product(part, HALF_PI[0])
    low = part.fma(HALF_PI[1], rest.fma(HALF_PI[0], error))
    return turned.bits(), *fast_two_sum(r, low)


def reduced(x: Real) -> tuple[Word, Real, Real]:
    """n in the lowest bits of a word, and r in two parts, its lower one small."""
    return reduced_single(x) if x.format is FLOAT32 else reduced_double(x)
