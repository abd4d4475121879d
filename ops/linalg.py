"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Library, Op, apply, declare
from graphc.core.packed import Packed
from graphc.ops.complexes import conj
from graphc.ops.convert import operands
from graphc.ops.elementwise import cast
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, reshape


def _dot_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    a, b = args
    (m, k), (k2, n) = a.type.shape, b.type.shape
    if k is not None and k2 is not None and k != k2:
        raise ShapeError(
            f"the inner sizes differ: {a.type.shape} and {b.type.shape}",
            "the columns of the first are the rows of the second; .T transposes",
        )
    return TensorType(a.dtype, (m, n))


def _dot_vjp(g: Variable, out: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    bh, ah = conj(dimshuffle(b, 1, 0)), conj(dimshuffle(a, 1, 0))
    return matrix_product(g, bh), matrix_product(ah, g)


def _dot_jvp(tangents: Any, out: Variable, a: Variable, b: Variable) -> Variable:
    ta, tb = tangents
    parts = []
    if ta is not None:
        parts.append(matrix_product(ta, b))
    if tb is not None:
        parts.append(matrix_product(a, tb))
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator, no-any-return]


_dot = declare(
    Op("dot", _dot_infer, np.dot, Library("gemm"), vjp=_dot_vjp, jvp=_dot_jvp,
       formula="sum over k of a[i, k] b[k, j]")
)  # fmt: skip


def _gemm_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    c, a, b = args[:3]
    _dot_infer((a, b), {})
    return c.type


def _gemm_numpy(c: Any, a: Any, b: Any, alpha: Any, beta: Any) -> Any:
    return (beta * c + alpha * np.dot(a, b)).astype(c.dtype)


gemm = declare(Op("gemm", _gemm_infer, _gemm_numpy, Library("gemm"), formula="beta c + alpha a b"))


def matrix_product(a: Variable, b: Variable) -> Variable:
    """The product of two matrices of one dtype."""
    return apply(_dot, (a, b), {})


def dot(a: Any, b: Any) -> Variable:
    """``numpy.dot``: products of scalars, vectors, matrices; of tensors over the last axis of
    the first and the last but one of the second."""
    if isinstance(a, Packed) or isinstance(b, Packed):
        owner: Any = a if isinstance(a, Packed) else b
        return owner.product(a, b)  # type: ignore[no-any-return]
    x, y = operands([a, b])
    meeting = dtypes.promote([x.dtype, y.dtype])
    x, y = cast(x, meeting), cast(y, meeting)
    if x.ndim == 0 or y.ndim == 0:
        return x * y  # type: ignore[operator, no-any-return]
    _check_inner(x, y)
    if x.ndim == 1 and y.ndim == 1:
        return sum_(x * y)  # type: ignore[operator]
    if x.ndim == 1 and y.ndim == 2:
        return dimshuffle(matrix_product(dimshuffle(x, "x", 0), y), 1)
    if x.ndim == 2 and y.ndim == 1:
        return dimshuffle(matrix_product(x, dimshuffle(y, 0, "x")), 0)
    if x.ndim == 2 and y.ndim == 2:
        return matrix_product(x, y)
    return _tensor_dot(x, y)


def _check_inner(x: Variable, y: Variable) -> None:
    """Inner sizes are compared before reshapes hide which operand is which."""
    inner = y.type.shape[max(y.ndim - 2, 0)]
    if None not in (x.type.shape[-1], inner) and x.type.shape[-1] != inner:
        raise ShapeError(
            f"dot({describe(x)}, {describe(y)}): the inner sizes {x.type.shape[-1]} and {inner} "
            "differ",
            "the last axis of the first meets the last but one of the second; .T transposes",
            user_frames(),
        )


def _tensor_dot(x: Variable, y: Variable) -> Variable:
    outer = [dim(x, k) for k in range(x.ndim - 1)]
    inner = max(y.ndim - 2, 0)
    order = [inner, *(k for k in range(y.ndim) if k != inner)]
    y = dimshuffle(y, *order)
    trailing = [dim(y, k) for k in range(1, y.ndim)]
    left = x if x.ndim == 2 else reshape(x, [-1 if x.ndim > 1 else 1, dim(x, x.ndim - 1)])
    right = y if y.ndim == 2 else reshape(y, [dim(y, 0), -1 if y.ndim > 1 else 1])
    return reshape(matrix_product(left, right), [*outer, *trailing])


def outer(a: Any, b: Any) -> Variable:
    """The products of all pairs of elements of two vectors."""
    x, y = operands([a, b])
    return x.flatten().dimshuffle(0, "x") * y.flatten().dimshuffle("x", 0)  # type: ignore
