"""Rows for a task: from a name, a file, a folder, or the function ``data`` of the model's file."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import graphc.data as data
from graphc.commands.models import ModelFile, Signature
from graphc.commands.stops import Stop, told, wrong
from graphc.core import dtypes
from graphc.core.node import Variable
from graphc.data.dataset import Dataset
from graphc.data.text import are_names
from graphc.train import Task

SMALL: Mapping[str, Callable[..., Any]] = {
    "breast_cancer": data.breast_cancer, "diabetes": data.diabetes, "digits": data.digits,
    "iris": data.iris, "linnerud": data.linnerud, "wine": data.wine,
}  # fmt: skip
"""Data sets that come with scikit-learn."""

LARGE: Mapping[str, Callable[[], Any]] = {
    "cifar10": data.cifar10, "cifar100": data.cifar100, "mnist": data.mnist,
    "fashion-mnist": lambda: data.mnist(name="fashion-mnist"),
}  # fmt: skip
"""Data sets whose files the user has, with rows to train with and rows to test with."""

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
IDX = (".idx", "-ubyte", ".ubyte", ".idx.gz", "-ubyte.gz", ".ubyte.gz")
_READ = (*TABLES, ".npz", ".npy", *IDX)
ENDINGS = "a .csv, .tsv, .npz, .npy or IDX file (.idx, -ubyte, also .gz), or a folder of images"


@dataclass(frozen=True)
class Source:
    """How ``--data`` and its relatives are read; a run remembers it.

    Parameters
    ----------
    target : str, optional
        The column of a table that is learned.
    columns : tuple of str, optional
        Those that are learned from, as the training table had them.
    classes : tuple of str, optional
        What labels mean, as the training rows had them.
    size : (height, width), optional
        Of images in a folder.
    grey : bool
    """

    target: str | None = None
    columns: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    grey: bool = False


def load(
    given: Sequence[str] | None, task: Task, model: ModelFile, how: Source, use: bool = False
) -> Any:
    """Rows, or a pair of training rows and others.

    Parameters
    ----------
    given : sequence of str or None
        What ``--data`` says.
    task : Task
        What they are for.
    model : ModelFile
        Its function ``data`` is asked first.
    how : Source
    use : bool
        Whether they are to be predicted from only: targets may be missing.
    """
    own = model.function("data")
    if own is not None:
        return _own(own, given, model)
    if not given:
        raise wrong(f"no data: give --data NAME or --data PATH, or define data() in {model.name}")
    try:
        return _read(list(given), task, how, use)
    except data.DataError as error:
        raise Stop(told(error)) from error
    except data.MissingPackageError as error:
        raise Stop(told(error)) from error
    except OSError as error:
        raise Stop(f"{error.filename}: {error.strerror}" if error.filename else str(error)
                   ) from error  # fmt: skip


def _own(function: Any, given: Sequence[str] | None, model: ModelFile) -> Any:
    """What the model's own function makes of the sources."""
    takes = Signature(function)
    source = None if not given else given[0] if len(given) == 1 else list(given)
    if source is not None and not (takes.named or takes.any):
        raise wrong(f"{model.name}: data() takes no source, so --data has no meaning: "
                    "define data(source=None)")  # fmt: skip
    if source is None and any(p.default is p.empty for p in takes.named.values()):
        raise wrong(f"no data: {model.name}: data(source) needs --data")
    with model.watched("data()"):
        found = function() if source is None else function(source)
    if not (is_rows(found) or is_pair(found)):
        kind = "None" if found is None else f"a {type(found).__name__}"
        raise Stop(f"{model.name}: data() returned {kind}; it is to return rows, such as a set "
                   "of graphc.data or (x, y), or (training rows, validation rows)")  # fmt: skip
    return found


def is_pair(found: Any) -> bool:
    """Whether something is (training rows, validation rows)."""
    return isinstance(found, tuple | list) and len(found) == 2 and all(
        isinstance(part, Dataset | Mapping | tuple) for part in found
    )  # fmt: skip


def is_rows(found: Any) -> bool:
    """Whether something is a data set, or arrays."""
    if isinstance(found, tuple | list):
        return bool(len(found)) and all(hasattr(part, "__len__") for part in found)
    return isinstance(found, Dataset | Mapping)


