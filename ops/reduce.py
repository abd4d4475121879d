"""Reductions: sums, products, extremes and what is made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, user_frames
from graphc.core.op import Expand, Op, Reduction, apply, declare
from graphc.ops.broadcast import broadcast_like
from graphc.ops.complexes import conj
from graphc.ops.convert import as_variable, need, normal_axis
from graphc.ops.elementwise import abs_, cast, eq, exp, log, neq, sqr, sqrt, switch, zeros_of
from graphc.ops.running import along, pull_running_product, running_product, shifted
from graphc.ops.shape import dim, expand_axes

Axes = tuple[int, ...]


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    (x,), axes = args, attrs["axes"]
    if attrs.get("nonempty"):
        for k in axes:
            if x.type.shape[k] == 0:
                raise ShapeError(f"axis {k} is empty, and this reduction has no neutral element")
    kept = tuple(n for k, n in enumerate(x.type.shape) if k not in axes)
    return TensorType(attrs.get("dtype", x.dtype), kept)


def _back(variable: Variable, x: Variable, axes: Axes) -> Variable:
    """A reduced variable, or its gradient, in the shape of what was reduced."""
    return broadcast_like(expand_axes(variable, axes), x)


def _sum_vjp(g: Variable, out: Variable, x: Variable, axes: Axes) -> tuple[Variable]:
    return (_back(g, x, axes),)


def _sum_numpy(x: Any, axes: Axes) -> Any:
    return np.sum(x, axis=axes, dtype=x.dtype)


_sum = declare(
    Op(
        "sum", _infer, _sum_numpy, Reduction("sum"), vjp=_sum_vjp,
        jvp=lambda tangents, out, x, axes: apply(_sum, (tangents[0],), {"axes": axes}),
        formula="sum of x over axes",
    )
)  # fmt: skip


def _others_expand(x: Variable, axes: Axes) -> Variable:
    """The product over x, or where x is the only zero, that of the rest: in fused loops."""
    zero = eq(x, 0)
    safe = switch(zero, Constant(1, x.dtype), x)
    count = _back(apply(_sum, (cast(zero, "int64"),), {"axes": axes}), x, axes)
    rest = _back(apply(_prod, (safe,), {"axes": axes}), x, axes)
    none = switch(eq(count, 0), rest / safe, zeros_of(x))  # type: ignore[operator]
    return switch(zero & eq(count, 1), rest, none)  # type: ignore[operator]


def _others_numpy(x: Any, axes: Axes) -> Any:
    def outer(a: Any) -> Any:
        found = np.ones_like(a)
        np.cumprod(a[..., :-1], -1, out=found[..., 1:])
        return found

    with np.errstate(all="ignore"):
        return along(outer, [x], axes, False) * along(outer, [x], axes, True)


def _others_vjp(g: Variable, out: Variable, x: Variable, axes: Axes) -> tuple[Variable]:
    """Of what lies before an element times what lies behind it."""
    found = []
    for reverse in (False, True):
        product = running_product(x, axes, reverse)
        rest = shifted(running_product(x, axes, not reverse), axes, 1, not reverse)
        pulled = shifted(g * conj(rest), axes, 0, not reverse)  # type: ignore[operator]
        found.append(pull_running_product(pulled, product, x, axes, reverse))
    return (found[0] + found[1],)  # type: ignore[operator]


_others = declare(
    Op(
        "prod_of_others", lambda args, attrs: args[0].type, _others_numpy, Expand(_others_expand),
        vjp=_others_vjp, formula="product over axes of all x but this one",
    )
)  # fmt: skip


def _prod_vjp(g: Variable, out: Variable, x: Variable, axes: Axes) -> tuple[Variable]:
    others = conj(apply(_others, (x,), {"axes": axes}))
    return (_back(g, x, axes) * others,)  # type: ignore[operator]


def _prod_jvp(tangents: Any, out: Variable, x: Variable, axes: Axes) -> Variable:
    others = apply(_others, (x,), {"axes": axes})
    return apply(_sum, (others * tangents[0],), {"axes": axes})  # type: ignore[operator]


_prod = declare(
    Op(
        "prod", _infer, lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype), Reduction("prod"),
        vjp=_prod_vjp, jvp=_prod_jvp, formula="product of x over axes",
    )
)  # fmt: skip


def _extreme_vjp(g: Variable, out: Variable, x: Variable, **attrs: Any) -> tuple[Variable]:
    axes = attrs["axes"]
    return (switch(eq(x, _back(out, x, axes)), _back(g, x, axes), zeros_of(g)),)


def _extreme(name: str, numpy: Callable[..., Any], formula: str) -> Op:
    return declare(
        Op(
            name, _infer, lambda x, axes, nonempty: numpy(x, axis=axes), Reduction(name),
            vjp=_extreme_vjp, formula=formula,
        )
    )  # fmt: skip


_max = _extreme("max", np.max, "largest of x over axes; NaN if there is one")
_min = _extreme("min", np.min, "smallest of x over axes; NaN if there is one")


def _position(name: str, numpy: Callable[..., Any], formula: str) -> Op:
    def meaning(x: Any, axes: Axes, dtype: str, nonempty: bool) -> Any:
        kept = [k for k in range(x.ndim) if k not in axes]
        moved = np.transpose(x, (*kept, *axes))
        joined = int(np.prod([x.shape[k] for k in axes], dtype=int))
        return numpy(moved.reshape(*(x.shape[k] for k in kept), joined), axis=-1)

    return declare(Op(name, _infer, meaning, Reduction(name), formula=formula))


_argmax = _position("argmax", np.argmax, "position of the first largest of x over axes")
_argmin = _position("argmin", np.argmin, "position of the first smallest of x over axes")
_all = declare(
    Op("all", _infer, lambda x, axes: np.all(x, axis=axes), Reduction("all"),
       formula="whether x holds everywhere along axes")
)  # fmt: skip
_any = declare(
    Op("any", _infer, lambda x, axes: np.any(x, axis=axes), Reduction("any"),
       formula="whether x holds anywhere along axes")
)  # fmt: skip


def normal_axes(axis: Any, ndim: int, what: str) -> Axes:
    """An axis, several, or None for all, as a sorted tuple counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, list | tuple) else (axis,)
    found = tuple(sorted(normal_axis(a, ndim, what) for a in axes))
    if len(set(found)) != len(found):
        raise ArgumentError(f"{what}: an axis is given twice in {axis}", at=user_frames())
    return found


