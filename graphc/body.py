"""The body of a loop: `fn` is called once, and what it declared is collected."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, DTypeError, Frame, GraphError, ShapeError
from graphc.core.graph import substitute, toposort
from graphc.core.loop import State
from graphc.core.node import Attrs, Constant, SharedVariable, Variable, describe, user_frames
from graphc.core.op import Op, PlainBuilder, building_with
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast
from graphc.ops.shape import expand_axes
from graphc.recurrence import Carried, row_type
from graphc.updating import fit_update, read_updates, total_update, where_widened


class Until:
    """The condition after which a loop ends."""

    def __init__(self, condition: Variable) -> None:
        self.condition = condition


def until(condition: Variable) -> Until:
    """Return this from `fn`, behind the outputs: the loop ends after this step if it is true.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> double = lambda y: (2 * y, graphc.until(2 * y > 100))
    >>> graphc.scan(double, outputs_info=x, n_steps=1000)[0].eval({x: 10.0})
    array([ 20.,  40.,  80., 160.])
    """
    return Until(condition)


@dataclass
class Tracked:
    """A state of the loop with its initial rows; which output or shared variable it is."""

    state: State
    initial: Variable
    shared: SharedVariable | None = None
    output: int | None = None


@dataclass
class Body:
    """What `fn` declared."""

    name: str | None
    slices: list[Variable]
    states: list[Tracked] = field(default_factory=list)
    constants: list[Variable] = field(default_factory=list)
    captured: list[Variable] = field(default_factory=list)
    outputs: list[Variable] = field(default_factory=list)
    until: Variable | None = None
    where: tuple[Frame, ...] = ()


class Recorder(PlainBuilder):
    """Remembers what is made while `fn` runs: everything else comes from outside."""

    def __init__(self) -> None:
        self.made: set[Variable] = set()

    def build(self, op: Op, args: tuple[Variable, ...], attrs: Attrs) -> Variable:
        found = super().build(op, args, attrs)
        self.made.add(found)
        return found


@dataclass
class Returned:
    """What a call of `fn` gave."""

    outputs: list[Variable]
    updates: dict[SharedVariable, Variable]
    until: Variable | None
    reads: list[list[Variable]]
    made: set[Variable]


def build(
    fn: Callable[..., Any],
    sequences: Sequence[Variable],
    carried: list[Carried | None] | None,
    constants: Sequence[Variable],
    strict: bool,
    name: str | None,
) -> Body:
    """Call `fn` with leaves, and collect the loop's body."""
    taken = sum(len(c.taps) for c in carried or () if c is not None)
    words = _parameters(fn, len(sequences) + taken + len(constants))
    slices = [
        Variable(row_type(x), name=_row_name(x, word), where=x.where or None)
        for x, word in zip(sequences, words)
    ]
    words = words[len(slices) :]
    found = _call(fn, slices, carried or [], constants, words)
    if carried is None:
        carried = [None] * len(found.outputs)
    _check_count(fn, found.outputs, carried)
    wider = _number_dtypes(found.outputs, carried)
    if wider:
        carried = [wider.get(k, c) for k, c in enumerate(carried)]
        found = _call(fn, slices, carried, constants, words)
    called = getattr(fn, "__name__", "<lambda>")
    body = Body(name or (None if called == "<lambda>" else called), slices, where=lines_of(fn))
    for k, (c, reads) in enumerate(zip(carried, found.reads)):
        if c is not None:
            found.outputs[k] = _next(found.outputs[k], reads[0], k)
            found.made.add(found.outputs[k])
            state = State(c.taps, tuple(reads), found.outputs[k])
            body.states.append(Tracked(state, c.initial, output=k))
    body.outputs, body.until = found.outputs, found.until
    _close(body, found, dict(zip(constants, words[taken:])), strict)
    return body


def _call(
    fn: Callable[..., Any], slices: Sequence[Variable], carried: Sequence[Carried | None],
    constants: Sequence[Variable], words: Iterable[str | None],
) -> Returned:  # fmt: skip
    left = iter(words)
    reads = [[] if c is None else _reads(c, left) for c in carried]
    states = [r for group in reads for r in group]
    _check_arguments(fn, len(slices), len(states), len(constants))
    recorder = Recorder()
    with building_with(recorder):
        returned = fn(*slices, *states, *constants)
        try:
            outputs, updates, condition = _read_returned(returned)
        except GraphError as error:
            frame = lines_of(fn)[-1:]
            error.at = (*error.at, *(f for f in frame if f not in error.at))
            raise
    return Returned(outputs, updates, condition, reads, recorder.made)


