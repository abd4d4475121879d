"""Initial values of weights. A stand-in: the functions of `graphc.initial` take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs a unit has, and how many units an input reaches.

    Matrices are (inputs, units), filters (filters, channels, sizes...).
    """
    if len(shape) < 2:
        size = int(np.prod(shape))
        return size, size
    if len(shape) == 2:
        return shape[0], shape[1]
    taps = int(np.prod(shape[2:]))
    return shape[1] * taps, shape[0] * taps


def glorot_uniform(shape: Sequence[int], seed: Any = None, gain: float = 1.0) -> Any:
    """Uniform in ``+- gain sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010)."""
    limit = gain * np.sqrt(6.0 / max(sum(_fans(shape)), 1))
    return np.random.default_rng(seed).uniform(-limit, limit, shape)


def he_normal(shape: Sequence[int], seed: Any = None, gain: float = 1.0) -> Any:
    """Normal, of standard deviation ``gain sqrt(2 / fan_in)`` (He et al., 2015)."""
    deviation = gain * np.sqrt(2.0 / max(_fans(shape)[0], 1))
    return np.random.default_rng(seed).normal(0.0, deviation, shape)
