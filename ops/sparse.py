"""Sparse matrices: a facade over dense vectors, so that the compiler sees these alone.

A matrix in the format ``csr`` (compressed sparse rows) has the entries of row i at ``indptr[i]``
to ``indptr[i + 1]`` of `data`, their columns at the same places of `indices`. In ``csc`` it is
the same with rows and columns in each other's places; the axis of `indptr` is the major one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.config import config
from graphc.core.errors import ArgumentError, DTypeError, ShapeError
from graphc.core.node import Array, Constant, TensorType, Variable, fits, user_frames
from graphc.core.op import static_int
from graphc.core.packed import Packed, describe
from graphc.ops.compressed import tolerates_more
from graphc.ops.convert import as_size, as_variable
from graphc.ops.elementwise import cast
from graphc.ops.shape import dim, make_vector

FORMATS = ("csr", "csc")
DTYPES = tuple(d for d in dtypes.ALL if d != "float16")  # those that SciPy has matrices of
LONGEST = np.iinfo("int32").max

Size = int | None


@dataclass(frozen=True)
class SparseType:
    """The format, dtype and sizes of a sparse matrix; ``None`` is a size known at run time.

    Calling it makes an input.

    Examples
    --------
    >>> from graphc import sparse
    >>> sparse.SparseType("csr", "float64", (None, 3))("x").type
    SparseType(format='csr', dtype='float64', shape=(None, 3))
    """

    format: str
    dtype: str
    shape: tuple[Size, Size] = (None, None)
    ndim = 2

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ArgumentError(
                f"a sparse format is 'csr' or 'csc', not {self.format!r}", at=user_frames()
            )
        if self.dtype not in DTYPES:
            raise DTypeError(
                f"sparse matrices have no dtype {self.dtype!r}", f"one of {', '.join(DTYPES)}",
                user_frames(),
            )  # fmt: skip
        if len(self.shape) != 2:
            raise ShapeError(f"a matrix has two sizes, not {self.shape}", at=user_frames())

    @property
    def broadcastable(self) -> tuple[bool, bool]:
        return False, False

    def __call__(self, name: str | None = None) -> SparseVariable:
        """A new input of this type."""
        label = name or "sparse"
        major, minor = turn(self.format, self.shape)
        pointers = None if major is None else major + 1
        return SparseVariable(
            self.format,
            Variable(TensorType(self.dtype, (None,)), name=f"{label}.data"),
            Variable(TensorType("int32", (None,)), name=f"{label}.indices"),
            Variable(TensorType("int32", (pointers,)), name=f"{label}.indptr"),
            Variable(TensorType("int64", ()), name=f"{label}.minor")
            if minor is None else Constant(minor, "int64"),
            name,
        )  # fmt: skip

    def __str__(self) -> str:
        sizes = ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.format} {self.dtype}[{sizes}]"


def turn(format: str, pair: Sequence[Any]) -> tuple[Any, Any]:
    """Rows and columns as major and minor, and back."""
    return (pair[0], pair[1]) if format == "csr" else (pair[1], pair[0])


class SparseVariable(Packed):
    """A symbolic sparse matrix.

    Attributes
    ----------
    format : {'csr', 'csc'}
    data, indices, indptr : vector
        Values, their places along the minor axis, and where each major row begins.
    minor : integer scalar
        The size of the minor axis: the columns of a csr matrix, the rows of a csc one.
    """

    ndim = 2
    labels = ("data", "indices", "indptr", "minor")

    def __init__(
        self, format: str, data: Variable, indices: Variable, indptr: Variable, minor: Variable,
        name: str | None = None,
    ) -> None:  # fmt: skip
        self.format, self.name = format, name
        self.data, self.indices, self.indptr, self.minor = data, indices, indptr, minor
        self.where = user_frames()

    @property
    def type(self) -> SparseType:
        pointers = self.indptr.type.shape[0]
        major = None if pointers is None else pointers - 1
        shape = turn(self.format, (major, static_int(self.minor)))
        return SparseType(self.format, self.dtype, shape)

    @property
    def dtype(self) -> str:
        return self.data.dtype

    @property
    def parts(self) -> tuple[Variable, ...]:
        return self.data, self.indices, self.indptr, self.minor

    @property
    def values(self) -> Variable:
        return self.data

    def with_parts(self, parts: Sequence[Variable]) -> SparseVariable:
        return SparseVariable(self.format, *parts, name=self.name)

    def with_values(self, values: Variable) -> SparseVariable:
        return SparseVariable(self.format, values, self.indices, self.indptr, self.minor)

    @property
    def major(self) -> Variable:
        """The size of the major axis."""
        known = self.indptr.type.shape[0]
        if known is not None:
            return Constant(known - 1, "int64")
        return dim(self.indptr, 0) - 1  # type: ignore[operator, no-any-return]

    @property
    def rows(self) -> Variable:
        """The number of rows."""
        return self.major if self.format == "csr" else self.minor

    @property
    def columns(self) -> Variable:
        """The number of columns."""
        return self.minor if self.format == "csr" else self.major

    @property
    def shape(self) -> Variable:
        """The two sizes as a symbolic vector."""
        return make_vector([self.rows, self.columns])

    @property
    def nnz(self) -> Variable:
        """How many entries are stored."""
        return dim(self.data, 0)

    # --- at the doors of functions ----------------------------------------------------

    def take_apart(self, value: Any, label: str) -> list[Array]:
        if not is_scipy(value):
            self._refuse(
                label, f"a {type(value).__name__} came",
                f"pass scipy.sparse.{self.format}_matrix(value)",
            )  # fmt: skip
        if value.format != self.format or value.ndim != 2:
            self._refuse(
                label, f"a matrix in the format {value.format!r} came",
                f"pass value.to{self.format}()",
            )  # fmt: skip
        if value.dtype != self.dtype and not fits(value.data, self.dtype):
            self._refuse(
                label, f"a matrix of {value.dtype} came: that would lose precision",
                f"pass value.astype({self.dtype!r})",
            )  # fmt: skip
        declared = self.type.shape
        if any(n is not None and n != m for n, m in zip(declared, value.shape)):
            self._refuse(
                label, f"a matrix of shape {value.shape} came",
                "declare the axis with an open size (None) if it varies", ShapeError,
            )  # fmt: skip
        count = int(value.indptr[-1])
        if max(count, *value.shape) > LONGEST:
            self._refuse(
                label, f"a matrix of shape {value.shape} with {count} entries came",
                f"sizes and entries are limited to {LONGEST}", ShapeError,
            )  # fmt: skip
        found = (value.data[:count], value.indices[:count], value.indptr)
        minor = turn(self.format, value.shape)[1]
        kinds = (self.dtype, self.indices.dtype, self.indptr.dtype, "int64")
        return [np.ascontiguousarray(a, dtypes.numpy_dtype(d)) for a, d in zip(found, kinds)] + [
            np.asarray(minor, "int64")
        ]

    def may_lengthen(self, roots: Sequence[Variable]) -> bool:
        return tolerates_more(roots, self.data, self.indices)

    def lengthen(self, arrays: list[Array]) -> list[Array]:
        data, indices, *rest = arrays
        count = len(data)
        step = 1 << max(count.bit_length() - 3, 4)  # four lengths from a power of two to the next
        more = -(-count // step) * step - count
        return [*(np.concatenate([a, np.zeros(more, a.dtype)]) for a in (data, indices)), *rest]

    def _refuse(self, label: str, what: str, hint: str, kind: Any = DTypeError) -> None:
        raise kind(f"{label}: it is declared {self.type} and {what}", hint, self.where)

    def put_together(self, arrays: Sequence[Array]) -> Any:
        import scipy.sparse

        data, indices, indptr, minor = arrays
        shape = turn(self.format, (len(indptr) - 1, int(minor)))
        kind = getattr(scipy.sparse, f"{self.format}_matrix")
        return kind((data, indices, indptr), shape=shape, copy=False)

    def fit(self, other: Any, what: str) -> Sequence[Variable]:
        new = as_sparse_variable(other)
        if new.format != self.format or new.dtype != self.dtype:
            raise DTypeError(
                f"{what}: {describe(self)} can't become {describe(new)}",
                f"convert it: .to{self.format}().astype({self.dtype!r})", new.where,
            )  # fmt: skip
        known = zip(self.type.shape, new.type.shape)
        if any(None not in pair and pair[0] != pair[1] for pair in known):
            raise ShapeError(
                f"{what}: {describe(self)} can't become {describe(new)}: the shapes differ",
                at=new.where,
            )
        kinds = (p.dtype for p in self.parts)
        return [cast(p, d) for p, d in zip(new.parts, kinds)]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(Variable, name):
            raise AttributeError(
                f"{describe(self)} is sparse and has no {name!r}: take an op of graphc.sparse, "
                "or make it dense with .toarray()"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __iter__(self) -> Any:
        raise TypeError(f"{describe(self)} can't be iterated over: take rows, x[i]")

    def __contains__(self, item: Any) -> bool:
        raise TypeError(f"'in' needs values, and {describe(self)} has none yet")

    def __len__(self) -> int:
        raise TypeError("the length of a sparse matrix is ambiguous: use x.shape[0] or x.nnz")

    __hash__ = object.__hash__


# --- making ---------------------------------------------------------------------------


def is_scipy(value: Any) -> bool:
    """Whether a value is a sparse matrix or array of SciPy."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(value))


