"""Arrays that stay on a device: results of functions, and arguments from other libraries.

Others see a result through ``__cuda_array_interface__`` (version 3) and DLPack, and their arrays
come in by the same ways, without a copy. The capsules of DLPack are made and read by NVIDIA's
``cuda.core``, which comes with numba-cuda.
"""

from __future__ import annotations

import weakref
from math import prod
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.devices import CHOICES, device_name, ordinal_of
from graphc.core.errors import ArgumentError
from graphc.core.halves import BFLOAT16
from graphc.core.node import Array, user_frames
from graphc.runtime.cuda.driver import Driver, Memory, current_driver, place_of
from graphc.runtime.cuda.faults import both, using

TWO_BYTES = np.dtype("V2")
CUDA, CUDA_MANAGED = 2, 13  # DLPack's numbers for memory that NVIDIA's devices reach


class DeviceArray:
    """An array in a device's memory.

    Functions with ``Out(x, device=True)`` return them, and functions of the target ``cuda`` take
    them as arguments. NumPy gets a copy: ``numpy.asarray(array)``. CuPy, PyTorch and JAX get the
    array itself: ``cupy.asarray(array)``, ``torch.as_tensor(array, device="cuda")``,
    ``jax.dlpack.from_dlpack(array)``.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    strides : tuple of int
        In bytes.
    """

    __array_priority__ = -1.0

    def __init__(
        self,
        driver: Driver,
        memory: Memory,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        strides: tuple[int, ...] | None = None,
        start: int = 0,
    ) -> None:
        self._driver, self._memory, self._start = driver, memory, start
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.strides = c_strides(self.shape, self.dtype) if strides is None else tuple(strides)
        self._lease: Lease | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return not self.size or all(
            n == 1 or s == t
            for n, s, t in zip(self.shape, self.strides, c_strides(self.shape, self.dtype))
        )

    @property
    def address(self) -> int:
        """Of the first element."""
        return self._memory.address + self._start

    def copy_to_host(self) -> Array:
        """A NumPy array with the same elements, in C order."""
        contiguous = self.contiguous
        found = np.empty(self.shape, self.dtype) if contiguous else None
        flat = np.empty(0 if contiguous else self._memory.size, np.uint8)
        with using(self._driver):
            if found is not None:
                self._memory.read(found, self._start)
                return found
            self._memory.read(flat)
        seen: Array = np.ndarray(self.shape, self.dtype, flat.data, self._start, self.strides)
        return seen.copy()

    def transfer(self, target: str) -> Any:
        """A copy on another device, or on the host; itself where it lies there already.

        Parameters
        ----------
        target : {'cpu', 'cuda', 'cuda:1', ...}

        Returns
        -------
        DeviceArray, or numpy.ndarray for the target 'cpu'

        Raises
        ------
        ArgumentError, TargetError
            For what names no device, and where there is none of that number.
        """
        name = device_name(target)
        if name is None:
            raise ArgumentError(f"transfer: {target!r} is none of {CHOICES}", at=user_frames())
        if name == "cpu":
            return self.copy_to_host()
        driver = current_driver(ordinal_of(name))
        if driver is self._driver:
            return self
        if not self.contiguous:  # as the host sees it
            return _from_host(self.copy_to_host(), driver)
        with both(self._driver, driver):
            memory = driver.allocate(self.nbytes, "array")
            part = self._memory
            if self._start:
                part = self._driver.adopt(self.address, self.nbytes, self)
            driver.copy(part, memory, self.nbytes)
            driver.synchronize()
        return DeviceArray(driver, memory, self.shape, self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("an array on a device can't be seen by NumPy without a copy")
        found = self.copy_to_host()
        return found if dtype is None else found.astype(dtype, copy=False)

    def item(self) -> Any:
        """The element of an array of size 1, as a Python number."""
        return self.copy_to_host().item()

    def __float__(self) -> float:
        return float(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of rank 0 has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        kind, place = dtypes.name_of(self.dtype), place_of(self._driver)
        return f"<DeviceArray {kind} {self.shape} on {place}>"

    # --- for other libraries ----------------------------------------------------------

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        self._lend()
        return {
            "shape": self.shape, "typestr": self.dtype.str, "version": 3, "stream": None,
            "strides": None if self.contiguous else self.strides,
            "data": (self.address if self.size else 0, False),
        }  # fmt: skip

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self._driver.ordinal

    def __dlpack__(self, **options: Any) -> Any:
        with using(self._driver):
            return self._driver.export(self, **options)

    def _lend(self) -> None:
        """Somebody else may use the memory on a stream of theirs: it is never used again."""
        if self._lease is not None:
            self._lease.lent = True


class Lease:
    """Memory that goes back to a plan when the array that has it is gone.

    Memory that another library saw is left to the driver, which waits for their work.
    """

    def __init__(self, array: DeviceArray, pool: list[Memory]) -> None:
        self.pool, self.memory, self.lent = pool, array._memory, False
        array._lease = self
        weakref.finalize(array, self.end).atexit = False

    def end(self) -> None:
        if not self.lent:
            self.pool.append(self.memory)


def c_strides(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """The strides of C order, in bytes."""
    return tuple(prod(shape[k + 1 :]) * dtype.itemsize for k in range(len(shape)))


# --- arrays of others -----------------------------------------------------------------

_OF_THE_HOST = (np.ndarray, np.generic, int, float, complex, list, tuple, str)


def lies_on_device(value: Any) -> bool:
    """Whether a value is an array in a device's memory, of whatever library."""
    if isinstance(value, _OF_THE_HOST):
        return False
    if isinstance(value, DeviceArray):
        return True
    kind = type(value)
    if hasattr(kind, "__dlpack_device__"):
        return int(value.__dlpack_device__()[0]) in (CUDA, CUDA_MANAGED)
    return hasattr(kind, "__cuda_array_interface__") or hasattr(kind, "__cuda_ndarray__")


def import_array(value: Any, driver: Driver) -> DeviceArray:
    """An array of any library as it lies on the device, without a copy.

    The device's stream waits for the work that the other library has under way.

    Raises
    ------
    WrongDevice
        If it lies on another device than the driver's.
    ValueError
        If it can't be taken: it has a mask, or its address doesn't fit its dtype.
    """
    if isinstance(value, DeviceArray):
        if value._driver is not driver:
            raise WrongDevice(place_of(value._driver), place_of(driver))
        return value
    with using(driver):
        return _imported(value, driver)


def _imported(value: Any, driver: Driver) -> DeviceArray:
    found = _interface(value)
    if found is None:
        _check_device(int(value.__dlpack_device__()[1]), driver)
        found = driver.read_dlpack(value)
    if found.get("mask") is not None:
        raise ValueError("it has a mask")
    shape, kind = tuple(found["shape"]), np.dtype(found["typestr"])
    if kind == TWO_BYTES:  # how other libraries tell bfloat16, which NumPy hasn't
        kind = BFLOAT16
    address, size = int(found["data"][0] or 0), prod(shape)
    strides = tuple(found.get("strides") or c_strides(shape, kind))
    if not size:
        return DeviceArray(driver, driver.allocate(0), shape, kind)
    if address % kind.alignment:
        raise ValueError(f"its address {address:#x} is no multiple of {kind.alignment}")
    where = driver.device_of(address)
    if where is not None:
        _check_device(where, driver)
    if found.get("stream") is not None:
        driver.wait_for(int(found["stream"]))
    lowest = sum(min(0, (n - 1) * s) for n, s in zip(shape, strides))
    highest = sum(max(0, (n - 1) * s) for n, s in zip(shape, strides)) + kind.itemsize
    memory = driver.adopt(address + lowest, highest - lowest, value)
    return DeviceArray(driver, memory, shape, kind, strides, -lowest)


class WrongDevice(Exception):
    """An array that lies on another device than the function's."""

    def __init__(self, there: object, here: object) -> None:
        super().__init__(f"it lies on {there}, and the function runs on {here}")


def _check_device(number: int, driver: Driver) -> None:
    if number != driver.ordinal:
        raise WrongDevice(f"device {number}", f"device {driver.ordinal} ({driver.name})")


def _from_host(array: Array, driver: Driver) -> DeviceArray:
    with using(driver):
        memory = driver.allocate(array.nbytes, "array")
        memory.write(array)
        driver.synchronize()
    return DeviceArray(driver, memory, array.shape, array.dtype)


def _interface(value: Any) -> dict[str, Any] | None:
    """What ``__cuda_array_interface__`` says; Numba's simulated arrays have none but are arrays."""
    found = getattr(value, "__cuda_array_interface__", None)
    if found is None and hasattr(type(value), "__cuda_ndarray__"):
        found = value._ary.__array_interface__
    return found if found is None else dict(found)
