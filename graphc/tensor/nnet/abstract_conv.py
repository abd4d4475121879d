"""``T.nnet.abstract_conv``: convolution, its gradients as ops of their own, and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.ops.conv import (
    conv2d,
    conv2d_gradient_of_filters,
    conv2d_gradient_of_input,
    normal_border,
    output_size,
)


@dataclass(frozen=True)
class _Convolution:
    """The options of a convolution; called with its operands."""

    imshp: Any = None
    kshp: Any = None
    border_mode: Any = "valid"
    subsample: Any = (1, 1)
    filter_flip: bool = True
    filter_dilation: Any = (1, 1)
    num_groups: int = 1
    unshared: bool = False

    def options(self) -> dict[str, Any]:
        names = ("border_mode", "subsample", "filter_flip", "filter_dilation", "num_groups")
        return {name: getattr(self, name) for name in (*names, "unshared")}


class AbstractConv2d(_Convolution):
    """``AbstractConv2d(...)(images, filters)`` is `conv2d`."""

    def __call__(self, img: Any, kern: Any) -> Variable:
        return conv2d(img, kern, self.imshp, self.kshp, **self.options())


class AbstractConv2d_gradInputs(_Convolution):
    """``(...)(filters, gradient, size)``: the gradient of images of a (height, width)."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any = None) -> Variable:
        return conv2d_gradient_of_input(
            topgrad, kern, _last_two(shape, self.imshp), **self.options()
        )


class AbstractConv2d_gradWeights(_Convolution):
    """``(...)(images, gradient, size)``: the gradient of filters of a (height, width)."""

    def __call__(self, img: Any, topgrad: Any, shape: Any = None) -> Variable:
        return conv2d_gradient_of_filters(
            img, topgrad, _last_two(shape, self.kshp), **self.options()
        )


def _last_two(shape: Any, other: Any) -> Sequence[Any]:
    """A height and width, given as such or at the end of a shape."""
    given = shape if shape is not None else other
    if given is None:
        raise ArgumentError("the size of the gradient is not given", at=user_frames())
    if isinstance(given, Variable):
        count = given.type.shape[0] or 2
        return [given[count - 2], given[count - 1]]  # type: ignore[index]
    return list(given)[-2:]


def conv2d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to images of shape `input_shape`."""
    return conv2d_gradient_of_input(
        output_grad, filters, _last_two(input_shape, None), border_mode, subsample, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def conv2d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to filters of shape `filter_shape`."""
    return conv2d_gradient_of_filters(
        input, output_grad, _last_two(filter_shape, None), border_mode, subsample, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def conv2d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None,
    border_mode: Any = "valid", input_dilation: Any = (1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The transposed convolution, whose result has shape `output_shape`: the gradient of the
    convolution with stride `input_dilation` that takes it to `input`."""
    return conv2d_gradient_of_input(
        input, filters, _last_two(output_shape, None), border_mode, input_dilation, filter_flip,
        filter_dilation, num_groups, unshared,
    )  # fmt: skip


def get_conv_output_shape(
    image_shape: Sequence[Any], kernel_shape: Sequence[Any], border_mode: Any,
    subsample: Sequence[int], filter_dilation: Sequence[int] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of a convolution of images and filters of two shapes.

    >>> get_conv_output_shape((10, 3, 32, 32), (8, 3, 5, 5), "half", (2, 2))
    (10, 8, 16, 16)
    """
    border, dilation = normal_border(border_mode), filter_dilation or (1, 1)
    sizes = [
        output_size(image_shape[2 + a], kernel_shape[2 + a], border, subsample[a], dilation[a], a)
        for a in (0, 1)
    ]
    return (image_shape[0], kernel_shape[0], *sizes)


__all__ = [
    "AbstractConv2d", "AbstractConv2d_gradInputs", "AbstractConv2d_gradWeights", "conv2d",
    "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights", "conv2d_transpose",
    "get_conv_output_shape",
]  # fmt: skip
