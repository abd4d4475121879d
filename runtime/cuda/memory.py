"""The words of CUDA kernels that reach memory: argument blocks, arrays, the error record.

An array's address lies in the argument block, as on the CPU. In compiled kernels it becomes an
array without a length (so that negative strides need no care), in the simulator a pointer of
ctypes into the memory of the process.

The error record is four words: what was given, what it had to be below, which step of the plan
stopped (above bit 32, plus 1) with which code, and one word to spare. A step that finds another
step's number there does nothing: so the first failure stops a plan, without a look from the host.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any

import numpy as np

from graphc.runtime.cuda.emit import STEP_BITS
from graphc.runtime.cuda.words import MEMORY, SIMULATED, TYPES, WORDS, cuda, types

_RECORD = 2  # the word of the error record that says who failed


class Pointer:
    """Memory at an address, without bounds; what arrays are in the simulator."""

    def __init__(self, dtype: str, address: int) -> None:
        kind = np.dtype(dtype)
        self.scalar = kind.type
        self.memory = ctypes.cast(int(address), ctypes.POINTER(np.ctypeslib.as_ctypes_type(kind)))

    def __getitem__(self, index: int) -> Any:
        return self.scalar(self.memory[int(index)])

    def __setitem__(self, index: int, value: Any) -> None:
        self.memory[int(index)] = self.scalar(value).item()


def _simulate() -> None:
    lock = threading.Lock()

    def array_at(dtype: str) -> Any:
        return lambda address: Pointer(dtype, address)

    def array_of(dtype: str) -> Any:
        return lambda block, k: Pointer(dtype, Pointer("int64", block)[k])

    for dtype, kept in MEMORY.items():
        WORDS[f"at_{dtype}"] = array_at(kept)
        WORDS[f"read_{dtype}"] = WORDS[f"write_{dtype}"] = array_of(kept)
    WORDS["word"] = lambda block, k: int(Pointer("int64", block)[k])
    WORDS["real_word"] = lambda block, k: Pointer("float64", block)[k]

    def stopped(error: int, step: int) -> bool:
        np.seterr(all="ignore")  # of this thread, which has only now begun
        found = int(Pointer("int64", error)[_RECORD])
        return found != 0 and found >> STEP_BITS != step

    def failed(error: int, step: int, code: int, given: int, size: int) -> None:
        record = Pointer("int64", error)
        with lock:
            if record[_RECORD] == 0:
                record[_RECORD] = (step << STEP_BITS) | code
                record[0], record[1] = given, size

    WORDS["stopped"], WORDS["failed"] = stopped, failed
    _share_one_at_a_time(lock)


def _share_one_at_a_time(lock: threading.Lock) -> None:
    """Let the simulator's threads ask for shared memory one after the other.

    Its own look-up has no lock: two threads that come first at the same time get an array each.
    """
    from numba.cuda.simulator import kernelapi
    from numba.np import numpy_support

    def array(self: Any, shape: int, dtype: Any, alignment: int | None = None) -> Any:
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno
        with lock:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, numpy_support.as_dtype(dtype))
            return self._allocations[place]

    kernelapi.FakeCUDAShared.array = array


def _compile() -> None:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic, overload

    word_type = ir.IntType(64)

    # Whatever has an address here was allocated on the device, so it lies in global memory
    # (address space 1): saying so gives `ld.global` instead of generic loads.
    def global_pointer(builder: Any, address: Any, kind: Any) -> Any:
        place = builder.inttoptr(address, kind.as_pointer(addrspace=1))
        return builder.addrspacecast(place, kind.as_pointer())

    def load(builder: Any, block: Any, k: Any, kind: Any = word_type) -> Any:
        place = builder.gep(global_pointer(builder, block, kind), [k])
        return builder.load(place, align=8)

    def make_array(context: Any, builder: Any, kind: Any, address: Any) -> Any:
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(kind.dtype)
        size = context.get_constant(types.intp, context.get_abi_sizeof(element))
        context.populate_array(
            array, data=global_pointer(builder, address, element),
            shape=[context.get_constant(types.intp, 0)], strides=[size], itemsize=size,
            meminfo=None,
        )  # fmt: skip
        return array._getvalue()

    def array_words(dtype: str) -> None:
        kind = types.Array(TYPES[MEMORY[dtype]], 1, "C")

        def at(typingctx, address):
            def emit(context, builder, sig, values):
                return make_array(context, builder, kind, values[0])

            return kind(types.int64), emit

        def of(typingctx, block, k):
            def emit(context, builder, sig, values):
                return make_array(context, builder, kind, load(builder, *values))

            return kind(types.int64, types.int64), emit

        WORDS[f"at_{dtype}"] = intrinsic(at)
        WORDS[f"read_{dtype}"] = WORDS[f"write_{dtype}"] = intrinsic(of)

    for dtype in MEMORY:
        array_words(dtype)

    def word(typingctx, block, k):
        return types.int64(types.int64, types.int64), lambda context, builder, sig, values: load(
            builder, *values
        )

    def real_word(typingctx, block, k):
        def emit(context, builder, sig, values):
            return load(builder, *values, ir.DoubleType())

        return types.float64(types.int64, types.int64), emit

    WORDS["word"], WORDS["real_word"] = intrinsic(word), intrinsic(real_word)
    at_int64, which, bits = WORDS["at_int64"], _RECORD, STEP_BITS

    def stopped(error, step):
        raise NotImplementedError

    @overload(stopped, strict=True)
    def _stopped(error, step):
        def run(error, step):
            found = at_int64(error)[which]
            return found != 0 and (found >> bits) != step

        return run

    def failed(error, step, code, given, size):
        raise NotImplementedError

    @overload(failed, strict=True)
    def _failed(error, step, code, given, size):
        def run(error, step, code, given, size):
            record = at_int64(error)
            if cuda.atomic.cas(record, which, 0, (step << bits) | code) == 0:
                record[0] = given
                record[1] = size

        return run

    WORDS["stopped"], WORDS["failed"] = stopped, failed


(_simulate if SIMULATED else _compile)()
