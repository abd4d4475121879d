"""The op library: every op is one declaration, in the file of its family."""

if __name__ != "graphc.ops":
    raise ImportError(
        f"this folder is the package 'graphc.ops', not {__name__!r}: "
        "write 'import graphc.ops' (under a second name, each of its modules would exist twice)"
    )

from graphc.ops import (
    axes,
    broadcast,
    complexes,
    contractions,
    control,
    convert,
    cumulative,
    diagonals,
    elementwise,
    grids,
    index,
    join,
    linalg,
    losses,
    make,
    masks,
    nnet,
    normalise,
    operators,
    ordering,
    picking,
    reduce,
    shape,
    special,
    tiling,
)

FAMILIES = (
    elementwise, special, complexes, reduce, cumulative, ordering, shape, axes, broadcast, make,
    grids, join, tiling, index, picking, diagonals, linalg, contractions, nnet, control,
)  # fmt: skip

__all__ = [
    "FAMILIES", "axes", "broadcast", "complexes", "contractions", "control", "convert",
    "cumulative", "diagonals", "elementwise", "grids", "index", "join", "linalg", "losses", "make",
    "masks", "nnet", "normalise", "operators", "ordering", "picking", "reduce", "shape", "special",
    "tiling",
]  # fmt: skip
