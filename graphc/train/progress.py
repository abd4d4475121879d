"""What is seen while a program trains: a bar for the steps, a line for each epoch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

SILENT = ("epoch", "steps", "seconds", "rate")


class Progress:
    """A bar in terminals and notebooks where tqdm is installed, and lines everywhere.

    Parameters
    ----------
    shown : bool
        Whether there is anything to see at all.
    epochs : int
    batches : int or None
        In an epoch, where that is known.
    done : int
        Epochs that were over before.
    """

    def __init__(self, shown: bool, epochs: int, batches: int | None, done: int = 0) -> None:
        self.shown, self.epochs = shown, epochs
        self.bar: Any = None
        there = "ipykernel" in sys.modules or sys.stderr.isatty()
        if shown and there and importlib.util.find_spec("tqdm"):
            from tqdm.auto import tqdm

            total = None if batches is None else epochs * batches
            self.bar = tqdm(total=total, initial=done * (batches or 0), unit=" steps",
                            desc="training", dynamic_ncols=True, leave=False)  # fmt: skip

    def step(self, count: int = 1) -> None:
        """Some steps were made."""
        if self.bar is not None:
            self.bar.update(count)

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch is over."""
        if self.shown:
            figures = "   ".join(f"{k} {number(v)}" for k, v in row.items() if k not in SILENT)
            width = len(str(self.epochs))
            self.say(f"epoch {int(row['epoch']):{width}d}/{self.epochs}   {figures}")

    def say(self, line: str) -> None:
        """A line above the bar."""
        if not self.shown:
            return
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.write(line)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


def number(value: float) -> str:
    """Four places for what is neither tiny nor huge."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"
