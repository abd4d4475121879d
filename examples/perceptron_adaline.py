"""The perceptron and Adaline: two units that learn from one flower at a time.

    python examples/perceptron_adaline.py

A unit says ``sign(x . w + b)``. Rosenblatt's perceptron (1958) changes only when it is wrong, and
Adaline (Widrow and Hoff, 1960) whenever what it says before the threshold differs from the target:

    perceptron    w := w + t x                      where t (x . w + b) <= 0
    Adaline       w := w + eta (t - (x . w + b)) x

with the target `t` 1 or -1. Where a line separates the classes, the perceptron finds one and stops
(Novikoff's theorem: after at most ``(R / margin)^2`` mistakes). Where none does, it never comes to
rest, and the line that it has at the end is a matter of luck. Adaline settles near the line of
least squares, which is good for both, and need not separate what can be separated. Both are shown
irises: sepals of setosa and versicolor, and petals of versicolor and virginica, which overlap.

Should reach: the first pair 100% by the perceptron, 99% by Adaline; the second 94% by Adaline.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, optim, pictures

EPOCHS, RATE = 100, 0.01
graphc.config.floatX = "float64"


def flowers(pair, columns):
    """Two lengths of flowers of two species, standardised, and targets 1 and -1."""
    iris = data.iris()
    chosen = np.isin(iris["y"], pair)
    x = iris["x"][chosen][:, columns]
    return (x - x.mean(axis=0)) / x.std(axis=0), np.where(iris["y"][chosen] == pair[1], 1, -1)


def learn(rule, points, targets):
    """The line after each epoch, (epochs, 3), and how many flowers are then on its wrong side."""
    X, t = graphc.shared(points, name="X"), graphc.shared(targets, name="t")
    w, b = graphc.shared(np.zeros(2), name="w"), graphc.shared(0.0, name="b")
    i = T.lscalar("i")
    updates = rule(X[i], t[i], w, b)
    step = graphc.function([i], T.le(t[i] * (T.dot(X[i], w) + b), 0), updates=updates)
    errors = graphc.function([], T.sum(T.le(t * (T.dot(X, w) + b), 0)))

    random, lines, wrong, mistakes = np.random.default_rng(0), [], [], 0
    for _ in range(EPOCHS):
        mistakes += graphc.loop(step, graphc.each(random.permutation(len(points)))).sum()
        lines.append([*w.get_value(), b.get_value()])
        wrong.append(int(errors()))
    return np.array(lines), wrong, mistakes


def draw(lines, points, targets, names, part, title):
    """The plane as the last line divides it, with the lines of earlier epochs."""
    w, b = lines[-1][:2], lines[-1][2]
    figure = pictures.decision_regions(
        lambda x: (x @ w + b > 0).astype(int), points, (targets + 1) // 2, names=names,
        axes_names=(f"length of a {part} (standardised)", "width"), title=title,
    )  # fmt: skip
    axes = figure.axes[0]
    for epoch in (1, 2, 4, 8, 16, 32, 64, 100):
        a, c, d = lines[epoch - 1]
        x = np.array(axes.get_xlim())
        axes.plot(x, -(a * x + d) / c, color="#222222", linewidth=0.4 + epoch / 80, alpha=0.7,
                  scaley=False)  # fmt: skip
    return figure


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    rules = {
        "perceptron": optim.perceptron,
        "Adaline": lambda x, t, w, b: optim.adaline(x, t, w, b, RATE),
    }
    species = ("setosa", "versicolor", "virginica")
    for pair, columns, part in (((0, 1), slice(0, 2), "sepal"), ((1, 2), slice(2, 4), "petal")):
        points, targets = flowers(pair, columns)
        names = [species[k] for k in pair]
        both = " and ".join(names)
        counts = {}
        for name, rule in rules.items():
            lines, wrong, mistakes = learn(rule, points, targets)
            counts[name] = wrong
            right, last = 1 - wrong[-1] / len(points), wrong[-50:]
            print(f"{both}, {name}: {right:.1%} right, {mistakes} mistakes on the way, "
                  f"{min(last)} to {max(last)} wrong in the last 50 epochs")  # fmt: skip
            title = f"{name}: the line after epochs 1, 2, 4, ... 64, 100"
            figure = draw(lines, points, targets, names, part, title)
            figure.savefig(out / f"{name.lower()}-{'-'.join(names)}.png")
        figure = pictures.series(
            counts, axes_names=("epoch", "flowers on the wrong side"), x=np.arange(1, EPOCHS + 1),
            log="x", title=both,
        )  # fmt: skip
        figure.savefig(out / f"wrong-{'-'.join(names)}.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/perceptron_adaline"))
    main(parser.parse_args().out)
