"""Hyper-parameters: random search against a grid, and an ensemble of the best.

    python examples/hyperparameters.py

A learning rate matters much, and the number of units little. A grid of 4 x 2 x 2 trials tries four
learning rates; 16 random trials try sixteen of them (Bergstra and Bengio, Random search for
hyper-parameter optimization, 2012). Each trial trains a perceptron on 600 digits for a few epochs,
in one of two processes, and is judged on 400 others. The networks of the best five of all
trials are then asked together, about the 797 digits that nobody has seen.

Should reach: at least 95% of the unseen digits by the ensemble, and more than the mean of its
members.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, pictures, train

EPOCHS, BATCH, BEST = 15, 20, 5
graphc.config.floatX = "float32"


def parts():
    """Rows to learn from, to choose by, and to test with."""
    shares = (600 / 1797, 400 / 1797, 797 / 1797)
    return data.split(data.digits(), shares, seed=0, stratify="y")


def learnt(rate, units, dropout, seed):
    """The task that a trial makes."""
    x, y = T.fmatrix("x"), T.ivector("y")
    seed %= 2**31
    model = nn.Sequential(
        nn.Dense(64, units, T.nnet.relu, seed=seed), nn.Dropout(dropout, seed=seed),
        nn.Dense(units, 10, seed=seed + 1),
    )  # fmt: skip
    task = train.Task(
        model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
        outputs=T.nnet.softmax, optimiser=optim.momentum, learning_rate=rate,
    )  # fmt: skip
    train.fit(task, parts()[0], epochs=EPOCHS, batch=BATCH, seed=seed, progress=False)
    return task


def objective(rate, units, dropout, seed):
    """The score of a trial; one whose loss isn't finite is a failed trial."""
    found = train.evaluate(learnt(rate, units, dropout, seed), parts()[1])
    return {"score": found["accuracy"], "loss": found["loss"]}


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    grid = train.grid_search(
        objective, {"rate": list(np.geomspace(1e-3, 1, 4)), "units": [32, 256],
                    "dropout": [0.1, 0.5]}, jobs=2, progress=False,
    )  # fmt: skip
    random = train.random_search(
        objective, {"rate": train.log_uniform(1e-3, 1), "units": train.log_integers(32, 256),
                    "dropout": train.uniform(0.1, 0.5)},
        trials=16, seed=0, jobs=2, progress=False,
    )  # fmt: skip
    for name, trials in (("grid", grid), ("random", random)):
        print(f"--- {name}: best score {trials.best.score:.2%}\n{trials}\n")
        names = ["rate", "units", "dropout"]
        picture = pictures.search(trials.rows, names=names, title=f"{name}: 16 trials")
        picture.savefig(out / f"{name}.png")

    ranked = sorted(grid.trials + random.trials, key=lambda trial: -(trial.score or 0))
    # A trial's arguments, its seed among them, make the same network again.
    tasks = [learnt(**trial.arguments) for trial in ranked[:BEST]]
    unseen = parts()[2]
    alone = [train.evaluate(task, unseen)["accuracy"] for task in tasks]
    together = train.evaluate(train.Ensemble(tasks, by="probabilities"), unseen)["accuracy"]
    print("unseen digits, the best five: " + ", ".join(f"{a:.2%}" for a in alone))
    print(f"unseen digits: mean of members {np.mean(alone):.2%}, ensemble {together:.2%}")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/hyperparameters"))
    main(parser.parse_args().out)
