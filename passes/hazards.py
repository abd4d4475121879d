"""What may stop a plan, and what must not be overwritten before it has run.

A step that meets a bad index ends the call, and all shared variables must then be as they
were. So their memory is overwritten after the last check only; where that can't be, the new
value is made elsewhere and copied at the end. Checks of scalar indices are steps of their
own, which run as soon as the index is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphc.core.kernel import Check, Store
from graphc.core.node import Variable
from graphc.core.plan import Step, WordAddress
from graphc.passes.layout import Layout
from graphc.passes.nest import Nest


def has_checks(nest: Nest) -> bool:
    """Whether a kernel may stop at a bad index."""
    return any(kind == "error" for kind, _, _ in nest.kernel.words())


def stored_too_early(nest: Nest) -> set[Variable]:
    """The values that a kernel begins to write before its last check."""
    kernel = nest.kernel
    loops = [*kernel.row, *(s for p in kernel.phases for s in (*p.elem, *p.row))]
    checked, early = False, set()
    for section, repeated in (
        (kernel.columns, True), (kernel.post, False), (loops, True), (kernel.top, False)
    ):  # fmt: skip
        checked = checked or repeated and any(isinstance(s, Check) for s in section)
        for s in reversed(section):
            checked = checked or isinstance(s, Check)
            node = nest.bindings[s.operand].node if isinstance(s, Store) else None
            if checked and node is not None:
                early.add(node)
    return early


def checked_indices(layouts: Iterable[Layout]) -> list[Variable]:
    """The scalar indices that are checked before memory is read or written through layouts."""
    return [d.index for layout in layouts for d in layout.dynamic if d.checked]


def hoist(steps: Sequence[Step], known: Mapping[int, int]) -> list[Step]:
    """The steps with those that look at an index moved to where the index is known.

    Parameters
    ----------
    known : dict
        By number of such a step, the number of the first step that may read its index.
    """
    first: dict[WordAddress, int] = {}
    keys = []
    for k, step in enumerate(steps):
        if k not in known:
            keys.append((k, 1, k))
            continue
        target = next(w for w in step.words if isinstance(w, WordAddress))
        first[target] = max(known[k], first.get(target, 0))  # one after the other move a pointer
        keys.append((first[target], 0, k))
    order = [k for _, _, k in sorted(keys)]
    number = {old: new for new, old in enumerate(order)}
    for step in steps:
        step.words = [
            replace(w, step=number[w.step]) if isinstance(w, WordAddress) else w
            for w in step.words
        ]
    return [steps[k] for k in order]
