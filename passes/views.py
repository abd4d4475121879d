"""Canonical forms of what moves elements or makes copies of them, and of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.node import Constant, Variable
from graphc.core.op import OPS, apply, static_int
from graphc.core.pattern import CONSTANT, ELEMENTWISE, Rule, rewrites, uniform_value
from graphc.ops.broadcast import alloc, broadcast_like, sum_like
from graphc.ops.shape import dim, dimshuffle, reshape
from graphc.passes.sizes import VALUE, Size, meet, only_source, same_sizes, size_of, sizes
from graphc.passes.windows import WINDOWS

BROADCASTS = ("broadcast_like", "alloc")
REDUCTIONS = ("sum", "prod", "max", "min", "all", "any")


def is_op(variable: Variable, *names: str) -> bool:
    """Whether a variable is an application of one of the ops so named."""
    return variable.op is not None and variable.op.name in names


# --- sizes ----------------------------------------------------------------------------


@rewrites("dim")
def dim_of_source(node: Variable) -> Variable | None:
    """dim(f(x), k) -> dim(x, j) or a number, where the size is known to come from there"""
    x, axis = node.args[0], node.attrs["axis"]
    size = sizes(x)[axis]
    if isinstance(size, int):
        return Constant(size, "int64")
    if len(size) != 1:
        return _dim_of_operand(x, size)
    ((source, k),) = size
    if k == VALUE:
        return source if source.dtype == "int64" else None
    return dim(source, k) if source is not x else None


def _dim_of_operand(x: Variable, size: Size) -> Variable | None:
    """The size of an operand's axis that comes from the same several sources."""
    for a in x.args:
        for k, n in enumerate(sizes(a)):
            if n == size:
                return dim(a, k)
    return None


@rewrites("maximum", on=("dim",))
def size_or_zero(node: Variable) -> Variable | None:
    """maximum(dim(x), 0) -> dim(x)"""
    for number, zero in (node.args, node.args[::-1]):
        if is_op(number, "dim") and static_int(zero) is not None and (static_int(zero) or 0) <= 0:
            return number
    return None


# --- axes in another order ------------------------------------------------------------


@rewrites("dimshuffle", on=("dimshuffle",))
def dimshuffle_twice(node: Variable) -> Variable | None:
    """dimshuffle(dimshuffle(x)) -> dimshuffle(x)"""
    inner = node.args[0]
    if not is_op(inner, "dimshuffle"):
        return None
    then, before = node.attrs["pattern"], inner.attrs["pattern"]
    return dimshuffle(inner.args[0], *("x" if p == "x" else before[p] for p in then))


@rewrites("dimshuffle")
def dimshuffle_in_order(node: Variable) -> Variable | None:
    """dimshuffle(x, 0, 1, ...) -> x"""
    x = node.args[0]
    return x if node.attrs["pattern"] == tuple(range(x.ndim)) else None


# --- reshapes -------------------------------------------------------------------------


@rewrites("reshape", on=("reshape",))
def reshape_twice(node: Variable) -> Variable | None:
    """reshape(reshape(x, a), b) -> reshape(x, b)"""
    inner = node.args[0]
    if not is_op(inner, "reshape"):
        return None
    return apply(OPS["reshape"], (inner.args[0], *node.args[1:]), {})


def wanted_sizes(node: Variable) -> list[Size | None]:
    """The shape that a reshape asks for; None for -1 and for integers that might be -1."""
    result: list[Size | None] = []
    for known, number in zip(node.type.shape, node.args[1:]):
        if known is not None:
            result.append(known)
        elif is_op(number, "dim"):
            result.append(size_of(number))
        else:
            result.append(None)
    return result


@rewrites("reshape")
def reshape_by_axes_of_one(node: Variable) -> Variable | None:
    """reshape(x, ...) -> dimshuffle(x, ...), or x, where only axes of size 1 come and go

    One size may be open, since all the others are equal.
    """
    x = node.args[0]
    old = [(k, n) for k, n in enumerate(sizes(x)) if n != 1]
    new = [n for n in wanted_sizes(node) if n != 1]
    if len(old) != len(new) or sum(n is None for n in new) > 1:
        return None
    if any(n is not None and n != m for n, (_, m) in zip(new, old)):
        return None
    order = iter(k for k, _ in old)
    return dimshuffle(x, *("x" if n == 1 else next(order) for n in wanted_sizes(node)))


