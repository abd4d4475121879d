"""Values spread over shapes, and the adjoint of that: sums back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable
from graphc.core.op import Library, Op, View, apply, declare, static_int
from graphc.ops.convert import as_variable, unpack_sizes
from graphc.ops.elementwise import broadcast_shape, cast


def _broadcast_like_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, like = args
    meeting = broadcast_shape([x.type.shape, like.type.shape])
    if len(meeting) != like.ndim or (like.type.known and meeting != like.type.shape):
        raise ShapeError(f"{x.type.shape} does not broadcast to {like.type.shape}")
    return TensorType(x.dtype, like.type.shape)


_broadcast_like = declare(
    Op(
        "broadcast_like",
        _broadcast_like_infer,
        lambda x, like: np.broadcast_to(x, np.shape(like)),
        View(),
        vjp=lambda g, out, x, like: (sum_like(g, x), None),
        formula="x broadcast to the shape of y",
        shape_only=(1,),
    )
)


def broadcast_like(x: Any, like: Any, always: bool = False) -> Variable:
    """`x` broadcast to the shape of `like`; with `always` it depends on `like` in any case."""
    variable, model = as_variable(x), as_variable(like)
    if always:
        return apply(_broadcast_like, (variable, model), {})
    if variable.type.shape == model.type.shape and variable.type.known:
        return variable
    if variable is model:
        return variable
    return apply(_broadcast_like, (variable, model), {})


def _sum_like_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, like = args
    broadcast_shape([g.type.shape, like.type.shape])
    return TensorType(g.dtype, like.type.shape)


def _sum_like_numpy(g: Any, like: Any) -> Any:
    target, lead = np.shape(like), np.ndim(g) - np.ndim(like)
    axes = tuple(k for k in range(np.ndim(g)) if k < lead or (target[k - lead] == 1 != g.shape[k]))
    return np.sum(g, axis=axes, dtype=g.dtype).reshape(target) if axes else g


_sum_like = declare(
    Op(
        "sum_like",
        _sum_like_infer,
        _sum_like_numpy,
        Library("sum_like"),
        vjp=lambda g, out, x, like: (broadcast_like(g, x), None),
        formula="x summed over the axes along which y was broadcast to it",
        shape_only=(1,),
    )
)


def sum_like(g: Variable, like: Variable) -> Variable:
    """The adjoint of broadcasting `like` to the shape of `g`."""
    if g is like or (g.type.known and g.type.shape == like.type.shape):
        return g
    return apply(_sum_like, (g, like), {})


def _alloc_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    value, *sizes = args
    target = tuple(static_int(s) for s in sizes)
    for n in target:
        if n is not None and n < 0:
            raise ShapeError(f"size {n} in {target} is negative")
    meeting = broadcast_shape([value.type.shape, target])
    if len(meeting) != len(target) or any(
        n is not None and n != m for n, m in zip(target, meeting)
    ):
        raise ShapeError(f"{value.type.shape} does not broadcast to {target}")
    return TensorType(value.dtype, target)


_alloc = declare(
    Op(
        "alloc",
        _alloc_infer,
        lambda v, *sizes: np.broadcast_to(v, tuple(int(s) for s in sizes)),
        View(),
        vjp=lambda g, out, v, *sizes: (sum_like(g, v), *(None,) * len(sizes)),
        formula="a value broadcast to a shape",
        size_args=lambda n, attrs: tuple(range(1, n)),
    )
)


def alloc(value: Any, *shape: Any) -> Variable:
    """`value` broadcast to a shape given as sizes."""
    sizes = unpack_sizes(shape[0] if len(shape) == 1 else shape, "alloc")
    return apply(_alloc, (as_variable(value), *sizes), {})


def broadcast_to(x: Any, shape: Any) -> Variable:
    """`x` broadcast to a shape, as ``numpy.broadcast_to``."""
    return apply(_alloc, (as_variable(x), *unpack_sizes(shape, "broadcast_to")), {})


def _full(value: float, shape: Any, dtype: Any) -> Variable:
    name = dtypes.canonical("floatX" if dtype is None else dtype)
    return apply(_alloc, (Constant(value, name), *unpack_sizes(shape, "shape")), {})


def zeros(shape: Any, dtype: Any = None) -> Variable:
    """Zeros, ``floatX`` by default."""
    return _full(0, shape, dtype)


def ones(shape: Any, dtype: Any = None) -> Variable:
    """Ones, ``floatX`` by default."""
    return _full(1, shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Variable:
    """`fill_value` everywhere, in its own dtype by default.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.full((2,), 7).eval()
    array([7, 7])
    """
    value = as_variable(fill_value) if dtype is None else cast(fill_value, dtype)
    return apply(_alloc, (value, *unpack_sizes(shape, "full")), {})


def full_like(model: Any, fill_value: Any, dtype: Any = None) -> Variable:
    """`fill_value` in the shape of `model`."""
    variable = as_variable(model)
    name = variable.dtype if dtype is None else dtypes.canonical(dtype)
    return broadcast_like(cast(fill_value, name), variable)


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    """Zeros in the shape of `model`."""
    return full_like(model, 0, dtype)


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    """Ones in the shape of `model`."""
    return full_like(model, 1, dtype)


def fill(model: Any, value: Any) -> Variable:
    """`value` broadcast to the shape of `model`, in its own dtype."""
    return broadcast_like(value, model)


