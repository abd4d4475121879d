"""Matrices of derivatives, made of one gradient per element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import GradientError
from graphc.core.graph import substitute
from graphc.core.node import TensorType, Variable, describe
from graphc.ops.control import Body, map_rows
from graphc.ops.index import getitem
from graphc.ops.join import stack
from graphc.ops.reduce import sum as sum_
from graphc.passes.autodiff import grad, in_shape, reverse


def jacobian(
    expression: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivatives of every element of a vector, or of a scalar.

    Row i is the gradient of element i, so the result has rank ``1 + wrt.ndim``.
    """
    if expression.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    if expression.ndim > 1:
        raise GradientError(
            f"jacobian takes a vector, not {describe(expression)}", "flatten it", expression.where
        )
    single = isinstance(wrt, Variable)
    targets: list[Variable] = [wrt] if isinstance(wrt, Variable) else list(wrt)
    length = expression.type.shape[0]
    if length is None:
        results = [
            _rows_of_jacobian(expression, w, consider_constant, disconnected_inputs)
            for w in targets
        ]
    else:
        rows = [
            grad(getitem(expression, i), targets, consider_constant, disconnected_inputs)
            for i in range(length)
        ]
        results = [stack([row[k] for row in rows]) for k in range(len(targets))]
    if single:
        return results[0]
    return tuple(results) if isinstance(wrt, tuple) else results


def _rows_of_jacobian(
    expression: Variable,
    wrt: Variable,
    consider_constant: Sequence[Variable] | None,
    disconnected_inputs: str,
) -> Variable:
    """The Jacobian of a vector whose length is not known: one gradient per element."""
    index = Variable(TensorType("int64", ()), name="row")
    row = grad(getitem(expression, index), wrt, consider_constant, disconnected_inputs)
    return map_rows(expression, index, row, pull_rows)


def pull_rows(
    g: Variable, over: Variable, given: Sequence[Variable], body: Body
) -> list[Variable | None]:
    """The gradients of what a `map_rows` captured: those of each row, summed."""
    seeds = {body.row: getitem(g, body.index)}
    targets = [c for c in body.captured if dtypes.is_continuous(c.dtype)]
    adjoints = reverse(seeds, targets)
    outside = dict(zip(body.captured, given))
    grads: list[Variable | None] = []
    for c in body.captured:
        row = adjoints.get(c)
        if row is None:
            grads.append(None)
            continue
        (inside,) = substitute([in_shape(row, c)], outside)
        grads.append(sum_(map_rows(over, body.index, inside, pull_rows), 0))
    return grads


def hessian(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The matrix of second derivatives of a scalar with respect to vectors."""
    single = isinstance(wrt, Variable)
    targets: list[Variable] = [wrt] if isinstance(wrt, Variable) else list(wrt)
    for w in targets:
        if w.ndim != 1:
            raise GradientError(f"hessian is for vectors, not {describe(w)}", at=w.where)
    results = [
        jacobian(
            grad(cost, w, consider_constant, disconnected_inputs),
            w, consider_constant, disconnected_inputs,
        )
        for w in targets
    ]  # fmt: skip
    return results[0] if single else results
