"""Conversions to and from float16 and bfloat16 round to the nearest value, ties to even."""

import ctypes

import numpy as np
import pytest
from half_numbers import (
    BITS,
    HALVES,
    bfloat16_numbers,
    both,
    difficult,
    inputs,
    plain,
    same,
    stored,
)
from llvmlite import ir

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.runtime.compile import compile_ir
from graphc.runtime.primitives import halves
from graphc.runtime.primitives.kinds import FLOAT, HALF_TYPES, I16, I64


@pytest.fixture(autouse=True)
def single_precision():
    with graphc.config(floatX="float32"):
        yield


# Conversions ------------------------------------------------------------------------------------


def compiled(name, kind, native):
    """`expand` or `pack` as a loop over an array."""
    source, target = (I16, FLOAT) if name == "expand" else (FLOAT, I16)
    symbol = f"halves_{name}_{kind.name}_{native}"
    module = ir.Module(symbol)
    types = [source.as_pointer(), target.as_pointer(), I64]
    loop = ir.Function(module, ir.FunctionType(ir.VoidType(), types), symbol)
    loop.args[1].add_attribute("noalias")
    entry, body, done = (loop.append_basic_block(part) for part in ("entry", "body", "done"))
    ir.IRBuilder(entry).branch(body)
    b = ir.IRBuilder(body)
    i = b.phi(I64)
    value = b.load(b.gep(loop.args[0], [i]), align=1)
    made = getattr(halves, name)(b, value, kind, native)
    b.store(made, b.gep(loop.args[1], [i]), align=1)
    after = b.add(i, I64(1))
    i.add_incoming(I64(0), entry)
    i.add_incoming(after, body)
    b.cbranch(b.icmp_signed("<", after, loop.args[2]), body, done)
    ir.IRBuilder(done).ret_void()
    made = compile_ir(str(module), symbol)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64)(made.address)

    def run(array):
        found = np.empty(array.shape, "float32" if name == "expand" else "uint16")
        function(array.ctypes.data, found.ctypes.data, array.size)
        return found

    return run


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=pytest.mark.skipif(
    not halves.has_float16(), reason="a CPU without conversions of float16"))])  # fmt: skip
def test_instructions_and_integer_arithmetic_convert_all_float16_alike(native):
    kind = HALF_TYPES[0]
    expected = BITS.view("float16").astype("float32")
    found = compiled("expand", kind, native)(BITS)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(found[number].view("uint32"), expected[number].view("uint32"))
    assert np.isnan(found[~number]).all()
    assert (found[~number].view("uint32") & 0x400000).all(), "NaN is quiet"
    values = difficult()
    with np.errstate(all="ignore"):
        expected = values.astype("float16")
    found = compiled("pack", kind, native)(values)
    number = ~np.isnan(values)
    np.testing.assert_array_equal(found[number], expected[number].view("uint16"))
    assert np.isnan(found[~number].view("float16")).all() and (~number).any()


def test_integer_arithmetic_converts_bfloat16():
    kind, values = HALF_TYPES[1], difficult()
    found = compiled("expand", kind, None)(BITS)
    np.testing.assert_array_equal(found.view("uint32"), BITS.astype("uint32") << 16)
    found = compiled("pack", kind, None)(values).view(graphc.BFLOAT16)
    same(found, stored(values, "bfloat16"))
    assert (found.view("uint16")[np.isnan(values)] & 0x40).all(), "NaN is quiet"


def test_helpers_convert_bfloat16():
    values = difficult()
    same(graphc.to_bfloat16(values), stored(values, "bfloat16"))
    table = bfloat16_numbers()
    middles = (table[:-1] + table[1:]) / 2
    with np.errstate(all="ignore"):
        doubles = np.concatenate(
            [middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf),
             [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, -0.0]]
        )  # fmt: skip
    same(graphc.to_bfloat16(doubles), stored(doubles, "bfloat16"))
    bits = graphc.from_bfloat16(BITS.view(graphc.BFLOAT16)).view("uint32")
    np.testing.assert_array_equal(bits, BITS.astype("uint32") << 16)
    same(graphc.to_bfloat16([[1, 2], [3, 257]]), stored([[1, 2], [3, 256]], "bfloat16"))
    assert graphc.to_bfloat16(1.5).shape == () and graphc.to_bfloat16(np.ones((2, 0))).size == 0
    with pytest.raises(TypeError, match="complex"):
        graphc.to_bfloat16(1j)
    with pytest.raises(TypeError, match="uint16"):
        graphc.from_bfloat16(BITS)


