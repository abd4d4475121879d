"""Matrix products by NVIDIA's library: which it can take, and how it wants to be asked.

cuBLAS counts matrices by columns. A product ``C = alpha A B + beta C`` by rows is
``C' = alpha B' A' + beta C'`` by columns, on the same memory.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from graphc.core.dtypes import wide
from graphc.core.plan import Address, Plan, Real, Step, WordAddress

COMPUTE = {
    ("float32", "float32"): "COMPUTE_32F",
    ("float32", "tf32"): "COMPUTE_32F_FAST_TF32",
    ("float32", "bfloat16"): "COMPUTE_32F_FAST_16BF",
    ("float32", "float16"): "COMPUTE_32F_FAST_16F",
    ("float64", "float64"): "COMPUTE_64F",
}
"""By dtype and by what factors are rounded to, cuBLAS's name for how it computes."""
DATA = {"float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF", "float32": "CUDA_R_32F",
        "float64": "CUDA_R_64F"}  # fmt: skip
LARGEST = 2**31 - 1
WORKSPACE = 32 * 2**20  # bytes; what NVIDIA recommends for its largest devices
COEFFICIENTS = (11, 12)  # words of a product's block
FIRST_OF_STACK = 13  # words before those of a stack


@dataclass(frozen=True)
class Gemm:
    """One call of cuBLAS, on matrices by columns.

    Attributes
    ----------
    dtype : of the factors; halves are added up in float32.
    turn_a, turn_b : whether the matrix lies in memory by rows.
    m, n, k : the result is m x n.
    lda, ldb, ldc : elements from one column to the next.
    indirect : whether addresses are those of words on the device that hold the matrices'.
    apart : whether the product goes to the work area, and a kernel that looks for failures and
        coefficients adds it to its place.
    count : of products, whose matrices lie `step_a`, `step_b` and `step_c` elements apart.
    """

    dtype: str
    compute: str
    turn_a: bool
    turn_b: bool
    m: int
    n: int
    k: int
    alpha: float
    beta: float
    lda: int
    ldb: int
    ldc: int
    indirect: bool = False
    apart: bool = False
    made: str = ""
    count: int = 1
    step_a: int = 0
    step_b: int = 0
    step_c: int = 0

    @property
    def result(self) -> str:
        """The dtype of the result: that of the factors, or float32 for halves."""
        return self.made or self.dtype


def stack_of(
    step: Step, plan: Plan, number: int, wanted: str, in_loop: bool, known: Sequence[Step]
) -> Gemm | str:
    """The call for a stack of products, or why there is none; see `gemm_of`."""
    found = gemm_of(step, plan, number, wanted, in_loop, known)
    if isinstance(found, str):
        return found
    if found.indirect or found.apart:
        return "addresses of the stack are computed on the device, or it may be too early to write"
    rest = [int(w) for w in step.words[FIRST_OF_STACK:]]  # type: ignore[arg-type]
    extents = rest[::3]
    steps = [_one_step(extents, rest[k::3]) for k in (1, 2)]
    if None in steps or prod(extents) > LARGEST:
        return "the matrices of a stack don't lie at equal distances"
    return replace(found, count=prod(extents), step_a=steps[1] or 0, step_b=steps[0] or 0,
                   step_c=found.m * found.n)  # fmt: skip


def _one_step(extents: Sequence[int], strides: Sequence[int]) -> int | None:
    """The distance of neighbours, if it is the same for all matrices of a stack."""
    known = [(n, s) for n, s in zip(extents, strides) if n > 1]
    for (_, outer), (n, inner) in zip(known, known[1:]):
        if outer != n * inner:
            return None
    return known[-1][1] if known else 0


def gemm_of(
    step: Step, plan: Plan, number: int, wanted: str, in_loop: bool, known: Sequence[Step]
) -> Gemm | str:
    """The call for a step of a plan, or why there is none.

    Parameters
    ----------
    wanted : what float32 factors are rounded to.
    in_loop : whether the plan is the body of a loop, which moves its pointers.
    known : the steps that may fail before this one.
    """
    moved = {
        w.word for s in plan.steps for w in s.words
        if isinstance(w, WordAddress) and w.step == number
    }  # fmt: skip
    kept = not isinstance(step.words[2], Address) or step.words[2].place.kind == "shared"
    fails = (kept or in_loop) and any(_may_fail(s) for s in known)
    apart = fails or bool(moved & set(COEFFICIENTS))
    m, n, k, *strides = (int(w) for w in step.words[3:11])  # type: ignore[arg-type]
    left, right = _by_columns(m, k, *strides[:2]), _by_columns(k, n, *strides[2:4])
    if left is None or right is None:
        return "neither rows nor columns of a factor lie without gaps"
    ldc = max(strides[4], n, 1)
    if max(m, n, k, left[1], right[1], ldc) > LARGEST:
        return "it is larger than 32-bit numbers tell"
    alpha, beta = (w.value if isinstance(w, Real) else 0.0 for w in step.words[11:13])
    if apart:
        alpha, beta, ldc = 1.0, 0.0, n
    dtype, made = dtypes_of(step)
    compute = COMPUTE[wide(dtype), wanted if dtype == "float32" else wide(dtype)]
    made = wide(made) if apart else made
    return Gemm(
        dtype, compute, right[0], left[0], n, m, k, alpha, beta,
        right[1], left[1], ldc, bool(moved - set(COEFFICIENTS)) or in_loop, apart, made,
    )  # fmt: skip


