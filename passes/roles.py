"""How a group's axes are looped over: which are outer, which inner, and what is whose."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.core.node import Variable
from graphc.core.op import Scalar
from graphc.passes.group import Group, is_reduction
from graphc.passes.layout import trace

POSITIONS = ("argmax", "argmin")


@dataclass(frozen=True)
class Roles:
    """How a group's axes are looped over, and what each reduction is in that nest."""

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    kind: dict[Variable, str]
    post: frozenset[Variable]
    lanes: bool = False


def roles(group: Group) -> Roles | None:
    """A way to loop over a group's axes that serves all its members, or None."""
    reductions = [v for v in group.members if is_reduction(v)]
    if len(reductions) > 1 and any(v.op.lower.kind in POSITIONS for v in reductions):  # type: ignore
        return None  # they don't vectorise, and would keep the others from it
    axes = range(len(group.sizes))
    last = _innermost(group)
    if not reductions:
        inner = (last,) if last is not None else ()
        outer = tuple(a for a in axes if a != last)
        return Roles(outer, inner, {}, frozenset())
    candidates = {group.reduced(v) for v in reductions} - {frozenset()}
    if not candidates:
        candidates = {frozenset([last])} if last is not None else {frozenset()}
    for inner_set in sorted(candidates, key=lambda s: (last not in s, sorted(s))):
        found = _try_roles(group, inner_set, last)
        if found is not None:
            return found
    return None


def _innermost(group: Group) -> int | None:
    """The axis along which most of the memory runs."""
    votes: dict[int, int] = {}
    for v in group.members:
        domain = [a for a in group.domain[v] if a is not None]
        if domain:
            work = 1
            for a in domain:
                work *= group.sizes[a]
            votes[domain[-1]] = votes.get(domain[-1], 0) + work
    return max(sorted(votes), key=lambda a: votes[a]) if votes else None


def _try_roles(group: Group, inner: frozenset[int], last: int | None) -> Roles | None:
    everything = frozenset(range(len(group.sizes)))
    outer = everything - inner
    kind: dict[Variable, str] = {}
    post: set[Variable] = set()
    reduced: set[Variable] = set()
    members = set(group.members)
    for v in group.members:
        operands = [s for a in v.args if (s := trace(a)[0]) in members]
        span = frozenset(a for a in group.domain[v] if a is not None)
        if is_reduction(v):
            if any(u in post for u in operands):
                return None
            found = _reduction_kind(group.reduced(v), span, inner, outer)
            if found is None:
                return None
            kind[v] = found
            (post if found in ("cross", "column") else reduced).add(v)
            continue
        if any(u in post for u in operands):
            wide = any(kind.get(u) == "column" or group.axes_of(u) for u in operands if u in post)
            if not span <= inner or (span and not wide and outer):
                return None
            if any(u not in post and (u in reduced or not _within(group, u, inner))
                   for u in operands):  # fmt: skip
                return None
            post.add(v)
        elif any(u in reduced for u in operands):
            reduced.add(v)
        elif outer and span and span <= inner and _cost(v) > 4:
            return None
    lanes = bool(outer) and last in outer and bool(inner)
    if lanes and post:
        return None  # one pass over slow memory for the columns, another for the rest
    return Roles(tuple(sorted(outer)), tuple(sorted(inner)), kind, frozenset(post), lanes)


def _within(group: Group, u: Variable, inner: frozenset[int]) -> bool:
    return all(a in inner for a in group.axes_of(u) if a is not None)


def _reduction_kind(
    reduced: frozenset[int], span: frozenset[int], inner: frozenset[int], outer: frozenset[int]
) -> str | None:
    if not reduced:
        return "row"
    if reduced == inner and span >= outer:
        return "row"
    if span >= outer and outer <= reduced and outer:
        if reduced == span and (span == outer or span >= inner):
            return "cross"
        if reduced == outer and span - reduced == inner:
            return "column"
    return None


def _cost(v: Variable) -> float:
    return v.op.lower.cost if v.op is not None and isinstance(v.op.lower, Scalar) else 5.0
