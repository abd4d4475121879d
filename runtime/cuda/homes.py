"""Where shared variables live on devices, and how they move between them.

A value lives in one place: with the host or on one device. Its home remembers whether a function
there has changed it: where none has, the host's copy is still right, and survives the device.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from graphc.core.errors import DeviceLostError
from graphc.core.node import Array, Storage
from graphc.runtime.cuda.driver import Driver, Memory
from graphc.runtime.cuda.faults import Owner, both, using


class Home:
    """A shared variable's value in a device's memory."""

    def __init__(self, driver: Driver, memory: Memory, name: str) -> None:
        self.driver, self.memory, self.name = driver, memory, name
        self.changed = False  # since it came from the host

    def held(self) -> using:
        """Nobody moves or changes it in the meantime."""
        try:
            self.driver.state.raise_lost()
        except DeviceLostError as error:
            error.what = f"the value of {self.name} is lost: {error.what}"
            raise
        return using(self.driver)

    def fetch(self, array: Array) -> None:
        self.memory.read(array)


class Homes:
    """The memory that a device has for each shared variable."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._homes: weakref.WeakKeyDictionary[Storage, Home] = weakref.WeakKeyDictionary()

    def address(self, storage: Storage, name: str | None = None) -> int:
        """Where the value lies on the device; it is brought there if it isn't.

        The caller has the device to itself.
        """
        home = self._homes.get(storage)
        if home is not None and storage.remote is home:
            return home.memory.address
        array = storage.array
        home = self._room(storage, array.nbytes, name)
        home.memory.write(np.ascontiguousarray(array))
        home.changed = False
        storage.move_to(home)
        return home.memory.address

    def _room(self, storage: Storage, size: int, name: str | None) -> Home:
        home = self._homes.get(storage)
        if home is None or home.memory.size < size:
            label = f"`{name}`" if name else "a shared variable"
            memory = self.driver.allocate(size, "shared variable", label)
            home = self._homes[storage] = Home(self.driver, memory, label)
        return home

    def take_over(self, storage: Storage, name: str | None) -> None:
        """Copy a value here from another device; the caller has both."""
        remote = storage.remote
        assert isinstance(remote, Home)
        size = int(np.prod(storage.shape)) * storage.itemsize
        home = self._room(storage, size, name)
        self.driver.copy(remote.memory, home.memory, size)
        self.driver.synchronize()  # the old memory may be written to from now on
        home.changed = remote.changed
        storage.move_to(home)

    def changing(self, storages: Iterable[Storage]) -> None:
        """Steps that write to these values are about to run."""
        for storage in storages:
            home = self._homes.get(storage)
            if home is not None:
                home.changed = True

    def lose(self) -> list[str]:
        """The device is gone: values that the host has, too, live there; the names of others."""
        lost = []
        for storage, home in list(self._homes.items()):
            if storage.remote is home:
                if home.changed:
                    lost.append(home.name)
                else:
                    storage.stay()
        return lost


def homes_of(driver: Driver) -> Homes:
    """Where shared variables live on a driver's device."""
    state = driver.state
    if state.homes is None:
        state.homes = Homes(driver)
    found: Homes = state.homes
    return found


@contextmanager
def gathered(
    driver: Driver, shared: Iterable[tuple[Storage, str | None]], owner: Owner | None = None
) -> Iterator[None]:
    """A block that has a device to itself, with no value of these on another one.

    Other devices are given back before the block.
    """
    wanted = list(shared)
    while True:
        other = next((d for s, _ in wanted if (d := _elsewhere(s, driver)) is not None), None)
        if other is None:
            with using(driver, owner):
                if all(_elsewhere(s, driver) is None for s, _ in wanted):
                    yield
                    return
            continue  # somebody took one away before the lock was ours
        with both(other, driver, owner):
            for storage, name in wanted:
                if _elsewhere(storage, driver) is other:
                    homes_of(driver).take_over(storage, name)


def _elsewhere(storage: Storage, driver: Driver) -> Driver | None:
    """Another device on which a value lives."""
    remote = storage.remote
    return remote.driver if isinstance(remote, Home) and remote.driver is not driver else None
