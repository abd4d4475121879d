"""float16 and bfloat16: 16 bits in memory, float32 in registers, rounded to nearest even.

The meaning is that of :mod:`graphc.runtime.primitives.halves`: a value in a register is a float32
that the dtype holds, ``float16(x)`` and ``bfloat16(x)`` round, loads widen and stores narrow.
Arrays of both hold the bits as uint16.

Devices convert float16 themselves, by ``cvt``. Where a value is rounded, that instruction is
written as such: of ``fptrunc`` LLVM makes arithmetic of float16, and fuses a product with a sum,
which are to be rounded each. Loads and stores are ``fpext`` and ``fptrunc``, so that LLVM drops a
conversion and its inverse. The simulator has NumPy's float16, with the same numbers. NaN stays
NaN; what rounds it on a device keeps no payload. For bfloat16 the lines below run in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.runtime.cuda.words import SIMULATED, WORDS, Kind, plain_cast, types, word

INFINITE, QUIET = 0x7F800000, 0x400000


def _simulated() -> tuple[Any, ...]:
    def half_bits(x: Any) -> int:
        return int(np.float32(x).astype(np.float16).view(np.uint16))

    return (
        lambda x: int(np.float32(x).view(np.uint32)),
        lambda bits: np.uint32(int(bits)).view(np.float32),
        half_bits, half_bits,
        lambda bits: np.float32(np.uint16(int(bits)).view(np.float16)),
    )  # fmt: skip


def _compiled() -> tuple[Any, ...]:
    from llvmlite import ir
    from numba.cuda import cgutils
    from numba.cuda.extending import intrinsic

    i16, i32, i64 = (ir.IntType(bits) for bits in (16, 32, 64))
    half, single = ir.HalfType(), ir.FloatType()

    def float_bits(typingctx, x):
        def emit(context, builder, sig, values):
            return builder.zext(builder.bitcast(values[0], i32), i64)

        return types.int64(types.float32), emit

    def bits_float(typingctx, bits):
        def emit(context, builder, sig, values):
            return builder.bitcast(builder.trunc(values[0], i32), single)

        return types.float32(types.int64), emit

    def round_half(typingctx, x):
        kind = ir.FunctionType(i16, [single])

        def emit(context, builder, sig, values):
            cvt = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.f2h.rn")
            return builder.zext(builder.call(cvt, values), i64)

        return types.int64(types.float32), emit

    def half_bits(typingctx, x):
        def emit(context, builder, sig, values):
            return builder.zext(builder.bitcast(builder.fptrunc(values[0], half), i16), i64)

        return types.int64(types.float32), emit

    def bits_half(typingctx, bits):
        def emit(context, builder, sig, values):
            return builder.fpext(builder.bitcast(builder.trunc(values[0], i16), half), single)

        return types.float32(types.int64), emit

    return tuple(map(intrinsic, (float_bits, bits_float, round_half, half_bits, bits_half)))


# Bits as int64, in which nothing overflows: of a float32 and back; of the nearest float16, of a
# float32 that is one, and back.
_WORDS = (_simulated if SIMULATED else _compiled)()
FLOAT_BITS, BITS_FLOAT, ROUND_HALF, HALF_BITS, BITS_HALF = _WORDS


def _make() -> None:
    float_bits, bits_float, half_bits, bits_half = FLOAT_BITS, BITS_FLOAT, HALF_BITS, BITS_HALF
    short, wide = plain_cast("uint16"), plain_cast("int64")

    def from_float16(kind: Kind) -> Any:
        return lambda x: bits_half(wide(x))

    def from_bfloat16(kind: Kind) -> Any:
        return lambda x: bits_float(wide(x) << 16)

    def to_float16(kind: Kind) -> Any:
        return lambda x: short(half_bits(x))

    def to_bfloat16(kind: Kind) -> Any:
        return lambda x: short(float_bits(x) >> 16)  # rounded already: the lower bits are 0

    for make in (from_float16, from_bfloat16, to_float16, to_bfloat16):
        word(make.__name__)(make)


def _to_odd(kind: Kind) -> Any:
    """As a float32 that isn't rounded twice: an inexact one of float64 has an odd last bit."""
    single, double = plain_cast("float32"), plain_cast("float64")
    if kind.dtype != "float64":
        return lambda x: single(x)
    float_bits, bits_float = FLOAT_BITS, BITS_FLOAT

    def to_odd(x):
        near = single(x)
        exact = double(near)
        bits = float_bits(near)
        if exact == x or x != x or bits & 1 != 0:
            return near
        step = -1 if abs(exact) > abs(x) else 1
        return bits_float(bits + step)

    return to_odd


word("to_odd")(_to_odd)


@word("nearest_float16")
def _nearest_float16(kind: Kind) -> Any:
    round_half, bits_half = ROUND_HALF, BITS_HALF
    return lambda x: bits_half(round_half(x))


@word("nearest_bfloat16")
def _nearest_bfloat16(kind: Kind) -> Any:
    float_bits, bits_float = FLOAT_BITS, BITS_FLOAT

    def nearest(x):
        bits = float_bits(x)
        even = bits + 0x7FFF + ((bits >> 16) & 1)
        kept = bits | QUIET if x != x else even
        return bits_float((kept >> 16) << 16)

    return nearest


_make()
for _name in ("float16", "bfloat16"):

    def _cast(kind: Kind, name: str = _name) -> Any:
        nearest, to_odd = WORDS[f"nearest_{name}"], WORDS["to_odd"]
        return lambda x: nearest(to_odd(x))

    word(_name)(_cast)
