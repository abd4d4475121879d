"""More of pooling: volumes, whole images, and the largest elements left in their places."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.core.op import apply
from graphc.ops.convert import as_variable
from graphc.ops.convolutions import so_many
from graphc.ops.elementwise import cast
from graphc.ops.pool import check_pooling, counted, four_axes, pool_2d, pool_max_grad
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import mean
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, reshape


def pool_3d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None,
    pad: Any = (0, 0, 0), mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Variable:  # fmt: skip
    """One number for each window of the last three axes: `pool_2d` of volumes.

    Parameters
    ----------
    input : (..., depth, height, width)
        Volumes; any axes may stand before.
    ws : int or three of int
        The window's depth, height and width. `ds` is an older name.
    ignore_border : bool
        Leave out windows that end outside; False, the default, keeps what is left of them.
    stride : three of int, optional
        From window to window, by default `ws`. `st` is an older name.
    pad : three of int
        Zeros around a volume, less than a window; they are no candidates for the largest.
        They need ``ignore_border=True``. `padding` is an older name.
    mode : {"max", "sum", "average_inc_pad", "average_exc_pad"}
        What of the window; the means count the padding or not.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.signal.pool.pool_3d(np.arange(16.0).reshape(4, 2, 2), (2, 2, 2), True).eval().ravel()
    array([ 7., 15.])
    """
    x = as_variable(input)
    window = so_many(ws if ws is not None else ds, 3, "ws")
    given = stride if stride is not None else st
    steps = window if given is None else so_many(given, 3, "stride")
    around = so_many(pad if padding is None else padding, 3, "pad", 0)
    whole = bool(ignore_border)
    check_pooling(x, window, around, whole, mode, "pool_3d")
    # All modes are products of what they are along each axis: first images, then their rows of
    # slices, whose elements are a second axis.
    flat = pool_2d(x, window[1:], whole, steps[1:], around[1:], mode)
    lead = [dim(flat, k) for k in range(flat.ndim - 3)]
    depth, height, width = (dim(flat, k) for k in range(flat.ndim - 3, flat.ndim))
    slices = reshape(flat, [*lead, depth, height * width])  # type: ignore[operator]
    made = pool_2d(slices, (window[0], 1), whole, (steps[0], 1), (around[0], 0), mode)
    return reshape(made, [*lead, dim(made, made.ndim - 2), height, width])


def max_pool_3d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None,
    pad: Any = (0, 0, 0), mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Variable:  # fmt: skip
    """`pool_3d` under its older name."""
    return pool_3d(input, ws, ignore_border, stride, pad, mode, ds, st, padding)


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Variable:
    """Images of the same size in which only the largest elements of each patch are left.

    Parameters
    ----------
    input : (..., height, width)
        Images.
    patch_size : pair of int
        The height and width of the patches, which don't overlap. What is over at the end of an
        image becomes 0; of several that are the largest of a patch, all are left.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.array([[1.0, 4.0, 2.0, 0.0], [3.0, 2.0, 5.0, 1.0]])
    >>> T.signal.pool.max_pool_2d_same_size(x, (2, 2)).eval()
    array([[0., 4., 0., 0.],
           [0., 0., 5., 0.]])
    """
    x = as_variable(input)
    window = so_many(patch_size, 2, "patch_size")
    check_pooling(x, window, (0, 0), True, "max", "max_pool_2d_same_size")
    images = reshape(x, four_axes(x)) if x.ndim != 4 else x
    images = cast(images, counted(x.dtype))
    largest = pool_2d(images, window, True)
    attrs = {"window": window, "stride": window, "pad": (0, 0), "whole": True}
    found = apply(pool_max_grad, (images, largest, largest), attrs)
    return found if x.ndim == 4 else reshape(found, [dim(x, k) for k in range(x.ndim)])


def global_pool(input: Any, mode: str = "max", keepdims: bool = False) -> Variable:
    """One number for each channel: the largest, the sum or the mean over all axes behind it.

    Parameters
    ----------
    input : (batch, channels, ...)
        Sequences, images or volumes.
    mode : {"max", "sum", "average"}
        What of all elements.
    keepdims : bool
        Whether the axes stay, with size 1.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.nnet.global_pool(np.arange(8.0).reshape(1, 2, 2, 2), "average").eval()
    array([[1.5, 5.5]])
    """
    x = as_variable(input)
    if x.ndim < 3:
        raise ShapeError(
            f"global_pool: {describe(x)} has no axes behind channels",
            "an input is (batch, channels, ...)", user_frames(),
        )  # fmt: skip
    of = {"max": max_, "sum": sum_, "average": mean}.get(mode)
    if of is None:
        raise ArgumentError(
            f"global_pool: mode {mode!r} is none of max, sum, average", at=user_frames()
        )
    return of(x, tuple(range(2, x.ndim)), keepdims=keepdims)


def global_max_pool(input: Any, keepdims: bool = False) -> Variable:
    """The largest element of each channel; see `global_pool`."""
    return global_pool(input, "max", keepdims)


def global_average_pool(input: Any, keepdims: bool = False) -> Variable:
    """The mean of each channel; see `global_pool`.

    Lin, Chen and Yan, "Network in Network", 2014.
    """
    return global_pool(input, "average", keepdims)
