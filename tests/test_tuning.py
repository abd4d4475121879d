"""Learning rates, ensembles, averages, a watch over layers: what surrounds a fit."""

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train
from graphc.core.errors import ArgumentError, GraphError, ShapeError
from graphc.optim import schedules

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


def rows_of(count=48, seed=0):
    """Two classes, parted by a line."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, 3))
    return x, (x[:, 0] + 0.5 * x[:, 1] > 0).astype("int64")


def classifier(seed=0, **options):
    """A task with everything that a step may change: dropout, running averages, momenta."""
    x, y = T.dmatrix("x"), T.lvector("y")
    model = nn.Sequential(
        nn.Dense(3, 6, T.tanh, seed=seed), nn.BatchNorm(6), nn.Dropout(0.3, seed=seed),
        nn.Dense(6, 4, T.nnet.relu, seed=seed + 1), nn.Dense(4, 2, seed=seed + 2),
    )  # fmt: skip
    given = {"optimiser": optim.adam, "mode": "numpy", **options}
    figures = {"accuracy": nn.metrics.accuracy}
    return train.Task(model, x, y, nn.losses.cross_entropy, figures, **given)


def line(weight=0.0, **options):
    """``y = w x``, trained on the squared error."""
    x, y = T.dmatrix("x"), T.dmatrix("y")
    model = nn.Dense(1, 1, bias=False, init=weight)
    given = {"optimiser": optim.sgd, "learning_rate": 0.1, "mode": "numpy", **options}
    return train.Task(model, x, y, nn.losses.squared_error, **given)


ON_A_LINE = np.ones((4, 1)), np.full((4, 1), 3.0)


def values_of(task):
    return {k: v.get_value() for k, v in task.kept.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


# --- the range test ------------------------------------------------------------------


def test_a_range_test_finds_where_descent_on_a_parabola_diverges():
    # loss = (w - 3)^2, so a step multiplies the distance by 1 - 2 rate: it grows from rate 1 on
    found = train.find_learning_rate(line(), ON_A_LINE, 1e-4, 10, steps=200, smoothing=0.0)
    ratio = found.rates[1:] / found.rates[:-1]
    np.testing.assert_allclose(ratio, 1e5 ** (1 / 199))
    distance = np.cumprod(1 - 2 * found.rates)
    np.testing.assert_allclose(found.losses[:140], 9 * distance[:140] ** 2, rtol=1e-6)
    np.testing.assert_array_equal(found.losses, found.smoothed)
    lowest = found.rates[found.losses.argmin()]
    assert found.tenth == lowest / 10
    expected = found.rates[np.gradient(found.losses, np.log(found.rates)).argmin()]
    assert found.suggestion == found.steepest == expected
    assert 1e-3 < found.suggestion < lowest < 1


def test_losses_are_smoothed_with_the_bias_taken_out_until_they_diverge():
    found = train.find_learning_rate(line(), ON_A_LINE, 1e-3, 1e4, 60, smoothing=0.7, rule="tenth")
    mean, expected = 0.0, []
    for k, loss in enumerate(found.losses, 1):
        mean = 0.7 * mean + 0.3 * loss
        expected.append(mean / (1 - 0.7**k))
    np.testing.assert_allclose(found.smoothed, expected)
    assert found.diverged and len(found.rates) < 60
    assert found.smoothed[-1] > 4 * found.smoothed.min()
    assert all(found.smoothed[:-1] <= 4 * np.minimum.accumulate(found.smoothed)[:-1])
    assert found.suggestion == found.tenth and f"{found.suggestion:.3g}" in repr(found)


def test_the_noise_of_the_first_losses_is_no_suggestion():
    rates = np.geomspace(1e-7, 10, 100)
    smoothed = 1 / (1 + rates**0.5)
    smoothed[0] += 1  # one batch that was harder
    found = train.RateTest(rates, smoothed, smoothed, "steepest", False)
    assert 0.1 < found.suggestion < 10


def test_a_range_test_leaves_nothing_behind_not_even_after_an_error():
    task, rows = classifier(learning_rate=0.25), rows_of()
    before = values_of(task)
    found = train.find_learning_rate(task, rows, steps=20, batch=100)
    assert np.isfinite(found.losses).all()
    assert_same(before, values_of(task))
    bad = rows[0].copy()
    bad[40] = np.nan
    with pytest.raises(data.DataError, match="row"):
        train.find_learning_rate(task, (bad, rows[1]), batch=16, shuffle=False)
    assert_same(before, values_of(task))
    assert task.present_rate() == 0.25


def test_a_loss_that_is_never_finite_and_one_that_never_falls_are_told():
    with pytest.raises(data.DataError, match="before any step, the loss is inf"):
        train.find_learning_rate(line(weight=1e200), ON_A_LINE)
    flat = train.find_learning_rate(line(weight=3.0), ON_A_LINE, steps=10)
    assert flat.suggestion is None and flat.tenth is None and "never fell" in repr(flat)


@pytest.mark.parametrize(
    ("rate", "options", "message"),
    [
        (lambda step: schedules.exponential(step, 0.1, 0.9), {}, "is a schedule"),
        (None, {}, "left to the optimiser"),
        (0.1, {"lowest": 1.0, "highest": 0.1}, "highest is larger"),
        (0.1, {"rule": "best"}, "steepest, tenth"),
        (0.1, {"smoothing": 1.0}, "smoothing=1.0"),
        (0.1, {"steps": 2}, "steps is 2"),
    ],
)
def test_range_tests_that_make_no_sense(rate, options, message):
    with pytest.raises(GraphError, match=message):
        train.find_learning_rate(line(learning_rate=rate), ON_A_LINE, **options)


def test_a_range_test_is_drawn():
    pytest.importorskip("matplotlib")
    found = train.find_learning_rate(line(), ON_A_LINE, 1e-4, 10)
    (axes,) = found.picture("title").axes
    assert axes.get_xscale() == "log" and axes.get_title() == "title"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.smoothed)
    assert axes.lines[2].get_xdata()[0] == found.suggestion


# --- ensembles -----------------------------------------------------------------------


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_an_ensemble_averages_outputs_probabilities_or_votes():
    tasks, (x, y) = [classifier(seed) for seed in (0, 10, 20)], rows_of()
    alone = [train.predict(t, x) for t in tasks]
    mean = np.mean(alone, axis=0)
    joint = train.Ensemble(tasks)
    np.testing.assert_allclose(train.predict(joint, x), mean)
    found = train.evaluate(joint, (x, y), batch=10)
    np.testing.assert_allclose(found["loss"], -np.log(softmax(mean)[range(48), y]).mean())
    assert found["accuracy"] == pytest.approx((mean.argmax(1) == y).mean())

    odds = np.mean([softmax(z) for z in alone], axis=0)
    joint = train.Ensemble(tasks, by="probabilities")
    np.testing.assert_allclose(softmax(train.predict(joint, x)), odds)
    found = train.evaluate(joint, (x, y))
    np.testing.assert_allclose(found["loss"], -np.log(odds[range(48), y]).mean())

    votes = np.mean([np.eye(2)[z.argmax(1)] for z in alone], axis=0)
    joint = train.Ensemble(tasks, by="vote")
    np.testing.assert_allclose(train.predict(joint, x), votes)
    found = train.evaluate(joint, (x, y))
    assert found["accuracy"] == pytest.approx((votes.argmax(1) == y).mean())
    losses = [train.evaluate(t, (x, y))["loss"] for t in tasks]
    assert found["loss"] == pytest.approx(np.mean(losses))
    assert list(joint.named())[0] == "0.0.weights" and len(joint.params) == 24


def test_ensembles_follow_their_members_and_keep_what_a_task_says_of_outputs():
    tasks = [line(1.0, outputs=lambda p: 10 * p), line(2.0, outputs=lambda p: 10 * p)]
    joint = train.Ensemble(tasks)
    assert train.predict(joint, np.ones((1, 1))).item() == 15
    tasks[1].model.weights.set_value(np.array([[5.0]]))
    assert train.predict(joint, np.ones((1, 1))).item() == 30


def test_ensembles_that_do_not_go_together():
    x, y = T.fmatrix("x"), T.dmatrix("y")
    other = train.Task(nn.Dense(1, 1), x, y, nn.losses.squared_error)
    one, two = (train.Task(nn.Dense(3, n), T.dmatrix("x"), T.lvector("y"), nn.losses.cross_entropy,
                           mode="numpy") for n in (1, 2))  # fmt: skip
    for make, error, message in [
        (lambda: train.Ensemble([]), ArgumentError, "no tasks"),
        (lambda: train.Ensemble([line().model]), ArgumentError, "nn.Average"),
        (lambda: train.Ensemble([line(), other]), ArgumentError, "members are shown the same"),
        (lambda: train.Ensemble([line()], by="sum"), ArgumentError, "mean, probabilities, vote"),
        (lambda: train.fit(train.Ensemble([line()]), ON_A_LINE, batch=4), ArgumentError,
         "train its members"),
        (lambda: nn.Average(), ArgumentError, "no models"),
        (lambda: nn.Average(T.sqr, T.sum)(np.ones((1, 2))), ShapeError, "one shape"),
        (lambda: train.predict(train.Ensemble([two, one]), np.ones((2, 3))), ValueError, "shape"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            make()


def test_the_average_of_models_is_a_layer():
    models = [nn.Dense(2, 2, seed=k) for k in range(3)]
    joint = nn.Average(*models, of=T.nnet.softmax)
    x, given = T.dmatrix("x"), np.random.default_rng(0).standard_normal((5, 2))
    outputs = [joint(x), *(m(x) for m in models)]
    made, *alone = graphc.function([x], outputs, mode="numpy")(given)
    np.testing.assert_allclose(made, np.mean([softmax(z) for z in alone], axis=0))
    assert list(joint.named())[:2] == ["0.weights", "0.bias"] and len(joint.parameters) == 6
    assert nn.Average(T.neg, T.neg)(T.fmatrix("x")).dtype == "float32"


# --- averages of checkpoints ---------------------------------------------------------


def test_checkpoints_of_a_run_are_averaged(tmp_path):
    pytest.importorskip("safetensors")
    task, rows, seen = classifier(learning_rate=0.1), rows_of(), []
    options = {"folder": tmp_path, "keep": 3, "progress": False}
    train.fit(task, rows, epochs=5, hooks=[lambda run: seen.append(task.model.state())], **options)
    average = train.average_checkpoints(tmp_path, last=3)
    assert average.keys() == seen[0].keys()
    for name, value in average.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, np.mean([s[name] for s in seen[-3:]], axis=0))
        else:
            np.testing.assert_array_equal(value, seen[-1][name])
    task.model.load_state(average)
    assert train.evaluate(task, rows)["accuracy"] > 0.8
    paths = [tmp_path / "best.safetensors", tmp_path / "last.safetensors"]
    assert train.average_checkpoints(paths).keys() == average.keys()
    with pytest.raises(train.CheckpointError, match=r"(?s)holds 3 checkpoints, and 4.*keep=4"):
        train.average_checkpoints(tmp_path, last=4)
    with pytest.raises(train.CheckpointError, match="holds 0 checkpoints"):
        train.average_checkpoints(tmp_path / "nothing")


def test_values_are_averaged_in_float64_and_kept_in_their_dtypes():
    big = np.array([2.0**24, 1.0], "float32")
    states = [{"w": big, "k": np.array(1)}, {"w": np.ones(2, "float32"), "k": np.array(2)}] * 2
    found = train.average_values(*states)
    assert found["w"].dtype == "float32" and found["w"].tolist() == [2.0**23, 1.0]
    assert found["k"] == 2
    halves = [{"w": graphc.to_bfloat16(np.array([k, 1.0]))} for k in (1.0, 2.0)]
    mean = train.average_values(*halves)["w"]
    assert graphc.from_bfloat16(mean).tolist() == [1.5, 1.0]


def test_states_of_different_models_are_not_averaged():
    one, other = nn.Dense(2, 3).state(), nn.Dense(2, 2).state()
    with pytest.raises(ArgumentError, match=r"'weights' has shapes \(2, 3\), \(2, 2\)\n.*'bias'"):
        train.average_values(one, other)
    with pytest.raises(ArgumentError, match="'bias' is missing in number 1"):
        train.average_values(one, {"weights": one["weights"]})
    with pytest.raises(ArgumentError, match="'bias' has dtypes float64, float32"):
        train.average_values(one, {**one, "bias": one["bias"].astype("float32")})
    with pytest.raises(ArgumentError, match="dicts of arrays"):
        train.average_values([one, one])


# --- watching ------------------------------------------------------------------------


def test_a_watch_changes_nothing_of_a_training():
    rows = rows_of()
    tasks = [classifier(), classifier()]
    watch = train.Watch(tasks[1], rows, every=2, batch=16)
    ends = []
    for task, hooks in zip(tasks, ([], [watch])):
        history = train.fit(task, rows, epochs=2, hooks=hooks, progress=False)
        ends.append((values_of(task), history["loss"]))
    assert_same(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1] and watch.steps == [2, 4]


def test_what_a_watch_sees_is_what_the_next_step_does():
    task, rows = classifier(optimiser=optim.momentum, learning_rate=0.05), rows_of()
    watch = train.Watch(task, rows, values=10_000)
    train.fit(task, rows, epochs=2, batch=48, hooks=[watch], progress=False)
    watch.look(2)
    before = task.model.state()
    (velocity,) = (v for v, _ in task.updates if "velocity" in str(v.name)
                   and v.get_value().shape == (6, 4))  # fmt: skip
    pushed = 0.9 * velocity.get_value()
    task.step(*rows)
    after = task.model.state()
    assert watch.steps == [1, 2, 2]
    for name in watch.ratios:
        change = np.linalg.norm(after[name] - before[name])
        size = np.linalg.norm(before[name])
        np.testing.assert_allclose(watch.ratios[name][-1], change / size, rtol=1e-10)
    # The change is 0.9 v - rate g, which tells g, and with it what dropout has drawn.
    gradient = (pushed - (after["3.weights"] - before["3.weights"])) / 0.05
    np.testing.assert_allclose(
        watch.gradients["3.weights"][-1], np.sort(gradient, axis=None), atol=1e-12
    )
    for name, kept in watch.gradients.items():
        norm = watch.gradient_statistics[name]["norm"][-1]
        np.testing.assert_allclose(norm, np.linalg.norm(kept[-1]))


def test_activations_are_those_of_training_with_their_statistics():
    x, y = T.dmatrix("x"), T.lvector("y")
    weights = np.array([[1.0, -1.0, 3.0], [0.0, 0.0, 0.0]])
    model = nn.Sequential(
        nn.Dense(2, 3, T.nnet.relu, init=weights), nn.Dropout(0.5, seed=0), nn.Dense(3, 2, T.tanh)
    )
    model[2].load_state({"weights": np.full((3, 2), 10.0), "bias": np.array([0.0, 0.0])})
    task = train.Task(model, x, y, nn.losses.cross_entropy, mode="numpy")
    given = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 5.0], [4.0, 0.0]]), np.zeros(4, "int64")
    watch = train.Watch(task, given)
    watch.look()
    assert list(watch.activations) == ["0 dense", "1 dropout", "2 dense"]
    first = watch.statistics["0 dense"]
    assert watch.activations["0 dense"][0].tolist() == [0, 0, 0, 0, 1, 2, 3, 3, 4, 6, 9, 12]
    assert first["dead"] == [1 / 3] and first["zeros"] == [1 / 3] and "saturated" not in first
    assert first["mean"] == [pytest.approx(40 / 12)]
    dropped = watch.activations["1 dropout"][0]
    assert set(dropped) <= {0, 2, 4, 6, 8, 12, 18, 24} and (dropped == 0).sum() > 4
    last = watch.statistics["2 dense"]
    near = np.mean(np.abs(watch.activations["2 dense"][0]) > 0.95)
    assert last["saturated"] == [pytest.approx(near)] and 0.2 < near < 1
    assert math.isnan(watch.ratios["2.bias"][0]) and watch.ratios["2.weights"][0] >= 0


def test_samples_are_distributed_as_all_values_are():
    task = line()
    x = T.dmatrix("x")
    watch = train.Watch(task, (np.linspace(0, 1, 1001)[:, None] ** 2, np.ones((1001, 1))),
                        {"twice": 2 * task.inputs[0]}, batch=1001, values=11)  # fmt: skip
    watch.look()
    np.testing.assert_allclose(watch.activations["twice"][0], 2 * np.linspace(0, 1, 11) ** 2)
    assert watch.statistics["twice"]["mean"] == [pytest.approx(2 / 3, rel=1e-2)]
    assert x.ndim == 2


def test_dead_channels_are_counted_over_rows_and_places():
    x, y = T.tensor4("x"), T.lvector("y")
    conv = nn.Conv2D(1, 2, 3, activation=T.nnet.relu, init=np.ones((2, 1, 3, 3)))
    model = nn.Sequential(conv, nn.GlobalPool("average"))
    task = train.Task(model, x, y, nn.losses.cross_entropy, mode="numpy")
    conv.bias.set_value(np.array([0.0, -100.0]))
    watch = train.Watch(task, (np.ones((3, 1, 5, 5)), np.zeros(3, "int64")), [conv])
    watch.look()
    ((name, found),) = watch.statistics.items()
    assert "conv" in name and found["dead"] == [0.5] and found["zeros"] == [0.5]


def test_a_watch_goes_on_with_its_run(tmp_path):
    pytest.importorskip("safetensors")
    rows, seen = rows_of(), []
    for folder, stages in (("a", (4,)), ("b", (2, 4))):
        for epochs in stages:
            task = classifier()
            watch = train.Watch(task, rows, values=7)
            train.fit(task, rows, epochs=epochs, hooks=[watch], folder=tmp_path / folder,
                      progress=False)  # fmt: skip
        seen.append(json.dumps(watch.state_dict()))
    assert seen[0] == seen[1] and len(watch.steps) == 4
    other = train.Watch(classifier(), rows, {"input": task.inputs[0]})
    with pytest.raises(ArgumentError, match="a watch over 0 dense"):
        other.load_state_dict(watch.state_dict())


def test_layers_that_are_called_twice_or_in_functions_have_names():
    shared = nn.Dense(2, 2, T.tanh, seed=0)

    def network(x):
        return shared(shared(x))

    x, y = T.dmatrix("x"), T.lvector("y")
    task = train.Task(network, x, y, nn.losses.cross_entropy, params=shared.parameters,
                      mode="numpy")  # fmt: skip
    watch = train.Watch(task, (np.eye(2), np.zeros(2, "int64")))
    watch.look()
    assert list(watch.activations) == ["dense", "dense (2)"]
    once = np.tanh(shared.weights.get_value() + shared.bias.get_value())
    np.testing.assert_allclose(watch.activations["dense"][0], np.sort(once, axis=None))
    with pytest.raises(ArgumentError, match="doesn't call"):
        train.Watch(task, (np.eye(2), np.zeros(2, "int64")), [nn.Dense(2, 2)])
    with pytest.raises(ArgumentError, match="no expression"):
        train.Watch(task, (np.eye(2), np.zeros(2, "int64")), {"hidden": 3})


def test_outputs_of_all_layers_are_expressions():
    inner = nn.Sequential(nn.Dense(3, 4, T.tanh, seed=0), nn.Dropout(0.5, seed=1))
    model = nn.Sequential(inner, nn.Dense(4, 2, seed=2))
    x = T.dmatrix("x")
    outputs = nn.layer_outputs(model, x)
    assert list(outputs) == ["0.0 dense", "0.1 dropout", "1 dense"]
    assert list(nn.layer_outputs(model, x, containers=True)) == [
        "0.0 dense", "0.1 dropout", "0 sequential", "1 dense", "sequential"
    ]  # fmt: skip
    given = np.random.default_rng(0).standard_normal((5, 3))
    found = graphc.function([x], {**outputs, "all": model(x)}, mode="numpy")(given)
    np.testing.assert_allclose(found["0.0 dense"], found["0.1 dropout"])
    np.testing.assert_allclose(found["1 dense"], found["all"])


# --- schedules and averages in optimisers --------------------------------------------


def test_a_momentum_may_follow_the_step():
    def annealed(t):
        return schedules.linear(t, 0.5, 0.9, 4)

    def by_hand(loss, params, rate):
        step, counting = optim.counter()
        return optim.momentum(loss, params, rate, momentum=annealed(step)) + counting

    ends = []
    for optimiser in (by_hand, optim.scheduled(optim.momentum, momentum=annealed)):
        task = line(optimiser=optimiser)
        train.fit(task, ON_A_LINE, epochs=6, batch=4, progress=False)
        ends.append(task.model.weights.get_value().item())
    w = v = 0.0
    for t in range(6):
        v = (0.5 + 0.1 * min(t, 4)) * v - 0.1 * 2 * (w - 3)
        w += v
    np.testing.assert_allclose(ends, w)
    both = optim.scheduled(functools.partial(optim.adam, beta2=0.99), learning_rate=annealed)
    task = line(optimiser=both, learning_rate=None)
    train.fit(task, ON_A_LINE, epochs=1, batch=4, progress=False)
    np.testing.assert_allclose(task.model.weights.get_value().item(), 0.5, rtol=1e-6)
    for bad in (0.9, T.dscalar()):
        with pytest.raises(ArgumentError, match="no function of the step"):
            optim.scheduled(optim.momentum, momentum=bad)


def test_fit_judges_keeps_and_leaves_averaged_weights(tmp_path):
    pytest.importorskip("safetensors")
    optimiser = optim.Averaged(optim.sgd, optim.ema, decay=0.5)
    task, raw, seen = line(optimiser=optimiser), [], []
    weights = task.model.weights

    def note(run):
        raw.append(weights.get_value().item())
        seen.append(task.average.get_values()[0].item())

    options = {"batch": 4, "hooks": [note], "validation": ON_A_LINE, "folder": tmp_path}
    history = train.fit(task, ON_A_LINE, epochs=3, progress=False, **options)
    w, expected = 0.0, []
    for t in range(3):
        w -= 0.1 * 2 * (w - 3)
        expected.append(w if t == 0 else 0.5 * expected[-1] + 0.5 * w)
        assert raw[t] == pytest.approx(w)
    np.testing.assert_allclose(seen, expected)
    np.testing.assert_allclose(history["validation loss"], (3 - np.array(expected)) ** 2)
    assert weights.get_value().item() == pytest.approx(expected[-1])
    for name in ("best", "last"):
        task.model.load(tmp_path / f"{name}.safetensors")
        assert weights.get_value().item() == pytest.approx(expected[-1])
    # another process goes on from the weights themselves
    again = line(optimiser=optim.Averaged(optim.sgd, optim.ema, decay=0.5))
    train.fit(again, ON_A_LINE, epochs=4, progress=False, **{**options, "hooks": []})
    w -= 0.1 * 2 * (w - 3)
    np.testing.assert_allclose(again.model.weights.get_value().item(),
                               0.5 * expected[-1] + 0.5 * w)  # fmt: skip


def test_before_an_average_has_begun_the_weights_are_judged():
    optimiser = optim.Averaged(optim.sgd, optim.swa, start=2)
    task, w, losses = line(optimiser=optimiser), 0.0, []
    history = train.fit(task, ON_A_LINE, epochs=4, batch=4, validation=ON_A_LINE, progress=False)
    ws = []
    for _ in range(4):
        w -= 0.1 * 2 * (w - 3)
        ws.append(w)
    for judged in (ws[0], ws[1], ws[2], (ws[2] + ws[3]) / 2):
        losses.append((judged - 3) ** 2)
    np.testing.assert_allclose(history["validation loss"], losses)
    np.testing.assert_allclose(task.model.weights.get_value().item(), (ws[2] + ws[3]) / 2)


def test_an_averaged_optimiser_tells_what_is_missing():
    with pytest.raises(ArgumentError, match="can't be called"):
        optim.Averaged(optim.sgd, 0.9)
    with pytest.raises(ArgumentError, match="no averages before the first call"):
        optim.Averaged(optim.sgd, optim.ema).average  # noqa: B018


# --- compiled ------------------------------------------------------------------------


def test_compiled_tasks_are_tested_joined_and_watched_like_interpreted_ones():
    found, rows = {}, rows_of()
    for mode in ("numpy", "native"):
        x, y = T.dmatrix("x"), T.lvector("y")
        model = nn.Sequential(nn.BatchNorm(3), nn.Dropout(0.3, seed=0), nn.Dense(3, 2, seed=1))
        task = train.Task(model, x, y, nn.losses.cross_entropy, optimiser=optim.sgd, mode=mode)
        watch = train.Watch(task, rows, every=3)
        test = train.find_learning_rate(task, rows, 1e-4, 1e-2, steps=5)
        train.fit(task, rows, epochs=3, batch=24, hooks=[watch], progress=False)
        joint = train.Ensemble([task, task], by="probabilities")
        found[mode] = [test.losses, *watch.activations["2 dense"], *watch.gradients["2.weights"],
                       watch.ratios["2.weights"], train.predict(joint, rows)]  # fmt: skip
    for native, interpreted in zip(found["native"], found["numpy"]):
        np.testing.assert_allclose(native, interpreted, rtol=1e-6, atol=1e-9)


# --- the page ------------------------------------------------------------------------


def test_the_page_about_tuning_runs(capsys, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    text = (CHECKOUT / "docs" / "tuning.md").read_text("utf-8")
    program = python_program(text)
    assert program.count("assert ") >= 8
    with graphc.config(mode="numpy"):
        exec(compile(program, "tuning.md", "exec"), {"__name__": "tuning_page"})
