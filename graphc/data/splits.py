"""Parts of a data set: for training, validation and test; folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.checks import check_labels
from graphc.data.order import permutation, read_count, read_seed
from graphc.data.problems import problem
from graphc.data.tables import Table, from_arrays


def split(
    dataset: Any, parts: Sequence[float] = (0.8, 0.2), seed: int | None = 0,
    stratify: Any = None, shuffle: bool = True,
) -> tuple[Table, ...]:  # fmt: skip
    """Disjoint parts, the same ones whenever seed and data are the same.

    Parameters
    ----------
    dataset : Table, or tuple or dict of arrays
        Rows; they are not copied.
    parts : sequence of float or of int
        Fractions that add up to 1, or numbers of rows that add up to all.
    seed : int or None
        Of the order; None for one from the operating system.
    stratify : str or int, optional
        A field of labels; each part then has about the same proportion of every class.
    shuffle : bool
        Without it, parts are cut off in the order of the rows.

    Returns
    -------
    tuple of Table

    Raises
    ------
    DataError
        For parts that don't add up, that would be empty, and labels that are none.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import data
    >>> train, test = data.split(data.from_arrays(np.arange(10.0)), (0.7, 0.3))
    >>> len(train), len(test), sorted([*train["x"], *test["x"]]) == list(range(10))
    (7, 3, True)
    """
    dataset = _table(dataset)
    ends = _ends(dataset, parts)
    if not shuffle:
        if stratify is not None:
            raise problem("split: stratify needs another order", "leave out shuffle=False")
        order = np.arange(len(dataset))
    else:
        order = _order(dataset, read_seed(seed), stratify)
    return tuple(dataset.take(order[a:b]) for a, b in zip([0, *ends], ends))


def kfold(
    dataset: Any, k: int = 5, seed: int | None = 0, stratify: Any = None
) -> Iterator[tuple[Table, Table]]:
    """The pairs of training and test rows of k-fold cross-validation.

    Parameters
    ----------
    dataset : Table, or tuple or dict of arrays
        Rows; each is in one of the test parts.
    k : int
        How many folds, from 2 to the number of rows.
    seed, stratify
        As for `split`.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import data
    >>> [len(test) for train, test in data.kfold(data.from_arrays(np.arange(7)), 3)]
    [2, 3, 2]
    """
    dataset = _table(dataset)
    rows = len(dataset)
    if read_count(k, "k", 2) > rows:
        raise problem(f"kfold: {k} folds of {rows} rows", f"k may be 2 to {rows}")
    order = _order(dataset, read_seed(seed), stratify, k)
    ends = _ends(dataset, [1 / k] * k)
    return (
        (dataset.take(np.concatenate([order[:a], order[b:]])), dataset.take(order[a:b]))
        for a, b in zip([0, *ends], ends)
    )


def _table(dataset: Any) -> Table:
    if isinstance(dataset, Mapping):
        return from_arrays(**dataset)
    if isinstance(dataset, tuple | list):
        return from_arrays(*dataset)
    if not isinstance(dataset, Table):
        raise problem(f"rows of {type(dataset).__name__} can't be chosen by number",
                      "from_arrays(x, y) makes a data set of arrays")  # fmt: skip
    return dataset


def _ends(dataset: Table, parts: Sequence[float]) -> list[int]:
    if not isinstance(parts, Sequence | np.ndarray):
        raise problem(f"split: parts={parts!r} is one number", "give all shares, (0.8, 0.2)")
    rows, total = len(dataset), sum(parts)
    counts = all(isinstance(p, int | np.integer) for p in parts)
    if not len(parts) or min(parts) <= 0 or (total != rows if counts else abs(total - 1) > 1e-9):
        raise problem(
            f"split: parts {tuple(parts)} add up to {total:g}; there are {rows} rows",
            "give fractions that add up to 1, or numbers of rows that add up to all of them",
        )
    sums = np.cumsum(parts)
    ends = [int(s) for s in (sums if counts else np.rint(sums * rows))]
    if any(a == b for a, b in zip([0, *ends], ends)):
        raise problem(f"split: parts {tuple(parts)} of {rows} rows: one would be empty",
                      "give it a larger share")  # fmt: skip
    return ends


def _order(dataset: Table, seed: int, stratify: Any, least: int = 1) -> Array:
    """A random order; in a stratified one, every stretch has the classes in proportion."""
    order = permutation(len(dataset), seed)
    if stratify is None:
        return order
    name = dataset.name_of(stratify)
    labels = check_labels(dataset[name], None, name)[order]
    counts = np.bincount(labels)
    rare = np.flatnonzero((counts > 0) & (counts < least))
    if len(rare):
        raise problem(
            f"field {name!r}: class {rare[0]} has {counts[rare[0]]} rows, fewer than {least} folds",
            "choose fewer folds, or leave out stratify",
        )
    by_class = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(order))
    rank[by_class] = np.arange(len(order)) - starts[labels[by_class]]
    return order[np.argsort((rank + 0.5) / counts[labels], kind="stable")]
