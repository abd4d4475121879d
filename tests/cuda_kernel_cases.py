"""Kernels of CUDA at the edges of their forms, in Numba's simulator: part of `cuda_cases.py`.

There blocks have 4 threads, warps 2 and grids 3 blocks, so a team is 1, 2 or 4 threads, rows of
more than 64 elements don't fit into registers, and of more than 128 several blocks share one.
"""

from contextlib import contextmanager

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError
from graphc.runtime.cuda.driver import current_driver

rng = np.random.RandomState(7)
KINDS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")


def both(build, *arrays):
    """A function of the device and one of NumPy mode, of inputs like arrays."""
    inputs = [T.TensorType(a.dtype.name, (None,) * a.ndim)(f"x{k}") for k, a in enumerate(arrays)]
    outputs = build(*inputs)
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    return [
        graphc.function(inputs, outputs, on_unused_input="ignore", **options)
        for options in ({"target": "cuda"}, {"mode": "numpy"})
    ]


def agree(functions, *arrays, tolerance=3e-6):
    device, plain = functions
    found = device(*arrays)
    for k, (x, y) in enumerate(zip(found, plain(*arrays))):
        assert x.dtype == y.dtype and x.shape == y.shape, (k, x.dtype, x.shape, y.dtype, y.shape)
        np.testing.assert_allclose(x, y, tolerance, 1e-6 if x.dtype == "float32" else 1e-12,
                                   err_msg=f"output {k}, {[a.shape for a in arrays]}")  # fmt: skip
    return found


def sources(f):
    return "\n".join(k.source for k in f.kernels)


@contextmanager
def launches(**limits):
    """Other limits in the simulator; a device has enough of everything."""
    driver = current_driver()
    before = {name: getattr(driver, name) for name in limits}
    try:
        if driver.simulated:
            vars(driver).update(limits)
        yield
    finally:
        vars(driver).update(before)


def vectors_and_tails():
    """Elementwise work of all sizes around vectors, grids and their copies."""
    for dtypes, words in (("float32 float32", ("load4", "store4")),
                          ("float64 float64", ("load2", "store2")), ("int8 bool", ("load8",)),
                          ("float32 int16", ("load4",)), ("float64 int32", ("load2",)),
                          ):  # fmt: skip
        a, b = dtypes.split()
        pair = both(lambda x, y: [x + T.cast(y, x.dtype), x > T.cast(y, x.dtype)],
                    np.zeros(1, a), np.zeros(1, b))  # fmt: skip
        for size in (0, 1, 3, 4, 5, 33, 101):
            agree(pair, rng.randint(-9, 9, size).astype(a), rng.randint(0, 2, size).astype(b))
        for word in words:
            assert word in sources(pair[0]), (dtypes, word)
    pair = both(lambda x, y: [T.exp(x) * y + 1, x[1:] - y[:-1], x[3:].sum(), (x[2:-1] * 2).max()],
                np.zeros(1), np.zeros(1))  # fmt: skip
    for size in (4, 7, 66):
        agree(pair, rng.uniform(-1, 1, size), rng.uniform(-1, 1, size))


def broadcasts_and_strides():
    """Along each axis, in steps of whole vectors and not, and backwards."""
    for width in (8, 6, 5, 1):
        x = rng.uniform(-1, 1, (3, 4, width)).astype("float32")

        def build(x):
            y = x[:, :, ::-1]
            return [x + x[:1], x * x[:, :1], x - x[:, :, :1], x + x[:1, :, :1], y + x[::-1],
                    y.transpose(2, 0, 1) * 2 + 1, x.transpose(1, 0, 2) + x[:1].transpose(1, 0, 2),
                    x[:, ::2] * 3 + x[:, 1::2], x[0, 0] + x]  # fmt: skip

        agree(both(build, x), x)
    for shape in ((0, 5), (5, 0), (1, 1)):
        x = np.ones(shape, "float32")
        agree(both(lambda x: [x + x[:1], x.sum(axis=0), x.sum(axis=1), x.sum(), x.prod(axis=1),
                              (x > 0).any(axis=0), T.exp(x - x.sum(axis=1, keepdims=True))],
                   x), x)  # fmt: skip


def rows_of_all_lengths():
    """Teams of a thread, of a warp, of a block; rows in registers, in loops, in shares."""
    pair = both(lambda x: [T.nnet.softmax(x), x.var(axis=1), x.argmax(axis=1),
                           x / T.sqrt((x**2).sum(axis=1, keepdims=True))],
                np.zeros((1, 1), "float32"))  # fmt: skip
    for n in (1, 2, 3, 4, 5, 8, 12, 31, 32, 40, 64, 70, 131):
        agree(pair, rng.uniform(-1, 1, (5 if n < 12 else 2, n)).astype("float32"), tolerance=2e-5)
    pair = both(lambda x: [x.sum(axis=1), x.max(axis=1), x.argmin(axis=1), T.exp(x).sum(axis=1)],
                np.zeros((1, 1)))  # fmt: skip
    agree(pair, rng.uniform(-1, 1, (7, 9)))
    assert "row * parts + k" not in sources(pair[0])
    with launches(blocks=7):
        pair = both(lambda x: [x.sum(axis=1), x.max(axis=1), x.argmin(axis=1)], np.ones((1, 1)))
        for shape in ((2, 301), (3, 141)):
            x = rng.uniform(-1, 1, shape)
            first = agree(pair, x)
            for a, b in zip(first, pair[0](x)):
                np.testing.assert_array_equal(a, b)
        assert "row * parts + k" in sources(pair[0])
    x = rng.uniform(-1, 1, (2, 3, 4, 5))
    agree(both(lambda x: [x[:, :, ::2].sum(axis=(1, 2)), x[:, :, :, 1:].max(axis=(2, 3)),
                          x - x[:, ::2].mean(axis=(1, 3), keepdims=True),
                          x.mean(axis=(0, 2, 3)), x[:, :, 1:3].argmax(axis=2)], x), x)  # fmt: skip