def _read(given: list[str], task: Task, how: Source, use: bool) -> Any:
    first = given[0]
    paths = [Path(g).expanduser() for g in given]
    if not paths[0].exists() and (first in SMALL or first in LARGE):
        if len(given) > 1:
            raise wrong(f"{' '.join(given)}: {first} is a whole data set: name it alone")
        return _named(first, task)
    for path, name in zip(paths, given):
        if not path.exists():
            raise wrong(_missing(name, path))
    place = paths[0]
    ending = place.suffix.lower()
    if place.is_dir():
        _alone(given, "a folder of images")
        rows = data.from_folder(place, how.size, how.grey)
        return _without_labels(_renumbered(_images(rows, task), how.classes, str(place)), task)
    if ending in TABLES:
        _alone(given, "a table")
        return _table(place, TABLES[ending], task, how, use)
    if ending == ".npz":
        _alone(given, "an archive of arrays")
        return data.from_npz(place, _fields(place, task, use))
    if ending == ".npy":
        return data.from_npy(*paths)
    if first.lower().endswith(IDX):
        if len(given) > 2:
            raise wrong("IDX files are one of images, and one of labels")
        rows = data.from_idx(paths[0], paths[1] if len(paths) > 1 else None)
        return _without_labels(_images(rows, task), task)
    raise wrong(f"{first}: nobody knows how to read it; give {ENDINGS}")


def _alone(given: list[str], what: str) -> None:
    if len(given) > 1:
        raise wrong(f"{' '.join(given)}: {what} has all fields: give one, or several "
                    ".npy or IDX files")  # fmt: skip


def _missing(name: str, path: Path) -> str:
    known = [*SMALL, *LARGE]
    here = [p.name for p in path.parent.iterdir() if p.is_dir() or p.name.lower().endswith(_READ)
            ] if path.parent.is_dir() else []  # fmt: skip
    near = difflib.get_close_matches(name, known, 2)
    near += [str(path.with_name(n)) for n in difflib.get_close_matches(path.name, here, 2)]
    mean = f"; did you mean {' or '.join(near)}?" if near else ""
    return (f"{name}: there is no such file, and no data set of that name{mean}\n"
            f"data sets: {', '.join(sorted(known))}\nfiles: {ENDINGS}")  # fmt: skip


def _named(name: str, task: Task) -> Any:
    if name == "digits":
        return _without_labels(data.digits(flat=task.inputs[0].ndim != 4), task)
    if name in SMALL:
        return _without_labels(SMALL[name](), task)
    pair = LARGE[name]()
    return tuple(_without_labels(_images(rows, task), task) for rows in pair)


def _without_labels(rows: Any, task: Task) -> Any:
    """The fields that the task takes: an autoencoder has no use for classes."""
    count = len(task.leaves)
    return rows.only(*rows.names[:count]) if len(rows.names) > count else rows


def _images(rows: data.Table, task: Task) -> Any:
    """Images in the form of the first input: rows of pixels, or with an axis for channels."""
    shape, rank = rows.columns["x"].shape[1:], task.inputs[0].ndim
    if rank == 2 and len(shape) > 1:
        return rows.map(lambda x: x.reshape(len(x), math.prod(shape)))
    if rank == 4 and len(shape) == 2:
        return rows.map(lambda x: x[:, None])
    return rows


def _fields(path: Path, task: Task, use: bool) -> list[str] | None:
    """Which arrays of an archive, where they have the names of the task's variables."""
    wanted = [str(v.name) for v in (task.inputs if use else task.leaves)]
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            there = list(getattr(archive, "files", []))
    except Exception:
        return None  # what is wrong with it is for `from_npz` to say
    return wanted if set(wanted) <= set(there) else None