def dtypes_of(step: Step) -> tuple[str, str]:
    """The dtypes of a product's factors and of its result; halves may make a float32."""
    node = step.nodes[-1]
    factor = node.args[1]  # of a plain product, or of one that is accumulated
    return factor.dtype, node.dtype


def _may_fail(step: Step) -> bool:
    return bool(step.checks) and (step.routine != "offset" or step.words[4] != 0)


def _by_columns(rows: int, columns: int, down: int, across: int) -> tuple[bool, int] | None:
    """How cuBLAS sees the transpose of a matrix with these strides: turned or not, and its ld."""
    if columns <= 1 or across == 1:
        lead = down if rows > 1 else max(columns, 1)
        if lead >= max(columns, 1):
            return False, lead
    if rows <= 1 or down == 1:
        lead = across if columns > 1 else max(rows, 1)
        if lead >= max(rows, 1):
            return True, lead
    return None


def library() -> str | None:
    """Why there is no cuBLAS to be called; None where there is."""
    if importlib.util.find_spec("nvmath") is None:
        return "the package nvmath-python isn't installed"
    try:
        from nvmath.bindings import cublas

        cublas.get_version  # noqa: B018
    except Exception as error:  # what is missing may be a library of NVIDIA's
        return " ".join(str(error).split()) or type(error).__name__
    return None


class Cublas:
    """cuBLAS on a stream, through nvmath-python.

    Parameters
    ----------
    stream : the stream's address.
    workspace : the address of memory of `WORKSPACE` bytes, so that captured graphs hold none.
    """

    def __init__(self, stream: int, workspace: int) -> None:
        from nvmath import CudaDataType
        from nvmath.bindings import cublas

        self.cublas, self.types = cublas, CudaDataType
        self.handle = cublas.create()
        cublas.set_stream(self.handle, stream)
        cublas.set_workspace(self.handle, workspace, WORKSPACE)
        # What several blocks found of a product of halves is added in float32, too.
        exact = cublas.Math.DISALLOW_REDUCED_PRECISION_REDUCTION
        cublas.set_math_mode(self.handle, int(cublas.Math.DEFAULT_MATH) | int(exact))
        self.scalars: dict[tuple[str, float], Any] = {}

    def multiply(self, g: Gemm, a: int, b: int, c: int) -> None:
        """Put one product on the stream."""
        cublas = self.cublas
        kind, made = (int(getattr(self.types, DATA[name])) for name in (g.dtype, g.result))
        turns = [int(cublas.Operation.T if t else cublas.Operation.N) for t in (g.turn_a, g.turn_b)]
        alpha, beta = (self._scalar(wide(g.dtype), x) for x in (g.alpha, g.beta))
        how = int(getattr(cublas.ComputeType, g.compute))
        best = -1  # CUBLAS_GEMM_DEFAULT
        factors = alpha, a, kind, g.lda, b, kind, g.ldb, beta, c, made, g.ldc
        if g.count > 1:
            cublas.gemm_strided_batched_ex(
                self.handle, *turns, g.m, g.n, g.k, alpha, a, kind, g.lda, g.step_a,
                b, kind, g.ldb, g.step_b, beta, c, made, g.ldc, g.step_c, g.count, how, best,
            )  # fmt: skip
        elif g.indirect:
            cublas.gemm_batched_ex(self.handle, *turns, g.m, g.n, g.k, *factors, 1, how, best)
        else:
            cublas.gemm_ex(self.handle, *turns, g.m, g.n, g.k, *factors, how, best)

    def _scalar(self, dtype: str, value: float) -> int:
        """The address of a number of the host, which stays there."""
        found = self.scalars.get((dtype, value))
        if found is None:
            found = self.scalars[dtype, value] = np.array([value], dtype)
        return int(found.ctypes.data)
