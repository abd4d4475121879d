"""Where a call's arguments and results lie: at the borders between the host and a device.

An argument of the host is copied to memory that the plan keeps. One that lies on the device is
read where it lies, unless the kernels couldn't: where it isn't in C order, or shares memory with
what the plan writes, it is copied there first. A result that stays gets memory of its own in
every call, or with `borrow` the same in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.runtime.buffers import empty
from graphc.runtime.cuda import kernels
from graphc.runtime.cuda.arrays import DeviceArray, Lease
from graphc.runtime.cuda.driver import Memory
from graphc.runtime.cuda.link import Linked


class Borders:
    """The arguments and results of a plan's calls.

    Parameters
    ----------
    stays : per output, whether it stays on the device; none does where it is empty.
    borrow : per output, whether its memory may be the same in every call.
    """

    def __init__(self, linked: Linked, stays: Sequence[bool], borrow: Sequence[bool]) -> None:
        self.linked, self.driver, self.plan = linked, linked.driver, linked.plan
        count = len(self.plan.outputs)
        self.stays = [*stays, *[False] * (count - len(stays))]
        self.borrow = [*borrow, *[False] * (count - len(borrow))]
        self.own: list[Memory | None] = [None] * len(self.plan.inputs)
        self.sizes = [
            prod(shape) * dtypes.numpy_dtype(dtype).itemsize for dtype, shape in self.plan.outputs
        ]
        self.fixed: list[Memory | None] = [
            None if stay and not lend else self.driver.allocate(size)
            for stay, lend, size in zip(self.stays, self.borrow, self.sizes)
        ]
        self.pools: list[list[Memory]] = [[] for _ in self.sizes]
        self.block: Memory | None = None

    # --- before the steps -------------------------------------------------------------

    def take(self, arrays: Sequence[Array | DeviceArray]) -> None:
        """Say where arguments and results lie in this call, and bring there what isn't."""
        self.linked.outputs = [
            memory or (pool.pop() if pool else self.driver.allocate(size))
            for memory, pool, size in zip(self.fixed, self.pools, self.sizes)
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
        own.write(np.ascontiguousarray(array))
        return own

    def _own(self, k: int, size: int) -> Memory:
        found = self.own[k]
        if found is None:
            found = self.own[k] = self.driver.allocate(size)
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
        if self.block is None:
            self.block = self.driver.allocate(8 * (4 + 2 * 64))  # NumPy's arrays have 64 axes
        self.block.write(np.array(words, "int64"))
        kernel = self.driver.load(kernels.COMPACT, "copy into C order")
        threads = self.driver.threads
        grid = max(1, min(-(-array.size // threads), self.driver.blocks))
        given = (self.block.address, 0, self.linked.error.address, 0, array.ndim)
        self.driver.launch(kernel, grid, threads, given)

    # --- after them -------------------------------------------------------------------

    def results(self) -> list[Any]:
        """The results, copied to the host where they don't stay on the device."""
        found: list[Any] = []
        for k, (memory, (dtype, shape)) in enumerate(zip(self.linked.outputs, self.plan.outputs)):
            kind = dtypes.numpy_dtype(dtype)
            if not self.stays[k]:
                array = empty(shape, kind)
                memory.read(array)
            else:
                array = DeviceArray(self.driver, memory, shape, kind)
                if not self.borrow[k]:
                    Lease(array, self.pools[k])
            found.append(array)
        return found

    def transfers(self, arrays: Sequence[Array | DeviceArray]) -> list[str]:
        """What goes between host and device in a call with such arguments, for people."""
        found = [
            f"transfer in: {v.name or f'input {k}'}"
            for k, (v, a) in enumerate(zip(self.plan.inputs, arrays))
            if not isinstance(a, DeviceArray)
        ]
        found += [f"transfer out: output {k}" for k, stay in enumerate(self.stays) if not stay]
        found += [f"transfer out and back: step {k}, {a.step.label}, which NumPy does"
                  for k, a in enumerate(self.linked.actions) if a.on_host]  # fmt: skip
        return found
