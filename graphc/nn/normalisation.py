"""Normalisation layers: by batch, by example, by neighbouring channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, Variable, user_frames
from graphc.nn.dense import along
from graphc.nn.layer import Layer, as_shape
from graphc.nn.notes import carrying
from graphc.ops.elementwise import cast, maximum, sqr
from graphc.ops.normalise import (
    batch_normalization_test,
    batch_normalization_train,
    layer_norm,
    local_response_norm,
)
from graphc.ops.reduce import count
from graphc.ops.reduce import mean as mean_
from graphc.ops.shape import dimshuffle


class BatchNorm(Layer):
    """``(x - mean) / sqrt(variance + epsilon) * gain + bias``, for each channel.

    In training, the statistics are those of the batch, and the expression carries the updates
    of the running averages, which `updates` finds. When used, they are the running averages.

    Parameters
    ----------
    channels : int
        The size of axis 1. All other axes are averaged over.
    factor : float
        How much a batch counts in the running averages: ``r := (1 - factor) r + factor s``, as
        PyTorch's ``momentum``. 0 to 1.
    epsilon : float
    gain, bias : bool
        Whether there are any.
    dtype, name
        As for `Dense`.

    Attributes
    ----------
    gain, bias : (channels,) or None
    running_mean, running_variance : (channels,)
        States; the variance is the population's, ``n / (n - 1)`` times that of the batch.

    Notes
    -----
    Ioffe and Szegedy, "Batch Normalization", 2015, algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc import nn
    >>> x, norm = T.dmatrix("x"), nn.BatchNorm(1, factor=0.5, epsilon=0)
    >>> y = norm(x, train=True)
    >>> step = graphc.function([x], y, updates=nn.updates(y), mode="numpy")
    >>> step(np.array([[1.0], [3.0]])).ravel(), norm.running_mean.get_value()
    (array([-1.,  1.]), array([1.]))
    """

    def __init__(
        self, channels: int, factor: float = 0.1, epsilon: float = 1e-5, gain: bool = True,
        bias: bool = True, dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if isinstance(factor, int | float) and not 0 <= factor <= 1:
            raise ArgumentError(
                f"{self.name}: factor={factor!r} is no part of the running averages",
                "what a batch counts is from 0 to 1, and 0.1 by default", user_frames(),
            )  # fmt: skip
        self.channels, self.factor, self.epsilon = channels, factor, epsilon
        size = (channels,)
        self.gain = self.parameter("gain", size, 1.0, dtype=dtype) if gain else None
        self.bias = self.parameter("bias", size, 0.0, dtype=dtype) if bias else None
        kind = dtypes.wide(dtypes.float_x() if dtype is None else dtypes.canonical(dtype))
        self.running_mean = self.parameter("running_mean", size, 0.0, dtype=kind, trained=False)
        self.running_variance = self.parameter(
            "running_variance", size, 1.0, dtype=kind, trained=False
        )

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, None, 1, self.channels, "channels")
        axes = (0, *range(2, x.ndim))
        gain = 1.0 if self.gain is None else self.gain
        bias = 0.0 if self.bias is None else self.bias
        given = [along(v, x, 1) if isinstance(v, Variable) else _number(x, v) for v in (gain, bias)]
        if not train:
            return batch_normalization_test(
                x, *given, along(self.running_mean, x, 1), along(self.running_variance, x, 1),
                axes, self.epsilon,
            )  # fmt: skip
        y, centre, _ = batch_normalization_train(x, *given, axes, self.epsilon)
        return carrying(y, self._running(x, centre, axes))

    def _running(self, x: Variable, centre: Variable, axes: tuple[int, ...]) -> Any:
        """The new running averages; a batch of one value for a channel has no variance."""
        kind = self.running_mean.dtype
        wide: Any = cast(x, dtypes.promote([kind, x.dtype]))
        variance: Any = mean_(sqr(wide - centre), axes, keepdims=True)
        n: Any = count(x, axes, variance.dtype)
        fair = variance * (n / maximum(n - 1, 1))
        for old, new in ((self.running_mean, centre), (self.running_variance, fair)):
            flat = dimshuffle(new, 1)
            yield old, old * (1.0 - self.factor) + cast(flat, kind) * self.factor


def _number(x: Variable, value: float) -> Variable:
    """A number in the place of a parameter."""
    return Constant(np.full((1,) * x.ndim, value), dtypes.float_for(x.dtype))


class LayerNorm(Layer):
    """``(x - mean) / sqrt(variance + epsilon) * gain + bias`` over the last axes of an example.

    Parameters
    ----------
    *size : int
        The sizes of the axes that are normalised, the last ones.
    epsilon : float
    gain, bias : bool
        Whether there are any, of shape `size`.
    dtype, name
        As for `Dense`.

    Notes
    -----
    Ba, Kiros and Hinton, "Layer Normalization", 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.LayerNorm(2, epsilon=0)(np.array([[1.0, 3.0]])).eval()
    array([[-1.,  1.]])
    """

    def __init__(
        self, *size: int, epsilon: float = 1e-5, gain: bool = True, bias: bool = True,
        dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.size, self.epsilon = size, epsilon
        self.gain = self.parameter("gain", size, 1.0, dtype=dtype) if gain else None
        self.bias = self.parameter("bias", size, 0.0, dtype=dtype) if bias else None
        self.reach = "all" if len(size) > 1 else None

    def expression(self, x: Variable, train: bool) -> Variable:
        for k, n in enumerate(self.size):
            as_shape(self.name, x, None, k - len(self.size), n, "features")
        axes = tuple(range(x.ndim - len(self.size), x.ndim))
        return layer_norm(x, self.gain, self.bias, axes, self.epsilon)


class LocalResponseNorm(Layer):
    """``x / (k + alpha s)^beta``, s the sum of squares over `n` neighbouring channels.

    Krizhevsky, Sutskever and Hinton, 2012, section 3.3, with their constants.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.LocalResponseNorm(n=1, k=0.0, alpha=1.0, beta=0.5)(np.array([[3.0, -2.0]])).eval()
    array([[ 1., -1.]])
    """

    def __init__(
        self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, axis: int = 1,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.n, self.k, self.alpha, self.beta, self.axis = n, k, alpha, beta, axis

    def expression(self, x: Variable, train: bool) -> Variable:
        return local_response_norm(x, self.n, self.k, self.alpha, self.beta, self.axis)
