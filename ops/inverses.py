"""Inverses and determinants of matrices, or of stacks of them.

LAPACK is called through NumPy, between native steps. Gradients are from M. Giles, "Collected
matrix derivative results for forward and reverse mode algorithmic differentiation" (2008),
where no other source is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.node import Attrs, TensorType, Variable
from graphc.core.op import apply
from graphc.ops.broadcast import zeros_like
from graphc.ops.reduce import sum as sum_
from graphc.ops.stacks import (
    adjoint,
    column,
    declare_host,
    floats,
    lapack,
    product,
    remembered,
    same_square,
    square,
    turned,
    unit,
)


def _in_matrix(g: Variable) -> Variable:
    """One number per matrix, to multiply matrices with."""
    return column(column(g))


# --- inverses -------------------------------------------------------------------------

inverse_op = declare_host(
    "matrix_inverse", same_square, lapack(np.linalg.inv),
    lambda g, out, x: (-product(adjoint(out), g, adjoint(out)),),
    "the matrix y with x y = 1",
    lambda tangents, out, x: -product(out, tangents[0], out),
)  # fmt: skip


def matrix_inverse(x: Any) -> Variable:
    """The inverse of a square matrix, or of each of a stack.

    Raises
    ------
    LinearAlgebraError
        When it is called with a singular matrix.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.matrix_inverse([[2.0, 0.0], [0.0, 4.0]]).eval().tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return apply(inverse_op, floats([x], "matrix_inverse"), {})


def _pinv_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    *front, m, n = args[0].type.shape
    return TensorType(args[0].dtype, (*front, n, m))


def pull_pinv(g: Variable, p: Variable, x: Variable) -> Variable:
    """The adjoint of a pseudo-inverse `p` of `x`; Golub and Pereyra (1973), equation 4.12."""
    pt, gt = turned(p), turned(g)
    left = unit(x, -2) - product(x, p)  # type: ignore[operator]
    right = unit(x, -1) - product(p, x)  # type: ignore[operator]
    return (  # type: ignore[no-any-return]
        product(left, gt, p, pt) + product(pt, p, gt, right) - product(pt, g, pt)  # type: ignore
    )


_pinv = declare_host(
    "pinv", _pinv_infer, lapack(lambda x, rcond: np.linalg.pinv(x, rcond)),
    lambda g, out, x, rcond: (pull_pinv(g, out, x),),
    "the pseudo-inverse of Moore and Penrose",
)  # fmt: skip


def pinv(a: Any, rcond: float | None = None) -> Variable:
    """The pseudo-inverse of a matrix, or of each of a stack; as ``numpy.linalg.pinv``.

    The gradient is right where the rank doesn't change nearby.

    Parameters
    ----------
    a : matrix, or stack of them
    rcond : float, optional
        Singular values below this part of the largest count as 0.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.pinv([[2.0], [0.0]]).eval().tolist()
    [[0.5, 0.0]]
    """
    return apply(_pinv, floats([a], "pinv"), {"rcond": rcond})


# --- determinants ---------------------------------------------------------------------

def _one_number(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    square(args[0])
    return TensorType(args[0].dtype, args[0].type.shape[:-2])


def _cofactors_numpy(x: Any) -> Any:
    """From singular values, so that a singular matrix has its cofactors too."""
    u, s, v = np.linalg.svd(x)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :])
    sign = np.sign(np.linalg.det(u) * np.linalg.det(v))[..., None, None]
    return sign * np.matmul(u * others.prod(-1)[..., None, :], v)


def _cofactors_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    """That of ``det(x) x^-T``, for an x with an inverse."""
    y = turned(apply(inverse_op, (x,), {}))
    along = _in_matrix(sum_(g * y, axis=(x.ndim - 2, x.ndim - 1)))  # type: ignore[operator]
    determinant = _in_matrix(apply(_det, (x,), {}))
    return (along * out - determinant * product(y, turned(g), y),)  # type: ignore[operator]


_cofactors = declare_host(
    "cofactors", same_square, lapack(_cofactors_numpy), _cofactors_vjp,
    "the derivatives of the determinant",
)  # fmt: skip
_det = declare_host(
    "det", _one_number, lapack(np.linalg.det),
    lambda g, out, x: (_in_matrix(g) * apply(_cofactors, (x,), {}),), "the determinant",
)  # fmt: skip


def det(x: Any) -> Variable:
    """The determinant of a square matrix, or of each of a stack.

    A singular matrix has a gradient too; second derivatives need an inverse.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> round(float(T.nlinalg.det([[2.0, 0.0], [1.0, 4.0]]).eval()), 6)
    8.0
    """
    return apply(_det, floats([x], "det"), {})


_slogdet = remembered(np.linalg.slogdet)
_det_sign = declare_host(
    "slogdet_sign", _one_number, lapack(lambda x: _slogdet(0, x)),
    lambda g, out, x: (zeros_like(x),), "the sign of the determinant",
    lambda tangents, out, x: zeros_like(out),
)  # fmt: skip
_logdet = declare_host(
    "slogdet_logabsdet", _one_number, lapack(lambda x: _slogdet(1, x)),
    lambda g, out, x: (_in_matrix(g) * turned(apply(inverse_op, (x,), {})),),
    "log |det x|",
)  # fmt: skip


def slogdet(x: Any) -> tuple[Variable, Variable]:
    """The sign of the determinant and the logarithm of its absolute value.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> sign, log = T.nlinalg.slogdet([[0.0, 1.0], [1.0, 0.0]])
    >>> float(sign.eval()), float(log.eval())
    (-1.0, 0.0)
    """
    (a,) = floats([x], "slogdet")
    return apply(_det_sign, (a,), {}), apply(_logdet, (a,), {})
