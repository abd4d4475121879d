"""Elementwise ops: one statement each says the name, the meaning, the kernel expression
and the derivatives. Conversions and what these statements consist of are in `casting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, Variable, user_frames
from graphc.core.op import Op
from graphc.ops.casting import (
    COUNTS,
    DISCRETE,
    FLOAT,
    NUMBERS,
    REAL,
    REAL_FLOAT,
    analytic,
    boolean,
    elementwise,
    meet,
    not_bool,
    quiet,
    scipy_special,
)
from graphc.ops.casting import broadcast_shape as broadcast_shape
from graphc.ops.casting import cast as cast
from graphc.ops.casting import copy_ as copy_
from graphc.ops.casting import float_op as float_op
from graphc.ops.casting import real_part as real_part
from graphc.ops.convert import as_variable, operands

# --- arithmetic -----------------------------------------------------------------------


def _subtract(a: Any, b: Any) -> Any:
    return np.subtract(a, b)


add = elementwise("add", np.add, "{0} + {1}", lambda y, a, b: 1, lambda y, a, b: 1,
                  formula="a + b", commutative=True)  # fmt: skip
sub = elementwise("sub", _subtract, "{0} - {1}", lambda y, a, b: 1, lambda y, a, b: -1,
                  formula="a - b", prepare=NUMBERS)  # fmt: skip
mul = elementwise("mul", np.multiply, "{0} * {1}", lambda y, a, b: b, lambda y, a, b: a,
                  formula="a b", commutative=True)  # fmt: skip
true_div = elementwise(
    "true_div", quiet(np.true_divide), "{0} / {1}",
    lambda y, a, b: 1 / b, lambda y, a, b: -y / b,
    formula="a / b; floatX for two integers", prepare=FLOAT, cost=4,
)  # fmt: skip
int_div = elementwise(
    "int_div", quiet(np.floor_divide), "floor_div({0}, {1})",
    lambda y, a, b: 0, lambda y, a, b: 0,
    formula="floor(a / b); 0 where integers are divided by 0", prepare=COUNTS, cost=8,
)  # fmt: skip
mod = elementwise(
    "mod", quiet(np.remainder), "mod({0}, {1})", lambda y, a, b: 1, lambda y, a, b: -(a // b),
    formula="a - b floor(a / b), with the sign of b", prepare=COUNTS, cost=10,
)  # fmt: skip
identity = elementwise("identity", np.array, "{0}", lambda y, x: 1, formula="x, a copy of it",
                       facts={"widens": False})  # fmt: skip
neg = elementwise("neg", np.negative, "-{0}", lambda y, x: -1, formula="-x", prepare=NUMBERS)
inv = elementwise(
    "inv", quiet(np.reciprocal), "{T}(1) / {0}", lambda y, x: -(y * y),
    formula="1 / x", prepare=FLOAT, cost=4,
)  # fmt: skip
abs_ = elementwise("abs", np.abs, "abs({0})", lambda y, x: sgn(x), formula="|x|", prepare=REAL)
sgn = elementwise(
    "sgn", np.sign, "sgn({0})", lambda y, x: 0, formula="-1, 0 or 1", prepare=NUMBERS, cost=2
)
sqr = elementwise("sqr", np.square, "{0} * {0}", lambda y, x: 2 * x, formula="x^2",
                  prepare=meet(lambda d: True, not_bool, "numbers"))  # fmt: skip
sqrt = elementwise(
    "sqrt", quiet(np.sqrt), "sqrt({0})", lambda y, x: 0.5 / y,
    formula="x^(1/2)", prepare=FLOAT, cost=5,
)  # fmt: skip
rsqrt = elementwise(
    "rsqrt", quiet(lambda x: (1 / np.sqrt(x)).astype(x.dtype)), "rsqrt({0})",
    lambda y, x: -0.5 * y / x, formula="x^(-1/2)", prepare=FLOAT, cost=8,
)  # fmt: skip


def _power(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    if dtypes.is_integer(a.dtype.name) and (b < 0).any():
        base = np.where(a == 0, 1, a)  # NumPy refuses; the reciprocal truncated is the meaning
        small = np.where(np.abs(base) == 1, base ** (b % 2), 0)
        return np.where(b < 0, np.where(a == 0, 0, small), a ** np.maximum(b, 0)).astype(a.dtype)
    return np.power(a, b)


def _by_exponent(y: Variable, a: Variable) -> Variable:
    """The derivative of ``y = a^b`` by b: 0 where a real `a` has no logarithm, or any is 0."""
    grown = mul(log(a), y)
    if a.dtype in dtypes.COMPLEX:
        return switch(neq(a, 0), grown, zeros_of(y))
    return switch(gt(a, 0), grown, switch(isnan(a), a, zeros_of(y)))


pow_ = elementwise(
    "pow", quiet(_power), "pow({0}, {1})",
    lambda y, a, b: b * pow_(a, b - 1),
    lambda y, a, b: _by_exponent(y, a),
    formula="a^b", prepare=NUMBERS, cost=25,
)  # fmt: skip


def zeros_of(x: Variable) -> Variable:
    """A zero of x's dtype, to broadcast."""
    return Constant(0, x.dtype)


