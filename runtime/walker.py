"""Plans with steps that Python does: native steps in between run natively."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.core.plan import Step
from graphc.runtime import natives
from graphc.runtime.clock import Clock
from graphc.runtime.hosts import host_value, moved
from graphc.runtime.link import CONDITION_WORD, HEAD, POINTER_WORDS, RESULT_WORD, Linked, view_of


def needs_python(step: Step) -> bool:
    """Whether a step, or one in its body, is done by NumPy."""
    if step.routine == "loop":
        return any(needs_python(s) for s in step.extra[0].body.steps)
    return step.routine == "host"


class Walker:
    """Runs the steps of a plan, those of the host among them.

    Attributes
    ----------
    hosts : list of int
        The steps that aren't native.
    """

    def __init__(self, linked: Linked, program: Any, clock: Clock | None = None) -> None:
        self.linked, self.plan, self.program = linked, linked.plan, program
        self.clock = clock
        self.hosts = [k for k, s in enumerate(self.plan.steps) if needs_python(s)]
        self.walk = natives.address("walk")
        self.bodies = {
            k: Walker(body, program, None if clock is None else clock.bodies[k])
            for k, body in linked.loops.items()
        }

    def error(self, number: int, code: int) -> Exception | None:
        """What stopped a native step; None if its sizes were not this plan's."""
        step = self.plan.steps[number]
        if step.routine == "loop":
            result = int(self.linked.words[self.linked.starts[number] + RESULT_WORD])
            body = self.bodies[number]
            if body.clock is not None:
                result = body.clock.result
            return body.error(*natives.failed_step(result))
        about = step.checks[code - 1] if 0 < code <= len(step.checks) else step.nodes[-1]
        if about in self.plan.guards:
            return None
        error: Exception = self.program.failed(about, self.linked.error)
        return error

    def run(self, given: list[Array], results: list[Array]) -> None:
        """Run all steps over arguments and results of the plan's sizes."""
        steps, start = self.linked.table, 0
        for stop in (*self.hosts, len(steps)):
            if stop > start:
                if self.clock is None:
                    code = natives.call(self.walk, steps.ctypes.data, start, stop)
                else:
                    code = self.clock.walk(start, stop)
                if code:
                    error = self.error(*natives.failed_step(code))
                    raise error or RuntimeError("a size changed while the plan ran")
            if stop < len(steps):
                before = time.perf_counter_ns()
                self._python(stop, given, results)
                if self.clock is not None:
                    self.clock.add(stop, time.perf_counter_ns() - before)
            start = stop + 1

    def _python(self, k: int, given: list[Array], results: list[Array]) -> None:
        if self.plan.steps[k].routine == "loop":
            self._loop(k)
        else:
            self._host(k, given, results)

    def _loop(self, k: int) -> None:
        """Run a loop whose body has steps of the host."""
        plan, pointers = self.plan.steps[k].extra
        body, start = self.linked.loops[k], self.linked.starts[k]
        words = self.linked.words[start:]
        types = {"input": [(v.dtype, v.type.shape) for v in body.plan.inputs],
                 "output": body.plan.outputs}  # fmt: skip
        done = 0
        if words[8] and bool(array_at(int(words[8]), "bool", ())) != bool(words[9]):
            return
        while done < words[0]:
            arrays: dict[str, dict[int, Array]] = {"input": {}, "output": {}}
            for n, p in enumerate(pointers):
                entry = words[HEAD + n * POINTER_WORDS :]
                first = 1 if done < entry[0] else 3
                address = int(entry[first] + done * entry[first + 1])
                if p.kind == "shared":
                    cell = p.number
                    cell.storage.array = array_at(address, cell.dtype, cell.storage.array.shape)
                    for found, offset, word in body.shared:
                        if found is cell:
                            body.words[word] = address + offset
                    continue
                dtype, shape = types[p.kind][p.number]
                arrays[p.kind][p.number] = array_at(address, dtype, shape)
            if plan.until is not None:
                dtype, shape = types["output"][plan.until]
                arrays["output"][plan.until] = array_at(int(words[CONDITION_WORD]), dtype, shape)
            given = [arrays["input"][n] for n in range(len(types["input"]))]
            results = [arrays["output"][n] for n in range(len(types["output"]))]
            for arrays_of, found_words in ((given, body.inputs), (results, body.outputs)):
                for n, offset, word in found_words:
                    body.words[word] = arrays_of[n].ctypes.data + offset
            self.bodies[k].run(given, results)
            done += 1
            if plan.until is not None and results[plan.until]:
                break
        if words[6]:
            array_at(int(words[6]), "int64", ())[()] = done

    def _host(self, k: int, given: list[Array], results: list[Array]) -> None:
        """Run one op with NumPy, over the plan's own memory."""
        step = self.plan.steps[k]
        node, _, target = step.extra

        def index_at(address: Any) -> int:
            return int(view_of(self.linked, address.place, address.offset, (), (), "int64",
                               given, results))  # fmt: skip

        def operand_of(address: Any, layout: Any, dtype: str, moves: Any) -> Array:
            offset = moved(moves, index_at, self._outside) * dtypes.numpy_dtype(dtype).itemsize
            return view_of(self.linked, address.place, address.offset + offset, layout.shape,
                           layout.strides, dtype, given, results)  # fmt: skip

        value, shape = host_value(step, operand_of), node.type.shape
        np.copyto(
            view_of(self.linked, target.place, target.offset, shape, c_strides(shape), node.dtype,
                    given, results),
            value,
        )  # fmt: skip

    def _outside(self, owner: Any, index: int, size: int) -> Exception:
        self.linked.error[:2] = index, size
        failed: Exception = self.program.failed(owner, self.linked.error)
        return failed


def array_at(address: int, dtype: str, shape: tuple[int, ...]) -> Array:
    """An array over memory that somebody else owns."""
    kind = dtypes.numpy_dtype(dtype)
    count = kind.itemsize * int(np.prod(shape, dtype=int))
    buffer = (ctypes.c_char * max(count, 1)).from_address(address)
    return np.ndarray(shape, kind, buffer)


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The element strides of an array in C order."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
