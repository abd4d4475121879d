"""Every primitive against NumPy, over dtypes and special values, many cases in one kernel."""

import ctypes
import itertools
import platform

import numpy as np
import pytest

from graphc.runtime.compile import compile_source

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS = SIGNED + UNSIGNED
FLOATS = ["float32", "float64"]
NUMBERS = INTEGERS + FLOATS
ALL = ["bool", *NUMBERS]

INDENT = " " * 8


def call(compiled, block, low, high):
    """Run a native function on a block of arrays and words; return its error code."""
    words = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in block]
    table = np.array(words, np.int64)
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    result = ctypes.c_int64()
    status = kind(compiled.address)(ctypes.addressof(result), None, table.ctypes.data, low, high)
    assert status == 0
    return result.value


def samples(dtype):
    """Special values and ordinary ones."""
    if dtype == "bool":
        return np.array([False, True] * 40)
    rng = np.random.default_rng(7)
    if dtype in FLOATS:
        info = np.finfo(dtype)
        special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -2.5,
            3.0,
            np.inf,
            -np.inf,
            np.nan,
            info.max,
            info.min,
            info.tiny,
            info.smallest_subnormal,
            7.25,
            -7.25,
        ]
        return np.concatenate([np.array(special, dtype), rng.normal(0, 9, 64).astype(dtype)])
    info = np.iinfo(dtype)
    special = [0, 1, 2, 3, 7, info.max, info.min, info.max - 1]
    special += [-1, -2, -7, info.min + 1] if info.min else [10, 100, 5, 9]
    drawn = rng.integers(-100 if info.min else 0, 100, 68)
    return np.concatenate([np.array(special, dtype), drawn.astype(dtype)])


def pairs(dtype):
    """All pairs of the special values, and ordinary pairs."""
    values = samples(dtype)
    left, right = zip(*itertools.product(values[:16], values[:16]))
    return (
        np.concatenate([np.array(left, dtype), values]),
        np.concatenate([np.array(right, dtype), values[::-1]]),
    )


def run_cases(arguments, cases):
    """Compile one kernel that computes all cases over the argument arrays.

    Cases are pairs of an expression over x0, x1... and the dtype of its result.
    """
    lines = ["def kernel(block, low, high):"]
    for i, array in enumerate(arguments):
        lines.append(f"    p{i} = read_{array.dtype.name}(block, {i})")
    for k, (_, dtype) in enumerate(cases):
        lines.append(f"    q{k} = write_{dtype}(block, {len(arguments) + k})")
    lines.append("    for i in range(low, high):")
    lines += [f"{INDENT}x{i} = p{i}[i]" for i in range(len(arguments))]
    lines += [f"{INDENT}q{k}[i] = {expression}" for k, (expression, _) in enumerate(cases)]
    lines.append("    return 0")
    compiled = compile_source("\n".join(lines) + "\n", "cases")
    size = len(arguments[0])
    results = [np.zeros(size, dtype) for _, dtype in cases]
    call(compiled, [*arguments, *results], 0, size)
    return results


def check(result, expected, what, rtol=0.0):
    expected = np.asarray(expected).astype(result.dtype)
    if rtol:
        np.testing.assert_allclose(result, expected, rtol=rtol, err_msg=what)
    else:
        np.testing.assert_array_equal(result, expected, err_msg=what)
    if result.dtype.kind == "f" and not rtol:
        zero = expected == 0
        np.testing.assert_array_equal(np.signbit(result[zero]), np.signbit(expected[zero]), what)


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


BINARY = {
    "x0 + x1": np.add, "x0 - x1": np.subtract, "x0 * x1": np.multiply,
    "add_exact(x0, x1)": np.add, "reduce_add(x0, x1)": np.add, "reduce_mul(x0, x1)": np.multiply,
}  # fmt: skip
NAN_AWARE = {
    "maximum(x0, x1)": np.maximum, "minimum(x0, x1)": np.minimum,
    "reduce_max(x0, x1)": np.maximum, "reduce_min(x0, x1)": np.minimum,
}  # fmt: skip
DIVISION = {"floor_div(x0, x1)": np.floor_divide, "mod(x0, x1)": np.remainder}
COMPARISONS = {
    "x0 < x1": np.less, "x0 <= x1": np.less_equal, "x0 > x1": np.greater,
    "x0 >= x1": np.greater_equal, "x0 == x1": np.equal, "x0 != x1": np.not_equal,
}  # fmt: skip
BITS = {"x0 & x1": np.bitwise_and, "x0 | x1": np.bitwise_or, "x0 ^ x1": np.bitwise_xor}


