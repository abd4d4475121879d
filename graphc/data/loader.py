"""Mini-batches with a state that can be saved and restored."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.data.checks import check_finite
from graphc.data.order import read_count, read_seed
from graphc.data.prefetch import Prefetch
from graphc.data.problems import DataError, problem

VERSION = 1
_SAME = ("rows", "size", "shuffle", "drop_last")


@dataclass(frozen=True)
class Settings:
    """How batches are made; `Dataset.batches` says what each means."""

    size: int
    shuffle: bool
    seed: int
    drop_last: bool
    prefetch: int
    finite: bool


class Source(Protocol):
    """What batches are made from."""

    def length(self) -> int | None:
        """How many rows there are."""

    def made(self, settings: Settings, epoch: int, start: int) -> Generator[Any, None, None]:
        """The batches of an epoch from number `start` on."""

    def named(self, batch: Any) -> Mapping[str, Any]:
        """A batch's fields by name."""


class Batches:
    """Mini-batches, which know how far they got.

    A ``for`` loop runs to the end of the epoch; the next loop is the next epoch. A loop that was
    left early is gone on with by the next one (`rewind` starts the epoch again), and so is one
    whose state was restored, perhaps in another process: the batches are those, bit for bit,
    that would have come. After an epoch's last batch and before its loop has ended, the rest of
    the epoch is empty.

    Attributes
    ----------
    epoch, batch : int
        The number of the epoch, and of its batch that comes next; both from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import data
    >>> rows = data.from_arrays(np.arange(6))
    >>> batches = rows.batches(2, shuffle=True, seed=3)
    >>> first = next(iter(batches))
    >>> state = batches.state_dict()
    >>> rest = [x.tolist() for x, in batches]
    >>> again = rows.batches(2, shuffle=True)
    >>> again.load_state_dict(state)
    >>> [x.tolist() for x, in again] == rest
    True
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        self.source, self.settings = source, settings
        self.epoch = self.batch = self._begun = 0
        self._loop: weakref.ref[_Epoch] | None = None  # a forgotten loop ends its thread

    def __len__(self) -> int:
        rows = self.source.length()
        if rows is None:
            raise TypeError("nobody knows how many batches a generator makes: pass length=")
        size = self.settings.size
        return rows // size if self.settings.drop_last else -(-rows // size)

    def __iter__(self) -> _Epoch:
        self.close()
        self._begun += 1
        loop = _Epoch(self)
        self._loop = weakref.ref(loop)
        return loop

    def close(self) -> None:
        """End the present loop and its thread; the next one goes on where it was."""
        loop, self._loop = self._loop and self._loop(), None
        if loop is not None:
            loop.close()

    def rewind(self) -> None:
        """Start the present epoch again."""
        self.close()
        self.batch = 0

    def state_dict(self) -> dict[str, Any]:
        """How far they got, in numbers that JSON can hold."""
        settings = self.settings
        return {
            "version": VERSION, "rows": self.source.length(), "size": settings.size,
            "shuffle": settings.shuffle, "seed": settings.seed, "drop_last": settings.drop_last,
            "epoch": self.epoch, "batch": self.batch,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, with the seed that it holds.

        Raises
        ------
        DataError
            If it is of other data or of other settings, or is no such state.
        """
        present = self.state_dict()
        missing = [key for key in present if key not in state]
        if missing:
            raise problem(f"the state of batches has no {', '.join(missing)}",
                          "give what state_dict() returned")  # fmt: skip
        if state["version"] != VERSION:
            raise problem(f"the state of batches has version {state['version']}, not {VERSION}")
        other = [key for key in _SAME if state[key] != present[key]]
        if other:
            raise problem(
                "the state is of other batches: "
                + ", ".join(f"{key} was {state[key]} and is {present[key]}" for key in other),
                "batches are the same only from the same data with the same settings",
            )
        seed = read_seed(int(state["seed"]))
        epoch, batch = (read_count(state[key], key, 0) for key in ("epoch", "batch"))
        self.close()
        self.settings = Settings(**{**vars(self.settings), "seed": seed})
        self.epoch, self.batch = epoch, batch


class _Epoch(Iterator[Any]):
    """One loop over batches."""

    def __init__(self, owner: Batches) -> None:
        self.owner, self.number, self.closed = owner, owner._begun, False
        settings = owner.settings
        made = owner.source.made(settings, owner.epoch, owner.batch)
        self.items: Any = Prefetch(made, settings.prefetch) if settings.prefetch else made

    def __next__(self) -> Any:
        owner = self.owner
        if self.closed:
            if owner._begun != self.number:
                raise problem(
                    "another loop over the same batches has begun",
                    "call dataset.batches(...) once for each loop that runs at the same time",
                )
            raise StopIteration
        try:
            batch = next(self.items)
            if owner.settings.finite:
                self._check(batch)
        except BaseException as error:
            self.close()
            if isinstance(error, StopIteration):
                owner.epoch, owner.batch, owner._loop = owner.epoch + 1, 0, None
            raise
        owner.batch += 1
        return batch

    def _check(self, batch: Any) -> None:
        for name, values in self.owner.source.named(batch).items():
            try:
                check_finite(values, name)
            except DataError as error:
                error.what += f" (in batch {self.owner.batch} of epoch {self.owner.epoch})"
                raise

    def close(self) -> None:
        """End the loop."""
        self.closed = True
        self.items.close()
