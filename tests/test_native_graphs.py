"""Random graphs and the loop nests they need, native against interpreted.

Graphs grow node by node; the value of each node is known while they grow, so that steps can
keep away from what two correct programs may answer differently: ties, jumps, huge numbers.
"""

import numpy as np
import pytest

import graphc
import graphc.native
import graphc.tensor as T
from graphc.runtime.reference import evaluate

LIMITS = (60, 3, 1)  # operations in one kernel
TOLERANCE = {"float32": 1e-3, "float64": 1e-7}
SIZES = (1, 2, 3, 4, 5, 7, 17, 130)


class Grower:
    """An expression that grows at random, with the value of every node."""

    def __init__(self, seed, dtype):
        self.rng, self.dtype = np.random.RandomState(seed), dtype
        self.values, self.inputs, self.shared, self.pool = {}, [], [], []
        n, m, k = (int(s) for s in self.rng.choice(SIZES, 3))
        for shape in ((n, m), (m,), (n, m, min(k, 17)), ()):
            self.leaf(self.array(*shape))
        for shape in ((m, k), (n, m)):
            value = self.array(*shape)
            variable = graphc.shared(value, name=f"s{len(self.shared)}")
            self.shared.append(variable)
            self.know(variable, value)
        self.rows = n
        self.position = self.leaf(np.asarray(self.rng.randint(n)))
        self.picks = self.leaf(self.rng.randint(-n, n, self.rng.randint(1, 6)))

    def array(self, *shape):
        return np.asarray(self.rng.uniform(-1, 1, shape)).astype(self.dtype)

    def leaf(self, array):
        sizes = (None,) * array.ndim
        variable = T.TensorType(array.dtype.name, sizes)(f"x{len(self.inputs)}")
        self.inputs.append(variable)
        self.know(variable, array)
        return variable

    def know(self, variable, value):
        self.values[variable] = value
        if value.dtype.kind == "f":
            self.pool.append(variable)

    def one(self, things):
        return things[self.rng.randint(len(things))]

    def grow(self, count):
        for _ in range(20 * count):
            made = self.one(STEPS)(self)
            if made is None:
                continue
            value = evaluate([made], self.values)[0]
            tame = value.size <= 20_000 and made.ndim <= 4 and np.isfinite(value).all()
            if tame and np.abs(value).max(initial=0) < 100:
                self.know(made, value)
                count -= 1
            if not count:
                return

    def pick(self, least=0):
        """A node with elements, rather a late one."""
        found = [v for v in self.pool if v.ndim >= least and self.values[v].size]
        weights = np.arange(1, len(found) + 1) ** 1.5
        return found[self.rng.choice(len(found), p=weights / weights.sum())]

    def shape(self, v):
        return self.values[v].shape

    def beside(self, v):
        """A node that broadcasts together with `v`."""
        return self.one([u for u in self.pool if meets(self.shape(u), self.shape(v))])

    def axes(self, v):
        count = self.rng.randint(1, v.ndim + 1)
        return sorted(int(k) for k in self.rng.choice(v.ndim, count, replace=False))


def meets(first, second, result=None):
    try:
        found = np.broadcast_shapes(first, second)
    except ValueError:
        return False
    return result is None or found == result


# Steps: each makes a node of those that are there, or None ---------------------------------------

UNARY = [
    T.tanh, T.nnet.sigmoid, T.sqr, T.abs, T.sin, T.nnet.softplus, lambda x: T.exp(-x * x), T.neg,
    lambda x: T.log(1 + x * x), lambda x: T.sqrt(x * x + 1), lambda x: 1 / (1 + x * x),
    lambda x: 2 * x + 1, lambda x: T.log(T.exp(x) + 1),
]  # fmt: skip
BINARY = [
    T.add, T.sub, T.mul, lambda a, b: a / (1 + b * b), lambda a, b: a - 0.5 * b,
    lambda a, b: a * T.nnet.sigmoid(b),
]  # fmt: skip
REDUCTIONS = [
    T.sum, T.sum, T.mean, T.max, T.min, T.var, T.prod,
    lambda x, axis, keepdims: T.sqrt(1 + T.sum(x * x, axis, keepdims=keepdims)),
]  # fmt: skip
ROWS = [
    lambda x, a: x - T.mean(x, a, keepdims=True),
    lambda x, a: T.log(T.sum(T.exp(x), a, keepdims=True)),
    lambda x, a: (x - T.mean(x, a, keepdims=True)) / T.sqrt(T.var(x, a, keepdims=True) + 1),
    lambda x, a: T.exp(x - T.max(x, a, keepdims=True)), lambda x, a: T.nnet.softmax(x, a[0]),
    lambda x, a: T.nnet.logsoftmax(x, a[-1]),
]  # fmt: skip


