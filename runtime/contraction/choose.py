"""Which kernel serves a product: a variant of ours, or the BLAS.

The limits come from measurements of one thread of an AVX-512 server core against OpenBLAS 0.3.30
(`benchmarks/contraction.py` repeats them): ours is chosen where it was level or ahead. The two
lower levels were compared with OpenBLAS's kernels for such CPUs, and are ahead in the same places.
"""

from __future__ import annotations

from dataclasses import dataclass

from .levels import BYTES, LEVELS
from .variants import Dots, Outer, Tile, Variant

LINE, PAGE = 64, 4096
"""Bytes. Rows a multiple of a page apart compete for the same few lines of a cache."""

NEAR = 2_250_000
"""Bytes of operands that the second-level cache holds: below, no order of loops is a bad one."""

ROWS = {"float32": 256, "float64": 100}
"""Rows up to which the operands may be larger: A's block stays in the second-level cache."""

SMALL = range(2**16, 1_000_001)
"""Multiply-adds for which OpenBLAS has good kernels that pack nothing and fit ragged columns."""

SMALL_EXTENT = {"float32": 48, "float64": 16}
"""Rows and columns from which that tells."""

DOTS = 2**17
"""Bytes of A below which dot products, which read it once per few columns, are the better form."""

STRIP = 64
"""Rows of B that a single row of A is multiplied with at a time."""


@dataclass(frozen=True)
class Shapes:
    """The register tiles of a level.

    Attributes
    ----------
    row : Tile
        For a single row.
    skinny : Tile
        For a few rows and a B read in place.
    rows : tuple of int
        Rows of the tiles of two vectors, and of the narrow tiles of one.
    many : tuple of (int, int)
        Rows and columns of tiles of dot products.
    dots : dict
        The same for a C of few columns, by their number.
    """

    row: Tile
    skinny: Tile
    rows: tuple[int, ...]
    many: tuple[tuple[int, int], ...]
    dots: dict[int, tuple[int, int]]


SHAPES = {
    "avx512": Shapes(
        row=Tile(1, 4, 2),
        skinny=Tile(8, 3),
        rows=(8, 10, 12, 14),
        many=((4, 6), (5, 5), (4, 5), (6, 4)),
        dots={2: (8, 2), 3: (8, 3), 4: (6, 4)},
    ),
    "avx2": Shapes(
        row=Tile(1, 4, 2),
        skinny=Tile(4, 3),
        rows=(4, 5, 6),
        many=((3, 4), (2, 5)),
        dots={2: (6, 2), 3: (4, 3)},
    ),
    "plain": Shapes(
        row=Tile(1, 4, 2),
        skinny=Tile(6, 2),
        rows=(4, 5, 6),
        many=((3, 4),),
        dots={2: (6, 2), 3: (4, 3)},
    ),
}


@dataclass(frozen=True)
class Choice:
    """What serves a product.

    Attributes
    ----------
    kind : {"tile", "blas"}
        One of our kernels, or the BLAS.
    variant : Outer or Dots or None
        Which of ours; `emit_gemm` gives its IR and `variant.symbol` its name.
    split : {"rows", "columns"}
        The better axis of C for a team to share.
    granule : int
        Parts of that axis should be multiples of this, for full tiles; any others work too.
    """

    kind: str
    variant: Variant | None = None
    split: str = "rows"
    granule: int = 1


