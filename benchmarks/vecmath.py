"""Nanoseconds per element of vector maths beside NumPy (SciPy for special functions).

One thread, arrays of 10,000 elements in cache. Run: ``python benchmarks/vecmath.py [NAME ...]``.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.special

from graphc.runtime.vecmath import FUNCTIONS
from graphc.runtime.vecmath.loops import compile_loops, emit_loops

SIZE = 10_000
# Ranges of the arguments; elsewhere -6 to 6.
RANGES = {
    "log": (0.1, 6), "log2": (0.1, 6), "log10": (0.1, 6), "log1p": (0.1, 6), "pow": (0.1, 6),
    "sqrt": (0.1, 6), "rsqrt": (0.1, 6), "arcsin": (-1, 1), "arccos": (-1, 1),
    "arctanh": (-0.99, 0.99), "arccosh": (1, 9), "gamma": (0.1, 20), "gammaln": (0.1, 20),
    "digamma": (0.1, 20), "erfinv": (-0.99, 0.99), "erfcinv": (0.01, 1.99),
}
OTHERS: dict[str, Callable[..., np.ndarray]] = {
    "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(x, np.zeros((), x.dtype)),
    "digamma": scipy.special.psi,
    "round_half_away": lambda x: np.trunc(x + np.copysign(x.dtype.type(0.5), x)),
}


def best(call: Callable[[], object], repetitions: int = 20, rounds: int = 15) -> float:
    """The shortest mean time of a call, in nanoseconds per element."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repetitions):
            call()
        times.append((time.perf_counter() - start) / repetitions)
    return min(times) / SIZE * 1e9


def main(names: list[str]) -> None:
    names = names or list(FUNCTIONS)
    loops = compile_loops(emit_loops(names))
    rng = np.random.default_rng(0)
    print(f"{'ns per element':16}{'float32':>10}{'NumPy':>10}{'float64':>10}{'NumPy':>10}")
    for name in names:
        other = OTHERS.get(name) or getattr(np, name, None) or getattr(scipy.special, name)
        row = []
        for dtype in ("float32", "float64"):
            low, high = RANGES.get(name, (-6, 6))
            arguments = [rng.uniform(low, high, SIZE).astype(dtype)
                         for _ in range(FUNCTIONS[name].arity)]
            result = np.empty_like(arguments[0])
            pointers = [array.ctypes.data for array in (*arguments, result)]
            loop = loops.pointer(name, dtype)
            row.append(best(lambda: loop(*pointers, SIZE)))  # noqa: B023
            row.append(best(lambda: other(*arguments), 3, 7))  # noqa: B023
        print(f"{name:16}" + "".join(f"{value:10.2f}" for value in row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
