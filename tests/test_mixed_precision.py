"""Models of float16 and bfloat16: masters, scaled losses, and `train` with both."""

import functools

import numpy as np
import pytest
from half_numbers import HALVES, plain, stored

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train

RNG = np.random.RandomState(0)
X = RNG.randn(200, 6).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int32")


def half(value, name="w", dtype="float16"):
    return graphc.shared(stored(np.asarray(value, "float64"), dtype), name=name)


def task(dtype, optimiser=None, **options):
    with graphc.config(floatX=dtype):
        x, y = T.matrix("x"), T.ivector("y")
        model = nn.Sequential(nn.Dense(6, 16, T.tanh, seed=1), nn.Dense(16, 2, seed=2))
        optimiser = optim.MixedPrecision(optim.adam) if optimiser is None else optimiser
        return train.Task(model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
                          optimiser=optimiser, learning_rate=0.05, **options)  # fmt: skip


def fitted(made, **options):
    return train.fit(made, (X, Y), batch=20, progress=False, **options)


@pytest.fixture(scope="module")
def single():
    return fitted(task("float32", optim.adam, mode="numpy"), epochs=20)["loss"]


@pytest.mark.parametrize("dtype", HALVES)
def test_a_model_of_halves_learns_like_one_of_float32(dtype, single):
    made = task(dtype)
    history = fitted(made, epochs=20)
    assert {p.dtype for p in made.params} == {dtype}
    assert single[0] > 0.6 and single[-1] < 0.15
    np.testing.assert_allclose(history["loss"], single, 0.03, 0.005)
    assert history["accuracy"][-1] > 0.95
    assert "host" not in [s.routine for s in made.step.plan.steps]


@pytest.mark.parametrize("dtype", HALVES)
def test_tasks_judge_and_return_float32(dtype):
    made = task(dtype, mode="numpy")
    assert made.losses[0].dtype == made.losses[1].dtype == "float32"
    assert made.output[0].dtype == "float32" and made.params[0].dtype == dtype
    found = train.predict(made, X[:5])
    assert found.dtype == "float32" and found.shape == (5, 2)
    assert set(train.evaluate(made, (X, Y))) == {"loss", "accuracy"}


@pytest.mark.parametrize("dtype", HALVES)
def test_masters_keep_what_halves_would_lose(dtype):
    plain_w, w, v = half(1.0, dtype=dtype), half([1.0, 2.0], dtype=dtype), graphc.shared(np.ones(2))
    optimiser = optim.MixedPrecision(optim.sgd)
    updates = optimiser(T.sum(w) + T.sum(v * v) / 2, [w, v], learning_rate=1e-4)
    step = graphc.function([], updates=updates)
    lost = graphc.function([], updates=optim.sgd(plain_w, [plain_w], learning_rate=1e-4))
    for _ in range(100):
        step(), lost()
    master, none = optimiser.masters
    assert none is None and master.name == "w.master"
    np.testing.assert_allclose(master.get_value(), [0.99, 1.99], 1e-5)
    np.testing.assert_array_equal(plain(w.get_value()),
                                  plain(stored(master.get_value().astype("float64"), dtype)))
    np.testing.assert_allclose(v.get_value(), np.full(2, (1 - 1e-4) ** 100), 1e-12)
    assert float(plain(plain_w.get_value())) == 1.0
    assert (optimiser.scale is None) == (dtype == "bfloat16")


@pytest.mark.parametrize("mode", ["native", "numpy"])
def test_a_step_that_overflows_changes_nothing_and_halves_the_scale(mode):
    w, x = half([1.0, -2.0]), T.fscalar("x")
    optimiser = optim.MixedPrecision(optim.adam, scale=8, every=3)
    updates = optimiser(T.sum(T.cast(w, "float32")) * x, [w], learning_rate=0.125)
    step = graphc.function([x], updates=updates, mode=mode)
    state = {v.name: v for v, _ in updates}

    def seen():
        return {name: v.get_value().tolist() for name, v in state.items()
                if name not in ("mixed.scale", "mixed.good", "mixed.skipped")}  # fmt: skip

    def counters():
        return tuple(state[f"mixed.{name}"].get_value().item()
                     for name in ("scale", "good", "skipped"))  # fmt: skip

    start = seen()
    assert {"w", "w.master", "adam.steps", "w.master.mean"} <= set(start)
    step(60000.0)
    assert seen() == start and counters() == (4, 0, 1)
    step(float("nan"))
    assert seen() == start and counters() == (2, 0, 2)
    step(1.0)
    np.testing.assert_allclose(w.get_value(), [0.875, -2.125])
    assert seen()["adam.steps"] == 1 and counters() == (2, 1, 2)
    step(1.0), step(1.0)
    assert counters() == (4, 0, 2)
    step(1.0), step(60000.0), step(1.0)
    assert counters() == (2, 1, 3)
    state["mixed.scale"].set_value(np.float32(2.0**24)), state["mixed.good"].set_value(2)
    step(0.001)
    assert counters() == (2.0**24, 0, 3)
    assert optimiser.scale is state["mixed.scale"] and optimiser.skipped is state["mixed.skipped"]


def test_gradients_too_small_for_float16_arrive():
    w, x = half(0.5), half(2.0**-13, "x")
    found = []
    for optimiser in (optim.sgd, optim.MixedPrecision(optim.sgd, every=None)):
        w.set_value(np.float16(0.5))
        loss = T.cast(w * x * 2.0**-13, "float32")
        step = graphc.function([], updates=optimiser(loss, [w], learning_rate=2.0**25))
        step()
        found.append(float(w.get_value()))
    assert found == [0.5, 0.0]


