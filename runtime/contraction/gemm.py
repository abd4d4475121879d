"""Products as outer products of registers: the loop nest around the tiles.

    for each block of k (its panel of B has to stay in the first-level cache):
        for each panel of columns (packed, if the variant says so):
            for each tile of rows: C[rows, columns] (+)= A[rows, block] B[block, columns]

with the two inner loops exchanged in variants whose `order` is "rows", which walk C row by row: the
better way where C is large and K small, as in a weight update.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from .build import I1, Kit, Values, ceil_div, repeat, text_of, word
from .levels import LEVELS
from .panel import emit_pack
from .step import Arguments, Block, each_block, emit_end, emit_step
from .tile import emit_tile
from .variants import Outer, Tile

PANEL_BYTES = 32768
"""Size of a block of B in the first-level cache, which leaves room for rows of A and C."""

PACKED = ("copied", "transposed", "gathered")
"""The forms of B that are packed."""


@dataclass(frozen=True)
class _Nest:
    """The emitted functions and the run-time values that the loops share."""

    kit: Kit
    variant: Outer
    arguments: Arguments
    tiles: dict[int, ir.Function]
    pack: ir.Function | None
    held: ir.Value | None

    @property
    def width(self) -> int:
        """Columns of a panel of B."""
        return self.variant.tile.vectors * self.kit.lanes


def emit_outer(variant: Outer) -> str:
    """Return the LLVM IR of a variant as text; its step function is `variant.symbol`."""
    module = ir.Module(variant.symbol)
    kit = Kit(module, variant.dtype, LEVELS[variant.level])
    main, direct = variant.tile, variant.b_form == "direct"
    tiles = {
        rows: emit_tile(
            kit,
            Tile(rows, main.vectors, main.depth),
            adjacent=variant.adjacent,
            packed=not direct,
            ahead=direct and variant.order == "columns" and main.rows > 1,
            scattered=variant.swapped,
        )
        for rows in (main.rows, *main.finishing)
    }
    pack = held = None
    b, arguments = emit_step(kit, variant.symbol, variant.swapped)
    if not direct or not kit.level.masked:  # without masks, a ragged panel needs its padding
        pack = emit_pack(kit, main.vectors, "copied" if direct else variant.b_form)
        rows = _depth(variant, kit) + kit.lanes
        held = kit.memory(b, rows * main.vectors * kit.lanes)  # every thread of a team has its own
    _blocks(b, _Nest(kit, variant, arguments, tiles, pack, held))
    emit_end(b)
    return text_of(module)


def _depth(variant: Outer, kit: Kit) -> int:
    """Return how many rows of a panel of B the first-level cache should hold."""
    return variant.strip or PANEL_BYTES // (variant.tile.vectors * kit.lanes * kit.size)


def _blocks(b: ir.IRBuilder, nest: _Nest) -> None:
    """Emit the loop over blocks of k."""
    variant, whole = nest.variant, ir.Constant(I1, 0)
    if nest.pack is None and variant.order == "rows":
        whole = ir.Constant(I1, 1)  # nothing of B is held, and C is met only once
    elif nest.pack is None and not variant.strip:  # the only tile of rows meets B only once
        whole = b.icmp_signed("<=", nest.arguments.m, word(variant.tile.rows))
    order = _rows_of_panels if variant.order == "rows" else _panels_of_rows
    depth = _depth(variant, nest.kit)
    each_block(b, nest.kit, nest.arguments, depth, whole, lambda part: order(b, nest, part))


def _panels_of_rows(b: ir.IRBuilder, nest: _Nest, part: Block) -> None:
    """Emit the order "columns": every panel of B meets all rows of A."""
    x = nest.arguments

    def panel(values: Values) -> Values:
        line, c, columns = values
        source, stride = _packed(b, nest, part, line, columns)

        def tile(function: ir.Value, places: list[ir.Value]) -> None:
            a, c = places
            _tile(b, nest, function, part, [a, source, c], stride, columns)

        _each_tile(b, nest, [part.a, c], tile)
        return _next_panel(b, nest, values)

    repeat(b, ceil_div(b, x.n, nest.width), [part.b, x.c, x.n], panel)


def _rows_of_panels(b: ir.IRBuilder, nest: _Nest, part: Block) -> None:
    """Emit the order "rows": every tile of rows of A meets all of B."""
    x = nest.arguments

    def tile(function: ir.Value, places: list[ir.Value]) -> None:
        a, c = places

        def panel(values: Values) -> Values:
            line, place, columns = values
            source, stride = _packed(b, nest, part, line, columns)
            _tile(b, nest, function, part, [a, source, place], stride, columns)
            return _next_panel(b, nest, values)

        repeat(b, ceil_div(b, x.n, nest.width), [part.b, c, x.n], panel)

    _each_tile(b, nest, [part.a, x.c], tile)


def _packed(
    b: ir.IRBuilder, nest: _Nest, part: Block, line: ir.Value, columns: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Emit the packing of a panel of B where there is any; return where to read it, its stride."""
    x, kit = nest.arguments, nest.kit
    if nest.pack is None:
        return line, x.b_row
    values = [line, nest.held, part.extent, columns, x.b_row, x.b_col]
    if nest.variant.b_form in PACKED:
        kit.call(b, nest.pack, values)
        return nest.held, word(nest.width)
    ragged = b.icmp_signed("<", columns, word(nest.width))
    with b.if_then(ragged, likely=False):
        kit.call(b, nest.pack, values)
    return b.select(ragged, nest.held, line), b.select(ragged, word(nest.width), x.b_row)


