"""Random numbers that are a function of where they stand: Philox 4x32-10 (Salmon et al. 2011).

A block of four words comes from a key and a counter of 128 bits, by ten rounds of two products
each. Here the counter is the element's position (its lower half) and a number that says which
call it is (its upper half), so an element's value depends on nothing else: not on the loop that
draws it, nor on the thread.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3.
SC '11, https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba.core import types

from graphc.runtime.primitives.kinds import DOUBLE, FLOAT, I32, I64, Infer, Site, primitive

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
LOWER = 0xFFFFFFFF


def words(b: ir.IRBuilder, key: ir.Value, counter: ir.Value, index: ir.Value) -> list[ir.Value]:
    """Append the rounds; the four words are the lower halves of what is returned.

    Lanes have 64 bits, of which products read the lower half: so the vectoriser takes the
    instruction that multiplies 32 bits to 64, and nothing is ever cut to size in between.
    """
    half, mask = ir.Constant(I64, 32), ir.Constant(I64, LOWER)
    x = [index, b.lshr(index, half), counter, b.lshr(counter, half)]
    keys = [key, b.lshr(key, half)]
    for step in range(ROUNDS):
        a, c = (
            b.mul(b.and_(word, mask), ir.Constant(I64, factor))
            for word, factor in zip((x[0], x[2]), MULTIPLIERS)
        )
        k0, k1 = (
            b.add(k, ir.Constant(I64, step * weyl & LOWER)) for k, weyl in zip(keys, WEYL)
        )
        first = b.xor(b.lshr(c, half), b.xor(x[1], k0))
        third = b.xor(b.lshr(a, half), b.xor(x[3], k1))
        x = [first, c, third, a]
    return x


def _of(result: types.Type) -> Infer:
    def infer(key: types.Type, counter: types.Type, index: types.Type) -> types.Type | None:
        given = tuple(types.unliteral(kind) for kind in (key, counter, index))
        return result if given == (types.uint64, types.uint64, types.int64) else None

    return infer


def _word(number: int) -> Callable[..., ir.Value]:
    def emit(site: Site, *values: ir.Value) -> ir.Value:
        return site.builder.trunc(words(site.builder, *values)[number], I32)

    return emit


for _number in range(4):
    primitive(f"philox_{_number}", _of(types.uint32))(_word(_number))


def _upper(b: ir.IRBuilder, word: ir.Value, bits: int) -> ir.Value:
    """The upper bits of a word, which as a signed number convert to floats in vectors."""
    return b.lshr(b.trunc(word, I32), ir.Constant(I32, 32 - bits))


@primitive("philox_unit_float32", _of(types.float32))
def _unit_float32(site: Site, *values: ir.Value) -> ir.Value:
    """24 bits as a number in [0, 1)."""
    b = site.builder
    number = b.sitofp(_upper(b, words(b, *values)[0], 24), FLOAT)
    return b.fmul(number, ir.Constant(FLOAT, 2.0**-24))


@primitive("philox_unit_float64", _of(types.float64))
def _unit_float64(site: Site, *values: ir.Value) -> ir.Value:
    """27 and 26 bits as a number in [0, 1); every step is exact."""
    b = site.builder
    x = words(b, *values)
    upper = b.fmul(b.sitofp(_upper(b, x[0], 27), DOUBLE), ir.Constant(DOUBLE, 2.0**-27))
    lower = b.fmul(b.sitofp(_upper(b, x[1], 26), DOUBLE), ir.Constant(DOUBLE, 2.0**-53))
    return b.fadd(upper, lower)


def _below(b: ir.IRBuilder, word: ir.Value) -> ir.Value:
    """The lower 31 bits of a word."""
    return b.and_(b.trunc(word, I32), ir.Constant(I32, 0x7FFFFFFF))


def _below(b: ir.IRBuilder, word: ir.Value) -> ir.Value:
    """The lower 31 bits of a word."""
    return b.and_(b.trunc(word, I32), ir.Constant(I32, 0x7FFFFFFF))


@primitive("philox_tail_float32", _of(types.float32))
def _tail_float32(site: Site, *values: ir.Value) -> ir.Value:
    """31 bits as a number in (0, 1]: fine near 0, where the far tails of distributions are."""
    b = site.builder
    number = b.sitofp(_below(b, words(b, *values)[0]), FLOAT)
    return b.fmul(b.fadd(number, ir.Constant(FLOAT, 0.5)), ir.Constant(FLOAT, 2.0**-31))


@primitive("philox_tail_float64", _of(types.float64))
def _tail_float64(site: Site, *values: ir.Value) -> ir.Value:
    """63 bits as a number in (0, 1], rounded once."""
    b = site.builder
    x = words(b, *values)
    upper = b.fmul(b.sitofp(_below(b, x[0]), DOUBLE), ir.Constant(DOUBLE, 2.0**-31))
    number = b.fadd(b.uitofp(b.trunc(x[1], I32), DOUBLE), ir.Constant(DOUBLE, 0.5))
    return b.fadd(upper, b.fmul(number, ir.Constant(DOUBLE, 2.0**-63)))


@primitive("philox_side", _of(types.boolean))
def _side(site: Site, *values: ir.Value) -> ir.Value:
    """The bit that the tail numbers leave: on which side of the median a value lies."""
    b = site.builder
    return b.icmp_signed("<", b.trunc(words(b, *values)[0], I32), ir.Constant(I32, 0))


# The angles are products that must not be contracted with what the cosine does to them, or the
# interpreter's would be others.


@primitive("philox_angle_float32", _of(types.float32))
def _angle_float32(site: Site, *values: ir.Value) -> ir.Value:
    """24 bits, of another word than the tail's, as an angle in [0, 2 pi)."""
    b = site.builder
    number = b.sitofp(_upper(b, words(b, *values)[2], 24), FLOAT)
    return b.fmul(number, ir.Constant(FLOAT, float(np.float32(math.tau * 2.0**-24))))


@primitive("philox_angle_float64", _of(types.float64))
def _angle_float64(site: Site, *values: ir.Value) -> ir.Value:
    """32 bits as an angle in [0, 2 pi)."""
    b = site.builder
    number = b.uitofp(b.trunc(words(b, *values)[2], I32), DOUBLE)
    return b.fmul(number, ir.Constant(DOUBLE, math.tau * 2.0**-32))
