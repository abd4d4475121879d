"""What all data sets share: named fields, transforms on the way out, mini-batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.loader import Batches, Settings
from graphc.data.order import generator, read_count, read_seed
from graphc.data.problems import problem

Fields = dict[str, Array]


@dataclass(frozen=True)
class Step:
    """A transform, and the fields that it takes and gives."""

    transform: Callable[..., Any]
    fields: tuple[str, ...]

    def apply(self, batch: Fields, place: tuple[int, ...]) -> Fields:
        """The fields of a batch after it; `place` seeds what is random."""
        values = [batch[name] for name in self.fields]
        if hasattr(self.transform, "draw"):
            found = self.transform.draw(*values, generator(self.transform.seed, *place))
        else:
            found = self.transform(*values)
        found = (found,) if len(self.fields) == 1 else tuple(found)
        if len(found) != len(self.fields):
            raise problem(f"{self}: {len(found)} results for the fields {self.fields}")
        done = dict(batch)
        for name, before, after in zip(self.fields, values, found):
            after = np.asarray(after)
            if after.ndim == 0 or len(after) != len(before):
                raise problem(
                    f"{self} made shape {after.shape} of shape {before.shape} in field {name!r}",
                    "a transform takes a batch and gives as many rows; use dataset.take to choose "
                    "rows",
                )
            done[name] = after
        return done

    def __str__(self) -> str:
        name = getattr(self.transform, "__name__", None)
        return f"transform {name or type(self.transform).__name__}"


class Dataset:
    """Rows of named fields. `from_arrays` and its relatives make them.

    Parameters
    ----------
    names : sequence of str
        The fields, in order.
    as_dict : bool
        Whether batches are dicts; they are tuples otherwise.
    classes : sequence of str, optional
        What the labels mean.
    """

    def __init__(
        self, names: Sequence[str], as_dict: bool = False, classes: Sequence[str] | None = None
    ) -> None:
        self.names, self.as_dict = tuple(names), as_dict
        self.classes = None if classes is None else tuple(map(str, classes))
        self.steps: tuple[Step, ...] = ()

    def _with(self, **changes: Any) -> Any:
        made = copy.copy(self)
        vars(made).update(changes)
        return made

    def map(self, transform: Callable[..., Any], field: Any = 0) -> Any:
        """The same rows, with a transform on the way out, batch by batch.

        Parameters
        ----------
        transform : callable
            Takes the field of a batch, an array with a row for each example, and gives one with
            as many rows. One with a method ``draw(batch, generator)`` and a `seed` is random.
        field : str, int, or tuple of these
            Which field; several are given and returned together.

        Examples
        --------
        >>> import numpy as np
        >>> from graphc import data
        >>> twice = data.from_arrays(np.arange(3.0)).map(lambda x: 2 * x)
        >>> twice["x"]
        array([0., 2., 4.])
        """
        if not callable(transform):
            raise problem(f"map: {transform!r} can't be called", "give a function of a batch")
        if hasattr(transform, "draw"):
            read_seed(getattr(transform, "seed", "missing"), may_be_any=False)
        given = field if isinstance(field, tuple) else (field,)
        step = Step(transform, tuple(map(self.name_of, given)))
        return self._with(steps=(*self.steps, step))

    def dicts(self) -> Any:
        """The same rows, in batches that are dicts: ``f(**batch)``."""
        return self._with(as_dict=True)

    def tuples(self) -> Any:
        """The same rows, in batches that are tuples: ``f(*batch)``."""
        return self._with(as_dict=False)

    def only(self, *fields: Any) -> Any:
        """The same rows without their other fields, for a model that has no use for labels.

        Parameters
        ----------
        *fields : str or int

        Examples
        --------
        >>> import numpy as np
        >>> from graphc import data
        >>> rows = data.from_arrays(np.arange(4.0), np.array([0, 1, 1, 0]))
        >>> [len(batch) for batch in rows.only("x").batches(2)]
        [1, 1]
        """
        names = tuple(map(self.name_of, fields))
        if not names or len(set(names)) < len(names):
            raise problem(f"only{names}: no field, or one twice", f"fields are {self.names}")
        for step in self.steps:
            if not set(step.fields) <= set(names):
                raise problem(
                    f"only{names}: {step} needs {', '.join(step.fields)}",
                    "choose the fields before the transform is mapped",
                )
        return self._with(names=names)

    def name_of(self, field: Any) -> str:
        """The name of a field given by name or by number."""
        if isinstance(field, int) and -len(self.names) <= field < len(self.names):
            return self.names[field]
        if field not in self.names:
            raise problem(f"there is no field {field!r}", f"fields are {', '.join(self.names)}")
        return str(field)

    def batches(
        self, size: int, shuffle: bool = False, seed: int | None = 0, drop_last: bool = False,
        prefetch: int = 0, finite: bool = False,
    ) -> Batches:  # fmt: skip
        """Mini-batches, epoch by epoch: each ``for`` loop over them is an epoch.

        Parameters
        ----------
        size : int
            Rows in a batch.
        shuffle : bool
            Whether each epoch has an order of its own, made from `seed` and its number.
        seed : int or None
            None for one from the operating system, which the state then holds.
        drop_last : bool
            Whether a last batch that is shorter is left out.
        prefetch : int
            How many batches a thread makes ahead; 0 for no thread.
        finite : bool
            Whether NaN and infinities are refused.

        Returns
        -------
        Batches

        Raises
        ------
        DataError
            Where there are fewer rows than `size`, and for wrong arguments.

        Examples
        --------
        >>> import numpy as np
        >>> from graphc import data
        >>> rows = data.from_arrays(np.arange(5.0), np.arange(5))
        >>> [len(x) for x, y in rows.batches(2)]
        [2, 2, 1]
        >>> [len(x) for x, y in rows.batches(2, drop_last=True)]
        [2, 2]
        """
        settings = Settings(
            read_count(size, "size"), bool(shuffle), read_seed(seed), bool(drop_last),
            read_count(prefetch, "prefetch", 0), bool(finite),
        )  # fmt: skip
        self._check(settings)
        return Batches(self, settings)

    def length(self) -> int | None:
        """How many rows there are; None where nobody knows."""
        return None

    def _check(self, settings: Settings) -> None:
        """Refuse settings that don't suit these rows."""

    def _raw(self, settings: Settings, epoch: int, start: int) -> Generator[Fields, None, None]:
        """The batches of an epoch from number `start` on, before any transform."""
        raise NotImplementedError

    def made(
        self, settings: Settings, epoch: int, start: int
    ) -> Generator[tuple[Any, ...] | Fields, None, None]:
        """The batches of an epoch from number `start` on, transformed and packed."""
        for number, fields in enumerate(self._raw(settings, epoch, start), start):
            yield self._packed(self._transformed(fields, epoch, number))

    def _transformed(self, fields: Fields, epoch: int, number: int) -> Fields:
        for k, step in enumerate(self.steps):
            fields = step.apply(fields, (epoch, number, k))
        return fields

    def _packed(self, fields: Fields) -> Any:
        ready = {name: np.ascontiguousarray(fields[name]) for name in self.names}
        return ready if self.as_dict else tuple(ready.values())

    def named(self, batch: Any) -> Mapping[str, Array]:
        """A batch's fields by name."""
        return batch if isinstance(batch, Mapping) else dict(zip(self.names, batch))

    def chunks(self, field: Any, size: int = 1024) -> Iterator[Array]:
        """A field, transformed, in parts of at most `size` rows."""
        name = self.name_of(field)
        settings = Settings(size, False, 0, False, 0, False)
        for number, fields in enumerate(self._raw(settings, 0, 0)):
            yield self._transformed(fields, 0, number)[name]