def _next_panel(b: ir.IRBuilder, nest: _Nest, values: Values) -> Values:
    """Emit the step to the next panel: of B, of C, and the columns left."""
    x, kit, width = nest.arguments, nest.kit, word(nest.width)
    line, c, columns = values
    return [
        kit.at(b, line, b.mul(width, x.b_col)),
        kit.at(b, c, b.mul(width, x.c_col)),
        b.sub(columns, width),
    ]


def _each_tile(
    b: ir.IRBuilder,
    nest: _Nest,
    places: Values,
    body: Callable[[ir.Value, list[ir.Value]], None],
) -> None:
    """Emit the loop over tiles of rows: the largest tile that what is left can fill, each time.

    `body` gets the tile's function and its places in A and C, of which `places` is the first. The
    tile is picked at run time: a loop for each tile would more than double the code to compile.
    """
    x, sizes = nest.arguments, sorted(nest.tiles)
    trips, rest = word(0), x.m
    for rows in reversed(sizes):
        trips, rest = b.add(trips, b.udiv(rest, word(rows))), b.urem(rest, word(rows))

    def step(values: list[ir.Value]) -> Values:
        *places, left = values
        rows, tile = word(sizes[0]), nest.tiles[sizes[0]]
        for size in sizes[1:]:
            fits = b.icmp_signed(">=", left, word(size))
            rows = b.select(fits, word(size), rows)
            tile = b.select(fits, nest.tiles[size], tile)
        body(tile, places)
        moves = zip(places, (x.a_row, x.c_row), strict=True)
        following = [nest.kit.at(b, place, b.mul(rows, stride)) for place, stride in moves]
        return [*following, b.sub(left, rows)]

    repeat(b, trips, [*places, x.m], step)


def _tile(
    b: ir.IRBuilder,
    nest: _Nest,
    function: ir.Value,
    part: Block,
    places: Values,
    b_row: ir.Value,
    columns: ir.Value,
) -> None:
    """Emit the call of a tile whose first elements of A, B and C are `places`."""
    x = nest.arguments
    strides = [x.a_row, x.a_col, b_row, x.c_row, x.c_col]
    values = [*places, part.extent, columns, *strides, x.alpha, part.beta]
    nest.kit.call(b, function, values)