def _reduce(op: Op, x: Any, axis: Any, keepdims: bool, **attrs: Any) -> Variable:
    variable = as_variable(x)
    axes = normal_axes(axis, variable.ndim, op.name)
    result = apply(op, (variable,), {"axes": axes, **attrs})
    return expand_axes(result, axes) if keepdims else result


def _add_up(op: Op, x: Any, axis: Any, dtype: Any, keepdims: bool, acc_dtype: Any) -> Variable:
    variable = as_variable(x)
    out = dtypes.canonical(dtype) if dtype is not None else dtypes.sum_dtype(variable.dtype)
    inner = dtypes.canonical(acc_dtype) if acc_dtype is not None else out
    if dtypes.is_continuous(variable.dtype):
        need(dtypes.is_continuous(inner), [variable], f"{op.name} in {inner} would lose fractions")
    return cast(_reduce(op, cast(variable, inner), axis, keepdims), out)


def sum(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """The sum over `axis` (all axes by default).

    float32 adds up in float64 internally; small integers and bool give int64.
    """
    return _add_up(_sum, x, axis, dtype, keepdims, acc_dtype)


def prod(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """The product over `axis` (all axes by default). Zeros have their right gradients."""
    return _add_up(_prod, x, axis, dtype, keepdims, acc_dtype)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The largest element over `axis`; NaN if there is one. All ties get the gradient."""
    return _reduce(_max, x, axis, keepdims, nonempty=True)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The smallest element over `axis`; NaN if there is one. All ties get the gradient."""
    return _reduce(_min, x, axis, keepdims, nonempty=True)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The position of the first largest element, int64; over all axes in C order."""
    return _reduce(_argmax, x, axis, keepdims, dtype="int64", nonempty=True)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The position of the first smallest element, int64; over all axes in C order."""
    return _reduce(_argmin, x, axis, keepdims, dtype="int64", nonempty=True)


def _truth(x: Any) -> Variable:
    variable = as_variable(x)
    return variable if variable.dtype == "bool" else neq(variable, 0)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether all elements over `axis` are true (not zero)."""
    return _reduce(_all, _truth(x), axis, keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether any element over `axis` is true (not zero)."""
    return _reduce(_any, _truth(x), axis, keepdims)


def count(x: Variable, axes: Axes, dtype: str) -> Variable:
    """How many elements a reduction of `x` over `axes` combines."""
    total: Variable = Constant(1, "int64")
    for k in axes:
        total = total * dim(x, k)  # type: ignore[operator]
    return cast(total, dtype)


def mean(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """The arithmetic mean over `axis`; floatX for integers and bool."""
    variable = as_variable(x)
    axes = normal_axes(axis, variable.ndim, "mean")
    out = dtypes.canonical(dtype) if dtype is not None else dtypes.float_for(variable.dtype)
    inner = out
    if acc_dtype is not None:
        inner = dtypes.float_for(dtypes.canonical(acc_dtype))
    inner = dtypes.wide(inner)
    total = _add_up(_sum, cast(variable, inner), axes, None, keepdims, None)
    return cast(total / count(variable, axes, inner), out)  # type: ignore[operator]


def in_float32(function: Callable[..., Variable]) -> Callable[..., Variable]:
    """Have all of a composed op of float16 or bfloat16 computed in float32, and rounded once."""

    @functools.wraps(function)
    def composed(x: Any, *more: Any, **options: Any) -> Variable:
        variable = as_variable(x)
        if not dtypes.is_half(variable.dtype):
            return function(variable, *more, **options)
        return cast(function(cast(variable, "float32"), *more, **options), variable.dtype)

    return composed


@in_float32
def var(
    x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
) -> Variable:
    """The mean of squared deviations over `axis`, divided by ``n - ddof``."""
    variable = as_variable(x)
    variable = cast(variable, dtypes.float_for(variable.dtype))
    axes = normal_axes(axis, variable.ndim, "var")
    centred = variable - mean(variable, axes, keepdims=True)  # type: ignore[operator]
    total = sum(sqr(centred), axes, keepdims=keepdims)
    return total / (count(variable, axes, variable.dtype) - ddof)  # type: ignore[operator]


@in_float32
def std(
    x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
) -> Variable:
    """The square root of `var`."""
    return sqrt(var(x, axis, ddof, keepdims))


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The largest element over `axis` minus the smallest.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.ptp(T.constant([[1, 5], [2, 9]]), axis=1).eval()
    array([4, 7])
    """
    return max(x, axis, keepdims) - min(x, axis, keepdims)  # type: ignore[operator, no-any-return]


@in_float32
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """``log(sum(exp(x)))`` without overflow."""
    variable = as_variable(x)
    variable = cast(variable, dtypes.float_for(variable.dtype))
    return log(sum(exp(variable), axis, keepdims=keepdims))


@in_float32
def norm(x: Any, L: float = 2, axis: Any = None) -> Variable:
    """The L-norm over `axis`; L may be infinite, and 0 counts what isn't zero."""
    variable = as_variable(x)
    if L == 0:
        return sum(cast(neq(variable, 0), dtypes.float_for(variable.dtype)), axis)
    if L == np.inf:
        return max(abs_(variable), axis)
    if L == -np.inf:
        return min(abs_(variable), axis)
    if L == 1:
        return sum(abs_(variable), axis)
    if L == 2:
        return sqrt(sum(sqr(variable), axis))
    return sum(abs_(variable) ** L, axis) ** (1.0 / L)  # type: ignore[operator]
