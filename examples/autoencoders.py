"""Autoencoders: networks that learn codes by restoring what they are shown.

    python examples/autoencoders.py

An encoder makes a code of an image, ``h = f(x W + b)``, a decoder an image of the code. If weights
are tied, ``r = h W' + c``, and `f` is the identity, the best code of k numbers spans the first k
principal components (Baldi and Hornik, 1989): it does what PCA does. Other codes do more:

    deep         layers around a narrow code; two numbers are a map of the digits
    8 of 128     only the 8 largest numbers are kept: k-sparse (Makhzani and Frey, 2013)
    threshold    only numbers beyond 1/2 are kept, without biases (Konda et al., 2014)
    denoising    x is shown with noise, and to be restored without (Vincent et al., 2008)

And 8-3-8, the oldest (Ackley, Hinton, Sejnowski, 1985): one of eight inputs, through three units.

Should reach: PCA's error on training images within 1% by the linear one; less than 70% of it on
test images by two deep numbers, and by eight of 128; of noisy images, less than 70% of the error
that PCA leaves; all of 8-3-8's inputs restored, each time.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, initial, nn, optim, pictures, train

NOISE, TRIALS = 0.3, 5
graphc.config.floatX = "float32"


def tied(units, function, bias=True):  # one layer there, and its transpose back
    encoder = nn.Dense(64, units, init=initial.xavier_normal, bias=bias, seed=0)
    return nn.Sequential(encoder, function, nn.Dense(units, 64, weights=encoder.weights.T))


def deep(code):
    sizes, functions = [64, 128, 64, code, 64, 128, 64], [T.tanh, T.tanh, lambda z: z] * 2
    layers = [nn.Dense(*sizes[k : k + 2], functions[k], seed=k) for k in range(6)]
    return nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:]))


def learnt(model, rate, epochs, rows):
    """A task whose model has learnt to restore the second field of the rows from the first."""
    x, y, steps = T.matrix("x"), T.matrix("y"), epochs * len(rows.batches(50))
    task = train.Task(
        model, x, y, lambda r, y: T.sum(nn.losses.squared_error(r, y), axis=1),
        optimiser=optim.adam, learning_rate=lambda n: optim.schedules.one_cycle(n, rate, steps),
    )  # fmt: skip
    train.fit(task, rows, epochs=epochs, batch=50, progress=False)
    return task


def pca(learn, k, x):  # what k principal components of the images in `learn` say of `x`
    mean = learn.mean(axis=0)
    directions = np.linalg.svd(learn - mean, full_matrices=False)[2][:k]
    return mean + (x - mean) @ directions.T @ directions


def error(restored, images):  # squared, a sum over pixels, and a mean over images
    return float(np.mean(np.sum((restored - images) ** 2, axis=1)))


def eight_three_eight(seed, rows):
    """What three units say of each of eight inputs, and which inputs come out on the other side."""
    model = nn.Sequential(nn.Dense(8, 3, T.nnet.sigmoid, seed=seed), nn.Dense(3, 8, seed=seed + 99))
    x, y = T.matrix("x"), T.ivector("y")
    task = train.Task(model, x, y, nn.losses.cross_entropy, optimiser=optim.adam, learning_rate=0.1)
    train.fit(task, (rows, np.arange(8, dtype="int32")), epochs=600, batch=8, progress=False)
    return model[0](rows).eval(), train.predict(task, rows).argmax(axis=1)


def main(out):
    learn, test = data.split(data.digits(), (0.8, 0.2), seed=0, stratify="y")
    images, unseen = learn["x"], test["x"]
    noisy = unseen + np.random.default_rng(0).normal(0, NOISE, unseen.shape).astype("float32")
    clean = data.from_arrays(images, images)

    def largest(z):  # all but the eight largest numbers of each row are zero
        return z * T.ge(z, T.sort(z, axis=1)[:, -8:-7])

    models = {
        "linear, 8": (tied(8, lambda z: z), 0.03, 100, clean),
        "deep, 8": (deep(8), 0.005, 100, clean),
        "deep, 2": (deep(2), 0.005, 150, clean),
        "8 of 128": (tied(128, largest), 0.005, 60, clean),
        "threshold": (tied(128, lambda z: z * T.gt(z, 0.5), bias=False), 0.005, 60, clean),
    }
    uses = {f"PCA, {k}": partial(pca, images, k) for k in (2, 8)}
    uses |= {name: partial(train.predict, learnt(*model)) for name, model in models.items()}
    shown = {name: use(unseen) for name, use in uses.items()}
    print(f"{'squared error of an image':28}{'training':>10}{'test':>10}")
    for name, use in uses.items():
        print(f"{name:28}{error(use(images), images):10.4f}{error(shown[name], unseen):10.4f}")

    denoiser = tied(256, T.nnet.relu)
    task = learnt(denoiser, 0.01, 100, clean.map(data.Noise(NOISE, seed=1), "x"))
    restored = train.predict(task, noisy)
    least, k = min((error(pca(images, k, noisy), unseen), k) for k in range(1, 65))
    print(f"noisy images: error {error(noisy, unseen):.3f}, PCA {least:.3f} "
          f"({k} components), denoised {error(restored, unseen):.3f}")  # fmt: skip
    found = [eight_three_eight(seed, np.eye(8, dtype="float32")) for seed in range(TRIALS)]
    right, codes = sum((answers == np.arange(8)).all() for _, answers in found), found[-1][0]
    print(f"8-3-8: all inputs restored {right} times of {TRIALS}; the last codes:")
    print("  ".join(" ".join(f"{unit:.1f}" for unit in code) for code in codes))

    out.mkdir(parents=True, exist_ok=True)
    for name, model in {"denoising": denoiser, "sparse": models["8 of 128"][0]}.items():
        weights = model[0].weights.get_value()
        longest = np.argsort(-np.linalg.norm(weights, axis=0))[:48]
        figure = pictures.filters(weights[:, longest], shape=(8, 8), columns=16, title=name)
        figure.savefig(out / f"{name}-filters.png")
    code = models["deep, 2"][0][0](unseen).eval()
    pictures.embedding(code, test["y"], title="Two numbers").savefig(out / "numbers-map.png")
    pictures.embedding(unseen, test["y"], title="PCA").savefig(out / "pca-map.png")
    rows = {"image": unseen, **shown, "noisy": noisy, "denoised": restored}
    first = np.concatenate([np.clip(row[:9], 0, 1) for row in rows.values()])
    names = [text for name in rows for text in [name] + 8 * [""]]
    pictures.images(first, names, shape=(8, 8), columns=9).savefig(out / "restored.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/autoencoders"))
    main(parser.parse_args().out)
