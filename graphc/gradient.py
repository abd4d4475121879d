"""``graphc.gradient``: derivatives, and ops that steer them."""

from graphc.core.errors import DisconnectedInputError, GradientError, NullGradientError
from graphc.ops.control import consider_constant, disconnected_grad, grad_clip, zero_grad
from graphc.passes.autodiff import Lop, grad
from graphc.passes.jacobians import hessian, jacobian
from graphc.passes.tangents import Rop

__all__ = [
    "DisconnectedInputError", "GradientError", "Lop", "NullGradientError", "Rop",
    "consider_constant", "disconnected_grad", "grad", "grad_clip", "hessian", "jacobian",
    "zero_grad",
]  # fmt: skip
