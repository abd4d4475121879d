"""Object files on disk, found by content.

One file per key, in a folder that only the user may write or read: it holds code that will run.
Files are written beside their place and moved there, so that any number of processes may share
the folder without locks, and one that dies leaves nothing but a temporary file. A file begins
with a header that names its key and symbol and the digest of what follows; where anything
doesn't fit, the kernel is compiled again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import stat
import struct
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from graphc.core.config import config

MAGIC = b"graphc object 1\n"
EMITTERS = ("primitives", "vecmath", "contraction", "frontend.py", "machine.py")
"""The files and folders beside this one that say what code a source becomes."""

SUFFIX = ".object"
TOUCH_AFTER = 3600.0  # seconds; the age at which a use is worth writing down
LEFTOVER_AFTER = 3600.0  # seconds; the age at which a temporary file has no writer any more
SWEEP_EVERY = 64  # files written between two looks at the folder's size
_LENGTHS = struct.Struct("<II")


@functools.cache
def environment() -> str:
    """What object code depends on besides its text."""
    from graphc.runtime.machine import host

    versions = _version("numba"), _version("llvmlite")
    return "\n".join((_emitters(), *versions, host().name, host().features))


def _emitters() -> str:
    """The digest of the sources that turn kernels into code: editing one makes old code stale."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for place in EMITTERS:
        found = here / place
        for file in sorted(found.glob("*.py")) if found.is_dir() else [found]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    """The digest of a package's version file, without importing the package.

    ``importlib.metadata`` takes 15 ms, which is more than loading ten kernels does.
    """
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin:
        try:
            text = Path(spec.origin).with_name("_version.py").read_bytes()
            return hashlib.sha256(text).hexdigest()
        except OSError:
            pass
    from importlib.metadata import version

    return version(package)


def key_of(*parts: str) -> str:
    """The key of a text: a digest over it and over :func:`environment`."""
    digest = hashlib.sha256(environment().encode())
    for part in parts:
        data = part.encode()
        digest.update(struct.pack("<Q", len(data)))
        digest.update(data)
    return digest.hexdigest()


def folder() -> Path:
    """The folder that the settings name."""
    named = os.environ.get("GRAPHC_CACHE_DIR") or config.cache_dir
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("graphc", appauthor=False)


def cache() -> Cache:
    """The cache in the folder that the settings name now."""
    return _cache_in(str(folder()))


@functools.cache
def _cache_in(path: str) -> Cache:
    return Cache(Path(path))


class Cache:
    """Object files in one folder.

    Parameters
    ----------
    path : the folder, made if there is none. If it isn't the user's own, or others may write to
        it, the cache warns once and keeps nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.usable = _is_private(path)
        self._written = 0

    def load(self, key: str, symbol: str) -> bytes | None:
        """Return the object file under a key; None if there is none, or a bad one."""
        if not self.usable:
            return None
        place = self._place(key)
        try:
            with open(place, "rb") as file:
                data = file.read()
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(key, str(error))
            return None
        code = _unpack(data, key, symbol)
        if code is None:
            self.reject(key, "its header or checksum is wrong")
        elif age > TOUCH_AFTER:
            _ignoring_errors(os.utime, place)
        return code

    def save(self, key: str, symbol: str, code: bytes) -> None:
        """Keep an object file. Where that fails the process goes on without."""
        if not self.usable:
            return
        place, temporary = self._place(key), ""
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent, prefix="new-")
            with open(handle, "wb") as file:
                file.write(_pack(code, key, symbol))
            os.replace(temporary, place)
        except OSError as error:
            if temporary:
                _ignoring_errors(os.unlink, temporary)
            self._warn(key, f"it can't be written ({error})")
            return
        if self._written % SWEEP_EVERY == 0:
            self.sweep()
        self._written += 1

    def reject(self, key: str, reason: str) -> None:
        """Delete an entry that can't be used."""
        self._warn(key, reason)
        _ignoring_errors(os.unlink, self._place(key))

    def entries(self) -> list[Path]:
        """The object files."""
        return [Path(e.path) for e in self._files() if e.name.endswith(SUFFIX)]

    def size(self) -> int:
        """Bytes of all object files."""
        return sum(path.stat().st_size for path in self.entries())

    def clear(self) -> None:
        """Delete all entries."""
        for entry in self._files():
            _ignoring_errors(os.unlink, entry.path)

    def sweep(self) -> None:
        """Delete what was used longest ago, until 3/4 of ``config.cache_size_mb`` are left.

        Temporary files of processes that died go too.
        """
        files, total, now = [], 0, time.time()
        for entry in self._files():
            try:
                status = entry.stat()
            except OSError:  # another process was faster
                continue
            if not entry.name.endswith(SUFFIX):
                if now - status.st_mtime > LEFTOVER_AFTER:
                    _ignoring_errors(os.unlink, entry.path)
                continue
            files.append((status.st_mtime, status.st_size, entry.path))
            total += status.st_size
        limit = config.cache_size_mb * 2**20
        if total <= limit:
            return
        for _, size, path in sorted(files):
            if total <= limit * 3 // 4:
                break
            _ignoring_errors(os.unlink, path)
            total -= size

    def _place(self, key: str) -> Path:
        return self.path / key[:2] / (key[2:] + SUFFIX)

    def _files(self) -> Iterator[os.DirEntry[str]]:
        if not self.usable:
            return
        try:
            shelves = [e.path for e in os.scandir(self.path) if e.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for shelf in shelves:
            if len(os.path.basename(shelf)) == 2:
                yield from os.scandir(shelf)

    def _warn(self, key: str, reason: str) -> None:
        warnings.warn(
            f"the kernel cache in {self.path} has an unusable entry {key[:16]}: {reason}; "
            "the kernel is compiled instead",
            stacklevel=2,
        )


def _ignoring_errors(act: object, path: object) -> None:
    try:
        act(path)  # type: ignore[operator]
    except OSError:
        pass


def _is_private(path: Path) -> bool:
    """Make the folder if there is none; whether nobody but the user can write to it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.stat(path)
    except OSError as error:
        warnings.warn(f"there is no kernel cache: {error}", stacklevel=3)
        return False
    if not hasattr(os, "getuid"):
        return True
    reason = ""
    if status.st_uid != os.getuid():
        reason = "it belongs to another user"
    elif stat.S_IMODE(status.st_mode) & 0o077:
        reason = f"its mode is {stat.S_IMODE(status.st_mode):o}, and others must have no access"
    if reason:
        warnings.warn(
            f"the kernel cache in {path} is not used: {reason} (chmod 700 mends the mode; "
            "GRAPHC_CACHE_DIR names another folder)",
            stacklevel=3,
        )
    return not reason


def _pack(code: bytes, key: str, symbol: str) -> bytes:
    names = f"{key} {symbol}".encode()
    lengths = _LENGTHS.pack(len(names), len(code))
    body = lengths + names + code
    return MAGIC + hashlib.sha256(body).digest() + body


def _unpack(data: bytes, key: str, symbol: str) -> bytes | None:
    start = len(MAGIC) + hashlib.sha256().digest_size
    body = data[start:]
    if not data.startswith(MAGIC) or hashlib.sha256(body).digest() != data[len(MAGIC) : start]:
        return None
    names, size = _LENGTHS.unpack_from(body)
    end = _LENGTHS.size + names
    fits = body[_LENGTHS.size : end] == f"{key} {symbol}".encode() and len(body) == end + size
    return body[end:] if fits else None
