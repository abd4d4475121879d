"""Decompositions of matrices, or of stacks of them.

Each part of a decomposition is an op of its own; LAPACK is called through NumPy, between
native steps. Gradients are from M. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), where no other source is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, TensorType, Variable, user_frames
from graphc.core.op import NullGradient, Op, apply
from graphc.ops.broadcast import zeros_like
from graphc.ops.complexes import abs_, complex, conj, imag, real
from graphc.ops.elementwise import cast, eq, sqr, switch, zeros_of
from graphc.ops.index import getitem
from graphc.ops.inverses import inverse_op, matrix_inverse
from graphc.ops.join import join
from graphc.ops.make import arange
from graphc.ops.reduce import argmax
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, dimshuffle
from graphc.ops.stacks import (
    adjoint,
    declare_host,
    diagonal_matrix,
    diagonal_of,
    diagonal_part,
    floats,
    inverse_differences,
    lapack,
    lower_part,
    product,
    remembered,
    row,
    same_square,
    square,
    turned,
    upper_part,
)

# --- eigenvalues ----------------------------------------------------------------------

_eigh_numpy = remembered(lambda x, UPLO: np.linalg.eigh(x, UPLO))


def _one_vector(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x = args[0]
    return TensorType(x.dtype, (*x.type.shape[:-2], square(x)))


def _as_read(g: Variable, uplo: str) -> Variable:
    """A gradient of the symmetric matrix, as one of the triangle that is read."""
    part = lower_part if uplo == "L" else upper_part
    return part(g + turned(g)) - diagonal_part(g)  # type: ignore[operator, no-any-return]


def _eigh_values_vjp(g: Variable, out: Variable, x: Variable, UPLO: str) -> tuple[Variable]:
    v = apply(_eigh_vectors, (x,), {"UPLO": UPLO})
    return (_as_read(product(v * row(g), turned(v)), UPLO),)  # type: ignore[operator]


def _eigh_vectors_vjp(g: Variable, out: Variable, x: Variable, UPLO: str) -> tuple[Variable]:
    w = apply(_eigh_values, (x,), {"UPLO": UPLO})
    inner = inverse_differences(w) * product(turned(out), g)  # type: ignore[operator]
    return (_as_read(product(out, inner, turned(out)), UPLO),)


_eigh_values = declare_host(
    "eigh_values", _one_vector, lapack(lambda x, UPLO: _eigh_numpy(0, x, UPLO=UPLO)),
    _eigh_values_vjp, "w of x = v diag(w) v^T, ascending",
)  # fmt: skip
_eigh_vectors = declare_host(
    "eigh_vectors", same_square, lapack(lambda x, UPLO: _eigh_numpy(1, x, UPLO=UPLO)),
    _eigh_vectors_vjp, "v of x = v diag(w) v^T, columns of length 1",
)  # fmt: skip


def eigh(a: Any, UPLO: str = "L") -> tuple[Variable, Variable]:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices.

    Only the lower triangle (or with ``UPLO="U"`` the upper one) is read, and gets the
    gradient. That of the vectors needs eigenvalues that differ.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> w, v = T.nlinalg.eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> w.eval().tolist()
    [1.0, 2.0]
    """
    if UPLO not in ("L", "U"):
        raise ArgumentError(f"eigh: UPLO is 'L' or 'U', not {UPLO!r}", at=user_frames())
    (x,) = floats([a], "eigh")
    attrs = {"UPLO": UPLO}
    return apply(_eigh_values, (x,), attrs), apply(_eigh_vectors, (x,), attrs)


_eig_numpy = remembered(np.linalg.eig)
_COMPLEX = {"float32": "complex64", "float64": "complex128"}


def _complex(infer: Any, part: int, name: str, vjp: Any, formula: str) -> Op:
    def complex_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
        found: TensorType = infer(args, attrs)
        return found.with_dtype(_COMPLEX[dtypes.wide(found.dtype)])

    def numpy(x: Any) -> Any:
        return _eig_numpy(part, x).astype(_COMPLEX[x.dtype.name])

    return declare_host(name, complex_infer, numpy, vjp, formula)


