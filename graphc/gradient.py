"""``graphc.gradient``: derivatives, and ops that steer them."""

from graphc.core.errors import DisconnectedInputError, GradientError, NullGradientError
from graphc.ops.control import (
    DisconnectedType,
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_not_implemented,
    grad_scale,
    grad_undefined,
    straight_through,
    straight_through_round,
    undefined_grad,
    zero_grad,
)
from graphc.passes.autodiff import Lop, grad
from graphc.passes.jacobians import hessian, jacobian
from graphc.passes.tangents import Rop
from graphc.subgraphs import checkpoint
from graphc.testing import verify_grad

__all__ = [
    "DisconnectedInputError", "DisconnectedType", "GradientError", "Lop", "NullGradientError",
    "Rop", "checkpoint", "consider_constant", "disconnected_grad", "grad", "grad_clip",
    "grad_not_implemented", "grad_scale", "grad_undefined", "hessian", "jacobian",
    "straight_through", "straight_through_round", "undefined_grad", "verify_grad", "zero_grad",
]  # fmt: skip
