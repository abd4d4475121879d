"""A bound plan, ready to be called: checked arrays in, fresh arrays out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Array, as_storage
from graphc.core.plan import FAILED, Plan
from graphc.runtime import natives
from graphc.runtime.buffers import empty
from graphc.runtime.clock import Clock
from graphc.runtime.entry import BoundEntry, InputSpec, OutputSpec
from graphc.runtime.link import link, view_of
from graphc.runtime.reference import meaning

LONG = 50e-6  # seconds from which on a plan lets other threads have the interpreter
FLOPS, BYTES = 5e10, 1e10  # a second, about


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
        self.hosts = [k for k, s in enumerate(plan.steps) if s.routine == "host"]
        self.walk = natives.address("walk")
        self.clock = Clock(len(plan.steps)) if timed else None
        self.native: BoundEntry | None = None
        if not self.hosts and not plan.moved and not timed:
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
        work = sum(s.flops / FLOPS + s.bytes / BYTES for s in self.plan.steps)
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
        step = self.plan.steps[number]
        about = step.checks[code - 1] if 0 < code <= len(step.checks) else step.nodes[-1]
        if about in self.plan.guards:
            return None
        error: Exception = self.program.failed(about, self.linked.error)
        return error

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
        self._walk(given, results)
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

    def _walk(self, given: list[Array], results: list[Array]) -> None:
        steps, start = self.linked.table, 0
        for stop in (*self.hosts, len(steps)):
            if stop > start:
                if self.clock is None:
                    code = natives.call(self.walk, steps.ctypes.data, start, stop)
                else:
                    code = self.clock.walk(steps, start, stop)
                if code:
                    error = self._error(*natives.failed_step(code))
                    raise error or RuntimeError("a size changed while the plan ran")
            if stop < len(steps):
                before = time.perf_counter_ns()
                self._host(stop, given, results)
                if self.clock is not None:
                    self.clock.add(stop, time.perf_counter_ns() - before)
            start = stop + 1

    def _host(self, k: int, given: list[Array], results: list[Array]) -> None:
        """Run one op with NumPy, over the plan's own memory."""
        node, operands, target = self.plan.steps[k].extra
        values = []
        for operand in operands:
            if isinstance(operand, np.ndarray):
                values.append(operand)
            elif isinstance(operand[1], tuple):
                number, shape, dtype = operand
                values.append(np.broadcast_to(dtypes.convert(number, dtype), shape))
            else:
                address, layout, dtype, moves = operand
                moved = self._moved(moves, given, results) * dtypes.numpy_dtype(dtype).itemsize
                values.append(
                    view_of(self.linked, address.place, address.offset + moved, layout.shape,
                            layout.strides, dtype, given, results)
                )  # fmt: skip
        value = np.asarray(meaning(node, values))
        shape = node.type.shape
        if value.shape != shape:
            raise ShapeError(
                f"{node.op.name} gave an array of shape {value.shape}, and {shape} was inferred",
                "correct its infer or infer_shape", node.where,
            )  # fmt: skip
        strides = _steps(shape)
        np.copyto(
            view_of(self.linked, target.place, target.offset, shape, strides, node.dtype,
                    given, results),
            dtypes.convert(value, node.dtype),
        )  # fmt: skip

    def _moved(self, moves: Any, given: list[Array], results: list[Array]) -> int:
        """By how many elements indices that only run time tells move an operand."""
        total = 0
        for address, d in moves:
            index = int(view_of(self.linked, address.place, address.offset, (), (), "int64",
                                given, results))  # fmt: skip
            place = index + d.size if d.checked and index < 0 else index
            if d.checked and not 0 <= place < d.size:
                self.linked.error[:2] = index, d.size
                raise self.program.failed(d.owner, self.linked.error)
            total += place * d.stride
        return total

    def _store(
        self, variable: Any, value: Any, place: Any, given: list[Array], results: list[Array]
    ) -> None:
        """A new value that could not be made in its variable's memory."""
        shape = value.type.shape
        new = view_of(self.linked, place, 0, shape, _steps(shape), value.dtype, given, results)
        old = variable.storage.array
        if old.shape == shape:
            np.copyto(old, new)
        else:
            variable.storage.replace(as_storage(new, copy=True))


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
