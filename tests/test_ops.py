"""Every op's type agrees with its values, and indexing with NumPy's, over generated cases."""

import itertools

import numpy as np
import pytest
from op_cases import check_broadcasting, check_dtypes, check_types, elementwise_ops, numbers

import graphc
import graphc.tensor as T
from graphc.core import dtypes
from graphc.core.op import OPS
from graphc.ops import nnet
from graphc.ops.broadcast import sum_like
from graphc.testing import check_op, inputs_like


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float32"):
        yield


# Elementwise ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", elementwise_ops(), ids=lambda op: op.name)
def test_elementwise_types_over_all_dtypes(op):
    check_dtypes(op)


@pytest.mark.parametrize("op", elementwise_ops(), ids=lambda op: op.name)
def test_elementwise_broadcasting_over_ranks(op):
    check_broadcasting(op)


NUMPY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "mod": np.mod,
    "int_div": np.floor_divide, "maximum": np.maximum, "minimum": np.minimum,
    "eq": np.equal, "lt": np.less, "ge": np.greater_equal,
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPY)
def test_integers_meet_as_in_numpy(name):
    rng = np.random.RandomState(0)
    for first, second in itertools.product(dtypes.INTEGERS, repeat=2):
        if np.promote_types(first, second).kind == "f":
            continue  # int64 with uint64
        a, b = numbers(first, (4,), rng), numbers(second, (4,), rng)
        expected = NUMPY[name](a, b)
        found = check_op(OPS[name], [a, b], expected)
        assert found.dtype == expected.dtype


@pytest.mark.parametrize("source", [d for d in dtypes.ALL if d != "bfloat16"])
@pytest.mark.parametrize("target", [d for d in dtypes.ALL if d != "bfloat16"])
def test_casts(source, target):
    array = numbers(source, (2, 3), np.random.RandomState(0))
    if source in dtypes.COMPLEX and target not in dtypes.COMPLEX:
        with pytest.raises(graphc.GraphError, match="imaginary"):
            T.cast(T.constant(array), target)
        return
    check_op(lambda x: T.cast(x, target), [array], array.astype(target))


# Reductions -------------------------------------------------------------------------------------

REDUCTIONS = {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "max": np.max, "min": np.min,
    "argmax": np.argmax, "argmin": np.argmin, "all": np.all, "any": np.any, "var": np.var,
    "std": np.std,
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"]
)
def test_reductions_over_all_axes(name, dtype):
    rng = np.random.RandomState(0)
    for shape in [(), (4,), (2, 3), (1, 4), (2, 3, 2)]:
        array = numbers(dtype, shape, rng)
        single = [None, *range(-len(shape), len(shape))]
        pairs = [] if name.startswith("arg") else list(itertools.combinations(range(len(shape)), 2))
        for axis, keepdims in itertools.product(single + pairs, (False, True)):

            def build(x, axis=axis, keepdims=keepdims):
                return getattr(T, name)(x, axis=axis, keepdims=keepdims)

            wide = array.astype("float64") if dtype == "float16" else array
            expected = REDUCTIONS[name](wide, axis=axis, keepdims=keepdims)
            found = check_op(build, [array], expected, rtol=2e-3 if dtype == "float16" else 1e-5)
            check_types(build, [array])
            method = getattr(T.constant(array), name)(axis=axis, keepdims=keepdims)
            assert method.dtype == found.dtype


def test_reductions_of_nothing():
    empty = np.zeros((0, 3), "float32")
    for name in ("sum", "prod", "all", "any"):
        assert check_op(lambda x, name=name: getattr(T, name)(x, 0), [empty]).shape == (3,)
        assert check_op(lambda x, name=name: getattr(T, name)(x, 1), [empty]).shape == (0,)
    for name in ("max", "argmin"):
        assert check_op(lambda x, name=name: getattr(T, name)(x, 1), [empty]).shape == (0,)
        with pytest.raises(graphc.GraphError):
            check_op(lambda x, name=name: getattr(T, name)(x, 0), [empty])


