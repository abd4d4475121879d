"""Convolutions in tiles: where the elements of the implicit matrices lie.

The element of an image that a tap meets lies at a place ``u + m`` along each axis, where `u`
follows from one of column and term, and `m` from the other. So a thread computes what depends on
its columns once, and for a term little but a sum and a comparison is left.

Where there are channels enough, a stage takes `deep` channels of one tap, and the next stage
those of the next tap; then the tap is the same for a stage, and rows of filters that one stage
has brought to the cache serve the next ones. Else terms go over taps first.

Extents, strides and dilation are literals, so that no division is by a number unknown to the
compiler; the number of images is a word, so that batches of any size share kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from graphc.runtime.cuda import tiles
from graphc.runtime.cuda.bits import rounded
from graphc.runtime.cuda.pixels import (
    column_parts,
    columns_of,
    decoded,
    head,
    met_of,
    renamed,
    rows_of,
    summed_parts,
    taps,
)
from graphc.runtime.cuda.shapes import indented, kernel_of
from graphc.runtime.cuda.tiles import COMPUTED, Factor, Tile, itemsize

FAR = -(2**40)  # a place outside of every image
WASTE = 4  # a stage may have one term in so many that is beyond the last channel


def by_tap(p: Any, tile: Tile) -> bool:
    """Whether a stage takes channels of one tap."""
    met = met_of(p)
    padded = -(-met // tile.deep) * tile.deep
    return p.kind != "weight" and (padded - met) * WASTE <= padded


def depth_of(p: Any, tile: Tile, images: int) -> int:
    """How many terms a sum has, with those beyond the last channel."""
    if p.kind == "weight":
        return images * prod(p.made)
    met = met_of(p)
    return (-(-met // tile.deep) * tile.deep if by_tap(p, tile) else met) * prod(p.kernel)


class _Places:
    """The lines that say where elements lie."""

    def __init__(self, p: Any, tile: Tile, large: bool) -> None:
        self.p, self.tile, self.large = p, tile, large
        self.by_tap = by_tap(p, tile)
        self.axes = range(len(p.kernel))
        self.images = "g" if p.kind == "input" else "x"

    def factors(self) -> tuple[Factor, Factor]:
        """A's neighbours in memory are channels or taps, or pixels; B's are pixels."""
        left = {"forward": "sum", "input": "own", "weight": "sum"}[self.p.kind]
        right = "sum" if self.p.kind == "weight" else "own"
        return (
            Factor("left", left, 1, self.row, self.left_term, self.take_left),
            Factor("right", right, 1, self.column, self.right_term, self.take_right),
        )

    def stage(self) -> list[str]:
        """What the terms of a stage have in common."""
        if not self.by_tap:
            return []
        deep, extents = self.tile.deep, taps(self.p)
        at = decoded(f"quotient(start, {deep})", renamed(extents, "s"), self.large)
        return [*at, f"s_c = s_c * {deep}"]

    def term(self, s: str, at: str) -> tuple[list[str], str]:
        """The parts of a term's number; and a prefix of the names of its taps."""
        if self.by_tap:
            return [f"{s}_c = s_c + {at}", f"{s}_ok = {s}_c < {met_of(self.p)}"], "s"
        parts = renamed(summed_parts(self.p), s)
        lines = decoded(f"{s}_r", parts, self.large)
        return [f"{s}_r = start + {at}", *lines, f"{s}_ok = {s}_r < high"], s

    # --- A --------------------------------------------------------------------------------

    def row(self, s: str, at: str) -> list[str]:
        p, own = self.p, f"group * {rows_of(self.p)} + {s}_row"
        where = {
            "forward": f"({own}) * w_0",
            "input": f"group * {met_of(p)} * w_0 + {s}_row * w_1",
            "weight": f"({own}) * g_1",
        }[p.kind]
        return [f"{s}_row = {at}", f"{s}_at = {where}", f"{s}_in = {s}_row < {rows_of(p)}"]

    def left_term(self, s: str, at: str) -> list[str]:
        lines, t = self.term(s, at)
        name, axis = ("g", "p") if self.p.kind == "weight" else ("w", "t")
        first = {"forward": f"{s}_c * w_1", "input": f"{s}_c * w_0", "weight": f"{s}_image * g_0"}
        rest = [f"{t}_{axis}{a} * {name}_{a + 2}" for a in self.axes]
        return [*lines, f"{s}_from = {' + '.join([first[self.p.kind], *rest])}"]

    def take_left(self, mine: str, other: str, into: Sequence[str]) -> list[str]:
        name = "g" if self.p.kind == "weight" else "w"
        load = f"load1_{self.p.stored}({name}, {mine}_at + {other}_from)"
        return [f"{into[0]} = {load} if {mine}_in and {other}_ok else zero"]

    # --- B --------------------------------------------------------------------------------

    def column(self, s: str, at: str) -> list[str]:
        """Where a column's places begin, along each axis and in memory."""
        p, x = self.p, self.images
        lines = [f"{s}_column = {at}",
                 *decoded(f"{s}_column", renamed(column_parts(p), s), self.large)]  # fmt: skip
        for a in self.axes:
            lines.append(f"{s}_u{a} = " + {
                "forward": f"{s}_p{a} * {p.stride[a]} - {p.pad[a]}",
                "input": f"{s}_y{a} + {p.pad[a]}",
                "weight": f"{s}_t{a} * {p.dilation[a]} - {p.pad[a]}",
            }[p.kind])  # fmt: skip
        channel = f"(group * {met_of(p)}" + (f" + {s}_c)" if p.kind == "weight" else ")")
        where = [f"{channel} * {x}_1"] + ([f"{s}_image * {x}_0"] if p.kind != "weight" else [])
        where += [f"{s}_u{a} * {x}_{a + 2}" for a in self.axes if self._linear(a)]
        return [*lines, f"{s}_at = {' + '.join(where)}",
                f"if {s}_column >= columns:", f"    {s}_u0 = int64({FAR})"]  # fmt: skip

    def _linear(self, a: int) -> bool:
        """Whether places along an axis are sums; else strides divide them first."""
        return self.p.kind != "input" or self.p.stride[a] == 1

    def right_term(self, s: str, at: str) -> list[str]:
        p, x = self.p, self.images
        lines, t = self.term(s, at)
        for a in self.axes:
            step = f"{t}_p{a} * {p.stride[a]}"
            tap = f"{t}_t{a} * {-p.dilation[a] if p.kind == 'input' else p.dilation[a]}"
            lines.append(f"{s}_m{a} = {step if p.kind == 'weight' else tap}")
        where = [f"{s}_image * x_0" if p.kind == "weight" else f"{s}_c * {x}_1"]
        where += [f"{s}_m{a} * {x}_{a + 2}" for a in self.axes if self._linear(a)]
        return [*lines, f"{s}_from = {' + '.join(where)}"]

    def take_right(self, mine: str, other: str, into: Sequence[str]) -> list[str]:
        p, x = self.p, self.images
        lines, inside, where = [], [f"{other}_ok"], [f"{mine}_at", f"{other}_from"]
        for a in self.axes:
            y, stride = f"y_{a}", p.stride[a]
            lines.append(f"{y} = {mine}_u{a} + {other}_m{a}")
            inside.append(f"{y} >= 0")
            if self._linear(a):
                inside.append(f"{y} < {(p.made if p.kind == 'input' else p.size)[a]}")
                continue
            lines.append(f"p_{a} = quotient({y}, {stride})")
            inside += [f"p_{a} < {p.made[a]}", f"p_{a} * {stride} == {y}"]
            where.append(f"p_{a} * {x}_{a + 2}")
        load = f"load1_{p.stored}({x}, {' + '.join(where)})"
        return [*lines, f"{into[0]} = {load} if {' and '.join(inside)} else zero"]


