"""A bound plan on a device, ready to be called.

Arguments of the host are copied to the device, results back, unless they are to stay there;
everything between stays there, shared variables too. Steps are put on one stream in their order,
and the host waits once, for the results. Steps that NumPy does take their operands from the
device and bring their results there.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array, as_storage
from graphc.core.plan import Place, Plan
from graphc.runtime.cuda.borders import Borders
from graphc.runtime.cuda.driver import current_driver
from graphc.runtime.cuda.emit import STEP_BITS
from graphc.runtime.cuda.homes import homes_of
from graphc.runtime.cuda.link import RECORD_WORDS, Linked
from graphc.runtime.hosts import host_value, moved

_ONE_CALL = threading.RLock()
"""Held by a call: all of them share a stream and the homes of shared variables."""


class CudaBound:
    """One plan on a device; what `graphc.runtime.bound.Bound` is to the CPU."""

    entry = None

    def __init__(
        self,
        plan: Plan,
        program: Any,
        returns: str = "list",
        timed: bool = False,
        earlier: Plan | None = None,
    ) -> None:
        self.plan, self.program = plan, program
        self.driver = current_driver()
        options = program.options
        self.linked = Linked(
            plan, self.driver, homes_of(self.driver), products=options.cuda_products,
            convolutions=options.cuda_convolutions,
        )
        self.stale = False
        self.lines: dict[Any, Any] = {}
        self.clock = DeviceClock(plan) if timed else None
        self.replay: Any = None
        self.captured: tuple[int, ...] = ()
        self.hosts = [k for k, a in enumerate(self.linked.actions) if a.on_host]
        self.notes = [*plan.notes, f"device: {self.driver.name}"]
        self.notes += [text for text in dict.fromkeys(self.linked.all_served)]
        self.borders = Borders(self.linked, options.device_outputs, options.borrow_outputs)
        self.captures, self.calls = options.cuda_graphs and not timed, 0
        self.kinds: Any = None

    def retire(self) -> None:
        """An address may be no longer valid; `run` looks them all up anyway."""
        self.stale = True

    def relocate(self) -> None:
        """Nothing to be done before the next call."""
        self.stale = False

    def failure(self) -> Exception | None:
        """What stopped the latest call: `run` raises it."""
        return None

    def run(self, arrays: list[Any]) -> list[Any]:
        """The results for arguments of the sizes the plan is for."""
        with _ONE_CALL:
            return self._run(arrays)

    def _run(self, arrays: list[Any]) -> list[Any]:
        start = time.perf_counter()
        linked, kinds = self.linked, [type(a) for a in arrays]
        if kinds != self.kinds:
            self.kinds, self.plan.notes[:] = kinds, [*self.notes, *self.borders.transfers(arrays)]
        linked.error.write(np.zeros(RECORD_WORDS, "int64"))
        self.borders.take(arrays)
        linked.place()
        if self.replay is not None and self.captured != linked.product_addresses():
            self.replay, self.captures = None, True
        if self.captures and self.calls and self.replay is None:  # now all kernels are loaded
            self.captures = self.capture()
        self._steps()
        self.calls += 1
        self._raise_failure()
        results = self.borders.results()
        for variable, value, place in self.plan.moved:
            array = np.empty(value.type.shape, dtypes.numpy_dtype(value.dtype))
            found, offset = linked.memory_of(place)
            found.read(array, offset)
            variable.storage.replace(as_storage(array, copy=True))
        if self.clock is not None:
            self.clock.add_call(time.perf_counter() - start)
        return results

    def _steps(self) -> None:
        if self.replay is not None:
            self.replay()
            return
        for k, action in enumerate(self.linked.actions):
            before = time.perf_counter_ns()
            if action.on_host:
                self._raise_failure()
                self._host(k)
            else:
                self.linked.run_device(k)
            if self.clock is not None:
                self.driver.synchronize()
                self.clock.add(k, time.perf_counter_ns() - before)

    def capture(self) -> bool:
        """Let later calls replay one CUDA graph; whether that could be had.

        A plan with loops or steps of the host has none. Kernels read addresses from the device,
        so that a graph stays right when one changes; calls of cuBLAS hold them, and then it is
        captured again.
        """
        if self.hosts or any(s.routine == "loop" for _, s in self.plan.all_steps()):
            return False
        self.captured = self.linked.product_addresses()
        numbers = range(len(self.linked.actions))
        self.replay = self.driver.capture(
            lambda: [self.linked.run_device(k) for k in numbers] and None
        )
        return self.replay is not None

    # --- errors -----------------------------------------------------------------------

    def _raise_failure(self) -> None:
        """Raise what the first step that stopped has noted."""
        record = np.zeros(RECORD_WORDS, "int64")
        self.linked.error.read(record)
        if not record[2]:
            return
        number, code = (int(record[2]) >> STEP_BITS) - 1, int(record[2]) & (2**STEP_BITS - 1)
        step = self.linked.known_steps[number]
        about = step.checks[code - 1] if 0 < code <= len(step.checks) else step.nodes[-1]
        if about in self.plan.guards:
            raise RuntimeError("a size changed while the plan ran")
        if step.routine == "compressed":  # its codes say what is wrong, as the CPU's records do
            record = np.array([code, *record[:2]])
        raise self.program.failed(about, record)

    # --- steps of the host ------------------------------------------------------------

    def _host(self, k: int) -> None:
        """Run one op with NumPy, on copies of its operands."""
        step = self.plan.steps[k]
        target = step.extra[2]
        value = host_value(step, self._operand)
        memory, start = self.linked.memory_of(target.place)
        memory.write(np.ascontiguousarray(value), start + target.offset)

    def _index_at(self, address: Any) -> int:
        return int(self._fetched(address.place, address.offset, 8, "int64")[0])

    def _outside(self, owner: Any, index: int, size: int) -> Exception:
        failed: Exception = self.program.failed(owner, np.array([index, size], "int64"))
        return failed

    def _operand(self, address: Any, layout: Any, dtype: str, moves: Any) -> Array:
        """A copy of a value's memory, seen with its layout."""
        kind = dtypes.numpy_dtype(dtype)
        offset = moved(moves, self._index_at, self._outside)
        if not all(layout.shape):
            return np.zeros(layout.shape, kind)
        lowest = sum(min(0, (n - 1) * s) for n, s in zip(layout.shape, layout.strides))
        highest = sum(max(0, (n - 1) * s) for n, s in zip(layout.shape, layout.strides))
        start = address.offset + (offset + lowest) * kind.itemsize
        flat = self._fetched(address.place, start, (highest - lowest + 1) * kind.itemsize, dtype)
        return np.ndarray(
            layout.shape, kind, flat.data, -lowest * kind.itemsize,
            tuple(s * kind.itemsize for s in layout.strides),
        )  # fmt: skip

    def _fetched(self, place: Place, offset: int, size: int, dtype: str) -> Array:
        if place.kind == "constant":
            flat = np.ascontiguousarray(place.owner).reshape(-1).view(np.uint8)  # type: ignore
            return flat[offset : offset + size].view(dtypes.numpy_dtype(dtype))
        memory, start = self.linked.memory_of(place)
        found = np.empty(size // dtypes.numpy_dtype(dtype).itemsize, dtypes.numpy_dtype(dtype))
        memory.read(found, start + offset)
        return found


class DeviceClock:
    """Times of a plan's steps, each waited for; what the profile reads.

    The steps of loops have none: a loop is timed as a whole.
    """

    def __init__(self, plan: Plan) -> None:
        self.record: Array = np.zeros((max(len(plan.steps), 1), 2), "int64")
        bodies = {k: s.body for k, s in enumerate(plan.steps)}
        self.bodies = {k: DeviceClock(body) for k, body in bodies.items() if body is not None}
        self.calls, self.seconds = 0, 0.0

    def add(self, step: int, nanoseconds: int) -> None:
        self.record[step] += (nanoseconds, 1)

    def add_call(self, seconds: float) -> None:
        self.calls += 1
        self.seconds += seconds
