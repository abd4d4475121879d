"""Several models as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.nn.containers import Part, call, take
from graphc.nn.layer import Layer
from graphc.ops.convert import as_variable
from graphc.ops.join import stack
from graphc.ops.reduce import mean


class Average(Layer):
    """The mean of what several models make of the same inputs.

    ::

        out = (f(model_1(x)) + ... + f(model_n(x))) / n

    Parameters
    ----------
    *models : layers or functions
        Parameters are listed as ``"0.0.weights"`` and so on, by the model's place.
    of : callable, optional
        ``f``, such as ``T.nnet.softmax`` for the mean of probabilities.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn
    >>> nn.Average(T.sqr, T.neg)(np.array([[1.0, 2.0]])).eval()
    array([[0., 1.]])
    """

    def __init__(
        self, *models: Part, of: Callable[[Variable], Any] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        if not models:
            raise ArgumentError(f"{self.name}: there are no models", at=user_frames())
        self.models, self.of = models, of
        for k, model in enumerate(models):
            take(self, str(k), model)

    def expression(self, *inputs: Variable, train: bool, **options: Any) -> Variable:
        made = [call(model, *inputs, train=train, **options) for model in self.models]
        taken = made if self.of is None else [as_variable(self.of(v)) for v in made]
        return mean(stacked(self.name, taken), axis=0)


def stacked(label: str, values: list[Variable]) -> Variable:
    """Several expressions of one shape along a new first axis. Stacks don't broadcast: results
    of different shapes are errors when they are computed, where they aren't known before."""
    first, *others = values
    for k, v in enumerate(others, 1):
        unequal = (None not in (m, n) and m != n for m, n in zip(v.type.shape, first.type.shape))
        if v.ndim != first.ndim or any(unequal):
            raise ShapeError(
                f"{label}: model {k} gives {describe(v)}, and model 0 {describe(first)}",
                "models of one ensemble give results of one shape", user_frames(),
            )  # fmt: skip
    return stack(values)
