"""Reverse mode: gradients by vjps, in one sweep.

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
from graphc.core.graph import ancestors, depending_on, toposort
from graphc.core.node import (
    Constant,
    SharedVariable,
    Variable,
    describe,
    made_at,
    user_frames,
)
from graphc.core.op import NullGradient
from graphc.core.packed import Packed, differentiable
from graphc.ops.broadcast import broadcast_like, sum_like, zeros_like
from graphc.ops.complexes import conj, real
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import add, cast, mul, neg
from graphc.ops.scan import is_scan, key_of
from graphc.passes.loop_gradient import pull
from graphc.passes.stable_forms import stable_forms


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
    if any(isinstance(w, Packed) for w in (wrt if isinstance(wrt, list | tuple) else [wrt])):
        dense = grad(cost, differentiable(wrt), differentiable(consider_constant),
                     disconnected_inputs, add_names, differentiable(known_grads),
                     return_disconnected, null_gradients)  # fmt: skip
        return _repacked(wrt, dense)
    consider_constant, known_grads = differentiable(consider_constant), differentiable(known_grads)
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
            g = in_shape(g, w)
            if add_names and g.name is None and cost is not None and cost.name and w.name:
                g.name = f"(d{cost.name}/d{w.name})"
        results.append(g)
    results = _keep_inputs(targets, results)
    if single:
        return results[0]
    return tuple(results) if isinstance(wrt, tuple) else results


def _repacked(wrt: Any, found: Any) -> Any:
    """The gradients of packed variables in the form of these."""
    if isinstance(wrt, Packed):
        return None if found is None else wrt.with_values(found)
    if isinstance(wrt, list | tuple):
        return type(wrt)(_repacked(w, g) for w, g in zip(wrt, found))
    return found


def _keep_inputs(targets: list[Variable], results: list[Any]) -> list[Any]:
    """Gradients that don't need their input, as that of ``2 * x``, depend on it all the same.

    Or else ``function([x], grad(2 * x, x))`` would complain that `x` is not used. Where
    sizes are open the gradient needs them, so only inputs of known sizes are looked at.
    """
    fixed = [
        w for w in targets
        if w.op is None and w.type.known and not isinstance(w, SharedVariable)
    ]  # fmt: skip
    if not fixed:
        return results
    seen = ancestors(g for g in results if g is not None)
    return [
        broadcast_like(g, w, always=True) if w in fixed and w not in seen and g is not None else g
        for w, g in zip(targets, results)
    ]


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
        warnings.warn(what, stacklevel=3)
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
    loops = _Loops(order)
    for variable in reversed(order):
        parts = found.pop(variable, None)
        if parts is None or variable not in on_path:
            for a, ga in loops.pulled(variable, None, on_path):
                found.setdefault(a, []).append(ga)
            continue
        with made_at(variable.where):
            g = total(parts)
            if variable in wanted:
                result[variable] = g
            if variable in loops.first:
                pulled = loops.pulled(variable, None if variable in blocked else g, on_path)
            elif variable.op is None or variable in blocked:
                continue
            elif variable in forms:
                pulled = _pull_form(forms[variable], g, known, on_path)
            else:
                pulled = _pull(variable, g, on_path)
            for a, ga in pulled:
                if a not in blocked:
                    found.setdefault(a, []).append(ga)
    return result


class _Loops:
    """Results of one loop, whose adjoints go through it together.

    They have the same operands, so the first of them in order comes after all that reads any
    of them when the order is walked backwards.
    """

    def __init__(self, order: Sequence[Variable]) -> None:
        self.first: dict[Variable, Variable] = {}
        found: dict[Any, Variable] = {}
        for v in order:
            if is_scan(v):
                self.first[v] = found.setdefault(key_of(v), v)
        self.waiting: dict[Variable, dict[Variable, Variable]] = {}

    def pulled(
        self, v: Variable, g: Variable | None, on_path: Collection[Variable]
    ) -> list[tuple[Variable, Variable]]:
        """The adjoints of the operands, at the last result to come; before that nothing."""
        first = self.first.get(v)
        if first is None:
            return []
        waiting = self.waiting.setdefault(first, {})
        if g is not None and dtypes.is_continuous(v.dtype):
            waiting[v] = g
        if v is not first or not waiting:
            return []
        with made_at(v.where):
            return [(a, in_shape(ga, a)) for a, ga in pull(waiting, on_path, reverse)]


def _pull(
    variable: Variable, g: Variable, on_path: Collection[Variable]
) -> list[tuple[Variable, Variable]]:
    """An adjoint carried over to the operands."""
    return [
        (a, in_shape(ga, a))
        for a, ga in zip(variable.args, _vjp(variable, g, on_path))
        if ga is not None and a in on_path
    ]


def _pull_form(
    form: Variable, g: Variable, known: Collection[Variable], on_path: Collection[Variable]
) -> list[tuple[Variable, Variable]]:
    """An adjoint carried through a stable form down to the `known` variables it is made of."""
    order = toposort([form], leaves=known)
    inner_path = depending_on(order, on_path)
    found: dict[Variable, list[Variable]] = {form: [in_shape(g, form)]}
    result = []
    for variable in reversed(order):
        parts = found.pop(variable, None)
        if parts is None or variable not in inner_path:
            continue
        if variable in known:
            result.append((variable, total(parts)))
            continue
        for a, ga in _pull(variable, total(parts), inner_path):
            found.setdefault(a, []).append(ga)
    return result


def total(parts: list[Variable]) -> Variable:
    """The sum of the gradients of several uses."""
    total = parts[0]
    for p in parts[1:]:
        total = add(total, p)
    return total


def in_shape(g: Variable, x: Variable) -> Variable:
    """A gradient in the dtype and shape of what it is a gradient of."""
    if g.dtype != x.dtype:
        g = cast(g if x.dtype in dtypes.COMPLEX else real(g), x.dtype)
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
            times(g, partial, variable, args, adjoint=True) if a in on_path else None
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
    grads: Sequence[Any] = op.vjp(g, variable, *args, **variable.attrs)
    for a, ga in zip(args, grads):
        if isinstance(ga, NullGradient) and a in on_path:
            raise NullGradientError(
                f"{op.name} has no gradient for {describe(a)}: {ga.why}", at=variable.where
            )
    return [None if isinstance(ga, NullGradient) else ga for ga in grads]


def times(
    g: Variable, partial: Any, variable: Variable, args: tuple[Variable, ...],
    adjoint: bool = False,
) -> Variable | None:  # fmt: skip
    """``g`` times a partial derivative, which may be a number; its conjugate in an adjoint."""
    derivative = partial(variable, *args)
    if not isinstance(derivative, Variable):
        if derivative in (0, 1, -1):
            return {0: None, 1: g, -1: neg(g) if derivative == -1 else None}[derivative]
    return mul(g, conj(derivative) if adjoint and isinstance(derivative, Variable) else derivative)


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
