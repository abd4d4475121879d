"""``T.nnet``: the functions that neural networks are made of."""

from graphc.ops.elementwise import sigmoid, softplus
from graphc.ops.nnet import (
    binary_crossentropy,
    categorical_crossentropy,
    elu,
    hard_sigmoid,
    logsoftmax,
    one_hot,
    relu,
    sigmoid_binary_crossentropy,
    softmax,
    softmax_with_bias,
    softsign,
)
from graphc.tensor.nnet import abstract_conv, conv
from graphc.tensor.nnet.abstract_conv import conv2d, conv2d_transpose

ultra_fast_sigmoid = sigmoid  # Theano's approximation; here sigmoid itself is fast

__all__ = [
    "abstract_conv", "binary_crossentropy", "categorical_crossentropy", "conv", "conv2d",
    "conv2d_transpose", "elu", "hard_sigmoid", "logsoftmax",
    "one_hot", "relu", "sigmoid", "sigmoid_binary_crossentropy", "softmax",
    "softmax_with_bias", "softplus", "softsign", "ultra_fast_sigmoid",
]  # fmt: skip
