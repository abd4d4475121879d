"""Bounds for gradients, penalties and bounds for weights, and averages of weights."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import optim


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
