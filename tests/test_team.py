"""Steps in parts: the same numbers, whoever does them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError
from graphc.runtime import parts, products, team


@pytest.fixture(params=[2, 3])
def threads(request, monkeypatch):
    """So many threads share every step that can be shared."""
    monkeypatch.setattr(parts, "LEAST", 1e-15)
    with graphc.config(threads=request.param):
        yield request.param


def normal(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def shared_steps(f):
    return sum("in parts" in note for note in f.plan.notes)


def agree(outputs, inputs, values, rtol=1e-5, atol=1e-5):
    f = graphc.function(inputs, outputs)
    g = graphc.function(inputs, outputs, mode="numpy")
    found, again, expected = f(*values), f(*values), g(*values)
    for a, b, c in zip(found, again, expected, strict=True):
        np.testing.assert_allclose(a, c, rtol=rtol, atol=atol)
        np.testing.assert_array_equal(a, b)
    return f


def test_rows_columns_and_totals(threads):
    x, d, v, i = T.fmatrix("x"), T.dmatrix("d"), T.fvector("v"), T.ivector("i")
    outputs = [
        T.exp(x) * 2, x.T + 1, T.nnet.softmax(x), T.sqr(x - x.mean(axis=1, keepdims=True)),
        x.sum(), x.sum(axis=0), x.sum(axis=1), x.mean(), x.std(axis=0), x.max(), x.argmax(),
        x.argmin(axis=0), x.argmax(axis=1), (T.sqr(x) + x.sum(axis=1, keepdims=True)).sum(axis=0),
        d.sum(), d.prod(), (d**2).mean(axis=0), d.min(), T.any(d > 4), T.all(d > 4),
        v.sum() * 3, T.sqr(v).mean(), v.argmin(), x[i], x[i].sum(), T.arange(7) * i.sum(),
    ]  # fmt: skip
    values = [normal(67, 45), normal(31, 70, dtype="float64") * 0.1 + 1, normal(1001),
              np.arange(0, 60, 3, dtype="int32")]  # fmt: skip
    f = agree(outputs, [x, d, v, i], values)
    assert shared_steps(f)
    values[0][5, 5] = values[2][900] = np.nan
    values[1][3, 3] = np.inf
    agree(outputs, [x, d, v, i], values)


def test_sums_lose_nothing(threads):
    d = T.dvector("d")
    values = np.zeros(3 * 512)
    values[0], values[512:1024], values[-1] = 1e16, 1, -1e16
    f = graphc.function([d], [d.sum(), (d * 2).sum()])
    np.testing.assert_array_equal(f(values), [512.0, 1024.0])


def test_products(threads):
    pairs = [(3, 40, 5), (200, 30, 90), (1, 64, 300), (300, 64, 1), (130, 260, 70)]
    inputs, outputs, values = [], [], []
    for m, k, n in pairs:
        for dtype in ("float32", "float64"):
            a, b = T.matrix(dtype=dtype), T.matrix(dtype=dtype)
            inputs += [a, b]
            outputs += [T.dot(a, b), T.dot(b.T, a.T), T.tanh(T.dot(a, b) + 1).sum(axis=0)]
            values += [normal(m, k, dtype=dtype), normal(k, n, dtype=dtype, seed=1)]
    agree(outputs, inputs, values, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_rows_by_weights_share_the_sum(threads, monkeypatch, dtype):
    monkeypatch.setattr(products, "LARGE", 0)
    w, x = graphc.shared(normal(90, 35, dtype=dtype)), T.matrix(dtype=dtype)
    turned = graphc.shared(normal(35, 90, dtype=dtype))
    outputs = [T.dot(x, w), T.tanh(T.dot(x, turned.T)) * 2, T.dot(x[:, ::-1], w).sum(axis=0)]
    f = agree(outputs, [x], [normal(20, 90, dtype=dtype)], 1e-4, 1e-4)
    products_of = [s for s in f.plan.steps if s.routine == "gemm"]
    assert products_of and all(s.split.counted == 5 for s in products_of)


def test_products_by_blas():
    a, b = T.fmatrix(), T.fmatrix()
    with graphc.config(threads=2):
        f = graphc.function([a, b], T.dot(a, b))
        x, y = normal(700, 800), normal(800, 900)
        np.testing.assert_allclose(f(x, y), x @ y, rtol=1e-3, atol=1e-3)
        assert "BLAS" in str(f.plan) and shared_steps(f)


@pytest.mark.parametrize("images", [1, 16, 37])
def test_convolutions_and_pooling(threads, images):
    x, w = T.tensor4("x", dtype="float32"), T.tensor4("w", dtype="float32")
    y = T.nnet.conv2d(x, w, border_mode="half", subsample=(1, 2))
    pooled = T.signal.pool.pool_2d(x, (2, 2), ignore_border=True)
    cost = T.sqr(y).sum() + T.tanh(pooled).sum()
    outputs = [y, pooled, *graphc.grad(cost, [x, w])]
    agree(outputs, [x, w], [normal(images, 3, 11, 12), normal(5, 3, 3, 3)], 1e-4, 1e-3)


def test_loops_and_training(threads):
    def losses(count):
        with graphc.config(threads=count):
            rng = np.random.default_rng(0)
            w = graphc.shared(rng.standard_normal((20, 20)).astype("float32") * 0.1)
            u = graphc.shared(rng.standard_normal((8, 20)).astype("float32") * 0.1)
            x = T.ftensor3("x")
            states, _ = graphc.scan(
                lambda now, before: T.tanh(T.dot(before, w) + T.dot(now, u)),
                sequences=x, outputs_info=T.zeros((x.shape[1], 20), "float32"),
            )  # fmt: skip
            loss = T.sqr(states[-1] - 0.5).mean()
            grads = graphc.grad(loss, [w, u])
            step = graphc.function(
                [x], loss, updates=[(p, p - np.float32(0.1) * g) for p, g in zip([w, u], grads)]
            )
            batch = normal(6, 40, 8)
            return [float(step(batch)) for _ in range(10)]

    np.testing.assert_allclose(losses(threads), losses(1), rtol=1e-5)


def test_the_first_bad_index_is_named_and_nothing_changes(threads):
    table = graphc.shared(normal(50, 4))
    i = T.ivector("i")
    f = graphc.function([i], T.exp(table[i]).sum(), updates=[(table, table * 2)])
    before = table.get_value()
    for _ in range(20):
        with pytest.raises(BadIndexError, match="index 77"):
            f(np.array([1, 2, 77, 3, 88, 4, 99, 5], "int32"))
    np.testing.assert_array_equal(table.get_value(), before)
    f(np.array([1, 2], "int32"))


def test_one_thread_shares_nothing():
    x = T.fmatrix()
    with graphc.config(threads=1):
        f = graphc.function([x], T.exp(x))
        f(normal(1000, 1000))
        assert not shared_steps(f)
    with graphc.config(threads=2):
        small = graphc.function([x], T.exp(x))
        small(normal(3, 3))
        assert not shared_steps(small)


def test_functions_of_several_python_threads(threads):
    x = T.fmatrix()
    functions = [graphc.function([x], [T.exp(x * k).sum(axis=1), x + k]) for k in range(4)]
    values, wrong = normal(300, 40), []

    def call(k):
        for _ in range(60):
            rows, moved = functions[k](values)
            if not np.allclose(rows, np.exp(values * k).sum(axis=1), rtol=1e-4):
                wrong.append(k)
            if not np.array_equal(moved, values + np.float32(k)):
                wrong.append(k)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_process_has_helpers_of_its_own(threads):
    x = T.fmatrix()
    f = graphc.function([x], T.exp(x).sum(axis=1))
    values = normal(200, 30)
    expected = f(values)
    child = os.fork()
    if child == 0:
        same = np.array_equal(f(values), expected)
        other = graphc.function([x], T.tanh(x) + 1)(values)
        here = int(team.team().words[team.HELPERS]) == threads - 1
        os._exit(0 if same and here and other.shape == values.shape else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(f(values), expected)


CHILD = """
import numpy as np, graphc, graphc.tensor as T
from graphc.runtime import parts, products, team
parts.LEAST = 1e-15
x = T.fmatrix()
f = graphc.function([x], T.exp(x))
f(np.ones((100, 100), "float32"))
print(team.threads(), *f.plan.notes)
"""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GRAPHC_FLAGS": "threads=3"}, "3 1 of 1 steps in parts, on 3 threads"),
        ({"GRAPHC_FLAGS": "threads=0", "OMP_NUM_THREADS": "1"}, "1"),
        ({"GRAPHC_FLAGS": "threads=2", "OMP_NUM_THREADS": "1"}, "2 1 of 1 steps in parts, on 2"),
    ],
)
def test_settings_and_the_end_of_a_process(variables, words):
    environment = {**os.environ, **variables}
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(words)


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="threads"):
        graphc.config.threads = -1
    with pytest.raises(ValueError, match="threads"):
        graphc.config.threads = "many"
