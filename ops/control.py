"""Ops that steer derivatives, and the op that computes an expression once per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.devices import CHOICES, device_name
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.graph import depending_on, substitute, toposort
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Expand, NullGradient, Op, Scalar, apply, declare
from graphc.ops.broadcast import alloc, zeros_like
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, clip
from graphc.ops.elementwise import round as round_
from graphc.ops.index import getitem
from graphc.ops.join import stack
from graphc.ops.reduce import sum as sum_

# --- ops that are the identity, but not to gradients ----------------------------------


def _identity(
    name: str, vjp: Callable[..., Any], jvp: Callable[..., Any] | None, formula: str
) -> Op:
    return declare(
        Op(
            name, lambda args, attrs: args[0].type, lambda x, **attrs: x,
            Expand(lambda x, **attrs: x), vjp=vjp, jvp=jvp, formula=formula,
        )
    )  # fmt: skip


_disconnected = _identity(
    "disconnected_grad", lambda g, out, x: (None,), lambda tangents, out, x: None,
    "x; the cost counts as independent of it",
)  # fmt: skip
_zero = _identity(
    "zero_grad", lambda g, out, x: (zeros_like(x),), lambda tangents, out, x: zeros_like(x),
    "x; its gradient is 0",
)  # fmt: skip


def _clip_vjp(g: Variable, out: Variable, x: Variable, low: float, high: float) -> Any:
    return (clip(g, low, high),)


def _clip_jvp(tangents: Any, out: Variable, x: Variable, low: float, high: float) -> Any:
    return tangents[0]


_grad_clip = _identity(
    "grad_clip", _clip_vjp, _clip_jvp, "x; its gradient is kept between two bounds"
)


def disconnected_grad(x: Any) -> Variable:
    """`x`, through which no gradient passes: a cost made of it alone is disconnected."""
    return apply(_disconnected, (as_variable(x),), {})


def zero_grad(x: Any) -> Variable:
    """`x`, with a gradient of zero."""
    return apply(_zero, (as_variable(x),), {})


def consider_constant(x: Any) -> Variable:
    """`x` taken for a constant by gradients: Theano's older name of `zero_grad`."""
    return zero_grad(x)


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """`x`, with its gradient kept between two bounds."""
    bounds = {"low": float(lower_bound), "high": float(upper_bound)}
    return apply(_grad_clip, (as_variable(x),), bounds)


_transfer = _identity(
    "transfer", lambda g, out, x, target: (g,), lambda tangents, out, x, target: tangents[0],
    "x; as a function's output, its result stays on a device",
)  # fmt: skip


def transfer(x: Any, target: str) -> Variable:
    """`x`; where it is an output of a function on a device, the result stays on `target`.

    Parameters
    ----------
    x : tensor
    target : {'cpu', 'cuda', 'cuda:1', ...}
        Theano's ``cuda0`` is ``cuda:0``. To the host is where results go by themselves, so
        ``transfer(x, "cpu")`` is `x`.

    Returns
    -------
    tensor
        Of the type of `x`. Gradients pass unchanged: all steps of a function, theirs too, run on
        its own device.

    Notes
    -----
    On the target ``cpu`` it is the identity. On ``cuda:0``, an output ``transfer(y, "cuda:0")``
    is what ``Out(y, device=True)`` is, a `graphc.DeviceArray`, and an output
    ``transfer(y, "cuda:1")`` one on the other device, by a copy that doesn't pass the host where
    the devices reach each other. Inside of a graph, only a function's own device makes sense:
    for another one, `function` raises a `TargetError`.

    Raises
    ------
    ArgumentError
        If `target` names no device.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> f = graphc.function([x], T.transfer(x * 2, "cuda:1"), target="cpu")
    >>> float(f(3.0))
    6.0
    """
    variable, name = as_variable(x), device_name(target)
    if name is None:
        raise ArgumentError(
            f"transfer: {describe(variable)} can't go to {target!r}",
            f"there is {CHOICES}", user_frames(),
        )  # fmt: skip
    if name != "cpu":
        return apply(_transfer, (variable,), {"target": name})
    while variable.op is _transfer:
        (variable,) = variable.args
    return variable


