"""Schedules: their formulas, their ends, and that training follows them."""

import numpy as np

import graphc
import graphc.tensor as T
from graphc import optim
from graphc.optim import schedules


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
