"""The way into a bound plan: from Python's arguments to the steps and back.

A :class:`BoundEntry` holds the table that the native entry (:mod:`graphc.runtime.entry_source`)
works on, and the pools of output arrays. ``entry.call(*args)`` is the native way: it returns the
outputs, or an :class:`Outcome`. ``entry.run(arrays)`` handles the outcomes: it copies arguments
whose layout isn't the bound one, refills pools and waits for other threads.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.plan import FAILED, Outcome
from graphc.runtime import layout, natives
from graphc.runtime.buffers import address_of, empties, empty
from graphc.runtime.compile import compile_plain
from graphc.runtime.entry_source import Input, Output, Process, Table, source
from graphc.runtime.forks import unlock_in_children

LARGE, SMALL = 2**20, 2**12
DEPTH, DEPTH_OF_LARGE, GREATEST_DEPTH = 4, 3, 64
_WAIT = 20e-6  # seconds between two looks at a busy plan


UNFIT = Outcome("unfit")
"""An argument isn't what the plan was bound to, or shares memory with what it updates."""
BUSY = Outcome("busy")
"""Another thread is inside."""
EMPTY = Outcome("empty")
"""All arrays of an output's pool are in the user's hands."""
Patch = tuple[int, int]
"""An offset in bytes, and the address of the word that an array's address plus it goes to."""


@dataclass(frozen=True)
class InputSpec:
    """An argument: its dtype and sizes, and where its address goes.

    Attributes
    ----------
    strides : in bytes; None for C order.
    numbers : whether Python's and NumPy's numbers are taken too (only for rank 0). A Python
        float is no integer; one that goes into a float32 is rounded.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    patches: tuple[Patch, ...]
    strides: tuple[int, ...] | None = None
    numbers: bool = True


@dataclass(frozen=True)
class OutputSpec:
    """A result: a fresh array in C order, and where its address goes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    patches: tuple[Patch, ...]


