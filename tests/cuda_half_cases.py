"""What cases of `cuda_cases.py` hold about float16 and bfloat16."""


import numpy as np
from cuda_fake import products_by_numpy
from half_numbers import BITS, HALVES, close, difficult, inputs, numbers, plain, same, stored

import graphc
import graphc.tensor as T
from graphc import Out, optim
from graphc.core import dtypes
from graphc.random import RandomStream
from graphc.runtime.cuda.driver import current_driver


def compared(variables, outputs, *arrays, units=1.0, exact=False):
    """The same outputs as in NumPy mode; the function."""
    options = {"on_unused_input": "ignore", "no_default_updates": True}
    device = graphc.function(variables, outputs, target="cuda", **options)
    expected = graphc.function(variables, outputs, mode="numpy", **options)(*arrays)
    for v, x, y in zip(outputs, device(*arrays), expected):
        same(x, y, str(v)) if exact else close(x, y, str(v), units)
    return device


def conversions_of_halves():
    """Bit by bit what the CPU gives: from all dtypes, of ties, subnormal and huge numbers."""
    twice = [1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1 - 2.0**-12 - 2.0**-50]
    wide = [*twice, 65519.999, 65520.0, 2.0**-25, 2.0**-25 + 2.0**-60, 1e300, 1e-300, 3.39e38,
            np.inf, 2.0**-134, -0.0, np.nan, -3.4e38]  # fmt: skip
    doubles, singles = np.array(wide + [-x for x in wide]), difficult()[::997]
    whole = np.array([0, 1, -1, 2049, 2051, 65519, -65520, 2**24 + 1, 2**31, -(2**53) - 1, 257])
    d, s, n, u = T.dvector("d"), T.fvector("s"), T.lvector("n"), T.vector("u", "uint64")
    f = [T.cast(v, half) for v in (d, s, n, u, n > 0) for half in HALVES]
    given = doubles, singles, whole, whole[whole > 0].astype("uint64")
    compared([d, s, n, u], f, *given, exact=True)
    for half in HALVES:
        (x,) = inputs(half, 1)
        given = BITS[::173].view(dtypes.numpy_dtype(half))
        other = next(h for h in HALVES if h != half)
        kinds = ("bool", "int8", "int32", "uint64", "float32", "float64", other)
        compared([x], [*(T.cast(x, k) for k in kinds), T.isnan(x), -x], given, exact=True)
        moved = graphc.function([x], [x[::-1], T.concatenate([x[3:], x])], target="cuda")(given)
        np.testing.assert_array_equal(moved[0].view("u2"), given[::-1].view("u2"))


def kernels_of_halves():
    """Rounded after each op; sums in float32 or wider; rows, columns, positions, indices, draws."""
    n = T.lvector("n")
    for half in HALVES:
        x, y = inputs(half, 2, 2)
        z = (x * y + x) / (y - x) * x - y
        exact = [z, x.T * 2, T.switch(x > 0, x, y[::-1]), T.maximum(x, y), x.max(axis=1), x > y,
                 x.argmax(axis=0), x[n], x[:, n % 3], T.set_subtensor(x[n], y[:3]), x.any(axis=0),
                 x[n[0] : n[0] + 2] * 1.5]  # fmt: skip
        rounded = [T.tanh(x) * T.exp(y), x.sum(), x.sum(axis=0), x.mean(axis=1), T.nnet.softmax(x),
                   x.var(axis=0), T.inc_subtensor(x[n], y[:3]), T.sort(x, axis=1)]  # fmt: skip
        given = numbers(half, 5, 6), numbers(half, 5, 6, seed=1), np.array([1, -1, 1])
        compared([x, y, n], exact, *given, exact=True)
        f = compared([x, y, n], rounded, *given)
        assert {dtypes.name_of(v.dtype) for v in f(*given)} == {half}
        stream = RandomStream(5)
        draws = [stream.uniform((3,), dtype=half), stream.normal((3,), dtype=half)]
        compared([], draws)
        long = stored(np.full((1, 5000), 8.0), half)
        same(graphc.function([x], x.mean(), target="cuda")(long), stored(8.0, half))


def products_of_halves():
    """Factors are read as they lie, results rounded once; float32 where that is asked for."""
    for half in HALVES:
        x, y = inputs(half, 2, 2)
        s = T.stack([x, x * 2, x + 1])
        w = graphc.shared(np.ones((3, 4), "float32"), name="w")
        built = [T.dot(x, y), T.dot(y.T[1:, ::-1], x.T) + 1, T.dot(x[0], y),
                 T.dot(T.cast(x, "float32"), T.cast(y, "float32")) * 0.5,
                 T.matmul(s, y), T.matmul(s.transpose(0, 2, 1), s[:, :, 1:])]  # fmt: skip
        given = numbers(half, 3, 5), numbers(half, 5, 4, seed=1)
        f = compared([x, y], built, *given)
        known = [(k.routine, k.nodes[-1].args[1].dtype) for k in f.plan.steps
                 if k.routine in ("gemm", "stacked")]  # fmt: skip
        assert set(known) == {("gemm", half), ("stacked", half)}, known
        exact = plain(given[0]).astype("float64") @ plain(given[1]).astype("float64")
        close(f(*given)[0], stored(exact, half))
        update = [(w, w - 0.5 * T.cast(T.dot(x, y), "float32"))]
        graphc.function([x, y], updates=update, target="cuda")(*given)
        expected = 1 - 0.5 * plain(f(*given)[0]).astype("float64")
        np.testing.assert_allclose(w.get_value(), expected, 1e-5)


