"""Learning rates and momenta as expressions of the step.

Each function takes the number of the step, counted from 0 (an integer scalar: a shared variable,
as `graphc.optim.counter` makes it, an input, or a number), and returns a float64 scalar, which
optimisers take where they take a number. Schedules are ordinary expressions, so they are combined
by arithmetic: ``warm_up(step, 100) * cosine(step, 0.1, 1000)`` rises and then falls,
``cosine(step % 50, 0.1, 50)`` starts again every 50 steps, and `chain` puts one after another.
Steps before 0 count as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, cos, floor, ge, le, log2, maximum, minimum, switch


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
    _steps("constant", step)
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
    part = _part("linear", step, length)
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
    t = _steps("step_decay", step)
    return rate * _base(factor) ** floor(t / _length("step_decay", every))


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
    t = _steps("exponential", step)
    return rate * _base(factor) ** (t / _length("exponential", every))


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
    t = _steps("inverse", step)
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
    return _between(_part("cosine", step, length), rate, last)


def warm_up(step: Any, length: Any, first: Any = 0.1) -> Variable:
    """A factor that rises to 1: multiply a schedule with it.

    ::

        f(t) = first + (1 - first) * min(t / length, 1)

    Parameters
    ----------
    step : integer scalar
        ``t``, from 0.
    length : int or scalar variable
        In steps.
    first : float or scalar variable
        The factor at step 0.

    Returns
    -------
    float64 scalar

    References
    ----------
    Goyal et al.: Accurate, large minibatch SGD, training ImageNet in 1 hour. 2017,
    arXiv:1706.02677, section 2.2.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> rate = [schedules.warm_up(t, 2, first=0.5) * schedules.constant(t, 0.5) for t in range(4)]
    >>> [float(r.eval()) for r in rate]
    [0.25, 0.375, 0.5, 0.5]
    """
    return first + (1 - first) * _part("warm_up", step, length)


def one_cycle(step: Any, highest: Any, length: Any, rise: float = 0.3, divide: float = 25.0,
              divide_last: float = 1e4) -> Variable:  # fmt: skip
    """Half a cosine wave up, and half a longer one down, far below the start.

    Steps ``0 .. rise * length - 1`` go from ``highest / divide`` to ``highest``, those up to
    ``length - 1`` down to ``highest / divide / divide_last``, which then stays.

    Parameters
    ----------
    step : integer scalar
        From 0.
    highest : float or scalar variable
        The largest rate.
    length : int or scalar variable
        In steps, more than ``1 / rise``.
    rise : float
        The part of the steps that go up, between 0 and 1.
    divide, divide_last : float
        How far below its peak the rate starts, and how far below its start it ends.

    Returns
    -------
    float64 scalar

    References
    ----------
    Smith, Topin: Super-convergence, very fast training of neural networks using large learning
    rates. 2018, arXiv:1708.07120; in the form of PyTorch's ``OneCycleLR``.

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [round(float(schedules.one_cycle(t, 1.0, 10).eval()), 3) for t in (0, 1, 2, 5, 9)]
    [0.04, 0.52, 1.0, 0.611, 0.0]
    """
    first = highest / divide
    return _cycle("one_cycle", step, length, rise, (first, highest, first / divide_last))


def one_cycle_momentum(step: Any, length: Any, highest: Any = 0.95, lowest: Any = 0.85,
                       rise: float = 0.3) -> Variable:  # fmt: skip
    """The momentum that goes with `one_cycle`: low where the rate is high.

    Parameters
    ----------
    step, length, rise
        As for `one_cycle`.
    highest, lowest : float or scalar variable
        The momentum at both ends, and at the peak of the rate.

    Returns
    -------
    float64 scalar

    Examples
    --------
    >>> from graphc.optim import schedules
    >>> [round(float(schedules.one_cycle_momentum(t, 10).eval()), 3) for t in (0, 2, 9)]
    [0.95, 0.85, 0.95]
    """
    return _cycle("one_cycle_momentum", step, length, rise, (highest, lowest, highest))


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
    t = _steps("momentum_annealing", step)
    stairs = floor(t / _length("momentum_annealing", every))
    return minimum(1 - 2.0 ** (-1 - log2(stairs + 1)), highest)


def chain(step: Any, first: Any, *later: tuple[Any, Any]) -> Variable:
    """One schedule after another.

    Parameters
    ----------
    step : integer scalar
        From 0.
    first : float or scalar variable
        The schedule from step 0.
    *later : pairs (start, schedule)
        From step `start` on, `schedule`, in the order of the starts. Schedules that should begin
        at their start are written with ``step - start``.

    Returns
    -------
    float64 scalar

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import counter, schedules
    >>> step, counting = counter()
    >>> rate = schedules.chain(
    ...     step,
    ...     schedules.linear(step, 0.0, 1.0, 2),
    ...     (2, 1.0),
    ...     (4, schedules.exponential(step - 4, 1.0, 0.5)),
    ... )
    >>> f = graphc.function([], rate, updates=counting)
    >>> [float(f()) for _ in range(7)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.25]
    """
    t = _steps("chain", step)
    found = cast(as_variable(first), "float64")
    starts = [start for start, _ in later]
    known = [start for start in starts if not isinstance(start, Variable)]
    if known != sorted(known):
        raise ArgumentError(
            f"chain: the starts {known} are not in order",
            "list the schedules in the order in which they follow each other",
            user_frames(),
        )
    for start, schedule in later:
        found = switch(ge(t, start), cast(as_variable(schedule), "float64"), found)
    return found


# --- what they are made of ------------------------------------------------------------


def _steps(what: str, step: Any) -> Variable:
    """The step as a float64 scalar, not below 0: float32 can't count beyond 2^24."""
    found = as_variable(step)
    if found.ndim or not dtypes.is_discrete(found.dtype):
        raise ArgumentError(
            f"{what}: the step is an integer scalar, not {describe(found)}",
            "step, counting = graphc.optim.counter()",
            user_frames(),
        )
    return maximum(cast(found, "float64"), 0)


