"""Optimisers against the recurrences of their papers, written in NumPy."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import optim

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


def adadelta(p, g, s, t, eta, rho, epsilon):
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    u = g * np.sqrt(s.get("d", 0) + epsilon) / np.sqrt(s["s"] + epsilon)
    s["d"] = rho * s.get("d", 0) + (1 - rho) * u**2
    return p - eta * u


def adam(p, g, s, t, eta, b1, b2, epsilon):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    m, v = s["m"] / (1 - b1**t), s["v"] / (1 - b2**t)
    # epsilon hat of the paper is epsilon * sqrt(1 - b2^t)
    return p - eta * m / (np.sqrt(v) + epsilon / np.sqrt(1 - b2**t))


CASES = [
    (sgd, (0.1,)),
    (momentum, (0.1, 0.8)),
    (nesterov, (0.1, 0.8)),
    (adagrad, (0.5, 1e-3)),
    (rmsprop, (0.05, 0.7, 1e-3)),
    (adadelta, (1.0, 0.9, 1e-3)),
    (adam, (0.1, 0.8, 0.95, 1e-4)),
]


def problem(dtype):
    """A loss over a matrix and a vector, and its gradients in NumPy."""
    random = np.random.RandomState(0)
    W0, b0 = random.standard_normal((3, 4)).astype(dtype), np.zeros(4, dtype)
    data = random.standard_normal((5, 3)).astype(dtype)
    W, b = graphc.shared(W0, name="W"), graphc.shared(b0, name="b")
    x = T.TensorType(dtype, (None, None))("x")
    loss = T.sum(T.sqr(T.dot(x, W) + b - 1)) / 2

    def gradients(W, b):
        error = data @ W + b - 1
        return data.T @ error, error.sum(axis=0)

    return x, loss, (W, b), (W0, b0), data, gradients


@pytest.mark.parametrize("mode", ["numpy", "native"])
@pytest.mark.parametrize("rule, settings", CASES, ids=[c[0].__name__ for c in CASES])
def test_steps_are_those_of_the_paper(rule, settings, mode):
    x, loss, params, values, data, gradients = problem("float64")
    updates = getattr(optim, rule.__name__)(loss, params, *settings)
    step = graphc.function([x], loss, updates=updates, mode=mode)
    state = [{}, {}]
    values = [v.copy() for v in values]
    for t in range(1, STEPS + 1):
        step(data)
        found = gradients(*values)
        values = [rule(p, g, s, t, *settings) for p, g, s in zip(values, found, state)]
        for p, expected in zip(params, values):
            np.testing.assert_allclose(p.get_value(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule, settings", CASES, ids=[c[0].__name__ for c in CASES])
def test_float32_stays_float32_whatever_the_settings_are(rule, settings):
    x, loss, params, _, data, _ = problem("float32")
    symbolic = [graphc.shared(np.float64(s), name=f"s{k}") for k, s in enumerate(settings)]
    with graphc.config(floatX="float64"):
        updates = getattr(optim, rule.__name__)(loss, params, *symbolic)
    assert {new.dtype for _, new in updates} <= {"float32", "int64"}
    step = graphc.function([x], loss, updates=updates)
    first = step(data)
    for _ in range(20):
        last = step(data)
    assert last < first


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
