"""Which operations go into one kernel.

Operations are visited operands first; each joins the group of an operand where the result
is still one loop nest, and is alone otherwise. Groups carry numbers, and values flow from
lower to higher numbers only, so that no two groups can come to need each other. That
makes the pass near-linear: whether a join is allowed is a comparison of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from graphc.core.node import Constant, Variable
from graphc.core.op import Gather
from graphc.passes.group import (
    AxisMap,
    Group,
    Single,
    Task,
    is_fusable,
    is_generator,
    loop_shape,
    operand_axes,
    whole_of,
)
from graphc.passes.layout import Layouts, is_view, trace
from graphc.passes.roles import roles

MEMBERS = 60  # operations in one kernel at most
POINTERS = 26  # arrays in one kernel at most


class Fuser:
    """Puts the operations of a sized graph into tasks."""

    def __init__(self, layouts: Layouts, limit: int = MEMBERS) -> None:
        self.layouts = layouts
        self.limit = limit
        self.task_of: dict[Variable, Task] = {}
        self.tasks: list[Task] = []
        self.count = 0
        self.by_leaf: dict[Variable, Variable] = {}  # of a leaf, its latest reader
        self.wholes: dict[Any, Single] = {}  # of loops and branches: their task

    def run(self, order: Sequence[Variable]) -> list[Task]:
        """Tasks of all operations of a topological `order`."""
        for v in order:
            if v.op is None or is_view(v) or is_generator(v):
                continue
            if is_fusable(v):
                self._place(v)
            else:
                self._single(v)
        live = {id(t): t for t in self.task_of.values()}
        return sorted(live.values(), key=lambda t: t.number)

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _single(self, v: Variable) -> None:
        key = whole_of(v)
        if key is not None and key in self.wholes:
            task = self.task_of[v] = self.wholes[key]
            task.members.append(v)
            return
        task = Single(self._next(), [v])
        self.task_of[v] = task
        if key is not None:
            self.wholes[key] = task
        for a in v.args:
            for source in self.sources(a):
                self._used(source, v)

    def sources(self, a: Variable) -> list[Variable]:
        """What has to be computed before an operand can be read from memory."""
        found, stack = [], [a]
        while stack:
            v = stack.pop()
            if v in self.task_of:
                found.append(v)
            elif is_view(v) or is_generator(v):
                stack.extend(v.args)
        return found

    def _used(self, source: Variable, by: Variable) -> None:
        task, user = self.task_of[source], self.task_of[by]
        if task is not user:
            task.first_user = min(task.first_user, user.number)
            if isinstance(task, Group):
                task.users[by] = None

    def _place(self, v: Variable) -> None:
        direct, strict = self._dependencies(v)
        candidates = sorted(
            {id(g): g for u in direct if isinstance(g := self.task_of[u], Group)}.values(),
            key=lambda g: -g.number,
        )
        if not candidates:
            candidates = self._siblings(v)
        for group in candidates:
            if self._join(group, v, direct, strict):
                for other in candidates:
                    if other is not group and all(self.task_of[u] is not other for u in strict):
                        self._merge(other, group, v)
                self._settle(v, direct + strict)
                return
        group = Group(self._next())
        self._add(group, v, _mapping(group, v, {}))
        self.task_of[v] = group
        self._settle(v, direct + strict)

    def _settle(self, v: Variable, sources: Sequence[Variable]) -> None:
        for u in sources:
            self._used(u, v)
        for a in v.args:
            source, _ = trace(a)
            if source not in self.task_of and not is_generator(source) and source.ndim:
                self.by_leaf[source] = v

    def _siblings(self, v: Variable) -> list[Group]:
        """Groups that read the same memory over the same sizes."""
        shape, found = loop_shape(v), {}
        for a in v.args:
            source = self.by_leaf.get(trace(a)[0])
            group = None if source is None else self.task_of[source]
            if not isinstance(group, Group):
                continue
            if sorted(n for n in shape if n != 1) == sorted(group.sizes):
                found[id(group)] = group
        return list(found.values())

    def _dependencies(self, v: Variable) -> tuple[list[Variable], list[Variable]]:
        """Computed operands that could stay in registers, and those that must be in memory."""
        direct, strict = [], []
        for k, a in enumerate(v.args):
            source, _ = trace(a)
            gathered = isinstance(v.op.lower, Gather) and k == 0  # type: ignore[union-attr]
            if source in self.task_of and is_fusable(source) and not gathered:
                direct.append(source)
            else:
                strict += self.sources(source)
        return direct, strict

    def _join(
        self, group: Group, v: Variable, direct: Sequence[Variable], strict: Sequence[Variable]
    ) -> bool:
        others = [self.task_of[u] for u in direct if self.task_of[u] is not group]
        needed = [self.task_of[u] for u in strict] + others
        if any(t is group for t in (self.task_of[u] for u in strict)):
            return False
        if len(group.members) >= self.limit or (0 in loop_shape(v)) != (0 in group.sizes):
            return False  # a loop that never runs makes nothing for the others
        floor = max((t.number for t in needed), default=0)
        lift = floor >= group.number
        if lift and group.first_user != inf:
            return False
        mapping = _mapping(group, v, self.task_of)
        if mapping is None or not self._fits(group, v, mapping):
            return False
        if lift:
            group.number = self._next()
        self._add(group, v, mapping)
        self.task_of[v] = group
        return True

    def _fits(self, group: Group, v: Variable, mapping: AxisMap) -> bool:
        """Whether the group stays one nest with `v`; tried on the group itself."""
        sizes, leaves = list(group.sizes), set(group.leaves)
        self._add(group, v, mapping)
        good = len(group.leaves) + 4 <= POINTERS and roles(group) is not None
        group.members.pop()
        del group.domain[v]
        group.sizes, group.leaves = sizes, leaves
        return good

    def _add(self, group: Group, v: Variable, mapping: AxisMap | None) -> None:
        assert mapping is not None
        for n, axis in zip(loop_shape(v), mapping):
            if axis is not None and axis >= len(group.sizes):
                group.sizes.append(n)
        group.members.append(v)
        group.domain[v] = mapping
        for a in v.args:
            source, _ = trace(a)
            if self.task_of.get(source) is not group and not isinstance(source, Constant):
                group.leaves.add(source)
        group.leaves.discard(v)

    def _merge(self, other: Group, group: Group, v: Variable) -> bool:
        """Take the members of `other`, whose values `v` reads, into `group`."""
        if len(other.members) + len(group.members) > self.limit:
            return False
        if (0 in other.sizes) != (0 in group.sizes):
            return False
        if other.first_user < group.number or other.number > group.number:
            return False  # a later group may need what this one makes, through others even
        readers = [u for u in other.users if self.task_of[u] is group]
        if any(self.task_of[s] is other for u in readers for s in self._dependencies(u)[1]):
            return False
        renaming = _renaming(other, group, [*readers, v])
        if renaming is None:
            return False
        before = list(group.members), dict(group.domain), list(group.sizes), set(group.leaves)
        for axis, n in zip(renaming, other.sizes):
            if axis == len(group.sizes):
                group.sizes.append(n)
        group.members = other.members + group.members
        for m in other.members:
            group.domain[m] = tuple(None if a is None else renaming[a] for a in other.domain[m])
        group.leaves = (group.leaves | other.leaves) - set(group.members)
        if len(group.leaves) + 4 > POINTERS or roles(group) is None:
            group.members, group.domain, group.sizes, group.leaves = before
            return False
        for m in other.members:
            self.task_of[m] = group
        group.users.update(other.users)
        rest = (self.task_of[u] for u in other.users)
        group.first_user = min(
            [group.first_user, *(t.number for t in rest if t is not group)]
        )
        return True


def _mapping(group: Group, v: Variable, task_of: Any) -> AxisMap | None:
    """The group's axis for each axis of `v`'s loop, or None where they don't go together.

    Axes follow operands that the group computes; others take a free axis of their size, or
    a new one.
    """
    shape = loop_shape(v)
    mapping: list[int | None] = [None] * len(shape)
    for k, a in enumerate(v.args):
        source, along = trace(a)
        if task_of.get(source) is not group or source not in group.domain:
            continue
        value_axes = group.axes_of(source)
        for place, inner in zip(operand_axes(v, k), along):
            if inner is None or place is None or shape[place] == 1:
                continue
            axis = value_axes[inner]
            if axis is None:
                continue
            if mapping[place] not in (None, axis):
                return None
            mapping[place] = axis
    linked = any(a is not None for a in mapping)
    completed = _complete(mapping, shape, group.sizes)
    if linked or completed is None or not group.sizes:
        return completed
    # Only a number, or memory, is shared: worth it where the loops are the very same.
    walked = [a for a in completed if a is not None]
    return completed if walked in ([], list(range(len(group.sizes)))) else None


def _complete(
    mapping: list[int | None], shape: Sequence[int], sizes: Sequence[int]
) -> AxisMap | None:
    used = [a for a in mapping if a is not None]
    if len(set(used)) != len(used):
        return None
    count = len(sizes)
    for place, n in enumerate(shape):
        if n == 1 or mapping[place] is not None:
            continue
        free = [a for a in range(len(sizes)) if sizes[a] == n and a not in used]
        axis = free[0] if free else count
        count += not free
        mapping[place] = axis
        used.append(axis)
    return tuple(mapping)


def _renaming(other: Group, group: Group, readers: Sequence[Variable]) -> list[int] | None:
    """For each axis of `other`, the axis of `group` that it is, given who there reads it."""
    renaming: list[int | None] = [None] * len(other.sizes)
    for v in readers:
        shape = loop_shape(v)
        for k, a in enumerate(v.args):
            source, along = trace(a)
            if source not in other.domain:
                continue
            value_axes = other.axes_of(source)
            for place, inner in zip(operand_axes(v, k), along):
                if inner is None or place is None or shape[place] == 1:
                    continue
                theirs, ours = value_axes[inner], group.domain[v][place]
                if theirs is None or ours is None:
                    continue
                if renaming[theirs] not in (None, ours):
                    return None
                renaming[theirs] = ours
    if other.sizes and all(a is None for a in renaming) and other.sizes != group.sizes:
        return None  # they only share a number
    completed = _complete(renaming, other.sizes, group.sizes)
    return None if completed is None else [a for a in completed if a is not None]
