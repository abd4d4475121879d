"""On a device: training as on the CPU, memory that comes back, and the sanitizer's opinion.

In Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) the same runs with smaller sizes.
"""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import optim

pytestmark = pytest.mark.gpu
HERE = Path(__file__).resolve().parent
SMALL = bool(os.environ.get("NUMBA_ENABLE_CUDASIM"))
STEPS = 3 if SMALL else 20
TOLERANCE = 2e-4  # of losses in float32: sums have other orders, and training amplifies that


def weights(rng, *shapes):
    return [graphc.shared(rng.uniform(-0.3, 0.3, s).astype("float32")) for s in shapes]


def cross_entropy(scores, labels):
    return T.nnet.categorical_crossentropy(T.nnet.softmax(scores), labels).mean()


def perceptron(rng):
    rows, wide, classes = (8, 6, 3) if SMALL else (128, 500, 10)
    x, t = T.fmatrix("x"), T.lvector("t")
    w = weights(rng, (wide, wide), (wide,), (wide, classes), (classes,))
    loss = cross_entropy(T.dot(T.tanh(T.dot(x, w[0]) + w[1]), w[2]) + w[3], t)
    data = rng.uniform(-1, 1, (rows, wide)).astype("float32"), rng.integers(0, classes, rows)
    return [x, t], loss, w, optim.adam, data


def images(rng):
    count, size = (2, 8) if SMALL else (32, 28)
    x, t = T.tensor4("x", dtype="float32"), T.lvector("t")
    w = weights(rng, (4, 1, 3, 3), (4,), (6, 4, 3, 3))
    scale, shift = weights(rng, (4,), (4,))
    made = T.nnet.conv2d(x, w[0], border_mode="half") + w[1].dimshuffle("x", 0, "x", "x")
    mean = made.mean(axis=(0, 2, 3), keepdims=True)
    spread = T.sqrt(T.sqr(made - mean).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
    broad = ("x", 0, "x", "x")
    made = (made - mean) / spread * (scale.dimshuffle(*broad) + 1) + shift.dimshuffle(*broad)
    made = T.signal.pool.pool_2d(T.nnet.relu(made), (2, 2), ignore_border=True)
    scores = T.nnet.conv2d(made, w[2]).mean(axis=(2, 3))
    data = rng.uniform(0, 1, (count, 1, size, size)).astype("float32"), rng.integers(0, 6, count)
    return [x, t], cross_entropy(scores, t), [*w, scale, shift], optim.momentum, data


def sequences(rng):
    steps, rows, wide = (3, 2, 4) if SMALL else (30, 32, 64)
    x, t = T.ftensor3("x"), T.lvector("t")
    w = weights(rng, (wide, wide), (wide, wide), (wide, 5))

    def step(now, before):
        gate = T.nnet.sigmoid(T.dot(now, w[0]))
        return gate * T.tanh(T.dot(before, w[1])) + (1 - gate) * now

    states, _ = graphc.scan(step, sequences=x, outputs_info=T.zeros((x.shape[1], wide), "float32"))
    loss = cross_entropy(T.dot(states[-1], w[2]), t)
    data = rng.uniform(-1, 1, (steps, rows, wide)).astype("float32"), rng.integers(0, 5, rows)
    return [x, t], loss, w, optim.rmsprop, data


@pytest.mark.parametrize("model", [perceptron, images, sequences])
def test_training_as_on_the_cpu(model):
    found = {}
    for name in ("cpu", "cuda"):
        inputs, loss, params, rule, data = model(np.random.default_rng(0))
        updates = rule(T.grad(loss, params), params, 0.01)
        step = graphc.function(inputs, loss, updates=updates, target=name)
        losses = [float(step(*data)) for _ in range(STEPS)]
        found[name] = [np.array(losses), *(p.get_value() for p in params)]
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        np.testing.assert_allclose(there, here, rtol=TOLERANCE, atol=TOLERANCE)
    assert found["cuda"][0][-1] < found["cuda"][0][0]


def test_a_call_gives_the_same_bits_every_time():
    x = T.fmatrix("x")
    outputs = [x.sum(), T.nnet.softmax(x), T.dot(x.T, x), x.sum(axis=0), T.sqr(x).mean(axis=1)]
    f = graphc.function([x], outputs, target="cuda")
    values = np.random.default_rng(0).standard_normal((9, 7) if SMALL else (999, 1001))
    first = f(values.astype("float32"))
    for _ in range(3 if SMALL else 20):
        for a, b in zip(first, f(values.astype("float32")), strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_comes_back():
    from graphc.runtime.cuda.driver import current_driver

    def once(rows):
        x = T.fmatrix("x")
        w = graphc.shared(np.ones((64, 64), "float32"))
        f = graphc.function([x], T.dot(x, w).sum(), updates=[(w, w * 0.5)], target="cuda")
        return float(f(np.ones((rows, 64), "float32")))

    driver, held = current_driver(), []
    for _ in range(3 if SMALL else 30):
        once(3)
        gc.collect()
        driver.reclaim()
        held.append(sum(size for size, *_ in driver.state.held.values()))
    assert held[-1] == held[0]


@pytest.mark.skipif(shutil.which("compute-sanitizer") is None, reason="no compute-sanitizer")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_the_sanitizer_finds_nothing(tool):
    cases = "elementwise reductions rows indexing products convolutions training".split()
    leaks = ["--leak-check", "full"] if tool == "memcheck" else []
    done = subprocess.run(
        ["compute-sanitizer", "--tool", tool, *leaks, "--error-exitcode", "9", sys.executable,
         str(HERE / "cuda_cases.py"), *cases],
        capture_output=True, text=True, timeout=1200, cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "BAD" not in done.stdout, done.stdout[-4000:]
