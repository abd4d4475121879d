"""``T.nnet.abstract_conv``: convolution, its gradients as ops of their own, and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, user_frames
from graphc.ops.conv import output_size
from graphc.ops.convolutions import (
    causal_conv1d,
    conv1d,
    conv2d,
    conv3d,
    gradient_of_filters,
    gradient_of_input,
    normal_border,
    so_many,
)
from graphc.ops.depthwise import depthwise_conv2d, separable_conv2d, separable_conv3d
from graphc.ops.upsampling import bilinear_kernel_1D, bilinear_kernel_2D, bilinear_upsampling


@dataclass(frozen=True)
class _Convolution:
    """The options of a convolution; called with its operands."""

    AXES: ClassVar[int] = 2

    imshp: Any = None
    kshp: Any = None
    border_mode: Any = "valid"
    subsample: Any = None
    filter_flip: bool = True
    filter_dilation: Any = None
    num_groups: int = 1
    unshared: bool = False

    def options(self) -> dict[str, Any]:
        ones = (1,) * self.AXES
        if self.unshared and self.AXES != 2:
            raise ArgumentError("unshared convolutions are there for images", at=user_frames())
        return {
            "border_mode": self.border_mode, "subsample": self.subsample or ones,
            "filter_flip": self.filter_flip, "filter_dilation": self.filter_dilation or ones,
            "num_groups": self.num_groups,
            **({"unshared": True} if self.unshared else {}),
        }  # fmt: skip


class AbstractConv2d(_Convolution):
    """``AbstractConv2d(...)(images, filters)`` is `conv2d`."""

    def __call__(self, img: Any, kern: Any) -> Variable:
        forward = conv2d if self.AXES == 2 else conv3d
        return forward(img, kern, self.imshp, self.kshp, **self.options())


class AbstractConv2d_gradInputs(_Convolution):
    """``(...)(filters, gradient, size)``: the gradient of images of a (height, width)."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any = None) -> Variable:
        size = shape if shape is not None else self.imshp
        return gradient_of_input(self.AXES, topgrad, kern, size, **self.options())


class AbstractConv2d_gradWeights(_Convolution):
    """``(...)(images, gradient, size)``: the gradient of filters of a (height, width)."""

    def __call__(self, img: Any, topgrad: Any, shape: Any = None) -> Variable:
        size = shape if shape is not None else self.kshp
        return gradient_of_filters(self.AXES, img, topgrad, size, **self.options())


class AbstractConv3d(AbstractConv2d):
    """``AbstractConv3d(...)(volumes, filters)`` is `conv3d`."""

    AXES = 3


class AbstractConv3d_gradInputs(AbstractConv2d_gradInputs):
    """``(...)(filters, gradient, size)``: the gradient of volumes of a size."""

    AXES = 3


class AbstractConv3d_gradWeights(AbstractConv2d_gradWeights):
    """``(...)(volumes, gradient, size)``: the gradient of filters of a size."""

    AXES = 3


# --- gradients by name ----------------------------------------------------------------


def conv1d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = 1, filter_flip: bool = True,
    filter_dilation: Any = 1, num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The gradient of `conv1d` with respect to sequences of shape `input_shape`."""
    return gradient_of_input(
        1, output_grad, filters, input_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


def conv2d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to images of shape `input_shape`."""
    return gradient_of_input(
        2, output_grad, filters, input_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def conv3d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1), num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The gradient of `conv3d` with respect to volumes of shape `input_shape`."""
    return gradient_of_input(
        3, output_grad, filters, input_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


def conv1d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = 1, filter_flip: bool = True,
    filter_dilation: Any = 1, num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The gradient of `conv1d` with respect to filters of shape `filter_shape`."""
    return gradient_of_filters(
        1, input, output_grad, filter_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


def conv2d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to filters of shape `filter_shape`."""
    return gradient_of_filters(
        2, input, output_grad, filter_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def conv3d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1), num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The gradient of `conv3d` with respect to filters of shape `filter_shape`."""
    return gradient_of_filters(
        3, input, output_grad, filter_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


# --- transposed convolutions ----------------------------------------------------------


def conv1d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", input_dilation: Any = 1, filter_flip: bool = True,
    filter_dilation: Any = 1, num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The transposed convolution of sequences, whose result has shape `output_shape`; see
    `conv2d_transpose`."""
    return gradient_of_input(
        1, input, filters, output_shape, border_mode, input_dilation, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


def conv2d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", input_dilation: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The transposed convolution, whose result has shape `output_shape`: the gradient of the
    convolution with stride `input_dilation` that takes it to `input`.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 2))
    >>> T.nnet.conv2d_transpose(x, w, (1, 1, 1, 4), input_dilation=(1, 2)).eval().ravel()
    array([1., 1., 2., 2.])
    """
    return gradient_of_input(
        2, input, filters, output_shape, border_mode, input_dilation, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def conv3d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", input_dilation: Any = (1, 1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1), num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The transposed convolution of volumes, whose result has shape `output_shape`; see
    `conv2d_transpose`."""
    return gradient_of_input(
        3, input, filters, output_shape, border_mode, input_dilation, filter_flip,
        filter_dilation, num_groups,
    )  # fmt: skip


# --- sizes ----------------------------------------------------------------------------


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: int, dilation: int = 1
) -> Any:
    """The size of one axis of a convolution, from its sizes; `border_mode` is a name, a number,
    or a pair of numbers.

    >>> get_conv_shape_1axis(32, 5, "half", 2)
    16
    """
    mode = (border_mode,) if isinstance(border_mode, list | tuple) else border_mode
    return output_size(image_shape, kernel_shape, normal_border(mode, 1), subsample, dilation, 0)


def get_conv_output_shape(
    image_shape: Sequence[Any], kernel_shape: Sequence[Any], border_mode: Any,
    subsample: Sequence[int], filter_dilation: Sequence[int] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of a convolution of images (or sequences, or volumes) and filters of two shapes.

    >>> get_conv_output_shape((10, 3, 32, 32), (8, 3, 5, 5), "half", (2, 2))
    (10, 8, 16, 16)
    """
    axes = len(image_shape) - 2
    if axes not in (1, 2, 3) or len(kernel_shape) < axes + 2:
        raise ShapeError(
            f"get_conv_output_shape: {tuple(image_shape)} and {tuple(kernel_shape)} are no shapes "
            "of an input and of filters", at=user_frames(),
        )  # fmt: skip
    border = normal_border(border_mode, axes)
    steps = so_many(subsample, axes, "subsample")
    dilation = so_many(filter_dilation or 1, axes, "filter_dilation")
    kernel = kernel_shape[-axes:]
    sizes = [
        output_size(image_shape[2 + a], kernel[a], border, steps[a], dilation[a], a)
        for a in range(axes)
    ]
    return (image_shape[0], kernel_shape[0], *sizes)


__all__ = [
    "AbstractConv2d", "AbstractConv2d_gradInputs", "AbstractConv2d_gradWeights",
    "AbstractConv3d", "AbstractConv3d_gradInputs", "AbstractConv3d_gradWeights",
    "bilinear_kernel_1D", "bilinear_kernel_2D", "bilinear_upsampling", "causal_conv1d",
    "conv1d", "conv1d_grad_wrt_inputs", "conv1d_grad_wrt_weights", "conv1d_transpose", "conv2d",
    "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights", "conv2d_transpose", "conv3d",
    "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights", "conv3d_transpose", "depthwise_conv2d",
    "get_conv_output_shape", "get_conv_shape_1axis", "separable_conv2d", "separable_conv3d",
]  # fmt: skip
