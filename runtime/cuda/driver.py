"""The calls of the CUDA driver that plans need, over Numba: on a device or in the simulator.

Everything goes through the few methods of `Driver`, so that another class with the same methods
(one that only writes down what is asked of it, in tests) can take its place.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np

from graphc.core.devices import cuda_name
from graphc.core.errors import DeviceMemoryError, TargetError
from graphc.core.node import Array
from graphc.runtime.cuda import cudnn, probe
from graphc.runtime.cuda.asked import SIMULATED_WARP, Driver, Memory
from graphc.runtime.cuda.cudnn import Convolution
from graphc.runtime.cuda.cusolver import Cusolver
from graphc.runtime.cuda.cusolver import library as solver_library
from graphc.runtime.cuda.faults import FULL, DeviceState, names_in
from graphc.runtime.cuda.products import WORKSPACE, Cublas, Gemm, library
from graphc.runtime.cuda.staging import Staging

QUICK = 1e-5  # seconds after which threads of the simulator take turns


# --- Numba's --------------------------------------------------------------------------


class NumbaMemory:
    """A device array of Numba's, as bytes."""

    def __init__(self, driver: NumbaDriver, size: int, array: Any = None) -> None:
        self.size, self.driver = size, driver
        if array is None:
            array = driver._cuda.device_array(max(size, 256), np.uint8)
            # Python may forget it in any thread, where another device is the current one: what
            # frees memory is kept, and let go where this device is.
            weakref.finalize(self, driver.dropped.append, array).atexit = False
        self.array = array
        if driver.simulated:
            self.address = int(array._ary.ctypes.data)
        else:
            self.address = int(array.__cuda_array_interface__["data"][0])

    def write(self, array: Array, offset: int = 0) -> None:
        if array.nbytes:
            part = self.array[offset : offset + array.nbytes]
            part.copy_to_device(self.driver.staged(_bytes(array)), stream=self.driver.stream)

    def read(self, array: Array, offset: int = 0) -> None:
        if array.nbytes:
            part = self.array[offset : offset + array.nbytes]
            part.copy_to_host(_bytes(array), stream=self.driver.stream)
            self.driver.synchronize()


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


class _Current:
    """A block in which a context is the thread's current one."""

    def __init__(self, driver: NumbaDriver) -> None:
        self.driver = driver

    def __enter__(self) -> None:
        self.driver.primary.push()

    def __exit__(self, *error: object) -> None:
        driver = self.driver
        if driver.state.lost is None:
            driver.reclaim()
        api, _ = _calls()
        with suppress(Exception):  # of a lost context
            api.cuCtxPopCurrent()


def _calls() -> tuple[Any, Any]:
    """The driver's calls as Numba makes them, which raise, and the types of their arguments."""
    from numba.cuda.cudadrv.driver import binding, driver

    return driver, binding


_ONE_KERNEL = threading.Lock()
"""The simulator runs one kernel at a time, whatever device it is for."""


