"""L-BFGS, for losses over all the data at once: steps that know of curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.api import function
from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Array, SharedVariable, Variable, describe, user_frames
from graphc.optim.line_search import Point, strong_wolfe
from graphc.optim.parts import checked, with_gradients

CURVED = 1e-10  # pairs with less curvature than this are not remembered


@dataclass(frozen=True)
class Minimum:
    """Where `LBFGS.minimise` ended.

    Attributes
    ----------
    loss : float
    steps, evaluations : int
        Of this call: steps taken, and times that loss and gradients were computed.
    gradient : float
        The largest entry of the gradient, without its sign.
    reason : str
        Why it ended there.
    """

    loss: float
    steps: int
    evaluations: int
    gradient: float
    reason: str


class LBFGS:
    """Limited-memory BFGS: Newton's steps, with curvature learned from the latest steps.

    ::

        s = p(k) - p(k-1),   y = g(k) - g(k-1)        of the latest steps with s . y > 0
        d = -H g,   H from the pairs (s, y) by the two-loop recursion, from (s . y / y . y) I
        p := p + t * d,   t from a line search

    Parameters
    ----------
    loss : scalar variable
        Or a pair ``(loss, gradients)``, with one gradient per parameter.
    params : list of shared variables
        Of float32 or float64.
    inputs : list of variables
        What `loss` depends on: `step` and `minimise` take their values. They must be the same at
        each step, and the loss must draw no random numbers.
    history : int
        How many pairs are remembered.
    learning_rate : float
        The first distance that is tried along a direction.
    line_search : bool
        Whether distances are searched that meet the strong Wolfe conditions; without it, each
        step goes as far as `learning_rate` says.
    mode : str, optional
        As for `graphc.function`.

    Attributes
    ----------
    evaluate : Function
        ``inputs -> [loss, *gradients]``, compiled.
    steps, evaluations : int
        Since it was made.

    Raises
    ------
    ArgumentError
        If a parameter is of another dtype, or at a step, if the loss isn't finite.

    Notes
    -----
    The first try of the first step, when nothing is known of curvature, is no longer than
    `learning_rate` in the sum of its entries. Vectors are kept in float64, on the host.
    Parameters that are set from outside between two steps spoil what was learned from the first.

    References
    ----------
    Liu, Nocedal: On the limited memory BFGS method for large scale optimization. Mathematical
    Programming 45, 1989. Nocedal, Wright: Numerical optimization, 2006, algorithms 7.4 and 7.5.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc.optim import LBFGS
    >>> w = graphc.shared(np.array([-1.2, 1.0]), name="w")
    >>> rosenbrock = 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
    >>> found = LBFGS(rosenbrock, [w]).minimise()
    >>> found.reason, w.get_value().round(4)
    ('the gradient is small', array([1., 1.]))
    """

    _moves: list[Array]
    _changes: list[Array]
    _move: Array | None  # the latest one, which is learned from at the next gradient
    _gradient: Array | None  # that before the latest move

    def __init__(
        self,
        loss: Any,
        params: Sequence[SharedVariable],
        inputs: Sequence[Variable] = (),
        history: int = 10,
        learning_rate: float = 1.0,
        line_search: bool = True,
        mode: str | None = None,
    ) -> None:
        value, given = (loss, loss) if isinstance(loss, Variable) else loss
        self.params = checked(params)
        gradients = [g for _, g in with_gradients(given, self.params)]
        for p in self.params:
            if p.dtype not in ("float32", "float64"):
                raise ArgumentError(
                    f"LBFGS: {describe(p)} is neither float32 nor float64",
                    "differences of gradients need more digits",
                    user_frames(),
                )
        if history < 1:
            hint = "remember at least one step"
            raise ArgumentError(f"LBFGS: history={history}", hint, user_frames())
        self.evaluate = function(list(inputs), [value, *gradients], mode=mode)
        self.history, self.learning_rate, self.line_search = history, learning_rate, line_search
        self.steps = self.evaluations = 0
        self._forget()

    # --- steps ------------------------------------------------------------------------

    def step(self, *data: Any) -> float:
        """One step; the loss before it is returned."""
        start = self._look(data)
        self._advance(start, data)
        return start.value

    def minimise(
        self, *data: Any, steps: int = 100, tolerance: float = 1e-6, change: float = 1e-12
    ) -> Minimum:
        """Steps until the gradient is small, or nothing improves.

        Parameters
        ----------
        *data
            The values of the inputs.
        steps : int
            At most.
        tolerance : float
            The largest entry that a small gradient may have.
        change : float
            Steps that change the loss by less than this part of it are the last ones.

        Returns
        -------
        Minimum
        """
        before, taken = self.evaluations, 0
        here, reason = self._look(data), f"{steps} steps were taken"
        while taken <= steps:
            if self._largest(here) <= tolerance:
                reason = "the gradient is small"
            if taken == steps or self._largest(here) <= tolerance:
                break
            new = self._advance(here, data)
            if new is None:
                reason = "no step lowers the loss"
                break
            taken += 1
            new = self._look(data) if not self.line_search else new
            old, here = here, new
            if abs(old.value - here.value) <= change * max(abs(old.value), abs(here.value)):
                reason = "the loss no longer changes"
                break
        count = self.evaluations - before
        return Minimum(here.value, taken, count, self._largest(here), reason)

    # --- state ------------------------------------------------------------------------

    def get_state(self) -> dict[str, Array]:
        """What it remembers, as arrays: pairs of moves and changes, the latest gradient."""
        size = self._values().size
        none = np.zeros((0, size))
        return {
            "moves": np.array(self._moves) if self._moves else none,
            "changes": np.array(self._changes) if self._changes else none,
            "move": np.zeros(0) if self._move is None else self._move.copy(),
            "gradient": np.zeros(0) if self._gradient is None else self._gradient.copy(),
            "steps": np.array(self.steps),
        }

    def set_state(self, state: dict[str, Array]) -> None:
        """Go on from what `get_state` returned; the parameters are restored apart from it."""
        size = self._values().size
        if np.shape(state["moves"])[1:] != (size,) or np.shape(state["changes"])[1:] != (size,):
            raise ArgumentError(
                f"LBFGS: moves of shape {np.shape(state['moves'])} for {size} weights",
                "this is the state of another model",
                user_frames(),
            )
        self._moves = [np.array(s, "float64") for s in state["moves"]]
        self._changes = [np.array(y, "float64") for y in state["changes"]]
        move, gradient = (np.array(state[name], "float64") for name in ("move", "gradient"))
        self._move = move if move.size else None
        self._gradient = gradient if gradient.size else None
        self.steps = int(state["steps"])

    def _forget(self) -> None:
        self._moves, self._changes, self._move, self._gradient = [], [], None, None

    # --- the method -------------------------------------------------------------------

    def _advance(self, start: Point, data: Sequence[Any]) -> Point | None:
        """Move the parameters; the point that was reached, or None if they stayed.

        A direction along which nothing improves makes it forget, and try the gradient's.
        """
        if not start.usable:
            raise ArgumentError(
                f"LBFGS: the loss is {start.value}, or its gradient has entries that are not "
                "finite, before a step",
                "look at the data, or start from smaller parameters",
                user_frames(),
            )
        self._learn(start.gradient)
        origin = self._values()
        for fresh in (False, True):
            if fresh:
                self._forget()
            direction = -self._newton(start.gradient)
            slope = float(direction @ start.gradient)
            if slope < 0:
                first = self.learning_rate
                if not self._moves:
                    first *= min(1.0, 1.0 / float(np.abs(start.gradient).sum()))
                reached = self._search(origin, direction, start, slope, first, data)
                if reached is not None:
                    self._move = self._values() - origin
                    self._gradient = start.gradient
                    self.steps += 1
                    return reached
            if not self._moves:
                break
        self._put(origin)
        return None

    def _search(self, origin: Array, direction: Array, start: Point, slope: float, first: float,
                data: Sequence[Any]) -> Point | None:  # fmt: skip
        if not self.line_search:
            self._put(origin + first * direction)
            return start

        def at(distance: float) -> Point:
            self._put(origin + distance * direction)
            found = self._look(data)
            return Point(distance, found.value, float(found.gradient @ direction), found.gradient)

        reached = strong_wolfe(at, Point(0.0, start.value, slope, start.gradient), first)
        if reached is not None:
            self._put(origin + reached.distance * direction)
        return reached

    def _learn(self, gradient: Array) -> None:
        """Remember the latest step, if it went over a curve that bends upwards."""
        if self._gradient is None or self._move is None:
            return
        change = gradient - self._gradient
        if float(change @ self._move) > CURVED:
            self._moves = [*self._moves, self._move][-self.history :]
            self._changes = [*self._changes, change][-self.history :]

    def _newton(self, gradient: Array) -> Array:
        """``H g`` by the two-loop recursion."""
        found, parts = gradient.copy(), []
        pairs = list(zip(self._moves, self._changes))
        for s, y in reversed(pairs):
            part = float(s @ found) / float(s @ y)
            parts.append(part)
            found -= part * y
        if pairs:
            s, y = pairs[-1]
            found *= float(s @ y) / float(y @ y)
        for (s, y), part in zip(pairs, reversed(parts)):
            found += (part - float(y @ found) / float(s @ y)) * s
        return found

    # --- parameters as one vector -----------------------------------------------------

    def _look(self, data: Sequence[Any]) -> Point:
        """The loss and the gradient at the present parameters."""
        value, *gradients = self.evaluate(*data)
        self.evaluations += 1
        joined = np.concatenate([np.ravel(g).astype("float64") for g in gradients])
        finite = bool(np.isfinite(joined).all())
        return Point(0.0, float(value), 0.0 if finite else float("nan"), joined)

    @staticmethod
    def _largest(point: Point) -> float:
        return float(np.abs(point.gradient).max(initial=0.0))

    def _values(self) -> Array:
        return np.concatenate([np.ravel(p.get_value()).astype("float64") for p in self.params])

    def _put(self, vector: Array) -> None:
        start = 0
        for p in self.params:
            shape = p.get_value(borrow=True).shape
            size = int(np.prod(shape))
            p.set_value(dtypes.convert(vector[start : start + size].reshape(shape), p.dtype))
            start += size
