"""NaN and infinities in training: found, explained, and nothing lost."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import nn, optim, train
from graphc.train.nonfinite import all_finite

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((50, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def plain(expression, start=1.0, rate=0.1, mode="numpy", **options):
    x, y = T.fmatrix("x"), T.ivector("y")
    W = graphc.shared(np.full(4, start, "float32"), name="W")
    return train.Task(lambda x: expression(x, W), x, y, lambda p, y: p, params=[W],
                      optimiser=optim.sgd, learning_rate=rate, mode=mode, **options)  # fmt: skip


def failing(task, rows=(X, Y), **options):
    """What fit says, after which all of the task's values are finite."""
    with pytest.raises(train.NonFiniteError) as raised:
        train.fit(task, rows, **{"epochs": 3, "batch": 10, "progress": False, **options})
    assert all(all_finite(v.get_value()) for v in task.kept.values())
    text = str(raised.value)
    assert len(text.splitlines()) <= 15, text
    assert raised.value.hint in text
    return text


CASES = {
    "log of 0": (lambda x, W: T.log(T.maximum(T.dot(x, W), 0.0)), 0.1,
                 ["loss of step 1 is -inf", "in log(maximum(", "float32[10] from 0 to"]),
    "0 / 0": (lambda x, W: (T.dot(x, W) * 0) / (T.dot(x, W) * 0), 0.1,
              ["loss of step 1 is nan", "10 NaN of 10 values in true_div", "from 0 to 0"]),
    "gradient of sqrt": (lambda x, W: T.sqrt(T.sqr(T.dot(x, W) * 0).sum()), 0.1,
                         ["step 1 made it", "on the way to the new 0.W", "sqrt("]),
    "exp": (lambda x, W: T.exp(100 * T.dot(x, W)), 0.1,
            ["loss of step 1 is inf", "4 infinite of 10 values in exp(", "to 353.2"]),
    "rate": (lambda x, W: T.sqr(T.dot(x, W) - 1), 1e3,
             ["loss of step 7 is inf", "10 infinite of 10 values in sqr(", "smaller learning"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_operation_is_named_with_its_operands(case):
    expression, rate, messages = CASES[case]
    text = failing(plain(expression, rate=rate))
    for message in [*messages, "test_train_nonfinite.py"]:
        assert message in text, text


def test_compiled_steps_are_explained_in_the_same_way():
    expression, rate, messages = CASES["rate"]
    task = plain(expression, rate=rate, mode="native")
    text = failing(task, prefetch=2)
    for message in messages:
        assert message in text, text


def test_the_values_are_those_from_before_the_step():
    task, other = (plain(CASES["rate"][0], rate=1e3) for _ in range(2))
    failing(task, shuffle=False)
    for k in range(6):
        other.step(X[10 * (k % 5) : 10 * (k % 5) + 10], Y[:10])
    assert (task.params[0].get_value() == other.params[0].get_value()).all()
    assert int(task.steps.get_value()) == 6


def test_parameters_that_are_nan_from_the_start_are_named():
    text = str(pytest.raises(train.NonFiniteError, train.fit, plain(T.dot, start=np.nan), (X, Y),
                             batch=10, progress=False).value)  # fmt: skip
    assert "before the first step, 0.W is not finite" in text and "an initialiser" in text


def test_a_state_may_be_infinite_from_the_start():
    best = graphc.shared(np.float32(np.inf), name="best")
    train.fit(plain(T.dot, states=[best]), (X, Y), batch=10, epochs=1, progress=False)


@pytest.mark.parametrize("every", [None, 5])
def test_the_very_last_step_is_looked_at_and_no_checkpoint_holds_it(tmp_path, every):
    pytest.importorskip("safetensors")

    def schedule(step):  # the rate is 0.1, and infinite in step 15
        return 0.1 / T.cast(T.lt(step, 14), "float64")

    task = plain(T.dot, rate=schedule)
    text = failing(task, folder=tmp_path, every=every)
    assert "after step 15, 0.W is not finite; step 15 made it" in text and "true_div" in text
    values, state = train.RunFolder(tmp_path).newest()
    assert state["step"] == 10 and all(map(all_finite, values.values()))
    assert not (tmp_path / "last.safetensors").exists()


def test_a_hook_that_spoils_values_is_suspected():
    def spoil(run):
        run.task.params[0].set_value(np.full(4, np.nan, "float32"))

    text = failing(plain(T.dot), hooks=[spoil])
    assert "the steps since step 0 were all finite" in text and "does a hook change" in text


def test_rows_that_were_let_through_are_named():
    rows = X.copy()
    rows[17, 2] = np.nan
    text = failing(plain(T.dot), (rows, Y), finite=False, shuffle=False)
    assert "loss of step 2 is nan" in text and "first at [7, 2]" in text
    assert "finite=True refuses such rows" in text


def test_inside_a_loop_the_operation_and_its_step_are_named():
    def grow(x, W):
        states, _ = graphc.scan(lambda h: T.exp(h * W), outputs_info=x, n_steps=6)
        return states[-1].sum(axis=1)

    text = failing(plain(grow))
    assert "in exp" in text and "of a loop" in text and "T.exp(h * W)" in text


def test_deep_models_with_normalisation_are_searched():
    with graphc.config(floatX="float32"):
        x, y = T.matrix("x"), T.ivector("y")
        layers = [
            part for k in range(6)
            for part in (nn.Dense(4, 4, seed=k), nn.BatchNorm(4), T.nnet.relu)
        ]  # fmt: skip
        task = train.Task(nn.Sequential(*layers, nn.Dense(4, 2, seed=9)), x, y,
                          nn.losses.cross_entropy, learning_rate=1e38, mode="numpy")  # fmt: skip
    text = failing(task, prefetch=2)
    assert "step 1 made it" in text and "float32(rate" in text and max(
        map(len, text.splitlines())
    ) < 200  # fmt: skip


def test_a_validation_loss_that_is_nan_is_history_and_never_best():
    def model(x, train):  # finite in training only
        return T.dot(x, W) if train else T.log(T.dot(x, W) * 0 - 1)

    W = graphc.shared(np.ones(4, "float32"), name="W")
    task = train.Task(model, T.fmatrix("x"), T.ivector("y"), lambda p, y: p, params=[W],
                      optimiser=optim.sgd, mode="numpy")  # fmt: skip
    history = train.fit(task, (X, Y), epochs=2, batch=10, validation=(X, Y), progress=False)
    assert np.isnan(history["validation loss"]).all() and history.best is None
