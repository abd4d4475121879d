"""Averages of weights over the steps of a training: often better than the last weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Array, SharedVariable, Variable, describe, user_frames
from graphc.ops.elementwise import and_, cast, eq, ge, switch
from graphc.optim.parts import Updates, checked, scalar_state, state_like


class Average:
    """Averaged values of parameters; made by `polyak`, `ema` or `swa`.

    Attributes
    ----------
    params : list of shared variables
    values : list of shared variables
        The averages, in the order of `params`; in float32 for float16 and bfloat16.
    steps, count : shared int64 scalars
        How many steps there were, and how many of them are in the averages. Until the first
        one is, averages are the values that parameters had when this was made.
    updates : list of (shared variable, expression)
        To be joined with those of the optimiser.
    """

    def __init__(
        self,
        params: list[SharedVariable],
        values: list[SharedVariable],
        steps: SharedVariable,
        count: SharedVariable,
        updates: Updates,
    ) -> None:
        self.params, self.values = params, values
        self.steps, self.count, self.updates = steps, count, updates

    @property
    def givens(self) -> Updates:
        """For ``function(givens=...)``: what is computed uses averages as parameters."""
        return [(p, cast(value, p.dtype)) for p, value in zip(self.params, self.values)]

    def get_values(self) -> list[Array]:
        """The averages as arrays, in the dtypes of the parameters."""
        return [
            dtypes.convert(value.get_value(), p.dtype) for p, value in zip(self.params, self.values)
        ]

    def store(self) -> None:
        """Make the averages the values of the parameters; what these had is lost."""
        for p, value in zip(self.params, self.get_values()):
            p.set_value(value)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the block, parameters have the averages; afterwards, what they had before."""
        before = [p.get_value() for p in self.params]
        self.store()
        try:
            yield
        finally:
            for p, value in zip(self.params, before):
                p.set_value(value)


def polyak(updates: Updates, params: Sequence[SharedVariable], start: Any = 0) -> Average:
    """The mean of the parameters after each step.

    ::

        n := n + 1,   a := a + (p - a) / n        (with the new p), from step `start` on

    Parameters
    ----------
    updates : list of (shared variable, expression)
        Of any optimiser.
    params : list of shared variables
        What is averaged; each must be updated.
    start : int or integer scalar
        The first step that counts, from 0.

    Returns
    -------
    Average

    References
    ----------
    Polyak, Juditsky: Acceleration of stochastic approximation by averaging. SIAM Journal on
    Control and Optimization 30(4), 1992.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import polyak, sgd
    >>> w = graphc.shared(0.0, name="w")
    >>> updates = sgd(-w, [w], learning_rate=1.0)
    >>> average = polyak(updates, [w])
    >>> step = graphc.function([], updates=updates + average.updates)
    >>> step(), step(), step()
    (None, None, None)
    >>> float(w.get_value()), float(average.get_values()[0])
    (3.0, 2.0)
    >>> with average.swapped():
    ...     float(w.get_value())
    2.0
    """
    return _averaged(updates, params, "polyak", start, 1, lambda count: 1.0 / (count + 1))


def ema(updates: Updates, params: Sequence[SharedVariable], decay: Any = 0.999) -> Average:
    """An exponential moving average of the parameters.

    ::

        a := p after the first step, then decay * a + (1 - decay) * p        (with the new p)

    Parameters
    ----------
    updates, params
        As for `polyak`.
    decay : float or scalar variable
        How slowly it forgets.

    Returns
    -------
    Average

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import ema, sgd
    >>> w = graphc.shared(0.0, name="w")
    >>> updates = sgd(-w, [w], learning_rate=1.0)
    >>> average = ema(updates, [w], decay=0.75)
    >>> step = graphc.function([], updates=updates + average.updates)
    >>> step(), step()
    (None, None)
    >>> float(average.get_values()[0])
    1.25
    """
    return _averaged(updates, params, "ema", 0, 1, lambda count: 1 - decay)


def swa(
    updates: Updates, params: Sequence[SharedVariable], start: Any = 0, every: Any = 1
) -> Average:
    """Stochastic weight averaging: the mean of the parameters after every so many steps.

    Parameters
    ----------
    updates, params
        As for `polyak`.
    start : int or integer scalar
        The first step that counts, from 0: after most of the training.
    every : int or integer scalar
        How many steps lie between those that count: those of an epoch, or of a cycle of the
        learning rate.

    Returns
    -------
    Average

    Notes
    -----
    Running statistics of batch normalisation belong to the weights with which they were made:
    collect them again under the averages.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima and
    better generalization. UAI 2018, arXiv:1803.05407, algorithm 1.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import sgd, swa
    >>> w = graphc.shared(0.0, name="w")
    >>> updates = sgd(-w, [w], learning_rate=1.0)
    >>> average = swa(updates, [w], start=1, every=2)
    >>> step = graphc.function([], updates=updates + average.updates)
    >>> for _ in range(4):
    ...     step()
    >>> float(average.get_values()[0]), int(average.count.get_value())
    (3.0, 2)
    """
    if not isinstance(every, Variable) and not every >= 1:
        raise ArgumentError(f"swa: every={every}", "give a positive number", user_frames())
    return _averaged(updates, params, "swa", start, every, lambda count: 1.0 / (count + 1))


def _averaged(
    updates: Updates,
    params: Sequence[SharedVariable],
    name: str,
    start: Any,
    every: Any,
    weight: Callable[[Variable], Any],
) -> Average:
    """Averages in which each new value has the weight that a function of their count says."""
    new_values = dict(updates)
    params = checked(params)
    steps, count = (scalar_state(f"{name}.{what}", 0, "int64") for what in ("steps", "count"))
    now = and_(ge(steps, start), eq((steps - start) % every, 0))
    part = weight(cast(count, "float64"))
    more: Updates = [(steps, steps + 1), (count, count + cast(now, "int64"))]
    values = []
    for p in params:
        if p not in new_values:
            raise ArgumentError(
                f"{name}: {describe(p)} is not among the updates",
                "average parameters that the optimiser trains, and pass all its updates",
                user_frames(),
            )
        value = state_like(p, name)
        value.set_value(dtypes.convert(p.get_value(), value.dtype))
        new = cast(new_values[p], value.dtype)
        share = cast(part, value.dtype) if isinstance(part, Variable) else part
        moved = switch(eq(count, 0), new, value + share * (new - value))
        more.append((value, switch(now, moved, value)))
        values.append(value)
    return Average(params, values, steps, count, more)
