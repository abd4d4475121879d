"""Theano's path of ``MRG_RandomStreams``; see `graphc.random`."""

from graphc.random import MRG_RandomStreams

__all__ = ["MRG_RandomStreams"]
