"""`graphc.loop`: many calls of a compiled function at once are those calls, one by one."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, BadIndexError, ShapeError

MODES = ["numpy", "native"]


def training(mode):
    """A step of logistic regression over mini-batches, and its weights."""
    rng = np.random.RandomState(0)
    x = graphc.shared(rng.standard_normal((40, 3)), name="x")
    y = graphc.shared((rng.uniform(size=40) > 0.5).astype("float64"), name="y")
    w, i, rate = graphc.shared(np.zeros(3), name="w"), T.lscalar("i"), T.dscalar("rate")
    rows = slice(i * 8, (i + 1) * 8)
    loss = T.nnet.binary_crossentropy(T.nnet.sigmoid(T.dot(x[rows], w)), y[rows]).mean()
    updates = [(w, w - rate * graphc.grad(loss, w))]
    return graphc.function([i, rate], loss, updates=updates, mode=mode), w


@pytest.mark.parametrize("mode", MODES)
def test_an_epoch_is_its_steps(mode):
    step, w = training(mode)
    expected = [step(i, 0.5) for i in range(5)]
    weights = w.get_value()
    w.set_value(np.zeros(3))
    found = graphc.loop(step, graphc.each(range(5)), 0.5)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(w.get_value(), weights)


@pytest.mark.parametrize("mode", MODES)
def test_arguments_by_name_and_by_row(mode):
    step, w = training(mode)
    rates = np.linspace(0.1, 0.5, 4)
    expected = [step(2, r) for r in rates]
    w.set_value(np.zeros(3))
    np.testing.assert_array_equal(graphc.loop(step, 2, rate=graphc.each(rates)), expected)


@pytest.mark.parametrize("mode", MODES)
def test_it_ends_by_a_condition(mode):
    s = graphc.shared(1.0, name="s")
    f = graphc.function(
        [], {"value": s, "enough": s * 2 > 100}, updates=[(s, s * 2)], mode=mode
    )
    found = graphc.loop(f, n_steps=50, until="enough")
    np.testing.assert_array_equal(found["value"], 2.0 ** np.arange(7))
    np.testing.assert_array_equal(found["enough"], [False] * 6 + [True])
    assert float(s.get_value()) == 128


@pytest.mark.parametrize("mode", MODES)
def test_sizes_may_change_between_calls(mode):
    x, n = graphc.shared(np.arange(10.0), name="x"), T.lscalar("n")
    f = graphc.function([n], x[:n].sum(), mode=mode)
    counts = [3, 3, 3, 7, 7, 2, 3, 3]
    np.testing.assert_array_equal(
        graphc.loop(f, graphc.each(counts)), [sum(range(n)) for n in counts]
    )


@pytest.mark.parametrize("mode", MODES)
def test_rows_by_a_part_of_an_order_may_become_fewer(mode):
    """What tells that a part is shorter runs before what would read behind its end."""
    x = graphc.shared(np.arange(20.0).reshape(10, 2), name="x")
    order, i = graphc.shared(np.arange(10)[::-1].copy(), name="order"), T.lscalar("i")
    f = graphc.function([i], x[order[i * 3 : (i + 1) * 3]].sum(), mode=mode)
    assert [f(k) for k in range(4)] == [99, 63, 27, 1]
    np.testing.assert_array_equal(graphc.loop(f, graphc.each(range(4))), [99, 63, 27, 1])


@pytest.mark.parametrize("mode", MODES)
def test_rows_of_arrays_and_steps_of_the_host(mode):
    rng = np.random.RandomState(0)
    a, b = rng.standard_normal((6, 4, 3)), rng.standard_normal((4, 3))
    x, y = T.dmatrix("x"), T.dmatrix("y")
    f = graphc.function([x, y], [(x * y).sum(axis=1), T.sort(x, axis=0)], mode=mode)
    products, ordered = graphc.loop(f, graphc.each(a[:, ::-1]), b)
    np.testing.assert_allclose(products, (a[:, ::-1] * b).sum(axis=2))
    np.testing.assert_array_equal(ordered, np.sort(a, axis=1))


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_call_is_named_and_those_before_count(mode):
    x, i = graphc.shared(np.arange(4.0), name="x"), T.lscalar("i")
    total = graphc.shared(0.0, name="total")
    f = graphc.function([i], [], updates=[(total, total + x[i])], mode=mode)
    with pytest.raises(BadIndexError):
        graphc.loop(f, graphc.each([1, 2, 9, 3]))
    assert float(total.get_value()) == 3


def test_no_calls_at_all():
    step, w = training("native")
    assert graphc.loop(step, graphc.each([]), 0.5, n_steps=0).shape == (0,)
    np.testing.assert_array_equal(w.get_value(), np.zeros(3))


def test_a_state_of_an_input_goes_on():
    x, s = T.dscalar("x"), T.dscalar("s")
    f = graphc.function([x, graphc.In(s, value=0.0, update=s + x)], s * 1)
    np.testing.assert_array_equal(graphc.loop(f, 2.0, n_steps=4), [0, 2, 4, 6])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda f: graphc.loop(f, 1.0), ArgumentError, "nothing says how many"),
        (lambda f: graphc.loop(f, graphc.each([1.0]), n_steps=3), ShapeError, "1 rows for 3"),
        (lambda f: graphc.loop(f, 1.0, n_steps=-1), ArgumentError, "not a number of calls"),
        (lambda f: graphc.loop(f, 1.0, n_steps=2, until=0), ArgumentError, "bool scalar"),
        (lambda f: graphc.loop(f, 1.0, n_steps=2, until=4), ArgumentError, "is no output"),
        (lambda f: graphc.loop(len, 1.0, n_steps=2), ArgumentError, "compiled function"),
        (lambda f: graphc.each(3.0), ArgumentError, "no axis"),
    ],
)
def test_bad_calls(call, kind, words):
    x = T.dscalar("x")
    with pytest.raises(kind, match=words):
        call(graphc.function([x], x * 2, mode="numpy"))
