"""The calls of the CUDA driver that plans need, over Numba: on a device or in the simulator.

Everything goes through the few methods of `Driver`, so that another class with the same methods
(one that only writes down what is asked of it, in tests) can take its place.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.core.errors import TargetError
from graphc.core.node import Array
from graphc.runtime.cuda import cudnn
from graphc.runtime.cuda.cudnn import Convolution
from graphc.runtime.cuda.products import WORKSPACE, Cublas, Gemm, library

QUICK = 1e-5  # seconds after which threads of the simulator take turns
INSTALL = "pip install 'graphc[cuda12]' or 'graphc[cuda13]', as the driver's version says"


class Memory(Protocol):
    """Bytes on a device."""

    address: int
    size: int

    def write(self, array: Array, offset: int = 0) -> None:
        """Copy an array in C order from the host."""

    def read(self, array: Array, offset: int = 0) -> None:
        """Copy to an array in C order on the host, after all that was launched before."""


class Driver(Protocol):
    """What a plan asks of a device.

    Attributes
    ----------
    name : of the device, for people.
    ordinal : its number.
    threads, blocks : the most threads of a block and blocks of a kernel that are launched.
    lacks_products : why there is no library for matrix products; None where there is.
    lacks_convolutions : the same of convolutions.
    """

    name: str
    ordinal: int
    lacks_products: str | None
    lacks_convolutions: str | None
    threads: int
    blocks: int

    def allocate(self, size: int) -> Memory:
        """Memory on the device; it goes with the object."""

    def load(self, source: str, name: str) -> Any:
        """A kernel that can be launched; equal sources are compiled once."""

    def launch(self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]) -> None:
        """Run a kernel after what was launched before; nobody waits."""

    def multiply(self, gemm: Gemm, a: int, b: int, c: int) -> None:
        """A matrix product by the library, after what was launched before; nobody waits."""

    def convolution_room(self, convolution: Convolution) -> int | str:
        """The bytes that a convolution by the library wants; or why it doesn't do it."""

    def convolve(
        self, convolution: Convolution, first: int, second: int, result: int, work: int
    ) -> None:
        """A convolution by the library, after what was launched before; nobody waits."""

    def synchronize(self) -> None:
        """Wait for everything that was launched."""

    def capture(self, launches: Callable[[], None]) -> Any:
        """What replays launches in one call; None where that can't be had."""

    def adopt(self, address: int, size: int, owner: Any) -> Memory:
        """Memory of another library, which lives as long as `owner`."""

    def device_of(self, address: int) -> int | None:
        """The number of the device on which an address lies; None where nobody can tell."""

    def wait_for(self, stream: int) -> None:
        """Let what is launched from now on wait for what another stream has under way."""

    def read_dlpack(self, value: Any) -> dict[str, Any]:
        """An array that speaks DLPack only, described as by ``__cuda_array_interface__``."""

    def export(self, array: Any, **options: Any) -> Any:
        """A capsule of DLPack that holds an array."""


# --- Numba's --------------------------------------------------------------------------


class NumbaMemory:
    """A device array of Numba's, as bytes."""

    def __init__(
        self, cuda: Any, size: int, simulated: bool, stream: Any, array: Any = None
    ) -> None:
        self.size, self.stream = size, stream
        self.array = cuda.device_array(max(size, 256), np.uint8) if array is None else array
        if simulated:
            self.address = int(self.array._ary.ctypes.data)
        else:
            self.address = int(self.array.__cuda_array_interface__["data"][0])

    def write(self, array: Array, offset: int = 0) -> None:
        if array.nbytes:
            part = self.array[offset : offset + array.nbytes]
            part.copy_to_device(_bytes(array), stream=self.stream)

    def read(self, array: Array, offset: int = 0) -> None:
        if array.nbytes:
            part = self.array[offset : offset + array.nbytes]
            part.copy_to_host(_bytes(array), stream=self.stream)
            if self.stream:
                self.stream.synchronize()


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