_scale = _identity(
    "grad_scale", lambda g, out, x, multiplier: (g * as_variable(multiplier, g.dtype),),
    lambda tangents, out, x, multiplier: tangents[0] * as_variable(multiplier, x.dtype),
    "x; its gradient is multiplied by a number",
)  # fmt: skip
_undefined = _identity(
    "undefined_grad", lambda g, out, x: (NullGradient("it was declared undefined"),), None,
    "x; it has no gradient",
)  # fmt: skip


def grad_scale(x: Any, multiplier: float) -> Variable:
    """`x`, with its gradient multiplied by a number; -1 reverses it.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.gradient import grad_scale
    >>> x = T.dscalar("x")
    >>> float(T.grad(grad_scale(x, -2.0) * 3, x).eval({x: 1.0}))
    -6.0
    """
    return apply(_scale, (as_variable(x),), {"multiplier": float(multiplier)})


def undefined_grad(x: Any) -> Variable:
    """`x`, through which a gradient may not be taken: asking for one is an error."""
    return apply(_undefined, (as_variable(x),), {})


def grad_undefined(op: Any, x_pos: int, x: Variable, comment: str = "") -> Any:
    """What a vjp returns for an operand for which mathematics has no gradient."""
    return NullGradient(comment or "it is not defined")


def grad_not_implemented(op: Any, x_pos: int, x: Variable, comment: str = "") -> Any:
    """What a vjp returns for an operand whose gradient nobody has written."""
    return NullGradient(comment or "it is not implemented")


class DisconnectedType:
    """Theano's way to say None: ``DisconnectedType()()`` is no gradient at all."""

    def __call__(self) -> None:
        return None


_straight = declare(
    Op(
        "straight_through", lambda args, attrs: args[0].type, lambda value, x: value,
        Expand(lambda value, x: value), vjp=lambda g, out, value, x: (None, g),
        jvp=lambda tangents, out, value, x: tangents[1],
        formula="value; the gradient goes to x unchanged", shape_only=(1,),
    )
)  # fmt: skip


def straight_through(value: Any, x: Any) -> Variable:
    """`value`, made of `x` in some way without a useful gradient; x gets that of the value.

    Y. Bengio, N. Leonard, A. Courville, "Estimating or propagating gradients through
    stochastic neurons for conditional computation" (2013).
    """
    made, source = as_variable(value), as_variable(x)
    if made.ndim != source.ndim:
        raise ShapeError(
            f"straight_through: {describe(made)} and {describe(source)} differ in rank",
            "a gradient passes unchanged between tensors of one shape", user_frames(),
        )  # fmt: skip
    return apply(_straight, (cast(made, source.dtype), source), {})


def straight_through_round(x: Any, mode: str = "half_to_even") -> Variable:
    """`x` rounded, with the gradient of x itself.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.gradient import straight_through_round
    >>> x = T.dscalar("x")
    >>> float(T.grad(straight_through_round(x) ** 2, x).eval({x: 1.75}))
    4.0
    """
    variable = as_variable(x)
    return straight_through(round_(variable, mode), variable)


# Not merged with what it copies, and not computed before what it waits for: see `checkpoint`.
_after = declare(
    Op(
        "after", lambda args, attrs: args[0].type, lambda x, *others: np.array(x), Scalar("{0}"),
        vjp=lambda g, out, x, *others: (g, *(None,) * len(others)),
        jvp=lambda tangents, out, x, *others: tangents[0],
        formula="x, once the other operands are there",
        facts={"folds": False, "widens": False},
    )
)  # fmt: skip


