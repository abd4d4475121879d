"""What optimisers are made of: parameters with their gradients, state, hyper-parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import SharedVariable, Variable, as_storage, describe, user_frames
from graphc.ops.elementwise import abs_, cast, lt, switch
from graphc.passes.autodiff import grad

Updates = list[tuple[SharedVariable, Variable]]


def checked(params: Sequence[SharedVariable]) -> list[SharedVariable]:
    """The parameters, if all of them can be trained.

    Raises
    ------
    ArgumentError
        If one isn't a shared variable, holds integers, or is listed twice.
    """
    found: list[SharedVariable] = []
    for p in [params] if isinstance(params, Variable) else params:
        if not isinstance(p, SharedVariable):
            label = describe(p) if isinstance(p, Variable) else repr(p)
            raise ArgumentError(
                f"only shared variables can be trained, not {label}",
                "make it with graphc.shared, or leave it out",
                user_frames(),
            )
        if dtypes.is_discrete(p.dtype):
            raise ArgumentError(
                f"integers can't be trained: {describe(p)}",
                "give it a float dtype, or leave it out",
                user_frames(),
            )
        if any(p is other for other in found):
            raise ArgumentError(
                f"{describe(p)} is listed twice among the parameters",
                "list each parameter once: a tied weight is one parameter",
                user_frames(),
            )
        found.append(p)
    return found


def with_gradients(
    loss_or_grads: Variable | Sequence[Variable], params: Sequence[SharedVariable]
) -> Iterator[tuple[SharedVariable, Variable]]:
    """Each parameter with its gradient, in the dtype in which it is trained.

    Raises
    ------
    ArgumentError
        If a parameter can't be trained, or there is not one gradient for each.
    """
    params = checked(params)
    if isinstance(loss_or_grads, Variable):
        gradients: Sequence[Variable] = grad(loss_or_grads, params)
    else:
        gradients = list(loss_or_grads)
    if len(gradients) != len(params):
        raise ArgumentError(
            f"{len(gradients)} gradients for {len(params)} parameters",
            "pass the loss itself, or one gradient per parameter",
            user_frames(),
        )
    for p, g in zip(params, gradients):
        if g.ndim != p.ndim:
            raise ArgumentError(
                f"{describe(g)} can't be the gradient of {describe(p)}: the ranks differ",
                "pass the gradients in the order of the parameters",
                user_frames(),
            )
        yield p, cast(g, dtypes.wide(p.dtype))


def state_like(param: SharedVariable, what: str) -> SharedVariable:
    """A shared variable of zeros, shaped like a parameter and named after it."""
    shape, dtype = param.get_value(borrow=True).shape, dtypes.wide(param.dtype)
    zeros = as_storage(np.zeros(shape, dtypes.numpy_dtype(dtype)), copy=True)
    return SharedVariable(zeros, f"{param.name or 'param'}.{what}", param.broadcastable)


def number(value: Any, param: SharedVariable) -> Any:
    """A hyper-parameter that doesn't widen a parameter: symbolic ones get its dtype."""
    return cast(value, dtypes.wide(param.dtype)) if isinstance(value, Variable) else value


def fading(value: Variable) -> Variable:
    """`value`, with 0 for what is too small for a normal number of its dtype.

    The running mean of a gradient that is 0 from some step on, as that of a unit that died,
    shrinks by a factor until it is subnormal, and is rounded back to where it was from then on.
    Processors compute with such numbers many times slower, in every step to come.
    """
    tiny = np.finfo(dtypes.numpy_dtype(value.dtype)).tiny
    return switch(lt(abs_(value), float(tiny)), 0.0, value)  # type: ignore[no-any-return]


def widest(params: Sequence[SharedVariable]) -> str:
    """The dtype in which scalars for all the parameters are kept: float32 or float64."""
    return dtypes.wide(dtypes.promote([p.dtype for p in params] or ["float32"]))


def scalar_state(name: str, value: Any, dtype: str) -> SharedVariable:
    """A shared scalar, such as a count of steps."""
    return SharedVariable(np.asarray(value, dtypes.numpy_dtype(dtype)), name)
