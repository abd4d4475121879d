"""Products of stacks of matrices as one step, for targets that have a kernel for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from graphc.core.dtypes import wide
from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Real, Step, Word
from graphc.passes.layout import Layout, shape_of
from graphc.passes.lower import BLAS_DTYPES, itemsize


def is_stacked(v: Variable) -> bool:
    """Whether an op multiplies stacks of matrices, in a dtype that has kernels."""
    return v.op is not None and v.op.name == "matmul" and wide(v.dtype) in BLAS_DTYPES


def stacked_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> Step:  # fmt: skip
    """The step: words of a product, and for each axis of the stack its extent and two strides.

    Where a factor has one matrix for several of the stack, its stride there is 0.
    """
    *stack, m, n = shape_of(v)
    k = layouts[0].shape[-1]
    words: list[Word] = [
        *addresses, Address(places[v]), m, n, k, *layouts[0].strides[-2:],
        *layouts[1].strides[-2:], n, Real(1.0), Real(0.0),
    ]  # fmt: skip
    steps = [_steps(layout, len(stack)) for layout in layouts]
    for extent, *both in zip(stack, *steps):
        words += [extent, *both]
    count = prod(stack)
    size = itemsize(v.dtype) * count * (m * k + k * n + m * n)
    return Step(
        "stacked", f"{count} of {m}x{k} @ {k}x{n}", words, nodes=(v,),
        flops=2.0 * count * m * n * k, bytes=float(size),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),),
    )  # fmt: skip


def _steps(layout: Layout, axes: int) -> list[int]:
    """The strides of a factor along the axes of the stack, which may be more than its own."""
    own = [
        stride if extent != 1 else 0
        for extent, stride in zip(layout.shape[:-2], layout.strides[:-2])
    ]
    return [0] * (axes - len(own)) + own
