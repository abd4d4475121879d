"""`graphc.train.fit`: what it computes, against loops written by hand."""

from functools import partial

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((23, 4))
Y = (X[:, 0] > 0).astype("int32")


@pytest.fixture(autouse=True)
def doubles():
    with graphc.config(floatX="float64"):
        yield


def make(figures=None, rate=0.1, optimiser=optim.sgd, **options):
    x, y = T.dmatrix("x"), T.ivector("y")
    model = nn.Sequential(nn.Dense(4, 6, seed=1), T.tanh, nn.Dense(6, 2, seed=2))
    return train.Task(model, x, y, nn.losses.cross_entropy, figures, optimiser=optimiser,
                      learning_rate=rate, mode="numpy", **options)  # fmt: skip


def fit(task, rows=(X, Y), **options):
    return train.fit(task, rows, **{"epochs": 3, "batch": 5, "progress": False, **options})


def values(task):
    return {k: v.get_value() for k, v in task.kept.items()}


def same(one, other):
    assert one.keys() == other.keys()
    for k in one:
        assert one[k].tobytes() == other[k].tobytes(), k


def without_time(history):
    return {k: v for k, v in history.items() if k != "seconds"}


# --- what is computed -----------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_makes_the_steps_of_a_loop_by_hand(shuffle):
    one, other = make({"accuracy": nn.metrics.accuracy}), make({"accuracy": nn.metrics.accuracy})
    history = fit(one, shuffle=shuffle, seed=3, validation=(X[:7], Y[:7]))
    losses, right = [], []
    batches = data.from_arrays(X, Y).batches(5, shuffle, 3)
    for _ in range(3):
        found = [(len(x), *other.step(x, y)) for x, y in batches]
        losses.append(sum(n * float(loss) for n, loss, _ in found) / 23)
        right.append(sum(n * float(a) for n, _, a in found) / 23)
    same(values(one), values(other))
    assert history["loss"] == losses and history["accuracy"] == right
    assert history["epoch"] == [1, 2, 3] and history["steps"] == [5, 10, 15]
    loss, accuracy = one.test(X[:7], Y[:7])
    assert history["validation loss"][-1] == pytest.approx(float(loss), rel=1e-14)
    assert history["validation accuracy"][-1] == pytest.approx(float(accuracy), rel=1e-14)


def test_native_steps_are_those_of_a_loop_by_hand():
    def native():
        task = make(optimiser=optim.adam)
        task.mode = "native"
        return task

    one, other = native(), native()
    fit(one, prefetch=2, seed=1)
    batches = data.from_arrays(X, Y).batches(5, True, 1)
    for _ in range(3):
        for x, y in batches:
            other.step(x, y)
    same(values(one), values(other))


def test_figures_of_ragged_batches_are_those_of_all_rows():
    scores = {
        "mean": nn.metrics.accuracy,
        "row means": lambda p, y: p[:, 0],
        "sum": train.Figure(lambda p, y: p.sum(), over="sum"),
        "matrix": train.Figure(lambda p, y: nn.metrics.confusion_matrix(p, y, 2), over="sum"),
        "ratio": train.Figure(lambda p, y: ((y * p[:, 1]).sum(), y.sum()), over="ratio"),
        "perplexity": train.Figure(nn.losses.cross_entropy, then=np.exp),
    }
    task = make(scores)
    p = train.predict(task, X, batch=4)
    found = train.evaluate(task, (X, Y), batch=7)
    assert found["mean"] == pytest.approx((p.argmax(axis=1) == Y).mean())
    assert found["row means"] == pytest.approx(p[:, 0].mean())
    assert found["sum"] == pytest.approx(p.sum())
    assert found["ratio"] == pytest.approx(p[Y == 1, 1].mean())
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]))
    wanted = np.zeros((2, 2))
    np.add.at(wanted, (Y, p.argmax(axis=1)), 1)
    assert found["matrix"].tolist() in (wanted.tolist(), wanted.T.tolist())
    history = fit(task, epochs=1, validation=(X, Y))
    assert "validation ratio" in history and "matrix" not in history
    with pytest.raises(TypeError, match="over='middle' is none of mean, sum, ratio"):
        train.Figure(np.exp, over="middle")
    with pytest.raises(TypeError, match="ratio needs a function that gives two"):
        make({"bad": train.Figure(lambda p, y: p.sum(), over="ratio")}).parts(train=True)


def test_dropping_the_last_batch_leaves_its_rows_out():
    history = fit(make(), drop_last=True, epochs=2)
    assert history["steps"] == [4, 8]


def test_prefetching_changes_nothing():
    one, other = make(), make()
    fit(one, prefetch=3)
    fit(other)
    same(values(one), values(other))


