"""Products with matrices in compressed rows, as ops over their vectors.

A matrix of n rows is `data`, `indices` and `indptr`: the entries of row i are those numbered
``indptr[i]`` to ``indptr[i + 1]``, with their columns in `indices`; `minor` is the number of
columns. Compressed columns are the same with rows and columns in each other's places, so that
one family of ops serves both. It is closed under differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core.errors import BadIndexError, GraphError, ShapeError
from graphc.core.graph import toposort
from graphc.core.node import Attrs, TensorType, Variable, describe
from graphc.core.op import Host, Library, Op, apply, declare, static_int
from graphc.ops.complexes import conj
from graphc.ops.shape import dim

Maker = Callable[..., Variable]
OTHER_SIZE, BAD_POINTER, BAD_INDEX = 1, 2, 3  # what kernels write into the error record


def _major(indptr: Variable) -> int | None:
    n = indptr.type.shape[0]
    if n == 0:
        raise ShapeError("indptr is empty; a matrix of n rows has n + 1 pointers")
    return None if n is None else n - 1


def _entries(*vectors: Variable) -> int | None:
    """How many entries a matrix has."""
    sizes = {v.type.shape[0] for v in vectors} - {None}
    if len(sizes) > 1:
        raise ShapeError(f"data and indices differ in length: {' and '.join(map(str, sizes))}")
    return sizes.pop() if sizes else None


def _same(a: int | None, b: int | None, what: str) -> None:
    if None not in (a, b) and a != b:
        raise ShapeError(f"{what}: {a} and {b}", "compare the shapes; .T transposes")


def _check_pointers(indptr: Any, count: int) -> None:
    if indptr[0] != 0 or indptr[-1] != count or (np.diff(indptr) < 0).any():
        raise ValueError(f"indptr must rise from 0 to the number of entries, {count}")


def _check(indices: Any, indptr: Any, minor: Any, count: int) -> None:
    """Raise unless the vectors describe a matrix of `minor` columns and `count` entries."""
    _check_pointers(indptr, count)
    if count and not (indices.min() >= 0 and indices.max() < minor):
        raise IndexError(f"indices from {indices.min()} to {indices.max()}, of {minor}")


def _matrix(data: Any, indices: Any, indptr: Any, minor: Any) -> Any:
    """A SciPy matrix."""
    from scipy.sparse import csr_matrix

    count = min(int(indptr[-1]), len(data))  # of longer vectors, the first entries count
    _check(indices[:count], indptr, int(minor), count)
    shape = (len(indptr) - 1, int(minor))
    return csr_matrix((data[:count], indices[:count], indptr), shape=shape)


def _plain(dense: Any, dtype: Any) -> Any:
    """SciPy has no products of float16."""
    return dense.astype("float32") if dtype == np.float16 else dense


def _same_rows(minor: Any, b: Any) -> None:
    if int(minor) != b.shape[0]:
        raise ValueError(f"a matrix of {int(minor)} columns meets one of {b.shape[0]} rows")


# --- types and meaning ----------------------------------------------------------------


def _rows_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    n, count = _major(args[0]), _entries(args[1])
    if n == 0 and count:
        raise ShapeError(f"{count} entries in a matrix without rows")
    return TensorType("int64", (count,))


def _rows_numpy(indptr: Any, indices: Any) -> Any:
    _check_pointers(indptr, len(indices))
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _dot_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    data, indices, indptr, b, minor = args
    _entries(data, indices)
    _same(static_int(minor), b.type.shape[0], "the inner sizes differ")
    return TensorType(data.dtype, (_major(indptr), b.type.shape[1]))


def _dot_numpy(data: Any, indices: Any, indptr: Any, b: Any, minor: Any) -> Any:
    _same_rows(minor, b)
    matrix = _matrix(_plain(data, data.dtype), indices, indptr, minor)
    return np.asarray(matrix @ _plain(b, b.dtype))


def _turned_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    data, indices, indptr, b, minor = args
    _entries(data, indices)
    _same(_major(indptr), b.type.shape[0], "the inner sizes differ")
    return TensorType(data.dtype, (static_int(minor), b.type.shape[1]))


def _turned_numpy(data: Any, indices: Any, indptr: Any, b: Any, minor: Any) -> Any:
    matrix = _matrix(_plain(data, data.dtype), indices, indptr, minor)
    return np.asarray(matrix.T @ _plain(b, b.dtype))


def _sampled_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    indices, indptr, a, b, minor = args
    n = _major(indptr)
    _same(n, a.type.shape[0], "the pattern and the first matrix differ in their rows")
    _same(static_int(minor), b.type.shape[0],
          "the pattern's columns and the second matrix's rows differ")  # fmt: skip
    _same(a.type.shape[1], b.type.shape[1], "the inner sizes differ")
    if n == 0 and _entries(indices):
        raise ShapeError(f"{_entries(indices)} entries in a matrix without rows")
    return TensorType(a.dtype, (_entries(indices),))


def _sampled_numpy(indices: Any, indptr: Any, a: Any, b: Any, minor: Any) -> Any:
    _same_rows(minor, b)
    _check(indices, indptr, int(minor), len(indices))
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.einsum("pk,pk->p", a[rows], b[indices])


def _order_numpy(indices: Any, indptr: Any, minor: Any) -> Any:
    return _matrix(np.arange(len(indices)), indices, indptr, minor).tocsc().data


# --- derivatives ----------------------------------------------------------------------


def _dot_vjp(g: Variable, out: Variable, *args: Variable) -> tuple[Variable | None, ...]:
    data, indices, indptr, b, minor = args
    return (
        sampled_product(indices, indptr, g, conj(b), minor), None, None,
        turned_product(conj(data), indices, indptr, g, dim(b, 0)), None,
    )  # fmt: skip


def _turned_vjp(g: Variable, out: Variable, *args: Variable) -> tuple[Variable | None, ...]:
    data, indices, indptr, b, minor = args
    return (
        sampled_product(indices, indptr, conj(b), g, minor), None, None,
        product(conj(data), indices, indptr, g, minor), None,
    )  # fmt: skip


def _sampled_vjp(g: Variable, out: Variable, *args: Variable) -> tuple[Variable | None, ...]:
    indices, indptr, a, b, minor = args
    return (
        None, None, product(g, indices, indptr, conj(b), minor),
        turned_product(g, indices, indptr, conj(a), dim(b, 0)), None,
    )  # fmt: skip


def _bilinear(name: str, first: int, second: int) -> Callable[..., Variable | None]:
    """The tangent of what is linear in each of two operands."""

    def push(tangents: Any, out: Variable, *args: Variable) -> Variable | None:
        parts = [
            apply(_OPS[name], (*args[:k], tangents[k], *args[k + 1 :]), {})
            for k in (first, second) if tangents[k] is not None
        ]  # fmt: skip
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator]

    return push


def explain(about: Variable, record: Any) -> GraphError:
    """The error for what a kernel found."""
    kind, found, limit = (int(n) for n in record[:3])
    label = about.op.name if about.op is not None else ""
    if kind == OTHER_SIZE:
        what = f"{label}: a sparse matrix of {found} columns meets a dense one of {limit} rows"
        return ShapeError(what, "compare the shapes; .T transposes", about.where)
    if kind == BAD_POINTER:
        what = f"{label}: indptr has {found}, and must rise from 0 to {limit}, the entries"
        return ShapeError(what, "check the vectors given to CSR or CSC", about.where)
    what = f"{label}: index {found} is outside an axis of size {limit}, in {describe(about)}"
    return BadIndexError(what, "check the vectors given to CSR or CSC", about.where)


_rows = declare(
    Op("csr_rows", _rows_infer, _rows_numpy, Library("sparse"), shape_only=(1,), checks=True,
       formula="the row of each entry", facts={"explain": explain, "folds": False})
)  # fmt: skip
_product = declare(
    Op("csr_dot", _dot_infer, _dot_numpy, Library("sparse"), vjp=_dot_vjp,
       jvp=_bilinear("csr_dot", 0, 3), formula="a b for a matrix a in compressed rows",
       checks=True, facts={"explain": explain})
)  # fmt: skip
_turned = declare(
    Op("csr_dot_turned", _turned_infer, _turned_numpy, Library("sparse"), vjp=_turned_vjp,
       jvp=_bilinear("csr_dot_turned", 0, 3), formula="a^T b for a matrix a in compressed rows",
       size_args=lambda n, attrs: (4,), checks=True, facts={"explain": explain})
)  # fmt: skip
_sampled = declare(
    Op("csr_sampled_dot", _sampled_infer, _sampled_numpy, Library("sparse"), vjp=_sampled_vjp,
       jvp=_bilinear("csr_sampled_dot", 2, 3),
       formula="sum over k of a[i, k] b[j, k] at each entry (i, j) of a pattern",
       checks=True, facts={"explain": explain})
)  # fmt: skip
_order = declare(
    Op("csr_order", lambda args, attrs: TensorType("int64", (_entries(args[0]),)), _order_numpy,
       Host(), formula="the entries' numbers in the order of columns, then rows", checks=True)
)  # fmt: skip
def _same_size_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    _same(static_int(args[0]), static_int(args[1]), "the sizes of sparse matrices differ")
    return TensorType("int64", ())


def _same_size_numpy(a: Any, b: Any) -> Any:
    if a != b:
        raise ValueError(f"the sizes {a} and {b} of sparse matrices differ")
    return a


_same_size = declare(
    Op("same_size", _same_size_infer, _same_size_numpy, Host(),
       formula="x, which must equal y", checks=True)
)  # fmt: skip
_OPS = {op.name: op for op in (_product, _turned, _sampled)}


def rows_of(indptr: Variable, indices: Variable) -> Variable:
    """The row of each entry."""
    return apply(_rows, (indptr, indices), {})


def product(
    data: Variable, indices: Variable, indptr: Variable, b: Variable, minor: Variable
) -> Variable:
    """The matrix times a dense one of the same dtype."""
    return apply(_product, (data, indices, indptr, b, minor), {})


def turned_product(
    data: Variable, indices: Variable, indptr: Variable, b: Variable, minor: Variable
) -> Variable:
    """The transposed matrix times a dense one of the same dtype."""
    return apply(_turned, (data, indices, indptr, b, minor), {})


def sampled_product(
    indices: Variable, indptr: Variable, a: Variable, b: Variable, minor: Variable
) -> Variable:
    """The elements of ``a b^T`` at the entries of a pattern."""
    return apply(_sampled, (indices, indptr, a, b, minor), {})


def tolerates_more(roots: Sequence[Variable], data: Variable, indices: Variable) -> bool:
    """Whether entries behind the last one that `indptr` counts would change nothing.

    So it is where they only meet numbers and products, which leave them out.
    """
    longer = {data, indices}
    for v in toposort(roots):
        met = {k for k, a in enumerate(v.args) if a in longer}
        if not met or (v.op in (_product, _turned) and met == {0, 1}):
            continue
        if v.op is None or not v.op.elementwise:
            return False
        if any(a.ndim and a not in longer for a in v.args):
            return False
        longer.add(v)
    return longer.isdisjoint(roots)


def order_by_minor(indices: Variable, indptr: Variable, minor: Variable) -> Variable:
    """The entries' numbers in the order of columns, then rows."""
    return apply(_order, (indices, indptr, minor), {})


def same_size(a: Variable, b: Variable) -> Variable:
    """A size that two matrices must share; checked at run time where it isn't known."""
    known = static_int(a)
    if known is not None and known == static_int(b):
        return a
    return apply(_same_size, (a, b), {})
