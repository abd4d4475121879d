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
        self.warned = False

    def load(self, source: str, name: str) -> Any:
        """The function of a kernel's source on the device.

        Code of the disk that the driver refuses is made again, with a warning. Where machine code
        can't be linked, or the driver refuses what is new, it gets PTX, which it compiles itself.
        """
        code = store.stored(source, self.capability, "cubin")
        if code is not None:
            try:
                return self._function(code)
            except RuntimeError as error:
                store.reject(source, self.capability, "cubin", f"for {name}, {error}")
        text = store.ptx_of(source, self.capability)
        try:
            return self._function(store.cubin_of(source, self.capability))
        except Exception as error:  # linkers have errors of their own, or aren't installed
            self._warn(" ".join(str(error).split()) or type(error).__name__)
        return self._function(text.encode() + b"\0")

    def _warn(self, reason: str) -> None:
        if not self.warned:
            major, minor = self.capability
            warnings.warn(
                f"kernels have no machine code for compute capability {major}.{minor} ({reason}): "
                "the driver compiles their PTX, in every process",
                stacklevel=2,
            )
        self.warned = True

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
