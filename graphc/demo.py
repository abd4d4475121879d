"""What ``graphc demo`` runs: a multi-layer perceptron that learns to read digits.

The images are scikit-learn's bundled handwritten digits, 8 by 8 pixels, real ones and no
download. Each epoch shows every training image once, in another order and moved by a fraction of
a pixel, from shared variables: only the index of the mini-batch crosses from Python.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import graphc.tensor as T
from graphc.api import function
from graphc.compiled import Function
from graphc.core.node import Array, SharedVariable, Variable
from graphc.optim import nesterov
from graphc.pictures import curves

EXTRAS = {
    "sklearn": "scikit-learn", "tqdm": "tqdm", "matplotlib": "matplotlib",
    "safetensors": "safetensors",
}  # fmt: skip
"""What the demo needs beyond graphc: module and package names."""


@dataclass(frozen=True)
class Settings:
    """What can be chosen.

    Parameters
    ----------
    epochs : int
        How often every image is shown.
    batch : int
        Images in a mini-batch; the last one of an epoch is shorter.
    hidden : tuple of int
        Units of the hidden layers.
    learning_rate : float
        At the start; it falls to zero along half a cosine.
    momentum : float
        The part of the velocity that a step keeps.
    shift : float
        By how many pixels, at most, images are moved for training.
    seed : int
        Of weights, order and shifts. The split into training and test images is fixed.
    """

    epochs: int = 30
    batch: int = 20
    hidden: tuple[int, ...] = (256, 128)
    learning_rate: float = 0.05
    momentum: float = 0.9
    shift: float = 0.75
    seed: int = 0
    mode: str | None = None


@dataclass(frozen=True)
class Digits:
    """Images as rows of float32 between 0 and 1, and their classes as int32."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


@dataclass(frozen=True)
class Model:
    """A network's functions.

    Parameters
    ----------
    weights : list of shared variables
        What is learnt.
    rate : shared variable
        The learning rate.
    images, labels : shared variables
        The training data of an epoch, in its order.
    step : Function
        ``step(index) -> loss``: one update on one mini-batch.
    accuracy : Function
        ``accuracy(images, labels)``: the part of the images that is classified right.
    """

    weights: list[SharedVariable]
    rate: SharedVariable
    images: SharedVariable
    labels: SharedVariable
    step: Function
    accuracy: Function


@dataclass
class History:
    """Per epoch: mean loss, accuracy on training and test images; and the time it all took."""

    loss: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    seconds: float = 0.0
    first_call: float = 0.0
    steps: int = 0


def missing_extras() -> list[str]:
    """The packages that the demo needs and that aren't installed."""
    return [package for module, package in EXTRAS.items() if not importlib.util.find_spec(module)]


def load_digits() -> Digits:
    """1,437 training and 360 test images, every class in its proportion."""
    from sklearn import datasets, model_selection

    images, labels = datasets.load_digits(return_X_y=True)
    parts = model_selection.train_test_split(
        (images / 16).astype("float32"), labels.astype("int32"),
        test_size=360, stratify=labels, random_state=0,
    )  # fmt: skip
    return Digits(parts[0], parts[2], parts[1], parts[3])


def layer(
    x: Variable, inputs: int, units: int, random: np.random.RandomState, name: str
) -> tuple[Variable, list[SharedVariable]]:
    """``x W + b`` with He's initial weights."""
    scale = np.sqrt(2 / inputs)
    weights = (scale * random.standard_normal((inputs, units))).astype("float32")
    W = SharedVariable(weights, f"{name}.W")
    b = SharedVariable(np.zeros(units, "float32"), f"{name}.b")
    return T.dot(x, W) + b, [W, b]


def build(settings: Settings, data: Digits) -> Model:
    """Declare the network, its loss and its updates, and make the functions."""
    random = np.random.RandomState(settings.seed)
    x, y = T.fmatrix("x"), T.ivector("y")
    weights: list[SharedVariable] = []
    h, size = x, data.train_x.shape[1]
    for k, units in enumerate(settings.hidden):
        z, parameters = layer(h, size, units, random, f"hidden{k}")
        h, size = T.nnet.relu(z), units
        weights += parameters
    z, parameters = layer(h, size, 10, random, "output")
    weights += parameters
    p = T.nnet.softmax(z)
    loss = -T.mean(T.log(p)[T.arange(y.shape[0]), y])

    rate = SharedVariable(np.asarray(settings.learning_rate, "float32"), "rate")
    images = SharedVariable(data.train_x.copy(), "images")
    labels = SharedVariable(data.train_y.copy(), "labels")
    index, n = T.lscalar("index"), settings.batch
    step = function(
        [index], loss,
        updates=nesterov(loss, weights, rate, settings.momentum),
        givens={x: images[index * n : (index + 1) * n], y: labels[index * n : (index + 1) * n]},
        name="step", mode=settings.mode,
    )  # fmt: skip
    right = T.mean(T.eq(T.argmax(p, axis=1), y))
    accuracy = function([x, y], right, name="accuracy", mode=settings.mode)
    return Model(weights, rate, images, labels, step, accuracy)


