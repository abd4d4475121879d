"""Pooling of every kind, and growing again."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from graphc.core.node import Variable
from graphc.nn.layer import Layer
from graphc.ops.convolutions import so_many
from graphc.ops.pool import pool_2d
from graphc.ops.pools import global_pool, pool_3d
from graphc.ops.shape import dimshuffle
from graphc.ops.stochastic import stochastic_pool_2d, weighted_pool_2d
from graphc.ops.upsampling import upsample
from graphc.random import RandomStream


class _Pool(Layer):
    """One number for each window of the last axes.

    Parameters
    ----------
    size : int or sequence of int
        Of a window.
    stride : int or sequence of int, optional
        From window to window, by default `size`.
    mode : {"max", "sum", "average_inc_pad", "average_exc_pad"}
        What of a window; "average" is "average_exc_pad".
    pad : int or sequence of int
        Places around the input; they are no candidates for the largest.
    ignore_border : bool
        Whether windows that end outside are left out.
    """

    AXES: ClassVar[int] = 2

    def __init__(
        self, size: Any, stride: Any = None, mode: str = "max", pad: Any = 0,
        ignore_border: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.size = so_many(size, self.AXES, "size")
        self.stride = self.size if stride is None else so_many(stride, self.AXES, "stride")
        self.pad = so_many(pad, self.AXES, "pad", 0)
        self.mode = "average_exc_pad" if mode == "average" else mode
        self.ignore_border = ignore_border

    def reach(self, output: Variable) -> Any:
        return tuple(zip(self.size, self.stride))

    def expression(self, x: Variable, train: bool) -> Variable:
        pooled = pool_3d if self.AXES == 3 else pool_2d
        return pooled(x, self.size, self.ignore_border, self.stride, self.pad, self.mode)


class Pool1D(_Pool):
    """Pooling of sequences (batch, channels, length); arguments are those of `Pool2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Pool1D(2, mode="average")(np.arange(4.0).reshape(1, 1, 4)).eval().ravel()
    array([0.5, 2.5])
    """

    AXES = 1

    def expression(self, x: Variable, train: bool) -> Variable:
        row = dimshuffle(x, *range(x.ndim - 1), "x", x.ndim - 1)
        made = pool_2d(row, (1, *self.size), self.ignore_border, (1, *self.stride),
                       (0, *self.pad), self.mode)  # fmt: skip
        return dimshuffle(made, *range(x.ndim - 1), x.ndim)


class Pool2D(_Pool):
    __doc__ = f"""{_Pool.__doc__}
    Notes
    -----
    The input is (batch, channels, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Pool2D(2)(np.arange(16.0).reshape(1, 1, 4, 4)).eval()[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """

    AXES = 2


class Pool3D(_Pool):
    """Pooling of volumes (batch, channels, depth, height, width); arguments are those of
    `Pool2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Pool3D(2)(np.arange(16.0).reshape(1, 1, 4, 2, 2)).eval().ravel()
    array([ 7., 15.])
    """

    AXES = 3


class StochasticPool2D(Layer):
    """An element of each window drawn by its share; when used, all weighted by their shares.

    Zeiler and Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural
    Networks", 2013. Activations must not be negative.

    Parameters
    ----------
    size : int or pair of int
    stride : int or pair of int, optional
        By default `size`.
    seed : int or RandomStream, optional

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.StochasticPool2D(2)(np.array([[[[1.0, 3.0], [0.0, 0.0]]]])).eval().ravel()
    array([2.5])
    """

    def __init__(
        self, size: Any, stride: Any = None, seed: Any = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.size = so_many(size, 2, "size")
        self.stride = self.size if stride is None else so_many(stride, 2, "stride")
        self.stream = stream_of(self, seed)

    def reach(self, output: Variable) -> Any:
        return tuple(zip(self.size, self.stride))

    def expression(self, x: Variable, train: bool) -> Variable:
        if train:
            return stochastic_pool_2d(x, self.size, self.stream, self.stride)
        return weighted_pool_2d(x, self.size, self.stride)


def stream_of(layer: Layer, seed: Any) -> RandomStream:
    """The stream of a layer that draws, whose state is saved with it."""
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**63))
    stream = seed if isinstance(seed, RandomStream) else RandomStream(
        seed, f"{layer.name}.random_state"
    )  # fmt: skip
    layer.adopt("random_state", stream.state)
    return stream


class GlobalPool(Layer):
    """One number for each channel, of all places.

    Parameters
    ----------
    mode : {"max", "sum", "average"}
    keepdims : bool
        Whether the axes of places stay, with size 1.

    Notes
    -----
    Lin, Chen and Yan, "Network in Network", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.GlobalPool()(np.arange(8.0).reshape(1, 2, 2, 2)).eval()
    array([[1.5, 5.5]])
    """

    reach = "all"

    def __init__(
        self, mode: str = "average", keepdims: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.mode, self.keepdims = mode, keepdims

    def expression(self, x: Variable, train: bool) -> Variable:
        return global_pool(x, self.mode, self.keepdims)


class Upsample(Layer):
    """Images that are larger by a factor, or by one for each of the last axes.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Upsample(2)(np.array([[[[1.0, 2.0]]]])).eval()[0, 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """

    def __init__(self, factor: Any, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = factor if isinstance(factor, list | tuple) else (factor, factor)

    def reach(self, output: Variable) -> Any:
        return tuple((1, Fraction(1, f)) for f in self.factor)

    def expression(self, x: Variable, train: bool) -> Variable:
        return upsample(x, self.factor)