class BoundEntry:
    """The entry of one bound plan.

    Parameters
    ----------
    inputs, outputs : what goes in and out.
    steps : int64 array of the plan's steps, `natives.STEP_WORDS` words each.
    returns : ``"one"`` output, a ``"list"``, or ``"none"``.
    guarded : address ranges (first, past the last) that steps write; arguments in them are copied.
    long : release the GIL while the steps run.
    keep : what has to live as long as the entry: blocks, arenas, shared arrays.
    native : False takes the Python path only.

    Attributes
    ----------
    call : the native function, or None where this interpreter's layout is unknown.
    """

    def __init__(
        self,
        inputs: Sequence[InputSpec],
        outputs: Sequence[OutputSpec],
        steps: np.ndarray,
        *,
        returns: str = "list",
        guarded: Sequence[tuple[int, int]] = (),
        long: bool = False,
        keep: object = None,
        native: bool = True,
    ) -> None:
        if returns == "one" and len(outputs) != 1:
            raise ValueError(f"returns='one' with {len(outputs)} outputs")
        self.inputs, self.outputs, self.returns = tuple(inputs), tuple(outputs), returns
        self.steps = np.ascontiguousarray(steps, np.int64).reshape(-1, natives.STEP_WORDS)
        self.guarded, self.keep = tuple(guarded), keep
        self._lock = threading.Lock()
        self._result = 0
        self._kept: list[Any] = []
        self._pools: list[list[np.ndarray]] = [[] for _ in self.outputs]
        self._strides = [s.strides or empty_strides(s.shape, s.dtype) for s in self.inputs]
        self.table = np.zeros(len(Table), np.int64)
        self.call: Callable[..., Any] | None = None
        if native and layout.is_known():
            self._fill_table(long)
            self.call = _method(self.table)
        unlock_in_children(self)

    def run(self, arrays: Sequence[np.ndarray]) -> Any:
        """Return the outputs for arrays of the bound dtypes and sizes, or `FAILED`."""
        if self.call is None:
            return self._run_in_python(arrays)
        fitting = [self._fitting(i, array) for i, array in enumerate(arrays)]
        while True:
            result = self.call(*fitting)
            if result is BUSY:
                time.sleep(_WAIT)
            elif result is EMPTY:
                self._refill()
            elif result is UNFIT:
                raise ValueError("the arguments are not those that this entry was bound to")
            else:
                return result

    def failure(self) -> tuple[int, int]:
        """Return the step that failed and its code, and let the next call in."""
        if self.call is None:
            return natives.failed_step(self._result)
        result = int(self.table[Table.RESULT])
        self.table[Table.BUSY] = 0
        return natives.failed_step(result)

    def retire(self) -> None:
        """Take no calls any more: whoever still has `call` gets `UNFIT`."""
        self.table[Table.INPUT_COUNT] = -1

    def forget_callers(self) -> None:
        """Let calls in again; for a child process, which has its parent's memory only."""
        self._lock = threading.Lock()
        self.table[Table.BUSY] = 0

    def _fitting(self, number: int, array: np.ndarray) -> np.ndarray:
        """The array, or a copy of it that the native entry takes."""
        spec, strides = self.inputs[number], self._strides[number]
        array = np.asanyarray(array)
        if array.shape != spec.shape or array.dtype.newbyteorder("=") != spec.dtype:
            wanted, given = (spec.dtype, spec.shape), (array.dtype, array.shape)
            raise ValueError(f"argument {number} has to be {wanted}, not {given}")
        moved = any(n > 1 and a != b for n, a, b in zip(spec.shape, array.strides, strides))
        start = address_of(array)
        end = start + max(array.nbytes, 1)
        shared = any(start < high and low < end for low, high in self.guarded)
        is_plain = type(array) is np.ndarray and array.dtype is spec.dtype
        if is_plain and not moved and not shared and start % spec.dtype.itemsize == 0:
            if array.strides == strides:
                return array
            # NumPy leaves the strides of axes of size 1 as they come.
            return np.ndarray(spec.shape, spec.dtype, array, 0, strides)
        fresh = with_strides(spec.shape, spec.dtype, strides)
        fresh[...] = array
        return fresh

    def _refill(self) -> None:
        """Replace the arrays that the user holds by new ones; more of them if they are small."""
        with self._lock:
            stale = []
            for k, spec in enumerate(self.outputs):
                pool = self._pools[k]
                if not any(_is_ready(pool, i, spec) for i in range(len(pool))):
                    stale.append(k)
            for k in stale or range(len(self.outputs)):
                self._set_pool(k, self._depth(self.outputs[k], len(self._pools[k])))

    def _depth(self, spec: OutputSpec, before: int) -> int:
        size = spec.dtype.itemsize * int(np.prod(spec.shape, dtype=np.int64))
        if size > LARGE:
            return DEPTH_OF_LARGE
        return min(max(2 * before, DEPTH), GREATEST_DEPTH) if size <= SMALL else DEPTH

    def _set_pool(self, number: int, depth: int) -> None:
        spec = self.outputs[number]
        pool = empties(depth, spec.shape, spec.dtype)
        addresses = np.array([id(array) for array in pool], np.int64)
        # Another thread may be inside with an array of the old pool: it holds a reference.
        self._output_words[number, Output.POOL_COUNT] = 0
        self._output_words[number, Output.POOL] = address_of(addresses)
        self._output_words[number, Output.POOL_COUNT] = depth
        self._pools[number], self._pool_words[number] = pool, addresses

    def _fill_table(self, long: bool) -> None:
        words, count = self.table, len(self.inputs)
        self._input_words = np.zeros((count, len(Input)), np.int64)
        for i, spec in enumerate(self.inputs):
            self._describe_input(self._input_words[i], spec, self._strides[i])
        self._output_words = np.zeros((len(self.outputs), len(Output)), np.int64)
        self._pool_words: list[Any] = [None] * len(self.outputs)
        for k, result in enumerate(self.outputs):
            self._describe_output(self._output_words[k], result)
            self._set_pool(k, self._depth(result, 0))
        words[Table.PROCESS] = address_of(_process())
        words[Table.INPUTS], words[Table.INPUT_COUNT] = address_of(self._input_words), count
        words[Table.OUTPUTS] = address_of(self._output_words)
        words[Table.OUTPUT_COUNT] = len(self.outputs)
        words[Table.TAKEN] = self._keep([0] * len(self.outputs))
        words[Table.GUARDED] = self._keep([word for pair in self.guarded for word in pair])
        words[Table.GUARDED_COUNT] = len(self.guarded)
        words[Table.WALK] = natives.address("walk")
        words[Table.STEPS], words[Table.HIGH] = address_of(self.steps), len(self.steps)
        words[Table.RELEASES_GIL] = int(long)
        words[Table.RETURNS] = ("none", "one", "list").index(self.returns)

    def _describe_input(
        self, words: np.ndarray, spec: InputSpec, strides: tuple[int, ...]
    ) -> None:
        dtype = spec.dtype
        words[Input.DESCR], words[Input.RANK] = id(dtype), len(spec.shape)
        words[Input.SHAPE] = self._keep([*spec.shape, *strides])
        words[Input.MASK], words[Input.ITEMSIZE] = dtype.itemsize - 1, dtype.itemsize
        extents = [(n - 1) * abs(stride) for n, stride in zip(spec.shape, strides)]
        words[Input.BYTES] = 0 if 0 in spec.shape else sum(extents) + dtype.itemsize
        words[Input.PATCHES] = self._keep([word for patch in spec.patches for word in patch])
        words[Input.PATCH_COUNT] = len(spec.patches)
        kind = {"float64": 1, "float32": 2}.get(dtype.name, 3 if dtype.kind in "iu" else 0)
        if spec.numbers and not spec.shape and kind:
            words[Input.CELL], words[Input.CELL_KIND] = self._keep([0]), kind
            words[Input.SCALAR] = id(dtype.type)
            if kind == 3:
                info = np.iinfo(dtype)
                words[Input.LEAST], words[Input.GREATEST] = info.min, min(info.max, 2**63 - 1)

    def _describe_output(self, words: np.ndarray, spec: OutputSpec) -> None:
        probe = empty(spec.shape, spec.dtype)
        words[Output.DESCR], words[Output.RANK] = id(spec.dtype), len(spec.shape)
        words[Output.SHAPE] = self._keep([*spec.shape, *probe.strides])
        words[Output.FLAGS] = probe.flags.num
        words[Output.PATCHES] = self._keep([word for patch in spec.patches for word in patch])
        words[Output.PATCH_COUNT] = len(spec.patches)

    def _keep(self, words: Sequence[int]) -> int:
        """Hold words for the entry's life and return their address."""
        array = np.array([*words, 0], np.int64)
        self._kept.append(array)
        return address_of(array)

    def _run_in_python(self, arrays: Sequence[np.ndarray]) -> Any:
        """The same as the native entry, for interpreters whose layout isn't known."""
        fitting = [self._fitting(i, array) for i, array in enumerate(arrays)]
        with self._lock:
            results = [empty(spec.shape, spec.dtype) for spec in self.outputs]
            for spec, array in [*zip(self.inputs, fitting), *zip(self.outputs, results)]:
                for offset, place in spec.patches:
                    ctypes.c_int64.from_address(place).value = address_of(array) + offset
            walk, steps = natives.address("walk"), self.steps
            self._result = natives.call(walk, address_of(steps), 0, len(steps))
            if self._result:
                return FAILED
        return {"none": None, "one": results[0] if results else None}.get(self.returns, results)


