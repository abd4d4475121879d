"""Memory that starts on a cache line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LINE = 64
SHARED = 512
"""Bytes up to which arrays are cut from one block; a block lives as long as any of them."""


class Memory(np.ndarray):
    """Bytes that own their memory.

    Being of another type than the arrays made of it, it stays out of NumPy's shortening of chains
    of views: a view of such an array refers to the array, so the array's count of references
    tells whether anybody can still see its memory.
    """


def allocate(size: int) -> Memory:
    """Return at least `size` bytes, zeroed by nobody, that start on a cache line."""
    whole = np.ndarray.__new__(Memory, (max(size, 1) + LINE - 1,), np.uint8)
    start = -whole.ctypes.data % LINE
    return whole[start : start + max(size, 1)]


def address_of(array: np.ndarray) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Return an uninitialised array in C order that starts on a cache line."""
    return empties(1, shape, dtype)[0]


def empties(count: int, shape: Sequence[int], dtype: np.dtype) -> list[np.ndarray]:
    """Return several such arrays; small ones share one block of memory."""
    sizes, step = tuple(shape), rounded(math.prod(shape) * dtype.itemsize)
    together = count if step <= SHARED else 1
    arrays: list[np.ndarray] = []
    while len(arrays) < count:
        whole = np.ndarray.__new__(Memory, (together * step + LINE,), np.uint8)
        start = -address_of(whole) % LINE
        places = range(start, start + together * step, step) if step else (0,) * together
        arrays += [np.ndarray(sizes, dtype, whole, place) for place in places]
    return arrays


class Arena:
    """One block of memory that a plan's buffers lie in.

    Parameters
    ----------
    size : bytes.
    """

    def __init__(self, size: int) -> None:
        self.memory = allocate(size)
        self.size = size
        self.address = address_of(self.memory)

    def at(self, offset: int) -> int:
        """Return the address at an offset."""
        if not 0 <= offset <= self.size:
            raise ValueError(f"offset {offset} lies outside an arena of {self.size} bytes")
        return self.address + offset

    def array(self, offset: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Return a view of a part of the arena."""
        return np.ndarray(tuple(shape), dtype, self.memory, offset)


def rounded(size: int) -> int:
    """Return a size rounded up to whole cache lines."""
    return -(-size // LINE) * LINE
