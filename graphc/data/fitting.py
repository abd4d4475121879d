"""Transforms whose numbers come from the training set: means, deviations, whitening."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.checks import check_finite
from graphc.data.dataset import Dataset
from graphc.data.problems import problem
from graphc.data.scaling import as_float


class Fitted:
    """A transform with numbers of its own. ``fit(train)`` makes it; it never changes.

    There is no transform without such numbers, and validation and test rows go through the one
    that was fitted on training rows.
    """

    def state_dict(self) -> dict[str, Any]:
        """Its numbers, as arrays: to be saved beside the model."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Any:
        """The transform that has these numbers."""
        names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        if set(names) != set(state):
            raise problem(f"{cls.__name__}: the state has {sorted(state)}, not {sorted(names)}",
                          "give what state_dict() returned")  # fmt: skip
        return cls(**{name: np.asarray(state[name]) for name in names})

    def _rows(self, x: Any, shape: tuple[int, ...]) -> Array:
        array = as_float(x)
        if array.shape[1:] != shape:
            raise problem(
                f"{type(self).__name__}: rows have shape {array.shape[1:]}, and those that it was "
                f"fitted on {shape}", "fit it on rows of the same form",
            )  # fmt: skip
        return array


def parts(data: Any, field: Any) -> Iterator[Array]:
    """What to fit on, in parts of float64: an array, or a field of a data set."""
    if isinstance(data, Dataset):
        name, chunks = data.name_of(field), data.chunks(field)
    else:
        array = np.asarray(data)
        if array.ndim == 0 or not len(array):
            raise problem(f"fit: there are no rows in shape {array.shape}", "give training rows")
        name = "x"
        chunks = (array[k : k + 1024] for k in range(0, len(array), 1024))
    first = 0
    for part in chunks:
        check_finite(part, name, first)
        first += len(part)
        yield as_float(part, "float64")


def moments(chunks: Iterator[Array], axes: Any = (0,)) -> tuple[Array, Array]:
    """Mean and variance over axes, kept at size 1 but for the first (Chan et al. 1979)."""
    count, mean, square = 0, np.zeros(()), np.zeros(())
    for part in chunks:
        over = tuple(k for k in range(part.ndim) if k != 1) if axes == "channels" else axes
        m = part.size // math.prod(s for k, s in enumerate(part.shape) if k not in over)
        own = part.mean(axis=over, keepdims=True)[0]
        spread = ((part - own) ** 2).sum(axis=over, keepdims=True)[0]
        delta = own - mean
        mean = mean + delta * (m / (count + m))
        square = square + spread + delta**2 * (count * m / (count + m))
        count += m
    return mean, square / count


@dataclass(frozen=True, eq=False)
class _Affine(Fitted):
    """``(x - mean) / deviation``, element by element of a row."""

    mean: Array
    deviation: Array

    def __call__(self, x: Any) -> Array:
        array = as_float(x)
        self._check(array)
        return (array - self.mean.astype(array.dtype)) / self.deviation.astype(array.dtype)

    def inverse(self, x: Any) -> Array:
        """What was transformed."""
        array = as_float(x)
        self._check(array)
        return array * self.deviation.astype(array.dtype) + self.mean.astype(array.dtype)

    def _check(self, array: Array) -> None:
        row, own = array.shape[1:], self.mean.shape
        if self._kept(row) != own:
            raise problem(
                f"{type(self).__name__}: rows have shape {row}, and its mean {own}",
                "fit it on rows of the same form",
            )

    @staticmethod
    def _kept(row: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the mean of rows of a shape."""
        return row


class Standardise(_Affine):
    """``(x - mean) / deviation`` with both of each element of a row over the training rows.

    A deviation of 0 counts as 1: what never changed becomes 0.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Standardise
    >>> train = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> Standardise.fit(train)(np.array([[5.0, 11.0]]))
    array([[3., 1.]])
    """

    @classmethod
    def fit(cls, train: Any, field: Any = 0) -> Standardise:
        """Of the training rows: an array (rows, ...), or a field of a data set."""
        mean, variance = moments(parts(train, field))
        return cls(mean, _divisor(variance))


class PerChannel(_Affine):
    """``(x - mean) / deviation`` with one mean and deviation for each channel, axis 1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import PerChannel
    >>> images = np.stack([np.zeros((2, 4, 4)), np.full((2, 4, 4), 2.0)])
    >>> PerChannel.fit(images).mean.ravel()
    array([1., 1.])
    """

    @classmethod
    def fit(cls, train: Any, field: Any = 0) -> PerChannel:
        """Of the training rows, (rows, channels, ...)."""
        mean, variance = moments(_with_channels(parts(train, field)), "channels")
        return cls(mean, _divisor(variance))

    @staticmethod
    def _kept(row: tuple[int, ...]) -> tuple[int, ...]:
        return (*row[:1], *(1 for _ in row[1:]))


class MeanImage(_Affine):
    """``x - mean``, the mean of the training rows, element by element.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import MeanImage
    >>> MeanImage.fit(np.array([[1.0, 2.0], [3.0, 4.0]]))(np.array([[2.0, 2.0]]))
    array([[ 0., -1.]])
    """

    @classmethod
    def fit(cls, train: Any, field: Any = 0) -> MeanImage:
        """Of the training rows, (rows, ...)."""
        mean, _ = moments(parts(train, field))
        return cls(mean, np.ones_like(mean))


def _with_channels(chunks: Iterator[Array]) -> Iterator[Array]:
    for part in chunks:
        if part.ndim < 2:
            raise problem(f"PerChannel: shape {part.shape} has no axis 1, that of channels",
                          "use Standardise")  # fmt: skip
        yield part


def _divisor(variance: Array) -> Array:
    deviation = np.sqrt(variance)
    return np.where(deviation > 0, deviation, 1.0)