def header(path: Path, delimiter: str) -> list[str] | None:
    """The names in a table's first line; None where that has numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = next((row for row in csv.reader(file, delimiter=delimiter) if row), [])
    except (csv.Error, UnicodeDecodeError):
        return None  # what is wrong with it is for `from_csv` to say
    return [v.strip() for v in first] if are_names(first) else None


def _table(path: Path, delimiter: str, task: Task, how: Source, use: bool) -> data.Table:
    names = header(path, delimiter)
    target: Any = how.target
    if target is None and len(task.leaves) > len(task.inputs) and not use:
        there = f"; it has {', '.join(names)}" if names else ", by number (--target=-1 is the last)"
        raise wrong(f"{path}: which column is to be learned? Give --target COLUMN{there}")
    if target is not None and (names is None or target not in names):
        if names is not None and use:
            target = None
        elif target.lstrip("-").isdigit():
            target = int(target)
    chosen: list[Any] | None = None
    if how.columns is not None and names is not None:
        chosen = list(how.columns)
    elif names is None and use and how.columns is not None:
        target = target if _width(path, delimiter) > len(how.columns) else None
    rows = data.from_csv(path, target, chosen, delimiter=delimiter)
    rows = _renumbered(rows, how.classes, str(path))
    return _floats(rows, task.targets if target is not None else [])


def _width(path: Path, delimiter: str) -> int:
    with open(path, newline="", encoding="utf-8-sig") as file:
        return len(next((row for row in csv.reader(file, delimiter=delimiter) if row), []))


def columns_of(given: Sequence[str] | None, how: Source) -> tuple[str, ...] | None:
    """The columns of a table that are learned from; numbers where it names none."""
    path = Path(given[0]).expanduser() if given else None
    if path is None or path.suffix.lower() not in TABLES or not path.is_file():
        return None
    delimiter = TABLES[path.suffix.lower()]
    names = header(path, delimiter)
    if names is not None:
        left = [n for n in names if n != how.target]
        if len(left) == len(names) and how.target is not None and how.target.lstrip("-").isdigit():
            del left[int(how.target)]
        return tuple(left)
    return tuple(map(str, range(_width(path, delimiter) - (how.target is not None))))


def _floats(rows: data.Table, targets: Sequence[Variable]) -> data.Table:
    """Whole numbers in a table as floats, where the task's target is one."""
    for variable in targets[:1]:
        wanted = dtypes.numpy_dtype(variable.dtype)
        if wanted.kind == "f" and rows.columns["y"].dtype.kind == "i":
            rows.columns["y"] = rows.columns["y"].astype(wanted)
    return rows


def _renumbered(rows: data.Table, classes: Sequence[str] | None, origin: str) -> data.Table:
    """Labels with the numbers that the classes of the training rows have."""
    there = rows.classes
    if classes is None or there is None or tuple(classes) == there:
        return rows
    unknown = [name for name in there if name not in classes]
    if unknown:
        raise Stop(f"{origin}: {', '.join(map(repr, unknown[:5]))} is none of the classes that "
                   f"were learned: {', '.join(classes[:20])}")  # fmt: skip
    numbers = np.array([list(classes).index(name) for name in there], "int32")
    rows.columns["y"] = numbers[rows.columns["y"]]
    rows.classes = tuple(classes)
    return rows


def divided(rows: Any, parts: Sequence[float]) -> tuple[Any, ...]:
    """Rows for training and others, always the same; labels in proportion where they are some."""
    if parts == [1] or parts == [1.0]:
        return (rows,)
    table = data.from_arrays(*rows) if isinstance(rows, tuple | list) else (
        data.from_arrays(**rows) if isinstance(rows, Mapping) else rows
    )  # fmt: skip
    if not isinstance(table, data.Table):
        return (rows,)  # a stream, whose rows have no numbers
    try:
        return data.split(table, parts, seed=0, stratify="y" if _has_labels(table) else None)
    except data.DataError as error:
        raise wrong(f"--split: {told(error)}") from error


def _has_labels(table: data.Table) -> bool:
    y = table.columns.get("y")
    if y is None or not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iu":
        return False
    return int(y.min()) >= 0 and int(y.max()) < len(y) and not _transformed(table, "y")


def _transformed(table: data.Table, name: str) -> bool:
    return any(name in step.fields for step in table.steps)


def length(rows: Any) -> int | None:
    """How many rows there are, where that is known."""
    if isinstance(rows, Dataset):
        return rows.length()
    first = next(iter(rows.values())) if isinstance(rows, Mapping) else rows[0]
    return len(first)
