"""Linear algebra by NVIDIA's libraries: which calls serve a step, in which layouts.

Operands are copied to the work area, where cuSOLVER overwrites them, and results go from there to
their places; see :mod:`graphc.runtime.cuda.matrices`. A matrix by rows is its transpose by columns,
so most of them need no turning:

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from graphc.core.plan import Step
from graphc.runtime.cuda import matrices
from graphc.runtime.cuda.shapes import Shape
from graphc.runtime.reference import no_result

LOWER, UPPER = 0, 1  # FillMode
PLAIN, TURNED = 0, 1  # Operation
RIGHT = 1  # SideMode
VALUES, VECTORS = 0, 1  # EigMode
ALIGNED = 256  # bytes
MANY, SMALL = 4, 128  # from how many matrices on, and up to which size, one call takes them all


@dataclass(frozen=True)
class At:
    """An address: an offset into the work area."""

    offset: int


@dataclass(frozen=True)
class Call:
    """A call of a library: the binding's arguments behind the handle.

    Those of ``trsm`` have no alpha, which is 1, and ``getrs_batched`` has no code of the host's.
    """

    routine: str
    dtype: str
    arguments: tuple[int | At, ...]

    def resolved(self, work: int) -> list[int]:
        """The arguments, with the work area at an address."""
        return [work + a.offset if isinstance(a, At) else a for a in self.arguments]


@dataclass
class Solved:
    """What is done for a step: launches and calls, in order, and the room that they need."""

    label: str
    sequence: list[Shape | Call] = field(default_factory=list)
    room: int = 0

    @property
    def routines(self) -> list[str]:
        return list(dict.fromkeys(c.routine for c in self.sequence if isinstance(c, Call)))


Ask = Callable[[str, str, Sequence[int]], int]
"""How many elements of work area a routine wants: its name, the dtype, sizes."""

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


class _Maker:
    """Writes what is done for steps that share a decomposition of their first operand."""

    def __init__(self, run: Sequence[Step], ask: Ask, threads: int, blocks: int) -> None:
        self.run, self.ask, self.threads, self.blocks = run, ask, threads, blocks
        self.nodes = [s.nodes[-1] for s in run]
        self.dtype = self.nodes[0].dtype
        self.item = np.dtype(self.dtype).itemsize
        self.room = 0
        *self.front, self.m, self.n = self._shape(0)
        self.batch = prod(self.front)
        self.into, self.step = Solved(""), run[0]

    def made(self) -> list[Solved]:
        found = []
        for k, step in enumerate(self.run):
            self.step, self.into = step, Solved(step.label)
            if k == 0:
                self.prepare()
            self.finish(step)
            found.append(self.into)
        for solved in found:
            solved.room = self.room
        return found

    def prepare(self) -> None:
        """What all steps of the run need."""
        raise NotImplementedError

    def finish(self, step: Step) -> None:
        """A step's own result."""
        raise NotImplementedError

    # what both write

    def _shape(self, operand: int) -> tuple[int, ...]:
        return self.nodes[0].args[operand].type.shape  # type: ignore[return-value]

    def buffer(self, count: int, item: int = 0) -> int:
        """Room for some values: its offset."""
        start = self.room
        self.room = start + -(-max(count, 1) * (item or self.item) // ALIGNED) * ALIGNED
        return start

    def codes(self) -> int:
        return self.buffer(self.batch, 4)

    def call(self, routine: str, *arguments: int | At) -> None:
        self.into.sequence.append(Call(routine, self.dtype, arguments))

    def workspace(self, *asked: tuple[str, Sequence[int]]) -> tuple[At, int]:
        """Room for what routines need besides, and how many elements that are."""
        count = max(self.ask(routine, self.dtype, numbers) for routine, numbers in asked)
        return At(self.buffer(count)), count

    def at(self, start: int, k: int, each: int, item: int = 0) -> At:
        """The place of matrix k's values."""
        return At(start + k * each * (item or self.item))

    def launch(self, source: str, parts: int, one: bool = False, by_block: bool = False) -> None:
        threads = self.threads
        count = parts if by_block else -(-parts // threads)
        self.into.sequence.append(Shape(source, 1 if one else min(count, self.blocks), threads,
                                        parts))  # fmt: skip

    def words(self, *numbers: int) -> int:
        """Append words to the step's block; the number of the first."""
        first = len(self.step.words)
        self.step.words.extend(numbers)
        return first

    def pointer(self, operand: int) -> int:
        """The word of an operand's address; behind the last, of the result's."""
        args = self.step.nodes[-1].args
        return sum(1 + a.ndim for a in args[:operand])

    @property
    def result(self) -> int:
        return self.pointer(len(self.step.nodes[-1].args))

    def together(self, count: int) -> bool:
        """Whether one call had better take that many matrices."""
        return count >= MANY and self.n <= SMALL

    def table(self, start: int, each: int, count: int) -> At:
        """The addresses of matrices, on the device."""
        found = self.buffer(count, 8)
        at = self.words(found, start, each * self.item)
        self.launch(matrices.pointers(at), count)
        return At(found)

    def load(
        self, operand: int, target: int, turned: bool, apart: int = 0, front: Sequence[int] = ()
    ) -> None:
        """Copy an operand; `front` are the sizes to which the axes before the matrix's go."""
        word = self.pointer(operand)
        v = self.step.nodes[-1].args[operand]
        shape: Any = v.type.shape
        strides = [int(s) for s in self.step.words[word + 1 : word + 1 + v.ndim]]  # type: ignore
        front = list(front) or list(shape[:-2])
        missing = len(front) - (v.ndim - 2)
        sizes = [*front, *shape[-2:]]
        spread = [0] * missing + [
            0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2])
        ] + strides[-2:]  # fmt: skip
        at = self.words(target, apart or shape[-2] * shape[-1], *sizes, *spread)
        source = matrices.load(self.dtype, word, at, len(sizes), turned)
        self.launch(source, prod(sizes))

    def store(self, made: int, apart: int, lead: int, turned: bool = False, part: str = "") -> None:
        shape: Any = self.step.nodes[-1].type.shape
        at = self.words(made, apart, lead, *shape[-2:])
        source = matrices.store(self.dtype, self.result, at, turned, part)
        self.launch(source, prod(shape))

    def check(self, codes: int, test: str = "", *values: int) -> None:
        """Stop where a call has a code, or one of some values (offset, distance from matrix to
        matrix, count, distance) isn't as it must be."""
        source = matrices.check(self.dtype, self.words(codes, *values), test)
        self.launch(source, self.batch * (values[2] if test else 1), one=True)


