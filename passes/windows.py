"""Canonical forms of windows: x[i, a:b:c, newaxis] read and written.

A window has an entry per axis: ("i", position of an index among the numbers),
("s", positions of start and length, step), ("a",) for all of it, ("n",) for a new axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import Constant, Variable
from graphc.core.op import OPS, apply, static_int
from graphc.core.pattern import Rule, rewrites, uniform_value
from graphc.ops.broadcast import broadcast_like
from graphc.ops.elementwise import add, mul
from graphc.ops.index import Window
from graphc.ops.shape import dimshuffle
from graphc.passes.sizes import size_of, sizes

MOST_TERMS = 64  # of a sum that is looked through
ALL = ("a",)
NEW = ("n",)

Entry = tuple[Any, ...]  # as in a window, with variables in the places of positions


def opened(numbers: Sequence[Variable], window: Window) -> list[Entry]:
    """A window whose entries hold the numbers themselves."""
    result: list[Entry] = []
    for entry in window:
        if entry[0] == "i":
            result.append(("i", numbers[entry[1]]))
        elif entry[0] == "s":
            result.append(("s", numbers[entry[1]], numbers[entry[2]], entry[3]))
        else:
            result.append(entry)
    return result


def closed(entries: Sequence[Entry]) -> tuple[list[Variable], Window]:
    """Numbers and window of entries that hold numbers."""
    numbers: list[Variable] = []
    window: list[tuple[Any, ...]] = []
    for entry in entries:
        if entry[0] == "i":
            window.append(("i", len(numbers)))
            numbers.append(entry[1])
        elif entry[0] == "s":
            window.append(("s", len(numbers), len(numbers) + 1, entry[3]))
            numbers += entry[1:3]
        else:
            window.append(entry)
    return numbers, tuple(window)


def window_of(x: Variable, entries: Sequence[Entry]) -> Variable:
    """The part of `x` that entries describe."""
    numbers, window = closed(entries)
    return apply(OPS["subtensor"], (x, *numbers), {"window": window})


def entries_of(node: Variable) -> list[Entry]:
    """The entries of a subtensor or an update, one for every axis of what is windowed."""
    first = 1 if node.op is OPS["subtensor"] else 2
    entries = opened(node.args[first:], node.attrs["window"])
    used = sum(e[0] != "n" for e in entries)
    return entries + [ALL] * (node.args[0].ndim - used)


def without_full_slices(x: Variable, entries: Sequence[Entry]) -> list[Entry]:
    """Slices that are all of their axis, written as that."""
    result, axis, found = [], 0, sizes(x)
    for entry in entries:
        if entry[0] == "s" and static_int(entry[1]) == 0 and entry[3] == 1:
            if size_of(entry[2]) == found[axis]:
                entry = ALL
        result.append(entry)
        axis += entry[0] != "n"
    return result


def shuffled_entries(entries: Sequence[Entry]) -> tuple[Any, ...] | None:
    """The pattern of a window that only puts in new axes."""
    if any(e[0] not in ("a", "n") for e in entries):
        return None
    order = iter(range(len(entries)))
    return tuple("x" if e[0] == "n" else next(order) for e in entries)


@rewrites("subtensor", "update_subtensor")
def full_slice(node: Variable) -> Variable | None:
    """x[0:n] -> x[:] where n is the size of that axis"""
    entries = entries_of(node)
    full = without_full_slices(node.args[0], entries)
    if full == entries:
        return None
    numbers, window = closed(full)
    first = 1 if node.op is OPS["subtensor"] else 2
    assert node.op is not None
    return apply(node.op, (*node.args[:first], *numbers), {**node.attrs, "window": window})


@rewrites("subtensor")
def full_window(node: Variable) -> Variable | None:
    """x[:, newaxis, ...] -> dimshuffle(x), and x[:] -> x"""
    pattern = shuffled_entries(entries_of(node))
    return None if pattern is None else dimshuffle(node.args[0], *pattern)


@rewrites("update_subtensor")
def full_update(node: Variable) -> Variable | None:
    """x[:, newaxis] += v -> x + v in shape, and x[:, newaxis] = v -> v spread over x"""
    x, value = node.args[:2]
    entries = entries_of(node)
    if shuffled_entries(entries) is None or value.ndim > len(entries):
        return None
    padded = dimshuffle(value, *("x",) * (len(entries) - value.ndim), *range(value.ndim))
    if any(padded.type.shape[k] != 1 for k, e in enumerate(entries) if e[0] == "n"):
        return None
    inner = dimshuffle(padded, *(k for k, e in enumerate(entries) if e[0] == "a"))
    spread = broadcast_like(inner, x)
    return spread if node.attrs["mode"] == "set" else add(x, spread)


@rewrites("subtensor", on=("make_vector",))
def entry_of_vector(node: Variable) -> Variable | None:
    """make_vector(a, b, ...)[k] -> its k-th entry"""
    x = node.args[0]
    entries = entries_of(node)
    if x.op is not OPS["make_vector"] or entries[0][0] != "i" or len(entries) != 1:
        return None
    k = static_int(entries[0][1])
    return x.args[k] if k is not None and -len(x.args) <= k < len(x.args) else None


@rewrites("subtensor", on=("make_vector",))
def part_of_vector(node: Variable) -> Variable | None:
    """make_vector(a, b, ...)[i:j] -> make_vector of these"""
    x = node.args[0]
    entries = entries_of(node)
    if x.op is not OPS["make_vector"] or entries[0][0] != "s" or len(entries) != 1:
        return None
    start, length, step = static_int(entries[0][1]), static_int(entries[0][2]), entries[0][3]
    if start is None or not length:
        return None
    last = start + (length - 1) * step
    if not (0 <= start < len(x.args) and 0 <= last < len(x.args)):
        return None
    return apply(x.op, [x.args[start + j * step] for j in range(length)], {})


@rewrites("subtensor", on=("subtensor",))
def window_twice(node: Variable) -> Variable | None:
    """x[a:b][c:d] -> x[e:f], and the like"""
    inner = node.args[0]
    if inner.op is not OPS["subtensor"]:
        return None
    result: list[Entry] = []
    outer = iter(entries_of(node))
    for entry in entries_of(inner):
        if entry[0] == "i":
            result.append(entry)
            continue
        for then in outer:
            if then[0] != "n":
                break
            result.append(then)
        both = _compose(entry, then)
        if both is None:
            return None
        result += both
    result += list(outer)
    return window_of(inner.args[0], result)


def _compose(entry: Entry, then: Entry) -> list[Entry] | None:
    """What two entries for one axis come to; None if that isn't known."""
    if then == ALL:
        return [entry]
    if entry == ALL:
        return [then]
    if entry == NEW:
        return [] if then[0] == "i" and static_int(then[1]) in (0, -1) else None
    start, length, step = entry[1:]
    size = static_int(length)
    if then[0] == "i":
        index = static_int(then[1])
        if index is None or size is None or not -size <= index < size:
            return None
        return [("i", _at(start, index + size if index < 0 else index, step))]
    first = static_int(then[1])
    if first is None or first < 0 or static_int(then[2]) is None or static_int(start) is None:
        return None
    return [("s", _at(start, first, step), then[2], step * then[3])]


