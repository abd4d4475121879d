"""Choices: rules that bring operations into their sides, and the pass that makes them lazy.

A gradient through a choice is zero on one side, and so is everything linear that is made of
it: such operations move into the sides, where the one with the zero goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.core.graph import Graph, Interner, ancestors, depending_on, toposort, users
from graphc.core.loop import Branch
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import apply, building_with
from graphc.core.pattern import ANYTHING, Rule, rewrites, uniform_value
from graphc.ops import choice
from graphc.ops.broadcast import alloc, broadcast_like, zeros_like
from graphc.passes import loop_bodies
from graphc.passes.group import whole_of
from graphc.passes.stacking import is_zero

# Ops that are zero where one of these operands is; None for any of them.
ZERO_PRESERVING: dict[str, tuple[int, ...] | None] = {
    "mul": None, "dot": None, "neg": (0,), "cast": (0,), "sum": (0,), "dimshuffle": (0,),
    "reshape": (0,), "broadcast_like": (0,), "sum_like": (0,), "alloc": (0,), "true_div": (0,),
    "subtensor": (0,), "gather": (0,), "real": (0,), "conj": (0,), "conv2d": None,
    "conv2d_gradient_of_input": None, "conv2d_gradient_of_weight": None,
}  # fmt: skip


@rewrites("ifelse")
def known_choice(node: Variable) -> Variable | None:
    """ifelse(True, a, b) -> a, and ifelse(c, a, a) -> a"""
    c, a, b = node.args
    if isinstance(c, Constant):
        return a if bool(c.data) else b
    return a if a is b else None


@rewrites(ANYTHING, on=("ifelse",))
def zero_preserving_of_choice(node: Variable) -> Variable | None:
    """f(ifelse(c, x, 0)) -> ifelse(c, f(x), 0), where f(0) = 0"""
    assert node.op is not None
    places = ZERO_PRESERVING.get(node.op.name, ())
    for k, a in enumerate(node.args):
        if (places is not None and k not in places) or not choice.is_choice(a):
            continue
        c, x, y = a.args
        before, after = node.args[:k], node.args[k + 1 :]
        if uniform_value(y) == 0:
            new = apply(node.op, (*before, x, *after), node.attrs)
            return choice.choose(c, new, _zeros(new))
        if uniform_value(x) == 0:
            new = apply(node.op, (*before, y, *after), node.attrs)
            return choice.choose(c, _zeros(new), new)
    return None


def _zeros(like: Variable) -> Variable:
    """Zeros that don't depend on what they are like, where its sizes are known."""
    if not like.type.known:
        return zeros_like(like)
    return alloc(Constant(0, like.dtype), *like.type.shape)


@rewrites("update_subtensor", "scatter", on=("ifelse",))
def written_choice(node: Variable) -> Variable | None:
    """zeros[i] = ifelse(c, x, 0) -> ifelse(c, zeros[i] = x, 0)"""
    base, value, *index = node.args
    if not choice.is_choice(value) or not is_zero(base):
        return None
    assert node.op is not None
    c, x, y = value.args
    if uniform_value(y) == 0:
        return choice.choose(c, apply(node.op, (base, x, *index), node.attrs), base)
    if uniform_value(x) == 0:
        return choice.choose(c, base, apply(node.op, (base, y, *index), node.attrs))
    return None


@rewrites("add", "sub", on=("ifelse",))
def sum_of_choices(node: Variable) -> Variable | None:
    """ifelse(c, a, b) + ifelse(c, x, y) -> ifelse(c, a + x, b + y)"""
    left, right = node.args
    if not (choice.is_choice(left) and choice.is_choice(right)):
        return None
    if left.args[0] is not right.args[0] or left.ndim != right.ndim:
        return None
    assert node.op is not None
    sides = [apply(node.op, (a, b), node.attrs) for a, b in zip(left.args[1:], right.args[1:])]
    return choice.choose(left.args[0], *sides)


CHOICES: tuple[Rule, ...] = (
    known_choice, zero_preserving_of_choice, written_choice, sum_of_choices,
)  # fmt: skip


# --- laziness -------------------------------------------------------------------------


def make_lazy(graph: Graph, interner: Interner) -> Graph:
    """`graph` with the sides of its choices as bodies, of which one is computed.

    A side's body holds what nothing else needs. Choices by the same condition that don't need
    each other are made together, so that what their sides share is computed once; what a later
    choice's same side needs, as gradients need values, is handed on.
    """

    def change(part: Graph) -> Graph:
        while group := _next_group(part):
            part = _with_branch(part, interner, group, change)
        return part

    return change(loop_bodies.in_bodies(graph, interner, change))


def _next_group(graph: Graph) -> list[Variable]:
    """Choices by one condition that are made in any case, and need no others by it."""
    always = _always_needed(graph)
    choices = [v for v in graph.nodes() if choice.is_choice(v) and v in always]
    if not choices:
        return []
    same = [v for v in choices if v.args[0] is choices[-1].args[0]]
    order = graph.nodes()
    later: set[Variable] = set()
    for v in same:
        if v not in later:
            later |= depending_on(order, {v}) - {v}
    return [v for v in same if v not in later]


