"""Products of training steps on one thread: the chosen kernel, SciPy's BLAS by pointer, `np.dot`.

Run: python benchmarks/contraction.py [--dtype float64] [--rounds 60] [--level avx2]

Both routines are called from one native loop, in turns, over several copies of A where a workload
would not find A in the cache. Times are the least and the median of the rounds; ratios above one
mean that the chosen kernel is faster. To compare a lower level with the BLAS of such a CPU, set
OPENBLAS_CORETYPE=Haswell.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from dataclasses import dataclass

import numpy as np
import scipy.linalg.cython_blas as cython_blas  # before the limit on threads, which it has to meet
from threadpoolctl import threadpool_limits

from graphc.runtime import contraction
from graphc.runtime.contraction import native


@dataclass(frozen=True)
class Shape:
    """``C[m, n] = A[m, k] B[k, n] + beta C``; `transposed` names operands stored by columns."""

    name: str
    m: int
    k: int
    n: int
    transposed: str = ""
    beta: float = 0.0


SHAPES = (
    Shape("MLP: x @ W1", 20, 784, 500),
    Shape("MLP: h @ W2", 20, 500, 10),
    Shape("MLP: d @ W2.T", 20, 10, 500, "B"),
    Shape("MLP: W1 update, decay", 784, 20, 500, "A", 0.99998),
    Shape("MLP: W1 update", 784, 20, 500, "A", 1.0),
    Shape("MLP: W2 update, decay", 500, 20, 10, "A", 0.99998),
    Shape("logistic: x @ W", 600, 784, 10),
    Shape("logistic: x.T @ d", 784, 600, 10, "A"),
    Shape("autoencoder: x @ W", 100, 784, 256),
    Shape("autoencoder: h @ W.T", 100, 256, 784, "B"),
    Shape("autoencoder: W update", 784, 100, 256, "A", 1.0),
    Shape("wide MLP: x @ W1", 128, 784, 1024),
    Shape("wide MLP: h @ W2", 128, 1024, 1024),
    Shape("wide MLP: d @ W2.T", 128, 1024, 1024, "B"),
    Shape("wide MLP: W2 gradient", 1024, 128, 1024, "A"),
    Shape("vector @ matrix", 1, 64, 64),
    Shape("matrix @ vector", 64, 64, 1),
    Shape("vector @ large matrix", 1, 1024, 1024),
    Shape("LSTM: h @ U", 32, 256, 1024),
    Shape("LSTM: d @ U.T", 32, 1024, 256, "B"),
    Shape("large", 4096, 1024, 1024),
)

LOOPS = """
define void @steps(ptr %f, ptr %blocks, i64 %count, i64 %high, i64 %times) {
start:
  %out = alloca i64
  br label %loop
loop:
  %i = phi i64 [0, %start], [%next, %loop]
  %turn = urem i64 %i, %count
  %place = getelementptr i64, ptr %blocks, i64 %turn
  %block = load i64, ptr %place
  %code = call i32 %f(ptr %out, ptr null, i64 %block, i64 0, i64 %high)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %end
end:
  ret void
}

