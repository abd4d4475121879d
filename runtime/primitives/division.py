"""Floor division, its remainder and powers, with NumPy's meaning.

Integers: division by zero gives 0, the least integer divided by -1 wraps around.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.arithmetic import CONTRACT
from graphc.runtime.primitives.kinds import Site, is_float, is_signed, primitive, same
from graphc.runtime.vecmath import FUNCTIONS


def _numbers(x: types.Type, y: types.Type) -> types.Type | None:
    kind = same(x, y)
    return None if kind == types.boolean else kind


@primitive("floor_div", _numbers)
def _floor_div(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    if is_float(site.kind):
        return _float_quotient(site, x, y)
    quotient, remainder, ordinary = _integer_division(site, x, y)
    b, zero = site.builder, site.constant(0)
    if not is_signed(site.kind):
        return b.select(ordinary, quotient, zero)
    lower = b.and_(_differ(site, remainder, y), b.icmp_signed("!=", remainder, zero))
    floored = b.sub(quotient, b.zext(lower, x.type))
    by_minus_one = b.icmp_signed("==", y, site.constant(-1))
    return b.select(ordinary, floored, b.select(by_minus_one, b.neg(x), zero))


@primitive("mod", _numbers)
def _mod(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    if is_float(site.kind):
        return _float_remainder(site, x, y)
    _, remainder, ordinary = _integer_division(site, x, y)
    b, zero = site.builder, site.constant(0)
    if is_signed(site.kind):
        moved = b.and_(_differ(site, remainder, y), b.icmp_signed("!=", remainder, zero))
        remainder = b.select(moved, b.add(remainder, y), remainder)
    return b.select(ordinary, remainder, zero)


def _differ(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    """Whether the signs of two integers differ."""
    return site.builder.icmp_signed("<", site.builder.xor(x, y), site.constant(0))


def _integer_division(
    site: Site, x: ir.Value, y: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Quotient and remainder as C has them, and whether the divisor was neither 0 nor -1."""
    b = site.builder
    ordinary = b.icmp_unsigned("!=", y, site.constant(0))
    if is_signed(site.kind):
        ordinary = b.and_(ordinary, b.icmp_signed("!=", y, site.constant(-1)))
    divisor = b.select(ordinary, y, site.constant(1))
    divide = b.sdiv if is_signed(site.kind) else b.udiv
    quotient = divide(x, divisor)
    return quotient, b.sub(x, b.mul(quotient, divisor)), ordinary


def _float_remainder(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    """C's remainder with the divisor's sign."""
    b, zero = site.builder, site.constant(0)
    rest = b.frem(x, y)
    wrong = b.xor(b.fcmp_ordered("<", rest, zero), b.fcmp_ordered("<", y, zero))
    moved = b.select(wrong, b.fadd(rest, y, flags=CONTRACT), rest)
    none = b.fcmp_ordered("==", rest, zero)
    return b.select(none, site.intrinsic("copysign", zero, y), moved)


def _float_quotient(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    """``floor(x / y)`` from the remainder, so that rounding x / y can't lift it (CPython's way)."""
    b, zero, one = site.builder, site.constant(0), site.constant(1)
    rest, plain = b.frem(x, y), b.fdiv(x, y)
    whole = b.fdiv(b.fsub(x, rest), y)
    signs = b.xor(b.fcmp_ordered("<", rest, zero), b.fcmp_ordered("<", y, zero))
    wrong = b.and_(signs, b.fcmp_unordered("!=", rest, zero))
    whole = b.select(wrong, b.fsub(whole, one), whole)
    floored = site.intrinsic("floor", whole)
    far = b.fcmp_ordered(">", b.fsub(whole, floored), site.constant(0.5))
    floored = b.select(far, b.fadd(floored, one), floored)
    is_zero = b.fcmp_ordered("==", whole, zero)
    floored = b.select(is_zero, site.intrinsic("copysign", zero, plain), floored)
    return b.select(b.fcmp_ordered("==", y, zero), plain, floored)


@primitive("pow", _numbers)
def _pow(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    """Floats: vector maths. Integers: a negative power is 0, but for bases 1 and -1."""
    if is_float(site.kind):
        return FUNCTIONS["pow"].emit(site.builder, x, y)
    result = _integer_power(site, x, y)
    if not is_signed(site.kind):
        return result
    b, zero, one, minus = site.builder, *(site.constant(n) for n in (0, 1, -1))
    is_odd = b.trunc(y, ir.IntType(1))
    of_minus = b.select(is_odd, minus, one)
    unit = b.select(b.icmp_signed("==", x, minus), of_minus, zero)
    unit = b.select(b.icmp_signed("==", x, one), one, unit)
    return b.select(b.icmp_signed("<", y, zero), unit, result)


def _integer_power(site: Site, base: ir.Value, exponent: ir.Value) -> ir.Value:
    """Repeated squaring."""
    b, zero, one = site.builder, site.constant(0), site.constant(1)
    before = b.block
    head, after = (b.append_basic_block(name) for name in ("power", "power_end"))
    b.branch(head)
    b.position_at_end(head)
    left, square, result = (b.phi(base.type) for _ in range(3))
    is_odd = b.trunc(left, ir.IntType(1))
    following = (
        b.lshr(left, one),
        b.mul(square, square),
        b.select(is_odd, b.mul(result, square), result),
    )
    for phi, first, later in zip((left, square, result), (exponent, base, one), following):
        phi.add_incoming(first, before)
        phi.add_incoming(later, head)
    b.cbranch(b.icmp_unsigned("==", following[0], zero), after, head)
    b.position_at_end(after)
    return following[2]
