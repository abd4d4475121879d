"""Running products, and what their derivatives are made of; no division, so zeros are fine.

Elements are counted along one axis, or along several in C order, forwards or backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core.node import Variable
from graphc.core.op import Op, Running, apply, declare
from graphc.ops.complexes import conj

Axes = tuple[int, ...]


def along(function: Callable[..., Any], arrays: Any, axes: Axes, reverse: bool) -> Any:
    """A function of arrays along their last axis, applied along `axes` as one."""
    x = arrays[0]
    order = [*(k for k in range(x.ndim) if k not in axes), *axes]
    kept = tuple(x.shape[k] for k in order[: x.ndim - len(axes)])
    count = int(np.prod([x.shape[k] for k in axes], dtype=int))
    flat = [np.transpose(a, order).reshape(*kept, count) for a in arrays]
    step = -1 if reverse else 1
    found = np.asarray(function(*(a[..., ::step] for a in flat)))[..., ::step]
    moved = found.reshape([x.shape[k] for k in order])
    return np.ascontiguousarray(np.transpose(moved, np.argsort(order)), x.dtype)


def _cumprod_numpy(x: Any, axes: Axes, reverse: bool = False) -> Any:
    return along(lambda a: np.cumprod(a, -1, dtype=x.dtype), [x], axes, reverse)


def _shifted_numpy(x: Any, axes: Axes, fill: int, reverse: bool) -> Any:
    def move(a: Any) -> Any:
        found = np.full_like(a, fill)
        found[..., 1:] = a[..., :-1]
        return found

    return along(move, [x], axes, reverse)


def _solve(a: Any, b: Any) -> Any:
    """The r of ``r[k] = b[k] + a[k] r[k-1]``: pairs of steps are joined to steps twice as long.

    Where a product of factors overflows, r needn't, and is found step by step.
    """
    factors, found, step = np.array(a), np.array(b), 1
    with np.errstate(all="ignore"):
        while step < found.shape[-1]:
            found[..., step:] += factors[..., step:] * found[..., :-step].copy()
            factors[..., step:] *= factors[..., :-step].copy()
            step *= 2
        if not np.isfinite(found).all():
            found = np.array(b)
            for k in range(1, found.shape[-1]):
                found[..., k] += a[..., k] * found[..., k - 1]
    return found


def _recurrence_numpy(a: Any, b: Any, axes: Axes, reverse: bool) -> Any:
    return along(_solve, [a, b], axes, reverse)


def shifted(x: Variable, axes: Axes, fill: int, reverse: bool = False) -> Variable:
    """Each element's predecessor, `fill` for the first."""
    return apply(_shifted, (x,), {"axes": axes, "fill": fill, "reverse": reverse})


def recurrence(a: Variable, b: Variable, axes: Axes, reverse: bool) -> Variable:
    """The r of ``r[k] = b[k] + a[k] r[k-1]``, with r = 0 before the first."""
    return apply(_recurrence, (a, b), {"axes": axes, "reverse": reverse})


def running_product(x: Variable, axes: Axes, reverse: bool = False) -> Variable:
    """The products of each element and all before it."""
    return apply(_cumprod, (x,), {"axes": axes, "reverse": reverse})


def pull_running_product(
    g: Variable, out: Variable, x: Variable, axes: Axes, reverse: bool
) -> Variable:
    """What lies before an element, times what lies behind it: R[k] = g[k] + x[k+1] R[k+1]."""
    behind = recurrence(conj(shifted(x, axes, 0, not reverse)), g, axes, not reverse)
    return conj(shifted(out, axes, 1, reverse)) * behind  # type: ignore[operator, no-any-return]


def _push_running_product(
    t: Variable, out: Variable, x: Variable, axes: Axes, reverse: bool
) -> Variable:
    return recurrence(x, shifted(out, axes, 1, reverse) * t, axes, reverse)  # type: ignore


def _recurrence_vjp(
    g: Variable, out: Variable, a: Variable, b: Variable, axes: Axes, reverse: bool
) -> tuple[Variable, Variable]:
    gb = recurrence(conj(shifted(a, axes, 0, not reverse)), g, axes, not reverse)
    return gb * conj(shifted(out, axes, 0, reverse)), gb  # type: ignore[operator]


_shifted = declare(
    Op(
        "shifted", lambda args, attrs: args[0].type, _shifted_numpy, Running("shift"),
        vjp=lambda g, out, x, axes, fill, reverse: (shifted(g, axes, 0, not reverse),),
        jvp=lambda tangents, out, x, axes, fill, reverse: shifted(tangents[0], axes, 0, reverse),
        formula="the elements' predecessors along axes",
    )
)  # fmt: skip
_recurrence = declare(
    Op(
        "recurrence", lambda args, attrs: args[1].type, _recurrence_numpy,
        Running("recurrence"),
        vjp=_recurrence_vjp, formula="the r of r[k] = b[k] + a[k] r[k-1]",
    )
)  # fmt: skip
_cumprod = declare(
    Op(
        "cumprod", lambda args, attrs: args[0].type, _cumprod_numpy, Running("prod"),
        vjp=lambda g, out, x, axes, reverse: (pull_running_product(g, out, x, axes, reverse),),
        jvp=lambda tangents, out, x, axes, reverse: _push_running_product(
            tangents[0], out, x, axes, reverse
        ),
        formula="x[0], x[0] x[1], ... along an axis",
    )
)  # fmt: skip