def unary(g):
    return g.one(UNARY)(g.pick())


def binary(g):
    a = g.pick()
    return g.one(BINARY)(a, g.beside(a))


def reduction(g):
    a = g.pick(1)
    return g.one(REDUCTIONS)(a, g.axes(a), keepdims=bool(g.rng.randint(2)))


def rows(g):
    a = g.pick(1)
    return g.one(ROWS)(a, g.axes(a))


def position(g):
    a = g.pick(1)
    axes = g.axes(a)
    kept = [k for k in range(a.ndim) if k not in axes]
    flat = g.values[a].transpose(*kept, *axes).reshape([*(g.shape(a)[k] for k in kept), -1])
    if (np.diff(np.sort(flat)) < 1e-3).any():
        return None
    return T.cast(g.one([T.argmax, T.argmin])(a, axes), g.dtype) * 0.01


def choice(g):
    a = g.pick()
    b, c = g.beside(a), g.beside(a)
    at = g.rng.uniform(-1, 1)
    if not meets(g.shape(b), g.shape(c)) or (np.abs(g.values[c] - at) < 1e-3).any():
        return None
    return T.switch(g.one([T.gt, T.lt])(c, at), a, b)


def shuffle(g):
    a = g.pick(1)
    order = [int(k) for k in g.rng.permutation(a.ndim)]
    if g.rng.rand() < 0.4:
        order.insert(g.rng.randint(len(order) + 1), "x")
    return a.dimshuffle(*order)


def reshape(g):
    a = g.pick(1)
    sizes, k = [a.shape[i] for i in range(a.ndim)], g.rng.randint(max(a.ndim - 1, 1))
    found = [a.flatten(), a.T.flatten()]
    if a.ndim > 1:
        found.append(a.reshape([*sizes[:k], sizes[k] * sizes[k + 1], *sizes[k + 2 :]]))
    if g.shape(a)[-1] % 2 == 0:
        found.append(a.reshape([*sizes[:-1], 2, -1]))
    return g.one(found)


def window(g):
    a = g.pick(1)
    index = []
    for n in g.shape(a):
        low = g.rng.randint(n)
        entries = [slice(None), int(g.rng.randint(-n, n)), slice(None, None, -g.rng.randint(1, 3))]
        entries.append(slice(int(low), int(g.rng.randint(low, n)) + 1, int(g.rng.randint(1, 4))))
        if n == g.rows:
            entries += [g.position, slice(g.position, None)]
        index.append(g.one(entries))
    if g.rng.rand() < 0.2:
        index.insert(g.rng.randint(len(index) + 1), None)
    return a[tuple(index)]


def gather(g):
    a = g.pick(1)
    shape, count = g.shape(a), g.rng.randint(1, 5)
    if a.ndim > 1 and g.rng.rand() < 0.3:
        columns = g.rng.randint(0, shape[1], shape[0])
        pair = g.rng.randint(0, shape[0], count), g.rng.randint(0, shape[1], count)
        return g.one([a[T.arange(a.shape[0]), columns], a[pair]])
    k = g.rng.randint(a.ndim)
    entries = [g.rng.randint(-shape[k], shape[k], g.one([1, 3, 9]))]
    entries += [g.picks] if shape[k] == g.rows else []
    return a[(slice(None),) * k + (g.one(entries),)]


def write(g):
    part = g.one([window, gather])(g)
    shape = evaluate([part], g.values)[0].shape
    fitting = [v for v in g.pool if meets(g.shape(v), shape, shape)]
    if part.op.name == "subtensor" and g.rng.rand() < 0.5:
        return T.set_subtensor(part, g.one([*fitting, 0.5]))
    return T.inc_subtensor(part, g.one([*fitting, 0.5]))


