"""Indexing: windows of a tensor (ints, slices, new axes) and picks by integer arrays,
reading and writing.

A NumPy index is taken apart into at most one window and one pick, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, BadIndexError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.core.op import apply, static_int
from graphc.ops.convert import as_variable, is_number, operands
from graphc.ops.elementwise import cast, maximum, minimum, switch
from graphc.ops.gather import gather, pick_position, scatter
from graphc.ops.masks import without_masks
from graphc.ops.shape import dim, dimshuffle
from graphc.ops.windows import subtensor, update

# --- from a NumPy index to window and pick --------------------------------------------


def getitem(x: Variable, index: Any) -> Variable:
    """``x[index]`` with NumPy's meaning."""
    index = without_masks(x, index if isinstance(index, tuple) else (index,))
    entries = _complete(x, index)
    if x.op is not None and x.op.name == "make_vector" and len(entries) == 1:
        found = _entry_of_vector(x, entries[0])
        if found is not None:
            return found
    arrays = [k for k, e in enumerate(entries) if isinstance(e, Variable) and e.ndim > 0]
    numbers: list[Variable] = []
    window: list[tuple[Any, ...]] = []
    picks: list[tuple[int, Variable]] = []
    axis = 0
    for e in entries:
        if e is None:
            window.append(("n",))
            continue
        if isinstance(e, slice):
            window.append(_slice_entry(x, axis, e, numbers))
        elif arrays:
            picks.append((_result_axes(window), e))
            window.append(("a",))
        else:
            numbers.append(e)
            window.append(("i", len(numbers) - 1))
        axis += 1
    plain = all(entry == ("a",) for entry in window)
    result = x if plain and picks else apply(subtensor, (x, *numbers), {"window": tuple(window)})
    if not picks:
        return result
    axes, chosen = tuple(k for k, _ in picks), [i for _, i in picks]
    picked = apply(gather, (result, *chosen), {"axes": axes})
    if _parted(index, entries) and pick_position(axes):
        rank = max(i.ndim for i in chosen)
        first = range(axes[0], axes[0] + rank)
        return dimshuffle(picked, *first, *(k for k in range(picked.ndim) if k not in first))
    return picked


def _parted(index: tuple[Any, ...], entries: Sequence[Any]) -> bool:
    """Whether an ellipsis that stands for no axes parts integer arrays: NumPy puts the picked
    axes first then, as it does where axes lie between."""
    spots = [k for k, e in enumerate(index) if e is Ellipsis]
    if not spots or len(entries) != len(index) - 1:
        return False
    picks = [k for k, e in enumerate(entries) if isinstance(e, Variable)]
    return bool(picks) and min(picks) < spots[0] <= max(picks)


def _result_axes(window: Sequence[tuple[Any, ...]]) -> int:
    return sum(entry[0] != "i" for entry in window)


def _entry_of_vector(x: Variable, entry: Any) -> Variable | None:
    """An entry, or a slice with known bounds, of a vector made of scalars."""
    if isinstance(entry, Variable):
        k = static_int(entry)
        if k is not None and -len(x.args) <= k < len(x.args):
            return x.args[k]
    if isinstance(entry, slice):
        parts = (entry.start, entry.stop, entry.step)
        if all(p is None or isinstance(p, int) for p in parts):
            return apply(x.op, x.args[entry], {}) if x.op is not None else None
    return None


def _complete(x: Variable, index: tuple[Any, ...]) -> list[Any]:
    """The index with its ellipsis written out and its arrays as variables."""
    entries = [_entry(x, e) for e in index]
    used = sum(e is not None and e is not Ellipsis for e in entries)
    if used > x.ndim:
        raise BadIndexError(
            f"{used} indices for {describe(x)}, which has {x.ndim} axes", at=user_frames()
        )
    spots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(spots) > 1:
        raise BadIndexError("an index has one ellipsis at most", at=user_frames())
    at = spots[0] if spots else len(entries)
    rest = [slice(None)] * (x.ndim - used)
    return [*entries[:at], *rest, *entries[at + bool(spots) :]]


def _entry(x: Variable, e: Any) -> Any:
    if e is None or e is Ellipsis or isinstance(e, slice):
        return e
    if isinstance(e, bool | np.bool_):
        raise BadIndexError("True and False don't index a tensor", at=user_frames())
    found = as_variable(e)
    if isinstance(found, Constant) and found.data.size == 0 and isinstance(e, list):
        found = Constant(np.zeros(found.type.shape, "int64"))
    if found.dtype == "bool" or not dtypes.is_integer(found.dtype):
        raise BadIndexError(
            f"{describe(x)} is indexed with {describe(found)}; indices are integers",
            "cast it: .astype('int64')",
            user_frames(),
        )
    return cast(found, "int64")


