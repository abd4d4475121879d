"""Words of memory that several threads read and write: all in one order (sequentially consistent).

Only the executor's team uses them; no kernel does.
"""

from __future__ import annotations

import platform

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.kinds import I32, I64, Infer, Site, primitive

ORDER = "seq_cst"
WAITING = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause"}
"""What tells a processor that a loop waits; AArch64 has an instruction for the same."""


def _words(result: types.Type, count: int) -> Infer:
    def infer(*kinds: types.Type) -> types.Type | None:
        fits = all(types.unliteral(kind) == types.int64 for kind in kinds)
        return result if fits and len(kinds) == count else None

    return infer


def _place(site: Site, address: ir.Value) -> ir.Value:
    return site.builder.inttoptr(address, I64.as_pointer())


@primitive("atomic_load", _words(types.int64, 1))
def _load(site: Site, address: ir.Value) -> ir.Value:
    return site.builder.load_atomic(_place(site, address), ORDER, 8)


@primitive("atomic_store", _words(types.none, 2))
def _store(site: Site, address: ir.Value, value: ir.Value) -> None:
    site.builder.store_atomic(value, _place(site, address), ORDER, 8)


@primitive("atomic_add", _words(types.int64, 2))
def _add(site: Site, address: ir.Value, value: ir.Value) -> ir.Value:
    """Add to a word; what it was before."""
    return site.builder.atomic_rmw("add", _place(site, address), value, ORDER)


@primitive("atomic_replace", _words(types.boolean, 3))
def _replace(site: Site, address: ir.Value, old: ir.Value, new: ir.Value) -> ir.Value:
    """Write a new value where an old one is; whether it was."""
    found = site.builder.cmpxchg(_place(site, address), old, new, ORDER, ORDER)
    return site.builder.extract_value(found, 1)


@primitive("pause", _words(types.none, 0))
def _pause(site: Site) -> None:
    """Leave the core to its other thread for a moment."""
    machine = platform.machine().lower()
    void = ir.VoidType()
    if machine in WAITING:
        site.builder.call(site.module.declare_intrinsic(
            WAITING[machine], [], ir.FunctionType(void, [])), [])  # fmt: skip
    elif machine in ("aarch64", "arm64"):
        hint = site.module.declare_intrinsic(
            "llvm.aarch64.hint", [], ir.FunctionType(void, [I32]))  # fmt: skip
        site.builder.call(hint, [ir.Constant(I32, 1)])