@rewrites("reshape", on=("dimshuffle",))
def reshape_through_shuffled_ones(node: Variable) -> Variable | None:
    """reshape(dimshuffle(x), ...) -> reshape(x, ...) where only axes of size 1 moved"""
    inner = node.args[0]
    if not is_op(inner, "dimshuffle"):
        return None
    x = inner.args[0]
    kept = [p for p in inner.attrs["pattern"] if p != "x" and x.type.shape[p] != 1]
    if kept != sorted(kept) or not all(
        x.type.shape[k] == 1 for k in set(range(x.ndim)) - set(inner.attrs["pattern"])
    ):
        return None
    return reshape(x, node.args[1:])


# --- broadcasts -----------------------------------------------------------------------


@rewrites(*BROADCASTS)
def broadcast_to_own_shape(node: Variable) -> Variable | None:
    """broadcast_like(x, y) -> x, alloc(x, sizes) -> x, where x has that shape"""
    return node.args[0] if same_sizes(node.args[0], node) else None


@rewrites(*BROADCASTS)
def broadcast_twice(node: Variable) -> Variable | None:
    """broadcast(broadcast(x)) -> broadcast(x), also with leading axes put in between"""
    inner = node.args[0]
    if is_op(inner, *BROADCASTS):
        return apply_to_first(node, inner.args[0])
    if is_op(inner, "dimshuffle"):
        x, pattern = inner.args[0], inner.attrs["pattern"]
        rank = len(pattern) - x.ndim
        if rank > 0 and pattern == ("x",) * rank + tuple(range(x.ndim)):
            return apply_to_first(node, x)
    return None


def apply_to_first(node: Variable, x: Variable) -> Variable:
    """A node's op with another first operand."""
    assert node.op is not None
    return apply(node.op, (x, *node.args[1:]), node.attrs)


@rewrites("broadcast_like")
def broadcast_to_known_shape(node: Variable) -> Variable | None:
    """broadcast_like(x, y) -> alloc(x, sizes) where the sizes are known"""
    return alloc(node.args[0], *node.type.shape) if node.type.known else None


@rewrites("broadcast_like", "sum_like")
def like_source(node: Variable) -> Variable | None:
    """broadcast_like(x, f(y)) -> broadcast_like(x, y) where f keeps y's shape"""
    x, like = node.args
    source = only_source(like)
    if source is None:
        return None
    return broadcast_like(x, source) if is_op(node, "broadcast_like") else sum_like(x, source)


@rewrites(ELEMENTWISE, on=BROADCASTS)
def operand_without_broadcast(node: Variable) -> Variable | None:
    """f(broadcast(x), y) -> f(x, y) where y has the shape already"""
    args = list(node.args)
    target = None
    for k, a in enumerate(args):
        if not is_op(a, *BROADCASTS):
            continue
        if target is None:
            target = sizes(node)
        before = args[k]
        args[k] = a.args[0]
        if meet([sizes(b) for b in args]) != target:
            args[k] = before
    if all(a is b for a, b in zip(args, node.args)):
        return None
    assert node.op is not None
    return apply(node.op, args, node.attrs)


@rewrites(ELEMENTWISE, on=(CONSTANT, "dimshuffle", *BROADCASTS))
def operand_as_number(node: Variable) -> Variable | None:
    """f(x, full of c) -> f(x, c) where x has the shape already"""
    for k, a in enumerate(node.args):
        if not a.ndim or not (isinstance(a, Constant) or is_op(a, "dimshuffle", *BROADCASTS)):
            continue
        value = uniform_value(a)
        if value is None:
            continue
        args = [*node.args[:k], Constant(value, a.dtype), *node.args[k + 1 :]]
        if meet([sizes(b) for b in args]) == sizes(node):
            assert node.op is not None
            return apply(node.op, args, node.attrs)
    return None


@rewrites(ELEMENTWISE, on=BROADCASTS)
def broadcast_last(node: Variable) -> Variable | None:
    """f(broadcast(x)) -> broadcast(f(x)) for a function of one operand"""
    if len(node.args) != 1 or not is_op(node.args[0], *BROADCASTS):
        return None
    inner = node.args[0]
    assert node.op is not None
    return apply_to_first(inner, apply(node.op, (inner.args[0],), node.attrs))


@rewrites("dimshuffle", "reshape", "subtensor", on=BROADCASTS)
def view_of_scalar(node: Variable) -> Variable | None:
    """view(broadcast(scalar)) -> alloc(scalar, sizes) where the sizes are known"""
    inner = node.args[0]
    if not is_op(inner, *BROADCASTS) or inner.args[0].ndim or not node.type.known:
        return None
    if is_op(node, "subtensor") and not inner.type.known:
        return None  # whether the window fits is not certain
    return alloc(inner.args[0], *node.type.shape)


