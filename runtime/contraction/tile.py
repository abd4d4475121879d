"""Register tiles: ``C[rows, columns] = alpha * sum_k A[rows, k] B[k, columns] + beta * C``.

A tile keeps rows x vectors accumulators in registers, and each step along k multiplies `vectors`
contiguous loads of B by one broadcast element per row of A. Where that leaves too few accumulators
to hide the latency of a multiply-add, `depth` steps along k have accumulators of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from .build import I64, Kit, Values, repeat, smaller, word
from .variants import Tile

AHEAD = 12
"""Steps along k by which an unpacked B is prefetched: rows far apart escape the hardware's eye."""

AHEAD_ALIASED, PAGE = 5, 4096
"""The same where rows are pages apart: all meet in one set of a cache, which forgets them soon."""


@dataclass(frozen=True)
class _Step:
    """The invariant values of one tile function's loop along k."""

    kit: Kit
    tile: Tile
    row_offsets: Sequence[ir.Value | int]
    a_col: ir.Value
    b_row: ir.Value
    masks: Sequence[ir.Value | None]
    ahead: ir.Value | None

    def advance(self, b: ir.IRBuilder, sums: Values, a: ir.Value, line: ir.Value) -> Values:
        """Emit the multiply-adds of one step along k."""
        kit, vectors = self.kit, self.tile.vectors
        starts = [kit.at(b, line, v * kit.lanes) for v in range(vectors)]
        wide = [kit.load(b, p, mask) for p, mask in zip(starts, self.masks, strict=True)]
        if self.ahead is not None:
            far = kit.at(b, line, self.ahead)
            for v in range(vectors):
                kit.prefetch(b, kit.at(b, far, v * kit.lanes))
        following = []
        for i, offset in enumerate(self.row_offsets):
            factor = kit.spread(b, kit.value(b, kit.at(b, a, offset)))
            following += [
                kit.fma(b, factor, wide[v], sums[i * vectors + v]) for v in range(vectors)
            ]
        return following

    def steps(self, b: ir.IRBuilder, values: Values, depth: int) -> Values:
        """Emit `depth` steps along k, each on its own accumulators."""
        *sums, a, line = values
        cells = self.tile.rows * self.tile.vectors
        following: list[ir.Value] = []
        for d in range(depth):
            following += self.advance(b, sums[d * cells : (d + 1) * cells], a, line)
            a, line = self.kit.at(b, a, self.a_col), self.kit.at(b, line, self.b_row)
        return [*following, *sums[depth * cells :], a, line]


def emit_tile(
    kit: Kit, tile: Tile, *, adjacent: bool, packed: bool, ahead: bool, scattered: bool
) -> ir.Function:
    """Emit the function of one register tile.

    Parameters
    ----------
    kit, tile : Kit, Tile
        Element type, level and module; the tile's shape.
    adjacent : bool
        Consecutive rows of A are adjacent, so that their addresses are one register and a constant.
    packed : bool
        B is a packed panel: it has all of the tile's columns.
    ahead : bool
        Prefetch rows of B.
    scattered : bool
        Columns of C are `c_col` elements apart.

    Returns
    -------
    ir.Function
        ``(a, b, c, k, columns, a_row, a_col, b_row, c_row, c_col, alpha, beta)``; of the tile's
        columns only the first `columns` exist in C, and in B too where the level has masks.
    """
    names = ("a_row", "a_col", "b_row", "c_row", "c_col")
    function = kit.function(
        f"tile_{tile.rows}_{tile.vectors}_{tile.depth}",
        [(name, kit.pointer) for name in ("a", "b", "c")]
        + [(name, I64) for name in ("k", "columns", *names)]
        + [(name, kit.element) for name in ("alpha", "beta")],
    )
    a, line, c, k, columns, a_row, a_col, b_row, c_row, c_col, alpha, beta = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    masks = kit.masks(b, columns, tile.vectors)
    offsets = [i if adjacent else b.mul(word(i), a_row) for i in range(tile.rows)]
    distance = _distance(b, kit, b_row) if ahead else None
    step = _Step(kit, tile, offsets, a_col, b_row, [None] * tile.vectors, distance)
    if packed or not kit.level.masked:
        sums = _accumulate(b, step, k, a, line)
    else:
        sums = _accumulate_either(b, step, masks, columns, k, a, line)
    if scattered:
        _store_by_element(b, kit, tile, sums, c, columns, c_row, c_col, alpha, beta)
    elif kit.level.masked:
        _store_rows(b, kit, tile, sums, c, c_row, alpha, beta, masks)
    else:
        whole = b.icmp_signed(">=", columns, word(tile.vectors * kit.lanes))
        with b.if_else(whole, likely=True) as (then, otherwise):
            with then:
                _store_rows(b, kit, tile, sums, c, c_row, alpha, beta, masks)
            with otherwise:
                _store_by_element(b, kit, tile, sums, c, columns, c_row, c_col, alpha, beta)
    b.ret_void()
    return function


