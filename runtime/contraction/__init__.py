"""Matrix products for one thread, in LLVM IR: small, skinny and in-place ones.

    C[m, n] = alpha * sum over k of A[m, k] * B[k, n] + beta * C[m, n]

A and B have any row and column strides (a transposed operand has them swapped), C's columns are
adjacent. `choose` names the kernel for a product, or BLAS; `emit_gemm` gives a kernel's LLVM IR,
which holds no size: extents, strides and scales are words of a block that `block` lays out in the
order of `Word`. A kernel is a step of a plan,

    i32 symbol(i64* retptr, i8** excinfo, i64 block, i64 low, i64 high)

which works on ``C[low:high]`` or ``C[:, low:high]``, as the block's word `SPLIT` says. Calls with
the same block and disjoint ranges may run at the same time: what a kernel packs, it keeps on its
own stack (about 35 KiB), so the steps need no scratch memory.

Nothing here compiles; `native` does, for tests and benchmarks.

Examples
--------
>>> choice = choose(20, 500, 784, "float32", (784, 1), (500, 1), level="avx512")
>>> choice.kind, choice.split, choice.granule
('tile', 'columns', 32)
>>> text, symbol = emit_gemm(choice.variant)
>>> symbol
'outer_float32_avx512_10x2x1_direct_columns'
"""

from __future__ import annotations

from .block import SPLIT_COLUMNS, SPLIT_ROWS, WORDS, Word, bits, block
from .choose import Choice, choose
from .levels import LEVELS, Level, level_of
from .variants import Convolution, Dots, Outer, Tile, Variant

__all__ = [
    "LEVELS",
    "SPLIT_COLUMNS",
    "SPLIT_ROWS",
    "WORDS",
    "Choice",
    "Convolution",
    "Dots",
    "Level",
    "Outer",
    "Tile",
    "Variant",
    "Word",
    "bits",
    "block",
    "choose",
    "emit_convolution",
    "emit_gemm",
    "level_of",
]


def emit_gemm(variant: Variant) -> tuple[str, str]:
    """Return the LLVM IR of a variant and the name of its step function."""
    # Lazy: a program whose kernels are all in the cache chooses, but emits nothing.
    from .dots import emit_dots
    from .gemm import emit_outer

    text = emit_outer(variant) if isinstance(variant, Outer) else emit_dots(variant)
    return text, variant.symbol


def emit_convolution(variant: Convolution) -> str:
    """Return the LLVM IR of a convolution's step function, which has the variant's symbol."""
    from .convolve import emit_convolution as emit  # lazy, as above

    return emit(variant)
