"""Products as dot products: vectors lie along k, and are summed across their lanes at the end.

The better form where k is contiguous in both operands (``X @ W.T`` for few rows, matrix times
vector), and where N is a poor fit for a vector: ten columns then cost ten, not sixteen.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from .build import I1, I32, I64, Kit, Values, ceil_div, repeat, smaller, text_of, word
from .levels import LEVELS
from .step import Arguments, Block, each_block, emit_end, emit_step
from .variants import Dots

PANEL_BYTES = 32768
"""Size of a packed block of B."""


def emit_dots(variant: Dots) -> str:
    """Return the LLVM IR of a variant as text; its step function is `variant.symbol`."""
    module = ir.Module(variant.symbol)
    kit = Kit(module, variant.dtype, LEVELS[variant.level])
    tile = _emit_tile(kit, variant)
    pack = _emit_pack(kit, variant.columns) if variant.packed else None
    b, x = emit_step(kit, variant.symbol, variant.swapped)
    depth = PANEL_BYTES // (variant.columns * kit.size)
    if pack:
        held = kit.memory(b, depth * variant.columns)  # every thread of a team has its own

    def panels(part: Block) -> None:
        def panel(values: Values) -> Values:
            line, c, columns = values
            source, stride = line, x.b_col
            if pack:
                source, stride = held, part.extent
                kit.call(b, pack, [line, held, part.extent, columns, x.b_row, x.b_col])
            _rows(b, kit, variant, tile, x, part, (source, stride), c, columns)
            skip = word(variant.columns)
            places = [(line, x.b_col), (c, x.c_col)]
            following = [kit.at(b, place, b.mul(skip, stride)) for place, stride in places]
            return [*following, b.sub(columns, skip)]

        repeat(b, ceil_div(b, x.n, variant.columns), [part.b, x.c, x.n], panel)

    whole = ir.Constant(I1, int(not pack))
    each_block(b, kit, x, depth, whole, panels)
    emit_end(b)
    return text_of(module)


def _rows(
    b: ir.IRBuilder,
    kit: Kit,
    variant: Dots,
    tile: ir.Function,
    x: Arguments,
    part: Block,
    panel: tuple[ir.Value, ir.Value],
    c: ir.Value,
    columns: ir.Value,
) -> None:
    """Emit the loop over tiles of rows against a panel of B, given by its start and stride."""
    source, b_col = panel

    def step(values: Values) -> Values:
        a, c, left = values
        strides = [x.a_row, b_col, x.c_row, x.c_col]
        places = [a, source, c]
        kit.call(b, tile, [*places, part.extent, left, columns, *strides, x.alpha, part.beta])
        skip = word(variant.rows)
        moves = [(a, x.a_row), (c, x.c_row)]
        following = [kit.at(b, place, b.mul(skip, stride)) for place, stride in moves]
        return [*following, b.sub(left, skip)]

    repeat(b, ceil_div(b, x.m, variant.rows), [part.a, c, x.m], step)


def _emit_pack(kit: Kit, columns: int) -> ir.Function:
    """Emit the copy of a panel of B to columns along which k is contiguous."""
    arguments = [("source", kit.pointer), ("target", kit.pointer)]
    arguments += [(name, I64) for name in ("k", "columns", "b_row", "b_col")]
    function = kit.function(f"pack_columns_{columns}", arguments)
    source, target, k, exist, b_row, b_col = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    exist = smaller(b, exist, word(columns))

    def row(values: Values) -> Values:
        def element(values: Values) -> Values:
            b.store(kit.value(b, values[0]), values[1])
            return [kit.at(b, values[0], b_col), kit.at(b, values[1], k)]

        repeat(b, exist, values, element)
        return [kit.at(b, values[0], b_row), kit.at(b, values[1], 1)]

    repeat(b, k, [source, target], row)
    b.ret_void()
    return function


def _emit_tile(kit: Kit, variant: Dots) -> ir.Function:
    """Emit the function of one tile; rows and columns that don't exist repeat the last that does.

    Its arguments: ``(a, b, c, k, rows, columns, a_row, b_col, c_row, c_col, alpha, beta)``.
    """
    names = ("k", "rows", "columns", "a_row", "b_col", "c_row", "c_col")
    function = kit.function(
        f"dots_{variant.rows}_{variant.columns}",
        [(name, kit.pointer) for name in ("a", "b", "c")]
        + [(name, I64) for name in names]
        + [(name, kit.element) for name in ("alpha", "beta")],
    )
    a, line, c, k, rows, columns, a_row, b_col, c_row, c_col, alpha, beta = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    columns = smaller(b, columns, word(variant.columns))
    x_lines = _lines(b, kit, a, rows, a_row, variant.rows)
    y_lines = _lines(b, kit, line, columns, b_col, variant.columns)
    sums = _sums(b, kit, variant.depth, x_lines, y_lines, k)
    each = variant.columns
    totals = [_across(b, kit, sums[i * each : (i + 1) * each]) for i in range(variant.rows)]
    if kit.level.masked and not variant.swapped:
        _store_masked(b, kit, totals, c, rows, columns, c_row, alpha, beta)
    else:
        _store_elements(b, kit, totals, (c, rows, columns, c_row, c_col), alpha, beta)
    b.ret_void()
    return function


def _lines(
    b: ir.IRBuilder, kit: Kit, first: ir.Value, exist: ir.Value, stride: ir.Value, count: int
) -> list[ir.Value]:
    """Emit the addresses of `count` lines along k."""
    last = b.sub(exist, word(1))
    return [kit.at(b, first, b.mul(smaller(b, word(i), last), stride)) for i in range(count)]


def _sums(
    b: ir.IRBuilder,
    kit: Kit,
    depth: int,
    x_lines: Sequence[ir.Value],
    y_lines: Sequence[ir.Value],
    k: ir.Value,
) -> list[ir.Value]:
    """Emit the loop along k: a vector of partial sums for each pair of lines."""
    cells = len(x_lines) * len(y_lines)

    def multiply(sums: Values, x: Values, y: Values) -> list[ir.Value]:
        pairs = [(left, right) for left in x for right in y]
        return [kit.fma(b, *pair, z) for pair, z in zip(pairs, sums, strict=True)]

    def vectors(values: Values, depth: int) -> Values:
        done, *sums = values
        for d in range(depth):
            x, y = ([kit.load(b, kit.at(b, p, done)) for p in side] for side in (x_lines, y_lines))
            place = slice(d * cells, (d + 1) * cells)
            sums[place] = multiply(sums[place], x, y)
            done = b.add(done, word(kit.lanes))
        return [done, *sums]

    def rest(values: Values) -> Values:
        done, *sums = values
        x, y = (
            [_last(b, kit, kit.at(b, p, done), b.sub(k, done)) for p in side]
            for side in (x_lines, y_lines)
        )
        return [b.add(done, word(1)), *multiply(sums[:cells], x, y), *sums[cells:]]

    values: Values = [word(0), *[kit.zero] * (depth * cells)]
    trips = b.udiv(k, word(kit.lanes))
    if depth > 1:
        values = repeat(b, b.udiv(trips, word(depth)), values, lambda v: vectors(v, depth))
        trips = b.urem(trips, word(depth))
    values = repeat(b, trips, values, lambda v: vectors(v, 1))
    left = b.urem(k, word(kit.lanes))
    _, *sums = repeat(b, smaller(b, left, word(1)) if kit.level.masked else left, values, rest)
    totals = sums[:cells]
    for d in range(1, depth):
        part = sums[d * cells : (d + 1) * cells]
        totals = [b.fadd(x, y) for x, y in zip(totals, part, strict=True)]
    return totals


def _last(b: ir.IRBuilder, kit: Kit, place: ir.Value, left: ir.Value) -> ir.Value:
    """Emit the load of what is left of a line, or of its next element in a vector of zeros."""
    if kit.level.masked:
        return kit.load(b, place, kit.first_lanes(b, left))
    return b.insert_element(kit.zero, kit.value(b, place), ir.Constant(I32, 0))


def _across(b: ir.IRBuilder, kit: Kit, vectors: Values) -> ir.Value:
    """Emit a vector whose lane j is the sum of all lanes of the j-th vector.

    Each round adds even and odd lanes and packs two vectors into one.
    """
    lanes = kit.lanes
    even, odd = range(0, 2 * lanes, 2), range(1, 2 * lanes, 2)
    vectors = list(vectors)
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(vectors[::2], [*vectors[1::2], kit.zero], strict=False)
        vectors = [b.fadd(kit.shuffle(b, x, y, even), kit.shuffle(b, x, y, odd)) for x, y in pairs]
    (total,) = vectors
    return total


def _store_masked(
    b: ir.IRBuilder,
    kit: Kit,
    totals: Values,
    c: ir.Value,
    rows: ir.Value,
    columns: ir.Value,
    c_row: ir.Value,
    alpha: ir.Value,
    beta: ir.Value,
) -> None:
    """Emit ``C = alpha * totals + beta * C`` a masked vector at a time."""
    scale, keep = kit.spread(b, alpha), kit.spread(b, beta)
    reads = b.fcmp_unordered("!=", beta, ir.Constant(kit.element, 0.0))
    flag, stores = kit.spread(b, reads), []
    for i, total in enumerate(totals):
        exist = b.select(b.icmp_signed("<", word(i), rows), columns, word(0))
        mask = kit.first_lanes(b, exist)
        old = kit.load(b, c, b.and_(mask, flag))
        stores.append((kit.fma(b, old, keep, b.fmul(total, scale)), c, mask))
        c = kit.at(b, c, c_row)
    for store in stores:  # after all loads: a load waits for an overlapping masked store
        kit.store(b, *store)


def _store_elements(
    b: ir.IRBuilder,
    kit: Kit,
    totals: Values,
    place: tuple[ir.Value, ir.Value, ir.Value, ir.Value, ir.Value],
    alpha: ir.Value,
    beta: ir.Value,
) -> None:
    """Emit the same an element at a time, through memory."""
    c, rows, columns, c_row, c_col = place
    held = kit.memory(b, len(totals) * kit.lanes)
    for i, total in enumerate(totals):
        kit.store(b, total, kit.at(b, held, i * kit.lanes))
    reads = b.fcmp_unordered("!=", beta, ir.Constant(kit.element, 0.0))

    def element(values: Values) -> Values:
        source, to = values
        value = b.fmul(kit.value(b, source), alpha)
        with b.if_else(reads) as (then, otherwise):
            with then:
                b.store(b.fadd(value, b.fmul(kit.value(b, to), beta)), to)
            with otherwise:
                b.store(value, to)
        return [kit.at(b, source, 1), kit.at(b, to, c_col)]

    def row(values: Values) -> Values:
        repeat(b, columns, values, element)
        return [kit.at(b, values[0], kit.lanes), kit.at(b, values[1], c_row)]

    repeat(b, smaller(b, rows, word(len(totals))), [held, c], row)