class _Cholesky(_Maker):
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


class _LU(_Maker):
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
            self.launch(matrices.determinant(self.dtype, self.result, at, name), self.batch,
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
            self.launch(matrices.identities(self.dtype, self.words(right, n)), prod(shape))
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


class _Triangle(_Maker):
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


class _QR(_Maker):
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
            self.launch(matrices.copied(self.dtype, at), self.batch * each)
        if True in parts:
            for k in range(self.batch):
                self.call("orgqr", m, self.columns, inner, self.at(self.a, k, each), m,
                          self.at(tau, k, inner), work, count,
                          self.at(codes, k, 1, 4))  # fmt: skip

    def finish(self, step: Step) -> None:
        q = step.nodes[-1].attrs["q"]
        self.store(self.a if q else self.r, self.each, self.m, True, "" if q else "upper")


class _Eigh(_Maker):
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


def _store_values(maker: _Maker, made: int, count: int) -> None:
    """Numbers that lie side by side already."""
    at = maker.words(made, count, count, 1, count)
    source = matrices.store(maker.dtype, maker.result, at, False, "")
    maker.launch(source, maker.batch * count)


class _SVD(_Maker):
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


_MAKERS: dict[str, type[_Maker]] = {
    "cholesky": _Cholesky, "lu": _LU, "triangle": _Triangle, "qr": _QR, "eigh": _Eigh, "svd": _SVD,
}  # fmt: skip
