"""Random numbers, as wide as fan-in and fan-out say."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from graphc.core.node import Array
from graphc.initial.parts import Seed
from graphc.initial.plain import normal, uniform
from graphc.initial.widths import fans, gain_from


def xavier_uniform(shape: Sequence[int], gain: float | str = 1.0, seed: Seed = None,
                   dtype: Any = None) -> Array:  # fmt: skip
    """Glorot's and Bengio's: variances stay the same forwards and backwards, as far as both can.

    ::

        U(-a, a),   a = gain * sqrt(6 / (fan_in + fan_out))

    Parameters
    ----------
    shape : tuple of int
        See `fans`.
    gain : float or str
        A number, or the activation that follows; see `gain_of`.
    seed : int, numpy.random.Generator or None
    dtype : optional
        ``floatX`` by default.

    Returns
    -------
    array

    References
    ----------
    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks.
    AISTATS 2010, equation 16.

    Examples
    --------
    >>> from graphc.initial import xavier_uniform
    >>> W = xavier_uniform((784, 500), seed=0)
    >>> W.shape, bool(abs(W).max() < (6 / 1284) ** 0.5)
    ((784, 500), True)
    """
    return _spread_uniform(shape, gain, sum(fans(shape)) / 2, seed, dtype)


def xavier_normal(shape: Sequence[int], gain: float | str = 1.0, seed: Seed = None,
                  dtype: Any = None) -> Array:  # fmt: skip
    """As `xavier_uniform`, from ``N(0, gain^2 * 2 / (fan_in + fan_out))``.

    Examples
    --------
    >>> from graphc.initial import xavier_normal
    >>> round(float(xavier_normal((300, 500), seed=0).std()), 2)
    0.05
    """
    return _spread_normal(shape, gain, sum(fans(shape)) / 2, seed, dtype)


def he_uniform(shape: Sequence[int], gain: float | str = "relu", seed: Seed = None,
               dtype: Any = None) -> Array:  # fmt: skip
    """He's, for rectifiers: variances stay the same forwards.

    ::

        U(-a, a),   a = gain * sqrt(3 / fan_in),   gain = sqrt(2) for relu

    Parameters
    ----------
    shape, gain, seed, dtype
        As for `xavier_uniform`.

    Returns
    -------
    array

    References
    ----------
    He, Zhang, Ren, Sun: Delving deep into rectifiers. ICCV 2015, arXiv:1502.01852, equation 10.

    Examples
    --------
    >>> from graphc.initial import he_uniform
    >>> filters = he_uniform((20, 3, 5, 5), seed=0)
    >>> bool(abs(filters).max() < (6 / 75) ** 0.5)
    True
    """
    return _spread_uniform(shape, gain, fans(shape)[0], seed, dtype)


def he_normal(shape: Sequence[int], gain: float | str = "relu", seed: Seed = None,
              dtype: Any = None) -> Array:  # fmt: skip
    """As `he_uniform`, from ``N(0, gain^2 / fan_in)``.

    Examples
    --------
    >>> from graphc.initial import he_normal
    >>> round(float(he_normal((800, 500), seed=0).std()), 2)
    0.05
    """
    return _spread_normal(shape, gain, fans(shape)[0], seed, dtype)


def lecun_uniform(shape: Sequence[int], gain: float | str = 1.0, seed: Seed = None,
                  dtype: Any = None) -> Array:  # fmt: skip
    """LeCun's: a unit's weighted sum has the variance of its inputs.

    ::

        U(-a, a),   a = gain * sqrt(3 / fan_in)

    Parameters
    ----------
    shape, gain, seed, dtype
        As for `xavier_uniform`.

    Returns
    -------
    array

    References
    ----------
    LeCun, Bottou, Orr, Müller: Efficient backprop. In: Neural networks, tricks of the trade, 1998,
    section 4.6.

    Examples
    --------
    >>> from graphc.initial import lecun_uniform
    >>> bool(abs(lecun_uniform((75, 10), seed=0)).max() < 0.2)
    True
    """
    return _spread_uniform(shape, gain, fans(shape)[0], seed, dtype)


def lecun_normal(shape: Sequence[int], gain: float | str = 1.0, seed: Seed = None,
                 dtype: Any = None) -> Array:  # fmt: skip
    """As `lecun_uniform`, from ``N(0, gain^2 / fan_in)``.

    Examples
    --------
    >>> from graphc.initial import lecun_normal
    >>> round(float(lecun_normal((400, 500), seed=0).std()), 2)
    0.05
    """
    return _spread_normal(shape, gain, fans(shape)[0], seed, dtype)


def _spread_uniform(shape: Sequence[int], gain: float | str, fan: float, seed: Seed,
                    dtype: Any) -> Array:  # fmt: skip
    return uniform(shape, gain_from(gain) * sqrt(3 / max(fan, 1)), seed=seed, dtype=dtype)


def _spread_normal(shape: Sequence[int], gain: float | str, fan: float, seed: Seed,
                   dtype: Any) -> Array:  # fmt: skip
    return normal(shape, gain_from(gain) * sqrt(1 / max(fan, 1)), seed=seed, dtype=dtype)
