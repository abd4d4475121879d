"""Values of expressions that are constant: ``T.get_scalar_constant_value`` and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.graph import ancestors
from graphc.core.node import Array, Constant, Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.runtime.reference import evaluate


class NotScalarConstantError(ArgumentError):
    """An expression whose value is not one number known while the graph is declared."""


def get_scalar_constant_value(
    v: Any, elemwise: bool = True, only_process_constants: bool = False, max_recur: int = 10
) -> Array:
    """The number that an expression stands for, however the program runs.

    Parameters
    ----------
    v : variable or number
        A scalar, or a tensor whose elements are all the same.
    only_process_constants : bool
        Whether to look at constants only, and not at what is made of them.
    elemwise, max_recur
        Taken for the sake of programs written for Theano.

    Returns
    -------
    numpy.ndarray
        Of rank 0.

    Raises
    ------
    NotScalarConstantError
        If it depends on an input or a shared variable, or isn't one number.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.get_scalar_constant_value(T.constant(2) * 3)
    array(6)
    """
    variable = as_variable(v)
    leaves = [a for a in ancestors([variable]) if a.op is None and not isinstance(a, Constant)]
    known = _sizes(variable)
    if (leaves and not known) or (only_process_constants and variable.op is not None):
        raise NotScalarConstantError(
            f"{describe(variable)} is not a constant", "its value is known when a function runs",
            variable.where or user_frames(),
        )  # fmt: skip
    (value,) = evaluate([variable], known)
    first = value.reshape(-1)[:1]
    if not value.size or not (value == first).all():
        raise NotScalarConstantError(
            f"{describe(variable)} is not one number", at=variable.where or user_frames()
        )
    return np.array(first[0])


def _sizes(variable: Variable) -> Mapping[Variable, Any]:
    """The sizes that types tell, where nothing else of the inputs is asked for."""
    known, stack = {}, [variable]
    while stack:
        v = stack.pop()
        if v.op is not None and v.op.name == "dim":
            size = v.args[0].type.shape[v.attrs["axis"]]
            if size is None:
                return {}
            known[v] = np.asarray(size, v.dtype)
        elif v.op is None and not isinstance(v, Constant):
            return {}
        else:
            stack.extend(v.args)
    return known


def extract_constant(x: Any, elemwise: bool = True, only_process_constants: bool = False) -> Any:
    """The number that `x` stands for, or `x` itself.

    >>> import graphc.tensor as T
    >>> T.extract_constant(T.constant(2.5)), T.extract_constant(T.dscalar("x"))
    (array(2.5), x)
    """
    try:
        return get_scalar_constant_value(x, elemwise, only_process_constants)
    except NotScalarConstantError:
        return x


def _allclose(a: Any, b: Any, rtol: float | None = None, atol: float | None = None) -> bool:
    """Whether two arrays are close, with tolerances for the coarser of their dtypes."""
    arrays = [np.asarray(a), np.asarray(b)]
    coarse = any(x.dtype in (np.float16, np.float32, np.complex64) for x in arrays)
    near = (1e-5, 1e-5) if coarse else (1e-5, 1e-8)
    return np.allclose(
        *arrays, rtol=near[0] if rtol is None else rtol, atol=near[1] if atol is None else atol
    )


__all__ = ["NotScalarConstantError", "extract_constant", "get_scalar_constant_value"]
