"""What a run's folder remembers of how it was made: ``run.json``."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graphc.commands.models import ModelFile
from graphc.commands.sources import Source, divided, is_pair, load
from graphc.commands.stops import Stop, told, wrong
from graphc.core.errors import GraphError
from graphc.nn import states
from graphc.train import RunFolder, Task

NAME, VERSION = "run.json", 1
PACKAGES = ("numpy", "numba", "llvmlite", "scipy")


@dataclass
class Settings:
    """All that decides which numbers a run ends with, and when it ends.

    Parameters
    ----------
    model : str
        The file, as an absolute path.
    digest : str
        The SHA-256 of its bytes.
    options : dict
        What ``--set`` says, as Python literals.
    data, validation : list of str or None
        Names, or absolute paths.
    split : list of float
        Shares of the rows, where there are no rows for validation.
    target, columns, classes, size, grey
        As in `Source`.
    epochs, batch, seed, rate, mode, patience, every
        As on the command line.
    """

    model: str = ""
    digest: str = ""
    options: dict[str, str] = field(default_factory=dict)
    data: list[str] | None = None
    validation: list[str] | None = None
    split: list[float] = field(default_factory=lambda: [0.8, 0.2])
    target: str | None = None
    columns: list[str] | None = None
    classes: list[str] | None = None
    size: list[int] | None = None
    grey: bool = False
    epochs: int = 10
    batch: int | None = None
    seed: int = 0
    rate: float | None = None
    mode: str | None = None
    patience: int | None = None
    every: int | None = None

    @property
    def source(self) -> Source:
        """How the data are read."""
        def several(value: Sequence[Any] | None) -> Any:
            return None if value is None else tuple(value)

        return Source(self.target, several(self.columns), several(self.classes),
                      several(self.size), self.grey)  # fmt: skip

    def values(self) -> dict[str, Any]:
        """The options of the task."""
        return {name: ast.literal_eval(text) for name, text in self.options.items()}

    def to_json(self) -> str:
        """The text of ``run.json``."""
        packages = {name: _version(name) for name in PACKAGES}
        versions = {"graphc": sys.modules["graphc"].__version__,
                    "python": platform.python_version(), **packages}  # fmt: skip
        full = {"version": VERSION, **asdict(self), "versions": versions}
        return json.dumps(full, indent=1) + "\n"


FREE = ("epochs", "patience", "every")
"""What may change when a run is gone on with."""

ASKED = ("options", "data", "validation", "split", "target", "size", "grey", "batch", "seed",
         "rate", "mode", *FREE)  # fmt: skip
"""What the command line may say."""


def read(folder: Path) -> Settings | None:
    """The settings of the run in a folder; None where there is no run."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text("utf-8"))
        number = found["version"]
        known = {f.name for f in fields(Settings)}
        settings = Settings(**{k: v for k, v in found.items() if k in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path} can't be read: {type(error).__name__}: {error}; take it from a copy, "
                   "or train anew with --fresh") from error  # fmt: skip
    if number != VERSION:
        raise Stop(f"{path} has version {number}, not {VERSION}: another graphc wrote it")
    return settings


def required(folder: Path) -> Settings:
    """The settings of a run that has to be there."""
    if not folder.is_dir():
        raise wrong(f"--run {folder}: there is no such folder; graphc train makes one")
    found = read(folder)
    if found is None:
        near = sorted(p.parent.name for p in folder.glob(f"*/{NAME}"))
        inside = f"; folders in it with a run: {', '.join(near[:5])}" if near else ""
        raise wrong(f"--run {folder}: holds no run: there is no {NAME}{inside}")
    return found


def changed(before: Settings, asked: Mapping[str, Any]) -> list[str]:
    """What the command line says that a run which is gone on with can't take up."""
    return [f"--{'set' if name == 'options' else name}: was {_shown(getattr(before, name))}, "
            f"now {_shown(value)}" for name, value in asked.items()
            if name not in FREE and getattr(before, name) != value]  # fmt: skip


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "nothing"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "nothing" if value is None else str(value)


def digest(path: Path) -> str:
    """What a file's contents are known by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def held_out(settings: Settings, task: Task, model: ModelFile) -> tuple[Any, ...]:
    """The rows of a run: those it learns from first, then those that it doesn't."""
    how = settings.source
    rows = load(settings.data, task, model, how)
    if settings.validation:
        if is_pair(rows):
            rows = rows[0]
        return rows, last_of(load(settings.validation, task, model, _with_classes(how, rows)))
    return tuple(rows) if is_pair(rows) else divided(rows, settings.split)


def _with_classes(how: Source, rows: Any) -> Source:
    """The same, with the classes of the rows that are learned from."""
    classes = how.classes or getattr(rows, "classes", None)
    return Source(how.target, how.columns, classes, how.size, how.grey)


def last_of(rows: Any) -> Any:
    """Of a pair, the rows that aren't for training."""
    return rows[1] if is_pair(rows) else rows


def put_values(task: Task, folder: Path, which: str | None) -> str:
    """Load the values of a run into a task; returns what they are called.

    Parameters
    ----------
    which : "best", "last", the path of a file, or None for the best there are.
    """
    best = folder / "best.safetensors"
    try:
        if which in (None, "best") and best.is_file():
            label, values = str(best), states.read(best)
        elif which == "best":
            raise Stop(f"{best} isn't there: no epoch is over yet; --values last takes the newest "
                       "checkpoint")  # fmt: skip
        elif which in (None, "last"):
            label, values = _newest(folder)
        else:
            assert which is not None
            label, values = which, states.read(Path(which).expanduser())
        states.assign(label, task.named(), values)
    except FileNotFoundError as error:
        raise wrong(f"--values {which}: there is no such file; best and last are those of the run"
                    ) from error  # fmt: skip
    except GraphError as error:
        raise Stop(told(error)) from error
    return label


def _newest(folder: Path) -> tuple[str, dict[str, Any]]:
    """The model's values in the newest checkpoint, which is at least as new as any other file."""
    found = RunFolder(folder).newest()
    if found is None:
        last = folder / "last.safetensors"
        if last.is_file():
            return str(last), states.read(last)
        raise Stop(f"{folder} holds no values: training stopped before its first checkpoint")
    values, state = found
    mark = "model/"
    chosen = {k.removeprefix(mark): v for k, v in values.items() if k.startswith(mark)}
    return f"the checkpoint of step {state['step']} in {folder}", chosen


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
