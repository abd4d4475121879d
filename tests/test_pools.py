"""Pooling of volumes, positions, stochastic pooling, windows as rows, and images made larger."""

import itertools

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, GraphError, ShapeError
from graphc.testing import check_grad, check_op

POOL = T.signal.pool
MODES = ["max", "sum", "average_inc_pad", "average_exc_pad"]
CASES = [  # window, stride, pad, ignore_border
    ((2, 2, 2), None, (0, 0, 0), True), ((2, 3, 1), None, (0, 0, 0), False),
    ((3, 2, 2), (2, 1, 3), (1, 1, 0), True), ((2, 2, 3), (1, 2, 2), (0, 0, 0), False),
    ((2, 1, 2), (3, 2, 1), (1, 0, 1), True),
]  # fmt: skip


def sample(shape, seed=0):
    return np.random.RandomState(seed).permutation(int(np.prod(shape))).reshape(shape) * 1.0


def of_windows(x, window, stride, pad, whole):
    """Of each window of the last axes: its place, the slices of its elements, and its size with
    padding; those that are past the end are left out."""
    axes = len(window)
    stride = stride or window
    places = []
    for n, w, s, p in zip(x.shape[-axes:], window, stride, pad):
        found = []
        for i in itertools.count():
            low, high = i * s - p, i * s - p + w
            if (high > n + p) if whole else (low >= n or (i and low - s + w >= n and s < w)):
                break
            found.append((i, slice(max(low, 0), min(high, n)), min(high, n + p) - low))
        places.append(found)
    for parts in itertools.product(*places):
        yield tuple(i for i, _, _ in parts), tuple(c for _, c, _ in parts), np.prod(
            [k for _, _, k in parts]
        )


def plain(x, window, stride, pad, whole, mode):
    found = {}
    for at, cut, count in of_windows(x, window, stride, pad, whole):
        part = x[(..., *cut)]
        part = part.reshape(*x.shape[: x.ndim - len(window)], -1)
        divisor = {"sum": 1, "average_inc_pad": count, "average_exc_pad": part.shape[-1]}
        found[at] = part.max(-1) if mode == "max" else part.sum(-1) / divisor[mode]
    y = np.zeros((*x.shape[: x.ndim - len(window)], *np.max(list(found), 0) + 1))
    for at, value in found.items():
        y[(..., *at)] = value
    return y


def pooled(x, window, stride, pad, whole, mode):
    return POOL.pool_3d(x, window, whole, stride, pad, mode)


@pytest.mark.parametrize("mode", MODES)
def test_pooling_of_volumes_is_the_definition(mode):
    x = T.TensorType("float64", (None,) * 5)("x")
    outputs = [pooled(x, *case, mode) for case in CASES]
    both = [graphc.function([x], outputs, mode=run) for run in ("numpy", None)]
    for shape in ((2, 3, 5, 6, 7), (1, 2, 4, 5, 4), (3, 1, 6, 3, 5)):
        value = sample(shape)
        for f in both:
            for found, case in zip(f(value), CASES):
                np.testing.assert_allclose(found, plain(value, *case, mode), rtol=1e-12)
    assert "host" not in {s.routine for s in both[1].plan.steps}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES[2:4], ids=str)
def test_gradients_of_pooled_volumes_to_second_order(mode, case):
    x = sample((1, 2, 4, 5, 4)) / 9
    check_grad(lambda v: pooled(v, *case, mode) ** 2, [x], order=2, mode="numpy")


def test_the_gradient_of_the_largest_of_a_volume():
    value = np.zeros((1, 1, 2, 2, 2))
    value[0, 0, :, 0, 1] = 3
    x = T.TensorType("float64", (None,) * 5)("x")
    g = graphc.grad(POOL.max_pool_3d(x, 2, True).sum(), x)
    np.testing.assert_array_equal(graphc.function([x], g)(value), value / 3)