@pytest.mark.parametrize("dtype", NUMBERS)
def test_arithmetic_and_comparisons(dtype):
    table = {**BINARY, **DIVISION} | ({} if dtype in FLOATS else BITS)
    table |= {"x0 / x1": np.true_divide} if dtype in FLOATS else {}
    x, y = pairs(dtype)
    cases = [(e, dtype) for e in (*table, *NAN_AWARE)] + [(e, "bool") for e in COMPARISONS]
    results = run_cases([x, y], cases)
    whole = {**table, **NAN_AWARE, **COMPARISONS}
    for (expression, _), result in zip(cases, results):
        expected = whole[expression](x, y)
        if expression in NAN_AWARE:  # which of two equal zeros it is, nobody says
            result, expected = result + dtype_zero(dtype), expected + dtype_zero(dtype)
        check(result, expected, f"{expression} of {dtype}")


def dtype_zero(dtype):
    return np.zeros((), dtype)


@pytest.mark.parametrize("dtype", ALL)
def test_unary(dtype):
    table = {"abs(x0)": np.abs, "sgn(x0)": np.sign}
    if dtype == "bool":
        table = {"abs(x0)": np.abs, "not x0": np.logical_not}
    else:
        table["-x0"] = np.negative
    table |= {} if dtype in FLOATS else {"invert(x0)": np.invert, "~x0": np.invert}
    truths = {"isnan(x0)": np.isnan, "isinf(x0)": np.isinf}
    x = samples(dtype)
    cases = [(e, dtype) for e in table] + [(e, "bool") for e in truths]
    for (expression, _), result in zip(cases, run_cases([x], cases)):
        check(result, (table | truths)[expression](x), f"{expression} of {dtype}")


def test_booleans():
    x, y = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    table = {
        **BITS,
        **COMPARISONS,
        "reduce_or(x0, x1)": np.logical_or,
        "reduce_and(x0, x1)": np.logical_and,
        "maximum(x0, x1)": np.maximum,
        "minimum(x0, x1)": np.minimum,
    }
    for expression, result in zip(table, run_cases([x, y], [(e, "bool") for e in table])):
        check(result, table[expression](x, y), expression)


@pytest.mark.parametrize("dtype", ALL)
def test_select(dtype):
    x = samples(dtype)
    y, c = x[::-1].copy(), np.arange(len(x)) % 3 == 0
    (result,) = run_cases([c, x, y], [("select(x0, x1, x2)", dtype)])
    check(result, np.where(c, x, y), f"select of {dtype}")


@pytest.mark.parametrize("source", ALL)
def test_casts(source):
    x = samples(source)
    if source in FLOATS:
        edges = [
            s * 2.0**k + d
            for k in (7, 8, 15, 16, 31, 32, 63, 64)
            for s in (1, -1)
            for d in (-1, -0.5, 0, 0.5, 1)
        ]
        x = np.concatenate([x, np.array(edges, source)])
    cases = [(("bool_" if t == "bool" else t) + "(x0)", t) for t in ALL]
    for target, result in zip(ALL, run_cases([x], cases)):
        keep = np.ones(len(x), bool)
        if source in FLOATS and target in INTEGERS and platform.machine() != "x86_64":
            keep = np.abs(x) < 128  # what NumPy does with the rest is the machine's own
        if source in FLOATS and target in UNSIGNED:
            keep &= (x > -1) & (x < 2.0 ** (8 * np.dtype(target).itemsize))
        check(result[keep], x.astype(target)[keep], f"{source} to {target}")


