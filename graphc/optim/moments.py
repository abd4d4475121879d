"""Running means of gradients and of their squares, corrected for starting at zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core import dtypes
from graphc.core.node import SharedVariable, Variable
from graphc.ops.elementwise import cast, sqr, sqrt
from graphc.optim.parts import (
    Updates,
    fading,
    number,
    scalar_state,
    state_like,
    with_gradients,
)


@dataclass(frozen=True)
class Moments:
    """A parameter, its gradient, and the new values of its two running means.

    The corrections, ``1 - beta1^t`` and ``1 - beta2^t``, are float64 scalars: in float32 the
    second one would be wrong in the fifth digit at first.
    """

    param: SharedVariable
    gradient: Variable
    mean: Variable
    squares: Variable
    correction1: Variable
    correction2: Variable

    def scaled(self, value: Any) -> Variable:
        """A scalar in the dtype in which the parameter is trained."""
        return cast(value, dtypes.wide(self.param.dtype))

    def root(self, squares: Variable | None = None) -> Variable:
        """``sqrt(v / (1 - beta2^t))``, of other squares where they are given."""
        found = self.squares if squares is None else squares
        return sqrt(found) * self.scaled(1 / sqrt(self.correction2))

    def step(self, learning_rate: Any, epsilon: Any, squares: Variable | None = None) -> Variable:
        """``eta * m / (1 - beta1^t) / (root + epsilon)``."""
        rate = self.scaled(learning_rate / self.correction1)
        return rate * self.mean / (self.root(squares) + number(epsilon, self.param))


def correction(beta: Any, step: Variable) -> Variable:
    """``1 - beta^t`` in float64."""
    base = cast(beta, "float64") if isinstance(beta, Variable) else beta
    return 1 - base ** cast(step, "float64")


def counted(name: str) -> tuple[Variable, Updates]:
    """The number of the present step, from 1, and the update of a method that counts."""
    count = scalar_state(f"{name}.steps", 0, "int64")
    return count + 1, [(count, count + 1)]


def running_moments(
    loss_or_grads: Variable | Sequence[Variable],
    params: Sequence[SharedVariable],
    betas: tuple[Any, Any],
    step: Variable,
    updates: Updates,
) -> Iterator[Moments]:
    """The moments of each parameter; the updates of their state are added to `updates`."""
    first, second = (correction(beta, step) for beta in betas)
    for p, g in with_gradients(loss_or_grads, params):
        mean, squares = state_like(p, "mean"), state_like(p, "squares")
        new_mean = fading(number(betas[0], p) * mean + number(1 - betas[0], p) * g)
        new_squares = fading(number(betas[1], p) * squares + number(1 - betas[1], p) * sqr(g))
        updates += [(mean, new_mean), (squares, new_squares)]
        yield Moments(p, g, new_mean, new_squares, first, second)
