"""The loop that products and convolutions share: a block makes a tile of ``C = A B``.

A block goes through a sum in stages of `deep` terms. Of each stage, it brings a strip of A and a
strip of B to shared memory; each of its threads then reads `high` elements of A's strip and `wide`
of B's for each term, and adds their products to `high x wide` sums in registers. Two buffers take
turns: while threads compute one stage, the loads of the next are under way, and one barrier per
stage does. (A stage is written to the buffer that was read two stages before; all threads have
passed the barrier after those reads.)

A strip lies in shared memory term by term, so that both factors' elements of a term are neighbours
and come in words of 16 bytes. Its rows are 16 bytes longer than the tile: threads that write
neighbouring terms of a column then meet other banks.

Where elements come from is what a :class:`Factor` says: lines of source. A thread takes the same
rows of A and columns of B in every stage, so what depends on them alone is computed once. The
names `thread`, `first_row`, `first_column`, `low` and `high` (where the block's part of the sum
begins and ends; `low` is a multiple of `deep`) are the kernel's. Terms from `high` on have to be 0
in one factor and finite in the other: `Factor.take` gives 0 for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphc.core.dtypes import numpy_dtype, wide
from graphc.runtime.cuda.shapes import indented

WORD = 16  # bytes that a thread moves at once
TOGETHER = 64  # products that are written out one after the other: loops have their price
REGISTERS = (80, 24), (96, 32), (128, 72), (255, 255)
"""How many registers a thread may have that holds up to so many words: places need some, too."""
COMPUTED = {d: wide(d) for d in ("float16", "bfloat16", "float32", "float64")}
"""By the dtype of factors in memory, the one in which products are added. Words convert
(:mod:`graphc.runtime.cuda.vectors`): ``take`` and ``load`` on the way in, ``put`` on the way out.
Shares of a sum are not rounded: a kernel whose blocks make such writes the dtype of sums."""


@dataclass(frozen=True)
class Tile:
    """What a block makes: `rows` x `columns` elements, `high` x `wide` of them a thread."""

    rows: int
    columns: int
    deep: int
    high: int
    wide: int

    @property
    def threads(self) -> int:
        return self.rows * self.columns // (self.high * self.wide)

    def bounds(self, dtype: str, places: int = 0) -> str:
        """The line above a kernel: how many blocks at once leave a thread enough registers.

        It holds its sums, what it has loaded for the next stage, and `places` of each of that.
        """
        loaded = (self.rows + self.columns) * self.deep // self.threads
        held = self.high * self.wide + loaded * (1 + places)
        words = held * itemsize(COMPUTED[dtype]) // 4
        registers = next(most for most, room in REGISTERS if words <= room)
        return f"@bounded({self.threads}, {min(16, 65536 // (registers * self.threads))})"

    def count(self, m: int, n: int) -> int:
        """How many tiles cover a matrix."""
        return -(-m // self.rows) * -(-n // self.columns)

    def covered(self, m: int, n: int) -> int:
        """How many elements these tiles have."""
        return self.count(m, n) * self.rows * self.columns

    def shared(self, dtype: str) -> int:
        """The bytes of shared memory that a block has."""
        size = itemsize(COMPUTED[dtype])
        return 2 * self.deep * (self.rows + self.columns + 2 * (WORD // size)) * size


@dataclass(frozen=True)
class Menu:
    """The tiles that there are, from large to small, and what they are chosen by.

    Attributes
    ----------
    tall, flat : for matrices with no more than `narrow` columns, or rows.
    wanted : blocks that a device should have at once.
    stages : along a sum; with fewer, another block is not worth its share.
    """

    squares: tuple[Tile, ...]
    tall: Tile
    flat: Tile
    narrow: int
    wanted: int
    stages: int


MENUS = {
    "float32": Menu(
        (Tile(128, 128, 8, 8, 8), Tile(64, 64, 16, 4, 4), Tile(32, 32, 16, 4, 4)),
        Tile(64, 8, 32, 4, 2), Tile(8, 64, 32, 2, 4), 8, 256, 16,
    ),
    "float64": Menu(
        (Tile(128, 64, 8, 8, 4), Tile(64, 64, 8, 4, 4), Tile(32, 32, 8, 4, 4)),
        Tile(64, 8, 16, 4, 2), Tile(8, 64, 16, 2, 4), 8, 256, 16,
    ),
}  # fmt: skip
"""By the dtype in which products are added. About two blocks for each multiprocessor are wanted."""
IMPLICIT_MENUS = {
    "float32": Menu(
        (Tile(128, 64, 8, 8, 4), Tile(64, 64, 8, 4, 4), Tile(32, 32, 8, 4, 4)),
        Tile(64, 8, 8, 4, 2), Tile(8, 64, 8, 2, 4), 8, 256, 32,
    ),
    "float64": Menu(
        (Tile(64, 64, 8, 4, 4), Tile(32, 32, 8, 4, 4)),
        Tile(64, 8, 8, 4, 2), Tile(8, 64, 8, 2, 4), 8, 256, 32,
    ),
}  # fmt: skip
"""Those of convolutions: threads load element by element, and keep more places in registers."""
SMALL = Menu((Tile(4, 4, 4, 2, 2),), Tile(8, 4, 4, 4, 2), Tile(4, 8, 4, 2, 4), 3, 4, 4)
"""For the simulator: blocks of 4 threads."""


def chosen(
    menus: Mapping[str, Menu], dtype: str, m: int, n: int, stack: int, depth: int, threads: int
) -> tuple[Tile, int]:
    """The tile for `stack` matrices of m x n, and how many blocks share in a tile's sums.

    It is the largest that gives enough blocks and covers not much more than the smallest would.
    Both depend on sizes alone. Blocks have up to `threads` threads.
    """
    menu = menus[COMPUTED[dtype]]
    menu = SMALL if threads < menu.squares[0].threads else menu
    if n <= menu.narrow < m:
        tile = menu.tall
    elif m <= menu.narrow < n:
        tile = menu.flat
    else:
        least = menu.squares[-1].covered(m, n)
        tile = next(
            (t for t in menu.squares
             if stack * t.count(m, n) >= menu.wanted and 2 * t.covered(m, n) <= 3 * least),
            menu.squares[-1],
        )  # fmt: skip
    there = stack * tile.count(m, n)
    return tile, max(1, min(menu.wanted // there, depth // (menu.stages * tile.deep)))


@dataclass(frozen=True)
class Factor:
    """Where the elements of A, or of B, come from.

    Attributes
    ----------
    name : of the strip in shared memory; the names of what is computed for it
        begin with its first letter.
    along : which neighbours lie beside each other in memory: "sum", those of a row of A and of a
        column of B, or "own".
    vector : how many of them a thread takes at once.
    own : lines that are computed once, for a row of A or column of B: of its suffix and number.
    met : lines that are computed in every stage, for a term: of its suffix, and of how many terms
        behind `start` it is.
    take : lines that load elements: of both suffixes, and of their names.
    """

    name: str
    along: str
    vector: int
    own: Callable[[str, str], Sequence[str]]
    met: Callable[[str, str], Sequence[str]]
    take: Callable[[str, str, Sequence[str]], Sequence[str]]

    def once(self, tile: Tile, size: int) -> list[str]:
        """The lines before the loop."""
        c, first = self.name[0], {"left": "first_row", "right": "first_column"}[self.name]
        lanes = (tile.deep if self.along == "sum" else size) // self.vector
        times = f" * {self.vector}" if self.vector > 1 else ""
        line = f"thread // {lanes}" if lanes < tile.threads else "int64(0)"
        lines = [f"{c}_lane = thread % {lanes}{times}", f"{c}_line = {line}"]
        if self.along == "own":
            return [*lines, *self.own(c, f"{first} + {c}_lane")]
        for suffix, step in self._turns(tile, size):
            lines += self.own(f"{c}{suffix}", f"{first} + {c}_line + {step}")
        return lines

    def load(self, tile: Tile, size: int) -> list[str]:
        """The lines that load a strip of the stage that begins at `start` to registers."""
        c, lines = self.name[0], []
        if self.along == "sum":
            lines += self.met(c, f"{c}_lane")
        for suffix, step in self._turns(tile, size):
            mine, other = f"{c}{suffix}", c
            if self.along == "own":
                mine, other = other, mine
                lines += self.met(other, f"{c}_line + {step}")
            lines += self.take(mine, other, self._names(suffix))
        return lines

    def keep(self, tile: Tile, size: int, dtype: str) -> list[str]:
        """The lines that put them into shared memory, at buffer `half`."""
        c, lines = self.name[0], []
        long = row_of(size, dtype)
        for suffix, step in self._turns(tile, size):
            names, line = self._names(suffix), f"({c}_line + {step})"
            if self.along == "own":
                at = f"half * {tile.deep * long} + {line} * {long} + {c}_lane"
                lines.append(f"keep{self.vector}_{dtype}({self.name}, {at}, {', '.join(names)})")
                continue
            for k, name in enumerate(names):
                at = f"half * {tile.deep * long} + ({c}_lane + {k}) * {long} + {line}"
                lines.append(f"keep1_{dtype}({self.name}, {at}, {name})")
        return lines

    def _names(self, suffix: str) -> list[str]:
        return [f"{self.name[0]}_{suffix}_{k}" for k in range(self.vector)]

    def _turns(self, tile: Tile, size: int) -> list[tuple[str, int]]:
        """A thread takes several words of a strip: a suffix, and how many lines on each lies."""
        lanes = (tile.deep if self.along == "sum" else size) // self.vector
        lines = size if self.along == "sum" else tile.deep
        step, rest = divmod(tile.threads, lanes)
        assert step and not rest and lines % step == 0, (tile, self.name, self.along)
        return [(str(k), k * step) for k in range(lines // step)]


def row_of(size: int, dtype: str) -> int:
    """Elements from one term of a strip to the next."""
    return size + WORD // itemsize(dtype)


def summed(
    tile: Tile, dtype: str, left: Factor, right: Factor, stage: Sequence[str] = ()
) -> list[str]:
    """The lines from the first load to the last sum; sums are then in the names of `sums`.

    Those of `stage` come first in every stage.
    """
    kind = COMPUTED[dtype]
    long = row_of(tile.rows, kind), row_of(tile.columns, kind)
    high, wide = spread(tile, kind)
    copies = max(1, min(tile.deep, TOGETHER // (tile.high * tile.wide)))
    names = [[f"t_{i}_{j}" for j in range(tile.wide)] for i in range(tile.high)]
    a, b = [f"a_{i}" for i in range(tile.high)], [f"b_{j}" for j in range(tile.wide)]
    return [
        f"left = cuda.shared.array({2 * tile.deep * long[0]}, types.{kind}, {WORD})",
        f"right = cuda.shared.array({2 * tile.deep * long[1]}, types.{kind}, {WORD})",
        f"zero = {kind}(0)",
        f"y, x_ = thread // {tile.columns // tile.wide}, thread % {tile.columns // tile.wide}",
        *(f"{' = '.join(row)} = zero" for row in names),
        *left.once(tile, tile.rows), *right.once(tile, tile.columns),
        "half = 0",
        f"for start in range(low, high + {tile.deep}, {tile.deep}):",
        *indented([
            *stage, *left.load(tile, tile.rows), *right.load(tile, tile.columns),
            "if start > low:",
            f"    a_from = (1 - half) * {tile.deep * long[0]} + y * {high}",
            f"    b_from = (1 - half) * {tile.deep * long[1]} + x_ * {wide}",
            f"    for i in range({tile.deep // copies}):",
            *indented([
                line for copy in range(copies) for line in (
                    *_fetched("left", copy, long[0], a, high, tile.rows // tile.high, kind),
                    *_fetched("right", copy, long[1], b, wide, tile.columns // tile.wide, kind),
                    *(f"{t} = {t} + {a[i]} * {b[j]}" for i, row in enumerate(names)
                      for j, t in enumerate(row)),
                )
            ] + [f"a_from = a_from + {copies * long[0]}", f"b_from = b_from + {copies * long[1]}"],
                2),
            *left.keep(tile, tile.rows, kind), *right.keep(tile, tile.columns, kind),
            "cuda.syncthreads()",
            "half = 1 - half",
        ]),
    ]  # fmt: skip


def sums(tile: Tile, dtype: str) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """A thread's sums: for each of its rows the row, and by words the column and the names."""
    high, wide = spread(tile, COMPUTED[dtype])
    found = []
    for i in range(tile.high):
        row = f"first_row + {i // high * (tile.rows // tile.high * high) + i % high} + y * {high}"
        words = []
        for j in range(0, tile.wide, wide):
            column = f"first_column + {j * (tile.columns // tile.wide)} + x_ * {wide}"
            words.append((column, [f"t_{i}_{j + k}" for k in range(wide)]))
        found.append((row, words))
    return found


def spread(tile: Tile, dtype: str) -> tuple[int, int]:
    """How many neighbouring rows, and columns, a thread has.

    Where it has more than a word of them, the next word lies as far away as all threads reach:
    neighbouring threads read neighbouring words.
    """
    most = WORD // itemsize(dtype)
    return min(most, tile.high), min(most, tile.wide)


def _fetched(
    name: str, copy: int, long: int, into: Sequence[str], width: int, threads: int, kind: str
) -> list[str]:
    at = f"{into[0][0]}_from + {copy * long}"
    return [
        f"{', '.join(into[k : k + width])} = fetch{width}_{kind}({name}, {at} + {k * threads})"
        for k in range(0, len(into), width)
    ]


def vector_of(dtype: str) -> int:
    """How many neighbours a thread loads at once: as many as a word of shared memory holds."""
    return WORD // itemsize(COMPUTED[dtype])


def itemsize(dtype: str) -> int:
    return numpy_dtype(dtype).itemsize