def after(x: Variable, other: Variable) -> Variable:
    """`x`, which can't be had before `other` is computed."""
    corner = getitem(other, (slice(0, 1),) * other.ndim) if other.ndim else other
    return apply(_after, (x, sum_(corner)), {})


# --- one expression per row -----------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """What `map_rows` computes for each row.

    Parameters
    ----------
    index : Variable
        Stands for the row's number, int64.
    row : Variable
        The row's value, an expression of `index` and `captured`.
    captured : tuple of Variable
        Stand for the operands after the first.
    pull : callable
        The vjp, given by who made the body, as ops know no reverse mode:
        ``(g, index, row, captured) -> gradients of captured, summed over rows``.
    """

    index: Variable
    row: Variable
    captured: tuple[Variable, ...]
    pull: Callable[..., Sequence[Variable | None]]


def _rows_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    body = attrs["body"]
    over, *given = args
    row = body.row
    if any(a.type != c.type for a, c in zip(given, body.captured)):
        typed = {c: Variable(a.type, where=()) if a.op else a for c, a in zip(body.captured, given)}
        (row,) = substitute([row], typed)
    return TensorType(row.dtype, (over.type.shape[0], *row.type.shape))


def _rows_numpy(over: Any, *given: Any, body: Body, interpret: Callable[..., Any]) -> Any:
    row_of = interpret([body.row], (body.index, *body.captured))
    rows = [row_of((np.asarray(k, "int64"), *given))[0] for k in range(len(over))]
    if rows:
        return np.stack(rows)
    typed = {c: Constant(v, where=()) for c, v in zip(body.captured, given)}
    (row,) = substitute([body.row], typed)
    return np.zeros((0, *(n or 0 for n in row.type.shape)), dtypes.numpy_dtype(row.dtype))


def _rows_expand(over: Variable, *given: Variable, body: Body) -> Variable:
    length = over.type.shape[0]
    if length is None:
        raise ShapeError(f"the length of {describe(over)} is not known")
    if length == 0:
        kind = _rows_infer((over, *given), {"body": body})
        return alloc(Constant(0, kind.dtype), [n or 0 for n in kind.shape])
    order = toposort([body.row], leaves=body.captured)
    rows = []
    for k in range(length):
        done = dict(zip(body.captured, given))
        done[body.index] = Constant(k, "int64")
        for v in order:
            if v not in done:
                parts = tuple(done[a] for a in v.args)
                done[v] = v if v.op is None else apply(v.op, parts, v.attrs)
        rows.append(done[body.row])
    return stack(rows)


def _rows_vjp(
    g: Variable, out: Variable, over: Variable, *given: Variable, body: Body
) -> tuple[Variable | None, ...]:
    grads = body.pull(g, over, given, body)
    return None, *grads


_map_rows = declare(
    Op(
        "map_rows", _rows_infer, _rows_numpy, Expand(_rows_expand), vjp=_rows_vjp,
        formula="row i is an expression of i, for each i below the length of x",
        shape_only=(0,), checks=True, facts={"interprets": True, "folds": False},
    )
)  # fmt: skip


def map_rows(over: Variable, index: Variable, row: Variable, pull: Any) -> Variable:
    """The values of `row` for each `index` below the length of `over`, one under the other.

    Parameters
    ----------
    over : Variable
        Of rank 1 or more; only its length counts.
    index : Variable
        An int64 scalar input in `row`.
    row : Variable
        An expression. What in it doesn't depend on `index` is computed once.
    pull : callable
        See `Body`.
    """
    order = toposort([row])
    inner = depending_on(order, {index})
    outside = [v for v in order if v not in inner and not isinstance(v, Constant)]
    read = {a for v in inner for a in v.args} | {row}
    captured = [v for v in outside if v in read]
    stand = {v: Variable(v.type, name=v.name, where=v.where) for v in captured}
    (inside,) = substitute([row], stand)
    body = Body(index, inside, tuple(stand.values()), pull)
    return apply(_map_rows, (over, *captured), {"body": body})
