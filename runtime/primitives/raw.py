"""Memory by address, calls by address: what the executor's own functions need, kernels don't.

Unlike loads through typed pointers, these may touch anything.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.kinds import (
    DOUBLE,
    I1,
    I8,
    I32,
    I64,
    SCALARS,
    Infer,
    Pointer,
    Site,
    in_memory,
    is_half,
    primitive,
)

BYTES = I8.as_pointer()


def _int64s(result: types.Type, least: int = 1, most: int = 16) -> Infer:
    def infer(*kinds: types.Type) -> types.Type | None:
        fits = all(types.unliteral(kind) == types.int64 for kind in kinds)
        return result if fits and least <= len(kinds) <= most else None

    return infer


def _at(site: Site, kind: ir.Type, address: ir.Value, offset: tuple[ir.Value, ...]) -> ir.Value:
    place = site.builder.add(address, offset[0]) if offset else address
    return site.builder.inttoptr(place, kind.as_pointer())


def _peek(site: Site, address: ir.Value, *offset: ir.Value) -> ir.Value:
    """The value at an address, or at one and an offset in bytes."""
    value = site.builder.load(_at(site, in_memory(site.result), address, offset), align=1)
    if site.result == types.boolean:
        return site.builder.icmp_unsigned("!=", value, ir.Constant(I8, 0))
    return value


def _written(kind: types.Type) -> Infer:
    def infer(*kinds: types.Type) -> types.Type | None:
        *places, value = (types.unliteral(k) for k in kinds)
        fits = 1 <= len(places) <= 2 and all(place == types.int64 for place in places)
        return types.none if fits and value == kind else None

    return infer


def _poke(site: Site, address: ir.Value, *rest: ir.Value) -> None:
    """Store a value, given last, at an address, or at one and an offset in bytes."""
    *offset, value = rest
    kind = site.arguments[-1]
    if kind == types.boolean:
        value = site.builder.zext(value, I8)
    site.builder.store(value, _at(site, in_memory(kind), address, tuple(offset)), align=1)


for _dtype, _kind in SCALARS.items():
    if is_half(_kind):
        continue
    primitive(f"peek_{_dtype}", _int64s(_kind, 1, 2))(_peek)
    primitive(f"poke_{_dtype}", _written(_kind))(_poke)


def _is_pointer(kind: types.Type) -> types.Type | None:
    return types.int64 if isinstance(kind, Pointer) else None


@primitive("address_of", _is_pointer)
def _address_of(site: Site, pointer: ir.Value) -> ir.Value:
    return site.builder.ptrtoint(pointer, I64)


def _call(site: Site, result: ir.Type, address: ir.Value, values: tuple[ir.Value, ...]) -> ir.Value:
    kind = ir.FunctionType(result, [value.type for value in values])
    return site.builder.call(site.builder.inttoptr(address, kind.as_pointer()), values)


@primitive("call", _int64s(types.int64))
def _call_int64(site: Site, address: ir.Value, *values: ir.Value) -> ir.Value:
    """A C function of words that returns a word or a pointer."""
    return _call(site, I64, address, values)


@primitive("call_void", _int64s(types.none))
def _call_void(site: Site, address: ir.Value, *values: ir.Value) -> None:
    _call(site, ir.VoidType(), address, values)


@primitive("call_float64", _int64s(types.float64))
def _call_float64(site: Site, address: ir.Value, *values: ir.Value) -> ir.Value:
    """A C function of words that returns a double."""
    return _call(site, DOUBLE, address, values)


@primitive("call_step", _int64s(types.int64, 4, 4))
def _call_step(site: Site, address: ir.Value, *values: ir.Value) -> ir.Value:
    """A kernel: its code, or where it didn't come to one, its status."""
    b = site.builder
    with b.goto_entry_block():
        result = b.alloca(I64)
    none = ir.Constant(I64, 0)
    place = b.ptrtoint(result, I64)
    status = _call(site, I32, address, (place, none, *values))
    code = b.load(result)
    succeeded = b.icmp_signed("==", status, ir.Constant(I32, 0))
    return b.select(succeeded, code, b.sext(status, I64))


def _memory_function(site: Site, name: str, kinds: list[ir.Type], values: list[ir.Value]) -> None:
    function_type = ir.FunctionType(ir.VoidType(), [*kinds, I64, I1])
    pointers = [kind for kind in kinds if isinstance(kind, ir.PointerType)]
    callee = site.module.declare_intrinsic(f"llvm.{name}", [*pointers, I64], function_type)
    site.builder.call(callee, [*values, ir.Constant(I1, 0)])


@primitive("copy_memory", _int64s(types.none, 3, 3))
def _copy_memory(site: Site, target: ir.Value, source: ir.Value, count: ir.Value) -> None:
    pointers = [site.builder.inttoptr(address, BYTES) for address in (target, source)]
    _memory_function(site, "memmove", [BYTES, BYTES], [*pointers, count])


@primitive("fill_memory", _int64s(types.none, 3, 3))
def _fill_memory(site: Site, target: ir.Value, byte: ir.Value, count: ir.Value) -> None:
    pointer, value = site.builder.inttoptr(target, BYTES), site.builder.trunc(byte, I8)
    _memory_function(site, "memset", [BYTES, I8], [pointer, value, count])


@primitive("equal_words", _int64s(types.boolean, 3, 3))
def _equal_words(site: Site, left: ir.Value, right: ir.Value, count: ir.Value) -> ir.Value:
    """Whether two tables of words are equal."""
    b, zero, before = site.builder, ir.Constant(I64, 0), site.builder.block
    head, body, after = (b.append_basic_block(f"equal_{part}") for part in ("head", "body", "end"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(zero, before)
    more = b.icmp_signed("<", i, count)
    b.cbranch(more, body, after)
    b.position_at_end(body)
    offset = b.shl(i, ir.Constant(I64, 3))
    values = [b.load(_at(site, I64, table, (offset,)), align=1) for table in (left, right)]
    i.add_incoming(b.add(i, ir.Constant(I64, 1)), body)
    b.cbranch(b.icmp_signed("==", *values), head, after)
    b.position_at_end(after)
    return b.not_(b.icmp_signed("<", i, count))
