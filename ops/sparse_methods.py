"""Functions of stored entries, parts and blocks of sparse matrices, and their operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, BadIndexError, ShapeError
from graphc.core.node import Variable, user_frames
from graphc.core.op import static_int
from graphc.core.packed import describe
from graphc.ops import elementwise as e
from graphc.ops.broadcast import zeros_like
from graphc.ops.complexes import abs_
from graphc.ops.compressed import same_size
from graphc.ops.convert import as_variable, is_number
from graphc.ops.elementwise import cast
from graphc.ops.index import checked_index, getitem
from graphc.ops.join import concatenate
from graphc.ops.make import arange
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle
from graphc.ops.sparse import SparseVariable, as_sparse_variable
from graphc.ops.sparse_math import (
    add,
    diag,
    dot,
    is_sparse,
    mul,
    neg,
    sp_ones_like,
    sp_sum,
    sp_zeros_like,
    spread,
    sub,
)
from graphc.ops.sparse_structure import (
    convert,
    coordinates,
    dense_from_sparse,
    pointers,
    transpose,
)

# --- functions of stored entries ------------------------------------------------------


def structured(function: Callable[..., Variable]) -> Callable[..., SparseVariable]:
    """A function of elements, applied to the stored entries of its first operand."""

    def apply_to(x: Any, *others: Any) -> SparseVariable:
        matrix = as_sparse_variable(x)
        return matrix.with_values(function(matrix.data, *others))

    name = getattr(function, "name", function.__name__).rstrip("_")
    apply_to.__doc__ = f"`{name}` of the stored entries; all others stay 0."
    return apply_to


_ANY = {
    "sigmoid": e.sigmoid, "exp": e.exp, "log": e.log, "pow": e.pow_, "minimum": e.minimum,
    "maximum": e.maximum, "add": e.add, "abs": abs_,
}  # fmt: skip
_ZERO_AT_ZERO = (
    "sqr", "sqrt", "sin", "tan", "arcsin", "arctan", "sinh", "arcsinh", "tanh", "arctanh",
    "log1p", "expm1", "ceil", "floor", "trunc", "sgn",
)  # fmt: skip
STRUCTURED = {f"structured_{name}": structured(f) for name, f in _ANY.items()}
STRUCTURED |= {name: structured(getattr(e, name)) for name in _ZERO_AT_ZERO}


def cast_sparse(x: Any, dtype: str) -> SparseVariable:
    """The matrix with its entries in another dtype."""
    matrix = as_sparse_variable(x)
    return matrix.with_values(cast(matrix.data, dtype))


# --- parts and blocks -----------------------------------------------------------------


def pick(x: SparseVariable, index: Any, axis: int) -> SparseVariable:
    """Rows or columns by an integer, a slice or a vector of integers; in the same format."""
    if axis == 1:
        return transpose(pick(transpose(x), index, 0))
    matrix = convert(x, "csr")
    every = arange(matrix.rows)
    picks = getitem(every, index)
    if picks.ndim == 0:
        picks = dimshuffle(picks, "x")
    owner, entry = spread(cast(matrix.indptr, "int64"), picks)
    data, columns = getitem(matrix.data, entry), getitem(cast(matrix.indices, "int64"), entry)
    starts = pointers(owner, dim(picks, 0))
    return convert(SparseVariable("csr", data, columns, starts, matrix.minor), x.format)


def index(x: SparseVariable, key: Any) -> Any:
    """``x[i, j]`` is a scalar; slices, vectors and one integer alone give a sparse matrix."""
    entries = key if isinstance(key, tuple) else (key,)
    if len(entries) > 2 or any(k is None or k is Ellipsis for k in entries):
        raise BadIndexError(
            f"{describe(x)} takes one or two indices: x[i, j], x[a:b], x[a:b, c:d], x[[1, 2]]",
            at=user_frames(),
        )
    kinds = [-1 if isinstance(k, slice) else as_variable(k).ndim for k in entries]
    if kinds == [0, 0]:
        i, j = (checked_index(k, n) for k, n in zip(entries, (x.rows, x.columns)))
        rows, columns = coordinates(x)
        there = e.and_(e.eq(rows, i), e.eq(columns, j))
        return sum_(e.switch(there, x.data, zeros_like(x.data)))
    for axis, k in enumerate(entries):
        if not (isinstance(k, slice) and k == slice(None)):
            x = pick(x, k, axis)
    return x


def _stacked(blocks: Any, format: str, what: str) -> SparseVariable:
    """Matrices in one format behind each other along its major axis."""
    found = [convert(b, format) for b in blocks]
    if not found:
        raise ArgumentError(f"{what} of nothing", at=user_frames())
    meeting = dtypes.promote([b.dtype for b in found])
    sizes = {static_int(b.minor) for b in found} - {None}
    if len(sizes) > 1:
        raise ShapeError(
            f"{what}: {', '.join(map(describe, found))}: the sizes differ", at=user_frames()
        )
    starts, before = [as_variable(np.zeros(1, "int64"))], as_variable(0)
    for b in found:
        starts.append(getitem(cast(b.indptr, "int64"), slice(1, None)) + before)
        before = before + b.nnz  # type: ignore[operator]
    minor = found[0].minor
    for b in found[1:]:
        minor = same_size(minor, b.minor)
    data = concatenate([cast(b.data, meeting) for b in found])
    indices = concatenate([cast(b.indices, "int64") for b in found])
    return SparseVariable(format, data, indices, concatenate(starts), minor)


def vstack(blocks: Any, format: str = "csc", dtype: str | None = None) -> SparseVariable:
    """Matrices below each other, in a format."""
    return _cast_if(convert(_stacked(blocks, "csr", "vstack"), format), dtype)


def hstack(blocks: Any, format: str = "csc", dtype: str | None = None) -> SparseVariable:
    """Matrices beside each other, in a format."""
    return _cast_if(convert(_stacked(blocks, "csc", "hstack"), format), dtype)


def _cast_if(x: SparseVariable, dtype: str | None) -> SparseVariable:
    return x if dtype is None else cast_sparse(x, dtype)


# --- operators and methods ------------------------------------------------------------


def _divided(x: SparseVariable, y: Any) -> SparseVariable:
    if is_sparse(y):
        raise ArgumentError(
            f"{describe(x)} can't be divided by a sparse matrix: its zeros divide",
            at=user_frames(),
        )
    return mul(x, e.true_div(as_variable(1, x.dtype) if dtypes.is_float(x.dtype) else 1, y))


def _power(x: SparseVariable, y: Any) -> SparseVariable:
    if not is_number(y) or y <= 0:  # type: ignore[operator]
        raise ArgumentError(
            f"{describe(x)} ** {y!r}: only a positive number as exponent keeps zeros",
            "structured_pow changes the stored entries alone", user_frames(),
        )  # fmt: skip
    return STRUCTURED["structured_pow"](x, y)


def _mean(x: SparseVariable, axis: int | None = None) -> Variable:
    total = sp_sum(x, axis)
    count = x.rows * x.columns if axis is None else (x.rows, x.columns)[axis]  # type: ignore
    return total / cast(count, dtypes.float_for(total.dtype))  # type: ignore[operator, no-any-return]


METHODS: dict[str, Callable[..., Any]] = {
    "__add__": add, "__radd__": lambda a, b: add(b, a), "__sub__": sub,
    "__rsub__": lambda a, b: sub(b, a), "__mul__": mul, "__rmul__": lambda a, b: mul(b, a),
    "__matmul__": dot, "__rmatmul__": lambda a, b: dot(b, a), "__neg__": neg,
    "__pos__": lambda a: a,
    "__abs__": STRUCTURED["structured_abs"], "__truediv__": _divided,
    "__rtruediv__": lambda a, b: e.true_div(b, a), "__pow__": _power,
    "__getitem__": index, "product": staticmethod(dot), "dot": dot, "toarray": dense_from_sparse,
    "todense": dense_from_sparse, "tocsr": lambda x: convert(x, "csr"),
    "tocsc": lambda x: convert(x, "csc"), "asformat": convert, "astype": cast_sparse,
    "transpose": transpose, "sum": sp_sum, "mean": _mean, "diagonal": diag,
    "multiply": mul, "zeros_like": sp_zeros_like, "ones_like": sp_ones_like,
}  # fmt: skip
for _name, _method in METHODS.items():
    setattr(SparseVariable, _name, _method)
SparseVariable.T = property(transpose, doc="The transposed matrix.")  # type: ignore[attr-defined]
