"""How a command ends early: one clear message, and the traceback of the user's file alone."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from graphc.core.errors import Frame, GraphError, quote

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_ROOMS = ("graphc", "ops", "passes", "runtime")
_HERE = Path(__file__).resolve().parent.parent


class Stop(Exception):
    """The end of a command.

    Parameters
    ----------
    message : str
        What the user is told, on standard error.
    status : int
        Of the process: 2 where the command was called wrongly, 1 where something failed.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.message, self.status = message, status


def wrong(message: str) -> Stop:
    """The end of a command that was called wrongly."""
    return Stop(message, USAGE)


def told(error: GraphError, model: Path | None = None) -> str:
    """What an error of graphc says, with the lines of the user's file but not of the caller's."""
    frames = _from_the_model(error.at, model)
    parts = [error.what, quote(frames) if frames else "", f"hint: {error.hint}"]
    return "\n".join(part for part in parts[: 3 if error.hint else 2] if part)


def _from_the_model(frames: Sequence[Frame], model: Path | None) -> Sequence[Frame]:
    """The frames from the first one in the model's file on."""
    start = next((k for k, f in enumerate(frames) if _is(f[0], model)), len(frames))
    return frames[start:]


def traced(error: BaseException, model: Path) -> str | None:
    """The traceback of an error as the user's program alone would show it.

    Frames of graphc and those that led to the user's file are left out. None where the error has
    nothing to do with that file.
    """
    if not isinstance(error, SyntaxError) and not any(_is(f, model) for f in _files(error)):
        return None
    shown = traceback.TracebackException.from_exception(error)
    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        part = pending.pop()
        if part is not None:
            kept = [f for f in part.stack if not _is_inside(f.filename)]
            start = next((k for k, f in enumerate(kept) if _is(f.filename, model)), 0)
            part.stack[:] = kept[start:]
            pending += [part.__cause__, part.__context__]
    return "".join(shown.format()).rstrip()


def _files(error: BaseException) -> Iterator[str]:
    at: TracebackType | None = error.__traceback__
    while at is not None:
        yield at.tb_frame.f_code.co_filename
        at = at.tb_next


def _is(name: str, model: Path | None) -> bool:
    return model is not None and os.path.abspath(name) == str(model)


def _is_inside(name: str) -> bool:
    """Whether a file is graphc's own, installed or in a checkout, or of the import system."""
    if name.startswith("<frozen"):
        return True
    path = Path(name).resolve()
    homes = [_HERE, *(_HERE.parent / room for room in _ROOMS[1:] if not (_HERE / room).is_dir())]
    return any(path.is_relative_to(home) for home in homes)
