"""How wide to draw: fan-in and fan-out of a shape, gains of activations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import user_frames
from graphc.initial.parts import sizes_of

GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": sqrt(2),
    "selu": 0.75,
}
"""The gains of activations; that of leaky_relu depends on its slope."""


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """The numbers of inputs and of outputs that a unit of a layer has.

    Parameters
    ----------
    shape : tuple of int
        (inputs, outputs) of a dense layer, or (outputs, inputs, *window) of a convolution, where
        `inputs` is the number that a filter sees: with groups, those of one group.

    Returns
    -------
    fan_in, fan_out : int

    Raises
    ------
    ShapeError
        If there are fewer than two sizes: a bias has no fan-in, so start it from `constant`.

    Examples
    --------
    >>> from graphc.initial import fans
    >>> fans((784, 100)), fans((20, 3, 5, 5))
    ((784, 100), (75, 500))
    """
    sizes = sizes_of(shape)
    if len(sizes) < 2:
        raise ShapeError(
            f"a parameter of shape {sizes} has no fan-in",
            "start biases from constant(shape), or choose the width: normal(shape, deviation=...)",
            user_frames(),
        )
    if len(sizes) == 2:
        return sizes
    window = prod(sizes[2:])
    return sizes[1] * window, sizes[0] * window


def gain_of(activation: str, slope: float = 0.01) -> float:
    """The gain with which an activation keeps the variance of what passes through it.

    ::

        linear, sigmoid: 1    tanh: 5/3    relu: sqrt(2)    selu: 3/4
        leaky_relu: sqrt(2 / (1 + slope^2))

    Parameters
    ----------
    activation : str
    slope : float
        Of a leaky rectifier, below zero.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError
        If the activation isn't among them.

    References
    ----------
    He, Zhang, Ren, Sun: Delving deep into rectifiers. ICCV 2015, arXiv:1502.01852, equations 10
    and 15; the values for tanh and selu are those of PyTorch's ``calculate_gain``.

    Examples
    --------
    >>> from graphc.initial import gain_of
    >>> round(gain_of("relu"), 3), round(gain_of("leaky_relu", 0.2), 3)
    (1.414, 1.387)
    """
    if activation == "leaky_relu":
        return sqrt(2 / (1 + slope**2))
    if activation not in GAINS:
        known = ", ".join([*GAINS, "leaky_relu"])
        raise ArgumentError(
            f"no gain is known for {activation!r}", f"give a number, or one of {known}",
            user_frames(),
        )  # fmt: skip
    return GAINS[activation]


def gain_from(gain: float | str) -> float:
    """A gain, given as a number or by the name of an activation."""
    return gain_of(gain) if isinstance(gain, str) else float(gain)
