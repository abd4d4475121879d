"""``graphc predict``: what a run says about rows."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.commands import runs
from graphc.commands.evaluate import restored
from graphc.commands.sources import load
from graphc.commands.stops import Stop, wrong
from graphc.core import dtypes
from graphc.core.node import Array
from graphc.files import whole
from graphc.train import Task, predict

ENDINGS = (".csv", ".npy", ".npz")


def run(options: argparse.Namespace) -> int:
    """Write predictions; returns the exit status."""
    out = options.out
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise wrong(f"--out {out}: predictions are written as {', '.join(ENDINGS)}")
    if out is not None and not out.absolute().parent.is_dir():
        raise wrong(f"--out {out}: there is no folder {out.absolute().parent}")
    with restored(options) as (settings, model, task, _):
        rows = runs.last_of(load(options.data, task, model, settings.source, use=True))
        with model.watched():
            found = predict(task, rows)
        outputs = [_plain(v) for v in (found if isinstance(found, list) else [found])]
        labels = chosen(task, outputs)
    ending = ".csv" if out is None else out.suffix.lower()
    if ending == ".csv":
        text = to_csv(outputs, labels, settings.classes)
        if out is None:
            sys.stdout.write(text)
        else:
            with whole(out) as file:
                file.write(text.encode())
    elif ending == ".npy":
        if len(outputs) > 1:
            raise Stop(f"the task has {len(outputs)} outputs, and .npy holds one: --out FILE.npz")
        with whole(out) as file:
            np.save(file, outputs[0])
    else:
        arrays: dict[str, Any] = dict(zip(names_of(outputs), outputs))
        arrays |= {} if labels is None else {"prediction": labels}
        arrays |= {} if settings.classes is None else {"classes": np.array(settings.classes)}
        with whole(out) as file:
            np.savez(file, **arrays)
    if out is not None:
        print(f"wrote {len(outputs[0]):,} predictions to {out}")
    return 0


def _plain(value: Array) -> Array:
    """What NumPy's files hold: bfloat16 as float32."""
    return dtypes.convert(value, "float32") if value.dtype.kind == "V" else value


def names_of(outputs: Sequence[Array]) -> list[str]:
    """What the outputs are called."""
    return ["output"] if len(outputs) == 1 else [f"output{k}" for k in range(len(outputs))]


def chosen(task: Task, outputs: Sequence[Array]) -> Array | None:
    """The class of each row, where the task is one of classes and its only output tells."""
    labels = task.targets and np.dtype(dtypes.numpy_dtype(task.targets[0].dtype)).kind in "iu"
    if len(outputs) != 1 or not labels or task.targets[0].ndim != 1:
        return None
    (found,) = outputs
    if found.ndim == 1 and found.dtype.kind in "iu":
        return found
    return found.argmax(axis=1) if found.ndim == 2 and found.shape[1] > 1 else None


def to_csv(
    outputs: Sequence[Array], labels: Array | None, classes: Sequence[str] | None
) -> str:
    """A line for each row: the class where there is one, then the outputs."""
    columns: list[tuple[str, list[Any]]] = []
    if labels is not None:
        known = classes is not None and (not len(labels) or labels.max() < len(classes))
        said = [classes[k] if known and classes else k for k in labels.tolist()]
        columns.append(("prediction", said))
    for name, value in zip(names_of(outputs), outputs):
        if value.ndim > 2:
            raise Stop(f"{name} has shape {value.shape}, which a table can't hold: --out FILE.npy")
        if value is labels:
            continue
        if value.ndim == 1:
            columns.append(("prediction" if len(outputs) == 1 else name, _texts(value)))
            continue
        heads = [f"{name}{k}" if len(outputs) == 1 else f"{name}.{k}"
                 for k in range(value.shape[1])]  # fmt: skip
        if labels is not None and classes is not None and len(classes) == value.shape[1]:
            heads = list(classes)
        columns += [(head, _texts(column)) for head, column in zip(heads, value.T)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([head for head, _ in columns])
    writer.writerows(zip(*(column for _, column in columns)))
    return text.getvalue()


def _texts(column: Array) -> list[str]:
    """Numbers with the fewest digits that tell them from their neighbours."""
    return [str(value) for value in column]
