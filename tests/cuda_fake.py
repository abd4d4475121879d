"""A driver that runs nothing and writes down what is asked of it, for tests of plans."""

import numpy as np


class FakeMemory:
    """Bytes of the host at an address of their own, which only count."""

    def __init__(self, driver, size, address=None):
        self.driver, self.size = driver, size
        self.address = driver.next_address if address is None else address
        if address is None:
            driver.next_address += -(-max(size, 1) // 4096) * 4096
        self.bytes = np.zeros(size, np.uint8)
        driver.memories.append(self)

    def write(self, array, offset=0):
        self.driver.calls.append(("write", self.address + offset, array.nbytes))
        self.bytes[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)

    def read(self, array, offset=0):
        self.driver.calls.append(("read", self.address + offset, array.nbytes))
        array.reshape(-1).view(np.uint8)[:] = self.bytes[offset : offset + array.nbytes]


class FakeDriver:
    """See `graphc.runtime.cuda.driver.Driver`."""

    name, ordinal, threads, blocks = "a recording", 0, 256, 1024

    def __init__(self, capturing=True):
        self.calls, self.sources, self.next_address = [], {}, 1 << 20
        self.allocated, self.capturing, self.places = [], capturing, {}
        self.memories = []

    def allocate(self, size):
        self.allocated.append(size)
        return FakeMemory(self, size)

    def load(self, source, name):
        return self.sources.setdefault(source, name)

    def launch(self, kernel, grid, threads, arguments):
        assert 1 <= grid <= 2**31 - 1 and 1 <= threads <= 1024
        self.calls.append(("launch", kernel, grid, threads, tuple(arguments)))

    def synchronize(self):
        self.calls.append(("synchronize",))

    def capture(self, launches):
        if not self.capturing:
            return None
        before = len(self.calls)
        launches()
        graph = self.calls[before:]
        del self.calls[before:]
        self.calls.append(("capture", len(graph)))
        return lambda: self.calls.append(("replay", len(graph)))

    def adopt(self, address, size, owner):
        return FakeMemory(self, size, address)

    def device_of(self, address):
        return self.places.get(address)

    def wait_for(self, stream):
        self.calls.append(("wait", stream))

    def read_dlpack(self, value):
        return value.described

    def export(self, array, **options):
        return "capsule", array.address, options

    def launches(self):
        return [c for c in self.calls if c[0] == "launch"]
