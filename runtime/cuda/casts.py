"""Conversions between dtypes, with the meaning of NumPy's ``astype`` on x86-64.

They are those of :mod:`graphc.runtime.primitives.casts`: floats are cut towards zero, and what
doesn't fit becomes the least int32 for targets up to int32, else the least int64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.runtime.cuda.words import DTYPES, Kind, plain_cast, word
from graphc.runtime.statements import type_name


def _cast(target: Kind) -> Callable[[Kind], Any]:
    def make(source: Kind) -> Any:
        to = target.cast
        if target.is_bool:
            zero = source.number(0)
            return lambda x: x != zero
        if not source.is_float or target.is_float:
            return lambda x: to(x)
        if target.dtype == "uint64":
            return _to_uint64(source)
        return _cut(target, source)

    return make


def _cut(target: Kind, source: Kind) -> Any:
    small = target.bits < 32 or target.dtype == "int32"
    bits = 31 if small else 63
    wide, to = plain_cast("int32" if small else "int64"), target.cast
    # Above -bound - 1 everything is cut to -bound, where the format has such numbers.
    lowest = -(2.0**bits) - 1 if small and source.dtype == "float64" else -(2.0**bits)
    low, high = source.number(lowest), source.number(2.0**bits)
    least = wide(-(2**bits))
    if lowest < -(2.0**bits):
        return lambda x: to(wide(x)) if low < x and x < high else to(least)
    return lambda x: to(wide(x)) if low <= x and x < high else to(least)


def _to_uint64(source: Kind) -> Any:
    limit, low = source.number(2.0**63), source.number(-(2.0**63))
    wide, to = plain_cast("int64"), plain_cast("uint64")
    least, top = wide(-(2**63)), to(2**63)
    zero = to(0)

    def cut(x):
        upper = x >= limit
        lowered = x - limit if upper else x
        fits = low <= lowered and lowered < limit
        signed = wide(lowered) if fits else least
        return to(signed) ^ (top if upper else zero)

    return cut


for _dtype in DTYPES:
    word(type_name(_dtype))(_cast(Kind(_dtype)))
