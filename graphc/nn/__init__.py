"""``graphc.nn``: layers, losses and metrics.

A layer is an object that holds its parameters, named shared variables, and gives an expression:
``layer(x, train=False)``. Nothing else is special about it: layers are called inside ordinary
graphs, and what they give is differentiated, compiled and printed like everything.
"""

from graphc.nn import losses, metrics, penalties
from graphc.nn.attention import (
    AdditiveAttention,
    MultiHeadAttention,
    dot_attention,
    hard_attention,
    masked_softmax,
    score_function,
)
from graphc.nn.blocks import inception_block, residual_block
from graphc.nn.containers import Model, Parallel, Residual, Sequential
from graphc.nn.convolutional import (
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose1D,
    ConvTranspose2D,
    ConvTranspose3D,
    DepthwiseConv2D,
    SeparableConv2D,
)
from graphc.nn.dense import Dense, Embedding, Flatten, Maxout, PReLU, Reshape, Scale
from graphc.nn.ensembles import Average
from graphc.nn.layer import Layer
from graphc.nn.noise import Dropout, GaussianNoise, monte_carlo
from graphc.nn.normalisation import BatchNorm, LayerNorm, LocalResponseNorm
from graphc.nn.notes import carrying, updates
from graphc.nn.outputs import layer_outputs
from graphc.nn.pooling import GlobalPool, Pool1D, Pool2D, Pool3D, StochasticPool2D, Upsample
from graphc.nn.recurrence import Recurrent
from graphc.nn.recurrent import GRU, LSTM, RNN, Bidirectional

__all__ = [
    "GRU", "LSTM", "RNN", "AdditiveAttention", "Average", "BatchNorm", "Bidirectional", "Conv1D",
    "Conv2D", "Conv3D", "ConvTranspose1D", "ConvTranspose2D", "ConvTranspose3D", "Dense",
    "DepthwiseConv2D", "Dropout", "Embedding", "Flatten", "GaussianNoise", "GlobalPool", "Layer",
    "LayerNorm", "LocalResponseNorm", "Maxout", "Model", "MultiHeadAttention", "PReLU", "Parallel",
    "Pool1D", "Pool2D", "Pool3D", "Recurrent", "Reshape", "Residual", "Scale", "SeparableConv2D",
    "Sequential", "StochasticPool2D", "Upsample", "carrying", "dot_attention", "hard_attention",
    "inception_block", "layer_outputs", "losses", "masked_softmax", "metrics", "monte_carlo",
    "penalties", "residual_block", "score_function", "updates",
]  # fmt: skip