def test_arrays_of_ml_dtypes_are_taken():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    (x,) = inputs("bfloat16", 1)
    given = np.array([1, 2.5, 3], ml_dtypes.bfloat16)
    found = graphc.function([x], x * 2)(given)
    assert found.dtype == graphc.BFLOAT16
    np.testing.assert_array_equal(found.view(ml_dtypes.bfloat16), given * 2)
    assert graphc.shared(given).dtype == "bfloat16"


def cast_values(source, dtype):
    """Values of a source dtype that a half dtype and it itself both have answers for."""
    if source == "bool":
        return np.array([False, True])
    if dtypes.is_discrete(source):
        info = np.iinfo(source)
        near = [0, 1, 2, 7, 100, 127]
        near += [n for n in (-1, -100, 257, 259, 2049, 2051, 65504, 65519, 65520) if
                 info.min <= n <= info.max]  # fmt: skip
        return np.array(near, source)
    if dtypes.is_half(source):
        return BITS.view(dtypes.numpy_dtype(source))
    with np.errstate(invalid="ignore"):
        values = difficult()[::7].astype(source)
    if source == "float64":
        exact = [1 + 2.0**-9, 1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1e300, 1e-300,
                 65520 - 2.0**-30, 2.0**-25 + 2.0**-70, 1 + 2.0**-8 - 2.0**-40]  # fmt: skip
        values = np.concatenate([values, exact, np.negative(exact)])
    return values


@pytest.mark.parametrize("dtype", HALVES)
def test_casts_from_and_to_all_dtypes(dtype):
    sources = [d for d in dtypes.ALL if d not in dtypes.COMPLEX]
    given = [cast_values(d, dtype) for d in sources]
    made = [v for d in sources for v in inputs(d, 1)]
    (half,) = inputs(dtype, 1)
    small = stored(np.linspace(-100, 100, 1001), dtype)
    outputs = [T.cast(v, dtype) for v in made] + [T.cast(half, d) for d in sources]
    native, numpy = both([*made, half], outputs, *given, small)
    for d, value, a, b in zip(sources, given, native, numpy):
        with np.errstate(all="ignore"):
            values = plain(value).astype("float64")
        same(a, stored(values, dtype), f"{d} to {dtype}")
        same(b, stored(values, dtype), f"{d} to {dtype}")
    for d, a, b in zip(sources, native[len(sources) :], numpy[len(sources) :]):
        exact = plain(small).astype("float64")
        if d[0] == "u":
            a, b, exact = (x[exact >= 0] for x in (a, b, exact))
        expected = stored(exact, d) if dtypes.is_half(d) else exact.astype(d)
        same(a, expected, f"{dtype} to {d}")
        same(b, expected, f"{dtype} to {d}")


def test_dtypes_in_which_values_meet():
    meet = {
        ("float16", "float16"): "float16", ("bfloat16", "bfloat16"): "bfloat16",
        ("float16", "bfloat16"): "float32", ("float16", "float32"): "float32",
        ("bfloat16", "float32"): "float32", ("bfloat16", "float64"): "float64",
        ("bfloat16", "int64"): "bfloat16", ("bfloat16", "bool"): "bfloat16",
        ("float16", "uint64"): "float16", ("bfloat16", "complex64"): "complex64",
        ("bfloat16", "complex128"): "complex128",
    }  # fmt: skip
    for pair, expected in meet.items():
        for a, b in (pair, pair[::-1]):
            (x,), (y,) = inputs(a, 1), inputs(b, 1)
            assert (x + y).dtype == T.switch(x != x, x, y).dtype == expected, pair
            assert T.concatenate([x, y]).dtype == expected, pair
    (x,) = inputs("bfloat16", 1)
    assert (x + 1).dtype == (2.5 * x).dtype == (x**2).dtype == T.exp(x).dtype == "bfloat16"
    assert (x * 1j).dtype == "complex64" and x.mean().dtype == x.sum().dtype == "bfloat16"
    assert T.zeros_like(x).dtype == T.ones((2,), "bfloat16").dtype == "bfloat16"
    assert dtypes.canonical(graphc.BFLOAT16) == "bfloat16"
