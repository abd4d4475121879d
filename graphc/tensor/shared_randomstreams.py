"""Theano's path of ``RandomStreams``; see `graphc.random`."""

from graphc.core.node import SharedVariable as RandomStateSharedVariable
from graphc.random import RandomStreams

__all__ = ["RandomStateSharedVariable", "RandomStreams"]