def shifted(images: Array, most: float, random: np.random.RandomState) -> Array:
    """Images moved by up to `most` pixels each way, what comes in from outside being dark.

    Each pixel becomes a mean of its neighbours, weighted as by linear interpolation.
    """
    side = int(np.sqrt(images.shape[1]))
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    for axis in (1, 2):
        move = random.uniform(-most, most, (len(images), 1, 1)).astype("float32")
        before, after = np.roll(padded, 1, axis), np.roll(padded, -1, axis)
        padded = (
            (1 - np.abs(move)) * padded
            + np.maximum(move, 0) * before
            + np.maximum(-move, 0) * after
        )
    return np.ascontiguousarray(padded[:, 1:-1, 1:-1]).reshape(images.shape)


def train(model: Model, data: Digits, settings: Settings, tell: Callable[[str], None]) -> History:
    """Train with a progress bar; `tell` is given a line per epoch."""
    from tqdm import tqdm

    random = np.random.RandomState(settings.seed)
    history = History()
    batches = -(-len(data.train_x) // settings.batch)
    tty = sys.stderr.isatty()
    start = time.perf_counter()
    with tqdm(total=settings.epochs * batches, unit=" batches", desc="training",
              mininterval=0.1 if tty else 5.0, dynamic_ncols=True) as bar:  # fmt: skip
        for epoch in range(settings.epochs):
            order = random.permutation(len(data.train_x))
            model.images.set_value(shifted(data.train_x[order], settings.shift, random))
            model.labels.set_value(data.train_y[order])
            fraction = epoch / settings.epochs
            rate = settings.learning_rate * (1 + np.cos(np.pi * fraction)) / 2
            model.rate.set_value(np.float32(rate))
            losses = []
            for k in range(batches):
                losses.append(float(model.step(k)))
                if not history.steps:
                    history.first_call = time.perf_counter() - start
                history.steps += 1
                bar.update()
            history.loss.append(float(np.mean(losses)))
            history.train.append(float(model.accuracy(data.train_x, data.train_y)))
            history.test.append(float(model.accuracy(data.test_x, data.test_y)))
            with bar.external_write_mode() if tty else nullcontext():
                tell(epoch_line(epoch, settings.epochs, history))
    history.seconds = time.perf_counter() - start
    return history


def epoch_line(epoch: int, epochs: int, history: History) -> str:
    """One epoch's figures."""
    return (
        f"epoch {epoch + 1:3d}/{epochs}   loss {history.loss[-1]:.4f}   "
        f"train accuracy {history.train[-1]:7.2%}   test accuracy {history.test[-1]:7.2%}"
    )


def draw(history: History, path: Path) -> None:
    """Loss and accuracy over the epochs, as a picture."""
    figure = curves(
        {"loss": history.loss, "accuracy": history.train, "test accuracy": history.test},
        best=False, units={"loss": "nat"},
        title=f"{history.test[-1]:.2%} of the test images are read right",
    )  # fmt: skip
    figure.savefig(path, dpi=120)


def save(weights: Sequence[SharedVariable], path: Path) -> None:
    """The weights, by name, as a safetensors file."""
    from safetensors.numpy import save_file

    save_file({w.name or str(k): w.get_value() for k, w in enumerate(weights)}, path)


def report(model: Model, history: History) -> str:
    """The optimised graphs, plans and kernels of the functions, as text."""
    lines = [
        f"{history.steps} steps in {history.seconds:.2f} s; "
        f"{history.test[-1]:.2%} of the test images are read right.",
    ]
    for made in (model.step, model.accuracy):
        lines += ["", heading(f"function {made.name}", "="), str(made.explain())]
        if not hasattr(made, "plan"):  # interpreted
            continue
        lines += ["", heading(f"plan of {made.name}"), str(made.plan)]
        for k, kernel in enumerate(made.kernels):
            lines += ["", heading(f"kernel {k} of {made.name}: {kernel.name}"), kernel.source]
    return "\n".join(lines) + "\n"


def heading(text: str, line: str = "-") -> str:
    """A title with a line below."""
    return f"{text}\n{line * min(len(text), 100)}"


def run(settings: Settings, out: Path, tell: Callable[[str], None] = print) -> History:
    """Train, and leave curves, weights and a report in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_digits()
    tell(
        f"digits: {len(data.train_x)} images to learn from, {len(data.test_x)} to test with, "
        f"{data.train_x.shape[1]} pixels each"
    )
    sizes = (data.train_x.shape[1], *settings.hidden, 10)
    tell(
        f"network: {'-'.join(map(str, sizes))}, mini-batches of {settings.batch}, "
        f"{settings.epochs} epochs"
    )
    model = build(settings, data)
    history = train(model, data, settings, tell)
    tell(summary(history))
    draw(history, out / "curves.png")
    save(model.weights, out / "weights.safetensors")
    (out / "report.txt").write_text(report(model, history), encoding="utf-8")
    for name, what in FILES.items():
        tell(f"  {out / name}  {what}")
    return history


FILES = {
    "curves.png": "loss and accuracy over the epochs",
    "weights.safetensors": "the trained weights",
    "report.txt": "the optimised graphs, their plans and their kernels",
}
"""What the demo leaves behind."""


def summary(history: History) -> str:
    """The last line: accuracy and time."""
    later = (history.seconds - history.first_call) / max(history.steps - 1, 1)
    return (
        f"test accuracy {history.test[-1]:.2%} after {history.seconds:.2f} s of training: "
        f"first call {history.first_call:.2f} s, then {1e3 * later:.2f} ms a step"
    )


__all__: list[Any] = ["Digits", "History", "Model", "Settings", "build", "load_digits", "run"]
