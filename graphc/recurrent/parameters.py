"""The parameters of recurrent layers, as shared variables, and how they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.core.config import config
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Array, SharedVariable, user_frames

Initialiser = Callable[[tuple[int, ...], np.random.RandomState], Any]


def glorot(shape: tuple[int, ...], random: np.random.RandomState) -> Array:
    """Uniform in ``+-sqrt(6 / (rows + columns))``.

    References
    ----------
    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks.
    AISTATS 2010, equation 16.
    """
    limit = np.sqrt(6 / (shape[0] + shape[-1]))
    return random.uniform(-limit, limit, shape)


def orthogonal(shape: tuple[int, ...], random: np.random.RandomState) -> Array:
    """A matrix with orthonormal columns (or rows, if these are fewer): states keep their length.

    References
    ----------
    Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks. ICLR 2014, arXiv:1312.6120.
    """
    rows, columns = shape
    q, r = np.linalg.qr(random.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diagonal(r))  # uniform among all of them
    return q if rows >= columns else q.T


def rnn_parameters(
    inputs: int, units: int, initialiser: Initialiser = glorot,
    recurrent_initialiser: Initialiser = orthogonal, seed: int = 0, dtype: str | None = None,
    name: str = "rnn",
) -> dict[str, SharedVariable]:  # fmt: skip
    """The parameters of `rnn`: W (inputs, units), U (units, units), b (units,).

    Parameters
    ----------
    inputs, units : int
        Features of the input and of the state.
    initialiser, recurrent_initialiser : callable
        ``f(shape, random) -> array``, called for the W and for the U of each gate.
    seed : int
        Of the ``numpy.random.RandomState`` that initialisers get.
    dtype : str, optional
        ``floatX`` by default.
    name : str
        Parameters are called ``name.W`` and so on.

    Returns
    -------
    dict
        From "W", "U", "b" to shared variables; its values are what an optimiser takes.
    """
    random = np.random.RandomState(seed)
    return _shared(_weights(1, inputs, units, initialiser, recurrent_initialiser, random),
                   dtype, name)  # fmt: skip


def lstm_parameters(
    inputs: int, units: int, initialiser: Initialiser = glorot,
    recurrent_initialiser: Initialiser = orthogonal, seed: int = 0, dtype: str | None = None,
    name: str = "lstm", peepholes: bool = False, forget_bias: float = 1.0,
) -> dict[str, SharedVariable]:  # fmt: skip
    """The parameters of `lstm`: W (inputs, 4 units), U (units, 4 units), b (4 units,).

    Parameters
    ----------
    inputs, units, initialiser, recurrent_initialiser, seed, dtype, name
        As for `rnn_parameters`.
    peepholes : bool
        Whether there is P (3, units) as well, which starts with zeros: the weights from the
        cell to the input, forget and output gate.
    forget_bias : float
        Where the bias of the forget gate starts; the others start with 0.

    Returns
    -------
    dict
        From "W", "U", "b" (and "P") to shared variables.

    References
    ----------
    Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network architectures.
    ICML 2015 (the bias of the forget gate).
    """
    random = np.random.RandomState(seed)
    values = _weights(4, inputs, units, initialiser, recurrent_initialiser, random)
    values["b"][units : 2 * units] = forget_bias
    if peepholes:
        values["P"] = np.zeros((3, units))
    return _shared(values, dtype, name)


def gru_parameters(
    inputs: int, units: int, initialiser: Initialiser = glorot,
    recurrent_initialiser: Initialiser = orthogonal, seed: int = 0, dtype: str | None = None,
    name: str = "gru", reset_after: bool = False,
) -> dict[str, SharedVariable]:  # fmt: skip
    """The parameters of `gru`: W (inputs, 3 units), U (units, 3 units), b (3 units,).

    Parameters
    ----------
    inputs, units, initialiser, recurrent_initialiser, seed, dtype, name
        As for `rnn_parameters`.
    reset_after : bool
        Whether there is c (units,) as well, with which the reset gate acts behind the
        recurrent product; see `gru_step`.

    Returns
    -------
    dict
        From "W", "U", "b" (and "c") to shared variables.
    """
    random = np.random.RandomState(seed)
    values = _weights(3, inputs, units, initialiser, recurrent_initialiser, random)
    if reset_after:
        values["c"] = np.zeros(units)
    return _shared(values, dtype, name)


def _weights(
    gates: int, inputs: int, units: int, initialiser: Initialiser,
    recurrent_initialiser: Initialiser, random: np.random.RandomState,
) -> dict[str, Array]:  # fmt: skip
    for what, size in (("inputs", inputs), ("units", units)):
        if not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentError(
                f"a recurrent layer's number of {what} is {size!r}", "it is a positive integer",
                user_frames(),
            )  # fmt: skip
    W = np.hstack([_made(initialiser, (inputs, units), random) for _ in range(gates)])
    U = np.hstack([_made(recurrent_initialiser, (units, units), random) for _ in range(gates)])
    return {"W": W, "U": U, "b": np.zeros(gates * units)}


def _made(initialiser: Initialiser, shape: tuple[int, int], random: np.random.RandomState) -> Array:
    value = np.asarray(initialiser(shape, random))
    if value.shape != shape:
        raise ShapeError(
            f"the initialiser {getattr(initialiser, '__name__', initialiser)!s} made an array "
            f"of shape {value.shape} when asked for {shape}", at=user_frames(),
        )  # fmt: skip
    return value


def _shared(values: Mapping[str, Array], dtype: str | None, name: str) -> dict[str, SharedVariable]:
    kind = dtype or config.floatX
    return {k: SharedVariable(v.astype(kind), f"{name}.{k}") for k, v in values.items()}
