"""Word embeddings: skip-gram with negative sampling, on what NumPy, SciPy and scikit-learn say.

    python examples/word_embeddings.py

"You shall know a word by the company it keeps." Each word has a vector u, and another one, v, for
when it is the company. From a pair of words that stand near each other, and some drawn at random,

    L = -log sigmoid(u . v) - sum over random words n of log sigmoid(-u . n)

pulls u and v together, and u and n apart (Mikolov et al., Distributed representations of words and
phrases, 2013). Frequent words are mostly left out, and drawn less often than they occur, by the
power 3/4. The text, more than a million words, are the docstrings of the three packages.

Then vectors of words that are used alike point alike, and some differences mean something:
max - min + minimum is near to maximum.

Should reach: at least 70% of 37 pairs such as row and column, both ways, are among the 10 nearest
of 2,343 words; by chance, 0.4% are.
"""

import argparse
import re
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import initial, nn, optim, pictures

SIZE, WINDOW, NEGATIVES, BATCH, EPOCHS, LEAST = 64, 4, 5, 1024, 4, 40
PAIRS = """min max, row column, rows columns, sin cos, left right, lower upper, first second,
true false, mean median, int float, input output, minimum maximum, positive negative, even odd,
real imaginary, horizontal vertical, train test, forward backward, width height, sparse dense,
before after, one two, start stop, smaller larger, increasing decreasing, add subtract, sum product,
eigenvalues eigenvectors, inf nan, list tuple, csr csc, mean variance, alpha beta, zeros ones,
sinh cosh, smallest largest, fit predict, integer floating, sqrt exp, numerator denominator"""
ANALOGIES = ("min max minimum", "row column rows", "rows columns horizontal", "first last smallest",
             "eigenvalue eigenvalues eigenvector", "left right lower")  # fmt: skip
graphc.config.floatX = "float32"


def read_words():
    """The words of all docstrings; of lines that come again and again, one is kept."""
    lines = {}
    for package in ("numpy", "scipy", "sklearn"):
        for path in sorted(Path(find_spec(package).origin).parent.rglob("*.py")):
            if "tests" not in path.parts:
                for text in re.findall(r'"""(.*?)"""', path.read_text("utf-8"), re.DOTALL):
                    lines.update(dict.fromkeys(text.lower().splitlines()))
    return re.findall(r"[a-z]+", "\n".join(lines))


def neighbourhoods(codes, frequencies, random):
    """Pairs of words that stand near each other; each word is left out with its own chance."""
    kept = codes[random.random(len(codes)) < np.sqrt(1e-4 / frequencies[codes])]
    reach = random.integers(1, WINDOW + 1, len(kept))  # nearer words are paired more often
    pairs = []
    for k in range(1, WINDOW + 1):
        near = np.flatnonzero(reach[:-k] >= k)
        pairs += [np.stack([kept[near], kept[near + k]]), np.stack([kept[near + k], kept[near]])]
    return random.permutation(np.concatenate(pairs, axis=1).T)


def main(out):
    words = read_words()
    counts = {w: n for w, n in Counter(words).most_common() if n >= LEAST}
    place = {w: k for k, w in enumerate(counts)}
    codes = np.array([place[w] for w in words if w in place], "int32")
    frequencies = np.array(list(counts.values())) / len(codes)
    print(f"{len(words):,} words, {len(place):,} different ones at least {LEAST} times")

    near = nn.Embedding(len(place), SIZE, partial(initial.uniform, limit=0.5 / SIZE), seed=0)
    company = nn.Embedding(len(place), SIZE, init=0.0)
    pair, others, rate = T.imatrix("pair"), T.imatrix("others"), T.scalar("rate")
    vectors = near(pair[:, 0]), company(pair[:, 1]), company(others)
    loss = nn.losses.negative_sampling(*vectors).mean()
    updates = optim.adam(loss, near.parameters + company.parameters, rate)
    step = graphc.function([pair, others, rate], loss, updates=updates)

    random = np.random.default_rng(0)
    chances = np.cumsum(frequencies**0.75)
    losses = []
    for epoch in range(EPOCHS):
        pairs = neighbourhoods(codes, frequencies, random)
        starts = range(0, len(pairs) - BATCH, BATCH)
        for k, start in enumerate(starts):
            drawn = np.searchsorted(chances, random.random((BATCH, NEGATIVES)) * chances[-1])
            eta = 0.003 * (1 - (epoch + k / len(starts)) / EPOCHS)
            losses.append(float(step(pairs[start : start + BATCH], drawn.astype("int32"), eta)))
        print(f"epoch {epoch + 1}: {len(pairs):,} pairs, loss {np.mean(losses[-500:]):.4f}")
    table = near.weights.get_value()
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    names = np.array(list(place))

    def nearest(vector, without, count=10):
        order = np.argsort(-(unit @ vector))
        return [str(names[k]) for k in order if names[k] not in without][:count]

    for word in ("matrix", "minimum", "sin", "kernel", "warning", "integer"):
        print(f"{word:10} {', '.join(nearest(unit[place[word]], [word], 7))}")
    for a, b, c in (words for words in map(str.split, ANALOGIES) if set(words) <= set(place)):
        direction = unit[place[b]] - unit[place[a]] + unit[place[c]]
        print(f"{a} : {b} = {c} : {', '.join(nearest(direction, [a, b, c], 3))}")
    asked = [pair.split() for pair in PAIRS.replace("\n", " ").split(",")]
    asked = [p for a, b in asked for p in ((a, b), (b, a)) if a in place and b in place]
    found = [b in nearest(unit[place[a]], [a]) for a, b in asked]
    print(f"pairs among the 10 nearest: {np.mean(found):.1%} of {len(found)}, "
          f"by chance {10 / (len(place) - 1):.2%}")  # fmt: skip

    out.mkdir(parents=True, exist_ok=True)
    means = np.array(losses[: len(losses) // 100 * 100]).reshape(-1, 100).mean(axis=1)
    pictures.series(
        {"loss": means}, x=np.arange(len(means)) * 100, axes_names=("step", "loss (nat)")
    ).savefig(out / "loss.png")
    chosen = [k for k, w in enumerate(place) if len(w) > 3][:200]
    pictures.embedding(
        unit[chosen], [str(w) for w in names[chosen]], method="tsne", title="200 frequent words"
    ).savefig(out / "words.png")
    print(f"pictures in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/word_embeddings"))
    main(parser.parse_args().out)
