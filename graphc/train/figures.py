"""Figures of an epoch, put together from its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, Variable, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.reduce import mean

WAYS = ("mean", "sum", "ratio")


@dataclass(frozen=True)
class Figure:
    """How one figure of many batches is made.

    Parameters
    ----------
    of : callable
        ``of(output, *targets)``: what is computed for a batch. For a ratio, two expressions.
    over : {"mean", "sum", "ratio"}
        The mean of all rows, so that a short batch counts less; the sum over all batches, such as
        a confusion matrix; or the sum of the first expression over that of the second, such as
        the mean over words where sentences have unequal lengths.
    then : callable, optional
        Of the figure of all batches, in NumPy, such as ``numpy.exp`` for a perplexity.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> from graphc.train import Figure
    >>> figures = {
    ...     "accuracy": nn.metrics.accuracy,
    ...     "perplexity": Figure(nn.losses.cross_entropy, then=np.exp),
    ...     "confusion": Figure(lambda p, y: nn.metrics.confusion_matrix(p, y, 10), over="sum"),
    ... }
    """

    of: Callable[..., Any]
    over: str = "mean"
    then: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if self.over not in WAYS:
            raise ArgumentError(
                f"Figure: over={self.over!r} is none of {', '.join(WAYS)}", at=user_frames()
            )

    def parts(self, *arguments: Any) -> list[Variable]:
        """What has to be computed for each batch."""
        made = self.of(*arguments)
        if self.over == "ratio":
            if not isinstance(made, list | tuple) or len(made) != 2:
                raise ArgumentError("Figure: a ratio needs a function that gives two expressions",
                                    "return (what is summed, what it is divided by)",
                                    user_frames())  # fmt: skip
            return [as_variable(part) for part in made]
        value = as_variable(made)
        return [mean(value) if self.over == "mean" and value.ndim else value]

    @property
    def count(self) -> int:
        """How many parts there are."""
        return 2 if self.over == "ratio" else 1


def as_figure(name: str, given: Any) -> Figure:
    """A function as the mean of what it gives."""
    if isinstance(given, Figure):
        return given
    if not callable(given) or isinstance(given, Variable):
        raise ArgumentError(
            f"figure {name!r}: {given!r} can't be called",
            "give a function of the model's output and the targets, nn.metrics.accuracy",
            user_frames(),
        )
    return Figure(given)


class Sums:
    """Running sums over batches; their state is a list of numbers or arrays."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self.figures = [Figure(lambda: None), *figures]  # the loss comes first
        self.rows = 0
        self.sums: list[Any] = [0.0] * sum(f.count for f in self.figures)

    def add(self, values: Iterable[Array], rows: int) -> None:
        """Take in what a batch of some rows gave."""
        values, k = list(values), 0
        for figure in self.figures:
            weight = rows if figure.over == "mean" else 1
            for _ in range(figure.count):
                value = values[k]
                self.sums[k] = self.sums[k] + weight * (
                    float(value) if value.ndim == 0 else value.astype("float64")
                )
                k += 1
        self.rows += rows

    def figure_values(self) -> list[Any]:
        """The figures of all that was added, the loss first."""
        found, k = [], 0
        for figure in self.figures:
            value = self.sums[k]
            if figure.over == "mean":
                value = value / max(self.rows, 1)
            elif figure.over == "ratio":
                with np.errstate(all="ignore"):
                    value = value / np.float64(self.sums[k + 1])
            value = figure.then(value) if figure.then else value
            found.append(float(value) if np.ndim(value) == 0 else value)
            k += figure.count
        return found

    def state(self) -> dict[str, Any]:
        """What JSON can hold; the numbers come back with the same bits."""
        return {"rows": self.rows,
                "sums": [s if isinstance(s, float) else s.tolist() for s in self.sums]}  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.rows = int(state["rows"])
        self.sums = [s if isinstance(s, float) else np.array(s) for s in state["sums"]]
