"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.axes import moveaxis
from graphc.ops.broadcast import zeros
from graphc.ops.convert import as_size, as_variable
from graphc.ops.elementwise import add, cast, ge, maximum, minimum, sub, switch, zeros_of
from graphc.ops.index import getitem, set_subtensor
from graphc.ops.make import arange
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle


def _length(rows: Variable, columns: Variable, offset: int) -> Variable:
    shorter = minimum(sub(rows, max(-offset, 0)), sub(columns, max(offset, 0)))
    return maximum(shorter, 0)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The diagonals of the matrices that two axes make, along the last axis of the result.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.diagonal(T.constant([[1, 2], [3, 4]])).eval()
    array([1, 4])
    """
    variable = as_variable(a)
    if variable.ndim < 2:
        raise ArgumentError(f"diagonal: {describe(variable)} has no diagonal", at=user_frames())
    moved = moveaxis(variable, (axis1, axis2), (0, 1))
    steps = arange(_length(dim(moved, 0), dim(moved, 1), offset))
    index = (add(steps, max(-offset, 0)), add(steps, max(offset, 0)))
    return moveaxis(getitem(moved, index), 0, -1)


def diag(v: Any, k: int = 0) -> Variable:
    """A vector on the k-th diagonal of a matrix of zeros; or of a matrix, its k-th diagonal.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.diag(T.constant([1, 2])).eval()
    array([[1, 0],
           [0, 2]])
    """
    variable = as_variable(v)
    if variable.ndim == 2:
        return diagonal(variable, k)
    if variable.ndim != 1:
        raise ArgumentError(
            f"diag: {describe(variable)} is neither vector nor matrix", "see T.diagonal",
            user_frames(),
        )  # fmt: skip
    count = dim(variable, 0)
    size = add(count, abs(k))
    steps = arange(count)
    index = (add(steps, max(-k, 0)), add(steps, max(k, 0)))
    return set_subtensor(getitem(zeros((size, size), variable.dtype), index), variable)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum of a diagonal."""
    return sum_(diagonal(a, offset, axis1, axis2), axis=-1)


def _below(rows: Variable, columns: Variable, k: Any) -> Variable:
    """Where the column is at most the row plus k."""
    return ge(add(dimshuffle(arange(rows), 0, "x"), k), dimshuffle(arange(columns), "x", 0))


def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Ones on and below the k-th diagonal of an N x M matrix, zeros above.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.tri(2, 3, 1, dtype="int8").eval()
    array([[1, 1, 0],
           [1, 1, 1]], dtype=int8)
    """
    rows = as_size(N, "tri")
    columns = rows if M is None else as_size(M, "tri")
    name = dtypes.canonical("floatX" if dtype is None else dtype)
    return cast(_below(rows, columns, as_size(k, "tri")), name)


def _triangle(m: Any, k: Any, what: str) -> tuple[Variable, Variable]:
    variable = as_variable(m)
    if variable.ndim < 2:
        raise ArgumentError(f"{what}: {describe(variable)} is no matrix", at=user_frames())
    rows, columns = dim(variable, variable.ndim - 2), dim(variable, variable.ndim - 1)
    return variable, _below(rows, columns, k)


def tril(m: Any, k: Any = 0) -> Variable:
    """Matrices with zeros above the k-th diagonal."""
    variable, below = _triangle(m, k, "tril")
    return switch(below, variable, zeros_of(variable))


def triu(m: Any, k: Any = 0) -> Variable:
    """Matrices with zeros below the k-th diagonal."""
    variable, below = _triangle(m, sub(as_size(k, "triu"), 1), "triu")
    return switch(below, zeros_of(variable), variable)
