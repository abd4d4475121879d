"""A neural Turing machine learns to copy: it reads a sequence, and then repeats it from memory.

    python examples/copy_task.py

The controller sees a vector of bits at a time, writes to a memory and reads from it through
heads that are differentiable everywhere (Graves, Wayne, Danihelka: Neural Turing machines. 2014,
arXiv:1410.5401; the equations in comments are the paper's). It is trained on sequences of up to
eight vectors, and tested on new ones of that length and on longer ones than it ever saw. Now and
then a machine gets stuck where it starts from: with one seed in about four, its loss stays at 0.1.

Should reach: less than 1% of bits wrong, in sequences of twice the longest length, too.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import graphc
import graphc.tensor as T
from graphc import nn, pictures
from graphc.initial import lecun_normal

BITS, LONGEST, SLOTS, WIDTH, UNITS, BATCH, STEPS = 6, 8, 20, 10, 64, 16, 3000
HEAD = WIDTH + 6  # of a head: a key, its strength, a gate, three shifts, a sharpness
graphc.config.floatX = "float32"


def address(head, memory, before):
    """Where a head looks: weights (batch, slots), from where it looked one step before."""
    key, strength = T.tanh(head[:, :WIDTH]), T.nnet.softplus(head[:, WIDTH])
    gate, sharpness = T.nnet.sigmoid(head[:, WIDTH + 1]), 1 + T.nnet.softplus(head[:, WIDTH + 5])
    shift = T.nnet.softmax(head[:, WIDTH + 2 : WIDTH + 5])
    norms = T.sqrt(T.sum(T.sqr(memory), 2) * T.sum(T.sqr(key), 1, keepdims=True) + 1e-6)
    alike = T.sum(memory * key[:, None, :], axis=2) / norms  # (6)
    content = T.nnet.softmax(strength[:, None] * alike)  # (5)
    kept = gate[:, None] * content + (1 - gate[:, None]) * before  # (7)
    moved = sum(shift[:, k : k + 1] * T.roll(kept, k - 1, axis=1) for k in range(3))  # (8)
    sharp = T.pow(moved + 1e-6, sharpness[:, None])  # (9)
    return sharp / T.sum(sharp, axis=1, keepdims=True)


def task(random, length, batch):
    """What is shown, (time, batch, bits + 1) with a mark at the end, and what is to be said."""
    bits = random.randint(0, 2, (length, batch, BITS)).astype("float32")
    shown = np.zeros((2 * length + 1, batch, BITS + 1), "float32")
    shown[:length, :, :BITS] = bits
    shown[length, :, BITS] = 1
    return shown, bits


def main(out):
    random = np.random.RandomState(0)
    gru = nn.GRU(BITS + 1 + WIDTH, UNITS, seed=50)
    heads = nn.Dense(UNITS, 2 * HEAD + 2 * WIDTH, init=lecun_normal, seed=51)
    output = nn.Dense(UNITS + WIDTH, BITS, T.nnet.sigmoid, lecun_normal, seed=52)
    parameters = [p for layer in (gru, heads, output) for p in layer.parameters]

    def step(x, h, read, memory, reading, writing):
        (h,) = gru.step(T.concatenate([x, read], 1), h)
        z = heads(h)
        writing = address(z[:, :HEAD], memory, writing)
        reading = address(z[:, HEAD : 2 * HEAD], memory, reading)
        erase = T.nnet.sigmoid(z[:, 2 * HEAD : 2 * HEAD + WIDTH])
        add = T.tanh(z[:, 2 * HEAD + WIDTH :])
        w = writing[:, :, None]
        memory = memory * (1 - w * erase[:, None, :]) + w * add[:, None, :]  # (3), (4)
        read = T.sum(reading[:, :, None] * memory, axis=1)  # (2)
        return h, read, memory, reading, writing

    shown, bits = T.tensor3("shown"), T.tensor3("bits")
    n = shown.shape[1]
    start = T.concatenate([T.ones((n, 1)), T.zeros((n, SLOTS - 1))], 1)  # both heads at slot 0
    initial = [*gru.first(n), T.zeros((n, WIDTH)), T.zeros((n, SLOTS, WIDTH)), start, start]
    (h, read, _, reading, writing), _ = graphc.scan(step, shown, initial)
    said = output(T.concatenate([h, read], 2))[-bits.shape[0] :]
    loss = T.mean(T.nnet.binary_crossentropy(said, bits))
    rate = T.scalar("rate")
    gradients = [T.clip(g, -0.1, 0.1) for g in graphc.grad(loss, parameters)]
    updates = graphc.optim.adam(gradients, parameters, rate)
    train = graphc.function([shown, bits, rate], loss, updates=updates)
    wrong = graphc.function([shown, bits], T.neq(said > 0.5, bits > 0.5))
    looked = graphc.function([shown], [writing[:, 0], reading[:, 0]])

    began, losses = time.perf_counter(), []
    for k in range(STEPS):
        batch = task(random, random.randint(1, LONGEST + 1), BATCH)
        losses.append(train(*batch, 0.005 * (1 - k / STEPS)))
        if (k + 1) % 500 == 0:
            print(f"step {k + 1}: loss {np.mean(losses[-100:]):.5f}, "
                  f"{time.perf_counter() - began:.0f} s")  # fmt: skip

    shown_v, _ = task(random, LONGEST, 1)
    heads = looked(shown_v)
    slots = [" ".join(f"{s:2d}" for s in w.argmax(1)) for w in heads]
    print(f"slots that a sequence is written to:  {slots[0][: 3 * LONGEST]}")
    print(f"and read from, when it is repeated:   {slots[1][3 * (LONGEST + 1) :]}")
    for length in (LONGEST, 3 * LONGEST // 2, 2 * LONGEST):
        errors = wrong(*task(random, length, 500))
        exact = np.mean(~errors.any(axis=(0, 2)))
        print(f"length {length}: {errors.mean():.3%} of bits wrong, {exact:.2%} copied exactly")
    out.mkdir(parents=True, exist_ok=True)
    said = ["bits"] * LONGEST + ["end"] + ["repeat"] * LONGEST
    pictures.attention(
        np.stack(heads), rows=said, names=["where it writes", "where it reads"],
        title="Slots of the memory, step by step",
    ).savefig(out / "heads.png")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("example-output/copy_task"))
    main(parser.parse_args().out)
