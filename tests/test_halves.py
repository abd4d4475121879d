"""float16 and bfloat16: 16 bits in memory, float32 in kernels, rounded after every op."""

import ctypes
import functools
import itertools
import pickle

import numpy as np
import pytest
from llvmlite import ir

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.core.op import OPS
from graphc.runtime.compile import compile_ir
from graphc.runtime.primitives import halves
from graphc.runtime.primitives.kinds import FLOAT, HALF_TYPES, I16, I64

HALVES = ("float16", "bfloat16")
DIGITS = {"float16": 11, "bfloat16": 8}
NUMPY = [d for d in dtypes.ALL if d != "bfloat16"]
BITS = np.arange(2**16, dtype="uint16")


@pytest.fixture(autouse=True)
def single_precision():
    with graphc.config(floatX="float32"):
        yield


@functools.cache
def bfloat16_numbers():
    """The finite values of bfloat16 in order, with the power of two that stands for infinity."""
    bits = np.arange(0x7F81, dtype="uint32") << 16
    positive = bits.view("float32").astype("float64")
    positive[-1] = 2.0**128
    return np.concatenate([-positive[:0:-1], positive])


def nearest_bfloat16(values):
    """float64 values rounded by looking for the nearest, ties to even; no bits are shifted."""
    table, values = bfloat16_numbers(), np.asarray(values, "float64")
    place = np.clip(np.searchsorted(table, values), 1, len(table) - 1)
    down, up = values - table[place - 1], table[place] - values
    even = (place - len(table) // 2) % 2 == 0
    found = table[np.where((up < down) | ((up == down) & even), place, place - 1)]
    found = np.where(np.abs(found) == 2.0**128, np.copysign(np.inf, found), found)
    found = np.where(np.isfinite(values), np.copysign(found, values), values)
    return found.astype("float32")


def stored(values, dtype):
    """float64 values in a half dtype, made without graphc's conversions where NumPy has none."""
    with np.errstate(all="ignore"):
        if dtype == "float16":
            return np.asarray(values).astype("float16")
        upper = nearest_bfloat16(values).view("uint32") >> 16
        return np.asarray(upper.astype("uint16")).view(graphc.BFLOAT16)


def plain(array):
    """What can be compared: bfloat16 as float32."""
    if array.dtype != graphc.BFLOAT16:
        return array
    upper = np.array(array, order="C").view("uint16").astype("uint32") << 16
    return np.asarray(upper).view("float32")


def around(values):
    """float32 values with their neighbours, and negative ones."""
    values = np.asarray(values, "float32")
    with np.errstate(all="ignore"):
        near = [np.nextafter(values, np.float32(s)) for s in (-np.inf, np.inf)]
    both = np.concatenate([values, *near])
    return np.concatenate([both, -both])


@functools.cache
def difficult():
    """float32 values next to all numbers of both dtypes and to the middles between them."""
    rng = np.random.RandomState(0)
    found = [rng.randint(0, 2**32, 20000, dtype="uint32").view("float32")]
    for table in (BITS[:0x7C00].view("float16").astype("float64"), bfloat16_numbers()[0x7F80:]):
        middles = (table[:-1] + table[1:]) / 2
        found += [around(table[:-1]), around(middles)]
    return np.concatenate([*found, around([0, 65504, 65520, 2**16, 3.4e38, np.inf, 6e-8, 1e-45])])


def same(found, expected, label=""):
    assert found.dtype == expected.dtype and found.shape == expected.shape, label
    np.testing.assert_array_equal(plain(found), plain(expected), label)
    signs = [np.signbit(plain(x)[~np.isnan(plain(x))]) for x in (found, expected)]
    np.testing.assert_array_equal(*signs, label)


def close(found, expected, label="", units=1.0):
    """Equal up to units in the last place; infinities may be the largest number."""
    assert found.dtype == expected.dtype and found.shape == expected.shape, label
    name = dtypes.name_of(expected.dtype)
    if not dtypes.is_half(name):
        np.testing.assert_allclose(found, expected, 1e-5, 1e-30, err_msg=label)
        return
    a, b = (plain(x).astype("float64") for x in (found, expected))
    least = 2.0**-24 if name == "float16" else 2.0**-126
    np.testing.assert_allclose(a, b, units * 2.0 ** (1 - DIGITS[name]), least, err_msg=label)


def both(inputs, outputs, *arrays):
    """What a compiled function and the interpreter give."""
    options = {"on_unused_input": "ignore"}
    native = graphc.function(inputs, outputs, mode="native", **options)
    return native(*arrays), graphc.function(inputs, outputs, mode="numpy", **options)(*arrays)


def numbers(dtype, *shape, seed=0):
    return stored(np.random.RandomState(seed).uniform(-2, 2, shape), dtype)


def inputs(dtype, *ranks):
    return [T.TensorType(dtype, (None,) * n)(f"x{k}") for k, n in enumerate(ranks)]


# Conversions ------------------------------------------------------------------------------------


def compiled(name, kind, native):
    """`expand` or `pack` as a loop over an array."""
    source, target = (I16, FLOAT) if name == "expand" else (FLOAT, I16)
    symbol = f"halves_{name}_{kind.name}_{native}"
    module = ir.Module(symbol)
    types = [source.as_pointer(), target.as_pointer(), I64]
    loop = ir.Function(module, ir.FunctionType(ir.VoidType(), types), symbol)
    loop.args[1].add_attribute("noalias")
    entry, body, done = (loop.append_basic_block(part) for part in ("entry", "body", "done"))
    ir.IRBuilder(entry).branch(body)
    b = ir.IRBuilder(body)
    i = b.phi(I64)
    value = b.load(b.gep(loop.args[0], [i]), align=1)
    made = getattr(halves, name)(b, value, kind, native)
    b.store(made, b.gep(loop.args[1], [i]), align=1)
    after = b.add(i, I64(1))
    i.add_incoming(I64(0), entry)
    i.add_incoming(after, body)
    b.cbranch(b.icmp_signed("<", after, loop.args[2]), body, done)
    ir.IRBuilder(done).ret_void()
    made = compile_ir(str(module), symbol)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64)(made.address)

    def run(array):
        found = np.empty(array.shape, "float32" if name == "expand" else "uint16")
        function(array.ctypes.data, found.ctypes.data, array.size)
        return found

    return run


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=pytest.mark.skipif(
    not halves.has_float16(), reason="a CPU without conversions of float16"))])  # fmt: skip
