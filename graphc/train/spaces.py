"""What a search may try: a dict of names, each with a distribution, a list, or a constant."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import user_frames


class Distribution:
    """Where a hyper-parameter is drawn from."""

    def draw(self, random: np.random.Generator) -> Any:
        """A value."""
        raise NotImplementedError


@dataclass(frozen=True)
class Between(Distribution):
    """Numbers between two bounds; made by `uniform` and its relatives."""

    kind: str
    low: Any
    high: Any

    def __post_init__(self) -> None:
        whole, log = "integers" in self.kind, "log" in self.kind
        for bound in (self.low, self.high):
            good = isinstance(bound, int | np.integer | (int if whole else float | np.floating))
            if not good or isinstance(bound, bool) or not math.isfinite(bound):
                raise _wrong(self, "bounds are " + ("integers" if whole else "finite numbers"))
        if not self.low < self.high:
            raise _wrong(self, "the first bound is the lower one")
        if log and not self.low > 0:
            raise _wrong(self, "a logarithm needs positive bounds")

    def draw(self, random: np.random.Generator) -> int | float:
        if self.kind == "integers":
            return int(random.integers(self.low, self.high, endpoint=True))
        if self.kind == "uniform":
            return float(self.low + (self.high - self.low) * random.random())
        if self.kind == "log_uniform":
            return float(self.low * (self.high / self.low) ** random.random())
        # All integers have a share of the line from low - 1/2 to high + 1/2, in logarithms.
        low, high = self.low - 0.5, self.high + 0.5
        return min(int(low * (high / low) ** random.random() + 0.5), int(self.high))

    def __repr__(self) -> str:
        return f"{self.kind}({self.low}, {self.high})"


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several, all as likely; made by `choice`, and by a list."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ArgumentError("choice: there is nothing to choose from", at=user_frames())

    def draw(self, random: np.random.Generator) -> Any:
        return self.options[int(random.integers(len(self.options)))]

    def __repr__(self) -> str:
        return f"choice({', '.join(str(label(o)) for o in self.options)})"


def uniform(low: float, high: float) -> Distribution:
    """Floats between two bounds."""
    return Between("uniform", low, high)


def log_uniform(low: float, high: float) -> Distribution:
    """Floats whose logarithm is uniform: for learning rates and penalties.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import train
    >>> rates = train.log_uniform(1e-4, 1)
    >>> draws = [rates.draw(np.random.default_rng(k)) for k in range(1000)]
    >>> bool(abs(np.mean(np.array(draws) < 0.01) - 0.5) < 0.05)
    True
    """
    return Between("log_uniform", low, high)


def integers(low: int, high: int) -> Distribution:
    """Integers from `low` to `high`, both included."""
    return Between("integers", low, high)


def log_integers(low: int, high: int) -> Distribution:
    """Integers from `low` to `high`, both included, uniform in the logarithm: for sizes of
    layers."""
    return Between("log_integers", low, high)


def choice(options: Sequence[Any]) -> Distribution:
    """One of several things, such as numbers, names, or functions."""
    if isinstance(options, str | Mapping):
        raise ArgumentError(f"choice: {options!r} is no list of options",
                            "choice(['relu', 'tanh'])", user_frames())  # fmt: skip
    return Choice(tuple(options))


def as_space(given: Any) -> dict[str, Any]:
    """A space with lists as choices."""
    if not isinstance(given, Mapping) or not given:
        raise ArgumentError(
            f"the space to search is {type(given).__name__ if given else given!r}",
            "give a dict: {'rate': train.log_uniform(1e-4, 1)}", user_frames(),
        )  # fmt: skip
    for name in given:
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"the space has {name!r}, which is no name of an argument",
                                at=user_frames())  # fmt: skip
    return {k: choice(v) if isinstance(v, list | np.ndarray) else v for k, v in given.items()}


def drawn(space: Mapping[str, Any], seed: int, trial: int) -> dict[str, Any]:
    """The values of a trial, which depend on the seed, its number, and each name, only."""

    def random(name: str) -> np.random.Generator:
        return np.random.Generator(
            np.random.Philox(np.random.SeedSequence(seed, spawn_key=(trial, crc32(name.encode()))))
        )

    return {k: v.draw(random(k)) if isinstance(v, Distribution) else v for k, v in space.items()}


def seed_of(seed: int, trial: int) -> int:
    """What a trial is given as its own seed."""
    return int(np.random.SeedSequence(seed, spawn_key=(trial,)).generate_state(1)[0])


def grid(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All combinations; the last name changes fastest."""
    for name, value in space.items():
        if isinstance(value, Distribution) and not isinstance(value, Choice):
            raise ArgumentError(
                f"grid_search: {name} is {value!r}, which has no end",
                f"give a list: {name}=[0.01, 0.1, 1.0], or numpy.geomspace(0.01, 1, 3)",
                user_frames(),
            )
    options = [v.options if isinstance(v, Choice) else (v,) for v in space.values()]
    for values in itertools.product(*options):
        yield dict(zip(space, values))


def label(value: Any) -> Any:
    """A value as tables and JSON have it: numbers and strings as they are, functions by name."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _wrong(given: Between, hint: str) -> ArgumentError:
    return ArgumentError(f"{given!r} is no space to draw from", hint, user_frames())
