"""Where a mask holds: positions whose number only a call's values tell.

The count is an operand of its own. Compiled functions compute such nodes in a stage of their
own, as the fact ``by_values`` asks: the first operand decides all, and a plan is made for its
result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import BadIndexError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.axes import specify_shape
from graphc.ops.convert import as_variable, is_number
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim


def _positions_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType("int64", (static_int(args[1]),))


_positions = declare(
    Op(
        "mask_positions",
        _positions_infer,
        lambda mask, count, axis: np.asarray(np.nonzero(mask)[axis], "int64"),
        Host(),
        formula="the indices along an axis of the elements that are true",
        size_args=lambda n, attrs: (1,),
        facts={"by_values": True},
    )
)


def mask_positions(mask: Variable) -> list[Variable]:
    """One vector of indices per axis of a mask, of the elements that are true."""
    count = sum_(mask)
    return [apply(_positions, (mask, count), {"axis": k}) for k in range(mask.ndim)]


def is_mask(entry: Any) -> bool:
    """Whether an entry of an index is a boolean array."""
    if isinstance(entry, Variable):
        return entry.dtype == "bool" and entry.ndim > 0
    if entry is None or entry is Ellipsis or isinstance(entry, slice) or is_number(entry):
        return False
    return isinstance(entry, list | np.ndarray) and is_mask(as_variable(entry))


def without_masks(x: Variable, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index with the arrays of positions in the place of masks."""
    if not any(map(is_mask, index)):
        return index
    widths = [_axes_used(e) for e in index]
    ellipses = [k for k, e in enumerate(index) if e is Ellipsis]
    result: list[Any] = []
    for k, e in enumerate(index):
        if not is_mask(e):
            result.append(e)
            continue
        behind = bool(ellipses) and k > ellipses[0]
        axis = x.ndim - sum(widths[k:]) if behind else sum(widths[:k])
        if not 0 <= axis <= x.ndim - widths[k]:
            raise BadIndexError(
                f"{sum(widths)} indices for {describe(x)}, which has {x.ndim} axes",
                at=user_frames(),
            )
        sizes = [dim(x, a) for a in range(axis, axis + widths[k])]
        result += mask_positions(specify_shape(as_variable(e), sizes))
    return tuple(result)


def _axes_used(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return as_variable(entry).ndim if is_mask(entry) else 1
