"""Coordinates of grids."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.ops.broadcast import alloc
from graphc.ops.convert import operands
from graphc.ops.join import as_tensor_variable
from graphc.ops.make import arange
from graphc.ops.shape import dim, dimshuffle


def _spread(vectors: list[Variable], order: list[int], full: bool) -> list[Variable]:
    """Each vector along an axis of its own; with `full`, repeated along the others."""
    rank = len(vectors)
    sizes: list[Any] = [None] * rank
    for v, axis in zip(vectors, order):
        sizes[axis] = dim(v, 0)
    found = []
    for v, axis in zip(vectors, order):
        pattern: list[Any] = ["x"] * rank
        pattern[axis] = 0
        laid = dimshuffle(v, *pattern)
        found.append(alloc(laid, *sizes) if full else laid)
    return found


class _Grid:
    """``mgrid[0:3, 0:4]`` and ``ogrid[0:3, 0:4]``, with bounds and steps as in ``arange``."""

    def __init__(self, full: bool) -> None:
        self.full = full

    def __getitem__(self, key: Any) -> Any:
        slices = key if isinstance(key, tuple) else (key,)
        if any(not isinstance(s, slice) or s.stop is None for s in slices):
            raise ArgumentError(
                f"a grid is made of slices with an end, not of {key!r}", at=user_frames()
            )
        steps = [1 if s.step is None else s.step for s in slices]
        vectors = [
            arange(0 if s.start is None else s.start, s.stop, by) for s, by in zip(slices, steps)
        ]
        found = _spread(vectors, list(range(len(vectors))), self.full)
        return found if isinstance(key, tuple) else found[0]


mgrid, ogrid = _Grid(full=True), _Grid(full=False)


def meshgrid(*xi: Any, indexing: str = "xy") -> list[Variable]:
    """The coordinates of the points of a grid, from those along each axis.

    Parameters
    ----------
    indexing : {'xy', 'ij'}
        Whether the first vector runs along the second axis, or along the first.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> [g.eval().tolist() for g in T.meshgrid(T.arange(2), T.arange(3))]
    [[[0, 1], [0, 1], [0, 1]], [[0, 0], [1, 1], [2, 2]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing {indexing!r} is not 'xy' or 'ij'",
                            at=user_frames())  # fmt: skip
    vectors = [v if v.ndim else dimshuffle(v, "x") for v in (operands([x])[0] for x in xi)]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    return _spread(vectors, order, full=True)


def stacklists(arg: Any) -> Variable:
    """A tensor of nested lists of tensors of one shape.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.stacklists([[T.constant(1), 2], [3, 4]]).eval()
    array([[1, 2],
           [3, 4]])
    """
    return as_tensor_variable(arg)
