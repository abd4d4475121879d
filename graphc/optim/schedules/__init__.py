"""Learning rates and momenta as expressions of the step.

Each function takes the number of the step, counted from 0 (an integer scalar: a shared variable,
as `graphc.optim.counter` makes it, an input, or a number), and returns a float64 scalar, which
optimisers take where they take a number. Schedules are ordinary expressions, so they are combined
by arithmetic: ``warm_up(step, 100) * cosine(step, 0.1, 1000)`` rises and then falls,
``cosine(step % 50, 0.1, 50)`` starts again every 50 steps, and `chain` puts one after another.
Steps before 0 count as 0.
"""

from graphc.optim.schedules.decays import (
    constant,
    cosine,
    exponential,
    inverse,
    linear,
    momentum_annealing,
    step_decay,
)
from graphc.optim.schedules.phases import chain, one_cycle, one_cycle_momentum, warm_up

__all__ = [
    "chain", "constant", "cosine", "exponential", "inverse", "linear", "momentum_annealing",
    "one_cycle", "one_cycle_momentum", "step_decay", "warm_up",
]  # fmt: skip
