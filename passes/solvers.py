"""Linear algebra as steps for a target with a library for it.

Which calls serve a step, and whether the library is there at all, is the target's to find out: a
step also has what NumPy needs, as a step of the host has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Step, Word
from graphc.passes.layout import Layout
from graphc.passes.lower import BLAS_DTYPES

SOLVED = ("cholesky", "solve", "solve_triangular", "matrix_inverse", "det", "slogdet_sign",
          "slogdet_logabsdet", "qr", "eigh_values", "eigh_vectors", "svd")  # fmt: skip
_LARGEST = 2**31 - 1  # what the library's numbers tell


def is_solved(v: Variable) -> bool:
    """Whether an op of known sizes is one that such libraries have."""
    if v.op is None or v.op.name not in SOLVED or v.attrs.get("assume_a", "gen") != "gen":
        return False
    same = v.dtype in BLAS_DTYPES and all(a.dtype == v.dtype for a in v.args)
    sizes = [n for a in (v, *v.args) for n in a.type.shape]
    return same and all(n is not None and 0 < n <= _LARGEST for n in sizes)


def solver_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address], place: Place,
    host: tuple[Any, ...],
) -> tuple[Step, list[int]]:  # fmt: skip
    """The step of an op, and at which words its operands' addresses are.

    A block has each operand's address and strides, then the result's address. `host` is what a
    step of the host has.
    """
    assert v.op is not None
    words: list[Word] = []
    starts: list[int] = []
    for layout, address in zip(layouts, addresses):
        starts.append(len(words))
        words += [address, *layout.strides]
    words.append(Address(place))
    sizes = "x".join(map(str, v.args[0].type.shape))
    step = Step(
        "solver", f"{v.op.name} of {sizes}", words, nodes=(v,), checks=[v],
        bytes=float(sum(a.type.nbytes for a in (v, *v.args))),
        reads=tuple(str(a.place) for a in addresses), writes=(str(place),), extra=host,
    )  # fmt: skip
    return step, starts
