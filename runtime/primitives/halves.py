"""float16 and bfloat16: 16 bits in memory, float32 in registers, rounded to nearest even.

A value of these types is a float32 that the type holds: arithmetic is for float32, and a cast
rounds. A CPU converts float16 itself where it can; elsewhere, and for bfloat16, integer
arithmetic does, which vectorises too. (LLVM would call functions that nobody links.)
"""

from __future__ import annotations

import functools

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.kinds import DOUBLE, FLOAT, HALF_TYPES, I16, I32

FLOAT16, BFLOAT16 = HALF_TYPES
HALF = ir.HalfType()
INFINITE, QUIET = 0x7F800000, 0x400000


@functools.cache
def has_float16() -> bool:
    """Whether the CPU has instructions that convert float16."""
    from graphc.runtime.machine import host, is_arm

    return is_arm() or "+f16c" in host().features.split(",")


def expand(
    b: ir.IRBuilder, bits: ir.Value, kind: types.Type, native: bool | None = None
) -> ir.Value:
    """The float32 of 16 bits."""
    if kind == BFLOAT16:
        return b.bitcast(b.shl(b.zext(bits, I32), _int(16)), FLOAT)
    if has_float16() if native is None else native:
        return b.fpext(b.bitcast(bits, HALF), FLOAT)
    wide = b.zext(bits, I32)
    sign = b.shl(b.and_(wide, _int(0x8000)), _int(16))
    moved = b.shl(b.and_(wide, _int(0x7FFF)), _int(13))
    # The product gives subnormal numbers their exponents too.
    scaled = b.bitcast(b.fmul(b.bitcast(moved, FLOAT), ir.Constant(FLOAT, 2.0**112)), I32)
    top = _int(31 << 23)
    special = b.select(b.icmp_unsigned(">", moved, top), _int(INFINITE | QUIET), _int(INFINITE))
    found = b.select(b.icmp_unsigned(">=", moved, top), b.or_(scaled, special), scaled)
    return b.bitcast(b.or_(found, sign), FLOAT)


def pack(
    b: ir.IRBuilder, value: ir.Value, kind: types.Type, native: bool | None = None
) -> ir.Value:
    """The 16 bits of a float32, rounded to the nearest, ties to even; NaN is made quiet."""
    if kind == FLOAT16 and (has_float16() if native is None else native):
        return b.bitcast(b.fptrunc(value, HALF), I16)
    bits = b.bitcast(value, I32)
    if kind == FLOAT16:
        return _pack_float16(b, bits)
    nan = b.or_(bits, _int(QUIET))
    chosen = b.select(b.fcmp_unordered("uno", value, value), nan, _to_even(b, bits, 16))
    return b.trunc(b.lshr(chosen, _int(16)), I16)


def _to_even(b: ir.IRBuilder, bits: ir.Value, dropped: int) -> ir.Value:
    """Bits of which the lowest may be dropped: half of their unit is added, less for ties."""
    odd = b.and_(b.lshr(bits, _int(dropped)), _int(1))
    return b.add(b.add(bits, _int((1 << (dropped - 1)) - 1)), odd)


def _pack_float16(b: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    sign = b.and_(bits, _int(-(2**31)))
    size = b.xor(bits, sign)
    # A number below 2**-14 beside 1/2 has the digits that a subnormal one keeps.
    half = ir.Constant(FLOAT, 0.5)
    small = b.sub(b.bitcast(b.fadd(b.bitcast(size, FLOAT), half), I32), _int(126 << 23))
    normal = b.lshr(b.sub(_to_even(b, size, 13), _int(112 << 23)), _int(13))
    payload = b.or_(b.and_(b.lshr(size, _int(13)), _int(0x3FF)), _int(0x7E00))
    special = b.select(b.icmp_unsigned(">", size, _int(INFINITE)), payload, _int(0x7C00))
    found = b.select(b.icmp_unsigned("<", size, _int(113 << 23)), small, normal)
    found = b.select(b.icmp_unsigned(">=", size, _int(143 << 23)), special, found)
    return b.trunc(b.or_(found, b.lshr(sign, _int(16))), I16)


def stored(b: ir.IRBuilder, value: ir.Value, kind: types.Type) -> ir.Value:
    """The 16 bits of a value of the type, which is rounded already."""
    if kind == BFLOAT16:
        return b.trunc(b.lshr(b.bitcast(value, I32), _int(16)), I16)
    return pack(b, value, kind)


def rounded(b: ir.IRBuilder, value: ir.Value, kind: types.Type) -> ir.Value:
    """A float32 or float64 as the nearest value of the type, in a register."""
    if value.type == DOUBLE:
        value = _to_odd(b, value)
    return expand(b, pack(b, value, kind), kind)


def _to_odd(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A float64 as a float32 that isn't rounded twice: an inexact one has an odd last bit.

    Boldo, Melquiond: When double rounding is odd. IMACS World Congress 2005.
    """
    near = b.fptrunc(value, FLOAT)
    exact, bits = b.fpext(near, DOUBLE), b.bitcast(near, I32)
    sizes = [b.bitcast(x, ir.IntType(64)) for x in (exact, value)]
    unsigned = [b.and_(x, ir.Constant(x.type, 2**63 - 1)) for x in sizes]
    step = b.select(b.icmp_unsigned(">", *unsigned), _int(-1), _int(1))
    inexact = b.fcmp_ordered("!=", exact, value)
    even = b.icmp_unsigned("==", b.and_(bits, _int(1)), _int(0))
    return b.bitcast(b.select(b.and_(inexact, even), b.add(bits, step), bits), FLOAT)


def _int(number: int) -> ir.Constant:
    return ir.Constant(I32, number)