@dataclass(frozen=True)
class _Product:
    """The question: extents, element type, level, and where the operands are contiguous."""

    m: int
    n: int
    k: int
    dtype: str
    level: str
    a_col: bool
    a_row: bool
    b_col: bool
    b_row: bool
    b_stride: int
    beta: float
    alone: bool

    @property
    def lanes(self) -> int:
        return LEVELS[self.level].lanes(self.dtype)

    @property
    def shapes(self) -> Shapes:
        return SHAPES[self.level]

    @property
    def size(self) -> int:
        return BYTES[self.dtype]

    @property
    def readable(self) -> bool:
        """Whether BLAS can read the operands in place."""
        return (self.a_col or self.a_row) and (self.b_col or self.b_row)

    @property
    def adjacent(self) -> bool:
        """Whether A is a transposed array."""
        return self.a_row and not self.a_col

    @property
    def large(self) -> bool:
        """Whether BLAS, which packs both operands for the caches, is ahead."""
        extents = self.m * self.n + self.m * self.k + self.n * self.k
        return self.m > ROWS[self.dtype] and extents * self.size > NEAR

    @property
    def small(self) -> bool:
        """Whether BLAS's kernels for small products are ahead."""
        least = min(self.m, self.n)
        return self.m * self.n * self.k in SMALL and least >= SMALL_EXTENT[self.dtype]

    def outer(self, tile: Tile, form: str = "", **options: object) -> Outer:
        form = form or ("direct" if self.b_col else "transposed" if self.b_row else "gathered")
        return Outer(self.dtype, self.level, tile, form, **options)

    def dots(self, rows: int, columns: int, **options: object) -> Dots:
        return Dots(self.dtype, self.level, rows, columns, **options)


def choose(
    m: int,
    n: int,
    k: int,
    dtype: str,
    a_strides: tuple[int, int],
    b_strides: tuple[int, int],
    level: str,
    *,
    beta: float = 0.0,
    alone: bool = True,
) -> Choice:
    """Return what serves ``C[m, n] = alpha * A[m, k] @ B[k, n] + beta * C`` best.

    Parameters
    ----------
    m, n, k : int
        Extents.
    dtype : {"float32", "float64"}
        Element type.
    a_strides, b_strides : tuple of int
        Row and column strides in elements; those of an extent of one don't count.
    level : {"avx512", "avx2", "plain"}
        The CPU's level, from `level_of`.
    beta : float
        Scale of the old C, if it is known: BLAS needs a pass of its own for one but 0 and 1.
    alone : bool
        Whether one thread does it. Several calls of BLAS at a time hinder each other.

    Examples
    --------
    >>> choose(20, 500, 784, "float32", (784, 1), (500, 1), "avx512").variant.symbol
    'outer_float32_avx512_10x2x1_direct_columns'
    >>> choose(4096, 1024, 1024, "float32", (1024, 1), (1024, 1), "avx512").kind
    'blas'
    """
    product = _Product(
        *(m, n, k, dtype, level),
        a_col=a_strides[1] == 1 or k <= 1,
        a_row=a_strides[0] == 1 or m <= 1,
        b_col=b_strides[1] == 1 or n <= 1,
        b_row=b_strides[0] == 1 or k <= 1,
        b_stride=b_strides[0],
        beta=beta,
        alone=alone,
    )
    variant = _variant(product)
    if variant is None:
        return Choice("blas", None, "rows" if m > n else "columns", LEVELS[level].lanes(dtype))
    return Choice("tile", variant, *_split(product, variant))


def _split(p: _Product, variant: Variant) -> tuple[str, int]:
    """Return the axis to split and the extent of a tile along it."""
    if isinstance(variant, Outer):
        extents = [variant.tile.rows, variant.tile.vectors * p.lanes]
    else:
        extents = [variant.rows, variant.columns]
    rows, columns = reversed(extents) if variant.swapped else extents
    return ("rows", rows) if p.m > p.n else ("columns", columns)


def _variant(p: _Product) -> Variant | None:
    """Return the variant for a product, or None for BLAS."""
    if p.m <= 1 or p.n <= 1:
        return _vector(p)
    if p.n <= max(p.lanes, min(10, 2 * p.lanes)):
        return _narrow(p)
    if p.b_row and not p.b_col:
        return _transposed(p)
    return _wide(p)


