"""A character-level language model: an LSTM that reads Python's own documentation.

    python examples/char_lstm.py

The text is `pydoc_data.topics`, which ships with Python: the part of the language reference that
`help()` shows. The model reads it in pieces of 32 characters and carries its state from piece to
piece. It is compared with an order-3 n-gram model (three characters of context, Witten-Bell
smoothing) of the same training text, on held-out paragraphs.

Should reach: fewer bits per held-out character than the n-gram model.
"""

import argparse
import time
from collections import Counter
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import graphc
import graphc.tensor as T
from graphc import nn, pictures

UNITS, STEPS, BATCH, EPOCHS = 192, 32, 16, 5
graphc.config.floatX = "float32"


def read_text():  # to learn from, to test with, and the alphabet; no paragraph is in both
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    whole = "".join(c for c in whole if c == "\n" or " " <= c <= "~")
    paragraphs = list(dict.fromkeys(whole.split("\n\n")))
    train, test = ("\n\n".join(p for k, p in enumerate(paragraphs) if (k // 20 % 10 == 5) == held)
                   for held in (False, True))  # fmt: skip
    return train, test, sorted(set(whole))


def ngram_bits(train, test, alphabet, order=3):
    """Bits per character of an n-gram model with Witten-Bell smoothing.

    ``p(c | context) = (count + kinds * p(c | shorter context)) / (total + kinds)``, where `kinds`
    is how many different characters were seen after the context.
    """
    counts, totals, kinds = Counter(), Counter(), Counter()
    for n in range(order + 1):
        counts.update(train[i : i + n + 1] for i in range(len(train) - n))
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    bits = 0.0
    for i in range(order, len(test)):
        p = 1 / len(alphabet)
        for context in (test[i - n : i] for n in range(order + 1)):
            if context in totals:
                k = kinds[context]
                p = (counts[context + test[i]] + k * p) / (totals[context] + k)
        bits -= np.log2(p)
    return bits / (len(test) - order)


def streams(text, alphabet, batch):  # (batch, time): long pieces, one below the other
    codes = np.array([alphabet.index(c) for c in text], "int32")
    return codes[: len(codes) // batch * batch].reshape(batch, -1)


def sample(step, alphabet, temperature, length=200):
    random, text = np.random.RandomState(0), "\n"
    h = c = np.zeros((1, UNITS), "float32")
    for _ in range(length):
        p, h, c = step(np.array([alphabet.index(text[-1])], "int32"), h, c, temperature)
        text += alphabet[min(np.searchsorted(np.cumsum(p), random.uniform()), len(p) - 1)]
    return text[1:]


def main(out):
    train, test, alphabet = read_text()
    ngram, size = ngram_bits(train, test, alphabet), len(alphabet)
    print(f"{len(train)} characters to learn from, {len(test)} held out, {size} different ones")

    # From a character's embedding through the LSTM to the next character's logits.
    wide = partial(graphc.initial.normal, deviation=0.25)
    embedding = nn.Embedding(size, 48, wide, seed=0)
    lstm, top = nn.LSTM(48, UNITS, seed=1), nn.Dense(UNITS, size, init=0.0)
    model = nn.Sequential(embedding, lstm, top)

    def loss(x, y, states):
        """The mean negative log-likelihood; it carries updates that keep the last states."""
        return nn.losses.cross_entropy(model(x, initial=states, carry=True), y).mean()

    data, held = graphc.shared(streams(train, alphabet, BATCH)), streams(test, alphabet, 8)
    x, y, first, rate = T.imatrix("x"), T.imatrix("y"), T.lscalar("first"), T.scalar("rate")
    states, others = lstm.shared_states(BATCH), lstm.shared_states(8)
    nll = loss(x, y, states)
    piece = {x: data[:, first : first + STEPS], y: data[:, first + 1 : first + STEPS + 1]}
    updates = graphc.optim.adam(nll, model.parameters, rate) + nn.updates(nll)
    step = graphc.function([first, rate], nll, updates=updates, givens=piece)
    evaluate = graphc.function([x, y], loss(x, y, others))

    one, h0, c0, heat = T.ivector("one"), T.matrix("h0"), T.matrix("c0"), T.scalar("heat")
    h1, c1 = lstm.step(embedding(one), h0, c0)
    p1 = T.nnet.softmax(top(h1) / heat)[0]
    following = graphc.function([one, h0, c0, heat], [p1, h1, c1])
    start, history = time.perf_counter(), []
    starts = range(0, data.get_value(borrow=True).shape[1] - STEPS, STEPS)
    for epoch in range(EPOCHS):
        for s in states:
            s.set_value(np.zeros((BATCH, UNITS), "float32"))
        rates = 0.004 * (1 - np.linspace(epoch, epoch + 1, len(starts)) / EPOCHS)
        losses = [step(k, r) for k, r in zip(starts, rates)]
        bits = float(evaluate(held[:, :-1], held[:, 1:])) / np.log(2)
        history.append((np.mean(losses) / np.log(2), bits))
        print(f"epoch {epoch + 1}: {history[-1][0]:.3f} bits per character, "
              f"{bits:.3f} held out; {time.perf_counter() - start:.0f} s")  # fmt: skip
    for temperature in (0.3, 0.7, 1.0):
        print(f"\n--- at temperature {temperature}:\n{sample(following, alphabet, temperature)}")
    print(f"\nbits per held-out character: LSTM {bits:.3f}, n-gram model {ngram:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    lines = dict(zip(("training", "held out"), zip(*history)), ngram=[ngram] * EPOCHS)
    axes = ("epoch", "bits per character")
    pictures.series(lines, x=range(1, EPOCHS + 1), axes_names=axes).savefig(out / "bits.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/char_lstm"))
    main(parser.parse_args().out)
