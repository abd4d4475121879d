"""Sparse matrices: ``from graphc import sparse``, under the names of ``theano.sparse``.

A sparse variable is made of dense vectors (`csm_properties`), so that everything the compiler
does holds for it. Functions take and return matrices of SciPy.
"""

from __future__ import annotations

from typing import Any

from graphc.core.node import Variable
from graphc.ops.sparse import (
    CSC,
    CSR,
    DTYPES,
    SparseType,
    SparseVariable,
    as_sparse,
    as_sparse_or_tensor_variable,
    as_sparse_variable,
    csc_dmatrix,
    csc_fmatrix,
    csc_matrix,
    csr_dmatrix,
    csr_fmatrix,
    csr_matrix,
    matrix,
)
from graphc.ops.sparse_math import (
    add,
    col_scale,
    diag,
    dot,
    is_sparse,
    mul,
    multiply,
    neg,
    row_scale,
    sampling_dot,
    sp_ones_like,
    sp_sum,
    sp_zeros_like,
    square_diagonal,
    structured_dot,
    sub,
    true_dot,
)
from graphc.ops.sparse_methods import STRUCTURED, hstack, structured, vstack
from graphc.ops.sparse_methods import cast_sparse as cast
from graphc.ops.sparse_structure import (
    clean,
    convert,
    csc_from_dense,
    csr_from_dense,
    dense_from_sparse,
    ensure_sorted_indices,
    remove0,
    transpose,
)
from graphc.sparse.shared import SparseSharedVariable

enable_sparse = True
all_dtypes = DTYPES
is_sparse_variable = _is_sparse_variable = is_sparse
subtract, minus = sub, sub


def csm_properties(x: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """The vectors `data`, `indices` and `indptr` of a matrix, and its shape."""
    matrix = as_sparse_variable(x)
    return matrix.data, matrix.indices, matrix.indptr, matrix.shape


def csm_data(x: Any) -> Variable:
    """The stored values."""
    return as_sparse_variable(x).data


def csm_indices(x: Any) -> Variable:
    """The column of each stored value, or the row in compressed columns."""
    return as_sparse_variable(x).indices


def csm_indptr(x: Any) -> Variable:
    """Where each row begins, or each column in compressed columns."""
    return as_sparse_variable(x).indptr


def csm_shape(x: Any) -> Variable:
    """The two sizes as a vector of integers."""
    return as_sparse_variable(x).shape


def CSM(format: str) -> Any:
    """`CSR` or `CSC`, by name."""
    return {"csr": CSR, "csc": CSC}[format]


globals().update(STRUCTURED)

__all__ = [
    "CSC", "CSM", "CSR", "STRUCTURED", "SparseSharedVariable", "SparseType", "SparseVariable",
    "add", "all_dtypes", "as_sparse", "as_sparse_or_tensor_variable", "as_sparse_variable",
    "cast", "clean", "col_scale", "convert", "csc_dmatrix", "csc_fmatrix", "csc_from_dense",
    "csc_matrix", "csm_data", "csm_indices", "csm_indptr", "csm_properties", "csm_shape",
    "csr_dmatrix", "csr_fmatrix", "csr_from_dense", "csr_matrix", "dense_from_sparse", "diag",
    "dot", "enable_sparse", "ensure_sorted_indices", "hstack", "is_sparse", "is_sparse_variable",
    "matrix", "mul", "multiply", "neg", "remove0", "row_scale", "sampling_dot", "sp_ones_like",
    "sp_sum", "sp_zeros_like", "square_diagonal", "structured", "structured_dot", "sub",
    "subtract", "transpose", "true_dot", "vstack", *STRUCTURED,
]  # fmt: skip
