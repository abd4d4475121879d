"""What accumulates in a loop. LLVM may reorder these, so it can keep partial results per lane."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.arithmetic import compare
from graphc.runtime.primitives.kinds import Site, binary, is_float, primitive, same

REORDERED = ("reassoc", "contract", "nsz")


class _Exact(list[str]):
    """The flags of an instruction that nobody may relax."""

    def append(self, flag: str) -> None:
        """Ignore the flag."""


@primitive("reduce_add", binary)
def _reduce_add(site: Site, total: ir.Value, x: ir.Value) -> ir.Value:
    if is_float(site.kind):
        return site.builder.fadd(total, x, flags=REORDERED)
    return (site.builder.or_ if site.kind == types.boolean else site.builder.add)(total, x)


@primitive("reduce_mul", binary)
def _reduce_mul(site: Site, total: ir.Value, x: ir.Value) -> ir.Value:
    if is_float(site.kind):
        return site.builder.fmul(total, x, flags=REORDERED)
    return (site.builder.and_ if site.kind == types.boolean else site.builder.mul)(total, x)


def _extreme(name: str, intrinsic: str, sign: str) -> None:
    @primitive(name, binary)
    def emit(site: Site, best: ir.Value, x: ir.Value) -> ir.Value:
        if is_float(site.kind):
            return site.intrinsic(intrinsic, best, x)
        return site.builder.select(compare(site, sign, x, best), x, best)


_extreme("reduce_max", "maximum", ">")
_extreme("reduce_min", "minimum", "<")


def _booleans(x: types.Type, y: types.Type) -> types.Type | None:
    return types.boolean if same(x, y) == types.boolean else None


@primitive("reduce_or", _booleans)
def _reduce_or(site: Site, found: ir.Value, x: ir.Value) -> ir.Value:
    return site.builder.or_(found, x)


@primitive("reduce_and", _booleans)
def _reduce_and(site: Site, all_so_far: ir.Value, x: ir.Value) -> ir.Value:
    return site.builder.and_(all_so_far, x)


@primitive("add_exact", binary)
def _add_exact(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    """A sum rounded on its own, for compensated summation."""
    if not is_float(site.kind):
        return site.builder.add(x, y)
    result = site.builder.fadd(x, y)
    result.flags = _Exact()
    return result
