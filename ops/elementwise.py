"""Elementwise ops: one statement each says the name, the meaning, the kernel expression
and the derivatives. Broadcasting is NumPy's, at run time; operands meet in one dtype
before the op, by explicit casts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, user_frames
from graphc.core.op import Host, Op, Scalar, apply, declare
from graphc.ops.convert import as_variable, need, operands

Result = Callable[[str], str]


def broadcast_shape(shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """The shape in which shapes meet; a size is known where NumPy's rule decides it."""
    rank = max(map(len, shapes), default=0)
    result: list[int | None] = []
    for k in range(rank):
        sizes = [s[len(s) - rank + k] for s in shapes if len(s) - rank + k >= 0]
        known = {n for n in sizes if n is not None and n != 1}
        if len(known) > 1:
            raise ShapeError(
                f"sizes {' and '.join(map(str, sorted(known)))} of axis {k} don't broadcast",
                "sizes must be equal or 1; .dimshuffle or .reshape adds axes of size 1",
            )
        if known:
            result.append(known.pop())
        else:
            result.append(None if None in sizes else 1)
    return tuple(result)


def _infer(result: Result, args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(result(args[-1].dtype), broadcast_shape([a.type.shape for a in args]))


def _meet(accepts: Callable[[str], bool], lift: Result, wanted: str) -> Any:
    """A `prepare` that brings all operands to one dtype."""

    def prepare(args: Sequence[Any], name: str) -> list[Variable]:
        found = operands(args)
        meeting = lift(dtypes.promote([a.dtype for a in found]))
        need(accepts(meeting), found, f"{name} is for {wanted}")
        return [cast(a, meeting) for a in found]

    return prepare


def same(dtype: str) -> str:
    return dtype


def boolean(dtype: str) -> str:
    return "bool"


def _not_bool(dtype: str) -> str:
    return "int8" if dtype == "bool" else dtype


_ANY = _meet(lambda d: True, same, "anything")
_NUMBERS = _meet(lambda d: d != "bool", same, "numbers, not bool")
_REAL = _meet(lambda d: d not in dtypes.COMPLEX, same, "real numbers")
_COUNTS = _meet(lambda d: d not in dtypes.COMPLEX, _not_bool, "real numbers")
_FLOAT = _meet(lambda d: True, dtypes.float_for, "floats")
REAL_FLOAT = _meet(lambda d: d not in dtypes.COMPLEX, dtypes.float_for, "real floats")
_DISCRETE = _meet(dtypes.is_discrete, same, "integers and bool")


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    template: str,
    *partials: Callable[..., Any],
    formula: str,
    prepare: Any = _ANY,
    result: Result = same,
    cost: float = 1.0,
    **more: Any,
) -> Op:
    """Declare an elementwise op.

    Parameters
    ----------
    name : str
        What it is called everywhere.
    numpy : callable
        Its meaning.
    template : str
        Its expression in kernels, with ``{0}``, ``{1}`` for the operands.
    partials : callables
        One per operand: ``(out, *args) -> derivative``; none for ops without gradient.
    formula : str
        For the docs.
    prepare, result : callable
        Which dtypes it takes, and what comes out.
    cost : float
        In additions, about.
    """

    def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
        return _infer(result, args, attrs)

    return declare(
        Op(name, infer, numpy, Scalar(template, cost), partials=partials, formula=formula,
           prepare=prepare, **more)
    )  # fmt: skip


