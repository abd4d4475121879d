"""Weights with a structure: orthogonal, sparse, identity."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.initial.parts import Seed, given, matrix_sizes, random_from, sizes_of
from graphc.initial.widths import fans, gain_from


def orthogonal(shape: Sequence[int], gain: float | str = 1.0, seed: Seed = None,
               dtype: Any = None) -> Array:  # fmt: skip
    """Orthonormal rows or columns, whichever are fewer, times a gain: lengths are kept.

    Parameters
    ----------
    shape : tuple of int
        Of a matrix, or of filters, each of which is one row of ``(outputs, inputs * window)``.
    gain, seed, dtype
        As for `xavier_uniform`.

    Returns
    -------
    array

    Notes
    -----
    The Q of a Gaussian matrix, with signs that make all orthogonal matrices equally likely.

    References
    ----------
    Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks. ICLR 2014, arXiv:1312.6120. Mezzadri: How to generate random matrices from the
    classical compact groups. Notices of the AMS 54, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.initial import orthogonal
    >>> W = orthogonal((5, 3), seed=0)
    >>> bool(np.allclose(W.T @ W, np.eye(3)))
    True
    """
    fans(shape)
    sizes = sizes_of(shape)
    rows, columns = sizes[0], prod(sizes[1:])
    drawn = random_from(seed).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    found = q if rows >= columns else q.T
    return given(gain_from(gain) * found.reshape(sizes), dtype)


def sparse(shape: Sequence[int], connections: int = 15, deviation: float = 1.0,
           seed: Seed = None, dtype: Any = None) -> Array:  # fmt: skip
    """Gaussian weights from a few inputs to each unit, and zeros.

    Parameters
    ----------
    shape : tuple of int
        (inputs, outputs) of a dense layer.
    connections : int
        How many inputs each unit has; all of them, where there are fewer.
    deviation : float
        The standard deviation of the weights that aren't zero.
    seed, dtype
        As for `normal`.

    Returns
    -------
    array
        With at most `connections` non-zero entries in each column.

    References
    ----------
    Martens: Deep learning via Hessian-free optimization. ICML 2010, section 5.

    Examples
    --------
    >>> from graphc.initial import sparse
    >>> (sparse((100, 4), connections=10, seed=0) != 0).sum(axis=0)
    array([10, 10, 10, 10])
    """
    inputs, outputs = matrix_sizes("sparse", shape)
    if connections < 0:
        raise ArgumentError(
            f"sparse: connections={connections}", "give how many inputs a unit has", user_frames()
        )
    random = random_from(seed)
    order = random.random((inputs, outputs)).argsort(axis=0)
    weights = random.normal(0, deviation, (inputs, outputs))
    return given(np.where(order < connections, weights, 0), dtype)


def identity(shape: Sequence[int], gain: float | str = 1.0, dtype: Any = None,
             seed: Seed = None) -> Array:  # fmt: skip
    """What passes its input on: ones on the diagonal, or in the middle of filters, times a gain.

    Parameters
    ----------
    shape : tuple of int
        Of a matrix; or (outputs, inputs, *window) of filters, output k of which is input k under
        "half" padding (windows of odd sizes; "same" of other programs).
    gain, dtype, seed
        As for `xavier_uniform`; nothing is drawn.

    Returns
    -------
    array

    References
    ----------
    Le, Jaitly, Hinton: A simple way to initialize recurrent networks of rectified linear units.
    2015, arXiv:1504.00941.

    Examples
    --------
    >>> from graphc.initial import identity
    >>> identity((2, 3), gain=0.5)
    array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """
    fans(shape)
    sizes = sizes_of(shape)
    found = np.zeros(sizes)
    for k in range(min(sizes[:2])):
        found[(k, k, *(n // 2 for n in sizes[2:]))] = gain_from(gain)
    return given(found, dtype)
