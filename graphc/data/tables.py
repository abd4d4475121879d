"""Data sets of arrays: in memory, in a mapped file, or anything that gives rows by number."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.data.checks import check_finite, check_labels
from graphc.data.dataset import Dataset, Fields
from graphc.data.loader import Settings
from graphc.data.order import permutation
from graphc.data.problems import problem


class Table(Dataset):
    """Rows of columns of equal length.

    Parameters
    ----------
    columns : mapping of str to arrays
        Anything with ``len``, ``shape``, ``dtype`` and rows by slice and by array of integers.
    rows : array of integers, optional
        Which rows, in which order.
    """

    def __init__(
        self, columns: Mapping[str, Any], as_dict: bool = False, rows: Array | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(tuple(columns), as_dict, classes)
        self.columns, self.rows = dict(columns), rows

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.rows is None else len(self.rows)

    def length(self) -> int:
        """How many rows there are."""
        return len(self)

    def __getitem__(self, field: Any) -> Array:
        """A whole field, transformed; what is random is as in epoch 0."""
        name = self.name_of(field)
        needed = {name}
        for step in reversed(self.steps):
            if needed & set(step.fields):
                needed |= set(step.fields)
        fields = self._read(slice(0, len(self)), needed)
        for k, step in enumerate(self.steps):
            if needed & set(step.fields):
                fields = step.apply(fields, (0, 0, k))
        return np.ascontiguousarray(fields[name])

    def only(self, *fields: Any) -> Table:
        """The same rows without their other fields: see `Dataset.only`."""
        made = super().only(*fields)
        return made._with(columns={name: self.columns[name] for name in made.names})

    def take(self, rows: Any) -> Table:
        """Some rows, by slice, numbers or mask; no field is copied.

        Examples
        --------
        >>> import numpy as np
        >>> from graphc import data
        >>> data.from_arrays(np.arange(10.0)).take([7, 1])["x"]
        array([7., 1.])
        """
        every = np.arange(len(self))
        try:
            chosen = every[rows if isinstance(rows, slice) else _numbers(rows)]
        except IndexError as error:
            raise problem(f"take: {error}", f"there are {len(self)} rows") from error
        if not len(chosen):
            raise problem(f"take: none of {len(self)} rows is left", "choose at least one")
        return self._with(rows=chosen if self.rows is None else self.rows[chosen])

    def check(self, finite: bool = True, classes: int | None = None, labels: Any = "y") -> Table:
        """These rows, after a look at all of them.

        Parameters
        ----------
        finite : bool
            Whether NaN and infinities are refused.
        classes : int, optional
            How many classes there are; labels must be integers below.
        labels : str or int
            The field that holds them.

        Raises
        ------
        DataError
            With field, row and value.
        """
        if classes is not None:
            name = self.name_of(labels)
            check_labels(self[name], classes, name)
        if finite:
            for name in self.names:
                first = 0
                for part in self.chunks(name):
                    check_finite(part, name, first)
                    first += len(part)
        return self

    def __repr__(self) -> str:
        fields = [
            f"{name}: {c.dtype}{[len(self), *c.shape[1:]]}" for name, c in self.columns.items()
        ]
        steps = f"; {len(self.steps)} transforms" if self.steps else ""
        return f"<{len(self)} rows of {', '.join(fields)}{steps}>"

    def _check(self, settings: Settings) -> None:
        if settings.size > len(self):
            raise problem(
                f"a batch of {settings.size} rows is larger than the data, {len(self)} rows",
                f"size={len(self)} is the full batch",
            )

    def _raw(self, settings: Settings, epoch: int, start: int) -> Generator[Fields, None, None]:
        count, size = len(self), settings.size
        order = permutation(count, settings.seed, epoch) if settings.shuffle else None
        stop = count - count % size if settings.drop_last else count
        for first in range(start * size, stop, size):
            part = slice(first, min(first + size, count))
            yield self._read(part if order is None else order[part], self.names)

    def _read(self, rows: Any, names: Any) -> Fields:
        """Copies of rows of some fields, in the order of bytes that kernels read."""
        where = rows if self.rows is None else self.rows[rows]
        return {name: _own(c[where], c) for name, c in self.columns.items() if name in names}


def _own(part: Any, column: Any) -> Array:
    """Rows that nobody else holds; those picked by number are a copy already."""
    if part.__class__ is np.ndarray and part.base is None and part is not column:
        if part.flags.c_contiguous and part.dtype.isnative:
            return part
    return np.array(part, column.dtype.newbyteorder("="), order="C", copy=True)


def _numbers(rows: Any) -> Array:
    found = np.asarray(rows)
    if found.size == 0:
        return found.astype("int64")
    if found.ndim != 1 or found.dtype.kind not in "iub":
        raise problem(f"take: rows are {found.dtype}{list(found.shape)}",
                      "give a slice, row numbers or a mask")  # fmt: skip
    return found


def from_arrays(*arrays: Any, classes: Sequence[str] | None = None, **fields: Any) -> Table:
    """A data set of arrays, memory maps included.

    Parameters
    ----------
    *arrays : array, (rows, ...)
        Fields called ``x``, ``y``, and then ``field2`` ...; batches are tuples in this order.
    **fields : array, (rows, ...)
        Fields with names; batches are dicts.
    classes : sequence of str, optional
        What labels mean.

    Raises
    ------
    DataError
        No rows, lengths that differ, values that are no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import data
    >>> data.from_arrays(np.zeros((4, 3), "float32"), np.array([0, 1, 1, 0]))
    <4 rows of x: float32[4, 3], y: int64[4]>
    >>> [sorted(batch) for batch in data.from_arrays(a=np.ones(2), b=np.ones(2)).batches(2)]
    [['a', 'b']]
    """
    if bool(arrays) == bool(fields):
        raise problem("from_arrays: give arrays, or arrays with names",
                      "from_arrays(x, y) or from_arrays(x=x, y=y)")  # fmt: skip
    names = [("x", "y")[k] if k < 2 else f"field{k}" for k in range(len(arrays))]
    given = fields or dict(zip(names, arrays))
    return table({k: column(k, v) for k, v in given.items()}, not arrays, classes)


def table(
    columns: Mapping[str, Any], as_dict: bool = False, classes: Sequence[str] | None = None,
    origin: str = "",
) -> Table:  # fmt: skip
    """A table of columns that are arrays already; `origin` is where they come from."""
    lengths = {name: len(c) for name, c in columns.items()}
    if len(set(lengths.values())) > 1:
        shapes = ", ".join(f"{name} {tuple(c.shape)}" for name, c in columns.items())
        raise problem(f"{origin or 'fields'}: lengths differ: {shapes}",
                      "every field has one row for each example")  # fmt: skip
    if not any(lengths.values()):
        raise problem(f"{origin or 'fields'}: there are no rows: " + ", ".join(
            f"{name} {tuple(c.shape)}" for name, c in columns.items()), "give at least one")
    return Table(columns, as_dict, None, classes)


def column(name: str, value: Any) -> Any:
    """A field as it is kept: an array of numbers, or what behaves as one."""
    if hasattr(value, "tocsr") and hasattr(value, "toarray"):
        raise problem(f"field {name!r} is sparse, and has no rows by number",
                      f"{name}.toarray(); graphc.estimators take sparse rows")  # fmt: skip
    if not all(hasattr(value, a) for a in ("shape", "dtype", "__getitem__", "__len__")):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise problem(
                f"field {name!r}: {error}",
                "rows must be of one shape: fill sequences up, and give their lengths as a field",
            ) from error
    if not value.shape:
        raise problem(f"field {name!r}: a single {value.dtype} has no rows", "give an array")
    if dtypes.name_of(np.dtype(value.dtype)) not in dtypes.ALL:
        raise problem(
            f"field {name!r}: values are {value.dtype}, not numbers of a dtype that graphc has",
            "cast them, or classes, y = numpy.unique(names, return_inverse=True) for names",
        )
    return value
