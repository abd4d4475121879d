"""``T.nnet``: the functions that neural networks are made of."""

from graphc.ops import normalise as bn
from graphc.ops.elementwise import sigmoid, softplus
from graphc.ops.losses import (
    confusion_matrix,
    crossentropy_categorical_1hot,
    crossentropy_softmax_1hot,
    crossentropy_softmax_1hot_with_bias,
    crossentropy_softmax_argmax_1hot_with_bias,
    embedding,
    gelu,
    hinge,
    huber,
    leaky_relu,
    maxout,
    multiclass_hinge,
    selu,
    squared_error,
    squared_hinge,
    swish,
)
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
from graphc.ops.normalise import (
    batch_normalization,
    batch_normalization_test,
    batch_normalization_train,
    layer_norm,
    local_response_norm,
)
from graphc.tensor.nnet import abstract_conv, conv, sigm
from graphc.tensor.nnet.abstract_conv import conv2d, conv2d_transpose
from graphc.tensor.op_kinds import (
    LogSoftmax,
    ScalarSigmoid,
    ScalarSoftplus,
    Softmax,
    SoftmaxWithBias,
)

ultra_fast_sigmoid = sigmoid  # Theano's approximation; here sigmoid itself is fast
log_softmax, silu = logsoftmax, swish

__all__ = [
    "LogSoftmax", "ScalarSigmoid", "ScalarSoftplus", "Softmax", "SoftmaxWithBias", "sigm",
    "abstract_conv", "batch_normalization", "batch_normalization_test",
    "batch_normalization_train", "binary_crossentropy", "bn", "categorical_crossentropy",
    "confusion_matrix", "conv", "conv2d", "conv2d_transpose", "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot", "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_argmax_1hot_with_bias", "elu", "embedding", "gelu", "hard_sigmoid",
    "hinge", "huber", "layer_norm", "leaky_relu", "local_response_norm", "log_softmax",
    "logsoftmax", "maxout", "multiclass_hinge", "one_hot", "relu", "selu", "sigmoid",
    "sigmoid_binary_crossentropy", "silu", "softmax", "softmax_with_bias", "softplus",
    "softsign", "squared_error", "squared_hinge", "swish", "ultra_fast_sigmoid",
]  # fmt: skip
