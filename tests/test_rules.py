"""Every rewrite rule: it fires where it should, and both sides have the same values."""

import numpy as np
import pytest

from graphc import tensor as T
from graphc.core.graph import Graph, Interner, toposort
from graphc.core.node import Constant, TensorType
from graphc.core.op import OPS, apply
from graphc.core.pattern import instantiate
from graphc.passes.algebra import ALGEBRA
from graphc.passes.canonical import CANONICAL
from graphc.passes.fold import FOLD
from graphc.passes.movement import MOVEMENT
from graphc.passes.rewrite import rewrite
from graphc.passes.stability import STABLE
from graphc.passes.views import VIEWS
from graphc.runtime.reference import evaluate

RULES = CANONICAL + STABLE + FOLD + ALGEBRA + MOVEMENT
TEMPLATES = [r for r in RULES if r.is_template]
FUNCTIONS = [r for r in RULES if not r.is_template]

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.25, 3.0, 710.0, -710.0, 1e-20, -1e-9, np.inf, -np.inf,
           np.nan, 1e200, -1e200]  # fmt: skip
NORMAL = [0.3, -0.7, 1.25, 2.0, -3.5, 0.01, 7.0, -11.0, 4.5, 0.9, 1.1, -0.2, 5.0, -6.0, 8.5, 2.2]

# Where a rule changes results, as its docstring says: it is tested on ordinary numbers only.
ORDINARY = {r.name for r in (*STABLE, *ALGEBRA)} | {
    "inverse_twice", "times_inverse", "over_inverse",
}  # fmt: skip
DEFINED = {"power_half": lambda x: ~np.isneginf(x)}


def rewritten(roots, rules):
    """Roots before and after some rules, both interned, and what fired."""
    interner = Interner()
    graph = Graph((), tuple(roots))
    done = interner.rebuild(graph.nodes(), {})
    before = graph.with_roots([done[r] for r in roots])
    log = []
    return before.roots, rewrite(before, rules, interner, log).roots, log


def same(a, b, exactly, tolerance=1e-12):
    if exactly:
        np.testing.assert_array_equal(a, b)
    else:
        tolerance = tolerance if a.dtype == "float64" else 1e-5
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# --- rules written as two expressions -------------------------------------------------


def blanks_of(pattern):
    if type(pattern).__name__ == "Blank":
        return [pattern]
    return list(dict.fromkeys(b for a in pattern.args for b in blanks_of(a)))


def values_for(blank, dtype, rng, ordinary):
    if blank.dtype == "bool":
        return rng.integers(0, 2, 64).astype(bool)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(1, 5 if ordinary else 50, 64).astype(dtype)
    with np.errstate(over="ignore"):
        return rng.choice(NORMAL if ordinary else SPECIAL, 64).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
@pytest.mark.parametrize("rule", TEMPLATES, ids=lambda r: r.name)
def test_both_sides_have_the_same_values(rule, dtype):
    rng = np.random.default_rng(hash_of(rule.name))
    blanks = blanks_of(rule.left)
    kinds = [b.dtype if b.dtype == "bool" else dtype for b in blanks]
    inputs = [TensorType(k, (64,))(b.name) for b, k in zip(blanks, kinds)]
    bound = dict(zip(blanks, inputs))
    try:
        left = instantiate(rule.left, bound)
    except OverflowError:
        pytest.skip("a negative number has no place among unsigned ones")
    if rule.when is not None and not rule.when(**{b.name: v for b, v in bound.items()}):
        pytest.skip("not for this dtype")
    (old,), (new,), log = rewritten([left], (rule,))
    if np.dtype(dtype).kind in "iu" and old.type != left.type:
        pytest.skip("not for integers")
    assert [f.rule for f in log][:1] == [rule.name] or dtype != "float64"
    assert new.dtype == left.dtype and new.ndim == left.ndim
    ordinary = rule.name in ORDINARY
    values = {v: values_for(b, dtype, rng, ordinary) for b, v in zip(blanks, inputs)}
    if rule.name in DEFINED:
        values = {v: x[DEFINED[rule.name](x)] for v, x in values.items()}
    with np.errstate(all="ignore"):
        same(*evaluate([old, new], values), exactly=not ordinary)


