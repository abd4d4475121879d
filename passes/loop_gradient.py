"""Derivatives of loops: of each, another loop over the same steps.

The adjoint of a loop runs the other way. Its states are the adjoints of the states; what
belongs to sequences comes out as rows, what belongs to constants as the sum of rows, which
the optimiser turns into a product or an accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.core.loop import Loop, Operands, State
from graphc.core.node import Constant, Variable
from graphc.core.op import static_int
from graphc.ops import scan
from graphc.ops.broadcast import broadcast_like, zeros_like
from graphc.ops.elementwise import add, le, minimum, sub, switch
from graphc.ops.index import getitem, set_subtensor
from graphc.ops.join import concatenate, stack
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim, expand_axes
from graphc.passes.loop_values import Values, active_states, other_loop_operands
from graphc.passes.stacking import is_zero

Reverse = Callable[..., dict[Variable, Variable]]
Cotangents = Mapping[Variable, Variable]


@dataclass
class Adjoint:
    """The adjoint loop while it is put together."""

    values: Values
    slices: list[Variable] = field(default_factory=list)
    sequences: list[Variable] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    initials: list[Variable] = field(default_factory=list)


def pull(
    cotangents: Cotangents, on_path: Collection[Variable], reverse: Reverse
) -> list[tuple[Variable, Variable]]:
    """The adjoints of a loop's operands from those of its results.

    Parameters
    ----------
    cotangents : mapping
        From results of one loop to their adjoints.
    on_path : collection
        The operands that matter.
    reverse : callable
        The driver of reverse mode, for the body.
    """
    first = next(iter(cotangents))
    declared = first.attrs["loop"].split(first.args)
    loop, args = _without_condition(*scan.key_of(first))
    return _Pull(loop, args, declared, cotangents, on_path, reverse).run()


def _without_condition(
    loop: Loop, args: tuple[Variable, ...]
) -> tuple[Loop, tuple[Variable, ...]]:
    """The loop whose derivatives are taken: for the number of steps that came about."""
    return (loop, args) if loop.until is None else scan.counted(loop, args)


class _Pull:
    def __init__(
        self, loop: Loop, args: tuple[Variable, ...], declared: Operands,
        cotangents: Cotangents, on_path: Collection[Variable], reverse: Reverse,
    ) -> None:  # fmt: skip
        self.loop, self.args, self.given = loop, args, loop.split(args)
        self.declared = declared  # whose sequences may be longer than there are steps
        self.on_path, self.reverse = on_path, reverse
        self.row_parts: dict[Variable, list[Variable]] = {}
        self.ends: dict[int, list[Variable]] = {}  # adjoints of a state's last rows
        self.starts: dict[int, list[Variable]] = {}  # of its initial rows, from its history
        self._read(cotangents)
        self.adjoint = Adjoint(Values(loop, args, tuple(self.row_parts)))

    def _read(self, cotangents: Cotangents) -> None:
        n = self.given.steps
        for v, g in cotangents.items():
            of, which = scan.wanted_of(v)
            if of == "rows":
                self._read_rows(which, g)
            elif of == "final":
                self.ends.setdefault(which, []).append(g)
            elif of == "history":
                back = self.loop.states[which].back
                new, old = slice(back, None), slice(None, back)
                if self.loop.reverse:
                    new, old = slice(None, n), slice(n, None)
                next = self.loop.states[which].next
                self.row_parts.setdefault(next, []).append(getitem(g, new))
                self.starts.setdefault(which, []).append(getitem(g, old))

    def _read_rows(self, v: Variable, g: Variable) -> None:
        """The adjoint of rows; what comes from the last row alone starts a state's adjoint.

        Most losses read the last state only: no zeros are kept for all the others.
        """
        k = next((k for k, s in enumerate(self.loop.states) if s.next is v and s.back == 1), None)
        for term in _terms(g):
            last = None if k is None or self.loop.reverse else _of_last_row(term)
            if last is None:
                self.row_parts.setdefault(v, []).append(term)
            else:
                self.ends.setdefault(k, []).append(expand_axes(last, [0]))  # type: ignore[arg-type]

    def run(self) -> list[tuple[Variable, Variable]]:
        loop, given = self.loop, self.declared
        pairs = [
            *zip(given.sequences, loop.slices),
            *((a, r) for a, s in zip(given.initials, loop.states) for r in s.reads),
            *zip(given.constants, loop.constants),
        ]
        leaves = {leaf for a, leaf in pairs if a in self.on_path and scan.is_active(leaf)}
        depends, active = active_states(loop, leaves, list(self.row_parts))
        reads = {r for s, is_active in zip(loop.states, active) if is_active for r in s.reads}
        targets = [v for v in loop.leaves if v in leaves or v in reads]
        if not targets:
            return []
        seeds = self._seeds(active, depends)
        found = self.reverse(seeds, targets)
        reached = [v for v in targets if v in found]
        over = dict(zip(reached, self.adjoint.values.over([found[v] for v in reached])))
        self._close_states(over)
        return self._results(over)

    # --- the body -----------------------------------------------------------------------

    def _seeds(self, active: Sequence[bool], depends: set[Variable]) -> dict[Variable, Variable]:
        """The adjoints of what the body computes, as leaves of the adjoint's body."""
        seeds: dict[Variable, Variable] = {}
        for v, parts in self.row_parts.items():
            if v in depends:
                self._seed(seeds, v, self._slice(_total(parts), v))
        self.windows: dict[int, list[Variable]] = {}
        for k, (state, is_active) in enumerate(zip(self.loop.states, active)):
            if is_active:
                like = state.reads[0].type
                name = f"adjoint of {self.loop.next_name(k)}"
                self.windows[k] = [Variable(like, name=name, where=()) for _ in range(state.back)]
                self._seed(seeds, state.next, self.windows[k][0])
        return seeds

    def _slice(self, sequence: Variable, like: Variable) -> Variable:
        leaf = Variable(like.type, name="adjoint of the row", where=like.where)
        self.adjoint.slices.append(leaf)
        self.adjoint.sequences.append(sequence)
        return leaf

    @staticmethod
    def _seed(seeds: dict[Variable, Variable], v: Variable, g: Variable) -> None:
        seeds[v] = add(seeds[v], g) if v in seeds else g

    def _close_states(self, found: Mapping[Variable, Variable]) -> None:
        """Move the windows: what is the adjoint of two steps ago becomes that of one."""
        for k, window in self.windows.items():
            state = self.loop.states[k]
            parts = {-tap - 1: found.get(read) for tap, read in zip(state.taps, state.reads)}
            end = _total(self.ends[k]) if k in self.ends else None
            like = getitem(self.given.initials[k], 0)
            for d, read in enumerate(window):
                later = window[d + 1] if d + 1 < len(window) else None
                terms = [v for v in (later, parts.get(d)) if v is not None]
                new = _total(terms) if terms else zeros_like(read)
                initial = zeros_like(like) if end is None else getitem(end, self._row(k, d))
                self.adjoint.states.append(State((-1,), (read,), new))
                self.adjoint.initials.append(expand_axes(initial, [0]))

    def _row(self, k: int, d: int) -> int:
        """The row, among the last or the initial ones, of `d` steps before the latest."""
        return d if self.loop.reverse else self.loop.states[k].back - 1 - d

    # --- what comes out -------------------------------------------------------------------

    def _results(self, found: Mapping[Variable, Variable]) -> list[tuple[Variable, Variable]]:
        values, adjoint = self.adjoint.values, self.adjoint
        loop = Loop(
            (*adjoint.slices, *values.slices), tuple(adjoint.states), tuple(values.constants),
            reverse=not self.loop.reverse, recompute=self.loop.recompute,
            name=f"gradient of {self.loop.name or 'loop'}",
            where=self.loop.where,
        )  # fmt: skip
        args = other_loop_operands(values, adjoint.sequences, adjoint.initials)
        if self.loop.truncate is not None:
            args = self._last_steps(loop, args, self.loop.truncate)
        results = []
        sequences = zip(self.declared.sequences, self.given.sequences, self.loop.slices)
        for a, used, leaf in sequences:
            if a in self.on_path and leaf in found:
                g = self._whole(scan.rows(loop, args, found[leaf]), used)
                if used is not a:
                    g = set_subtensor(getitem(zeros_like(a), slice(None, self.given.steps)), g)
                results.append((a, g))
        for a, leaf in zip(self.given.constants, self.loop.constants):
            if a in self.on_path and leaf in found:
                results.append((a, sum_(scan.rows(loop, args, found[leaf]), 0)))
        first = 0
        for k, window in self.windows.items():
            a = self.given.initials[k]
            if a in self.on_path:
                parts = {
                    self._row(k, d): getitem(scan.final(loop, args, first + d), 0)
                    for d in range(len(window))
                }
                g = stack([parts[row] for row in range(len(window))])
                results.append((a, self._unless_cut(_total([g, *self.starts.get(k, [])]))))
            first += len(window)
        for k, from_history in self.starts.items():
            if k not in self.windows and self.given.initials[k] in self.on_path:
                results.append((self.given.initials[k], _total(from_history)))
        return results

    # --- truncation -----------------------------------------------------------------------

    def _last_steps(
        self, loop: Loop, args: tuple[Variable, ...], most: int
    ) -> tuple[Variable, ...]:
        given = loop.split(args)
        steps = minimum(given.steps, Constant(most, "int64"))
        where = slice(None, steps) if self.loop.reverse else slice(sub(given.steps, steps), None)
        cut = tuple(getitem(s, where) for s in given.sequences)
        return Operands(steps, cut, given.initials, given.constants).all

    def _whole(self, rows: Variable, a: Variable) -> Variable:
        """Rows for all steps: zeros for those that gradients don't reach."""
        if self.loop.truncate is None:
            return rows
        missing = sub(dim(a, 0), dim(rows, 0))
        zeros = zeros_like(getitem(a, slice(None, missing)))
        return concatenate([rows, zeros] if self.loop.reverse else [zeros, rows], 0)

    def _unless_cut(self, g: Variable) -> Variable:
        """The gradient of an initial value: none, if gradients don't go back so far."""
        if self.loop.truncate is None:
            return g
        reached = le(self.given.steps, Constant(self.loop.truncate, "int64"))
        return switch(reached, g, zeros_like(g))