class NumbaDriver:
    """A device through Numba, or its simulator; see `Driver`.

    One stream takes all launches and copies, so that they run in order. Memory of the host that
    a copy under way reads is pinned memory of ours, or kept until the next wait.
    """

    def __init__(self, cuda: Any, simulated: bool, ordinal: int = 0) -> None:
        self._cuda, self.simulated, self.ordinal = cuda, simulated, ordinal
        self.threads, self.blocks = (4, 3) if simulated else (256, 1024)
        self.warp = SIMULATED_WARP if simulated else 32
        self.name = "Numba's simulator" if simulated else _device_name(cuda.gpus[ordinal])
        self.state = DeviceState(ordinal, self.name, forks=simulated)
        self.lacks_products = "the simulator has none" if simulated else library()
        self.lacks_solvers = "the simulator has none" if simulated else solver_library()
        self.lacks_convolutions = "the simulator has none" if simulated else cudnn.library()
        self._cublas: Any = None
        self._cusolver: Any = None
        self._cudnn: Any = None
        self._kernels: dict[str, Any] = {}
        self._launches: Any = None
        self._peers: set[int] = set()
        self.dropped: deque[Any] = deque()
        self.kept: list[Array] = []
        self.stream: Any = 0
        if simulated:
            return
        from numba.cuda import config

        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # grids are as large as the work
        # Numba makes it the thread's current one for a moment, in place of one that is.
        with ThreadPoolExecutor(1) as aside:
            self.primary = aside.submit(cuda.gpus[ordinal].get_primary_context).result()
        self.staging = Staging(lambda size: cuda.pinned_array(size, np.uint8))
        with self.context():
            self.stream = cuda.stream()
        atexit.register(self._end)

    def context(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.simulated else _Current(self)

    def _end(self) -> None:
        """The process ends: what Numba frees then, it frees in the current context."""
        with suppress(Exception):
            self.primary.push()

    def allocate(self, size: int, kind: str = "other memory", what: str = "") -> NumbaMemory:
        self.reclaim()
        return self.state.allocate(self, size, kind, what, lambda: NumbaMemory(self, size))

    def reclaim(self) -> None:
        while self.dropped:
            self.dropped.popleft()

    def room(self) -> tuple[int, int] | None:
        if self.simulated:
            return None
        found = self.primary.get_memory_info()
        return int(found.free), int(found.total)

    def staged(self, data: Array) -> Array:
        """The same bytes where a copy to the device may read them after this."""
        if self.simulated:
            return data
        place = self.staging.room(data.nbytes)
        if place is None:  # some devices read the host's memory by themselves, and later
            found = data if data.flags.writeable else data.copy()  # Numba copies such, for a moment
            self.kept.append(found)
            return found
        place[:] = data
        return place

    def read_all(self, parts: Sequence[tuple[Memory, Array]]) -> None:
        found: list[tuple[Array, Array]] = []
        for memory, array in parts:
            if not array.nbytes:
                continue
            target = _bytes(array)
            place = None if self.simulated else self.staging.room(array.nbytes)
            given = target if place is None else place
            memory.array[: array.nbytes].copy_to_host(given, stream=self.stream)  # type: ignore[attr-defined]
            if place is not None:
                found.append((place, target))
        self.synchronize()  # pinned bytes stay as they are until the next copy
        for place, target in found:
            target[:] = place

    def copy(self, source: Memory, target: Memory, size: int) -> None:
        if not size:
            return
        if self.simulated:
            part: Any = target
            part.array[:size].copy_to_device(source.array[:size]._ary)  # type: ignore[attr-defined]
            return
        api, binding = _calls()
        to, come = binding.CUdeviceptr(target.address), binding.CUdeviceptr(source.address)
        stream = self._stream_address()
        if source.driver is target.driver:
            api.cuMemcpyDtoDAsync(to, come, size, stream)
            return
        other = source.driver if target.driver is self else target.driver
        self._open_way(other)
        api.cuMemcpyPeerAsync(
            to, target.driver.primary.handle, come, source.driver.primary.handle, size, stream
        )

    def _open_way(self, other: NumbaDriver) -> None:
        """Let copies go straight to another device where that is possible, not by the host."""
        if other.ordinal not in self._peers:
            self._peers.add(other.ordinal)
            with suppress(Exception):  # it may be open already, and copies work without
                if self.primary.can_access_peer(other.ordinal):
                    self.primary.enable_peer_access(other.primary.handle)

    def load(self, source: str, name: str) -> Any:
        found = self._kernels.get(source)
        if found is None:
            if self.simulated:
                from graphc.runtime.cuda.namespace import function_of

                found = self._cuda.jit(function_of(source, name))
            else:
                found = self._launcher().load(source, name)
            self._kernels[source] = found
        return found

    def _launcher(self) -> Any:
        """What loads stored kernels and launches them, without Numba."""
        if self._launches is None:
            from graphc.runtime.cuda.launching import Launcher

            capability = self._cuda.gpus[self.ordinal].compute_capability
            self._launches = Launcher(self._stream_address(), tuple(capability))
        return self._launches

    def _stream_address(self) -> int:
        from graphc.runtime.cuda.launching import stream_address

        return stream_address(self.stream)

    def prepare(
        self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]
    ) -> Callable[[], Any]:
        if self.simulated:
            return partial(self.launch, kernel, grid, threads, arguments)
        prepared: Callable[[], Any] = self._launcher().prepare(kernel, grid, threads, arguments)
        return prepared

    def launch(self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]) -> None:
        if not self.simulated:
            self.prepare(kernel, grid, threads, arguments)()
            return
        # The simulator's threads are Python's, and wait for each other in loops.
        with _ONE_KERNEL:
            before = sys.getswitchinterval()
            sys.setswitchinterval(QUICK)
            try:
                kernel[grid, threads](*arguments)
            finally:
                sys.setswitchinterval(before)

    def load_products(self) -> None:
        if self._cublas is None and self.lacks_products is None and not self.simulated:
            self._workspace = self.allocate(WORKSPACE, "work area of cuBLAS", "")
            self._cublas = Cublas(self._stream_address(), self._workspace.address)

    def multiply(self, gemm: Gemm, a: int, b: int, c: int) -> None:
        self.load_products()
        self._cublas.multiply(gemm, a, b, c)

    def load_solvers(self) -> None:
        if self._cusolver is None and self.lacks_solvers is None and not self.simulated:
            self._cusolver = Cusolver(self._stream_address())

    def solver_room(self, routine: str, dtype: str, numbers: Sequence[int]) -> int:
        self.load_solvers()
        return int(self._cusolver.room(routine, dtype, numbers))

    def solve(self, routine: str, dtype: str, arguments: Sequence[int]) -> None:
        self.load_solvers()
        self._cusolver.solve(routine, dtype, arguments)

    def convolution_room(self, convolution: Convolution) -> int | str:
        if self._cudnn is None:
            self._cudnn = cudnn.Cudnn(self._stream_address())
        return self._cudnn.room(convolution)

    def convolve(
        self, convolution: Convolution, first: int, second: int, result: int, work: int
    ) -> None:
        self._cudnn.run(convolution, first, second, result, work)

    def synchronize(self) -> None:
        if self.stream:
            self.stream.synchronize()
            self.staging.forget()
        self.kept.clear()

    def capture(self, launches: Callable[[], None]) -> Any:
        """A captured CUDA graph; None in the simulator."""
        if self.simulated:
            return None
        from graphc.runtime.cuda.graphs import capture

        return capture(self._stream_address(), launches)

    def adopt(self, address: int, size: int, owner: Any) -> NumbaMemory:
        if self.simulated:
            seen = (ctypes.c_uint8 * size).from_address(address)
            array = _Simulated(np.frombuffer(seen, np.uint8), owner)
        else:
            described = {"shape": (size,), "typestr": "|u1", "data": (address, False),
                         "version": 3, "strides": None, "stream": None}  # fmt: skip
            array = self._cuda.from_cuda_array_interface(described, owner=owner, sync=False)
        return NumbaMemory(self, size, array)

    def device_of(self, address: int) -> int | None:
        if self.simulated:
            return None
        from graphc.runtime.cuda.interchange import device_of

        return device_of(address)

    def wait_for(self, stream: int) -> None:
        if not self.simulated:
            self._cuda.external_stream(stream).synchronize()

    def read_dlpack(self, value: Any) -> dict[str, Any]:
        from graphc.runtime.cuda.interchange import read_dlpack

        return read_dlpack(value, 0 if self.simulated else self._stream_address())

    def export(self, array: Any, **options: Any) -> Any:
        if self.simulated:
            raise BufferError("the simulator's arrays lie in the host's memory: DLPack's word "
                              "for a device would be wrong; numpy.asarray copies them")  # fmt: skip
        from graphc.runtime.cuda.interchange import export

        return export(array, **options)