def hash_of(name):
    return sum(ord(c) * 31**k for k, c in enumerate(name)) % 2**32


# --- rules written as functions: an example of each -----------------------------------

v = TensorType("float64", (None,))("v")
w = TensorType("float64", (None,))("w")
M = TensorType("float64", (None, None))("M")
A = TensorType("float64", (3, 4))("A")
B = TensorType("float64", (3, 1))("B")
a = TensorType("float64", (4,))("a")
r = TensorType("float64", (3,))("r")
F = TensorType("float32", (None, None))("F")
K = TensorType("float64", (3, 1, 4))("K")
y = TensorType("int64", (3,))("y")
s = TensorType("float64", ())("s")
i8 = TensorType("int8", (None,))("i8")
s_index = T.lscalar("s_index")
table = TensorType("float64", (3, 16))("table")
often = TensorType("int64", (2, 4))("often")
factor = TensorType("float64", (16, 5))("factor")
gradient = TensorType("float64", (8, 5))("gradient")
wide = TensorType("float64", (5, 16))("wide")

VALUES = {
    v: np.array([0.3, -1.0, np.inf, np.nan, 2.0]),
    w: np.array([1.5, 0.0, -np.inf, 4.0, 2.0]),
    M: np.array([[1.0, -2.0, 0.5, 7.0], [0.1, 0.2, 0.3, 0.4], [3.0, 2.0, 1.0, -9.0]]),
    F: np.array([[1.0, -2.0, 0.5, 7.0], [0.1, 0.2, 0.3, 0.4]], "float32"),
    A: np.arange(12.0).reshape(3, 4) - 5,
    B: np.array([[1.0], [-2.0], [np.nan]]),
    a: np.array([2.0, -1.0, np.inf, 0.5]),
    r: np.array([0.5, np.nan, -3.0]),
    K: np.arange(12.0).reshape(3, 1, 4),
    y: np.array([2, 0, -1]),
    s: np.array(1.75),
    s_index: np.array(2),
    i8: np.array([-3, 0, 5], "int8"),
    table: np.where(np.arange(3)[:, None] == 1, np.nan, np.arange(48.0).reshape(3, 16) % 7 - 3),
    often: np.array([[0, 2, 2, 0], [-1, 2, 0, 0]]),  # never row 1, which is of nan
    factor: np.arange(80.0).reshape(16, 5) % 11 - 4,
    gradient: np.arange(40.0).reshape(8, 5) % 9 - 4,
    wide: np.where(np.arange(16) == 3, np.inf, np.arange(80.0).reshape(5, 16) % 5 - 2),
}


def op(name, *args, **attrs):
    return apply(OPS[name], args, attrs)


def softmax_by_hand(x, axis=1):
    return T.exp(x) / T.exp(x).sum(axis=axis, keepdims=True)


def one_hot_sum():
    hot = T.switch(T.eq(T.arange(4).dimshuffle("x", 0), checked().dimshuffle(0, "x")), 2.5, 0.0)
    return hot.sum(axis=1)


def checked():
    return OPS["checked_index"](y, 4)


def vector_of(*numbers):
    return op("make_vector", *numbers)


rows = T.arange(3)
zeros = op("alloc", Constant(0.0, "float64"), Constant(3, "int64"), Constant(4, "int64"))
full = op("alloc", s, Constant(3, "int64"), Constant(4, "int64"))

