"""Which epoch was best, and when to stop waiting for a better one."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import user_frames

LOWER, HIGHER = ("loss", "error", "perplexity"), ("accuracy", "score")


class Monitor:
    """Watches one column of a history.

    Parameters
    ----------
    column : str or None
        By default the validation loss where there is one, else the loss.
    better : {"lower", "higher"} or None
        By default as the name ends: a loss, an error or a perplexity is better when it is lower,
        an accuracy or a score when it is higher.
    patience : int or None
        After how many epochs without a better one training ends.
    least : float
        By how much a figure has to be better to count.
    """

    def __init__(self, column: str | None, better: str | None, patience: int | None,
                 least: float) -> None:  # fmt: skip
        self.column, self.given, self.patience, self.least = column, better, patience, least
        self.value: float | None = None
        self.epoch = self.waited = 0
        if better not in (None, "lower", "higher"):
            raise ArgumentError(f"fit: better={better!r} is neither 'lower' nor 'higher'",
                                at=user_frames())  # fmt: skip
        if not isinstance(least, int | float) or math.isnan(least):
            raise ArgumentError(f"fit: least={least!r} is no number", at=user_frames())

    def choose(self, columns: Collection[str]) -> str:
        """The column that is watched, once it is known which there are, and which way."""
        if self.column is None:
            self.column = "validation loss" if "validation loss" in columns else "loss"
        if self.column not in columns:
            raise ArgumentError(
                f"fit: monitor={self.column!r} is no column of the history",
                f"there are {', '.join(columns)}", user_frames(),
            )  # fmt: skip
        if self.given is None and self.column.split()[-1] not in LOWER + HIGHER:
            raise ArgumentError(f"fit: is a lower or a higher {self.column!r} better?",
                                "say better='lower' or better='higher'", user_frames())  # fmt: skip
        return self.column

    @property
    def sign(self) -> float:
        """1 where lower is better, -1 where higher is."""
        words = str(self.column).split()[-1:]
        higher = self.given == "higher" or (self.given is None and words[0] in HIGHER)
        return -1.0 if higher else 1.0

    def see(self, row: dict[str, float], epoch: int) -> bool:
        """Take in an epoch; returns whether it is the best so far."""
        value = row[self.choose(row)]
        sign = self.sign
        better = not math.isnan(value) and (
            self.value is None or sign * value < sign * self.value - self.least
        )
        if better:
            self.value, self.epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return better

    @property
    def over(self) -> str | None:
        """Why training should end, if it should."""
        if self.patience is None or self.waited < self.patience:
            return None
        if self.value is None:
            return f"{self.column} was NaN for {self.waited} epochs"
        return f"{self.column} was no better for {self.waited} epochs than {self.value:.6g}"

    def state(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]
