"""bfloat16 for NumPy, which has none: a dtype that holds the bits, and conversions.

A bfloat16 is the upper half of a float32: its sign, its 8 bits of exponent, 7 of its
significand. An array of them has the dtype `BFLOAT16`, a record of one 16-bit word, so that
nobody takes the bits for integers; NumPy moves such arrays around like any other, and computes
nothing with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NAME = "bfloat16"
BFLOAT16 = np.dtype([(NAME, "u2")])
HALVES = ("float16", NAME)

Array = np.ndarray[Any, np.dtype[Any]]


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether a NumPy dtype is this one, or that of the package ml_dtypes."""
    if dtype.kind != "V":
        return False
    return dtype.name == NAME or dtype.newbyteorder("=") == BFLOAT16


def to_bfloat16(value: Any) -> Array:
    """Numbers rounded to the nearest bfloat16, ties to even.

    Parameters
    ----------
    value : array or number
        Integers, floats, bool, or an array of ml_dtypes.bfloat16.

    Returns
    -------
    array
        Of dtype `graphc.BFLOAT16`, of the same shape. What is too large is infinite; NaN
        stays NaN. ``.view(ml_dtypes.bfloat16)`` shows the same memory to that package.

    Raises
    ------
    TypeError
        If `value` is complex.

    Examples
    --------
    >>> import graphc
    >>> graphc.from_bfloat16(graphc.to_bfloat16([1.0, 1.00390625, 3.5e38])).tolist()
    [1.0, 1.0, inf]
    """
    array = np.asarray(value)
    if is_bfloat16(array.dtype):
        package = array.dtype.name == NAME
        return np.array(array).view(BFLOAT16) if package else array.astype(BFLOAT16, copy=False)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of dtype {array.dtype} has no bfloat16 of its own")
    with np.errstate(all="ignore"):
        single = np.array(array, "<f4", order="C")
        bits = single.view("<u4")
        if array.dtype.kind == "f" and array.dtype.itemsize > 4:
            bits = _to_odd(array, single)
        even = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
        nan = bits | np.uint32(0x400000)
        found = np.where(np.isnan(single), nan, even) >> np.uint32(16)
    return np.asarray(found.astype("u2")).view(BFLOAT16)


def _to_odd(array: Array, single: Array) -> Array:
    """The bits of float32s that aren't rounded twice: inexact ones have an odd last bit."""
    bits, exact = single.view("<u4"), single.astype(array.dtype)
    lift = np.where(np.abs(exact) > np.abs(array), np.uint32(0xFFFFFFFF), np.uint32(1))
    moves = (exact != array) & ~np.isnan(array) & (bits & np.uint32(1) == 0)
    return np.where(moves, bits + lift, bits)


def from_bfloat16(array: Any) -> Array:
    """An array of bfloat16 as float32, which holds each of its values.

    Parameters
    ----------
    array : array
        Of dtype `graphc.BFLOAT16` or ml_dtypes.bfloat16.

    Returns
    -------
    array of float32
        Of the same shape.

    Examples
    --------
    >>> import graphc
    >>> graphc.from_bfloat16(graphc.to_bfloat16(0.1))
    array(0.10009766, dtype=float32)
    """
    found = np.asarray(array)
    if not is_bfloat16(found.dtype):
        raise TypeError(f"this is an array of dtype {found.dtype}, not of bfloat16")
    bits = to_bfloat16(found).view("u2").astype("u4") << np.uint32(16)
    return np.asarray(bits, "u4").view("f4")
