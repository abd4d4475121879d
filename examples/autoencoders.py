"""Autoencoders: networks that learn codes by restoring what they are shown.

    python examples/autoencoders.py

An encoder makes a code of an image, ``h = f(x W + b)``, a decoder makes the image of the code. If
the weights are tied, ``r = h W' + c``, and `f` is the identity, the best code of k numbers spans
the first k principal components (Baldi and Hornik, 1989): an autoencoder does what PCA does. Codes
that are nonlinear, or sparse, do more:

    deep          layers before and after a narrow code, here of two numbers: a map of the digits
    k-sparse      of 128 numbers of the code, the 8 largest are kept, all others are set to zero
                  (Makhzani and Frey, 2013)
    thresholded   ``h = z`` where ``z > 1/2``, else zero, with z = x W, and no bias at all
                  (Konda, Memisevic and Krueger, 2014)
    denoising     x is shown with noise, and to be restored without (Vincent et al., 2008)

And 8-3-8, the oldest of them (Ackley, Hinton and Sejnowski, 1985): eight inputs, of which one is
1, through three units; there is just room for the eight numbers of three bits.

Should reach: PCA's error on training images within 1% by the linear one; less than 70% of it on
test images by two deep numbers, and by eight of 128; of noisy images, less than 70% of the error
that PCA leaves; all of 8-3-8's inputs restored, each time.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import data, initial, nn, optim, pictures, train

NOISE, TRIALS = 0.3, 5
graphc.config.floatX = "float32"


def k_largest(z, k=8):
    """All but the k largest numbers of each row are zero."""
    return z * T.ge(z, T.sort(z, axis=1)[:, -k][:, None])


def thresholded(z):
    return z * T.gt(z, 0.5)


def tied(units, function, seed=0, **options):
    """One layer there, and its transpose back."""
    encoder = nn.Dense(64, units, init=initial.xavier_normal, seed=seed, **options)
    return nn.Sequential(encoder, function, nn.Dense(units, 64, weights=encoder.weights.T))


def deep(code):
    sizes = [64, 128, 64, code, 64, 128, 64]
    functions = [T.tanh, T.tanh, lambda z: z] * 2
    layers = [nn.Dense(*sizes[k : k + 2], functions[k], seed=k) for k in range(6)]
    return nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:]))


def learnt(model, rows, rate, epochs=60, batch=50):
    """A task whose model has learnt to restore the second field of the rows from the first."""
    x, y = T.matrix("x"), T.matrix("y")
    steps = epochs * len(rows.batches(batch))
    task = train.Task(
        model, x, y, lambda r, y: T.sum(nn.losses.squared_error(r, y), axis=1),
        optimiser=optim.adam, learning_rate=lambda n: optim.schedules.one_cycle(n, rate, steps),
    )  # fmt: skip
    train.fit(task, rows, epochs=epochs, batch=batch, progress=False)
    return task


def pca(learn, x, k):
    """What k principal components of the images in `learn` say of those in `x`."""
    mean = learn.mean(axis=0)
    directions = np.linalg.svd(learn - mean, full_matrices=False)[2][:k]
    return mean + (x - mean) @ directions.T @ directions


def error(restored, images):
    """The squared error of an image: a sum over pixels, a mean over images."""
    return float(np.mean(np.sum((restored - images) ** 2, axis=1)))


def eight_three_eight(seed, rows):
    """What three units say of each of eight inputs, and which inputs come out on the other side."""
    encoder = nn.Dense(8, 3, T.nnet.sigmoid, seed=seed)
    model = nn.Sequential(encoder, nn.Dense(3, 8, seed=seed + 100))
    x, y = T.matrix("x"), T.ivector("y")
    task = train.Task(model, x, y, nn.losses.cross_entropy, optimiser=optim.adam, learning_rate=0.1)
    train.fit(task, (rows, np.arange(8, dtype="int32")), epochs=600, batch=8, progress=False)
    return encoder(rows).eval(), train.predict(task, rows).argmax(axis=1)


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    learn, test = data.split(data.digits(), (0.8, 0.2), seed=0, stratify="y")
    images, unseen = learn["x"], test["x"]
    noise = np.random.default_rng(0).normal(0, NOISE, unseen.shape).astype("float32")
    clean = data.from_arrays(images, images)

    # Clean images: the error on the rows that PCA was fitted to, and on test images.
    models = {
        "linear, 8": (tied(8, lambda z: z), 0.03, 100),
        "deep, 8": (deep(8), 0.005, 100),
        "deep, 2": (deep(2), 0.005, 150),
        "8 of 128": (tied(128, k_largest), 0.005, 60),
        "threshold": (tied(128, thresholded, bias=False), 0.005, 60),
    }
    shown = {f"PCA, {k}": pca(images, unseen, k) for k in (2, 8)}
    print(f"{'squared error of an image':28}{'training':>10}{'test':>10}")
    for k in (2, 8):
        seen = error(pca(images, images, k), images)
        print(f"{f'PCA, {k}':28}{seen:10.4f}{error(shown[f'PCA, {k}'], unseen):10.4f}")
    for name, (model, rate, epochs) in models.items():
        task = learnt(model, clean, rate, epochs)
        shown[name] = train.predict(task, unseen)
        seen = error(train.predict(task, images), images)
        print(f"{name:28}{seen:10.4f}{error(shown[name], unseen):10.4f}")
    z = thresholded(models["threshold"][0][0](unseen)).eval()
    print(f"thresholded: {np.mean(z != 0):.1%} of the code is not zero")

    # Noisy images: a code that has room for all of an image has to learn what digits look like.
    noisy = clean.map(data.Noise(NOISE, seed=1), "x")
    denoiser = tied(256, T.nnet.relu)
    restored = train.predict(learnt(denoiser, noisy, 0.01, 100), unseen + noise)
    least, k = min((error(pca(images, unseen + noise, k), unseen), k) for k in range(1, 65))
    print(f"noisy images: error {error(unseen + noise, unseen):.3f}, PCA {least:.3f} "
          f"({k} components), denoised {error(restored, unseen):.3f}")  # fmt: skip

    restored_all = []
    for seed in range(TRIALS):
        codes, answers = eight_three_eight(seed, np.eye(8, dtype="float32"))
        restored_all.append((answers == np.arange(8)).all())
    print(f"8-3-8: all inputs restored {sum(restored_all)} times of {TRIALS}; the last codes:")
    print("  ".join(" ".join(f"{unit:.1f}" for unit in code) for code in codes))

    def save(figure, name):
        figure.savefig(out / f"{name}.png")

    filters = {"denoising": denoiser, "sparse": models["8 of 128"][0]}
    for name, model in filters.items():
        weights = model[0].weights.get_value()
        longest = np.argsort(-np.linalg.norm(weights, axis=0))[:48]
        title = f"{name}: the 48 longest of {len(weights.T)} filters"
        figure = pictures.filters(weights[:, longest], shape=(8, 8), columns=16, title=title)
        save(figure, f"{name}-filters")
    code = models["deep, 2"][0][0](unseen).eval()
    save(pictures.embedding(code, test["y"], title="A deep code of two numbers"), "deep-map")
    save(pictures.embedding(unseen, test["y"], title="PCA"), "pca-map")
    rows = {"image": unseen, **shown, "noisy": unseen + noise, "denoised": restored}
    chosen = np.concatenate([np.clip(row[:9], 0, 1) for row in rows.values()])
    names = [text for name in rows for text in [name] + 8 * [""]]
    save(pictures.images(chosen, names, shape=(8, 8), columns=9), "restored")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/autoencoders"))
    main(parser.parse_args().out)
