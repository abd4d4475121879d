"""Order along an axis: sorting, searching, counting. They run as NumPy steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.broadcast import ones_like, zeros
from graphc.ops.convert import as_size, as_variable, normal_axis, operands
from graphc.ops.elementwise import cast, maximum
from graphc.ops.index import getitem, inc_subtensor
from graphc.ops.join import concatenate
from graphc.ops.picking import take_along_axis
from graphc.ops.reduce import max as max_
from graphc.ops.shape import dim, flatten

STABLE = "stable"  # equal elements keep their order, on every machine


def _sort_vjp(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    rank = argsort(argsort(x, axis), axis)
    return (take_along_axis(g, rank, axis),)


def _sort_jvp(tangents: Any, out: Variable, x: Variable, axis: int) -> Variable:
    return take_along_axis(tangents[0], argsort(x, axis), axis)


_sort = declare(
    Op(
        "sort", lambda args, attrs: args[0].type, lambda x, axis: np.sort(x, axis, kind=STABLE),
        Host(), vjp=_sort_vjp, jvp=_sort_jvp, formula="x in ascending order along an axis",
    )
)  # fmt: skip
_argsort = declare(
    Op(
        "argsort", lambda args, attrs: args[0].type.with_dtype("int64"),
        lambda x, axis: np.argsort(x, axis, kind=STABLE), Host(),
        formula="the positions along an axis that sort x",
    )
)  # fmt: skip


def _along(op: Op, x: Any, axis: int | None) -> Variable:
    variable = as_variable(x)
    if axis is None:
        variable, axis = flatten(variable), 0
    return apply(op, (variable,), {"axis": normal_axis(axis, variable.ndim, op.name)})


def sort(a: Any, axis: int | None = -1, kind: str = "stable", order: Any = None) -> Variable:
    """The elements along `axis` (of the flat tensor for None) in ascending order, NaN last.

    `kind` and `order` are taken for the sake of NumPy's signature: the order is always stable.
    """
    return _along(_sort, a, axis)


def argsort(a: Any, axis: int | None = -1, kind: str = "stable", order: Any = None) -> Variable:
    """The positions along `axis` that sort `a`, int64; equal elements keep their order."""
    return _along(_argsort, a, axis)


def argtopk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True,
            idx_dtype: str = "int64") -> Variable:  # fmt: skip
    """The positions of the `kth` largest elements along `axis`, largest first.

    With a negative `kth`, those of the smallest, smallest first.
    """
    variable = as_variable(x)
    if axis is None:
        variable, axis = flatten(variable), 0
    place, count = normal_axis(axis, variable.ndim, "topk"), as_size(kth, "topk")
    known = static_int(count)
    if known is None or known == 0:
        raise ArgumentError("topk: kth must be a number other than 0", at=user_frames())
    part = slice(None, -known - 1, -1) if known > 0 else slice(None, -known)
    index = (slice(None),) * place + (part,)
    return cast(getitem(argsort(variable, place), index), idx_dtype)


def topk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True) -> Variable:
    """The `kth` largest elements along `axis`, largest first; the smallest for a negative `kth`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.topk(T.constant([3, 9, 5]), 2).eval()
    array([9, 5])
    """
    variable = flatten(x) if axis is None else as_variable(x)
    place = 0 if axis is None else axis
    return take_along_axis(variable, argtopk(variable, kth, place), place)


def topk_and_argtopk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True,
                     idx_dtype: str = "int64") -> tuple[Variable, ...]:  # fmt: skip
    """`topk` and `argtopk`."""
    return topk(x, kth, axis), argtopk(x, kth, axis, idx_dtype=idx_dtype)


# --- searching and counting -----------------------------------------------------------


def _search_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType("int64", args[1].type.shape)


_search = declare(
    Op(
        "searchsorted", _search_infer,
        lambda x, v, side: np.asarray(np.searchsorted(x, v, side), "int64"), Host(),
        formula="where each element of y goes into the sorted vector x",
    )
)  # fmt: skip


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where the elements of `v` go into a sorted vector, before (or after) equal ones.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.searchsorted(T.constant([1, 3, 5]), T.constant([3, 6])).eval()
    array([1, 3])
    """
    table, values = operands([x, v])
    if table.ndim != 1 or side not in ("left", "right"):
        raise ArgumentError(
            f"searchsorted({describe(table)}, side={side!r})",
            "it looks into a vector, from the 'left' or the 'right'",
            user_frames(),
        )
    if sorter is not None:
        table = getitem(table, sorter)
    meeting = dtypes.promote([table.dtype, values.dtype])
    return apply(_search, (cast(table, meeting), cast(values, meeting)), {"side": side})


