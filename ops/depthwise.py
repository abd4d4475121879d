"""Convolutions whose channels don't meet, and those with a pointwise one behind."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.convolutions import convolved


def _channels(x: Variable, w: Variable, given: int | None, what: str) -> int:
    """How many channels there are: as given, or of an input or filters of known sizes."""
    known = x.type.shape[1] if x.ndim > 1 else None
    found = given if given is not None else known
    if found is None:
        raise ArgumentError(
            f"{what}: how many channels {describe(x)} has is not known",
            "give num_channels", user_frames(),
        )  # fmt: skip
    if known is not None and known != found:
        raise ShapeError(
            f"{what}: num_channels={found}, and the input is {describe(x)}", at=user_frames()
        )
    if w.ndim > 1 and w.type.shape[1] not in (None, 1):
        raise ShapeError(
            f"{what}: depthwise filters {describe(w)} must have one channel each",
            "they are (channels * multiplier, 1, ...), in the order of the channels",
            user_frames(),
        )
    return int(found)


def _depthwise(
    axes: int, what: str, input: Any, filters: Any, num_channels: int | None,
    shapes: tuple[Any, Any], border_mode: Any, subsample: Any, filter_flip: bool,
    filter_dilation: Any,
) -> Variable:  # fmt: skip
    x, w = as_variable(input), as_variable(filters)
    groups = _channels(x, w, num_channels, what)
    return convolved(
        axes, x, w, border_mode, subsample, filter_flip, filter_dilation, groups, shapes
    )


def depthwise_conv2d(
    input: Any, filters: Any, num_channels: int | None = None, input_shape: Any = None,
    filter_shape: Any = None, border_mode: Any = "valid", subsample: Any = (1, 1),
    filter_flip: bool = True, filter_dilation: Any = (1, 1),
) -> Variable:  # fmt: skip
    """`conv2d` of each channel with filters of its own: ``num_groups`` is that of the channels.

    Parameters
    ----------
    input : (batch, channels, height, width)
        Images.
    filters : (channels * multiplier, 1, height, width)
        The filters of the first channel, those of the second, and so on.
    num_channels : int, optional
        The number of channels, where the type of `input` doesn't say it.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> T.nnet.depthwise_conv2d(x, np.ones((2, 1, 2, 2))).eval().ravel()
    array([ 6., 22.])
    """
    return _depthwise(
        2, "depthwise_conv2d", input, filters, num_channels, (input_shape, filter_shape),
        border_mode, subsample, filter_flip, filter_dilation,
    )  # fmt: skip


def separable_conv2d(
    input: Any, depthwise_filters: Any, pointwise_filters: Any, num_channels: int | None = None,
    input_shape: Any = None, depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None, border_mode: Any = "valid", subsample: Any = (1, 1),
    filter_flip: bool = True, filter_dilation: Any = (1, 1),
) -> Variable:  # fmt: skip
    """`depthwise_conv2d`, and behind it a convolution with filters of one pixel.

    Parameters
    ----------
    input : (batch, channels, height, width)
        Images.
    depthwise_filters : (channels * multiplier, 1, height, width)
        What moves over the images.
    pointwise_filters : (filters, channels * multiplier, 1, 1)
        What mixes the channels.
    num_channels : int, optional
        The number of channels, where the type of `input` doesn't say it.

    Notes
    -----
    Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2017.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> T.nnet.separable_conv2d(x, np.ones((2, 1, 2, 2)), np.ones((3, 2, 1, 1))).eval().ravel()
    array([28., 28., 28.])
    """
    inner = _depthwise(
        2, "separable_conv2d", input, depthwise_filters, num_channels,
        (input_shape, depthwise_filter_shape), border_mode, subsample, filter_flip,
        filter_dilation,
    )  # fmt: skip
    return _pointwise(2, inner, pointwise_filters, pointwise_filter_shape)


def separable_conv3d(
    input: Any, depthwise_filters: Any, pointwise_filters: Any, num_channels: int | None = None,
    input_shape: Any = None, depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None, border_mode: Any = "valid", subsample: Any = (1, 1, 1),
    filter_flip: bool = True, filter_dilation: Any = (1, 1, 1),
) -> Variable:  # fmt: skip
    """`separable_conv2d` of volumes; filters are (channels * multiplier, 1, depth, height,
    width) and (filters, channels * multiplier, 1, 1, 1)."""
    inner = _depthwise(
        3, "separable_conv3d", input, depthwise_filters, num_channels,
        (input_shape, depthwise_filter_shape), border_mode, subsample, filter_flip,
        filter_dilation,
    )  # fmt: skip
    return _pointwise(3, inner, pointwise_filters, pointwise_filter_shape)


def _pointwise(axes: int, x: Variable, filters: Any, shape: Any) -> Variable:
    w = as_variable(filters)
    if any(n not in (None, 1) for n in w.type.shape[2:]):
        raise ShapeError(
            f"separable_conv{axes}d: pointwise filters {describe(w)} are not of size 1",
            "they are (filters, channels * multiplier" + ", 1" * axes + ")", user_frames(),
        )  # fmt: skip
    return convolved(axes, x, w, "valid", 1, False, 1, 1, (None, shape))
