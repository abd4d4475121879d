"""Symbolic derivatives: reverse mode by vjps, forward mode by jvps.

This is the only place that sums gradients over axes along which an operand was
broadcast, and that adds up the gradients of several uses.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import (
    ArgumentError,
    DisconnectedInputError,
    GradientError,
    NullGradientError,
    ShapeError,
)
from graphc.core.graph import depending_on, substitute, toposort
from graphc.core.node import Constant, TensorType, Variable, describe, made_at, user_frames
from graphc.ops.control import Body, map_rows
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import add, cast, mul, neg
from graphc.ops.index import getitem
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import broadcast_like, stack, sum_like, zeros_like
from graphc.passes.stable_forms import stable_forms


class NullGradient:
    """What a vjp returns for an operand through which no derivative exists."""

    def __init__(self, why: str) -> None:
        self.why = why


def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """The gradient of a scalar with respect to one variable or several.

    Parameters
    ----------
    cost : scalar variable or None
        What is differentiated; None if `known_grads` says all there is.
    wrt : variable or sequence of them
        May be inner variables: only the paths through that very variable count.
    consider_constant : sequence of variables, optional
        Through these no gradient passes.
    disconnected_inputs : {'raise', 'warn', 'ignore'}
        What happens when `cost` doesn't depend on a `wrt`; its gradient is then zero.
    known_grads : mapping, optional
        Gradients of inner variables, for a cost that lies outside of the graph.

    Returns
    -------
    variable or list of variables
        In the form of `wrt`, each with its dtype and shape.

    Raises
    ------
    GradientError, DisconnectedInputError, NullGradientError

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> float(graphc.grad(x**3, x).eval({x: 2.0}))
    12.0
    """
    single = isinstance(wrt, Variable)
    targets: list[Variable] = [wrt] if isinstance(wrt, Variable) else list(wrt)
    seeds = _seeds(cost, known_grads)
    for w in targets:
        _check_target(w)
    adjoints = reverse(seeds, targets, consider_constant or ())
    results = []
    for w in targets:
        g = adjoints.get(w)
        if g is None:
            _report_disconnected(cost, w, disconnected_inputs)
            g = None if return_disconnected.lower() == "none" else zeros_like(w)
        if g is not None:
            g = _in_shape(g, w)
            if add_names and g.name is None and cost is not None and cost.name and w.name:
                g.name = f"(d{cost.name}/d{w.name})"
        results.append(g)
    if single:
        return results[0]
    return tuple(results) if isinstance(wrt, tuple) else results


def _seeds(cost: Any, known: Mapping[Variable, Any] | None) -> dict[Variable, Variable]:
    seeds: dict[Variable, Variable] = {}
    if cost is None and not known:
        raise ArgumentError("grad needs a cost or known_grads", at=user_frames())
    if cost is not None:
        cost = as_variable(cost)
        if cost.ndim != 0:
            raise GradientError(
                f"the cost {describe(cost)} is not a scalar",
                "sum or mean it, or use jacobian", cost.where or user_frames(),
            )  # fmt: skip
        if not dtypes.is_float(cost.dtype):
            raise GradientError(
                f"the cost {describe(cost)} is not a real float, so it has no gradient",
                at=cost.where or user_frames(),
            )
        seeds[cost] = Constant(1, cost.dtype)
    for variable, g in (known or {}).items():
        value = as_variable(g)
        if value.ndim != variable.ndim:
            raise ShapeError(
                f"known_grads: {describe(value)} is no gradient of {describe(variable)}",
                at=user_frames(),
            )
        value = cast(value, variable.dtype)
        seeds[variable] = add(seeds[variable], value) if variable in seeds else value
    return seeds


def _check_target(w: Any) -> None:
    if not isinstance(w, Variable):
        raise ArgumentError(f"grad: {w!r} is not a variable", at=user_frames())
    if not dtypes.is_continuous(w.dtype):
        raise GradientError(
            f"{describe(w)} is discrete: nothing has a gradient with respect to it",
            "declare it with a float dtype", w.where,
        )  # fmt: skip


def _report_disconnected(cost: Any, w: Variable, action: str) -> None:
    label = describe(cost) if cost is not None else "known_grads"
    what, where = f"{label} does not depend on {describe(w)}", w.where
    wall = _discrete_between(cost, w) if cost is not None else None
    if wall is not None:
        what = f"{label} depends on {describe(w)} only through {describe(wall)}, which is "
        what, where = what + "discrete: no gradient passes", wall.where
    if action == "raise":
        raise DisconnectedInputError(
            what, "leave it out of wrt, or pass disconnected_inputs='ignore' for a zero", where
        )
    if action == "warn":
        warnings.warn(what, stacklevel=4)
    elif action != "ignore":
        raise ArgumentError(
            f"disconnected_inputs is 'raise', 'warn' or 'ignore', not {action!r}",
            at=user_frames(),
        )


def _discrete_between(cost: Variable, w: Variable) -> Variable | None:
    """The first discrete variable on the way from `w` to the cost, if there is one."""
    order = toposort([cost])
    dependent = depending_on(order, {w})
    for variable in order:
        if variable in dependent and not dtypes.is_continuous(variable.dtype):
            return variable
    return None


def reverse(
    seeds: Mapping[Variable, Variable],
    targets: Collection[Variable],
    constants: Collection[Variable] = (),
) -> dict[Variable, Variable]:
    """The adjoints of `targets`, from those of `seeds`, in one backward sweep."""
    order = toposort(seeds)
    wanted, blocked = set(targets), set(constants)
    on_path = depending_on([v for v in order if v not in blocked], wanted)
    found: dict[Variable, list[Variable]] = {v: [g] for v, g in seeds.items()}
    result: dict[Variable, Variable] = {}
    known = set(order)
    forms = stable_forms(order, wanted | blocked)
    for variable in reversed(order):
        parts = found.pop(variable, None)
        if parts is None or variable not in on_path:
            continue
        with made_at(variable.where):
            g = _total(parts)
            if variable in wanted:
                result[variable] = g
            if variable.op is None or variable in blocked:
                continue
            form = forms.get(variable)
            pulled = (
                _pull(variable, g, on_path) if form is None else _pull_form(form, g, known, on_path)
            )
            for a, ga in pulled:
                if a not in blocked:
                    found.setdefault(a, []).append(ga)
    return result


def _pull(
    variable: Variable, g: Variable, on_path: Collection[Variable]
) -> list[tuple[Variable, Variable]]:
    """An adjoint carried over to the operands."""
    return [
        (a, _in_shape(ga, a))
        for a, ga in zip(variable.args, _vjp(variable, g, on_path))
        if ga is not None and a in on_path
    ]


def _pull_form(
    form: Variable, g: Variable, known: Collection[Variable], on_path: Collection[Variable]
) -> list[tuple[Variable, Variable]]:
    """An adjoint carried through a stable form down to the `known` variables it is made of."""
    order = toposort([form], leaves=known)
    inner_path = depending_on(order, on_path)
    found: dict[Variable, list[Variable]] = {form: [_in_shape(g, form)]}
    result = []
    for variable in reversed(order):
        parts = found.pop(variable, None)
        if parts is None or variable not in inner_path:
            continue
        if variable in known:
            result.append((variable, _total(parts)))
            continue
        for a, ga in _pull(variable, _total(parts), inner_path):
            found.setdefault(a, []).append(ga)
    return result


def _total(parts: list[Variable]) -> Variable:
    """The sum of the gradients of several uses."""
    total = parts[0]
    for p in parts[1:]:
        total = add(total, p)
    return total


def _in_shape(g: Variable, x: Variable) -> Variable:
    """A gradient in the dtype and shape of what it is a gradient of."""
    if g.dtype != x.dtype:
        g = cast(g, x.dtype)
    if g.type.shape == x.type.shape and g.type.known:
        return g
    if g is x or _same_shape(g, x):
        return g
    if g.ndim < x.ndim or (g.op is None and g.ndim == 0 and x.ndim == 0):
        return broadcast_like(g, x) if x.ndim else g
    return g if x.ndim == 0 == g.ndim else sum_like(g, x)


def _same_shape(g: Variable, x: Variable) -> bool:
    """Whether two variables certainly have one shape: cheap cases that occur all the time."""
    if g.ndim != x.ndim:
        return False
    if g.op is not None and g.op.name == "broadcast_like":
        return g.args[1] is x or _same_shape(g.args[1], x)
    if x.op is not None and x.op.elementwise and len(x.args) == 1:
        return _same_shape(g, x.args[0]) if g is not x.args[0] else True
    if g.op is not None and g.op.name in ("update_subtensor", "scatter", "softmax"):
        return g.args[0] is x or _same_shape(g.args[0], x)
    return False


def _vjp(
    variable: Variable, g: Variable, on_path: Collection[Variable]
) -> Sequence[Variable | None]:
    op, args = variable.op, variable.args
    assert op is not None
    if not dtypes.is_continuous(variable.dtype):
        return (None,) * len(args)
    if op.partials:
        return [
            _times(g, partial, variable, args) if a in on_path else None
            for a, partial in zip(args, op.partials)
        ]
    if op.vjp is None:
        if any(a in on_path and dtypes.is_continuous(a.dtype) for a in args):
            raise NullGradientError(
                f"{op.name} has no gradient, and the cost depends on "
                f"{', '.join(describe(a) for a in args if a in on_path)} through it",
                "use consider_constant or disconnected_grad where it may count as constant",
                variable.where,
            )
        return (None,) * len(args)
    grads = op.vjp(g, variable, *args, **variable.attrs)
    for a, ga in zip(args, grads):
        if isinstance(ga, NullGradient) and a in on_path:
            raise NullGradientError(
                f"{op.name} has no gradient for {describe(a)}: {ga.why}", at=variable.where
            )
    return [None if isinstance(ga, NullGradient) else ga for ga in grads]


def _times(
    g: Variable, partial: Any, variable: Variable, args: tuple[Variable, ...]
) -> Variable | None:
    """``g`` times a partial derivative, which may be a number."""
    derivative = partial(variable, *args)
    if not isinstance(derivative, Variable):
        if derivative in (0, 1, -1):
            return {0: None, 1: g, -1: neg(g) if derivative == -1 else None}[derivative]
    return mul(g, derivative)


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
        (inside,) = substitute([_in_shape(row, c)], outside)
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


def Lop(
    f: Variable | Sequence[Variable],
    wrt: Variable | Sequence[Variable],
    eval_points: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """``eval_points^T  df/dwrt``: a vector times the Jacobian."""
    outputs = [f] if isinstance(f, Variable) else list(f)
    points = [eval_points] if not isinstance(eval_points, list | tuple) else list(eval_points)
    known: dict[Variable, Any] = {}
    for o, p in zip(outputs, points, strict=True):
        value = cast(as_variable(p), o.dtype)
        known[o] = add(known[o], value) if o in known else value
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def Rop(
    f: Variable | Sequence[Variable],
    wrt: Variable | Sequence[Variable],
    eval_points: Variable | Sequence[Variable],
    disconnected_outputs: str = "raise",
) -> Any:
    """``df/dwrt  eval_points``: the Jacobian times a vector, in one forward sweep."""
    outputs = [f] if isinstance(f, Variable) else list(f)
    targets = [wrt] if isinstance(wrt, Variable) else list(wrt)
    points = [eval_points] if not isinstance(eval_points, list | tuple) else list(eval_points)
    tangents: dict[Variable, Variable] = {}
    for w, p in zip(targets, points, strict=True):
        value = cast(as_variable(p), w.dtype)
        if value.ndim != w.ndim:
            raise ShapeError(
                f"Rop: {describe(value)} is no direction for {describe(w)}", at=user_frames()
            )
        tangents[w] = value
    found = forward(outputs, tangents)
    results = []
    for o in outputs:
        t = found.get(o)
        if t is None:
            if disconnected_outputs == "raise":
                raise DisconnectedInputError(
                    f"{describe(o)} depends on none of the variables", at=o.where
                )
            t = zeros_like(o)
        results.append(_spread(t, o))
    return results[0] if isinstance(f, Variable) else results


def forward(
    outputs: Sequence[Variable], tangents: Mapping[Variable, Variable]
) -> dict[Variable, Variable]:
    """The tangents of everything that `outputs` need, from those of some variables."""
    found: dict[Variable, Variable] = dict(tangents)
    for variable in toposort(outputs):
        if variable in found or variable.op is None:
            continue
        parts = [found.get(a) for a in variable.args]
        if all(p is None for p in parts) or not dtypes.is_continuous(variable.dtype):
            continue
        with made_at(variable.where):
            t = _jvp(variable, parts)
        if t is not None:
            found[variable] = _spread(t, variable)
    return found


def _spread(t: Variable, like: Variable) -> Variable:
    if t.dtype != like.dtype:
        t = cast(t, like.dtype)
    if t.type.shape == like.type.shape and t.type.known:
        return t
    return broadcast_like(t, like)


def _jvp(variable: Variable, tangents: Sequence[Variable | None]) -> Variable | None:
    op, args = variable.op, variable.args
    assert op is not None
    if op.partials:
        parts = [
            _times(t, partial, variable, args)
            for t, partial in zip(tangents, op.partials)
            if t is not None
        ]
        present = [p for p in parts if p is not None]
        return _total(present) if present else None
    if op.jvp is not None:
        return op.jvp(tangents, variable, *args, **variable.attrs)
    return _jvp_by_vjp(variable, tangents)


def _jvp_by_vjp(variable: Variable, tangents: Sequence[Variable | None]) -> Variable | None:
    """J t from the vjp alone: u -> u J is linear, and its own adjoint applied to t is J t."""
    op, args = variable.op, variable.args
    if op is None or op.vjp is None:
        label = op.name if op is not None else "?"
        raise NullGradientError(f"{label} has no derivative", at=variable.where)
    u = Variable(variable.type, name="u")
    pulled = op.vjp(u, variable, *args, **variable.attrs)
    known = {
        _own(p): cast(_spread(t, a), a.dtype)
        for p, t, a in zip(pulled, tangents, args)
        if isinstance(p, Variable) and t is not None
    }
    if not known:
        return None
    pushed = reverse(known, [u]).get(u)
    if pushed is None:
        return None
    # What is left of u is its shape, which is the variable's own.
    around = {v: v for v in (variable, *args, *tangents) if v is not None}
    (result,) = substitute([pushed], {**around, u: variable})
    return result


def _own(p: Variable) -> Variable:
    """A variable of its own, so that equal pulled-back gradients don't share a key."""
    return Variable(p.type, p.op, p.args, p.attrs, where=p.where) if p.op is not None else p
