"""The words of CUDA kernels that reach several neighbours in memory at once.

``load4_float32(address, at)`` gives elements at, at + 1, ... of an array as a tuple (one element
is no tuple), ``store4_float32(address, at, a, b, c, d)`` writes them; ``fetch`` and ``keep`` do
the same with arrays in shared memory. Each is one instruction of up to 16 bytes, so the first
element has to lie at a multiple of what is moved: the simulator looks whether it does.
``take4_float32(address, at, step, room, whole)`` loads four elements `step` apart, of which only
`room` are there; what isn't is 0. ``put4_float32(address, at, room, whole, alpha, beta, a, b, c,
d)`` puts `alpha` times what it is given to where `room` elements are, plus `beta` times what is
there. Both move whole words where `whole` says that these lie at multiples of their size.
Elements of float16 and bfloat16 are float32 in registers (:mod:`graphc.runtime.cuda.halves`):
``load`` and ``take`` widen them, ``store`` is given what they hold already, and ``put`` rounds.
There are no such in shared memory.
``quotient`` and ``remainder`` divide what is neither negative nor 2**31 or more: 64-bit divisions
are many instructions on a device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.dtypes import is_half, wide
from graphc.runtime.cuda import halves  # noqa: F401  # whose words are used here
from graphc.runtime.cuda.memory import Pointer
from graphc.runtime.cuda.words import MEMORY, SIMULATED, TYPES, WORDS, cuda, types

WIDTHS = {"float32": (1, 2, 4), "float64": (1, 2), "float16": (1, 2, 4), "bfloat16": (1, 2, 4)}
"""By dtype, how many elements a word may move."""


def _simulate() -> None:
    def aligned(place: int, size: int) -> None:
        if place % size:
            raise ValueError(f"{size} bytes at {place}: they lie askew")

    def words_of(dtype: str, count: int) -> None:
        half, size = is_half(dtype), np.dtype(MEMORY[dtype]).itemsize
        widen = WORDS[f"from_{dtype}"] if half else lambda x: x
        narrow = WORDS[f"to_{dtype}"] if half else lambda x: x

        def load(address: int, at: int) -> Any:
            aligned(address + at * size, count * size)
            memory = Pointer(MEMORY[dtype], address)
            found = tuple(widen(memory[at + k]) for k in range(count))
            return found if count > 1 else found[0]

        def store(address: int, at: int, *values: Any) -> None:
            aligned(address + at * size, count * size)
            memory = Pointer(MEMORY[dtype], address)
            for k, value in enumerate(values):
                memory[at + k] = narrow(value)

        def fetch(array: Any, at: int) -> Any:
            aligned(at, count)
            found = tuple(array[at + k] for k in range(count))
            return found if count > 1 else found[0]

        def keep(array: Any, at: int, *values: Any) -> None:
            aligned(at, count)
            array[at : at + count] = values

        words = ("load", load), ("store", store), ("fetch", fetch), ("keep", keep)
        for name, function in words[:2] if half else words:
            WORDS[f"{name}{count}_{dtype}"] = function

    for dtype, counts in WIDTHS.items():
        for count in counts:
            words_of(dtype, count)
    WORDS["quotient"] = lambda x, y: int(x) // int(y)
    WORDS["remainder"] = lambda x, y: int(x) % int(y)


def _compile() -> None:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    in_global = 1  # the address space
    i16, i32, half, single = ir.IntType(16), ir.IntType(32), ir.HalfType(), ir.FloatType()
    conversions = {
        "float16": (
            lambda b, x: b.fpext(b.bitcast(x, half), single),
            lambda b, x: b.bitcast(b.fptrunc(x, half), i16),
        ),
        "bfloat16": (
            lambda b, x: b.bitcast(b.shl(b.zext(x, i32), i32(16)), single),
            lambda b, x: b.trunc(b.lshr(b.bitcast(x, i32), i32(16)), i16),
        ),
    }

    def words_of(dtype: str, count: int) -> None:
        kind = TYPES[wide(dtype)]
        element = {"float32": ir.FloatType(), "float64": ir.DoubleType()}.get(dtype, i16)
        whole = ir.VectorType(element, count) if count > 1 else element
        size = np.dtype(MEMORY[dtype]).itemsize
        widen, narrow = conversions.get(dtype, (lambda builder, x: x,) * 2)
        result = types.UniTuple(kind, count) if count > 1 else kind
        shared = types.Array(kind, 1, "C")
        number = ir.IntType(32)

        def in_memory(builder: Any, address: Any, at: Any) -> Any:
            first = builder.inttoptr(address, element.as_pointer(in_global))
            return builder.bitcast(builder.gep(first, [at]), whole.as_pointer(in_global))

        def in_shared(context: Any, builder: Any, array: Any, at: Any) -> Any:
            data = context.make_array(shared)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [at]), whole.as_pointer())

        def halves_at(context: Any, builder: Any, place: Any) -> Any:
            """One integer: LLVM would load a vector of float16 in pieces of 4 bytes."""
            word = ir.IntType(16 * count)
            found = builder.load(builder.bitcast(place, word.as_pointer(in_global)),
                                 align=count * size)  # fmt: skip
            parts = [builder.lshr(found, word(16 * k)) if k else found for k in range(count)]
            if count > 1:
                parts = [builder.trunc(part, i16) for part in parts]
            parts = [widen(builder, part) for part in parts]
            return context.make_tuple(builder, result, parts) if count > 1 else parts[0]

        def unpacked(context: Any, builder: Any, place: Any) -> Any:
            if is_half(dtype):
                return halves_at(context, builder, place)
            found = builder.load(place, align=count * size)
            if count == 1:
                return found
            parts = [builder.extract_element(found, number(k)) for k in range(count)]
            return context.make_tuple(builder, result, parts)

        def pack(builder: Any, values: Any, place: Any) -> None:
            values = [narrow(builder, value) for value in values]
            found = values[0]
            if count > 1:
                found = ir.Constant(whole, ir.Undefined)
                for k, value in enumerate(values):
                    found = builder.insert_element(found, value, number(k))
            builder.store(found, place, align=count * size)

        def load(typingctx, address, at):
            def emit(context, builder, sig, values):
                return unpacked(context, builder, in_memory(builder, *values))

            return result(types.int64, types.int64), emit

        def fetch(typingctx, array, at):
            def emit(context, builder, sig, values):
                return unpacked(context, builder, in_shared(context, builder, *values))

            return result(shared, types.int64), emit

        def stored(context, builder, sig, values):
            pack(builder, values[2:], in_memory(builder, *values[:2]))
            return context.get_dummy_value()

        def kept(context, builder, sig, values):
            pack(builder, values[2:], in_shared(context, builder, *values[:2]))
            return context.get_dummy_value()

        def writer(first: Any, emit: Any) -> Any:
            given = first, types.int64, *[kind] * count
            made = types.void(*given), emit
            return {
                1: lambda typingctx, where, at, a: made,
                2: lambda typingctx, where, at, a, b: made,
                4: lambda typingctx, where, at, a, b, c, d: made,
            }[count]

        WORDS[f"load{count}_{dtype}"] = intrinsic(load)
        WORDS[f"store{count}_{dtype}"] = intrinsic(writer(types.int64, stored))
        if not is_half(dtype):
            WORDS[f"fetch{count}_{dtype}"] = intrinsic(fetch)
            WORDS[f"keep{count}_{dtype}"] = intrinsic(writer(shared, kept))

    for dtype, counts in WIDTHS.items():
        for count in counts:
            words_of(dtype, count)

    def divide(make: str) -> Any:
        def word(typingctx, x, y):
            def emit(context, builder, sig, values):
                narrow = [builder.trunc(v, ir.IntType(32)) for v in values]
                return builder.zext(getattr(builder, make)(*narrow), ir.IntType(64))

            return types.int64(types.int64, types.int64), emit

        return intrinsic(word)

    WORDS["quotient"], WORDS["remainder"] = divide("udiv"), divide("urem")


def _same(x):
    return x


if not SIMULATED:
    _same = cuda.jit(device=True, forceinline=True)(_same)


def _masked(dtype: str, load: Any, store: Any) -> dict[str, Any]:
    """The words that look at each element; `load` and `store` are those above, by width."""
    zero, step = np.dtype(wide(dtype)).type(0), 1
    nearest = WORDS[f"nearest_{dtype}"] if is_half(dtype) else _same
    load1, load2, load4 = load[1], load[2], load.get(4)
    store1, store2, store4 = store[1], store[2], store.get(4)

    def take1(address, at, step, room, whole):
        return load1(address, at) if room > 0 else zero

    def take2(address, at, step, room, whole):
        if whole and room >= 2:
            return load2(address, at)
        a = load1(address, at) if room > 0 else zero
        b = load1(address, at + step) if room > 1 else zero
        return a, b

    def take4(address, at, step, room, whole):
        if whole and room >= 4:
            return load4(address, at)
        a = load1(address, at) if room > 0 else zero
        b = load1(address, at + step) if room > 1 else zero
        c = load1(address, at + 2 * step) if room > 2 else zero
        d = load1(address, at + 3 * step) if room > 3 else zero
        return a, b, c, d

    def put1(address, at, room, whole, alpha, beta, a):
        if room > 0:
            old = load1(address, at) if beta != zero else zero
            store1(address, at, nearest(alpha * a + beta * old))

    def put2(address, at, room, whole, alpha, beta, a, b):
        old_a, old_b = zero, zero
        if beta != zero:
            old_a, old_b = take2(address, at, step, room, whole)
        a, b = nearest(alpha * a + beta * old_a), nearest(alpha * b + beta * old_b)
        if whole and room >= 2:
            store2(address, at, a, b)
        else:
            if room > 0:
                store1(address, at, a)
            if room > 1:
                store1(address, at + 1, b)

    def put4(address, at, room, whole, alpha, beta, a, b, c, d):
        old_a, old_b, old_c, old_d = zero, zero, zero, zero
        if beta != zero:
            old_a, old_b, old_c, old_d = take4(address, at, step, room, whole)
        a, b = nearest(alpha * a + beta * old_a), nearest(alpha * b + beta * old_b)
        c, d = nearest(alpha * c + beta * old_c), nearest(alpha * d + beta * old_d)
        if whole and room >= 4:
            store4(address, at, a, b, c, d)
        else:
            if room > 0:
                store1(address, at, a)
            if room > 1:
                store1(address, at + 1, b)
            if room > 2:
                store1(address, at + 2, c)
            if room > 3:
                store1(address, at + 3, d)

    if not SIMULATED:
        inlined = cuda.jit(device=True, forceinline=True)
        take1, take2, take4 = inlined(take1), inlined(take2), inlined(take4)
        put1, put2, put4 = inlined(put1), inlined(put2), inlined(put4)
    return {"take1": take1, "take2": take2, "take4": take4,
            "put1": put1, "put2": put2, "put4": put4}  # fmt: skip


def _define() -> None:
    for dtype, counts in WIDTHS.items():
        load, store = ({n: WORDS[f"{name}{n}_{dtype}"] for n in counts}
                       for name in ("load", "store"))  # fmt: skip
        for name, function in _masked(dtype, load, store).items():
            if int(name[-1]) in counts:
                WORDS[f"{name}_{dtype}"] = function


(_simulate if SIMULATED else _compile)()
_define()
