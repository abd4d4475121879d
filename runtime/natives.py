"""The executor's own native functions, written in the kernel language.

A plan is a table of steps, four words each: the address of a function, of its block, and the
range that it works on. Every step is a function of the kernels' ABI; what isn't a kernel (a BLAS
product, a copy, the pointer of a slice) is one of the functions below. Each is compiled when it
is first asked for.
"""

from __future__ import annotations

import ctypes
import functools
import time
from typing import Any

from graphc.runtime import blas
from graphc.runtime.compile import Compiled, compile_source

STEP_WORDS = 4
CODE_BITS = 32

WALK = """
def kernel(steps, low, high):
    for i in range(low, high):
        step = steps + i * 32
        code = call_step(peek_int64(step), peek_int64(step + 8),
                         peek_int64(step + 16), peek_int64(step + 24))
        if code != 0:
            return ((i + 1) << 32) | (code & 4294967295)
    return 0
"""

# Words: steps, address of clock_gettime, its clock, table of (nanoseconds, calls) of each step,
# what it returned
WALK_PROFILED = """
def kernel(block, low, high):
    steps = peek_int64(block)
    clock = peek_int64(block + 8)
    kind = peek_int64(block + 16)
    record = peek_int64(block + 24)
    now = local_int64(2)
    time = address_of(now)
    call(clock, kind, time)
    before = now[0] * 1000000000 + now[1]
    for i in range(low, high):
        step = steps + i * 32
        code = call_step(peek_int64(step), peek_int64(step + 8),
                         peek_int64(step + 16), peek_int64(step + 24))
        call(clock, kind, time)
        after = now[0] * 1000000000 + now[1]
        entry = record + i * 16
        poke_int64(entry, peek_int64(entry) + after - before)
        poke_int64(entry + 8, peek_int64(entry + 8) + 1)
        before = after
        if code != 0:
            result = ((i + 1) << 32) | (code & 4294967295)
            poke_int64(block + 32, result)
            return result
    return 0
"""

# The words of a contraction's block; as word 14 the address of BLAS's gemm; as word 15 that of a
# function that sets BLAS's number of threads, or 0, and as word 16 the number to go back to:
# threads of a small product wait for each other longer than they work, on a busy machine most of
# all. BLAS stores by columns: it is asked for C.T = op(B).T op(A).T.
GEMM = """
def kernel(block, low, high):
    a = word(block, 0)
    b = word(block, 1)
    c = word(block, 2)
    m = word(block, 3)
    n = word(block, 4)
    k = word(block, 5)
    a_row = word(block, 6)
    a_col = word(block, 7)
    b_row = word(block, 8)
    b_col = word(block, 9)
    c_row = word(block, 10)
    if word(block, 13) == 0:
        a = a + low * a_row * {size}
        c = c + low * c_row * {size}
        m = high - low
    else:
        b = b + low * b_col * {size}
        c = c + low * {size}
        n = high - low
    a_turned = a_col != 1 and k > 1
    b_turned = b_col != 1 and n > 1
    sizes = local_int32(6)
    sizes[0] = int32(n)
    sizes[1] = int32(m)
    sizes[2] = int32(k)
    sizes[3] = int32(imax(select(b_turned, b_col, b_row), imax(select(b_turned, k, n), 1)))
    sizes[4] = int32(imax(select(a_turned, a_col, a_row), imax(select(a_turned, m, k), 1)))
    sizes[5] = int32(imax(c_row, imax(n, 1)))
    scales = local_{dtype}(2)
    scales[0] = {dtype}(real_word(block, 11))
    scales[1] = {dtype}(real_word(block, 12))
    turns = local_uint8(2)
    turns[0] = select(b_turned, uint8(84), uint8(78))
    turns[1] = select(a_turned, uint8(84), uint8(78))
    i = address_of(sizes)
    s = address_of(scales)
    t = address_of(turns)
    setter = word(block, 15)
    if setter != 0:
        call_void(setter, 1)
    call_void(word(block, 14), t, t + 1, i, i + 4, i + 8, s, b, i + 12, a, i + 16,
              s + {size}, c, i + 20)
    if setter != 0:
        call_void(setter, word(block, 16))
    return 0
"""
BLAS_WORD = 14
THREADED = 2e8  # operations (about 2 ms) from which on BLAS may use its threads

# Words: address (0: what the target holds already), address of the index, size of the axis,
# stride in bytes, whether the index is checked, address of the pointer to set, error record
OFFSET = """
def kernel(block, low, high):
    base = word(block, 0)
    index = read_int64(block, 1)
    size = word(block, 2)
    target = write_int64(block, 5)
    error = write_int64(block, 6)
    i = index[0]
    if word(block, 4) != 0:
        if i < 0:
            i = i + size
        if i < 0 or i >= size:
            error[0] = index[0]
            error[1] = size
            return 1
    if base == 0:
        base = target[0]
    target[0] = base + i * word(block, 3)
    return 0
"""

