"""Overfitting, and what helps against it: size, L1, L2, dropout, max-norm, early stopping.

    python examples/overfitting.py

Two hundred digits are learnt by heart by a network of any size, even though the labels of a fifth
are wrong; what counts is how many of 1,397 others it can read then. The more of the wrong labels it
has learnt, the fewer. What helps keeps it from being able to:

    L2           adds lambda sum w^2 to the loss: weights that nothing needs shrink
    L1           adds lambda sum |w|: they become zero
    dropout      leaves out half of the units in each step, so that none can rely on another
                 (Srivastava et al., 2014)
    max-norm     keeps the weights of each unit within a ball; usual with dropout
    early stop   keeps the epoch with the least loss on two hundred other digits

All figures are means of three draws of the digits.

Should reach: at least 2 percent more of the others by dropout with max-norm than by the plain
network of the same size, and less than 75% of its loss on them; more, and less loss, by L2, by
dropout, and by early stopping, too.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, pictures, train

DRAWS, EPOCHS, BATCH, RATE = 3, 80, 20, 0.05
PLAIN = {"units": 256}
KINDS = {
    "4 units": {"units": 4}, "16 units": {"units": 16}, "64 units": {"units": 64},
    "256 units": PLAIN,
    "L2": PLAIN | {"l2": 1e-2}, "L1": PLAIN | {"l1": 3e-4},
    "dropout": PLAIN | {"dropout": 0.5},
    "dropout, max-norm": PLAIN | {"dropout": 0.5, "limit": 1.0},
    "early stop": PLAIN | {"patience": 10},
}  # fmt: skip
graphc.config.floatX = "float32"


def learnt(kind, draw, learn, held):
    """A network with one kind of help, trained on few rows; the task, and its history."""
    units, dropout = kind["units"], kind.get("dropout", 0.0)
    layers = [nn.Dense(64, units, T.nnet.relu, seed=draw), nn.Dense(units, units, T.nnet.relu,
              seed=draw + 10), nn.Dense(units, 10, seed=draw + 20)]  # fmt: skip
    weights = [layer.weights for layer in layers]
    if dropout:
        before, behind = (nn.Dropout(dropout, seed=draw + k) for k in (30, 40))
        layers[1:2] = [before, layers[1], behind]

    def loss(scores, y):
        penalty = kind.get("l2", 0.0) * nn.penalties.l2(weights)
        return nll(scores, y) + penalty + kind.get("l1", 0.0) * nn.penalties.l1(weights)

    def optimiser(loss, params, rate):
        updates = optim.momentum(loss, params, rate)
        if "limit" in kind:
            updates = nn.penalties.max_norm(updates, weights, kind["limit"])
        return updates

    x, y = T.fmatrix("x"), T.ivector("y")
    task = train.Task(
        nn.Sequential(*layers), x, y, loss, {"nll": nll, "accuracy": nn.metrics.accuracy},
        optimiser=optimiser, learning_rate=RATE,
    )  # fmt: skip
    history = train.fit(
        task, learn, epochs=EPOCHS, batch=BATCH, seed=draw, validation=held, progress=False,
        patience=kind.get("patience"), monitor="validation nll", better="lower",
    )  # fmt: skip
    return task, history


def nll(scores, y):
    return nn.losses.cross_entropy(scores, y).mean()


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    digits = data.digits()
    parts = (200 / 1797, 200 / 1797, 1397 / 1797)  # to learn from, to stop by, to test with
    results, curves, sizes = {}, {}, {}
    print(f"{'':20}   own digits                   others")
    print(f"{'':20}accuracy      nll      accuracy      nll")
    for name, kind in KINDS.items():
        rows = []
        for draw in range(DRAWS):
            learn, held, others = data.split(digits, parts, seed=draw, stratify="y")
            random = np.random.default_rng(draw)
            wrong = random.permutation(200) < 40
            labels = (learn["y"] + wrong * random.integers(1, 10, 200, "int32")) % 10
            learn = data.from_arrays(learn["x"], labels.astype("int32"))
            task, history = learnt(kind, draw, learn, held)
            found = [train.evaluate(task, rows) for rows in (learn, others)]
            rows.append([f[k] for f in found for k in ("accuracy", "nll")])
        results[name] = own, own_nll, accuracy, loss = np.mean(rows, axis=0)
        curves[name] = history["validation nll"]
        print(f"{name:20}{own:8.2%}{own_nll:9.4f}{accuracy:14.2%}{loss:9.4f}")
        sizes[name] = np.concatenate([p.get_value().ravel() for p in task.params])
    zeros = [f"{k} {np.mean(np.abs(sizes[k]) < 1e-3):.0%}" for k in ("256 units", "L2", "L1")]
    print("weights below 0.001: " + ", ".join(zeros))

    units = [name for name in KINDS if name.endswith("units")]
    helped = [name for name in KINDS if name not in units] + ["256 units"]
    for title, names in {"Model size": units, "Regularisation": helped}.items():
        figure = pictures.series(
            {name: curves[name] for name in names}, log="y", title=f"{title}: loss on other digits",
            axes_names=("epoch", "negative log-likelihood (nat)"),
        )  # fmt: skip
        figure.savefig(out / f"{title.split()[-1].lower()}.png")
    shown = {name: np.clip(sizes[name], -0.4, 0.4) for name in ("256 units", "L2", "L1")}
    pictures.histograms(shown, unit="weight", title="Weights").savefig(out / "weights.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/overfitting"))
    main(parser.parse_args().out)
