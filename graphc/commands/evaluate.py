"""``graphc evaluate``: the figures of a run."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphc.commands import runs
from graphc.commands.models import ModelFile, loaded
from graphc.commands.runs import Settings
from graphc.commands.sources import length, load
from graphc.commands.stops import Stop, told
from graphc.data import DataError
from graphc.train import Task, evaluate
from graphc.train.progress import number


@contextmanager
def restored(options: argparse.Namespace) -> Iterator[tuple[Settings, ModelFile, Task, str]]:
    """The task of a run with its values, and what these are called."""
    settings = runs.required(options.run_folder)
    name = options.model or settings.model
    if not Path(name).is_file() and not options.model:
        raise Stop(f"{name}, which the run in {options.run_folder} was made with, is gone: say "
                   "where it is now, MODEL.py after the options")  # fmt: skip
    with loaded(name, settings.mode) as model:
        if runs.digest(model.path) != settings.digest:
            print(f"note: {model.name} is not the file that the run was made with", file=sys.stderr)
        task = model.task(settings.values(), settings.rate, settings.seed)
        try:
            yield settings, model, task, runs.put_values(task, options.run_folder, options.values)
        except DataError as error:
            raise Stop(told(error, model.path)) from error


def run(options: argparse.Namespace) -> int:
    """Print the figures; returns the exit status."""
    with restored(options) as (settings, model, task, values):
        rows, label = _rows(options, settings, task, model)
        with model.watched():
            figures = evaluate(task, rows)
    count = length(rows)
    if options.json:
        plain = {"rows": count, "data": label, "values": values,
                 "figures": {k: _plain(v) for k, v in figures.items()}}  # fmt: skip
        print(json.dumps(plain, indent=1, allow_nan=False))
        return 0
    facts = {"values": values, "data": label if count is None else f"{label}, {count:,} rows"}
    for line in table(facts, figures, settings.classes):
        print(line)
    return 0


def _rows(
    options: argparse.Namespace, settings: Settings, task: Task, model: ModelFile
) -> tuple[Any, str]:
    if options.data:
        rows = runs.last_of(load(options.data, task, model, settings.source))
        return rows, " ".join(options.data)
    parts = runs.held_out(settings, task, model)
    name = " ".join(settings.validation or settings.data or [f"data() of {model.name}"])
    return parts[-1], f"{name}, {'held out' if len(parts) > 1 else 'learned from'}"


def table(
    facts: Mapping[str, str], figures: Mapping[str, Any], classes: Sequence[str] | None
) -> Iterator[str]:
    """The lines that tell what was judged, and how well it was done."""
    wide = max(map(len, [*facts, *figures]))
    for name, fact in facts.items():
        yield f"{name:<{wide}}  {fact}"
    for name, value in figures.items():
        if np.ndim(value) == 0:
            yield f"{name:<{wide}}  {number(float(value))}"
    for name, value in figures.items():
        if np.ndim(value):
            yield ""
            yield from _array(name, np.asarray(value), classes)


def _array(name: str, value: np.ndarray, classes: Sequence[str] | None) -> Iterator[str]:
    """A square matrix as one of classes; any other array as NumPy shows it."""
    if value.ndim != 2 or len(set(value.shape)) != 1:
        yield f"{name} {list(value.shape)}"
        yield np.array2string(value, precision=4, suppress_small=True, prefix="  ")
        return
    known = classes is not None and len(classes) == len(value)
    names = list(classes) if known and classes else [str(k) for k in range(len(value))]
    whole = bool((value == np.rint(value)).all())
    cells = [[f"{int(v)}" if whole else number(float(v)) for v in row] for row in value]
    width = max(len(text) for text in [*names, *(c for row in cells for c in row)])
    side = max(map(len, names))
    yield f"{name}: a row for each class, a column for what it was taken for" if whole else name
    yield " " * side + "".join(f"  {n:>{width}}" for n in names)
    for label, row in zip(names, cells):
        yield f"{label:>{side}}" + "".join(f"  {c:>{width}}" for c in row)


def _plain(value: Any) -> Any:
    """What JSON has; null for what isn't finite."""
    if np.ndim(value):
        return [_plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if not isinstance(value, float) or math.isfinite(value) else None
