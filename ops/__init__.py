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
    compressed,
    contractions,
    control,
    conv,
    convert,
    convolutions,
    cumulative,
    decompositions,
    depthwise,
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
    neighbours,
    nnet,
    normalise,
    operators,
    ordering,
    picking,
    pool,
    pools,
    printing,
    random,
    reduce,
    shape,
    signals,
    solvers,
    sparse,
    sparse_math,
    sparse_methods,
    sparse_structure,
    special,
    stochastic,
    tiling,
    unpool,
    unshared,
    upsampling,
)

# Those of linear algebra, Fourier transforms, convolution and pooling have public modules of their
# own.
FAMILIES = (
    elementwise, special, complexes, reduce, cumulative, ordering, shape, axes, broadcast, make,
    grids, join, tiling, index, picking, diagonals, linalg, contractions, nnet, control, conv, pool,
)  # fmt: skip

__all__ = [
    "FAMILIES", "axes", "broadcast", "complexes", "contractions", "control", "conv", "convert",
    "convolutions", "cumulative", "decompositions", "depthwise", "diagonals", "elementwise",
    "fourier", "grids", "index", "inverses", "join", "linalg", "losses", "make", "masks",
    "matrix_functions", "neighbours", "nnet", "normalise", "operators", "ordering", "picking",
    "pool", "pools", "random", "reduce", "shape", "signals", "solvers", "special", "stochastic",
    "tiling", "unpool", "unshared", "upsampling", "compressed", "sparse", "sparse_math",
    "sparse_methods", "sparse_structure", "printing",
]  # fmt: skip
