"""Optimisers made of optimisers: with hyper-parameters that change, with averages of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, user_frames
from graphc.optim.averaging import Average
from graphc.optim.counting import counter
from graphc.optim.parts import Updates

Optimiser = Callable[..., Updates]


def scheduled(optimiser: Optimiser, **schedules: Callable[[Variable], Any]) -> Optimiser:
    """An optimiser whose hyper-parameters are functions of the step: momentum annealing.

    ::

        v := mu(t) * v - eta * g,   p := p + v,   t := t + 1

    Parameters
    ----------
    optimiser : callable
        ``optimiser(loss or gradients, params, ...)``, such as ``optim.momentum``.
    **schedules : functions of a variable
        For each hyper-parameter that changes, a function of the step's number, which counts from
        0; `graphc.optim.schedules` has many.

    Returns
    -------
    callable
        Like `optimiser`. Its updates advance a counter of its own.

    Raises
    ------
    ArgumentError
        If a schedule can't be called.

    Examples
    --------
    >>> import graphc
    >>> from graphc import optim
    >>> from graphc.optim import schedules
    >>> annealed = optim.scheduled(
    ...     optim.momentum, momentum=lambda t: schedules.linear(t, 0.0, 1.0, 2))
    >>> w = graphc.shared(0.0, name="w")
    >>> step = graphc.function([], updates=annealed(-w, [w], learning_rate=1.0))
    >>> for _ in range(3):              # the velocities are 1, 0.5 * 1 + 1, 1 * 1.5 + 1
    ...     step()
    >>> float(w.get_value())
    5.0
    """
    for name, schedule in schedules.items():
        if not callable(schedule) or isinstance(schedule, Variable):
            raise ArgumentError(
                f"scheduled: {name}={schedule!r} is no function of the step",
                f"{name}=lambda step: schedules.linear(step, 0.5, 0.99, 1000)", user_frames(),
            )  # fmt: skip

    def update(
        loss_or_grads: Any, params: Sequence[SharedVariable], *given: Any, **options: Any
    ) -> Updates:
        step, counting = counter("scheduled.steps")
        changing = {name: schedule(step) for name, schedule in schedules.items()}
        return optimiser(loss_or_grads, params, *given, **options, **changing) + counting

    update.takes_loss = getattr(optimiser, "takes_loss", False)  # type: ignore[attr-defined]
    return update


class Averaged:
    """An optimiser that also averages the weights that it makes.

    Parameters
    ----------
    optimiser : callable
        ``optimiser(loss or gradients, params, ...)``, such as ``optim.adam``.
    average : callable
        ``optim.ema``, ``optim.polyak`` or ``optim.swa``.
    **options
        Of `average`, such as ``decay=0.999``.

    Attributes
    ----------
    average : Average
        Of the latest call.

    Notes
    -----
    A `graphc.train.Task` with such an optimiser is judged with the averages: validation, the best
    epoch and what is left at the end.

    Examples
    --------
    >>> import graphc
    >>> from graphc import optim
    >>> optimiser = optim.Averaged(optim.sgd, optim.ema, decay=0.75)
    >>> w = graphc.shared(0.0, name="w")
    >>> step = graphc.function([], updates=optimiser(-w, [w], learning_rate=1.0))
    >>> step(), step()
    (None, None)
    >>> float(w.get_value()), float(optimiser.average.get_values()[0])
    (2.0, 1.25)
    """

    def __init__(
        self, optimiser: Optimiser, average: Callable[..., Average], **options: Any
    ) -> None:
        for what, given in (("the optimiser", optimiser), ("the average", average)):
            if not callable(given):
                raise ArgumentError(
                    f"Averaged: {what}, {given!r}, can't be called",
                    "Averaged(optim.adam, optim.ema, decay=0.999)", user_frames(),
                )  # fmt: skip
        self._optimiser, self._how, self._options = optimiser, average, options
        self._average: Average | None = None
        self.takes_loss = getattr(optimiser, "takes_loss", False)

    @property
    def average(self) -> Average:
        if self._average is None:
            raise ArgumentError("Averaged: there are no averages before the first call",
                                "make the updates, or a Task, with it", user_frames())  # fmt: skip
        return self._average

    def __call__(
        self, loss_or_grads: Any, params: Sequence[SharedVariable], *given: Any, **options: Any
    ) -> Updates:
        updates = self._optimiser(loss_or_grads, params, *given, **options)
        self._average = self._how(updates, params, **self._options)
        return updates + self._average.updates
