"""What the CUDA target does in Numba's simulator: run as a program, it prints a line per case.

The simulator has to be chosen before Numba is imported, so tests run this in a process of its
own (``NUMBA_ENABLE_CUDASIM=1``) and read what it says. Each case is compared with NumPy mode.
Arguments choose cases by name.
"""

import sys
import traceback
import warnings

import cuda_array_cases
import cuda_atomic_cases
import cuda_device_cases
import cuda_graph_cases
import cuda_half_cases
import cuda_kernel_cases
import cuda_running_cases
import cuda_solver_cases
import cuda_tile_cases
import numpy as np
from cuda_fake import products_by_numpy

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError
from graphc.random import RandomStream
from graphc.runtime.cuda.driver import current_driver

rng = np.random.RandomState(1)
A, B = (rng.uniform(-2, 2, (5, 3)).astype("float32") for _ in range(2))
D = rng.uniform(-2, 2, (3, 7))
V = rng.uniform(-2, 2, 11)
PICKS = np.array([1, -1, 1, 0])
NAN = np.array([[1, np.nan, 3], [4, 4, np.nan], [-np.inf, -np.inf, -np.inf]])


def inputs_for(arrays):
    return [T.TensorType(a.dtype.name, (None,) * a.ndim)(f"x{k}") for k, a in enumerate(arrays)]


def compare(build, *arrays, tolerance=3e-6):
    """The same outputs as in NumPy mode, in dtype, shape and value; of updates too."""
    inputs = inputs_for(arrays)
    outputs = build(*inputs)
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    options = {"on_unused_input": "ignore"}
    device = graphc.function(inputs, outputs, target="cuda", **options)
    plain = graphc.function(inputs, outputs, mode="numpy", **options)
    for k, (x, y) in enumerate(zip(device(*arrays), plain(*arrays))):
        assert x.dtype == y.dtype and x.shape == y.shape, (k, x.dtype, y.dtype, x.shape, y.shape)
        np.testing.assert_allclose(x, y, tolerance, 1e-6 if x.dtype == "float32" else 1e-12)
    return device


def elementwise():
    compare(lambda a, b: [T.exp(a) * b + 1, T.maximum(a, b), T.nnet.sigmoid(a), a > b], A, B)
    compare(lambda a: a[::-1, ::-1] * 2 + a[:1], A)
    compare(lambda a: [a + 1, a.sum(), a.prod(axis=0), a.sum(axis=1)], np.zeros((0, 3)))
    compare(lambda a: T.exp(a).sum() + a, np.array(2.0))