def test_dicts_are_fed_by_name():
    one, other = make(), make()
    fit(one, {"y": Y, "unused": Y, "x": X})
    fit(other)
    same(values(one), values(other))
    assert (train.predict(one, {"x": X}) == train.predict(other, X)).all()


def test_several_inputs_and_outputs_and_a_plain_function():
    a, b, t = T.dmatrix("a"), T.dmatrix("b"), T.dvector("t")
    W, V = graphc.shared(np.zeros(4), name="W"), graphc.shared(np.ones(2), name="V")
    task = train.Task(
        lambda a, b: (a @ W, b @ V), [a, b], t, lambda p, q, t: (p + q - t) ** 2,
        {"gap": lambda p, q, t: abs(p - q)}, optimiser=optim.sgd, learning_rate=0.05,
        params=[W, V], mode="numpy",
    )  # fmt: skip
    B = RANDOM.standard_normal((23, 2))
    target = X @ [1.0, 2, 3, 4] + B @ [5.0, 6]
    history = fit(task, (X, B, target), epochs=60)
    assert history["loss"][-1] < 1e-3 and "gap" in history
    p, q = train.predict(task, (X, B), batch=6)
    np.testing.assert_allclose(p + q, target, atol=0.2)
    assert set(task.named()) == {"0.W", "1.V"}
    with pytest.raises(TypeError, match="give params="):
        train.Task(lambda a: a.sum(), a, t, lambda p, t: p - t)


def test_a_generator_is_trained_on():
    def examples():
        yield from zip(X, Y)

    one, other = make(), make()
    fit(one, data.from_generator(examples), shuffle=False)
    fit(other, shuffle=False)
    same(values(one), values(other))


def test_training_and_use_differ_where_layers_do():
    x = T.dmatrix("x")
    task = train.Task(nn.Sequential(nn.Dense(4, 4, seed=0), nn.Dropout(0.5, seed=1)), x, [],
                      lambda p: (p**2).sum(axis=1), mode="numpy")  # fmt: skip
    assert float(task.test(X)[0]) != float(task.step(X)[0])
    assert (train.predict(task, X) == train.predict(task, X)).all()


# --- rates, gradients, hooks ----------------------------------------------------------


def test_learning_rates_are_numbers_schedules_and_variables():
    fixed = make(rate=0.2)
    assert fit(fixed)["rate"] == [0.2] * 3
    fixed.rate.set_value(0.1)
    assert fit(fixed)["rate"] == [0.1] * 3
    falling = make(rate=lambda step: optim.schedules.inverse(step, 0.5, decay=1.0))
    assert fit(falling)["rate"] == pytest.approx([0.5 / 6, 0.5 / 11, 0.5 / 16])
    rate = graphc.shared(0.3, name="mine")
    shared = make(rate=rate)
    assert shared.rate is rate and fit(shared)["rate"] == [0.3] * 3
    own = make(rate=None, optimiser=lambda loss, params: optim.sgd(loss, params, 0.2))
    assert "rate" not in fit(own)
    fit(other := make(rate=0.2))
    assert (own.params[0].get_value() == other.params[0].get_value()).all()


def test_gradients_are_clipped():
    task = make(rate=1.0, gradients=partial(optim.clip_by_global_norm, limit=1e-3))
    before = [p.get_value() for p in task.params]
    task.step(X, Y)
    moved = sum(((p.get_value() - b) ** 2).sum() for p, b in zip(task.params, before))
    assert np.sqrt(moved) == pytest.approx(1e-3)


def test_hooks_see_epochs_and_steps_and_can_stop():
    seen = []

    class Hook:
        def __call__(self, run):
            seen.append(("epoch", run.epoch, run.history["loss"][-1]))
            if run.epoch == 2:
                run.stop = "enough"

        def after_step(self, run):
            seen.append(("step", run.step, len(run.arrays[0])))

    history = fit(make(), epochs=9, hooks=[Hook(), lambda run: seen.append(run.epochs)])
    assert history.stopped == "enough" and len(history.epochs) == 2
    assert [s[1] for s in seen if s != 9 and s[0] == "step"] == list(range(1, 11))
    assert seen[4] == ("step", 5, 3) and seen[5][:2] == ("epoch", 1) and seen[6] == 9


# --- the best epoch -------------------------------------------------------------------


def tell(figures):
    """A hook that puts other numbers into the history, as if they had been found."""

    def before(self, row, epoch):
        row["validation loss"] = figures[epoch - 1]
        return original(self, row, epoch)

    original = train.monitor.Monitor.see
    return before


