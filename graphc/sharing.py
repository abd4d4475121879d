"""Shared variables: values that live between calls and that functions may update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Array, SharedVariable, Variable, as_storage, describe, user_frames
from graphc.ops.convert import is_number
from graphc.ops.sparse import is_scipy
from graphc.sparse.shared import SparseSharedVariable, share


def _asarray(a: Any, dtype: Any, order: str | None = None) -> Array:
    """``numpy.asarray`` with a dtype, which may be ``"floatX"``; as ``theano._asarray``."""
    return np.asarray(a, dtypes.numpy_dtype(dtypes.canonical(dtype)), order=order)  # type: ignore


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    target: str | None = None,
) -> SharedVariable | SparseSharedVariable:
    """A variable with a value of its own, which functions read and update.

    Parameters
    ----------
    value : array, number
        Its first value. A Python float becomes ``floatX``, an int int64; an array keeps its
        dtype. Arrays are copied. A sparse matrix of SciPy makes a sparse variable.
    name : str, optional
        For listings and messages.
    strict, allow_downcast, target
        Taken for the sake of programs written for Theano; `target` must be the CPU.
    borrow : bool
        Whether to keep the very array instead of a copy, where its layout allows it.
    broadcastable : sequence of bool, optional
        Which axes always have size 1; by default none, so sizes may change.

    Returns
    -------
    SharedVariable
        With ``get_value``, ``set_value`` and ``default_update``.

    Examples
    --------
    >>> import graphc
    >>> count = graphc.shared(0, name="count")
    >>> step = graphc.function([], count, updates=[(count, count + 2)])
    >>> int(step()), int(step()), int(count.get_value())
    (0, 2, 4)
    """
    if target not in (None, "cpu"):
        raise ArgumentError(
            f"shared: target {target!r} is not there", "leave it out", user_frames()
        )
    if isinstance(value, Variable):
        raise ArgumentError(
            f"shared: {describe(value)} is symbolic; a shared variable starts from a value",
            "pass an array, or value.eval()", user_frames(),
        )  # fmt: skip
    if isinstance(value, list | tuple):
        raise ArgumentError(
            f"shared: a {type(value).__name__} has no dtype",
            "pass an array: numpy.asarray(value, dtype=graphc.config.floatX)", user_frames(),
        )  # fmt: skip
    if is_scipy(value):
        return share(value, name)
    array = _as_array(value)
    variable = SharedVariable(as_storage(array, copy=not borrow), name, broadcastable)
    return variable


def _as_array(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
    elif is_number(value):
        plain = {float: dtypes.host_float(), complex: None, bool: "bool", int: "int64"}[type(value)]
        array = np.asarray(value, plain)
        array = dtypes.convert(array, dtypes.float_x()) if type(value) is float else array
    else:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):
            array = np.asarray(None)
    name = dtypes.name_of(array.dtype)
    if name not in dtypes.ALL:
        raise ArgumentError(
            f"shared: {type(value).__name__} {value!r} is not an array of numbers",
            "pass a number or an array", user_frames(),
        )  # fmt: skip
    return dtypes.convert(array, name) if name == "bfloat16" else array


def is_shared(variable: Any) -> bool:
    """Whether something is a shared variable."""
    return isinstance(variable, SharedVariable | SparseSharedVariable)