def products_of_halves_by_a_library():
    if not current_driver().simulated:
        return
    with products_by_numpy() as used:
        products_of_halves()
        x, i = inputs("float16", 2)[0], T.lvector("i")
        w = graphc.shared(numbers("float16", 4, 4), name="w")
        f = graphc.function([x, i], x[i].sum(), updates=[(w, T.dot(x, x))], target="cuda")
        f(numbers("float16", 4, 4, seed=2), np.array([1, 2]))
        value = numbers("float16", 4, 4, seed=2).astype("float64")
        close(w.get_value(), stored(value @ value, "float16"))
    kinds = {(g.dtype, g.result, g.compute) for g in used.asked}
    assert kinds == {(h, r, "COMPUTE_32F") for h in HALVES for r in (h, "float32")}, kinds
    assert {(g.dtype, g.result) for g in used.asked if g.apart} >= {("float16", "float32")}


def convolutions_and_pooling_of_halves():
    for half in HALVES:
        images, filters, few = inputs(half, 4, 4, 4)
        with graphc.config(floatX="float32"):
            y = T.nnet.conv2d(images, filters, border_mode=1, subsample=(1, 2))
            built = [y, T.nnet.conv2d(images, few, num_groups=2)]
            mode = "max" if half == "float16" else "average_exc_pad"
            p = T.signal.pool.pool_2d(y, (2, 2), False, mode=mode)
            built += [p, *T.grad((p * p).sum(), [images, filters])]
            built += T.grad(T.sum(built[1] ** 2), [few])
            flat = images.reshape((2, 1, 5, 8))
            built += T.grad(T.sum(T.nnet.conv2d(flat, filters[:, :1, :1]) ** 2), [filters])
        shapes = (2, 2, 4, 5), (4, 2, 2, 2), (2, 1, 2, 2)
        given = [numbers(half, *s, seed=k) for k, s in enumerate(shapes)]
        f = compared([images, filters, few], built, *given, units=2)
        known = [s for s in f.plan.steps if s.routine in ("implicit", "pooling")]
        assert {a.dtype for s in known for a in (s.nodes[-1], s.nodes[-1].args[0])} == {half}
        assert "host" not in {s.routine for s in f.plan.steps}
        (bound,) = f._program.bound.values()
        assert max(len(a.launches) for a in bound.linked.actions) >= 2  # blocks that share sums


def loops_of_halves():
    for half in HALVES:
        x, w = inputs(half, 2, 2)

        def step(row, state, w):
            return T.tanh(row + T.dot(state, w))

        states, _ = graphc.scan(step, sequences=x, non_sequences=w,
                                outputs_info=T.zeros((3,), half))  # fmt: skip
        given = numbers(half, 5, 3), numbers(half, 3, 3, seed=1)
        f = compared([x, w], [states, states[-1]], *given, units=8)
        assert "loop" in {s.routine for s in f.plan.steps} or len(f.plan.steps) > 5


def halves_that_stay_on_the_device():
    for half in HALVES:
        (x,) = inputs(half, 1)
        f = graphc.function([x], Out(x * 2, device=True), target="cuda")
        kept = f(numbers(half, 5))
        assert half in repr(kept)
        again = graphc.function([x], x * 2, target="cuda")(kept)
        same(again, stored(4 * plain(numbers(half, 5)).astype("float64"), half))

        class Foreign:
            """An array of another library; that of bfloat16 is two bytes without a meaning."""

            __cuda_array_interface__ = kept.__cuda_array_interface__

        same(graphc.function([x], x * 2, target="cuda")(Foreign()), again)


def mixed_precision():
    """A step with masters and a scaled loss, and one that overflows, as in NumPy mode."""
    x, t = T.fmatrix("x"), T.lvector("t")
    rng = np.random.RandomState(3)
    rows, labels = rng.uniform(-1, 1, (6, 5)).astype("float32"), rng.randint(0, 3, 6)
    for half in HALVES:
        found = []
        for options in ({"target": "cuda"}, {"mode": "numpy"}):
            w, v = (graphc.shared(numbers(half, *s, seed=k), name="wv"[k])
                    for k, s in enumerate(((5, 4), (4, 3))))  # fmt: skip
            hidden = T.tanh(T.dot(T.cast(x, half), w))
            p = T.nnet.softmax(T.cast(T.dot(hidden, v), "float32"))
            loss = T.nnet.categorical_crossentropy(p, t).mean()
            optimiser = optim.MixedPrecision(optim.adam, scale=2.0**10, every=1)
            updates = optimiser(loss, [w, v], 0.05)
            step = graphc.function([x, t], loss, updates=updates, **options)
            losses = [float(step(rows * k, labels)) for k in (1, 1e5)]
            found.append([np.array(losses), *(plain(s.get_value()) for s, _ in updates)])
            names = [s.name for s, _ in updates]
        for name, a, b in zip(["loss", *names], *found):
            np.testing.assert_allclose(a, b, 0.02, 2e-3, err_msg=f"{half} {name}")


CASES = (
    conversions_of_halves, kernels_of_halves, products_of_halves, products_of_halves_by_a_library,
    convolutions_and_pooling_of_halves, loops_of_halves, halves_that_stay_on_the_device,
    mixed_precision,
)  # fmt: skip
