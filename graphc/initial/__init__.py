"""Initialisers: functions of a shape and a seed that return NumPy arrays.

Each takes a shape and returns an array of ``floatX``, or of the dtype that is asked for. Random
ones take a seed, an int, or a `numpy.random.Generator`, which goes on from where it was: give one
generator to all layers of a model, so that no two of them start alike. None takes a seed from the
operating system.

How wide to draw depends on how many inputs and outputs a unit has, its fan-in and fan-out, which
`fans` reads from the shape: (inputs, outputs) of a dense layer, (outputs, inputs, height, width)
of filters. ``gain`` is the factor by which an activation would shrink its input, taken back: see
`gain_of`.
"""

from graphc.initial.matrices import identity, orthogonal, sparse
from graphc.initial.parts import Seed
from graphc.initial.plain import constant, normal, uniform
from graphc.initial.scaled import (
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    xavier_normal,
    xavier_uniform,
)
from graphc.initial.widths import GAINS, fans, gain_of

__all__ = [
    "GAINS", "Seed", "constant", "fans", "gain_of", "he_normal", "he_uniform", "identity",
    "lecun_normal", "lecun_uniform", "normal", "orthogonal", "sparse", "uniform", "xavier_normal",
    "xavier_uniform",
]  # fmt: skip
