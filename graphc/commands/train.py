"""``graphc train``: a task from a file, rows from anywhere, a folder that survives."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc.commands import runs
from graphc.commands.models import ModelFile, loaded
from graphc.commands.runs import Settings
from graphc.commands.sources import columns_of, length
from graphc.commands.stops import INTERRUPTED, Stop, told
from graphc.data import DataError, MissingPackageError
from graphc.files import whole
from graphc.train import CheckpointError, History, NonFiniteError, RunFolder, Task, fit
from graphc.train.judging import fed
from graphc.train.progress import SILENT, number

BATCH = 32
"""Rows in a step, unless there are fewer."""

FILES = ("best.safetensors", "last.safetensors", "log.csv", "curves.png", runs.NAME)
"""What a run writes, beside its checkpoints."""


def run(options: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    path = Path(options.model)
    folder = options.out or Path("runs") / path.stem
    if folder.exists() and not folder.is_dir():
        raise Stop(f"--out {folder}: is a file, not a folder", 2)
    asked = _asked(options)
    before = None if options.fresh else _to_go_on_with(folder, path, asked)
    settings = before or Settings()
    for name, value in asked.items():
        setattr(settings, name, value)
    with loaded(path, settings.mode) as model:
        then, settings.model = settings.digest, str(model.path)
        settings.digest = runs.digest(model.path)
        if before is not None and then != settings.digest:
            print(f"note: {path} has changed since the run in {folder} began", file=sys.stderr)
        task = model.task(settings.values(), settings.rate, settings.seed)
        rows, others = _rows(settings, task, model)
        print(_heading(settings, model, task, rows, others, folder), flush=True)
        return _Training(options, settings, model, folder, before is None).run(task, rows, others)


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says, and nothing that it leaves open."""
    asked = {name: getattr(options, name) for name in runs.ASKED}
    for name in ("data", "validation"):
        asked[name] = asked[name] and [_absolute(source) for source in asked[name]]
    empty = (None, False)
    return {name: value for name, value in asked.items()
            if value != {} and not any(value is nothing for nothing in empty)}  # fmt: skip


def _absolute(source: str) -> str:
    """A path that means the same wherever the run is gone on with."""
    path = Path(source).expanduser()
    return str(path.absolute()) if path.exists() else source


def _to_go_on_with(folder: Path, path: Path, asked: Mapping[str, Any]) -> Settings | None:
    """The settings of the run in a folder, if there is one that has a checkpoint."""
    found = runs.read(folder) if any((folder / "checkpoints").glob("[0-9]*")) else None
    if found is None:
        return None
    other = runs.changed(found, asked)
    if Path(found.model).name != path.name:
        other.insert(0, f"the model: was {found.model}, now {path}")
    if other:
        raise Stop(f"{folder} holds a run with other settings:\n  " + "\n  ".join(other)
                   + "\nleave them out to go on with it, give another --out, or --fresh to begin "
                   "again", 2)  # fmt: skip
    return found


def _rows(settings: Settings, task: Task, model: ModelFile) -> tuple[Any, Any]:
    """The rows to learn from and those to validate with, looked at before anything is written."""
    if model.function("data") is None:
        columns = columns_of(settings.data, settings.source)
        settings.columns = settings.columns or (list(columns) if columns else None)
    parts = runs.held_out(settings, task, model)
    rows, others = parts[0], parts[1] if len(parts) > 1 else None
    classes = getattr(rows, "classes", None)
    settings.classes = settings.classes or (list(classes) if classes else None)
    try:
        given, _ = fed(task, rows, task.leaves)
        count = given.length()
        if settings.batch is None:
            settings.batch = BATCH if count is None else min(BATCH, count)
        if count is not None and settings.batch > count:
            raise Stop(f"--batch {settings.batch} is more than the {count} rows to learn from", 2)
        if others is not None:
            fed(task, others, task.leaves)
    except (DataError, MissingPackageError) as error:
        raise Stop(told(error, model.path)) from error
    return rows, others


def _heading(
    settings: Settings, model: ModelFile, task: Task, rows: Any, others: Any, folder: Path
) -> str:
    count = sum(p.get_value(borrow=True).size for p in task.params)
    source = _sources(settings.data) or f"data() of {model.name}"
    many = length(rows)
    data = f"{source}: {'' if many is None else f'{many:,} '}rows to learn from"
    if others is not None:
        left = length(others)
        data += f", {'others' if left is None else f'{left:,}'} to validate with"
    options = "".join(f", {k}={v}" for k, v in settings.options.items())
    return (f"model   {model.name}{options}: {count:,} parameters to train\n"
            f"data    {data}\nfolder  {folder}")  # fmt: skip


