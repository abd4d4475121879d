"""Running sums and products along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Variable
from graphc.core.op import Op, Running, apply, declare
from graphc.ops.convert import as_variable, normal_axis
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem
from graphc.ops.running import running_product
from graphc.ops.shape import flatten
from graphc.ops.tiling import flip


def _cumsum_numpy(x: Any, axis: int) -> Any:
    return np.cumsum(x, axis, dtype=x.dtype)


def _backwards(x: Variable, axis: int) -> Variable:
    """The running sum that begins at the end."""
    return flip(apply(_cumsum, (flip(x, axis),), {"axis": axis}), axis)


_cumsum = declare(
    Op(
        "cumsum", lambda args, attrs: args[0].type, _cumsum_numpy, Running("sum"),
        vjp=lambda g, out, x, axis: (_backwards(g, axis),),
        jvp=lambda tangents, out, x, axis: apply(_cumsum, (tangents[0],), {"axis": axis}),
        formula="x[0], x[0] + x[1], ... along an axis",
    )
)  # fmt: skip


def _operand(x: Any, axis: int | None, dtype: Any, what: str) -> tuple[Variable, int]:
    variable = as_variable(x)
    if axis is None:
        variable, axis = flatten(variable), 0
    name = dtypes.sum_dtype(variable.dtype) if dtype is None else dtypes.canonical(dtype)
    return cast(variable, name), normal_axis(axis, variable.ndim, what)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """The sums of the first elements along `axis`, of the flat tensor by default.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.cumsum(T.constant([1, 2, 3])).eval()
    array([1, 3, 6])
    """
    variable, place = _operand(x, axis, dtype, "cumsum")
    return apply(_cumsum, (variable,), {"axis": place})


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """The products of the first elements along `axis`, of the flat tensor by default.

    Unlike Theano's, the gradient is right where elements are 0.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.cumprod(T.constant([1, 2, 3, 4])).eval()
    array([ 1,  2,  6, 24])
    """
    variable, place = _operand(x, axis, dtype, "cumprod")
    return running_product(variable, (place,))


def diff(x: Any, n: int = 1, axis: int = -1) -> Variable:
    """The differences of neighbours along `axis`, `n` times over.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.diff(T.constant([1, 4, 9])).eval()
    array([3, 5])
    """
    variable = as_variable(x)
    before = (slice(None),) * normal_axis(axis, variable.ndim, "diff")
    for _ in range(n):
        later = getitem(variable, (*before, slice(1, None)))
        variable = later - getitem(variable, (*before, slice(None, -1)))  # type: ignore[operator]
    return variable
