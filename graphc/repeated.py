"""A compiled function called many times at once: an epoch of training in one native loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.compiled import Function
from graphc.core.errors import ArgumentError, GraphError, ShapeError
from graphc.core.node import Array, TensorType, Variable, user_frames
from graphc.program import results_of


class Each:
    """An argument of which each call gets a row."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
        if self.rows.ndim == 0:
            raise ArgumentError(
                f"each: {rows!r} has no axis to walk along", "pass it as it is", user_frames()
            )


def each(rows: Any) -> Each:
    """Mark an argument of `loop`: call number t gets ``rows[t]``.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> graphc.loop(graphc.function([x], x**2), graphc.each([1.0, 2.0, 3.0]))
    array([1., 4., 9.])
    """
    return Each(rows)


def loop(
    function: Function, *args: Any, n_steps: int | None = None, until: Any = None, **kwargs: Any
) -> Any:
    """Call a compiled function many times, natively, with its updates after each call.

    Parameters
    ----------
    function : Function
        Made by `graphc.function`.
    *args, **kwargs
        Its arguments, the same in each call, or marked by `each`.
    n_steps : int, optional
        How many calls; as many as the shortest `each` has rows by default.
    until : optional
        Which output says, when it is true, that the call was the last: its number, or its key
        where outputs are a dict. It is a bool scalar.

    Returns
    -------
    In the form of the function's results, each with one row per call.

    Raises
    ------
    GraphError
        As a call does; the updates of the calls before are kept.

    Notes
    -----
    Between the calls there is no Python, except where the function has steps of the host, where
    a call's sizes differ from those of the one before, and for a moment twenty times a second
    so that Ctrl-C works.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> total, x = graphc.shared(0.0, name="total"), T.dscalar("x")
    >>> step = graphc.function([x], total, updates=[(total, total + x)])
    >>> graphc.loop(step, 2.0, n_steps=4)
    array([0., 2., 4., 6.])
    """
    if not isinstance(function, Function):
        raise ArgumentError(
            f"loop takes a compiled function, not {type(function).__name__}",
            "make it with graphc.function", user_frames(),
        )  # fmt: skip
    return _Loop(function, args, kwargs, n_steps, until).run()