def _pull_eig(inner: Variable, v: Variable, x: Variable) -> Variable:
    """``v^-H inner v^H``, of which a real matrix gets the real part."""
    back = adjoint(apply(inverse_op, (v,), {}))
    return cast(real(product(back, inner, adjoint(v))), x.dtype)


def _eig_values_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    return (_pull_eig(diagonal_matrix(g), apply(_eig_vectors, (x,), {}), x),)


def _with_turns(g: Variable, v: Variable) -> Variable:
    """The gradient of the vectors before they were turned: LAPACK makes their largest real."""
    size = abs_(v)
    places = dimshuffle(arange(dim(v, v.ndim - 2)), 0, "x")
    largest = eq(places, row(argmax(size, axis=-2)))
    share = sum_(imag(conj(g) * v), axis=-2)  # type: ignore[operator]
    length = sum_(switch(largest, real(v), zeros_of(size)), axis=-2)
    turn = switch(largest, row(share / length), zeros_of(size))  # type: ignore[operator]
    return g + complex(zeros_like(turn), turn)  # type: ignore[operator, no-any-return]


def _eig_vectors_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    """Boeddeker, Hanebrink, Drude, Heymann, Haeb-Umbach (2017), equation 4.77; of vectors
    that keep their length, and of which the largest element stays real."""
    w = apply(_eig_values, (x,), {})
    inner = product(adjoint(out), _with_turns(g, out))
    lengths = row(real(diagonal_of(inner)))
    inner = inner - product(adjoint(out), out) * lengths  # type: ignore[operator]
    return (_pull_eig(inner * conj(inverse_differences(w)), out, x),)  # type: ignore[operator]


_eig_values = _complex(_one_vector, 0, "eig_values", _eig_values_vjp, "w of x v = v diag(w)")
_eig_vectors = _complex(same_square, 1, "eig_vectors", _eig_vectors_vjp, "v of x v = v diag(w)")


def eig(a: Any) -> tuple[Variable, Variable]:
    """Eigenvalues and eigenvectors of square matrices, complex.

    The vectors have length 1, and of each the largest element is real. The gradients need
    eigenvalues that differ. For symmetric matrices, `eigh` is quicker and real.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.eig([[0.0, 1.0], [-1.0, 0.0]])[0].eval().tolist()
    [1j, -1j]
    """
    (x,) = floats([a], "eig")
    return apply(_eig_values, (x,), {}), apply(_eig_vectors, (x,), {})


# --- q r ------------------------------------------------------------------------------

_qr_numpy = remembered(lambda x, mode: np.linalg.qr(x, mode))


def _qr_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    *front, m, n = args[0].type.shape
    inner = m if attrs["mode"] == "complete" else _smaller(m, n)
    return TensorType(args[0].dtype, (*front, *((m, inner) if attrs["q"] else (inner, n))))


def _smaller(m: int | None, n: int | None) -> int | None:
    return None if m is None or n is None else min(m, n)


def _pull_qr(q: Variable, r: Variable, gq: Any, gr: Any) -> Variable:
    """Walter and Lehmann (2010), equation 5.1; for as many rows as columns, or more."""
    parts = [] if gr is None else [product(r, turned(gr))]
    parts += [] if gq is None else [-product(turned(gq), q)]  # type: ignore[operator]
    m = parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator]
    whole = product(q, lower_part(m) + turned(lower_part(m, False)))  # type: ignore[operator]
    whole = whole if gq is None else whole + gq  # type: ignore[operator]
    return turned(product(matrix_inverse(r), turned(whole)))


def _qr_vjp(g: Variable, out: Variable, x: Variable, mode: str, q: bool) -> tuple[Any]:
    m, n = x.type.shape[-2:]
    if mode == "complete" and (m is None or n is None or m > n):
        return (NullGradient("of columns that the matrix doesn't determine; pass mode='reduced'"),)
    other = apply(_qr, (x,), {"mode": mode, "q": not q})
    orthogonal, upper = (out, other) if q else (other, out)
    if m is not None and n is not None and m >= n:
        return (_pull_qr(orthogonal, upper, *((g, None) if q else (None, g))),)
    # [x | y] = q [u | v]: as many columns as there are rows make q and u, and v = q^T y.
    all_rows = (slice(None),) * (x.ndim - 1)
    inner = dim(orthogonal, x.ndim - 1)
    first, rest = (*all_rows, slice(None, inner)), (*all_rows, slice(inner, None))
    u, y = getitem(upper, first), getitem(x, rest)
    if q:
        return (join(x.ndim - 1, _pull_qr(orthogonal, u, g, None), zeros_like(y)),)
    gv = getitem(g, rest)
    gx = _pull_qr(orthogonal, u, product(y, turned(gv)), getitem(g, first))
    return (join(x.ndim - 1, gx, product(orthogonal, gv)),)


