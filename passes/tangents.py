"""Forward mode: tangents by jvps, in one sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import DisconnectedInputError, NullGradientError, ShapeError
from graphc.core.graph import substitute, toposort
from graphc.core.node import Variable, describe, made_at, user_frames
from graphc.core.op import NullGradient
from graphc.ops.broadcast import broadcast_like, zeros_like
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast
from graphc.ops.scan import is_scan, key_of
from graphc.passes.autodiff import reverse, times, total
from graphc.passes.loop_gradient import push


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
    order = toposort(outputs)
    pushed: dict[Any, dict[Variable, Variable]] = {}
    for variable in order:
        if variable in found or variable.op is None:
            continue
        if is_scan(variable):
            key = key_of(variable)
            if key not in pushed:
                pushed[key] = _through_loop([v for v in order if is_scan(v) and key_of(v) == key],
                                            found)  # fmt: skip
            if variable in pushed[key]:
                found[variable] = pushed[key][variable]
            continue
        parts = [found.get(a) for a in variable.args]
        if all(p is None for p in parts) or not dtypes.is_continuous(variable.dtype):
            continue
        with made_at(variable.where):
            t = _jvp(variable, parts)
        if t is not None:
            found[variable] = _spread(t, variable)
    return found


def _through_loop(
    results: Sequence[Variable], found: Mapping[Variable, Variable]
) -> dict[Variable, Variable]:
    """The tangents of all results of one loop."""
    operands = {a: _spread(found[a], a) for a in results[0].args if a in found}
    if not any(dtypes.is_continuous(a.dtype) for a in operands):
        return {}
    with made_at(results[0].where):
        return push(results, operands, forward)


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
            times(t, partial, variable, args)
            for t, partial in zip(tangents, op.partials)
            if t is not None
        ]
        present = [p for p in parts if p is not None]
        return total(present) if present else None
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
    for p, t, a in zip(pulled, tangents, args):
        if isinstance(p, NullGradient) and t is not None:
            raise NullGradientError(
                f"{op.name} has no derivative for {describe(a)}: {p.why}", at=variable.where
            )
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
