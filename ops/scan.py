"""Loops: one op, whose applications are the results of a loop over one body."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.graph import substitute
from graphc.core.loop import Loop
from graphc.core.node import Attrs, TensorType, Variable, describe
from graphc.core.op import Host, Op, PlainBuilder, apply, building_with, declare, static_int

Interpret = Callable[[Sequence[Variable], Sequence[Variable]], Callable[..., list[Any]]]
Wanted = tuple[str, Any]  # ("rows", inner variable), ("history" or "final", state), ("count", 0)


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    loop, of, which = attrs["loop"], attrs["of"], attrs["which"]
    check_operands(loop, args)
    steps = static_int(args[0])
    if steps is not None and steps < 0:
        raise ShapeError(f"the number of steps is {steps}", "it must not be negative")
    if of == "count":
        return TensorType("int64", ())
    if of == "rows":
        return TensorType(which.dtype, (steps, *_row_shape(loop, args, which)))
    state, initial = loop.states[which], loop.split(args).initials[which]
    more = 0 if of == "final" else steps
    length = None if more is None else state.back + more
    return TensorType(initial.dtype, (length, *initial.type.shape[1:]))


def _row_shape(loop: Loop, args: Sequence[Variable], which: Variable) -> tuple[int | None, ...]:
    """The sizes of an inner variable, given those of the operands."""
    if which.type.known:
        return which.type.shape
    given = loop.split(args)
    rows = [a.type.shape[1:] for a in given.sequences]
    rows += [a.type.shape[1:] for a, s in zip(given.initials, loop.states) for _ in s.reads]
    rows += [a.type.shape for a in given.constants]
    if all(row == leaf.type.shape for row, leaf in zip(rows, loop.leaves)):
        return which.type.shape
    typed = {
        leaf: Variable(TensorType(leaf.dtype, tuple(
            m if n is None else n for m, n in zip(leaf.type.shape, row)
        )), where=()) for row, leaf in zip(rows, loop.leaves)
    }  # fmt: skip
    with building_with(PlainBuilder()):
        return substitute([which], typed)[0].type.shape


def check_operands(loop: Loop, args: Sequence[Variable]) -> None:
    """Raise unless the operands can be what the body's leaves stand for."""
    given = loop.split(args)
    pairs = [(a, s, 1) for a, s in zip(given.sequences, loop.slices)]
    pairs += [(a, r, 1) for a, s in zip(given.initials, loop.states) for r in s.reads]
    pairs += [(a, c, 0) for a, c in zip(given.constants, loop.constants)]
    for a, leaf, lead in pairs:
        if a.ndim != leaf.ndim + lead or not leaf.type.accepts(
            TensorType(a.dtype, a.type.shape[lead:])
        ):
            raise ShapeError(
                f"{describe(a)} can't take the place of {describe(leaf)} in the loop's body",
                "its rank, dtype and known sizes have to be those that the loop was made for",
            )
    steps = static_int(given.steps)
    for a in given.sequences:
        length = a.type.shape[0]
        if None not in (steps, length) and length != steps:
            raise ShapeError(f"{describe(a)} has not one row for each of {steps} steps")


def run(
    arrays: Sequence[Any], loop: Loop, wanted: Sequence[Wanted], interpret: Interpret
) -> list[Any]:
    """Several results of one loop, step by step with NumPy.

    Parameters
    ----------
    interpret : callable
        ``(roots, leaves) -> function of the leaves' values``.
    """
    count = len(loop.slices)
    steps = int(arrays[0])
    if steps < 0:
        raise ValueError(f"the number of steps is {steps}; it must not be negative")
    sequences = arrays[1 : 1 + count]
    initials = arrays[1 + count : 1 + count + len(loop.states)]
    constants = arrays[1 + count + len(loop.states) :]
    for a in sequences:
        if len(a) < steps:
            raise ValueError(f"a sequence has {len(a)} rows for {steps} steps")
    traced = [w for of, w in wanted if of == "rows"]
    body = interpret([*loop.results, *traced], loop.leaves)
    windows = [deque(i[::-1] if loop.reverse else i, maxlen=s.back)
               for i, s in zip(initials, loop.states)]  # fmt: skip
    rows: list[list[Any]] = [[] for _ in traced]
    made: list[list[Any]] = [[] for _ in loop.states]
    done = 0
    for t in range(steps - 1, -1, -1) if loop.reverse else range(steps):
        reads = [w[tap] for w, s in zip(windows, loop.states) for tap in s.taps]
        values = body([*(a[t] for a in sequences), *reads, *constants])
        done += 1
        for k, (state, window) in enumerate(zip(loop.states, windows)):
            _check_state(state.next, values[k], window[-1])
            window.append(values[k])
            made[k].append(values[k])
        for found, value in zip(rows, values[len(loop.results) :]):
            found.append(value)
        if loop.until is not None and bool(values[len(loop.states)]):
            break
    turn = slice(None, None, -1 if loop.reverse else 1)
    shapes = None if done else _row_shapes(arrays, loop, traced)
    stacked = iter(
        np.stack(r[turn]) if r else np.zeros((0, *shapes[k]), dtypes.numpy_dtype(v.dtype))  # type: ignore[index]
        for k, (r, v) in enumerate(zip(rows, traced))
    )
    results = []
    for of, which in wanted:
        if of == "count":
            results.append(np.asarray(done, "int64"))
        elif of == "rows":
            results.append(next(stacked))
        elif of == "final":
            results.append(np.stack(list(windows[which])[turn]))
        else:
            before = list(initials[which])
            parts = made[which][turn] + before if loop.reverse else before + made[which]
            results.append(np.stack(parts))
    return results


