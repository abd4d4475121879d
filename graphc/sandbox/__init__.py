"""Module paths of Theano's sandbox that programs import from."""

from graphc.absent import lookup
from graphc.sandbox import linalg, rng_mrg, softsign

__getattr__ = lookup("graphc.sandbox", globals())

__all__ = ["linalg", "rng_mrg", "softsign"]
