"""Words of CUDA kernels for several elements at once: vector accesses, and exchange in a warp.

``load4(x, k)`` gives ``x[k] ... x[k + 3]``, ``store4(x, k, ...)`` writes them. A vector access of
an address that isn't a multiple of its size stops a device, and where users' arrays and the views
in loops begin, nobody knows before the call. So both words look at the address: where it is a
multiple, they take one instruction, and else one per element. The test is the same for all
threads of a warp in rows that lie apart by whole vectors, and costs little beside the access.

``rolled()`` in a loop's body keeps the compiler from unrolling it: bodies have as many copies as
are wanted already, and more of them take registers from other threads.

``shuffle_down(x, delta)`` is the value that the thread `delta` further on in the warp has in x,
``shuffle_from(x, lane)`` that of a lane. All threads of a warp have to come there together: the
emitter calls them where no branch depends on the thread. The simulator has no warps; there the
threads of a block exchange values through a list of the block, with a barrier before and after.
"""

from __future__ import annotations

import threading
from typing import Any

from graphc.runtime.cuda.deal import SIMULATED_WARP
from graphc.runtime.cuda.words import SIMULATED, WORDS, Kind, cuda, types, word

WIDTHS = (2, 4, 8)
"""How many elements a vector access may have."""
WHOLE_WARP = 0xFFFFFFFF


def _simulate() -> None:
    def loader(width: int) -> Any:
        return lambda x, k: tuple(x[k + lane] for lane in range(width))

    def store(x: Any, k: int, *values: Any) -> None:
        for lane, value in enumerate(values):
            x[k + lane] = value

    for width in WIDTHS:
        WORDS[f"load{width}"], WORDS[f"store{width}"] = loader(width), store

    def exchange(x: Any, source: Any) -> Any:
        """What lane number `source(own lane)` of the warp has in x; its own where there is none."""
        thread: Any = threading.current_thread()
        block = thread._manager.__dict__
        values = block.setdefault("exchanged", {})
        own = thread.threadIdx.x
        values[own] = x
        thread.syncthreads()
        lane = source(own % SIMULATED_WARP)
        found = values.get(own - own % SIMULATED_WARP + lane, x) if lane < SIMULATED_WARP else x
        thread.syncthreads()
        return found

    WORDS["rolled"] = lambda: None
    WORDS["high"] = lambda x, y: x // (y or 1)
    WORDS["low"] = lambda x, y: x % (y or 1)
    WORDS["shuffle_down"] = lambda x, delta: exchange(x, lambda own: own + delta)
    WORDS["shuffle_from"] = lambda x, lane: exchange(x, lambda own: lane)


