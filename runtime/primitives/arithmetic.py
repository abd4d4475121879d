"""Arithmetic on operands of one dtype; the result has that dtype too.

Integers wrap around. Float ``+ - * /`` may be contracted (a product that is added is rounded
once, as fused hardware does), and nothing else. What an operator and a name share (``+`` and
``add``) is one primitive.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.kinds import (
    PRIMITIVES,
    Site,
    binary,
    comparison,
    in_register,
    is_float,
    is_scalar,
    is_signed,
    primitive,
    same,
    test,
    unary,
)
from graphc.runtime.vecmath import FUNCTIONS

CONTRACT = ("contract",)


def _simple(name: str, floats: str, integers: str, booleans: str) -> None:
    @primitive(name, binary)
    def emit(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
        if is_float(site.kind):
            return getattr(site.builder, floats)(x, y, flags=CONTRACT)
        chosen = booleans if site.kind == types.boolean else integers
        return getattr(site.builder, chosen)(x, y)


_simple("add", "fadd", "add", "or_")
_simple("sub", "fsub", "sub", "xor")
_simple("mul", "fmul", "mul", "and_")


def _floats(*kinds: types.Type) -> types.Type | None:
    kind = same(*kinds)
    return kind if kind is not None and is_float(kind) else None


def _discrete(*kinds: types.Type) -> types.Type | None:
    kind = same(*kinds)
    return kind if kind is not None and not is_float(kind) else None


def _integers(*kinds: types.Type) -> types.Type | None:
    kind = _discrete(*kinds)
    return None if kind == types.boolean else kind


@primitive("div", _floats)
def _div(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
    return site.builder.fdiv(x, y, flags=CONTRACT)


@primitive("neg", unary)
def _neg(site: Site, x: ir.Value) -> ir.Value:
    return site.builder.fneg(x) if is_float(site.kind) else site.builder.neg(x)


for _name, _method in {"bit_and": "and_", "bit_or": "or_", "bit_xor": "xor"}.items():

    def _bitwise(site: Site, x: ir.Value, y: ir.Value, method: str = _method) -> ir.Value:
        return getattr(site.builder, method)(x, y)

    primitive(_name, _discrete)(_bitwise)


@primitive("invert", _discrete)
def _invert(site: Site, x: ir.Value) -> ir.Value:
    return site.builder.not_(x)


def _shift(name: str, signed: str, unsigned: str) -> None:
    @primitive(name, _integers)
    def emit(site: Site, x: ir.Value, count: ir.Value) -> ir.Value:
        """Counts outside the type give 0, or -1 for a negative number shifted right."""
        b, bits = site.builder, x.type.width
        method = signed if is_signed(site.kind) else unsigned
        inside = b.icmp_unsigned("<", count, ir.Constant(x.type, bits))
        bounded = b.select(inside, count, ir.Constant(x.type, bits - 1))
        shifted = getattr(b, method)(x, bounded)
        if method == "ashr":
            return shifted
        return b.select(inside, shifted, ir.Constant(x.type, 0))


_shift("shift_left", "shl", "shl")
_shift("shift_right", "ashr", "lshr")


def compare(site: Site, sign: str, x: ir.Value, y: ir.Value) -> ir.Value:
    """Append a comparison of two values of the first argument's type."""
    if is_float(site.kind):
        method = site.builder.fcmp_unordered if sign == "!=" else site.builder.fcmp_ordered
    else:
        method = site.builder.icmp_signed if is_signed(site.kind) else site.builder.icmp_unsigned
    return method(sign, x, y)


for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():

    def _comparison(site: Site, x: ir.Value, y: ir.Value, sign: str = _sign) -> ir.Value:
        return compare(site, sign, x, y)

    primitive(_name, comparison)(_comparison)


def _choice(c: types.Type, a: types.Type, b: types.Type) -> types.Type | None:
    return same(a, b) if c == types.boolean else None


@primitive("select", _choice)
def _select(site: Site, condition: ir.Value, yes: ir.Value, no: ir.Value) -> ir.Value:
    return site.builder.select(condition, yes, no)


