"""A bound plan, ready to be called: checked arrays in, fresh arrays out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array, as_storage
from graphc.core.plan import FAILED, Plan
from graphc.runtime.buffers import empty
from graphc.runtime.clock import Clock
from graphc.runtime.entry import BoundEntry, InputSpec, OutputSpec
from graphc.runtime.link import link, view_of
from graphc.runtime.parts import seconds
from graphc.runtime.walker import Walker, c_strides

LONG = 50e-6  # seconds from which on a plan lets other threads have the interpreter


class Bound:
    """One plan in memory, and the ways to run it.

    Plans whose steps are all native run through a `BoundEntry`; those with host steps, or
    with updates that change a shape, are walked from here, and so are `timed` ones.
    """

    def __init__(
        self,
        plan: Plan,
        program: Any,
        returns: str = "list",
        timed: bool = False,
        earlier: Plan | None = None,
    ) -> None:
        self.plan = plan
        self.program = program
        self.returns = returns
        self.linked = link(plan, earlier)
        self.stale = False
        self.lines: dict[Any, Any] = {}  # the user's lines that steps' nodes are about
        self.clock = Clock(self.linked) if timed else None
        self.walker = Walker(self.linked, program, self.clock)
        self.native: BoundEntry | None = None
        if not self.walker.hosts and not plan.moved and not timed:
            self.native = self._make_entry()

    @property
    def entry(self) -> Any:
        """The native way in, or None."""
        return None if self.native is None else self.native.call

    def _make_entry(self) -> BoundEntry:
        base = self.linked.words.ctypes.data

        def patches(found: list[tuple[int, int, int]], number: int) -> tuple[Any, ...]:
            return tuple((offset, base + 8 * w) for n, offset, w in found if n == number)

        inputs = [
            InputSpec(dtypes.numpy_dtype(v.dtype), v.type.shape, patches(self.linked.inputs, k))
            for k, v in enumerate(self.plan.inputs)
        ]
        outputs = [
            OutputSpec(dtypes.numpy_dtype(dtype), shape, patches(self.linked.outputs, k))
            for k, (dtype, shape) in enumerate(self.plan.outputs)
        ]
        guarded = [
            (a.ctypes.data, a.ctypes.data + a.nbytes)
            for v in self.updated() if (a := v.storage.array).nbytes
        ]  # fmt: skip
        work = sum(map(seconds, self.plan.steps))
        return BoundEntry(
            inputs, outputs, self.linked.table, returns=self.returns, guarded=guarded,
            long=work > LONG, keep=(self.linked, [v.storage.array for v in self.shared()]),
        )  # fmt: skip

    def retire(self) -> None:
        """Let nobody in any more: an address is no longer valid, or the plan is dropped."""
        if self.native is not None:
            self.native.retire()
        self.stale = True

    def relocate(self) -> None:
        """Look up the addresses of shared variables again."""
        self.linked.relocate()
        if self.native is not None:
            self.native = self._make_entry()
        self.stale = False

    def run(self, arrays: list[Array]) -> list[Array]:
        """The results for arguments of the sizes the plan is for."""
        if self.clock is not None:
            start = time.perf_counter()
            results = self._run_from_here(arrays)
            self.clock.add_call(time.perf_counter() - start)
            return results
        if self.native is None:
            return self._run_from_here(arrays)
        found = self.native.run(arrays)
        if found is FAILED:
            raise self.failure() or RuntimeError("a size changed while the plan ran")
        if self.returns == "one":
            return [found]
        return [] if found is None else found

    def failure(self) -> Exception | None:
        """What stopped the latest native call; None if its sizes were not this plan's."""
        assert self.native is not None
        return self._error(*self.native.failure())

    def _error(self, number: int, code: int) -> Exception | None:
        return self.walker.error(number, code)

    def shared(self) -> list[Any]:
        """The shared variables that steps read or overwrite."""
        return list(dict.fromkeys(v for v, _, _ in self.linked.shared))

    def updated(self) -> list[Any]:
        """The shared variables whose memory steps overwrite."""
        return list(dict.fromkeys(self.plan.updated))

    def _run_from_here(self, arrays: list[Array]) -> list[Array]:
        linked = self.linked
        given = [self._own(a) for a in arrays]
        results = [empty(shape, dtypes.numpy_dtype(d)) for d, shape in self.plan.outputs]
        for number, offset, word in linked.inputs:
            linked.words[word] = given[number].ctypes.data + offset
        for number, offset, word in linked.outputs:
            linked.words[word] = results[number].ctypes.data + offset
        self.walker.run(given, results)
        for variable, value, place in self.plan.moved:
            self._store(variable, value, place, given, results)
        return results

    def _own(self, array: Array) -> Array:
        """An argument that kernels can read: contiguous, and not memory they overwrite."""
        array = np.require(array, requirements=["C", "A"])
        for variable in self.updated():
            if np.may_share_memory(array, variable.storage.array):
                return array.copy()
        return array

    def _store(
        self, variable: Any, value: Any, place: Any, given: list[Array], results: list[Array]
    ) -> None:
        """A new value that could not be made in its variable's memory."""
        shape = value.type.shape
        new = view_of(self.linked, place, 0, shape, c_strides(shape), value.dtype, given, results)
        old = variable.storage.array
        if old.shape == shape:
            np.copyto(old, new)
        else:
            variable.storage.replace(as_storage(new, copy=True))

