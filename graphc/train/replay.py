"""The steps since the last good moment once more, to find the one that went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.core.node import Array, SharedVariable
from graphc.train.nonfinite import NonFiniteError, all_finite, bad_leaves, culprits, listed
from graphc.train.task import Task

if TYPE_CHECKING:
    from graphc.train.fitting import Run

CURES = (
    "the model has the values from before that step. A smaller learning rate, clipped gradients "
    "(gradients=optim.clip_by_global_norm) or scaled inputs are the usual cures"
)


class Snapshot:
    """The values of shared variables, and which batch comes next."""

    def __init__(
        self, kept: Mapping[str, SharedVariable], batches: Mapping[str, Any], step: int
    ) -> None:
        self.batches, self.step = dict(batches), step
        self.values: list[tuple[SharedVariable, Array]] = [
            (v, v.get_value()) for v in kept.values()
        ]

    def restore(self) -> None:
        """Put the values back."""
        for variable, value in self.values:
            variable.set_value(value)


@dataclass(frozen=True)
class Found:
    """The step that went wrong, counted from 1, and why."""

    step: int
    why: str
    given: str = ""  # the input that held it


def watched(task: Task) -> dict[str, SharedVariable]:
    """The shared variables that are to stay finite: all that are, and all parameters.

    Raises
    ------
    NonFiniteError
        If a parameter isn't.
    """
    bad = set(bad_leaves(task.kept))
    params = set(task.params)
    spoilt = [name for name in task.kept if name in bad and task.kept[name] in params]
    if spoilt:
        names = [name.removeprefix("model/") for name in spoilt]
        are = "is" if len(names) == 1 else "are"
        raise NonFiniteError(
            f"before the first step, {listed(names)} {are} not finite",
            "look at where the values come from: an initialiser, a file, an earlier training",
            task.kept[spoilt[0]].where,
        )
    return {name: v for name, v in task.kept.items() if name not in bad}


def explain(run: Run, snapshot: Snapshot, what: str) -> NonFiniteError:
    """The error that names what made the first NaN or infinity.

    A step is a pure function of its batch and of the shared variables, so the steps since the
    snapshot can be made again. The shared variables are left as they were before the bad one.
    """
    found = _search(run, snapshot)
    if found is None:
        return NonFiniteError(
            f"{what}; made once more, the steps since step {snapshot.step} were all finite",
            "does a hook change shared variables, or a generator make other rows each time? The "
            "model has the values of the repetition",
        )
    made = "" if found.step == run.step + 1 else f"; step {found.step} made it"
    if found.given:
        return NonFiniteError(f"{what}{made}:\n{found.why}",
                              f"{found.given} holds it: finite=True refuses such rows")  # fmt: skip
    return NonFiniteError(f"{what}{made}:\n{found.why}", CURES)


def _search(run: Run, snapshot: Snapshot) -> Found | None:
    snapshot.restore()
    task, batches = run.task, run.batches
    batches.load_state_dict(snapshot.batches)
    names = {v: path for path, v in task.named().items()}
    number, last = snapshot.step, run.step + 1
    while number < last:
        first = number
        for taken in batches:
            arrays = run.feed(taken)
            before = Snapshot(task.kept, {}, number)
            values = task.step(*arrays)
            number += 1
            if not all_finite(values[0]) or bad_leaves(run.watched):
                before.restore()
                found = culprits(task.step, arrays, names)
                batches.close()
                if not found:
                    return Found(number, "the interpreter, which rounds otherwise, got numbers")
                given = found[-1].variable
                label = str(given.name) if given in task.leaves else ""
                return Found(number, "\n".join(map(str, found)), label)
            if number >= last:
                break
        if number == first:
            break  # a generator that makes no more rows
    return None
