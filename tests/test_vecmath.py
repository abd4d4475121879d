"""Vector maths keeps its stated accuracy over the whole range, and its loops become vector code."""

import math
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir
from mpmath import mp, mpf

from graphc.runtime.vecmath import FUNCTIONS
from graphc.runtime.vecmath.loops import Loops, compile_loops, emit_loops

DTYPES = ("float32", "float64")
EXACT, SLOW_ORACLE = 1000, {"erfinv": 200, "erfcinv": 200, "gammaln": 400, "digamma": 400}
DENSE = 40_000
ON_X86 = llvm.get_default_triple().startswith("x86_64")


def _log_gamma(x: mpf) -> mpf:
    return mp.re(mp.loggamma(x))


def _erfc(x: mpf) -> mpf:
    return mp.erfc(x) if x < 40 else mpf(0)


def _inverse_erfc(q: mpf) -> mpf:
    """The root of ``erfc(y) = q``, by Newton's method on ``log(erfc)`` from an asymptotic guess."""
    if q > 1:
        return -_inverse_erfc(2 - q)
    if q > mpf("0.1"):
        return mp.erfinv(1 - q)
    y = mp.sqrt(-mp.log(q * mp.sqrt(-mp.log(q))))
    for _ in range(6):
        slope = -2 / mp.sqrt(mp.pi) * mp.exp(-y * y) / mp.erfc(y)
        y -= mp.log(mp.erfc(y) / q) / slope
    return y


def _softplus(x: mpf) -> mpf:
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


ORACLE = {
    "exp": mp.exp, "exp2": lambda x: mp.power(2, x), "expm1": mp.expm1, "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2), "log10": mp.log10, "log1p": mp.log1p,
    "pow": mp.power, "sqrt": mp.sqrt, "rsqrt": lambda x: 1 / mp.sqrt(x), "sin": mp.sin,
    "cos": mp.cos, "tan": mp.tan, "arcsin": mp.asin, "arccos": mp.acos, "arctan": mp.atan,
    "arctan2": mp.atan2, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "arcsinh": mp.asinh,
    "arccosh": mp.acosh, "arctanh": mp.atanh, "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": _softplus, "erf": mp.erf, "erfc": _erfc, "erfinv": mp.erfinv,
    "erfcinv": _inverse_erfc, "gamma": mp.gamma, "gammaln": _log_gamma, "digamma": mp.digamma,
    "floor": mp.floor, "ceil": mp.ceil, "trunc": lambda x: mp.sign(x) * mp.floor(abs(x)),
    "rint": mp.nint, "round_half_away": lambda x: mp.sign(x) * mp.floor(abs(x) + mpf(1) / 2),
}
# Outside these, results are 0, 1, infinite or NaN (see SPECIAL) and the oracle is slow.
RANGE = {
    "exp": (-800, 800), "exp2": (-1100, 1100), "expm1": (-800, 800), "sigmoid": (-800, 800),
    "softplus": (-800, 1e308), "sinh": (-720, 720), "cosh": (-720, 720), "tanh": (-50, 50),
    "erf": (-8, 8), "erfc": (-8, 30), "gamma": (-180, 180), "gammaln": (-0.2, 1e300),
    "digamma": (-0.2, 1e300), "arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-1, 1),
    "erfinv": (-1, 1), "erfcinv": (0, 1.9999999), "arccosh": (1, 2e308), "log1p": (-1, 2e308),
    "log": (0, 2e308), "log2": (0, 2e308), "log10": (0, 2e308), "sqrt": (0, 2e308),
    "rsqrt": (0, 2e308),
}
POINTS = (-1.0, -0.5, 0.25, 0.35, 0.5, math.sqrt(0.5), 1.0, 1.4616321449683623, math.sqrt(2), 2.0,
          math.pi / 2, math.pi, -87.4, 88.72, -103.9, -708.4, 709.78, -745.13, 1e5, 2.0**50, 1e22)