def product(g):
    a = g.pick(1)
    inner = g.shape(a)[-1]
    found = [b for b in g.pool if b.ndim and g.shape(b)[max(b.ndim - 2, 0)] == inner]
    if not found:
        return None
    made = T.dot(a, g.one(found)) * (1 / (1 + inner))
    shape = evaluate([made], g.values)[0].shape
    same = [c for c in g.pool if g.shape(c) == shape]
    return g.one(same) - 0.3 * made if same and g.rng.rand() < 0.4 else made


def join(g):
    a = g.pick(1)
    axis, shape = int(g.rng.randint(a.ndim)), g.shape(a)
    same = [b for b in g.pool if g.shape(b) == shape]
    fitting = [b for b in g.pool if b.ndim == a.ndim
               and np.array_equal(np.delete(g.shape(b), axis), np.delete(shape, axis))]  # fmt: skip
    return g.one([T.stack([a, g.one(same)], axis=axis), T.concatenate([a, g.one(fitting)], axis)])


def made(g):
    a = g.pick(1)
    line = T.cast(T.arange(a.shape[0]), g.dtype) * 0.1
    return g.one([line, T.eye(3, a.shape[0] % 5 + 1, dtype=g.dtype)])


STEPS = [unary] * 5 + [binary] * 6 + [reduction] * 4 + [rows] * 4 + [product] * 3 + 2 * [
    shuffle, reshape, window, gather, write, choice,
] + [position, join, made]  # fmt: skip


# Random graphs ----------------------------------------------------------------------------------


def random_case(seed):
    """A grown graph: outputs with gradients, and updates."""
    g = Grower(seed, ("float64", "float32")[seed % 2])
    g.grow(g.rng.randint(20, 50))
    grown = [v for v in g.pool if v.op is not None]
    outputs = [g.one(grown) for _ in range(3)] + [grown[-1]]
    cost = sum(T.sum(T.tanh(v)) * (0.3 + 0.1 * k) for k, v in enumerate(outputs))
    leaves = [v for v in (*g.inputs, *g.shared) if v.dtype == g.dtype]
    grads = dict(zip(leaves, graphc.grad(cost, leaves, disconnected_inputs="ignore")))
    updates = []
    for s in g.shared:
        same = [v for v in grown if g.shape(v) == g.shape(s)]
        step = s - np.asarray(0.1, g.dtype) * grads[s]
        updates.append((s, g.one(same) if same and g.rng.rand() < 0.5 else step))
    return g, [*outputs, *(grads[v] for v in leaves if g.rng.rand() < 0.5)], updates


def results(g, outputs, updates, mode):
    """The results of two calls and what the shared variables hold then."""
    for s in g.shared:
        s.set_value(g.values[s])
    f = graphc.function(g.inputs, outputs, updates=updates, mode=mode, on_unused_input="ignore")
    arguments = [g.values[v].copy() for v in g.inputs]
    found = f(*arguments) + f(*arguments)
    for v, argument in zip(g.inputs, arguments):
        np.testing.assert_array_equal(argument, g.values[v])
    return found + [s.get_value() for s in g.shared]


def compare(found, expected):
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype, f"value {k}"
        tolerance = TOLERANCE[b.dtype.name]
        scale = max(1, np.abs(b).max(initial=1))
        np.testing.assert_allclose(a, b, tolerance, tolerance * scale, err_msg=f"value {k}")


@pytest.mark.parametrize("seed", range(2, 8))
def test_random_graphs(seed, monkeypatch):
    g, outputs, updates = random_case(seed)
    expected = results(g, outputs, updates, "numpy")
    for limit in LIMITS:
        monkeypatch.setattr(graphc.native, "MEMBERS", limit)
        compare(results(g, outputs, updates, "native"), expected)


# Loop nests -------------------------------------------------------------------------------------


