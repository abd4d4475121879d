"""Cheap values are computed again where they are read, instead of being kept in memory.

What a backward pass needs of a forward one is often a few operations away from a value
that is in memory anyway: ``1 - tanh(z)**2`` from ``tanh(z)``, ``relu(z) > 0`` from
``relu(z)``. Reading that value costs no more than reading the result would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.core.node import Constant, Variable
from graphc.core.op import Scalar
from graphc.passes.fuse import MEMBERS
from graphc.passes.group import AxisMap, Group, Task, is_generator, operand_axes
from graphc.passes.layout import is_view, trace
from graphc.passes.roles import roles

CHEAP = 8.0  # cost up to which operations are done again
SMALL = 8  # operands this many times smaller than the value may be read besides


def recompute(
    tasks: Sequence[Task],
    outputs: dict[Task, list[Variable]],
    readers: dict[Variable, list[Task]],
    roots: Collection[Variable],
    inputs: Collection[Variable],
) -> None:
    """Move cheap outputs of groups into the groups that read them.

    Parameters
    ----------
    outputs, readers : dict
        What each task leaves in memory, and which tasks read each of these; `outputs` is
        changed.
    roots, inputs : collections
        What must stay in memory, and what is there from the beginning.
    """
    for task in tasks:
        if not isinstance(task, Group) or len(outputs[task]) < 2:
            continue
        for v in list(outputs[task]):
            if v in roots or v.op is None or not isinstance(v.op.lower, Scalar):
                continue
            kept = [u for u in outputs[task] if u is not v]
            chain = _chain(task, v, kept, inputs)
            if chain is not None and _move(task, v, chain, readers.get(v, [])):
                outputs[task].remove(v)
                _prune(task, outputs[task])
                for u in {trace(a)[0] for m in chain for a in m.args}.intersection(kept):
                    readers[u] = list(dict.fromkeys([*readers.get(u, []), *readers[v]]))


def _chain(
    group: Group, v: Variable, kept: Sequence[Variable], inputs: Collection[Variable]
) -> list[Variable] | None:
    """The members that make `v` from what is in memory, operands first, if they are cheap."""
    needed: list[Variable] = []
    large: set[Variable] = set()
    stack, cost = [v], 0.0
    while stack:
        u = stack.pop()
        if u in needed:
            continue
        needed.append(u)
        if u.op is None or not isinstance(u.op.lower, Scalar) or u.op.checks:
            return None
        cost += u.op.lower.cost
        for a in u.args:
            source, _ = trace(a)
            if isinstance(source, Constant) or is_generator(source):
                continue
            if source in group.domain and source not in kept:
                stack.append(source)
            elif source.type.size * SMALL > v.type.size:
                if source not in kept and source not in inputs:
                    return None
                large.add(source)
        if cost > CHEAP or len(large) > 1:
            return None
    return [m for m in group.members if m in needed]


def _move(
    group: Group, v: Variable, chain: Sequence[Variable], readers: Sequence[Task]
) -> bool:
    """Give every reader its own computation of `v`; nothing changes if one can't have it."""
    changes: list[tuple[Group, dict[Variable, AxisMap]]] = []
    for task in readers:
        if not isinstance(task, Group) or len(task.members) + len(chain) > MEMBERS:
            return False
        renaming = _renaming(group, task, v)
        if renaming is None:
            return False
        domains: dict[Variable, AxisMap] = {}
        for m in chain:
            axes = group.domain[m]
            if any(a is not None and a not in renaming for a in axes):
                return False
            domains[m] = tuple(None if a is None else renaming[a] for a in axes)
        changes.append((task, domains))
    undo = [(t, list(t.members), dict(t.domain)) for t, _ in changes]
    for task, domains in changes:
        task.members = _in_order([m for m in domains if m not in task.domain] + task.members)
        task.domain = {**domains, **task.domain}
        if roles(task) is None:
            for t, members, domain in undo:
                t.members, t.domain = members, domain
            return False
    return bool(changes)


def _renaming(group: Group, reader: Group, v: Variable) -> dict[int, int] | None:
    """The axis of `reader` for each axis of `group` along which `v` runs, if it is one."""
    renaming: dict[int, int] = {}
    value_axes = group.axes_of(v)
    for m in reader.members:
        for k, a in enumerate(m.args):
            source, along = trace(a)
            if source is not v and _views(source, v):
                return None
            if source is not v:
                continue
            if m.op is not None and m.op.name == "gather" and k == 0:
                return None
            seen = set()
            for place, inner in zip(operand_axes(m, k), along):
                axis = value_axes[inner] if inner is not None else None
                ours = reader.domain[m][place] if place is not None else None
                if axis is None:
                    continue
                if ours is None or renaming.setdefault(axis, ours) != ours:
                    return None
                seen.add(axis)
            if seen != {x for x in value_axes if x is not None}:
                return None
    return renaming or None


def _views(a: Variable, v: Variable) -> bool:
    """Whether `a` is a view over the memory of `v`, or its place depends on `v`."""
    stack = [a]
    while stack:
        u = stack.pop()
        if u is v:
            return True
        if is_view(u):
            stack.extend(u.args)
    return False


def _in_order(members: Sequence[Variable]) -> list[Variable]:
    """Members with operands first."""
    known, order = set(members), []
    stack = [(m, False) for m in reversed(members)]
    while stack:
        m, done = stack.pop()
        if done:
            order.append(m)
        elif m in known:
            known.remove(m)
            stack.append((m, True))
            stack += [(trace(a)[0], False) for a in reversed(m.args)]
    return order


def _prune(group: Group, outputs: Sequence[Variable]) -> None:
    """Drop members that nobody needs any more."""
    needed = set(outputs)
    for m in reversed(group.members):
        if m in needed:
            needed.update(trace(a)[0] for a in m.args)
    group.members = [m for m in group.members if m in needed]
    group.domain = {m: d for m, d in group.domain.items() if m in needed}
