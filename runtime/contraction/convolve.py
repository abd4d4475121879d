"""Convolutions of blocks of images, without a patch matrix; see `images` for what a block is.

    out[m, p] = sum over k of filter[m, k] * image[at[p] + tap[k]]

where every element of `image` and `out` is a vector. A table holds `at` and `tap`: it alone knows
of strides, dilation and padding, so the gradient of images is the same kernel under another
table. With a stride that gradient has phases, pixels that meet the same taps.

    out[m, q] = sum over p, lanes of g[m, p] * image[at[p] + tap[q]]

is the gradient of filters, whose sums are kept for each lane until a block is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from .build import I32, I64, Kit, ceil_div, repeat, smaller, text_of, word
from .images import (
    SOURCE_WORDS,
    Source,
    Words,
    block_kit,
    count,
    each_block,
    emit_pack,
    emit_unpack,
    fill_zero,
    vector_at,
    word_at,
)
from .variants import Convolution

FILTER_WORDS = ("images", "filters", "out", "packed", "panel", "made", "table", "phases",
                "groups", "group_step", "filter_step", "m", "filter_row", "pixels")  # fmt: skip
"""Words of a "filter" block, behind those of its source: addresses, then sizes and strides."""
PHASE_WORDS = ("k", "taps", "weights", "p", "at", "to")
"""Words of a phase, at the table's beginning: sizes, and where in the table its parts are."""
CORRELATE_WORDS = ("images", "out", "packed", "other", "sums", "table", "groups", "group_step",
                   "m", "q", "p", "at", "taps")  # fmt: skip
"""Words of a "correlate" block, behind those of its two sources."""


def emit_convolution(variant: Convolution) -> str:
    """Return the LLVM IR of a variant as text; its step function is `variant.symbol`."""
    module = ir.Module(variant.symbol)
    kit = block_kit(module, variant.dtype, variant.level)
    emit = _filter if variant.kind == "filter" else _correlate
    tile = (_filter_tile if variant.kind == "filter" else _correlate_tile)(kit, variant)
    kind = ir.FunctionType(I32, [kit.pointer, kit.pointer, I64, I64, I64])
    function = ir.Function(module, kind, variant.symbol)
    function.attributes.add("nounwind")
    result, _, address, *_ = function.args
    b = ir.IRBuilder(function.append_basic_block("start"))
    b.store(word(0), result)
    table = b.inttoptr(address, kit.pointer)
    body = function.append_basic_block("body")
    emit(b, kit, variant, tile, table, body)
    b.ret(ir.Constant(I32, 0))
    return text_of(module)


def _words(
    b: ir.IRBuilder, kit: Kit, table: ir.Value, sources: int, names: Sequence[str]
) -> tuple[list[Source], dict[str, ir.Value]]:
    """Emit the loads of a block's words; what ends a scratch or an array is a pointer."""
    found = [
        Source(*(word_at(b, table, s * SOURCE_WORDS + k) for k in range(SOURCE_WORDS)))
        for s in range(sources)
    ]
    base = sources * SOURCE_WORDS
    x = {name: word_at(b, table, base + k) for k, name in enumerate(names)}
    for name in ("filters", "out", "packed", "panel", "made", "table", "other", "sums"):
        if name in x:
            x[name] = b.inttoptr(x[name], kit.pointer)
    return found, x


def _filter(b: ir.IRBuilder, kit: Kit, variant: Convolution, tile: ir.Function,
            table: ir.Value, body: ir.Block) -> None:  # fmt: skip
    (source,), x = _words(b, kit, table, 1, FILTER_WORDS)
    b.branch(body)
    b.position_at_end(body)
    tiles = ceil_div(b, x["m"], variant.rows)
    _walk(b, kit, variant, x, tiles, lambda *place: _pack_filters(b, kit, variant, x, *place))
    fill_zero(b, kit, x["packed"], source.total)
    per_image = b.mul(b.mul(x["groups"], x["m"]), x["pixels"])

    def block(first: ir.Value, images: ir.Value) -> None:
        emit_pack(b, kit, source, first, images, x["packed"])
        _walk(b, kit, variant, x, tiles,
              lambda *place: _filter_pixels(b, kit, variant, x, tile, *place))  # fmt: skip
        target = kit.at(b, x["out"], b.mul(first, per_image))
        emit_unpack(b, kit, x["made"], target, per_image, images)

    each_block(b, kit, x["images"], block)


