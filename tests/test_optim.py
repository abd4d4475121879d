"""Optimisers against the recurrences of their papers, what they take, and their page."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_means_of_gradients_that_have_ended_become_zero(dtype):
    """Subnormal numbers would stay for ever, and slow every step down."""
    w = graphc.shared(np.ones(3, dtype), name="w")
    slope = T.vector("slope", dtype=dtype)
    tiny = float(np.finfo(dtype).tiny)
    methods = {
        "adam": {}, "adamax": {}, "nadam": {}, "lamb": {}, "momentum": {}, "nesterov": {},
        "rmsprop": {"centred": True}, "adadelta": {},
    }  # fmt: skip
    updates = [pair for name, options in methods.items()
               for pair in getattr(optim, name)([slope], [w], **options) if pair[0] is not w]
    fading = [s for s, _ in updates if s.name.rpartition(".")[2] in
              ("mean", "squares", "velocity", "moves")]
    step = graphc.function([slope], updates=updates)
    step(np.ones(3, dtype))
    for s in fading:
        s.set_value(np.full(3, 1.01 * tiny, dtype))
    for _ in range(60):
        step(np.zeros(3, dtype))
    for s in fading:
        value = s.get_value()
        assert ((value == 0) | (abs(value) >= tiny)).all(), s.name
    assert sum((s.get_value() == 0).all() for s in fading) >= 6
