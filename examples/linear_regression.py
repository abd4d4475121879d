"""Linear regression: gradient descent finds what a system of equations says at once.

    python examples/linear_regression.py

442 patients, ten measurements `x` of each, and how far their diabetes went a year later, `y`
(Efron et al., 2004). The best line through the data minimises

    L(w) = mean((x . w - y)^2) / 2,    both less their means, which spares an intercept.

Where the gradient is zero, ``X'X w = X'y``: the closed form. Gradient descent only walks downhill,
``w := w - eta dL/dw``. On a bowl whose curvatures (the eigenvalues of its Hessian) go from ``l`` to
``h``, a rate of ``1 / h`` is safe, and then each step shrinks the error along a direction of
curvature ``c`` by ``1 - c / h``: at once where the bowl is steep, hardly where it is flat. Momentum
overshoots at first, and then needs the square root of the number of steps.

Should reach: R2 0.51774842, which is that of the closed form to 8 digits.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, optim, pictures

STEPS = 8000
NAMES = "age sex bmi pressure s1 s2 s3 s4 s5 s6".split()  # s1 to s6 are values of blood serum
graphc.config.floatX = "float64"


def main(out):
    patients = data.diabetes()
    measured = data.Standardise.fit(patients)(patients["x"])
    X = graphc.shared(measured, name="X")
    Y = graphc.shared(patients["y"] - patients["y"].mean(), name="Y")
    w = graphc.shared(np.zeros(10), name="w")

    # The model, its loss, and how much of the variance of y it explains.
    loss = T.mean((T.dot(X, w) - Y) ** 2) / 2
    r2 = 1 - 2 * loss / T.var(Y)

    # The closed form, as a graph, too.
    closed = T.slinalg.solve(T.dot(X.T, X), T.dot(X.T, Y))
    best, least, r2_best = graphc.function([], [closed, loss, r2], givens={w: closed})()

    # How the bowl is bent: its Hessian is a gradient of a gradient.
    bent = np.linalg.eigvalsh(graphc.function([], graphc.hessian(loss, w))())
    low, high = bent[0], bent[-1]
    root = np.sqrt(low / high)
    print(f"curvature from {low:.4f} to {high:.4f}: condition number {high / low:.0f}")
    methods = {
        "momentum": optim.momentum(
            loss, [w], 4 / (np.sqrt(high) + np.sqrt(low)) ** 2, ((1 - root) / (1 + root)) ** 2
        ),
        "gradient descent": optim.sgd(loss, [w], 1 / high),
    }

    excess = {}
    shown = [10, 100, 1000, STEPS - 1]
    print("R2 after so many steps" + "".join(f"{k:12}" for k in shown) + "   error of w")
    for name, updates in methods.items():
        w.set_value(np.zeros(10))
        step = graphc.function([], [loss, r2, w], updates=updates)
        losses, r2s, weights = graphc.loop(step, n_steps=STEPS)  # all steps in one native loop
        excess[name] = losses / least - 1
        error = np.abs(weights[-1] - best).max()
        print(f"{name:22}" + "".join(f"{r2s[k]:12.8f}" for k in shown) + f"{error:13.1e}")
    print(f"closed form: R2 {r2_best:.8f}")
    shrinks = (1 - low / high) ** (2.0 * np.arange(STEPS))
    excess["theory, flattest direction"] = excess["gradient descent"][0] * shrinks

    out.mkdir(parents=True, exist_ok=True)
    figure = pictures.series(
        excess, log="y", limits=(1e-13, 10), axes_names=("step", "loss above the least, relative"),
        title="How fast descent finds the least squares",
    )  # fmt: skip
    figure.savefig(out / "descent.png")
    figure = pictures.series(
        dict(zip(NAMES, weights.T)), log="x", axes_names=("step", "weight"),
        title="Gradient descent: steep directions first, flat ones last",
    )  # fmt: skip
    figure.savefig(out / "weights.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/linear_regression"))
    main(parser.parse_args().out)
