"""Where shared variables live on a device."""

from __future__ import annotations

import weakref

import numpy as np

from graphc.core.node import Array, Storage
from graphc.runtime.cuda.driver import Driver, Memory


class Home:
    """A shared variable's value in a device's memory."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def fetch(self, array: Array) -> None:
        self.memory.read(array)


class Homes:
    """The memory that a device has for each shared variable."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._homes: weakref.WeakKeyDictionary[Storage, Home] = weakref.WeakKeyDictionary()

    def address(self, storage: Storage) -> int:
        """Where the value lies on the device; it is brought there if it isn't."""
        home = self._homes.get(storage)
        if home is not None and storage.remote is home:
            return home.memory.address
        array = storage.array
        if home is None or home.memory.size < array.nbytes:
            home = self._homes[storage] = Home(self.driver.allocate(array.nbytes))
        home.memory.write(np.ascontiguousarray(array))
        storage.move_to(home)
        return home.memory.address


_HOMES: dict[int, tuple[Driver, Homes]] = {}


def homes_of(driver: Driver) -> Homes:
    """Where shared variables live on a driver's device."""
    if id(driver) not in _HOMES:
        _HOMES[id(driver)] = (driver, Homes(driver))
    return _HOMES[id(driver)][1]
