"""The native entry: one function in the kernel language, driven by a table.

``kernel(table_object, arguments, count)`` has CPython's METH_FASTCALL convention: its `self` is
the int64 array that :class:`graphc.runtime.entry.BoundEntry` lays out, and it returns a new
reference. It checks the arguments against the bound plan, writes their addresses into the
blocks of the steps, takes output arrays that nobody else holds, walks the steps, and returns the
outputs or one of the outcomes that say why it couldn't.
"""

from __future__ import annotations

from enum import IntEnum

from graphc.runtime import layout


class Table(IntEnum):
    """Words of the table."""

    BUSY = 0
    PROCESS = 1
    INPUTS = 2
    INPUT_COUNT = 3
    OUTPUTS = 4
    OUTPUT_COUNT = 5
    TAKEN = 6  # room for one address per output
    GUARDED = 7  # pairs of addresses: memory that steps write and inputs mustn't share
    GUARDED_COUNT = 8
    WALK = 9
    STEPS = 10
    LOW = 11
    HIGH = 12
    RELEASES_GIL = 13
    RETURNS = 14  # 0: None, 1: the one output, 2: a list
    RESULT = 15  # of the last walk that failed


class Process(IntEnum):
    """Words that all tables share: addresses of types, outcomes and of Python's functions."""

    ARRAY = 0
    FLOAT = 1
    INT = 2
    NONE = 3
    UNFIT = 4
    BUSY = 5
    EMPTY = 6
    FAILED = 7
    INCREF = 8
    DECREF = 9
    SAVE_THREAD = 10
    RESTORE_THREAD = 11
    NEW_LIST = 12
    SET_ITEM = 13
    AS_DOUBLE = 14
    AS_INT = 15
    ERROR_OCCURRED = 16
    ERROR_CLEAR = 17


class Input(IntEnum):
    """Words of an input."""

    DESCR = 0
    RANK = 1
    SHAPE = 2  # sizes and strides, which NumPy keeps side by side
    MASK = 3  # itemsize - 1: bits of the address that have to be zero
    BYTES = 4
    PATCHES = 5  # pairs: offset in bytes, address of the word to write
    PATCH_COUNT = 6
    CELL = 7  # where a Python number goes; 0: only arrays are taken
    CELL_KIND = 8  # 1: float64, 2: float32, 3: integer
    LEAST = 9
    GREATEST = 10
    ITEMSIZE = 11
    SCALAR = 12  # NumPy's scalar type


class Output(IntEnum):
    """Words of an output."""

    DESCR = 0
    RANK = 1
    SHAPE = 2
    FLAGS = 3
    POOL = 4
    POOL_COUNT = 5
    PATCHES = 6
    PATCH_COUNT = 7


class Shape(IntEnum):
    """Sizes of the records in bytes."""

    INPUT = 8 * len(Input)
    OUTPUT = 8 * len(Output)