def test_casts_of_what_does_not_fit():
    """The lowest bits of the least int32, or of the least int64 for uint32 and wider types."""
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30])
    results = run_cases([x], [(f"{t}(x0)", t) for t in INTEGERS])
    for dtype, result in zip(INTEGERS, results):
        expected = np.iinfo(dtype).min if dtype in ("int32", "int64") else 0
        if dtype == "uint64":
            assert set(result[[0, 2, 4]]) == {2**63}
        else:
            assert (result == expected).all(), dtype


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers(dtype):
    bases, exponents = (v.astype(dtype) for v in np.meshgrid([0, 1, 2, 3, 7], np.arange(12)))
    x, y = bases.ravel(), exponents.ravel()
    (result,) = run_cases([x, y], [("pow(x0, x1)", dtype)])
    check(result, np.power(x, y), dtype)
    if dtype in SIGNED:
        x, y = np.array([-1, -1, 1, 2, -3, 0], dtype), np.array([-3, -2, -5, -1, -2, -1], dtype)
        (result,) = run_cases([x, y], [("pow(x0, x1)", dtype)])
        assert result.tolist() == [-1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts(dtype):
    bits = 8 * np.dtype(dtype).itemsize
    x, y = (v.astype(dtype).ravel() for v in np.meshgrid([0, 1, 5, 100, -1], [0, 1, 3, bits, 99]))
    cases = [("x0 << x1", dtype), ("x0 >> x1", dtype)]
    left, right = run_cases([x, y], cases)
    check(left, np.left_shift(x, y), "<<")
    check(right, np.right_shift(x, y), ">>")


@pytest.mark.parametrize("dtype", FLOATS)
def test_vector_maths_by_name(dtype):
    from graphc.runtime.vecmath import FUNCTIONS

    reference = {
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "sin": np.sin,
        "pow": np.power,
        "sqrt": np.sqrt,
        "floor": np.floor,
        "log1p": np.log1p,
    }
    x, y = (np.random.default_rng(1).uniform(0.1, 3, 50).astype(dtype) for _ in range(2))
    names = [n for n in FUNCTIONS if n in reference]
    cases = [(f"{n}({'x0, x1' if FUNCTIONS[n].arity == 2 else 'x0'})", dtype) for n in names]
    for name, result in zip(names, run_cases([x, y], cases)):
        expected = reference[name](*(x, y)[: FUNCTIONS[name].arity])
        check(result, expected, name, rtol=1e-5 if dtype == "float32" else 1e-13)


def test_literals_keep_their_dtype():
    x = np.array([1, 2, 3], "float32")
    cases = [
        ("x0 * float32(0.1)", "float32"),
        ("float32(-inf) + x0", "float32"),
        ("float32(7)", "float32"),
        ("uint64(18446744073709551615)", "uint64"),
        ("int64(-9223372036854775808)", "int64"),
        ("bool_(3)", "bool"),
        ("uint8(300)", "uint8"),
        ("-x0", "float32"),
        ("float64(nan)", "float64"),
    ]
    results = run_cases([x], cases)
    assert results[0].tolist() == (x * np.float32(0.1)).tolist()
    assert [r[0] for r in results[1:8]] == [-np.inf, 7, 2**64 - 1, -(2**63), True, 44, -1]
    assert np.isnan(results[8][0])


REDUCTIONS = """
def kernel(block, low, high):
    x = read_{d}(block, 0)
    out = write_{d}(block, 1)
    n = word(block, 2)
    for i in range(low, high):
        total = {d}(0)
        product = {d}(1)
        top = x[i * n]
        bottom = x[i * n]
        for j in range(n):
            total = reduce_add(total, x[i * n + j])
            product = reduce_mul(product, x[i * n + j])
            top = reduce_max(top, x[i * n + j])
            bottom = reduce_min(bottom, x[i * n + j])
        out[i * 4] = total
        out[i * 4 + 1] = product
        out[i * 4 + 2] = top
        out[i * 4 + 3] = bottom
    return 0
"""


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("size", [1, 7, 16, 50])
def test_reductions(dtype, size):
    compiled = compile_source(REDUCTIONS.format(d=dtype), "reductions")
    x = np.random.default_rng(3).integers(1, 3, (5, size)).astype(dtype)
    if dtype in FLOATS and size > 1:
        x[2, size // 2], x[3, size - 1], x[4, 0] = np.nan, np.inf, -np.inf
    out = np.zeros((5, 4), dtype)
    call(compiled, [x, out, size], 0, 5)
    expected = np.stack([x.sum(1, dtype=dtype), x.prod(1, dtype=dtype), x.max(1), x.min(1)], 1)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


CONTROL = """
def kernel(block, low, high):
    out = write_int64(block, 0)
    scratch = local_int64(8)
    count = 0
    for i in range(high - 1, low - 1, -2):
        scratch[count % 8] = i
        count += 1
    k = 0
    while k < imin(count, 8):
        if scratch[k] % 3 == 0 and k > 0 or k == 1:
            out[k] = imax(scratch[k], 5)
        else:
            out[k] = -k
        k = k + 1
    return count + int64(real_word(block, 1))
"""


def test_loops_branches_and_local_memory():
    compiled = compile_source(CONTROL, "control")
    out = np.zeros(8, np.int64)
    half = np.array([2.5]).view(np.int64)[0]
    assert call(compiled, [out, int(half)], 0, 12) == 8
    scratch = list(range(11, -1, -2))
    expected = [max(s, 5) if s % 3 == 0 and k > 0 or k == 1 else -k for k, s in enumerate(scratch)]
    assert out.tolist() == expected + [0, 0]


def test_in_place_update():
    source = (
        "def kernel(block, low, high):\n"
        "    p = write_float32(block, 0)\n"
        "    for i in range(low, high):\n"
        "        p[i] = p[i] * float32(2)\n"
        "    return 0\n"
    )
    x = np.arange(100, dtype="float32")
    call(compile_source(source, "twice"), [x], 10, 90)
    assert x.tolist() == [i * (2.0 if 10 <= i < 90 else 1.0) for i in range(100)]