def tiled(p: Any, tile: Tile, large: bool, written: str = "") -> str:
    """The kernel whose blocks make tiles of C, of `parts` of a sum each.

    With several parts, blocks leave what they find in the work area; `written` is then the dtype
    of sums, else that of results.
    """
    rows, places = rows_of(p), _Places(p, tile, large)
    down = -(-rows // tile.rows)
    columns = str(columns_of(p)) if p.kind == "weight" else f"images * {columns_of(p)}"
    depth = depth_of(p, tile, 1)
    left, right = places.factors()
    deep = tile.deep
    return kernel_of([
        *head(p, addresses=True),
        f"columns, depth = {columns}, {depth}" + (" * images" if p.kind == "weight" else ""),
        f"across = (columns + {tile.columns - 1}) // {tile.columns}",
        f"tile, rest = remainder(here, across * {down}), quotient(here, across * {down})",
        f"group, part = remainder(rest, {p.groups}), quotient(rest, {p.groups})",
        f"first_row = quotient(tile, across) * {tile.rows}",
        f"first_column = remainder(tile, across) * {tile.columns}",
        f"span = (depth + parts * {deep} - 1) // (parts * {deep}) * {deep}",
        "low = part * span",
        "high = imin(low + span, depth)",
        *tiles.summed(tile, p.dtype, left, right, places.stage()),
        "if parts > 1:",
        f"    out = work + part * {_made(p)} * {itemsize(COMPUTED[p.dtype])}",
        *_kept(p, tile, large, written or p.stored),
    ], tile.bounds(p.dtype, 2 + len(p.kernel) if p.kind == "weight" else 0))  # fmt: skip


def _made(p: Any) -> str:
    """How many elements the result has."""
    images = "" if p.kind == "weight" else " * images"
    return f"{rows_of(p) * p.groups * columns_of(p)}{images}"


def _kept(p: Any, tile: Tile, large: bool, dtype: str) -> list[str]:
    """Put a thread's sums to their places.

    Columns of a word lie beside each other where an image's pixels are whole words.
    """
    kind, rows, long = COMPUTED[p.dtype], rows_of(p), columns_of(p)
    width = tiles.spread(tile, kind)[1]
    together = p.kind == "weight" or long % width == 0
    aligned = f"out % {width * itemsize(dtype)} == 0" if long % width == 0 else "False"
    lines = [f"one, whole = {kind}(1), {aligned}"]
    image = [("image", 0), ("pixel", long)]
    by_word = zip(*(words for _, words in tiles.sums(tile, p.dtype)))
    for words in by_word:  # the same columns in all rows
        column = words[0][0]
        pieces = [(0, width)] if together else [(k, 1) for k in range(width)]
        for k, count in pieces:
            lines.append(f"column = {column} + {k}")
            if p.kind == "weight":
                lines.append(f"at = group * {rows * long} + column")
            else:
                lines += decoded("column", image, large)
                lines.append(f"at = (image * {p.groups} + group) * {rows * long} + pixel")
            for (row, _), (_, names) in zip(tiles.sums(tile, p.dtype), words):
                given = ", ".join(names[k : k + count])
                put = f"put{count}_{dtype}(out, at + row * {long}, columns - column, whole"
                lines += [f"row = {row}", f"if row < {rows}:", f"    {put}, one, zero, {given})"]
    return lines


def gathered(p: Any) -> str:
    """The kernel that adds up, in order, what blocks left in the work area."""
    kind, count = COMPUTED[p.dtype], _made(p)
    total = rounded(p.stored, "total")
    return kernel_of([
        *head(p, addresses=True),
        f"found, count = at_{kind}(work), {count}",
        "for at in range(here * threads + thread, count, blocks * threads):",
        *indented([
            f"total = {kind}(0)", "for part in range(parts):",
            "    total = total + found[part * count + at]", f"store1_{p.stored}(out, at, {total})",
        ]),
    ])  # fmt: skip