def _always_needed(graph: Graph) -> set[Variable]:
    """What is computed whatever conditions come to."""
    found: set[Variable] = set()
    stack = list(graph.roots)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            stack.extend(v.args[:1] if choice.is_choice(v) else v.args)
    return found


@dataclass
class Side:
    """What is computed if a condition is true, or if it isn't.

    `inside` is what only choices by this condition need, on this side; `handed_on` of it what
    choices that come later need.
    """

    results: list[Variable]
    inside: set[Variable]
    handed_on: list[Variable]


def _side(graph: Graph, group: Sequence[Variable], k: int) -> Side:
    order = graph.nodes()
    readers = users(order)
    only = _only_needed(order, readers, {*graph.roots, *group}, group[0].args[0], k)
    results = [v.args[k] for v in group]
    inside = {v for v in only if v in ancestors(results)}
    handed_on = [
        v for v in order if v in inside
        and any(u not in inside and u not in group for u in readers[v])
    ]  # fmt: skip
    return Side(results, inside, handed_on)


def _only_needed(
    order: Sequence[Variable], readers: dict[Variable, list[Variable]], kept: set[Variable],
    condition: Variable, k: int,
) -> set[Variable]:  # fmt: skip
    """What only one side of choices by a condition needs; of a loop all results, or none."""
    while True:
        only: set[Variable] = set()
        for v in reversed(order):
            if v.op is None or v in kept:
                continue
            if all(u in only or _reads_on_side(u, v, condition, k) for u in readers[v]):
                only.add(v)
        wholes = {whole_of(v) for v in order if v not in only} - {None}
        split = {v for v in only if whole_of(v) in wholes}
        if not split:
            return only
        kept = kept | split


def _reads_on_side(u: Variable, v: Variable, condition: Variable, k: int) -> bool:
    """Whether a choice reads a value on one side, and nowhere else."""
    if not choice.is_choice(u) or u.args[0] is not condition:
        return False
    return u.args[k] is v and u.args[3 - k] is not v and condition is not v


def _with_branch(
    graph: Graph, interner: Interner, group: Sequence[Variable], change: Callable[[Graph], Graph]
) -> Graph:
    sides = [_side(graph, group, k) for k in (1, 2)]
    results = [*group, *(v for side in sides for v in side.handed_on)]
    wanted: list[list[Variable | None]] = []
    with building_with(interner):
        for side in sides:
            fitted = [_fitted(v, r) for v, r in zip(group, side.results)]
            wanted.append([*fitted, *(v if v in side.handed_on else None
                                      for v in results[len(group) :])])  # fmt: skip
    order = graph.nodes()
    captured = _captured(order, wanted, sides[0].inside | sides[1].inside)
    leaves = {v: loop_bodies.leaf(interner, n, v) for n, v in enumerate(captured)}
    bodies = [_body(side, leaves, interner, change) for side in wanted]
    branch = Branch(tuple(leaves.values()), *bodies)
    condition = group[0].args[0]
    done: dict[Variable, Variable] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        if v not in results:
            return loop_bodies.again(v, args)
        with made_at(v.where):
            given = (done[condition], *(done[a] for a in captured))
            return apply(choice.branch, given, {"branch": branch, "which": results.index(v)})

    first = toposort([condition, *captured])
    interner.rebuild([*first, *(v for v in order if v not in set(first))], done, visit)
    for old, made in done.items():
        interner.note(made, old)
    return graph.with_roots([done[r] for r in graph.roots])


def _captured(
    order: Sequence[Variable], wanted: Sequence[Sequence[Variable | None]], inside: set[Variable]
) -> list[Variable]:
    """What the bodies read from outside."""
    known = set(order)
    found: dict[Variable, None] = {}
    stack = [v for side in wanted for v in side if v is not None]
    seen: set[Variable] = set()
    while stack:
        v = stack.pop()
        if v in seen or isinstance(v, Constant):
            continue
        seen.add(v)
        if v in inside or v not in known:
            stack.extend(v.args)
        else:
            found[v] = None
    return [v for v in order if v in found]


def _fitted(v: Variable, side: Variable) -> Variable:
    """A side in the shape of the choice."""
    return side if side.type == v.type or not v.type.known else broadcast_like(side, v)


def _body(
    results: Sequence[Variable | None], leaves: dict[Variable, Variable], interner: Interner,
    change: Callable[[Graph], Graph],
) -> tuple[Variable | None, ...]:  # fmt: skip
    done: dict[Variable, Variable] = dict(leaves)
    roots = [r for r in results if r is not None]
    with building_with(interner):
        interner.rebuild(toposort(roots, leaves=frozenset(done)), done)
    body = change(Graph(tuple(leaves.values()), tuple(done[r] for r in roots)))
    made = dict(zip(roots, body.outputs))
    return tuple(None if r is None else made[r] for r in results)
