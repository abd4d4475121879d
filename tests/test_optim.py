"""Optimisers against PyTorch's figures, and against the recurrences of their papers in NumPy."""

import functools
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch_figures

import graphc
import graphc.tensor as T
from graphc import optim
from graphc.optim import schedules

STEPS = 5


def sgd(p, g, s, t, eta):
    return p - eta * g


def momentum(p, g, s, t, eta, mu):
    s["v"] = mu * s.get("v", 0) - eta * g
    return p + s["v"]


def nesterov(p, g, s, t, eta, mu):
    s["v"] = mu * s.get("v", 0) - eta * g
    return p + mu * s["v"] - eta * g


def adagrad(p, g, s, t, eta, epsilon):
    s["s"] = s.get("s", 0) + g**2
    return p - eta * g / np.sqrt(s["s"] + epsilon)


def rmsprop(p, g, s, t, eta, rho, epsilon):
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    return p - eta * g / np.sqrt(s["s"] + epsilon)


def centred(p, g, s, t, eta, rho, epsilon, _):
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    s["m"] = rho * s.get("m", 0) + (1 - rho) * g
    return p - eta * g / np.sqrt(s["s"] - s["m"] ** 2 + epsilon)


def adadelta(p, g, s, t, eta, rho, epsilon):
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    u = g * np.sqrt(s.get("d", 0) + epsilon) / np.sqrt(s["s"] + epsilon)
    s["d"] = rho * s.get("d", 0) + (1 - rho) * u**2
    return p - eta * u


def adam(p, g, s, t, eta, b1, b2, epsilon):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    m, v = s["m"] / (1 - b1**t), s["v"] / (1 - b2**t)
    return p - eta * m / (np.sqrt(v) + epsilon)


def lamb(p, g, s, t, eta, b1, b2, epsilon, decay):
    r = adam(0, g, s, t, -1, b1, b2, epsilon) + decay * p
    lengths = np.linalg.norm(p), np.linalg.norm(r)
    return p - eta * (lengths[0] / lengths[1] if all(lengths) else 1) * r


CASES = [
    ("sgd", sgd, (0.1,)),
    ("momentum", momentum, (0.1, 0.8)),
    ("nesterov", nesterov, (0.1, 0.8)),
    ("adagrad", adagrad, (0.5, 1e-3)),
    ("rmsprop", rmsprop, (0.05, 0.7, 1e-3)),
    ("rmsprop", centred, (0.05, 0.7, 1e-3, True)),
    ("adadelta", adadelta, (1.0, 0.9, 1e-3)),
    ("adam", adam, (0.1, 0.8, 0.95, 1e-4)),
    ("lamb", lamb, (0.1, 0.8, 0.95, 1e-4, 0.1)),
]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "optim.md"
FIGURES = json.loads(torch_figures.FIGURES.read_text("utf-8"))
SIX_STEPS = torch_figures.STEPS


def problem(dtype, x=None):
    """A loss over a matrix and a vector, and its gradients in NumPy."""
    random = np.random.RandomState(0)
    W0, b0 = random.standard_normal((3, 4)).astype(dtype), np.zeros(4, dtype)
    data = random.standard_normal((5, 3)).astype(dtype)
    W, b = graphc.shared(W0, name="W"), graphc.shared(b0, name="b")
    x = T.TensorType(dtype, (None, None))("x") if x is None else x
    loss = T.sum(T.sqr(T.dot(x, W) + b - 1)) / 2

    def gradients(W, b):
        error = data @ W + b - 1
        return data.T @ error, error.sum(axis=0)

    return x, loss, (W, b), (W0, b0), data, gradients


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_steps_are_those_of_the_paper(mode):
    x, updates, trained = None, [], []
    for name, rule, settings in CASES:
        x, loss, params, values, data, gradients = problem("float64", x)
        updates += getattr(optim, name)(loss, params, *settings)
        trained.append((rule, settings, params, list(values), gradients, [{}, {}]))
    step = graphc.function([x], updates=updates, mode=mode)
    for t in range(1, STEPS + 1):
        step(data)
        for rule, settings, params, values, gradients, states in trained:
            found = gradients(*values)
            values[:] = [rule(p, g, s, t, *settings) for p, g, s in zip(values, found, states)]
            for p, expected in zip(params, values):
                np.testing.assert_allclose(
                    p.get_value(), expected, rtol=1e-10, atol=1e-12, err_msg=rule.__name__
                )


