"""Rows of a table, many of them the same: each is worked on once.

An embedding picks a row of a small table for each place of a text. A product with such rows
has as many different rows as the table, and its gradients need, for each row of the table, the
sum over the places that picked it.
"""

from __future__ import annotations

from math import prod

from graphc.core.node import Constant, Variable
from graphc.core.op import OPS, apply
from graphc.core.pattern import Rule, rewrites, uniform_value
from graphc.ops.broadcast import alloc
from graphc.ops.elementwise import gt, switch
from graphc.ops.linalg import matrix_product
from graphc.ops.shape import dimshuffle, reshape
from graphc.passes.views import is_op

OFTEN = 2  # picks of each row, on average, from which on a rule saves anything
DEEP = 16  # multiply-adds of an element that is moved instead; fewer cost no more


def picked_rows(v: Variable) -> tuple[Variable, Variable] | None:
    """A table and the places of its rows, of which `v` has one under the other; or None."""
    inner = v.args[0] if is_op(v, "reshape") else v
    if not is_op(inner, "gather") or inner.attrs["axes"] != (0,):
        return None
    table, index = inner.args
    if table.ndim != 2 or not all(x.type.known for x in (v, table, index)):
        return None
    size = index.type.size or 0
    return (table, index) if v.type.shape == (size, table.type.shape[1]) else None


def often(table: Variable, index: Variable, deep: int | None) -> bool:
    """Whether rows are picked so often that each is better worked on once."""
    rows = table.type.shape[0] or 0
    return (index.type.size or 0) >= OFTEN * rows and (deep or 0) >= DEEP


def rows_summed(value: Variable, index: Variable, rows: int | None) -> Variable:
    """For each row of a table, the sum of the rows of `value` where it was picked."""
    zeros = alloc(Constant(0, value.dtype), rows, value.type.shape[1])
    spread = reshape(value, [*index.type.shape, value.type.shape[1]])
    return apply(OPS["scatter"], (zeros, spread, index), {"axes": (0,), "mode": "inc"})


def where_picked(x: Variable, index: Variable) -> Variable:
    """The rows of `x` that are picked; zeros for others, whatever they hold."""
    nothing = Constant(0, x.dtype)
    marks = alloc(nothing, x.type.shape[0])
    picked = apply(
        OPS["scatter"], (marks, Constant(1, x.dtype), index), {"axes": (0,), "mode": "set"}
    )
    return switch(gt(dimshuffle(picked, 0, "x"), nothing), x, nothing)


@rewrites("dot")
def product_of_picked_rows(node: Variable) -> Variable | None:
    """table[i] @ w -> (table @ w)[i] where rows are picked often"""
    left, right = node.args
    found = picked_rows(left) if right.ndim == 2 and right.type.known else None
    if found is None or not often(*found, left.type.shape[1]):
        return None
    table, index = found
    rows = apply(OPS["gather"], (matrix_product(table, right), index), {"axes": (0,)})
    return reshape(rows, [*node.type.shape])


@rewrites("dot", on=("dimshuffle",))
def product_with_picked_rows(node: Variable) -> Variable | None:
    """table[i].T @ v -> table.T @ (0[i] += v) where rows are picked often"""
    left, right = node.args
    if not is_op(left, "dimshuffle") or left.attrs["pattern"] != (1, 0):
        return None
    found = picked_rows(left.args[0]) if right.ndim == 2 and right.type.known else None
    if found is None or not often(*found, left.type.shape[0]):
        return None
    table, index = found
    summed = rows_summed(right, index, table.type.shape[0])
    return matrix_product(dimshuffle(where_picked(table, index), 1, 0), summed)


@rewrites("scatter")
def scatter_of_product(node: Variable) -> Variable | None:
    """0[i] += v @ w -> (0[i] += v) @ w where rows are picked often"""
    target, value, *indices = node.args
    if len(indices) != 1 or node.attrs != {"axes": (0,), "mode": "inc"} or target.ndim != 2:
        return None
    product, index = value.args[0] if is_op(value, "reshape") else value, indices[0]
    known = all(x.type.known for x in (target, value, index))
    if not known or not is_op(product, "dot") or uniform_value(target) != 0:
        return None
    left, right = product.args
    whole = value.type.shape == (*index.type.shape, target.type.shape[1])
    if not whole or left.ndim != 2 or right.ndim != 2 or not left.type.known:
        return None
    if prod(index.type.shape) != left.type.shape[0]:  # type: ignore[arg-type]
        return None
    if not often(target, index, target.type.shape[1]):
        return None
    summed = rows_summed(left, index, target.type.shape[0])
    return where_picked(matrix_product(summed, right), index)


TABLES: tuple[Rule, ...] = (product_of_picked_rows, product_with_picked_rows, scatter_of_product)
