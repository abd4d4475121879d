"""The variants of the kernels as data: everything that a kernel's code depends on, and its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Shape of a register tile.

    Attributes
    ----------
    rows, vectors : int
        Rows of C, and vectors of adjacent columns of C.
    depth : int
        Steps along k with accumulators of their own.
    """

    rows: int
    vectors: int
    depth: int = 1

    @property
    def finishing(self) -> tuple[int, ...]:
        """Rows of the tiles for what this one leaves over: few, for each is code to compile.

        >>> Tile(12, 2).finishing
        (4, 1)
        """
        some = 2 if self.rows in (4, 5) else self.rows // 3
        return tuple(rows for rows in dict.fromkeys((some, 1)) if 0 < rows < self.rows)


@dataclass(frozen=True)
class Outer:
    """A variant of the kernel: everything that its code depends on.

    Attributes
    ----------
    dtype, level : str
        Element type and name of the CPU level.
    tile : Tile
        The main register tile.
    b_form : {"direct", "copied", "transposed", "gathered"}
        How B is reached: in place, or packed from rows, from columns, or from anywhere.
    adjacent : bool
        Consecutive rows of A are adjacent in memory, as in a transposed A; otherwise A may have
        any strides. A is always read in place.
    order : {"columns", "rows"}
        The outer one of the two loops over C.
    strip : int
        Rows of B in a block of k; zero leaves it to the size of the first-level cache. A few are
        the better way for one row of A and a B that streams by: B is then read row by row.
    swapped : bool
        Compute ``C.T = B.T A.T``: all of the above then speaks of that product.
    """

    dtype: str
    level: str
    tile: Tile
    b_form: str = "direct"
    adjacent: bool = False
    order: str = "columns"
    strip: int = 0
    swapped: bool = False

    @property
    def symbol(self) -> str:
        """The name of the kernel's function."""
        tile = self.tile
        parts = (
            f"outer_{self.dtype}_{self.level}_{tile.rows}x{tile.vectors}x{tile.depth}",
            "adjacent" if self.adjacent else "",
            self.b_form,
            self.order,
            f"strip{self.strip}" if self.strip else "",
            "swapped" if self.swapped else "",
        )
        return "_".join(part for part in parts if part)


@dataclass(frozen=True)
class Dots:
    """A variant of the kernel: everything that its code depends on.

    Attributes
    ----------
    dtype, level : str
        Element type and name of the CPU level.
    rows, columns : int
        Extents of the tile of C whose dot products run side by side; at most a vector of columns.
    depth : int
        Vectors along k with sums of their own, where a tile has too few to hide the latency.
    packed : bool
        Copy B so that k is contiguous; otherwise it must be. In A it must be.
    swapped : bool
        Compute ``C.T = B.T A.T``: all of the above then speaks of that product.
    """

    dtype: str
    level: str
    rows: int
    columns: int
    depth: int = 1
    packed: bool = False
    swapped: bool = False

    @property
    def symbol(self) -> str:
        """The name of the kernel's function."""
        parts = (
            f"dots_{self.dtype}_{self.level}_{self.rows}x{self.columns}x{self.depth}",
            "packed" if self.packed else "",
            "swapped" if self.swapped else "",
        )
        return "_".join(part for part in parts if part)


BLOCK_BYTES = 64
"""Width of a block of images in every convolution."""


@dataclass(frozen=True)
class Convolution:
    """A variant of the kernels over blocks of images.

    Attributes
    ----------
    dtype, level : str
        Element type and name of the CPU level.
    kind : {"filter", "correlate"}
        Images times filters, or images times images: the gradient of filters.
    rows, columns : int
        Extents of the register tile: filters by pixels, or filters by taps.
    """

    dtype: str
    level: str
    kind: str
    rows: int
    columns: int

    @property
    def symbol(self) -> str:
        """The name of the kernel's function."""
        return f"{self.kind}_{self.dtype}_{self.level}_{self.rows}x{self.columns}"


Variant = Outer | Dots
"""Either kind of product kernel."""