def _length(what: str, length: Any) -> Any:
    if not isinstance(length, Variable) and not length > 0:
        raise ArgumentError(
            f"{what}: a length of {length} steps", "give a positive number", user_frames()
        )
    return length


def _part(what: str, step: Any, length: Any) -> Variable:
    """How much of the length is over: from 0 to 1."""
    return minimum(_steps(what, step) / _length(what, length), 1)


def _base(factor: Any) -> Any:
    return cast(factor, "float64") if isinstance(factor, Variable) else float(factor)


def _between(part: Any, first: Any, last: Any) -> Variable:
    """Half a cosine wave from one value to another."""
    return last + (first - last) * (0.5 * (1 + cos(np.pi * part)))


def _cycle(what: str, step: Any, length: Any, rise: float,
           values: tuple[Any, Any, Any]) -> Variable:  # fmt: skip
    if not 0 < rise < 1:
        raise ArgumentError(f"{what}: rise={rise}", "give a part, between 0 and 1", user_frames())
    if not isinstance(length, Variable) and not rise * length > 1:
        raise ArgumentError(
            f"{what}: {rise} of {length} steps is no room to rise",
            "let it be longer, or rise longer",
            user_frames(),
        )
    t = _steps(what, step)
    peak, end = rise * length - 1, length - 1
    first, middle, last = values
    up = _between(minimum(t / peak, 1), first, middle)
    down = _between(minimum(maximum((t - peak) / (end - peak), 0), 1), middle, last)
    return switch(le(t, peak), up, down)


__all__ = [
    "chain", "constant", "cosine", "exponential", "inverse", "linear", "momentum_annealing",
    "one_cycle", "one_cycle_momentum", "step_decay", "warm_up",
]  # fmt: skip