def _check_arguments(fn: Callable[..., Any], slices: int, states: int, constants: int) -> None:
    """Raise unless `fn` takes what it is going to get."""
    count = slices + states + constants
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # nothing is known of it
    try:
        signature.bind(*range(count))
    except TypeError as error:
        name = getattr(fn, "__name__", "fn")
        raise ArgumentError(
            f"scan: fn is {name}{signature} and gets {count} argument{'s' * (count != 1)}: "
            f"{slices} from sequences, {states} from states, {constants} non_sequences ({error})",
            "a state has its initial value in outputs_info; what else fn uses is a non_sequence",
            lines_of(fn),
        ) from None


def _reads(c: Carried, words: Iterator[str | None]) -> list[Variable]:
    """The leaves that stand for a state's earlier values."""
    named = c.plain if c.plain is not None else c.initial
    return [
        Variable(row_type(c.initial), name=f"{named.name}[t{tap}]" if named.name else word,
                 where=named.where or None)
        for tap, word in zip(c.taps, words)
    ]  # fmt: skip


def _row_name(x: Variable, word: str | None) -> str | None:
    """What a row of a sequence is called: ``x[t]``, ``x[t+1]``, or as `fn` does."""
    if not x.name or x.name.endswith("[t]"):
        return word or x.name
    shifted = re.fullmatch(r"(.*)\[([+-]\d+)\]", x.name)
    if shifted is None:
        return f"{x.name}[t]"
    tap = "" if int(shifted[2]) == 0 else shifted[2]
    return f"{shifted[1]}[t{tap}]"


def _parameters(fn: Callable[..., Any], count: int) -> list[str | None]:
    """What `fn` calls its first arguments; None for those that have no name of their own."""
    try:
        found = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        found = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names: list[str | None] = [p.name for p in found if p.kind in kinds]
    return [*names[:count], *[None] * (count - len(names))]


def _read_returned(
    returned: Any,
) -> tuple[list[Variable], dict[SharedVariable, Variable], Variable | None]:
    """The outputs, updates and condition that `fn` returned, in whatever order."""
    outputs: list[Any] = []
    updates: dict[SharedVariable, Variable] = {}
    condition = None
    parts = list(returned) if _is_outputs(returned) else [returned]
    for part in [q for p in parts for q in (p if _is_outputs(p) else [p])]:
        if isinstance(part, Until):
            condition = _condition(part.condition)
        elif _is_updates(part):
            updates.update(read_updates(part))
        else:
            outputs.append(part)
    missing = [k for k, o in enumerate(outputs) if o is None]
    if len(missing) == len(outputs):
        outputs, missing = [], []
    if missing:
        raise ArgumentError(
            f"scan: output number {missing[0]} that fn returned is None",
            "return variables; what is not fed back is None in outputs_info, not here",
        )
    return [as_variable(o) for o in outputs], updates, condition


def _is_outputs(part: Any) -> bool:
    return isinstance(part, list | tuple) and not _is_updates(part)


def _is_updates(part: Any) -> bool:
    if isinstance(part, Mapping):
        return True
    return (
        isinstance(part, list | tuple)
        and bool(part)
        and all(
            isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], SharedVariable)
            for p in part
        )
    )


def _condition(value: Any) -> Variable:
    variable = as_variable(value)
    if variable.ndim != 0:
        raise ShapeError(
            f"scan: until takes a scalar, not {describe(variable)}", "take T.all or T.any of it",
            variable.where or user_frames(),
        )  # fmt: skip
    return variable if variable.dtype == "bool" else cast(variable, "bool")


def _check_count(
    fn: Callable[..., Any], outputs: Sequence[Variable], carried: Sequence[Carried | None]
) -> None:
    if len(outputs) == len(carried):
        return
    raise ArgumentError(
        f"scan: fn returned {len(outputs)} outputs, and outputs_info is for {len(carried)}",
        "outputs_info has one entry per output: its initial value, or None", lines_of(fn),
    )  # fmt: skip


