"""A bound plan, ready to be called: checked arrays in, fresh arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array, as_storage
from graphc.core.plan import Plan
from graphc.runtime import natives
from graphc.runtime.link import link, view_of


class Bound:
    """One plan in memory, and the ways to run it."""

    def __init__(self, plan: Plan, program: Any, single: bool = False) -> None:
        self.plan = plan
        self.program = program
        self.single = single
        self.linked = link(plan)
        self.stale = False
        self.entry: Any = None
        self.hosts = [k for k, s in enumerate(plan.steps) if s.routine == "host"]
        self.walk = natives.address("walk")

    def relocate(self) -> None:
        """Look up the addresses of shared variables again."""
        self.linked.relocate()
        self.stale = False

    def run(self, arrays: list[Array]) -> list[Array]:
        """The results for arguments of the sizes the plan is for."""
        linked = self.linked
        given = [self._own(a) for a in arrays]
        results = [np.empty(shape, dtype) for dtype, shape in self.plan.outputs]
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

    def updated(self) -> list[Any]:
        """The shared variables whose memory steps overwrite."""
        return [
            p.owner for p in dict.fromkeys(self.plan.places.values()) if p.kind == "shared"
        ]

    def _walk(self, given: list[Array], results: list[Array]) -> None:
        steps, start = self.linked.table, 0
        for stop in (*self.hosts, len(steps)):
            if stop > start:
                code = natives.call(self.walk, steps.ctypes.data, start, stop)
                if code:
                    number, what = natives.failed_step(code)
                    raise self.program.failed(self.plan.steps[number], what, self.linked.error)
            if stop < len(steps):
                self._host(stop, given, results)
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
                values.append(np.broadcast_to(np.asarray(number, dtype), shape))
            else:
                address, layout, dtype = operand
                values.append(
                    view_of(self.linked, address.place, address.offset, layout.shape,
                            layout.strides, dtype, given, results)
                )  # fmt: skip
        with np.errstate(all="ignore"):
            value = node.op.numpy(*values, **node.attrs)
        shape = node.type.shape
        strides = _steps(shape)
        np.copyto(
            view_of(self.linked, target.place, target.offset, shape, strides, node.dtype,
                    given, results),
            np.asarray(value).astype(dtypes.numpy_dtype(node.dtype)),
        )  # fmt: skip

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