def _sources(sources: list[str] | None) -> str:
    return " ".join(Path(s).name or s for s in sources or ())


class _Training:
    """Training with all that can come in between."""

    def __init__(self, options: argparse.Namespace, settings: Settings, model: ModelFile,
                 folder: Path, new: bool) -> None:  # fmt: skip
        self.options, self.settings, self.model = options, settings, model
        self.folder, self.new, self.epochs = folder, new, 0
        self.text: str | None = None  # of run.json, before
        self.made = [p for p in (folder, *folder.parents) if not p.exists()]

    def run(self, task: Task, rows: Any, others: Any) -> int:
        settings, start = self.settings, time.perf_counter()
        assert settings.batch is not None  # `_rows` has set it
        try:
            self._prepare()
            with self.model.watched():
                history = fit(
                    task, rows, epochs=settings.epochs, batch=settings.batch, validation=others,
                    folder=self.folder, every=settings.every, patience=settings.patience,
                    seed=settings.seed, progress=not self.options.quiet, hooks=[self._count],
                )  # fmt: skip
        except NonFiniteError as error:
            kept = f"{self.folder} keeps what there was before" if self._saved() else ""
            raise Stop("\n".join(filter(None, [told(error, self.model.path), kept]))) from error
        except CheckpointError as error:
            self._forget()
            locked = isinstance(error.__cause__, OSError)
            hint = error.hint if locked else "give another --out, or --fresh to begin again"
            raise Stop(f"{error.what}\nhint: {hint}") from error
        except KeyboardInterrupt:
            return self._interrupted()
        except Exception:
            self._forget()
            raise
        self._tell(history, time.perf_counter() - start)
        return 0

    def _prepare(self) -> None:
        """Make the folder a new run's, unless another process trains in it."""
        folder = RunFolder(self.folder)
        with folder.held():
            if not self.new:
                self.text = (self.folder / runs.NAME).read_text("utf-8")
            elif folder.names() and not self.options.fresh:
                raise Stop(f"{self.folder} holds a run that another program made\n"
                           "hint: give another --out, or --fresh to begin again")  # fmt: skip
            if self.options.fresh:
                for path in folder.names():
                    shutil.rmtree(path)
                for name in FILES:
                    (self.folder / name).unlink(missing_ok=True)
            folder.write_text(runs.NAME, self.settings.to_json())

    def _count(self, run: Any) -> None:
        """Note an epoch of this process."""
        self.epochs += 1

    def _saved(self) -> bool:
        return bool(RunFolder(self.folder).names())

    def _forget(self) -> None:
        """Leave the folder as it was before a run that never came to its first checkpoint."""
        if self.text is not None:
            RunFolder(self.folder).write_text(runs.NAME, self.text)
        if not self.new or self._saved():
            return
        for name in (runs.NAME, ".lock"):
            (self.folder / name).unlink(missing_ok=True)
        for path in (self.folder / "checkpoints", *self.made):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def _interrupted(self) -> int:
        if not self._saved():
            self._forget()
            print("\nstopped before the first step: nothing was kept", file=sys.stderr)
            return INTERRUPTED
        command = ["graphc", "train", self.options.model]
        command += ["--out", str(self.folder)] if self.options.out else []
        print(f"\nstopped, with a checkpoint; to go on: {shlex.join(command)}", file=sys.stderr)
        return INTERRUPTED

    def _tell(self, history: History, seconds: float) -> None:
        """What came of it, and what can be done next."""
        if not history.epochs:
            print("no epoch was asked for")
            return
        done = int(history.epochs[-1])
        if not self.epochs:
            print(f"nothing is left to do: {history.stopped or f'{done} epochs are over'}; "
                  f"--epochs {2 * done} would go on")  # fmt: skip
        row = history.row((history.best or 0) - 1)
        figures = ", ".join(f"{k} {number(v)}" for k, v in row.items() if k not in SILENT)
        print(f"best    epoch {int(row['epoch'])} of {done}: {figures}")
        print(f"time    {seconds:.1f} s")
        written = self._draw(history)
        there = [n for n in ("best.safetensors", "last.safetensors", "log.csv")
                 if (self.folder / n).is_file()]  # fmt: skip
        print(f"wrote   {', '.join([*there, *written])} in {self.folder}")
        print(f"next    graphc evaluate --run {shlex.quote(str(self.folder))}")

    def _draw(self, history: History) -> list[str]:
        """Save the curves; where they can't be drawn, a line says why, and no more is lost."""
        name = "curves.png"
        try:
            with whole(self.folder / name) as file:
                history.curves().savefig(file, format="png")
        except ImportError as error:
            print(f"note    no {name}: {str(error).splitlines()[0]}")
            return []
        except Exception as error:
            print(f"note    no {name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            return []
        return [name]
