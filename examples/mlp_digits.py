"""A multi-layer perceptron that learns to read handwritten digits, in about 90 lines.

    python examples/mlp_digits.py

It needs scikit-learn for the images, which come with it. ``graphc demo`` is the same network with
a progress bar, moved images, curves and a report.

Should reach: at least 97.5% of 360 test images.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphc
import graphc.tensor as T
from graphc import pictures

BATCH = 20
EPOCHS = 30

graphc.config.floatX = "float32"


def layer(x, inputs, units, random, name):
    """``x W + b`` with He's initial weights, and the list of both parameters."""
    weights = random.standard_normal((inputs, units)) * np.sqrt(2 / inputs)
    W = graphc.shared(weights.astype("float32"), name=f"{name}.W")
    b = graphc.shared(np.zeros(units, "float32"), name=f"{name}.b")
    return T.dot(x, W) + b, [W, b]


def network(x, sizes, random):
    """The probabilities of the classes, and all parameters."""
    parameters = []
    for k, (inputs, units) in enumerate(zip(sizes[:-1], sizes[1:])):
        z, own = layer(x, inputs, units, random, f"layer{k}")
        parameters += own
        x = T.nnet.relu(z) if k < len(sizes) - 2 else T.nnet.softmax(z)
    return x, parameters


def main(out):
    data, target = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        (data / 16).astype("float32"), target.astype("int32"),
        test_size=360, stratify=target, random_state=0,
    )  # fmt: skip

    # The graph: what the network says, how wrong that is, and how often it is wrong.
    x, y = T.matrix("x"), T.ivector("y")
    p, parameters = network(x, [64, 256, 128, 10], np.random.RandomState(0))
    loss = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    errors = T.mean(T.neq(T.argmax(p, axis=1), y))

    # The data are shared variables: a call takes nothing but the number of the mini-batch.
    X, Y = graphc.shared(train_x, name="X"), graphc.shared(train_y, name="Y")
    index = T.lscalar("index")
    part = slice(index * BATCH, (index + 1) * BATCH)
    rate = graphc.shared(np.float32(0.05), name="rate")
    step = graphc.function(
        [index], [loss, errors],
        updates=graphc.optim.momentum(loss, parameters, rate, momentum=0.9),
        givens={x: X[part], y: Y[part]},
        name="step",
    )  # fmt: skip
    test = graphc.function([x, y], errors, name="test")

    random = np.random.RandomState(1)
    names = ("loss", "accuracy", "test accuracy")
    start, history = time.perf_counter(), {name: [] for name in names}
    for epoch in range(EPOCHS):
        rate.set_value(np.float32(0.05 * (1 - epoch / EPOCHS)))
        order = random.permutation(len(train_x))
        X.set_value(train_x[order])
        Y.set_value(train_y[order])
        results = np.array([step(k) for k in range(-(-len(train_x) // BATCH))])
        figures = (results[:, 0].mean(), 1 - results[:, 1].mean(), 1 - test(test_x, test_y))
        for name, figure in zip(names, figures):
            history[name].append(float(figure))
        print("epoch {:2d}   loss {:.4f}   train accuracy {:7.2%}   test accuracy {:7.2%}".format(
            epoch + 1, *figures))  # fmt: skip
    print(f"{time.perf_counter() - start:.2f} s, compiling included")
    out.mkdir(parents=True, exist_ok=True)
    pictures.curves(history).savefig(out / "curves.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/mlp_digits"))
    main(parser.parse_args().out)
