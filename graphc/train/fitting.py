"""`fit`: epochs of mini-batches, watched, saved, and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from graphc.core.errors import ArgumentError, GraphError
from graphc.core.node import Array, SharedVariable, user_frames
from graphc.data.dataset import Dataset
from graphc.data.loader import Batches
from graphc.data.order import read_count
from graphc.nn import states
from graphc.train.arguments import COLUMNS, batch_of, read_hooks
from graphc.train.checkpoints import CheckpointError, RunFolder
from graphc.train.figures import Sums
from graphc.train.history import History
from graphc.train.interrupts import Interrupts
from graphc.train.judging import UNSUITED, fed, judged, leaves
from graphc.train.monitor import Monitor
from graphc.train.nonfinite import bad_leaves, listed
from graphc.train.progress import Progress
from graphc.train.replay import Snapshot, explain, watched
from graphc.train.resuming import state_of, take_up
from graphc.train.suiting import check_rows, named, unsuitable
from graphc.train.task import Task

REPLAYED = 10_000  # steps that are repeated at most, to find what made a NaN


def fit(
    task: Task,
    rows: Any,
    *,
    epochs: int = 10,
    batch: int | None = None,
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
    batch : int, optional
        Rows of a step; by default 32, or all where there are fewer.
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
    given, feed = fed(task, rows, leaves(task, "fit"))
    size = batch_of(batch, given)
    finite = check_rows(task, given, feed, size, finite, "")
    batches = given.batches(size, shuffle, seed, drop_last, prefetch, finite)
    run = Run(task, batches, feed, read_count(epochs, "epochs", 0))
    run.judge = None if validation is None else Judge(task, validation, size)
    waiting = None if patience is None else read_count(patience, "patience")
    run.monitor = Monitor(monitor, better, waiting, least)
    run.monitor.choose(run.columns)
    run.hooks, run.every = read_hooks(hooks), None if every is None else read_count(every, "every")
    with ExitStack() as stack:
        if folder is not None:
            run.folder = stack.enter_context(RunFolder(folder, read_count(keep, "keep")).held())
            take_up(run, resume)
            run.begun = run.step
        run.interrupts = stack.enter_context(Interrupts())
        run.progress = Progress(progress, run.epochs, _length(batches), run.epoch)
        stack.callback(run.progress.close)
        stack.callback(batches.close)
        if run.step:
            run.progress.say(f"going on after {run.step} steps, {run.epoch} epochs")
        run.train()
    return run.history


class Judge:
    """The validation set, looked at before training and judged after each epoch."""

    def __init__(self, task: Task, rows: Any, size: int) -> None:
        what = "the validation set"
        self.task, self.size = task, size
        self.rows, self.feed = fed(task, rows, task.leaves, what=what)
        length = self.rows.length()
        first = size if length is None else min(size, length)
        self.finite = check_rows(task, self.rows, self.feed, first, True, what)

    def __call__(self) -> dict[str, Any]:
        with named("the validation set"):
            return judged(self.task, self.rows, self.feed, self.size, self.finite)


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
    begun : int
        Steps that were made before this process took up the run.
    arrays : list of arrays
        What the latest step was shown.
    loss : float
        What the latest step found.
    folder : RunFolder or None
    stop : str or None
        A hook that sets it ends training after this epoch, for the reason that it gives.
    """

    judge: Judge | None = None
    data: str | None = None
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
        self.epoch = self.step = self.begun = 0
        self.loss = float("nan")
        self.seconds = self.started = 0.0
        self.arrays: list[Array] = []
        self.sums = Sums(task.figures.values())
        self.best: dict[str, Array] | None = None
        self.snapshot: Snapshot | None = None
        self.watched: dict[str, SharedVariable] = {}
        self.due = 0

    # --- the loop ---------------------------------------------------------------------

    def train(self) -> None:
        """Make all epochs that are left."""
        self.watched = watched(self.task)
        while self.epoch < self.epochs and self.ended is None:
            self._take_snapshot()
            self.started = time.perf_counter()
            self._steps()
            self._count_seconds()
            self._check_finite()
            self._end_epoch()
        self._end()

    def _count_seconds(self) -> None:
        """Add the time since this was last done; time spent beside the steps isn't counted."""
        now = time.perf_counter()
        self.seconds, self.started = self.seconds + now - self.started, now

    @property
    def validation(self) -> Dataset | None:
        """The validation set."""
        return None if self.judge is None else self.judge.rows

    @property
    def columns(self) -> list[str]:
        """What a row of the history has."""
        own = ["loss", *self.task.figures]
        judged = [] if self.judge is None else [f"validation {name}" for name in own]
        return [c for c in COLUMNS if c != "loss"] + own + judged

    @property
    def ended(self) -> str | None:
        """Why there is to be no other epoch, if so."""
        return self.stop or self.monitor.over

    def _steps(self) -> None:
        step, sums, feed, interrupts = self.task.step, self.sums, self.feed, self.interrupts
        watching = [hook.after_step for hook in self.hooks if hasattr(hook, "after_step")]
        shown = self.progress.step if self.progress.bar is not None else None
        for taken in self.batches:
            self.arrays = arrays = feed(taken)
            try:
                values = step(*arrays)
            except UNSUITED as error:
                raise self._unsuitable(error) from error
            self.loss = loss = float(values[0])
            if not -_HUGE < loss < _HUGE:  # false for NaN, too
                self._not_finite(f"the loss of step {self.step + 1} is {loss}")
            sums.add(values, len(arrays[0]))
            self.step += 1
            for hook in watching:
                hook(self)
            if shown is not None:
                shown()
            if self.step >= self.due:
                self._pause()
            if interrupts.caught is not None:
                self._count_seconds()
                self._interrupted()

    def _pause(self) -> None:
        """Between two steps: what has to be done from time to time."""
        self._count_seconds()
        if self.every and self.step % self.every == 0:
            self.save()
        self._take_snapshot()
        self.started = time.perf_counter()

    def _unsuitable(self, error: GraphError) -> Exception:
        batch = f"batch {self.batches.batch - 1} of epoch {self.batches.epoch}, rows"
        return unsuitable(self.feed, self.arrays, error, batch)

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
        if self.judge is not None:
            row |= _scalars((f"validation {k}", v) for k, v in self.judge().items())
        self.history.append(row)
        if self.monitor.see(row, self.epoch):
            self.history.best = self.epoch
            self._keep_best()

    def _end(self) -> None:
        self.history.stopped = self.ended
        if self.ended is not None:
            self.progress.say(f"stopped: {self.ended}")
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
            path = self.folder.path / "best.safetensors"
            try:
                self.best = states.read(path)
            except (OSError, GraphError) as error:
                raise CheckpointError(
                    f"the values of the best epoch, {self.monitor.epoch}, can't be read: {error}",
                    f"the model has those of epoch {self.epoch}, which {path.parent} holds, too",
                    user_frames(),
                ) from error
        if self.best is not None:
            states.assign("the best epoch", self.task.named(), self.best)

    # --- what isn't a number ----------------------------------------------------------

    def _take_snapshot(self) -> None:
        """Note where the run is, so that it can be replayed from there."""
        if self.snapshot is not None:
            self._check_finite()
        self.snapshot = Snapshot(self.task.kept, self.batches.state_dict(), self.step)
        self.due = self.step + REPLAYED
        if self.every:
            self.due = min(self.due, self.step - self.step % self.every + self.every)

    def _check_finite(self) -> None:
        """Find parameters that the latest steps have spoilt, though no loss shows it yet."""
        spoilt = bad_leaves(self.watched)
        if spoilt:
            many = "is" if len(spoilt) == 1 else "are"
            names = [name.split("/", 1)[-1] for name in spoilt]
            self._not_finite(f"after step {self.step}, {listed(names)} {many} not finite")

    def _not_finite(self, what: str) -> None:
        self.batches.close()
        assert self.snapshot is not None
        raise explain(self, self.snapshot, what)

    # --- checkpoints ------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint and the log, where there is a folder."""
        if self.folder is None:
            return
        self._check_finite()
        values = {k: v.get_value(borrow=True) for k, v in self.task.kept.items()}
        self.folder.save(self.step, values, state_of(self))
        self.folder.write_text("log.csv", self.history.to_csv())


_HUGE = float("inf")


def _scalars(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """The figures that a history can hold; arrays are for `evaluate`."""
    return {k: v for k, v in pairs if isinstance(v, float)}