EXAMPLES = {
    "power_zero": [lambda: v**0],
    "number_of_truth": [lambda: T.neq(T.cast(v > 0, "int8"), 0)],
    "switch_constant": [
        lambda: T.switch(Constant(True, "bool"), A, a),
        lambda: T.switch(Constant(np.zeros((3, 4), bool)), A, a),
    ],
    "cast_twice": [
        lambda: T.cast(T.cast(F, "float64"), "float32"),
        lambda: T.cast(T.cast(i8, "int32"), "float32"),
    ],
    "dim_of_source": [lambda: op("dim", T.tanh(v) + 1, axis=0), lambda: op("dim", M.T, axis=1)],
    "size_or_zero": [lambda: T.maximum(v.shape[0], 0)],
    "dimshuffle_twice": [lambda: M.T.T, lambda: K.dimshuffle(2, 0, 1).dimshuffle(0, "x", 1)],
    "dimshuffle_in_order": [lambda: op("dimshuffle", M, pattern=(0, 1))],
    "reshape_twice": [lambda: M.reshape((-1,)).reshape((4, 3))],
    "reshape_by_axes_of_one": [
        lambda: A.reshape((3, 1, 4)), lambda: v.reshape((-1, 1)),
        lambda: M.reshape((M.shape[0], M.shape[1])), lambda: v.reshape((1, v.shape[0])),
    ],
    "reshape_through_shuffled_ones": [lambda: A.dimshuffle(0, "x", 1).reshape((12,))],
    "broadcast_to_own_shape": [lambda: T.fill(v + w, v * w), lambda: T.alloc(A, 3, 4)],
    "broadcast_twice": [
        lambda: T.fill(M, T.fill(M[0], s)), lambda: T.fill(M, M[0].dimshuffle("x", 0)),
    ],
    "broadcast_to_known_shape": [lambda: T.fill(A, a)],
    "like_source": [lambda: T.fill(T.tanh(M), s)],
    "operand_without_broadcast": [lambda: v + T.fill(v, s), lambda: A * T.fill(A, a)],
    "operand_as_number": [lambda: A * np.full((3, 4), 2.0), lambda: v + T.fill(v, 3.0)],
    "broadcast_last": [lambda: T.exp(T.fill(M, s))],
    "view_of_scalar": [
        lambda: full.dimshuffle(1, 0), lambda: full.reshape((12,)), lambda: full[1:, 2],
    ],
    "sum_like_known": [
        lambda: op("sum_like", A, a), lambda: op("sum_like", A, B), lambda: op("sum_like", A, s),
        lambda: op("sum_like", v + w, w + v),
    ],
    "sum_twice": [lambda: K.sum(axis=1).sum(axis=1)],
    "reduction_of_ones": [lambda: K.max(axis=(1, 2)), lambda: op("sum", A, axes=())],
    "reduction_of_shuffled": [lambda: A.T.sum(axis=0), lambda: M.dimshuffle(1, "x", 0).max(2)],
    "sum_of_constant": [lambda: T.alloc(0.5, 3, 4).sum(axis=1)],
    "full_slice": [lambda: op("subtensor", M, *slice_of(M), window=(("s", 0, 1, 1),))],
    "full_window": [lambda: M[:, None]],
    "full_update": [
        lambda: T.inc_subtensor(M[:, None], 2.0), lambda: T.set_subtensor(A[:, None, :], K),
    ],
    "entry_of_vector": [
        lambda: op("subtensor", vector_of(s, 2 * s), Constant(1), window=(("i", 0),))
    ],
    "part_of_vector": [
        lambda: op("subtensor", vector_of(s, 2 * s, 3 * s), Constant(1), Constant(2),
                   window=(("s", 0, 1, 1),))
    ],  # fmt: skip
    "window_twice": [
        lambda: A[1:][0], lambda: A[::-1][1:, 1:3], lambda: M[:, 1][2], lambda: M[None][0],
        lambda: K[:, 0, 1:][1:, ::2], lambda: A[:, 1:][:, -1],
    ],
    "neighbouring_updates": [
        lambda: T.set_subtensor(T.zeros((2, 5))[:, 2:], T.alloc(s, 2, 3))
        + T.set_subtensor(T.zeros((2, 5))[:, :2], T.alloc(2 * s, 2, 2)),
        lambda: T.inc_subtensor(T.zeros((6,))[4:], T.alloc(s, 2)) + T.alloc(3 * s, 6)
        + T.inc_subtensor(T.zeros((6,))[2:4], T.alloc(2 * s, 2)),
    ],
    "update_of_nothing": [lambda: T.inc_subtensor(A[1:], 0.0)],
    "log_softmax": [lambda: T.log(T.nnet.softmax(M)), lambda: T.log(T.nnet.softmax(M, axis=0))],
    "log_sum_exp": [lambda: T.log(T.exp(M).sum(axis=1)), lambda: T.log(T.exp(M).sum())],
    "log_through_movement": [
        lambda: T.log(T.nnet.softmax(A)[rows, y]),
        lambda: T.log(T.cast(T.nnet.softmax(F), "float64").T.reshape((-1,))[1:]),
        lambda: T.log(T.exp(M).sum(axis=1, keepdims=True)),
        lambda: T.log1p(-T.nnet.sigmoid(M)[0]),
    ],
    "log_of_quotient": [
        lambda: T.log(T.exp(M) / T.exp(M).sum()), lambda: T.log(T.exp(v) / w),
    ],
    "log_of_product": [lambda: T.log(T.exp(M) * 2.5)],
    "softmax_by_quotient": [
        lambda: softmax_by_hand(M), lambda: softmax_by_hand(M, 0),
        lambda: T.exp(M) / T.exp(M).sum(axis=0), lambda: T.exp(v[:2]) / T.exp(v[:2]).sum(),
        lambda: T.exp(M) / T.exp(M).sum(axis=1)[:, None],
    ],
    "minus_logsumexp": [lambda: M - op("logsumexp", M, axes=(1,)).dimshuffle(0, "x")],
    "fold_constants": [lambda: v + T.exp(Constant(np.array([1.0, 2.0, 3.0, 4.0, 5.0])))],
    "added_twice": [
        lambda: (v + 1.5) + 2.5, lambda: (v - 1.5) + 2.5, lambda: (1.5 - v) + 2.5,
    ],
    "subtracted_twice": [
        lambda: (v + 1.5) - 2.5, lambda: (v - 1.5) - 2.5, lambda: (1.5 - v) - 2.5,
    ],
    "subtracted_from": [
        lambda: 2.5 - (v + 1.5), lambda: 2.5 - (v - 1.5), lambda: 2.5 - (1.5 - v),
    ],
    "multiplied_twice": [
        lambda: (v * 1.5) * 2.5, lambda: (v / 1.5) * 2.5, lambda: (1.5 / v) * 2.5,
        lambda: T.inv(v) * 3.0,
    ],
    "divided_by_constant": [
        lambda: (v * 1.5) / 2.5, lambda: (v / 1.5) / 2.5, lambda: (1.5 / v) / 2.5,
        lambda: T.inv(v) / 3.0,
    ],
    "divided_by_power_of_two": [lambda: v / 8.0],
    "negated_product": [lambda: -(v * 1.5), lambda: -(v / 1.5), lambda: -(1.5 / v)],
    "sum_of_negated": [lambda: (-M).sum(axis=0)],
    "sum_of_multiple": [lambda: (M * 2.5).sum(axis=0), lambda: (M / 3.0).sum()],
    "gather_in_order": [lambda: M[T.arange(M.shape[0])]],
    "gather_of_elementwise": [
        lambda: (A * a + B)[rows, y], lambda: (A * a + B)[y], lambda: (A + B)[:, y],
        lambda: T.exp(K + A)[rows, :, y], lambda: (K + B)[y, y, y],
    ],
    "window_of_elementwise": [
        lambda: (A * a + B)[1:, ::2], lambda: (A * a + B)[1], lambda: (v + s)[s_index:],
        lambda: (a + K)[:, None, 0, 1:], lambda: (A + B)[:, 2], lambda: (K + B)[2, None, 1, ::-1],
        lambda: (a + A)[None, 1], lambda: (a * 2.0)[None, 1:], lambda: (s + A)[None, 0, None],
    ],
    "gather_of_broadcast": [lambda: T.alloc(a, 3, 4)[rows, y]],
    "gather_of_shuffled": [lambda: A.T[y], lambda: A.T[y, rows], lambda: K.dimshuffle(2, 0, 1)[y]],
    "scatter_of_rows": [
        lambda: T.inc_subtensor(zeros[rows, y], r), lambda: T.inc_subtensor(A[rows, y], 2.0),
        lambda: T.set_subtensor(A[rows, y], r),
    ],
    "sum_of_one_hot": [one_hot_sum],
    "product_of_picked_rows": [
        lambda: T.dot(table[often].reshape((8, 16)), factor),
        lambda: T.dot(table[often.flatten()], factor),
    ],
    "product_with_picked_rows": [lambda: T.dot(table[often].reshape((8, 16)).T, gradient)],
    "scatter_of_product": [
        lambda: T.inc_subtensor(T.zeros((3, 16))[often], T.dot(gradient, wide).reshape((2, 4, 16))),
        lambda: T.inc_subtensor(T.zeros((3, 16))[often.flatten()], T.dot(gradient, wide)),
    ],
}  # fmt: skip