@pytest.mark.parametrize("kept", [True, False])
def test_patience_ends_training_and_the_best_values_are_back(monkeypatch, tmp_path, kept):
    figures = [5.0, 3.0, 4.0, 2.95, 3.5, 3.6, 1.0]
    monkeypatch.setattr(train.monitor.Monitor, "see", tell(figures))
    saved = {}

    def hook(run):
        saved[run.epoch] = values(run.task)

    task = make()
    folder = tmp_path / "run" if kept else None
    judged = {"validation": (X, Y), "patience": 3, "least": 0.1, "folder": folder}
    history = fit(task, epochs=9, hooks=[hook], **judged)
    assert history.best == 2 and len(history.epochs) == 5
    assert history.stopped == "validation loss was no better for 3 epochs than 3"
    for path, v in task.named().items():
        assert (v.get_value() == saved[2][f"model/{path}"]).all()
    if kept:
        for name, epoch in (("best", 2), ("last", 5)):
            other = make()
            other.model.load(folder / f"{name}.safetensors")
            for path, v in other.named().items():
                assert (v.get_value() == saved[epoch][f"model/{path}"]).all()
        again = make()
        history = fit(again, epochs=3, **judged)
        assert history.stopped == "validation loss was no better for 3 epochs than 3"
        assert len(history.epochs) == 5 and history.best == 2  # a finished run stays as it is
        same({k: v for k, v in values(again).items() if "model" in k},
             {k: v for k, v in saved[2].items() if "model" in k})  # fmt: skip


def test_what_is_monitored_is_chosen_by_name():
    higher = fit(make({"accuracy": nn.metrics.accuracy}), monitor="accuracy", epochs=5)
    assert higher.best == 1 + int(np.argmax(higher["accuracy"]))
    with pytest.raises(TypeError, match="monitor='f1' is no column.*accuracy|there are epoch"):
        fit(make(), monitor="f1")
    with pytest.raises(TypeError, match="is a lower or a higher 'height' better"):
        fit(make({"height": nn.metrics.accuracy}), monitor="height")
    with pytest.raises(TypeError, match="neither 'lower' nor 'higher'"):
        fit(make(), better="best")
    task = make()  # nothing was learned before it was told
    before = values(task)
    for wrong in ({"monitor": "val_loss"}, {"least": "a"}, {"monitor": "validation loss"}):
        with pytest.raises(TypeError):
            fit(task, **wrong)
    same(values(task), before)


# --- history and progress -------------------------------------------------------------


def test_a_history_is_columns_and_a_table():
    history = fit(make(), epochs=2)
    assert list(history) == ["epoch", "steps", "seconds", "rate", "loss"]
    assert history.row(0)["epoch"] == 1 and history.row()["epoch"] == 2
    lines = history.to_csv().splitlines()
    assert lines[0] == "epoch,steps,seconds,rate,loss" and len(lines) == 3
    assert float(lines[2].split(",")[-1]) == history["loss"][-1]
    with pytest.raises(KeyError, match="no column 'los'; there are epoch"):
        history["los"]
    assert "loss" in repr(history)


def test_epochs_are_shown_line_by_line(capsys):
    fit(make(), progress=True, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2   loss 0.")


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="resume='maybe'"):
        fit(make(), resume="maybe")
    with pytest.raises(ValueError, match="every"):
        fit(make(), every=0)
    with pytest.raises(TypeError, match="can't be called"):
        train.Task(nn.Dense(4, 2), T.dmatrix("x"), T.ivector("y"), loss=3)
    with pytest.raises(TypeError, match="which is no input"):
        train.Task(nn.Dense(4, 2), T.dmatrix("x") * 2, T.ivector("y"), nn.losses.cross_entropy)
    with pytest.raises(TypeError, match="are all layers frozen"):
        train.Task(nn.Dense(4, 2).freeze(), T.dmatrix("x"), T.ivector("y"),
                   nn.losses.cross_entropy)  # fmt: skip


@pytest.mark.parametrize("wrong, message", [
    ({"optimiser": "adam"}, "optimiser='adam' can't be called(.|\n)*optim.adam"),
    ({"optimiser": optim.LBFGS}, "no optimiser for mini-batches"),
    ({"optimiser": lambda *_: None}, "the optimiser returned nothing"),
    ({"optimiser": lambda loss, params, rate: params}, "updates must be a dict or a list"),
    ({"learning_rate": "0.1"}, "learning_rate='0.1'"),
    ({"learning_rate": -0.1}, "learning_rate=-0.1(.|\n)*negate the loss"),
    ({"learning_rate": float("nan")}, "learning_rate=nan"),
    ({"figures": [nn.metrics.accuracy]}, "have no names(.|\n)*give a dict"),
    ({"figures": {"loss": nn.metrics.accuracy}}, "a figure can't be called 'loss'"),
    ({"figures": {"validation f1": nn.metrics.accuracy}}, "can't be called 'validation f1'"),
    ({"figures": {"far": lambda p, y: p[:, 0] * T.dvector("w")}}, "'far' depends on w: float64"),
    ({"loss": lambda p, y: p[:, 0] * T.dvector("w")}, "the loss depends on w(.|\n)*targets="),
])  # fmt: skip
def test_what_makes_no_task_is_told_where_it_is_declared(wrong, message):
    options = {"loss": nn.losses.cross_entropy, "optimiser": optim.sgd, **wrong}
    with pytest.raises(TypeError, match=message) as raised:
        train.Task(nn.Dense(4, 2), T.dmatrix("x"), T.ivector("y"), **options)
    assert "test_train.py" in str(raised.value)


