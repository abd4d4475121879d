"""Layers that draw, and averages over their draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, Variable, user_frames
from graphc.nn.containers import EVERYWHERE
from graphc.nn.layer import Layer
from graphc.nn.pooling import stream_of
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import add, cast, mul, sqr
from graphc.ops.reduce import mean as mean_
from graphc.ops.shape import dim, reshape
from graphc.ops.tiling import tile


class Dropout(Layer):
    """In training, elements become 0 with a probability, and what is left is scaled.

    ``out = x m / (1 - rate)``, m drawn as 1 with probability ``1 - rate``; when used, ``out = x``.

    Parameters
    ----------
    rate : float
        The probability of becoming 0, at least 0 and below 1.
    seed : int or RandomStream, optional
        A stream may be shared by several layers. Its state is saved with the layer.
    together : sequence of int
        Axes along which one draw counts for all: ``(2, 3)`` drops whole channels of images.

    Notes
    -----
    Srivastava et al., "Dropout", 2014. Called with ``train=True`` when a model is used, it draws
    then too: `monte_carlo` averages over that.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer, x = nn.Dropout(0.5, seed=1), np.ones((2, 4))
    >>> layer(x).eval()
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]])
    >>> sorted(set(layer(x, train=True).eval().ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(
        self, rate: float = 0.5, seed: Any = None, together: Sequence[int] = (),
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ArgumentError(
                f"{self.name}: rate={rate!r} is not a probability below 1", at=user_frames()
            )
        self.rate, self.together = rate, tuple(together)
        self.stream = stream_of(self, seed)

    def expression(self, x: Variable, train: bool) -> Variable:
        if not train or self.rate == 0:
            return x
        kind = dtypes.float_for(x.dtype)
        one = {a % x.ndim for a in self.together}
        sizes = tuple(1 if a in one else dim(x, a) for a in range(x.ndim))
        kept = self.stream.bernoulli(sizes, p=1 - self.rate, dtype=kind)
        return mul(cast(x, kind), mul(kept, Constant(1 / (1 - self.rate), kind)))


class GaussianNoise(Layer):
    """In training, ``x`` plus normal numbers of a standard deviation; when used, ``x``.

    Parameters
    ----------
    deviation : float
    seed : int or RandomStream, optional

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.GaussianNoise(0.1, seed=1)
    >>> layer(np.zeros(2)).eval(), layer(np.zeros(2), train=True).eval().std() > 0
    (array([0., 0.]), np.True_)
    """

    def __init__(self, deviation: float, seed: Any = None, name: str | None = None) -> None:
        super().__init__(name)
        self.deviation = deviation
        self.stream = stream_of(self, seed)

    def expression(self, x: Variable, train: bool) -> Variable:
        if not train:
            return x
        sizes = tuple(dim(x, a) for a in range(x.ndim))
        kind = dtypes.float_for(x.dtype)
        return add(x, self.stream.normal(sizes, std=self.deviation, dtype=kind))


def monte_carlo(
    layer: Layer, x: Any, samples: int = 20, **options: Any
) -> tuple[Variable, Variable]:
    """The mean and the variance of a layer's results in training mode, over several draws.

    The input is repeated `samples` times along the batch, so that one pass makes all draws.

    Parameters
    ----------
    layer : layer
        One that draws: with dropout in it. Batch normalisation would take its statistics from
        the batch.
    x : (batch, ...)
    samples : int
    **options
        Of the call, as they are; ``mask`` and ``lengths`` are repeated with the input.

    Returns
    -------
    pair of variables
        Of the shape of ``layer(x)``. The variance is that of the sample, divided by `samples`.

    Notes
    -----
    Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> mean, variance = nn.monte_carlo(nn.Dropout(0.5, seed=1), np.ones((1, 1)), samples=10000)
    >>> round(mean.eval().item(), 1), round(variance.eval().item(), 1)
    (1.0, 1.0)
    """
    if samples < 1:
        raise ArgumentError(f"monte_carlo: samples={samples!r} is not positive", at=user_frames())
    given = as_variable(x)
    more = {k: _repeated(v, samples) if k in EVERYWHERE else v for k, v in options.items()}
    made = layer(_repeated(given, samples), train=True, **more)
    parted = reshape(made, [samples, dim(given, 0), *(dim(made, a) for a in range(1, made.ndim))])
    centre = mean_(parted, axis=0)
    return centre, mean_(sqr(parted - centre), axis=0)  # type: ignore[operator]


def _repeated(x: Any, samples: int) -> Variable:
    given = as_variable(x)
    return tile(given, (samples, *(1,) * (given.ndim - 1)))
