"""Theano's older path of linear algebra."""

from graphc.sandbox.linalg import ops

__all__ = ["ops"]
