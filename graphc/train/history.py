"""What happened, epoch by epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any


class History(Mapping[str, list[float]]):
    """Columns of figures, one number for each epoch.

    Columns are ``epoch`` (from 1), ``steps``, ``seconds``, ``rate`` where the learning rate is
    known, ``loss`` and the task's figures, and these again with ``validation`` before them.

    Attributes
    ----------
    columns : dict of lists
    best : int or None
        The epoch with the best monitored figure, counted from 1.
    stopped : str or None
        Why training ended before its last epoch, such as ``"no better for 5 epochs"``.

    Examples
    --------
    >>> from graphc.train import History
    >>> history = History()
    >>> history.append({"epoch": 1, "loss": 0.5})
    >>> history.append({"epoch": 2, "loss": 0.25})
    >>> history["loss"], len(history.epochs)
    ([0.5, 0.25], 2)
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self.columns: dict[str, list[float]] = {k: list(v) for k, v in (columns or {}).items()}
        self.best: int | None = None
        self.stopped: str | None = None

    def append(self, row: Mapping[str, float]) -> None:
        """Add an epoch; a column that is new has NaN before."""
        length = len(self.epochs)
        for name in dict.fromkeys([*self.columns, *row]):
            column = self.columns.setdefault(name, [float("nan")] * length)
            column.append(row.get(name, float("nan")))

    @property
    def epochs(self) -> list[float]:
        """The numbers of the epochs."""
        return self.columns.get("epoch", [])

    def row(self, place: int = -1) -> dict[str, float]:
        """The figures of an epoch, the latest by default."""
        return {name: column[place] for name, column in self.columns.items()}

    def to_csv(self) -> str:
        """The table as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*self.columns.values()))
        return text.getvalue()

    def curves(self, **options: Any) -> Any:
        """The figures over the epochs as a picture: `graphc.pictures.curves`."""
        from graphc.pictures import curves

        return curves(self, **options)

    def __getitem__(self, name: str) -> list[float]:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{k} {v:.4g}" for k, v in self.row().items()) if self.epochs else "empty"
        return f"<history: {last}>"
