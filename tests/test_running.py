"""Running sums, products and recurrences as kernels of the CPU: NumPy's, to the last bit."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.ops.running import recurrence, shifted
from graphc.passes.running import NARROW
from graphc.runtime import parts

rng = np.random.RandomState(4)
HARD = np.array([[1, np.inf, 2, -np.inf, 3], [-0.0, -0.0, np.nan, 0, 1],
                 [1e308, 1e308, -1e308, -1e308, 0]])  # fmt: skip


def functions(build, *arrays, **options):
    inputs = [T.TensorType(a.dtype.name, (None,) * a.ndim)() for a in arrays]
    outputs = list(build(*inputs))
    return [graphc.function(inputs, outputs, on_unused_input="ignore", **more)
            for more in (options, {"mode": "numpy"})]  # fmt: skip


def compare(build, *arrays, tolerance=0.0):
    """The same bits as in NumPy mode, or almost the same, and no step of the host."""
    native, plain = functions(build, *arrays)
    for x, y in zip(native(*arrays), plain(*arrays)):
        assert x.dtype == y.dtype and x.shape == y.shape
        np.testing.assert_allclose(x, y, tolerance, tolerance)
        if not tolerance:
            np.testing.assert_array_equal(np.signbit(x), np.signbit(y))
    assert "host" not in {s.routine for _, s in native.plan.all_steps()}
    return native


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_sums_and_products_along_every_axis_of_every_layout(dtype):
    def everything(x):
        axes = range(x.ndim)
        yield from (T.cumsum(x, k, dtype=dtype) for k in axes)
        yield from (T.cumprod(x, k, dtype=dtype) for k in axes)
        yield from (T.cumsum(x.T, k, dtype=dtype) for k in axes)
        yield from (T.cumsum(x), T.cumsum(x[::-2], 0), T.cumprod(x[..., 1:], -1))

    shapes = (5,), (7, 9), (9, 2 * NARROW), (3, 4, 10), (2, 3, 300), (1, 1), (0, 3), (3, 0)
    for shape in shapes if dtype == "float64" else shapes[1:3]:
        compare(everything, rng.uniform(-3, 3, shape).astype(dtype))
    names = {s.label for s in compare(everything, np.ones((9, 4), dtype)).plan.steps}
    assert {"cumsum along 9", "cumprod along 4", "cumsum along 36"} <= names


@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_have_rows_or_columns_each(threads, monkeypatch):
    def everything(x):
        yield from (f(x, k) for k in range(x.ndim) for f in (T.cumsum, T.cumprod))
        yield T.cumsum(x.T[:, ::-1], 0)
        yield from (recurrence(x, x + 1, (k,), k > 0) for k in range(x.ndim))

    def sums(x):
        return [T.cumsum(x, 0), T.cumsum(x, 1), T.cumprod(x, 0), T.cumprod(x, 1)]

    monkeypatch.setattr(parts, "LEAST", 1e-15)
    with graphc.config(threads=threads):
        for shape in (7, 5), (5, 70), (2, 3, 40):
            f = compare(everything, rng.uniform(-1, 1, shape), tolerance=1e-13)
            g = compare(sums, HARD[:, rng.randint(0, 5, shape[-1])])
            for h, least in (f, 5), (g, 3):
                running = [s for s in h.plan.steps if s.routine == "running"]
                assert sum(len(parts.bounds_of(s, threads)) > 2 for s in running) >= least
                assert any("in parts" in note for note in h.plan.notes)


def test_dtypes_are_numpys():
    for dtype in ("bool", "int8", "uint8", "int64", "float16", "float32"):
        x = rng.uniform(0, 2, (3, 5)).astype(dtype)
        found = compare(lambda a: [T.cumsum(a, 1), T.cumprod(a, 0)], x)(x)
        assert [f.dtype for f in found] == [np.cumsum(x, 1).dtype, np.cumprod(x, 0).dtype]


def test_what_has_no_kernel_stays_with_numpy():
    x = rng.uniform(-1, 1, (3, 4)) + 1j
    for array, dtype in ((x, None), (x.real > 0, "bool")):
        native, plain = functions(lambda a, d=dtype: [T.cumsum(a, 1, dtype=d)], array)
        np.testing.assert_array_equal(native(array)[0], plain(array)[0])
        assert {s.routine for s in native.plan.steps} == {"host"}


def test_infinities_nan_and_signs_of_zeros_come_in_order():
    compare(lambda x: [T.cumsum(x, 0), T.cumsum(x, 1), T.cumprod(x, 0), T.cumprod(x, 1)], HARD)
    wide = np.tile(HARD, (1, NARROW))
    compare(lambda x: [T.cumsum(x, 0), T.cumsum(x, 1), T.cumprod(x, 0), T.cumprod(x, 1)], wide)


def test_shifts_and_recurrences_from_both_ends_and_along_several_axes():
    def everything(a, b):
        for axes in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
            for reverse in (False, True):
                yield shifted(a, axes, 1, reverse)
                yield recurrence(a, b, axes, reverse)

    compare(everything, *(rng.uniform(-1, 1, (3, 4, 9)) for _ in range(2)), tolerance=1e-13)
    first = np.array([np.inf, 0.5, 0.5]), np.array([1.0, 2.0, np.nan])
    compare(lambda a, b: [recurrence(a, b, (0,), False)], *first)


def test_gradients():
    def gradients(x):
        yield from (T.grad((T.cumsum(x, k) ** 2).sum(), x) for k in range(3))
        yield from (T.grad((T.cumprod(x, k) ** 2).sum(), x) for k in range(3))
        yield T.grad(T.cumprod(x).sum(), x)
        yield T.grad(T.grad(T.cumprod(x, 1).sum(), x).sum(), x)

    x = rng.uniform(-2, 2, (2, 3, 9))
    x[0, 1] = 0
    compare(gradients, x, tolerance=1e-9)
    far = np.full(200, 100.0)  # products of the factors overflow, the running one doesn't
    far[0] = 1e-200
    f = compare(lambda x: [T.grad(T.cumprod(x)[0], x)], far, tolerance=1e-9)
    assert f(far)[0].tolist() == [1.0] + [0.0] * 199


def test_loops_run_natively_around_them():
    def states(x, start):
        def step(row, s):
            return T.tanh(T.cumsum(row + s) * T.cumprod(s))

        h, _ = graphc.scan(step, sequences=x, outputs_info=start)
        return [h, T.grad((h**2).sum(), start)]

    f = compare(states, rng.uniform(-1, 1, (5, 4)), rng.uniform(0.5, 1, 4), tolerance=1e-12)
    bodies = [s.routine for number, s in f.plan.all_steps() if len(number) == 2]
    assert bodies.count("running") >= 4


def test_rows_that_only_run_time_tells():
    x, i = T.dmatrix("x"), T.lscalar("i")
    f = graphc.function([x, i], T.cumsum(x[i : i + 2], 1) + T.cumsum(x[i]))
    value = rng.uniform(-1, 1, (6, 5))
    for k in (0, 3):
        expected = np.cumsum(value[k : k + 2], 1) + np.cumsum(value[k])
        np.testing.assert_array_equal(f(value, k), expected)
