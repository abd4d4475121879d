"""Blocks of known networks, as ordinary compositions: read them, and write your own."""

from __future__ import annotations

from typing import Any

from graphc.nn.containers import Parallel, Residual, Sequential
from graphc.nn.convolutional import Conv2D
from graphc.nn.layer import derived
from graphc.nn.normalisation import BatchNorm
from graphc.nn.pooling import Pool2D
from graphc.ops.nnet import relu


def residual_block(
    channels: int, filters: int, stride: int = 1, seed: Any = None, dtype: str | None = None
) -> Sequential:
    """Two convolutions of 3 x 3 with batch normalisation, and a way past them.

    Where the shape changes, the way past is a convolution of 1 x 1.

    Parameters
    ----------
    channels, filters : int
        Channels before and after.
    stride : int
        Of the first convolution.
    seed, dtype
        As for `Dense`.

    Notes
    -----
    He et al., "Deep Residual Learning for Image Recognition", 2016, figure 5, left.

    Examples
    --------
    >>> from graphc import nn
    >>> nn.residual_block(16, 32, stride=2, seed=0).summary((16, 8, 8)).rows[-1].output
    (32, 4, 4)
    """

    def conv(n: int, place: int, size: int = 3, step: int = 1) -> Conv2D:
        return Conv2D(n, filters, size, stride=step, border="half", bias=False,
                      seed=derived(seed, place), dtype=dtype)  # fmt: skip

    inner = Sequential(
        conv(channels, 0, step=stride), BatchNorm(filters, dtype=dtype), relu,
        conv(filters, 1), BatchNorm(filters, dtype=dtype),
    )  # fmt: skip
    past = None
    if stride != 1 or channels != filters:
        past = Sequential(conv(channels, 2, 1, stride), BatchNorm(filters, dtype=dtype))
    return Sequential(Residual(inner, past), relu, name="residual_block")


def inception_block(
    channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int,
    seed: Any = None, dtype: str | None = None,
) -> Parallel:  # fmt: skip
    """Convolutions of 1 x 1, 3 x 3 and 5 x 5 and a pooling side by side, joined along channels.

    Parameters
    ----------
    channels : int
        Of the input.
    one, pool : int
        Filters of the 1 x 1 convolution, and of that behind the pooling.
    three, five : pair of int
        Filters of the 1 x 1 convolution before, and of the larger one.
    seed, dtype
        As for `Dense`.

    Notes
    -----
    Szegedy et al., "Going Deeper with Convolutions", 2015, figure 2(b).

    Examples
    --------
    >>> from graphc import nn
    >>> block = nn.inception_block(192, 64, (96, 128), (16, 32), 32, seed=0)
    >>> block.count
    163696
    """

    def conv(n: int, filters: int, size: int, place: int) -> Conv2D:
        return Conv2D(n, filters, size, relu, border="half", seed=derived(seed, place),
                      dtype=dtype)  # fmt: skip

    return Parallel(
        conv(channels, one, 1, 0),
        Sequential(conv(channels, three[0], 1, 1), conv(three[0], three[1], 3, 2)),
        Sequential(conv(channels, five[0], 1, 3), conv(five[0], five[1], 5, 4)),
        Sequential(Pool2D(3, stride=1, pad=1), conv(channels, pool, 1, 5)),
        name="inception_block",
    )
