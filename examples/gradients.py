"""Gradients by rule, by hand and by finite differences, and how to catch a wrong one.

    python examples/gradients.py

graphc derives gradients by the chain rule, exactly. A finite difference needs nothing but values:

    forward    (f(x + h) - f(x)) / h              wrong by about  h |f''| / 2   + eps |f| / h
    central    (f(x + h) - f(x - h)) / (2 h)      wrong by about  h^2 |f'''| / 6 + eps |f| / h

The first part falls with the step, the second, rounding, rises: there is a best step, about
``eps^(1/2)`` for forward and ``eps^(1/3)`` for central differences, and it is good for half, or two
thirds, of the digits. One evaluation for each parameter makes them too slow for training, and
just right for tests. `verify_grad` compares both along random directions; a gradient of one's own
that has a mistake does not pass.

Should reach: central differences within 1e-8 of all derived gradients, relative; 12 expressions
pass to second order, and the mistake is caught.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, pictures

graphc.config.floatX = "float64"


def network():
    """A small network's loss for twenty digits: its parameters, and a function of no arguments."""
    digits = data.digits().take(range(20))
    model = nn.Sequential(nn.Dense(64, 12, T.tanh, seed=0), nn.Dense(12, 10, seed=1))
    return model, nn.losses.cross_entropy(model(digits["x"]), digits["y"]).mean()


def numeric(value, parameter, step):
    """Central differences of each element: two evaluations for each of them."""
    start = parameter.get_value()
    found = np.empty_like(start)
    for place in np.ndindex(start.shape):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            parameter.set_value(moved)
            sides.append(float(value()))
        found[place] = (sides[0] - sides[1]) / (2 * step)
    parameter.set_value(start)
    return found


def table(model, loss):
    """Each parameter's gradient, derived and numeric."""
    value = graphc.function([], loss)
    derived = graphc.function([], graphc.grad(loss, model.parameters))()
    print("parameter      size   largest gradient   largest difference, relative")
    for (name, parameter), exact in zip(model.named().items(), derived):
        difference = np.abs(numeric(value, parameter, 1e-5) - exact).max() / np.abs(exact).max()
        print(f"{name:11}{exact.size:8}{np.abs(exact).max():19.6f}{difference:31.1e}")


def errors(dtype, steps):
    """How wrong both differences are for a function of one number, over the step size."""
    x = T.scalar("x", dtype)
    y = T.exp(T.sin(3 * x)) * x
    f, slope = graphc.function([x], y), graphc.function([x], graphc.grad(y, x))
    one, a = np.dtype(dtype).type, np.dtype(dtype).type(0.3125)
    exact, found = float(slope(a)), {"forward": [], "central": []}
    for h in steps.astype(dtype):
        forward = (f(a + h) - f(a)) / one(h)
        central = (f(a + h) - f(a - h)) / one(2 * h)
        for name, value in (("forward", forward), ("central", central)):
            found[name].append(abs(float(value) / exact - 1) + 1e-17)
    return {f"{name}, {dtype}": np.array(values) for name, values in found.items()}


def cubed(right):
    """``x^3`` with a gradient of one's own: 3 x^2, or, mistaken, 2 x^2."""
    x = T.dmatrix("x")
    return graphc.OpFromGraph(
        [x], [x**3], grad_overrides=lambda inputs, g: [g[0] * (3 if right else 2) * inputs[0] ** 2]
    )


CHECKED = {
    "tanh": T.tanh, "log(1 + exp)": lambda x: T.log(1 + T.exp(x)), "x^3": cubed(True),
    "softmax": T.nnet.softmax, "logsumexp": lambda x: T.log(T.sum(T.exp(x), axis=1)),
    "largest": lambda x: T.max(x, axis=0), "sorted": lambda x: T.sort(x, axis=1),
    "cumsum": lambda x: T.cumsum(x, axis=1), "determinant": lambda x: T.nlinalg.det(T.dot(x, x.T)),
    "row norms": lambda x: T.sqrt(T.sum(x**2, axis=1)), "product": lambda x: T.dot(x, x.T),
    "loop": lambda x: graphc.scan(lambda row, s: T.tanh(s + row), x, T.zeros(4))[0],
}  # fmt: skip


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    table(*network())

    steps = 2.0 ** -np.arange(51)  # powers of two, so that x + h isn't rounded at first
    found = {}
    for dtype in ("float64", "float32"):
        found |= errors(dtype, steps)
    for name, values in found.items():
        best = values.argmin()
        print(f"{name}: best step {steps[best]:.0e}, wrong by {values[best]:.0e}")
    pictures.series(
        found, x=steps, log="xy", axes_names=("step h", "error, relative"), limits=(1e-14, 10),
        title="Finite differences: too long, and too short",
    ).savefig(out / "steps.png")  # fmt: skip

    point = [np.random.default_rng(0).normal(0.2, 1, (3, 4))]
    for expression in CHECKED.values():
        graphc.gradient.verify_grad(expression, point, order=2)
    print(f"{len(CHECKED)} expressions passed, with their second derivatives: {', '.join(CHECKED)}")
    try:
        graphc.gradient.verify_grad(cubed(False), point)
    except AssertionError as error:
        print(f"the mistake is caught: {error}")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/gradients"))
    main(parser.parse_args().out)
