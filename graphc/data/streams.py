"""Data sets that are generated one example after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.data.dataset import Dataset, Fields
from graphc.data.loader import Settings
from graphc.data.order import philox, read_count
from graphc.data.problems import problem


class Stream(Dataset):
    """Examples that a function makes anew for each epoch."""

    def __init__(
        self, make: Callable[[], Iterable[Any]], names: Sequence[str], as_dict: bool,
        length: int | None, buffer: int,
    ) -> None:  # fmt: skip
        super().__init__(names, as_dict)
        self.make, self.count, self.buffer = make, length, buffer
        self.form = self.names, as_dict  # of what the function yields, whatever batches have

    def length(self) -> int | None:
        """How many rows there are, as the user said."""
        return self.count

    def _check(self, settings: Settings) -> None:
        if self.count is not None and settings.size > self.count:
            raise problem(
                f"a batch of {settings.size} rows is larger than the data, {self.count} rows",
                f"size={self.count} is the full batch",
            )

    def _raw(self, settings: Settings, epoch: int, start: int) -> Generator[Fields, None, None]:
        examples = self._examples()
        try:
            chosen: Iterator[Fields] = examples
            if settings.shuffle:
                chosen = shuffled(examples, self.buffer, settings.seed, epoch)
            rows = itertools.islice(chosen, start * settings.size, None)
            made = start
            while part := list(itertools.islice(rows, settings.size)):
                if len(part) < settings.size and settings.drop_last:
                    break
                made += 1
                yield {name: np.stack([example[name] for example in part]) for name in self.names}
            if not made:
                raise problem(
                    f"the generator made fewer than {settings.size} examples, and short batches "
                    "are dropped" if settings.drop_last else
                    f"the generator made no example in epoch {epoch}",
                    "give fewer rows to a batch" if settings.drop_last else
                    "the function has to make a new iterator each time that it is called",
                )  # fmt: skip
        finally:
            examples.close()

    def _examples(self) -> Generator[Fields, None, None]:
        first: Fields = {}
        number = -1
        for number, example in enumerate(self.make()):
            found = as_fields(example, *self.form, number)
            first = first or found
            for name, value in found.items():
                if (value.shape, value.dtype) != (first[name].shape, first[name].dtype):
                    raise problem(
                        f"field {name!r}: example {number} is {value.dtype}{list(value.shape)}, "
                        f"the first was {first[name].dtype}{list(first[name].shape)}",
                        "examples of a batch have one shape and dtype: pad, crop or cast them",
                    )
            yield found
        if self.count is not None and number + 1 != self.count:
            raise problem(f"the generator made {number + 1} examples; length={self.count}",
                          "length is the number of examples of an epoch")  # fmt: skip


def as_fields(example: Any, names: Sequence[str], as_dict: bool, number: int) -> Fields:
    """An example's fields by name."""
    if as_dict:
        if not isinstance(example, Mapping) or set(example) != set(names):
            found = sorted(example) if isinstance(example, Mapping) else type(example).__name__
            raise problem(f"example {number} has the fields {found}, the first had {list(names)}")
        values = {name: np.asarray(example[name]) for name in names}
    else:
        parts = example if isinstance(example, tuple) else (example,)
        if len(parts) != len(names):
            raise problem(f"example {number} has {len(parts)} fields, the first had {len(names)}")
        values = {name: np.asarray(part) for name, part in zip(names, parts)}
    for name, value in values.items():
        if value.dtype.kind not in "biufc":
            raise problem(f"field {name!r}: example {number} is {value.dtype}, not numbers")
    return values


def shuffled(
    items: Iterator[Any], size: int, seed: int, epoch: int
) -> Generator[Any, None, None]:
    """Items in a random order, each from among `size` that are kept."""
    bits = philox(seed, epoch)
    kept = list(itertools.islice(items, size))
    for item in items:
        k = int(bits.random_raw()) % len(kept)
        found, kept[k] = kept[k], item
        yield found
    while kept:
        k = int(bits.random_raw()) % len(kept)
        kept[k], kept[-1] = kept[-1], kept[k]
        yield kept.pop()


def from_generator(
    make: Callable[[], Iterable[Any]], length: int | None = None, buffer: int = 1024
) -> Stream:
    """A data set of examples that a function yields.

    Parameters
    ----------
    make : callable
        Gives an iterator over examples: tuples of arrays and numbers, dicts of them, or single
        ones, all of one form. It is called for each epoch, and once at the start to look at the
        first example. To restore a state, it must yield the same examples every time.
    length : int, optional
        How many examples there are, if that is known.
    buffer : int
        From among how many examples the next is drawn where batches are shuffled.

    Raises
    ------
    DataError
        No example, or examples that differ in form, shape or dtype, by their number.

    Examples
    --------
    >>> from graphc import data
    >>> squares = data.from_generator(lambda: ((float(k), float(k * k)) for k in range(5)))
    >>> [y.tolist() for x, y in squares.batches(2)]
    [[0.0, 1.0], [4.0, 9.0], [16.0]]
    """
    if not callable(make):
        raise problem(
            f"from_generator: {type(make).__name__} can be read once only",
            "pass the function that makes the iterator: each epoch calls it",
        )
    examples = iter(make())
    try:
        first = next(examples)
    except StopIteration:
        raise problem("the generator made no example", "it is to yield at least one") from None
    finally:
        getattr(examples, "close", lambda: None)()
    as_dict = isinstance(first, Mapping)
    count = len(first) if isinstance(first, tuple | Mapping) else 1
    names = list(first) if as_dict else [("x", "y")[k] if k < 2 else f"field{k}"
                                         for k in range(count)]  # fmt: skip
    as_fields(first, names, as_dict, 0)
    if length is not None:
        read_count(length, "length")
    return Stream(make, names, as_dict, length, read_count(buffer, "buffer"))
