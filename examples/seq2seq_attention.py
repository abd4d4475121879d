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
from graphc import pictures, recurrent

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
    """(time, batch) of symbols, filled up to the same length."""
    rows = [[SYMBOLS.index(c) for c in s.ljust(LONGEST, ".")] for s in strings]
    return np.array(rows, "int32").T.copy()


def make(random, *shape):
    return graphc.shared(random.normal(0, shape[0] ** -0.5, shape).astype("float32"))


def main(out):
    random = np.random.RandomState(0)
    E, start = make(random, len(SYMBOLS), 32), make(random, 2 * UNITS, UNITS)
    keys, query, v = make(random, 2 * UNITS, UNITS), make(random, UNITS, UNITS), make(random, UNITS)
    V, b = make(random, UNITS, len(SYMBOLS)), graphc.shared(np.zeros(len(SYMBOLS), "float32"))
    left, right = (recurrent.gru_parameters(32, UNITS, seed=k) for k in (1, 2))
    decoder = recurrent.gru_parameters(32 + 2 * UNITS, UNITS, seed=3)
    layers = [p for layer in (left, right, decoder) for p in layer.values()]
    parameters = [E, start, keys, query, v, V, b, *layers]

    # The encoder reads in both directions; its states are what the decoder looks at.
    source, target = T.imatrix("source"), T.imatrix("target")
    mask = T.neq(source, END)
    seen = recurrent.bidirectional(recurrent.gru, E[source], left, right, mask)
    key = T.dot(seen, keys)
    first = T.tanh(T.dot(T.concatenate([seen[-1, :, :UNITS], seen[0, :, UNITS:]], 1), start))

    def decode(symbol, h):
        """The next state of the decoder, and where it looked: (source time, batch)."""
        score = T.sum(T.tanh(key + T.dot(h, query)) * v, axis=2)
        where = T.nnet.softmax(T.switch(mask, score, -1e9), axis=0)
        context = T.sum(where[:, :, None] * seen, axis=0)
        return recurrent.gru_step(T.concatenate([E[symbol], context], 1), h, decoder), where

    # Training: the decoder gets the right symbols, one step late, whatever it would have said.
    before = T.concatenate([T.full_like(target[:1], END), target[:-1]])
    (h, _), _ = graphc.scan(decode, before, [first, None])
    p = T.nnet.softmax(T.dot(h, V) + b).reshape((-1, len(SYMBOLS)))
    counts = T.neq(before, END).flatten()  # symbols up to the end count, and the first one
    counts = T.set_subtensor(counts[: target.shape[1]], True)
    nll = -T.log(p)[T.arange(p.shape[0]), target.flatten()]
    loss = T.sum(T.switch(counts, nll, 0)) / T.sum(counts)
    rate = T.scalar("rate")
    step = graphc.function([source, target, rate], loss,
                           updates=graphc.optim.adam(loss, parameters, rate))  # fmt: skip

    # Answering: the decoder gets what it said itself.
    def say(symbol, h):
        h, where = decode(symbol, h)
        return T.argmax(T.dot(h, V) + b, axis=1).astype("int32"), h, where

    silent = T.full_like(source[0], END)
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
        for q, t, where in list(zip(asked, texts, looked.transpose(2, 0, 1)))[:3]:
            places = "".join(q[w.argmax()] for w in where[: len(t)])
            print(f"  {q:8} -> {t:8}  looking at {places}")
        longest = max(range(len(asked)), key=lambda k: len(texts[k]))
        q, t = asked[longest], texts[longest]
        pictures.attention(
            looked[: len(t), : len(q), longest], rows=list(t), columns=list(q),
            title=f"{kind}: {t}",
        ).savefig(out / f"{kind}.png")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/seq2seq_attention"))
    main(parser.parse_args().out)
