"""Native kernels against NumPy: every op, dtype, layout and kind of index, special values too."""

import itertools

import numpy as np
import pytest
from op_cases import NATIVE, both, check_kernels, elementwise_ops, equal, specials

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.testing import inputs_like


@pytest.fixture(autouse=True)
def single_precision():
    with graphc.config(floatX="float32"):
        yield


def agree(inputs, outputs, *calls, tolerance=None):
    for found, expected in both(inputs, outputs, calls):
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            equal(a, b, f"output {k}: {outputs[k]!r}", tolerance)


def numbers(dtype, *shape, seed=0):
    rng = np.random.RandomState(seed)
    if dtype == "bool":
        return rng.rand(*shape) < 0.5
    if dtypes.is_discrete(dtype):
        return np.asarray(rng.randint(0 if dtype[0] == "u" else -9, 10, shape)).astype(dtype)
    return np.asarray(rng.uniform(-2, 2, shape)).astype(dtype)


# Elementwise ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NATIVE)
def test_elementwise_ops_of_special_values(dtype):
    assert check_kernels(elementwise_ops(), dtype) > 20


def test_casts_between_all_native_dtypes():
    arrays = [numbers(d, 40) for d in NATIVE]
    inputs = inputs_like(arrays)
    agree(inputs, [T.cast(x, d) for x in inputs for d in NATIVE], arrays)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128"])
def test_other_dtypes_take_host_steps(dtype):
    array = numbers("float64", 4, 6).astype(dtype)
    if dtype.startswith("c"):
        array = array + 1j * array[::-1]
    (x,), i = inputs_like([array]), T.lscalar("i")
    outputs = [
        x + x[0], x * 2, x.sum(0), x[1:, ::-2].T, x[i], T.concatenate([x, x[:, i:]], 1), -x[:, i],
        T.set_subtensor(x[i], 1.0), T.dot(x, x.T), x.flatten()[3:], T.cast(x[::2], "complex128"),
    ]  # fmt: skip
    agree([x, i], outputs, (array, 2), (array, -1))


def test_native_and_host_steps_alternate():
    h, x = T.TensorType("float16", (None, None))("h"), T.fmatrix("x")
    y = T.cast(T.tanh(x), "float16") + h
    z = T.exp(T.cast(y, "float32")).sum(0)
    arrays = numbers("float16", 3, 4), numbers("float32", 3, 4)
    agree([h, x], [z, T.cast(z, "float16") * y], arrays, tolerance=1e-3)


# Reductions -------------------------------------------------------------------------------------


def axis_sets(rank):
    return [list(a) for n in range(rank + 1) for a in itertools.combinations(range(rank), n)]


def reductions(x, axes, kinds):
    return [getattr(T, kind)(x, axes, keepdims=kind in ("min", "any")) for kind in kinds]


PLAIN = ("sum", "mean", "max", "min", "any", "all")


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (4, 3, 5), (3, 2, 4, 5)], ids=str)
def test_reductions_over_every_set_of_axes(shape):
    x = T.TensorType("float64", (None,) * len(shape))("x")
    kinds = ("mean", "max", "any") if len(shape) == 4 else (*PLAIN, "prod", "var")
    outputs = [v for axes in axis_sets(len(shape)) for v in reductions(x, axes, kinds)]
    array = numbers("float64", *shape)
    with_nan = array.copy()
    with_nan[(slice(1),) * len(shape)] = np.nan
    agree([x], outputs, [array], [with_nan], tolerance=1e-12)


@pytest.mark.parametrize("shape", [(9,), (3, 5), (4, 3, 5)], ids=str)
def test_positions_over_every_set_of_axes(shape):
    x = T.TensorType("float32", (None,) * len(shape))("x")
    outputs = [getattr(T, kind)(x, axes) for axes in axis_sets(len(shape))[1:]
               for kind in ("argmax", "argmin")]  # fmt: skip
    array = np.round(numbers("float32", *shape) * 2)  # with ties
    with_nan = array.copy()
    with_nan[..., 2::3] = np.nan
    infinite = np.full(shape, -np.inf, "float32")
    agree([x], outputs, [array], [-array], [with_nan], [infinite], [-infinite])


def test_positions_in_reordered_axes_count_in_the_operands_order():
    x = T.tensor3("x", dtype="float32")
    y = x * 2
    orders = list(itertools.permutations(range(3)))
    outputs = [y]
    for order in orders:
        moved = y.dimshuffle(*order)
        outputs += [T.argmax(moved), T.argmin(moved, [0, 1]), T.argmax(moved, [1, 2])]
    agree([x], outputs, [numbers("float32", 3, 4, 5)])


