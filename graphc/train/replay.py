"""The steps since the last good moment once more, to find the one that went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.core.node import Array, SharedVariable, user_frames
from graphc.train.nonfinite import NonFiniteError, all_finite, culprits

if TYPE_CHECKING:
    from graphc.train.fitting import Run


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


def explain(run: Run, snapshot: Snapshot, what: str) -> NonFiniteError:
    """The error that names what made the first NaN or infinity.

    A step is a pure function of its batch and of the shared variables, so the steps since the
    snapshot can be made again. The shared variables are left as they were before the bad one.
    """
    found = _search(run, snapshot)
    if found is None:
        return NonFiniteError(
            f"{what}; made once more, the steps since step {snapshot.step} were all finite",
            "does something outside of the task change its shared variables?", user_frames(),
        )  # fmt: skip
    return NonFiniteError(
        f"{what}. Step {found.step} made it: {found.why}",
        "the model has the values from before that step. A smaller learning rate, clipped "
        "gradients (gradients=optim.clip_by_global_norm) or scaled inputs are the usual cures",
    )


def _search(run: Run, snapshot: Snapshot) -> Found | None:
    snapshot.restore()
    kept = run.task.kept
    batches = run.batches
    batches.load_state_dict(snapshot.batches)
    number = snapshot.step
    last = run.step + 1
    while number < last:
        for taken in batches:
            arrays = run.feed(taken)
            before = Snapshot(kept, {}, number)
            values = run.task.step(*arrays)
            number += 1
            if not all(map(all_finite, values[:1])) or not all(
                all_finite(v.get_value(borrow=True)) for v in kept.values()
            ):
                before.restore()
                made = "\n".join(map(str, culprits(run.task.step, arrays)))
                batches.close()
                return Found(number, made or "the interpreter, which rounds otherwise, got numbers")
            if number >= last:
                break
    return None
