"""Theano's older path of `softsign`."""

from graphc.ops.nnet import softsign

__all__ = ["softsign"]
