"""Tables in text files: comma-separated values."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.dtypes import host_float
from graphc.core.node import Array
from graphc.data.problems import problem
from graphc.data.tables import Table, table

Rows = list[tuple[int, list[str]]]


def from_csv(
    path: Any, target: Any = None, columns: Sequence[Any] | None = None, header: bool | None = None,
    delimiter: str = ",", dtype: str | None = None, missing: str = "error",
    encoding: str = "utf-8-sig",
) -> Table:  # fmt: skip
    """A data set of a file of comma-separated values.

    Parameters
    ----------
    path : path
        A text file; values may be quoted.
    target : str or int, optional
        The column that becomes field ``y``. Whole numbers become int32, other numbers floats.
        Names become numbers in alphabetical order, and `classes` of the data set holds them.
    columns : sequence of str or int, optional
        Those that become field ``x``, (rows, columns); all but the target by default.
    header : bool, optional
        Whether the first line holds the columns' names; by default, it does if none of its
        values is a number.
    delimiter : str
        What is between values.
    dtype : str, optional
        Of ``x``; ``floatX`` by default.
    missing : "error" or "nan"
        What becomes of empty values.
    encoding : str
        Of the file.

    Returns
    -------
    Table
        With the fields ``x`` and, where there is a target, ``y``.

    Raises
    ------
    DataError
        With file, line and column: lines of another number of values (as in a file that was
        cut off), values that are no numbers, empty values; no lines at all.

    Examples
    --------
    >>> import os, tempfile
    >>> from graphc import data
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("length,width,kind\\n5.1,3.5,rose\\n4.9,3.0,iris\\n")
    >>> flowers = data.from_csv(path, target="kind")
    >>> flowers["x"], flowers["y"], flowers.classes
    (array([[5.1, 3.5], [4.9, 3. ]]), array([1, 0], dtype=int32), ('iris', 'rose'))
    """
    if missing not in ("error", "nan"):
        raise problem(f"missing is {missing!r}", "it may be 'error' or 'nan'")
    name = os.fspath(path)
    rows = _rows(name, delimiter, encoding)
    first = rows[0][1] if rows else []
    if header is None:
        header = bool(first) and are_names(first)
    names = [v.strip() for v in first] if header else [str(k) for k in range(len(first))]
    if header:
        rows = rows[1:]
    if not rows:
        raise problem(f"{name}: there are no lines with values", "check the file and header=")
    _check_widths(rows, name, len(first))
    goal = None if target is None else _place(target, names, name)
    chosen = ([k for k in range(len(names)) if k != goal] if columns is None
              else [_place(c, names, name) for c in columns])  # fmt: skip
    if not chosen:
        raise problem(f"{name}: no column is left for x", f"columns are {', '.join(names)}")
    reader = _Reader(name, rows, names, missing)
    kind = dtype or host_float()
    fields = {"x": np.stack([reader.numbers(k) for k in chosen], axis=1).astype(kind)}
    classes = None
    if goal is not None:
        fields["y"], classes = reader.target(goal, kind)
    return table(fields, classes=classes, origin=name)


class _Reader:
    """Columns of the lines of a file."""

    def __init__(self, file: str, rows: Rows, names: list[str], missing: str) -> None:
        self.file, self.rows, self.names, self.missing = file, rows, names, missing

    def numbers(self, k: int) -> Array:
        """A column as float64."""
        values = [row[k] for _, row in self.rows]
        if self.missing == "nan":
            values = [v if v.strip() else "nan" for v in values]
        try:
            return np.array(list(map(float, values)))
        except ValueError:
            at = next(i for i, v in enumerate(values) if not _is_number(v))
        what = f"{values[at]!r} is no number" if values[at].strip() else "there is no value"
        raise problem(
            f"{self.file}, line {self.rows[at][0]}, column {self.names[k]!r}: {what}",
            "missing='nan' reads empty values as NaN; columns= chooses among the columns; "
            "target= may be a column of names",
        )

    def target(self, k: int, kind: str) -> tuple[Array, list[str] | None]:
        """A column of labels or of numbers, and the names of classes."""
        values = [row[k].strip() for _, row in self.rows]
        empty = next((i for i, v in enumerate(values) if not v), None)
        if empty is not None:
            raise problem(
                f"{self.file}, line {self.rows[empty][0]}, column {self.names[k]!r}: there is no "
                "value", "every line needs its target: leave such lines out",
            )  # fmt: skip
        if not any(map(_is_number, values)):
            classes, labels = np.unique(values, return_inverse=True)
            return labels.astype("int32"), classes.tolist()
        found = self.numbers(k)
        whole = all(v.lstrip("+-").isdigit() for v in values) and (abs(found) < 2**31).all()
        return found.astype("int32" if whole else kind), None


def _rows(name: str, delimiter: str, encoding: str) -> Rows:
    """The lines that aren't empty, with their numbers."""
    try:
        with open(name, newline="", encoding=encoding) as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            try:
                return [(reader.line_num, row) for row in reader if row]
            except csv.Error as error:
                raise problem(
                    f"{name}, line {reader.line_num}: {error}",
                    "a quoted value may lack its end: the file may be cut off",
                ) from error
    except UnicodeDecodeError as error:
        raise problem(f"{name}: {error}", "pass encoding=, or check that it is text") from error


def _check_widths(rows: Rows, name: str, width: int) -> None:
    for line, row in rows:
        if len(row) != width:
            last = line == rows[-1][0]
            raise problem(
                f"{name}, line {line}: {len(row)} values, the lines before have {width}",
                "it is the last line: the file may be cut off" if last
                else "a value may lack its quotes, or delimiter= may be another one",
            )  # fmt: skip


def _place(column: Any, names: list[str], file: str) -> int:
    if isinstance(column, int) and -len(names) <= column < len(names):
        return column % len(names)
    if column not in names:
        raise problem(f"{file}: there is no column {column!r}", f"columns are {', '.join(names)}")
    return names.index(column)


def are_names(first: Sequence[str]) -> bool:
    """Whether a table's first line has names: no number among them, and nothing empty."""
    return not any(_is_number(v) or not v.strip() for v in first)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
