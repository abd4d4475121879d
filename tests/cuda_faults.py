"""Recording drivers of several devices, which can be made to fail as the driver does."""

import threading
import weakref
from contextlib import contextmanager

import numpy as np
from cuda_fake import FakeDriver, FakeMemory

from graphc.runtime.cuda.faults import DeviceState

_CURRENT = threading.local()


def current_devices():
    """The devices that are this thread's current ones, innermost last."""
    if not hasattr(_CURRENT, "stack"):
        _CURRENT.stack = []
    return _CURRENT.stack


class Calls(list):
    """What was asked, where each may fail instead."""

    def __init__(self, driver):
        self.driver = driver

    def append(self, call):
        self.driver.before(call)
        super().append(call)


class FailingDriver(FakeDriver):
    """A recording of one device among several.

    Parameters
    ----------
    size : of its memory, in bytes.
    """

    def __init__(self, ordinal=0, size=1 << 40, **options):
        super().__init__(**options)
        self.ordinal, self.size, self.fails, self.dead = ordinal, size, {}, None
        self.state = DeviceState(ordinal, self.name)
        self.calls, self.seen = Calls(self), weakref.WeakValueDictionary()

    def fail(self, kind, code, after=0, times=1):
        """Let calls of a kind raise NVIDIA's name of an error, some calls later."""
        self.fails[kind] = [code, after, times]

    def before(self, call):
        stack = current_devices()
        assert stack and stack[-1] == self.ordinal, f"{call[0]} on device {stack[-1:]}"
        if self.dead is not None:
            raise RuntimeError(f"[700] Call to cuAnything results in {self.dead}")
        found = self.fails.get(call[0])
        if found is not None:
            found[1] -= 1
            if found[1] < 0 < found[2]:
                found[2] -= 1
                raise RuntimeError(f"[700] Call to cuSomething results in {found[0]}")

    def die(self, kind, code="CUDA_ERROR_ILLEGAL_ADDRESS", after=0):
        """As `fail`, and everything after it, too."""
        self.fail(kind, code, after, 1 << 30)

    @contextmanager
    def context(self):
        current_devices().append(self.ordinal)
        try:
            yield
        finally:
            assert current_devices().pop() == self.ordinal

    # Memory that nobody has any more is free, as on a device.
    @property
    def memories(self):
        return list(self.seen.values())

    @memories.setter
    def memories(self, value):
        assert not value
        self.seen = weakref.WeakValueDictionary()

    def allocate(self, size, kind="other memory", what=""):
        return self.state.allocate(self, size, kind, what, lambda: self._memory(size))

    def _memory(self, size):
        self.calls.append(("allocate", size))
        if size > self.room()[0]:
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        found = self.adopt(self.next_address, size, None)
        self.next_address += -(-max(size, 1) // 4096) * 4096
        return found

    def adopt(self, address, size, owner):
        found = FakeMemory.__new__(FakeMemory)
        holder = [m for m in self.memories if m.address <= address < m.address + m.size]
        found.driver, found.size, found.address = self, size, address
        if holder:
            start = address - holder[0].address
            found.bytes = holder[0].bytes[start : start + size]
        else:
            found.bytes = np.zeros(size, "uint8")
        self.seen[id(found)] = found
        return found

    def room(self):
        return self.size - sum(size for size, _, _ in self.state.held.values()), self.size

    def read_all(self, parts):
        super().read_all(parts)
        self.calls.append(("synchronize",))
