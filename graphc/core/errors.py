"""Errors that say what was wrong, where in the user's program, and what to do.

Every error carries the variables it is about; the text quotes the user's own line of
each, with names, shapes and dtypes.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from typing import Any

import numpy as np

Frame = tuple[str, int, str]


class GraphError(Exception):
    """What all errors of graphc derive from.

    Parameters
    ----------
    what : str
        What was wrong, with names, shapes and dtypes.
    hint : str
        What to do about it.
    at : sequence of Frame
        The user's stack where the offending expression was written, innermost last.
    """

    def __init__(self, what: str, hint: str = "", at: Sequence[Frame] = ()) -> None:
        self.what, self.hint, self.at = what, hint, tuple(at)
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        if self.at:
            parts.append(quote(self.at))
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.hint, self.at)


class ShapeError(GraphError, ValueError):
    """Sizes or ranks that don't go together."""


class DTypeError(GraphError, TypeError):
    """A dtype that an operation, an input or an update can't take."""


class BadIndexError(GraphError, IndexError):
    """An index outside the axis it addresses."""


class LinearAlgebraError(GraphError, np.linalg.LinAlgError):
    """A matrix for which there is no result: singular, not positive definite, not square."""


class HostError(GraphError, RuntimeError):
    """What a user's own op raised while it ran; the cause is the exception itself."""


class GradientError(GraphError, ValueError):
    """A derivative that doesn't exist or was asked for in a wrong way."""


class DisconnectedInputError(GradientError):
    """A gradient with respect to something that the cost doesn't depend on."""


class NullGradientError(GradientError):
    """A path that no derivative passes."""


class MissingInputError(GraphError, ValueError):
    """A graph that depends on a variable which nobody gives."""


class UnusedInputError(GraphError, ValueError):
    """An input that no output depends on."""


class ArgumentError(GraphError, TypeError):
    """A call or a declaration with wrong arguments."""


class TargetError(GraphError, RuntimeError):
    """A device, driver or library that isn't there, or that lacks what a graph asks for."""


class DeviceMemoryError(TargetError):
    """A device without room for what a plan wants; it can be called again."""


class DeviceLostError(TargetError):
    """A device whose context in this process is gone, with all values in its memory."""


class RewriteError(GraphError, RuntimeError):
    """A rule or pass that broke what it promises: a fault of graphc."""


def quote(frames: Sequence[Frame], limit: int = 2) -> str:
    """The innermost of the user's lines, with the source text where it can be read."""
    lines = []
    for filename, number, function in list(frames)[-limit:]:
        text = linecache.getline(filename, number).strip()
        place = f'  File "{filename}", line {number}, in {function}'
        lines.append(place + (f"\n    {text}" if text else ""))
    return "\n".join(lines)


def location(frames: Sequence[Frame]) -> str:
    """``file.py:12`` of the innermost frame, for tables."""
    if not frames:
        return "?"
    filename, number, _ = frames[-1]
    return f"{filename.rsplit('/', 1)[-1]}:{number}"