def _compile() -> None:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    def place_of(context: Any, builder: Any, kind: Any, array: Any, k: Any, width: int) -> Any:
        """The element's pointer, the size of a vector, and whether it may be taken at once."""
        data = context.make_array(kind)(context, builder, array).data
        place = builder.gep(data, [k])
        size = width * context.get_abi_sizeof(context.get_data_type(kind.dtype))
        word_type = ir.IntType(64)
        rest = builder.and_(builder.ptrtoint(place, word_type), ir.Constant(word_type, size - 1))
        return place, size, builder.icmp_unsigned("==", rest, ir.Constant(word_type, 0))

    def vector_pointer(context: Any, builder: Any, kind: Any, place: Any, width: int) -> Any:
        element = context.get_data_type(kind.dtype)
        return builder.bitcast(place, ir.VectorType(element, width).as_pointer())

    def lane_of(lane: int) -> Any:
        return ir.Constant(ir.IntType(32), lane)

    def make_load(width: int) -> Any:
        def load(typingctx, x, k):
            def emit(context, builder, sig, values):
                kind = sig.args[0]
                model = context.data_model_manager[kind.dtype]
                item = context.get_abi_sizeof(context.get_data_type(kind.dtype))
                place, size, aligned = place_of(context, builder, kind, *values, width)
                with builder.if_else(aligned) as (at_once, one_by_one):
                    with at_once:
                        pointer = vector_pointer(context, builder, kind, place, width)
                        vector = builder.load(pointer, align=size)
                        fast = [builder.extract_element(vector, lane_of(j)) for j in range(width)]
                        fast_end = builder.block
                    with one_by_one:
                        slow = [builder.load(builder.gep(place, [lane_of(j)]), align=item)
                                for j in range(width)]  # fmt: skip
                        slow_end = builder.block
                joined = [builder.phi(a.type) for a in fast]
                for phi, a, b in zip(joined, fast, slow):
                    phi.add_incoming(a, fast_end)
                    phi.add_incoming(b, slow_end)
                found = [model.from_data(builder, phi) for phi in joined]
                return context.make_tuple(builder, sig.return_type, found)

            return types.UniTuple(x.dtype, width)(x, types.int64), emit

        return intrinsic(load)

    def emit_store(context, builder, sig, values):
        kind = sig.args[0]
        model = context.data_model_manager[kind.dtype]
        item = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        width = len(values) - 2
        given = [
            model.as_data(builder, context.cast(builder, v, t, kind.dtype))
            for v, t in zip(values[2:], sig.args[2:])
        ]
        place, size, aligned = place_of(context, builder, kind, *values[:2], width)
        with builder.if_else(aligned) as (at_once, one_by_one):
            with at_once:
                vector = ir.Constant(ir.VectorType(given[0].type, width), ir.Undefined)
                for j, v in enumerate(given):
                    vector = builder.insert_element(vector, v, lane_of(j))
                pointer = vector_pointer(context, builder, kind, place, width)
                builder.store(vector, pointer, align=size)
            with one_by_one:
                for j, v in enumerate(given):
                    builder.store(v, builder.gep(place, [lane_of(j)]), align=item)
        return context.get_dummy_value()

    def store2(typingctx, x, k, a, b):
        return types.void(x, types.int64, a, b), emit_store

    def store4(typingctx, x, k, a, b, c, d):
        return types.void(x, types.int64, a, b, c, d), emit_store

    def store8(typingctx, x, k, a, b, c, d, e, f, g, h):
        return types.void(x, types.int64, a, b, c, d, e, f, g, h), emit_store

    # Of places and sizes, which aren't negative. Division by zero gives a number: what has a size
    # of zero has no steps that would need it. The compiler divides in 32 bits where both fit.
    def divided(name: str) -> Any:
        def emit(context, builder, sig, values):
            x, y = values
            none = builder.icmp_unsigned("==", y, ir.Constant(y.type, 0))
            return getattr(builder, name)(x, builder.select(none, ir.Constant(y.type, 1), y))

        return emit

    def high(typingctx, x, y):
        return types.int64(types.int64, types.int64), divided("udiv")

    def low(typingctx, x, y):
        return types.int64(types.int64, types.int64), divided("urem")

    WORDS["high"], WORDS["low"] = intrinsic(high), intrinsic(low)

    def rolled(typingctx):
        def emit(context, builder, sig, values):
            # LLVM makes no copies of a loop with a convergent call and steps that it can't count.
            nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", side_effect=True)
            builder.call(nothing, [], attrs=("convergent",))
            return context.get_dummy_value()

        return types.void(), emit

    WORDS["rolled"] = intrinsic(rolled)
    for width, store in zip(WIDTHS, (store2, store4, store8)):
        WORDS[f"load{width}"] = make_load(width)
        WORDS[f"store{width}"] = intrinsic(store)

    def as_sent(kind: Kind) -> Any:
        """The type in which a value travels: signed integers and floats of 32 or 64 bits do."""
        if kind.is_float:
            return kind.cast
        return types.int64 if kind.bits == 64 else types.int32

    @word("shuffle_down", 2)
    def _down(kind: Kind) -> Any:
        to, sent = kind.cast, as_sent(kind)
        return lambda x, y: to(cuda.shfl_down_sync(WHOLE_WARP, sent(x), y))

    @word("shuffle_from", 2)
    def _from(kind: Kind) -> Any:
        to, sent = kind.cast, as_sent(kind)
        return lambda x, y: to(cuda.shfl_sync(WHOLE_WARP, sent(x), y))


(_simulate if SIMULATED else _compile)()
