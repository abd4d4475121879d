"""Packing: a panel ``B[k, columns]`` copied to adjacent rows of fixed width, padded in columns.

Tiles that read such a panel stay within few cache lines and pages, whatever B's strides are.
"""

from __future__ import annotations

from llvmlite import ir

from .build import I64, Kit, Values, ceil_div, repeat, smaller, word


def emit_pack(kit: Kit, vectors: int, form: str) -> ir.Function:
    """Emit the packing of a panel of `vectors` vectors.

    Parameters
    ----------
    kit : Kit
        Element type, level and module.
    vectors : int
        Width of the panel.
    form : {"copied", "transposed", "gathered"}
        Where B is contiguous: along its rows, along k, or nowhere.

    Returns
    -------
    ir.Function
        ``(source, target, k, columns, b_row, b_col)``. The columns of the target from `columns` on
        hold zeros or copies. The transposed form writes up to a vector's lanes of rows beyond k.
    """
    arguments = [("source", kit.pointer), ("target", kit.pointer)]
    arguments += [(name, I64) for name in ("k", "columns", "b_row", "b_col")]
    function = kit.function(f"pack_{form}_{vectors}", arguments)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    {"copied": _copy, "transposed": _transpose, "gathered": _gather}[form](
        b, kit, vectors, *function.args
    )
    b.ret_void()
    return function


def _copy(
    b: ir.IRBuilder,
    kit: Kit,
    vectors: int,
    source: ir.Value,
    target: ir.Value,
    k: ir.Value,
    columns: ir.Value,
    b_row: ir.Value,
    b_col: ir.Value,
) -> None:
    """Emit the copy of contiguous rows."""
    width = vectors * kit.lanes
    masks = kit.masks(b, columns, vectors)

    def row(values: Values) -> Values:
        line, place = values
        for v, mask in enumerate(masks):
            value = kit.load(b, kit.at(b, line, v * kit.lanes), mask)
            kit.store(b, value, kit.at(b, place, v * kit.lanes))
        return [kit.at(b, line, b_row), kit.at(b, place, width)]

    if kit.level.masked:
        repeat(b, k, [source, target], row)
        return
    with b.if_else(b.icmp_signed(">=", columns, word(width)), likely=True) as (then, otherwise):
        with then:
            repeat(b, k, [source, target], row)
        with otherwise:
            _gather(b, kit, vectors, source, target, k, columns, b_row, b_col)


def _gather(
    b: ir.IRBuilder,
    kit: Kit,
    vectors: int,
    source: ir.Value,
    target: ir.Value,
    k: ir.Value,
    columns: ir.Value,
    b_row: ir.Value,
    b_col: ir.Value,
) -> None:
    """Emit an element-wise copy; columns that B lacks repeat its last one."""
    width = vectors * kit.lanes
    last = b.sub(columns, word(1))

    def element(values: Values) -> Values:
        line, place, j = values
        b.store(
            kit.value(b, kit.at(b, line, b.mul(smaller(b, j, last), b_col))), kit.at(b, place, j)
        )
        return [line, place, b.add(j, word(1))]

    def row(values: Values) -> Values:
        repeat(b, word(width), [*values, word(0)], element)
        return [kit.at(b, values[0], b_row), kit.at(b, values[1], width)]

    repeat(b, k, [source, target], row)


def _transpose(
    b: ir.IRBuilder,
    kit: Kit,
    vectors: int,
    source: ir.Value,
    target: ir.Value,
    k: ir.Value,
    columns: ir.Value,
    b_row: ir.Value,
    b_col: ir.Value,
) -> None:
    """Emit the transpose of columns that are contiguous along k, in squares of lanes x lanes."""
    del b_row  # it is one: that is what this form means
    lanes, width = kit.lanes, vectors * kit.lanes
    last = b.sub(columns, word(1))

    def strip(values: Values) -> Values:
        first, place = values
        offsets = [b.mul(smaller(b, b.add(first, word(j)), last), b_col) for j in range(lanes)]

        def square(values: Values) -> Values:
            done, line, to = values
            rows = _load_square(b, kit, [kit.at(b, line, o) for o in offsets], b.sub(k, done))
            for i, row in enumerate(_transposed(b, kit, rows)):
                kit.store(b, row, kit.at(b, to, i * width))
            return [b.add(done, word(lanes)), kit.at(b, line, lanes), kit.at(b, to, lanes * width)]

        repeat(b, ceil_div(b, k, lanes), [word(0), source, place], square)
        return [b.add(first, word(lanes)), kit.at(b, place, lanes)]

    # All of the strips: multiply-adds on leftover subnormals are slow.
    repeat(b, word(vectors), [word(0), target], strip)


def _load_square(b: ir.IRBuilder, kit: Kit, rows: Values, left: ir.Value) -> list[ir.Value]:
    """Emit the loads of one vector per row, of which only `left` lanes may be touched."""
    if kit.level.masked:
        mask = kit.first_lanes(b, left)
        return [kit.load(b, row, mask) for row in rows]
    lanes = kit.lanes
    held, starts = kit.memory(b, lanes * lanes), kit.memory(b, lanes, kit.pointer)
    with b.if_else(b.icmp_signed(">=", left, word(lanes)), likely=True) as (then, otherwise):
        with then:
            whole = [kit.load(b, row) for row in rows]
            from_then = b.block
        with otherwise:
            for i, row in enumerate(rows):
                b.store(row, b.gep(starts, [word(i)], source_etype=kit.pointer))
            _copy_ragged(b, kit, starts, held, left)
            part = [kit.load(b, kit.at(b, held, i * lanes)) for i in range(lanes)]
            from_otherwise = b.block
    merged = []
    for x, y in zip(whole, part, strict=True):
        phi = b.phi(kit.vector)
        phi.add_incoming(x, from_then)
        phi.add_incoming(y, from_otherwise)
        merged.append(phi)
    return merged


def _copy_ragged(
    b: ir.IRBuilder, kit: Kit, starts: ir.Value, held: ir.Value, left: ir.Value
) -> None:
    """Emit the copy of `left` elements of each row that `starts` lists into the square `held`."""

    def element(values: Values) -> Values:
        b.store(kit.value(b, values[0]), values[1])
        return [kit.at(b, values[0], 1), kit.at(b, values[1], 1)]

    def row(values: Values) -> Values:
        entry, place = values
        repeat(b, left, [b.load(entry, typ=kit.pointer), place], element)
        return [b.gep(entry, [word(1)], source_etype=kit.pointer), kit.at(b, place, kit.lanes)]

    repeat(b, word(kit.lanes), [starts, held], row)


def _transposed(b: ir.IRBuilder, kit: Kit, rows: Values) -> list[ir.Value]:
    """Emit the transpose of a square of vectors: log2(lanes) rounds of interleaving."""
    lanes, half = kit.lanes, kit.lanes // 2
    low = [x // 2 + (x % 2) * lanes for x in range(lanes)]
    high = [x + half for x in low]
    rows = list(rows)
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [kit.shuffle(b, x, y, order) for x, y in pairs for order in (low, high)]
    return rows
