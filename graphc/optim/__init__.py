"""Optimisers: functions that turn a loss and its parameters into updates.

Each returns a list of pairs ``(shared variable, new value)`` for ``function(updates=...)``. What
an optimiser remembers from step to step it keeps in shared variables of its own, which are among
the pairs. Hyper-parameters may be numbers or symbolic scalars: a learning rate that is a shared
variable can be changed between calls without compiling again, and one that is an expression of
the step (`graphc.optim.schedules`) changes by itself.

In the formulas, ``p`` is a parameter, ``g`` the gradient of the loss with respect to it, and
``eta`` the learning rate; ``:=`` is one step. Parameters of float16 and bfloat16 are updated in
float32, in which state is kept too, and rounded at the end of a step; `MixedPrecision` keeps what
that would lose.
"""

from graphc.optim import schedules
from graphc.optim.adams import adam, adamax, adamw, amsgrad, nadam
from graphc.optim.adaptive import adadelta, adagrad, rmsprop
from graphc.optim.averaging import Average, ema, polyak, swa
from graphc.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from graphc.optim.composing import Averaged, scheduled
from graphc.optim.counting import counter
from graphc.optim.descent import momentum, nesterov, sgd
from graphc.optim.layerwise import lamb
from graphc.optim.lbfgs import LBFGS, Minimum
from graphc.optim.mixing import MixedPrecision
from graphc.optim.penalties import constrained, elastic, l1, l2, max_norm, within_norm
from graphc.optim.rules import adaline, perceptron

OPTIMISERS = {
    f.__name__: f
    for f in (
        sgd, momentum, nesterov, adagrad, adadelta, rmsprop,
        adam, amsgrad, adamw, adamax, nadam, lamb,
    )
}  # fmt: skip
"""Those of the form ``(loss or gradients, params, learning_rate, ...) -> updates``, by name."""

__all__ = [
    "LBFGS", "OPTIMISERS", "Average", "Averaged", "Minimum", "MixedPrecision", "adadelta",
    "adagrad", "adaline", "adam", "adamax", "adamw", "amsgrad", "clip_by_global_norm",
    "clip_by_norm", "clip_by_value", "constrained", "counter", "elastic", "ema", "global_norm",
    "l1", "l2", "lamb", "max_norm", "momentum", "nadam", "nesterov", "perceptron", "polyak",
    "rmsprop", "scheduled", "schedules", "sgd", "swa", "within_norm",
]  # fmt: skip