def matrix(
    format: str, name: str | None = None, dtype: str | None = None,
    shape: tuple[Size, Size] = (None, None),
) -> SparseVariable:  # fmt: skip
    """An input in a format, 'csr' or 'csc'; of ``floatX`` unless `dtype` says otherwise."""
    return SparseType(format, dtype or config.floatX, tuple(shape))(name)  # type: ignore[arg-type]


def _constructor(format: str, dtype: str | None) -> Callable[..., SparseVariable]:
    given = dtype

    def make(
        name: str | None = None, dtype: str | None = None, shape: tuple[Size, Size] = (None, None)
    ) -> SparseVariable:
        return matrix(format, name, dtype or given, shape)

    kind = dtype or "``floatX`` unless `dtype` says otherwise"
    make.__doc__ = f"An input: a sparse matrix in the format {format}, of {kind}."
    return make


csr_matrix, csc_matrix = _constructor("csr", None), _constructor("csc", None)
csr_fmatrix, csr_dmatrix = _constructor("csr", "float32"), _constructor("csr", "float64")
csc_fmatrix, csc_dmatrix = _constructor("csc", "float32"), _constructor("csc", "float64")


def as_sparse_variable(x: Any, name: str | None = None) -> SparseVariable:
    """A sparse variable as it is; a matrix of SciPy as a constant.

    Raises
    ------
    ArgumentError
        For anything dense: `csr_from_dense` and `csc_from_dense` make it sparse.
    """
    if isinstance(x, SparseVariable):
        return x
    if not is_scipy(x):
        raise ArgumentError(
            f"{x!r} of type {type(x).__name__} is not sparse",
            "make it so with csr_from_dense or csc_from_dense, or scipy.sparse.csr_matrix",
            user_frames(),
        )
    held = x if x.format in FORMATS else x.tocsr()
    model = SparseType(held.format, dtypes.canonical(held.dtype), held.shape)(name)
    arrays = model.take_apart(held, name or "constant")
    return model.with_parts([Constant(a) for a in arrays])


