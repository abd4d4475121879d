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
    conv,
    convert,
    cumulative,
    decompositions,
    diagonals,
    elementwise,
    fourier,
    grids,
    index,
    inverses,
    join,
    linalg,
    losses,
    make,
    masks,
    matrix_functions,
    nnet,
    normalise,
    operators,
    ordering,
    picking,
    pool,
    printing,
    random,
    reduce,
    shape,
    solvers,
    special,
    tiling,
)

# Those of linear algebra and Fourier transforms have public modules of their own.
FAMILIES = (
    elementwise, special, complexes, reduce, cumulative, ordering, shape, axes, broadcast, make,
    grids, join, tiling, index, picking, diagonals, linalg, contractions, nnet, control, conv, pool,
)  # fmt: skip

__all__ = [
    "FAMILIES", "axes", "broadcast", "complexes", "contractions", "control", "conv", "convert",
    "cumulative", "decompositions", "diagonals", "elementwise", "fourier", "grids", "index",
    "join", "linalg", "losses", "make", "masks", "matrix_functions", "nnet", "normalise",
    "operators", "ordering", "picking", "pool", "reduce", "shape", "solvers", "special",
    "tiling", "inverses", "printing", "random",
]  # fmt: skip
