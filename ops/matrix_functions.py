"""Functions of matrices: powers, exponentials, traces, norms, Kronecker products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.core.op import apply
from graphc.ops.broadcast import zeros_like
from graphc.ops.convert import as_variable, operands
from graphc.ops.decompositions import svd
from graphc.ops.elementwise import abs_, maximum, minimum, mul
from graphc.ops.index import getitem
from graphc.ops.inverses import matrix_inverse
from graphc.ops.join import join
from graphc.ops.make import arange
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import min as min_
from graphc.ops.reduce import norm as norm_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle, reshape, shape_padleft
from graphc.ops.stacks import (
    declare_host,
    diagonal_matrix,
    floats,
    lapack,
    product,
    same_square,
    turned,
    unit,
)


def _expm_numpy(x: Any) -> Any:
    import scipy.linalg

    return scipy.linalg.expm(x)


def _expm_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    """Najfeld and Havel (1995): a corner of ``expm([[a, e], [0, a]])`` is the derivative of
    expm at a in the direction e. Its adjoint is the derivative at the transposed matrix."""
    n, last, t = dim(x, x.ndim - 1), x.ndim - 1, turned(x)
    block = join(last - 1, join(last, t, g), join(last, zeros_like(t), t))
    corner = (*(slice(None),) * (last - 1), slice(None, n), slice(n, None))
    return (getitem(apply(_expm, (block,), {}), corner),)


_expm = declare_host("expm", same_square, lapack(_expm_numpy), _expm_vjp, "sum of x^k / k!")


def expm(a: Any) -> Variable:
    """The exponential of a square matrix, or of each of a stack.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.expm([[0.0, 1.0], [0.0, 0.0]]).eval().tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return apply(_expm, floats([a], "expm"), {})


def matrix_power(M: Any, n: int) -> Variable:
    """A square matrix multiplied by itself; for negative n, its inverse.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5).eval().tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise ArgumentError(f"matrix_power: n is an integer, not {n!r}", at=user_frames())
    (x,) = floats([M], "matrix_power")
    base, count = (matrix_inverse(x), -n) if n < 0 else (x, n)
    found: Variable | None = None
    while count:
        if count & 1:
            found = base if found is None else product(found, base)
        count >>= 1
        base = product(base, base) if count else base
    return unit(x) + zeros_like(x) if found is None else found  # type: ignore[operator]


def matrix_dot(*args: Any) -> Variable:
    """The matrix product of several matrices, from the left.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.matrix_dot([[2.0]], [[3.0]], [[4.0, 5.0]]).eval().tolist()
    [[24.0, 30.0]]
    """
    return product(*floats(args, "matrix_dot"))


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product: every element of a times all of b, as ``numpy.kron``.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.kron([[1.0, 10.0]], [[1.0], [2.0]]).eval().tolist()
    [[1.0, 10.0], [2.0, 20.0]]
    """
    x, y = operands([a, b])
    rank = max(x.ndim, y.ndim)
    x, y = shape_padleft(x, rank - x.ndim), shape_padleft(y, rank - y.ndim)
    sizes = [dim(x, k) * dim(y, k) for k in range(rank)]  # type: ignore[operator]
    left = dimshuffle(x, *(p for k in range(rank) for p in (k, "x")))
    right = dimshuffle(y, *(p for k in range(rank) for p in ("x", k)))
    return reshape(left * right, sizes, ndim=rank)  # type: ignore[operator]


# --- diagonals ------------------------------------------------------------------------


def extract_diag(x: Any, offset: int = 0) -> Variable:
    """The diagonal of a matrix, or one `offset` columns to the right of it, as a vector.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.extract_diag([[1.0, 2.0], [3.0, 4.0]], offset=1).eval().tolist()
    [2.0]
    """
    variable = as_variable(x)
    if variable.ndim != 2:
        raise ShapeError(f"extract_diag takes a matrix, not {describe(variable)}", at=user_frames())
    m, n = dim(variable, 0), dim(variable, 1)
    below, right = max(-offset, 0), max(offset, 0)
    length = maximum(minimum(m - below, n - right), 0)  # type: ignore[operator]
    along = arange(length)
    return getitem(variable, (along + below, along + right))  # type: ignore[operator]


def alloc_diag(x: Any) -> Variable:
    """A square matrix with a vector on its diagonal and zeros elsewhere.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.alloc_diag([1.0, 2.0]).eval().tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    variable = as_variable(x)
    if variable.ndim != 1:
        raise ShapeError(f"alloc_diag takes a vector, not {describe(variable)}", at=user_frames())
    return diagonal_matrix(variable)


def diag(X: Any) -> Variable:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    variable = as_variable(X)
    return alloc_diag(variable) if variable.ndim == 1 else extract_diag(variable)


def trace(X: Any) -> Variable:
    """The sum of the diagonal of a matrix.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> float(T.nlinalg.trace([[1.0, 2.0], [3.0, 4.0]]).eval())
    5.0
    """
    return sum_(extract_diag(X))


# --- norms, and inverses of tensors ---------------------------------------------------


def norm(x: Any, ord: Any = None) -> Variable:
    """A norm of a vector or of a matrix, as ``numpy.linalg.norm``.

    Parameters
    ----------
    ord : number, 'fro' or 'nuc', optional
        For matrices: the Frobenius norm (None, 'fro'), the sum of singular values ('nuc'),
        the largest or smallest of them (2, -2), the largest or smallest sum of absolute
        values over columns (1, -1) or rows (inf, -inf).

    Examples
    --------
    >>> import graphc.tensor as T
    >>> float(T.nlinalg.norm([[3.0, 0.0], [0.0, -4.0]], "nuc").eval())
    7.0
    """
    variable = as_variable(x)
    if variable.ndim == 1 or ord is None:
        return norm_(variable, 2 if ord is None else ord)
    if variable.ndim != 2:
        raise ShapeError(f"norm takes a vector or a matrix, not {describe(variable)}",
                         at=user_frames())  # fmt: skip
    if ord == "fro":
        return norm_(variable, 2)
    if ord in ("nuc", 2, -2):
        s = svd(variable, compute_uv=False)
        return {"nuc": sum_, 2: max_, -2: min_}[ord](s)
    if ord in (1, -1, np.inf, -np.inf):
        sums = sum_(abs_(variable), axis=0 if abs(ord) == 1 else 1)
        return max_(sums) if ord > 0 else min_(sums)
    raise ArgumentError(f"norm: a matrix has no norm of order {ord!r}", at=user_frames())


def _count(sizes: Sequence[Variable]) -> Variable:
    total = as_variable(1)
    for n in sizes:
        total = mul(total, n)
    return total


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of the map ``x -> tensordot(a, x, ind)``, as ``numpy.linalg.tensorinv``.

    Parameters
    ----------
    a : variable
        The product of its first `ind` sizes is that of the others.
    ind : int
        How many of the axes are those of the result.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> a = T.reshape(T.eye(6), (2, 3, 6))
    >>> T.nlinalg.tensorinv(a).eval().shape
    (6, 2, 3)
    """
    (x,) = floats([a], "tensorinv")
    sizes = [dim(x, k) for k in range(x.ndim)]
    front, back = sizes[:ind], sizes[ind:]
    flat = reshape(x, [_count(front), _count(back)], ndim=2)
    return reshape(matrix_inverse(flat), [*back, *front], ndim=x.ndim)
