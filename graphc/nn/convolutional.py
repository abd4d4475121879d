"""Convolutions of sequences, images and volumes, forwards and transposed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.initial import he_normal
from graphc.nn.dense import Activation, activation_of, along, bias_of
from graphc.nn.layer import Layer, as_shape, derived
from graphc.ops.conv import border_of
from graphc.ops.convolutions import convolved, gradient_of_input, normal_border, so_many
from graphc.ops.elementwise import add
from graphc.ops.shape import dim


class _Filters(Layer):
    """What all convolutions have: filters, and how they move."""

    AXES: ClassVar[int] = 2

    def __init__(
        self, channels: int, filters: int, size: Any, activation: Activation | None,
        stride: Any, border: Any, dilation: Any, groups: int, flip: bool, name: str | None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.channels, self.filters = channels, filters
        self.activation = activation_of(self, activation)
        self.size = so_many(size, self.AXES, "size")
        self.stride = so_many(stride, self.AXES, "stride")
        self.dilation = so_many(dilation, self.AXES, "dilation")
        self.border, self.groups, self.flip = normal_border(border, self.AXES), groups, flip
        for what, n in (("channels", channels), ("filters", filters)):
            if not isinstance(n, int) or n < 1 or groups < 1 or n % groups:
                raise ArgumentError(
                    f"{self.name}: {n} {what} can't be split into {groups} groups",
                    at=user_frames(),
                )

    @property
    def spans(self) -> tuple[int, ...]:
        """How far a filter reaches, with the gaps of its dilation."""
        return tuple((n - 1) * d + 1 for n, d in zip(self.size, self.dilation))

    def finish(self, made: Variable, bias: Any) -> Variable:
        """With the bias of each channel, and the activation."""
        z = made if bias is None else add(made, along(bias, made, 1))
        return z if self.activation is None else self.activation(z)


class _Convolution(_Filters):
    """``activation(x * W + b)``: a convolution along the last axes.

    Parameters
    ----------
    channels, filters : int
        Channels before and after.
    size : int or sequence of int
        Of the filters.
    activation : function, optional
    stride : int or sequence of int
    border : {"valid", "half", "full"}, int, or a tuple
        Zeros around the input, as ``border_mode`` of `T.nnet.conv2d`; "half" keeps the size
        for odd filters and a stride of 1.
    dilation : int or sequence of int
        The distance of a filter's neighbouring elements on the input.
    groups : int
        Channels and filters in so many groups that don't meet.
    flip : bool
        Whether filters are turned around, as mathematics has it; correlation, the default,
        doesn't.
    init, bias, weights, seed, dtype, name
        As for `Dense`; `weights` is (filters, channels / groups, *size).
    """

    def __init__(
        self, channels: int, filters: int, size: Any, activation: Activation | None = None,
        stride: Any = 1, border: Any = "valid", dilation: Any = 1, groups: int = 1,
        flip: bool = False, init: Any = he_normal, bias: Any = True, weights: Any = None,
        seed: Any = None, dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            channels, filters, size, activation, stride, border, dilation, groups, flip, name
        )
        shape = (filters, channels // groups, *self.size)
        self.weights = self.parameter("weights", shape, init, seed, dtype, weights)
        self.bias = bias_of(self, bias, filters, dtype)

    def reach(self, output: Variable) -> Any:
        return tuple(zip(self.spans, self.stride))

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, self.AXES + 2, 1, self.channels, "channels")
        made = convolved(
            self.AXES, x, self.weights, self.border, self.stride, self.flip, self.dilation,
            self.groups,
        )  # fmt: skip
        return self.finish(made, self.bias)


class Conv1D(_Convolution):
    """A convolution of sequences (batch, channels, length); arguments are those of `Conv2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Conv1D(1, 1, 2, init=1.0)(np.arange(4.0).reshape(1, 1, 4)).eval().ravel()
    array([1., 3., 5.])
    """

    AXES = 1


class Conv2D(_Convolution):
    __doc__ = f"""{_Convolution.__doc__}
    Notes
    -----
    The input is (batch, channels, height, width).

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc import nn
    >>> layer = nn.Conv2D(3, 16, 5, T.nnet.relu, stride=2, border="half", seed=0)
    >>> print(layer.summary((3, 32, 32)))
    layer               output  parameters  multiply-adds  field
    conv2d        (16, 16, 16)       1,216        307,200    5x5
    1 layer                          1,216        307,200
    """

    AXES = 2


class Conv3D(_Convolution):
    """A convolution of volumes (batch, channels, depth, height, width); arguments are those of
    `Conv2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Conv3D(1, 1, 2, init=1.0)(np.ones((1, 1, 2, 2, 3))).eval().ravel()
    array([8., 8.])
    """

    AXES = 3


class _Transposed(_Filters):
    """A transposed convolution: what takes a convolution's result back to its input's size.

    Parameters
    ----------
    channels, filters, size, activation, dilation, groups, flip
        As for `Conv2D`.
    stride : int or sequence of int
        By how much the input is stretched.
    border : {"valid", "half", "full"}, int, or a tuple
        What is cut off around the result: what the convolution had as zeros around its input.
    extra : int or sequence of int
        By how much the result is longer than the smallest, which is ``(n - 1) stride + span -
        border before and after``; less than the stride.
    init, bias, weights, seed, dtype, name
        As for `Dense`; `weights` is (channels, filters / groups, *size).
    """

    def __init__(
        self, channels: int, filters: int, size: Any, activation: Activation | None = None,
        stride: Any = 1, border: Any = "valid", dilation: Any = 1, groups: int = 1,
        flip: bool = False, extra: Any = 0, init: Any = he_normal, bias: Any = True,
        weights: Any = None, seed: Any = None, dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            channels, filters, size, activation, stride, border, dilation, groups, flip, name
        )
        self.extra = so_many(extra, self.AXES, "extra", 0)
        if any(e >= s for e, s in zip(self.extra, self.stride)):
            raise ArgumentError(
                f"{self.name}: extra={self.extra} is not less than the stride {self.stride}",
                at=user_frames(),
            )
        shape = (channels, filters // groups, *self.size)
        self.weights = self.parameter("weights", shape, init, seed, dtype, weights)
        self.bias = bias_of(self, bias, filters, dtype)

    def reach(self, output: Variable) -> Any:
        return tuple((span, Fraction(1, step)) for span, step in zip(self.spans, self.stride))

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, self.AXES + 2, 1, self.channels, "channels")
        borders = border_of(self.border, self.size, self.dilation)
        sizes: list[Any] = []
        for a in range(self.AXES):
            n: Any = dim(x, 2 + a)
            around = sum(borders[a])
            sizes.append((n - 1) * self.stride[a] + (self.spans[a] - around + self.extra[a]))
        made = gradient_of_input(
            self.AXES, x, self.weights, sizes, self.border, self.stride, self.flip, self.dilation,
            self.groups,
        )  # fmt: skip
        return self.finish(made, self.bias)


class ConvTranspose1D(_Transposed):
    """A transposed convolution of sequences; arguments are those of `ConvTranspose2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.ConvTranspose1D(1, 1, 2, stride=2, init=1.0)
    >>> layer(np.array([[[1.0, 2.0]]])).eval().ravel()
    array([1., 1., 2., 2.])
    """

    AXES = 1


class ConvTranspose2D(_Transposed):
    __doc__ = f"""{_Transposed.__doc__}
    Notes
    -----
    The input is (batch, channels, height, width). Dumoulin and Visin, "A guide to convolution
    arithmetic for deep learning", 2016, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.ConvTranspose2D(3, 2, 4, stride=2, border=1, seed=0)
    >>> layer(np.zeros((1, 3, 5, 6))).eval().shape
    (1, 2, 10, 12)
    """

    AXES = 2


class ConvTranspose3D(_Transposed):
    """A transposed convolution of volumes; arguments are those of `ConvTranspose2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.ConvTranspose3D(1, 1, 2, stride=2)(np.zeros((1, 1, 2, 2, 3))).eval().shape
    (1, 1, 4, 4, 6)
    """

    AXES = 3


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel with filters of its own.

    Parameters
    ----------
    channels : int
    size : int or pair of int
    multiplier : int
        How many filters each channel has; `weights` is (channels * multiplier, 1, *size).
    **options
        As for `Conv2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.DepthwiseConv2D(2, 2, init=1.0)
    >>> layer(np.arange(8.0).reshape(1, 2, 2, 2)).eval().ravel()
    array([ 6., 22.])
    """

    AXES = 2

    def __init__(self, channels: int, size: Any, multiplier: int = 1, **options: Any) -> None:
        super().__init__(channels, channels * multiplier, size, groups=channels, **options)


