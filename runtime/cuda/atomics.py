"""Which scatters may add by atomic additions: in any order, by as many threads as there are steps.

Such a nest has one store, and what that stores is what its element had before plus a value that
doesn't depend on it. The nest says so itself (`Store.adds`); what is looked at here is that
nothing else in it sees an element of the target, so that no step needs another's result:

- the old element is loaded once, at the place of the store, and with the sum goes nowhere else;
- nothing else is read from the target's memory;
- the value is loaded in the target's dtype, so that adding it is one addition of that dtype.

An atomic addition of the device reads, adds and writes as one action, so none is lost. Those of
float32 take subnormal numbers as zeros, and give zeros for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.core.kernel import Kernel, Let, Load, Statement, Store
from graphc.runtime.cuda.deal import names_in

ATOMIC = ("float32", "float64", "int32", "int64")
"""The dtypes that are added by atomic additions."""


@dataclass(frozen=True)
class Addition:
    """A scatter's store, and what has to be computed before it."""

    store: Store
    before: tuple[Statement, ...]


def addition_of(kernel: Kernel) -> Addition | None:
    """The addition that a nest's steps are, or None if they are something else."""
    if kernel.top or kernel.phases or kernel.cross or kernel.post or kernel.columns:
        return None
    if not kernel.axes or not all(isinstance(s, Let | Load | Store) for s in kernel.row):
        return None
    stores = [s for s in kernel.row if isinstance(s, Store)]
    if len(stores) != 1 or not stores[0].adds or kernel.row[-1] is not stores[0]:
        return None
    return _alone(kernel, stores[0])


def _alone(kernel: Kernel, store: Store) -> Addition | None:
    """The addition, if its target is neither read nor written but by it."""
    operands = {o.name: o for o in kernel.operands}

    def memory(name: str) -> str:
        return operands[name].alias or name

    loads = [s for s in kernel.row if isinstance(s, Load)]
    old = [s for s in loads if memory(s.operand) == memory(store.operand)]
    if len(old) != 1 or (old[0].operand, old[0].offset) != (store.operand, store.offset):
        return None
    dtype = operands[store.operand].dtype
    added = [s for s in loads if s.name == store.adds and operands[s.operand].dtype == dtype]
    if dtype not in ATOMIC or len(added) != 1:
        return None
    gone = {old[0].name, store.value}
    rest = [s for s in kernel.row[:-1] if s is not old[0]]
    before = tuple(s for s in rest if not (isinstance(s, Let) and s.name == store.value))
    used = names_of(before) | names_in(store.offset) | {store.adds}
    return None if gone & used else Addition(store, before)


def names_of(statements: Sequence[Statement]) -> set[str]:
    """The names that statements read."""
    texts = [s.text if isinstance(s, Let) else s.offset for s in statements
             if isinstance(s, Let | Load)]  # fmt: skip
    return {name for text in texts for name in names_in(text)}
