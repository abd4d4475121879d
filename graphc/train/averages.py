"""Averages of values that were saved on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.order import read_count
from graphc.nn import states
from graphc.train.checkpoints import CheckpointError, RunFolder, read

State = Mapping[str, Any]


def average_values(*values: State) -> dict[str, Array]:
    """The mean of several states of one model, name by name.

    Parameters
    ----------
    *values : dicts of arrays
        What ``model.state()`` gave, oldest first.

    Returns
    -------
    dict of arrays
        For ``model.load_state``. Floats are averaged in float64 and come in their own dtype;
        integers and booleans, such as counts and the states of random streams, are the last ones.

    Raises
    ------
    ArgumentError
        With all names that not all states have, and all shapes and dtypes that differ.

    Notes
    -----
    Running statistics of batch normalisation are averaged, too, and are not those of the averaged
    weights: collect them again, by a few batches in training mode.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import train
    >>> early, late = ({"w": np.array([k, 2.0 * k]), "steps": np.array(int(k))} for k in (1.0, 3.0))
    >>> average = train.average_values(early, late)
    >>> average["w"], int(average["steps"])
    (array([2., 4.]), 3)
    """
    if not values or not all(isinstance(v, Mapping) for v in values):
        raise ArgumentError("average_values: dicts of arrays are needed",
                            "average_values(*[model.state() ...])", user_frames())  # fmt: skip
    arrays = [{name: np.asarray(v) for name, v in given.items()} for given in values]
    problems = _problems(arrays)
    if problems:
        more = [f"and {len(problems) - 6} more"] if len(problems) > 6 else []
        raise ArgumentError(
            "average_values: these are not states of one model\n  "
            + "\n  ".join([*problems[:6], *more]),
            "average what one model had at several times", user_frames(),
        )  # fmt: skip
    return {name: _mean([given[name] for given in arrays]) for name in arrays[-1]}


def average_checkpoints(
    source: str | Path | Iterable[str | Path], last: int = 5
) -> dict[str, Array]:
    """The mean of the values that a model had at the latest checkpoints of a run.

    Parameters
    ----------
    source : str or Path, or several
        The folder of a `fit` with ``keep`` of at least `last`; or the paths of checkpoints, or of
        files that ``model.save`` wrote, oldest first: these are all averaged.
    last : int
        How many of the folder's checkpoints, the latest ones.

    Returns
    -------
    dict of arrays
        As `average_values` gives it, for ``model.load_state``.

    Raises
    ------
    CheckpointError
        If the folder holds fewer, or one is damaged.
    ArgumentError
        If they are not of one model.

    Notes
    -----
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from graphc import nn, train
    >>> model, paths = nn.Dense(1, 1), []
    >>> for weight in (1.0, 2.0):
    ...     model.load_state({"weights": [[weight]], "bias": [0.0]})
    ...     paths.append(model.save(Path(tempfile.mkdtemp()) / "values.npz"))
    >>> model.load_state(train.average_checkpoints(paths))
    >>> float(model.weights.get_value().item())
    1.5
    """
    if isinstance(source, str | Path):
        paths = _latest(Path(source), read_count(last, "last"))
    else:
        paths = [Path(p) for p in source]
        if not paths:
            raise ArgumentError("average_checkpoints: there are no paths", at=user_frames())
    return average_values(*map(_values, paths))


def _latest(folder: Path, last: int) -> Sequence[Path]:
    found = RunFolder(folder).names()
    if len(found) < last:
        raise CheckpointError(
            f"{folder} holds {len(found)} checkpoints, and {last} are to be averaged",
            f"train with fit(..., keep={last}), or average fewer with last=", user_frames(),
        )  # fmt: skip
    return found[-last:]


def _values(path: Path) -> dict[str, Array]:
    """The model's values of a checkpoint, or of a file."""
    if not path.is_dir():
        return states.read(path)
    held, _ = read(path)
    return {k.removeprefix("model/"): v for k, v in held.items() if k.startswith("model/")}


def _problems(arrays: Sequence[Mapping[str, Array]]) -> list[str]:
    names = dict.fromkeys(name for given in arrays for name in given)
    found = []
    for name in names:
        missing = [k for k, given in enumerate(arrays) if name not in given]
        if missing:
            found.append(f"{name!r} is missing in number {', '.join(map(str, missing))}")
            continue
        for what in ("shape", "dtype"):
            kinds = dict.fromkeys(str(getattr(given[name], what)) for given in arrays)
            if len(kinds) > 1:
                found.append(f"{name!r} has {what}s {', '.join(kinds)}")
    return found


def _mean(values: Sequence[Array]) -> Array:
    kind = dtypes.name_of(values[-1].dtype)
    if dtypes.is_discrete(kind):
        return values[-1].copy()
    wide = "complex128" if values[-1].dtype.kind == "c" else "float64"
    total = np.zeros(values[-1].shape, wide)
    for value in values:
        total += dtypes.convert(value, wide)
    return np.asarray(dtypes.convert(total / len(values), kind))