def test_names_and_shapes():
    assert POOL.Pool.out_shape((2, 3, 7, 8, 9), (2, 2, 2), ndim=3) == [2, 3, 4, 4, 5]
    x = sample((2, 3, 5, 6))
    np.testing.assert_array_equal(POOL.Pool(True, "sum")(x, (2, 3)).eval(),
                                  plain(x, (2, 3), None, (0, 0), True, "sum"))  # fmt: skip
    y = POOL.pool_3d(T.TensorType("float32", (None, 3, 7, 8, 9))("x"), 2)
    assert y.type.shape == (None, 3, 4, 4, 5)
    for axes in (1, 2, 3):
        v = sample((2, 3, 4, 3, 2)[: axes + 2])
        behind = tuple(range(2, v.ndim))
        np.testing.assert_allclose(T.nnet.global_max_pool(v).eval(), v.max(behind))
        np.testing.assert_allclose(T.nnet.global_average_pool(v, True).eval(),
                                   v.mean(behind, keepdims=True))  # fmt: skip


# --- places ---------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["numpy", None])
def test_the_largest_are_left_in_their_places(run):
    value = sample((2, 3, 5, 7))
    found = check_op(lambda x: POOL.max_pool_2d_same_size(x, (2, 3)), [value], mode=run)
    wanted = np.zeros_like(value)
    for _, cut, _ in of_windows(value, (2, 3), None, (0, 0), True):
        part = value[(..., *cut)]
        wanted[(..., *cut)] = part * (part == part.max((-2, -1), keepdims=True))
    np.testing.assert_array_equal(found, wanted)
    check_grad(lambda x: POOL.max_pool_2d_same_size(x, (2, 3)) ** 2, [value / 9], order=2)


UNPOOLED = [((2, 2), None, (0, 0), False), ((3, 2), (2, 1), (1, 1), True), (2, 3, (0, 0), False)]


@pytest.mark.parametrize("case", UNPOOLED, ids=str)
@pytest.mark.parametrize("run", ["numpy", None])
def test_positions_lead_back(case, run):
    window, stride, pad, whole = case
    x = T.TensorType("float64", (None,) * 4)("x")
    y, at = POOL.max_pool_2d_with_positions(x, window, whole, stride, pad)
    up = POOL.unpool_2d(y, at, x.shape)
    f = graphc.function([x], [y, at, up, graphc.grad((up * x).sum(), x)], mode=run)
    for shape in ((2, 3, 6, 5), (1, 1, 4, 7)):
        value = sample(shape) - 7
        best, places, back, _ = f(value)
        flat = value.reshape(*shape[:2], -1)
        picked = np.take_along_axis(flat, places.reshape(*shape[:2], -1), 2)
        np.testing.assert_array_equal(picked.reshape(best.shape), best)
        wanted = np.zeros_like(flat)
        for n, c, i in np.ndindex(picked.shape):
            wanted[n, c, places.reshape(*shape[:2], -1)[n, c, i]] += picked[n, c, i]
        np.testing.assert_array_equal(back.reshape(flat.shape), wanted)


def test_unpooling_is_linear_in_values():
    value = sample((2, 2, 4, 4)) / 9
    at = POOL.max_pool_2d_with_positions(value, 3, True, 1)[1].eval()
    build = lambda v: POOL.unpool_2d(v**2, at, (4, 4))  # noqa: E731
    check_grad(build, [value[..., :2, :2]], order=2, mode="numpy")
    plane = POOL.max_pool_2d_with_positions(np.array([[3.0, 1], [np.nan, 7]]), 2)
    assert [int(v.eval().item()) for v in (plane[1],)] == [2]
    with pytest.raises(GraphError, match="position 99"):
        POOL.unpool_2d(np.ones((1, 1)), np.array([[99]]), (2, 2)).eval()


# --- stochastic -----------------------------------------------------------------------


