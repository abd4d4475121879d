"""What cases of `cuda_cases.py` hold about running sums and their kin."""

import numpy as np
from cuda_half_cases import compared
from half_numbers import HALVES, close, inputs, numbers, stored

import graphc
import graphc.tensor as T
from graphc.ops.running import shifted
from graphc.runtime.cuda import scans

rng = np.random.RandomState(5)


def same(build, *arrays, tolerance=3e-6):
    """As NumPy mode, without a step of the host."""
    from cuda_cases import compare

    f = compare(build, *arrays, tolerance=tolerance)
    assert "host" not in {s.routine for _, s in f.plan.all_steps()}, f.plan
    return f


def running_sums_and_products():
    for dtype in ("float32", "int8", "int64"):
        x = rng.uniform(0.5, 1.5, (2, 3, scans.SHORT + 6)).astype(dtype)
        same(lambda a, d=dtype: [T.cumsum(a, 0, dtype=d), T.cumprod(a[..., ::-1], 2, dtype=d)], x)
    small = rng.uniform(-2, 2, (4, 3, 7))
    same(lambda a: [f(a, k) for k in range(3) for f in (T.cumsum, T.cumprod)], small)
    same(lambda a: [T.cumsum(a, 0), T.cumprod(a.T, 1), T.cumsum(a)], np.zeros((0, 3)))


def gradients_of_running_products():
    small = rng.uniform(-2, 2, (3, 2, 5))
    small[0] = 0
    same(lambda a: [T.grad((T.cumprod(a, k) ** 2).sum(), a) for k in range(3)], small)
    same(lambda a: [T.grad(T.cumprod(a).sum(), a), T.grad(a.prod(axis=(0, 2)).sum(), a)], small)


def running_sums_of_few_long_rows():
    """Three blocks of four threads that take four elements each."""
    x = rng.uniform(-1.5, 1.5, 3 * scans.TILES * scans.EACH * 4 + 7)
    f = same(lambda a: [T.cumsum(a), T.cumprod(a), T.grad(T.cumprod(a).sum(), a)], x)
    source = next(k.source for k in f.kernels if "total_x" in k.source)
    assert source.count("def kernel") == 2
    g = same(lambda a: T.cumsum(a, 0), np.stack([x[:90], x[90:180]], 1))
    assert all("total_x" not in k.source for k in g.kernels)


def running_infinities():
    hard = [1, np.inf, 2, -np.inf, 3], [-0.0, -0.0, np.nan, 0, 1], [1e308, 1e308, -1e308, 1, 0]
    f = same(lambda x: [f(x, k) for k in (0, 1) for f in (T.cumsum, T.cumprod)], np.array(hard))
    for found in f(np.full((2, 2), -0.0))[::2]:
        assert np.signbit(found).all()
    x = rng.uniform(-1.5, 1.5, 200)
    x[[20, 100, 150]] = 0, np.inf, -np.inf
    same(lambda a: [T.cumsum(a[30:]), T.cumsum(a), T.cumprod(a), T.cumprod(a[30:])], x)
    first = np.full(80, 0.5)
    first[0] = np.inf  # of a recurrence's factors: nothing comes before it
    same(lambda a: T.grad(T.cumprod(a[::-1]).sum(), a), first)


def loops_of_running_sums():
    def states(x, start):
        h, _ = graphc.scan(lambda row, s: T.tanh(T.cumsum(row + s)), sequences=x,
                           outputs_info=start)  # fmt: skip
        return [h, T.grad((h**2).sum(), start)]

    same(states, rng.uniform(-1, 1, (3, 4)), np.zeros(4))
    same(lambda x, i: T.cumsum(x[i : i + 2], 1), rng.uniform(-1, 1, (5, 3)), np.array(2))


def running_halves():
    """Carried in float32, and rounded where they are stored."""
    for half in HALVES:
        (x,) = inputs(half, 2)[:1]
        short, long = numbers(half, 3, 6), numbers(half, 2, scans.SHORT + 6)
        exact = [T.cumsum(x, 0), T.cumprod(x, 1), T.cumsum(x[::-1].T, 0)]
        exact.append(shifted(x, (0, 1), 1, True))
        compared([x], exact, short, exact=True)
        built = [T.cumsum(x, 1), T.cumprod(x[:, :9], 1), T.grad(T.cumprod(x, 0).sum(), x)]
        f = compared([x], built, long, units=2.0)
        assert "host" not in {s.routine for s in f.plan.steps}, f.plan
        assert sum(s.routine == "running" for s in f.plan.steps) >= 3
        ones = stored(np.full((1, 300), 8.0), half)  # in steps of 8, sums of 16 bits would stay
        found = graphc.function([x], T.cumsum(x, 1), target="cuda")(ones)
        close(found, stored(np.arange(8.0, 2408, 8)[None], half), half, 0.6)


CASES = (running_sums_and_products, gradients_of_running_products, running_sums_of_few_long_rows,
         running_infinities, loops_of_running_sums,
         running_halves)  # fmt: skip