def empty_strides(shape: Sequence[int], dtype: np.dtype) -> tuple[int, ...]:
    """Return the strides of a new array in C order."""
    return empty(shape, dtype).strides if 0 in shape else _strides(shape, dtype.itemsize)


def _strides(shape: Sequence[int], step: int) -> tuple[int, ...]:
    strides = []
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def with_strides(
    shape: tuple[int, ...], dtype: np.dtype, strides: tuple[int, ...]
) -> np.ndarray:
    """Return a new array with given strides, which mustn't be negative."""
    size = 1 + sum((n - 1) * s for n, s in zip(shape, strides)) // dtype.itemsize
    memory = empty((0 if 0 in shape else size,), dtype)
    return np.ndarray(shape, dtype, memory, 0, strides)


def _is_ready(pool: list[np.ndarray], number: int, spec: OutputSpec) -> bool:
    """Whether nobody else holds an array, and nobody has changed its shape or flags."""
    if ctypes.c_uint32.from_address(id(pool[number]) + layout.REFERENCES).value != 1:
        return False
    array = pool[number]
    is_same = array.shape == spec.shape and array.dtype is spec.dtype
    return is_same and array.strides == empty_strides(spec.shape, spec.dtype) and (
        array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    )


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


METH_FASTCALL = 0x80


@functools.cache
def _definition() -> _MethodDef:
    address = compile_plain(source(), "entry").address
    return _MethodDef(b"graphc_entry", address, METH_FASTCALL, b"Run a bound plan.")


def _method(table: np.ndarray) -> Callable[..., Any]:
    """A Python callable whose `self` is the table."""
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    method: Callable[..., Any] = new(ctypes.addressof(_definition()), table, None)
    return method


PYTHON_FUNCTIONS = {
    Process.INCREF: "Py_IncRef",
    Process.DECREF: "Py_DecRef",
    Process.SAVE_THREAD: "PyEval_SaveThread",
    Process.RESTORE_THREAD: "PyEval_RestoreThread",
    Process.NEW_LIST: "PyList_New",
    Process.SET_ITEM: "PyList_SetItem",
    Process.AS_DOUBLE: "PyLong_AsDouble",
    Process.AS_INT: "PyLong_AsLongLongAndOverflow",
    Process.ERROR_OCCURRED: "PyErr_Occurred",
    Process.ERROR_CLEAR: "PyErr_Clear",
}
OBJECTS = {
    Process.ARRAY: np.ndarray,
    Process.FLOAT: float,
    Process.INT: int,
    Process.NONE: None,
    Process.UNFIT: UNFIT,
    Process.BUSY: BUSY,
    Process.EMPTY: EMPTY,
    Process.FAILED: FAILED,
}


@functools.cache
def _process() -> np.ndarray:
    """The addresses that all tables share."""
    words = np.zeros(len(Process), np.int64)
    for place, thing in OBJECTS.items():
        words[place] = id(thing)
    for place, name in PYTHON_FUNCTIONS.items():
        function = getattr(ctypes.pythonapi, name)
        words[place] = ctypes.cast(function, ctypes.c_void_p).value or 0
    return words