def _at(start: Variable, index: int, step: int) -> Variable:
    """The position ``start + index * step``."""
    return add(start, mul(Constant(index, "int64"), Constant(step, "int64")))


@rewrites("update_subtensor")
def update_of_nothing(node: Variable) -> Variable | None:
    """x[window] += 0 -> x"""
    x, value = node.args[:2]
    return x if node.attrs["mode"] == "inc" and uniform_value(value) == 0 else None


@rewrites("add", on=("update_subtensor", "add"))
def neighbouring_updates(node: Variable) -> Variable | None:
    """zeros[:, a:b] = x  +  zeros[:, b:c] = y  ->  zeros[:, a:c] = join(x, y)

    The gradient of a matrix that is cut in pieces, as the gates of an LSTM are. The pieces may
    stand anywhere in the sum.
    """
    terms = _terms(node)
    pieces: dict[int, list[tuple[int, Variable]]] = {}
    for v in terms:
        found = _update_of_zeros(v)
        if found is not None:
            pieces.setdefault(found[0], []).append((found[1], v))
    for axis, group in pieces.items():
        ordered = sorted(group, key=lambda piece: piece[0])
        for (_, v), (start, w) in zip(ordered, ordered[1:]):
            if _end(v, axis) == start:
                rest = [u for u in terms if u is not v and u is not w]
                total = _joined_updates(v, w, axis)
                for u in rest:
                    total = add(total, u)
                return total
    return None


def _terms(node: Variable) -> list[Variable]:
    """The terms of a sum of tensors of one shape."""
    found: list[Variable] = []
    stack = [node]
    while stack and len(found) < MOST_TERMS:
        v = stack.pop()
        if v.op is OPS["add"] and v.type == node.type and v.type.known:
            stack.extend(v.args)
        else:
            found.append(v)
    return found + stack


def _end(v: Variable, axis: int) -> int | None:
    start, length = entries_of(v)[axis][1:3]
    first, count = static_int(start), static_int(length)
    return None if first is None or count is None else first + count


def _joined_updates(v: Variable, w: Variable, axis: int) -> Variable:
    parts = (*_parts_along(v.args[1], axis), *_parts_along(w.args[1], axis))
    joined = apply(OPS["join"], parts, {"axis": axis})
    entries = entries_of(v)
    entries[axis] = ("s", entries[axis][1], Constant(joined.type.shape[axis], "int64"), 1)
    numbers, window = closed(entries)
    return apply(OPS["update_subtensor"], (v.args[0], joined, *numbers),
                 {"window": window, "mode": "set"})  # fmt: skip


def _update_of_zeros(v: Variable) -> tuple[int, int, Variable] | None:
    """The axis, the first position and the values of a slice written into zeros."""
    if v.op is not OPS["update_subtensor"] or uniform_value(v.args[0]) != 0:
        return None
    entries, value = entries_of(v), v.args[1]
    cut = [k for k, e in enumerate(entries) if e != ALL]
    if len(cut) != 1 or len(entries) != v.ndim or entries[cut[0]][0] != "s":
        return None
    (k,) = cut
    start, length = static_int(entries[k][1]), static_int(entries[k][2])
    shape = (*v.type.shape[:k], length, *v.type.shape[k + 1 :])
    if start is None or entries[k][3] != 1 or None in shape or value.type.shape != shape:
        return None
    return k, start, value


def _parts_along(v: Variable, axis: int) -> tuple[Variable, ...]:
    return v.args if v.op is OPS["join"] and v.attrs["axis"] == axis else (v,)


WINDOWS: tuple[Rule, ...] = (
    entry_of_vector, part_of_vector, full_slice, full_window, full_update, window_twice,
    update_of_nothing, neighbouring_updates,
)  # fmt: skip
