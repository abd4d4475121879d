"""XOR: what one layer can't learn, two can.

    python examples/xor.py

The answer is 1 where exactly one of two inputs is. A single layer divides the plane by a line, and
no line has (0, 1) and (1, 0) on one side, (0, 0) and (1, 1) on the other (Minsky and Papert, 1969):
it gets three of four corners right at best. A hidden layer draws several lines, and the layer above
it combines them:

    one layer     scores = x W + b
    two layers    scores = tanh(x V + c) W + b

Two hidden units are enough to represent XOR, and not always enough to find it: from some starting
points, descent ends in a local minimum. With more units than are needed, it hardly ever does.
Corners are blurred here: there are 400 points rather than four, and 400 others to test with.

Should reach: at most 75% with one layer, at least 99% with two, from all of 20 starts with 8 units.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, pictures, train

POINTS, BLUR, STARTS = 400, 0.12, 20
graphc.config.floatX = "float32"


def blurred_corners(seed):
    random = np.random.default_rng(seed)
    corners = random.integers(0, 2, (POINTS, 2))
    x = corners + random.normal(0, BLUR, corners.shape)
    return data.from_arrays(x.astype("float32"), (corners[:, 0] ^ corners[:, 1]).astype("int32"))


def one_layer(seed):
    return nn.Dense(2, 2, seed=seed)


def two_layers(units, seed):
    return nn.Sequential(nn.Dense(2, units, T.tanh, seed=seed), nn.Dense(units, 2, seed=seed + 99))


def learn(model, rows, epochs=60):
    x, y = T.fmatrix("x"), T.ivector("y")
    task = train.Task(
        model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
        outputs=T.nnet.softmax, optimiser=optim.adam, learning_rate=0.02,
    )  # fmt: skip
    history = train.fit(task, rows, epochs=epochs, batch=50, progress=False)
    return task, history


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    rows, others = blurred_corners(0), blurred_corners(1)
    losses = {}
    for name, model in (("one layer", one_layer(0)), ("two layers", two_layers(8, 0))):
        task, history = learn(model, rows)
        losses[name] = history["loss"]
        accuracy = train.evaluate(task, others)["accuracy"]
        print(f"{name}: loss {history['loss'][-1]:.4f}, test accuracy {accuracy:.2%}")
        pictures.decision_regions(
            partial(train.predict, task), others["x"], others["y"],
            title=f"{name}: {accuracy:.1%}",
        ).savefig(out / f"{name.replace(' ', '-')}.png")  # fmt: skip
    pictures.series(
        losses, x=history["epoch"], log="y", axes_names=("epoch", "loss (nat)")
    ).savefig(out / "loss.png")

    # How often descent finds the way, from twenty starting points each.
    for units in (1, 2, 3, 4, 8):
        found = [learn(two_layers(units, seed), rows)[1]["accuracy"][-1] for seed in range(STARTS)]
        print(f"{units} hidden units: {sum(a > 0.98 for a in found)} of {STARTS} starts succeed, "
              f"the worst gets {min(found):.1%}")  # fmt: skip
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/xor"))
    main(parser.parse_args().out)
