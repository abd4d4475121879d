"""Orders of rows that depend on a seed and the number of an epoch, and on nothing else.

They are made of the raw bits of Philox (Salmon et al. 2011), seeded by NumPy's ``SeedSequence``:
NumPy promises both to stay as they are, so an order is the same under every version and on
every machine. (It doesn't promise that of ``Generator.permutation``.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem


def philox(seed: int, *place: int) -> np.random.Philox:
    """Bits for one place, such as an epoch: equal numbers give equal bits."""
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=place))


def generator(seed: int, *place: int) -> np.random.Generator:
    """Draws for one place: equal numbers give equal draws."""
    return np.random.Generator(philox(seed, *place))


def permutation(count: int, seed: int, *place: int) -> Array:
    """The numbers 0 ... count - 1 in a random order, as int64.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        At least 0.
    *place : int
        Further numbers, such as that of the epoch.

    Examples
    --------
    >>> from graphc.data import permutation
    >>> order = permutation(5, seed=1)
    >>> sorted(order.tolist()), bool((order == permutation(5, seed=1)).all())
    ([0, 1, 2, 3, 4], True)
    """
    bits = philox(seed, *place).random_raw(count)
    return np.argsort(bits, kind="stable").astype("int64")


def read_seed(seed: Any, may_be_any: bool = True) -> int:
    """A seed as given; None for one from the operating system, where that may be."""
    if seed is None and may_be_any:
        return int(np.random.SeedSequence().entropy) % 2**63
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        other = ", or None for any" if may_be_any else ""
        raise problem(f"seed is {seed!r}", f"give an integer from 0 on{other}")
    return int(seed)


def read_count(value: Any, name: str, least: int = 1) -> int:
    """An integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise problem(f"{name} is {value!r}", f"give an integer from {least} on")
    return int(value)
