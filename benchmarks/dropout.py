"""Milliseconds of a fused dropout beside NumPy's generator: ``(uniform < p) * x`` on one thread.

Run: ``python benchmarks/dropout.py [ROWS COLUMNS]``.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

import graphc
import graphc.tensor as T

KEEP = 0.8


def best(call: Callable[[], object], rounds: int = 30) -> float:
    """The shortest time of a call, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main(rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{rows} x {columns}     graphc     NumPy")
    for dtype in ("float32", "float64"):
        array = rng.standard_normal((rows, columns)).astype(dtype)
        x = graphc.shared(array, borrow=True)
        stream = graphc.random.RandomStream(seed=1)
        keep = stream.uniform((rows, columns), dtype=dtype) < KEEP
        target = graphc.shared(np.empty_like(array), borrow=True)
        drop = graphc.function([], updates=[(target, T.switch(keep, x, 0))])
        out, u = np.empty_like(array), np.empty_like(array)

        def plain(array=array, out=out, u=u, dtype=dtype) -> None:
            rng.random(dtype=dtype, out=u)
            np.multiply(u < KEEP, array, out=out)

        normal = graphc.function([], updates=[(target, stream.normal(array.shape, dtype=dtype))])
        print(f"dropout {dtype}{best(drop):10.2f}{best(plain):10.2f}")
        other = best(lambda u=u, d=dtype: rng.standard_normal(dtype=d, out=u))
        print(f"normal  {dtype}{best(normal):10.2f}{other:10.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]) if len(sys.argv) > 2 else (1000, 1000))