# --- exponentials and logarithms ------------------------------------------------------


LN2, LN10 = float(np.log(2)), float(np.log(10))

exp = elementwise("exp", quiet(np.exp), "exp({0})", lambda y, x: y, formula="e^x",
                  prepare=FLOAT, cost=10)  # fmt: skip
exp2 = analytic("exp2", np.exp2, lambda y, x: LN2 * y, "2^x")
expm1 = analytic("expm1", np.expm1, lambda y, x: y + 1, "e^x - 1")
log = analytic("log", np.log, lambda y, x: 1 / x, "ln x")
log2 = analytic("log2", np.log2, lambda y, x: (1 / LN2) / x, "ln x / ln 2")
log10 = analytic("log10", np.log10, lambda y, x: (1 / LN10) / x, "ln x / ln 10")
log1p = analytic("log1p", np.log1p, lambda y, x: 1 / (1 + x), "ln(1 + x)")
# The derivative is not written y (1 - y): the stable form of 1 - sigmoid(x) is another sigmoid.
sigmoid = float_op("sigmoid", scipy_special("expit"), lambda y, x: y - y * y, "1 / (1 + e^-x)")
softplus = float_op(
    "softplus", lambda x: np.logaddexp(x, x.dtype.type(0)), lambda y, x: sigmoid(x), "ln(1 + e^x)"
)
erf = float_op(
    "erf", scipy_special("erf"), lambda y, x: 2 / np.sqrt(np.pi) * exp(-x * x),
    "2 / sqrt(pi) * integral of e^(-t^2) from 0 to x", 15,
)  # fmt: skip
erfc = float_op(
    "erfc", scipy_special("erfc"), lambda y, x: -2 / np.sqrt(np.pi) * exp(-x * x), "1 - erf x", 15
)

# --- trigonometric and hyperbolic -----------------------------------------------------

sin = analytic("sin", np.sin, lambda y, x: cos(x), "sin x", 15)
cos = analytic("cos", np.cos, lambda y, x: -sin(x), "cos x", 15)
tan = analytic("tan", np.tan, lambda y, x: 1 + y * y, "tan x", 20)
arcsin = analytic("arcsin", np.arcsin, lambda y, x: 1 / sqrt(1 - x * x), "inverse of sin", 15)
arccos = analytic("arccos", np.arccos, lambda y, x: -1 / sqrt(1 - x * x), "inverse of cos", 15)
arctan = analytic("arctan", np.arctan, lambda y, x: 1 / (1 + x * x), "inverse of tan", 15)
sinh = analytic("sinh", np.sinh, lambda y, x: cosh(x), "(e^x - e^-x) / 2", 15)
cosh = analytic("cosh", np.cosh, lambda y, x: sinh(x), "(e^x + e^-x) / 2", 15)
tanh = analytic("tanh", np.tanh, lambda y, x: 1 - y * y, "sinh x / cosh x")
arcsinh = analytic("arcsinh", np.arcsinh, lambda y, x: 1 / sqrt(x * x + 1), "inverse of sinh", 15)
arccosh = analytic(
    "arccosh", np.arccosh, lambda y, x: 1 / (sqrt(x - 1) * sqrt(x + 1)), "inverse of cosh", 15
)
arctanh = analytic("arctanh", np.arctanh, lambda y, x: 1 / (1 - x * x), "inverse of tanh", 15)
arctan2 = elementwise(
    "arctan2", quiet(np.arctan2), "arctan2({0}, {1})",
    lambda y, a, b: b / (a * a + b * b), lambda y, a, b: -a / (a * a + b * b),
    formula="angle of the point (b, a)", prepare=REAL_FLOAT, cost=20,
)  # fmt: skip

# --- comparison, choice and logic -----------------------------------------------------


def _comparison(name: str, numpy: Any, sign: str, commutative: bool = False) -> Op:
    return elementwise(name, numpy, f"{{0}} {sign} {{1}}", formula=f"a {sign} b",
                       result=boolean, commutative=commutative)  # fmt: skip


eq = _comparison("eq", np.equal, "==", True)
neq = _comparison("neq", np.not_equal, "!=", True)
lt = _comparison("lt", np.less, "<")
le = _comparison("le", np.less_equal, "<=")
gt = _comparison("gt", np.greater, ">")
ge = _comparison("ge", np.greater_equal, ">=")