# Words: address of a coefficient of a product, address of the word of the product's block
SCALE = """
def kernel(block, low, high):
    value = read_{dtype}(block, 0)
    target = write_float64(block, 1)
    target[0] = float64(value[0])
    return 0
"""

# Words: as `graphc.passes.loop_plan.loop_step` says
LOOP = """
def kernel(block, low, high):
    steps = word(block, 0)
    table = word(block, 1)
    count = word(block, 2)
    fixed = word(block, 3)
    pointers = word(block, 4)
    until = word(block, 5)
    when = word(block, 8)
    if when != 0:
        if int64(peek_uint8(when)) != word(block, 9):
            steps = 0
    done = 0
    going = 1
    while going != 0 and done < steps:
        first = select(done == 0, 0, fixed)
        for p in range(first, pointers):
            entry = block + 80 + p * 56
            early = done < peek_int64(entry)
            at = select(early, peek_int64(entry + 8), peek_int64(entry + 24))
            stride = select(early, peek_int64(entry + 16), peek_int64(entry + 32))
            at = at + done * stride
            target = peek_int64(entry + 40)
            for k in range(peek_int64(entry + 48)):
                poke_int64(peek_int64(target + k * 16), at + peek_int64(target + k * 16 + 8))
        for i in range(count):
            step = table + i * 32
            code = call_step(peek_int64(step), peek_int64(step + 8),
                             peek_int64(step + 16), peek_int64(step + 24))
            if code != 0:
                poke_int64(block + 56, ((i + 1) << 32) | (code & 4294967295))
                if word(block, 6) != 0:
                    poke_int64(word(block, 6), done)
                return 1
        done = done + 1
        if until != 0:
            if int64(peek_uint8(until)) != 0:
                going = 0
    if word(block, 6) != 0:
        poke_int64(word(block, 6), done)
    return 0
"""

COPY = """
def kernel(block, low, high):
    copy_memory(word(block, 0) + low, word(block, 1) + low, high - low)
    return 0
"""

SOURCES = {
    "walk": WALK,
    "walk_profiled": WALK_PROFILED,
    "gemm_float32": GEMM.format(dtype="float32", size=4),
    "gemm_float64": GEMM.format(dtype="float64", size=8),
    "offset": OFFSET,
    "loop": LOOP,
    "scale_float32": SCALE.format(dtype="float32"),
    "scale_float64": SCALE.format(dtype="float64"),
    "copy_bytes": COPY,
}
"""The functions' sources by name."""


def native(name: str) -> Compiled:
    """Return one of the functions in `SOURCES`, compiled."""
    return compile_source(SOURCES[name], name)


def address(name: str) -> int:
    """Return a function's address."""
    return native(name).address


def gemm_words(dtype: str, words: list[int], flops: float = 0.0) -> list[int]:
    """Return the block of a ``gemm_*`` step from that of a contraction with the same words.

    Products of fewer than `THREADED` operations run on one thread.
    """
    setter, count = blas.threads() if flops < THREADED else (0, 1)
    return [*words[:BLAS_WORD], blas.address(blas.GEMM[dtype]), setter if count > 1 else 0, count]


def profile_words(steps: int, record: int) -> list[int]:
    """Return the block of ``walk_profiled``.

    Parameters
    ----------
    steps : address of the steps.
    record : address of two words per step, to which nanoseconds and calls are added.
    """
    clock = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0
    return [steps, clock, time.CLOCK_MONOTONIC, record, 0]





def failed_step(result: int) -> tuple[int, int]:
    """Return the number of the step that ended a walk, and its code."""
    return (result >> CODE_BITS) - 1, result & (2**CODE_BITS - 1)


_ABI = ctypes.PYFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)


@functools.lru_cache(maxsize=4096)
def _callable(function: int) -> Any:
    return _ABI(function)


def call(function: int, block: int, low: int, high: int) -> int:
    """Call a native function from Python; the GIL is kept. Returns its code."""
    result = ctypes.c_int64()
    status = _callable(function)(ctypes.addressof(result), None, block, low, high)
    return result.value or int(status)


_FREE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)


def call_released(function: int, block: int) -> int:
    """Call a native function while other threads may have the interpreter. Returns its code."""
    result = ctypes.c_int64()
    status = _FREE(function)(ctypes.addressof(result), None, block, 0, 1)
    return result.value or int(status)
