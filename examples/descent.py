"""Descent on an ill-conditioned bowl: full batch, online, mini-batch, and every optimiser.

    python examples/descent.py

A line through 150 irises, ``width = a + b length`` of their petals, has two parameters, so that its
loss can be drawn:

    L(a, b) = mean((a + b x - y)^2) / 2

is a bowl, and a long valley: lengths are far from zero, so a change of `a` can nearly be undone by
one of `b`. Its curvatures differ by a factor of 105. In a hundred passes over the flowers,
full-batch descent takes 100 steps, each the best one locally, mini-batches 1500, and online descent
15,000, which jitter for ever, unless the rate falls like 1/t (Robbins and Monro, 1951).

Then each optimiser of `graphc.optim` takes 300 full-batch steps from the same place, with that of
13 learning rates for which the mean loss of all steps is lowest. Steps of rmsprop and lamb have a
length that hardly depends on the gradient, so they circle around the minimum; adadelta, which is
to find its own rate, is slow to get going.

Should reach: within 1% of the least loss, sgd, and online descent with a falling rate; 1e-5,
momentum, nesterov, adagrad, adam, amsgrad, adamax and nadam; 1e-10, L-BFGS in 10 steps.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, optim, pictures

STEPS, PASSES, START = 300, 100, np.array([3.0, 0.8])
RATES = np.logspace(-3, 1, 13)
graphc.config.floatX = "float64"

lengths, widths = data.iris()["x"][:, 2:].T
X, Y = graphc.shared(lengths, name="X"), graphc.shared(widths, name="Y")
p = graphc.shared(START, name="p")  # a and b
rate = T.dscalar("rate")


def loss_of(a, b, x, y):  # one for each element of `a` and `b`
    return T.mean((a[..., None] + b[..., None] * x - y) ** 2, axis=-1) / 2


a, b = T.dmatrices("ab")
bowl = graphc.function([a, b], loss_of(a, b, X, Y))  # of a whole grid at once
loss = loss_of(p[0], p[1], X, Y)


def above(path, least):  # how far its losses are above the least, relative
    return bowl(path[:, :1], path[:, 1:])[:, 0] / least - 1


def passes(size, etas):
    """Descent by batches of `size` flowers, shuffled in each pass."""
    rows = T.lvector("rows")
    batch_loss = loss_of(p[0], p[1], X[rows], Y[rows])
    step = graphc.function([rows, rate], p, updates=optim.sgd(batch_loss, [p], rate))
    random = np.random.default_rng(0)
    orders = np.concatenate([random.permutation(150).reshape(-1, size) for _ in range(PASSES)])
    p.set_value(START)
    return graphc.loop(step, graphc.each(orders), graphc.each(np.broadcast_to(etas, len(orders))))


def walks(optimiser):
    """The paths of an optimiser with all rates, from the same state."""
    updates = optimiser(loss, [p], rate)
    step = graphc.function([rate], p, updates=updates)
    p.set_value(START)
    fresh = [(state, state.get_value()) for state, _ in updates]  # all that a step changes
    for eta in RATES:
        for state, first in fresh:
            state.set_value(first)
        yield graphc.loop(step, eta, n_steps=STEPS)


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    best = np.linalg.lstsq(np.column_stack([np.ones(150), lengths]), widths)[0]
    least = float(bowl(best[:1, None], best[1:, None])[0, 0])
    low, high = np.linalg.eigvalsh(graphc.function([], graphc.hessian(loss, p))())
    print(f"least loss {least:.5f}; curvature {low:.3f} to {high:.3f}: {high / low:.0f} times")
    look = {"minimum": best, "axes_names": ("a", "b"), "limits": ((-1.5, 3.5), (-0.7, 1.2))}

    falling = 0.02 / (1 + np.arange(PASSES * 150) / 1000)
    kinds = {"full batch": (150, 0.1), "batches of 10": (10, 0.05), "online": (1, 0.02),
             "online, falling rate": (1, falling)}  # fmt: skip
    paths = {name: passes(*options) for name, options in kinds.items()}
    for name, path in paths.items():
        picture = pictures.trace(bowl, {name: path}, title=f"{PASSES} passes", **look)
        picture.savefig(out / f"{name.replace(',', '').replace(' ', '-')}.png")
        print(f"{name:21}{len(path):6} steps: {above(path, least)[-1]:9.1e} above the least loss")
    paths, excess = {}, {}
    for name, optimiser in optim.OPTIMISERS.items():
        tried = {eta: path for eta, path in zip(RATES, walks(optimiser))}
        means = [above(path, least).mean() for path in tried.values()]  # NaN where it diverges
        eta = RATES[np.nanargmin(means)]
        paths[name], excess[name] = tried[eta], above(tried[eta], least)
        print(f"{name:10} rate {eta:8.4f}: {excess[name][-1]:9.1e} above the least loss")
    p.set_value(START)
    search, path = optim.LBFGS(loss, [p]), [START]
    for _ in range(10):
        search.step()
        path.append(p.get_value())
    paths["lbfgs"] = np.array(path)
    excess["lbfgs"] = above(paths["lbfgs"], least)
    print(f"lbfgs, 10 steps        : {excess['lbfgs'][-1]:9.1e} above the least loss")
    titles = {
        "Steps along the gradient": "sgd momentum nesterov lbfgs",
        "A scale for each parameter": "adagrad rmsprop adam adamax nadam",
    }
    for title, names in titles.items():
        chosen = {name: paths[name] for name in names.split()}
        picture = pictures.trace(bowl, chosen, title=title, **look)
        picture.savefig(out / f"{title.split()[-1]}.png")
    pictures.series(
        excess, log="y", limits=(1e-8, 1e3), axes_names=("step", "loss above the least, relative"),
        title="Every optimiser with the best of 13 rates",
    ).savefig(out / "optimisers.png")  # fmt: skip
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/descent"))
    main(parser.parse_args().out)
