"""Cholesky factors and systems of linear equations.

LAPACK is called through NumPy and SciPy, between native steps. Gradients are from M. Giles,
"Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), where no other source is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import apply
from graphc.ops.broadcast import sum_like
from graphc.ops.convert import operands
from graphc.ops.decompositions import eigh, svd
from graphc.ops.elementwise import broadcast_shape, sqr
from graphc.ops.inverses import pinv, pull_pinv
from graphc.ops.reduce import sum as sum_
from graphc.ops.stacks import (
    column,
    declare_host,
    diagonal_part,
    floats,
    lapack,
    lower_part,
    product,
    same_square,
    square,
    turned,
    uncolumn,
    upper_part,
)

# --- cholesky -------------------------------------------------------------------------


def _cholesky_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    """Giles, section 2.2.4 with I. Murray (2016), equation 8; for the triangle that is read."""
    inner = product(turned(out), lower_part(g))
    inner = lower_part(inner) - 0.5 * diagonal_part(inner)  # type: ignore[operator]
    half = _triangular(out, inner, lower=True, trans=1)
    whole = turned(_triangular(out, turned(half), lower=True, trans=1))
    both = lower_part(whole + turned(whole))  # type: ignore[operator]
    return (both - diagonal_part(whole),)  # type: ignore[operator]


_cholesky = declare_host(
    "cholesky", same_square, lapack(np.linalg.cholesky), _cholesky_vjp,
    "the lower triangle l with x = l l^T",
)  # fmt: skip


def cholesky(x: Any, lower: bool = True) -> Variable:
    """The triangle l of ``x = l l^T``, or with ``lower=False`` u of ``x = u^T u``.

    Parameters
    ----------
    x : matrix, or stack of them
        Symmetric and positive definite. Only the triangle that comes out is read, and gets
        the gradient.

    Raises
    ------
    LinearAlgebraError
        When it is called with a matrix that isn't positive definite.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.cholesky([[4.0, 2.0], [2.0, 2.0]]).eval().tolist()
    [[2.0, 0.0], [1.0, 1.0]]
    """
    (a,) = floats([x], "cholesky")
    if lower:
        return apply(_cholesky, (a,), {})
    return turned(apply(_cholesky, (turned(a),), {}))


# --- systems of equations -------------------------------------------------------------


def _system_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    a, b = args
    n, rows = square(a), b.type.shape[-2]
    if None not in (n, rows) and n != rows:
        raise ShapeError(f"{n} equations and a right-hand side of {rows} rows")
    front = broadcast_shape([a.type.shape[:-2], b.type.shape[:-2]])
    return TensorType(a.dtype, (*front, rows if n is None else n, b.type.shape[-1]))


def _each(function: Any, a: Any, b: Any) -> Any:
    """`function` over stacks of matrices that broadcast."""
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, front + x.shape[-2:]) for x in (a, b))
    found = np.empty(b.shape, np.result_type(a, b))
    for k in np.ndindex(front):
        if found[k].size:
            found[k] = function(a[k], b[k])
    return found


def _solve_numpy(a: Any, b: Any, assume_a: str, lower: bool) -> Any:
    if assume_a == "gen":
        return np.linalg.solve(a, b)
    import scipy.linalg

    def one(a: Any, b: Any) -> Any:
        return scipy.linalg.solve(a, b, assume_a=assume_a, lower=lower, check_finite=False)

    return _each(one, a, b)


def _solve_vjp(
    g: Variable, out: Variable, a: Variable, b: Variable, assume_a: str, lower: bool
) -> tuple[Variable, ...]:
    attrs = {"assume_a": assume_a, "lower": lower}
    back = apply(_solve, (turned(a) if assume_a == "gen" else a, g), attrs)
    ga = -product(back, turned(out))  # type: ignore[operator]
    if assume_a != "gen":  # as one of the triangle that is read
        part = lower_part if lower else upper_part
        ga = part(ga + turned(ga)) - diagonal_part(ga)
    return sum_like(ga, a), sum_like(back, b)


_solve = declare_host(
    "solve", _system_infer, lapack(_solve_numpy), _solve_vjp, "the x with a x = b"
)


def _with_columns(name: str, a: Any, b: Any) -> tuple[Variable, Variable, bool]:
    """Both sides of a system; a vector b becomes a column."""
    left, right = floats([a, b], name)
    if right.ndim == 0:
        raise ShapeError(
            f"{name}: the right-hand side {describe(right)} is a scalar",
            "it is a vector or a matrix", user_frames(),
        )  # fmt: skip
    flat = right.ndim == 1
    return left, column(right) if flat else right, flat


def solve(a: Any, b: Any, assume_a: str = "gen", lower: bool = False) -> Variable:
    """The x of ``a x = b``; b is a vector, a matrix, or a stack of matrices.

    Parameters
    ----------
    a : square matrix, or stack of them
    b : variable
    assume_a : {'gen', 'sym', 'pos'}
        What is known of a: nothing, that it is symmetric, or also positive definite. Then
        only its upper triangle is read and gets the gradient, or with `lower` the lower one.

    Raises
    ------
    LinearAlgebraError
        When it is called with a singular matrix.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).eval().tolist()
    [1.0, 0.5]
    """
    if assume_a not in ("gen", "sym", "pos"):
        raise ArgumentError(
            f"solve: assume_a is 'gen', 'sym' or 'pos', not {assume_a!r}",
            "for triangles there is solve_triangular", user_frames(),
        )  # fmt: skip
    left, right, flat = _with_columns("solve", a, b)
    x = apply(_solve, (left, right), {"assume_a": assume_a, "lower": bool(lower)})
    return uncolumn(x) if flat else x


def _triangular_numpy(a: Any, b: Any, lower: bool, trans: int, unit_diagonal: bool) -> Any:
    import scipy.linalg

    def one(a: Any, b: Any) -> Any:
        return scipy.linalg.solve_triangular(
            a, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal, check_finite=False
        )

    return _each(one, a, b)


def _triangular_vjp(
    g: Variable, out: Variable, a: Variable, b: Variable, lower: bool, trans: int,
    unit_diagonal: bool,
) -> tuple[Variable, ...]:  # fmt: skip
    back = _triangular(a, g, lower, 1 - trans, unit_diagonal)
    ga = -product(back, turned(out))  # type: ignore[operator]
    part = lower_part if lower else upper_part
    ga = part(turned(ga) if trans else ga, not unit_diagonal)
    return sum_like(ga, a), sum_like(back, b)


_solve_triangular = declare_host(
    "solve_triangular", _system_infer, lapack(_triangular_numpy), _triangular_vjp,
    "the x with a x = b, for a triangle a",
)  # fmt: skip


def _triangular(
    a: Variable, b: Variable, lower: bool, trans: int = 0, unit_diagonal: bool = False
) -> Variable:
    attrs = {"lower": lower, "trans": trans, "unit_diagonal": unit_diagonal}
    return apply(_solve_triangular, (a, b), attrs)


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False
) -> Variable:
    """The x of ``a x = b`` where a is a triangle, the upper one unless `lower`.

    Parameters
    ----------
    trans : {0, 1, 'N', 'T'}
        With 1 or 'T', the x of ``a^T x = b``.
    unit_diagonal : bool
        Whether the diagonal is taken for ones, whatever stands there.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.solve_triangular([[2.0, 1.0], [0.0, 1.0]], [3.0, 1.0]).eval().tolist()
    [1.0, 1.0]
    """
    if trans not in (0, 1, "N", "T"):
        raise ArgumentError(
            f"solve_triangular: trans is 0, 1, 'N' or 'T', not {trans!r}", at=user_frames()
        )
    left, right, flat = _with_columns("solve_triangular", a, b)
    x = _triangular(left, right, bool(lower), int(trans in (1, "T")), bool(unit_diagonal))
    return uncolumn(x) if flat else x


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """The x of ``a x = b``, reading only the lower triangle of a.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.solve_lower_triangular([[2.0, 9.0], [1.0, 1.0]], [2.0, 3.0]).eval().tolist()
    [1.0, 2.0]
    """
    return solve_triangular(a, b, lower=True)


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """The x of ``a x = b``, reading only the upper triangle of a.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.solve_upper_triangular([[2.0, 1.0], [9.0, 1.0]], [4.0, 2.0]).eval().tolist()
    [1.0, 2.0]
    """
    return solve_triangular(a, b)


def _lstsq_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    a, b = args
    (m, n), (rows, k) = a.type.shape[-2:], b.type.shape[-2:]
    if None not in (m, rows) and m != rows:
        raise ShapeError(f"{m} equations and a right-hand side of {rows} rows")
    return TensorType(a.dtype, (*broadcast_shape([a.type.shape[:-2], b.type.shape[:-2]]), n, k))


def _lstsq_numpy(a: Any, b: Any, rcond: float | None) -> Any:
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, front + x.shape[-2:]) for x in (a, b))
    found = np.empty((*front, a.shape[-1], b.shape[-1]), np.result_type(a, b))
    for k in np.ndindex(front):
        found[k] = np.linalg.lstsq(a[k], b[k], rcond)[0]
    return found


def _lstsq_vjp(
    g: Variable, out: Variable, a: Variable, b: Variable, rcond: float | None
) -> tuple[Variable, ...]:
    """The result is ``pinv(a) b``."""
    p = pinv(a, rcond)
    pulled = sum_like(product(g, turned(b)), p)
    return pull_pinv(pulled, p, a), sum_like(product(turned(p), g), b)


_lstsq = declare_host(
    "lstsq", _lstsq_infer, lapack(_lstsq_numpy), _lstsq_vjp,
    "the shortest x that makes |a x - b| smallest",
)  # fmt: skip


def _rank_numpy(a: Any, rcond: float | None) -> Any:
    if rcond is None:
        rcond = np.finfo(a.dtype).eps * max(a.shape[-2:])
    s = np.linalg.svd(a, compute_uv=False)
    least = rcond * s.max(axis=-1, initial=0, keepdims=True)
    return np.asarray((s > least).sum(-1), "int64")


_rank = declare_host(
    "lstsq_rank", lambda args, attrs: TensorType("int64", args[0].type.shape[:-2]), _rank_numpy,
    None, "how many singular values count",
)  # fmt: skip


def lstsq(
    a: Any, b: Any, rcond: float | None = None
) -> tuple[Variable, Variable, Variable, Variable]:
    """Least squares: the shortest x that makes ``|a x - b|`` smallest.

    Parameters
    ----------
    a : matrix, or stack of them
    b : vector, matrix, or stack of matrices
    rcond : float, optional
        Singular values below this part of the largest count as 0; precision by default.

    Returns
    -------
    x, residuals, rank, s
        The solution; the sums of squares that are left, one per column of b (unlike NumPy's,
        for any rank); the rank of a; its singular values.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.lstsq([[1.0], [1.0]], [1.0, 3.0])[0].eval().round(6).tolist()
    [2.0]
    """
    left, right, flat = _with_columns("lstsq", a, b)
    attrs = {"rcond": None if rcond is None else float(rcond)}
    x = apply(_lstsq, (left, right), attrs)
    residuals = sum_(sqr(right - product(left, x)), axis=-2)  # type: ignore[operator]
    rank = apply(_rank, (left,), attrs)
    return uncolumn(x) if flat else x, residuals, rank, svd(left, compute_uv=False)


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Variable:
    """The w of ``a v = w b v``, ascending, for a symmetric a and a positive definite b.

    Parameters
    ----------
    a, b : square matrices, or stacks of them
        Without b, it is the identity.
    lower : bool
        Which triangle of them is read.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.slinalg.eigvalsh([[2.0, 0.0], [0.0, 1.0]]).eval().tolist()
    [1.0, 2.0]
    """
    (x,) = floats([a], "eigvalsh")
    if b is None:
        return eigh(x, "L" if lower else "U")[0]
    x = x if lower else turned(x)
    whole = lower_part(x) + turned(lower_part(x, False))  # type: ignore[operator]
    factor = cholesky(b if lower else turned(operands([b])[0]))
    half = turned(solve_triangular(factor, whole, lower=True))
    return eigh(solve_triangular(factor, half, lower=True))[0]