class NumbaDriver:
    """A device through Numba, or its simulator; see `Driver`.

    One stream takes all launches, so that they run in order.
    """

    def __init__(self, cuda: Any, simulated: bool) -> None:
        self._cuda, self.simulated = cuda, simulated
        self.threads, self.blocks = (4, 3) if simulated else (256, 1024)
        self.stream = 0 if simulated else cuda.stream()
        self.name = "Numba's simulator" if simulated else _device_name(cuda)
        self.lacks_products = "the simulator has none" if simulated else library()
        self.lacks_convolutions = "the simulator has none" if simulated else cudnn.library()
        self._cublas: Any = None
        self._cudnn: Any = None
        self.ordinal = 0 if simulated else int(cuda.get_current_device().id)
        self._kernels: dict[str, Any] = {}
        if not simulated:  # grids are as large as the work; Numba would warn of small ones
            from numba.cuda import config

            config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

    def allocate(self, size: int) -> NumbaMemory:
        try:
            return NumbaMemory(self._cuda, size, self.simulated, self.stream)
        except Exception as error:
            if "memory" not in str(error).lower():
                raise
            raise TargetError(
                f"{self.name} has no room for {size:,} bytes more: {error}",
                "use smaller batches, or free what other programs hold there",
            ) from error

    def load(self, source: str, name: str) -> Any:
        found = self._kernels.get(source)
        if found is None:
            from graphc.runtime.cuda.namespace import bounds_of, function_of

            function = function_of(source, name)
            bounds = None if self.simulated else bounds_of(function)
            found = self._cuda.jit(**({"launch_bounds": bounds} if bounds else {}))(function)
            self._kernels[source] = found
        return found

    def launch(self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]) -> None:
        if not self.simulated:
            kernel[grid, threads, self.stream](*arguments)
            return
        # The simulator's threads are Python's, and wait for each other in loops.
        before = sys.getswitchinterval()
        sys.setswitchinterval(QUICK)
        try:
            kernel[grid, threads](*arguments)
        finally:
            sys.setswitchinterval(before)

    def multiply(self, gemm: Gemm, a: int, b: int, c: int) -> None:
        if self._cublas is None:
            self._workspace = self.allocate(WORKSPACE)
            self._cublas = Cublas(int(self.stream.handle.value or 0), self._workspace.address)
        self._cublas.multiply(gemm, a, b, c)

    def convolution_room(self, convolution: Convolution) -> int | str:
        if self._cudnn is None:
            self._cudnn = cudnn.Cudnn(int(self.stream.handle.value or 0))
        return self._cudnn.room(convolution)

    def convolve(
        self, convolution: Convolution, first: int, second: int, result: int, work: int
    ) -> None:
        self._cudnn.run(convolution, first, second, result, work)

    def synchronize(self) -> None:
        if self.stream:
            self.stream.synchronize()

    def capture(self, launches: Callable[[], None]) -> Any:
        """A captured CUDA graph; None in the simulator."""
        if self.simulated:
            return None
        from graphc.runtime.cuda.graphs import capture

        return capture(self.stream, launches)

    def adopt(self, address: int, size: int, owner: Any) -> NumbaMemory:
        if self.simulated:
            seen = (ctypes.c_uint8 * size).from_address(address)
            array = _Simulated(np.frombuffer(seen, np.uint8), owner)
        else:
            described = {"shape": (size,), "typestr": "|u1", "data": (address, False),
                         "version": 3, "strides": None, "stream": None}  # fmt: skip
            array = self._cuda.from_cuda_array_interface(described, owner=owner, sync=False)
        return NumbaMemory(self._cuda, size, self.simulated, self.stream, array)

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

        return read_dlpack(value, 0 if self.simulated else int(self.stream.handle.value or 0))

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


def _device_name(cuda: Any) -> str:
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


_DRIVERS: list[Driver] = []


def current_driver() -> Driver:
    """The driver of this process; an error that says what is missing where there is none."""
    if not _DRIVERS:
        _DRIVERS.append(_open())
    return _DRIVERS[0]


def use_driver(driver: Driver | None) -> None:
    """Let functions compiled from now on use another driver; None looks for the device again."""
    _DRIVERS[:] = [driver] if driver is not None else []


def _open() -> Driver:
    from numba import config

    if config.ENABLE_CUDASIM:
        from numba import cuda

        return NumbaDriver(cuda, simulated=True)
    if importlib.util.find_spec("numba_cuda") is None:
        raise TargetError("the target 'cuda' needs the package numba-cuda", INSTALL)
    from numba import cuda

    try:
        cuda.current_context()
    except Exception as error:  # the driver's own errors have no common base
        found = " ".join(str(error).split()) or type(error).__name__
        raise TargetError(
            f"the target 'cuda' finds no device: {found}",
            f"install NVIDIA's driver, and {INSTALL}; the target 'cpu' works without",
        ) from error
    return NumbaDriver(cuda, simulated=False)
