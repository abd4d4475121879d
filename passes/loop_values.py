"""What a loop's body computed, as sequences for another loop over the same steps.

Derivatives of a loop are loops that read what the first one made. Values that are cheap are
computed again from others; what is expensive is kept, one row per step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.core.dtypes import is_discrete
from graphc.core.graph import substitute, toposort
from graphc.core.loop import Loop, Operands
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import Generator, Scalar, View, apply
from graphc.ops import scan
from graphc.ops.elementwise import add
from graphc.ops.index import getitem

KEPT_COST = 8.0  # of a scalar expression, in adds: dearer ones are kept
SHAPES = ("dim", "alloc", "broadcast_like", "zeros_like", "sum_like", "steps_of")


class Values:
    """Leaves, in the body of another loop, for what the body of `loop` computes.

    Attributes
    ----------
    slices, sequences : list of Variable
        The leaves that have been asked for, and the sequences of the other loop behind them.
    constants, captured : list of Variable
        Leaves that stay the same, and the operands behind them.
    """

    def __init__(self, loop: Loop, args: tuple[Variable, ...], wanted: Sequence[Variable]) -> None:
        self.loop, self.args, self.given = loop, args, loop.split(args)
        order = toposort([*loop.results, *wanted])
        self.inside = set(order)
        self.ragged = _ragged(order, loop)
        self.slices: list[Variable] = []
        self.sequences: list[Variable] = []
        self.constants: list[Variable] = []
        self.captured: list[Variable] = []
        self.found: dict[Variable, Variable] = {}
        self.shapes: dict[Variable, Variable] = {}
        self._sources = self._leaf_sources()
        self.names = {s.next: loop.next_name(k) for k, s in enumerate(loop.states)}

    def _leaf_sources(self) -> dict[Variable, tuple[str, int, int]]:
        found: dict[Variable, tuple[str, int, int]] = {}
        for k, v in enumerate(self.loop.slices):
            found[v] = ("slice", k, 0)
        for k, s in enumerate(self.loop.states):
            for tap, v in zip(s.taps, s.reads):
                found[v] = ("state", k, tap)
        for k, v in enumerate(self.loop.constants):
            found[v] = ("constant", k, 0)
        return found

    def slice(self, sequence: Variable, like: Variable) -> Variable:
        """A leaf for the rows of a sequence of the other loop."""
        leaf = Variable(like.type, name=self.names.get(like, like.name), where=like.where)
        self.slices.append(leaf)
        self.sequences.append(sequence)
        return leaf

    def over(self, roots: Sequence[Variable]) -> list[Variable]:
        """`roots`, made of values of the body, over leaves of the other loop."""
        order = self._order(roots)
        done: dict[Variable, Variable] = {}
        for v in order:
            if v in self.found:
                done[v] = self.found[v]
            elif v in self.inside and not self._again(v):
                done[v] = self.found[v] = self._leaf(v)
            elif v.op is None:
                done[v] = v
            else:
                new = tuple(self._operand(v, k, a, done) for k, a in enumerate(v.args))
                same = all(a is b for a, b in zip(new, v.args))
                with made_at(v.where):
                    done[v] = v if same else apply(v.op, new, v.attrs)
                if v in self.inside:
                    self.found[v] = done[v]
        return [done[r] for r in roots]

    def _order(self, roots: Sequence[Variable]) -> list[Variable]:
        """Operands first, not looking below what is kept or read for its shape only."""
        order: list[Variable] = []
        seen: set[Variable] = set()
        stack = [(r, False) for r in reversed(roots)]
        while stack:
            v, finished = stack.pop()
            if finished:
                order.append(v)
                continue
            if v in seen:
                continue
            seen.add(v)
            stack.append((v, True))
            if v in self.found or (v in self.inside and not self._again(v)):
                continue
            stack += [(a, False) for k, a in enumerate(v.args) if not self._only_shape(v, k, a)]
        return order

    def _only_shape(self, v: Variable, k: int, a: Variable) -> bool:
        return v.op is not None and k in v.op.shape_only and a in self.inside

    def _operand(
        self, v: Variable, k: int, a: Variable, done: dict[Variable, Variable]
    ) -> Variable:
        return self._shape(a) if self._only_shape(v, k, a) else done[a]

    def _shape(self, v: Variable) -> Variable:
        """Something of the same shape, of which nobody will ask the values."""
        if v not in self.shapes:
            leaves = [u for u in toposort([v]) if u in self._sources]
            for u in leaves:
                if u not in self.found:
                    self.found[u] = self._leaf(u)
            (self.shapes[v],) = substitute([v], {u: self.found[u] for u in leaves})
        return self.shapes[v]

    def _again(self, v: Variable) -> bool:
        """Whether a value is computed again."""
        if isinstance(v, Constant):
            return True
        if v.op is None:
            return False
        if self.loop.recompute or v in self.ragged:
            return True
        lower = v.op.lower
        if isinstance(lower, Scalar):
            return lower.cost < KEPT_COST or is_discrete(v.dtype)
        return isinstance(lower, View | Generator) or v.op.name in SHAPES

    def _leaf(self, v: Variable) -> Variable:
        kind, k, tap = self._sources.get(v, ("inside", 0, 0))
        if kind == "constant":
            leaf = Variable(v.type, name=v.name, where=v.where)
            self.constants.append(leaf)
            self.captured.append(self.given.constants[k])
            return leaf
        if kind == "slice":
            return self.slice(self.given.sequences[k], v)
        if kind == "state":
            return self.slice(self._earlier(k, tap), v)
        return self.slice(scan.rows(self.loop, self.args, v), v)

    def _earlier(self, k: int, tap: int) -> Variable:
        """What a state was `tap` steps ago, one row for each step."""
        whole = scan.history(self.loop, self.args, k)
        start = -tap if self.loop.reverse else self.loop.states[k].back + tap
        return getitem(whole, slice(start, add(self.given.steps, Constant(start, "int64"))))


def _ragged(order: Sequence[Variable], loop: Loop) -> set[Variable]:
    """What has another size in every step, so that rows of it can't be kept."""
    varying = {*loop.slices, *(r for s in loop.states for r in s.reads)}
    found: set[Variable] = set()
    for v in order:
        if v.op is None:
            continue
        if any(a in (found if v.op.name == "dim" else varying) for a in v.args):
            varying.add(v)
        if v.type.known or v not in varying:
            continue
        sizes = () if v.op.size_args is None else v.op.size_args(len(v.args), v.attrs)
        if (
            any(v.args[k] in varying for k in sizes) or v.op.facts.get("by_values")
            or any(a in found for a in v.args)
        ):  # fmt: skip
            found.add(v)
    return found


def other_loop_operands(
    values: Values, sequences: Sequence[Variable], initials: Sequence[Variable]
) -> tuple[Variable, ...]:
    """The operands of the other loop: its own sequences first, then those of `values`."""
    return Operands(
        values.given.steps, (*sequences, *values.sequences), tuple(initials),
        tuple(values.captured),
    ).all  # fmt: skip


def active_states(
    loop: Loop, leaves: Collection[Variable], targets: Sequence[Variable] = ()
) -> tuple[set[Variable], list[bool]]:
    """What of a body depends on some of its leaves, and which states do.

    A state that depends on them in one step does so in all later ones.
    """
    order = toposort([*loop.results, *targets])
    sources = set(leaves)
    active = [False] * len(loop.states)
    while True:
        found = set(sources)
        for v in order:
            if v not in found and scan.is_active(v) and any(a in found for a in v.args):
                found.add(v)
        now = [scan.is_active(s.next) and s.next in found for s in loop.states]
        now = [a or b for a, b in zip(active, now)]
        if now == active:
            return found, active
        active = now
        for s, is_active in zip(loop.states, active):
            if is_active:
                sources.update(s.reads)