# --- sums -----------------------------------------------------------------------------


@rewrites("sum_like")
def sum_like_known(node: Variable) -> Variable | None:
    """sum_like(g, x) -> g, or its sum over certain axes, where it is known which these are"""
    g, like = node.args
    have, want = sizes(g), sizes(like)
    lead = g.ndim - like.ndim
    axes = list(range(lead))
    for k, n in enumerate(want):
        m = have[k + lead]
        if n == 1 and m != 1:
            axes.append(k + lead)
        elif n != m and not (isinstance(n, int) and n != 1):
            return None
    if not axes:
        return g
    total = apply(OPS["sum"], (g,), {"axes": tuple(axes)})
    kept = iter(range(total.ndim))
    order: list[Any] = ["x" if k + lead in axes else next(kept) for k in range(like.ndim)]
    return dimshuffle(total, *order)


@rewrites("sum", on=("sum",))
def sum_twice(node: Variable) -> Variable | None:
    """sum(sum(x, a), b) -> sum(x, a and b)"""
    inner = node.args[0]
    if not is_op(inner, "sum"):
        return None
    x = inner.args[0]
    rest = [k for k in range(x.ndim) if k not in inner.attrs["axes"]]
    axes = sorted((*inner.attrs["axes"], *(rest[k] for k in node.attrs["axes"])))
    return apply(OPS["sum"], (x,), {"axes": tuple(axes)})


@rewrites(*REDUCTIONS)
def reduction_of_ones(node: Variable) -> Variable | None:
    """reduce(x, axes) -> reduce(x, fewer axes): along an axis of size 1 nothing is to be done"""
    x, axes = node.args[0], node.attrs["axes"]
    single = tuple(k for k in axes if x.type.shape[k] == 1)
    if axes and not single:
        return None
    inner = dimshuffle(x, *(k for k in range(x.ndim) if k not in single))
    return reduce_over(node, inner, [k for k in axes if k not in single], x.ndim, single)


def reduce_over(
    node: Variable, x: Variable, axes: Sequence[int], ndim: int, dropped: Sequence[int]
) -> Variable:
    """A reduction of x, whose `dropped` axes are gone, over axes counted before that."""
    place = {k: j for j, k in enumerate(k for k in range(ndim) if k not in dropped)}
    if not axes:
        return x
    assert node.op is not None
    return apply(node.op, (x,), {**node.attrs, "axes": tuple(place[k] for k in axes)})


@rewrites(*REDUCTIONS, on=("dimshuffle",))
def reduction_of_shuffled(node: Variable) -> Variable | None:
    """reduce(dimshuffle(x)) -> dimshuffle(reduce(x))"""
    inner = node.args[0]
    if not is_op(inner, "dimshuffle"):
        return None
    x, pattern, axes = inner.args[0], inner.attrs["pattern"], node.attrs["axes"]
    if any(x.type.shape[k] != 1 for k in range(x.ndim) if k not in pattern):
        return None
    over = sorted(pattern[k] for k in axes if pattern[k] != "x")
    kept = [k for k in range(x.ndim) if k not in over]
    order = [pattern[k] for k in range(len(pattern)) if k not in axes]
    assert node.op is not None
    total = apply(node.op, (x,), {**node.attrs, "axes": tuple(over)}) if over else x
    return dimshuffle(total, *("x" if p == "x" else kept.index(p) for p in order))


@rewrites("sum", on=BROADCASTS)
def sum_of_constant(node: Variable) -> Variable | None:
    """sum(broadcast(number)) -> broadcast(number * how many)"""
    x, axes = node.args[0], node.attrs["axes"]
    value = uniform_value(x) if is_op(x, *BROADCASTS) else None
    if value is None or not node.type.known or not dtypes.is_continuous(node.dtype):
        return None
    count = 1
    for k in axes:
        size = x.type.shape[k]
        if size is None:
            return None
        count *= size
    return alloc(Constant(value * count, node.dtype), *node.type.shape)


VIEWS: tuple[Rule, ...] = (
    dim_of_source, size_or_zero, dimshuffle_twice, dimshuffle_in_order, reshape_twice,
    reshape_by_axes_of_one, reshape_through_shuffled_ones, broadcast_to_own_shape,
    broadcast_twice, broadcast_to_known_shape, like_source, operand_without_broadcast,
    operand_as_number, broadcast_last, view_of_scalar, sum_like_known, sum_twice, reduction_of_ones,
    reduction_of_shuffled, sum_of_constant, *WINDOWS,
)  # fmt: skip
