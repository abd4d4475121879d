"""Files that are there as a whole or not at all, and folders that one process holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which appears under its name when the block has ended well.

    It is on the disk then; after an error, or when the process is killed, what was there before
    is there still. `half_written` finds what a killed process leaves.
    """
    hidden = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with open(hidden, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def half_written(folder: Path, names: str) -> list[Path]:
    """What killed processes left of files of a folder whose names match a pattern."""
    hidden = re.compile(rf"\.({names})\.\d+-[0-9a-f]{{8}}")
    return [p for p in folder.iterdir() if hidden.fullmatch(p.name) and p.is_file()]


def sync(folder: Path) -> None:
    """Have a folder's list of names reach the disk, where the system can do that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(file: IO[Any]) -> None:
    """Hold an open file until it is closed, or the process ends in whatever way.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    OSError
        If its file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # no such thing on Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