@pytest.mark.parametrize("run", ["numpy", None])
def test_draws_have_their_shares_and_their_mean_is_the_weighted_one(run):
    image = np.array([[1.0, 3.0, 0.0], [0.0, 6.0, 2.0], [5.0, -4.0, 0.0]])
    x = T.TensorType("float64", (None,) * 3)("x")
    stream = graphc.random.RandomStream(3)
    drawn = POOL.stochastic_pool_2d(x, 2, stream, 1)
    outputs = [drawn, graphc.grad(drawn.sum(), x), POOL.weighted_pool_2d(x, 2, 1)]
    f = graphc.function([x], outputs, mode=run)
    made, gradient, mean = f(np.broadcast_to(image, (20000, 3, 3)))
    for i, j in np.ndindex(2, 2):
        values = np.maximum(image[i : i + 2, j : j + 2], 0).ravel()
        for value in np.unique(values):
            share = values[values == value].sum() / values.sum()
            assert abs((made[:, i, j] == value).mean() - share) < 0.015
        assert abs(mean[0, i, j] - (values**2).sum() / values.sum()) < 1e-12
    assert (gradient.sum((1, 2)) == 4).all()
    assert (f(np.zeros((2, 3, 3)))[0] == 0).all() and (f(np.zeros((2, 3, 3)))[2] == 0).all()
    for shape in ((2, 1, 3), (2, 3, 1), (0, 3, 3)):
        assert [v.shape for v in f(np.ones(shape))] == [
            (shape[0], shape[1] - 1, shape[2] - 1), shape, (shape[0], shape[1] - 1, shape[2] - 1)
        ]  # fmt: skip
    again = f(np.broadcast_to(image, (20000, 3, 3)))[0]
    assert (again != made).any()


def test_draws_of_large_windows_and_small_images():
    x = T.TensorType("float32", (None,) * 2)("x")
    y = POOL.stochastic_pool_2d(x, (4, 3), graphc.random.RandomStream(1))
    f = graphc.function([x], y)
    assert f(np.ones((2, 3), "float32")).shape == (0, 1)
    value = sample((9, 7)).astype("float32")
    found = f(value)
    assert found.shape == (2, 2) and np.isin(found, value).all()
    known = T.TensorType("float32", (9, 7))("known")
    assert POOL.stochastic_pool_2d(known, (4, 3), graphc.random.RandomStream()).type.shape == (2, 2)


def test_gradients_of_weighted_pooling():
    check_grad(lambda x: POOL.weighted_pool_2d(x, (2, 3), (1, 2)), [sample((2, 4, 5)) + 1],
               order=2, mode="numpy")  # fmt: skip


# --- windows as rows ------------------------------------------------------------------

NEIBS = [  # window, step, mode, images
    ((2, 3), None, "valid", (2, 3, 4, 6)), ((3, 2), (1, 2), "valid", (1, 2, 5, 6)),
    ((2, 3), (3, 2), "ignore_borders", (2, 1, 7, 6)),
    ((3, 5), (2, 1), "wrap_centered", (1, 2, 5, 5)),
    ((3, 2), (2, 2), "half", (2, 1, 5, 4)), ((3, 2), (2, 1), "full", (1, 2, 5, 4)),
]  # fmt: skip


