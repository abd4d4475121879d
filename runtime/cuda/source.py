"""A kernel of the CUDA target as people see it: its source and its PTX."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.runtime.cuda.store import cubin_of, ptx_of


@dataclass(frozen=True)
class CudaKernel:
    """What a step launches, one source or two.

    Attributes
    ----------
    name : what it computes.
    source : the Python functions, one blank line between them.
    sources : each for itself.
    """

    name: str
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
        return "\n".join(ptx_of(text, capability) for text in self.sources)

    def cubin(self, capability: tuple[int, int]) -> list[bytes]:
        """The machine code of each part, an ELF file; no device is needed."""
        return [cubin_of(text, capability) for text in self.sources]
