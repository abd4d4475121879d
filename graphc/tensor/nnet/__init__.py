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
from graphc.ops.pools import global_average_pool, global_max_pool, global_pool
from graphc.ops.upsampling import upsample
from graphc.tensor.nnet import abstract_conv, conv, conv3d2d, neighbours, sigm
from graphc.tensor.nnet.abstract_conv import (
    bilinear_upsampling,
    causal_conv1d,
    conv1d,
    conv1d_transpose,
    conv2d,
    conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights,
    conv2d_transpose,
    conv3d,
    conv3d_grad_wrt_inputs,
    conv3d_grad_wrt_weights,
    conv3d_transpose,
    depthwise_conv2d,
    separable_conv2d,
    separable_conv3d,
)
from graphc.tensor.nnet.conv import conv3D
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
    "batch_normalization_train", "bilinear_upsampling", "binary_crossentropy", "bn",
    "categorical_crossentropy", "causal_conv1d", "confusion_matrix", "conv", "conv1d",
    "conv1d_transpose", "conv2d", "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights",
    "conv2d_transpose", "conv3D", "conv3d", "conv3d2d", "conv3d_grad_wrt_inputs",
    "conv3d_grad_wrt_weights", "conv3d_transpose", "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot", "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_argmax_1hot_with_bias", "depthwise_conv2d", "elu", "embedding",
    "gelu", "global_average_pool", "global_max_pool", "global_pool", "hard_sigmoid", "hinge",
    "huber", "layer_norm", "leaky_relu", "local_response_norm", "log_softmax", "logsoftmax",
    "maxout", "multiclass_hinge", "neighbours", "one_hot", "relu", "selu", "separable_conv2d",
    "separable_conv3d", "sigmoid", "sigmoid_binary_crossentropy", "silu", "softmax",
    "softmax_with_bias", "softplus", "softsign", "squared_error", "squared_hinge", "swish",
    "ultra_fast_sigmoid", "upsample",
]  # fmt: skip
