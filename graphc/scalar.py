"""``graphc.scalar``: Theano's scalar ops and types, which here are those of tensors.

An elementwise op serves scalars too, so ``op.scalar_op`` is the op itself, and a scalar's type is
that of a tensor of rank 0.
"""

from __future__ import annotations

import sys
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import TensorType, Variable, describe, user_frames
from graphc.core.op import Op
from graphc.ops import elementwise as _elementwise
from graphc.ops import special as _special
from graphc.ops.convert import as_variable
from graphc.tensor.op_kinds import Kind

all_types = tuple(dtypes.ALL)


def upcast(*given: Any) -> str:
    """The dtype in which values of several dtypes meet.

    >>> import graphc
    >>> graphc.scalar.upcast("int8", "float32")
    'float32'
    """
    return dtypes.promote([dtypes.canonical(d) for d in given])


def as_scalar(x: Any, name: str | None = None) -> Variable:
    """A number or a tensor of rank 0 as a variable."""
    variable = as_variable(x, None, name)
    if variable.ndim:
        raise ShapeError(f"as_scalar: {describe(variable)} is not a scalar", at=user_frames())
    return variable


class Identity(metaclass=Kind):
    """The class of `T.identity`, in Theano's terms."""

    ops = ("identity",)

    @staticmethod
    def make(*ignored: Any, **more: Any) -> Op:
        return _elementwise.identity


def _ops() -> dict[str, Op]:
    found = {}
    for family in (_elementwise, _special):
        for name, value in vars(family).items():
            if isinstance(value, Op) and value.elementwise:
                found[name] = value
    return found


globals().update(_ops())
globals().update({name: TensorType(name, ()) for name in all_types})
basic = sys.modules[__name__]

__all__ = ["Identity", "all_types", "as_scalar", "upcast", *all_types]
