"""Operators and methods of variables, as one table from name to function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.core.packed import Packed
from graphc.ops import (
    axes,
    broadcast,
    complexes,
    contractions,
    control,
    cumulative,
    diagonals,
    index,
    linalg,
    ordering,
    picking,
    reduce,
    shape,
    special,
    tiling,
)
from graphc.ops import elementwise as e


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, self)


def _true_div(a: Any, b: Any) -> Variable:
    return e.true_div(a, b)


def _power(a: Any, b: Any) -> Variable:
    return e.pow_(a, b)


def _reshape(self: Variable, *shape_: Any, ndim: int | None = None) -> Variable:
    return shape.reshape(self, shape_[0] if len(shape_) == 1 else shape_, ndim)


def _transpose(self: Variable, *axes: Any) -> Variable:
    if len(axes) == 1 and isinstance(axes[0], list | tuple):
        axes = tuple(axes[0])
    return shape.transpose(self, axes or None)


def _size(self: Variable) -> Variable:
    return reduce.count(self, tuple(range(self.ndim)), "int64")


def _copy(self: Variable, name: str | None = None) -> Variable:
    new = e.identity(self)
    new.name = name
    return new


def _iterate(self: Variable) -> Any:
    if self.ndim == 0:
        raise TypeError(f"{describe(self)} is a scalar and can't be iterated over")
    size = self.type.shape[0]
    if size is None:
        raise ArgumentError(
            f"{describe(self)} has no known length to iterate over",
            "use graphc.scan, or index it: x[i] for i in range(n)",
            user_frames(),
        )
    return (index.getitem(self, i) for i in range(size))


def _contains(self: Variable, item: Any) -> bool:
    raise TypeError(f"'in' needs values, and {describe(self)} has none yet")


def _compress(self: Variable, condition: Any, axis: int | None = None) -> Variable:
    return picking.compress(condition, self, axis)


def _fill(self: Variable, value: Any) -> Variable:
    return broadcast.fill(self, value)


def _identity(self: Variable) -> Variable:
    return self


METHODS: dict[str, Callable[..., Any]] = {
    "__add__": lambda a, b: e.add(a, b),
    "__radd__": lambda a, b: e.add(b, a),
    "__sub__": lambda a, b: e.sub(a, b),
    "__rsub__": lambda a, b: e.sub(b, a),
    "__mul__": lambda a, b: e.mul(a, b),
    "__rmul__": lambda a, b: e.mul(b, a),
    "__truediv__": _true_div,
    "__rtruediv__": _reflected(_true_div),
    "__floordiv__": lambda a, b: e.int_div(a, b),
    "__rfloordiv__": lambda a, b: e.int_div(b, a),
    "__mod__": lambda a, b: e.mod(a, b),
    "__rmod__": lambda a, b: e.mod(b, a),
    "__divmod__": lambda a, b: (e.int_div(a, b), e.mod(a, b)),
    "__pow__": _power,
    "__rpow__": _reflected(_power),
    "__neg__": lambda a: e.neg(a),
    "__pos__": _identity,
    "__abs__": lambda a: complexes.abs_(a),
    "__lt__": lambda a, b: e.lt(a, b),
    "__le__": lambda a, b: e.le(a, b),
    "__gt__": lambda a, b: e.gt(a, b),
    "__ge__": lambda a, b: e.ge(a, b),
    "__and__": lambda a, b: e.and_(a, b),
    "__rand__": lambda a, b: e.and_(b, a),
    "__or__": lambda a, b: e.or_(a, b),
    "__ror__": lambda a, b: e.or_(b, a),
    "__xor__": lambda a, b: e.xor(a, b),
    "__rxor__": lambda a, b: e.xor(b, a),
    "__invert__": lambda a: e.invert(a),
    "__lshift__": lambda a, b: special.left_shift(a, b),
    "__rlshift__": lambda a, b: special.left_shift(b, a),
    "__rshift__": lambda a, b: special.right_shift(a, b),
    "__rrshift__": lambda a, b: special.right_shift(b, a),
    "__matmul__": contractions.matmul,
    "__rmatmul__": _reflected(contractions.matmul),
    "__getitem__": index.getitem,
    "__iter__": _iterate,
    "__contains__": _contains,
    "astype": e.cast,
    "clip": e.clip,
    "dot": linalg.dot,
    "dimshuffle": shape.dimshuffle,
    "reshape": _reshape,
    "flatten": shape.flatten,
    "ravel": shape.flatten,
    "transpose": _transpose,
    "sum": reduce.sum,
    "prod": reduce.prod,
    "mean": reduce.mean,
    "var": reduce.var,
    "std": reduce.std,
    "max": reduce.max,
    "min": reduce.min,
    "argmax": reduce.argmax,
    "argmin": reduce.argmin,
    "all": reduce.all,
    "any": reduce.any,
    "norm": reduce.norm,
    "ptp": reduce.ptp,
    "cumsum": cumulative.cumsum,
    "cumprod": cumulative.cumprod,
    "sort": ordering.sort,
    "argsort": ordering.argsort,
    "searchsorted": ordering.searchsorted,
    "take": index.take,
    "nonzero": picking.nonzero,
    "nonzero_values": picking.nonzero_values,
    "compress": _compress,
    "choose": picking.choose,
    "swapaxes": axes.swapaxes,
    "squeeze": axes.squeeze,
    "repeat": tiling.repeat,
    "split": tiling.split,
    "diagonal": diagonals.diagonal,
    "trace": diagonals.trace,
    "fill": _fill,
    "conj": complexes.conj,
    "conjugate": complexes.conj,
    "round": e.round,
    "zeros_like": broadcast.zeros_like,
    "ones_like": broadcast.ones_like,
    "copy": _copy,
    "transfer": control.transfer,
}

PROPERTIES: dict[str, Callable[[Variable], Any]] = {
    "shape": shape.shape,
    "T": shape.transpose,
    "size": _size,
    "real": complexes.real,
    "imag": complexes.imag,
}


GIVE_WAY = ("__add__", "__sub__", "__mul__", "__matmul__")


def _giving_way(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that leaves packed operands to their own methods."""

    def operate(self: Variable, other: Any) -> Any:
        return NotImplemented if isinstance(other, Packed) else function(self, other)

    return operate


def install() -> None:
    """Give variables their operators and methods."""
    for name, function in METHODS.items():
        setattr(Variable, name, _giving_way(function) if name in GIVE_WAY else function)
    for name, getter in PROPERTIES.items():
        setattr(Variable, name, property(getter))


install()
