"""The meaning of the language: any graph, interpreted with NumPy, node by node.

Nothing is compiled. It is ``mode="numpy"``, and the oracle of every test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import (
    BadIndexError,
    GraphError,
    HostError,
    LinearAlgebraError,
    ShapeError,
)
from graphc.core.graph import toposort
from graphc.core.node import Array, Constant, SharedVariable, Variable, describe


def evaluate(roots: Sequence[Variable], given: Mapping[Variable, Any]) -> list[Array]:
    """The values of `roots`, where `given` holds those of inputs.

    Shared variables stand for their present value unless `given` has another.
    """
    values: dict[Variable, Any] = dict(given)
    order = toposort(roots, leaves=values.keys())
    pending = _last_uses(order, roots)
    for k, variable in enumerate(order):
        if variable not in values:
            values[variable] = value_of(variable, values)
        for dead in pending.get(k, ()):
            del values[dead]
    return [np.asarray(values[r]) for r in roots]


def _last_uses(order: Sequence[Variable], roots: Sequence[Variable]) -> dict[int, list[Variable]]:
    """After which step each variable's value may be forgotten."""
    last = {v: k for k, v in enumerate(order)}
    for k, variable in enumerate(order):
        for a in variable.args:
            if a in last:
                last[a] = k
    found: dict[int, list[Variable]] = {}
    for variable, k in last.items():
        if variable not in roots:
            found.setdefault(k, []).append(variable)
    return found


def value_of(variable: Variable, values: Mapping[Variable, Any]) -> Array:
    """One variable's value from those of its operands."""
    if isinstance(variable, Constant):
        return variable.data
    if isinstance(variable, SharedVariable):
        return variable.storage.array
    if variable.op is None:
        raise KeyError(f"no value is given for {describe(variable)}")
    found = meaning(variable, [values[a] for a in variable.args])
    return dtypes.convert(found, variable.dtype)


def meaning(variable: Variable, args: Sequence[Any]) -> Any:
    """What an op's NumPy function makes of `args`; errors name the user's line."""
    assert variable.op is not None
    try:
        with np.errstate(all="ignore"):
            return variable.op.numpy(*args, **variable.attrs)
    except GraphError as error:
        error.at = error.at or variable.where
        raise
    except Exception as error:
        found = _explain(variable, args, error)
        if found is None:
            raise
        raise found from (error if isinstance(found, HostError) else None)


def _explain(variable: Variable, args: Sequence[Any], error: Exception) -> GraphError | None:
    """The error for the user; None for what is a fault of graphc."""
    op = variable.op
    assert op is not None
    operands = ", ".join(_operand(a, v) for a, v in zip(variable.args, args))
    what, at = f"{op.name}({operands}): {error}", variable.where
    if isinstance(error, np.linalg.LinAlgError):
        hint = "add a small multiple of the identity, or take pinv or lstsq, if it may be so"
        return LinearAlgebraError(what, hint, at)
    if op.facts.get("user"):
        what = f"{op.name}({operands}) raised {type(error).__name__}: {error}"
        return HostError(what, "the traceback above shows where in your function", at)
    if isinstance(error, IndexError):
        hint = "indices of an axis of size n go from -n to n - 1"
        return BadIndexError(what, hint, at)
    if isinstance(error, ValueError | ZeroDivisionError):
        return ShapeError(what, "compare the shapes above with those that you meant", at)
    return None


def _operand(variable: Variable, value: Any) -> str:
    """A name with what it stood for: the value of an integer, else dtype and shape."""
    label = variable.name or (variable.op.name if variable.op else "constant")
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind in "iub":
        return f"{label} = {array.item()}"
    return f"{label}: {dtypes.name_of(array.dtype)}{list(array.shape)}"