def rows_of(x, window, step, mode):
    step = step or window
    before = [{"wrap_centered": w // 2, "half": w // 2, "full": w - 1}.get(mode, 0) for w in window]
    kind = "wrap" if mode == "wrap_centered" else "constant"
    wide = np.pad(x, ((0, 0), (0, 0), *((b, b) for b in before)), mode=kind)
    found = []
    for n, c in np.ndindex(x.shape[:2]):
        for i in range(0, wide.shape[2] - window[0] + 1, step[0]):
            for j in range(0, wide.shape[3] - window[1] + 1, step[1]):
                found.append(wide[n, c, i : i + window[0], j : j + window[1]].ravel())
    return np.array(found)


@pytest.mark.parametrize("window, step, mode, shape", NEIBS, ids=str)
def test_windows_as_rows(window, step, mode, shape):
    value = sample(shape)
    rows = T.nnet.neighbours.images2neibs

    def build(x):
        return rows(x, window, step, mode)

    wanted = rows_of(value, window, step, mode)
    for run in ("numpy", None):
        np.testing.assert_array_equal(check_op(build, [value], mode=run), wanted)
    check_grad(lambda x: build(x) ** 2, [value / 9], order=2, mode="numpy")
    made = T.nnet.neighbours.neibs2images(wanted, window, shape, mode, step).eval()
    # One is the other's adjoint.
    np.testing.assert_allclose((made * value).sum(), (wanted**2).sum())
    if step is None:
        np.testing.assert_array_equal(made, value)


# --- larger ---------------------------------------------------------------------------


def interpolated(x, ratio, axis):
    n = x.shape[axis]
    at = np.clip((np.arange(n * ratio) - (ratio - 1) // 2) / ratio, 0, n - 1)
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, n - 1), at - low
    part = np.moveaxis(part.reshape(-1, *(1,) * (x.ndim - 1)), 0, axis)
    return np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 5])
def test_bilinear_upsampling_is_linear_interpolation(ratio):
    value = sample((2, 3, 4, 3))
    up = T.nnet.bilinear_upsampling
    wanted = interpolated(interpolated(value, ratio, 2), ratio, 3)
    found = check_op(lambda x: up(x, ratio), [value])
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    part = up(value, frac_ratio=((2 * ratio, 4), (ratio, 3)), use_1D_kernel=False).eval()
    down = [q // np.gcd(p, q) for p, q in ((2 * ratio, 4), (ratio, 3))]
    first = interpolated(value, 2 * ratio // np.gcd(2 * ratio, 4), 2)[:, :, :: down[0]]
    wanted = interpolated(first, ratio // np.gcd(ratio, 3), 3)[..., :: down[1]]
    np.testing.assert_allclose(part, wanted, rtol=1e-12, atol=1e-12)
    if ratio == 3:
        check_grad(lambda x: up(x, ratio) ** 2, [value / 9], order=2)


@pytest.mark.parametrize("rank, ratio", [(2, 2), (4, (3, 2)), (5, (1, 2, 3)), (3, (2,))])
def test_upsampling_repeats(rank, ratio):
    value = sample((2, 3, 2, 1, 4)[:rank])
    wanted = value
    counts = ratio if isinstance(ratio, tuple) else (ratio, ratio)
    for axis, n in enumerate(counts, rank - len(counts)):
        wanted = np.repeat(wanted, n, axis)
    for run in ("numpy", None):
        found = check_op(lambda x: T.nnet.upsample(x, ratio), [value], mode=run)
        np.testing.assert_array_equal(found, wanted)
    check_grad(lambda x: T.nnet.upsample(x, ratio) ** 2, [value], mode="numpy")


def test_errors_name_operands_and_say_what_to_do():
    x, m = T.tensor4("images"), T.matrix("m")
    neibs = T.nnet.neighbours
    cases = [
        (lambda: POOL.pool_3d(m, 2), ShapeError, "pool_3d needs 3 axes.*m:"),
        (lambda: POOL.pool_3d(T.tensor5(), 2, pad=1), ArgumentError, "pool_3d.*ignore_border"),
        (lambda: POOL.pool_3d(T.tensor5(), (2, 2)), ArgumentError, "one or three integers"),
        (lambda: T.nnet.global_pool(m), ShapeError, "no axes behind channels"),
        (lambda: T.nnet.global_pool(x, "median"), ArgumentError, "none of max, sum, average"),
        (lambda: POOL.unpool_2d(x, x, (2, 2)), GraphError, "positions are int64"),
        (lambda: POOL.unpool_2d(x, T.ltensor3(), (2, 2)), ArgumentError, "not of one shape"),
        (lambda: POOL.stochastic_pool_2d(x, 2, 3), ArgumentError, "rng must be a random stream"),
        (lambda: neibs.images2neibs(m, (2, 2)), ShapeError, "rank of m.*is not 4"),
        (lambda: neibs.images2neibs(np.ones((1, 1, 5, 4)), (2, 2)), ShapeError,
         "windows of 2 with a step of 2 don't fit on an axis of 5"),
        (lambda: neibs.images2neibs(x, (2, 2), mode="wrap_centered"), ArgumentError, "odd"),
        (lambda: neibs.images2neibs(x, (2, 2), mode="same"), ArgumentError, "none of valid"),
        (lambda: neibs.images2neibs(x, (2, 0)), ArgumentError, "neib_shape must be two numbers"),
        (lambda: neibs.neibs2images(np.ones((3, 4)), (2, 2), (1, 1, 4, 4)), ShapeError,
         r"\(4, 4\)"),
        (lambda: T.nnet.bilinear_upsampling(m, 2), ShapeError, "rank of m"),
        (lambda: T.nnet.bilinear_upsampling(x), ArgumentError, "ratio or frac_ratio"),
        (lambda: T.nnet.bilinear_upsampling(x, frac_ratio=3), ArgumentError, "numerator"),
        (lambda: T.nnet.upsample(m, (2, 2, 2)), ShapeError, "fewer than 3 axes"),
        (lambda: T.nnet.upsample(m, 0), ArgumentError, "at least 1"),
    ]  # fmt: skip
    for build, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            build()
        assert "test_pools" in str(caught.value)