def test_float32_stays_float32_whatever_the_settings_are():
    x, losses, updates, settings = None, [], [], {}
    for name, optimiser in optim.OPTIMISERS.items():
        x, loss, params, _, data, _ = problem("float32", x)
        for key, p in list(inspect.signature(optimiser).parameters.items())[2:]:
            value = p.default
            if key == "learning_rate":
                value = 1.0 if name == "adadelta" else 0.05
            settings[key] = graphc.shared(np.float64(value), key) if key != "centred" else True
        asked = {k: settings[k] for k in inspect.signature(optimiser).parameters if k in settings}
        with graphc.config(floatX="float64"):
            more = optimiser(loss, params, **asked)
        assert {new.dtype for _, new in more} <= {"float32", "int64"}, name
        updates += more
        losses.append(loss)
    step = graphc.function([x], losses, updates=updates, mode="numpy")
    first = step(data)
    for _ in range(20):
        last = step(data)
    assert [n for n, a, b in zip(optim.OPTIMISERS, first, last) if not b < a] == []


# --- beside PyTorch -------------------------------------------------------------------


def torch_problem(x, y, dtype="float64"):
    """The loss and the parameters of `torch_figures`."""
    W = graphc.shared(torch_figures.W.astype(dtype), name="W")
    b = graphc.shared(torch_figures.B.astype(dtype), name="b")
    return T.mean((T.tanh(T.dot(x, W) + b) - y) ** 2), [W, b]


def flat(params):
    return np.concatenate([np.ravel(p.get_value()) for p in params])


def follow(named, x, y, mode, rtol=1e-9, atol=0.0):
    """Run all of `named` as one function, and compare each step with PyTorch's figures."""
    updates = [pair for _, _, more, _ in named for pair in more]
    step = graphc.function([x, y], updates=updates, mode=mode)
    for k in range(SIX_STEPS):
        step(torch_figures.X, torch_figures.Y)
        for part, name, _, read in named:
            expected, where = FIGURES[part][name][k], f"{name}, step {k}"
            np.testing.assert_allclose(read(), expected, rtol, atol, err_msg=where)


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_optimisers_take_the_steps_of_pytorch(mode):
    (x, y), named = T.dmatrices("xy"), []
    for name, (ours, settings, _, _) in torch_figures.OPTIMISERS.items():
        loss, params = torch_problem(x, y)
        updates = getattr(optim, ours)(loss, params, **settings)
        named.append(("optimisers", name, updates, functools.partial(flat, params)))
    assert {c[0] for c in torch_figures.OPTIMISERS.values()} == set(optim.OPTIMISERS) - {"lamb"}
    follow(named, x, y, mode)


def test_clipping_is_that_of_pytorch():
    (x, y), named = T.dmatrices("xy"), []
    for name, limit in ("clip_by_value", 0.05), ("clip_by_norm", 0.1), ("clip_by_global_norm", 0.1):
        loss, params = torch_problem(x, y)
        clipped = getattr(optim, name)(graphc.grad(loss, params), limit)
        updates = optim.sgd(clipped, params, 1.0)
        named.append(("clipping", name, updates, functools.partial(flat, params)))
    follow(named[:1], x, y, "native")
    follow(named[1:], x, y, "native", atol=5e-6)  # PyTorch adds 1e-6 to norms


def test_averages_are_those_of_pytorch():
    (x, y), named = T.dmatrices("xy"), []
    for name, settings in ("polyak", {}), ("ema", {"decay": 0.7}):
        loss, params = torch_problem(x, y)
        updates = optim.sgd(loss, params, 1.0)
        average = getattr(optim, name)(updates, params, **settings)
        read = functools.partial(flat, average.values)
        named.append(("averages", name, updates + average.updates, read))
    follow(named, x, y, "native")


