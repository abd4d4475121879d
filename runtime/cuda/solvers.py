"""Linear algebra by NVIDIA's libraries: which calls serve a step, in which layouts.

Operands are copied to the work area, where cuSOLVER overwrites them, and results go from there to
their places; see :mod:`graphc.runtime.cuda.matrix_kernels`. A matrix by rows is its transpose by
columns, so most of them need no turning:

==================  ==============================================================================
Cholesky            ``x' = u' u`` of the upper triangle by columns is ``l l'`` of the lower by rows
L U                 of ``x'``: the determinant is the same, ``a x = b`` is solved with ``x'``
                    transposed, the inverse comes out transposed, that is by rows
triangles           ``a x = b`` is ``x' a' = b'``: cuBLAS's trsm from the right, nothing is turned
Q R, eigenvectors   by columns, turned on the way in or out
singular values     of ``x`` or of ``x'``, whichever has more rows, as gesvd wants it
==================  ==============================================================================

Steps of a plan that are parts of one decomposition, or use one L U, share the calls: the first
makes what all of them want, in memory of their own, and the others copy. Each matrix of a stack is
a call of its own, but for small ones of which many are factored or solved by one call.
A kernel looks at the calls' codes, so that the steps after a failure do nothing and the call raises
what NumPy would.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphc.core.plan import Step
from graphc.runtime.cuda import matrix_kernels
from graphc.runtime.cuda.calls import Ask, At, Maker, Solved
from graphc.runtime.reference import no_result

LOWER, UPPER = 0, 1  # FillMode
PLAIN, TURNED = 0, 1  # Operation
RIGHT = 1  # SideMode
VALUES, VECTORS = 0, 1  # EigMode
FAMILIES = {
    "matrix_inverse": "lu", "solve": "lu", "det": "lu", "slogdet_sign": "lu",
    "slogdet_logabsdet": "lu", "qr": "qr", "eigh_values": "eigh", "eigh_vectors": "eigh",
    "svd": "svd", "cholesky": "cholesky", "solve_triangular": "triangle",
}  # fmt: skip


def run_of(steps: Sequence[Step], number: int) -> dict[int, Step]:
    """By number a step, and those behind it that want the same decomposition.

    Its operand is one value for all of them, which so lies where it lay until the last has run.
    """
    key = _key(steps[number])
    return {
        k: s for k, s in enumerate(steps)
        if k >= number and s.routine == "solver" and _key(s) == key
    }  # fmt: skip


def _key(step: Step) -> tuple[Any, ...]:
    """What steps that share their calls have in common."""
    v = step.nodes[-1]
    assert v.op is not None
    family = FAMILIES[v.op.name]
    if family not in ("lu", "qr", "eigh", "svd"):
        return family, id(step)
    attrs = v.attrs.get("mode"), v.attrs.get("UPLO")
    return family, attrs, v.args[0], tuple(step.words[: 1 + v.args[0].ndim])


def serve(run: Sequence[Step], ask: Ask, threads: int, blocks: int) -> list[Solved]:
    """The launches and calls of steps that share a decomposition; numbers go into their words."""
    return _MAKERS[_key(run[0])[0]](run, ask, threads, blocks).made()


def failure(step: Step, code: int, given: int) -> Exception:
    """The error of a step whose check has noted something."""
    v = step.nodes[-1]
    assert v.op is not None
    if code == 1 and given < 0:
        return RuntimeError(f"{step.label}: the library refused argument {-given}")
    why = {
        "lu": "Singular matrix", "cholesky": "Matrix is not positive definite",
        "eigh": "Eigenvalues did not converge", "svd": "SVD did not converge",
        "triangle": f"singular matrix: resolution failed at diagonal {given}",
    }.get(FAMILIES[v.op.name], "no result")  # fmt: skip
    return no_result(v, why)


# --- how steps are served -------------------------------------------------------------


class _Cholesky(Maker):
    def prepare(self) -> None:
        n, each = self.n, self.n * self.n
        self.a, codes = self.buffer(self.batch * each), self.codes()
        self.load(0, self.a, turned=False)
        if self.together(self.batch):
            table = self.table(self.a, each, self.batch)
            self.call("potrf_batched", UPPER, n, table, n, At(codes), self.batch)
            self.check(codes)
            return
        work, count = self.workspace(("potrf", (UPPER, n, 0, n)))
        for k in range(self.batch):
            self.call("potrf", UPPER, n, self.at(self.a, k, each), n, work, count,
                      self.at(codes, k, 1, 4))  # fmt: skip
        self.check(codes)

    def finish(self, step: Step) -> None:
        self.store(self.a, self.n * self.n, self.n, part="lower")


class _LU(Maker):
    """Determinants don't mind singular matrices, inverses and solutions do."""

    def prepare(self) -> None:
        n, each = self.n, self.n * self.n
        self.a, self.pivots = self.buffer(self.batch * each), self.buffer(self.batch * n, 4)
        self.info, self.other = self.codes(), self.buffer(1, 4)
        self.load(0, self.a, turned=False)
        if self.together(self.batch):
            self.many = self.table(self.a, each, self.batch)
            self.call("getrf_batched", n, self.many, n, At(self.pivots), At(self.info), self.batch)
            return
        work, _ = self.workspace(("getrf", (n, n, 0, n)))
        for k in range(self.batch):
            self.call("getrf", n, n, self.at(self.a, k, each), n, work,
                      self.at(self.pivots, k, n, 4), self.at(self.info, k, 1, 4))  # fmt: skip

    def finish(self, step: Step) -> None:
        v, n = step.nodes[-1], self.n
        assert v.op is not None
        name = v.op.name
        if name not in ("solve", "matrix_inverse"):
            at = self.words(self.a, self.pivots, n)
            self.launch(matrix_kernels.determinant(self.dtype, self.result, at, name), self.batch,
                        by_block=True)  # fmt: skip
            return
        shape: Any = v.type.shape
        columns, front = shape[-1], shape[:-2]
        right, total = self.buffer(prod(shape)), prod(front)
        self.check(self.info)
        turn = TURNED if name == "solve" else PLAIN
        if name == "solve":
            self.load(1, right, turned=True, front=front)
        else:
            self.launch(matrix_kernels.identities(self.dtype, self.words(right, n)), prod(shape))
        each, which = n * columns, _broadcast(self.front, front)
        if self.together(total) and total == self.batch:
            self.call("getrs_batched", turn, n, columns, self.many, n, At(self.pivots),
                      self.table(right, each, total), n, total)  # fmt: skip
            which = []
        for k, a in enumerate(which):
            self.call("getrs", turn, n, columns, self.at(self.a, a, n * n), n,
                      self.at(self.pivots, a, n, 4), self.at(right, k, each), n,
                      At(self.other))  # fmt: skip
        self.store(right, each, n, turned=name == "solve")


