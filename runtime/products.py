"""Matrix products: which kernel serves one, and its argument block."""

from __future__ import annotations

import functools
from typing import Any

from graphc.core.plan import Address, Split, Step
from graphc.runtime import natives
from graphc.runtime.compile import Compiled, compile_emitted, is_loaded
from graphc.runtime.contraction import (
    SPLIT_COLUMNS,
    SPLIT_ROWS,
    Choice,
    choose,
    emit_gemm,
    level_of,
)
from graphc.runtime.contraction.levels import BYTES
from graphc.runtime.team import threads

LEAST = 8  # rows or columns of a part
FEW, LARGE = 64, 2**18  # rows of A, and bytes of B: see `_split`


@functools.cache
def cpu_level() -> str:
    """The vector level of this CPU."""
    from graphc.runtime.machine import host

    flags = dict.fromkeys(
        (f[1:] for f in host().features.split(",") if f.startswith("+")), True
    )
    return level_of(flags).name


def prepare(step: Step, before: Step | None = None) -> Compiled:
    """The native function of a product step; completes the step's block.

    `before` is the same product in an earlier plan of the program. A kernel that has yet to
    be compiled is not worth it for a batch of another size: the earlier one serves that too.
    """
    p: Any = step.extra
    choice = choose(
        p.m, p.n, p.k, p.dtype, p.a_strides, p.b_strides, cpu_level(), beta=p.beta,
        alone=threads() == 1,
    )  # fmt: skip
    if before is not None and not _is_ready(choice) and _alike(p, before.extra):
        choice = before.served
    step.served = choice
    rows = choice.split == "rows"
    step.high = p.m if rows else p.n
    step.split = _split(step, choice)
    step.words = [*step.words[:13], SPLIT_ROWS if rows else SPLIT_COLUMNS]
    if choice.variant is None:
        step.label += " by BLAS"
        step.words = natives.gemm_words(p.dtype, step.words, step.flops)
        return natives.native(f"gemm_{p.dtype}")
    variant = choice.variant
    step.label += f" by {variant.symbol}"
    return compile_emitted(variant.symbol, lambda: emit_gemm(variant)[0])


def _split(step: Step, choice: Choice) -> Split:
    """What parts are: rows or columns of C, or with few rows, shares of k.

    Weights are updated by rows. Parts that read the same rows in the next call find them in their
    core's cache, where parts by columns would fetch half of what the other core has written.
    """
    p: Any = step.extra
    b = step.words[1]
    weights = isinstance(b, Address) and b.place.kind == "shared"
    size, dense = BYTES[p.dtype], step.words[10] == p.n
    if weights and dense and p.beta == 0 and p.m <= FEW and p.k * p.n * size >= LARGE:
        moves = (0, p.a_strides[1] * size), (1, p.b_strides[0] * size)
        return Split(p.k, LEAST, counted=5, moves=moves, sums=(2, p.m * p.n, p.dtype))
    return Split(step.high, max(choice.granule, LEAST))


def _is_ready(choice: Choice) -> bool:
    return choice.variant is None or is_loaded(choice.variant.symbol)


def _alike(p: Any, q: Any) -> bool:
    """Whether a kernel that serves one product serves the other: it depends on no size but 1."""
    return _layout_class(p) == _layout_class(q)


def _layout_class(p: Any) -> tuple[Any, ...]:
    units = tuple(s == 1 for s in (*p.a_strides, *p.b_strides))
    return p.dtype, units, p.m == 1, p.n == 1, p.k == 1