def _vector(p: _Product) -> Variant:
    """One row or one column."""
    row = p.shapes.row
    if p.a_col and p.b_row:
        if p.m == p.n == 1:
            return p.dots(1, 1, depth=8)
        columns = min(8, p.lanes)
        return p.dots(1, columns, depth=8 // columns, swapped=p.n == 1)
    if p.m == 1:
        return p.outer(row, strip=STRIP)
    if p.a_row:
        return p.outer(row, "direct", strip=STRIP, swapped=True)
    return p.outer(Tile(8, 1))


def _narrow(p: _Product) -> Variant | None:
    """So few columns that vectors of them would be ragged."""
    vectors = -(-p.n // p.lanes)
    few = p.n * 4 <= vectors * p.lanes * 3
    if not p.b_col and not p.b_row:
        return p.outer(_tile(p, p.m, vectors))
    if p.adjacent:
        if few and p.b_col and (p.k >= 80 or p.n < p.lanes // 2):
            return p.outer(_tile(p, p.n, 2), "direct", adjacent=True, swapped=True)
        if p.readable and vectors > 1:
            return None
        return p.outer(_tile(p, p.m, vectors), adjacent=True)
    if p.a_col and few and p.k >= 128 and p.m >= 48:
        return p.dots(*_dots(p), packed=not p.b_row)
    if p.readable and p.m > 256:
        return None
    return p.outer(_tile(p, p.m, vectors))


def _transposed(p: _Product) -> Variant | None:
    """B contiguous along k: dot products for few rows, a packed B for more."""
    if p.a_col and p.k >= 96 and (p.m <= 12 or (p.m <= 32 and p.m * p.k * p.size < DOTS)):
        return p.dots(*_dots(p))
    if p.readable and p.large:
        return None
    return p.outer(_tile(p, p.m, 2), "transposed", adjacent=p.adjacent)


def _wide(p: _Product) -> Outer | None:
    """B contiguous along its rows: in place for few rows of A, packed for more."""
    if not p.b_col:
        return p.outer(_tile(p, p.m, 2), adjacent=p.adjacent)
    if p.readable and p.small:
        return None
    if p.adjacent and p.k <= 48 and p.m > 32:  # the gradient of a weight, from a small batch
        if p.alone and p.beta == 1.0 and p.n * p.size % LINE:
            return None  # its vectors of C cross lines less often
        return p.outer(_tile(p, p.m, 2), adjacent=True, order="rows")
    if p.readable and p.large:
        return None
    aliased = p.b_stride * p.size % PAGE == 0
    if p.m <= 32 or (p.m <= 64 and not aliased):
        skinny, pairs = p.shapes.skinny, _tile(p, p.m, 2)
        bias = 0.9 if aliased or p.m <= 16 else 1.0  # where B streams by, long runs count
        fits = bias * _cost(p, skinny) < _cost(p, pairs)
        return p.outer(skinny if fits else pairs, adjacent=p.adjacent)
    return p.outer(_tile(p, p.m, 2), "copied", adjacent=p.adjacent)


def _dots(p: _Product) -> tuple[int, int]:
    """Return rows and columns of the tile of dot products, at most a vector of columns."""
    fits = [p.shapes.dots.get(p.n, (0, 0)), *p.shapes.many]
    fits = [(rows, columns) for rows, columns in fits if 0 < columns <= p.lanes]
    if fits and p.n == fits[0][1]:
        return fits[0]

    def cells(tile: tuple[int, int]) -> int:
        rows, columns = tile
        return -(-p.m // rows) * rows * -(-p.n // columns) * columns

    return min(fits, key=cells, default=(6, 2))


def _tile(p: _Product, extent: int, vectors: int) -> Tile:
    """Return the tile of `vectors` vectors that covers `extent` rows at the least cost."""
    tiles = [Tile(rows, vectors) for rows in sorted(p.shapes.rows, reverse=True)]
    return min(tiles, key=lambda tile: _steps(extent, tile))


def _steps(extent: int, tile: Tile) -> float:
    """Return the cost of `extent` rows in multiply-adds of one vector per step along k.

    A tile of r rows costs r and a little, and no less than the latency of its multiply-adds.
    """
    total, left = 0.0, extent
    for rows in (tile.rows, *tile.finishing):
        total += left // rows * max(rows + 0.5, 8 / tile.vectors + 1) * tile.vectors
        left %= rows
    return total


def _cost(p: _Product, tile: Tile) -> float:
    """Return the cost of the whole of C in such tiles, padding included."""
    return -(-p.n // (tile.vectors * p.lanes)) * _steps(p.m, tile)
