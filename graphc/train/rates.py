"""Which learning rate to take: the range test, which tries them all on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, SharedVariable, Variable, user_frames
from graphc.data.dataset import Dataset
from graphc.data.order import read_count
from graphc.data.problems import optional, problem
from graphc.train.judging import Feed, fed
from graphc.train.progress import Progress, number
from graphc.train.task import Task

RULES = ("steepest", "tenth")


@dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes
    ----------
    rates, losses, smoothed : arrays
        Of each step: the learning rate with which it was made, the loss after it, on the next
        batch, and that loss smoothed.
    rule : {"steepest", "tenth"}
        What `suggestion` is.
    diverged : bool
        Whether the test ended early, because the loss had risen too far.
    """

    rates: Array
    losses: Array
    smoothed: Array
    rule: str
    diverged: bool

    @property
    def steepest(self) -> float | None:
        """Where the smoothed loss falls fastest, as a function of the rate's logarithm, before
        its minimum; None where it never falls. The first tenth is left out, in which there is
        nothing yet to smooth with."""
        best = int(np.argmin(self.smoothed))
        if best < 2:
            return None
        slope = np.gradient(self.smoothed[: best + 1], np.log(self.rates[: best + 1]))
        first = min(len(self.rates) // 10, best)
        place = first + int(np.argmin(slope[first:]))
        return float(self.rates[place]) if slope[place] < 0 else None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is lowest; None where it never falls."""
        best = int(np.argmin(self.smoothed))
        return float(self.rates[best]) / 10 if best else None

    @property
    def suggestion(self) -> float | None:
        """The rate to take, by `rule`; None where the loss never fell."""
        return self.steepest if self.rule == "steepest" else self.tenth

    def picture(self, title: str | None = None) -> Any:
        """The losses over the rates, and the suggestion: a matplotlib ``Figure``."""
        figure = optional("matplotlib.figure", "matplotlib", "RateTest.picture").Figure(
            figsize=(6.4, 4.0), layout="constrained"
        )
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, ".", color="0.75", label="each step")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="C1", linestyle="--",
                         label=f"{self.rule}: {self.suggestion:.2g}")  # fmt: skip
        low, high = self.smoothed.min(), self.smoothed[: max(len(self.smoothed) // 2, 1)].max()
        room = 0.15 * (high - low) or 0.5
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.set_ylim(low - room, high + room)
        axes.legend()
        if title is not None:
            axes.set_title(title)
        return figure

    def __repr__(self) -> str:
        span = f"{self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        told = "none, the loss never fell" if self.suggestion is None else f"{self.suggestion:.3g}"
        return f"<rate test: {len(self.rates)} steps from {span}, suggestion {told}>"


def find_learning_rate(
    task: Task,
    rows: Any,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    batch: int = 32,
    *,
    smoothing: float = 0.8,
    diverged: float = 4.0,
    rule: str = "steepest",
    shuffle: bool = True,
    seed: int = 0,
    finite: bool = True,
    progress: bool = False,
) -> RateTest:
    """Train for a moment with a learning rate that grows from step to step.

    ::

        rate_k = lowest (highest / lowest)^(k / (steps - 1)),   k = 0 ... steps - 1
        a_k = smoothing a_(k-1) + (1 - smoothing) loss_k,       a_(-1) = 0
        smoothed_k = a_k / (1 - smoothing^(k+1))

    It ends early when the smoothed loss is more than `diverged` times the lowest one, or not
    finite. Afterwards the task is as it was: parameters, the optimiser's state, random streams
    and running averages, and so too after an error.

    Parameters
    ----------
    task : Task
        One whose ``learning_rate`` is a number.
    rows : Dataset, or tuple or dict of arrays
        What to train on, as for `fit`.
    lowest, highest : float
        The first rate and the last one.
    steps : int
        How many rates; the rows are gone through again if need be.
    batch : int
        Rows of a step.
    smoothing : float
        At least 0 and below 1. Smoothed losses are late by ``smoothing / (1 - smoothing)`` steps.
    diverged : float
        Above 1. Where the lowest loss is below 0, its distance from zero counts.
    rule : {"steepest", "tenth"}
        What is suggested: the rate at which the smoothed loss falls fastest, over the rate's
        logarithm and before its minimum; or a tenth of the rate at the minimum.
    shuffle, seed, finite
        As for `fit`.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    RateTest

    Raises
    ------
    ArgumentError
        For a task whose learning rate is a schedule, or left to the optimiser; for rates that
        don't grow.
    DataError
        If the data doesn't suit the task, or the first loss isn't finite.

    References
    ----------
    Smith: Cyclical learning rates for training neural networks. WACV 2017, arXiv:1506.01186,
    section 3.3, with rates that grow geometrically.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn, optim, train
    >>> x, y = T.dmatrix("x"), T.dvector("y")
    >>> model = nn.Sequential(nn.Dense(1, 1, init=0.0), T.flatten)
    >>> task = train.Task(model, x, y, nn.losses.squared_error, optimiser=optim.sgd, mode="numpy")
    >>> rows = np.linspace(-1, 1, 64)[:, None], np.linspace(-3, 3, 64)
    >>> found = train.find_learning_rate(task, rows, lowest=1e-4, batch=64)
    >>> 0.05 < found.suggestion < 3, model.state()["0.weights"].item()
    (True, 0.0)
    """
    rate = _rate_of(task)
    if not 0 < lowest < highest < math.inf:
        raise ArgumentError(
            f"find_learning_rate: rates from lowest={lowest!r} to highest={highest!r}",
            "both are positive, and highest is larger", user_frames(),
        )  # fmt: skip
    if not 0 <= smoothing < 1 or not diverged > 1 or rule not in RULES:
        raise ArgumentError(
            f"find_learning_rate: smoothing={smoothing!r}, diverged={diverged!r}, rule={rule!r}",
            f"smoothing is in [0, 1), diverged above 1, rule one of {', '.join(RULES)}",
            user_frames(),
        )  # fmt: skip
    count, size = read_count(steps, "steps", 3), read_count(batch, "batch")
    rates = lowest * (highest / lowest) ** (np.arange(count) / (count - 1))
    given, feed = fed(task, rows, task.leaves)
    known = given.length()
    size = size if known is None else min(size, known)
    batches = _endless(given, feed, size, shuffle=shuffle, seed=seed, finite=finite)
    bar = Progress(progress, 1, count)
    try:
        with restored(task):
            return _test(task, rate, rates, batches, smoothing, diverged, rule, bar)
    finally:
        batches.close()
        bar.close()


def _test(
    task: Task, rate: SharedVariable, rates: Array, batches: Any, smoothing: float,
    diverged: float, rule: str, bar: Progress,
) -> RateTest:  # fmt: skip
    """The steps. What a rate did is seen by the loss of the step after it."""
    kind = rate.get_value(borrow=True).dtype
    losses: list[float] = []
    smoothed: list[float] = []
    mean, over = 0.0, False
    for k in range(-1, len(rates)):
        rate.set_value(np.asarray(rates[min(k + 1, len(rates) - 1)], kind))
        loss = float(task.step(*next(batches))[0])
        if k < 0:
            if not math.isfinite(loss):
                raise problem(f"find_learning_rate: before any step, the loss is {loss}",
                              "look at the model's first values, and at the data")  # fmt: skip
            continue
        mean = smoothing * mean + (1 - smoothing) * loss
        present = mean / (1 - smoothing ** (k + 1))
        best = min(smoothed, default=present)
        over = not math.isfinite(present)
        if over:
            break
        losses.append(loss)
        smoothed.append(present)
        bar.step()
        over = present - best > (diverged - 1) * abs(best)
        if over:
            break
    if not losses:
        first = number(rates[0])
        raise problem(f"find_learning_rate: after a step with {first}, the loss is {loss}",
                      "begin with a lower rate")  # fmt: skip
    made = np.array(losses), np.array(smoothed)
    return RateTest(rates[: len(losses)], *made, rule, over)


def _endless(rows: Dataset, feed: Feed, size: int, **options: Any) -> Iterator[list[Array]]:
    """Batches of one epoch after the other."""
    batches = rows.batches(size, **options)
    try:
        while True:
            empty = True
            for taken in batches:
                empty = False
                yield feed(taken)
            if empty:
                raise problem("find_learning_rate: the data makes no batch",
                              "is the generator used up?")  # fmt: skip
    finally:
        batches.close()


@contextmanager
def restored(task: Task) -> Iterator[None]:
    """After the block, all that training changes has the values from before it."""
    before = [(v, v.get_value()) for v in task.kept.values()]
    try:
        yield
    finally:
        for variable, value in before:
            variable.set_value(value)


def _rate_of(task: Task) -> SharedVariable:
    if isinstance(task.rate, SharedVariable):
        return task.rate
    kind = "a schedule" if isinstance(task.rate, Variable) else "left to the optimiser"
    raise ArgumentError(
        f"find_learning_rate: the learning rate of this task is {kind}",
        "make the task with learning_rate=0.1, any number, for the test", user_frames(),
    )  # fmt: skip