def scipy_special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported at its first use."""

    def meaning(*args: Any) -> Any:
        import scipy.special

        found = getattr(scipy.special, name)(*args)
        return np.asarray(found).astype(np.result_type(*args), copy=False)

    return meaning


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    def meaning(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return meaning


# --- conversion -----------------------------------------------------------------------


def _cast_vjp(g: Variable, out: Variable, x: Variable, dtype: str) -> tuple[Variable | None]:
    if g.dtype in dtypes.COMPLEX and x.dtype not in dtypes.COMPLEX:
        g = apply(real_part, (g,), {})
    return (cast(g, x.dtype) if dtypes.is_continuous(out.dtype) else None,)


def _cast_jvp(tangents: Any, out: Variable, x: Variable, dtype: str) -> Variable | None:
    return cast(tangents[0], dtype) if dtypes.is_continuous(dtype) else None


def _cast_numpy(x: Any, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        return dtypes.convert(x, dtype, copy=True)


_cast = declare(
    Op(
        "cast",
        lambda args, attrs: args[0].type.with_dtype(attrs["dtype"]),
        _cast_numpy,
        Scalar("cast({0})", 1.0),
        vjp=_cast_vjp,
        jvp=_cast_jvp,
        formula="x as another dtype",
        facts={"widens": False},
    )
)


def cast(x: Any, dtype: Any) -> Variable:
    """`x` as `dtype`; nothing if it has that dtype already.

    Floats become integers by truncation. The gradient passes between continuous dtypes.
    """
    variable, name = as_variable(x), dtypes.canonical(dtype)
    if variable.dtype == name:
        return variable
    if variable.dtype in dtypes.COMPLEX and name not in dtypes.COMPLEX:
        need(False, [variable], f"cast to {name} would drop the imaginary part", "use T.real")
    if isinstance(variable, Constant) and variable.ndim == 0:
        return Constant(_cast_numpy(variable.data, name), name, where=variable.where)
    return apply(_cast, (variable,), {"dtype": name})


def _real_numpy(x: Any) -> Any:
    return np.array(np.real(x))


real_part = declare(
    Op(
        "real",
        lambda args, attrs: args[0].type.with_dtype(dtypes.real_of(args[0].dtype)),
        _real_numpy,
        Host(),
        vjp=lambda g, out, x: (cast(g, x.dtype),),
        jvp=lambda tangents, out, x: apply(real_part, (tangents[0],), {}),
        formula="the real part of z",
    )
)


copy_ = declare(
    Op(
        "copy",
        lambda args, attrs: args[0].type,
        lambda x, copy=0: np.array(x),
        Scalar("{0}", 1.0),
        vjp=lambda g, out, x, copy=0: (g,),
        jvp=lambda tangents, out, x, copy=0: tangents[0],
        formula="x in memory of its own",
        facts={"folds": False, "widens": False},
    )
)


# --- arithmetic -----------------------------------------------------------------------


def _subtract(a: Any, b: Any) -> Any:
    return np.subtract(a, b)


add = elementwise("add", np.add, "{0} + {1}", lambda y, a, b: 1, lambda y, a, b: 1,
                  formula="a + b", commutative=True)  # fmt: skip
sub = elementwise("sub", _subtract, "{0} - {1}", lambda y, a, b: 1, lambda y, a, b: -1,
                  formula="a - b", prepare=_NUMBERS)  # fmt: skip
mul = elementwise("mul", np.multiply, "{0} * {1}", lambda y, a, b: b, lambda y, a, b: a,
                  formula="a b", commutative=True)  # fmt: skip
true_div = elementwise(
    "true_div", _quiet(np.true_divide), "{0} / {1}",
    lambda y, a, b: 1 / b, lambda y, a, b: -y / b,
    formula="a / b; floatX for two integers", prepare=_FLOAT, cost=4,
)  # fmt: skip
int_div = elementwise(
    "int_div", _quiet(np.floor_divide), "floor_div({0}, {1})",
    lambda y, a, b: 0, lambda y, a, b: 0,
    formula="floor(a / b); 0 where integers are divided by 0", prepare=_COUNTS, cost=8,
)  # fmt: skip
mod = elementwise(
    "mod", _quiet(np.remainder), "mod({0}, {1})", lambda y, a, b: 1, lambda y, a, b: -(a // b),
    formula="a - b floor(a / b), with the sign of b", prepare=_COUNTS, cost=10,
)  # fmt: skip
identity = elementwise("identity", np.array, "{0}", lambda y, x: 1, formula="x, a copy of it",
                       facts={"widens": False})  # fmt: skip
neg = elementwise("neg", np.negative, "-{0}", lambda y, x: -1, formula="-x", prepare=_NUMBERS)
inv = elementwise(
    "inv", _quiet(np.reciprocal), "{T}(1) / {0}", lambda y, x: -(y * y),
    formula="1 / x", prepare=_FLOAT, cost=4,
)  # fmt: skip
abs_ = elementwise("abs", np.abs, "abs({0})", lambda y, x: sgn(x), formula="|x|", prepare=_REAL)
sgn = elementwise(
    "sgn", np.sign, "sgn({0})", lambda y, x: 0, formula="-1, 0 or 1", prepare=_NUMBERS, cost=2
)
sqr = elementwise("sqr", np.square, "{0} * {0}", lambda y, x: 2 * x, formula="x^2",
                  prepare=_meet(lambda d: True, _not_bool, "numbers"))  # fmt: skip
sqrt = elementwise(
    "sqrt", _quiet(np.sqrt), "sqrt({0})", lambda y, x: 0.5 / y,
    formula="x^(1/2)", prepare=_FLOAT, cost=5,
)  # fmt: skip
rsqrt = elementwise(
    "rsqrt", _quiet(lambda x: (1 / np.sqrt(x)).astype(x.dtype)), "rsqrt({0})",
    lambda y, x: -0.5 * y / x, formula="x^(-1/2)", prepare=_FLOAT, cost=8,
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
    "pow", _quiet(_power), "pow({0}, {1})",
    lambda y, a, b: b * pow_(a, b - 1),
    lambda y, a, b: _by_exponent(y, a),
    formula="a^b", prepare=_NUMBERS, cost=25,
)  # fmt: skip


def zeros_of(x: Variable) -> Variable:
    """A zero of x's dtype, to broadcast."""
    return Constant(0, x.dtype)


