"""A kernel of the CUDA target as people see it: its source and its PTX."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CudaKernel:
    """What a step launches, one source or two.

    Attributes
    ----------
    source : the Python functions, one blank line between them.
    sources : each for itself.
    """

    source: str
    sources: tuple[str, ...]
    seconds: float = 0.0
    origin: str = "device"

    @property
    def address(self) -> int:
        """What tells kernels apart; it is no address of the host."""
        return hash(self.sources)

    @property
    def llvm(self) -> str:
        raise AttributeError("kernels of the CUDA target have PTX: kernel.compiled.ptx((9, 0))")

    @property
    def asm(self) -> str:
        """The PTX for compute capability 8.0."""
        return self.ptx((8, 0))

    def ptx(self, capability: tuple[int, int]) -> str:
        """The PTX of all parts for a compute capability; no device is needed."""
        from graphc.runtime.cuda.store import ptx_of

        return "\n".join(ptx_of(text, capability) for text in self.sources)

    def cubin(self, capability: tuple[int, int]) -> list[bytes]:
        """The machine code of each part, an ELF file; no device is needed."""
        from graphc.runtime.cuda.store import cubin_of

        return [cubin_of(text, capability) for text in self.sources]


def compile_ptx(source: str, capability: tuple[int, int]) -> str:
    """The PTX of a kernel's source, from numba-cuda's compiler; no device is needed.

    Parameters
    ----------
    source : one function ``def kernel(block, work, error, step, parts)``.
    capability : of the device that it is for, as ``(9, 0)``.
    """
    from graphc.runtime.cuda.namespace import cuda, function_of, types

    arguments = types.void(*[types.int64] * 5)
    with _as_if_on(capability):
        text, _ = cuda.compile(
            function_of(source, "kernel"), arguments, device=False, abi="numba", cc=capability
        )
    return str(text)


@contextmanager
def _as_if_on(capability: tuple[int, int]) -> Iterator[None]:
    """Let Numba compile what kernels call without a device.

    For functions that kernels call, Numba asks the device at hand for its capability, also where
    the kernel itself is compiled for a given one. Their code is the same for all.
    """
    from numba.cuda import dispatcher

    class Device:
        compute_capability: Any = capability

    before = dispatcher.get_current_device
    dispatcher.get_current_device = Device
    try:
        yield
    finally:
        dispatcher.get_current_device = before
