"""Tensors made of their own positions: arange, eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Generator, Op, apply, declare, static_int
from graphc.ops.convert import as_size, as_variable, operands
from graphc.ops.elementwise import add, cast, ceil, maximum, mul
from graphc.ops.shape import dim, expand_axes


def _arange_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(attrs["dtype"], (static_int(args[2]),))


def _arange_numpy(start: Any, step: Any, length: Any, dtype: str) -> Any:
    return dtypes.convert(start + np.arange(int(length)) * step, dtype)


_arange = declare(
    Op(
        "arange",
        _arange_infer,
        _arange_numpy,
        Generator("cast(add_exact({0}, {T}({i0}) * {1}))"),
        formula="start, start + step, ...",
        size_args=lambda n, attrs: (2,),
    )
)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """Evenly spaced values in ``[start, stop)``, as ``numpy.arange``."""
    if stop is None:
        start, stop = 0, start
    first, last, by = operands([start, stop, step])
    for v in (first, last, by):
        if v.ndim:
            raise ArgumentError(f"arange takes scalars, not {describe(v)}", at=user_frames())
    meeting = dtypes.promote([v.dtype for v in (first, last, by)])
    name = dtypes.canonical(dtype) if dtype is not None else meeting
    if dtypes.is_discrete(meeting):
        first, last, by = (cast(v, "int64") for v in (first, last, by))
        length = _range_length(first, last, by)
    else:
        first, last, by = (cast(v, "float64") for v in (first, last, by))
        length = _float_range_length(first, last, by)
    return apply(_arange, (first, by, length), {"dtype": name})


def positions(sizes: Sequence[Variable]) -> Variable:
    """The position of every element of a shape when counted row by row, int64."""
    zero, one = Constant(0, "int64"), Constant(1, "int64")
    total: Variable = zero
    for k, n in enumerate(sizes):
        along = apply(_arange, (zero, one, n), {"dtype": "int64"})
        total = along if k == 0 else add(mul(expand_axes(total, (k,)), n), along)
    return total


def _float_range_length(first: Variable, last: Variable, by: Variable) -> Variable:
    values = [v.data.item() for v in (first, last, by) if isinstance(v, Constant)]
    if len(values) == 3:
        return Constant(len(np.arange(*values)), "int64")
    return cast(maximum(ceil((last - first) / by), 0), "int64")  # type: ignore[operator]


def _range_length(first: Variable, last: Variable, by: Variable) -> Variable:
    numbers = [static_int(v) for v in (first, last, by)]
    if numbers[2] == 0:
        raise ArgumentError("arange: the step is 0", at=user_frames())
    if None not in numbers:
        return Constant(len(range(*numbers)), "int64")  # type: ignore[arg-type]
    if numbers[0] == 0 and numbers[2] == 1:
        return maximum(last, 0)
    return maximum(-((first - last) // by), 0)  # type: ignore[operator]


_eye = declare(
    Op(
        "eye",
        lambda args, attrs: TensorType(attrs["dtype"], (static_int(args[0]), static_int(args[1]))),
        lambda n, m, k, dtype: dtypes.convert(np.eye(int(n), int(m), int(k)), dtype),
        Generator("cast({i1} - {i0} == {2})"),
        formula="1 where the column is the row plus k, else 0",
        size_args=lambda n, attrs: (0, 1),
    )
)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Ones on the k-th diagonal of an n x m matrix, zeros elsewhere."""
    rows = as_size(n, "eye")
    columns = rows if m is None else as_size(m, "eye")
    name = dtypes.canonical("floatX" if dtype is None else dtype)
    return apply(_eye, (rows, columns, as_size(k, "eye")), {"dtype": name})


def identity_like(x: Any) -> Variable:
    """The identity matrix in the shape and dtype of a matrix."""
    variable = as_variable(x)
    return eye(dim(variable, 0), dim(variable, 1), dtype=variable.dtype)


