"""From what users write to variables: numbers, arrays and lists become constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, DTypeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.core.op import Op, static_int
from graphc.core.packed import Packed
from graphc.core.packed import describe as describe_packed

Number = bool | int | float | complex | np.generic


def is_number(value: Any) -> bool:
    """Whether a value is a Python or NumPy scalar, whose dtype is weak."""
    return isinstance(value, Number) and not isinstance(value, np.void)


def as_variable(value: Any, dtype: str | None = None, name: str | None = None) -> Variable:
    """A variable as it is; a number, an array or a nested list as a constant.

    Numbers without a given dtype are ``floatX`` or int64.
    """
    if isinstance(value, Variable):
        return value
    if isinstance(value, Packed):
        raise DTypeError(
            f"{describe_packed(value)} is sparse, and a dense tensor is needed",
            "take the op of graphc.sparse, or x.toarray(); x.data are its stored values",
            user_frames(),
        )
    if is_number(value):
        return Constant(value, dtype or dtypes.weak_dtype(value, []), name=name)
    if isinstance(value, list | tuple) and _holds_variable(value):
        raise ArgumentError(
            "a list that holds variables is not a tensor",
            "use T.stack([...]) or T.as_tensor_variable([...])",
            user_frames(),
        )
    try:
        return Constant(np.asarray(value), dtype, name=name)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{type(value).__name__} {value!r} can't become a tensor: {error}",
            "pass a number, an array, a nested list of numbers, or a variable",
            user_frames(),
        ) from None


def _holds_variable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_variable(v) for v in value)
    return isinstance(value, Variable)


def operands(args: Sequence[Any]) -> list[Variable]:
    """Operands of one operation as variables; numbers take the dtype of the others."""
    strong = [a if isinstance(a, Variable) or is_number(a) else as_variable(a) for a in args]
    others = [a.dtype for a in strong if isinstance(a, Variable)]
    return [
        a if isinstance(a, Variable) else Constant(a, dtypes.weak_dtype(a, others)) for a in strong
    ]


def need(condition: bool, args: Sequence[Variable], what: str, hint: str = "") -> None:
    """Raise a dtype error about operands unless `condition` holds."""
    if not condition:
        named = ", ".join(describe(a) for a in args)
        raise DTypeError(f"{what}: {named}", hint, user_frames())


def as_size(value: Any, what: str) -> Variable:
    """A size or position: an integer scalar."""
    variable = as_variable(value)
    if variable.ndim != 0 or not dtypes.is_discrete(variable.dtype):
        raise ArgumentError(
            f"{what} must be an integer, not {describe(variable)}",
            "sizes are integers or symbolic integer scalars",
            user_frames(),
        )
    known = static_int(variable)
    return variable if known is None else Constant(known, "int64")


def unpack_sizes(value: Any, what: str) -> list[Variable]:
    """A shape given as a tuple, a number, or a symbolic vector, as a list of sizes."""
    if isinstance(value, Variable) and value.ndim == 1:
        return split_vector(value, what)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_size(v, what) for v in value]
    return [as_size(value, what)]


def split_vector(vector: Variable, what: str) -> list[Variable]:
    """The entries of a symbolic vector whose length is known."""
    if vector.op is not None and vector.op.name == "make_vector":
        return [as_size(a, what) for a in vector.args]
    if isinstance(vector, Constant):
        return [as_size(int(v), what) for v in vector.data]
    length = vector.type.shape[0]
    if length is None:
        raise ArgumentError(
            f"{what}: the length of {describe(vector)} is not known, so neither is the rank",
            "give the rank: x.reshape(shape, ndim=...)",
            user_frames(),
        )
    return [vector[i] for i in range(length)]  # type: ignore[index]


def normal_axis(axis: Any, ndim: int, what: str) -> int:
    """An axis counted from the front; errors name the rank."""
    if isinstance(axis, Constant):
        axis = axis.data.item()
    if isinstance(axis, Variable) or not isinstance(axis, int | np.integer):
        raise ArgumentError(f"{what}: axis must be an integer, not {axis!r}", at=user_frames())
    if not -ndim <= axis < ndim:
        raise ArgumentError(
            f"{what}: axis {axis} is out of range for a tensor of rank {ndim}",
            f"axes go from {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes",
            user_frames(),
        )
    return int(axis) % ndim


def named(op: Op, variable: Variable, name: str | None) -> Variable:
    """`variable` under a user's name."""
    if name is not None:
        variable.name = name
    return variable
