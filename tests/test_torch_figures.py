"""Optimisers, clipping, averages and schedules take the steps of PyTorch."""

import functools
import json

import numpy as np
import pytest
import torch_figures

import graphc
import graphc.tensor as T
from graphc import optim
from graphc.optim import schedules

FIGURES = json.loads(torch_figures.FIGURES.read_text("utf-8"))
SIX_STEPS = torch_figures.STEPS


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
