"""Joins whose parts are made where they are joined: the copies go away.

A kernel that makes all parts of a join writes each at its place in the join's buffer, and so
makes the join. The gates of a recurrent cell and their gradients are such parts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphc.core.node import Variable
from graphc.passes.group import Group, Single, Task, is_reduction
from graphc.passes.layout import Layout, Layouts, c_strides, shape_of


def fill_joins(
    tasks: Sequence[Task], outputs: dict[Task, list[Variable]],
    readers: Mapping[Variable, Sequence[Task]], roots: Collection[Variable],
    task_of: dict[Variable, Task], layouts: Layouts,
) -> dict[Task, list[Variable]]:  # fmt: skip
    """What groups store that make joins; elsewhere than in buffers of their own.

    Parameters
    ----------
    outputs : dict
        What each task leaves in memory, with joins in place of their parts from now on; a join
        that has been made leaves nothing.
    readers : mapping
        Which tasks read each of these.
    roots : collection
        What has to be in a buffer of its own.
    task_of : dict
        The task that makes a value.
    layouts : Layouts
        Where values lie.
    """
    stored: dict[Task, list[Variable]] = {}
    for t in tasks:
        if not isinstance(t, Single) or t.node.op is None or t.node.op.name != "join":
            continue
        join = t.node
        group = _maker(t, task_of)
        if group is None or any(a in roots or list(readers.get(a, ())) != [t] for a in join.args):
            continue
        if any(a not in outputs[group] for a in join.args):
            continue
        _place_parts(join, layouts)
        stored.setdefault(group, list(outputs[group]))
        outputs[group] = [v for v in outputs[group] if v not in join.args] + [join]
        outputs[t] = []
        task_of[join] = group
        group.joined.append(join)
    return stored


def _maker(t: Single, task_of: Mapping[Variable, Task]) -> Group | None:
    """The group that makes all parts of a join, each once, in a nest without reductions."""
    parts = t.node.args
    group = task_of.get(parts[0])
    if not isinstance(group, Group) or len(set(parts)) < len(parts):
        return None
    if any(task_of.get(a) is not group or a.dtype != t.node.dtype for a in parts):
        return None
    simple = not any(is_reduction(m) or m.op is None or m.op.checks for m in group.members)
    return group if simple else None


def _place_parts(join: Variable, layouts: Layouts) -> None:
    assert join.op is not None
    axis, strides, start = join.attrs["axis"], c_strides(shape_of(join)), 0
    for a in join.args:
        layouts.found[a] = Layout(join, shape_of(a), strides, start * strides[axis])
        start += shape_of(a)[axis]
