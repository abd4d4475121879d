"""Loops over symbolic sequences: `scan` and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.body import Body, Until, build, until
from graphc.checkpoints import Chunked, Plain
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.loop import Loop, Operands
from graphc.core.node import Constant, SharedVariable, Variable, user_frames
from graphc.core.op import apply, static_int
from graphc.ops import scan as ops
from graphc.ops.convert import as_size
from graphc.ops.elementwise import cast, minimum
from graphc.ops.index import getitem
from graphc.ops.join import as_tensor_variable
from graphc.recurrence import as_list, read_sequences, read_states

__all__ = ["Updates", "Until", "foldl", "foldr", "map", "reduce", "scan", "until"]


class Updates(dict[SharedVariable, Variable]):
    """New values of shared variables, for ``function(updates=...)``; two can be added."""

    def __add__(self, other: Any) -> Updates:
        return Updates({**self, **dict(other)})

    def __radd__(self, other: Any) -> Any:
        return [*other, *self.items()] if isinstance(other, list) else Updates({**other, **self})


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: Any = None,
    strict: bool = False,
    return_list: bool = False,
    checkpoint_every: int | None = None,
) -> tuple[Any, Updates]:
    """Call `fn` once, and run what it declares for each row of the sequences.

    ``s[t] = fn(x[t], s[t-1], c)``: the results of one step are the states of the next.

    Parameters
    ----------
    fn : callable
        ``fn(*slices, *states, *constants)``: first the rows of the sequences, then the values
        that earlier steps made, then `non_sequences`. It returns an output or a list of them,
        in the order of `outputs_info`; with them, if wanted, a dict (or list of pairs) of
        updates of shared variables, and ``until(condition)``.
    sequences : variable, dict, or list of these
        Walked along their first axis. ``dict(input=x, taps=[-1, 0, 1])`` gives `fn` several
        rows, relative to the present one. The shortest says how many steps there are.
    outputs_info : variable, number, dict, None, or list of these
        Of each output, the value before the first step; None for one that isn't fed back.
        ``dict(initial=x, taps=[-2, -1])`` gives `fn` several earlier values; `initial` then has
        one row for each step that `fn` looks back. A number takes the dtype that `fn` makes.
    non_sequences : variable or list, optional
        What stays the same. Variables that `fn` uses without having been given them stay the
        same, too; shared variables with updates go from step to step.
    n_steps : int or integer scalar, optional
        How many steps; as many as the shortest sequence has rows by default. 0 is allowed.
    truncate_gradient : int, optional
        Gradients go back this many steps from the last one; -1 for all.
    go_backwards : bool
        Whether sequences are walked from the last row to the first.
    strict : bool
        Whether `fn` may use only what it is given.
    return_list : bool
        Whether the outputs are a list even if there is only one.
    checkpoint_every : int, optional
        Keep the states of every so many steps only; gradients compute those between again.
        About the square root of the number of steps saves most memory.
    name : str, optional
        What the loop is called in listings.
    mode, profile, allow_gc
        Taken for the sake of programs written for Theano: a loop is compiled with the function
        that it is in.

    Returns
    -------
    outputs : variable, list of variables, or None
        Each with one row per step.
    updates : dict
        New values of the shared variables that `fn` updates, random streams included.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        With the line of `fn`.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> totals, updates = graphc.scan(lambda x, total: total + x, x, outputs_info=0.0)
    >>> totals.eval({x: [1, 2, 3]})
    array([1., 3., 6.])
    """
    declared = _declare(
        fn, sequences, outputs_info, non_sequences, n_steps, truncate_gradient, go_backwards,
        name, strict, checkpoint_every,
    )  # fmt: skip
    found = [declared.results.rows(v) for v in declared.body.outputs]
    if not found:
        return ([] if return_list else None), declared.updates()
    return (found if return_list or len(found) > 1 else found[0]), declared.updates()


@dataclass
class Declared:
    """A loop as declared: its body, and how its results are had."""

    body: Body
    results: Plain

    def updates(self) -> Updates:
        """What becomes of shared variables."""
        return Updates({
            state.shared: getitem(self.results.final(k), 0)
            for k, state in enumerate(self.body.states) if state.shared is not None
        })  # fmt: skip

    def last(self) -> list[Variable]:
        """What the last step returned; of a state without any step, what it starts from."""
        place = {s.output: k for k, s in enumerate(self.body.states) if s.output is not None}
        return [
            getitem(self.results.final(place[n]), -1) if n in place
            else getitem(self.results.rows(v), -1)
            for n, v in enumerate(self.body.outputs)
        ]  # fmt: skip


def _declare(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any, n_steps: Any,
    truncate_gradient: Any, go_backwards: bool, name: str | None, strict: bool = False,
    checkpoint_every: int | None = None,
) -> Declared:  # fmt: skip
    _check_truncation(truncate_gradient)
    given, lengths = read_sequences(sequences)
    steps = _steps(n_steps, lengths)
    carried = read_states(outputs_info)
    constants = [as_tensor_variable(c) for c in as_list(non_sequences)]
    body = build(fn, given, carried, constants, strict, name)
    if not given and n_steps is None:
        what = "nothing says how many steps there are"
        if body.until is not None:
            what = "a loop that ends by until needs an upper bound"
        raise ArgumentError(f"scan: {what}", "pass n_steps=", body.where)
    turned = [s[::-1] if go_backwards else s for s in given]  # type: ignore[index]
    rows = tuple(getitem(s, slice(None, steps)) for s in turned)
    loop = Loop(
        tuple(body.slices), tuple(s.state for s in body.states), tuple(body.constants), body.until,
        truncate=None if truncate_gradient in (-1, None) else int(truncate_gradient),
        name=body.name, where=body.where,
    )  # fmt: skip
    initials = tuple(s.initial for s in body.states)
    args = Operands(steps, rows, initials, tuple(body.captured)).all
    if loop.until is not None:
        loop, args = _settled(loop, args, rows)
    if checkpoint_every is None:
        return Declared(body, Plain(loop, args))
    return Declared(body, Chunked(loop, args, checkpoint_every))


def _settled(
    loop: Loop, args: tuple[Variable, ...], rows: Sequence[Variable]
) -> tuple[Loop, tuple[Variable, ...]]:
    """The loop for as many steps as the one with the condition took.

    How many these are is found out first: sizes depend on it.
    """
    steps = apply(ops.settled, (ops.count(loop, args),), {})
    cut = [getitem(r, slice(None, steps)) for r in rows]
    given = loop.split(args)
    operands = Operands(steps, tuple(cut), given.initials, given.constants)
    return replace(loop, until=None), operands.all


def _check_truncation(value: Any) -> None:
    if value is not None and (isinstance(value, Variable) or int(value) != value
                              or (value < 1 and value != -1)):  # fmt: skip
        raise ArgumentError(
            f"scan: truncate_gradient is a number of steps, or -1 for all, not {value!r}",
            at=user_frames(),
        )


def _steps(n_steps: Any, lengths: Sequence[Variable]) -> Variable:
    """The number of steps: what is asked for, as far as sequences go."""
    if n_steps is None:
        if not lengths:
            return Constant(0, "int64")
        steps = lengths[0]
        for n in lengths[1:]:
            steps = _shorter(steps, n)
        return steps
    steps = as_size(n_steps, "scan: n_steps")
    known = static_int(steps)
    if known is not None and known < 0:
        raise ArgumentError(
            f"scan: n_steps is {known}", "it must not be negative; see go_backwards",
            user_frames(),
        )  # fmt: skip
    for n in lengths:
        most = static_int(n)
        if known is not None and most is not None and most < known:
            raise ShapeError(
                f"scan: a sequence has rows for {most} steps, and n_steps is {known}",
                at=user_frames(),
            )
    return cast(steps, "int64")


def _shorter(a: Variable, b: Variable) -> Variable:
    m, n = static_int(a), static_int(b)
    if m is not None and n is not None:
        return Constant(min(m, n), "int64")
    return a if a is b else minimum(a, b)


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """``[fn(x[t], c) for t]``: `scan` without a state.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> graphc.map(lambda x: x**2, x)[0].eval({x: [1, 2, 3]})
    array([1., 4., 9.])
    """
    return scan(fn, sequences, None, non_sequences, None, truncate_gradient, go_backwards,
                mode, name)  # fmt: skip


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    checkpoint_every: int | None = None,
) -> tuple[Any, Updates]:
    """The last values of `scan`: ``fn(x[n], ... fn(x[1], fn(x[0], initial)))``.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> float(graphc.reduce(lambda x, product: x * product, x, 1.0)[0].eval({x: [2, 3, 4]}))
    24.0
    """
    declared = _declare(fn, sequences, outputs_info, non_sequences, None, -1, go_backwards, name,
                        checkpoint_every=checkpoint_every)  # fmt: skip
    last = declared.last()
    return (last if len(last) > 1 else last[0]), declared.updates()


def foldl(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None,
    mode: Any = None, name: str | None = None,
) -> tuple[Any, Updates]:  # fmt: skip
    """`reduce` from the first row to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any], sequences: Any, outputs_info: Any, non_sequences: Any = None,
    mode: Any = None, name: str | None = None,
) -> tuple[Any, Updates]:  # fmt: skip
    """`reduce` from the last row to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)