def teams_of_several_warps():
    """Blocks of 8 threads and warps of 2: rows for teams of 4 that meet in shared memory."""
    with launches(threads=8):
        pair = both(lambda x: [T.nnet.softmax(x), x.argmax(axis=1), x.sum(axis=0), x.sum()],
                    np.zeros((1, 1)))  # fmt: skip
        for shape in ((5, 14), (3, 16)):
            agree(pair, rng.uniform(-1, 1, shape))


def columns():
    """Sums along the slow axis: by strips, by shares of strips, beside work on rows."""
    for shape in ((130, 3), (70, 2), (7, 9), (1, 5), (40, 1)):
        x = rng.uniform(-1, 1, shape).astype("float32")
        agree(both(lambda x: x.sum(axis=0), x), x, tolerance=2e-5)
        agree(both(lambda x: x.argmax(axis=0), x), x)
        agree(both(lambda x: [x.max(axis=0), x.sum(axis=0), T.exp(x).sum(axis=0)], x), x,
              tolerance=2e-5)  # fmt: skip
        agree(both(lambda x: (x - x.mean(axis=0)) / T.sqrt(x.var(axis=0) + 0.1), x), x,
              tolerance=2e-5)  # fmt: skip
    for shape in ((9, 6), (5, 13), (3, 70)):
        x = rng.uniform(-1, 1, shape)

        def build(x):
            p = T.nnet.softmax(x)
            return [p, p.sum(axis=0), p.max(axis=1), p.sum(), (x * p).sum(axis=0) / x[0]]

        agree(both(build, x), x)


def nan_and_infinities():
    """NaN beats all, wherever in a row it is; of equal positions the first counts."""
    for n in (3, 70):
        x = rng.randint(-2, 3, (7, n)).astype("float32")
        x[0, n - 1] = x[1, 0] = x[2, n // 2] = x[2, n // 3] = np.nan
        x[3], x[4], x[5, 1] = -np.inf, np.inf, np.inf
        for y in (x, np.ascontiguousarray(x.T)):
            agree(both(lambda a: [getattr(T, k)(a, 1) for k in KINDS], y), y)
        agree(both(lambda a: [getattr(T, k)(a) for k in KINDS], x), x)
    for dtype in ("bool", "uint8", "int16", "uint64"):
        x = rng.randint(0, 2, (6, 11)).astype(dtype)
        agree(both(lambda a: [getattr(T, k)(a, axis) for k in KINDS for axis in (None, 0, 1)], x),
              x)  # fmt: skip


def in_place():
    """Copies beyond the end read what others overwrite, and store nothing."""
    for shape in ((3, 7), (2, 8), (5, 70)):
        start = rng.uniform(-1, 1, shape)
        found = []
        for options in ({"target": "cuda"}, {"mode": "numpy"}):
            w, v = graphc.shared(start.copy(), name="w"), graphc.shared(start.copy(), name="v")
            b = graphc.shared(start[0].copy(), name="b")
            step = graphc.function([], updates=[(w, T.nnet.softmax(w)), (v, v * 2 + v[:1]),
                                                (b, b - v.sum(axis=0))], **options)  # fmt: skip
            step(), step()
            found.append([s.get_value() for s in (w, v, b)])
        for x, y in zip(*found):
            np.testing.assert_allclose(x, y, 1e-12)


def gathers_in_copies():
    """Rows that indices name, and an index out of range in the last element of the last copy."""
    table = rng.uniform(-1, 1, (6, 8)).astype("float32")
    picks = rng.randint(0, 6, 9)
    pair = both(lambda a, i: [a[i], a[i] * 2 + a[0], a[i].sum(axis=1), a[0][i % 8], a[:, i % 8]],
                table, picks)  # fmt: skip
    agree(pair, table, picks)
    for at in (0, 8):
        wrong = picks.copy()
        wrong[at] = 6 + at
        try:
            pair[0](table, wrong)
        except BadIndexError as error:
            assert f"index {6 + at} is outside an axis of size 6" in str(error), error
        else:
            raise AssertionError("no error")


CASES = (
    vectors_and_tails, broadcasts_and_strides, rows_of_all_lengths, teams_of_several_warps,
    columns, nan_and_infinities, in_place, gathers_in_copies,
)  # fmt: skip
