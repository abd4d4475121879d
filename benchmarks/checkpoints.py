"""Bytes that a long loop's gradient keeps between steps, without and with checkpoints.

Run: ``python benchmarks/checkpoints.py [STEPS ...]``.
"""

import sys
import time
from math import isqrt

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core.plan import size_text

WIDTH = 100


def gradient(steps: int, every: int | None) -> tuple[int, float, np.ndarray]:
    """The arenas' bytes, the seconds of a call, and the gradient of a matrix."""
    x, h, W = T.dmatrix("x"), T.dvector("h"), T.dmatrix("W")
    last, _ = graphc.reduce(
        lambda x_t, h: T.tanh(T.dot(h, W) + x_t), x, h, checkpoint_every=every, name="rnn"
    )
    f = graphc.function([x, h, W], graphc.grad(last.sum(), W))
    rng = np.random.default_rng(0)
    arguments = rng.standard_normal((steps, WIDTH)), np.zeros(WIDTH), 0.05 * np.eye(WIDTH)
    found = f(*arguments)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        f(*arguments)
        times.append(time.perf_counter() - start)
    return f.plan.all_arena_bytes, min(times), found


def needed(steps: int, every: int | None) -> int:
    """The states alone that have to be there at once: all, or one a chunk and one chunk's."""
    states = steps if every is None else steps // every + every
    return states * WIDTH * 8


def main(counts: list[int]) -> None:
    print(f"{'steps':>7} {'every':>6} {'states':>10} {'arenas':>10} {'ms':>8}")
    for steps in counts:
        plain = None
        for every in (None, isqrt(steps) // 2, isqrt(steps), 4 * isqrt(steps)):
            size, seconds, found = gradient(steps, every)
            plain = found if plain is None else plain
            np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)
            states = size_text(needed(steps, every))
            print(f"{steps:>7,} {every or '-':>6} {states:>10} {size_text(size):>10} "
                  f"{1e3 * seconds:8.2f}")  # fmt: skip


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [1_000, 10_000])
