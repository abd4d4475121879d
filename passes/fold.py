"""Constant folding: what depends on constants alone is computed once, if it stays small.

It comes after stabilising, so that it never computes an overflow that a better formula
would avoid.
"""

from __future__ import annotations

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import GraphError
from graphc.core.node import Constant, Variable
from graphc.core.op import Generator, Host, View
from graphc.core.pattern import ANYTHING, CONSTANT, Rule, rewrites

LARGEST = 1 << 20  # bytes of a result


@rewrites(ANYTHING, on=(CONSTANT,))
def fold_constants(node: Variable) -> Variable | None:
    """f(constants) -> its value, up to 1 MiB

    What is cheaper as it is (ranges, identities, broadcasts and other views that make
    something larger) stays, and so does what raises an error, for run time to report.
    """
    op = node.op
    assert op is not None
    if not node.args or not node.type.known or node.type.nbytes > LARGEST:
        return None
    if isinstance(op.lower, Generator | Host) or not all(
        isinstance(a, Constant) for a in node.args
    ):
        return None
    values = [a.data for a in node.args if isinstance(a, Constant)]
    if isinstance(op.lower, View) and node.type.size > values[0].size:
        return None
    try:
        with np.errstate(all="ignore"):
            result = dtypes.convert(op.numpy(*values, **node.attrs), node.dtype)
    except (GraphError, ValueError, IndexError, ZeroDivisionError):
        return None
    if result.shape != node.type.shape:
        return None
    return Constant(result, node.dtype, where=node.where)


FOLD: tuple[Rule, ...] = (fold_constants,)
