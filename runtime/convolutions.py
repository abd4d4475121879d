"""Convolutions: which register tile serves one."""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compile import Compiled, compile_emitted
from graphc.runtime.contraction import Convolution, emit_convolution
from graphc.runtime.products import cpu_level

# Rows and columns of tiles that fit into registers, wide ones first: the best keep as many sums
# as the latency of a multiply-add needs, and leave registers for operands.
TILES = {
    ("filter", "avx512"): ((14, 2), (13, 2), (12, 2), (11, 2), (10, 2), (9, 3), (8, 3), (7, 3),
                           (6, 4), (5, 5), (4, 6), (3, 7), (2, 9), (1, 12)),
    ("filter", "avx2"): ((6, 1), (5, 1), (4, 1), (3, 2), (2, 2), (1, 4)),
    ("filter", "plain"): ((2, 1), (1, 2)),
    ("correlate", "avx512"): ((5, 5), (4, 6), (6, 4), (3, 7), (2, 9), (1, 12)),
    ("correlate", "avx2"): ((2, 2), (1, 4)),
    ("correlate", "plain"): ((1, 2),),
}  # fmt: skip


def choose(kind: str, level: str, m: int, n: int) -> tuple[int, int]:
    """The tile that wastes least: of rows and columns that it computes twice, and of loads.

    >>> choose("filter", "avx512", 64, 256), choose("correlate", "avx512", 20, 25)
    ((8, 3), (5, 5))
    """

    def cost(tile: tuple[int, int]) -> float:
        rows, columns = tile
        done = -(-m // rows) * rows * (-(-n // columns) * columns)
        cells = rows * columns
        loads = rows + columns + 1
        return done * max(1.0, 0.9 * 2 * loads / (2 * cells), 12 / cells)

    return min(TILES[kind, level], key=cost)


def prepare(step: Step) -> Compiled:
    """The native function of a convolution step."""
    request: Any = step.extra
    level = cpu_level()
    tile = choose(request.kind, level, request.m, request.n)
    variant = Convolution(request.dtype, level, request.kind, *tile)
    step.served = variant
    step.label += f" by {variant.symbol}"
    return compile_emitted(variant.symbol, lambda: emit_convolution(variant))