def test_instructions_and_integer_arithmetic_convert_all_float16_alike(native):
    kind = HALF_TYPES[0]
    expected = BITS.view("float16").astype("float32")
    found = compiled("expand", kind, native)(BITS)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(found[number].view("uint32"), expected[number].view("uint32"))
    assert np.isnan(found[~number]).all()
    assert (found[~number].view("uint32") & 0x400000).all(), "NaN is quiet"
    values = difficult()
    with np.errstate(all="ignore"):
        expected = values.astype("float16")
    found = compiled("pack", kind, native)(values)
    number = ~np.isnan(values)
    np.testing.assert_array_equal(found[number], expected[number].view("uint16"))
    assert np.isnan(found[~number].view("float16")).all() and (~number).any()


def test_integer_arithmetic_converts_bfloat16():
    kind, values = HALF_TYPES[1], difficult()
    found = compiled("expand", kind, None)(BITS)
    np.testing.assert_array_equal(found.view("uint32"), BITS.astype("uint32") << 16)
    found = compiled("pack", kind, None)(values).view(graphc.BFLOAT16)
    same(found, stored(values, "bfloat16"))
    assert (found.view("uint16")[np.isnan(values)] & 0x40).all(), "NaN is quiet"


def test_helpers_convert_bfloat16():
    values = difficult()
    same(graphc.to_bfloat16(values), stored(values, "bfloat16"))
    table = bfloat16_numbers()
    middles = (table[:-1] + table[1:]) / 2
    with np.errstate(all="ignore"):
        doubles = np.concatenate(
            [middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf),
             [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, -0.0]]
        )  # fmt: skip
    same(graphc.to_bfloat16(doubles), stored(doubles, "bfloat16"))
    bits = graphc.from_bfloat16(BITS.view(graphc.BFLOAT16)).view("uint32")
    np.testing.assert_array_equal(bits, BITS.astype("uint32") << 16)
    same(graphc.to_bfloat16([[1, 2], [3, 257]]), stored([[1, 2], [3, 256]], "bfloat16"))
    assert graphc.to_bfloat16(1.5).shape == () and graphc.to_bfloat16(np.ones((2, 0))).size == 0
    with pytest.raises(TypeError, match="complex"):
        graphc.to_bfloat16(1j)
    with pytest.raises(TypeError, match="uint16"):
        graphc.from_bfloat16(BITS)