class _Loop:
    def __init__(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], n_steps: Any,
        until: Any,
    ) -> None:  # fmt: skip
        self.function, self.args, self.kwargs = function, list(args), kwargs
        self.structure = function._declaration.structure
        if function._declaration.packed:
            raise ArgumentError(
                "loop: results that are sparse can't be stacked", "return dense ones",
                user_frames(),
            )  # fmt: skip
        self.count = self._read_count(n_steps)
        self.until = self._read_until(until)
        self.results: list[Array] = []

    def _read_count(self, n_steps: Any) -> int:
        lengths = [len(a.rows) for a in (*self.args, *self.kwargs.values()) if isinstance(a, Each)]
        if n_steps is None:
            if not lengths:
                raise ArgumentError(
                    "loop: nothing says how many calls there are",
                    "pass n_steps=, or mark an argument with graphc.each", user_frames(),
                )  # fmt: skip
            return min(lengths)
        if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer) or n_steps < 0:
            raise ArgumentError(f"loop: n_steps is {n_steps!r}, not a number of calls",
                                at=user_frames())  # fmt: skip
        if lengths and min(lengths) < n_steps:
            raise ShapeError(
                f"loop: an argument has {min(lengths)} rows for {n_steps} calls", at=user_frames()
            )
        return int(n_steps)

    def _read_until(self, until: Any) -> int | None:
        if until is None:
            return None
        outputs = self.function.graph.outputs
        keys = list(self.structure) if isinstance(self.structure, tuple) else range(len(outputs))
        if until not in keys:
            raise ArgumentError(
                f"loop: until={until!r} is no output", f"outputs are {list(keys)}", user_frames()
            )
        place = list(keys).index(until)
        if outputs[place].dtype != "bool" or outputs[place].ndim:
            raise ArgumentError(
                f"loop: the output that until names is {outputs[place].type}",
                "it is to be a bool scalar, as a comparison gives", outputs[place].where,
            )  # fmt: skip
        return place

    def run(self) -> Any:
        done = 0
        while done < self.count:
            ended = self._call_once(done)
            done += 1
            if ended:
                break
            if done < self.count:
                done, ended = self._call_natively(done)
                if ended:
                    break
        if not self.results:
            self.results = self._none()
        return results_of(self.structure, [r[:done] for r in self.results])

    def _row(self, value: Any, t: int) -> Any:
        return value.rows[t] if isinstance(value, Each) else value

    def _call_once(self, t: int) -> bool:
        """One ordinary call; its results are row t."""
        args = [self._row(a, t) for a in self.args]
        found = self.function(*args, **{k: self._row(a, t) for k, a in self.kwargs.items()})
        if found is None:
            return False
        values = [found] if self.structure == "one" else (
            list(found.values()) if isinstance(found, dict) else list(found)
        )  # fmt: skip
        if not self.results:
            self.results = [np.empty((self.count, *v.shape), v.dtype) for v in values]
        for k, (rows, value) in enumerate(zip(self.results, values)):
            if rows.shape[1:] != value.shape:
                raise ShapeError(
                    f"loop: output {k} had shape {rows.shape[1:]} in the calls before, and has "
                    f"{value.shape} in call {t}", "results of one shape can be stacked",
                    self.function.graph.outputs[k].where,
                )  # fmt: skip
            rows[t] = value
        return self.until is not None and bool(values[self.until])

    def _call_natively(self, t: int) -> tuple[int, bool]:
        """As many calls as go in one native loop; by which row that got, and whether it ended."""
        # What compiles is imported with the first function that does.
        from graphc.native import NativeProgram
        from graphc.runtime.repeat import fits, repeat_of

        program = self.function.program
        if not isinstance(program, NativeProgram) or self.function._declaration.states:
            return t, False
        with program.lock:
            bound = program.latest
            if not fits(bound):
                return t, False
            assert bound is not None
            given = self._stacked(bound)
            if given is None:
                return t, False
            repeat = repeat_of(bound, given, self.results, self.until)
            done, ended, error, _ = repeat.run(t, self.count)
        if self.until is not None:
            rows = self.results[self.until]
            rows[t:done] = False
            if ended:
                rows[done - 1] = True
        if error is not None:
            if isinstance(error, GraphError):
                error.what = f"{error.what} (in call {done} of the loop)"
            raise error
        return done, ended

    def _stacked(self, bound: Any) -> list[tuple[Array, bool]] | None:
        """The arguments as the native loop takes them; None where sizes are not the plan's."""
        parameters = self.function._declaration.parameters
        values: list[Any] = list(self.args) + [None] * (len(parameters) - len(self.args))
        for k, p in enumerate(parameters[len(self.args) :], len(self.args)):
            if p.name in self.kwargs:
                values[k] = self.kwargs[p.name]
            elif p.default is not None:
                values[k] = p.default.array
        found, target = [], self.function._declaration.options.target
        for p, value, v in zip(parameters, values, bound.plan.inputs):
            if isinstance(value, Each):
                shape = (None, *p.variable.type.shape)
                lifted = Variable(TensorType(p.variable.dtype, shape), where=p.variable.where)
                (array,) = replace(p, variable=lifted).arrays(value.rows)
            else:
                (array,) = p.arrays(value, target)
            rows = isinstance(value, Each)
            if array.shape[rows:] != v.type.shape:
                return None
            found.append((bound._own(array), rows))
        return found

    def _none(self) -> list[Array]:
        """The results of no call: their sizes, where these are not known, are 0."""
        return [
            np.empty((0, *(n or 0 for n in v.type.shape)), v.dtype)
            for v in self.function.graph.outputs
        ]  # fmt: skip
