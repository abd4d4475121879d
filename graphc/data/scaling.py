"""Transforms that need no training set: other units, other dtypes, one-hot rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.dtypes import host_float
from graphc.core.node import Array
from graphc.data.checks import check_labels
from graphc.data.order import read_count


def as_float(values: Any, dtype: str | None = None) -> Array:
    """An array of floats: of `dtype`, or of ``floatX`` unless it is one of floats already."""
    array = np.asarray(values)
    if dtype is None and array.dtype.kind in "fc":
        return array
    return array.astype(dtype or host_float(), copy=False)


@dataclass(frozen=True)
class Scale:
    """``x / divisor`` as `dtype`, ``floatX`` by default.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Scale
    >>> Scale(255, "float32")(np.array([0, 51, 255], "uint8"))
    array([0. , 0.2, 1. ], dtype=float32)
    """

    divisor: float
    dtype: str | None = None

    def __call__(self, x: Any) -> Array:
        kind = self.dtype or host_float()
        return np.asarray(x).astype(kind) / np.asarray(self.divisor, kind)

    def inverse(self, x: Any) -> Array:
        """What was scaled, as floats."""
        return np.asarray(x) * np.asarray(self.divisor, np.asarray(x).dtype)


@dataclass(frozen=True)
class OneHot:
    """Rows with a one at the label's place: (rows,) to (rows, classes).

    Raises
    ------
    DataError
        When called: labels that are floats, negative, or not below `classes`.

    Examples
    --------
    >>> from graphc.data import OneHot
    >>> OneHot(3, "int8")([2, 0])
    array([[0, 0, 1],
           [1, 0, 0]], dtype=int8)
    """

    classes: int
    dtype: str | None = None

    def __post_init__(self) -> None:
        read_count(self.classes, "classes")

    def __call__(self, y: Any) -> Array:
        labels = check_labels(y, self.classes)
        rows = np.zeros((len(labels), self.classes), self.dtype or host_float())
        rows[np.arange(len(labels)), labels] = 1
        return rows

    def inverse(self, rows: Any) -> Array:
        """The label of each row."""
        return np.asarray(rows).argmax(axis=-1)


def one_hot(labels: Any, classes: int, dtype: str | None = None) -> Array:
    """Rows with a one at the label's place; as `OneHot`.

    Examples
    --------
    >>> from graphc.data import one_hot
    >>> one_hot([1, 0], 2, "float32")
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    return OneHot(classes, dtype)(labels)
