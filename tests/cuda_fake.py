"""A driver that runs nothing and writes down what is asked of it, for tests of plans."""

import ctypes
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np

import graphc
from graphc.core import dtypes
from graphc.runtime.cuda.driver import current_driver, use_driver
from graphc.runtime.cuda.faults import DeviceState


@contextmanager
def in_use(driver, after=None):
    """A block whose functions run on a driver; then `after`, or the one that is found, is it."""
    use_driver(driver)
    try:
        yield driver
    finally:
        use_driver(after)


def cuda_function(inputs, outputs, **options):
    return graphc.function(inputs, outputs, target="cuda", on_unused_input="ignore", **options)


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

    kinds = gemm.dtype, gemm.dtype, gemm.result
    sizes = [dtypes.numpy_dtype(kind).itemsize for kind in kinds]
    for k in range(1, gemm.count):
        steps = (gemm.step_a, gemm.step_b, gemm.step_c)
        places = (p + k * s * size for p, s, size in zip((a, b, c), steps, sizes))
        multiply(replace(gemm, count=1), *places, numbers)

    def matrix(address, rows, columns, lead, dtype=gemm.dtype):
        flat = numbers(address, dtypes.numpy_dtype(dtype), (columns - 1) * lead + rows)
        strides = flat.itemsize, lead * flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)

    m, n, k = gemm.m, gemm.n, gemm.k
    left = matrix(a, *((k, m) if gemm.turn_a else (m, k)), gemm.lda)
    right = matrix(b, *((n, k) if gemm.turn_b else (k, n)), gemm.ldb)
    left, right = (dtypes.convert(x, dtypes.wide(gemm.dtype)) for x in (left, right))
    result = matrix(c, m, n, gemm.ldc, gemm.result)
    product = (left.T if gemm.turn_a else left) @ (right.T if gemm.turn_b else right)
    before = dtypes.convert(result, dtypes.wide(gemm.result)) if gemm.beta else 0
    result[...] = dtypes.convert(gemm.alpha * product + gemm.beta * before, gemm.result)


def products_by_numpy():
    """A block in which the simulator has a library for products; it holds what it was asked."""
    driver = current_driver()

    class WithLibrary(type(driver)):
        asked = []

        def multiply(self, gemm, a, b, c):
            self.asked.append(gemm)
            multiply(gemm, a, b, c, lambda address, dtype, count: np.frombuffer(
                (ctypes.c_byte * (count * np.dtype(dtype).itemsize)).from_address(address), dtype))

    used = WithLibrary(driver._cuda, simulated=True)
    used.lacks_products = None
    return in_use(used, driver)


class FakeDriver:
    """See `graphc.runtime.cuda.driver.Driver`."""

    name, ordinal, threads, blocks, warp = "a recording", 0, 256, 1024, 32
    lacks_solvers = "a recording has none"

    def __init__(self, capturing=True, lacks_products="a recording has none", cudnn=None):
        self.lacks_products, self.state = lacks_products, DeviceState(0, self.name)
        self.cudnn = cudnn
        self.lacks_convolutions = None if cudnn else "a recording has none"
        self.calls, self.sources, self.next_address = [], {}, 1 << 20
        self.allocated, self.capturing, self.places = [], capturing, {}
        self.memories, self.graphs, self.refuses = [], [], None

    def context(self):
        return nullcontext()

    def allocate(self, size, kind="other memory", what=""):
        self.allocated.append(size)
        return self.state.allocate(self, size, kind, what, lambda: FakeMemory(self, size))

    def reclaim(self):
        pass

    load_products = load_solvers = reclaim

    def room(self):
        return None

    def read_all(self, parts):
        for memory, array in parts:
            memory.read(array)

    def copy(self, source, target, size):
        self.calls.append(("copy", source.driver.ordinal, target.driver.ordinal, size))
        target.bytes[:size] = source.bytes[:size]

    def load(self, source, name):
        return self.sources.setdefault(source, name)

    def launch(self, kernel, grid, threads, arguments):
        assert 1 <= grid <= 2**31 - 1 and 1 <= threads <= 1024
        self.calls.append(("launch", kernel, grid, threads, tuple(arguments)))

    def prepare(self, kernel, grid, threads, arguments):
        return lambda: self.launch(kernel, grid, threads, arguments)

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
        """Note what is launched, in `graphs`; with `refuses`, raise it as a driver would."""
        if not self.capturing:
            return None
        before = len(self.calls)
        launches()
        graph = self.calls[before:]
        del self.calls[before:]
        kinds = {c[0] for c in graph}
        assert kinds <= {"launch", "multiply", "convolve"}, "a graph can't hold that"
        if self.refuses is not None:
            raise self.refuses
        self.graphs.append(graph)
        self.calls.append(("capture", len(graph)))
        return lambda: self.calls.append(("replay", len(graph)))

    def adopt(self, address, size, owner):
        found = FakeMemory(self, size, address)
        for memory in self.memories:
            if memory.address <= address and address + size <= memory.address + memory.size:
                start = address - memory.address
                found.bytes = memory.bytes[start : start + size]
                break
        return found

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


class FakeLibrary:
    """The driver's library as `graphc.runtime.cuda.probe` asks it."""

    def __init__(self, devices, version=13000, code=0):
        self.devices, self.version, self.code = devices, version, code

    def cuInit(self, flags):
        return self.code

    def cuDriverGetVersion(self, number):
        number._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, number):
        number._obj.value = len(self.devices)

    def cuDeviceGet(self, handle, ordinal):
        handle._obj.value = ordinal

    def cuDeviceGetName(self, label, length, device):
        label.value = self.devices[device.value][0].encode()

    def cuDeviceTotalMem_v2(self, size, device):
        size._obj.value = self.devices[device.value][2]

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = self.devices[device.value][1][attribute - 75]