def _chosen(pick: Callable[..., Variable]) -> dict[str, Any]:
    """vjp and jvp of an op that hands on its first operand where `pick`, else its second."""

    def vjp(g: Variable, out: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        first, zero = pick(a, b), zeros_of(g)
        return switch(first, g, zero), switch(first, zero, g)

    def jvp(tangents: Any, out: Variable, a: Variable, b: Variable) -> Variable:
        ta, tb = (zeros_of(out) if t is None else t for t in tangents)
        return switch(pick(a, b), ta, tb)

    return {"vjp": vjp, "jvp": jvp}


maximum = elementwise("maximum", np.maximum, "maximum({0}, {1})", formula="the larger of a and b",
                      prepare=REAL, cost=2, commutative=True, facts={"idempotent": True},
                      **_chosen(lambda a, b: ge(a, b)))  # fmt: skip
minimum = elementwise("minimum", np.minimum, "minimum({0}, {1})", formula="the smaller of a and b",
                      prepare=REAL, cost=2, commutative=True, facts={"idempotent": True},
                      **_chosen(lambda a, b: le(a, b)))  # fmt: skip


def _relu_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    return (switch(gt(out, 0), g, zeros_of(g)),)


def _relu_jvp(tangents: Any, out: Variable, x: Variable) -> Variable:
    return switch(gt(out, 0), tangents[0], zeros_of(out))


relu_ = elementwise(
    "relu", lambda x: np.maximum(x, x.dtype.type(0)), "maximum({0}, {T}(0))",
    formula="x where x > 0, else 0", prepare=REAL, vjp=_relu_vjp, jvp=_relu_jvp, cost=2,
)  # fmt: skip


def _prepare_switch(args: Sequence[Any], name: str) -> list[Variable]:
    if len(args) != 3:
        raise ArgumentError(f"switch takes 3 operands, not {len(args)}", at=user_frames())
    condition = as_variable(args[0])
    if condition.dtype != "bool":
        condition = neq(condition, 0)
    chosen = operands(args[1:])
    meeting = dtypes.promote([a.dtype for a in chosen])
    return [condition, *(cast(a, meeting) for a in chosen)]


def _switch_vjp(
    g: Variable, out: Variable, c: Variable, a: Variable, b: Variable
) -> tuple[None, Variable, Variable]:
    return None, switch(c, g, zeros_of(g)), switch(c, zeros_of(g), g)


def _switch_jvp(tangents: Any, out: Variable, c: Variable, a: Variable, b: Variable) -> Variable:
    ta, tb = (zeros_of(out) if t is None else t for t in tangents[1:])
    return switch(c, ta, tb)


switch = elementwise(
    "switch", np.where, "select({0}, {1}, {2})", formula="a where c holds, else b",
    prepare=_prepare_switch, vjp=_switch_vjp, jvp=_switch_jvp, facts={"widens": False},
)  # fmt: skip

and_ = elementwise("and_", np.bitwise_and, "{0} & {1}", formula="a and b, bit by bit",
                   prepare=DISCRETE, commutative=True)  # fmt: skip
or_ = elementwise("or_", np.bitwise_or, "{0} | {1}", formula="a or b, bit by bit",
                  prepare=DISCRETE, commutative=True)  # fmt: skip
xor = elementwise("xor", np.bitwise_xor, "{0} ^ {1}", formula="a exclusive-or b, bit by bit",
                  prepare=DISCRETE, commutative=True)  # fmt: skip
invert = elementwise("invert", np.invert, "invert({0})", formula="not x, bit by bit",
                     prepare=DISCRETE)  # fmt: skip
isnan = elementwise("isnan", np.isnan, "isnan({0})", formula="x is not a number",
                    prepare=REAL_FLOAT, result=boolean)  # fmt: skip
isinf = elementwise("isinf", np.isinf, "isinf({0})", formula="x is infinite",
                    prepare=REAL_FLOAT, result=boolean)  # fmt: skip

# --- rounding -------------------------------------------------------------------------


def _half_away(x: Any) -> Any:
    return np.trunc(x + np.copysign(np.nextafter(x.dtype.type(0.5), x.dtype.type(0)), x))


def _rounding(name: str, numpy: Any, formula: str) -> Op:
    return elementwise(name, numpy, name + "({0})", lambda y, x: 0, formula=formula,
                       prepare=REAL_FLOAT)  # fmt: skip


floor = _rounding("floor", np.floor, "largest integer <= x")
ceil = _rounding("ceil", np.ceil, "smallest integer >= x")
trunc = _rounding("trunc", np.trunc, "x without its fraction")
rint = _rounding("rint", np.rint, "nearest integer, half to even")
round_half_away = _rounding("round_half_away", _half_away, "nearest integer, half away from 0")


def round(x: Any, mode: str = "half_to_even") -> Variable:
    """The nearest integer; `mode` is ``half_to_even`` or ``half_away_from_zero``."""
    modes = {"half_to_even": rint, "half_away_from_zero": round_half_away}
    if mode not in modes:
        raise ArgumentError(f"round: mode {mode!r} is not one of {list(modes)}", at=user_frames())
    return modes[mode](x)


def clip(x: Any, a_min: Any, a_max: Any) -> Variable:
    """`x` kept between two bounds: ``minimum(maximum(x, a_min), a_max)``."""
    return minimum(maximum(x, a_min), a_max)


def isfinite(x: Any) -> Variable:
    """Whether x is neither infinite nor NaN."""
    return invert(or_(isnan(x), isinf(x)))
