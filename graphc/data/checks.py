"""Checks of values: NaN, infinities, labels that are none."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem


def check_finite(values: Any, name: str = "x", first: int = 0) -> None:
    """Refuse NaN and infinities.

    Parameters
    ----------
    values : array
        Of any shape and dtype.
    name : str
        How the error calls it.
    first : int
        The number of the first row, where `values` are a part.

    Raises
    ------
    DataError
        With the first bad element and how many there are.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import check_finite
    >>> try:
    ...     check_finite(np.array([[1.0, 2.0], [np.nan, 3.0]]))
    ... except ValueError as error:
    ...     print(error.what)
    field 'x': 1 of 4 values is not finite; the first is x[1, 0] = nan, shape (2, 2), float64
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if not count:
        return
    place = [int(k) for k in np.argwhere(bad)[0]]
    value = array[tuple(place)]
    at = ", ".join(map(str, [place[0] + first, *place[1:]])) if place else ""
    raise problem(
        f"field {name!r}: {count} of {array.size} values {'is' if count == 1 else 'are'} not "
        f"finite; the first is {name}[{at}] = {value}, shape {array.shape}, {array.dtype}",
        "leave such rows out, dataset.take(rows), or replace them, numpy.nan_to_num",
    )


def check_labels(labels: Any, classes: int | None = None, name: str = "y") -> Array:
    """Labels 0 ... classes - 1 as integers, or an error.

    Parameters
    ----------
    labels : array of integers, (rows,)
        The class of each row.
    classes : int, optional
        How many classes there are; one more than the largest label by default.

    Returns
    -------
    array of integers

    Raises
    ------
    DataError
        Labels as floats, one-hot rows, negative labels, labels of `classes` and more.

    Examples
    --------
    >>> from graphc.data import check_labels
    >>> check_labels([0, 2, 1], classes=3)
    array([0, 2, 1])
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        whole = array.dtype.kind in "fb" and np.isfinite(array).all() and not (array % 1).any()
        hint = (
            f"they are whole numbers: {name}.astype('int32')" if whole
            else "give the number of each row's class, 0, 1, ...: numpy.unique(labels, "
            "return_inverse=True)[1]"
        )  # fmt: skip
        raise problem(f"field {name!r}: labels are {array.dtype}, not integers", hint)
    if array.ndim != 1:
        raise problem(
            f"field {name!r}: labels have shape {array.shape}",
            f"one number for each row: {name}.argmax(axis=1) of one-hot rows, {name}.ravel() of "
            "a column",
        )
    outside = array < 0 if classes is None else (array < 0) | (array >= classes)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        among = "" if classes is None else f" among {classes} classes"
        raise problem(
            f"field {name!r}: label {array[row]} in row {row}{among}, {int(outside.sum())} such "
            f"rows; labels go from {array.min()} to {array.max()}",
            f"classes are numbered from 0; classes={int(array.max()) + 1} would hold all of these"
            if array.min() >= 0 else "classes are numbered from 0; leave out or renumber",
        )  # fmt: skip
    return array