def test_reductions_of_axes_of_size_one():
    x = T.tensor3("x", dtype="float32")
    kinds = ("sum", "min", "argmax")
    outputs = [v for axes in axis_sets(3)[1:] for v in reductions(x, axes, kinds)]
    shapes = [(1, 4, 3), (4, 1, 3), (4, 3, 1), (1, 1, 3), (1, 1, 1)]
    agree([x], outputs, *([numbers("float32", *s)] for s in shapes))


def test_reductions_of_empty_tensors():
    x = T.tensor3("x", dtype="float32")
    kinds = ("sum", "prod", "all", "any")
    outputs = [v for axes in axis_sets(3) for v in reductions(x, axes, kinds)]
    agree([x], [*outputs, x + 1, T.exp(x).sum() + 1], *(
        [np.zeros(s, "float32")] for s in [(0, 3, 2), (3, 2, 0), (0, 0, 2)]
    ))  # fmt: skip
    largest = graphc.function([x], T.max(x, 1))
    assert largest(np.zeros((0, 3, 2), "float32")).shape == (0, 2)
    with pytest.raises(graphc.GraphError, match="empty"):
        largest(np.zeros((3, 0, 2), "float32"))


@pytest.mark.parametrize("dtype", NATIVE)
def test_reductions_of_all_dtypes(dtype):
    array = numbers(dtype, 5, 7)
    (x,) = inputs_like([array])
    kinds = ("sum", "prod", "max", "min", "any", "all", "argmax")
    outputs = [getattr(T, kind)(x, axis) for kind in kinds for axis in (0, 1)]
    agree([x], outputs, [array], [np.resize(specials(dtype)[:5], (5, 7))[:, ::-1]], tolerance=1e-5)


# Layouts ----------------------------------------------------------------------------------------


def test_inputs_of_any_layout():
    rng = np.random.RandomState(0)
    base = rng.randn(12, 16).astype("float32")
    read_only = base[:4, :5].copy()
    read_only.flags.writeable = False
    unaligned = np.zeros(81, "uint8")[1:].view("float32").reshape(4, 5)
    unaligned[:] = base[:4, :5]
    arrays = [
        base[:4, :5], base[::3, ::4], base[4::-1, ::-3], base.T[:5, :4].copy().T,
        np.asfortranarray(base[:4, :5]), base[3:7, 2:7].astype(">f4"), base[:4, :5].astype("<f4"),
        np.broadcast_to(base[0, :5], (4, 5)), np.broadcast_to(base[:4, :1], (4, 5)),
        np.broadcast_to(np.float32(3), (4, 5)), read_only, unaligned, base[:0, :5], base[:4, :0],
        base[:1, :5], base[:4, :1], base[:4, :5].tolist(), base[:4, :5].view(np.ma.MaskedArray),
    ]  # fmt: skip
    x = T.fmatrix("x")
    outputs = [x, x * 2, x.T, x.sum(1), T.dot(x, x.T), x[:, ::-1] + 1, x.flatten(), x[:1] - x]
    agree([x], outputs, *([a] for a in arrays))


