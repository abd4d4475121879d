"""Where CPython and NumPy keep what the native entry reads, and a check that they do.

The offsets are those of 64-bit builds: CPython's object header, and NumPy's array struct, which
is part of its C ABI. They are compared with probe objects once; where one differs, calls take
the Python path.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
import sysconfig

import numpy as np

REFERENCES, TYPE, VALUE = 0, 8, 16
"""Of any object; of a float's or a NumPy scalar's number."""
DATA, RANK, DIMS, STRIDES, DESCR, FLAGS = 16, 24, 32, 40, 56, 64
"""Of an array."""


def _word(address: int) -> int:
    return ctypes.c_int64.from_address(address).value


def _words(address: int, count: int) -> tuple[int, ...]:
    return tuple(_word(address + 8 * i) for i in range(count))


@functools.cache
def is_known() -> bool:
    """Whether this interpreter and NumPy have the layout above."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return False
    if sys.byteorder != "little" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    probes = [np.zeros((2, 3, 5), np.float32)[:, ::2], np.array(1.5), np.arange(7)]
    return all(map(_array_fits, probes)) and _counts_fit() and _scalars_fit()


def _array_fits(array: np.ndarray) -> bool:
    at = id(array)
    return (
        _word(at + TYPE) == id(np.ndarray)
        and _word(at + DATA) == array.ctypes.data
        and _word(at + DESCR) == id(array.dtype)
        and ctypes.c_int32.from_address(at + RANK).value == array.ndim
        and ctypes.c_int32.from_address(at + FLAGS).value == array.flags.num
        and (array.ndim == 0 or _words(_word(at + DIMS), array.ndim) == array.shape)
        and (array.ndim == 0 or _words(_word(at + STRIDES), array.ndim) == array.strides)
        and (array.ndim == 0 or _word(at + STRIDES) == _word(at + DIMS) + 8 * array.ndim)
    )


def _counts_fit() -> bool:
    kept = [np.zeros(2)]
    at = id(kept[0])
    alone = ctypes.c_uint32.from_address(at + REFERENCES).value
    kept.append(kept[0])
    return (alone, ctypes.c_uint32.from_address(at + REFERENCES).value) == (1, 2)


def _scalars_fit() -> bool:
    whole, real, single, short = 12345.5, np.float64(2.25), np.float32(0.75), np.int16(-77)
    return (
        _word(id(whole) + TYPE) == id(float)
        and ctypes.c_double.from_address(id(whole) + VALUE).value == whole
        and ctypes.c_double.from_address(id(real) + VALUE).value == real
        and ctypes.c_float.from_address(id(single) + VALUE).value == single
        and ctypes.c_int16.from_address(id(short) + VALUE).value == short
    )
