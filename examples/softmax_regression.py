"""Softmax regression: ten linear scores, one for each digit, and their negative log-likelihood.

    python examples/softmax_regression.py

The model of a class `k` is a linear score of the pixels, and softmax turns scores to probabilities:

    p(k | x) = exp(x . W[:, k] + b[k]) / sum over j of exp(x . W[:, j] + b[j])
    NLL      = -mean over examples of log p(y | x)

Its gradient by the scores is ``p - onehot(y)``: what was said, less what is so. A weight says how
much a pixel speaks for a digit, so the weights of a digit are an image, to be looked at. Written
as above, the loss is infinite when a probability underflows; graphc recognises the logarithm of a
softmax and computes it in its stable form (``step.explain()`` shows where).

Should reach: at least 96% of 359 digits that it never saw.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, pictures

BATCH, EPOCHS, RATE, DECAY = 50, 60, 0.5, 1e-4
graphc.config.floatX = "float32"


def main(out):
    train, test = data.split(data.digits(), (0.8, 0.2), seed=0, stratify="y")
    x, y = T.fmatrix("x"), T.ivector("y")
    W = graphc.shared(np.zeros((64, 10), "float32"), name="W")
    b = graphc.shared(np.zeros(10, "float32"), name="b")

    # The model, the loss as in the formula, and a little weight decay to keep weights smooth.
    p = T.nnet.softmax(T.dot(x, W) + b)
    nll = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    loss = nll + DECAY * optim.l2([W])
    accuracy = T.mean(T.eq(T.argmax(p, axis=1), y))

    # The formula of the gradient in the docstring, against what graphc derives.
    by_hand = T.dot(x.T, p - T.nnet.one_hot(y, 10, "float32")) / x.shape[0]
    difference = T.max(T.abs_(by_hand - graphc.grad(nll, W)))

    held = data.shared(train, shuffle=True, seed=1)
    i = T.lscalar("i")
    images, labels = held.batch(i, BATCH)
    step = graphc.function(
        [i], [nll, accuracy], updates=optim.sgd(loss, [W, b], RATE),
        givens={x: images, y: labels}, name="step",
    )  # fmt: skip
    judge = graphc.function([x, y], [nll, accuracy], name="judge")
    check = graphc.function([x, y], difference, name="check")

    history = {name: [] for name in ("loss", "accuracy", "test loss", "test accuracy")}
    for epoch in range(EPOCHS):
        held.start_epoch(epoch)
        found = [v.mean() for v in graphc.loop(step, graphc.each(held.numbers(BATCH)))]
        for values, value in zip(history.values(), [*found, *judge(test["x"], test["y"])]):
            values.append(float(value))
        if (epoch + 1) % 10 == 0:
            figures = ", ".join(f"{name} {values[-1]:.4f}" for name, values in history.items())
            print(f"epoch {epoch + 1}: {figures}")
    print(f"gradient by hand and by graphc differ by {check(test['x'], test['y']):.1e} at most")

    confused = nn.metrics.confusion_matrix(p, y, 10)
    said, table = graphc.function([x, y], [p, confused])(test["x"], test["y"])
    wrong = np.flatnonzero(said.argmax(axis=1) != test["y"])
    print(f"test accuracy {history['test accuracy'][-1]:.2%}; {len(wrong)} of {len(test)} wrong")

    out.mkdir(parents=True, exist_ok=True)
    pictures.filters(
        W, shape=(8, 8), columns=5, title="What speaks for 0 to 4 (above) and for 5 to 9"
    ).savefig(out / "weights.png")
    pictures.curves(history).savefig(out / "curves.png")
    pictures.images(
        test["x"][wrong], test["y"][wrong], said[wrong], shape=(8, 8), title="What it gets wrong"
    ).savefig(out / "mistakes.png")
    pictures.confusion(table).savefig(out / "confusion.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/softmax_regression"))
    main(parser.parse_args().out)
