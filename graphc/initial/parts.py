"""What initialisers are made of: shapes, seeds, dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Array, user_frames

Seed = int | np.random.Generator | None


def sizes_of(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as a tuple; an integer is that of a vector."""
    found = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in found):
        raise ShapeError(
            f"{found} is no shape: sizes are integers, not negative",
            "an initialiser makes an array, so all sizes must be known", user_frames(),
        )  # fmt: skip
    return tuple(int(n) for n in found)


def matrix_sizes(what: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes of a matrix."""
    sizes = sizes_of(shape)
    if len(sizes) != 2:
        raise ShapeError(
            f"{what}: {sizes} is no shape of a matrix", "it takes (inputs, outputs)", user_frames()
        )
    return sizes


def random_from(seed: Seed) -> np.random.Generator:
    """A generator as it is, or a new one for a seed."""
    return np.random.default_rng(seed)


def given(values: Array, dtype: Any) -> Array:
    """Values in the dtype that is asked for."""
    name = dtypes.float_x() if dtype is None else dtypes.canonical(dtype)
    if not dtypes.is_float(name):
        raise ArgumentError(
            f"weights of dtype {name}", "ask for a float dtype", user_frames()
        )  # fmt: skip
    return dtypes.convert(values, name)
