"""Kernels from the disk on a device: loaded and launched by NVIDIA's bindings, without Numba."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.runtime.cuda import store
from graphc.runtime.cuda.graphs import checked


def stream_address(stream: Any) -> int:
    """The address of a stream of Numba's, whose handle was an object of ctypes in old releases."""
    handle = stream.handle
    return int(getattr(handle, "value", handle) or 0)


class Launcher:
    """Loads kernels into the current context, and launches them on one stream.

    A kernel's machine code comes from the disk (:mod:`graphc.runtime.cuda.store`), where it is
    put when it is compiled for the first time: the first process and the later ones launch
    the same code.

    Parameters
    ----------
    stream : its address.
    capability : the device's, as ``(9, 0)``.
    bindings : ``cuda.bindings.driver``, or what stands for it in tests.
    """

    def __init__(self, stream: int, capability: tuple[int, int], bindings: Any = None) -> None:
        if bindings is None:
            from cuda.bindings import driver as bindings
        self.bindings, self.capability = bindings, capability
        self.stream = bindings.CUstream(stream)

    def load(self, source: str, name: str) -> Any:
        """The function of a kernel's source on the device.

        Code that the driver refuses is compiled again, with a warning if it was the disk's.
        Machine code that can't be made, or is refused when it is new, gives way to PTX, which
        the driver compiles itself.
        """
        code, stored = self._cubin(source)
        if code is not None:
            try:
                return self._function(code)
            except RuntimeError as error:
                if stored:
                    store.reject(source, self.capability, "cubin", f"for {name!r}, {error}")
                    return self.load(source, name)
                warnings.warn(
                    f"the machine code of {name!r} is not taken: {error}; the driver gets PTX",
                    stacklevel=2,
                )
        return self._function(store.ptx_of(source, self.capability).encode() + b"\0")

    def _cubin(self, source: str) -> tuple[bytes | None, bool]:
        """The machine code, and whether it was on the disk; None where no linker makes it."""
        found = store.stored(source, self.capability, "cubin")
        if found is not None:
            return found, True
        try:
            return store.cubin_of(source, self.capability), False
        except ImportError:  # the linker is a package of its own
            return None, False

    def _function(self, code: bytes) -> Any:
        module = checked(self.bindings.cuModuleLoadData(code))
        return checked(self.bindings.cuModuleGetFunction(module, b"kernel"))

    def prepare(
        self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """A launch whose arguments are laid out once, as the driver wants to read them."""
        values = np.array(arguments, "int64")
        places = values.ctypes.data + 8 * np.arange(len(values), dtype="uint64")
        call, stream, address = self.bindings.cuLaunchKernel, self.stream, int(places.ctypes.data)

        def launch(kept: tuple[Any, ...] = (values, places)) -> None:
            code = call(kernel, grid, 1, 1, threads, 1, 1, 0, stream, address, 0)[0]
            if code:
                raise RuntimeError(f"the CUDA driver says {code.name}")

        return launch
