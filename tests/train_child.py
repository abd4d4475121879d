"""A small training run with checkpoints, for tests that kill it.

    python tests/train_child.py FOLDER

All that a checkpoint has to hold takes part: dropout, batch normalisation, Adam, shuffling, random
transforms, a hook with a state.
"""

import sys
import warnings

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train

EPOCHS, BATCH, EVERY = 6, 8, 2


class Count:
    """A hook that counts steps."""

    def __init__(self):
        self.count = 0

    def __call__(self, run):
        pass

    def after_step(self, run):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Shift:
    """A random transform: noise that is drawn anew for each batch."""

    seed = 7

    def __call__(self, x):
        return x

    def draw(self, x, generator):
        return x + generator.standard_normal(x.shape).astype("float32")


def rows(count=100):
    random = np.random.RandomState(0)
    x = random.standard_normal((count, 6)).astype("float32")
    return data.from_arrays(x, (x[:, 0] > 0).astype("int32")).map(Shift(), "x")


def task(mode=None):
    x, y = T.fmatrix("x"), T.ivector("y")
    with graphc.config(floatX="float32"):
        model = nn.Sequential(
            nn.Dense(6, 16, seed=1), nn.BatchNorm(16), T.nnet.relu, nn.Dropout(0.3, seed=2),
            nn.Dense(16, 2, seed=3),
        )  # fmt: skip
        return train.Task(model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
                          optimiser=optim.adam, learning_rate=0.01, mode=mode)  # fmt: skip


def run(folder, hooks=(), epochs=EPOCHS, mode=None, **options):
    return train.fit(
        task(mode), rows(), epochs=epochs, batch=BATCH, validation=rows(), every=EVERY, seed=5,
        folder=folder, hooks=hooks, progress=False, **options,
    )  # fmt: skip


def main(folder, mode=None, epochs=EPOCHS):
    warnings.simplefilter("error", train.CheckpointWarning)
    counter = Count()
    history = run(folder, hooks=[counter], epochs=epochs, mode=mode)
    assert counter.count == history["steps"][-1]


if __name__ == "__main__":
    print("ready", flush=True)
    main(sys.argv[1])
    print("done", flush=True)
