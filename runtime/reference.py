"""The meaning of the language: any graph, interpreted with NumPy, node by node.

Nothing is compiled. It is ``mode="numpy"``, and the oracle of every test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core.errors import BadIndexError, GraphError, ShapeError
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
    args = [values[a] for a in variable.args]
    try:
        with np.errstate(all="ignore"):
            result = variable.op.numpy(*args, **variable.attrs)
    except GraphError:
        raise
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise _explain(variable, args, error) from None
    return np.asarray(result, dtype=variable.dtype)


def _explain(variable: Variable, args: Sequence[Any], error: Exception) -> GraphError:
    assert variable.op is not None
    operands = ", ".join(_operand(a, v) for a, v in zip(variable.args, args))
    wrong_index = isinstance(error, IndexError)
    kind = BadIndexError if wrong_index else ShapeError
    hint = "compare the shapes above with those that you meant"
    if wrong_index:
        hint = "indices of an axis of size n go from -n to n - 1"
    return kind(f"{variable.op.name}({operands}): {error}", hint, variable.where)


def _operand(variable: Variable, value: Any) -> str:
    """A name with what it stood for: the value of an integer, else dtype and shape."""
    label = variable.name or (variable.op.name if variable.op else "constant")
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind in "iub":
        return f"{label} = {array.item()}"
    return f"{label}: {array.dtype}{list(array.shape)}"
