"""What plans ask of a device: the few methods that stand between them and CUDA's driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from graphc.core.node import Array
from graphc.runtime.cuda.cudnn import Convolution
from graphc.runtime.cuda.faults import DeviceState
from graphc.runtime.cuda.products import Gemm

SIMULATED_WARP = 2  # threads of the simulator's blocks that exchange values as a warp does


class Memory(Protocol):
    """Bytes on a device."""

    address: int
    size: int
    driver: Any

    def write(self, array: Array, offset: int = 0) -> None:
        """Copy an array in C order from the host, which goes on; it may be changed afterwards."""

    def read(self, array: Array, offset: int = 0) -> None:
        """Copy to an array in C order on the host, after all that was launched before."""


class Driver(Protocol):
    """What a plan asks of a device.

    Attributes
    ----------
    name : of the device, for people.
    ordinal : its number.
    state : its lock, what it holds, and whether it is lost; `faults.using` is the way to all
        the methods below.
    threads, blocks : the most threads of a block and blocks of a kernel that are launched.
    warp : how many threads exchange registers (:mod:`graphc.runtime.cuda.accesses`).
    lacks_products : why there is no library for matrix products; None where there is.
    lacks_solvers : the same for linear algebra.
    lacks_convolutions : the same of convolutions.
    """

    name: str
    ordinal: int
    lacks_products: str | None
    lacks_solvers: str | None
    lacks_convolutions: str | None
    threads: int
    blocks: int
    warp: int
    state: DeviceState

    def context(self) -> AbstractContextManager[Any]:
        """A block in which the device is the thread's current one; then the former is again."""

    def allocate(self, size: int, kind: str = "other memory", what: str = "") -> Memory:
        """Memory on the device; it goes with the object.

        `kind` and `what` are for messages: what it is for, and of what.
        """

    def reclaim(self) -> None:
        """Give memory whose objects are gone back to the device."""

    def room(self) -> tuple[int, int] | None:
        """Bytes that are free, and all; None where nobody knows."""

    def read_all(self, parts: Sequence[tuple[Memory, Array]]) -> None:
        """Copy starts of memories to arrays in C order, with one wait for all of them."""

    def copy(self, source: Memory, target: Memory, size: int) -> None:
        """Copy between memories of this and other devices, after what was launched before.

        The host doesn't wait. One of them is this device's.
        """

    def load(self, source: str, name: str) -> Any:
        """A kernel that can be launched; equal sources are compiled once."""

    def launch(self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]) -> None:
        """Run a kernel after what was launched before; nobody waits."""

    def prepare(
        self, kernel: Any, grid: int, threads: int, arguments: Sequence[int]
    ) -> Callable[[], Any]:
        """A launch that is made again and again, each time with the same arguments."""

    def load_products(self) -> None:
        """Bring the library for products there, with the memory that it wants."""

    def multiply(self, gemm: Gemm, a: int, b: int, c: int) -> None:
        """A matrix product by the library, after what was launched before; nobody waits."""

    def load_solvers(self) -> None:
        """Bring the library for linear algebra there."""

    def solver_room(self, routine: str, dtype: str, numbers: Sequence[int]) -> int:
        """How many elements of work area a routine of cuSOLVER wants for some sizes."""

    def solve(self, routine: str, dtype: str, arguments: Sequence[int]) -> None:
        """A call of cuSOLVER after what was launched before; it may wait for the device."""
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
