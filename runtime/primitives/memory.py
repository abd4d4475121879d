"""Words of the argument block, typed pointers, loads and stores.

Loads and stores name the arrays that they can't touch, so that LLVM vectorises loops without
comparing addresses first: what a kernel writes through ``write_*(block, k)`` is reached through
no other pointer. An array that is read and written in place is read through its write pointer.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.halves import expand, stored
from graphc.runtime.primitives.kinds import (
    DOUBLE,
    I8,
    I64,
    SCALARS,
    SCOPES,
    Infer,
    Pointer,
    Site,
    in_memory,
    is_half,
    primitive,
)

ALIGNMENT_OF_LOCALS = 64


def _words(result: types.Type) -> Infer:
    def infer(block: types.Type, k: types.Type) -> types.Type | None:
        integers = isinstance(block, types.Integer) and isinstance(k, types.Integer)
        return result if integers else None

    return infer


def load_word(site: Site, block: ir.Value, k: ir.Value, kind: ir.Type = I64) -> ir.Value:
    """Load word k of a table; no kernel writes to its own table."""
    place = site.builder.gep(site.builder.inttoptr(block, kind.as_pointer()), [k], inbounds=True)
    value = site.builder.load(place, align=8)
    SCOPES.annotate(value, site.module, None)
    return value


@primitive("word", _words(types.int64))
def _word(site: Site, block: ir.Value, k: ir.Value) -> ir.Value:
    return load_word(site, block, k)


@primitive("real_word", _words(types.float64))
def _real_word(site: Site, block: ir.Value, k: ir.Value) -> ir.Value:
    return load_word(site, block, k, DOUBLE)


def _pointer(dtype: str, mode: str) -> Infer:
    def infer(block: types.Type, k: types.Type) -> types.Type | None:
        if not (isinstance(block, types.Integer) and isinstance(k, types.IntegerLiteral)):
            return None
        if mode == "write":
            SCOPES.written.add(k.literal_value)
        return Pointer(dtype, mode, k.literal_value)

    return infer


def _emit_pointer(site: Site, block: ir.Value, k: ir.Value) -> ir.Value:
    kind = in_memory(SCALARS[site.result.dtype])
    return site.builder.inttoptr(load_word(site, block, k), kind.as_pointer())


def _local(dtype: str) -> Infer:
    def infer(count: types.Type) -> types.Type | None:
        # The count is part of the type: emission reads it there.
        known = isinstance(count, types.IntegerLiteral)
        return Pointer(dtype, "local", -count.literal_value) if known else None

    return infer


def _emit_local(site: Site, count: ir.Value) -> ir.Value:
    kind = in_memory(SCALARS[site.result.dtype])
    with site.builder.goto_entry_block():
        memory = site.builder.alloca(kind, ir.Constant(I64, -site.result.slot))
        memory.align = ALIGNMENT_OF_LOCALS
    return memory


for _dtype in SCALARS:
    for _mode in ("read", "write"):
        primitive(f"{_mode}_{_dtype}", _pointer(_dtype, _mode))(_emit_pointer)
    primitive(f"local_{_dtype}", _local(_dtype))(_emit_local)


def _element(pointer: types.Type, index: types.Type) -> types.Type | None:
    fits = isinstance(pointer, Pointer) and isinstance(index, types.Integer)
    return SCALARS[pointer.dtype] if fits else None


def _assignment(pointer: types.Type, index: types.Type, value: types.Type) -> types.Type | None:
    fits = _element(pointer, index) == types.unliteral(value) and pointer.mode != "read"
    return types.none if fits else None


def _place(site: Site, pointer: ir.Value, index: ir.Value) -> ir.Value:
    return site.builder.gep(pointer, [_int64(site, index, site.arguments[1])], inbounds=True)


def _int64(site: Site, value: ir.Value, kind: types.Type) -> ir.Value:
    if kind.bitwidth == 64:
        return value
    return (site.builder.sext if kind.signed else site.builder.zext)(value, I64)


def _size(kind: types.Type) -> int:
    return 1 if kind == types.boolean else kind.bitwidth // 8


@primitive("getitem", _element)
def _getitem(site: Site, pointer: ir.Value, index: ir.Value) -> ir.Value:
    kind = SCALARS[site.kind.dtype]
    value = site.builder.load(_place(site, pointer, index), align=_size(kind))
    if site.kind.mode != "local":
        SCOPES.annotate(value, site.module, site.kind.slot)
    if kind == types.boolean:
        return site.builder.icmp_unsigned("!=", value, ir.Constant(I8, 0))
    return expand(site.builder, value, kind) if is_half(kind) else value


@primitive("setitem", _assignment)
def _setitem(site: Site, pointer: ir.Value, index: ir.Value, value: ir.Value) -> None:
    kind = SCALARS[site.kind.dtype]
    if kind == types.boolean:
        value = site.builder.zext(value, I8)
    elif is_half(kind):
        value = stored(site.builder, value, kind)
    store = site.builder.store(value, _place(site, pointer, index), align=_size(kind))
    if site.kind.mode != "local":
        SCOPES.annotate(store, site.module, site.kind.slot)
