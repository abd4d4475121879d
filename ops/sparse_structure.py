"""The structure of sparse matrices: formats, places of entries, dense matrices and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.broadcast import zeros
from graphc.ops.compressed import order_by_minor, rows_of
from graphc.ops.convert import as_variable
from graphc.ops.cumulative import cumsum
from graphc.ops.elementwise import cast, maximum, neq
from graphc.ops.index import getitem, inc_subtensor
from graphc.ops.join import concatenate
from graphc.ops.masks import mask_positions
from graphc.ops.ordering import searchsorted, unique
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle
from graphc.ops.sparse import FORMATS, SparseVariable, as_sparse_variable, turn


def coordinates(x: SparseVariable) -> tuple[Variable, Variable]:
    """The row and the column of every entry."""
    return turn(x.format, (rows_of(x.indptr, x.indices), cast(x.indices, "int64")))


def pointers(major: Variable, size: Variable) -> Variable:
    """`indptr` for entries whose places along the major axis are given."""
    counts = inc_subtensor(getitem(zeros((size,), "int64"), major), 1)
    return concatenate([as_variable(np.zeros(1, "int64")), cumsum(counts)])


def from_coordinates(
    format: str, rows: Variable, columns: Variable, data: Variable, shape: Sequence[Variable]
) -> SparseVariable:
    """A matrix with the sums of the values that have the same place; sorted."""
    major, minor = turn(format, (rows, columns))
    count, width = turn(format, shape)
    wide = maximum(width, 1)
    keys = major * wide + minor  # type: ignore[operator]
    different = unique(keys)
    place = searchsorted(different, keys)
    values = inc_subtensor(getitem(zeros((dim(different, 0),), data.dtype), place), data)
    return SparseVariable(
        format, values, different % wide, pointers(different // wide, count), width
    )


def transpose(x: Any) -> SparseVariable:
    """The transposed matrix, in the other format; nothing is computed."""
    matrix = as_sparse_variable(x)
    other = "csc" if matrix.format == "csr" else "csr"
    return SparseVariable(other, *matrix.parts)


def convert(x: Any, format: str) -> SparseVariable:
    """The same matrix in a format."""
    matrix = as_sparse_variable(x)
    if format not in FORMATS:
        raise ArgumentError(f"a format is 'csr' or 'csc', not {format!r}", at=user_frames())
    if matrix.format == format:
        return matrix
    order = order_by_minor(matrix.indices, matrix.indptr, matrix.minor)
    places = getitem(rows_of(matrix.indptr, matrix.indices), order)
    starts = pointers(cast(matrix.indices, "int64"), matrix.minor)
    return SparseVariable(format, getitem(matrix.data, order), places, starts, matrix.major)


# --- dense and sparse -----------------------------------------------------------------


def dense_from_sparse(x: Any) -> Variable:
    """The matrix with its zeros, as a dense variable; equal places are added up."""
    matrix = as_sparse_variable(x)
    empty = zeros((matrix.rows, matrix.columns), matrix.dtype)
    return inc_subtensor(getitem(empty, coordinates(matrix)), matrix.data)


def _from_dense(x: Any, format: str) -> SparseVariable:
    dense = as_variable(x)
    if dense.ndim != 2:
        raise ShapeError(
            f"{format}_from_dense takes a matrix, not {describe(dense)}", at=user_frames()
        )
    if format == "csc":
        return transpose(_from_dense(dimshuffle(dense, 1, 0), "csr"))
    mask = neq(dense, 0)
    rows, columns = mask_positions(mask)
    starts = concatenate([as_variable(np.zeros(1, "int64")), cumsum(sum_(mask, axis=1))])
    data = getitem(dense, (rows, columns))
    return SparseVariable("csr", data, columns, starts, dim(dense, 1))


def csr_from_dense(x: Any) -> SparseVariable:
    """The elements that are not 0, in compressed rows."""
    return _from_dense(x, "csr")


def csc_from_dense(x: Any) -> SparseVariable:
    """The elements that are not 0, in compressed columns."""
    return _from_dense(x, "csc")


def remove0(x: Any) -> SparseVariable:
    """The matrix without the entries that are stored and 0."""
    matrix = as_sparse_variable(x)
    (kept,) = mask_positions(neq(matrix.data, 0))
    row, column = coordinates(matrix)
    major = getitem(row if matrix.format == "csr" else column, kept)
    picked = (getitem(v, kept) for v in (matrix.data, matrix.indices))
    return SparseVariable(matrix.format, *picked, pointers(major, matrix.major), matrix.minor)


def ensure_sorted_indices(x: Any) -> SparseVariable:
    """The matrix with sorted indices and each place once; values of one place are added up."""
    matrix = as_sparse_variable(x)
    shape = matrix.rows, matrix.columns
    return from_coordinates(matrix.format, *coordinates(matrix), matrix.data, shape)


clean = ensure_sorted_indices
