"""In which order tasks run: what keeps memory low, errors early and updates late."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from graphc.core.node import Variable
from graphc.passes.group import Task

WINDOW = 64  # ready tasks among which the best is looked for


def schedule(
    tasks: Sequence[Task],
    reads: Mapping[Task, Sequence[Variable]],
    makes: Mapping[Task, Sequence[Variable]],
    nbytes: Callable[[Variable], int],
    updated: Mapping[Variable, Task],
    risky: Collection[Task],
    guards: Collection[Variable] = (),
) -> list[Task]:
    """Tasks so that operands come first, greedily by the memory each frees or takes.

    Parameters
    ----------
    reads, makes : mapping
        The variables in memory that each task reads and leaves behind.
    updated : mapping
        Shared leaves whose memory a task would like to overwrite: it waits for their
        other readers, and for every task that may raise an error, where it can.
    risky : collection
        The tasks that may raise an error.
    guards : collection
        Variables whose checks tell that sizes are other ones: whatever they need comes first,
        since other tasks could read behind the ends of parts that are shorter now.
    """
    maker = {v: t for t in tasks for v in makes[t]}
    pending = {t: {maker[v] for v in reads[t] if v in maker} - {t} for t in tasks}
    urgent = _ancestors([maker[v] for v in guards if v in maker], pending)
    followers: dict[Task, list[Task]] = {t: [] for t in tasks}
    for t, needed in pending.items():
        for n in needed:
            followers[n].append(t)
    uses: dict[Variable, int] = {}
    for t in tasks:
        for v in set(reads[t]):
            uses[v] = uses.get(v, 0) + 1
    sizes = {v: nbytes(v) for t in tasks for v in (*makes[t], *reads[t])}
    takes = {t: sum(sizes[v] for v in makes[t]) for t in tasks}
    kept = {t: [v for v in set(reads[t]) if v in maker] for t in tasks}
    overwrites: dict[Task, list[Variable]] = {}
    for leaf, t in updated.items():
        overwrites.setdefault(t, []).append(leaf)
    waiting = len(risky)
    ready = sorted((t for t in tasks if not pending[t]), key=lambda t: t not in urgent)
    order: list[Task] = []
    while ready:
        best, best_key = 0, None
        for k, t in enumerate(ready[:WINDOW]):
            waits = t in overwrites and (
                waiting > (t in risky)
                or any(uses.get(v, 0) > (v in reads[t]) for v in overwrites[t])
            )
            freed = sum([sizes[v] for v in kept[t] if uses[v] == 1])
            key = (waits, t not in urgent, takes[t] - freed, t.number)
            if best_key is None or key < best_key:
                best, best_key = k, key
        task = ready.pop(best)
        order.append(task)
        waiting -= task in risky
        for v in set(reads[task]):
            uses[v] -= 1
        for f in followers[task]:
            pending[f].discard(task)
            if not pending[f]:
                ready.insert(0 if f in urgent else len(ready), f)
    assert len(order) == len(tasks), "tasks that need each other"
    return order


def _ancestors(found: Collection[Task], needed: Mapping[Task, Collection[Task]]) -> set[Task]:
    """Tasks, and all that they wait for."""
    seen, left = set(found), list(found)
    while left:
        fresh = [t for t in needed[left.pop()] if t not in seen]
        seen.update(fresh)
        left += fresh
    return seen
