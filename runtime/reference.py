"""The meaning of the language: any graph, interpreted with NumPy, node by node.

Nothing is compiled. It is ``mode="numpy"``, and the oracle of every test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    return interpret(roots, tuple(given))(tuple(given.values()))


def interpret(
    roots: Sequence[Variable], leaves: Sequence[Variable]
) -> Callable[[Sequence[Any]], list[Array]]:
    """A function from the values of `leaves` to those of `roots`."""
    order = toposort(roots, leaves=frozenset(leaves))
    pending = _last_uses(order, roots)
    together = _done_together(v for v in order if v not in leaves)

    def run(given: Sequence[Any]) -> list[Array]:
        values: dict[Variable, Any] = dict(zip(leaves, given))
        for k, variable in enumerate(order):
            if variable in together:
                if variable is together[variable][0]:
                    _run_together(together[variable], values)
            elif variable not in values:
                values[variable] = value_of(variable, values)
            for dead in pending.get(k, ()):
                del values[dead]
        return [np.asarray(values[r]) for r in roots]

    return run


def _done_together(order: Iterable[Variable]) -> dict[Variable, list[Variable]]:
    """Of each result of a loop or branch, all of them, in the order in which they come."""
    found: dict[Any, list[Variable]] = {}
    for v in order:
        if v.op is not None and "together" in v.op.facts:
            whole = v.attrs.get("loop", v.attrs.get("branch"))
            found.setdefault((v.op, whole, v.args), []).append(v)
    return {v: group for group in found.values() for v in group}


def _run_together(group: Sequence[Variable], values: dict[Variable, Any]) -> None:
    """The results of one loop or branch, which are made in the same steps."""
    first = group[0]
    op = first.op
    assert op is not None
    arrays = [values[a] for a in first.args]
    found = _explained(
        first, arrays, lambda: op.facts["together"](arrays, group, interpret)
    )  # fmt: skip
    for v, value in zip(group, found):
        values[v] = dtypes.convert(value, v.dtype)


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
    op = variable.op
    assert op is not None
    if "together" in op.facts:
        together = op.facts["together"]
        return _explained(variable, args, lambda: together(args, [variable], interpret)[0])
    extra = {"interpret": interpret} if op.facts.get("interprets") else {}
    return _explained(variable, args, lambda: op.numpy(*args, **variable.attrs, **extra))


def _explained(variable: Variable, args: Sequence[Any], compute: Callable[[], Any]) -> Any:
    """What `compute` gives; its errors in terms of the user's program."""
    try:
        with np.errstate(all="ignore"):
            return compute()
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


def no_result(variable: Variable, why: str) -> GraphError:
    """The error for an op of linear algebra that has no result, as `meaning` raises it."""
    shapes = [np.broadcast_to(np.zeros((), dtypes.numpy_dtype(a.dtype)), a.type.shape)
              for a in variable.args]  # fmt: skip
    found = _explain(variable, shapes, np.linalg.LinAlgError(why))
    assert found is not None
    return found


def _operand(variable: Variable, value: Any) -> str:
    """A name with what it stood for: the value of an integer, else dtype and shape."""
    label = variable.name or (variable.op.name if variable.op else "constant")
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind in "iub":
        return f"{label} = {array.item()}"
    return f"{label}: {dtypes.name_of(array.dtype)}{list(array.shape)}"
