"""Patterns, the driver of rules, and the pipeline as a whole."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc import tensor as T
from graphc.core.errors import RewriteError
from graphc.core.graph import Graph, Interner
from graphc.core.node import Constant, SharedVariable, TensorType
from graphc.core.op import OPS, apply
from graphc.core.pattern import ANYTHING, is_uniform, match, rewrites, rule
from graphc.passes.autodiff import grad
from graphc.passes.canonical import CANONICAL
from graphc.passes.fold import FOLD
from graphc.passes.pipeline import PIPELINE, SIMPLIFY, optimise
from graphc.passes.rewrite import rewrite
from graphc.passes.sizes import same_sizes
from graphc.runtime.reference import evaluate

x = TensorType("float64", (None,))("x")
y = TensorType("float64", (None,))("y")


def interned(*roots):
    interner = Interner()
    graph = Graph((), tuple(roots))
    done = interner.rebuild(graph.nodes(), {})
    return graph.with_roots([done[r] for r in roots]), interner


def run(rules, *roots):
    graph, interner = interned(*roots)
    log = []
    return rewrite(graph, tuple(rules), interner, log).roots, log


# --- patterns -------------------------------------------------------------------------


@rule
def doubled(x):
    return x + x, 2 * x


@rule
def product_over_sum(a, b):
    return (a * b) / (a + b), T.inv(T.inv(a) + T.inv(b))


def test_rule_has_name_and_text():
    assert (doubled.name, doubled.text) == ("doubled", "add(x, x) -> mul(2, x)")
    assert repr(doubled) == "<rule doubled: add(x, x) -> mul(2, x)>"


def test_unbound_variable_on_the_right_is_refused_at_definition():
    with pytest.raises(RewriteError, match="rule wrong: b on the right"):

        @rule
        def wrong(a, b):
            return T.exp(a), a + b


@pytest.mark.parametrize(
    "sides, what",
    [(lambda a: (a, a), "no application"), (lambda a: (T.exp(a), T.as_tensor(0.0)), "no variable")],
)
def test_malformed_sides_are_refused_at_definition(sides, what):
    with pytest.raises(RewriteError, match=what):
        rule(sides)


@pytest.mark.parametrize("top", [x * y, y * x])
@pytest.mark.parametrize("bottom", [x + y, y + x])
def test_commutative_operands_match_in_any_order(top, bottom):
    (new,), log = run([product_over_sum], top / bottom)
    assert [f.rule for f in log] == ["product_over_sum"] and new.op is OPS["inv"]


def test_variable_that_occurs_twice_is_one_node():
    assert run([doubled], T.exp(x) + T.exp(x))[1]
    assert not run([doubled], T.exp(x) + T.exp(y))[1]


def test_attributes_must_be_equal():
    two = rule(lambda a: (T.cast(T.exp(a), "float32"), T.cast(a, "float32")))
    assert match(two.left, T.cast(T.exp(x), "float32")) is not None
    assert match(two.left, T.cast(T.exp(x), "float16")) is None


@pytest.mark.parametrize(
    "constant, number, expected",
    [
        (Constant(0.1, "float32"), 0.1, True),
        (Constant(0, "int64"), 0.5, False),
        (Constant(np.full((2, 3), 2.0)), 2, True),
        (Constant(np.array([2.0, 3.0])), 2, False),
        (Constant(np.zeros((0,))), 0, False),
        (Constant(np.nan), np.nan, False),
        (T.fill(x, T.as_tensor(1).dimshuffle("x")).astype("float32"), 1, True),
        (T.alloc(1.5, 3).astype("int32"), 1, True),
        (x, 1, False),
        (x * 0 + 1, 1, False),
    ],
)
def test_literals_match_uniform_constants(constant, number, expected):
    assert is_uniform(constant, number) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
def test_numbers_on_the_right_are_weak(dtype):
    v = TensorType(dtype, (None,))("v")
    (new,), log = run([doubled], v + v)
    assert log and new.dtype == dtype


# --- the driver -----------------------------------------------------------------------


def test_firings_carry_rule_lines_and_names():
    z = T.exp(x) + T.exp(x)
    z.name = "z"
    (new,), (firing,) = run([doubled], z)
    assert firing.rule == "doubled" and firing.after is new and new.name == "z"
    assert firing.lines and firing.lines[0][0] == __file__ == new.where[-1][0]


def test_rules_fire_on_what_rules_make():
    (new,), log = run(CANONICAL, T.neg(-(x * 1.0)) + 0.0)
    assert new is x and len(log) == 3


def test_first_of_several_rules_fires():
    other = rule(lambda a: (a + a, 4 * a / 2))
    assert [f.rule for f in run([doubled, other], x + x)[1]] == ["doubled"]


back = rule(lambda a: (2 * a, a + a))
growing = rule(lambda a: (T.exp(a), T.exp(a + 1)))
inflating = rule(lambda a: (T.sin(a), T.sin(T.cos(a)) + a))


@pytest.mark.parametrize("rules", [(doubled, back), (growing,), (inflating,)])
def test_circles_are_found_and_named(rules):
    with pytest.raises(RewriteError, match="circles") as error:
        run(rules, T.exp(x) + T.exp(x) + T.sin(x))
    assert rules[0].name in str(error.value)


@rewrites("exp")
def to_float32(node):
    return T.cast(node.args[0], "float32")


@rewrites("exp")
def to_scalar(node):
    return node.args[0].sum()


@rewrites("exp")
def broken(node):
    return node.args[5]


@pytest.mark.parametrize("bad", [to_float32, to_scalar, broken])
def test_faulty_rules_are_errors_with_their_name_and_the_users_line(bad):
    with pytest.raises(RewriteError, match=bad.name) as error:
        run([bad], T.exp(x))
    assert __file__ in str(error.value)


def test_known_sizes_are_not_given_up():
    known = TensorType("float64", (3,))("known")
    widen = rule(lambda a, b: (T.switch(T.lt(a, b), a, a), a))
    assert not run([widen], T.switch(T.lt(x, known), x, x))[1]


def test_sizes_tell_equal_shapes_apart_from_others():
    assert same_sizes(T.tanh(x) * y, y + x[None][0])
    assert not same_sizes(x + y, x)
    assert same_sizes(T.fill(x, 1.0), x) and same_sizes(T.zeros_like(x), T.exp(-x))
    m = T.dmatrix()
    assert same_sizes(m.T.T[:, 0], m.sum(axis=1)) and not same_sizes(m[0], m[:, 0])
    assert same_sizes(T.alloc(0.0, m.shape[1]), m.sum(axis=0))


def chain(length):
    """In every tenth step something is simplified."""
    z = x
    for k in range(length // 2):
        z = T.tanh(z + y) if k % 5 else -(z * 1.0)
    return z


def test_deep_chains_are_rewritten_in_near_linear_time():
    def seconds(length):
        graph, interner = interned(chain(length))
        start = time.process_time()
        rewrite(graph, SIMPLIFY[-1].rules, interner, [])
        return time.process_time() - start

    seconds(3_000)
    assert seconds(100_000) < 30 * seconds(10_000)


# --- the pipeline ---------------------------------------------------------------------


def test_common_subexpressions_become_one_node():
    graph = optimise(Graph((x,), (T.exp(x) * 3, T.exp(x) * 3))).graph
    assert graph.outputs[0] is graph.outputs[1]


def test_small_results_are_folded_and_large_ones_and_errors_are_not():
    small = T.exp(Constant(np.arange(4.0)))
    large = T.exp(Constant(np.zeros((400, 400)) + np.arange(400)))
    wrong = OPS["checked_index"](Constant(np.arange(100)), 3)
    roots, log = run(FOLD, small, large, wrong)
    assert [isinstance(r, Constant) for r in roots] == [True, False, False] and len(log) == 1


def test_folding_waits_for_stable_forms():
    graph = optimise(Graph((), (T.log(1 + T.exp(Constant(np.full(3, 800.0)))),))).graph
    assert isinstance(graph.outputs[0], Constant)
    assert graph.outputs[0].data.tolist() == [800.0] * 3


def logistic_regression(known):
    inputs = TensorType("float32", (20, 6) if known else (None, None))("X")
    labels = TensorType("int32", (20,) if known else (None,))("y")
    weights = SharedVariable(np.random.default_rng(0).standard_normal((6, 3)).astype("f"), "W")
    bias = SharedVariable(np.zeros(3, "float32"), "b")
    p = T.nnet.softmax(T.dot(inputs, weights) + bias)
    cost = -T.mean(T.log(p)[T.arange(labels.shape[0]), labels])
    steps = [(v, v - 0.1 * g) for v, g in zip((weights, bias), grad(cost, [weights, bias]))]
    return Graph((inputs, labels), (cost,), tuple(steps))


@pytest.mark.parametrize("known", [False, True])
def test_optimising_twice_gives_the_same_nodes(known):
    once = optimise(logistic_regression(known))
    twice = optimise(once.graph, interner=once.interner)
    assert twice.log == ()
    assert all(a is b for a, b in zip(once.graph.roots, twice.graph.roots))


def test_known_sizes_turn_the_gradient_of_a_pick_into_arithmetic():
    graph = optimise(logistic_regression(True)).graph
    names = [v.op.name for v in graph.nodes() if v.op is not None]
    assert "scatter" not in names and "checked_index" in names
    assert names.count("gather") == 1 and "log" not in names


@pytest.mark.parametrize("known", [False, True])
def test_every_prefix_of_the_pipeline_computes_the_same_training_step(known):
    graph = logistic_regression(known)
    rng = np.random.default_rng(2)
    values = {
        graph.inputs[0]: rng.standard_normal((20, 6)).astype("float32"),
        graph.inputs[1]: rng.integers(-3, 3, 20).astype("int32"),
    }
    expected = evaluate(graph.roots, values)
    for count in range(1, len(PIPELINE) + 1):
        found = evaluate(optimise(graph, PIPELINE[:count]).graph.roots, values)
        for a, b in zip(expected, found):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6, err_msg=PIPELINE[count - 1].name)


# --- random graphs --------------------------------------------------------------------

SHAPES = [(), (3,), (1,), (2, 3), (2, 1), (1, 3)]
UNARY = [T.neg, T.tanh, T.sqr, T.exp, T.sin, abs, T.nnet.sigmoid, lambda v: v * 0.5,
         lambda v: 1 - v, lambda v: v / 3 / 0.7, lambda v: v + 1.25 - 0.5, lambda v: v**3,
         lambda v: T.log(1 + T.exp(v)), lambda v: T.log(T.nnet.sigmoid(v)), T.zeros_like,
         lambda v: T.cast(T.cast(v, "float32"), "float64")]  # fmt: skip
BINARY = [T.add, T.sub, T.mul, T.maximum, T.minimum, lambda a, b: T.switch(T.lt(a, b), a, b),
          lambda a, b: a / (2 + b * b), lambda a, b: T.switch(T.lt(a, 0), a + b, -b)]  # fmt: skip
MOVES = [
    lambda v: v.T, lambda v: v.reshape((-1,)), lambda v: v.dimshuffle("x", *range(v.ndim)),
    lambda v: v.sum(axis=0) if v.ndim else v, lambda v: v.max(axis=-1) if v.ndim else v,
    lambda v: v[..., :1] if v.ndim else v, lambda v: v[::-1] if v.ndim else v,
    lambda v: v[T.as_tensor([0, -1, 0])] if v.ndim else v, lambda v: v[0] if v.ndim else v,
    lambda v: T.nnet.softmax(v) if v.ndim else v, lambda v: v.reshape(v.shape, ndim=v.ndim),
    lambda v: T.inc_subtensor(v[:1], 2.0) if v.ndim else v, lambda v: v.sum(),
]  # fmt: skip


@st.composite
def graphs(draw):
    known = draw(st.booleans())
    inputs, values = [], {}
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    for k, shape in enumerate(draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))):
        sizes = shape if known else (None,) * len(shape)
        inputs.append(TensorType("float64", sizes)(f"v{k}"))
        values[inputs[-1]] = rng.standard_normal(shape)
    nodes = list(inputs)
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from("ubbmm"))
        a, b = (nodes[draw(st.integers(0, len(nodes) - 1))] for _ in range(2))
        try:
            if kind == "u":
                new = draw(st.sampled_from(UNARY))(a)
            elif kind == "m" and a.ndim < 4:
                new = draw(st.sampled_from(MOVES))(a)
            else:
                new = draw(st.sampled_from(BINARY))(a, b)
            evaluate([new], values)
        except (ValueError, IndexError):
            continue
        nodes.append(new)
    return inputs, nodes[-1], values


def agrees(before, after):
    scale = max(1.0, float(np.max(np.abs(before), initial=0, where=np.isfinite(before))))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6 * scale)


@settings(max_examples=100, deadline=None)
@given(graphs(), st.booleans())
def test_random_graphs_keep_their_values_through_every_prefix(drawn, differentiate):
    inputs, root, values = drawn
    roots = (root,)
    if differentiate:
        cost = (root * root).sum()
        roots = (cost, *grad(cost, inputs, disconnected_inputs="ignore"))
    expected = evaluate(roots, values)
    for count in range(1, len(PIPELINE) + 1):
        done = optimise(Graph(tuple(inputs), roots), PIPELINE[:count])
        for before, after in zip(expected, evaluate(done.graph.roots, values)):
            assert before.shape == after.shape and before.dtype == after.dtype
            agrees(before, after)
    again = optimise(done.graph, interner=done.interner)
    assert all(a is b for a, b in zip(done.graph.roots, again.graph.roots)), again.log


def test_rule_for_anything_is_given_every_op():
    seen = []

    @rewrites(ANYTHING)
    def look(node):
        """node -> nothing"""
        seen.append(node.op.name)

    run([look], T.exp(x).sum() + apply(OPS["dim"], (x,), {"axis": 0}))
    assert sorted(seen) == ["add", "cast", "dim", "exp", "sum"]
