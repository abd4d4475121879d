"""Seven activations compared: the same network, data, optimiser and starting points for each.

    python examples/activations.py

A perceptron of three hidden layers with 64 units each learns to read digits. What differs is the
function between the layers:

    sigmoid   1 / (1 + exp(-z))            leaky   max(z, 0.1 z)
    tanh      tanh(z)                      PReLU   max(z, a z), with an a learnt for each unit
    ReLU      max(z, 0)                    ELU     z for z > 0, else exp(z) - 1
    maxout    the larger of two linear functions of the layer's input

The slope of a sigmoid is 1/4 at most, so through three layers the gradient loses a factor of 64
or more, and learning starts on a plateau. All others have a slope of 1 somewhere, and learn at
once. He's initial weights, of variance 2 / fan-in, make up for the half that a rectifier cuts off.

Should reach: at least 97% test accuracy by the best, at least 96% by all but the sigmoid.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, initial, nn, optim, pictures, train

UNITS, EPOCHS, BATCH, RATE = 64, 30, 32, 0.02
graphc.config.floatX = "float32"


def units(function, init):
    """A layer of units, followed by a function."""
    return lambda inputs, seed: nn.Dense(inputs, UNITS, function, init=init, seed=seed)


def prelu(inputs, seed):
    dense = nn.Dense(inputs, UNITS, init=initial.he_normal, seed=seed)
    return nn.Sequential(dense, nn.PReLU(UNITS))


def maxout(inputs, seed):
    return nn.Maxout(inputs, UNITS, pieces=2, seed=seed)


HIDDEN = {
    "sigmoid": units(T.nnet.sigmoid, initial.xavier_normal),
    "tanh": units(T.tanh, initial.xavier_normal),
    "ReLU": units(T.nnet.relu, initial.he_normal),
    "leaky": units(lambda z: T.nnet.leaky_relu(z, 0.1), initial.he_normal),
    "PReLU": prelu,
    "ELU": units(T.nnet.elu, initial.he_normal),
    "maxout": maxout,
}


def network(layer):
    """Three hidden layers, and the scores of ten digits."""
    hidden = [layer(64 if k == 0 else UNITS, seed=k) for k in range(3)]
    return nn.Sequential(*hidden, nn.Dense(UNITS, 10, seed=3))


def gradients_by_layer(task, model, rows):
    """The root mean square of the loss's gradient for each layer's weights, at the start."""
    weights = [v for path, v in model.named().items() if path.endswith("weights")]
    norms = [T.sqrt(T.mean(T.sqr(g))) for g in graphc.grad(task.losses[0], weights)]
    return graphc.function(task.inputs + task.targets, norms)(rows["x"], rows["y"])


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    learn, test = data.split(data.digits(), (0.8, 0.2), seed=0, stratify="y")
    standard = data.MeanImage.fit(learn)
    learn, test = learn.map(standard), test.map(standard)
    losses, accuracies, slopes = {}, {}, {}
    print("           parameters  epochs to 90%   loss     test accuracy  first / last gradient")
    for name, layer in HIDDEN.items():
        x, y = T.fmatrix("x"), T.ivector("y")
        model = network(layer)
        task = train.Task(
            model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
            optimiser=optim.momentum, learning_rate=RATE,
        )  # fmt: skip
        slopes[name] = np.array(gradients_by_layer(task, model, learn))
        history = train.fit(
            task, learn, epochs=EPOCHS, batch=BATCH, validation=test, progress=False
        )
        accuracy = history["validation accuracy"]
        first = next((k + 1 for k, a in enumerate(accuracy) if a >= 0.9), EPOCHS)
        losses[name], accuracies[name] = history["loss"], accuracy
        print(f"{name:9}{model.count:12,}{first:15}{history['loss'][-1]:10.5f}{accuracy[-1]:14.2%}"
              f"{slopes[name][0] / slopes[name][-1]:20.4f}")  # fmt: skip

    epochs = history["epoch"]
    pictures.series(
        losses, x=epochs, log="y", axes_names=("epoch", "training loss (nat)"),
        title="Seven activations, one network",
    ).savefig(out / "losses.png")  # fmt: skip
    pictures.series(
        accuracies, x=epochs, limits=(0.7, 1), axes_names=("epoch", "test accuracy")
    ).savefig(out / "accuracies.png")
    pictures.series(
        slopes, x=[1, 2, 3, 4], log="y", axes_names=("layer", "gradient at the start (rms)"),
        title="Sigmoids keep the first layers from learning",
    ).savefig(out / "gradients.png")  # fmt: skip
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/activations"))
    main(parser.parse_args().out)
