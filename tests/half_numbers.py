"""What tests of float16 and bfloat16 compare with, made without graphc's conversions."""

import functools

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core import dtypes

HALVES = ("float16", "bfloat16")
DIGITS = {"float16": 11, "bfloat16": 8}
BITS = np.arange(2**16, dtype="uint16")


@functools.cache
def bfloat16_numbers():
    """The finite values of bfloat16 in order, with the power of two that stands for infinity."""
    bits = np.arange(0x7F81, dtype="uint32") << 16
    positive = bits.view("float32").astype("float64")
    positive[-1] = 2.0**128
    return np.concatenate([-positive[:0:-1], positive])


def nearest_bfloat16(values):
    """float64 values rounded by looking for the nearest, ties to even; no bits are shifted."""
    table, values = bfloat16_numbers(), np.asarray(values, "float64")
    place = np.clip(np.searchsorted(table, values), 1, len(table) - 1)
    down, up = values - table[place - 1], table[place] - values
    even = (place - len(table) // 2) % 2 == 0
    found = table[np.where((up < down) | ((up == down) & even), place, place - 1)]
    found = np.where(np.abs(found) == 2.0**128, np.copysign(np.inf, found), found)
    found = np.where(np.isfinite(values), np.copysign(found, values), values)
    return found.astype("float32")


def stored(values, dtype):
    """float64 values in a half dtype, made without graphc's conversions where NumPy has none."""
    with np.errstate(all="ignore"):
        if dtype == "float16":
            return np.asarray(values).astype("float16")
        upper = nearest_bfloat16(values).view("uint32") >> 16
        return np.asarray(upper.astype("uint16")).view(graphc.BFLOAT16)


def plain(array):
    """What can be compared: bfloat16 as float32."""
    if array.dtype != graphc.BFLOAT16:
        return array
    upper = np.array(array, order="C").view("uint16").astype("uint32") << 16
    return np.asarray(upper).view("float32")


def around(values):
    """float32 values with their neighbours, and negative ones."""
    values = np.asarray(values, "float32")
    with np.errstate(all="ignore"):
        near = [np.nextafter(values, np.float32(s)) for s in (-np.inf, np.inf)]
    both = np.concatenate([values, *near])
    return np.concatenate([both, -both])


@functools.cache
def difficult():
    """float32 values next to all numbers of both dtypes and to the middles between them."""
    rng = np.random.RandomState(0)
    found = [rng.randint(0, 2**32, 20000, dtype="uint32").view("float32")]
    for table in (BITS[:0x7C00].view("float16").astype("float64"), bfloat16_numbers()[0x7F80:]):
        middles = (table[:-1] + table[1:]) / 2
        found += [around(table[:-1]), around(middles)]
    return np.concatenate([*found, around([0, 65504, 65520, 2**16, 3.4e38, np.inf, 6e-8, 1e-45])])


def same(found, expected, label=""):
    assert found.dtype == expected.dtype and found.shape == expected.shape, label
    np.testing.assert_array_equal(plain(found), plain(expected), label)
    signs = [np.signbit(plain(x)[~np.isnan(plain(x))]) for x in (found, expected)]
    np.testing.assert_array_equal(*signs, label)


def close(found, expected, label="", units=1.0):
    """Equal up to units in the last place; infinities may be the largest number."""
    assert found.dtype == expected.dtype and found.shape == expected.shape, label
    name = dtypes.name_of(expected.dtype)
    if not dtypes.is_half(name):
        np.testing.assert_allclose(found, expected, 1e-5, 1e-30, err_msg=label)
        return
    a, b = (plain(x).astype("float64") for x in (found, expected))
    least = 2.0**-24 if name == "float16" else 2.0**-126
    np.testing.assert_allclose(a, b, units * 2.0 ** (1 - DIGITS[name]), least, err_msg=label)


def both(inputs, outputs, *arrays):
    """What a compiled function and the interpreter give."""
    options = {"on_unused_input": "ignore"}
    native = graphc.function(inputs, outputs, mode="native", **options)
    return native(*arrays), graphc.function(inputs, outputs, mode="numpy", **options)(*arrays)


def numbers(dtype, *shape, seed=0):
    return stored(np.random.RandomState(seed).uniform(-2, 2, shape), dtype)


def inputs(dtype, *ranks):
    return [T.TensorType(dtype, (None,) * n)(f"x{k}") for k, n in enumerate(ranks)]