def _broadcast(front: Sequence[int], target: Sequence[int]) -> list[int]:
    """For each matrix of a stack of sizes `target`, its number in one that broadcasts to it."""
    numbers = np.arange(prod(front)).reshape(tuple(front))
    return [int(k) for k in np.broadcast_to(numbers, tuple(target)).reshape(-1)]


class _Triangle(Maker):
    def prepare(self) -> None:
        self.a, self.zeros = self.buffer(self.batch * self.n * self.n), self.buffer(1, 4)
        self.load(0, self.a, turned=False)

    def finish(self, step: Step) -> None:
        v, n, each = step.nodes[-1], self.n, self.n * self.n
        shape: Any = v.type.shape
        columns, front, attrs = shape[-1], shape[:-2], v.attrs
        if not attrs["unit_diagonal"]:
            self.check(self.zeros, "zero", self.a, each, n, n + 1)
        right = self.buffer(prod(shape))
        self.load(1, right, turned=False, front=front)
        how = (RIGHT, UPPER if attrs["lower"] else LOWER, TURNED if attrs["trans"] else PLAIN,
               int(attrs["unit_diagonal"]), columns, n)  # fmt: skip
        which = _broadcast(self.front, front)
        if self.together(len(which)) and len(which) == self.batch:
            self.call("trsm_batched", *how, self.table(self.a, each, self.batch), n,
                      self.table(right, n * columns, self.batch), columns,
                      self.batch)  # fmt: skip
            which = []
        for k, a in enumerate(which):
            self.call("trsm", *how, self.at(self.a, a, each), n,
                      self.at(right, k, n * columns), columns)  # fmt: skip
        self.store(right, n * columns, columns)


