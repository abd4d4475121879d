"""Products of stacks of matrices, and sums of products over chosen axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare
from graphc.ops.axes import swapaxes
from graphc.ops.complexes import conj
from graphc.ops.convert import normal_axis, operands
from graphc.ops.elementwise import broadcast_shape, cast
from graphc.ops.linalg import dot, matrix_product
from graphc.ops.shape import dim, dimshuffle, reshape, shape_padleft, shape_padright


def _matmul_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    a, b = args
    (m, k), (k2, n) = a.type.shape[-2:], b.type.shape[-2:]
    if k is not None and k2 is not None and k != k2:
        raise ShapeError(
            f"the inner sizes differ: {a.type.shape} and {b.type.shape}",
            "the last axis of the first meets the last but one of the second",
        )
    stack = broadcast_shape([a.type.shape[:-2], b.type.shape[:-2]])
    return TensorType(a.dtype, (*stack, m, n))


def _matmul_vjp(g: Variable, out: Variable, a: Variable, b: Variable) -> tuple[Variable, ...]:
    return (
        apply(_matmul, (g, conj(swapaxes(b, -1, -2))), {}),
        apply(_matmul, (conj(swapaxes(a, -1, -2)), g), {}),
    )


def _matmul_jvp(tangents: Any, out: Variable, a: Variable, b: Variable) -> Variable:
    ta, tb = tangents
    parts = [apply(_matmul, (ta, b), {})] if ta is not None else []
    if tb is not None:
        parts.append(apply(_matmul, (a, tb), {}))
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator, no-any-return]


_matmul = declare(
    Op(
        "matmul", _matmul_infer, np.matmul, Host(), vjp=_matmul_vjp, jvp=_matmul_jvp,
        formula="sum over k of a[..., i, k] b[..., k, j]",
    )
)  # fmt: skip


def _one_dtype(a: Any, b: Any) -> tuple[Variable, Variable]:
    x, y = operands([a, b])
    meeting = dtypes.promote([x.dtype, y.dtype])
    return cast(x, meeting), cast(y, meeting)


def matmul(a: Any, b: Any) -> Variable:
    """The product of matrices or of stacks of them, as ``numpy.matmul`` and ``a @ b``.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.matmul(T.ones((5, 2, 3)), T.ones((3, 4))).type.shape
    (5, 2, 4)
    """
    x, y = _one_dtype(a, b)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(
            f"matmul({describe(x)}, {describe(y)}): a scalar is no matrix", "use *", user_frames()
        )
    if x.ndim <= 2 and y.ndim <= 2:
        return dot(x, y)
    left = shape_padleft(x) if x.ndim == 1 else x
    right = shape_padright(y) if y.ndim == 1 else y
    product = apply(_matmul, (left, right), {})
    axes = list(range(product.ndim))
    if x.ndim == 1:
        del axes[-2]
    if y.ndim == 1:
        del axes[-1]
    return dimshuffle(product, *axes)


def batched_dot(a: Any, b: Any) -> Variable:
    """The product of each pair of matrices (or vectors) of two stacks of one length.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.batched_dot(T.ones((5, 2, 3)), T.ones((5, 3, 4))).type.shape
    (5, 2, 4)
    """
    x, y = _one_dtype(a, b)
    if not (1 <= x.ndim <= 3 and 1 <= y.ndim <= 3):
        return batched_tensordot(x, y, [[x.ndim - 1], [max(y.ndim - 2, 1)]])
    if x.ndim == 1 or y.ndim == 1:
        wide = max(x.ndim, y.ndim)
        return shape_padright(x, wide - x.ndim) * shape_padright(y, wide - y.ndim)
    left = x if x.ndim == 3 else dimshuffle(x, 0, "x", 1)
    right = y if y.ndim == 3 else dimshuffle(y, 0, 1, "x")
    product = apply(_matmul, (left, right), {})
    kept = [0] + [1] * (x.ndim == 3) + [2] * (y.ndim == 3)
    return dimshuffle(product, *kept)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """The sum of products over pairs of axes, as ``numpy.tensordot``.

    Parameters
    ----------
    axes : integer or pair of sequences
        How many last axes of `a` meet the first of `b`; or which of `a` meet which of `b`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.tensordot(T.ones((2, 3, 4)), T.ones((4, 3, 5)), [[1, 2], [1, 0]]).type.shape
    (2, 5)
    """
    x, y = _one_dtype(a, b)
    first, second = _pairs(x, y, axes, 0, "tensordot")
    rest_x = [k for k in range(x.ndim) if k not in first]
    rest_y = [k for k in range(y.ndim) if k not in second]
    left = _matrix(dimshuffle(x, *rest_x, *first), len(rest_x), 0)
    right = _matrix(dimshuffle(y, *second, *rest_y), len(second), 0)
    sizes = [dim(x, k) for k in rest_x] + [dim(y, k) for k in rest_y]
    return reshape(matrix_product(left, right), sizes)


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Variable:
    """`tensordot` of each pair of two stacks of tensors; axes count with that of the stack."""
    a, b = _one_dtype(x, y)
    first, second = _pairs(a, b, axes, 1, "batched_tensordot")
    rest_a = [k for k in range(1, a.ndim) if k not in first]
    rest_b = [k for k in range(1, b.ndim) if k not in second]
    left = _matrix(dimshuffle(a, 0, *rest_a, *first), len(rest_a), 1)
    right = _matrix(dimshuffle(b, 0, *second, *rest_b), len(second), 1)
    sizes = [dim(a, 0), *(dim(a, k) for k in rest_a), *(dim(b, k) for k in rest_b)]
    return reshape(apply(_matmul, (left, right), {}), sizes)


def _matrix(x: Variable, rows: int, batch: int) -> Variable:
    """The axes after the first `batch` as two: the first `rows` of them, and the others."""
    sizes = [dim(x, k) for k in range(x.ndim)]
    ahead, behind = sizes[batch : batch + rows], sizes[batch + rows :]
    if len(ahead) == 1 and len(behind) == 1:
        return x
    return reshape(x, [*sizes[:batch], _product(ahead), _product(behind)])


def _product(sizes: Sequence[Variable]) -> Any:
    total: Any = 1
    for n in sizes:
        total = n * total
    return total


def _pairs(
    x: Variable, y: Variable, axes: Any, batch: int, what: str
) -> tuple[list[int], list[int]]:
    if isinstance(axes, int | np.integer):
        count = int(axes)
        if not 0 <= count <= min(x.ndim, y.ndim) - batch:
            raise ArgumentError(
                f"{what}: {count} axes of {describe(x)} and {describe(y)}", at=user_frames()
            )
        first, second = list(range(x.ndim - count, x.ndim)), list(range(batch, batch + count))
    else:
        pair = [a if isinstance(a, list | tuple | np.ndarray) else [a] for a in axes]
        first = [normal_axis(k, x.ndim, what) for k in pair[0]]
        second = [normal_axis(k, y.ndim, what) for k in pair[1]]
    if len(first) != len(second) or len({*first}) < len(first) or len({*second}) < len(second):
        raise ArgumentError(f"{what}: axes {axes!r} don't make pairs", at=user_frames())
    for i, j in zip(first, second):
        n, m = x.type.shape[i], y.type.shape[j]
        if n is not None and m is not None and n != m:
            raise ShapeError(
                f"{what}({describe(x)}, {describe(y)}): axis {i} of size {n} meets axis {j} of "
                f"size {m}",
                "axes that are summed over in pairs have one size",
                user_frames(),
            )
    return first, second
