"""A linear support vector machine: hinge loss, subgradients, and the averaged weights.

    python examples/svm_hinge.py

569 tumours, thirty measurements of each, benign (t = 1) or malignant (t = -1). The machine looks
for the widest street between the classes (Cortes and Vapnik, 1995):

    minimise  |w|^2 / 2 + C sum over examples of max(0, 1 - t (x . w))

with a one in `x` for the bias. ``t (x . w)`` is the margin of an example: it costs nothing from 1
on, and the examples below 1, the support vectors, are all that the solution depends on. The hinge
has a corner, where graphc takes one of its slopes: a subgradient. Divided by C times the number of
examples, the objective is ``lambda / 2 |w|^2 + mean hinge``; Pegasos (Shalev-Shwartz et al., 2007)
takes steps of ``1 / (lambda t)`` on mini-batches, and Polyak's average of the weights comes closer
to the minimum than any of its steps.

Should reach: an objective within 0.5% of that of scikit-learn's LinearSVC, which solves the dual
problem, and its accuracy on held-out tumours within 1%.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.svm import LinearSVC

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, pictures

C, BATCH, EPOCHS = 1.0, 20, 2000
graphc.config.floatX = "float64"


def with_ones(rows):
    return np.column_stack([rows, np.ones(len(rows))])


class Machine:
    """The objective of some rows as a function of the weights, and Pegasos to lower it."""

    def __init__(self, rows, targets):
        x, t = T.dmatrix("x"), T.dvector("t")
        self.w = graphc.shared(np.zeros(rows.shape[1]), name="w")
        decay = 1 / (C * len(rows))
        margins = t * T.dot(x, self.w)
        loss = decay / 2 * optim.l2([self.w]) + T.mean(nn.losses.hinge(T.dot(x, self.w), t))
        self.objective = graphc.function([x, t], loss / decay)
        self.margins = graphc.function([x, t], margins)

        count, counting = optim.counter()
        rate = 1 / (decay * (count + len(rows)))  # a late start spares the first, giant steps
        updates = optim.sgd(loss, [self.w], rate)
        self.average = optim.polyak(updates, [self.w], start=EPOCHS * len(rows) // BATCH // 2)
        held = data.shared(data.from_arrays(rows, targets), shuffle=True, seed=0)
        i = T.lscalar("i")
        batch = dict(zip((x, t), held.batch(i, BATCH)))
        updates = updates + self.average.updates + counting
        step = graphc.function([i], loss, updates=updates, givens=batch)
        self.steps, self.averaged = [], []
        for epoch in range(EPOCHS):
            held.start_epoch(epoch)
            graphc.loop(step, graphc.each(held.numbers(BATCH)))
            self.steps.append(float(self.objective(rows, targets)))
            with self.average.swapped():
                self.averaged.append(float(self.objective(rows, targets)))
        self.average.store()


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    train, test = data.split(data.breast_cancer(), (0.7, 0.3), seed=0, stratify="y")
    standard = data.Standardise.fit(train)
    train, test = train.map(standard), test.map(standard)
    (a, s), (b, t) = ((with_ones(part["x"]), 2.0 * part["y"] - 1) for part in (train, test))

    # Thirty measurements: the figures.
    machine = Machine(a, s)
    known = LinearSVC(C=C, loss="hinge", fit_intercept=False, tol=1e-8, max_iter=1_000_000)
    known.fit(a, s)
    ours, w = machine.averaged[-1], machine.w.get_value()
    machine.w.set_value(known.coef_[0])
    least = float(machine.objective(a, s))
    right = [np.mean(np.sign(b @ v) == t) for v in (w, known.coef_[0])]
    margins = {"training": (a @ w) * s, "test": (b @ w) * t}
    print(f"objective: last weights {machine.steps[-1]:.4f}, averaged {ours:.4f}, "
          f"LinearSVC {least:.4f}: {ours / least - 1:.3%} above")  # fmt: skip
    print(f"test accuracy: graphc {right[0]:.2%}, LinearSVC {right[1]:.2%}")
    print(f"{np.sum(margins['training'] < 1 + 1e-3)} of {len(a)} examples have a margin below 1")
    epochs = np.arange(1, EPOCHS + 1)
    averaged = np.where(epochs > EPOCHS // 2, machine.averaged, np.nan)  # of the second half
    pictures.series(
        {"weights": np.array(machine.steps) / least - 1, "their average": averaged / least - 1},
        x=epochs, log="y", axes_names=("epoch", "objective above LinearSVC's, relative"),
        title="Pegasos",
    ).savefig(out / "objective.png")  # fmt: skip
    pictures.histograms(margins, unit="margin t (x · w)").savefig(out / "margins.png")

    # Two measurements: the street, and those that stand on it.
    points, s = train["x"][:, [20, 21]], 2.0 * train["y"] - 1
    w = Machine(with_ones(points), s).w.get_value()
    figure = pictures.decision_regions(
        lambda x: (with_ones(x) @ w > 0).astype(int), points, train["y"],
        names=["malignant", "benign"], axes_names=("worst radius (standardised)", "worst texture"),
        title="The street between margins of -1 and 1, and its support vectors",
    )  # fmt: skip
    axes = figure.axes[0]
    x = np.array(axes.get_xlim())
    for side, line in ((-1, "--"), (0, "-"), (1, "--")):
        axes.plot(x, (side - w[2] - w[0] * x) / w[1], line, color="#222222", lw=1, scaley=False)
    held = points[s * (with_ones(points) @ w) < 1 + 1e-3]
    axes.plot(*held.T, "o", markersize=8, markerfacecolor="none", markeredgecolor="#222222")
    figure.savefig(out / "street.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/svm_hinge"))
    main(parser.parse_args().out)
