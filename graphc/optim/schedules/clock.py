"""What schedules are made of: the step, lengths, and how much of one is over."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, cos, maximum, minimum


def steps_of(what: str, step: Any) -> Variable:
    """The step as a float64 scalar, not below 0: float32 can't count beyond 2^24."""
    found = as_variable(step)
    if found.ndim or not dtypes.is_discrete(found.dtype):
        raise ArgumentError(
            f"{what}: the step is an integer scalar, not {describe(found)}",
            "step, counting = graphc.optim.counter()",
            user_frames(),
        )
    return maximum(cast(found, "float64"), 0)


def length_of(what: str, length: Any) -> Any:
    """A length, if it is positive or symbolic."""
    if not isinstance(length, Variable) and not length > 0:
        raise ArgumentError(
            f"{what}: a length of {length} steps", "give a positive number", user_frames()
        )
    return length


def part_of(what: str, step: Any, length: Any) -> Variable:
    """How much of the length is over: from 0 to 1."""
    return minimum(steps_of(what, step) / length_of(what, length), 1)


def base(factor: Any) -> Any:
    """The base of a power, in float64."""
    return cast(factor, "float64") if isinstance(factor, Variable) else float(factor)


def between(part: Any, first: Any, last: Any) -> Variable:
    """Half a cosine wave from one value to another."""
    return last + (first - last) * (0.5 * (1 + cos(np.pi * part)))
