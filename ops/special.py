"""Special functions, and elementwise functions made for stability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, TensorType, Variable, user_frames
from graphc.core.op import Host, Op, apply, declare
from graphc.ops.convert import as_variable, need, operands
from graphc.ops.elementwise import (
    REAL_FLOAT,
    abs_,
    and_,
    broadcast_shape,
    cast,
    elementwise,
    eq,
    exp,
    float_op,
    invert,
    isinf,
    isnan,
    le,
    log,
    mul,
    neq,
    or_,
    scipy_special,
    sigmoid,
    sqr,
    sub,
    switch,
)
from graphc.ops.reduce import all as all_

HALF_SQRT_PI = float(np.sqrt(np.pi) / 2)

# --- the gamma function and its kin ---------------------------------------------------


def _polygamma_numpy(x: Any, n: int) -> Any:
    from scipy.special import polygamma as meaning

    with np.errstate(all="ignore"):
        return np.asarray(meaning(n, x)).astype(x.dtype)


_polygamma = declare(
    Op(
        "polygamma",
        lambda args, attrs: args[0].type,
        _polygamma_numpy,
        Host(),
        vjp=lambda g, out, x, n: (mul(g, polygamma(n + 1, x)),),
        formula="the n-th derivative of psi x",
    )
)


def polygamma(n: int, x: Any) -> Variable:
    """The n-th derivative of `psi`, for n = 0, 1, ...

    Examples
    --------
    >>> import graphc.tensor as T
    >>> round(float(T.polygamma(1, T.constant(1.0)).eval()), 6)
    1.644934
    """
    if not isinstance(n, int) or n < 0:
        raise ArgumentError(f"polygamma: the order is 0, 1, ..., not {n!r}", at=user_frames())
    if n == 0:
        return psi(x)
    variable = as_variable(x)
    need(variable.dtype not in dtypes.COMPLEX, [variable], "polygamma is for real numbers")
    return apply(_polygamma, (cast(variable, dtypes.float_for(variable.dtype)),), {"n": n})


def tri_gamma(x: Any) -> Variable:
    """The derivative of `psi`: ``polygamma(1, x)``."""
    return polygamma(1, x)


psi = elementwise(
    "psi", scipy_special("psi"), "digamma({0})", lambda y, x: polygamma(1, x),
    formula="derivative of ln gamma(x)", prepare=REAL_FLOAT, cost=40,
)  # fmt: skip


def _gammaln_numpy(x: Any) -> Any:
    from scipy.special import gammaln as meaning

    with np.errstate(all="ignore"):  # SciPy's has no digits among subnormal numbers
        near = np.where(np.abs(x) < np.finfo(x.dtype).tiny, -np.log(np.abs(x)), meaning(x))
        return np.where(np.isinf(x), np.abs(x), near).astype(x.dtype)


gammaln = float_op("gammaln", _gammaln_numpy, lambda y, x: psi(x), "ln |gamma(x)|", 40)
gamma = float_op(
    "gamma", scipy_special("gamma"), lambda y, x: y * psi(x),
    "integral of t^(x - 1) e^-t over t > 0", 40,
)  # fmt: skip
erfinv = float_op(
    "erfinv", scipy_special("erfinv"), lambda y, x: HALF_SQRT_PI * exp(y * y), "inverse of erf", 30
)
erfcinv = float_op(
    "erfcinv", scipy_special("erfcinv"), lambda y, x: -HALF_SQRT_PI * exp(y * y),
    "inverse of erfc", 30,
)  # fmt: skip

# --- products with a logarithm --------------------------------------------------------


def _xlogy_numpy(x: Any, y: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.where(x == 0, x.dtype.type(0), x * np.log(y))


xlogx = elementwise(
    "xlogx", lambda x: _xlogy_numpy(x, x), "select({0} == {T}(0), {T}(0), {0} * log({0}))",
    lambda y, x: log(x) + 1, formula="x ln x, and 0 where x is 0", prepare=REAL_FLOAT,
    cost=12,
)  # fmt: skip
xlogy0 = elementwise(
    "xlogy0", _xlogy_numpy, "select({0} == {T}(0), {T}(0), {0} * log({1}))",
    lambda out, x, y: log(y), lambda out, x, y: x / y,
    formula="x ln y, and 0 where x is 0", prepare=REAL_FLOAT, cost=12,
)  # fmt: skip


def _logaddexp_numpy(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.logaddexp(a, b)


logaddexp = elementwise(
    "logaddexp", _logaddexp_numpy,
    "select({0} == {1}, {0} + {T}(0.6931471805599453), "
    "maximum({0}, {1}) + log1p(exp(-abs({0} - {1}))))",
    lambda y, a, b: sigmoid(sub(a, b)), lambda y, a, b: sigmoid(sub(b, a)),
    formula="ln(e^a + e^b)", prepare=REAL_FLOAT, cost=25, commutative=True,
)  # fmt: skip


def _hypot_numpy(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.hypot(a, b)


hypot = elementwise(
    "hypot", _hypot_numpy,
    "select(isinf({0}), abs({0}), select(isinf({1}), abs({1}), "
    "select(minimum(abs({0}), abs({1})) == {T}(0), maximum(abs({0}), abs({1})), "
    "maximum(abs({0}), abs({1})) * sqrt({T}(1) + "
    "(minimum(abs({0}), abs({1})) / maximum(abs({0}), abs({1})))"
    " * (minimum(abs({0}), abs({1})) / maximum(abs({0}), abs({1})))))))",
    lambda y, a, b: a / y, lambda y, a, b: b / y,
    formula="(a^2 + b^2)^(1/2), without overflow", prepare=REAL_FLOAT, cost=20,
    commutative=True,
)  # fmt: skip

# --- bits -----------------------------------------------------------------------------


def _shift_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(args[0].dtype, broadcast_shape([a.type.shape for a in args]))


def _integers(args: Sequence[Any], name: str) -> list[Variable]:
    found = operands(args)
    need(all(dtypes.is_discrete(a.dtype) for a in found), found, f"{name} is for integers")
    meeting = dtypes.promote([a.dtype for a in found])
    return [cast(a, "int8" if meeting == "bool" else meeting) for a in found]


def _shift(name: str, numpy: Any, formula: str) -> Op:
    return declare(Op(name, _shift_infer, numpy, Host(), formula=formula, prepare=_integers))


left_shift = _shift("left_shift", np.left_shift, "a 2^b; 0 where b is no bit of a")
right_shift = _shift("right_shift", np.right_shift, "floor(a / 2^b); the sign where b is too large")

# --- made of others -------------------------------------------------------------------


def _float(x: Any) -> Variable:
    variable = as_variable(x)
    return cast(variable, dtypes.float_for(variable.dtype))


def deg2rad(x: Any) -> Variable:
    """Degrees as radians: ``x pi / 180``."""
    return mul(_float(x), float(np.pi / 180))


def rad2deg(x: Any) -> Variable:
    """Radians as degrees: ``x 180 / pi``."""
    return mul(_float(x), float(180 / np.pi))


def cube(x: Any) -> Variable:
    """``x^3``."""
    return mul(sqr(x), x)


def _truth(x: Any) -> Variable:
    variable = as_variable(x)
    return variable if variable.dtype == "bool" else neq(variable, 0)


def logical_and(a: Any, b: Any) -> Variable:
    """Whether neither is 0, elementwise."""
    return and_(_truth(a), _truth(b))


def logical_or(a: Any, b: Any) -> Variable:
    """Whether either is not 0, elementwise."""
    return or_(_truth(a), _truth(b))


def logical_not(x: Any) -> Variable:
    """Whether `x` is 0, elementwise."""
    return invert(_truth(x))


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether ``|a - b| <= atol + rtol |b|``, elementwise; infinities are close to themselves.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.isclose(T.constant([1.0, 2.0]), T.constant([1.0, 2.1])).eval()
    array([ True, False])
    """
    x, y = (_float(v) for v in operands([a, b]))
    near = le(abs_(sub(x, y)), mul(rtol, abs_(y)) + atol)  # type: ignore[operator]
    close = switch(or_(isinf(x), isinf(y)), eq(x, y), near)
    return or_(close, and_(isnan(x), isnan(y))) if equal_nan else close


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether all elements are close; see `isclose`."""
    return all_(isclose(a, b, rtol, atol, equal_nan))
