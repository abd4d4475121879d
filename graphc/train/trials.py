"""Trials of a search, and the folder in which they survive."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from graphc.core.errors import ArgumentError, GraphError
from graphc.core.node import user_frames
from graphc.files import half_written, lock, whole
from graphc.train.spaces import label

VERSION = 1
BETTER = ("higher", "lower")


class SearchError(GraphError, RuntimeError):
    """A folder whose search isn't the one that was asked for, or that is damaged."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: JSON can hold it.

    A score of None, with an error, is a trial that failed.
    """

    score: float | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class Trial:
    """One call of the objective.

    Attributes
    ----------
    number : int
        From 0, in the order of the draws.
    arguments : dict
        What the objective was called with, `seed` among it: ``objective(**trial.arguments)``
        does it again.
    score : float or None
    figures : dict
        What the objective told besides the score.
    seconds : float
    error, traceback : str or None
        Of a trial that failed.
    """

    number: int
    arguments: dict[str, Any]
    score: float | None
    figures: dict[str, Any]
    seconds: float
    error: str | None = None
    traceback: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        """All of it but the traceback, in one dict of numbers and strings."""
        found = {"trial": self.number, "score": self.score}
        found |= {k: label(v) for k, v in self.arguments.items()}
        found |= {k: v for k, v in self.figures.items() if k not in found}
        return found | {"seconds": self.seconds, "error": self.error}


class Trials:
    """The table that a search returns, the best trial first.

    Attributes
    ----------
    trials : list of Trial
        By score; those without one, or with NaN, last.
    better : {"higher", "lower"}
    interrupted : bool
        Whether Ctrl-C ended the search before all trials were made.
    """

    def __init__(
        self, trials: Iterable[Trial], better: str, varied: Iterable[str] = (),
        interrupted: bool = False,
    ) -> None:  # fmt: skip
        self.better, self.varied, self.interrupted = better, tuple(varied), interrupted
        self.trials = sorted(trials, key=self._rank)

    def _rank(self, trial: Trial) -> tuple[bool, float, int]:
        score = trial.score
        if score is None or math.isnan(score):
            return True, float(score is None), trial.number
        return False, -score if self.better == "higher" else score, trial.number

    @property
    def best(self) -> Trial:
        """The trial with the best score.

        Raises
        ------
        SearchError
            If no trial has a score.
        """
        if not self.trials or self._rank(self.trials[0])[0]:
            errors = {t.error.splitlines()[0]: None for t in self.trials if t.error}
            told = "; ".join(list(errors)[:3]) or "they are NaN"
            raise SearchError(f"none of {len(self.trials)} trials has a score: {told}",
                              "call the objective by hand, objective(**found.trials[0].arguments)",
                              user_frames())  # fmt: skip
        return self.trials[0]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dict for each trial: its number, the score, arguments, figures, seconds, error."""
        return [t.row for t in self.trials]

    @property
    def failed(self) -> list[Trial]:
        """Those with an error."""
        return [t for t in self.trials if t.error is not None]

    def to_csv(self) -> str:
        """The table as comma-separated values."""
        rows = self.rows
        text = io.StringIO()
        writer = csv.DictWriter(text, dict.fromkeys(k for r in rows for k in r),
                                lineterminator="\n")  # fmt: skip
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def picture(self, **options: Any) -> Any:
        """Each hyper-parameter against the score: `graphc.pictures.search`."""
        from graphc.pictures import search

        best = "highest" if self.better == "higher" else "lowest"
        return search(self.rows, **{"best": best, "names": self.varied or None, **options})

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __str__(self, most: int = 20) -> str:
        """The table, cut after `most` trials; constants are left out."""
        shown = self.trials[:most]
        rows = [t.row for t in shown]
        figures = [k for t in shown for k in t.figures]
        columns = dict.fromkeys(["trial", "score", *self.varied, *figures])
        cells = [list(columns)] + [[_cell(r.get(c)) for c in columns] for r in rows]
        widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths)) for row in cells]
        for k, trial in enumerate(shown):
            if trial.error:
                lines[k + 1] += f"  {trial.error.splitlines()[0][:60]}"
        if len(self.trials) > most:
            lines.append(f"and {len(self.trials) - most} more")
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        best = "" if not self.trials or self._rank(self.trials[0])[0] else (
            f", best score {_cell(self.trials[0].score)}")  # fmt: skip
        return f"<{len(self.trials)} trials{failed}{best}>"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class SearchFolder:
    """Where a search is written down, a file for each trial.

    ::

        folder/
          search.json             what is searched
          trials/00000007.json    a trial that is over
          results.csv             the table so far
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.trials = self.path / "trials"

    @contextmanager
    def held(self, search: Mapping[str, Any]) -> Iterator[SearchFolder]:
        """Keep other processes out, and other searches: `search` says which this is."""
        self.trials.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            try:
                lock(file)
            except OSError as error:
                raise SearchError(f"another process searches in {self.path}",
                                  "give each search a folder of its own") from error  # fmt: skip
            for half in [*half_written(self.path, r"search\.json|results\.csv"),
                         *half_written(self.trials, r"\d+\.json")]:  # fmt: skip
                half.unlink(missing_ok=True)
            self._check({"version": VERSION, **search})
            yield self

    def _check(self, search: Mapping[str, Any]) -> None:
        place = self.path / "search.json"
        if not place.exists():
            write(place, json.dumps(search, indent=1))
            return
        found = _read(place)
        other = [k for k in {**search, **found} if found.get(k) != search.get(k)]
        if other:
            told = "; ".join(f"{k} was {found.get(k)} and is {search.get(k)}" for k in other)
            raise SearchError(f"{self.path} holds another search: {told}",
                              "give each search a folder of its own")  # fmt: skip

    def outcomes(self) -> dict[int, Outcome]:
        """What is known of the trials that are over, by number."""
        found = {}
        for place in sorted(self.trials.glob("[0-9]*.json")):
            held = _read(place)
            try:
                found[int(place.stem)] = Outcome(**held["outcome"])
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(place, error) from error
        return found

    def write(self, number: int, arguments: Mapping[str, Any], outcome: Outcome) -> None:
        """Write down a trial that is over; the file appears when it is whole."""
        held = {"arguments": {k: label(v) for k, v in arguments.items()},
                "outcome": asdict(outcome)}  # fmt: skip
        write(self.trials / f"{number:08d}.json", json.dumps(held, indent=1))

    def write_table(self, table: Trials) -> None:
        """Write the table for other programs."""
        write(self.path / "results.csv", table.to_csv())


def write(path: Path, text: str) -> None:
    """Write a file, which appears when it is whole and on the disk."""
    with whole(path) as file:
        file.write(text.encode())


def _read(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(place.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except (OSError, ValueError) as error:
        raise _damaged(place, error) from error
    return found


def _damaged(place: Path, error: Exception) -> SearchError:
    return SearchError(f"{place} is damaged: {type(error).__name__}: {error}",
                       "delete it, and its trial is made again")  # fmt: skip


def read_better(better: Any) -> str:
    """Which scores are better."""
    if better not in BETTER:
        raise ArgumentError(f"better={better!r} is neither 'higher' nor 'lower'",
                            at=user_frames())  # fmt: skip
    return str(better)