SOURCE = """
def kernel(table_object, arguments, count):
    table = peek_int64(table_object, {DATA})
    process = peek_int64(table, {Table.PROCESS})
    incref = peek_int64(process, {Process.INCREF})
    unfit = peek_int64(process, {Process.UNFIT})
    outcome = 0
    if peek_int64(table, {Table.BUSY}) != 0:
        outcome = peek_int64(process, {Process.BUSY})
    elif peek_int64(table, {Table.INPUT_COUNT}) != count:
        outcome = unfit
    if outcome != 0:
        call_void(incref, outcome)
        return outcome

    # Arguments: check, then tell the steps where they are.
    array_type = peek_int64(process, {Process.ARRAY})
    record = peek_int64(table, {Table.INPUTS})
    guarded = peek_int64(table, {Table.GUARDED})
    guarded_end = guarded + peek_int64(table, {Table.GUARDED_COUNT}) * 16
    for i in range(count):
        thing = peek_int64(arguments, i * 8)
        kind = peek_int64(thing, {TYPE})
        fits = False
        data = 0
        if kind == array_type:
            data = peek_int64(thing, {DATA})
            rank = peek_int64(record, {Input.RANK})
            fits = (peek_int64(thing, {DESCR}) == peek_int64(record, {Input.DESCR})
                    and int64(peek_int32(thing, {RANK})) == rank
                    and data & peek_int64(record, {Input.MASK}) == 0)
            if fits and rank > 0:
                fits = equal_words(peek_int64(thing, {DIMS}),
                                   peek_int64(record, {Input.SHAPE}), rank * 2)
            place = guarded
            while place < guarded_end:
                end = data + peek_int64(record, {Input.BYTES})
                if data < peek_int64(place, 8) and peek_int64(place) < end:
                    fits = False
                place = place + 16
        else:
            data = peek_int64(record, {Input.CELL})
            if data != 0:
                cell_kind = peek_int64(record, {Input.CELL_KIND})
                real = 0.0
                is_real = False
                if kind == peek_int64(process, {Process.FLOAT}):
                    real = peek_float64(thing, {VALUE})
                    is_real = True
                elif kind == peek_int64(record, {Input.SCALAR}):
                    copy_memory(data, thing + {VALUE}, peek_int64(record, {Input.ITEMSIZE}))
                    fits = True
                elif kind == peek_int64(process, {Process.INT}):
                    if cell_kind == 3:
                        overflow = local_int32(1)
                        overflow[0] = int32(0)
                        whole = call(peek_int64(process, {Process.AS_INT}), thing,
                                     address_of(overflow))
                        fits = (overflow[0] == int32(0)
                                and whole >= peek_int64(record, {Input.LEAST})
                                and whole <= peek_int64(record, {Input.GREATEST}))
                        if fits:
                            number = local_int64(1)
                            number[0] = whole
                            copy_memory(data, address_of(number),
                                        peek_int64(record, {Input.ITEMSIZE}))
                    else:
                        real = call_float64(peek_int64(process, {Process.AS_DOUBLE}), thing)
                        is_real = True
                        if real == -1.0:
                            if call(peek_int64(process, {Process.ERROR_OCCURRED})) != 0:
                                call_void(peek_int64(process, {Process.ERROR_CLEAR}))
                                is_real = False
                if is_real:
                    if cell_kind == 1:
                        poke_float64(data, real)
                        fits = True
                    elif cell_kind == 2:
                        poke_float32(data, float32(real))
                        fits = True
        if not fits:
            call_void(incref, unfit)
            return unfit
        patch = peek_int64(record, {Input.PATCHES})
        for k in range(peek_int64(record, {Input.PATCH_COUNT})):
            poke_int64(peek_int64(patch, 8), data + peek_int64(patch))
            patch = patch + 16
        record = record + {Shape.INPUT}

    # Outputs: arrays of the pool that nobody else refers to and nobody has reshaped.
    outputs = peek_int64(table, {Table.OUTPUT_COUNT})
    taken = peek_int64(table, {Table.TAKEN})
    record = peek_int64(table, {Table.OUTPUTS})
    found = 0
    while found < outputs and outcome == 0:
        pool = peek_int64(record, {Output.POOL})
        pool_end = pool + peek_int64(record, {Output.POOL_COUNT}) * 8
        rank = peek_int64(record, {Output.RANK})
        chosen = 0
        while pool < pool_end and chosen == 0:
            candidate = peek_int64(pool)
            if peek_uint32(candidate, {REFERENCES}) == uint32(1):
                fits = (peek_int64(candidate, {DESCR}) == peek_int64(record, {Output.DESCR})
                        and int64(peek_int32(candidate, {RANK})) == rank
                        and int64(peek_int32(candidate, {FLAGS}))
                        == peek_int64(record, {Output.FLAGS}))
                if fits:
                    fits = equal_words(peek_int64(candidate, {DIMS}),
                                       peek_int64(record, {Output.SHAPE}), rank * 2)
                if fits:
                    chosen = candidate
            pool = pool + 8
        if chosen == 0:
            outcome = peek_int64(process, {Process.EMPTY})
        else:
            call_void(incref, chosen)
            poke_int64(taken + found * 8, chosen)
            found = found + 1
            data = peek_int64(chosen, {DATA})
            patch = peek_int64(record, {Output.PATCHES})
            for k in range(peek_int64(record, {Output.PATCH_COUNT})):
                poke_int64(peek_int64(patch, 8), data + peek_int64(patch))
                patch = patch + 16
            record = record + {Shape.OUTPUT}

    # The steps. After a failure the table stays busy until somebody has read the result.
    if outcome == 0:
        poke_int64(table, {Table.BUSY}, 1)
        thread = 0
        if peek_int64(table, {Table.RELEASES_GIL}) != 0:
            thread = call(peek_int64(process, {Process.SAVE_THREAD}))
        result = call_step(peek_int64(table, {Table.WALK}), peek_int64(table, {Table.STEPS}),
                           peek_int64(table, {Table.LOW}), peek_int64(table, {Table.HIGH}))
        if thread != 0:
            call_void(peek_int64(process, {Process.RESTORE_THREAD}), thread)
        if result == 0:
            poke_int64(table, {Table.BUSY}, 0)
        else:
            poke_int64(table, {Table.RESULT}, result)
            outcome = peek_int64(process, {Process.FAILED})

    returns = peek_int64(table, {Table.RETURNS})
    if outcome == 0 and returns == 1:
        return peek_int64(taken)
    if outcome == 0 and returns == 2:
        made = call(peek_int64(process, {Process.NEW_LIST}), outputs)
        if made != 0:
            for j in range(outputs):
                call(peek_int64(process, {Process.SET_ITEM}), made, j,
                     peek_int64(taken + j * 8))
            return made
    for j in range(found):
        call_void(peek_int64(process, {Process.DECREF}), peek_int64(taken + j * 8))
    if outcome == 0:
        if returns == 2:
            return 0
        outcome = peek_int64(process, {Process.NONE})
    call_void(incref, outcome)
    return outcome
"""


def source() -> str:
    """The entry's source with all offsets filled in."""

    class Offsets:
        """Byte offsets of a record's words."""

        def __init__(self, words: type[IntEnum], size: int = 8) -> None:
            for word in words:
                setattr(self, word.name, word * size)

    names = ("REFERENCES", "TYPE", "VALUE", "DATA", "RANK", "DIMS", "STRIDES", "DESCR", "FLAGS")
    records = {kind.__name__: Offsets(kind) for kind in (Table, Process, Input, Output)}
    fixed = {name: getattr(layout, name) for name in names}
    return SOURCE.format(**records, **fixed, Shape=Offsets(Shape, 1))
