"""What is given to be drawn, as arrays, or errors that name it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import problem


def numbers(
    what: str, values: Any, *ranks: int, hint: str = "", finite: bool = True
) -> Array:
    """Values as real numbers of one of the given ranks; with `finite`, at least one of them is.

    Shared variables are taken for their values, None for missing ones.
    """
    held = values.get_value(borrow=True) if hasattr(values, "get_value") else values
    try:
        array = np.asarray(held)
        if array.dtype.kind not in "biuf":
            if array.dtype.kind == "c":
                raise TypeError
            array = array.astype(float)
    except (TypeError, ValueError) as error:
        kind = getattr(held, "dtype", type(held).__name__)
        raise problem(
            f"{what}: {kind} can't be read as an array of real numbers",
            hint or "give an array, or equally long lists, of numbers",
        ) from error
    if ranks and array.ndim not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise problem(f"{what} has rank {array.ndim}, shape {array.shape}; rank {wanted} is needed",
                      hint)  # fmt: skip
    if not array.size:
        raise problem(f"{what} is empty, shape {array.shape}", "there is nothing to draw")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).any():
        raise problem(
            f"{what}: none of its {array.size} values is finite, shape {array.shape}",
            "NaN and infinities can't be drawn; look for the step that made them first",
        )
    return array


def column(what: str, values: Any, finite: bool = True) -> Array:
    """A list of numbers as floats; NaN where one is missing or infinite."""
    listed = numbers(what, values, 1, finite=finite).astype(float)
    return np.where(np.isfinite(listed), listed, np.nan)


def every(what: str, values: Any, count: int, of: str) -> list[Any]:
    """A list with an entry for each of `count` things."""
    held = values.get_value() if hasattr(values, "get_value") else values
    if not isinstance(held, Iterable) or np.ndim(held) == 0:
        raise problem(f"{what} is {held!r}; {of}: {count}", "give a list, with one for each")
    listed = held.tolist() if isinstance(held, np.ndarray) else list(held)
    if len(listed) != count:
        raise problem(f"{what} has {len(listed)} entries, {of}: {count}", "give one for each")
    return listed


def named(what: str, values: Any, of: str) -> Mapping[str, Any]:
    """A dict that isn't empty."""
    if not isinstance(values, Mapping):
        raise ArgumentError(
            f"{what} is {type(values).__name__}, not a dict of {of} by name",
            f"{{'name': {of}}}", user_frames(),
        )  # fmt: skip
    if not values:
        raise problem(f"{what} is empty", f"give {of} by name")
    return values


def one_of(what: str, given: Any, known: Sequence[Any]) -> Any:
    """A choice, or an error with all of them."""
    if not any(given is k or (isinstance(k, str) and given == k) for k in known):
        raise ArgumentError(f"{what} is one of {', '.join(map(repr, known))}, not {given!r}",
                            "", user_frames())  # fmt: skip
    return given


def class_names(names: Any, count: int) -> list[str]:
    """As many names as there are classes; by default their numbers."""
    if names is None:
        return [str(k) for k in range(count)]
    return [str(name) for name in every("names", names, count, "classes")]