def _walk(b: ir.IRBuilder, kit: Kit, variant: Convolution, x: Words, tiles: ir.Value,
          body: Callable[[Words, ir.Value, ir.Value, ir.Value], None]) -> None:  # fmt: skip
    """Emit the loops over phases, groups and tiles of filters; `body` gets the phase's words,
    the group, the tile's first filter, and its panel of packed filters."""

    def phase(values: list[ir.Value]) -> list[ir.Value]:
        number, panel = values
        at = b.gep(x["table"], [b.mul(number, word(len(PHASE_WORDS)))], source_etype=I64)
        f = {name: word_at(b, at, k) for k, name in enumerate(PHASE_WORDS)}
        size = b.mul(f["k"], word(variant.rows))

        def group(values: list[ir.Value]) -> list[ir.Value]:
            g, panel = values

            def rows(values: list[ir.Value]) -> list[ir.Value]:
                m, panel = values
                body(f, g, m, panel)
                return [b.add(m, word(variant.rows)), kit.at(b, panel, size)]

            _, panel = repeat(b, tiles, [word(0), panel], rows)
            return [b.add(g, word(1)), panel]

        _, panel = repeat(b, x["groups"], [word(0), panel], group)
        return [b.add(number, word(1)), panel]

    repeat(b, x["phases"], [word(0), x["panel"]], phase)


def _part(b: ir.IRBuilder, table: ir.Value, start: ir.Value) -> ir.Value:
    return b.gep(table, [start], source_etype=I64)


def _pack_filters(b: ir.IRBuilder, kit: Kit, variant: Convolution, x: Words, f: Words,
                  g: ir.Value, m: ir.Value, panel: ir.Value) -> None:  # fmt: skip
    """Emit the packing of a tile of filters: for each tap, their elements side by side."""
    source = kit.at(b, x["filters"], b.mul(g, x["filter_step"]))
    last = b.sub(x["m"], word(1))
    rows = [smaller(b, b.add(m, word(i)), last) for i in range(variant.rows)]
    offsets = [b.mul(row, x["filter_row"]) for row in rows]
    places = _part(b, x["table"], f["weights"])

    def tap(k: ir.Value) -> None:
        here = kit.at(b, source, word_at(b, places, k))
        to = kit.at(b, panel, b.mul(k, word(variant.rows)))
        for i, offset in enumerate(offsets):
            b.store(kit.value(b, kit.at(b, here, offset)), kit.at(b, to, i))

    count(b, f["k"], tap)


def _filter_pixels(b: ir.IRBuilder, kit: Kit, variant: Convolution, x: Words,
                   tile: ir.Function, f: Words, g: ir.Value, m: ir.Value,
                   panel: ir.Value) -> None:  # fmt: skip
    """Emit the tiles of all pixels of a phase for one tile of filters."""
    image = vector_at(b, kit, x["packed"], b.mul(g, x["group_step"]))
    row = b.add(b.mul(g, x["m"]), m)
    target = vector_at(b, kit, x["made"], b.mul(row, x["pixels"]))
    taps, at, to = (_part(b, x["table"], f[name]) for name in ("taps", "at", "to"))
    left = b.sub(x["m"], m)

    def pixels(i: ir.Value) -> None:
        p = b.mul(i, word(variant.columns))
        arguments = [panel, image, taps, f["k"], _part(b, at, p), _part(b, to, p), target,
                     x["pixels"], left]  # fmt: skip
        kit.call(b, tile, arguments)

    count(b, ceil_div(b, f["p"], variant.columns), pixels)


def _filter_tile(kit: Kit, variant: Convolution) -> ir.Function:
    """Emit the function of a tile of filters by pixels; rows beyond the last repeat it."""
    names = [("panel", kit.pointer), ("image", kit.pointer), ("taps", kit.pointer), ("k", I64),
             ("at", kit.pointer), ("to", kit.pointer), ("target", kit.pointer),
             ("pixels", I64), ("left", I64)]  # fmt: skip
    function = kit.function("tile", names)
    panel, image, taps, k, at, to, target, pixels, left = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    rows, columns = variant.rows, variant.columns
    lines = [vector_at(b, kit, image, word_at(b, at, j)) for j in range(columns)]

    def step(values: list[ir.Value]) -> list[ir.Value]:
        *sums, panel, tap = values
        offset = b.load(tap, typ=I64)
        wide = [kit.load(b, vector_at(b, kit, line, offset)) for line in lines]
        made = []
        for i in range(rows):
            factor = kit.spread(b, kit.value(b, kit.at(b, panel, i)))
            made += [kit.fma(b, factor, wide[j], sums[i * columns + j]) for j in range(columns)]
        return [*made, kit.at(b, panel, rows), b.gep(tap, [word(1)], source_etype=I64)]

    sums = repeat(b, k, [*[kit.zero] * (rows * columns), panel, taps], step)
    places = [word_at(b, to, j) for j in range(columns)]
    last = b.sub(left, word(1))
    for i in range(rows):
        line = vector_at(b, kit, target, b.mul(smaller(b, word(i), last), pixels))
        for j, place in enumerate(places):
            kit.store(b, sums[i * columns + j], vector_at(b, kit, line, place))
    b.ret_void()
    return function


