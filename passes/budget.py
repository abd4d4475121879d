"""What compiling a graph's kernels takes, and what a call of them does."""

from __future__ import annotations

from typing import Any

from graphc.passes.fuse import Fuser
from graphc.passes.group import Group
from graphc.passes.layout import Layouts, trace
from graphc.passes.specialise import Sized

STEP_SECONDS, BYTES_PER_SECOND = 40e-9, 1e10  # what a step costs besides its memory traffic


def estimate(sized: Sized, limit: int) -> tuple[int, float]:
    """How many different kernels a plan would have, and the seconds a call of them takes.

    Only the grouping is done, which is the small part of binding.
    """
    layouts = Layouts()
    tasks = Fuser(layouts, limit).run(sized.graph.nodes())
    groups = [t for t in tasks if isinstance(t, Group)]
    seconds = STEP_SECONDS * len(groups)
    for g in groups:
        read = {trace(a)[0] for m in g.members for a in m.args}
        arrays = [v for v in read if v not in g.domain]
        made = sum(v.type.nbytes for v in g.members[-1:])
        seconds += (made + sum(v.type.nbytes for v in arrays)) / BYTES_PER_SECOND
    return len({_signature(g) for g in groups}), seconds


def _signature(group: Group) -> tuple[Any, ...]:
    """What a group's kernel depends on, about: its operations and how they hang together."""
    place = {m: k for k, m in enumerate(group.members)}
    found = []
    for m in group.members:
        assert m.op is not None
        sources = tuple(place.get(trace(a)[0], -1) for a in m.args)
        found.append((m.op.name, m.dtype, sources, group.domain[m]))
    return tuple(found)
