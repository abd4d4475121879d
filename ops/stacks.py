"""Stacks of matrices: the last two axes are a matrix's, those in front number the matrices.

What the families of linear algebra share: operands, types, and the small matrix algebra of
which their gradients are made. None of it is exported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare
from graphc.ops.broadcast import sum_like
from graphc.ops.complexes import conj
from graphc.ops.convert import need, operands
from graphc.ops.elementwise import broadcast_shape, cast, eq, ge, gt, switch, zeros_of
from graphc.ops.linalg import matrix_product
from graphc.ops.make import arange, eye
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle

# --- operands and types ---------------------------------------------------------------


def floats(args: Sequence[Any], name: str, ndim: int = 2) -> list[Variable]:
    """Operands in one real float dtype; the first has at least `ndim` axes."""
    found = operands(args)
    meeting = dtypes.float_for(dtypes.promote([a.dtype for a in found]))
    need(dtypes.is_float(meeting), found, f"{name} is for real numbers")
    if found[0].ndim < ndim:
        raise ShapeError(
            f"{name} takes a matrix or a stack of matrices, not {describe(found[0])}",
            "the last two axes are those of the matrix; .dimshuffle or .reshape adds axes",
            user_frames(),
        )
    return [cast(a, meeting) for a in found]


def square(x: Variable) -> int | None:
    """The size of a square matrix, where it is known."""
    m, n = x.type.shape[-2:]
    if None not in (m, n) and m != n:
        raise ShapeError(f"a matrix of {m} rows and {n} columns is not square")
    return n if m is None else m


def same_square(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    """The type of a result that is a square matrix like its operand."""
    x = args[0]
    n = square(x)
    return TensorType(x.dtype, (*x.type.shape[:-2], n, n))


def declare_host(
    name: str, infer: Any, numpy: Any, vjp: Any, formula: str, jvp: Any = None
) -> Op:
    """Declare an op that LAPACK does, and that may find no result."""
    return declare(Op(name, infer, numpy, Host(), vjp=vjp, jvp=jvp, formula=formula, checks=True))


def lapack(function: Callable[..., Any]) -> Callable[..., Any]:
    """A meaning whose result has the operands' dtype."""

    def meaning(*args: Any, **attrs: Any) -> Any:
        dtype = np.result_type(*args)
        found = np.asarray(function(*args, **attrs))
        return found.astype(dtype, copy=False) if found.dtype.kind == "f" else found

    return meaning


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of which part, then the operands, that computes all parts of a result once.

    A decomposition is one op per part; over the same matrix, all of them share one call.
    """
    latest: list[tuple[Any, Any]] = [(None, None)]

    def meaning(part: int, *args: Any, **attrs: Any) -> Any:
        arrays = [np.asarray(a) for a in args]
        key = [(a.dtype, a.shape, a.tobytes()) for a in arrays], attrs
        known, found = latest[0]
        if known != key:
            found = function(*args, **attrs)
            latest[0] = key, found
        return np.array(found[part])

    return meaning


# --- matrix algebra -------------------------------------------------------------------


def _matmul_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    a, b = args
    (m, k), (k2, n) = a.type.shape[-2:], b.type.shape[-2:]
    if None not in (k, k2) and k != k2:
        raise ShapeError(f"the inner sizes differ: {a.type.shape} and {b.type.shape}")
    front = broadcast_shape([a.type.shape[:-2], b.type.shape[:-2]])
    return TensorType(a.dtype, (*front, m, n))


_matmul = declare(
    Op(
        "stack_product", _matmul_infer, np.matmul, Host(),
        vjp=lambda g, out, a, b: (
            sum_like(product(g, adjoint(b)), a), sum_like(product(adjoint(a), g), b)
        ),
        formula="sum over k of a[..., i, k] b[..., k, j]",
    )
)  # fmt: skip


def product(*factors: Variable) -> Variable:
    """The matrix product of stacks of one dtype, from the left; single ones go to BLAS."""
    found = factors[0]
    for factor in factors[1:]:
        if found.ndim == factor.ndim == 2:
            found = matrix_product(found, factor)
        else:
            found = apply(_matmul, (found, factor), {})
    return found


def turned(x: Variable) -> Variable:
    """Every matrix transposed."""
    return dimshuffle(x, *range(x.ndim - 2), x.ndim - 1, x.ndim - 2)


def adjoint(x: Variable) -> Variable:
    """Every matrix transposed and conjugated."""
    return conj(turned(x))


def column(x: Variable) -> Variable:
    """A vector as a matrix of one column."""
    return dimshuffle(x, *range(x.ndim), "x")


def row(x: Variable) -> Variable:
    """A vector as a matrix of one row."""
    return dimshuffle(x, *range(x.ndim - 1), "x", x.ndim - 1)


def uncolumn(x: Variable) -> Variable:
    """A matrix of one column as a vector."""
    return dimshuffle(x, *range(x.ndim - 1))


def unit(x: Variable, axis: int = -1) -> Variable:
    """The identity matrix that is as large as one axis of `x`."""
    return eye(dim(x, axis % x.ndim), dtype=x.dtype)


def _positions(x: Variable) -> tuple[Variable, Variable]:
    """The row and the column of each element, as a column and a row of numbers."""
    rows, columns = arange(dim(x, x.ndim - 2)), arange(dim(x, x.ndim - 1))
    return dimshuffle(rows, 0, "x"), dimshuffle(columns, "x", 0)


def lower_part(x: Variable, diagonal: bool = True) -> Variable:
    """What stands below the diagonal, with it or without; zeros elsewhere."""
    i, j = _positions(x)
    return switch(ge(i, j) if diagonal else gt(i, j), x, zeros_of(x))


def upper_part(x: Variable, diagonal: bool = True) -> Variable:
    """What stands above the diagonal, with it or without; zeros elsewhere."""
    i, j = _positions(x)
    return switch(ge(j, i) if diagonal else gt(j, i), x, zeros_of(x))


def diagonal_part(x: Variable) -> Variable:
    """The diagonal of every matrix; zeros elsewhere."""
    i, j = _positions(x)
    return switch(eq(i, j), x, zeros_of(x))


def diagonal_of(x: Variable) -> Variable:
    """The diagonal of every square matrix, as a vector."""
    return sum_(diagonal_part(x), axis=-1)


def diagonal_matrix(v: Variable) -> Variable:
    """Matrices with vectors on their diagonals."""
    return unit(v) * column(v)  # type: ignore[operator, no-any-return]


def inverse_differences(w: Variable) -> Variable:
    """``1 / (w[j] - w[i])`` off the diagonal, zeros on it."""
    i, j = dimshuffle(arange(dim(w, w.ndim - 1)), 0, "x"), arange(dim(w, w.ndim - 1))
    one, zero = Constant(1, w.dtype), Constant(0, w.dtype)
    apart = switch(eq(i, j), one, row(w) - column(w))  # type: ignore[operator]
    return switch(eq(i, j), zero, one / apart)  # type: ignore[operator]
