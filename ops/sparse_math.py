"""Arithmetic of sparse matrices, in terms of their vectors.

What has the name ``structured_...`` works on the stored entries and leaves all others 0. Gradients
with respect to a sparse matrix are those of its stored entries, in the same structure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, user_frames
from graphc.core.node import describe as describe_dense
from graphc.core.packed import describe
from graphc.ops import elementwise as e
from graphc.ops.axes import specify_shape
from graphc.ops.broadcast import ones_like, zeros, zeros_like
from graphc.ops.compressed import product, same_size, sampled_product, turned_product
from graphc.ops.convert import as_variable, normal_axis, operands
from graphc.ops.cumulative import cumsum, diff
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem, inc_subtensor
from graphc.ops.join import concatenate
from graphc.ops.linalg import dot as dense_dot
from graphc.ops.make import arange
from graphc.ops.masks import mask_positions
from graphc.ops.ordering import searchsorted
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle
from graphc.ops.sparse import SparseVariable, as_sparse_variable, is_scipy
from graphc.ops.sparse_structure import (
    convert,
    coordinates,
    dense_from_sparse,
    ensure_sorted_indices,
    from_coordinates,
    pointers,
    transpose,
)
from graphc.ops.tiling import repeat


def is_sparse(x: Any) -> bool:
    """Whether something is a sparse variable, or a sparse matrix of SciPy."""
    return isinstance(x, SparseVariable) or is_scipy(x)


# --- products -------------------------------------------------------------------------


def dot(x: Any, y: Any) -> Any:
    """The product of matrices of which one is sparse, or both.

    Parameters
    ----------
    x, y : matrices, or a sparse matrix and a vector
        A product with a dense one is dense; one of two sparse matrices is sparse, in the format
        of `x`.

    Raises
    ------
    ShapeError
        If the columns of `x` are not the rows of `y`.

    Examples
    --------
    >>> import numpy as np, scipy.sparse, graphc, graphc.tensor as T
    >>> from graphc import sparse
    >>> x, w = sparse.csr_matrix("x", "float64"), T.dvector("w")
    >>> f = graphc.function([x, w], sparse.dot(x, w))
    >>> f(scipy.sparse.csr_matrix([[1.0, 0.0], [0.0, 3.0]]), [1.0, 2.0])
    array([1., 6.])
    """
    if is_sparse(x) and is_sparse(y):
        return _sparse_product(as_sparse_variable(x), as_sparse_variable(y))
    if is_sparse(x):
        return _product(as_sparse_variable(x), as_variable(y), "dot")
    if is_sparse(y):
        other = as_variable(x)
        turned = other if other.ndim < 2 else dimshuffle(other, *_reversed(other))
        found = _product(transpose(as_sparse_variable(y)), turned, "dot")
        return found if other.ndim < 2 else dimshuffle(found, 1, 0)
    return dense_dot(x, y)


structured_dot = true_dot = dot


def _reversed(x: Variable) -> range:
    return range(x.ndim - 1, -1, -1)


def _met(x: SparseVariable, y: Any) -> tuple[SparseVariable, Variable]:
    """A sparse and a dense operand in one dtype."""
    data, other = operands([x.data, y])
    meeting = dtypes.promote([data.dtype, other.dtype])
    meeting = "int8" if meeting == "bool" else meeting
    return x.with_values(cast(data, meeting)), cast(other, meeting)


def _product(x: SparseVariable, y: Variable, what: str) -> Variable:
    if y.ndim == 1:
        return dimshuffle(_product(x, dimshuffle(y, 0, "x"), what), 0)
    if y.ndim != 2:
        raise ShapeError(
            f"{what}: {describe(x)} meets {describe_dense(y)}; it takes a vector or a matrix",
            at=user_frames(),
        )
    inner = x.type.shape[1], y.type.shape[0]
    if None not in inner and inner[0] != inner[1]:
        raise ShapeError(
            f"{what}: {describe(x)} and {describe_dense(y)}: the inner sizes {inner[0]} and "
            f"{inner[1]} differ", "the columns of the first are the rows of the second",
            user_frames(),
        )  # fmt: skip
    matrix, dense = _met(x, y)
    run = product if matrix.format == "csr" else turned_product
    return run(matrix.data, matrix.indices, matrix.indptr, dense, matrix.minor)


def spread(starts: Variable, picks: Variable) -> tuple[Variable, Variable]:
    """For rows that are picked, one after the other: which pick and which entry each entry is."""
    counts = getitem(diff(starts), picks)
    owner = repeat(arange(dim(picks, 0)), counts)
    first = getitem(starts, picks) - (cumsum(counts) - counts)  # type: ignore[operator]
    return owner, getitem(first, owner) + arange(dim(owner, 0))  # type: ignore[operator]


def _sparse_product(x: SparseVariable, y: SparseVariable) -> SparseVariable:
    """Every pair of an entry (i, k) of `x` and an entry (k, j) of `y` adds to (i, j)."""
    inner = x.type.shape[1], y.type.shape[0]
    if None not in inner and inner[0] != inner[1]:
        raise ShapeError(
            f"dot: {describe(x)} and {describe(y)}: the inner sizes {inner[0]} and {inner[1]} "
            "differ", "the columns of the first are the rows of the second", user_frames(),
        )  # fmt: skip
    if x.format == "csc":
        return transpose(_sparse_product(transpose(convert(y, "csc")), transpose(x)))
    x, y = convert(x, "csr"), convert(y, "csr")
    starts = specify_shape(cast(y.indptr, "int64"), (x.minor + 1,))  # type: ignore[operator]
    rows, inner_index = coordinates(x)
    of_x, of_y = spread(starts, inner_index)
    meeting = dtypes.promote([x.dtype, y.dtype])
    left, right = (cast(m.data, meeting) for m in (x, y))
    values = getitem(left, of_x) * getitem(right, of_y)  # type: ignore[operator]
    columns = getitem(coordinates(y)[1], of_y)
    return from_coordinates("csr", getitem(rows, of_x), columns, values, (x.rows, y.columns))


def sampling_dot(x: Any, y: Any, p: Any) -> SparseVariable:
    """``p * (x y^T)``, computed at the stored entries of a sparse `p` only.

    Parameters
    ----------
    x, y : matrix
        Of m and n rows, and the same number of columns.
    p : sparse matrix
        m by n.
    """
    pattern = as_sparse_variable(p)
    a, b = (as_variable(v) for v in (x, y))
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(
            f"sampling_dot takes matrices, not {describe_dense(a)} and {describe_dense(b)}",
            at=user_frames(),
        )
    meeting = dtypes.promote([a.dtype, b.dtype, pattern.dtype])
    a, b = (cast(v, meeting) for v in ((a, b) if pattern.format == "csr" else (b, a)))
    found = sampled_product(pattern.indices, pattern.indptr, a, b, pattern.minor)
    return pattern.with_values(cast(pattern.data, meeting) * found)  # type: ignore[operator]


# --- sums and products of elements ----------------------------------------------------


def add(x: Any, y: Any) -> Any:
    """The sum: sparse of two sparse matrices, dense where one is dense.

    Two sparse matrices give one with the entries of both, in the format of `x`.
    """
    if is_sparse(x) and is_sparse(y):
        a, b = as_sparse_variable(x), as_sparse_variable(y)
        shape = _same_shape(a, b, "add")
        meeting = dtypes.promote([a.dtype, b.dtype])
        (i, j), (k, m) = coordinates(a), coordinates(b)
        data = concatenate([cast(a.data, meeting), cast(b.data, meeting)])
        return from_coordinates(
            a.format, concatenate([i, k]), concatenate([j, m]), data, shape
        )
    if is_sparse(y):
        x, y = y, x
    matrix, other = as_sparse_variable(x), as_variable(y)
    if other.ndim == 0:
        raise ArgumentError(
            f"add: {describe(matrix)} and a number: all zeros would change",
            "structured_add adds to the stored entries; .toarray() makes it dense",
            user_frames(),
        )
    return e.add(dense_from_sparse(matrix), other)


def sub(x: Any, y: Any) -> Any:
    """The difference: sparse of two sparse matrices, dense where one is dense."""
    if is_sparse(y):
        return add(x, neg(y))
    return add(x, e.neg(as_variable(y)))


def _same_shape(a: SparseVariable, b: SparseVariable, what: str) -> tuple[Variable, Variable]:
    """The sizes of two matrices, which must be equal."""
    if any(None not in p and p[0] != p[1] for p in zip(a.type.shape, b.type.shape)):
        raise ShapeError(
            f"{what}: {describe(a)} and {describe(b)}: the shapes differ", at=user_frames()
        )
    found = []
    for n, m in ((a.rows, b.rows), (a.columns, b.columns)):
        found.append(same_size(n, m))
    return found[0], found[1]


def mul(x: Any, y: Any) -> SparseVariable:
    """The product of elements, which is sparse.

    Parameters
    ----------
    x, y
        One sparse; the other sparse, a number, a vector (one factor per column) or a matrix.
        Two sparse matrices give one with the entries that both have.
    """
    if is_sparse(x) and is_sparse(y):
        return _sparse_mul(as_sparse_variable(x), as_sparse_variable(y))
    if is_sparse(y):
        x, y = y, x
    matrix, other = _met(as_sparse_variable(x), y)
    if other.ndim == 0:
        return matrix.with_values(matrix.data * other)  # type: ignore[operator]
    rows, columns = coordinates(matrix)
    if other.ndim > 2:
        raise ShapeError(f"mul: {describe(matrix)} and {describe_dense(other)}", at=user_frames())
    index: Any = columns
    if other.ndim == 1 or other.type.shape == (1, None):
        other = specify_shape(other, (*(None,) * (other.ndim - 1), matrix.columns))
        index = columns if other.ndim == 1 else (0, columns)
    elif other.type.shape[1] == 1:
        other, index = specify_shape(other, (matrix.rows, None)), (rows, 0)
    else:
        other, index = specify_shape(other, (matrix.rows, matrix.columns)), (rows, columns)
    return matrix.with_values(matrix.data * getitem(other, index))  # type: ignore[operator]


multiply = mul


def _sparse_mul(x: SparseVariable, y: SparseVariable) -> SparseVariable:
    shape = _same_shape(x, y, "mul")
    a, b = ensure_sorted_indices(x), ensure_sorted_indices(convert(y, x.format))
    meeting = dtypes.promote([a.dtype, b.dtype])
    keys = [_keys(m) for m in (a, b)]
    place = searchsorted(keys[1], keys[0])
    # One key more than there are, so that a place past the end is one, and no match.
    table = concatenate([keys[1], as_variable(np.full(1, -1, "int64"))])
    (kept,) = mask_positions(e.eq(getitem(table, place), keys[0]))
    left, right = (cast(m.data, meeting) for m in (a, b))
    data = getitem(left, kept) * getitem(right, getitem(place, kept))  # type: ignore[operator]
    rows, columns = (getitem(v, kept) for v in coordinates(a))
    starts = pointers(rows if a.format == "csr" else columns, a.major)
    index = columns if a.format == "csr" else rows
    return SparseVariable(a.format, data, index, starts, shape[1 if a.format == "csr" else 0])


def _keys(x: SparseVariable) -> Variable:
    rows, columns = coordinates(x)
    major, minor = (rows, columns) if x.format == "csr" else (columns, rows)
    return major * x.minor + minor  # type: ignore[operator, no-any-return]


def neg(x: Any) -> SparseVariable:
    """``-x``."""
    matrix = as_sparse_variable(x)
    return matrix.with_values(e.neg(matrix.data))


def row_scale(x: Any, s: Any) -> SparseVariable:
    """Row i times ``s[i]``."""
    return _scaled(x, s, 0)


def col_scale(x: Any, s: Any) -> SparseVariable:
    """Column j times ``s[j]``."""
    return _scaled(x, s, 1)


def _scaled(x: Any, s: Any, axis: int) -> SparseVariable:
    matrix, factors = _met(as_sparse_variable(x), s)
    if factors.ndim != 1:
        raise ShapeError(
            f"{('row', 'col')[axis]}_scale takes a vector, not {describe_dense(factors)}",
            at=user_frames(),
        )
    factors = specify_shape(factors, ((matrix.rows, matrix.columns)[axis],))
    return matrix.with_values(
        matrix.data * getitem(factors, coordinates(matrix)[axis])  # type: ignore[operator]
    )


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Variable:
    """The sum of all elements, or along an axis: dense.

    Parameters
    ----------
    axis : {None, 0, 1}
        0 gives the sums of columns, 1 those of rows.
    sparse_grad : bool
        Taken for the sake of programs written for Theano: a sparse variable's gradient always
        is that of its stored entries.
    """
    matrix = as_sparse_variable(x)
    if axis is None:
        return sum_(matrix.data)
    place = normal_axis(axis, 2, "sp_sum")
    kept = 1 - place
    total = zeros(((matrix.rows, matrix.columns)[kept],), dtypes.sum_dtype(matrix.dtype))
    data = cast(matrix.data, total.dtype)
    return inc_subtensor(getitem(total, coordinates(matrix)[kept]), data)


def sp_ones_like(x: Any) -> SparseVariable:
    """Ones at the stored entries."""
    matrix = as_sparse_variable(x)
    return matrix.with_values(ones_like(matrix.data))


def sp_zeros_like(x: Any) -> SparseVariable:
    """A matrix of the same shape that stores nothing."""
    matrix = as_sparse_variable(x)
    return SparseVariable(
        matrix.format, zeros((0,), matrix.dtype), zeros((0,), "int64"),
        zeros_like(cast(matrix.indptr, "int64")), matrix.minor,
    )  # fmt: skip


def diag(x: Any) -> Variable:
    """The diagonal of a matrix, dense."""
    matrix = as_sparse_variable(x)
    rows, columns = coordinates(matrix)
    on = e.eq(rows, columns)
    full = zeros((matrix.rows,), matrix.dtype)
    value = e.switch(on, matrix.data, zeros_like(matrix.data))
    found = inc_subtensor(getitem(full, rows), value)
    size = e.minimum(matrix.rows, matrix.columns)
    return getitem(found, slice(None, size))


def square_diagonal(diagonal: Any) -> SparseVariable:
    """A square matrix with a vector on its diagonal, in compressed columns."""
    data = as_variable(diagonal)
    if data.ndim != 1:
        raise ShapeError(
            f"square_diagonal takes a vector, not {describe_dense(data)}", at=user_frames()
        )
    n = dim(data, 0)
    return SparseVariable("csc", data, arange(n), arange(n + 1), n)  # type: ignore[operator]