class _QR(Maker):
    """The first call leaves R above the reflections of which the second makes Q."""

    def prepare(self) -> None:
        m, n, inner = self.m, self.n, min(self.m, self.n)
        parts = {v.attrs["q"] for v in self.nodes}
        self.columns = m if self.nodes[0].attrs["mode"] == "complete" else inner
        each = self.each = m * max(n, self.columns)
        self.a, codes = self.buffer(self.batch * each), self.codes()
        self.r = self.buffer(self.batch * each) if len(parts) == 2 else self.a
        tau = self.buffer(self.batch * inner)
        asked = [("geqrf", (m, n, 0, m))]
        asked += [("orgqr", (m, self.columns, inner, 0, m, 0))] if True in parts else []
        work, count = self.workspace(*asked)
        self.load(0, self.a, turned=True, apart=each)
        for k in range(self.batch):
            self.call("geqrf", m, n, self.at(self.a, k, each), m, self.at(tau, k, inner), work,
                      count, self.at(codes, k, 1, 4))  # fmt: skip
        if len(parts) == 2:
            at = self.words(self.a, self.r)
            self.launch(matrix_kernels.copied(self.dtype, at), self.batch * each)
        if True in parts:
            for k in range(self.batch):
                self.call("orgqr", m, self.columns, inner, self.at(self.a, k, each), m,
                          self.at(tau, k, inner), work, count,
                          self.at(codes, k, 1, 4))  # fmt: skip

    def finish(self, step: Step) -> None:
        q = step.nodes[-1].attrs["q"]
        self.store(self.a if q else self.r, self.each, self.m, True, "" if q else "upper")


class _Eigh(Maker):
    def prepare(self) -> None:
        n, each, attrs = self.n, self.n * self.n, self.nodes[0].attrs
        names = {v.op.name for v in self.nodes if v.op is not None}
        job = VECTORS if "eigh_vectors" in names else VALUES
        uplo = UPPER if attrs["UPLO"] == "L" else LOWER
        self.a, self.w = self.buffer(self.batch * each), self.buffer(self.batch * n)
        codes = self.codes()
        work, count = self.workspace(("syevd", (job, uplo, n, 0, n, 0)))
        self.load(0, self.a, turned=False)
        for k in range(self.batch):
            self.call("syevd", job, uplo, n, self.at(self.a, k, each), n, self.at(self.w, k, n),
                      work, count, self.at(codes, k, 1, 4))  # fmt: skip
        self.check(codes, "nan", self.w, n, n, 1)

    def finish(self, step: Step) -> None:
        v = step.nodes[-1]
        if v.op is not None and v.op.name == "eigh_vectors":
            self.store(self.a, self.n * self.n, self.n, turned=True)
        else:
            _store_values(self, self.w, self.n)


def _store_values(maker: Maker, made: int, count: int) -> None:
    """Numbers that lie side by side already."""
    at = maker.words(made, count, count, 1, count)
    source = matrix_kernels.store(maker.dtype, maker.result, at, False, "")
    maker.launch(source, maker.batch * count)


class _SVD(Maker):
    """gesvd takes matrices that have no fewer rows than columns: of others, the transposed ones,
    whose factors change places."""

    def prepare(self) -> None:
        self.wide = self.m < self.n
        rows, inner = self.rows, self.inner = max(self.m, self.n), min(self.m, self.n)
        vectors = [v for v in self.nodes if v.attrs["part"] != "s"]
        full = any(v.attrs["full"] for v in vectors)
        job = ord(("A" if full else "S") if vectors else "N")
        left = self.left = rows * (rows if full else inner)
        self.a, self.s = self.buffer(self.batch * rows * inner), self.buffer(self.batch * inner)
        self.u = self.buffer(self.batch * left if vectors else 1)
        self.v = self.buffer(self.batch * inner * inner if vectors else 1)
        codes = self.codes()
        work, count = self.workspace(("gesvd", (rows, inner)))
        self.load(0, self.a, turned=not self.wide)
        for k in range(self.batch):
            some = k if vectors else 0
            self.call("gesvd", job, job, rows, inner, self.at(self.a, k, rows * inner), rows,
                      self.at(self.s, k, inner), self.at(self.u, some, left), rows,
                      self.at(self.v, some, inner * inner), inner, work, count, 0,
                      self.at(codes, k, 1, 4))  # fmt: skip
        self.check(codes, "nan", self.s, inner, inner, 1)

    def finish(self, step: Step) -> None:
        part = step.nodes[-1].attrs["part"]
        if part == "s":
            _store_values(self, self.s, self.inner)
        elif (part == "u") != self.wide:
            self.store(self.u, self.left, self.rows, turned=not self.wide)
        else:
            self.store(self.v, self.inner * self.inner, self.inner, turned=not self.wide)


_MAKERS: dict[str, type[Maker]] = {
    "cholesky": _Cholesky, "lu": _LU, "triangle": _Triangle, "qr": _QR, "eigh": _Eigh, "svd": _SVD,
}  # fmt: skip