_qr = declare_host(
    "qr", _qr_infer, lapack(lambda x, mode, q: _qr_numpy(0 if q else 1, x, mode=mode)), _qr_vjp,
    "q or r of x = q r, with orthonormal columns in q and an upper triangle r",
)  # fmt: skip


def qr(a: Any, mode: str = "reduced") -> Any:
    """The matrices q and r of ``a = q r``; r alone for ``mode="r"``.

    Parameters
    ----------
    a : matrix, or stack of them
    mode : {'reduced', 'complete', 'r'}
        Whether q has as many columns as needed, or is square.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> q, r = T.nlinalg.qr([[3.0], [4.0]])
    >>> abs(r.eval()).tolist()
    [[5.0]]
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(
            f"qr: mode is 'reduced', 'complete' or 'r', not {mode!r}", at=user_frames()
        )
    (x,) = floats([a], "qr")
    kind = "reduced" if mode == "r" else mode
    r = apply(_qr, (x,), {"mode": kind, "q": False})
    return r if mode == "r" else (apply(_qr, (x,), {"mode": kind, "q": True}), r)


# --- singular values ------------------------------------------------------------------

_svd_numpy = remembered(lambda x, full: np.linalg.svd(x, full_matrices=full))


def _svd_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    *front, m, n = args[0].type.shape
    inner = _smaller(m, n)
    shapes = {"u": (m, m if attrs["full"] else inner), "s": (inner,),
              "v": (n if attrs["full"] else inner, n)}  # fmt: skip
    return TensorType(args[0].dtype, (*front, *shapes[attrs["part"]]))


def _svd_vjp(g: Variable, out: Variable, x: Variable, full: bool, part: str) -> tuple[Any]:
    """J. Townsend, "Differentiating the singular value decomposition" (2016)."""
    m, n = x.type.shape[-2:]
    if part != "s" and full and (m is None or m != n):
        return (NullGradient("of vectors that are not singular vectors; pass full_matrices=False"),)
    u, s, v = (apply(_svd, (x,), {"full": False, "part": p}) for p in "usv")
    if part == "s":
        return (product(u * row(g), v),)  # type: ignore[operator]
    f = inverse_differences(sqr(s))
    if part == "v":  # that of u, for the transposed matrix
        u, v, g = turned(v), turned(u), turned(g)
    inner = product(turned(u), g)
    within = product(u, f * (inner - turned(inner)) * row(s))  # type: ignore[operator]
    beyond = (g - product(u, inner)) / row(s)  # type: ignore[operator]
    found = product(within + beyond, v)  # type: ignore[operator]
    return (found if part == "u" else turned(found),)


_svd = declare_host(
    "svd", _svd_infer,
    lapack(lambda x, full, part: _svd_numpy("usv".index(part), x, full=full)), _svd_vjp,
    "u, s or v of x = u diag(s) v, with s descending",
)  # fmt: skip


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The parts of ``a = u diag(s) v``: u, s and v, or s alone.

    Parameters
    ----------
    a : matrix, or stack of them
    full_matrices : bool
        Whether u and v are square. Then they have gradients for square matrices only.
    compute_uv : bool
        Whether u and v are wanted. Their gradients need singular values that differ.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nlinalg.svd([[3.0, 0.0], [0.0, -4.0]], compute_uv=False).eval().tolist()
    [4.0, 3.0]
    """
    (x,) = floats([a], "svd")
    full = bool(full_matrices)
    if not compute_uv:
        return apply(_svd, (x,), {"full": False, "part": "s"})
    return tuple(apply(_svd, (x,), {"full": full, "part": part}) for part in "usv")