def _extreme(name: str, sign: str) -> None:
    @primitive(name, binary)
    def emit(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
        """NaN where either is NaN: the comparison keeps x's, the second choice y's."""
        b = site.builder
        chosen = b.select(compare(site, sign, y, x), y, x)
        if not is_float(site.kind):
            return chosen
        return b.select(b.fcmp_unordered("uno", y, y), y, chosen)


_extreme("maximum", ">")
_extreme("minimum", "<")


@primitive("abs", unary)
def _abs(site: Site, x: ir.Value) -> ir.Value:
    if is_float(site.kind):
        return site.intrinsic("fabs", x)
    if not is_signed(site.kind):
        return x
    b = site.builder
    return b.select(b.icmp_signed("<", x, site.constant(0)), b.neg(x), x)


@primitive("sgn", unary)
def _sgn(site: Site, x: ir.Value) -> ir.Value:
    """1, 0 or -1; NaN for NaN."""
    if site.kind == types.boolean:
        return x
    b, zero, one, minus = site.builder, *(site.constant(number) for number in (0, 1, -1))
    above = b.select(compare(site, ">", x, zero), one, zero)
    if is_signed(site.kind) or is_float(site.kind):
        above = b.select(compare(site, "<", x, zero), minus, above)
    return b.select(b.fcmp_unordered("uno", x, x), x, above) if is_float(site.kind) else above


@primitive("isnan", test)
def _isnan(site: Site, x: ir.Value) -> ir.Value:
    if not is_float(site.kind):
        return ir.Constant(ir.IntType(1), 0)
    return site.builder.fcmp_unordered("uno", x, x)


@primitive("isinf", test)
def _isinf(site: Site, x: ir.Value) -> ir.Value:
    if not is_float(site.kind):
        return ir.Constant(ir.IntType(1), 0)
    return site.builder.fcmp_ordered("==", site.intrinsic("fabs", x), site.constant(float("inf")))


def _least_greatest(name: str, sign: str) -> None:
    def infer(x: types.Type, y: types.Type) -> types.Type | None:
        both = types.unliteral(x) == types.unliteral(y) == types.int64
        return types.int64 if both else None

    @primitive(name, infer)
    def emit(site: Site, x: ir.Value, y: ir.Value) -> ir.Value:
        return site.builder.select(site.builder.icmp_signed(sign, x, y), x, y)


_least_greatest("imin", "<")
_least_greatest("imax", ">")


def _vector_maths(name: str) -> Callable[..., ir.Value]:
    def emit(site: Site, *values: ir.Value) -> ir.Value:
        return FUNCTIONS[name].emit(site.builder, *values)

    return emit


for _name in FUNCTIONS:
    if _name != "pow":
        primitive(_name, _floats)(_vector_maths(_name))


def _not(kind: types.Type) -> types.Type | None:
    return types.boolean if is_scalar(types.unliteral(kind)) else None


@primitive("logical_not", _not)
def _logical_not(site: Site, x: ir.Value) -> ir.Value:
    zero = ir.Constant(in_register(site.kind), 0)
    if is_float(site.kind):
        return site.builder.fcmp_ordered("==", x, zero)
    return site.builder.icmp_unsigned("==", x, zero)


OPERATORS: dict[Callable[..., object], str] = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "div",
    operator.floordiv: "floor_div",
    operator.mod: "mod",
    operator.pow: "pow",
    operator.and_: "bit_and",
    operator.or_: "bit_or",
    operator.xor: "bit_xor",
    operator.lshift: "shift_left",
    operator.rshift: "shift_right",
    operator.lt: "lt",
    operator.le: "le",
    operator.gt: "gt",
    operator.ge: "ge",
    operator.eq: "eq",
    operator.ne: "ne",
    operator.neg: "neg",
    operator.invert: "invert",
    operator.not_: "logical_not",
    operator.getitem: "getitem",
    operator.setitem: "setitem",
    bool: "bool_",
    **{getattr(operator, f"i{sign}"): name for sign, name in {
        "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_div",
        "mod": "mod", "pow": "pow", "and": "bit_and", "or": "bit_or", "xor": "bit_xor",
        "lshift": "shift_left", "rshift": "shift_right",
    }.items()},
}
"""Python's operators and the primitives that they stand for."""

__all__ = ["OPERATORS", "PRIMITIVES", "compare"]