class _Simulated:
    """Memory of somebody else with what is used of the simulator's arrays."""

    def __init__(self, array: Array, owner: Any) -> None:
        self._ary, self.owner = array, owner

    def __getitem__(self, part: slice) -> _Simulated:
        return _Simulated(self._ary[part], self.owner)

    def copy_to_device(self, array: Array, stream: Any = 0) -> None:
        self._ary[:] = array

    def copy_to_host(self, array: Array, stream: Any = 0) -> None:
        array[:] = self._ary


def _device_name(device: Any) -> str:
    return device.name.decode() if isinstance(device.name, bytes) else str(device.name)


# --- the drivers of this process ------------------------------------------------------

_DRIVERS: dict[int, Driver] = {}
_GIVEN = False  # whether they are all there are
_OPENING = threading.Lock()


def current_driver(ordinal: int = 0) -> Driver:
    """The driver of a device; an error that says what is missing where there is none."""
    found = _DRIVERS.get(ordinal)
    if found is not None:
        return found
    with _OPENING:
        if ordinal not in _DRIVERS:
            if _GIVEN:
                there = [f"{cuda_name(n)} {_DRIVERS[n].name}" for n in sorted(_DRIVERS)]
                raise probe.no_device(ordinal, there)
            _DRIVERS[ordinal] = _open(ordinal)
        return _DRIVERS[ordinal]


def use_driver(*drivers: Driver | None) -> None:
    """Let functions compiled from now on use other drivers, each for the device of its number.

    None looks for the devices again.
    """
    global _GIVEN
    given = [d for d in drivers if d is not None]
    with _OPENING:
        _DRIVERS.clear()
        _DRIVERS.update({d.ordinal: d for d in given})
        _GIVEN = bool(given)


def place_of(driver: Driver) -> str:
    """A device's name, with its number where it isn't the first."""
    return driver.name + (f", {cuda_name(driver.ordinal)}" if driver.ordinal else "")


def _open(ordinal: int) -> Driver:
    from numba import config

    if config.ENABLE_CUDASIM:
        from numba import cuda

        if ordinal:
            raise probe.no_device(ordinal, ["cuda Numba's simulator"])
        return NumbaDriver(cuda, simulated=True)
    if importlib.util.find_spec("numba_cuda") is None:
        what = f"the target {cuda_name(ordinal)!r} needs the package numba-cuda"
        raise TargetError(what, probe.INSTALL)
    probe.check(probe.look(), ordinal)
    from numba import cuda

    try:
        return NumbaDriver(cuda, False, ordinal)
    except Exception as error:  # the driver's own errors have no common base
        found = " ".join(str(error).split()) or type(error).__name__
        if FULL.intersection(names_in(error)):
            raise DeviceMemoryError(
                f"{cuda_name(ordinal)} has no room for a context of this process: {found}",
                "end what else runs there (nvidia-smi shows it), or use another device",
            ) from error
        raise TargetError(
            f"the target {cuda_name(ordinal)!r} finds no device: {found}",
            f"install NVIDIA's driver, and {probe.INSTALL}; the target 'cpu' works without",
        ) from error