def test_arrays_of_ml_dtypes_are_taken():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    (x,) = inputs("bfloat16", 1)
    given = np.array([1, 2.5, 3], ml_dtypes.bfloat16)
    found = graphc.function([x], x * 2)(given)
    assert found.dtype == graphc.BFLOAT16
    np.testing.assert_array_equal(found.view(ml_dtypes.bfloat16), given * 2)
    assert graphc.shared(given).dtype == "bfloat16"


def cast_values(source, dtype):
    """Values of a source dtype that a half dtype and it itself both have answers for."""
    if source == "bool":
        return np.array([False, True])
    if dtypes.is_discrete(source):
        info = np.iinfo(source)
        near = [0, 1, 2, 7, 100, 127]
        near += [n for n in (-1, -100, 257, 259, 2049, 2051, 65504, 65519, 65520) if
                 info.min <= n <= info.max]  # fmt: skip
        return np.array(near, source)
    if dtypes.is_half(source):
        return BITS.view(dtypes.numpy_dtype(source))
    with np.errstate(invalid="ignore"):
        values = difficult()[::7].astype(source)
    if source == "float64":
        exact = [1 + 2.0**-9, 1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1e300, 1e-300,
                 65520 - 2.0**-30, 2.0**-25 + 2.0**-70, 1 + 2.0**-8 - 2.0**-40]  # fmt: skip
        values = np.concatenate([values, exact, np.negative(exact)])
    return values


@pytest.mark.parametrize("dtype", HALVES)
def test_casts_from_and_to_all_dtypes(dtype):
    sources = [d for d in dtypes.ALL if d not in dtypes.COMPLEX]
    given = [cast_values(d, dtype) for d in sources]
    made = [v for d in sources for v in inputs(d, 1)]
    (half,) = inputs(dtype, 1)
    small = stored(np.linspace(-100, 100, 1001), dtype)
    outputs = [T.cast(v, dtype) for v in made] + [T.cast(half, d) for d in sources]
    native, numpy = both([*made, half], outputs, *given, small)
    for d, value, a, b in zip(sources, given, native, numpy):
        with np.errstate(all="ignore"):
            values = plain(value).astype("float64")
        same(a, stored(values, dtype), f"{d} to {dtype}")
        same(b, stored(values, dtype), f"{d} to {dtype}")
    for d, a, b in zip(sources, native[len(sources) :], numpy[len(sources) :]):
        exact = plain(small).astype("float64")
        if d[0] == "u":
            a, b, exact = (x[exact >= 0] for x in (a, b, exact))
        expected = stored(exact, d) if dtypes.is_half(d) else exact.astype(d)
        same(a, expected, f"{dtype} to {d}")
        same(b, expected, f"{dtype} to {d}")


def test_dtypes_in_which_values_meet():
    meet = {
        ("float16", "float16"): "float16", ("bfloat16", "bfloat16"): "bfloat16",
        ("float16", "bfloat16"): "float32", ("float16", "float32"): "float32",
        ("bfloat16", "float32"): "float32", ("bfloat16", "float64"): "float64",
        ("bfloat16", "int64"): "bfloat16", ("bfloat16", "bool"): "bfloat16",
        ("float16", "uint64"): "float16", ("bfloat16", "complex64"): "complex64",
        ("bfloat16", "complex128"): "complex128",
    }  # fmt: skip
    for pair, expected in meet.items():
        for a, b in (pair, pair[::-1]):
            (x,), (y,) = inputs(a, 1), inputs(b, 1)
            assert (x + y).dtype == T.switch(x != x, x, y).dtype == expected, pair
            assert T.concatenate([x, y]).dtype == expected, pair
    (x,) = inputs("bfloat16", 1)
    assert (x + 1).dtype == (2.5 * x).dtype == (x**2).dtype == T.exp(x).dtype == "bfloat16"
    assert (x * 1j).dtype == "complex64" and x.mean().dtype == x.sum().dtype == "bfloat16"
    assert T.zeros_like(x).dtype == T.ones((2,), "bfloat16").dtype == "bfloat16"
    assert dtypes.canonical(graphc.BFLOAT16) == "bfloat16"


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