def _check_state(next: Variable, value: Any, before: Any) -> None:
    if np.shape(value) != np.shape(before):
        raise state_changes(next, np.shape(before), np.shape(value))


def state_changes(next: Variable, before: Sequence[int], after: Sequence[int]) -> ShapeError:
    """The error for a state whose shape is another after a step."""
    return ShapeError(
        f"a state of the loop has shape {tuple(before)} before a step, and {tuple(after)} "
        f"after it: {describe(next)}",
        "start it with the shape that fn returns, as with T.zeros((...))", next.where,
    )  # fmt: skip


def _row_shapes(arrays: Sequence[Any], loop: Loop, traced: Sequence[Variable]) -> list[Any]:
    """The shapes that rows would have, for a loop that takes no step."""
    count = len(loop.slices)
    shapes = [np.shape(a)[1:] for a in arrays[1 : 1 + count]]
    for a, s in zip(arrays[1 + count :], loop.states):
        shapes += [np.shape(a)[1:]] * len(s.reads)
    shapes += [np.shape(a) for a in arrays[1 + count + len(loop.states) :]]
    typed = {
        leaf: Variable(TensorType(leaf.dtype, tuple(shape)), where=())
        for leaf, shape in zip(loop.leaves, shapes)
    }
    found = substitute(traced, typed)
    return [tuple(n or 0 for n in v.type.shape) for v in found]


def _numpy(*arrays: Any, loop: Loop, of: str, which: Any, interpret: Interpret) -> Any:
    return run(arrays, loop, [(of, which)], interpret)[0]


def _size_args(count: int, attrs: Attrs) -> tuple[int, ...]:
    return () if attrs["of"] in ("final", "count") and attrs["loop"].until is not None else (0,)


scan = declare(
    Op(
        "scan", _infer, _numpy, Host(),
        formula="s[t] = f(x[t], s[t-1], c): the rows or the last value of what f computes",
        size_args=_size_args, checks=True,
        facts={"together": run, "widens": False},
    )
)  # fmt: skip


def rows(loop: Loop, args: Sequence[Variable], which: Variable) -> Variable:
    """What an inner variable was in every step, one row each."""
    return apply(scan, args, {"loop": loop, "of": "rows", "which": which})


def history(loop: Loop, args: Sequence[Variable], which: int) -> Variable:
    """The initial rows of a state and all that steps made."""
    return apply(scan, args, {"loop": loop, "of": "history", "which": which})


def final(loop: Loop, args: Sequence[Variable], which: int) -> Variable:
    """The latest rows of a state after the last step, as many as it looks back."""
    return apply(scan, args, {"loop": loop, "of": "final", "which": which})


def count(loop: Loop, args: Sequence[Variable]) -> Variable:
    """How many steps were taken."""
    return apply(scan, args, {"loop": loop, "of": "count", "which": 0})


def is_scan(v: Variable) -> bool:
    return v.op is scan


def key_of(v: Variable) -> tuple[Loop, tuple[Variable, ...]]:
    """What results of the very same loop have in common."""
    return v.attrs["loop"], v.args


def wanted_of(v: Variable) -> Wanted:
    """Which result of its loop a variable is."""
    return v.attrs["of"], v.attrs["which"]


def is_active(v: Variable) -> bool:
    """Whether derivatives may pass a variable at all."""
    return dtypes.is_continuous(v.dtype)


def _settled_numpy(count: Any, whole: Any = None) -> Any:
    return count


settled = declare(
    Op(
        "settled", lambda args, attrs: TensorType("int64", ()), _settled_numpy, Host(),
        formula="n, computed before the sizes of what follows are looked at",
        facts={"by_values": True, "folds": False, "widens": False},
    )
)  # fmt: skip
