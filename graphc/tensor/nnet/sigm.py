"""``T.nnet.sigm``: Theano's path of sigmoids."""

from graphc.ops.elementwise import sigmoid, softplus
from graphc.ops.nnet import hard_sigmoid
from graphc.tensor.op_kinds import ScalarSigmoid, ScalarSoftplus

ultra_fast_sigmoid = sigmoid

__all__ = [
    "ScalarSigmoid", "ScalarSoftplus", "hard_sigmoid", "sigmoid", "softplus", "ultra_fast_sigmoid",
]  # fmt: skip
