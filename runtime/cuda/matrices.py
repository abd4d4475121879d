"""Matrix products by kernels of ours, one or a stack of them in one launch.

The words of a product's block: the addresses of A, B and C, the sizes m, n and k, strides of rows
and columns of A and of B and of rows of C, alpha and beta; and for each axis of a stack its
extent and the strides of A and of B (C's matrices lie one behind the other).

Matrices with few elements and long sums have several blocks for each tile. What they find goes to
the work area, in the dtype of sums, and a second kernel adds it up, in order, and puts it into C.

Factors of float16 and bfloat16 are widened as they are loaded; results of such are rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from graphc.core.plan import Step
from graphc.runtime.cuda import tiles
from graphc.runtime.cuda.products import FIRST_OF_STACK, dtypes_of
from graphc.runtime.cuda.shapes import Shape, kernel_of
from graphc.runtime.cuda.tiles import COMPUTED, Factor, Tile, itemsize


def shapes(step: Step, threads: int, blocks: int) -> tuple[list[Shape], int]:
    """The launches of a product, and the bytes of the work area that they want."""
    words = [int(w) for w in step.words[3:11]]  # type: ignore[arg-type]
    stack = [int(w) for w in step.words[FIRST_OF_STACK::3]]  # type: ignore[arg-type]
    m, n, k, a_row, a_col, b_row, b_col, _ = words
    (dtype, made), count, axes = dtypes_of(step), prod(stack), len(stack)
    if not m * n * count:
        return [], 0
    tile, parts = tiles.chosen(tiles.MENUS, dtype, m, n, count, k, threads)
    places = tile.count(m, n) * count
    along = _along(a_col, a_row, k, m), _along(b_row, b_col, k, n)
    source = tiled(tile, dtype, *along, axes, made if parts == 1 else COMPUTED[dtype])
    found = [Shape(source, places * parts, tile.threads, parts)]
    if parts == 1:
        return found, 0
    grid = min(-(-m * n * count // threads), blocks)
    found.append(Shape(gathered(made, axes), grid, threads, parts))
    return found, parts * m * n * count * itemsize(COMPUTED[dtype])


def _along(met: int, own: int, k: int, extent: int) -> str:
    """Which neighbours a thread takes together: those that lie beside each other."""
    if met == 1 and (k > 1 or own != 1):
        return "sum"
    return "own" if own == 1 and extent > 1 or abs(own) < abs(met) else "sum"


def _factor(name: str, dtype: str, along: str) -> Factor:
    """A with its rows, or B with its columns."""
    array, own, met, limit = {
        "left": ("a", "a_row", "a_col", "m"), "right": ("b", "b_col", "b_row", "n"),
    }[name]  # fmt: skip
    vector = tiles.vector_of(dtype)
    step = met if along == "sum" else own

    def place(s: str, at: str) -> list[str]:
        return [f"{s}_at = ({at}) * {own}", f"{s}_room = {limit} - ({at})"]

    def term(s: str, at: str) -> list[str]:
        return [f"{s}_term = start + {at}", f"{s}_from = {s}_term * {met}",
                f"{s}_left = high - {s}_term"]  # fmt: skip

    def take(mine: str, other: str, into: Sequence[str]) -> list[str]:
        limits = (f"{other}_left", f"{mine}_room")
        room, also = limits if along == "sum" else limits[::-1]
        given = f"{array}, {mine}_at + {other}_from, {step}, room, {array}_whole"
        return [
            f"room = {room} if {also} > 0 else int64(0)",
            f"{', '.join(into)} = take{vector}_{dtype}({given})",
        ]

    return Factor(name, along, vector, place, term, take)


def _head(dtype: str) -> list[str]:
    kind = COMPUTED[dtype]
    return [
        "if stopped(error, step):", "    return",
        "a, b, c = word(block, 0), word(block, 1), word(block, 2)",
        "m, n, k = word(block, 3), word(block, 4), word(block, 5)",
        "a_row, a_col = word(block, 6), word(block, 7)",
        "b_row, b_col = word(block, 8), word(block, 9)",
        "c_row = word(block, 10)",
        f"alpha, beta = {kind}(real_word(block, 11)), {kind}(real_word(block, 12))",
        "thread, here = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)",
    ]  # fmt: skip


def tiled(
    tile: Tile, dtype: str, left: str, right: str, axes: int, made: str = ""
) -> str:  # fmt: skip
    """The kernel whose blocks make tiles of C; `left` and `right` say along what factors lie.

    What blocks write has the dtype `made`, which is that of sums where several share in a tile.
    """
    made = made or dtype
    size = itemsize(dtype)
    lines = _head(dtype) + [
        f"across = (n + {tile.columns - 1}) // {tile.columns}",
        f"count = across * ((m + {tile.rows - 1}) // {tile.rows})",
        "tile, rest = remainder(here, count), quotient(here, count)",
        "part, one = remainder(rest, parts), quotient(rest, parts)",
        f"first_row = quotient(tile, across) * {tile.rows}",
        f"first_column = remainder(tile, across) * {tile.columns}",
        "if parts > 1:",
        f"    c, c_row = work + rest * m * n * {itemsize(made)}, n",
        f"    alpha, beta = {COMPUTED[dtype]}(1), {COMPUTED[dtype]}(0)",
        "else:",
        f"    c = c + one * m * n * {itemsize(made)}",
    ]  # fmt: skip
    for axis in reversed(range(axes)):
        first = FIRST_OF_STACK + 3 * axis
        lines += [
            f"index, extent = remainder(one, word(block, {first})), word(block, {first})",
            f"a = a + index * word(block, {first + 1}) * {size}",
            f"b = b + index * word(block, {first + 2}) * {size}",
            "one = quotient(one, extent)",
        ]
    other = {"sum": ("a_col", "a_row"), "own": ("a_row", "a_col")}[left]
    lines.append(_whole("a", *other, dtype))
    other = {"sum": ("b_row", "b_col"), "own": ("b_col", "b_row")}[right]
    lines.append(_whole("b", *other, dtype))
    lines += [
        f"span = (k + parts * {tile.deep} - 1) // (parts * {tile.deep}) * {tile.deep}",
        "low = part * span",
        "high = imin(low + span, k)",
        *tiles.summed(tile, dtype, _factor("left", dtype, left), _factor("right", dtype, right)),
        *_kept(tile, made),
    ]
    return kernel_of(lines, tile.bounds(dtype))


def _whole(array: str, along: str, other: str, dtype: str) -> str:
    """Whether words begin at multiples of their size: along, places are multiples of `vector`."""
    vector = tiles.vector_of(dtype)
    begins = f"{array} % {vector * itemsize(dtype)} == 0"
    return f"{array}_whole = {along} == 1 and {other} % {vector} == 0 and {begins}"


def _kept(tile: Tile, dtype: str) -> list[str]:
    """Put a thread's sums to their places in C."""
    kind = COMPUTED[dtype]
    width = tiles.spread(tile, kind)[1]
    lines = [f"whole = c_row % {width} == 0 and c % {width * itemsize(dtype)} == 0"]
    for row, words in tiles.sums(tile, dtype):
        lines += [f"row = {row}", "if row < m:"]
        for column, names in words:
            given = f"c, row * c_row + column, n - column, whole, alpha, beta, {', '.join(names)}"
            lines += [f"    column = {column}", f"    put{width}_{dtype}({given})"]
    return lines


def gathered(dtype: str, axes: int) -> str:
    """The kernel that adds up what blocks left in the work area."""
    kind = COMPUTED[dtype]
    stack = " * ".join(["m * n", *(f"word(block, {FIRST_OF_STACK + 3 * k})" for k in range(axes))])
    return kernel_of([
        *_head(dtype),
        f"found, total = at_{kind}(work), {stack}",
        "for at in range(here * int64(cuda.blockDim.x) + thread, total,",
        "                int64(cuda.gridDim.x) * int64(cuda.blockDim.x)):",
        "    one, place = at // (m * n), at % (m * n)",
        f"    value = {kind}(0)",
        "    for part in range(parts):",
        "        value = value + found[(one * parts + part) * (m * n) + place]",
        "    at_c = one * m * n + place // n * c_row + place % n",
        f"    put1_{dtype}(c, at_c, 1, False, alpha, beta, value)",
    ])  # fmt: skip