def special_functions():
    compare(lambda x: [T.erf(x), T.erfc(x), T.psi(x), T.gammaln(x), T.nnet.softplus(x), T.tan(x),
                       T.arcsinh(x), T.round(x), T.expm1(x), T.log1p(abs(x))], V)  # fmt: skip
    compare(lambda x: [T.erfinv(x / 3), T.arctan2(x, x + 1), abs(x) ** 1.7, x % 1.5, x // 0.7], V)


def integers():
    for dtype in ("int8", "int32", "int64", "uint8", "uint64"):
        x = np.array([0, 1, 2, 7, 100, 127, np.iinfo(dtype).max], dtype)
        y = np.array([3, 0, 2, 1, 7, 100, 5], dtype)
        compare(lambda a, b: [a + b, a * b, a // b, a % b, a & b, a ^ b, ~a, a << (b % 4), a.sum(),
                              a.max(), T.cast(a, "float32"), T.eq(a, b)], x, y)  # fmt: skip


def casts():
    x = np.array([0.0, -1.5, 3e9, -3e9, 1e20, np.nan, np.inf, 300.7, -0.2])
    compare(lambda a: [T.cast(a, d) for d in ("int8", "uint8", "int32", "int64", "bool")], x)


def reductions():
    kinds = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
    for array in (A, NAN, D, D.astype("int32")):
        compare(lambda a: [getattr(T, k)(a, axis) for k in kinds for axis in (None, 0, 1)], array)


def rows():
    compare(lambda a: [T.nnet.softmax(a), T.nnet.logsoftmax(a), a - a.mean(axis=1, keepdims=True)],
            A)  # fmt: skip
    compare(lambda a: [T.nnet.softmax(a.T), a.var(axis=0), a + a.sum(axis=0)], D)
    compare(lambda v: [T.nnet.softmax(v), v / v.sum()], V)


def rows_longer_than_blocks():
    many = rng.uniform(-1, 1, (9, 13))
    compare(lambda a: [T.nnet.softmax(T.tanh(T.exp(a))), a.sum(axis=0), (a * a).sum(), a.argmin()],
            many)  # fmt: skip


def indexing():
    compare(lambda a, i: [a[i], a[:, i % 3], a[i, i % 3]], A, PICKS)
    compare(lambda a, i: [T.set_subtensor(a[i], 7.0), T.inc_subtensor(a[i], a[:4]),
                          T.inc_subtensor(a[i % 3, i % 2], 1.0), T.set_subtensor(a[1:3], 0.0)],
            A, PICKS)  # fmt: skip
    compare(lambda a, i: T.grad((a[i] ** 2).sum(), a), A, PICKS)
    compare(lambda a, k: a[k] + a[k + 1 : k + 3].sum(), A, np.array(2))


def scatters_repeat():
    """Sums of the same places, in the same order: to the last bit."""
    picks = rng.randint(0, 3, 40)
    values = rng.uniform(-1, 1, 40).astype("float32")
    v, i = inputs_for([values, picks])
    f = graphc.function([v, i], T.inc_subtensor(T.zeros((3,), "float32")[i], v), target="cuda")
    expected = np.zeros(3, "float32")
    np.add.at(expected, picks, values)
    for _ in range(2):
        np.testing.assert_array_equal(f(values, picks), expected)


def bad_indices():
    table = graphc.shared(A.copy(), name="table")
    i = T.lvector("i")
    f = graphc.function([i], table[i].sum(), updates=[(table, table + 1)], target="cuda")
    f(PICKS)
    before = table.get_value()
    for wrong in (9, -6):
        try:
            f(np.array([0, wrong]))
        except BadIndexError as error:
            assert f"index {wrong} is outside an axis of size 5" in str(error), error
        else:
            raise AssertionError("no error")
    np.testing.assert_array_equal(table.get_value(), before)
    f(PICKS)
    np.testing.assert_allclose(table.get_value(), A + 2, 1e-6)


def random_numbers():
    for dtype in ("float32", "float64"):
        stream = RandomStream(5)
        draws = [stream.uniform((3, 4), dtype=dtype), stream.normal((7,), dtype=dtype)]
        device = graphc.function([], draws, target="cuda", no_default_updates=True)
        plain = graphc.function([], draws, mode="numpy", no_default_updates=True)
        (u, n), (v, m) = device(), plain()
        np.testing.assert_array_equal(u, v)
        np.testing.assert_allclose(n, m, 1e-6)


def products():
    compare(lambda a, b: [T.dot(a, b.T), T.dot(a.T, b), T.dot(a, b.T) * 2 + 1], A, B)
    compare(lambda a: [T.dot(a, a.T), T.dot(a[0], a.T)], D)
    w = graphc.shared(D.copy(), name="w")
    x, y = T.dmatrix("x"), T.dmatrix("y")
    updates = [(w, w - 0.5 * T.dot(x.T, y))]
    f = graphc.function([x, y], T.dot(x, w), updates=updates, target="cuda")
    left, right = rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (4, 7))
    np.testing.assert_allclose(f(left, right), left @ D, 1e-12)
    np.testing.assert_allclose(w.get_value(), D - 0.5 * left.T @ right, 1e-12)


def convolved(shape, filters, dtype="float64", parts=None, **options):
    """A convolution and both gradients of something that isn't linear in it."""
    x, w = (rng.uniform(-1, 1, s).astype(dtype) for s in (shape, filters))

    def build(x, w):
        conv = T.nnet.conv2d if x.ndim == 4 else T.nnet.conv3d
        y = conv(x, w, **options)
        return [y, *T.grad((y * y * y).sum(), [x, w])]

    f = compare(build, x, w, tolerance=1e-4 if dtype == "float32" else 1e-11)
    found = [len(a.launches) for a in _actions(f) if a.step.routine == "implicit"]
    assert found == [1, 1, 1] if parts is None else max(found) == parts, found


def _actions(f):
    (bound,) = f._program.bound.values()
    return bound.linked.actions


def convolutions():
    convolved((2, 2, 4, 5), (4, 2, 3, 2), "float32")
    convolved((1, 3, 5, 4), (5, 3, 3, 3), border_mode=(1, 2), subsample=(2, 1))
    convolved((2, 4, 5, 3), (8, 1, 2, 2), num_groups=4, border_mode="full")
    convolved((1, 2, 6, 6), (4, 2, 2, 3), filter_dilation=(2, 1), border_mode="half")
    convolved((1, 1, 3, 3, 3), (4, 1, 2, 2, 2), subsample=(1, 2, 1))
    empty = np.zeros((0, 1, 3, 3)), rng.uniform(-1, 1, (4, 1, 2, 2))
    compare(lambda x, w: [T.nnet.conv2d(x, w), T.grad(T.nnet.conv2d(x, w).sum(), w)], *empty)
    x, w = (rng.uniform(-1, 1, s) for s in ((2, 6, 4, 2), (4, 3, 2, 2)))
    compare(lambda x, w: T.nnet.conv2d(x.transpose(0, 3, 1, 2)[:, ::-1, 1:], w[:, 1:]), x, w)


def convolutions_of_few_rows():
    """Depthwise ones, and those with a filter or a channel alone."""
    convolved((2, 3, 4, 4), (6, 1, 2, 3), "float32", num_groups=3, border_mode="half")
    convolved((2, 3, 5, 4), (3, 1, 2, 2), num_groups=3, subsample=(2, 1))
    convolved((2, 1, 3, 3), (1, 1, 2, 2))


def gradients_of_filters_by_several_blocks():
    """What blocks found is added in order: the same bits every time."""
    convolved((2, 1, 6, 7), (4, 1, 1, 2), parts=2)
    x, g = rng.uniform(-1, 1, (2, 1, 6, 7)), rng.uniform(-1, 1, (2, 4, 6, 6))
    a, b = inputs_for([x, g])
    y = T.nnet.conv2d(a, w := T.dtensor4("w"))
    f = graphc.function([a, b, w], T.grad((y * b).sum(), w), target="cuda")
    one = rng.uniform(-1, 1, (4, 1, 1, 2))
    np.testing.assert_array_equal(f(x, g, one), f(x, g, one))


def convolutions_of_parts():
    """Batches that a symbolic index picks, and convolutions in the steps of a loop."""
    data = graphc.shared(rng.uniform(-1, 1, (4, 1, 4, 4)), name="data")
    i, w = T.lscalar("i"), rng.uniform(-1, 1, (4, 1, 2, 2))
    batch = data[i * 2 : i * 2 + 2]
    filters = graphc.shared(w.copy(), name="filters")
    y = T.signal.pool.pool_2d(T.nnet.conv2d(batch, filters[i : i + 2]), (2, 2), False)
    outputs = [y, T.grad((y**2).sum(), filters)]
    device, plain = (
        graphc.function([i], outputs, **options) for options in ({"target": "cuda"},
                                                                 {"mode": "numpy"})
    )  # fmt: skip
    for k in range(2):
        for a, b in zip(device(k), plain(k)):
            np.testing.assert_allclose(a, b, 1e-11)

    def smoothed(x, w):
        def step(state, w):
            return T.tanh(T.nnet.conv2d(state, w, border_mode=(1, 0)))[:, :, 1:]

        states, _ = graphc.scan(step, outputs_info=x, non_sequences=w, n_steps=40)
        return states[-1]

    f = compare(smoothed, data.get_value()[:1, :, :3, :1], w[:1, :, :, :1], tolerance=1e-9)
    assert "loop" in {step.routine for step in f.plan.steps}


def pooling():
    modes = ("max", "sum", "average_inc_pad", "average_exc_pad")
    ways = (((2, 2), True, None, (0, 0)), ((2, 3), False, None, (0, 0)),
            ((3, 2), True, (1, 2), (1, 1)), ((2, 2), False, (1, 3), (0, 0)))  # fmt: skip
    x = rng.randint(-3, 3, (2, 2, 5, 4)).astype("float64")  # windows have several largest

    def build(x):
        made = [T.signal.pool.pool_2d(x, *way, mode) for way in ways for mode in modes]
        return made + [T.grad((y**3).sum(), x) for y in made]

    compare(build, x)
    x[1, 0, 2, 1] = np.nan
    y = T.signal.pool.pool_2d

    def turned(x):
        images = x.transpose(0, 1, 3, 2)[:, :, ::-1]
        largest = y(images, (2, 2), True)
        again = T.grad((T.grad(largest.sum(), x) * x).sum(), x)
        return [largest, y(images, (3, 3), False, (2, 2), mode="sum"), again]

    compare(turned, x.astype("float32"))


def lenet():
    """A step of training, with its convolutions, pooling and dense layers, as in NumPy mode."""
    x, t = T.ftensor4("x"), T.lvector("t")
    images, labels = rng.uniform(-1, 1, (2, 1, 7, 7)).astype("float32"), np.array([2, 0])
    shapes = ((4, 1, 3, 3), (4,), (5, 4, 2, 2), (5,), (5, 3), (3,), (3, 3), (3,))
    start = [rng.uniform(-0.5, 0.5, s).astype("float32") for s in shapes]
    found = {}
    for name, options in {"cuda": {"target": "cuda"}, "numpy": {"mode": "numpy"}}.items():
        weights = [graphc.shared(w, name=f"w{k}") for k, w in enumerate(start)]
        h = x
        for w, b in (weights[:2], weights[2:4]):
            h = T.tanh(T.nnet.conv2d(h, w) + b.dimshuffle("x", 0, "x", "x"))
            h = T.signal.pool.pool_2d(h, (2, 2), False)
        h = T.tanh(T.dot(h.flatten(2), weights[4]) + weights[5])
        p = T.nnet.softmax(T.dot(h, weights[6]) + weights[7])
        loss = T.nnet.categorical_crossentropy(p, t).mean()
        updates = [(w, w - 0.3 * T.grad(loss, w)) for w in weights]
        step = graphc.function([x, t], loss, updates=updates, **options)
        losses = [float(step(images, labels)) for _ in range(2)]
        found[name] = [np.array(losses), *(w.get_value() for w in weights)]
        if name == "cuda":
            assert "host" not in {s.routine for s in step.plan.steps}, step.plan
    for a, b in zip(found["cuda"], found["numpy"]):
        np.testing.assert_allclose(a, b, 2e-5, 1e-6)
    assert found["cuda"][0][-1] < found["cuda"][0][0]


def compressed_rows():
    """Products of sparse with dense matrices, gradients of both, and vectors that are wrong."""
    data, indices = V[:5], np.array([2, 0, 1, 2, 0])
    indptr, dense = np.array([0, 1, 1, 4, 5]), rng.uniform(-1, 1, (3, 2))

    def build(data, indices, indptr, dense):
        a = graphc.sparse.CSR(data, indices, indptr, (4, 3))
        y = graphc.sparse.dot(a, dense)
        return [y, graphc.sparse.dot(a, dense[:, 0]), *T.grad((y**2).sum(), [data, dense])]

    f = compare(build, data, indices, indptr, dense, tolerance=1e-12)
    assert "compressed" in {step.routine for step in f.plan.steps}
    for wrong, text in (
        ((data, np.array([2, 0, 1, 3, 0]), indptr), "index 3 is outside an axis of size 3"),
        ((data, indices, np.array([0, 1, 6, 4, 5])), "indptr has"),
    ):
        try:
            f(*wrong, dense)
        except graphc.GraphError as error:
            assert text in str(error), error
        else:
            raise AssertionError(text)


def turned_compressed_rows():
    """Sums go to columns in any order of threads, and are added in that of the entries."""
    counts = rng.randint(0, 5, 12)
    counts[3] = 9
    indptr = np.concatenate([[0], np.cumsum(counts)])
    indices = rng.choice([0, 0, 0, 2, 3, 5, 6], indptr[-1]).astype("int32")
    data = rng.uniform(-1, 1, indptr[-1]).astype("float32")
    dense = rng.uniform(-1, 1, (12, 3)).astype("float32")

    def build(data, indices, indptr, dense):
        a = graphc.sparse.CSR(data, indices, indptr, (12, 8))
        y = graphc.sparse.dot(a.T, dense)
        return [y, graphc.sparse.dot(a.T, dense[:, 1]), *T.grad((y**2).sum(), [data, dense])]

    f = compare(build, data, indices, indptr, dense)
    assert "host" not in {step.routine for step in f.plan.steps}, f.plan
    assert any("csr_dot_turned" in step.label for step in f.plan.steps), f.plan
    expected = np.zeros((8, 3), "float32")
    for row, p in zip(np.repeat(np.arange(12), counts), range(indptr[-1])):
        expected[indices[p]] += data[p] * dense[row]
    np.testing.assert_array_equal(f(data, indices, indptr, dense)[0], expected)
    for wrong, text in ((indices + 4, "is outside an axis of size 8"), (indices - 1, "index -1")):
        try:
            f(data, wrong, indptr, dense)
        except graphc.GraphError as error:
            assert text in str(error), error
        else:
            raise AssertionError(text)


def products_by_a_library():
    """Everything with products, where these are NumPy's, asked for as cuBLAS is."""
    if not current_driver().simulated:
        return  # the other cases are served by the library where it is installed
    with products_by_numpy() as used:
        for case in (products, training, mini_batches, loops, bad_indices_before_products,
                     cuda_graph_cases.many_products):
            case()
    assert {(g.apart, g.indirect) for g in used.asked} == {
        (False, False), (True, False), (False, True),
    }  # fmt: skip


def bad_indices_before_products():
    """What is updated by a product stays as it was."""
    w, x, i = graphc.shared(D[:, :3].copy(), name="w"), T.dmatrix("x"), T.lvector("i")
    f = graphc.function([x, i], x[i].sum(), updates=[(w, w - T.dot(x.T, x))], target="cuda")
    start, value = w.get_value(), rng.uniform(-1, 1, (4, 3))
    f(value, PICKS)
    np.testing.assert_allclose(w.get_value(), start - value.T @ value, 1e-12)
    try:
        f(value, PICKS + 7)
    except BadIndexError:
        np.testing.assert_allclose(w.get_value(), start - value.T @ value, 1e-12)
    else:
        raise AssertionError("no error")
    rate = T.dscalar("rate")
    g = graphc.function([x, rate], updates=[(w, w - rate * T.dot(x.T, x))], target="cuda")
    w.set_value(start)
    g(value, 0.5)
    np.testing.assert_allclose(w.get_value(), start - 0.5 * value.T @ value, 1e-12)


def host_steps():
    f = compare(lambda a: [T.sort(a * 2, axis=1) + 1, T.nlinalg.det(T.dot(a, a.T))], D)
    assert any("which NumPy does" in note for note in f.plan.notes), f.plan


def training():
    """A small network learns the same in every mode."""
    x, t = T.matrix("x", "float32"), T.lvector("t")
    images, labels = rng.uniform(-1, 1, (6, 5)).astype("float32"), rng.randint(0, 3, 6)
    start = [rng.uniform(-0.5, 0.5, s).astype("float32") for s in ((5, 4), (4,), (4, 3), (3,))]
    found = {}
    for name, options in {"cuda": {"target": "cuda"}, "numpy": {"mode": "numpy"}}.items():
        weights = [graphc.shared(w, name=f"w{k}") for k, w in enumerate(start)]
        hidden = T.tanh(T.dot(x, weights[0]) + weights[1])
        p = T.nnet.softmax(T.dot(hidden, weights[2]) + weights[3])
        loss = T.nnet.categorical_crossentropy(p, t).mean()
        updates = [(w, w - 0.3 * T.grad(loss, w)) for w in weights]
        step = graphc.function([x, t], loss, updates=updates, **options)
        losses = [float(step(images, labels)) for _ in range(3)]
        found[name] = [np.array(losses), *(w.get_value() for w in weights)]
    for a, b in zip(found["cuda"], found["numpy"]):
        np.testing.assert_allclose(a, b, 2e-5, 1e-6)
    assert found["cuda"][0][-1] < found["cuda"][0][0]


def mini_batches():
    """Slices by a symbolic index move pointers on the device."""
    data = graphc.shared(rng.uniform(-1, 1, (12, 3)), name="data")
    total = graphc.shared(np.zeros(3), name="total")
    i = T.lscalar("i")
    batch = data[i * 4 : (i + 1) * 4]
    f = graphc.function([i], T.dot(batch, T.eye(3)).sum(), target="cuda",
                        updates=[(total, total + batch.sum(axis=0))])  # fmt: skip
    for k in range(3):
        np.testing.assert_allclose(f(k), data.get_value()[4 * k : 4 * k + 4].sum(), 1e-12)
    np.testing.assert_allclose(total.get_value(), data.get_value().sum(axis=0), 1e-12)


def homes_of_shared_variables():
    """Functions of both targets and the host see one value, whoever wrote it last."""
    s = graphc.shared(np.arange(4.0), name="s")
    there = graphc.function([], s.sum(), updates=[(s, s + 1)], target="cuda")
    here = graphc.function([], s.sum(), updates=[(s, s * 2)], target="cpu")
    value, expected = None, np.arange(4.0)
    for turn in (there, there, here, here, there, here, there):
        value = float(turn())
        assert value == expected.sum(), (value, expected)
        expected = expected + 1 if turn is there else expected * 2
        if turn is here:
            np.testing.assert_array_equal(s.get_value(), expected)
    assert s.storage.remote is not None  # a look leaves it where it is
    s.get_value()
    assert s.storage.remote is not None
    s.set_value(np.ones(4))
    assert float(there()) == 4 and float(there()) == 8
    s.get_value(borrow=True)[:] = 5
    assert float(here()) == 20
    grown = graphc.shared(np.ones(2), name="grown")
    grow = graphc.function([], updates=[(grown, T.concatenate([grown, grown]))], target="cuda")
    grow(), grow()
    np.testing.assert_array_equal(grown.get_value(), np.ones(8))


def configured():
    x = T.dvector("x")
    with graphc.config(device="cuda"):
        f = graphc.function([x], x * 2)
        assert graphc.function([x], x * 2, mode="numpy")(V).tolist() == (V * 2).tolist()
        assert not any("device" in n for n in _plan(graphc.function([x], x, target="cpu"), V).notes)
    assert any(note.startswith("device: ") for note in _plan(f, V).notes)
    assert "blockIdx" in f.kernels[0].source
    g = graphc.function([x], T.exp(x).sum(), target="cuda", profile=True)
    g(V)
    assert "exp" in str(g.profile) and "exp" in str(g.explain(full=True))


def _plan(f, *arrays):
    f(*arrays)
    return f.plan


def loops():
    x, w, start = rng.uniform(-1, 1, (6, 3)), rng.uniform(-1, 1, (3, 3)), np.zeros(3)

    def states(x, w, start):
        def step(v, s, w):
            return T.tanh(v + T.dot(s, w))

        h, _ = graphc.scan(step, sequences=x, outputs_info=start, non_sequences=w)
        return [h, h[-1], T.grad((h**2).sum(), w)]

    f = compare(states, x, w, start, tolerance=1e-9)
    assert "loop" in {step.routine for step in f.plan.steps}

    def nested(x):
        def inner(v, s):
            return T.tanh(s + v)

        def outer(row, s):
            h, _ = graphc.scan(inner, sequences=T.concatenate([row] * 2), outputs_info=s)
            return h[-1]

        return graphc.scan(outer, sequences=x, outputs_info=T.constant(0.1))[0]

    compare(nested, x, tolerance=1e-9)

    def doubled(k):
        found = T.constant(1.0), 300
        h, _ = graphc.scan(lambda s: (s * 2, graphc.until(s * 2 > k)),
                           outputs_info=found[0], n_steps=found[1])  # fmt: skip
        return h

    compare(doubled, np.array(7))
    compare(doubled, np.array(100))


def choices():
    for k in (1, 3):
        compare(lambda a, k: graphc.ifelse(k > 2, a.sum(), T.exp(a).sum()), D, np.array(k))


CASES = (
    elementwise, special_functions, integers, casts, reductions, rows, rows_longer_than_blocks,
    indexing, scatters_repeat, bad_indices, random_numbers, products, bad_indices_before_products,
    products_by_a_library, convolutions, convolutions_of_parts, convolutions_of_few_rows,
    gradients_of_filters_by_several_blocks, pooling, lenet, compressed_rows,
    turned_compressed_rows, host_steps, training,
    mini_batches, homes_of_shared_variables, configured, loops, choices,
    *cuda_array_cases.CASES, *cuda_graph_cases.CASES, *cuda_device_cases.CASES,
    *cuda_kernel_cases.CASES, *cuda_half_cases.CASES, *cuda_running_cases.CASES,
    *cuda_solver_cases.CASES, *cuda_tile_cases.CASES, *cuda_atomic_cases.CASES,
)  # fmt: skip

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for case in [c for c in CASES if c.__name__ in sys.argv[1:] or not sys.argv[1:]]:
        try:
            case()
            print("ok", case.__name__, flush=True)
        except Exception:
            print("BAD", case.__name__, traceback.format_exc(), flush=True)
    sys.exit(0)
