"""Picks by integer arrays moved towards what they pick from, or turned into arithmetic.

An index that is out of range must go on being an error, so a rule that leaves out a pick
keeps its check, or knows that the index is in range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.node import Constant, Variable
from graphc.core.op import OPS, apply, static_int
from graphc.core.pattern import Rule, rewrites, uniform_value
from graphc.ops.broadcast import alloc
from graphc.ops.elementwise import add, eq, ge, switch
from graphc.ops.gather import checked_index, pick_position
from graphc.ops.make import arange
from graphc.ops.shape import dim, dimshuffle
from graphc.passes.sizes import same_sizes, size_of, sizes
from graphc.passes.stability import pattern_of
from graphc.passes.tables import TABLES
from graphc.passes.views import BROADCASTS, is_op
from graphc.passes.windows import ALL, Entry, entries_of, window_of

Label = tuple[str, int]  # ("rest", axis of what is picked from) or ("pick", axis of the index)


def counts_up(index: Variable, like: Variable, axis: int) -> bool:
    """Whether an index is 0, 1, 2, ... over a whole axis of `like`, in shape (n,), (n, 1), ..."""
    line, pattern = pattern_of(index)
    return (
        is_op(line, "arange")
        and static_int(line.args[0]) == 0
        and static_int(line.args[1]) == 1
        and [p for p in pattern if p != "x"] == [0]
        and size_of(line.args[2]) == sizes(like)[axis]
    )


def in_range(index: Variable, x: Variable, axis: int) -> bool:
    """Whether an index is certainly a position along an axis of `x`."""
    if isinstance(index, Constant):
        size = x.type.shape[axis]
        if size is None or not index.data.size:
            return False
        return bool(index.data.min() >= -size and index.data.max() < size)
    return counts_up(index, x, axis) or (
        is_op(index, "checked_index") and size_of(index.args[1]) == sizes(x)[axis]
    )


# --- picks moved inwards --------------------------------------------------------------


def labels_of(ndim: int, axes: Sequence[int], picked: int) -> list[Label]:
    """What the axes of a pick are: axes of its operand, and of its indices."""
    rest: list[Label] = [("rest", k) for k in range(ndim) if k not in axes]
    at = pick_position(tuple(axes)) if axes else 0
    return [*rest[:at], *(("pick", j) for j in range(picked)), *rest[at:]]


def picked_from(node: Variable, x: Variable) -> Variable | None:
    """A gather's indices applied to `x`, whose shape broadcasts to that of its operand.

    Axes of size 1 are not indexed, so the result only broadcasts to the shape of `node`.
    """
    whole, *indices = node.args
    axes, lead = node.attrs["axes"], whole.ndim - x.ndim
    rank = max(i.ndim for i in indices)
    indexed = [k for k in axes if k >= lead and x.type.shape[k - lead] != 1]
    if any(x.type.shape[k - lead] != whole.type.shape[k] for k in indexed):
        return None
    kept = [k for k in range(lead, whole.ndim) if k in indexed or k not in axes]
    inner = dimshuffle(x, *(k - lead for k in kept))
    chosen = [i for k, i in zip(axes, indices) if k in indexed]
    places = tuple(kept.index(k) for k in indexed)
    part = apply(OPS["gather"], (inner, *chosen), {"axes": places}) if chosen else inner
    own_rank = max((i.ndim for i in chosen), default=0)
    have: list[Label] = []
    for kind, k in labels_of(len(kept), places, own_rank):
        have.append((kind, kept[k] if kind == "rest" else k + rank - own_rank))
    want = labels_of(whole.ndim, axes, rank)
    return dimshuffle(part, *(have.index(w) if w in have else "x" for w in want))


def keeps_checks(node: Variable, operands: Sequence[Variable]) -> bool:
    """Whether each index of a gather is checked by some operand, or needs no check."""
    whole, *indices = node.args
    for axis, index in zip(node.attrs["axes"], indices):
        if in_range(index, whole, axis):
            continue
        lead = [axis - whole.ndim + x.ndim for x in operands]
        if not any(k >= 0 and x.type.shape[k] != 1 for k, x in zip(lead, operands)):
            return False
    return True


def may_move(node: Variable) -> bool:
    """Whether all types of a gather are known, and its indices have a rank."""
    return all(a.type.known for a in node.args) and node.type.known


@rewrites("gather")
def gather_of_elementwise(node: Variable) -> Variable | None:
    """f(x, y)[i] -> f(x[i], y[i])"""
    f = node.args[0]
    if f.op is None or not f.op.elementwise or not may_move(node) or f.op.checks:
        return None
    if node.type.size > f.type.size:
        return None  # it picks some elements many times
    if not all(a.type.known for a in f.args) or not keeps_checks(node, f.args):
        return None
    parts = [picked_from(node, a) for a in f.args]
    if any(p is None for p in parts):
        return None
    result = apply(f.op, [p for p in parts if p is not None], f.attrs)
    return result if result.type == node.type else alloc(result, *node.type.shape)


@rewrites("subtensor")
def window_of_elementwise(node: Variable) -> Variable | None:
    """f(x, y)[window] -> f(x[window], y[window])"""
    f = node.args[0]
    if f.op is None or not f.op.elementwise or f.op.checks:
        return None
    entries = entries_of(node)
    parts = [_window_of_operand(f, a, entries) for a in f.args]
    if any(p is None for p in parts):
        return None
    result = apply(f.op, [p for p in parts if p is not None], f.attrs)
    return result if result.type == node.type else None


def _window_of_operand(f: Variable, x: Variable, entries: Sequence[Entry]) -> Variable | None:
    """A window of what x is when it has been broadcast to the shape of f."""
    whole, own = sizes(f), sizes(x)
    lead, axis = f.ndim - x.ndim, 0
    result: list[Entry] = []
    for entry in entries:
        if entry[0] == "n":
            if axis > lead or (axis == lead and not lead):
                result.append(entry)
            continue
        if axis >= lead:
            n = own[axis - lead]
            if n == whole[axis]:
                result.append(entry)
            elif n == 1:
                result.append(("i", Constant(0, "int64")) if entry[0] == "i" else ALL)
            else:
                return None
        axis += 1
    return window_of(x, result) if result else x


@rewrites("gather", on=BROADCASTS)
def gather_of_broadcast(node: Variable) -> Variable | None:
    """broadcast(x)[i] -> broadcast(x[i])"""
    inner = node.args[0]
    if not is_op(inner, *BROADCASTS) or not may_move(node):
        return None
    x = inner.args[0]
    if not x.type.known or not keeps_checks(node, [x]):
        return None
    part = picked_from(node, x)
    return None if part is None else alloc(part, *node.type.shape)


@rewrites("gather", on=("dimshuffle",))
def gather_of_shuffled(node: Variable) -> Variable | None:
    """dimshuffle(x)[i] -> dimshuffle(x[i])"""
    inner, *indices = node.args
    if not is_op(inner, "dimshuffle"):
        return None
    x, pattern = inner.args[0], inner.attrs["pattern"]
    axes = node.attrs["axes"]
    if any(pattern[k] == "x" for k in axes) or len(set(pattern) - {"x"}) != x.ndim:
        return None
    pairs = sorted(((pattern[k], i) for k, i in zip(axes, indices)), key=lambda pair: pair[0])
    places = tuple(k for k, _ in pairs)
    part = apply(OPS["gather"], (x, *(i for _, i in pairs)), {"axes": places})
    rank = max(i.ndim for i in indices)
    have = labels_of(x.ndim, places, rank)
    order: list[Any] = []
    for kind, k in labels_of(inner.ndim, axes, rank):
        label = (kind, pattern[k]) if kind == "rest" else (kind, k)
        order.append("x" if label == ("rest", "x") else have.index(label))
    return dimshuffle(part, *order)


@rewrites("gather")
def gather_in_order(node: Variable) -> Variable | None:
    """x[arange(n)] -> x where n is the size of that axis"""
    x, *indices = node.args
    if len(indices) != 1 or indices[0].ndim != 1:
        return None
    return x if counts_up(indices[0], x, node.attrs["axes"][0]) else None


# --- picks as arithmetic --------------------------------------------------------------


@rewrites("scatter")
def scatter_of_rows(node: Variable) -> Variable | None:
    """x[arange(n), y] += v -> x + switch(arange(m) == y, v, 0), with y checked

    Each row is written to once, so this is an elementwise operation.
    """
    x, value, *indices = node.args
    if node.attrs["axes"] != (0, 1) or x.ndim != 2 or value.ndim > 1:
        return None
    rows, columns = (pattern_of(i)[0] for i in indices)
    if not counts_up(rows, x, 0) or any(i.ndim != 1 for i in indices):
        return None
    if sizes(columns)[:1] != sizes(x)[:1] or columns.ndim != 1:
        return None
    if value.ndim == 1 and sizes(value)[0] not in (1, sizes(x)[0]):
        return None
    checked = checked_index(columns, dim(x, 1))
    here = eq(dimshuffle(arange(dim(x, 1)), "x", 0), dimshuffle(checked, 0, "x"))
    spread = dimshuffle(value, 0, "x") if value.ndim else value
    if node.attrs["mode"] == "set":
        return switch(here, spread, x)
    hot = switch(here, spread, Constant(0, x.dtype))
    return hot if uniform_value(x) == 0 and same_sizes(hot, x) else add(x, hot)


@rewrites("sum", on=("switch",))
def sum_of_one_hot(node: Variable) -> Variable | None:
    """sum(switch(arange(m) == checked(y, m), v, 0), axis) -> v, still with the check"""
    hot, axes = node.args[0], node.attrs["axes"]
    if not is_op(hot, "switch") or len(axes) != 1 or uniform_value(hot.args[2]) != 0:
        return None
    here, value, _ = hot.args
    if not is_op(here, "eq"):
        return None
    axis = axes[0]
    for line, position in (here.args, here.args[::-1]):
        index, pattern = pattern_of(position)
        if not (is_op(index, "checked_index") and counts_along(line, hot, axis)):
            continue
        if size_of(index.args[1]) != sizes(hot)[axis]:
            continue
        if position.ndim != hot.ndim or pattern[axis] != "x":
            continue
        if value.ndim and (value.ndim != hot.ndim or value.type.shape[axis] != 1):
            continue
        rest = [k for k in range(hot.ndim) if k != axis]
        found = dimshuffle(value, *rest) if value.ndim else value
        kept = switch(ge(dimshuffle(position, *rest), 0), found, Constant(0, hot.dtype))
        return kept if same_sizes(kept, node) else None
    return None


def counts_along(line: Variable, like: Variable, axis: int) -> bool:
    """Whether `line` is 0, 1, 2, ... along an axis of `like` and the same along the others."""
    pattern = pattern_of(line)[1]
    padded = ("x",) * (like.ndim - len(pattern)) + pattern
    return counts_up(line, like, axis) and padded[axis] != "x"


MOVEMENT: tuple[Rule, ...] = (
    gather_in_order, gather_of_elementwise, window_of_elementwise, gather_of_broadcast,
    gather_of_shuffled, scatter_of_rows, sum_of_one_hot, *TABLES,
)  # fmt: skip