_unique_count = declare(
    Op(
        "unique_count", lambda args, attrs: TensorType("int64", ()),
        lambda x: np.asarray(np.unique(x).size, "int64"), Host(),
        formula="how many different elements x has",
    )
)  # fmt: skip


def _unique_vjp(g: Variable, out: Variable, x: Variable, count: Variable) -> Any:
    place = searchsorted(out, x)
    first = apply(_first, (x, count), {})
    only = inc_subtensor(getitem(zeros(x.shape, g.dtype), first), 1)  # type: ignore[attr-defined]
    return getitem(g, place) * only, None


_unique = declare(
    Op(
        "unique", lambda args, attrs: TensorType(args[0].dtype, (static_int(args[1]),)),
        lambda x, count: np.unique(x), Host(), vjp=_unique_vjp,
        formula="the different elements of x in ascending order",
        size_args=lambda n, attrs: (1,), facts={"by_values": True},
    )
)  # fmt: skip
_first = declare(
    Op(
        "unique_first", lambda args, attrs: TensorType("int64", (static_int(args[1]),)),
        lambda x, count: np.unique(x, return_index=True)[1], Host(),
        formula="where each different element of x occurs first",
        size_args=lambda n, attrs: (1,), facts={"by_values": True},
    )
)  # fmt: skip


def unique(x: Any, return_index: bool = False, return_inverse: bool = False,
           return_counts: bool = False, axis: None = None) -> Any:  # fmt: skip
    """The different elements of `x` in ascending order; more on request, as ``numpy.unique``.

    The gradient goes to the first occurrence of each.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> values, counts = T.unique(T.constant([3, 1, 3]), return_counts=True)
    >>> values.eval().tolist(), counts.eval().tolist()
    ([1, 3], [1, 2])
    """
    if axis is not None:
        raise ArgumentError("unique: along an axis is not supported", at=user_frames())
    flat = flatten(x)
    count = apply(_unique_count, (flat,), {})
    values = apply(_unique, (flat, count), {})
    found = [values]
    inverse = searchsorted(values, flat)
    if return_index:
        found.append(apply(_first, (flat, count), {}))
    if return_inverse:
        found.append(inverse)
    if return_counts:
        tally = zeros((dim(values, 0),), "int64")
        found.append(inc_subtensor(getitem(tally, inverse), ones_like(inverse)))
    return found[0] if len(found) == 1 else tuple(found)


def bincount(x: Any, weights: Any = None, minlength: Any = None,
             assert_nonneg: bool = False) -> Variable:  # fmt: skip
    """How often each of 0, 1, ... occurs in a vector of them; or the sums of their weights.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.bincount(T.constant([0, 2, 2])).eval()
    array([1, 0, 2])
    """
    index = as_variable(x)
    if index.ndim != 1 or not dtypes.is_discrete(index.dtype):
        raise ArgumentError(
            f"bincount: {describe(index)} is no vector of integers", at=user_frames()
        )
    index = cast(index, "int64")
    length = max_(concatenate([index, [-1]])) + 1  # type: ignore[operator]
    if minlength is not None:
        length = maximum(length, as_size(minlength, "bincount"))
    added = as_variable(1) if weights is None else as_variable(weights)
    field = zeros((length,), "int64" if weights is None else added.dtype)
    return inc_subtensor(getitem(field, index), added)
