"""`fit`: epochs of mini-batches, watched, saved, and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, SharedVariable, user_frames
from graphc.data.loader import Batches
from graphc.data.order import read_count
from graphc.nn import states
from graphc.train.checkpoints import CheckpointError, RunFolder
from graphc.train.figures import Sums
from graphc.train.history import History
from graphc.train.interrupts import Interrupts
from graphc.train.judging import as_rows, evaluate, fed
from graphc.train.monitor import Monitor
from graphc.train.nonfinite import all_finite
from graphc.train.progress import Progress
from graphc.train.replay import Snapshot, explain
from graphc.train.task import Task


def fit(
    task: Task,
    rows: Any,
    *,
    epochs: int = 10,
    batch: int = 32,
    validation: Any = None,
    folder: str | Path | None = None,
    resume: bool | str = True,
    every: int | None = None,
    keep: int = 2,
    patience: int | None = None,
    monitor: str | None = None,
    better: str | None = None,
    least: float = 0.0,
    shuffle: bool = True,
    seed: int = 0,
    drop_last: bool = False,
    prefetch: int = 0,
    finite: bool = True,
    hooks: Iterable[Callable[[Run], Any]] = (),
    progress: bool = True,
) -> History:
    """Train a task on rows, epoch by epoch.

    Parameters
    ----------
    task : Task
    rows : Dataset, or tuple or dict of arrays
        A field for each input and target, in their order; those of a dict by their names.
    epochs : int
        How often all rows are shown, counting what an earlier process did in the same folder.
    batch : int
        Rows of a step.
    validation : Dataset, or tuple or dict of arrays, optional
        Judged after each epoch, and never learned from.
    folder : str or Path, optional
        Where checkpoints, the best and the last values, and ``log.csv`` are written. Without it
        nothing is.
    resume : bool or "anyway"
        What is done where the folder holds a checkpoint: True goes on from it, and the end is the
        same, bit for bit, as if training had never stopped. A task with another graph is refused
        unless "anyway" is given. False refuses the folder.
    every : int, optional
        Steps from one checkpoint to the next; there is always one after an epoch.
    keep : int
        How many checkpoints are left in the folder.
    patience : int, optional
        After how many epochs without a better one training ends. The model then has the values
        of the best epoch.
    monitor, better, least : str, {"lower", "higher"}, float
        Which column of the history says what is best, which way, and by how much at least; the
        validation loss (else the loss) by default, and lower is better for losses.
    shuffle, seed, drop_last, prefetch, finite
        As in ``Dataset.batches``. NaN and infinities in the data are refused.
    hooks : functions of a `Run`
        Called after each epoch, in order. One with a method `after_step` has it called with the
        run after each step; `state_dict` and `load_state_dict` are kept with checkpoints.
    progress : bool
        Whether to show a bar, and a line for each epoch.

    Returns
    -------
    History

    Raises
    ------
    NonFiniteError
        As soon as the loss is NaN or infinite; it names the operation. The model has the values
        from before.
    KeyboardInterrupt
        After Ctrl-C, between two steps and with a checkpoint; press it again to stop at once.
    DataError
        If the data doesn't suit the task.
    CheckpointError
        If the folder holds the checkpoints of another task, of other data, or damaged ones only.
    """
    if resume not in (True, False, "anyway"):
        raise ArgumentError(f"fit: resume={resume!r} is none of True, False, 'anyway'",
                            at=user_frames())  # fmt: skip
    given, feed = fed(task, rows, task.inputs + task.targets)
    batches = given.batches(batch, shuffle, seed, drop_last, prefetch, finite)
    run = Run(task, batches, feed, read_count(epochs, "epochs", 0))
    run.validation = None if validation is None else as_rows(validation)
    run.monitor = Monitor(monitor, better, patience, least)
    run.hooks, run.every = list(hooks), every
    with ExitStack() as stack:
        if folder is not None:
            run.folder = stack.enter_context(RunFolder(folder, read_count(keep, "keep")).held())
            run.go_on(resume)
        run.interrupts = stack.enter_context(Interrupts())
        run.progress = Progress(progress, run.epochs, _length(batches), run.epoch)
        stack.callback(run.progress.close)
        stack.callback(batches.close)
        run.train()
    return run.history


def _length(batches: Batches) -> int | None:
    try:
        return len(batches)
    except TypeError:
        return None


class Run:
    """A training run, as `fit` makes it and hooks see it.

    Attributes
    ----------
    task : Task
    history : History
    epoch, step : int
        Epochs that are over, and steps that were made.
    epochs : int
        How many there are to be.
    arrays : list of arrays
        What the latest step was shown.
    folder : RunFolder or None
    stop : str or None
        A hook that sets it ends training after this epoch, for the reason that it gives.
    """

    validation: Any = None
    monitor: Monitor
    progress: Progress
    interrupts: Interrupts
    folder: RunFolder | None = None
    every: int | None = None
    stop: str | None = None

    def __init__(self, task: Task, batches: Batches, feed: Any, epochs: int) -> None:
        self.task, self.batches, self.feed, self.epochs = task, batches, feed, epochs
        self.history = History()
        self.hooks: list[Any] = []
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.arrays: list[Array] = []
        self.sums = Sums(task.figures.values())
        self.best: dict[str, Array] | None = None
        self.snapshot: Snapshot | None = None

    # --- the loop ---------------------------------------------------------------------

    def train(self) -> None:
        """Make all epochs that are left."""
        while self.epoch < self.epochs and self.ended is None:
            self._take_snapshot()
            start = time.perf_counter()
            self._steps()
            self.seconds += time.perf_counter() - start
            self._end_epoch()
        self._end()

    @property
    def ended(self) -> str | None:
        """Why there is to be no other epoch, if so."""
        return self.stop or self.monitor.over

    def _steps(self) -> None:
        step, sums = self.task.step, self.sums
        watching = [hook.after_step for hook in self.hooks if hasattr(hook, "after_step")]
        for taken in self.batches:
            self.arrays = arrays = self.feed(taken)
            values = step(*arrays)
            loss = values[0]
            if not -_HUGE < loss < _HUGE:  # false for NaN, too
                self._not_finite(f"the loss of step {self.step + 1} is {loss}")
            sums.add(values, len(arrays[0]))
            self.step += 1
            for hook in watching:
                hook(self)
            self.progress.step()
            if self.every and self.step % self.every == 0:
                self.save()
            if self.interrupts.caught is not None:
                self._interrupted()

    def _end_epoch(self) -> None:
        self.epoch += 1
        row = {"epoch": self.epoch, "steps": self.step, "seconds": round(self.seconds, 3)}
        rate = self.task.present_rate()
        row |= {} if rate is None else {"rate": rate}
        names = ["loss", *self.task.figures]
        row |= _scalars(zip(names, self.sums.figure_values()))
        with self.task.averaged():
            self._assess(row)
        self.sums = Sums(self.task.figures.values())
        self.progress.epoch(row)
        for hook in self.hooks:
            if callable(hook):
                hook(self)
        self.save()
        if self.interrupts.caught is not None:
            self._interrupted()

    def _assess(self, row: dict[str, float]) -> None:
        """Add the figures of the validation rows, and keep the values if they are the best."""
        if self.validation is not None:
            found = evaluate(self.task, self.validation, self.batches.settings.size)
            row |= _scalars((f"validation {k}", v) for k, v in found.items())
        self.history.append(row)
        if self.monitor.see(row, self.epoch):
            self.history.best = self.epoch
            self._keep_best()

    def _end(self) -> None:
        self.history.stopped = self.ended
        if self.ended is not None:
            self.progress.say(f"stopped: {self.ended}")
        self._take_snapshot()  # which finds parameters that the last step has spoilt
        if self.task.average is not None and self.task.average.count.get_value():
            self.task.average.store()
        values = {k: v.get_value() for k, v in self.task.named().items()}
        if self.folder is not None:
            self.folder.write_values("last", values)
        if self.monitor.over is not None and self.monitor.epoch:
            self._restore_best()

    def _interrupted(self) -> None:
        self.save()
        self.batches.close()
        where = "" if self.folder is None else f"; to go on, train in {self.folder.path} again"
        self.progress.say(f"interrupted after {self.step} steps{where}")
        self.progress.close()
        self.interrupts.pass_on()

    # --- the best epoch ---------------------------------------------------------------

    def _keep_best(self) -> None:
        values = {k: v.get_value() for k, v in self.task.named().items()}
        if self.folder is not None:
            self.folder.write_values("best", values)
        elif self.monitor.patience is not None:
            self.best = values

    def _restore_best(self) -> None:
        if self.folder is not None:
            self.best = states.read(self.folder.path / "best.safetensors")
        if self.best is not None:
            states.assign("the best epoch", self.task.named(), self.best)

    # --- what isn't a number ----------------------------------------------------------

    def _take_snapshot(self) -> None:
        """Note where the run is, so that it can be replayed from there."""
        spoilt = [k for k, v in self.task.kept.items() if not all_finite(v.get_value(borrow=True))]
        if spoilt and self.snapshot is not None:
            self._not_finite(f"after step {self.step}, {', '.join(spoilt[:3])} is not finite")
        self.snapshot = Snapshot(self.task.kept, self.batches.state_dict(), self.step)

    def _not_finite(self, what: str) -> None:
        self.batches.close()
        assert self.snapshot is not None
        raise explain(self, self.snapshot, what)

    # --- checkpoints ------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint and the log, where there is a folder."""
        if self.folder is None:
            return
        state = {
            "task": self.task.fingerprint, "batches": self.batches.state_dict(),
            "epoch": self.epoch, "step": self.step, "seconds": self.seconds,
            "sums": self.sums.state(), "monitor": self.monitor.state(), "stop": self.stop,
            "columns": self.history.columns, "best": self.history.best,
            "hooks": [h.state_dict() if hasattr(h, "state_dict") else None for h in self.hooks],
        }  # fmt: skip
        values = {k: v.get_value(borrow=True) for k, v in self.task.kept.items()}
        self.folder.save(self.step, values, state)
        self.folder.write_text("log.csv", self.history.to_csv())

    def go_on(self, resume: bool | str) -> None:
        """Take up what the folder's newest checkpoint left."""
        assert self.folder is not None
        found = self.folder.newest()
        if found is None:
            return
        values, state = found
        if not resume:
            raise CheckpointError(f"{self.folder.path} holds a run already",
                                  "give another folder, or resume=True", user_frames())  # fmt: skip
        if resume != "anyway" and state["task"] != self.task.fingerprint:
            raise CheckpointError(
                f"the run in {self.folder.path} is of a task with another graph: another model, "
                "loss, optimiser, or constants in them",
                "give another folder, or resume='anyway' where its values are still meant",
                user_frames(),
            )
        kept: dict[str, SharedVariable] = self.task.kept
        states.assign(str(self.folder.path), kept, values)
        self.batches.load_state_dict(state["batches"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.sums.load(state["sums"])
        self.monitor.load(state["monitor"])
        self.history = History(state["columns"])
        self.history.best, self.stop = state["best"], state["stop"]
        for hook, kept_state in zip(self.hooks, state["hooks"]):
            if kept_state is not None and hasattr(hook, "load_state_dict"):
                hook.load_state_dict(kept_state)


_HUGE = float("inf")


def _scalars(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """The figures that a history can hold; arrays are for `evaluate`."""
    return {k: v for k, v in pairs if isinstance(v, float)}
