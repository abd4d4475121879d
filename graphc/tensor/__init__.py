"""``import graphc.tensor as T``: inputs, and every op under its Theano name.

Ops and the functions made of them come from the families in `graphc.ops`: one that is
declared there is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from graphc.absent import lookup
from graphc.core.node import Constant as TensorConstant
from graphc.core.node import SharedVariable as TensorSharedVariable
from graphc.core.node import Variable as TensorVariable
from graphc.core.op import Op
from graphc.ops import FAMILIES, complexes, convert
from graphc.ops import elementwise as _elementwise
from graphc.ops import join as _join
from graphc.ops import nnet as _nnet
from graphc.ops.grids import mgrid, ogrid
from graphc.ops.ordering import unique
from graphc.ops.picking import nonzero
from graphc.passes.autodiff import Lop, grad
from graphc.passes.jacobians import hessian, jacobian
from graphc.passes.tangents import Rop
from graphc.sharing import shared
from graphc.tensor import (
    extra_ops,
    fft,
    linalg,
    nlinalg,
    nnet,
    shared_randomstreams,
    sharedvar,
    signal,
    slinalg,
    xlogx,
)
from graphc.tensor.constants import (
    NotScalarConstantError,
    _allclose,  # noqa: F401  (Theano has it under this name)
    extract_constant,
    get_scalar_constant_value,
)
from graphc.tensor.kinds import TensorType, constant, constructors, tensor
from graphc.tensor.op_kinds import DimShuffle, Elemwise, Rebroadcast, Subtensor
from graphc.testing import verify_grad

as_tensor_variable = as_tensor = _join.as_tensor_variable

# What a family's file has for the other families, and not for users.
INTERNAL = {
    "count", "dim", "expand_axes", "minimum_zero", "relu_", "split_vector", "sum_like",
    "zeros_of", "matrix_product", "gemm", "make_vector", "categorical_crossentropy",
    "binary_crossentropy", "elu", "hard_sigmoid", "one_hot", "softmax_with_bias", "softsign",
    "sigmoid_binary_crossentropy", "relu", "pool_2d", "max_pool_2d", "pool_grad",
    "pool_max_grad", "pool_max_pick", "after", "map_rows", "is_complex", "real_part",
    "checked_index", "xlogx", "positions", "conv2d", "conv2d_gradient_of_input",
    "conv2d_gradient_of_filters", "conv2d_grad_input", "conv2d_grad_weight", "REAL_FLOAT",
}  # fmt: skip

# What the functions that are exported return.
RESULTS = ("Variable", "list[Variable]", "tuple[Variable, ...]")

# Theano's names for what is declared under another one.
ALIASES = {
    "abs": "abs_", "pow": "pow_", "square": "sqr", "reciprocal": "inv", "sign": "sgn",
    "noteq": "neq", "bitwise_and": "and_", "bitwise_or": "or_", "bitwise_xor": "xor",
    "bitwise_not": "invert", "not_equal": "neq", "equal": "eq", "less": "lt",
    "greater": "gt", "less_equal": "le", "greater_equal": "ge", "where": "switch",
    "true_divide": "true_div", "floor_div": "int_div", "divide": "true_div",
    "subtract": "sub", "multiply": "mul", "power": "pow_", "negative": "neg",
    "second": "fill", "digamma": "psi",
    "lgamma": "gammaln", "ravel": "flatten", "conjugate": "conj",
}  # fmt: skip


def _exports(family: ModuleType) -> Iterator[tuple[str, Any]]:
    """The ops of a family, and its functions that return a variable."""
    for name, value in vars(family).items():
        if name.startswith("_") or name in INTERNAL:
            continue
        if isinstance(value, Op) and value.name.rstrip("_") == name.rstrip("_"):
            yield name, value
        elif getattr(value, "__module__", "") == family.__name__ and callable(value):
            if getattr(value, "__annotations__", {}).get("return") in RESULTS:
                yield name, value


def _collect() -> dict[str, Any]:
    found = dict(pair for family in FAMILIES for pair in _exports(family))
    found["abs_"] = complexes.abs_  # the op itself is for real numbers
    found.update({alias: found[name] for alias, name in ALIASES.items()})
    return found


def largest(*args: Any) -> TensorVariable:
    """The largest of several tensors, elementwise."""
    found = args[0]
    for other in args[1:]:
        found = _elementwise.maximum(found, other)
    return convert.as_variable(found)


def smallest(*args: Any) -> TensorVariable:
    """The smallest of several tensors, elementwise."""
    found = args[0]
    for other in args[1:]:
        found = _elementwise.minimum(found, other)
    return convert.as_variable(found)


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> TensorVariable:
    """Rows with a 1 at the class number, 0 elsewhere."""
    return _nnet.one_hot(y, nb_class, dtype)


def max_and_argmax(a: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """The largest element over `axis` and its position."""
    return globals()["max"](a, axis, keepdims), globals()["argmax"](a, axis, keepdims)


__getattr__ = lookup("graphc.tensor", globals())


globals().update(_collect())
globals().update(constructors())

Variable, Constant, SharedVariable = TensorVariable, TensorConstant, TensorSharedVariable

__all__ = [
    *_collect(), *constructors(), "Constant", "Lop", "Rop", "SharedVariable", "TensorConstant",
    "TensorSharedVariable", "TensorType", "TensorVariable", "Variable", "as_tensor",
    "as_tensor_variable", "constant", "grad", "hessian", "jacobian", "largest",
    "max_and_argmax", "nnet", "shared", "signal", "smallest", "tensor", "to_one_hot",
    "verify_grad", "fft", "linalg", "nlinalg", "slinalg", "extra_ops", "mgrid", "nonzero",
    "ogrid", "unique", "xlogx", "shared_randomstreams",
    "DimShuffle", "Elemwise", "NotScalarConstantError", "Rebroadcast", "Subtensor",
    "extract_constant", "get_scalar_constant_value", "sharedvar",
]  # fmt: skip