def _distance(b: ir.IRBuilder, kit: Kit, b_row: ir.Value) -> ir.Value:
    """Emit how far ahead of a row of B to prefetch, in elements."""
    inside = b.and_(b.mul(b_row, word(kit.size)), word(PAGE - 1))
    aliased = b.icmp_signed("==", inside, word(0))
    return b.mul(b_row, b.select(aliased, word(AHEAD_ALIASED), word(AHEAD)))


def _accumulate_either(
    b: ir.IRBuilder,
    step: _Step,
    masks: Sequence[ir.Value | None],
    columns: ir.Value,
    k: ir.Value,
    a: ir.Value,
    line: ir.Value,
) -> list[ir.Value]:
    """Emit the loop along k twice: a masked load takes a slot from the multiply-adds."""
    whole = b.icmp_signed(">=", columns, word(step.tile.vectors * step.kit.lanes))
    found, blocks = [], []
    with b.if_else(whole, likely=True) as branches:
        for branch, form in zip(branches, (step, replace(step, masks=masks)), strict=True):
            with branch:
                found.append(_accumulate(b, form, k, a, line))
                blocks.append(b.block)
    merged = []
    for values in zip(*found, strict=True):
        phi = b.phi(step.kit.vector)
        for value, block in zip(values, blocks, strict=True):
            phi.add_incoming(value, block)
        merged.append(phi)
    return merged


def _accumulate(
    b: ir.IRBuilder, step: _Step, k: ir.Value, a: ir.Value, line: ir.Value
) -> list[ir.Value]:
    """Emit the loop along k and return one sum per row and vector."""
    kit, depth, cells = step.kit, step.tile.depth, step.tile.rows * step.tile.vectors
    values: Values = [*[kit.zero] * (depth * cells), a, line]
    if depth > 1:
        trips = b.udiv(k, word(depth))
        values = repeat(b, trips, values, lambda v: step.steps(b, v, depth))
        k = b.urem(k, word(depth))
    values = repeat(b, k, values, lambda v: step.steps(b, v, 1))
    sums = list(values[:cells])
    for d in range(1, depth):
        part = values[d * cells : (d + 1) * cells]
        sums = [b.fadd(x, y) for x, y in zip(sums, part, strict=True)]
    return sums


def _store_rows(
    b: ir.IRBuilder,
    kit: Kit,
    tile: Tile,
    sums: Values,
    c: ir.Value,
    c_row: ir.Value,
    alpha: ir.Value,
    beta: ir.Value,
    masks: Sequence[ir.Value | None],
) -> None:
    """Emit ``C = alpha * sums + beta * C`` for whole or masked vectors; beta 0 doesn't read C."""
    scale, keep = kit.spread(b, alpha), kit.spread(b, beta)
    reads = b.fcmp_unordered("!=", beta, ir.Constant(kit.element, 0.0))

    places = []
    for _ in range(tile.rows):
        places += [kit.at(b, c, v * kit.lanes) for v in range(tile.vectors)]
        c = kit.at(b, c, c_row)
    every = [*masks] * tile.rows

    def store(values: Values) -> None:
        for value, place, mask in zip(values, places, every, strict=True):
            kit.store(b, value, place, mask)

    def kept(values: Values, readable: Sequence[ir.Value | None]) -> Values:
        old = [kit.load(b, p, mask) for p, mask in zip(places, readable, strict=True)]
        return [kit.fma(b, x, keep, value) for x, value in zip(old, values, strict=True)]

    # All of C is read before any is stored: a masked load that overlaps the masked store of the
    # row before would wait for it, though their lanes differ.
    values = [b.fmul(value, scale) for value in sums]
    if kit.level.masked:  # one path: with beta 0 every lane is masked, and old values are zeros
        flag = kit.spread(b, reads)
        store(kept(values, [b.and_(mask, flag) for mask in masks] * tile.rows))
        return
    with b.if_else(reads) as (then, otherwise):
        with then:
            store(kept(values, every))
        with otherwise:
            store(values)


def _store_by_element(
    b: ir.IRBuilder,
    kit: Kit,
    tile: Tile,
    sums: Values,
    c: ir.Value,
    columns: ir.Value,
    c_row: ir.Value,
    c_col: ir.Value,
    alpha: ir.Value,
    beta: ir.Value,
) -> None:
    """Emit the same through memory, one element at a time, for ragged or strided columns."""
    width = tile.vectors * kit.lanes
    held = kit.memory(b, tile.rows * width)
    for cell, value in enumerate(sums):
        kit.store(b, value, kit.at(b, held, cell * kit.lanes))
    zero = b.fcmp_ordered("==", beta, ir.Constant(kit.element, 0.0))

    def element(values: Values) -> Values:
        source, place = values
        value = b.fmul(kit.value(b, source), alpha)
        with b.if_else(zero) as (then, otherwise):
            with then:
                b.store(value, place)
            with otherwise:
                b.store(b.fadd(value, b.fmul(kit.value(b, place), beta)), place)
        return [kit.at(b, source, width), kit.at(b, place, c_row)]

    def column(values: Values) -> Values:
        repeat(b, word(tile.rows), values, element)
        return [kit.at(b, values[0], 1), kit.at(b, values[1], c_col)]

    repeat(b, smaller(b, columns, word(width)), [held, c], column)
