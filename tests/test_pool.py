"""Pooling is what a plain definition says, with its gradients."""

import itertools

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError
from graphc.testing import check_grad

MODES = ["max", "sum", "average_inc_pad", "average_exc_pad"]
WINDOWS = [
    ((2, 2), None, (0, 0)),
    ((3, 2), (1, 2), (0, 0)),
    ((2, 3), (3, 1), (1, 2)),
    ((1, 4), (2, 5), (0, 3)),
]
CASES = [(w, s, p, whole) for (w, s, p), whole in itertools.product(WINDOWS, (True, False))
         if whole or not any(p)]  # fmt: skip
KINDS = {
    "max": np.max, "sum": np.sum, "average_inc_pad": np.mean, "average_exc_pad": np.nanmean,
}  # fmt: skip


def sample(shape, seed=0):
    return np.random.RandomState(seed).permutation(int(np.prod(shape))).reshape(shape) / 7.0


def starts(size, window, stride, pad, whole):
    """Where windows begin on a padded axis: as far as they fit, or as far as they bring news."""
    total = size + 2 * pad
    found = [k for k in range(0, total, stride) if k + window <= total or not whole]
    if not whole and stride < window:  # one that ends outside is enough
        done = [k for k in found if k + window >= total]
        found = [k for k in found if k not in done[1:]]
    return found


def plain(x, window, stride, pad, whole, mode):
    stride = stride or window
    outside = {"max": -np.inf, "average_exc_pad": np.nan}.get(mode, 0)
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pad)), constant_values=outside)
    rows, columns = (
        starts(n, *rest, whole) for n, *rest in zip(x.shape[2:], window, stride, pad)
    )
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for (i, r), (j, s) in itertools.product(enumerate(rows), enumerate(columns)):
        part = padded[:, :, r : r + window[0], s : s + window[1]]
        y[:, :, i, j] = KINDS[mode](part, axis=(2, 3))
    return y


def pooled(x, window, stride, pad, whole, mode):
    return T.signal.pool.pool_2d(x, window, whole, stride, pad, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("run", ["numpy", None])
def test_pooling_is_the_definition(mode, run):
    x = T.TensorType("float64", (None,) * 4)("x")
    for case in CASES:
        f = graphc.function([x], pooled(x, *case, mode), mode=run)
        for shape in ((2, 3, 6, 7), (1, 2, 5, 4), (3, 1, 9, 8)):
            value = sample(shape)
            np.testing.assert_allclose(f(value), plain(value, *case, mode), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_to_second_order(mode, case):
    check_grad(lambda x: pooled(x, *case, mode) ** 2, [sample((2, 2, 5, 6)) / 9], order=2)


@pytest.mark.parametrize("run", ["numpy", None])
def test_the_gradient_of_the_largest_goes_to_all_that_are_largest(run):
    x = T.TensorType("float32", (None,) * 4)("x")
    g = graphc.grad(T.signal.pool.pool_2d(x, (2, 2), True).sum(), x)
    value = np.array([[1, 1, 2, 0], [0, 1, 0, 2]], "float32").reshape(1, 1, 2, 4)
    found = graphc.function([x], g, mode=run)(value)
    assert found[0, 0].tolist() == [[1, 1, 1, 0], [0, 1, 0, 1]]


@pytest.mark.parametrize("run", ["numpy", None])
def test_nan_is_the_largest(run):
    x = T.TensorType("float32", (None,) * 4)("x")
    value = np.array([[1, np.nan, 2, -np.inf], [0, 1, 0, 2]], "float32").reshape(1, 1, 2, 4)
    found = graphc.function([x], T.signal.pool.pool_2d(x, (2, 2), True), mode=run)(value)
    np.testing.assert_array_equal(found[0, 0], [[np.nan, 2]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "bool"])
@pytest.mark.parametrize("mode", MODES)
def test_dtypes(dtype, mode):
    x = (sample((2, 2, 4, 4)) % 2 > 1).astype(dtype)
    found = pooled(x, (2, 2), None, (0, 0), True, mode).eval()
    expected = plain(x.astype("float64"), (2, 2), None, (0, 0), True, mode)
    np.testing.assert_allclose(found, expected)
    if dtype.startswith("float"):
        assert found.dtype == dtype


@pytest.mark.parametrize("rank", [2, 3, 5, 6])
def test_any_axes_may_stand_before(rank):
    shape = (2, 3, 1, 2, 4, 6)[-rank:]
    value = sample(shape)
    x = T.TensorType("float64", (None,) * rank)("x")
    f = graphc.function([x], T.signal.downsample.max_pool_2d(x, (2, 3), ignore_border=True))
    expected = value.reshape(*shape[:-2], 2, 2, 2, 3).max((-3, -1))
    np.testing.assert_array_equal(f(value), expected)


def test_operands_may_be_views():
    x = T.TensorType("float32", (None,) * 4)("x")
    value = sample((5, 6, 2, 3)).astype("float32")
    f = graphc.function([x], T.signal.pool.pool_2d(x.dimshuffle(3, 2, 0, 1)[:, :, ::-1], 2, True))
    view = value.transpose(3, 2, 0, 1)[:, :, ::-1].astype("float64")
    np.testing.assert_allclose(f(value), plain(view, (2, 2), None, (0, 0), True, "max"), rtol=1e-6)


def test_nothing_to_pool():
    for shape in ((0, 2, 4, 4), (2, 0, 4, 4), (2, 2, 1, 4)):
        found = T.signal.pool.pool_2d(np.zeros(shape), (2, 2), True).eval()
        assert found.shape == (*shape[:2], shape[2] // 2, shape[3] // 2)


def test_what_makes_no_sense_is_refused():
    x = T.tensor4("x")
    with pytest.raises(ArgumentError, match="ignore_border"):
        T.signal.pool.pool_2d(x, (2, 2), pad=(1, 1))
    with pytest.raises(ArgumentError, match="less than the window"):
        T.signal.pool.pool_2d(x, (2, 2), True, pad=(2, 0))
    with pytest.raises(ArgumentError, match="none of max"):
        T.signal.pool.pool_2d(x, (2, 2), mode="median")
