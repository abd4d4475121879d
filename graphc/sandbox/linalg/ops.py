"""Theano's older path of ``T.nlinalg`` and ``T.slinalg``."""

from graphc.tensor.linalg import *  # noqa: F403
