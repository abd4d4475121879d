"""Numbers that don't depend on a fan-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.initial.parts import Seed, given, random_from, sizes_of


def constant(shape: Sequence[int], value: float = 0.0, dtype: Any = None,
             seed: Seed = None) -> Array:  # fmt: skip
    """One number throughout: for biases, and for scales (1).

    Parameters
    ----------
    shape : tuple of int
    value : float
    dtype : optional
        ``floatX`` by default.
    seed : optional
        Taken as by all initialisers; nothing is drawn.

    Returns
    -------
    array

    Examples
    --------
    >>> from graphc.initial import constant
    >>> constant((3,), 0.5)
    array([0.5, 0.5, 0.5])
    """
    return given(np.full(sizes_of(shape), float(value)), dtype)


def normal(shape: Sequence[int], deviation: float = 0.01, mean: float = 0.0, seed: Seed = None,
           dtype: Any = None) -> Array:  # fmt: skip
    """Gaussian numbers.

    Parameters
    ----------
    shape : tuple of int
    deviation, mean : float
        The standard deviation and the mean.
    seed : int, numpy.random.Generator or None
    dtype : optional
        ``floatX`` by default.

    Returns
    -------
    array

    Examples
    --------
    >>> from graphc.initial import normal
    >>> round(float(normal((1000, 100), 0.5, seed=0).std()), 2)
    0.5
    """
    return given(random_from(seed).normal(mean, deviation, sizes_of(shape)), dtype)


def uniform(shape: Sequence[int], limit: float = 0.01, low: float | None = None,
            seed: Seed = None, dtype: Any = None) -> Array:  # fmt: skip
    """Numbers from ``[low, limit)``, with ``low = -limit`` unless it is given.

    Parameters
    ----------
    shape : tuple of int
    limit, low : float
    seed : int, numpy.random.Generator or None
    dtype : optional
        ``floatX`` by default.

    Returns
    -------
    array

    Examples
    --------
    >>> from graphc.initial import uniform
    >>> x = uniform((1000,), 2.0, seed=0)
    >>> round(float(x.min()), 1), round(float(x.max()), 1)
    (-2.0, 2.0)
    """
    first = -limit if low is None else low
    if not first <= limit:
        raise ArgumentError(
            f"uniform: nothing lies in [{first}, {limit})", "give low below limit", user_frames()
        )
    return given(random_from(seed).uniform(first, limit, sizes_of(shape)), dtype)
