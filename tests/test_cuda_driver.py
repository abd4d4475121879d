"""Numba's driver: its order of contexts, copies and waits, without a device.

It runs over a stand-in for Numba, and with the real packages over a stub of the driver's library.
"""

import ctypes
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from graphc.runtime.cuda import driver as driver_module
from graphc.runtime.cuda.driver import NumbaDriver
from graphc.runtime.cuda.faults import both, using
from graphc.runtime.cuda.staging import FIRST, MOST, Staging

HERE = Path(__file__).parent
X = np.linspace(-1, 1, 35, dtype="float32").reshape(7, 5)
needs_numbas_config = pytest.mark.skipif(
    "NUMBA_ENABLE_CUDASIM" in os.environ or importlib.util.find_spec("numba.cuda") is None,
    reason="numba.cuda can't be imported as for a device",
)


# --- copies ---------------------------------------------------------------------------


def test_pinned_memory_is_given_out_until_it_was_waited_for():
    pinned = []

    def pin(size):
        pinned.append(np.zeros(size, "uint8"))
        return pinned[-1]

    staging = Staging(pin)
    first, second = staging.room(100), staging.room(FIRST // 2)
    first[:], second[:] = 1, 2
    assert first.max() == 1 and len(pinned) == 1
    third = staging.room(FIRST)  # copies may still read the others
    third[:] = 3
    assert (first == 1).all() and (second == 2).all() and len(pinned) == 2
    assert staging.old[-1] is pinned[0]
    staging.forget()
    assert not staging.old and np.shares_memory(staging.room(10), pinned[1])
    assert staging.room(MOST + 1) is None


def test_without_pinned_memory_copies_are_right_and_somebody_is_told():
    def pin(size):
        raise RuntimeError("[2] Call to cuMemHostAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    staging = Staging(pin)
    with pytest.warns(RuntimeWarning, match="(?s)no 1.0 MiB of pinned.*OUT_OF_MEMORY.*ulimit -l"):
        assert staging.room(100) is None
    assert staging.room(100) is None  # once is enough


# --- Numba's driver, over a stand-in for Numba ----------------------------------------


class NumbaStandIn:
    """What `NumbaDriver` asks of ``numba.cuda`` and of the driver's calls, written down.

    Contexts are a stack of the process; memory is the host's, and belongs to the device that was
    current when it was taken.
    """

    def __init__(self, devices=2):
        self.stack, self.did, self.copies = [], [], []
        self.gpus = [NumbaStandIn.Device(self, k) for k in range(devices)]
        self.pins = True

    class Device:
        def __init__(self, cuda, ordinal):
            self.cuda, self.id, self.handle = cuda, ordinal, ("context", ordinal)
            self.name, self.compute_capability = b"Stand-in", (9, 0)

        def get_primary_context(self):
            return self

        def push(self):
            self.cuda.stack.append(self.id)

        def can_access_peer(self, other):
            return True

        def enable_peer_access(self, handle):
            self.cuda.did.append(("peer", self.cuda.stack[-1], handle[1]))

    class Array:
        def __init__(self, cuda, bytes, device):
            self.cuda, self.bytes, self.device = cuda, bytes, device
            address = bytes.ctypes.data
            self.__cuda_array_interface__ = {"data": (address, False)}

        def __getitem__(self, part):
            return NumbaStandIn.Array(self.cuda, self.bytes[part], self.device)

        def copy_to_device(self, data, stream):
            assert self.cuda.stack[-1] == self.device == stream.device
            self.cuda.did.append("in")
            self.cuda.copies.append((self.bytes, data))

        def copy_to_host(self, data, stream):
            assert self.cuda.stack[-1] == self.device == stream.device
            self.cuda.did.append("out")
            self.cuda.copies.append((data, self.bytes))

    class Stream:
        handle = 7

        def __init__(self, cuda):
            self.cuda, self.device = cuda, cuda.stack[-1]

        def synchronize(self):
            """Copies are done as late as they may be."""
            assert self.cuda.stack[-1] == self.device
            self.cuda.did.append("wait")
            for target, source in self.cuda.copies:
                target[:] = source
            self.cuda.copies.clear()

    def stream(self):
        return NumbaStandIn.Stream(self)

    def device_array(self, size, dtype):
        array = NumbaStandIn.Array(self, np.zeros(size, dtype), self.stack[-1])
        made = self.stack[-1]
        self.did.append(("take", made))
        weakref.finalize(array, lambda: self.did.append(("free", made, self.stack[-1:])))
        return array

    def pinned_array(self, size, dtype):
        if not self.pins:
            raise RuntimeError("[2] Call to cuMemHostAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return np.zeros(size, dtype)

    # What `_calls` gives: the driver's calls, and their types.
    CUdeviceptr = int

    def cuCtxPopCurrent(self):
        self.stack.pop()

    def cuMemcpyPeerAsync(self, to, there, come, here, size, stream):
        self.did.append(("across", here[1], there[1], size))
        target, source = ((ctypes.c_uint8 * size).from_address(a) for a in (to, come))
        self.copies.append((np.frombuffer(target, np.uint8), np.frombuffer(source, np.uint8)))


@pytest.fixture
def stand_in(monkeypatch):
    cuda = NumbaStandIn()
    monkeypatch.setattr(driver_module, "_calls", lambda: (cuda, cuda))
    cuda.stack.append(99)  # somebody else's device is the thread's current one
    yield cuda
    assert cuda.stack == [99]


@needs_numbas_config
def test_copies_wait_once_and_survive_changes_of_what_was_copied(stand_in):
    drivers = [NumbaDriver(stand_in, False, k) for k in range(2)]
    given, results = X.copy(), [np.zeros_like(X) for _ in range(2)]
    for pins in (True, False):
        stand_in.pins = pins
        if not pins:
            drivers[1].staging = Staging(stand_in.pinned_array)
            drivers[1].staging.failed = True
        with using(drivers[1]):
            memories = [drivers[1].allocate(X.nbytes) for _ in range(2)]
            given[:] = X
            stand_in.did.clear()
            for memory in memories:
                memory.write(given)
                if pins:
                    given += 1  # the copy has its own by now
            drivers[1].read_all(list(zip(memories, results)))
            assert stand_in.did == ["in", "in", "out", "out", "wait"]
        for k, result in enumerate(results):
            np.testing.assert_array_equal(result, X + k * pins)
        assert not drivers[1].kept
    with using(drivers[0]):
        assert stand_in.stack == [99, 0]
        with using(drivers[1]), using(drivers[1]):
            assert stand_in.stack == [99, 0, 1]
        assert stand_in.stack == [99, 0]


@needs_numbas_config
def test_memory_is_freed_where_its_device_is_current(stand_in):
    drivers = [NumbaDriver(stand_in, False, k) for k in range(2)]
    with using(drivers[1]):
        memory = drivers[1].allocate(100)
    with using(drivers[0]):
        del memory
        gc.collect()
        assert not [d for d in stand_in.did if d[0] == "free"]
    with using(drivers[1]):
        pass
    gc.collect()
    assert [d for d in stand_in.did if d[0] == "free"] == [("free", 1, [99, 1][1:])]
    assert not drivers[1].state.held


@needs_numbas_config
def test_copies_between_devices_open_the_way_once(stand_in):
    first, second = drivers = [NumbaDriver(stand_in, False, k) for k in range(2)]
    memories = []
    for driver in drivers:
        with using(driver):
            memories.append(driver.allocate(X.nbytes))
    with using(first):
        memories[0].write(X)
        first.synchronize()
    for _ in range(2):
        with both(first, second):
            second.copy(memories[0], memories[1], X.nbytes)
            second.synchronize()
    found = np.zeros_like(X)
    with using(second):
        memories[1].read(found)
    np.testing.assert_array_equal(found, X)
    assert stand_in.did.count(("across", 0, 1, X.nbytes)) == 2
    assert stand_in.did.count(("peer", 1, 0)) == 1


STUBBED = """
import ctypes, sys
import numpy as np
import graphc, graphc.tensor as T
from graphc.core.errors import DeviceLostError, DeviceMemoryError, TargetError

stub = ctypes.CDLL("libcuda.so.1")
stub.cuCtxPushCurrent_v2(ctypes.c_size_t(0x1001))  # another library's device is the current one
current = ctypes.c_size_t()


def undisturbed():
    stub.cuCtxGetCurrent(ctypes.byref(current))
    assert (current.value, stub.stub_depth()) == (0x1001, 1), (current, stub.stub_depth())


x, X = T.fmatrix("x"), np.arange(12, dtype="float32").reshape(3, 4)
w, v = (graphc.shared(X + k, name="wv"[k]) for k in range(2))
f = graphc.function([x], [x * 2, T.transfer(x * 3, "cuda:1")], updates=[(w, w + v)], target="cuda")
host, there = f(X)
undisturbed()
assert type(host) is np.ndarray and host.shape == X.shape and "on Stub 1, cuda:1>" in repr(there)
g = graphc.function([x], (x * w).sum(), target="cuda:1", profile=True)
g(there), g(X)
undisturbed()
assert stub.stub_across() == 2, stub.stub_across()  # a result, and the shared variable
assert w.storage.remote.driver.ordinal == 1
np.testing.assert_array_equal(w.get_value(), X)  # kernels do nothing here
here = there.transfer("cuda:0")
f(here), f(X.T.copy().T)
undisturbed()
assert stub.stub_across() == 6, stub.stub_across()  # two results, an array, and w there and back
large = graphc.function([x], T.exp(x), target="cuda:1", name="large")
try:
    large(np.zeros((40000, 4000), "float32"))
except DeviceMemoryError as error:
    assert "610.4 MiB (640,000,000 bytes), for result number 0 of function 'large'" in str(error)
    assert "free: 4.0 GiB of 8.0 GiB" in str(error), error
else:
    raise AssertionError("there was room")
undisturbed()
large(X)
stub.stub_die(1)
for call in (f, f):
    try:
        call(X), call(X)
    except DeviceLostError as error:
        assert "cuda (Stub 0) can't be used" in str(error) and "lost with it: `w`" in str(error)
    else:
        raise AssertionError("it lives")
    undisturbed()
np.testing.assert_array_equal(v.get_value(), X + 1)
try:
    graphc.function([x], x * 2, target="cuda:5")
except TargetError as error:
    assert "compute capability 9.0, 8.0 GiB; cuda:1 Stub 1" in str(error), error
print("ok")
"""


@pytest.mark.compiler
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for a stub of the driver")
def test_two_devices_of_a_stub_of_the_driver_serve_through_nvidias_bindings(tmp_path):
    """The way to the driver's C calls, with the real packages; the process ends in order, too."""
    stub = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(stub), str(HERE / "cuda_devices_stub.c"),
                    "-ldl"], check=True)  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STUBBED], capture_output=True, text=True,
        timeout=100, cwd=HERE.parent,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("ok\n", ""), run.stdout + run.stderr