def nested(build, *arrays, monkeypatch):
    """Compare an expression's values, and gradients, at every number of operations per kernel."""
    inputs = [T.TensorType(a.dtype.name, (None,) * a.ndim)(f"x{k}") for k, a in enumerate(arrays)]
    outputs = build(*inputs)
    smooth = [v for v in outputs if v.dtype.startswith("f")]
    cost = sum(T.sum(T.sin(v) * (1 + k)) for k, v in enumerate(smooth))
    leaves = [v for v in inputs if v.dtype.startswith("f")]
    outputs = [*outputs, *graphc.grad(cost, leaves, disconnected_inputs="ignore")]
    expected = graphc.function(inputs, outputs, mode="numpy")(*arrays)
    for limit in LIMITS:
        monkeypatch.setattr(graphc.native, "MEMBERS", limit)
        for a, b in zip(graphc.function(inputs, outputs)(*arrays), expected, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            if b.dtype.kind == "f":
                compare([a], [b])
            else:
                np.testing.assert_array_equal(a, b)


def array(*shape, seed=0, dtype="float32"):
    return np.random.RandomState(seed).uniform(-2, 2, shape).astype(dtype)


def layer_norm(x, gain, bias):
    centred = x - x.mean(-1, keepdims=True)
    return [centred / T.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gain + bias]


def batch_norm(x, gain, bias):
    mean, var = x.mean(0), x.var(0)
    return [(x - mean) / T.sqrt(var + 1e-5) * gain + bias, mean, var]


def softmaxes(x):
    return [f(x, axis) for axis in range(x.ndim) for f in (T.nnet.softmax, T.nnet.logsoftmax)]


def sums_over_many_sets(x):
    sets = [0, 1, 2, [0, 1], [0, 2], [1, 2], None]
    return [T.exp(x).sum(axes) for axes in sets] + [x.max(axes) for axes in sets]


def log_sum_exps(x):
    shifted = [T.log(T.exp(x - x.max(k, keepdims=True)).sum(k)) + x.max(k) for k in range(2)]
    return [*shifted, T.log(T.exp(x).sum()), T.log(T.exp(x).sum(0)).sum()]


def reductions_of_reductions(x):
    return [
        x.sum(0).max(), x.max(1).sum(), (x - x.mean(0)).var(1).mean(), T.exp(x.max(0)).sum(),
        (x.sum(1, keepdims=True) * x).sum(0), (x * x.sum(0)).sum(1).max(), x.mean() + x.min(),
        T.sqrt((x * x).sum(1)).sum() * x, (x / x.std()).sum(0), x.sum(0) - x.sum(1).max(),
    ]  # fmt: skip


def positions_after_softmax(x):
    p = T.nnet.softmax(x)
    found = [T.argmax(p, 1), p, T.argmax(p, 0), T.argmax(T.nnet.softmax(x, 0), 0)]
    return [*found, T.eq(p, p.max(1)[:, None])]


def cross_entropy(x, y):
    p = T.nnet.softmax(x)
    rows = T.arange(y.shape[0])
    return [
        -T.log(p)[rows, y].mean(), T.nnet.categorical_crossentropy(p, y).sum(), p.max(1),
        T.nnet.logsoftmax(x)[rows, y], T.neq(T.argmax(x, 1), y).mean(dtype="float32"),
    ]  # fmt: skip


def pairs_of_rows(x):
    """Sums over both axes along which one matrix was spread."""
    y = T.switch(x[None] > 0.1, x[None], x[:, None])
    return [T.tanh(y).sum(0) + T.exp(y).sum(1), y.max(1), (y - x).sum(2)]


SHAPES = [(5, 3), (3, 300), (200, 9), (1, 6)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("build", [layer_norm, batch_norm])
def test_normalisation(build, shape, monkeypatch):
    vectors = array(shape[1], seed=1), array(shape[1], seed=2)
    nested(build, array(*shape), *vectors, monkeypatch=monkeypatch)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 5, 40), (140, 2, 3)], ids=str)
@pytest.mark.parametrize("build", [softmaxes, sums_over_many_sets])
def test_every_axis(build, shape, monkeypatch):
    nested(build, array(*shape), monkeypatch=monkeypatch)


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
@pytest.mark.parametrize(
    "build", [log_sum_exps, reductions_of_reductions, positions_after_softmax, pairs_of_rows]
)
def test_reductions_and_their_readers(build, shape, monkeypatch):
    nested(build, array(*shape, dtype="float64"), monkeypatch=monkeypatch)


def test_cross_entropy(monkeypatch):
    for rows, columns in ((7, 10), (130, 4)):
        labels = np.random.RandomState(0).randint(0, columns, rows).astype("int32")
        nested(cross_entropy, array(rows, columns), labels, monkeypatch=monkeypatch)