def _terms(g: Variable) -> list[Variable]:
    """The terms of a sum."""
    found: list[Variable] = []
    stack = [g]
    while stack:
        v = stack.pop()
        if v.op is not None and v.op.name == "add" and all(a.ndim == v.ndim for a in v.args):
            stack.extend(v.args)
        else:
            found.append(v)
    return found


def _of_last_row(g: Variable) -> Variable | None:
    """The gradient of ``rows[-1]``, if `g` is that in an array of zeros."""
    if g.op is None or g.op.name != "update_subtensor" or not is_zero(g.args[0]):
        return None
    value, window = g.args[1], g.attrs["window"]
    if window[0] != ("i", 0) or any(e != ("a",) for e in window[1:]):
        return None
    return value if static_int(g.args[2]) == -1 and value.ndim == g.ndim - 1 else None


def _total(parts: Sequence[Variable]) -> Variable:
    total = parts[0]
    for p in parts[1:]:
        total = add(total, p)
    return total


# --- forward mode -------------------------------------------------------------------------

Forward = Callable[..., dict[Variable, Variable]]


def push(
    results: Sequence[Variable], tangents: Mapping[Variable, Variable], forward: Forward
) -> dict[Variable, Variable]:
    """The tangents of a loop's results from those of its operands.

    Parameters
    ----------
    results : sequence of Variable
        Of one loop.
    forward : callable
        The driver of forward mode, for the body.
    """
    given = results[0].attrs["loop"].split(results[0].args)
    loop, args = _without_condition(*scan.key_of(results[0]))
    steps = loop.split(args).steps
    traced = [which for of, which in map(scan.wanted_of, results) if of == "rows"]
    values = Values(loop, args, traced)
    slices: list[Variable] = []
    sequences: list[Variable] = []
    inside: dict[Variable, Variable] = {}
    for a, leaf in zip(given.sequences, loop.slices):
        if a in tangents:
            inside[leaf] = _tangent_leaf(loop, leaf)
            slices.append(inside[leaf])
            sequences.append(getitem(tangents[a], slice(None, steps)))
    captured = [(a, leaf) for a, leaf in zip(given.constants, loop.constants) if a in tangents]
    for _, leaf in captured:
        inside[leaf] = _tangent_leaf(loop, leaf)
    starting = {s.reads for a, s in zip(given.initials, loop.states) if a in tangents}
    sources = {*inside, *(r for reads in starting for r in reads)}
    _, active = active_states(loop, sources, traced)
    active = [a or s.reads in starting for a, s in zip(active, loop.states)]
    kept = [k for k, is_active in enumerate(active) if is_active]
    for k in kept:
        for r in loop.states[k].reads:
            inside[r] = _tangent_leaf(loop, r)
    roots = [*(loop.states[k].next for k in kept), *traced]
    found = forward(roots, inside)
    made = dict(zip(roots, values.over([_tangent(found, v) for v in roots])))
    states = tuple(
        State(s.taps, tuple(inside[r] for r in s.reads), made[s.next])
        for s in (loop.states[k] for k in kept)
    )
    initials = [_tangent(tangents, given.initials[k]) for k in kept]
    body = Loop(
        (*slices, *values.slices), states,
        (*(inside[leaf] for _, leaf in captured), *values.constants), reverse=loop.reverse,
        name=f"tangent of {loop.name or 'loop'}", where=loop.where,
    )  # fmt: skip
    operands = Operands(
        steps, (*sequences, *values.sequences), tuple(initials),
        (*(tangents[a] for a, _ in captured), *values.captured),
    ).all  # fmt: skip
    pushed: dict[Variable, Variable] = {}
    for v in results:
        of, which = scan.wanted_of(v)
        if of == "rows":
            if which in found:
                pushed[v] = scan.rows(body, operands, made[which])
        elif of in ("final", "history") and which in kept:
            make = scan.final if of == "final" else scan.history
            pushed[v] = make(body, operands, kept.index(which))
    return pushed


def _tangent_leaf(loop: Loop, leaf: Variable) -> Variable:
    return Variable(leaf.type, name=f"tangent of {loop.all_names[leaf]}", where=leaf.where)


def _tangent(found: Mapping[Variable, Variable], v: Variable) -> Variable:
    t = found.get(v)
    return zeros_like(v) if t is None else _shaped(t, v)


def _shaped(t: Variable, v: Variable) -> Variable:
    return t if t.type == v.type and t.type.known else broadcast_like(t, v)

