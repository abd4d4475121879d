"""Stochastic pooling: an element of each window, drawn by its share of the window's sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.convolutions import so_many
from graphc.ops.elementwise import cast, eq, lt, maximum, switch
from graphc.ops.index import getitem
from graphc.ops.pool import check_pooling, pool_2d
from graphc.ops.shape import dim

_HINT = "put a rectifier, T.nnet.relu, before it: shares are of numbers that aren't negative"


def _arguments(input: Any, ws: Any, stride: Any, what: str) -> tuple[Variable, Any, Any]:
    x = as_variable(input)
    window = so_many(ws, 2, "ws")
    steps = window if stride is None else so_many(stride, 2, "stride")
    check_pooling(x, window, (0, 0), True, "max", what)
    if x.dtype in dtypes.COMPLEX:
        raise ArgumentError(f"{what}: complex numbers are no shares", _HINT, user_frames())
    return cast(x, dtypes.float_for(x.dtype)), window, steps


def _room(x: Variable, axis: int, window: int) -> Any:
    """At how many places along an axis a window may begin."""
    size: Any = dim(x, axis)
    return maximum(size - window + 1, 0)


def _taps(x: Variable, window: tuple[int, int], steps: tuple[int, int]) -> Iterator[Variable]:
    """For each place in a window, the elements there of all windows."""
    lead: tuple[Any, ...] = (slice(None),) * (x.ndim - 2)
    for at in np.ndindex(*window):
        cut = []
        for a, (k, n, step) in enumerate(zip(at, window, steps), x.ndim - 2):
            known: Any = x.type.shape[a]
            room = max(known - n + 1, 0) if known is not None else _room(x, a, n)
            cut.append(slice(k, room + k, step))
        yield getitem(x, (*lead, *cut))


def stochastic_pool_2d(input: Any, ws: Any, rng: Any, stride: Any = None) -> Variable:
    """An element of each window, drawn with a probability that is its share of the window's sum.

    ``out = x[l], l drawn with p[l] = x[l] / sum over the window of x``; a window of zeros gives 0.
    The gradient goes to the element that was drawn.

    Parameters
    ----------
    input : (..., height, width)
        Activations, which must not be negative; negative ones count as 0.
    ws : int or pair of int
        The window's height and width; windows that would end outside are left out.
    rng : RandomStream
        What draws.
    stride : pair of int, optional
        From window to window, by default `ws`.

    Notes
    -----
    Zeiler and Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural
    Networks", 2013. When a model is used rather than trained, `weighted_pool_2d` stands for it.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> x = np.array([[0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]])
    >>> T.signal.pool.stochastic_pool_2d(x, 2, graphc.random.RandomStream(1)).eval()
    array([[3., 5.]])
    """
    if not hasattr(rng, "uniform"):
        raise ArgumentError(
            f"stochastic_pool_2d: rng must be a random stream, not {type(rng).__name__}",
            "give graphc.random.RandomStream(seed)", user_frames(),
        )  # fmt: skip
    x, window, steps = _arguments(input, ws, stride, "stochastic_pool_2d")
    parts = list(_taps(x, window, steps))
    zero = cast(as_variable(0), x.dtype)
    shares = [switch(lt(p, zero), zero, p) for p in parts]
    sums = [shares[0]]
    for share in shares[1:]:
        sums.append(sums[-1] + share)  # type: ignore[operator]
    sizes = [dim(sums[-1], k) for k in range(x.ndim)]
    level = rng.uniform(sizes, dtype=x.dtype) * sums[-1]
    made = zero  # elements without a share are never the first whose sum is above the level
    for total, part in zip(reversed(sums), reversed(parts)):
        made = switch(lt(level, total), part, made)
    return made


def weighted_pool_2d(input: Any, ws: Any, stride: Any = None) -> Variable:
    """The mean of what `stochastic_pool_2d` draws: each element weighted by its share.

    ``out = sum over the window of x^2 / sum over the window of x``; a window of zeros gives 0.

    Parameters
    ----------
    input, ws, stride
        As for `stochastic_pool_2d`.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.signal.pool.weighted_pool_2d(np.array([[1.0, 3.0], [0.0, 0.0]]), 2).eval()
    array([[2.5]])
    """
    x, window, steps = _arguments(input, ws, stride, "weighted_pool_2d")
    zero = cast(as_variable(0), x.dtype)
    shares = switch(lt(x, zero), zero, x)
    total = pool_2d(shares, window, True, steps, mode="sum")
    squares = pool_2d(shares * shares, window, True, steps, mode="sum")  # type: ignore[operator]
    nothing = eq(total, zero)
    return switch(nothing, zero, squares / switch(nothing, cast(as_variable(1), x.dtype), total))  # type: ignore[operator]
