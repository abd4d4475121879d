"""A multi-layer perceptron that learns to read handwritten digits, in about 80 lines.

    python examples/mlp_digits.py

It needs scikit-learn for the images, which come with it. ``graphc demo`` is the same network with
a progress bar, moved images, curves and a report.
"""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphc
import graphc.tensor as T

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


def main():
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
    start = time.perf_counter()
    for epoch in range(EPOCHS):
        rate.set_value(np.float32(0.05 * (1 - epoch / EPOCHS)))
        order = random.permutation(len(train_x))
        X.set_value(train_x[order])
        Y.set_value(train_y[order])
        results = np.array([step(k) for k in range(-(-len(train_x) // BATCH))])
        print(
            f"epoch {epoch + 1:2d}   loss {results[:, 0].mean():.4f}   "
            f"train accuracy {1 - results[:, 1].mean():7.2%}   "
            f"test accuracy {1 - test(test_x, test_y):7.2%}"
        )
    print(f"{time.perf_counter() - start:.2f} s, compiling included")


if __name__ == "__main__":
    main()