define void @library(ptr %f, ptr %tables, i64 %count, i64 %times) {
start:
  br label %loop
loop:
  %i = phi i64 [0, %start], [%next, %loop]
  %turn = urem i64 %i, %count
  %row = mul i64 %turn, 13
  %table = getelementptr i64, ptr %tables, i64 %row
LOADS
  call void %f(ARGUMENTS)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""


def loops() -> native.Library:
    """Return the native loops that call a step and a routine of the BLAS."""
    loads = (
        f"  %p{i} = getelementptr i64, ptr %table, i64 {i}\n  %x{i} = load ptr, ptr %p{i}"
        for i in range(13)
    )
    arguments = ", ".join(f"ptr %x{i}" for i in range(13))
    text = LOOPS.replace("LOADS", "\n".join(loads)).replace("ARGUMENTS", arguments)
    return native.Library(native.object_code(text))


def blas_address(dtype: str) -> int:
    """Return the address of SciPy's ?gemm."""
    capsule = cython_blas.__pyx_capi__[{"float32": "sgemm", "float64": "dgemm"}[dtype]]
    name_of, address_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of.restype, address_of.argtypes = (
        ctypes.c_void_p,
        [ctypes.py_object, ctypes.c_char_p],
    )
    return address_of(capsule, name_of(capsule))


class Problem:
    """The arrays of a shape and the arguments of every routine for them."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        random = np.random.default_rng(0)
        m, k, n = shape.m, shape.k, shape.n
        item = np.dtype(dtype).itemsize
        copies = int(min(12, max(1, 8e6 // (item * m * k))))

        def operand(name: str, rows: int, columns: int) -> np.ndarray:
            values = random.uniform(-1, 1, (rows, columns)).astype(dtype)
            return np.asfortranarray(values) if name in shape.transposed else values

        self.shape, self.dtype = shape, dtype
        self.copies = [operand("A", m, k) for _ in range(copies)]
        self.b, self.c = operand("B", k, n), np.zeros((m, n), dtype)

    def strides(self) -> list[tuple[int, int]]:
        """Return the strides of A and B in elements."""
        return [tuple(s // x.itemsize for s in x.strides) for x in (self.copies[0], self.b)]

    def blocks(self, split: int) -> list[np.ndarray]:
        """Return a step's block for each copy of A."""
        shape = self.shape
        return [
            np.array(
                contraction.block(
                    (a.ctypes.data, self.b.ctypes.data, self.c.ctypes.data),
                    (shape.m, shape.n, shape.k),
                    *self.strides(),
                    shape.n,
                    beta=shape.beta,
                    split=split,
                ),
                np.int64,
            )
            for a in self.copies
        ]

    def tables(self) -> tuple[np.ndarray, tuple]:
        """Return the thirteen pointers for each copy of A, and what they point to."""
        m, k, n = self.shape.m, self.shape.k, self.shape.n
        flags = [name in self.shape.transposed for name in "BA"]
        ints = np.array([n, m, k, k if flags[0] else n, m if flags[1] else k, n], np.int32)
        reals = np.array([1, self.shape.beta], self.dtype)
        letters = np.array([b"NT"[flag] for flag in flags], np.uint8)
        i, r, t = ints.ctypes.data, reals.ctypes.data, letters.ctypes.data
        b, c, item = self.b.ctypes.data, self.c.ctypes.data, reals.itemsize
        rows = [
            [t, t + 1, i, i + 4, i + 8, r, b, i + 12, a.ctypes.data, i + 16, r + item, c, i + 20]
            for a in self.copies
        ]
        return np.array(rows, np.int64), (ints, reals, letters)


def measure(shape: Shape, dtype: str, level: str, rounds: int, loop: native.Library) -> str:
    """Return the table's line for a shape."""
    problem = Problem(shape, dtype)
    m, n, k = shape.m, shape.n, shape.k
    work = 2 * m * n * k
    times = max(1, int(2e7 // work))
    tables, kept = problem.tables()
    word, address = ctypes.c_int64, ctypes.c_void_p
    library = ctypes.CFUNCTYPE(None, address, address, word, word)(loop.address("library"))
    blas = blas_address(dtype)
    calls = {
        "blas": lambda: library(blas, tables.ctypes.data, len(tables), times),
        "dot": lambda: [np.dot(problem.copies[0], problem.b, out=problem.c) for _ in range(times)],
    }
    choice = contraction.choose(m, n, k, dtype, *problem.strides(), level, beta=shape.beta)
    if choice.variant is not None:
        text, symbol = contraction.emit_gemm(choice.variant)
        code = native.Library(native.object_code(text, contraction.LEVELS[level]))
        blocks = problem.blocks(0)
        places = np.array([block.ctypes.data for block in blocks], np.int64)
        kind = ctypes.CFUNCTYPE(None, address, address, word, word, word)
        steps, step = kind(loop.address("steps")), code.address(symbol)
        calls["tile"] = lambda: steps(step, places.ctypes.data, len(places), m, times)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(max(5, min(rounds, int(2e9 * rounds / 60 / work / times)))):
        problem.c[...] = 0
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent[name].append((time.perf_counter() - start) / times)
    del kept
    return line(shape, choice, work, spent)


def line(shape: Shape, choice: contraction.Choice, work: int, spent: dict[str, list[float]]) -> str:
    """Format the results of a shape."""
    least = {name: min(values) for name, values in spent.items()}
    middle = {name: statistics.median(values) for name, values in spent.items()}
    size = f"{shape.m}x{shape.k}x{shape.n}"
    columns = [f"{shape.name:24}{size:>15}"]
    for name in ("tile", "blas", "dot"):
        figure = (
            f"{1e6 * least[name]:9.1f} {work / least[name] / 1e9:6.1f}" if name in least else ""
        )
        columns.append(f"{figure:16}")
    if choice.variant is None:
        return " | ".join([*columns, "              ", "blas"])
    ratios = f"{least['blas'] / least['tile']:6.2f} {middle['blas'] / middle['tile']:6.2f} "
    return " | ".join([*columns, ratios, choice.variant.symbol])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--level", choices=list(contraction.LEVELS), default=None)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    level = options.level or native.host_level().name
    loop = loops()
    print(
        f"{options.dtype}, {level}; microseconds (least) and GFLOP/s; ratio BLAS / tile: "
        "least, median"
    )
    header = [f"{'product':24}{'m x k x n':>15}"] + [f"{x:>16}" for x in ("tile", "blas", "np.dot")]
    print(" | ".join([*header, "     ratio    ", "chosen"]))
    with threadpool_limits(1):
        for shape in SHAPES:
            print(measure(shape, options.dtype, level, options.rounds, loop), flush=True)


if __name__ == "__main__":
    main()