# The other families -----------------------------------------------------------------------------

M, V, C = np.arange(12.0).reshape(3, 4), np.arange(4.0), np.ones((2, 3, 4))
CASES = {
    "dot": (T.dot, [M, M.T], M @ M.T),
    "dot, vector and matrix": (T.dot, [V, M.T], V @ M.T),
    "dot, matrix and vector": (T.dot, [M, V], M @ V),
    "dot, vectors": (T.dot, [V, V], V @ V),
    "dot, scalar": (T.dot, [M, np.float64(2)], 2 * M),
    "dot, tensors": (T.dot, [C, np.arange(40.0).reshape(2, 4, 5)], None),
    "dot, empty": (T.dot, [np.zeros((2, 0)), np.zeros((0, 3))], np.zeros((2, 3))),
    "dot, mixed": (T.dot, [M.astype("float32"), M.T.astype("int64")], None),
    "outer": (T.outer, [V, V[:3]], np.outer(V, V[:3])),
    "dimshuffle": (lambda x: x.dimshuffle(1, "x", 0), [M], M.T[:, None, :]),
    "dimshuffle drops": (lambda x: x.dimshuffle(1), [M[:1]], M[0]),
    "transpose": (lambda x: x.transpose(2, 0, 1), [C], C.transpose(2, 0, 1)),
    "T": (lambda x: x.T, [C], C.T),
    "reshape": (lambda x: x.reshape((2, -1)), [M], M.reshape(2, -1)),
    "reshape by shape": (lambda x, y: x.reshape(y.shape, ndim=2), [M, M.T], M.reshape(4, 3)),
    "reshape of nothing": (lambda x: x.reshape((0, 5)), [np.zeros((5, 0))], np.zeros((0, 5))),
    "flatten": (lambda x: x.flatten(2), [C], C.reshape(2, 12)),
    "flatten a scalar": (lambda x: x.flatten(), [np.float64(3)], np.array([3.0])),
    "padleft": (lambda x: T.shape_padleft(x, 2), [V], V[None, None]),
    "padright": (lambda x: T.shape_padright(x), [V], V[:, None]),
    "padaxis": (lambda x: T.shape_padaxis(x, 1), [M], M[:, None]),
    "alloc": (lambda x: T.alloc(x, 3, 4), [V], np.tile(V, (3, 1))),
    "zeros": (lambda x: T.zeros((x.shape[0], 2)), [M], np.zeros((3, 2))),
    "ones": (lambda x: T.ones(3, "int8"), [M], np.ones(3)),
    "zeros_like": (lambda x: T.zeros_like(x, "int32"), [M], np.zeros((3, 4))),
    "ones_like": (lambda x: x.ones_like(), [M], np.ones((3, 4))),
    "fill": (lambda x: T.fill(x, 7), [M], np.full((3, 4), 7)),
    "broadcast_to": (lambda x: T.broadcast_to(x, (2, 4)), [V], np.tile(V, (2, 1))),
    "sum_like": (lambda g, x: sum_like(g, x), [C, np.ones((3, 1))], np.full((3, 1), 8)),
    "arange": (lambda x: T.arange(x.shape[0]), [M], np.arange(3)),
    "arange down": (lambda x: T.arange(7, 1, -2), [M], np.arange(7, 1, -2)),
    "arange of floats": (lambda x: T.arange(0.5, 2, 0.25), [M], np.arange(0.5, 2, 0.25)),
    "arange of nothing": (lambda x: T.arange(3, 1), [M], np.arange(3, 1)),
    "eye": (lambda x: T.eye(3, 4, 1), [M], np.eye(3, 4, 1)),
    "identity_like": (T.identity_like, [M], np.eye(3, 4)),
    "concatenate": (lambda x, y: T.concatenate([x, y], 1), [M, M[:, :1]], np.hstack([M, M[:, :1]])),
    "join": (lambda x, y: T.join(0, x, y), [M, M[:0]], M),
    "stack": (lambda x, y: T.stack([x, y], axis=1), [M, M], np.stack([M, M], 1)),
    "stack of scalars": (lambda x: T.stack([x[0], x[1], 2]), [V], np.array([0, 1, 2])),
    "lists": (
        lambda x: T.as_tensor_variable([[x[0], 1], [2, x[3]]]), [V], np.array([[0, 1], [2, 3]]),
    ),
    "take": (lambda x: T.take(x, [2, 0]), [M], np.take(M, [2, 0])),
    "take along": (lambda x: x.take([[2, 0]], axis=1), [M], np.take(M, [[2, 0]], 1)),
    "shape": (lambda x: x.shape, [C], np.array(C.shape)),
    "part of shape": (lambda x: x.shape[1:], [C], np.array(C.shape[1:])),
    "size": (lambda x: x.size, [C], C.size),
    "norm": (lambda x: x.norm(2), [M], np.linalg.norm(M)),
    "norms": (lambda x: x.norm(1, axis=0), [M], np.abs(M).sum(0)),
    "logsumexp": (lambda x: T.logsumexp(x, axis=1), [M], np.log(np.exp(M).sum(1))),
    "softmax": (T.nnet.softmax, [V], np.exp(V) / np.exp(V).sum()),
    "softmax axis": (lambda x: T.nnet.softmax(x, 0), [M], np.exp(M) / np.exp(M).sum(0)),
    "logsoftmax": (T.nnet.logsoftmax, [V], V - np.log(np.exp(V).sum())),
    "logsoftmax, far": (T.nnet.logsoftmax, [np.array([1e4, 0.0])], np.array([0, -1e4])),
    "one_hot": (lambda y: nnet.one_hot(y, 3), [np.array([0, 2])], np.eye(3)[[0, 2]]),
    "round": (lambda x: T.round(x), [V + 0.5], np.round(V + 0.5)),
    "round up": (lambda x: T.round(x, "half_away_from_zero"), [V + 0.5], V + 1),
    "clip": (lambda x: x.clip(1, 2), [V], V.clip(1, 2)),
    "crossentropy": (
        T.nnet.categorical_crossentropy, [np.full((2, 4), 0.25), np.array([1, 3])],
        np.full(2, np.log(4)),
    ),
    "max_and_argmax": (lambda x: T.max_and_argmax(x, 1)[1], [M], np.full(3, 3)),
    "largest": (lambda x, y: T.largest(x, y, 2), [V, 3 - V], np.array([3, 2, 2, 3])),
    "sums of integers": (lambda x: x.sum(), [np.array([100, 100], "int8")], 200),
    "mean of integers": (lambda x: x.mean(), [np.array([1, 2], "int8")], 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_what_numpy_gives(name):
    build, arrays, expected = CASES[name]
    check_op(build, arrays, expected)
    check_types(build, arrays)


# Indexing ---------------------------------------------------------------------------------------


def random_index(shape, rng, arrays):
    """An index that NumPy accepts for a shape, of every kind of entry."""
    entries = []
    picked = np.broadcast_shapes(*[[(2,), (3, 1), (1, 2), (1,)][k] for k in rng.randint(4, size=2)])
    axes = list(range(rng.randint(len(shape) + 1)))
    for axis in axes:
        n = shape[axis]
        kind = rng.choice(["int", "slice", "slice", "all"] + ["array"] * arrays)
        if kind == "int" and n:
            entries.append(int(rng.randint(-n, n)))
        elif kind == "array" and n:
            size = picked[rng.randint(len(picked) + 1) :]
            size = tuple(1 if rng.rand() < 0.2 else m for m in size)
            entries.append(rng.randint(-n, n, size))
        elif kind == "slice":
            bounds = [None if rng.rand() < 0.3 else int(rng.randint(-n - 2, n + 3)) for _ in "ab"]
            step = [None, 1, 2, -1, -2, 3][rng.randint(6)]
            entries.append(slice(*bounds, step))
        else:
            entries.append(slice(None))
        if rng.rand() < 0.15:
            entries.append(None)
    if rng.rand() < 0.3:
        at = rng.randint(len(entries) + 1)
        tail = len([e for e in entries[at:] if e is not None])
        kept = [e for e in entries[at:]]
        if tail <= 1:  # entries behind the ellipsis count from the last axis
            fine = all(_fits(e, shape[-1]) for e in kept if e is not None)
            if fine:
                entries[at:] = [Ellipsis, *kept]
    return tuple(entries)


def _fits(entry, n):
    if isinstance(entry, slice):
        return True
    return bool(n) and bool(np.all((np.asarray(entry) >= -n) & (np.asarray(entry) < n)))


def symbolic(index, rng):
    """The index with some of its numbers and arrays as inputs, and their values."""
    given = []

    def maybe(value):
        if not isinstance(value, int | np.ndarray) or rng.rand() < 0.3:
            return value
        array = np.asarray(value, ["int64", "int32", "int8"][rng.randint(3)])
        (variable,) = inputs_like([array])
        given.append((variable, array))
        return variable

    entries = []
    for e in index:
        if isinstance(e, slice):
            e = slice(maybe(e.start), maybe(e.stop), e.step)
        entries.append(maybe(e))
    return tuple(entries), given


def random_cases(count, seed, arrays):
    rng = np.random.RandomState(seed)
    for _ in range(count):
        shape = tuple(
            rng.choice(
                [0, 1, 2, 3, 5, 6], size=rng.randint(1, 5), p=[0.05, 0.1, 0.2, 0.25, 0.2, 0.2]
            )
        )
        shape = tuple(int(n) for n in shape)
        array = rng.rand(*shape)
        index = random_index(shape, rng, arrays)
        covered = sum(e is not None and e is not Ellipsis for e in index)
        if arrays and covered == array.ndim and any(e is Ellipsis for e in index):
            continue  # an ellipsis of no axes moves picked axes in NumPy, and not here
        try:
            part = array[index]
        except IndexError:
            continue
        yield rng, array, index, part


@pytest.mark.parametrize("arrays", [0, 1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_random_indices_read_what_numpy_reads(seed, arrays):
    for rng, array, index, part in random_cases(150, seed, arrays):
        for known in (True, False):
            (x,) = inputs_like([array], known)
            plain = graphc.function([x], x[index], on_unused_input="ignore")(array)
            assert plain.shape == part.shape and (plain == part).all(), (array.shape, index)
            if known:
                check_types(lambda x, index=index: x[index], [array])
            entries, given = symbolic(index, rng)
            f = graphc.function([x, *(v for v, _ in given)], x[entries])
            found = f(array, *(a for _, a in given))
            assert found.shape == part.shape and (found == part).all(), (array.shape, index)


@pytest.mark.parametrize("arrays", [0, 2])
@pytest.mark.parametrize("seed", range(4))
def test_random_indices_write_what_numpy_writes(seed, arrays):
    for rng, array, index, part in random_cases(100, 100 + seed, arrays):
        (x,) = inputs_like([array], known=bool(rng.randint(2)))
        shape = part.shape[rng.randint(part.ndim + 1) :]
        value = rng.rand(*(1 if rng.rand() < 0.3 else n for n in shape))
        (v,) = inputs_like([value])
        entries, given = symbolic(index, rng)
        variables = [x, v, *(variable for variable, _ in given)]
        both = [T.set_subtensor(x[entries], v), T.inc_subtensor(x[entries], v)]
        written, added = graphc.function(variables, both)(array, value, *(a for _, a in given))
        expected = array.copy()
        np.add.at(expected, index, value)
        assert np.allclose(added, expected), (array.shape, index)
        target = array.copy()
        target[index] = value
        once = array.copy()
        once[index] = -1
        repeated = np.zeros_like(array)
        np.add.at(repeated, index, 1)
        if (repeated <= 1).all():
            assert np.allclose(written, target), (array.shape, index)
        else:  # which of several values wins is open
            assert np.allclose(written[repeated <= 1], target[repeated <= 1])


def test_parts_of_parts():
    x = T.dmatrix("x")
    array = np.arange(20.0).reshape(4, 5)
    for part, expected in [
        (x[1:][::-1][:2, 3], array[1:][::-1][:2, 3]),
        (x[:, 1:4][2], array[:, 1:4][2]),
        (x.T[2:, ::-1][0], array.T[2:, ::-1][0]),
        (x[x[0, :2].astype("int64")], array[[0, 1]]),
        (x[T.arange(4), T.arange(4)], array[range(4), range(4)]),
    ]:
        assert (part.eval({x: array}) == expected).all()
    nested = T.set_subtensor(x[1:][:, 2], -1.0)
    expected = array[1:].copy()
    expected[:, 2] = -1
    assert (nested.eval({x: array}) == expected).all()


def test_iterating_unpacks_known_lengths():
    a, b = T.tensor("float64", (2, None), "x")
    assert a.ndim == b.ndim == 1
    rows, columns = T.dmatrix("m").shape
    assert rows.ndim == 0


# Names ------------------------------------------------------------------------------------------


def test_the_tensor_module_has_what_programs_use():
    wanted = """
    scalar vector row col matrix tensor3 tensor4 tensor5 iscalar lvector fmatrix dtensor3 btensor4
    wrow zcol ctensor5 bool_vector matrices dscalars ivectors tensor TensorType constant shared
    as_tensor_variable exp log log1p expm1 sqrt sqr abs_ sgn inv maximum minimum largest smallest
    eq neq lt le gt ge and_ or_ xor invert bitwise_and bitwise_or switch where clip cast round floor
    ceil mod pow add sub mul true_div int_div isnan isinf sin cos tan arcsin arccos arctan arctan2
    sinh cosh tanh sigmoid erf erfc sum prod mean var std max min argmax argmin any all dot outer
    reshape flatten dimshuffle transpose concatenate join stack alloc arange eye zeros ones
    zeros_like ones_like fill identity_like shape_padleft shape_padright shape_padaxis take
    set_subtensor inc_subtensor to_one_hot grad jacobian hessian Lop Rop verify_grad nnet
    TensorVariable TensorConstant TensorSharedVariable
    """.split()
    assert [name for name in wanted if not hasattr(T, name)] == []
    for name in ("sigmoid softmax logsoftmax softplus relu elu hard_sigmoid softmax_with_bias "
                 "categorical_crossentropy binary_crossentropy").split():  # fmt: skip
        assert callable(getattr(T.nnet, name))


def test_constructors_make_the_types_that_their_names_say():
    assert T.dmatrix("x").type == T.TensorType("float64", (False, False))
    assert T.dmatrix("x").type == T.dmatrix and T.matrix("x").dtype == "float32"
    assert T.row("r").broadcastable == (True, False) and T.icol().type.shape == (None, 1)
    assert T.matrix("m", dtype="int8").dtype == "int8" and T.lscalar("s").ndim == 0
    assert [v.name for v in T.matrices("x", "y")] == ["x", "y"]
    assert [v.dtype for v in T.iscalars(3)] == ["int32"] * 3
    assert T.dscalars("x").name == "x"
    assert T.tensor("int32", (False, True), "t").type.shape == (None, 1)
    assert T.tensor("int32", (3, None)).type.shape == (3, None)
    assert isinstance(T.dmatrix("x").type, T.TensorType)
    assert isinstance(T.dmatrix("x"), T.TensorVariable)
    assert isinstance(T.constant(1), T.TensorConstant)
    assert T.TensorType("float32", (False,) * 4)("x").ndim == 4
