"""What a task makes of rows without learning from them: figures and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, BadIndexError, DTypeError, ShapeError
from graphc.core.node import Array, Variable, user_frames
from graphc.data import from_arrays
from graphc.data.dataset import Dataset
from graphc.data.problems import problem
from graphc.train.figures import Sums
from graphc.train.suiting import Feed, named, unsuitable
from graphc.train.task import Task


def evaluate(task: Task, rows: Any, batch: int = 256, finite: bool = True) -> dict[str, Any]:
    """The loss and the figures of a task for all rows.

    Parameters
    ----------
    task : Task
    rows : Dataset, or tuple or dict of arrays
    batch : int
        Rows at a time; it makes no difference to the figures but rounding.
    finite : bool
        Whether NaN and infinities in the data are refused.

    Returns
    -------
    dict
        Numbers by name, ``"loss"`` first; arrays where a figure is one.

    Raises
    ------
    DataError
        Where there are no rows, or fields that don't suit the task.
    """
    rows, feed = fed(task, rows, leaves(task, "evaluate"))
    return judged(task, rows, feed, batch, finite)


def judged(task: Task, rows: Dataset, feed: Feed, batch: int, finite: bool) -> dict[str, Any]:
    """`evaluate` of rows with their feed."""
    test, sums = task.test, Sums(task.figures.values())
    for taken in rows.batches(_at_most(batch, rows), finite=finite):
        arrays = feed(taken)
        try:
            values = test(*arrays)
        except UNSUITED as error:
            raise unsuitable(feed, arrays, error, "a batch") from error
        sums.add(values, len(arrays[0]))
    return dict(zip(["loss", *task.figures], sums.figure_values()))


def predict(task: Task, rows: Any, batch: int = 256, finite: bool = True) -> Any:
    """The outputs of a task for all rows.

    Parameters
    ----------
    task : Task
    rows : array, tuple or dict of arrays, or Dataset
        The inputs; targets that come with them are left out.
    batch : int
        Rows at a time.
    finite : bool
        Whether NaN and infinities in the data are refused.

    Returns
    -------
    array, or list of arrays where the task has several outputs
        A row for each row.
    """
    if not isinstance(rows, Dataset | Mapping | tuple | list):
        rows = (rows,)
    rows, feed = fed(task, rows, leaves(task, "predict", targets=False), may_have_more=True)
    parts: list[list[Array]] = []
    several = False
    for taken in rows.batches(_at_most(batch, rows), finite=finite):
        arrays = feed(taken)
        try:
            found = task.use(*arrays)
        except UNSUITED as error:
            raise unsuitable(feed, arrays, error, "a batch") from error
        several = isinstance(found, list)
        parts.append(found if several else [found])
        for part in parts[-1]:
            if part.ndim == 0 or len(part) != len(arrays[0]):
                raise problem(
                    f"predict: {len(arrays[0])} rows gave an output of shape {part.shape}",
                    "outputs need a row for each row: see Task(outputs=...)",
                )
    joined = [np.concatenate(column) for column in zip(*parts)]
    return joined if several else joined[0]


UNSUITED = (BadIndexError, DTypeError, ShapeError)  # what functions say of wrong arguments


def leaves(task: Any, what: str, targets: bool = True) -> list[Variable]:
    """What a task has to be given rows for."""
    if not isinstance(task, Task):
        raise ArgumentError(f"{what}: {type(task).__name__} is no task",
                            f"{what}(task, rows), of task = train.Task(model, ...)",
                            user_frames())  # fmt: skip
    return task.leaves if targets else task.inputs


def fed(
    task: Task, given: Any, variables: Sequence[Variable], may_have_more: bool = False,
    what: str = "",
) -> tuple[Dataset, Feed]:  # fmt: skip
    """Rows as a data set, and a function from its batches to a function's arguments."""
    with named(what):
        rows = as_rows(_alone(given) if len(variables) == 1 else given)
        fields = [str(v.name) for v in variables]
        if rows.as_dict and ("None" in fields or len(set(fields)) < len(fields)):
            raise problem(
                f"rows given by name need inputs and targets with names of their own, not "
                f"{', '.join(fields)}",
                "T.matrix('x') has a name; a tuple gives rows in the order of the task",
            )
        if not rows.as_dict:
            fields = list(rows.names[: len(variables)])
        missing = [name for name in fields if name not in rows.names]
        extra = len(rows.names) > len(variables) and not may_have_more and not rows.as_dict
        if missing or extra or len(fields) < len(variables):
            by = "by name" if rows.as_dict else "in this order"
            raise problem(
                f"the data has the fields {', '.join(rows.names)}, and the task takes "
                f"{', '.join(str(v.name) for v in variables)}, {by}",
                f"there is no field {', '.join(missing)}: name the fields as the task's inputs and "
                "targets are named" if missing else
                "give a field for each input and each target, and no other: rows.only('x') leaves "
                "the others out",
            )  # fmt: skip
    return rows, Feed(rows, fields, variables, task.targets)


def _alone(given: Any) -> Any:
    """The rows of the only field: an array, or a list of numbers or of rows, needs no tuple."""
    numbers = isinstance(given, list) and not any(hasattr(part, "shape") for part in given)
    array = hasattr(given, "shape") and not isinstance(given, Mapping)
    return (given,) if (numbers and given) or array else given


def as_rows(given: Any) -> Dataset:
    """A data set of what was given: itself, or arrays."""
    if isinstance(given, Dataset):
        rows = given
    elif isinstance(given, Mapping):
        rows = from_arrays(**given)
    elif isinstance(given, tuple | list):
        rows = from_arrays(*given)
    else:
        hint = "give one of graphc.data, or arrays: (x, y)"
        if callable(given) or hasattr(given, "__next__"):
            hint = "data.from_generator(make) makes one, of a function that yields examples"
        elif isinstance(given, float):
            hint = "data.split(rows, (0.8, 0.2)) makes two parts"
        raise problem(f"{type(given).__name__} is no data set", hint)
    if rows.length() == 0:
        raise problem("the data set is empty", "is the file, or the selection of rows, right?")
    return rows


def _at_most(batch: int, rows: Dataset) -> int:
    """A batch that isn't larger than the data."""
    length = rows.length()
    return batch if length is None else max(1, min(batch, length))
