"""Philox 4x32-10 as in :mod:`graphc.runtime.primitives.philox`: the same bits at each position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.runtime.cuda.words import WORDS, Kind, plain_cast, word

ROUNDS = 10
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOWER, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
SINGLE, DOUBLE = Kind("float32"), Kind("float64")


def _words(number: int) -> None:
    """Define the word that returns one of the four, as a uint64."""
    first, second = MULTIPLIERS
    step0, step1 = WEYL
    lower, half = LOWER, HALF
    to = plain_cast("uint64")

    def philox(x, y, z):
        a, b, c, d = to(z) & lower, to(z) >> half, y & lower, y >> half
        k0, k1 = x & lower, x >> half
        for _ in range(ROUNDS):
            p, q = a * first, c * second
            a, b, c, d = (q >> half) ^ b ^ k0, q & lower, (p >> half) ^ d ^ k1, p & lower
            k0, k1 = (k0 + step0) & lower, (k1 + step1) & lower
        return (a, b, c, d)[number]

    word(f"philox_bits_{number}", 3, typed=2)(lambda kind: philox)


for _number in range(4):
    _words(_number)
_bits = tuple(WORDS.pop(f"philox_bits_{number}") for number in range(4))
_first, _second, _third, _ = _bits


def _define(name: str, function: Any) -> None:
    word(name, 3, typed=2)(lambda kind: function)


def _plain(number: int) -> Any:
    bits, to = _bits[number], plain_cast("uint32")
    return lambda x, y, z: to(bits(x, y, z))


for _number in range(4):
    _define(f"philox_{_number}", _plain(_number))


def _unit_float32() -> Any:
    first, to, scale, cut = _first, SINGLE.cast, np.float32(2.0**-24), np.uint64(8)
    return lambda x, y, z: to(first(x, y, z) >> cut) * scale


def _unit_float64() -> Any:
    first, second, to = _first, _second, DOUBLE.cast
    scales = np.float64(2.0**-27), np.float64(2.0**-53)
    (upper, lower), (cut5, cut6) = scales, (np.uint64(5), np.uint64(6))
    return lambda x, y, z: (
        to(first(x, y, z) >> cut5) * upper + to(second(x, y, z) >> cut6) * lower
    )


def _tail_float32() -> Any:
    first, to, below = _first, SINGLE.cast, np.uint64(0x7FFFFFFF)
    half, scale = np.float32(0.5), np.float32(2.0**-31)
    return lambda x, y, z: (to(first(x, y, z) & below) + half) * scale


def _tail_float64() -> Any:
    first, second, to, below = _first, _second, DOUBLE.cast, np.uint64(0x7FFFFFFF)
    half, upper, lower = np.float64(0.5), np.float64(2.0**-31), np.float64(2.0**-63)
    return lambda x, y, z: (
        to(first(x, y, z) & below) * upper + (to(second(x, y, z)) + half) * lower
    )


def _side() -> Any:
    first, top = _first, np.uint64(0x80000000)
    return lambda x, y, z: first(x, y, z) >= top


def _angle_float32() -> Any:
    third, to, cut = _third, SINGLE.cast, np.uint64(8)
    scale = np.float32(math.tau * 2.0**-24)
    return lambda x, y, z: to(third(x, y, z) >> cut) * scale


def _angle_float64() -> Any:
    third, to, scale = _third, DOUBLE.cast, np.float64(math.tau * 2.0**-32)
    return lambda x, y, z: to(third(x, y, z)) * scale


_define("philox_unit_float32", _unit_float32())
_define("philox_unit_float64", _unit_float64())
_define("philox_tail_float32", _tail_float32())
_define("philox_tail_float64", _tail_float64())
_define("philox_side", _side())
_define("philox_angle_float32", _angle_float32())
_define("philox_angle_float64", _angle_float64())

