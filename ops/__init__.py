"""The op library: every op is one declaration, in the file of its family."""

if __name__ != "graphc.ops":
    raise ImportError(
        f"this folder is the package 'graphc.ops', not {__name__!r}: "
        "write 'import graphc.ops' (under a second name, each of its modules would exist twice)"
    )

from graphc.ops import (
    broadcast,
    control,
    convert,
    elementwise,
    index,
    join,
    linalg,
    make,
    nnet,
    operators,
    random,
    reduce,
    shape,
)

FAMILIES = (elementwise, reduce, shape, broadcast, make, join, index, linalg, nnet, control)

__all__ = [
    "FAMILIES", "broadcast", "control", "convert", "elementwise", "index", "join", "linalg",
    "make", "nnet", "operators", "random", "reduce", "shape",
]  # fmt: skip