def _slice_entry(x: Variable, axis: int, s: slice, numbers: list[Variable]) -> tuple[Any, ...]:
    if s.start is None and s.stop is None and s.step in (None, 1):
        return ("a",)
    step = _step(s.step)
    n = dim(x, axis)
    start = _bound(s.start, n, step, first=True)
    stop = _bound(s.stop, n, step, first=False)
    if step == 1:
        length = maximum(stop - start, 0)  # type: ignore[operator]
    elif step > 0:
        length = maximum((stop - start + (step - 1)) // step, 0)  # type: ignore[operator]
    else:
        length = maximum((start - stop + (-step - 1)) // -step, 0)  # type: ignore[operator]
    numbers += [_settle(start), _settle(length)]
    return "s", len(numbers) - 2, len(numbers) - 1, step


def _settle(number: Variable, depth: int = 8) -> Variable:
    """Integer arithmetic on constants, done; a slice's own is no deeper than this."""
    if number.op is None or depth == 0 or any(a.ndim for a in number.args):
        return number
    args = [_settle(a, depth - 1) for a in number.args]
    values = [a.data for a in args if isinstance(a, Constant)]
    if len(values) < len(args):
        return number
    return Constant(number.op.numpy(*values, **number.attrs), number.dtype)


def _step(step: Any) -> int:
    if step is None:
        return 1
    if isinstance(step, Variable):
        known = static_int(step)
        if known is None:
            raise BadIndexError(
                "the step of a slice must be a number", "bounds may be symbolic", user_frames()
            )
        step = known
    if step == 0:
        raise BadIndexError("the step of a slice is 0", at=user_frames())
    return int(step)


def _bound(value: Any, n: Variable, step: int, first: bool) -> Variable:
    """A slice's bound as NumPy takes it: from the end if negative, clipped to the axis."""
    low, high = (Constant(0, "int64"), n) if step > 0 else (Constant(-1, "int64"), n - 1)  # type: ignore[operator]
    if value is None:
        return low if first == (step > 0) else high
    if not is_number(value) and not isinstance(value, Variable | np.ndarray):
        raise BadIndexError(f"a slice's bound must be an integer, not {value!r}", at=user_frames())
    bound = as_variable(value)
    if bound.ndim or not dtypes.is_discrete(bound.dtype):
        raise BadIndexError(
            f"a slice's bound must be an integer scalar, not {describe(bound)}", at=user_frames()
        )
    bound = cast(bound, "int64")
    known = static_int(bound)
    if known is None:
        bound = switch(bound < 0, bound + n, bound)  # type: ignore[operator]
    elif known < 0:
        bound = bound + n  # type: ignore[operator]
    elif known == 0 and step > 0:
        return low
    return minimum(maximum(bound, low), high)


# --- writing --------------------------------------------------------------------------


def set_subtensor(
    x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False
) -> Variable:
    """The tensor of which `x` is a part, as in ``x = a[index]``, with that part set to `y`."""
    return _write(x, y, "set")


def inc_subtensor(
    x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False,
    set_instead_of_inc: bool = False, ignore_duplicates: bool = False,
) -> Variable:  # fmt: skip
    """The tensor of which `x` is a part, with `y` added to that part.

    Where an index occurs twice, `y` is added twice.
    """
    return _write(x, y, "set" if set_instead_of_inc else "inc")


def _write(part: Variable, value: Any, mode: str) -> Variable:
    if part.op not in (subtensor, gather):
        raise ArgumentError(
            f"{mode}_subtensor: {describe(part)} is not a part of a tensor",
            "its first argument is an index expression, as in set_subtensor(x[1:3], v)",
            user_frames(),
        )
    x, *numbers = part.args
    new = operands([part, value])[1]
    if dtypes.promote([x.dtype, new.dtype]) != x.dtype:
        raise ArgumentError(
            f"{mode}_subtensor: {describe(new)} would be narrowed to {x.dtype}",
            f"cast it: value.astype({x.dtype!r})",
            user_frames(),
        )
    op = update if part.op is subtensor else scatter
    result = apply(op, (x, cast(new, x.dtype), *numbers), {**part.attrs, "mode": mode})
    if op is scatter and x.op is subtensor and x.name is None:
        return _write(x, result, "set")  # a pick from a window: the window is written back
    return result


def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Variable:
    """Elements along an axis (of the flat tensor by default), as ``numpy.take``."""
    x, index = as_variable(a), as_variable(indices)
    if axis is None:
        return x.flatten()[index]  # type: ignore[attr-defined, no-any-return]
    where = (slice(None),) * (axis % x.ndim) + (index,)
    return getitem(x, where)
