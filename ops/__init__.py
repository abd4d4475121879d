"""The op library: every op is one declaration, in the file of its family."""

if __name__ != "graphc.ops":
    raise ImportError(
        f"this folder is the package 'graphc.ops', not {__name__!r}: "
        "write 'import graphc.ops' (under a second name, each of its modules would exist twice)"
    )

from graphc.ops import (
    control,
    convert,
    elementwise,
    index,
    linalg,
    nnet,
    operators,
    reduce,
    shape,
)

FAMILIES = (elementwise, reduce, shape, index, linalg, nnet, control)

__all__ = [
    "FAMILIES", "control", "convert", "elementwise", "index", "linalg", "nnet", "operators",
    "reduce", "shape",
]  # fmt: skip