def lines_of(fn: Callable[..., Any]) -> tuple[Frame, ...]:
    """The line of the user's program where the body begins."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return user_frames()
    return (*user_frames(), (code.co_filename, code.co_firstlineno, code.co_name))


def _number_dtypes(
    outputs: Sequence[Variable], carried: Sequence[Carried | None]
) -> dict[int, Carried]:
    """States that start from a number, in the dtype that `fn` makes of it."""
    found = {}
    for k, (o, c) in enumerate(zip(outputs, carried)):
        if c is None or c.weak is None or o.dtype == c.initial.dtype:
            continue
        fraction = isinstance(c.weak, float) and dtypes.is_discrete(o.dtype)
        if not fraction:
            found[k] = c.as_dtype(o.dtype)
    return found


def _next(new: Variable, read: Variable, k: int) -> Variable:
    """The new value of a state, checked against the old one."""
    if new.dtype != read.dtype:
        if dtypes.promote([new.dtype, read.dtype]) != read.dtype:
            source = where_widened(new, read.dtype)
            raise DTypeError(
                f"scan: output number {k} starts as {describe(read)} and becomes {new.dtype}: "
                f"{source.dtype} comes in with {describe(source)}",
                f"cast it there: .astype({read.dtype!r}), or start with {new.dtype}",
                tuple(dict.fromkeys((*source.where[-1:], *new.where))) or user_frames(),
            )
        new = cast(new, read.dtype)
    clash = any(
        None not in (m, n) and m != n for m, n in zip(new.type.shape, read.type.shape)
    )
    if new.ndim != read.ndim or clash:
        raise ShapeError(
            f"scan: output number {k} starts as {describe(read)} and becomes {describe(new)}",
            "a state keeps its shape: start it with the shape that fn returns, "
            "as with T.zeros((...))", new.where or user_frames(),
        )  # fmt: skip
    return new


def _close(
    body: Body, found: Returned, given: Mapping[Variable, str | None], strict: bool
) -> None:
    """Make leaves of all that the body reads from outside, and states of what it updates.

    `given` says what `fn` calls its non_sequences.
    """
    roots = [*(s.state.next for s in body.states), *found.outputs, *found.updates.values()]
    roots += [] if found.until is None else [found.until]
    leaves = {*body.slices, *(r for group in found.reads for r in group)}
    outside = [
        v for v in toposort(roots, leaves=_outer(roots, found.made, leaves))
        if v not in found.made and v not in leaves and not isinstance(v, Constant)
    ]  # fmt: skip
    states = _shared_states(outside, found)
    replace: dict[Variable, Variable] = {}
    for s, new in states.items():
        read = Variable(s.type, name=s.name, where=s.where)
        replace[s] = read
        body.states.append(Tracked(State((-1,), (read,), new, True), expand_axes(s, [0]), s))
    others = [v for v in outside if v not in states]
    others += [v for v in toposort(states.values())
               if isinstance(v, SharedVariable) and v not in states and v not in others]
    own = [c for c in given if not isinstance(c, Constant) and c not in states]
    others = [v for v in others if v not in own]
    if strict and others:
        raise ArgumentError(
            f"scan: fn uses {describe(others[0])}, which it is not given, and strict is True",
            "pass it as a non_sequence", others[0].where or user_frames(),
        )  # fmt: skip
    body.captured = own + others
    for v in body.captured:
        replace[v] = Variable(v.type, name=v.name or given.get(v), where=v.where)
    body.constants = [replace[v] for v in body.captured]
    _replace(body, replace)


def _outer(
    roots: Sequence[Variable], made: set[Variable], leaves: set[Variable]
) -> set[Variable]:
    """The variables from outside that the body reads, where the walk downwards ends."""
    found: set[Variable] = set()
    seen: set[Variable] = set()
    stack = list(roots)
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if v in made and v not in leaves:
            stack.extend(v.args)
        else:
            found.add(v)
    return found


def _shared_states(
    outside: Sequence[Variable], found: Returned
) -> dict[SharedVariable, Variable]:
    """The shared variables that go from step to step, with their new values."""
    states: dict[SharedVariable, Variable] = dict(found.updates)
    roots = [*found.outputs, *found.updates.values()]
    for v in outside:
        if isinstance(v, SharedVariable) and v not in states and v.default_update is not None:
            states[v] = fit_update(v, total_update(v, roots), "default_update")
    for s in states:
        if not isinstance(s, SharedVariable):  # read_updates has seen to it
            raise GraphError(f"scan: {describe(s)} is no shared variable")
    return states


def _replace(body: Body, replace: Mapping[Variable, Variable]) -> None:
    """Put leaves in the places of what comes from outside."""
    if not replace:
        return
    roots = [*(s.state.next for s in body.states), *body.outputs]
    roots += [] if body.until is None else [body.until]
    made = substitute(roots, replace)
    for s, new in zip(body.states, made):
        s.state = dataclasses.replace(s.state, next=new)
    body.outputs = made[len(body.states) : len(body.states) + len(body.outputs)]
    if body.until is not None:
        body.until = made[-1]
