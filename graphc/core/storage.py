"""The values of shared variables, and where they live."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


class Remote(Protocol):
    """Where a storage's value is, when it isn't in the host's memory."""

    def held(self) -> AbstractContextManager[None]:
        """A block in which nobody else moves or changes the value."""

    def fetch(self, array: Array) -> None:
        """Copy the value into an array of its shape."""


class Storage:
    """The value of a shared variable, where it lives, and who has to know when it moves.

    It lives in an array of the host, or with a device (`move_to`). Who asks for `array` gets it
    back to the host; who only wants to know it asks for a `copy`.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self.remote: Remote | None = None
        self.watchers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def array(self) -> Array:
        """The value in the host's memory, where it lives from now on."""
        remote = self.remote
        if remote is not None:
            with remote.held():
                if self.remote is remote:
                    remote.fetch(self._array)
                    self.remote = None
            return self.array
        return self._array

    @array.setter
    def array(self, array: Array) -> None:
        self.remote = None
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape, wherever it lives."""
        shape: tuple[int, ...] = self._array.shape
        return shape

    @property
    def itemsize(self) -> int:
        """The bytes of an element, wherever the value lives."""
        return int(self._array.itemsize)

    def copy(self) -> Array:
        """A copy of the value; it goes on living where it does."""
        remote = self.remote
        if remote is None:
            return self._array.copy()
        with remote.held():
            if self.remote is remote:
                found = np.empty_like(self._array)
                remote.fetch(found)
                return found
        return self.copy()

    def fill(self, array: Array) -> None:
        """Take a value of the present shape, wherever the old one lives, into the host's array."""
        np.copyto(self._array, array)
        self.remote = None

    def stay(self) -> None:
        """Let the value be that of the host's array again, as it was when it moved."""
        self.remote = None
        self._tell()

    def replace(self, array: Array) -> None:
        """Put another array in place; plans that hold the old address are told."""
        self.array = array
        self._tell()

    def move_to(self, remote: Remote) -> None:
        """Let the value live with a device; plans for the host's memory are told."""
        self.remote = remote
        self._tell()

    def _tell(self) -> None:
        for watcher in list(self.watchers):
            watcher.storage_moved()

    def __getstate__(self) -> dict[str, Any]:
        return {"array": self.array}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["array"])  # type: ignore[misc]