as_sparse = as_sparse_or_tensor_variable = as_sparse_variable


def _csm(format: str, data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    values, places, pointers = (as_variable(v) for v in (data, indices, indptr))
    for v, label in ((values, "data"), (places, "indices"), (pointers, "indptr")):
        if v.ndim != 1 or (v is not values and not dtypes.is_integer(v.dtype)):
            raise ArgumentError(
                f"{format.upper()}: {label} must be a vector{'' if v is values else ' of integers'}"
                f", not {v!r}: {v.type}", at=user_frames(),
            )  # fmt: skip
    rows, columns = shape if isinstance(shape, list | tuple) else (shape[0], shape[1])
    major, minor = turn(format, (as_size(rows, "rows"), as_size(columns, "columns")))
    known, count = static_int(major), pointers.type.shape[0]
    if None not in (known, count) and count != known + 1:  # type: ignore[operator]
        raise ShapeError(
            f"{format.upper()}: indptr has {count} entries; {known} need {known + 1}",  # type: ignore
            at=user_frames(),
        )
    index = [v if v.dtype in ("int32", "int64") else cast(v, "int64") for v in (places, pointers)]
    return SparseVariable(format, values, *index, cast(minor, "int64"))


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix in compressed rows from its vectors and its two sizes.

    Parameters
    ----------
    data, indices, indptr : vector
        As of ``scipy.sparse.csr_matrix``; gradients flow to `data`.
    shape : pair of integers, or symbolic vector
    """
    return _csm("csr", data, indices, indptr, shape)


def CSC(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix in compressed columns from its vectors and its two sizes; see `CSR`."""
    return _csm("csc", data, indices, indptr, shape)
