"""Conversions between dtypes, with the meaning of NumPy's ``astype`` on x86-64.

Floats are cut towards zero. What doesn't fit (NaN too) becomes the least int32 for targets up to
int32, the least int64 for wider ones, and of that the lowest bits. No conversion yields poison.
Integers lose their upper bits; they become float16 and bfloat16 by way of float32. Everything
but zero is true, NaN too.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.halves import rounded
from graphc.runtime.primitives.kinds import (
    I32,
    I64,
    SCALARS,
    Infer,
    Site,
    in_register,
    is_float,
    is_half,
    is_scalar,
    is_signed,
    primitive,
)


def convert(b: ir.IRBuilder, value: ir.Value, source: types.Type, target: types.Type) -> ir.Value:
    """Append the conversion of a value."""
    if source == target:
        return value
    if is_half(source):  # a float32, in registers
        return convert(b, value, types.float32, target)
    if is_half(target):
        number = value if is_float(source) else _to_float(b, value, source, types.float32)
        return rounded(b, number, target)
    if target == types.boolean:
        return _truth(b, value, source)
    if is_float(target):
        return _to_float(b, value, source, target)
    if is_float(source):
        return _float_to_integer(b, value, target)
    return _resize(b, value, in_register(target), is_signed(source))


def _truth(b: ir.IRBuilder, value: ir.Value, source: types.Type) -> ir.Value:
    zero = ir.Constant(value.type, 0)
    if is_float(source):
        return b.fcmp_unordered("!=", value, zero)
    return b.icmp_unsigned("!=", value, zero)


def _to_float(b: ir.IRBuilder, value: ir.Value, source: types.Type, target: types.Type) -> ir.Value:
    kind = in_register(target)
    if is_float(source):
        if isinstance(value, ir.Constant):
            return ir.Constant(kind, value.constant)
        return (b.fptrunc if target.bitwidth < source.bitwidth else b.fpext)(value, kind)
    return (b.sitofp if is_signed(source) else b.uitofp)(value, kind)


def _resize(b: ir.IRBuilder, value: ir.Value, kind: ir.IntType, signed: bool) -> ir.Value:
    if value.type.width == kind.width:
        return value
    if value.type.width > kind.width:
        return b.trunc(value, kind)
    return (b.sext if signed else b.zext)(value, kind)


def _float_to_integer(b: ir.IRBuilder, value: ir.Value, target: types.Type) -> ir.Value:
    small = target.bitwidth < 32 or target == types.int32
    if target != types.uint64:
        return _resize(b, _cut(b, value, I32 if small else I64), in_register(target), True)
    limit = ir.Constant(value.type, 2.0**63)
    upper = b.fcmp_ordered(">=", value, limit)
    lowered = b.select(upper, b.fsub(value, limit), value)
    top = b.select(upper, ir.Constant(I64, -(2**63)), ir.Constant(I64, 0))
    return b.xor(_cut(b, lowered, I64), top)


def _cut(b: ir.IRBuilder, value: ir.Value, kind: ir.IntType) -> ir.Value:
    """To a signed integer; the least one where the value doesn't fit."""
    bound = 2.0 ** (kind.width - 1)
    # Above -bound - 1 everything is cut to -bound, where the format has such numbers.
    least = -bound - 1 if value.type == ir.DoubleType() and kind.width == 32 else -bound
    compare = ">" if least < -bound else ">="
    low = b.fcmp_ordered(compare, value, ir.Constant(value.type, least))
    high = b.fcmp_ordered("<", value, ir.Constant(value.type, bound))
    fits = b.and_(low, high)
    return b.select(fits, b.fptosi(value, kind), ir.Constant(kind, -(2 ** (kind.width - 1))))


def _infer(target: types.Type) -> Infer:
    def infer(source: types.Type) -> types.Type | None:
        return target if is_scalar(types.unliteral(source)) else None

    return infer


def _emit(site: Site, value: ir.Value) -> ir.Value:
    return convert(site.builder, value, site.kind, site.result)


def cast_name(dtype: str) -> str:
    """The primitive that casts to a dtype: ``bool_`` and the dtypes' own names."""
    return "bool_" if dtype == "bool" else dtype


for _dtype, _kind in SCALARS.items():
    primitive(cast_name(_dtype), _infer(_kind))(_emit)
