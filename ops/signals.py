"""Convolution of plain signals and images: without channels."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.convolutions import convolved
from graphc.ops.shape import dimshuffle


def signal_conv2d(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), **kargs: Any,
) -> Variable:  # fmt: skip
    """The convolution of images with filters, without channels: each with each.

    Parameters
    ----------
    input : (height, width) or (images, height, width)
        One image, or several.
    filters : (height, width) or (filters, height, width)
        One filter, or several.
    image_shape, filter_shape : sequence, optional
        Sizes; nothing depends on them.
    border_mode, subsample
        As for ``T.nnet.conv2d``.

    Returns
    -------
    variable
        (images, filters, height, width), without the axes that an operand doesn't have.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.signal.conv.conv2d(np.eye(3), np.ones((2, 2))).eval()
    array([[2., 1.],
           [1., 2.]])
    """
    x, w = as_variable(input), as_variable(filters)
    for v, what in ((x, "an image"), (w, "a filter")):
        if v.ndim not in (2, 3):
            raise ShapeError(
                f"signal.conv.conv2d: rank of {describe(v)} is neither 2 nor 3",
                f"{what} has two axes, several have three; for images with channels there is "
                "T.nnet.conv2d",
                user_frames(),
            )
    images = dimshuffle(x, *(("x", "x", 0, 1) if x.ndim == 2 else (0, "x", 1, 2)))
    kernels = dimshuffle(w, *(("x", "x", 0, 1) if w.ndim == 2 else (0, "x", 1, 2)))
    made = convolved(2, images, kernels, border_mode, subsample, True, 1, 1)
    kept = [0] * (x.ndim == 3) + [1] * (w.ndim == 3)
    return dimshuffle(made, *kept, 2, 3)
