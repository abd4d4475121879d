"""Schedules in several phases: warm-up, one cycle, one after another."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, ge, le, maximum, minimum, switch
from graphc.optim.schedules.clock import between, part_of, steps_of


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
    return first + (1 - first) * part_of("warm_up", step, length)


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
    t = steps_of("chain", step)
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
    t = steps_of(what, step)
    peak, end = rise * length - 1, length - 1
    first, middle, last = values
    up = between(minimum(t / peak, 1), first, middle)
    down = between(minimum(maximum((t - peak) / (end - peak), 0), 1), middle, last)
    return switch(le(t, peak), up, down)
