"""Module paths of Theano's sandbox that programs import from."""

from graphc.sandbox import rng_mrg

__all__ = ["rng_mrg"]
