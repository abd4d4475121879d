"""A GRU encoder and decoder with soft attention learn to reverse and to add strings of digits.

    python examples/seq2seq_attention.py

``<40721`` asks for ``12704``; ``73+958`` asks for the sum, lowest digit first: ``1301``. Both tasks
are learned by one network (Bahdanau, Cho, Bengio: Neural machine translation by jointly learning
to align and translate. ICLR 2015), which is tested on questions that it never saw.

Should reach: 99% of both kinds of held-out questions answered exactly.
"""

import argparse
import time
from pathlib import Path
from zlib import crc32

import numpy as np

import graphc
import graphc.tensor as T
from graphc import nn, pictures
from graphc.initial import lecun_normal

SYMBOLS = "0123456789+<."  # the last one ends an answer, and fills up
END, LONGEST, UNITS, BATCH, STEPS = SYMBOLS.index("."), 8, 64, 64, 6000
graphc.config.floatX = "float32"


def question(random, kind, held):
    """A question of one of the two kinds, and its answer; a tenth of all are held out."""
    while True:
        if kind == "reverse":
            digits = "".join(map(str, random.randint(0, 10, random.randint(2, LONGEST))))
            asked, answer = "<" + digits, digits[::-1]
        else:
            a, b = (random.randint(0, 10 ** random.randint(1, 4)) for _ in range(2))
            asked, answer = f"{a}+{b}", str(a + b)[::-1]
        if (crc32(asked.encode()) % 10 == 0) == held:
            return asked, answer


def encode(strings):
    """(batch, time) of symbols, filled up to the same length."""
    return np.array([[SYMBOLS.index(c) for c in s.ljust(LONGEST, ".")] for s in strings], "int32")


def main(out):
    random, size = np.random.RandomState(0), len(SYMBOLS)
    symbols = nn.Embedding(size, 32, lecun_normal, seed=10)
    left, right = nn.GRU(32, UNITS, seed=11), nn.GRU(32, UNITS, backwards=True, seed=12)
    reader = nn.Bidirectional(left, right)
    start = nn.Dense(2 * UNITS, UNITS, T.tanh, lecun_normal, bias=False, seed=13)
    attend = nn.AdditiveAttention(UNITS, 2 * UNITS, UNITS, lecun_normal, seed=14)
    writer = nn.GRU(32 + 2 * UNITS, UNITS, seed=15)
    top = nn.Dense(UNITS, size, init=lecun_normal, seed=16)
    layers = (symbols, reader, start, attend, writer, top)
    parameters = [p for layer in layers for p in layer.parameters]

    # The encoder reads in both directions; its states are what the decoder looks at.
    source, target = T.imatrix("source"), T.imatrix("target")
    mask = T.neq(source, END)
    seen = reader(symbols(source), mask=mask)
    first = start(T.concatenate([seen[:, -1, :UNITS], seen[:, 0, UNITS:]], 1))

    def decode(symbol, h):
        """The next state of the decoder, and where it looked: (batch, source time)."""
        where = attend.weights(h, seen, mask)
        context = T.sum(where[:, :, None] * seen, axis=1)
        return *writer.step(T.concatenate([symbols(symbol), context], 1), h), where

    # Training: the decoder gets the right symbols, one step late, whatever it would have said.
    before = T.concatenate([T.full_like(target[:, :1], END), target[:, :-1]], 1)
    (h, _), _ = graphc.scan(decode, before.T, [first, None])
    counts = T.set_subtensor(T.neq(before, END)[:, 0], True)  # up to the end, and the first one
    nll = nn.losses.cross_entropy(top(h), target.T)
    loss = T.sum(T.switch(counts.T, nll, 0)) / T.sum(counts)
    rate = T.scalar("rate")
    step = graphc.function([source, target, rate], loss,
                           updates=graphc.optim.adam(loss, parameters, rate))  # fmt: skip

    # Answering: the decoder gets what it said itself.
    def say(symbol, h):
        h, where = decode(symbol, h)
        return T.argmax(top(h), axis=1).astype("int32"), h, where

    silent = T.full_like(source[:, 0], END)
    (said, _, looked), _ = graphc.scan(say, outputs_info=[silent, first, None], n_steps=LONGEST)
    answer = graphc.function([source], [said, looked])

    began = time.perf_counter()
    for k in range(STEPS):
        batch = [question(random, ("add", "reverse")[j % 4 == 0], False) for j in range(BATCH)]
        value = step(*map(encode, zip(*batch)), 0.004 * (1 - k / STEPS))
        if (k + 1) % 1000 == 0:
            print(f"step {k + 1}: loss {value:.4f}, {time.perf_counter() - began:.0f} s")

    out.mkdir(parents=True, exist_ok=True)
    for kind in ("reverse", "add"):
        asked, right_answers = zip(*dict(question(random, kind, True) for _ in range(2000)).items())
        said, looked = answer(encode(asked))
        texts = ["".join(SYMBOLS[c] for c in row).split(".")[0] for row in said.T]
        exact = np.mean([t == r for t, r in zip(texts, right_answers)])
        print(f"\n{kind}: {exact:.2%} of {len(asked)} held-out questions answered exactly")
        for q, t, where in list(zip(asked, texts, looked.transpose(1, 0, 2)))[:3]:
            places = "".join(q[w.argmax()] for w in where[: len(t)])
            print(f"  {q:8} -> {t:8}  looking at {places}")
        longest = max(range(len(asked)), key=lambda k: len(texts[k]))
        q, t = asked[longest], texts[longest]
        pictures.attention(
            looked[: len(t), longest, : len(q)], rows=list(t), columns=list(q),
            title=f"{kind}: {t}",
        ).savefig(out / f"{kind}.png")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/seq2seq_attention"))
    main(parser.parse_args().out)