def test_lbfgs_takes_the_steps_of_pytorch():
    x, y = T.dmatrices("xy")
    for name, (settings, _) in torch_figures.LBFGS.items():
        loss, params = torch_problem(x, y)
        optimiser = optim.LBFGS(loss, params, [x, y], **settings)
        for expected in FIGURES["lbfgs"][name]:
            optimiser.step(torch_figures.X, torch_figures.Y)
            np.testing.assert_allclose(flat(params), expected, rtol=1e-8)


def test_schedules_are_those_of_pytorch():
    step = T.lscalar("step")
    found = {
        name: getattr(schedules, name)(step, *settings)
        for name, (settings, _, _) in torch_figures.SCHEDULES.items()
    }
    f = graphc.function([step], list(found.values()))
    for t in range(torch_figures.LENGTH):
        expected = [FIGURES["schedules"][name][t] for name in found]
        np.testing.assert_allclose(f(t), expected, rtol=1e-9, err_msg=f"step {t}")


# --- schedules ------------------------------------------------------------------------


def test_schedules_stay_where_they_end_and_begin():
    step = T.iscalar("step")
    found = {
        "constant": (schedules.constant(step, 3), lambda t: 3),
        "inverse": (schedules.inverse(step, 2, 0.5, 0.75), lambda t: 2 / (1 + t / 2) ** 0.75),
        "linear": (schedules.linear(step, 1, 0, 4), lambda t: 1 - min(t, 4) / 4),
        "cosine": (schedules.cosine(step, 1, 4), lambda t: (1 + np.cos(np.pi * min(t, 4) / 4)) / 2),
        "warm_up": (schedules.warm_up(step, 4, 0.2), lambda t: 0.2 + 0.8 * min(t, 4) / 4),
        "annealing": (
            schedules.momentum_annealing(step, 0.9, 2), lambda t: min(1 - 0.5 / (t // 2 + 1), 0.9),
        ),
        "restarts": (
            schedules.cosine(step % 5, 1, 5), lambda t: (1 + np.cos(np.pi * (t % 5) / 5)) / 2,
        ),
        "chain": (
            schedules.chain(step, schedules.linear(step, 0, 1, 3), (3, 2.0), (6, 1 / step)),
            lambda t: t / 3 if t < 3 else 2 if t < 6 else 1 / t,
        ),
        "one_cycle": (schedules.one_cycle(step + 50, 1.0, 20), lambda t: 1 / 25 / 1e4),
    }  # fmt: skip
    assert {v.dtype for v, _ in found.values()} == {"float64"}
    f = graphc.function([step], [v for v, _ in found.values()])
    for t in range(1, 12):
        np.testing.assert_allclose(f(t), [rule(t) for _, rule in found.values()], rtol=1e-12)
    first = schedules.linear(step, 0.5, 1, 4), schedules.step_decay(step, 1.0, 2)
    assert graphc.function([step], list(first))(-7) == [0.5, 1.0]


def test_schedules_count_beyond_what_float32_can():
    step = T.lscalar("step")
    with graphc.config(floatX="float32"):
        f = graphc.function([step], schedules.linear(step, 0, 1, 2**26))
    assert f(2**25 + 1) == 0.5 + 2.0**-26


def test_rate_and_momentum_follow_their_schedules_in_training():
    w = graphc.shared(np.float32(1.0), name="w")
    step, counting = optim.counter()
    rate = schedules.warm_up(step, 4, 0.5) * schedules.step_decay(step, 0.5, 2)
    mu = schedules.linear(step, 0.5, 0.9, 4)
    train = graphc.function([], [rate, mu], updates=optim.momentum(w, [w], rate, mu) + counting)
    value, velocity = 1.0, 0.0
    for _ in range(6):
        eta, kept = train()
        velocity = kept * velocity - eta
        value += velocity
        np.testing.assert_allclose(w.get_value(), value, rtol=1e-5)
    assert step.get_value() == 6 and w.get_value().dtype == "float32"


# --- clipping, penalties, bounds ------------------------------------------------------


def test_clipping_leaves_what_is_short_alone_and_lets_nan_through():
    g, limit = T.fvectors("gh"), T.dscalar("limit")
    both = [clip(g, limit) for clip in (optim.clip_by_norm, optim.clip_by_global_norm)]
    f = graphc.function([*g, limit], [v for pair in both for v in pair])
    short, zero = np.array([0.1, -0.7], "float32"), np.zeros(2, "float32")
    for found, expected in zip(f(short, zero, 1.0), [short, zero] * 2):
        assert found.dtype == "float32" and (found == expected).all()
    assert all((v == 0).all() for v in f(short, zero, 0.0))
    one, two, all_one, all_two = f(np.array([np.nan, 1], "float32"), short, 1.0)
    assert np.isnan(one).all() and (two == short).all() and np.isnan([all_one, all_two]).all()


def test_norms_of_halves_are_computed_in_float32():
    g = graphc.shared(np.full(3, 300, "float16"), name="g")
    (clipped,) = optim.clip_by_global_norm([g], 1.0)
    assert clipped.dtype == "float32"
    np.testing.assert_allclose(clipped.eval(), 3**-0.5, rtol=1e-6)
    np.testing.assert_allclose(optim.l2([g]).eval(), 270000, rtol=1e-6)


def test_penalties_and_their_gradients():
    values = np.array([[1.0, -2.0], [0.0, 0.5]]), np.array([3.0])
    params = [graphc.shared(v, name="p") for v in values]
    f = graphc.function([], [
        optim.l1(params), optim.l2(params), optim.elastic(params, 0.25),
        *graphc.grad(optim.elastic(params, 0.25), params),
    ])  # fmt: skip
    absolute, squares, both, *gradients = f()
    assert (absolute, squares, both) == (6.5, 14.25, 0.25 * 6.5 + 0.375 * 14.25)
    for v, g in zip(values, gradients):
        np.testing.assert_allclose(g, 0.25 * np.sign(v) + 0.75 * v)


def test_max_norm_bounds_what_leads_into_a_unit():
    random = np.random.RandomState(0)
    values = [random.standard_normal(s).astype("float32") for s in [(5, 3), (4, 2, 3, 3), (6,)]]
    W, filters, b = params = [graphc.shared(v, name=n) for v, n in zip(values, "WFb")]
    still = optim.sgd([0 * p for p in params], params)
    updates = optim.max_norm(optim.max_norm(still, [W, filters], 1.5), [b], 1.0, axes=(0,))
    assert [p for p, _ in updates] == params
    graphc.function([], updates=updates)()
    for p, v, axes, limit in zip(params, values, [(0,), (1, 2, 3), (0,)], [1.5, 1.5, 1.0]):
        lengths = np.sqrt((v**2).sum(axes, keepdims=True))
        assert (lengths > limit).any()
        np.testing.assert_allclose(p.get_value(), v * np.minimum(1, limit / lengths), rtol=1e-6)


# --- averages -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_averages_can_be_read_swapped_and_stored(dtype):
    w = graphc.shared(graphc.to_bfloat16([0.0, 1]) if dtype == "bfloat16" else np.array([0.0, 1]))
    updates = optim.sgd([T.constant(np.array([-1.0, -2.0]))], [w], 1.0)
    average = optim.swa(updates, [w], start=2, every=3)
    mode = "numpy" if dtype == "bfloat16" else "native"
    step = graphc.function([], updates=updates + average.updates, mode=mode)
    averaged = graphc.function([], w * 1, givens=average.givens, mode=mode)

    def plain(value):
        return graphc.from_bfloat16(value) if dtype == "bfloat16" else value

    assert (plain(average.get_values()[0]) == [0, 1]).all()  # before the first one
    for _ in range(7):  # steps 2 and 5 count, after which w is 3 and 6
        step()
    expected, last = [4.5, 10], [7, 15]
    assert average.count.get_value() == 2 and average.steps.get_value() == 7
    assert (plain(averaged()) == expected).all() and (plain(w.get_value()) == last).all()
    with pytest.raises(KeyError), average.swapped():
        assert (plain(w.get_value()) == expected).all()
        raise KeyError
    assert (plain(w.get_value()) == last).all()
    average.store()
    assert (plain(w.get_value()) == expected).all()
    assert w.get_value().dtype == average.get_values()[0].dtype


# --- L-BFGS ---------------------------------------------------------------------------


def regression():
    """Logistic regression with a penalty, its parameters, inputs and data."""
    random = np.random.RandomState(1)
    data = random.standard_normal((60, 4)) * [1, 5, 0.2, 1]
    labels = (data @ [1, -0.2, 3, 0] + random.standard_normal(60) > 0).astype("float64")
    x, t = T.dmatrix("x"), T.dvector("t")
    w, b = graphc.shared(np.zeros(4), name="w"), graphc.shared(0.0, name="b")
    answer = T.nnet.sigmoid(T.dot(x, w) + b)
    loss = T.nnet.binary_crossentropy(answer, t).mean() + 0.01 * optim.l2([w])
    return loss, [w, b], [x, t], (data, labels)


def test_lbfgs_finds_the_minimum_that_scipy_finds():
    scipy_optimize = pytest.importorskip("scipy.optimize")
    loss, params, inputs, data = regression()
    optimiser = optim.LBFGS(loss, params, inputs)

    def f(vector):
        params[0].set_value(vector[:4])
        params[1].set_value(vector[4])
        value, w, b = optimiser.evaluate(*data)
        return float(value), np.append(w, b)

    expected = scipy_optimize.minimize(f, np.zeros(5), jac=True, method="BFGS", tol=1e-9)
    params[0].set_value(np.full(4, 3.0)), params[1].set_value(-2.0)
    found = optimiser.minimise(*data)
    assert found.reason == "the gradient is small" and found.gradient <= 1e-6
    assert found.steps < 30 and found.evaluations < 2 * found.steps + 5
    np.testing.assert_allclose(flat(params), expected.x, atol=1e-5)
    again = optimiser.minimise(*data)
    assert (again.steps, again.reason) == (0, "the gradient is small")


def test_lbfgs_goes_on_from_a_saved_state_with_the_same_bits():
    loss, params, inputs, data = regression()
    optimiser = optim.LBFGS(loss, params, inputs, history=3)
    for _ in range(5):
        optimiser.step(*data)
    state, values = optimiser.get_state(), [p.get_value() for p in params]
    assert state["moves"].shape == (3, 5) and state["steps"] == 5
    expected = [optimiser.step(*data) for _ in range(4)], flat(params)
    other = optim.LBFGS(loss, params, inputs, history=3)
    other.set_state(state)
    for p, v in zip(params, values):
        p.set_value(v)
    assert [other.step(*data) for _ in range(4)] == expected[0]
    assert (flat(params) == expected[1]).all()
    with pytest.raises(graphc.GraphError, match="moves of shape"):
        other.set_state({**state, "moves": np.zeros((3, 4)), "changes": np.zeros((3, 4))})


def test_lbfgs_copes_with_steep_walls_and_stops_at_what_cannot_be_improved():
    w = graphc.shared(1e-3, name="w")
    wall = optim.LBFGS(w - T.log(w), [w], learning_rate=100.0, mode="numpy")  # NaN below 0
    with np.errstate(all="ignore"):
        assert wall.minimise().reason == "the gradient is small"
    np.testing.assert_allclose(w.get_value(), 1, atol=1e-5)
    v = graphc.shared(np.float32(3.0), name="v")
    kink = optim.LBFGS(T.switch(v > 0.3, v, 0.6 - v), [v], mode="numpy")  # never flat
    assert "loss" in kink.minimise().reason and abs(v.get_value() - 0.3) < 1e-3
    bad = optim.LBFGS(T.sum(w * np.nan), [w], mode="numpy")
    with pytest.raises(graphc.GraphError, match="the loss is nan"):
        bad.step()


# --- perceptron and Adaline -----------------------------------------------------------


def test_the_perceptron_learns_what_that_of_scikit_learn_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    random = np.random.RandomState(3)
    data = random.standard_normal((60, 3))
    labels = np.sign(data @ [1, 2, -1] + 0.5 + random.standard_normal(60))
    theirs = linear_model.Perceptron(shuffle=False, max_iter=1, tol=None).fit(data, labels)
    x, t = T.dvector("x"), T.dscalar("t")
    w, b = graphc.shared(np.zeros(3), name="w"), graphc.shared(0.0, name="b")
    learn = graphc.function([x, t], updates=optim.perceptron(x, t, w, b))
    for row, label in zip(data, labels):
        learn(row, label)
    np.testing.assert_allclose(w.get_value(), theirs.coef_[0], rtol=1e-12)
    np.testing.assert_allclose(b.get_value(), theirs.intercept_[0], rtol=1e-12)


def test_batches_and_several_outputs_of_the_rules():
    random = np.random.RandomState(4)
    data, labels = random.standard_normal((7, 3)), np.sign(random.standard_normal((7, 2)))
    W0, b0 = random.standard_normal((3, 2)), random.standard_normal(2)
    (x, t), (row, aim) = T.dmatrices("xt"), T.dvectors("ra")
    trained, updates = [], []
    for rule in optim.perceptron, optim.adaline:
        for given in (x, t), (row, aim):
            W, b = graphc.shared(W0, name="W"), graphc.shared(b0, name="b")
            updates += rule(*given, W, b, learning_rate=0.5)
            trained += [W, b]
    graphc.function([x, t, row, aim], updates=updates)(data, labels, data[0], labels[0])

    def changes(x, t, linear):
        answer = x @ W0 + b0
        error = t - answer if linear else np.where(t * answer <= 0, t, 0)
        return W0 + 0.5 * x.T @ error / len(x), b0 + 0.5 * error.mean(0)

    expected = [
        v for linear in (False, True) for n in (7, 1) for v in changes(data[:n], labels[:n], linear)
    ]
    for p, v in zip(trained, expected):
        np.testing.assert_allclose(p.get_value(), v, rtol=1e-12)


# --- what goes in ---------------------------------------------------------------------


def test_the_learning_rate_can_be_changed_between_calls():
    w = graphc.shared(1.0, name="w")
    rate = graphc.shared(0.5, name="rate")
    step = graphc.function([], updates=optim.sgd(w, [w], rate))
    step()
    assert w.get_value() == 0.5
    rate.set_value(2.0)
    step()
    assert w.get_value() == -1.5


def test_gradients_may_be_given_instead_of_the_loss():
    w, v = graphc.shared(np.ones(2), name="w"), graphc.shared(np.zeros(3), name="v")
    clipped = [T.clip(g, -1, 1) for g in graphc.grad(T.sum(w * 5) + T.sum(v * 0.5), [w, v])]
    graphc.function([], updates=optim.sgd(clipped, [w, v], 1.0))()
    assert w.get_value().tolist() == [0, 0] and v.get_value().tolist() == [-0.5] * 3


def test_states_are_named_after_their_parameters_and_keep_their_broadcasting():
    w = graphc.shared(np.ones((1, 3)), name="w", broadcastable=(True, False))
    updates = dict(optim.adam(T.sum(w), [w]))
    names = {s.name: s.broadcastable for s in updates if s is not w}
    expected = {"adam.steps": (), "w.mean": (True, False), "w.squares": (True, False)}
    assert names == expected


def test_what_is_no_shared_variable_is_refused_with_a_hint():
    x = T.dscalar("x")
    with pytest.raises(TypeError, match="only shared variables can be trained, not x: float64"):
        optim.sgd(x * 2, [x])


def test_a_wrong_number_of_gradients_is_refused():
    w = graphc.shared(1.0, name="w")
    with pytest.raises(TypeError, match="2 gradients for 1 parameters"):
        optim.adam([w, w], [w])


W, V = graphc.shared(np.ones(2), name="w"), graphc.shared(np.ones((2, 2)), name="v")
X = T.dmatrix("x")
WRONG = {
    "integers can't be trained": lambda: optim.sgd([W], [graphc.shared(1, name="n")]),
    "w: .* is listed twice": lambda: optim.adam(T.sum(W), [W, W]),
    "can't be the gradient of w": lambda: optim.sgd([V, W], [W, V]),
    "the step is an integer scalar, not x": lambda: schedules.cosine(X, 1.0, 10),
    "cosine: a length of 0 steps": lambda: schedules.cosine(1, 1.0, 0),
    "no room to rise": lambda: schedules.one_cycle(1, 1.0, 3),
    "one_cycle: rise=1": lambda: schedules.one_cycle(1, 1.0, 30, rise=1),
    "are not in order": lambda: schedules.chain(1, 0.1, (5, 0.2), (3, 0.3)),
    "gradients come as a list": lambda: optim.clip_by_norm(W, 1.0),
    "clip_by_value: a limit of -1": lambda: optim.clip_by_value([W], -1),
    "global_norm: no gradients": lambda: optim.global_norm([]),
    "a penalty on no parameters": lambda: optim.l2([]),
    "max_norm: v: .* is not among the updates": lambda: optim.max_norm([(W, W)], [V], 1.0),
    "max_norm: w: .* has no axis of inputs": lambda: optim.max_norm([(W, W)], [W], 1.0),
    "max_norm: a limit of 0": lambda: optim.max_norm([(V, V)], [V], 0),
    "ema: v: .* is not among the updates": lambda: optim.ema([(W, W)], [V]),
    "swa: every=0": lambda: optim.swa([(W, W)], [W], every=0),
    "neither float32 nor float64": lambda: optim.LBFGS(
        T.sum(h := graphc.shared(np.ones(2, "float16"), name="h")), [h]
    ),
    "perceptron: w: .* the ranks are x 2, target 2": lambda: optim.perceptron(X, X, W),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_refused(message):
    with pytest.raises(graphc.GraphError, match=message):
        WRONG[message]()


# --- the page -------------------------------------------------------------------------


def test_the_page_about_optimisers_runs(capsys):
    lines, inside = [], False
    for line in PAGE.read_text("utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line.strip() == "```python" if fence else inside
    program = "\n".join(lines)
    assert program.count("assert ") >= 6
    with graphc.config(floatX="float64"):
        exec(compile(program, str(PAGE), "exec"), {"__name__": "optim_page"})
    assert capsys.readouterr().out


def test_the_table_of_optimisers_says_their_defaults_and_state():
    text = PAGE.read_text("utf-8")
    rows = [r.split(" | ") for r in text.splitlines() if r.startswith("| `") and r.count("|") == 6]
    found = {r[0].strip("| `"): r for r in rows}
    assert list(found) == list(optim.OPTIMISERS)
    w = graphc.shared(np.ones((2, 3)), name="W")
    for name, row in found.items():
        optimiser = optim.OPTIMISERS[name]
        arguments = list(inspect.signature(optimiser).parameters.values())[2:]
        assert row[2] == ", ".join(f"`{a.name}` {a.default}" for a in arguments), name
        wanted = {"centred": True} if name == "rmsprop" else {}
        state = [s.name for s, _ in optimiser(T.sum(w), [w], **wanted) if s is not w]
        assert re.findall(r"`([^`]*)`", row[3]) == state, name


def test_the_page_names_what_is_there():
    text = PAGE.read_text("utf-8")
    for part in schedules.__all__, graphc.initial.__all__, optim.__all__:
        left_out = [n for n in part if not re.search(rf"\b{n}\b", text)]
        assert set(left_out) <= {"GAINS", "Seed", "Minimum"}
