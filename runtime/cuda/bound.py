"""A bound plan on a device, ready to be called.

Arguments of the host are copied to the device, results back, unless they are to stay there;
everything between stays there, shared variables too. Steps are put on one stream in their order,
and the host waits once, for the results. Steps that NumPy does take their operands from the
device and bring their results there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.devices import ordinal_of
from graphc.core.node import Array, as_storage
from graphc.core.plan import Plan, step_number
from graphc.runtime.cuda.actions import Libraries
from graphc.runtime.cuda.arrays import DeviceArray
from graphc.runtime.cuda.borders import Borders
from graphc.runtime.cuda.driver import current_driver, place_of
from graphc.runtime.cuda.failures import Failures
from graphc.runtime.cuda.faults import Owner, using
from graphc.runtime.cuda.holdings import largest
from graphc.runtime.cuda.homes import gathered, homes_of
from graphc.runtime.cuda.link import Linked
from graphc.runtime.cuda.repeat import CudaRepeat
from graphc.runtime.cuda.schedule import Captures, Schedule


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
        self.driver = current_driver(ordinal_of(program.options.target))
        self.owner = Owner(f"function {program.options.name or '(unnamed)'!r}")
        self.homes, self.clock = homes_of(self.driver), DeviceClock(plan) if timed else None
        self.stale, self.kinds = False, None
        self.lines: dict[Any, Any] = {}
        self.repeats: dict[Any, CudaRepeat] = {}
        late = {id(v) for v, _, _ in plan.moved}
        self.updated = [v for v in plan.updated if id(v) not in late]
        self.written = [f"`{v.name}`" if v.name else "a shared variable" for v in self.updated]
        with largest(plan), using(self.driver, self.owner):
            self._link(timed)
            if any(step.routine in ("gemm", "stacked") for _, step in plan.all_steps()):
                self.driver.load_products()  # what can fail is done before the first step
            if any(step.routine == "solver" for _, step in plan.all_steps()):
                self.driver.load_solvers()

    def _link(self, timed: bool) -> None:
        plan, program, options = self.plan, self.program, self.program.options
        self.failures = Failures(plan, self.driver, program)
        libraries = Libraries(
            options.cuda_products, options.cuda_convolutions, options.cuda_solvers,
            options.cuda_deterministic,
        )  # fmt: skip
        self.linked = Linked(plan, self.driver, self.homes, self.failures, libraries)
        self.captures = Captures(self.driver, False if timed else options.cuda_graphs)
        count = len(plan.steps)
        groups = [[k] for k in range(count)] if timed else [range(count)]
        self.schedules = [Schedule(self.linked, self.captures, steps=g) for g in groups]
        self.notes = [*plan.notes, f"device: {place_of(self.driver)}"]
        self.notes += dict.fromkeys(self.linked.all_served)
        self.notes += [
            f"transfer out and back: step {step_number(number)}, {step.label}, which NumPy does "
            "in every step of a loop"
            for number, step in plan.all_steps() if len(number) > 1 and step.routine == "host"
        ]  # fmt: skip
        self.borders = Borders(
            self.linked, options.device_outputs, options.borrow_outputs, self.clock, self.owner
        )

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
        elsewhere = self.borders.elsewhere()
        with largest(self.plan), self.alone():
            return self._run(arrays, elsewhere)

    def alone(self) -> AbstractContextManager[None]:
        """A block in which nobody else uses the device or what lies there."""
        shared = [(v.storage, v.name) for v in self.program.shared]
        return gathered(self.driver, shared, self.owner)

    def settle(self) -> None:
        """Bring shared variables to the device, and note which of them will differ there."""
        written = self.updated
        for v in (*self.linked.shared, *written):
            self.homes.address(v.storage, v.name)
        self.homes.changing(v.storage for v in written)

    def _run(self, arrays: list[Any], elsewhere: dict[int, Any]) -> list[Any]:
        start = time.perf_counter()
        linked, kinds = self.linked, [type(a) for a in arrays]
        if kinds != self.kinds:
            self.kinds, self.plan.notes[:] = kinds, [*self.notes, *self.borders.transfers(arrays)]
        self.owner.begun = []
        self.failures.clear()
        self.borders.take(arrays)
        self.settle()
        linked.place()
        self.owner.begun = self.written
        self._steps()
        record = self.failures.blank()
        results = self.borders.results(record, elsewhere)
        self.failures.raise_if_any(record)
        for variable, value, place in self.plan.moved:
            array = np.empty(value.type.shape, dtypes.numpy_dtype(value.dtype))
            found, offset = linked.memory_of(place)
            found.read(array, offset)
            variable.storage.replace(as_storage(array, copy=True))
        if self.clock is not None:
            self.clock.add_call(time.perf_counter() - start)
        return results

    def _steps(self) -> None:
        for k, schedule in enumerate(self.schedules):
            if self.clock is None:
                schedule.run()
                continue
            before = time.perf_counter_ns()
            schedule.run()
            self.driver.synchronize()
            self.clock.add(k, time.perf_counter_ns() - before)

    # --- many calls at once -----------------------------------------------------------

    @property
    def can_repeat(self) -> bool:
        """Whether calls may follow one another without the host: see `CudaRepeat`."""
        hosts = any(step.routine == "host" for _, step in self.plan.all_steps())
        return not (hosts or self.plan.moved or self.clock is not None)

    def repeat(
        self, given: Sequence[tuple[Any, bool]], results: Sequence[Array], until: int | None
    ) -> Any:
        """Calls over rows of arguments and results; see `graphc.runtime.repeat.Repeat`."""
        rows = tuple(moves for _, moves in given)
        found = self.repeats.get((rows, until))
        if found is None:
            found = CudaRepeat(self.linked, self.captures, rows, until)
            self.repeats[rows, until] = found
        return _Locked(self, found, [array for array, _ in given], list(results))

    def _own(self, array: Any) -> Any:
        return array if isinstance(array, DeviceArray) else np.ascontiguousarray(array)


class _Locked:
    """A repeat with its arguments and results, run while no other call is."""

    def __init__(
        self, bound: CudaBound, repeat: CudaRepeat, given: list[Any], results: list[Array]
    ) -> None:
        self.bound, self.repeat, self.given, self.results = bound, repeat, given, results

    def run(self, first: int, last: int) -> tuple[int, bool, Exception | None, bool]:
        with largest(self.bound.plan), self.bound.alone():
            self.bound.settle()
            self.bound.owner.begun = self.bound.written
            return self.repeat.run(self.given, self.results, first, last)


class DeviceClock:
    """Times of a plan's steps, each waited for; what the profile reads.

    The steps of loops have none: a loop is timed as a whole.
    """

    def __init__(self, plan: Plan) -> None:
        self.record: Array = np.zeros((max(len(plan.steps), 1), 2), "int64")
        bodies = {k: s.body for k, s in enumerate(plan.steps)}
        self.bodies = {k: DeviceClock(body) for k, body in bodies.items() if body is not None}
        self.calls, self.seconds = 0, 0.0
        self.transfers: dict[str, list[int]] = {}

    def add(self, step: int, nanoseconds: int) -> None:
        self.record[step] += (nanoseconds, 1)

    def add_transfer(self, label: str, size: int, nanoseconds: int) -> None:
        """Count a copy at the plan's borders: its bytes, how often, and the time."""
        found = self.transfers.setdefault(label, [size, 0, 0])
        found[1] += 1
        found[2] += nanoseconds

    def add_call(self, seconds: float) -> None:
        self.calls += 1
        self.seconds += seconds