def test_an_optimiser_may_return_a_dict():
    def descent(loss, params, rate):
        return {p: p - rate * g for p, g in zip(params, graphc.grad(loss, params))}

    one, other = make(optimiser=descent), make(optimiser=optim.sgd)
    same_loss = [fit(task, epochs=1)["loss"] for task in (one, other)]
    assert np.allclose(*same_loss)


def test_a_batch_is_at_most_the_rows_unless_one_is_asked_for():
    assert fit(make(), (X[:7], Y[:7]), batch=None, epochs=1)["steps"] == [1]


def test_what_is_no_hook_is_told_before_the_first_step():
    seen = []
    fit(make(), hooks=seen.append, epochs=1)  # one needs no list
    assert len(seen) == 1
    for wrong in (3, train.TensorBoard):
        task = make()
        with pytest.raises(TypeError, match="is no hook"):
            fit(task, hooks=[wrong])
        assert "step" not in vars(task)


def test_tasks_and_rows_are_not_mistaken():
    for call in (train.fit, train.evaluate, train.predict):
        with pytest.raises(TypeError, match=f"{call.__name__}: tuple is no task"):
            call((X, Y), make())


def test_what_a_step_can_not_be_names_the_line_that_asked_for_it():
    def wide(loss, params, rate):
        return [(p, p.astype("complex128")) for p in params]

    with pytest.raises(TypeError) as raised:
        fit(make(optimiser=wide))
    assert "functools" not in str(raised.value) and "test_train.py" in str(raised.value)


def test_a_layer_that_the_model_has_not_taken_in_is_not_left_untrained():
    class Two(nn.Layer):
        def __init__(self):
            super().__init__()
            self.below = nn.Dense(4, 3, seed=0)
            self.above = self.child("above", nn.Dense(3, 2, seed=1))

        def expression(self, x, train):
            return self.above(self.below(x, train=train), train=train)

    model, given = Two(), (T.dmatrix("x"), T.ivector("y"), nn.losses.cross_entropy)
    with pytest.raises(TypeError, match="dense.weights, dense.bias would be neither trained nor"):
        train.Task(model, *given)
    assert train.Task(model, *given, params=model.above.parameters).params
    model.below.freeze()
    assert train.Task(model, *given).params == model.above.parameters
    model.above.scale = graphc.shared(1.0, name="scale")
    with pytest.raises(TypeError, match="holds scale, which nothing would(.|\n)*self.parameter"):
        train.Task(model, *given)
    model.above.adopt("scale", model.above.scale)
    assert train.Task(model, *given).params


def test_what_is_shown_may_be_what_is_right():
    x = T.dmatrix("x")
    with graphc.config(floatX="float64"):
        coders = [nn.Sequential(nn.Dense(4, 2, seed=0), nn.Dense(2, 4, seed=1)) for _ in "ab"]
    twice = train.Task(coders[0], x, x, nn.losses.squared_error, mode="numpy")
    once = train.Task(coders[1], x, loss=lambda p: nn.losses.squared_error(p, x), mode="numpy")
    assert twice.leaves == [x]
    assert fit(twice, (X,))["loss"] == fit(once, X)["loss"]
    assert train.evaluate(twice, X) == train.evaluate(once, {"x": X})
    assert train.check_gradients(twice, X, batch=5).right
    assert train.Watch(twice, (X,)).look() is None
    assert train.find_learning_rate(twice, X, steps=5, batch=5).rates.size == 5


def test_a_figure_that_is_never_a_number_ends_the_waiting():
    x, y = T.dmatrix("x"), T.dvector("y")
    w = graphc.shared(np.zeros(2), name="w")
    figures = {"odd score": lambda p, y: T.log(-1 - p * p).mean()}
    task = train.Task(lambda x: T.dot(x, w), x, y, nn.losses.squared_error, figures,
                      params=[w], mode="numpy")  # fmt: skip
    given = np.ones((8, 2)), np.ones(8)
    history = train.fit(task, given, epochs=6, batch=4, monitor="odd score", patience=2,
                        progress=False)  # fmt: skip
    assert history.stopped == "odd score was NaN for 2 epochs" and history.best is None