def _correlate(b: ir.IRBuilder, kit: Kit, variant: Convolution, tile: ir.Function,
               table: ir.Value, body: ir.Block) -> None:  # fmt: skip
    (source, other), x = _words(b, kit, table, 2, CORRELATE_WORDS)
    b.branch(body)
    b.position_at_end(body)
    at, taps = (_part(b, x["table"], x[name]) for name in ("at", "taps"))
    row_tiles = ceil_div(b, x["m"], variant.rows)
    column_tiles = ceil_div(b, x["q"], variant.columns)
    width = b.mul(column_tiles, word(variant.columns))
    height = b.mul(row_tiles, word(variant.rows))
    every = b.mul(b.mul(x["groups"], height), width)
    nothing = ir.Constant(kit.element, 0.0)
    count(b, every, lambda i: b.store(nothing, kit.at(b, x["sums"], i)))
    fill_zero(b, kit, x["packed"], source.total)
    fill_zero(b, kit, x["other"], other.total)

    def each_tile(g: ir.Value) -> None:
        image = vector_at(b, kit, x["packed"], b.mul(g, x["group_step"]))

        def rows(i: ir.Value) -> None:
            m = b.mul(i, word(variant.rows))
            first = b.add(b.mul(g, x["m"]), m)
            upper = vector_at(b, kit, x["other"], b.mul(first, x["p"]))
            line = kit.at(b, x["sums"], b.mul(b.add(b.mul(g, height), m), width))

            def columns(j: ir.Value) -> None:
                q = b.mul(j, word(variant.columns))
                arguments = [upper, image, at, _part(b, taps, q), x["p"], kit.at(b, line, q),
                             width, b.sub(x["m"], m)]  # fmt: skip
                kit.call(b, tile, arguments)

            count(b, column_tiles, columns)

        count(b, row_tiles, rows)

    def block(first: ir.Value, images: ir.Value) -> None:
        emit_pack(b, kit, source, first, images, x["packed"])
        emit_pack(b, kit, other, first, images, x["other"])
        count(b, x["groups"], each_tile)

    each_block(b, kit, x["images"], block)

    def copy(row: ir.Value) -> None:
        group, m = b.udiv(row, x["m"]), b.urem(row, x["m"])
        line = kit.at(b, x["sums"], b.mul(b.add(b.mul(group, height), m), width))
        to = kit.at(b, x["out"], b.mul(row, x["q"]))
        count(b, x["q"], lambda q: b.store(kit.value(b, kit.at(b, line, q)), kit.at(b, to, q)))

    count(b, b.mul(x["groups"], x["m"]), copy)


def _correlate_tile(kit: Kit, variant: Convolution) -> ir.Function:
    """Emit the function of a tile of filters by taps, which adds to the sums in memory."""
    names = [("upper", kit.pointer), ("image", kit.pointer), ("at", kit.pointer),
             ("taps", kit.pointer), ("p", I64), ("sums", kit.pointer), ("width", I64),
             ("left", I64)]  # fmt: skip
    function = kit.function("tile", names)
    upper, image, at, taps, p, target, width, left = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    rows, columns, last = variant.rows, variant.columns, b.sub(left, word(1))
    uppers = [
        vector_at(b, kit, upper, b.mul(smaller(b, word(i), last), p)) for i in range(rows)
    ]
    lines = [vector_at(b, kit, image, word_at(b, taps, j)) for j in range(columns)]

    def step(values: list[ir.Value]) -> list[ir.Value]:
        *sums, i = values
        offset = word_at(b, at, i)
        wide = [kit.load(b, vector_at(b, kit, line, offset)) for line in lines]
        made = []
        for row in range(rows):
            factor = kit.load(b, vector_at(b, kit, uppers[row], i))
            made += [kit.fma(b, factor, wide[j], sums[row * columns + j]) for j in range(columns)]
        return [*made, b.add(i, word(1))]

    sums = repeat(b, p, [*[kit.zero] * (rows * columns), word(0)], step)
    kind = ir.FunctionType(kit.element, [kit.element, kit.vector])
    name = f"llvm.vector.reduce.fadd.{kit.suffix}"
    add_up = ir.Function(kit.module, kind, name)
    nothing = ir.Constant(kit.element, -0.0)
    for i in range(rows):
        line = kit.at(b, target, b.mul(word(i), width))
        for j in range(columns):
            place = kit.at(b, line, j)
            made = b.call(add_up, [nothing, sums[i * columns + j]], fastmath=("reassoc",))
            b.store(b.fadd(kit.value(b, place), made), place)
    b.ret_void()
    return function
