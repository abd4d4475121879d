"""``graphc.scan_module.scan_utils``: what Theano keeps beside loops."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.api import clone
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.gof.graph import is_same_graph
from graphc.looping import until


def equal_computations(
    xs: Sequence[Variable], ys: Sequence[Variable],
    in_xs: Sequence[Variable] | None = None, in_ys: Sequence[Variable] | None = None,
) -> bool:  # fmt: skip
    """Whether each of `xs` is computed as its counterpart in `ys`.

    Parameters
    ----------
    in_xs, in_ys : variables, optional
        Leaves of the ones that stand for leaves of the others, pair by pair.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> same = graphc.scan_module.scan_utils.equal_computations
    >>> same([x + 1], [y + 1]), same([x + 1], [y + 1], [x], [y])
    (False, True)
    """
    first, second = list(in_xs or ()), list(in_ys or ())
    if len(first) != len(second):
        raise ArgumentError(
            f"equal_computations: {len(first)} leaves don't stand for {len(second)}",
            at=user_frames(),
        )
    pairs = dict(zip(first, second))
    return len(xs) == len(ys) and all(is_same_graph(x, y, pairs) for x, y in zip(xs, ys))


__all__ = ["clone", "equal_computations", "until"]