def slice_of(x):
    return Constant(0, "int64"), op("dim", x, axis=0)


def test_every_rule_has_an_example_and_a_name_of_its_own():
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert {rule.name for rule in FUNCTIONS} == set(EXAMPLES)


@pytest.mark.parametrize(
    "rule, example",
    [(rule, k) for rule in FUNCTIONS for k in range(len(EXAMPLES.get(rule.name, ())))],
    ids=lambda x: str(getattr(x, "name", x)),
)
def test_rule_fires_and_keeps_values(rule, example):
    left = EXAMPLES[rule.name][example]()
    helpers = tuple(h for h in CANONICAL + STABLE if rule in STABLE + MOVEMENT and h is not rule)
    (old,), (new,), log = rewritten([left], (rule, *helpers))
    assert rule.name in [f.rule for f in log]
    assert new.dtype == left.dtype and new.ndim == left.ndim
    with np.errstate(all="ignore"):
        before, after = evaluate([old, new], VALUES)
    assert before.shape == after.shape
    exactly = rule in VIEWS + FOLD and rule.name != "sum_of_constant"
    same(before, after, exactly, 1e-12 if F not in toposort([left]) else 1e-5)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_rule_says_what_it_does(rule):
    assert "->" in rule.text


# --- broadcasts must not be lost ------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: T.switch(T.gt(w, 0), s, s),
        lambda: T.switch(T.gt(w, 0), v, v),
        lambda: a * np.ones((1, 1)),
        lambda: v + np.zeros(5),
        lambda: T.fill(M, s) * 1 + T.zeros_like(v) * 0 + T.fill(M, 0.0),
    ],
)
def test_an_operand_that_widens_the_result_stays(build):
    left = build()
    (old,), (new,), _ = rewritten([left], CANONICAL)
    values = {**VALUES, v: np.array([1.5]), M: np.ones((2, 5))}
    before, after = evaluate([old, new], values)
    assert before.shape == after.shape
    np.testing.assert_array_equal(before, after)


def test_a_condition_on_the_same_variable_may_go():
    (_,), (new,), _ = rewritten([T.switch(T.gt(v, 0), v, v)], CANONICAL)
    assert new is v


# --- picks keep the check of their index ----------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: T.inc_subtensor(zeros[rows, y], r),
        one_hot_sum,
        lambda: (A * a + B)[rows, y],
        lambda: (a + a)[y],
        lambda: T.log(T.nnet.softmax(A)[rows, y]),
    ],
)
@pytest.mark.parametrize("bad", [4, -5])
def test_a_bad_index_stays_an_error(build, bad):
    roots = rewritten([build()], RULES)[1]
    with pytest.raises(IndexError):
        evaluate(roots, {**VALUES, y: np.array([0, bad, 1])})


def test_checked_index_counts_from_the_end():
    assert evaluate([checked()], VALUES)[0].tolist() == [2, 0, 3]