# --- exponentials and logarithms ------------------------------------------------------


def float_op(
    name: str, numpy: Any, partial: Any, formula: str, cost: float = 10, prepare: Any = REAL_FLOAT
) -> Op:
    """Declare a function of one real float whose kernel expression is ``name(x)``."""
    return elementwise(name, _quiet(numpy), name + "({0})", partial, formula=formula,
                       prepare=prepare, cost=cost)  # fmt: skip


def analytic(name: str, numpy: Any, partial: Any, formula: str, cost: float = 10) -> Op:
    """Declare a `float_op` that complex numbers have too, with NumPy's branch cuts."""
    return float_op(name, numpy, partial, formula, cost, _FLOAT)


LN2, LN10 = float(np.log(2)), float(np.log(10))

exp = elementwise("exp", _quiet(np.exp), "exp({0})", lambda y, x: y, formula="e^x",
                  prepare=_FLOAT, cost=10)  # fmt: skip
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
    "arctan2", _quiet(np.arctan2), "arctan2({0}, {1})",
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
                      prepare=_REAL, cost=2, commutative=True, facts={"idempotent": True},
                      **_chosen(lambda a, b: ge(a, b)))  # fmt: skip
minimum = elementwise("minimum", np.minimum, "minimum({0}, {1})", formula="the smaller of a and b",
                      prepare=_REAL, cost=2, commutative=True, facts={"idempotent": True},
                      **_chosen(lambda a, b: le(a, b)))  # fmt: skip


def _relu_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    return (switch(gt(out, 0), g, zeros_of(g)),)


def _relu_jvp(tangents: Any, out: Variable, x: Variable) -> Variable:
    return switch(gt(out, 0), tangents[0], zeros_of(out))


relu_ = elementwise(
    "relu", lambda x: np.maximum(x, x.dtype.type(0)), "maximum({0}, {T}(0))",
    formula="x where x > 0, else 0", prepare=_REAL, vjp=_relu_vjp, jvp=_relu_jvp, cost=2,
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
                   prepare=_DISCRETE, commutative=True)  # fmt: skip
or_ = elementwise("or_", np.bitwise_or, "{0} | {1}", formula="a or b, bit by bit",
                  prepare=_DISCRETE, commutative=True)  # fmt: skip
xor = elementwise("xor", np.bitwise_xor, "{0} ^ {1}", formula="a exclusive-or b, bit by bit",
                  prepare=_DISCRETE, commutative=True)  # fmt: skip
invert = elementwise("invert", np.invert, "invert({0})", formula="not x, bit by bit",
                     prepare=_DISCRETE)  # fmt: skip
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