INF, NAN = math.inf, math.nan
HALF_PI, PI = math.pi / 2, math.pi
# name: (argument, result), ...; the sign of zeros counts.
SPECIAL = {
    "exp": ((-INF, 0.0), (INF, INF), (0.0, 1.0), (1e4, INF), (-1e4, 0.0)),
    "exp2": ((-INF, 0.0), (INF, INF), (3.0, 8.0), (-1.0, 0.5), (1e5, INF), (-1e5, 0.0)),
    "expm1": ((-INF, -1.0), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e4, INF)),
    "log": ((0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN), (1.0, 0.0)),
    "log2": ((0.0, -INF), (INF, INF), (-1.0, NAN), (8.0, 3.0), (0.25, -2.0)),
    "log10": ((0.0, -INF), (INF, INF), (-1.0, NAN), (1.0, 0.0), (1000.0, 3.0)),
    "log1p": ((-1.0, -INF), (INF, INF), (-2.0, NAN), (0.0, 0.0), (-0.0, -0.0)),
    "sqrt": ((0.0, 0.0), (-0.0, -0.0), (INF, INF), (-1.0, NAN)),
    "rsqrt": ((0.0, INF), (-0.0, -INF), (INF, 0.0), (-1.0, NAN)),
    "sin": ((0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)),
    "cos": ((0.0, 1.0), (-0.0, 1.0), (INF, NAN)),
    "tan": ((0.0, 0.0), (-0.0, -0.0), (INF, NAN)),
    "arcsin": ((0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (1.0, HALF_PI), (-1.0, -HALF_PI)),
    "arccos": ((1.0, 0.0), (-1.5, NAN), (-1.0, PI), (0.0, HALF_PI)),
    "arctan": ((0.0, 0.0), (-0.0, -0.0), (INF, HALF_PI), (-INF, -HALF_PI)),
    "sinh": ((0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e4, INF)),
    "cosh": ((0.0, 1.0), (INF, INF), (-INF, INF), (-1e4, INF)),
    "tanh": ((0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (100.0, 1.0)),
    "arcsinh": ((0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)),
    "arccosh": ((1.0, 0.0), (INF, INF), (0.5, NAN), (-5.0, NAN)),
    "arctanh": ((0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)),
    "sigmoid": ((0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e4, 1.0), (-1e4, 0.0)),
    "softplus": ((INF, INF), (-INF, 0.0), (1e4, 1e4), (-1e4, 0.0)),
    "erf": ((0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (10.0, 1.0)),
    "erfc": ((0.0, 1.0), (INF, 0.0), (-INF, 2.0), (100.0, 0.0), (-10.0, 2.0)),
    "erfinv": ((0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)),
    "erfcinv": ((0.0, INF), (1.0, 0.0), (2.0, -INF), (2.5, NAN), (-1.0, NAN)),
    "gamma": ((0.0, INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-3.0, NAN), (5.0, 24.0)),
    "gammaln": ((0.0, INF), (-0.0, INF), (INF, INF), (-INF, INF), (-3.0, INF), (1.0, 0.0)),
    "digamma": ((0.0, -INF), (-0.0, INF), (INF, INF), (-INF, NAN), (-3.0, NAN)),
    "floor": ((-0.0, -0.0), (2.7, 2.0), (-2.1, -3.0), (INF, INF), (2.0**60, 2.0**60)),
    "ceil": ((-0.0, -0.0), (-0.5, -0.0), (2.1, 3.0), (-INF, -INF), (2.0**60, 2.0**60)),
    "trunc": ((-0.0, -0.0), (-0.7, -0.0), (2.9, 2.0), (INF, INF), (2.0**60, 2.0**60)),
    "rint": ((-0.0, -0.0), (0.5, 0.0), (-0.5, -0.0), (1.5, 2.0), (2.5, 2.0), (INF, INF)),
    "round_half_away": ((-0.0, -0.0), (0.5, 1.0), (-2.5, -3.0), (0.49999997, 0.0), (INF, INF)),
}


@pytest.fixture(scope="module")
def loops() -> Loops:
    return compile_loops(emit_loops())


@pytest.fixture(scope="module")
def unfused() -> Loops:
    """The code for machines without fused multiply-add; on x86 for the oldest 64-bit one."""
    plain = {"cpu": "x86-64", "features": ""} if ON_X86 else {}
    return compile_loops(emit_loops(fused=False), **plain)


def samples(name: str, dtype: str, count: int, seed: int = 0) -> list[np.ndarray]:
    """Arguments over all exponents, usual ranges, neighbourhoods of POINTS and subnormals."""
    rng = np.random.default_rng([seed, *name.encode()])
    low, high = RANGE.get(name, (-INF, INF))
    columns = []
    for _ in range(FUNCTIONS[name].arity):
        word = np.uint32 if dtype == "float32" else np.uint64
        bits = rng.integers(0, np.iinfo(word).max, count, dtype=word, endpoint=True).view(dtype)
        usual = rng.uniform(-1, 1, count) * rng.choice([0.01, 1, 3, 10, 100, 750], count)
        close = 2.0 ** rng.integers(-30, -1, count) * rng.standard_normal(count)
        near = rng.choice(POINTS, count) * (1 + close)
        tiny = np.finfo(dtype).smallest_subnormal * rng.integers(-(2**22), 2**22, count // 4)
        with np.errstate(all="ignore"):
            x = np.concatenate([bits, *(part.astype(dtype) for part in (usual, near, tiny))])
            x = x[np.isfinite(x)].astype("float64")
        x = x[(x >= low) & (x <= high)].astype(dtype)
        columns.append(rng.permutation(np.resize(x, 2 * count))[:count])
    if name == "pow":
        x, y = columns
        bounded = rng.uniform(-1.02, 1.02, count) * (1075 if dtype == "float64" else 150)
        with np.errstate(all="ignore"):
            y[::3] = (bounded / np.log2(np.abs(x, dtype="float64")))[::3]
        y[1::3] = rng.integers(-40, 40, count)[1::3]
    return columns


def worst(got: np.ndarray, exact: list[mpf | None], dtype: str) -> tuple[float, int]:
    """The largest error in units in the last place of the exact result, and its index.

    Infinity counts as the power of 2 after the largest number. None: no number is expected.
    """
    limits = np.finfo(dtype)
    ceiling = mpf(2) ** limits.maxexp
    errors = []
    for value, true in zip(got.tolist(), exact, strict=True):
        if true is None:
            errors.append(mpf(0) if math.isnan(value) else mp.inf)
            continue
        true = min(max(true, -ceiling), ceiling)
        computed = ceiling * mp.sign(value) if math.isinf(value) else mpf(value)
        exponent = max(mp.frexp(true)[1] - 1, limits.minexp) if true else limits.minexp
        exponent = min(exponent, limits.maxexp - 1)
        error = abs(computed - true) * mpf(2) ** (limits.nmant - exponent)
        errors.append(mp.inf if mp.isnan(error) else error)
    index = max(range(len(errors)), key=errors.__getitem__)
    return float(errors[index]), index


def exact(name: str, arguments: tuple[float, ...]) -> mpf | None:
    """The oracle's value; None where the function is not a real number."""
    try:
        value = ORACLE[name](*map(mpf, arguments))
    except (ValueError, ZeroDivisionError):
        return None
    return value if isinstance(value, mpf) else None


def assert_accurate(loops: Loops, name: str, dtype: str, count: int, slack: float = 0.0) -> None:
    columns = samples(name, dtype, count)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    with mp.workdps(45):
        true = [exact(name, row) for row in rows]
        # Poles are for the tests of special values.
        kept = [i for i, value in enumerate(true) if value is None or mp.isfinite(value)]
        got = loops(name, *columns)[kept]
        error, index = worst(got, [true[i] for i in kept], dtype)
    stated = FUNCTIONS[name].ulp[dtype] + slack
    assert error <= stated, (
        f"{name}{rows[kept[index]]} in {dtype} is off by {error:.2f} units: {got[index]!r}, "
        f"not {mp.nstr(true[kept[index]], 20)}"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_stays_within_the_stated_units(loops: Loops, name: str, dtype: str) -> None:
    assert_accurate(loops, name, dtype, SLOW_ORACLE.get(name, EXACT))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_little_is_lost_without_fused_multiply_add(
    unfused: Loops, name: str, dtype: str
) -> None:
    assert_accurate(unfused, name, dtype, SLOW_ORACLE.get(name, EXACT) // 5, slack=1.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_agrees_with_float64_on_many_points(loops: Loops, name: str) -> None:
    columns = samples(name, "float32", DENSE, seed=1)
    got = loops(name, *columns).astype("float64")
    with np.errstate(all="ignore"):
        wide = loops(name, *(column.astype("float64") for column in columns))
        _, exponent = np.frexp(np.clip(wide, -(2.0**127), 2.0**127))
        unit = np.ldexp(1.0, np.maximum(exponent - 1, -126) - 23)
        ceiling = 2.0**128
        error = np.abs(np.clip(got, -ceiling, ceiling) - np.clip(wide, -ceiling, ceiling)) / unit
    assert np.array_equal(np.isnan(got), np.isnan(wide))
    index = int(np.nanargmax(error))
    arguments = [float(column[index]) for column in columns]
    assert error[index] <= FUNCTIONS[name].ulp["float32"] + 1e-6, (name, arguments, got[index])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(loops: Loops, name: str, dtype: str) -> None:
    x, expected = np.array(SPECIAL[name], dtype).T
    got = loops(name, x)
    exactly = (expected == 0) | ~np.isfinite(expected)
    np.testing.assert_array_equal(got[exactly], expected[exactly])
    signs = np.signbit(got) == np.signbit(expected)
    assert signs[expected == 0].all()
    got, expected = got[~exactly], expected[~exactly]
    tolerance = FUNCTIONS[name].ulp[dtype] + 0.5
    assert np.all(np.abs(got - expected) <= tolerance * np.spacing(np.abs(expected)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_gives_nan(loops: Loops, name: str, dtype: str) -> None:
    for place in range(FUNCTIONS[name].arity):
        arguments = [np.full(40, 2.0, dtype) for _ in range(FUNCTIONS[name].arity)]
        arguments[place][:] = NAN
        assert np.isnan(loops(name, *arguments)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "oracle"), [("pow", np.power), ("arctan2", np.arctan2)])
def test_pairs_of_special_values_follow_numpy(
    loops: Loops, name: str, oracle: np.ufunc, dtype: str
) -> None:
    sizes = (0.0, 0.5, 1.0, 2.0, 3.0, 1e30, np.finfo(dtype).max, np.finfo(dtype).tiny, INF, NAN)
    values = [sign * size for size in sizes for sign in (1, -1)]
    x, y = np.array([(a, b) for a in values for b in values], dtype).T
    with np.errstate(all="ignore"):
        expected = oracle(x, y)
    got = loops(name, x, y)
    np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


def test_the_double_nearest_to_a_multiple_of_half_pi(loops: Loops) -> None:
    # J.-M. Muller, Elementary Functions: cos of this number is -4.7e-19. See quadrant.py.
    x = np.array([6381956970095103.0 * 2.0**797])
    np.testing.assert_allclose(loops("cos", x), [float(mp.cos(mpf(x[0])))], rtol=1e-8)


@pytest.mark.parametrize("name", ("gammaln", "digamma"))
def test_reflection_is_accurate_beside_its_largest_term(loops: Loops, name: str) -> None:
    x = -np.random.default_rng(0).uniform(0.2, 60, 600)
    true = np.array([float(exact(name, (v,))) for v in x.tolist()])
    largest = np.abs(true) + np.abs([float(exact(name, (-v,))) for v in x.tolist()]) + 1
    assert np.all(np.abs(loops(name, x) - true) <= 4 * np.spacing(largest))


def bodies(loops: Loops) -> dict[str, str]:
    """The optimised IR of each loop."""
    found = re.findall(r'define void @"?(\w+?)"?\(.*?\n}', loops.ir_text, re.S)
    texts = re.findall(r"define void .*?\n}", loops.ir_text, re.S)
    return dict(zip(found, texts, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_become_vector_code(loops: Loops, name: str, dtype: str) -> None:
    text = bodies(loops)[f"{name}_{dtype}"]
    widths = re.findall(r"= \S.*?<(\d+) x (?:float|double)>", text)
    host = llvm.get_host_cpu_features()
    register = 512 if host.get("avx512f") else 256 if host.get("avx2") else 128
    # A float32 function that computes in float64 may take half as many lanes.
    assert max(map(int, widths)) >= register // 64


@pytest.mark.parametrize("kind", ("loops", "unfused"))
def test_nothing_outside_is_called(kind: str, request: pytest.FixtureRequest) -> None:
    built = request.getfixturevalue(kind)
    called = set(re.findall(r"call [^@]*@([\w.]+)", built.ir_text))
    assert {name for name in called if not name.startswith("llvm.")} == set()
    assert re.findall(r"^\s+(?:callq?|bl|blr)\s.*$", built.assembly, re.M) == []


def test_numba_fastmath_cannot_relax_the_arithmetic() -> None:
    fastmathpass = pytest.importorskip("numba.core.fastmathpass")
    module = emit_loops()
    before = str(module)
    options = type("Options", (), {"flags": ("reassoc", "nnan", "ninf", "arcp", "contract")})
    fastmathpass.rewrite_module(module, options)
    assert str(module) == before


def test_emit_refuses_other_types_and_counts() -> None:
    module = ir.Module()
    kind = ir.FunctionType(ir.VoidType(), [ir.FloatType(), ir.DoubleType(), ir.IntType(32)])
    function = ir.Function(module, kind, "f")
    builder = ir.IRBuilder(function.append_basic_block())
    single, double, integer = function.args
    for name, values in (("exp", (integer,)), ("exp", (single, single)), ("pow", (single, double))):
        with pytest.raises(TypeError, match=f"vecmath.{name} takes"):
            FUNCTIONS[name].emit(builder, *values)
