"""float16 and bfloat16: 16 bits in memory, float32 in kernels, rounded after every op."""

import itertools
import pickle

import numpy as np
import pytest
from half_numbers import (
    BITS,
    DIGITS,
    HALVES,
    bfloat16_numbers,
    both,
    close,
    inputs,
    numbers,
    plain,
    same,
    stored,
)

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.core.op import OPS


@pytest.fixture(autouse=True)
def single_precision():
    with graphc.config(floatX="float32"):
        yield


# Operations -------------------------------------------------------------------------------------

ELEMENTWISE = [
    op for op in map(OPS.get, sorted(OPS))
    if op.elementwise and op.name not in ("cast", "copy", "checked_index", "after")
    and "random" not in op.facts
]  # fmt: skip
EXACT = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "true_div": np.true_divide,
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "sqr": np.square, "floor": np.floor,
    "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "maximum": np.maximum,
    "minimum": np.minimum, "inv": np.reciprocal, "lt": np.less, "eq": np.equal,
}  # fmt: skip


def specials(dtype):
    most = {"float16": 65504.0, "bfloat16": float(bfloat16_numbers()[-2])}[dtype]
    least = {"float16": 2.0**-24, "bfloat16": 2.0**-133}[dtype]
    found = [0, 1, 2, 0.5, 3, 1.5, 2.5, 0.001, 0.1, 20, 100, 1023 * least, least, 9 * least,
             most, most / 2, np.inf]  # fmt: skip
    return stored([*found, *(-x for x in found), np.nan], dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_elementwise_ops_of_special_values(dtype):
    pairs = np.array(list(itertools.product(range(35), repeat=2)))
    first, second = (specials(dtype)[pairs[:, k]] for k in (0, 1))
    a, b = inputs(dtype, 1, 1)
    operands = {1: (a,), 2: (a, b), 3: (T.lt(a, b), a, b)}
    found = {}
    for op in ELEMENTWISE:
        count = max(k for k in range(4) if f"{{{k}}}" in op.lower.template) + 1
        try:
            found[op.name] = op(*operands[count])
        except graphc.GraphError:
            continue  # not for floats
    assert len(found) > 50
    native, numpy = both([a, b], list(found.values()), first, second)
    x, y = plain(first).astype("float64"), plain(second).astype("float64")
    for name, one, other in zip(found, native, numpy):
        if name in EXACT:
            with np.errstate(all="ignore"):
                exact = EXACT[name](*(x, y)[: EXACT[name].nin])
            expected = exact if exact.dtype == bool else stored(exact, dtype)
            same(one, expected, name)
            same(other, expected, name)
        elif name == "erfcinv":  # SciPy's has no digits among subnormal numbers
            kept = np.abs(x) >= np.finfo("float32").tiny
            close(one[kept], other[kept], name)
        else:
            close(one, other, name)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_fused_kernel_rounds_after_every_op(dtype):
    """The result doesn't depend on what is fused with what."""
    x, y = inputs(dtype, 1, 1)
    z = (x * y + x) / (y - x) * x - y
    f = graphc.function([x, y], z)
    a, b = (numbers(dtype, 5000, seed=k) for k in (1, 2))

    def rounded(value):
        return plain(stored(value.astype("float64"), dtype)).astype("float64")

    u, v = plain(a).astype("float64"), plain(b).astype("float64")
    top, down = rounded(rounded(u * v) + u), rounded(v - u)
    with np.errstate(all="ignore"):
        expected = rounded(rounded(rounded(top / down) * u) - v)
    same(f(a, b), stored(expected, dtype))
    assert [s.routine for s in f.program.plan.steps] == ["kernel"]
    assert {o.dtype for o in f.program.plan.steps[0].kernel.operands} == {dtype}


@pytest.mark.parametrize("dtype", HALVES)
def test_reductions_add_up_in_float32(dtype):
    (x,) = inputs(dtype, 2)
    names = ("sum", "mean", "var", "std", "max", "min", "prod", "argmax", "argmin", "any", "all")
    built = {(n, axis): getattr(T, n)(x, axis=axis) for n in names for axis in (None, 0, 1)}
    built["norm", None] = x.norm(2)
    built["logsumexp", 1] = T.logsumexp(x, axis=1)
    given = numbers(dtype, 33, 70)
    native, numpy = both([x], list(built.values()), given)
    wide = plain(given).astype("float64")
    for (name, axis), a, b in zip(built, native, numpy):
        close(a, b, f"{name} {axis}")
        if hasattr(np, name):
            expected = np.asarray(getattr(np, name)(wide, axis=axis))
            if expected.dtype == "float64":
                close(a, stored(expected, dtype), f"{name} {axis}", units=2)
            else:
                np.testing.assert_array_equal(a, expected)
    long, big = stored(np.full((2, 9000), 8.0), dtype), stored(np.full((2, 5), 30000.0), dtype)
    f = graphc.function([x], [x.mean(), x.mean(0), x.std(1), x.sum(1) / 9000])
    same(f(long)[0], stored(8.0, dtype))
    same(f(big)[0], stored(30000.0, dtype))
    same(f(big)[2], stored([0, 0], dtype))
    assert [s.routine for s in f.program.plan.steps].count("host") == 0


@pytest.mark.parametrize("dtype", HALVES)
def test_products_and_composed_ops_round_once(dtype):
    x, y, images, filters = inputs(dtype, 2, 2, 4, 4)
    built = [
        T.dot(x, y), T.dot(x[0], y), T.nnet.softmax(x), T.nnet.logsoftmax(x), T.cumsum(x, axis=1),
        T.nnet.conv2d(images, filters), T.signal.pool.pool_2d(images, (2, 2), ignore_border=True),
        T.nnet.layer_norm(x), T.batched_dot(images[0], images[0].dimshuffle(0, 2, 1)),
        T.sort(x, axis=1), T.tensordot(x, y, 1),
    ]  # fmt: skip
    shapes = (9, 40), (40, 7), (2, 3, 8, 8), (4, 3, 3, 3)
    given = [numbers(dtype, *s, seed=k) for k, s in enumerate(shapes)]
    native, numpy = both([x, y, images, filters], built, *given)
    for v, a, b in zip(built, native, numpy):
        close(a, b, str(v), units=1)
        assert dtypes.name_of(a.dtype) == dtype
    u, v = (plain(a).astype("float64") for a in given[:2])
    close(native[0], stored(u @ v, dtype), units=1)
    e = np.exp(u - u.max(1, keepdims=True))
    close(native[2], stored(e / e.sum(1, keepdims=True), dtype), units=1)


@pytest.mark.parametrize("dtype", HALVES)
def test_values_are_moved_as_they_are(dtype):
    """NaN keeps its payload in memory, and nothing becomes float32."""
    x, n = inputs(dtype, 2)[0], T.ivector("n")
    built = [
        x.T, x[::-1, 1:], x[n], x[n, n], T.concatenate([x, x], 1), T.stack([x, x]), x.flatten(),
        T.set_subtensor(x[0], x[1]), T.tile(x, (2, 1)), x.dimshuffle(0, "x", 1), T.diag(x),
        T.switch(T.eq(n, 1).dimshuffle(0, "x"), x[:3], x[1:4]),
    ]  # fmt: skip
    given = BITS[::97].copy()[:600].reshape(20, 30).view(dtypes.numpy_dtype(dtype))
    f = graphc.function([x, n], built)
    expected = graphc.function([x, n], built, mode="numpy")(given, [3, 1, 2])
    for v, a, b in zip(built, f(given, np.array([3, 1, 2], "int32")), expected):
        assert dtypes.name_of(a.dtype) == dtype and a.shape == b.shape
        np.testing.assert_array_equal(a.view("uint16"), b.view("uint16"), str(v))
    assert "host" not in [s.routine for s in f.program.plan.steps]


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_into_parts(dtype):
    x, y, n = *inputs(dtype, 2, 2), T.ivector("n")
    built = [T.inc_subtensor(x[1:3], y[:2]), T.inc_subtensor(x[n], y), T.inc_subtensor(x[:, n], 1)]
    given = numbers(dtype, 4, 5), numbers(dtype, 3, 5, seed=1), np.array([2, 0, 2], "int32")
    for a, b in zip(*both([x, y, n], built, *given)):
        close(a, b)


# Gradients and training -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_are_those_of_float32(dtype):
    def costs(x, w):
        h = T.tanh(T.dot(x, w))
        return [
            T.sum(h * T.nnet.sigmoid(h)), T.mean(T.sqr(h - 1)), T.sum(T.nnet.softmax(h)[:, 0]),
            T.max(h, axis=1).sum(), T.sum(x[1:] / (2 + x[:-1] ** 2)), x.std() + x.norm(2),
            T.sum(T.cast(x, "float32") * 3), T.sum(T.switch(x > 0, T.exp(x), x) ** 3),
        ]  # fmt: skip

    x, w = inputs(dtype, 2, 2)
    u, v = inputs("float32", 2, 2)
    given = numbers(dtype, 4, 6), numbers(dtype, 6, 3, seed=1)
    grads, wide = [], []
    for cost, other in zip(costs(x, w), costs(u, v)):
        grads += T.grad(cost, [x, w], disconnected_inputs="ignore")
        wide += T.grad(other, [u, v], disconnected_inputs="ignore")
    assert {g.dtype for g in grads} == {dtype}
    native, numpy = both([x, w], grads, *given)
    exact = graphc.function([u, v], wide)(*(plain(a).astype("float32") for a in given))
    unit = 2.0 ** -DIGITS[dtype]
    for a, b, e in zip(native, numpy, exact):
        scale = np.abs(e).max() + 1e-3
        np.testing.assert_allclose(plain(a), e, 16 * unit, 16 * unit * scale)
        np.testing.assert_allclose(plain(a), plain(b), 4 * unit, 4 * unit * scale)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("mode", ["native", "numpy"])
def test_training_in_mixed_precision(dtype, mode):
    """Weights in float32, activations and products of 16 bits, a loss that is scaled."""
    rng = np.random.RandomState(0)
    data = rng.randn(128, 5)
    answers = (data[:, 0] * data[:, 1] > 0).astype("int32")
    x, y = T.TensorType(dtype, (None, None))("x"), T.ivector("y")
    shapes = (5, 16), (16,), (16, 2), (2,)
    w, b, u, c = weights = [
        graphc.shared((rng.randn(*s) * (len(s) > 1) / 2).astype("float32")) for s in shapes
    ]  # fmt: skip
    h = T.tanh(T.dot(x, T.cast(w, dtype)) + T.cast(b, dtype))
    p = T.nnet.softmax(T.dot(h, T.cast(u, dtype)) + T.cast(c, dtype))
    loss = -T.mean(T.log(T.cast(p, "float32"))[T.arange(y.shape[0]), y])
    scale = 128.0
    updates = [(v, v - 0.5 * g / scale) for v, g in zip(weights, T.grad(loss * scale, weights))]
    train = graphc.function([x, y], loss, updates=updates, mode=mode)
    losses = [float(train(stored(data, dtype), answers)) for _ in range(300)]
    assert losses[0] > 0.6 and losses[-1] < 0.15
    assert all(v.get_value().dtype == "float32" for v in weights)


# Coming in and going out ------------------------------------------------------------------------


def test_arguments_and_shared_variables_of_bfloat16():
    x = T.TensorType("bfloat16", (None,))("x")
    total = graphc.shared(graphc.to_bfloat16([1.0, 2.0]), "total")
    f = graphc.function([x], [x * 2, total], updates=[(total, total + x)])
    given = graphc.to_bfloat16([0.5, 3])
    for k in range(4):
        doubled, before = f(given)
        same(doubled, graphc.to_bfloat16([1.0, 6]))
        same(before, graphc.to_bfloat16([1 + 0.5 * k, 2 + 3 * k]))
    total.set_value(graphc.to_bfloat16([7.0, 8, 9]))
    same(f([1, 2, 3])[1], graphc.to_bfloat16([7.0, 8, 9]))
    same(total.get_value(), graphc.to_bfloat16([8.0, 10, 12]))
    same(f([0.1, 0.2, 0.3])[0], stored(2 * plain(stored([0.1, 0.2, 0.3], "bfloat16")), "bfloat16"))
    with pytest.raises(graphc.GraphError, match=r"float32.*lose precision[\s\S]*to_bfloat16"):
        f(np.array([0.1, 0.2], "float32"))
    with pytest.raises(graphc.GraphError, match=r"uint16"):
        f(np.array([300, 20000], "uint16") + 1)
    with pytest.raises(graphc.GraphError, match=r"to_bfloat16"):
        total.set_value(np.ones(2, "float32"))
    loose = graphc.function([x], x, allow_input_downcast=True)
    same(loose(np.array([0.1], "float32")), stored([np.float32(0.1)], "bfloat16"))


def test_scalars_and_constants_of_bfloat16():
    s = T.TensorType("bfloat16", ())("s")
    third = T.cast(T.constant(1 / 3), "bfloat16")
    table = T.constant(graphc.to_bfloat16([0.1, 1.5, 2.5]))
    assert third.dtype == table.dtype == "bfloat16"
    built = [s * third, table + s, (table * 1)[1], T.fill(table, s), table * 0.1 * 0.1, s + s * 0]
    for a, b in zip(*both([s], built, graphc.to_bfloat16(0.7))):
        same(a, b)
    assert graphc.pp(s * third) == "s * 0.33398438"
    copy = pickle.loads(pickle.dumps(graphc.function([s], table * s)))
    same(copy(2.0), graphc.to_bfloat16(2 * graphc.from_bfloat16(table.data)))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("method", graphc.optim.OPTIMISERS)
def test_optimisers_keep_their_state_in_float32(dtype, method):
    """0.999 is 1 in bfloat16, and 1e-8 is 0 in float16."""
    data = numbers(dtype, 30, 4)
    w = graphc.shared(stored(np.full(4, 0.5), dtype), "w")
    loss = T.mean(T.sqr(T.dot(T.constant(data), w) - 1))
    rate = graphc.shared(5.0 if method == "adadelta" else 0.05)  # its first steps are short
    updates = getattr(graphc.optim, method)(loss, [w], learning_rate=rate)
    assert {s.dtype for s, _ in updates if s is not w} <= {"float32", "int64"}
    step = graphc.function([], loss, updates=updates, mode="numpy")
    losses = [float(plain(step())) for _ in range(20)]
    assert losses[-1] < losses[0] and dtypes.name_of(w.get_value().dtype) == dtype


def test_functions_of_the_users_get_arrays_of_bfloat16():
    vector = T.TensorType("bfloat16", (None,))

    @graphc.as_op([vector], [vector])
    def doubled(x):
        return graphc.to_bfloat16(2 * graphc.from_bfloat16(x))

    x = vector("x")
    for found in both([x], [doubled(x) + 1], graphc.to_bfloat16([0.5, 3])):
        same(found[0], graphc.to_bfloat16([2.0, 7]))


def test_bfloat16_of_another_byte_order_or_layout_is_taken():
    (x,) = inputs("bfloat16", 2)
    f, given = graphc.function([x], x + 1), numbers("bfloat16", 6, 4)
    swapped = given.astype(graphc.BFLOAT16.newbyteorder())
    same(f(swapped), f(given))
    same(f(given[::2, ::-1]), f(given[::2, ::-1].copy()))
    np.testing.assert_array_equal(graphc.from_bfloat16(swapped), plain(given))