def test_inputs_of_rank_zero():
    x, y = T.dscalar("x"), T.lscalar("y")
    outputs = [x + 1, T.exp(x), x * y, y // 2, T.stack([x, x]), x.dimshuffle("x", "x") + T.eye(2)]
    numbers_ = [(1.5, 3), (np.float64(2), np.int64(7)), (np.array(-1.0), np.array(4)[()])]
    agree([x, y], outputs, *numbers_)


def test_views_of_views():
    x = T.tensor3("x", dtype="float32")
    y = x * 2
    outputs = []
    for v in (x, y):
        outputs += [
            v.dimshuffle(2, 0, 1)[1:, ::-1].T, v[:, None, 1:].dimshuffle(3, "x", 0, 2, 1),
            v.reshape((v.shape[0] * v.shape[1], v.shape[2]))[::3], v.T.reshape((-1, 2)),
            v[::2, ::-1].reshape((v.shape[1], -1)), v[1].T[2, ::-2], v.flatten()[5:17:3],
            v.dimshuffle(0, "x", 1, 2)[:, :, 2] + v[:, :1], v.flatten(2).T, v[-1, -1, -1],
        ]  # fmt: skip
    agree([x], outputs, [numbers("float32", 4, 3, 6)])


def test_broadcasting_at_run_time():
    x, y, z = T.tensor3("x"), T.matrix("y"), T.vector("z")
    outputs = [x + y, x * z, y - z, (x - y).sum([0, 2]), T.maximum(y, z).T, T.lt(x, y), x * y * z]
    shapes = [
        ((2, 3, 4), (3, 4), (4,)), ((2, 3, 4), (1, 4), (1,)), ((1, 1, 1), (3, 4), (4,)),
        ((2, 1, 4), (3, 1), (4,)), ((2, 3, 0), (3, 1), (1,)), ((1, 3, 1), (1, 1), (5,)),
    ]  # fmt: skip
    agree([x, y, z], outputs, *([numbers("float32", *s) for s in group] for group in shapes))


# Indexing ---------------------------------------------------------------------------------------

WINDOWS = [
    np.s_[1], np.s_[-1], np.s_[:, 2], np.s_[1:3], np.s_[::-1], np.s_[:, ::-2], np.s_[3:0:-1, 1:],
    np.s_[:, None, -2:], np.s_[..., 1], np.s_[2:2], np.s_[-3:-1, ..., ::2], np.s_[5:, :1],
    np.s_[0, 0], np.s_[None, 1, :, None], np.s_[::3, 1:-1:2, 3:1:-1],
]  # fmt: skip
PICKS = [
    np.s_[[2, 0, 2, -1]], np.s_[:, [1, -1, 1]], np.s_[[0, 1], [2, -3]], np.s_[[1, -1], 1:, 2],
    np.s_[:, :, [[0, 3], [1, 1]]], np.s_[[3, 0], :, [1, 2]], np.s_[1, [0, 0, 2]], np.s_[[]],
    np.s_[::-1, [2, 1]], np.s_[[[1], [2]], [[0, 2]]],
]  # fmt: skip


def test_reading_windows_and_picks():
    x = T.tensor3("x", dtype="float64")
    outputs = [v[index] for v in (x, x * 2) for index in (*WINDOWS, *PICKS)]
    agree([x], outputs, [numbers("float64", 4, 3, 5)])


def test_writing_windows_and_picks():
    x = T.tensor3("x", dtype="float64")
    outputs = []
    for index in (*WINDOWS, *PICKS):
        outputs.append(T.inc_subtensor(x[index], x[index] * 2 + 1))
        if index not in PICKS:  # with an index twice, which one stays is open
            outputs.append(T.set_subtensor(x[index], -x[index]))
    for index in (np.s_[1], np.s_[::-1, 1:], np.s_[[2, 0, 2]], np.s_[[0, 1], [2, -3]]):
        outputs += [T.inc_subtensor(x[index], 0.5), T.set_subtensor(x[index], 7.0)]
    agree([x], outputs, [numbers("float64", 4, 3, 5)])


def test_picks_with_integers_of_every_dtype_and_symbolic_arrays():
    x, rows = T.dmatrix("x"), T.lmatrix("rows")
    index = numbers("int8", 6) % 4
    found = inputs_like([index.astype(d) for d in dtypes.INTEGERS])
    outputs = [x[i] for i in found] + [
        x[rows], x[:, rows[0]], x[rows[:, 0], rows[0, 1]], x[rows, rows],
        x[found[0]][:, rows].sum(0), T.inc_subtensor(x[rows], 1.0),
        T.inc_subtensor(x[rows[0], rows[:, :1]], x[0, 0]),
        x[T.arange(x.shape[0]), rows[0, 0]], x[1:][rows % 3], T.argmax(x[rows], 2),
    ]  # fmt: skip
    picks = np.array([[0, 3, -1], [2, 2, -4]])
    arrays = [index.astype(d) for d in dtypes.INTEGERS]
    agree([x, rows, *found], outputs, [numbers("float64", 4, 5), picks, *arrays])


def test_symbolic_positions():
    x, v, i, j = T.dmatrix("x"), T.lvector("v"), T.lscalar("i"), T.iscalar("j")
    outputs = [
        x[i], x[:, j], x[i, j], x[i:], x[:j], x[i:, ::-1], x[::-2, j], x[i][::-1] + x[j],
        x[v[1]], x[v[i]], x[v[j]:, v[0]], x[T.arange(2, 6)[j]], T.dot(x[i], x[j]), x.T[i] * 2,
        T.dot(x[i:].T, x[i:]), T.set_subtensor(x[i], x[j]), T.inc_subtensor(x[:, j], x[:, v[2]]),
        T.set_subtensor(x[i:], 0.0), T.inc_subtensor(x[v[0], i], 3.0), x[-1 - i], x[v][i],
    ]  # fmt: skip
    array, picks = numbers("float64", 6, 6), np.array([3, 0, 2, 1])
    agree([x, v, i, j], outputs, *([array, picks, a, b] for a, b in [(0, 1), (2, 0), (-1, -2)]),
          tolerance=1e-12)  # fmt: skip


# Making and joining -----------------------------------------------------------------------------


def test_joining():
    x, y, s = T.fmatrix("x"), T.fmatrix("y"), T.fscalar("s")
    outputs = [
        T.concatenate([x, y]), T.concatenate([x, x[:, ::-1], x * 2], 1),
        T.stack([x, x.T.T, -x], axis=2), T.stack([s, s + 1, 2.0]),
        T.concatenate([x[:0], y[1:], T.zeros((1, 3)), T.ones_like(x)]),
        T.concatenate([x.flatten(), T.arange(4, dtype="float32")]), T.stack([x[0], y[0]]).sum(0),
    ]  # fmt: skip
    calls = [[numbers("float32", n, 3), numbers("float32", m, 3), 0.5] for n, m in [(2, 4), (1, 1)]]
    agree([x, y, s], outputs, *calls)


def test_made_tensors():
    x, n, d = T.dmatrix("x"), T.lscalar("n"), T.dscalar("d")
    outputs = [
        T.zeros((n, 2)), T.ones((2, n), "int8"), T.alloc(x[0], n, x.shape[1]), T.arange(n),
        T.arange(2, 20, n), T.arange(9, -n, -2), T.arange(d), T.arange(0.5, d, 0.3), T.eye(n, 3),
        T.eye(4, n, 1) + T.eye(4, n, -2), x + T.eye(x.shape[0], x.shape[1]), x * T.eye(1),
        T.eye(1, 4) - x, T.arange(n).dimshuffle(0, "x") * T.arange(3), T.arange(x.shape[1]) + x,
        T.eye(5)[n:, ::-1] * 2, T.arange(10)[n::2], T.fill(x, d),
        T.arange(12).reshape((3, 4)).T + x.T,
        T.arange(n * n).reshape((n, n))[::-1].flatten(), T.eye(n)[:, 0], T.arange(7).sum() * n,
    ]  # fmt: skip
    array = numbers("float64", 3, 4)
    agree([x, n, d], outputs, (array, 3, 2.75), (array, 1, -1.0), (array, 2, 4.0))


# Products ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_all_ranks(dtype):
    outputs, inputs, arrays = [], [], []
    for n, m in itertools.product(range(5), repeat=2):
        first = numbers(dtype, *(3, 2, 4, 5)[4 - n :])
        second = numbers(dtype, *(2, 3, 5, 6)[4 - m :], seed=1) if m != 1 else numbers(dtype, 5)
        x, y = inputs_like([first, second])
        inputs += [x, y]
        arrays += [first, second]
        outputs.append(T.dot(x, y))
    agree(inputs, outputs, arrays, tolerance=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_products_of_strided_operands(dtype):
    x, y, v = inputs_like([numbers(dtype, 6, 8), numbers(dtype, 8, 6), numbers(dtype, 6)])
    forms = [x, y.T, x[::-1], x[:, ::-1], y[::-1].T, x * 2, y.T + 1, T.ones_like(x) * 3]
    wide = [x[::2, 1:7], y[1:7, ::2].T, x[1:4, 6:0:-1], x[:3, :6] + v]
    outputs = [T.dot(a, b.T) for a in forms for b in forms[:4]]
    outputs += [T.dot(a.T, b) for a in wide for b in wide]
    outputs += [T.dot(v, a) for a in forms] + [T.dot(a.T[:, ::-1], v) for a in forms]
    outputs += [T.dot(T.alloc(v, 4, 6), x), T.dot(v.dimshuffle(0, "x"), v.dimshuffle("x", 0))]
    outputs += [x - 0.5 * T.dot(x, y).dot(x) if dtype[0] == "f" else x - T.dot(x, y).dot(x)]
    arrays = [numbers(dtype, 6, 8), numbers(dtype, 8, 6, seed=1), numbers(dtype, 6, seed=2)]
    tolerance = {"float32": 1e-3, "float64": 1e-11, "int64": 0}[dtype]
    agree([x, y, v], outputs, arrays, tolerance=tolerance)


def test_products_of_empty_and_single_operands():
    x, y = T.dmatrix("x"), T.dmatrix("y")
    outputs = [T.dot(x, y), x[:, :1].dot(y[:1]) + 1, T.dot(x, y) * 2 - T.dot(x, y)]
    shapes = [((3, 0), (0, 2)), ((0, 4), (4, 2)), ((3, 4), (4, 0)), ((1, 1), (1, 1))]
    agree([x, y], outputs, *([numbers("float64", *s) for s in pair] for pair in shapes))
