"""L-BFGS: minima, saved state, walls and kinks."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import optim


def flat(params):
    return np.concatenate([np.ravel(p.get_value()) for p in params])


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
