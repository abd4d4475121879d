"""The argument block of a contraction step: one int64 word per argument.

Strides are in elements, addresses in bytes, alpha and beta float64 bit patterns for both dtypes.
"""

from __future__ import annotations

import struct
from enum import IntEnum


class Word(IntEnum):
    """Index of each argument in the block."""

    A = 0
    B = 1
    C = 2
    M = 3
    N = 4
    K = 5
    A_ROW = 6
    A_COL = 7
    B_ROW = 8
    B_COL = 9
    C_ROW = 10
    ALPHA = 11
    BETA = 12
    SPLIT = 13


WORDS = len(Word)
SPLIT_ROWS, SPLIT_COLUMNS = 0, 1


def bits(value: float) -> int:
    """Return the float64 bit pattern of `value` as a signed 64-bit integer.

    Examples
    --------
    >>> hex(bits(1.0))
    '0x3ff0000000000000'
    """
    return struct.unpack("<q", struct.pack("<d", value))[0]


def block(
    addresses: tuple[int, int, int],
    sizes: tuple[int, int, int],
    a_strides: tuple[int, int],
    b_strides: tuple[int, int],
    c_row: int,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    split: int = SPLIT_ROWS,
) -> list[int]:
    """Return the words of ``C[M, N] = alpha * A[M, K] @ B[K, N] + beta * C``.

    Parameters
    ----------
    addresses : tuple of int
        First elements of A, B and C.
    sizes : tuple of int
        M, N and K.
    a_strides, b_strides : tuple of int
        Row and column strides of A and B in elements; a transposed operand has them swapped.
    c_row : int
        Row stride of C in elements; its columns are adjacent.
    alpha, beta : float
        Scales of the product and of what C holds. With beta zero C isn't read.
    split : int
        The axis of C that a step's `low` and `high` count: `SPLIT_ROWS` or `SPLIT_COLUMNS`.
    """
    return [*addresses, *sizes, *a_strides, *b_strides, c_row, bits(alpha), bits(beta), split]
