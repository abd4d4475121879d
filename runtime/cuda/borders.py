"""Where a call's arguments and results lie: at the borders between the host and devices.

An argument of the host is copied to memory that the plan keeps. One that lies on the device is
read where it lies, unless the kernels couldn't: where it isn't in C order, or shares memory with
what the plan writes, it is copied there first. A result that stays gets memory of its own in
every call, or with `borrow` the same in all; one that goes to another device has its memory there.

Copies go to the stream like launches, and the host waits once, after the last one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.devices import cuda_name, ordinal_of
from graphc.core.node import Array
from graphc.core.plan import size_text
from graphc.runtime.buffers import empty
from graphc.runtime.cuda import kernels
from graphc.runtime.cuda.arrays import DeviceArray, Lease
from graphc.runtime.cuda.driver import Driver, Memory, current_driver
from graphc.runtime.cuda.faults import Owner, using
from graphc.runtime.cuda.link import Linked


class Borders:
    """The arguments and results of a plan's calls.

    Parameters
    ----------
    stays : per output, the device on which it stays; none does where it is empty or missing.
    borrow : per output, whether its memory may be the same in every call.
    clock : where copies are timed, one by one; or None.
    owner : for whom memory is taken.
    """

    def __init__(
        self, linked: Linked, stays: Sequence[str], borrow: Sequence[bool], clock: Any = None,
        owner: Owner | None = None,
    ) -> None:  # fmt: skip
        self.linked, self.driver, self.plan = linked, linked.driver, linked.plan
        self.clock, self.owner = clock, owner
        count = len(self.plan.outputs)
        self.stays = [*stays, *[""] * (count - len(stays))]
        self.borrow = [*borrow, *[False] * (count - len(borrow))]
        here = cuda_name(self.driver.ordinal)
        self.sent: dict[int, Driver] = {
            k: current_driver(ordinal_of(name))
            for k, name in enumerate(self.stays) if name not in ("", here)
        }  # fmt: skip
        self.own: list[Memory | None] = [None] * len(self.plan.inputs)
        self.sizes = [
            prod(shape) * dtypes.numpy_dtype(dtype).itemsize for dtype, shape in self.plan.outputs
        ]
        self.fixed: list[Memory | None] = [
            None if stay and not lend and k not in self.sent
            else self.driver.allocate(size, "result", f"number {k}")
            for k, (stay, lend, size) in enumerate(zip(self.stays, self.borrow, self.sizes))
        ]  # fmt: skip
        self.lent: dict[int, Memory] = {}  # on other devices, the same in every call
        self.pools: list[list[Memory]] = [[] for _ in self.sizes]
        self.block: Memory | None = None
        for driver in {self.driver, *self.sent.values()}:
            driver.state.spare.add(self)

    def release_spare(self) -> None:
        """Forget the memory of results that nobody has any more."""
        for pool in self.pools:
            pool.clear()

    # --- before the steps -------------------------------------------------------------

    def elsewhere(self) -> dict[int, Memory]:
        """Memory on other devices, by the numbers of the results that go there.

        The caller has no device to itself: so nobody waits for two of them at a time.
        """
        found = {}
        for k, driver in self.sent.items():
            with using(driver, self.owner):
                memory = self.lent.get(k) or self._fresh(k, driver)
            found[k] = memory
            if self.borrow[k]:
                self.lent[k] = memory
        return found

    def _fresh(self, k: int, driver: Driver) -> Memory:
        try:
            return self.pools[k].pop()
        except IndexError:
            return driver.allocate(self.sizes[k], "result", f"number {k}")

    def take(self, arrays: Sequence[Array | DeviceArray]) -> None:
        """Say where arguments and results lie in this call, and bring there what isn't."""
        self.linked.outputs = [
            memory or self._fresh(k, self.driver) for k, memory in enumerate(self.fixed)
        ]
        self.linked.inputs = [self._placed(k, array) for k, array in enumerate(arrays)]

    def _placed(self, k: int, array: Array | DeviceArray) -> Memory:
        if isinstance(array, DeviceArray):
            if array.contiguous and not self._written(array):
                return array._memory
            own = self._own(k, array.nbytes)
            self._copy(array, own)
            return own
        own = self._own(k, array.nbytes)
        start = time.perf_counter_ns()
        own.write(np.ascontiguousarray(array))
        self._timed("in", self._name(k), array.nbytes, start)
        return own

    def _own(self, k: int, size: int) -> Memory:
        found = self.own[k]
        if found is None:
            found = self.own[k] = self.driver.allocate(size, "argument", f"`{self._name(k)}`")
        return found

    def _written(self, array: DeviceArray) -> bool:
        """Whether the plan writes where an array lies: results that the user borrowed do."""
        low, high = array.address, array.address + array.nbytes
        return any(low < m.address + m.size and m.address < high for m in self.linked.outputs)

    def _copy(self, array: DeviceArray, target: Memory) -> None:
        """Copy an array on the device, into C order."""
        item = array.dtype.itemsize
        words = [target.address, array.address, array.size, item]
        for n, stride in zip(array.shape, array.strides):
            words += [n, stride]
        if self.block is None:  # NumPy's arrays have 64 axes
            self.block = self.driver.allocate(8 * (4 + 2 * 64), "words")
        self.block.write(np.array(words, "int64"))
        kernel = self.driver.load(kernels.COMPACT, "copy into C order")
        threads = self.driver.threads
        grid = max(1, min(-(-array.size // threads), self.driver.blocks))
        given = (self.block.address, 0, self.linked.error.address, 0, array.ndim)
        self.driver.launch(kernel, grid, threads, given)

    # --- after them -------------------------------------------------------------------

    def results(self, record: Array, elsewhere: dict[int, Memory]) -> list[Any]:
        """The results, copied to where they are to be, and the error record; all are waited for.

        Parameters
        ----------
        elsewhere : what `elsewhere` gave.
        """
        found: list[Any] = []
        reads: list[tuple[Memory, Array]] = [(self.linked.error, record)]
        for k, (memory, (dtype, shape)) in enumerate(zip(self.linked.outputs, self.plan.outputs)):
            kind, start = dtypes.numpy_dtype(dtype), time.perf_counter_ns()
            if not self.stays[k]:
                array = empty(shape, kind)
                if self.clock is None:
                    reads.append((memory, array))
                else:
                    memory.read(array)
                    self._timed("out", f"output {k}", array.nbytes, start)
            else:
                driver = self.sent.get(k, self.driver)
                if k in elsewhere:
                    self.driver.copy(memory, elsewhere[k], self.sizes[k])
                    memory = elsewhere[k]
                    self._timed(f"to {self.stays[k]}", f"output {k}", self.sizes[k], start)
                array = DeviceArray(driver, memory, shape, kind)
                if not self.borrow[k]:
                    Lease(array, self.pools[k])
            found.append(array)
        self.driver.read_all(reads)
        return found

    # --- for people -------------------------------------------------------------------

    def _name(self, k: int) -> str:
        return self.plan.inputs[k].name or f"input {k}"

    def _timed(self, where: str, what: str, size: int, start: int) -> None:
        if self.clock is not None:
            self.driver.synchronize()
            self.clock.add_transfer(f"{where}: {what}", size, time.perf_counter_ns() - start)

    def transfers(self, arrays: Sequence[Array | DeviceArray]) -> list[str]:
        """What goes between host and devices in a call with such arguments, for people."""
        found = [
            f"transfer in: {self._name(k)}, {size_text(a.nbytes)}"
            for k, a in enumerate(arrays) if not isinstance(a, DeviceArray)
        ]  # fmt: skip
        here = cuda_name(self.driver.ordinal)
        for k, (stay, size) in enumerate(zip(self.stays, self.sizes)):
            if stay != here:
                way = f"to {stay}" if stay else "out"
                found.append(f"transfer {way}: output {k}, {size_text(size)}")
        found += [f"transfer out and back: step {k}, {a.step.label}, which NumPy does"
                  for k, a in enumerate(self.linked.actions) if a.on_host]  # fmt: skip
        return found