def test_at_the_least_scale_what_is_no_overflow_shows():
    w = half([1.0, 2.0])
    optimiser = optim.MixedPrecision(optim.sgd, scale=2.0**-9)
    step = graphc.function([], updates=optimiser(T.sum(T.sqrt(w * 0)), [w]))
    step()
    assert np.isfinite(w.get_value()).all() and float(optimiser.scale.get_value()) == 2.0**-10
    step()
    assert np.isnan(w.get_value()).all() and int(optimiser.skipped.get_value()) == 1


def test_what_is_set_from_outside_counts():
    w = half([1.0, 2.0, 3.0])
    optimiser = optim.MixedPrecision(optim.sgd)
    step = graphc.function([], updates=optimiser(T.sum(w), [w], learning_rate=1e-4))
    for _ in range(3):
        step()
    value = w.get_value()
    value[1] = 20
    w.set_value(value)
    step()
    np.testing.assert_allclose(optimiser.masters[0].get_value(), [0.9996, 19.9999, 2.9996], 1e-6)


def test_functions_of_gradients_see_them_unscaled():
    seen = {}
    for dtype in ("float32", "float16"):
        w = graphc.shared(np.array([3.0, 4.0], dtype), name="w")
        optimiser = optim.MixedPrecision(optim.sgd, scale=1024.0)
        clip = functools.partial(optim.clip_by_global_norm, limit=1.0)
        updates = optimiser(T.sum(w * w) / 2, [w], 0.5, gradients=clip)
        graphc.function([], updates=updates, mode="numpy")()
        seen[dtype] = w.get_value()
    np.testing.assert_allclose(seen["float32"], [2.7, 3.6], 1e-6)
    np.testing.assert_allclose(seen["float16"], seen["float32"], 1e-3)
    made = task("float16", gradients=clip, mode="numpy")
    assert fitted(made, epochs=1)["loss"][0] < 1


def test_optimisers_around_it():
    inner = optim.MixedPrecision(optim.momentum)
    clip = functools.partial(optim.clip_by_value, limit=1.0)
    for outer in (optim.Averaged(inner, optim.ema, decay=0.5),
                  optim.scheduled(inner, momentum=lambda t: 0.5 + 0 * t)):  # fmt: skip
        made = task("float16", outer, gradients=clip, mode="numpy")
        assert "mixed.scale" in [v.name for v in made.step.updates]
        history = fitted(made, epochs=2)
        assert history["loss"][1] < history["loss"][0]
    inside = optim.MixedPrecision(optim.scheduled(optim.adam, beta1=lambda t: 0.9 + 0 * t))
    assert fitted(task("bfloat16", inside, mode="numpy"), epochs=1)["loss"][0] < 1


@pytest.mark.parametrize("dtype", HALVES)
def test_a_run_that_stopped_goes_on_with_the_same_bits(tmp_path, dtype):
    pytest.importorskip("safetensors")
    ends = []
    for parts in ((3,), (1, 3)):
        folder = tmp_path / str(len(parts))
        for epochs in parts:
            made = task(dtype, optim.MixedPrecision(optim.adam, scale=2.0**14, every=7),
                        mode="numpy")  # fmt: skip
            made.params[0].set_value(stored(np.full((6, 16), 0.1), dtype))
            fitted(made, epochs=epochs, folder=folder)
        ends.append({name: v.get_value().tobytes() for name, v in made.kept.items()})
        names = [name.split("/")[-1] for name in made.kept]
    assert ends[0] == ends[1]
    assert {"mixed.scale", "mixed.good", "mixed.skipped"} <= set(names)
    assert sum(name.endswith(".master") for name in names) == 4


WRONG = {
    "can't be called": lambda w: optim.MixedPrecision("adam"),
    "every=0": lambda w: optim.MixedPrecision(optim.sgd, every=0),
    "scale=1000": lambda w: optim.MixedPrecision(optim.sgd, scale=1000),
    "scale='off'": lambda w: optim.MixedPrecision(optim.sgd, scale="off"),
    "gradients can't be scaled": lambda w: optim.MixedPrecision(optim.sgd)([w * 2], [w]),
    "leaves out w": lambda w: optim.MixedPrecision(lambda g, p: [])(T.sum(w), [w]),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_refused(message):
    with pytest.raises(graphc.GraphError, match=message):
        WRONG[message](half([1.0]))


def test_gradients_that_were_scaled_by_the_user():
    w = half([1.0])
    updates = optim.MixedPrecision(optim.sgd, scale=None)([w * 2], [w], 0.25)
    assert [v.name for v, _ in updates] == ["w.master", "w"]
    graphc.function([], updates=updates)()
    assert w.get_value().tolist() == [0.5]


# --- floatX ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES)
def test_everything_untyped_is_of_floatx(dtype):
    with graphc.config(floatX=dtype):
        s, n = graphc.shared(1.5, name="s"), T.iscalar("n")
        kinds = [T.matrix("x"), T.zeros((2,)), n / 2, T.exp(n), T.eye(2), T.constant(0.5), s,
                 T.nnet.abstract_conv.bilinear_kernel_1D(2),
                 graphc.random.RandomStream(1).normal((3,))]  # fmt: skip
        assert {v.dtype for v in kinds} == {dtype}
        f = graphc.function([n], [n / 2, kinds[-1], kinds[-2]], updates=[(s, s * 2)])
        found = f(3)
        assert float(plain(found[0])) == 1.5
        np.testing.assert_allclose(plain(found[2]), [0.5, 1, 0.5])
        assert float(plain(s.get_value())) == 3
        expected = "float32" if dtype == "bfloat16" else dtype
        assert data.OneHot(3)([1]).dtype == expected
        assert graphc.recurrent.state(2, 3).dtype == dtype
    with pytest.raises(ValueError, match="'float16', 'bfloat16', 'float32', 'float64'"):
        graphc.config.floatX = "float8"
