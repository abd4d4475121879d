"""Matrix products: which kernel serves one, and its argument block."""

from __future__ import annotations

import functools
from typing import Any

from graphc.core.plan import Step
from graphc.runtime import natives
from graphc.runtime.compile import Compiled, compile_emitted
from graphc.runtime.contraction import SPLIT_COLUMNS, SPLIT_ROWS, choose, emit_gemm, level_of


@functools.cache
def cpu_level() -> str:
    """The vector level of this CPU."""
    from graphc.runtime.machine import host

    flags = dict.fromkeys(
        (f[1:] for f in host().features.split(",") if f.startswith("+")), True
    )
    return level_of(flags).name


def prepare(step: Step) -> Compiled:
    """The native function of a product step; completes the step's block."""
    p: Any = step.extra
    choice = choose(p.m, p.n, p.k, p.dtype, p.a_strides, p.b_strides, cpu_level(), beta=p.beta)
    rows = choice.split == "rows"
    step.high = p.m if rows else p.n
    step.words = [*step.words[:13], SPLIT_ROWS if rows else SPLIT_COLUMNS]
    if choice.variant is None:
        step.label += " by BLAS"
        step.words = natives.gemm_words(p.dtype, step.words, step.flops)
        return natives.native(f"gemm_{p.dtype}")
    variant = choice.variant
    step.label += f" by {variant.symbol}"
    return compile_emitted(variant.symbol, lambda: emit_gemm(variant)[0])
