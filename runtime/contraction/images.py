"""Images in blocks: a vector holds one pixel of as many images as it has lanes.

A batch of images ``(image, channel, row, column)`` is packed block by block to
``(channel, row, column, lane)``, with zeros around each channel where a convolution wants some;
volumes have slices, of rows, as a further axis.
All that a filter meets is then whole vectors, whatever the sizes, strides and dilations are. Lanes
without an image are zeros. A block is 64 bytes wide on every CPU; the compiler splits it where
registers are narrower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from llvmlite import ir

from .build import I64, Kit, Values, repeat, smaller, word
from .levels import Level
from .panel import _transposed
from .variants import BLOCK_BYTES

Words = dict[str, ir.Value]


def block_kit(module: ir.Module, dtype: str, level: str) -> Kit:
    """The kit whose vectors are blocks of images."""
    return Kit(module, dtype, Level(level, BLOCK_BYTES, False, ""))


@dataclass(frozen=True)
class Source:
    """Where images lie, and where their pixels go: strides in elements, places in vectors."""

    address: ir.Value
    image: ir.Value
    planes: ir.Value
    plane: ir.Value
    slices: ir.Value
    slice: ir.Value
    rows: ir.Value
    row: ir.Value
    columns: ir.Value
    column: ir.Value
    start: ir.Value
    to_plane: ir.Value
    to_slice: ir.Value
    to_row: ir.Value
    total: ir.Value


SOURCE_WORDS = len(fields(Source))


def vector_at(b: ir.IRBuilder, kit: Kit, pointer: ir.Value, place: ir.Value) -> ir.Value:
    """Emit the address of vector number `place`."""
    return b.gep(pointer, [place], source_etype=kit.vector)


def word_at(b: ir.IRBuilder, table: ir.Value, number: ir.Value | int) -> ir.Value:
    """Emit the load of a word of a table."""
    index = word(number) if isinstance(number, int) else number
    return b.load(b.gep(table, [index], source_etype=I64), typ=I64)


def count(
    b: ir.IRBuilder, trips: ir.Value, body: Callable[[ir.Value], None], start: int = 0
) -> None:
    """Emit ``for i in range(start, start + trips): body(i)``."""

    def step(values: list[ir.Value]) -> Values:
        body(values[0])
        return [b.add(values[0], word(1))]

    repeat(b, trips, [word(start)], step)


def fill_zero(b: ir.IRBuilder, kit: Kit, target: ir.Value, total: ir.Value) -> None:
    """Emit the zeroing of so many vectors."""
    count(b, total, lambda i: kit.store(b, kit.zero, vector_at(b, kit, target, i)))


def emit_pack(b: ir.IRBuilder, kit: Kit, x: Source, first: ir.Value, images: ir.Value,
              target: ir.Value) -> None:  # fmt: skip
    """Emit the packing of `images` images (a block or what is left) from number `first` on."""
    source = kit.at(b, b.inttoptr(x.address, kit.pointer), b.mul(first, x.image))
    whole = b.icmp_signed("==", images, word(kit.lanes))
    with b.if_then(b.not_(whole), likely=False):
        fill_zero(b, kit, target, x.total)
    adjacent = b.and_(whole, b.icmp_signed("==", x.column, word(1)))
    squares = b.select(adjacent, b.udiv(x.columns, word(kit.lanes)), word(0))
    done = b.mul(squares, word(kit.lanes))
    offsets = [b.mul(x.image, word(j)) for j in range(kit.lanes)]

    def row(start: ir.Value, place: ir.Value) -> None:
        line, to = kit.at(b, source, start), vector_at(b, kit, target, place)

        def square(i: ir.Value) -> None:
            at = b.mul(i, word(kit.lanes))
            here = kit.at(b, line, at)
            values = [kit.load(b, kit.at(b, here, o)) for o in offsets]
            for k, value in enumerate(_transposed(b, kit, values)):
                kit.store(b, value, vector_at(b, kit, to, b.add(at, word(k))))

        count(b, squares, square)
        _elements(b, kit, x, line, to, done, images)

    _each_row(b, x, row)


def _each_row(b: ir.IRBuilder, x: Source, body: Callable[[ir.Value, ir.Value], None]) -> None:
    """Emit the loops over planes, slices and rows: where each row begins, and where it goes."""
    levels = ((x.planes, x.plane, x.to_plane), (x.slices, x.slice, x.to_slice),
              (x.rows, x.row, x.to_row))  # fmt: skip

    def level(k: int, start: ir.Value, place: ir.Value) -> None:
        if k == len(levels):
            return body(start, place)
        trips, step, to = levels[k]

        def inside(i: ir.Value) -> None:
            level(k + 1, b.add(start, b.mul(i, step)), b.add(place, b.mul(i, to)))

        return count(b, trips, inside)

    level(0, word(0), x.start)


def _elements(b: ir.IRBuilder, kit: Kit, x: Source, line: ir.Value, to: ir.Value,
              done: ir.Value, images: ir.Value) -> None:  # fmt: skip
    """Emit the packing of a row from pixel `done` on, one element at a time."""

    def pixel(i: ir.Value) -> None:
        at = b.add(done, i)
        source, place = kit.at(b, line, b.mul(at, x.column)), vector_at(b, kit, to, at)

        def element(lane: ir.Value) -> None:
            value = kit.value(b, kit.at(b, source, b.mul(lane, x.image)))
            b.store(value, kit.at(b, place, lane))

        count(b, images, element)

    count(b, b.sub(x.columns, done), pixel)


def emit_unpack(b: ir.IRBuilder, kit: Kit, source: ir.Value, target: ir.Value, total: ir.Value,
                images: ir.Value) -> None:  # fmt: skip
    """Emit the way back, to images of `total` adjacent elements."""
    lanes = kit.lanes
    whole = b.icmp_signed("==", images, word(lanes))
    squares = b.select(whole, b.udiv(total, word(lanes)), word(0))
    offsets = [b.mul(total, word(j)) for j in range(lanes)]

    def square(i: ir.Value) -> None:
        at = b.mul(i, word(lanes))
        values = [
            kit.load(b, vector_at(b, kit, source, b.add(at, word(k)))) for k in range(lanes)
        ]
        here = kit.at(b, target, at)
        for offset, value in zip(offsets, _transposed(b, kit, values), strict=True):
            kit.store(b, value, kit.at(b, here, offset))

    count(b, squares, square)
    done = b.mul(squares, word(lanes))

    def pixel(i: ir.Value) -> None:
        at = b.add(done, i)
        place = vector_at(b, kit, source, at)

        def element(lane: ir.Value) -> None:
            b.store(kit.value(b, kit.at(b, place, lane)),
                    kit.at(b, target, b.add(b.mul(lane, total), at)))  # fmt: skip

        count(b, images, element)

    count(b, b.sub(total, done), pixel)


def each_block(
    b: ir.IRBuilder, kit: Kit, images: ir.Value, body: Callable[[ir.Value, ir.Value], None]
) -> None:
    """Emit the loop over blocks of images: their first one, and how many they are."""
    trips = b.udiv(b.add(images, word(kit.lanes - 1)), word(kit.lanes))

    def step(i: ir.Value) -> None:
        first = b.mul(i, word(kit.lanes))
        body(first, smaller(b, b.sub(images, first), word(kit.lanes)))

    count(b, trips, step)
