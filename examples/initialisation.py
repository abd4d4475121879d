"""How a deep network is begun: initial weights, and batch normalisation.

    python examples/initialisation.py

A layer of n inputs with weights of variance v multiplies the variance of its input with about
``n v``, and a gradient on its way back likewise. Through ten layers that is a power of ten: with
weights a little too small, activations and gradients vanish; a little too large, and tanh saturates
at -1 and 1, where its slope is zero. So

    Xavier       v = 2 / (inputs + outputs)     keeps both as they are (Glorot and Bengio, 2010)
    He           v = 2 / inputs                 makes up for the half that a rectifier cuts off
    orthogonal   keeps lengths exactly, as long as activations are small (Saxe et al., 2013)

Batch normalisation (Ioffe and Szegedy, 2015) gives each unit mean 0 and variance 1 over the batch
before its activation, so that the size of the weights no longer matters.

Should reach: at most 30% test accuracy from weights too small for tanh, at least 94% from the same
weights with batch normalisation, and at least 94% from Xavier's, He's and orthogonal ones.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, initial, nn, optim, pictures, train

LAYERS, UNITS, EPOCHS, BATCH, RATE = 10, 100, 15, 50, 0.01
graphc.config.floatX = "float32"

normal = initial.normal
BEGINNINGS = {  # first weights, activation, whether with batch normalisation
    "too small": (partial(normal, deviation=0.03), T.tanh, False),
    "too large": (partial(normal, deviation=0.5), T.tanh, False),
    "Xavier": (initial.xavier_normal, T.tanh, False),
    "orthogonal": (initial.orthogonal, T.tanh, False),
    "He, ReLU": (initial.he_normal, T.nnet.relu, False),
    "Xavier, ReLU": (initial.xavier_normal, T.nnet.relu, False),
    "too small, normalised": (partial(normal, deviation=0.03), T.tanh, True),
    "too large, normalised": (partial(normal, deviation=0.5), T.tanh, True),
}


def network(init, activation, normalised):
    """Ten hidden layers, and the scores of ten digits."""
    blocks, inputs = [], 64
    for k in range(LAYERS):
        dense = nn.Dense(inputs, UNITS, init=init, bias=not normalised, seed=k)
        norm = [nn.BatchNorm(UNITS)] if normalised else []
        blocks.append(nn.Sequential(dense, *norm, activation))
        inputs = UNITS
    return nn.Sequential(*blocks, nn.Dense(UNITS, 10, init=initial.xavier_normal, seed=LAYERS))


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    learn, test = data.split(data.digits(), (0.8, 0.2), seed=0, stratify="y")
    standard = data.MeanImage.fit(learn)
    learn, test = learn.map(standard), test.map(standard)
    activations, gradients, accuracies = {}, {}, {}
    print(f"{'':22}sd of activations    rms of gradients     saturated  test")
    print(f"{'':22}layer 1  layer 10   layer 1   layer 10    layer 10  accuracy")
    for name, beginning in BEGINNINGS.items():
        x, y = T.fmatrix("x"), T.ivector("y")
        model = network(*beginning)
        task = train.Task(
            model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
            optimiser=optim.momentum, learning_rate=RATE,
        )  # fmt: skip
        watch = train.Watch(task, learn, layers=list(model)[:LAYERS], values=2000)
        watch.look()  # before the first step
        history = train.fit(
            task, learn, epochs=EPOCHS, batch=BATCH, validation=test, hooks=[watch], progress=False
        )
        seen = list(watch.statistics.values())
        flows = [v for k, v in watch.gradients.items() if k.endswith("weights")][:LAYERS]
        activations[name] = [s["deviation"][0] for s in seen]
        gradients[name] = [np.sqrt(np.mean(v[0] ** 2)) for v in flows]
        accuracies[name] = history["validation accuracy"]
        a, g, accuracy = activations[name], gradients[name], accuracies[name][-1]
        full = f"{seen[-1]['saturated'][0]:.1%}" if "saturated" in seen[-1] else "-"
        print(f"{name:22}{a[0]:7.1e}   {a[-1]:7.1e}   {g[0]:7.1e}   {g[-1]:7.1e}   {full:>8}"
              f"{accuracy:10.2%}")  # fmt: skip
        if "ReLU" not in name:
            layers = list(watch.activations.values())
            for what, values in (("activations", layers), ("gradients", flows)):
                shown = {f"layer {k + 1}": values[k][0] for k in (0, 2, 4, 7, 9)}
                picture = pictures.histograms(shown, title=f"{name}: {what} before training")
                picture.savefig(out / f"{name.replace(', ', '-').replace(' ', '-')}-{what}.png")

    places = range(1, LAYERS + 1)
    pictures.series(
        activations, x=places, log="y", axes_names=("layer", "standard deviation"),
        title="Activations before training",
    ).savefig(out / "all-activations.png")  # fmt: skip
    pictures.series(
        gradients, x=places, log="y", axes_names=("layer", "root mean square"),
        title="Gradients of weights before training",
    ).savefig(out / "all-gradients.png")  # fmt: skip
    pictures.series(
        accuracies, x=history["epoch"], axes_names=("epoch", "test accuracy"), limits=(0, 1),
    ).savefig(out / "accuracies.png")  # fmt: skip
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/initialisation"))
    main(parser.parse_args().out)
