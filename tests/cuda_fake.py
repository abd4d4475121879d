"""A driver that runs nothing and writes down what is asked of it, for tests of plans."""

from dataclasses import replace

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


def multiply(gemm, a, b, c, numbers):
    """What cuBLAS documents; `numbers(address, dtype, count)` is the memory."""
    if gemm.indirect:
        a, b, c = (int(numbers(w, "int64", 1)[0]) for w in (a, b, c))

    size = np.dtype(gemm.dtype).itemsize
    for k in range(1, gemm.count):
        steps = (gemm.step_a, gemm.step_b, gemm.step_c)
        places = (p + k * s * size for p, s in zip((a, b, c), steps))
        multiply(replace(gemm, count=1), *places, numbers)

    def matrix(address, rows, columns, lead):
        flat = numbers(address, gemm.dtype, (columns - 1) * lead + rows)
        strides = flat.itemsize, lead * flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)

    m, n, k = gemm.m, gemm.n, gemm.k
    left = matrix(a, *((k, m) if gemm.turn_a else (m, k)), gemm.lda)
    right = matrix(b, *((n, k) if gemm.turn_b else (k, n)), gemm.ldb)
    result = matrix(c, m, n, gemm.ldc)
    product = (left.T if gemm.turn_a else left) @ (right.T if gemm.turn_b else right)
    result[...] = gemm.alpha * product + (gemm.beta * result if gemm.beta else 0)


class FakeDriver:
    """See `graphc.runtime.cuda.driver.Driver`."""

    name, ordinal, threads, blocks = "a recording", 0, 256, 1024

    def __init__(self, capturing=True, lacks_products="a recording has none", cudnn=None):
        self.lacks_products = lacks_products
        self.cudnn = cudnn
        self.lacks_convolutions = None if cudnn else "a recording has none"
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

    def multiply(self, gemm, a, b, c):
        """Note the call, and do what cuBLAS documents, on the fake's bytes."""
        self.calls.append(("multiply", gemm, a, b, c))
        multiply(gemm, a, b, c, self.numbers)

    def convolution_room(self, convolution):
        return self.cudnn.room(convolution)

    def convolve(self, convolution, *addresses):
        self.calls.append(("convolve", convolution, *addresses))
        self.cudnn.run(convolution, *addresses)

    def numbers(self, address, dtype, count):
        """The memory at an address."""
        memory = next(m for m in self.memories if m.address <= address < m.address + m.size)
        start, size = address - memory.address, count * np.dtype(dtype).itemsize
        return memory.bytes[start : start + size].view(dtype)

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
