"""Random changes of training rows, other ones in each epoch.

Draws depend on the augmentation's seed, the epoch, the batch's number and the place among the
transforms: a restored state gives the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.order import generator
from graphc.data.problems import problem
from graphc.data.scaling import as_float


class Augmentation:
    """``dataset.map(augmentation)`` changes each batch; called by itself, it is as in epoch 0."""

    seed: int

    def draw(self, x: Array, random: np.random.Generator) -> Array:
        """A changed batch."""
        raise NotImplementedError

    def __call__(self, x: Any) -> Array:
        return self.draw(np.asarray(x), generator(self.seed))


@dataclass(frozen=True)
class Flip(Augmentation):
    """Each row is turned around along an axis with probability `p`; the last axis by default.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Flip
    >>> Flip(p=1)(np.array([[1, 2, 3]]))
    array([[3, 2, 1]])
    """

    p: float = 0.5
    axis: int = -1
    seed: int = 0

    def draw(self, x: Array, random: np.random.Generator) -> Array:
        """The batch with some rows turned around."""
        if x.ndim < 2 or self.axis % x.ndim == 0:
            raise problem(f"Flip: shape {x.shape} has no axis {self.axis} within rows")
        turned = random.random(len(x)) < self.p
        return np.where(turned.reshape(-1, *[1] * (x.ndim - 1)), np.flip(x, self.axis), x)


@dataclass(frozen=True)
class Crop(Augmentation):
    """From each image, (..., height, width), a part at a random place.

    Parameters
    ----------
    size : (height, width)
        Of the part.
    padding : int
        Zeros put around images first.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Crop
    >>> Crop((2, 2))(np.ones((5, 3, 4, 4))).shape
    (5, 3, 2, 2)
    """

    size: tuple[int, int]
    padding: int = 0
    seed: int = 0

    def draw(self, x: Array, random: np.random.Generator) -> Array:
        """Parts of the images."""
        padded = _padded(x, self.padding)
        room = _room(padded, self.size)
        top, left = (random.integers(0, n + 1, len(x)) for n in room)
        return _windows(padded, top, left, self.size)


@dataclass(frozen=True)
class CentreCrop:
    """The middle of each image: for test rows where training rows are cropped.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import CentreCrop
    >>> CentreCrop((1, 1))(np.arange(9).reshape(1, 3, 3))
    array([[[4]]])
    """

    size: tuple[int, int]

    def __call__(self, x: Any) -> Array:
        x = np.asarray(x)
        top, left = (n // 2 for n in _room(x, self.size))
        return x[..., top : top + self.size[0], left : left + self.size[1]]


@dataclass(frozen=True)
class Shift(Augmentation):
    """Each image, (..., height, width), moved by up to `pixels` each way; zeros come in.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Shift
    >>> Shift(1)(np.ones((2, 5, 5))).shape
    (2, 5, 5)
    """

    pixels: int
    seed: int = 0

    def draw(self, x: Array, random: np.random.Generator) -> Array:
        """The moved images."""
        top, left = random.integers(0, 2 * self.pixels + 1, (2, len(x)))
        padded = _padded(x, self.pixels)
        return _windows(padded, top, left, (x.shape[-2], x.shape[-1]))


@dataclass(frozen=True)
class Noise(Augmentation):
    """``x + deviation * n`` with n standard normal.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Noise
    >>> bool(abs(Noise(0.1)(np.zeros((1000, 10))).std() - 0.1) < 0.01)
    True
    """

    deviation: float
    seed: int = 0

    def draw(self, x: Array, random: np.random.Generator) -> Array:
        """The batch with noise."""
        array = as_float(x)
        kind = "float32" if array.dtype == "float32" else "float64"
        noise = random.standard_normal(array.shape, kind) * self.deviation
        return array + noise.astype(array.dtype)


def _padded(x: Array, width: int) -> Array:
    if x.ndim < 3:
        raise problem(f"shape {x.shape} holds no images: (rows, ..., height, width)",
                      "reshape rows into images first")  # fmt: skip
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(width, width)] * 2)


def _room(x: Array, size: tuple[int, int]) -> tuple[int, int]:
    room = (x.shape[-2] - size[0], x.shape[-1] - size[1])
    if min(room) < 0 or min(size) < 1:
        raise problem(f"a part of size {tuple(size)} doesn't fit into images of {x.shape[-2:]}",
                      "choose a smaller one, or padding=")  # fmt: skip
    return room


def _windows(x: Array, top: Array, left: Array, size: tuple[int, int]) -> Array:
    """From each image the part at its place."""
    flat = x.reshape(len(x), -1, *x.shape[-2:])
    rows = (top[:, None] + np.arange(size[0]))[:, None, :, None]
    columns = (left[:, None] + np.arange(size[1]))[:, None, None, :]
    image = np.arange(len(x))[:, None, None, None]
    channel = np.arange(flat.shape[1])[None, :, None, None]
    return flat[image, channel, rows, columns].reshape(*x.shape[:-2], *size)
