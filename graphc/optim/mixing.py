"""Training with float16 and bfloat16: float32 masters of weights, and losses that are scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.graph import substitute
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.ops.elementwise import and_, cast, eq, isfinite, maximum, minimum, or_, switch
from graphc.ops.reduce import all as all_of
from graphc.optim.parts import Updates, checked, scalar_state, state_like, with_gradients
from graphc.passes.autodiff import grad
from graphc.passes.loop_bodies import all_nodes

FIRST, LEAST, LARGEST = 2.0**15, 2.0**-10, 2.0**24
"""Scales of losses: that of the first step, and between which it changes."""

Gradients = Callable[[list[Variable]], list[Variable]]


class MixedPrecision:
    """An optimiser for models of float16 or bfloat16, made of any other one.

    ::

        g := gradient of scale * loss, in float32, / scale
        all entries of g are finite:    m, state := optimiser(g, m, state),   p := round(m)
        one isn't:                      nothing changes, and scale := scale / 2
        `every` finite steps in a row:  scale := 2 * scale

    where ``p`` is a parameter of 16 bits and ``m`` its master, a float32 with the digits that
    ``p`` can't hold. Parameters of other dtypes are their own masters.

    Parameters
    ----------
    optimiser : callable
        ``optimiser(gradients, params, ...)``, such as ``optim.adam``.
    scale : "auto", float or None
        Of the first step; a power of two, so that scaling rounds nothing. ``"auto"``: 2^15 where
        the loss depends on a float16, else None. None: losses aren't scaled, and no step is left
        out. bfloat16, with the range of float32, needs no scale.
    every : int or None
        After how many finite steps in a row the scale is doubled; None leaves it as it is.

    Attributes
    ----------
    masters : list of shared variables
        Of the latest call, in the order of its parameters; None where one is its own.
    scale : shared float32 scalar, or None
        That of the next step, of the latest call.
    skipped : shared int64 scalar, or None
        How many steps changed nothing.

    Raises
    ------
    ArgumentError
        If it is called with gradients where the loss is to be scaled; with a scale that is no
        power of two, or `every` below 1.

    Notes
    -----
    All of this is part of the compiled step, and all state is in shared variables among the
    updates, so that checkpoints hold it. A skipped step changes no state of the optimiser either,
    such as its count of steps.

    A master is used as long as it rounds to its parameter. An element that doesn't was set from
    outside (from a file, by an average of weights, by a constraint): the parameter counts then.

    Functions of gradients, such as ``optim.clip_by_global_norm``, go in by the keyword
    `gradients` of the call, and see gradients that are divided by the scale; `graphc.train.Task`
    does that with its own. The scale stays between 2^-10 and 2^24. At the least one no step is
    left out: a gradient that isn't finite then has other reasons than the range of float16, and
    shows in the weights.

    References
    ----------
    Micikevicius et al.: Mixed precision training. ICLR 2018, arXiv:1710.03740, sections 3.1 and
    3.2; the scale changes as in PyTorch's GradScaler.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc import optim
    >>> w = graphc.shared(np.array(1.0, "float16"), name="w")
    >>> optimiser = optim.MixedPrecision(optim.sgd)
    >>> step = graphc.function([], updates=optimiser(w, [w], learning_rate=1e-4))
    >>> for _ in range(10):             # 1 - 1e-4 is 1 in float16
    ...     step()
    >>> round(float(w.get_value()), 3)
    0.999
    """

    takes_loss = True

    def __init__(
        self, optimiser: Callable[..., Updates], scale: Any = "auto", every: int | None = 2000
    ) -> None:
        if not callable(optimiser):
            raise ArgumentError(
                f"MixedPrecision: the optimiser, {optimiser!r}, can't be called",
                "MixedPrecision(optim.adam)", user_frames(),
            )  # fmt: skip
        if every is not None and not every >= 1:
            raise ArgumentError(
                f"MixedPrecision: every={every!r}",
                "give a positive number of steps, or None", user_frames(),
            )  # fmt: skip
        self._optimiser, self._scale, self._every = optimiser, _checked_scale(scale), every
        self.masters: list[SharedVariable | None] = []
        self.scale: SharedVariable | None = None
        self.skipped: SharedVariable | None = None

    def __call__(
        self, loss_or_grads: Any, params: Sequence[SharedVariable], *given: Any,
        gradients: Gradients | None = None, **options: Any,
    ) -> Updates:  # fmt: skip
        params = checked(params)
        self.masters = [_master(p) if dtypes.is_half(p.dtype) else None for p in params]
        self.scale = self.skipped = None
        start = self._start(loss_or_grads)
        if start is not None:
            self.scale = scalar_state("mixed.scale", start, "float32")
            loss_or_grads = grad(cast(loss_or_grads, _wider(loss_or_grads)) * self.scale, params)
        found = [g for _, g in with_gradients(loss_or_grads, params)]
        if self.scale is not None:
            found = [g * cast(1 / self.scale, g.dtype) for g in found]
        if gradients is not None:
            found = list(gradients(found))
        trained = [p if m is None else m for p, m in zip(params, self.masters)]
        updates = self._with_params(self._optimiser(found, trained, *given, **options), params)
        return self._scaled(updates, found) if found and self.scale is not None else updates

    def _start(self, loss_or_grads: Any) -> float | None:
        """The first scale; None where there is to be none."""
        if self._scale is None:
            return None
        is_loss = isinstance(loss_or_grads, Variable)
        roots = [loss_or_grads] if is_loss else list(loss_or_grads)
        if self._scale == "auto" and all(v.dtype != "float16" for v in all_nodes(roots)):
            return None
        if not is_loss:
            raise ArgumentError(
                "MixedPrecision: gradients can't be scaled before they are made",
                "pass the loss itself, and gradients=function for what is done to them; or "
                "scale=None, if the loss was scaled", user_frames(),
            )  # fmt: skip
        return FIRST if self._scale == "auto" else float(self._scale)

    def _with_params(self, updates: Updates, params: Sequence[SharedVariable]) -> Updates:
        """The updates of masters and state, with those of the parameters that have masters."""
        pairs = [(p, m) for p, m in zip(params, self.masters) if m is not None]
        present = {m: switch(eq(cast(m, p.dtype), p), m, cast(p, m.dtype)) for p, m in pairs}
        new = substitute([value for _, value in updates], present)
        found = [(v, value) for (v, _), value in zip(updates, new)]
        made = dict(found)
        for p, m in pairs:
            if m not in made:
                raise ArgumentError(f"MixedPrecision: the optimiser leaves out {describe(p)}",
                                    "it has to update every parameter", user_frames())  # fmt: skip
        return found + [(p, cast(made[m], p.dtype)) for p, m in pairs]

    def _scaled(self, updates: Updates, gradients: Sequence[Variable]) -> Updates:
        """The updates of finite steps, and those of the scale."""
        scale = self.scale
        assert scale is not None
        finite = reduce(and_, (all_of(isfinite(g)) for g in gradients))
        kept = or_(finite, scale <= LEAST)  # type: ignore[operator]
        found: Updates = [(v, switch(kept, cast(new, v.dtype), v)) for v, new in updates]
        self.skipped = scalar_state("mixed.skipped", 0, "int64")
        found.append((self.skipped, self.skipped + cast(~kept, "int64")))  # type: ignore
        raised: Variable = scale
        if self._every is not None:
            good = scalar_state("mixed.good", 0, "int64")
            due = and_(finite, good + 1 >= self._every)  # type: ignore[operator]
            found.append((good, switch(or_(due, ~finite), 0, good + 1)))  # type: ignore
            raised = switch(due, minimum(scale * 2, LARGEST), scale)
        lowered = maximum(scale * 0.5, LEAST)
        return [*found, (scale, switch(finite, raised, lowered))]


def _checked_scale(scale: Any) -> Any:
    if scale is None or (isinstance(scale, str) and scale == "auto"):
        return scale
    number = isinstance(scale, int | float) and 0 < scale < inf
    if not number or np.frexp(scale)[0] != 0.5 or not LEAST <= scale <= LARGEST:
        raise ArgumentError(
            f"MixedPrecision: scale={scale!r}",
            "give a power of two from 2**-10 to 2**24, 'auto', or None", user_frames(),
        )  # fmt: skip
    return float(scale)


def _wider(loss: Variable) -> str:
    """The dtype in which a loss is scaled: float32 at least, as float16 is soon full."""
    return dtypes.wide(loss.dtype)


def _master(p: SharedVariable) -> SharedVariable:
    master = state_like(p, "master")
    master.set_value(dtypes.convert(p.get_value(), master.dtype))
    return master