class SeparableConv2D(Layer):
    """A depthwise convolution, and one with filters of one pixel behind it.

    Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2017.

    Parameters
    ----------
    channels, filters, size, activation, stride, border, dilation
        As for `Conv2D`; the activation is behind both.
    multiplier : int
        How many filters each channel has in the first.
    bias, seed, dtype, name
        As for `Dense`; the bias is that of the second.

    Examples
    --------
    >>> from graphc import nn
    >>> print(nn.SeparableConv2D(3, 8, 3, seed=0).summary((3, 10, 10)))
    layer            output  parameters  multiply-adds  field
    depthwise     (3, 8, 8)          27          1,728    3x3
    pointwise     (8, 8, 8)          32          1,536    3x3
    2 layers                         59          3,264
    """

    def __init__(
        self, channels: int, filters: int, size: Any, activation: Activation | None = None,
        stride: Any = 1, border: Any = "valid", dilation: Any = 1, multiplier: int = 1,
        bias: Any = True, seed: Any = None, dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.depthwise = self.child("depthwise", DepthwiseConv2D(
            channels, size, multiplier, stride=stride, border=border, dilation=dilation,
            bias=False, seed=derived(seed, 0), dtype=dtype, name="depthwise",
        ))  # fmt: skip
        self.pointwise = self.child("pointwise", Conv2D(
            channels * multiplier, filters, 1, activation, bias=bias, seed=derived(seed, 1),
            dtype=dtype, name="pointwise",
        ))  # fmt: skip

    def expression(self, x: Variable, train: bool) -> Variable:
        return self.pointwise(self.depthwise(x, train=train), train=train)
