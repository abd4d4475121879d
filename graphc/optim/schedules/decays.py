"""Values that fall, or rise, once."""

from __future__ import annotations

from typing import Any

from graphc.core.node import Variable
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, floor, log2, minimum
from graphc.optim.schedules.clock import base, between, length_of, part_of, steps_of


def constant(step: Any, rate: Any) -> Variable:
    """Always the same.

    ::

        eta(t) = rate

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    rate : float or scalar variable

    Returns
    -------
    float64 scalar

    Raises
    ------
    ArgumentError
        As all schedules: if the step isn't an integer scalar, or a length isn't positive.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> float(schedules.constant(3, 0.1).eval())
    0.1
    """
    steps_of("constant", step)
    return cast(as_variable(rate), "float64")


def linear(step: Any, first: Any, last: Any, length: Any) -> Variable:
    """A line from one value to another, which then stays: for momenta, too.

    ::

        eta(t) = first + (last - first) * min(t / length, 1)

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    first, last : float or scalar variable
        The values at steps 0 and `length`.
    length : int or scalar variable
        In steps.

    Returns
    -------
    float64 scalar

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [float(schedules.linear(t, 0.5, 0.9, 4).eval()) for t in (0, 2, 4, 9)]
    [0.5, 0.7, 0.9, 0.9]
    """
    part = part_of("linear", step, length)
    return first + (last - first) * part


def step_decay(step: Any, rate: Any, every: Any, factor: Any = 0.1) -> Variable:
    """A staircase.

    ::

        eta(t) = rate * factor^floor(t / every)

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    rate, factor : float or scalar variable
    every : int or scalar variable
        The length of a stair, in steps.

    Returns
    -------
    float64 scalar

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [float(schedules.step_decay(t, 1.0, every=2, factor=0.5).eval()) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    t = steps_of("step_decay", step)
    return rate * base(factor) ** floor(t / length_of("step_decay", every))


def exponential(step: Any, rate: Any, factor: Any, every: Any = 1) -> Variable:
    """A smooth exponential decay.

    ::

        eta(t) = rate * factor^(t / every)

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    rate, factor : float or scalar variable
    every : int or scalar variable
        The number of steps in which the rate changes by `factor`.

    Returns
    -------
    float64 scalar

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [float(schedules.exponential(t, 1.0, 0.25, every=2).eval()) for t in range(3)]
    [1.0, 0.5, 0.25]
    """
    t = steps_of("exponential", step)
    return rate * base(factor) ** (t / length_of("exponential", every))


def inverse(step: Any, rate: Any, decay: Any = 1.0, power: Any = 1.0) -> Variable:
    """One over the step: the sum of the rates is infinite, that of their squares is not.

    ::

        eta(t) = rate / (1 + decay * t)^power

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    rate, decay, power : float or scalar variable
        A power above 1/2, at most 1, keeps what is said above.

    Returns
    -------
    float64 scalar

    References
    ----------
    Robbins, Monro: A stochastic approximation method. Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [float(schedules.inverse(t, 1.0).eval()) for t in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """
    t = steps_of("inverse", step)
    return rate / (1 + t * decay) ** power


def cosine(step: Any, rate: Any, length: Any, last: Any = 0.0) -> Variable:
    """Half a cosine wave down, which then stays.

    ::

        eta(t) = last + (rate - last) * (1 + cos(pi * min(t / length, 1))) / 2

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    rate, last : float or scalar variable
        The values at steps 0 and `length`.
    length : int or scalar variable
        In steps.

    Returns
    -------
    float64 scalar

    References
    ----------
    Loshchilov, Hutter: SGDR, stochastic gradient descent with warm restarts. ICLR 2017,
    arXiv:1608.03983, equation 5. With restarts: ``cosine(step % length, rate, length)``.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [round(float(schedules.cosine(t, 1.0, 4).eval()), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    return between(part_of("cosine", step, length), rate, last)


def momentum_annealing(step: Any, highest: Any = 0.99, every: Any = 250) -> Variable:
    """A momentum that rises from 1/2 as fast as Nesterov's method allows.

    ::

        mu(t) = min(1 - 2^(-1 - log2(floor(t / every) + 1)), highest)

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    highest : float or scalar variable
        Where it stays; the paper tries 0, 0.9, 0.99, 0.995 and 0.999.
    every : int or scalar variable
        How many steps have the same momentum.

    Returns
    -------
    float64 scalar

    References
    ----------
    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
    learning. ICML 2013, equation 5.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [float(schedules.momentum_annealing(t, 0.8).eval()) for t in (0, 250, 750, 5000)]
    [0.5, 0.75, 0.8, 0.8]
    """
    t = steps_of("momentum_annealing", step)
    stairs = floor(t / length_of("momentum_annealing", every))
    return minimum(1 - 2.0 ** (-1 - log2(stairs + 1)), highest)
