"""What can be wrong with data, as errors that name the file, the line and the field."""

from __future__ import annotations

import importlib
from typing import Any

from graphc.core.errors import GraphError
from graphc.core.node import user_frames


class DataError(GraphError, ValueError):
    """Data that can't be what they are said to be: wrong values, sizes, files."""


class MissingDataError(DataError, FileNotFoundError):
    """Files that aren't there; the hint says where to get them and which folder was looked in."""


class MissingPackageError(GraphError, ImportError):
    """A library that only some functions need and that isn't installed."""


def problem(what: str, hint: str = "") -> DataError:
    """An error at the user's line."""
    return DataError(what, hint, user_frames())


def optional(module: str, package: str, what: str) -> Any:
    """Import a library that graphc doesn't depend on, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{what} needs {package}, which isn't installed",
            f"pip install {package}", user_frames(),
        ) from error  # fmt: skip
