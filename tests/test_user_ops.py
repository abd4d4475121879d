"""Ops of the user's own, and ops that steer gradients: values, derivatives, errors, memory."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
import graphc.tensor as T
from graphc.core.errors import (
    ArgumentError,
    DTypeError,
    HostError,
    MissingInputError,
    NullGradientError,
    ShapeError,
)
from graphc.gradient import (
    DisconnectedType,
    checkpoint,
    grad_not_implemented,
    grad_scale,
    grad_undefined,
    straight_through,
    straight_through_round,
    undefined_grad,
)
from graphc.testing import check_grad, check_op

MODES = pytest.mark.parametrize("mode", ["numpy", "native"])
PAGE = Path(__file__).resolve().parent.parent / "docs" / "user-ops.md"
X = np.array([0.3, -1.2, 2.0])


@pytest.fixture(autouse=True)
def double():
    with graphc.config(floatX="float64"):
        yield


@MODES
def test_the_page_about_ops_does_what_it_says(mode):
    names = {"__name__": "user_ops"}
    with graphc.config(mode=mode):
        exec(compile(python_program(PAGE.read_text("utf-8")), str(PAGE), "exec"), names)
        x = names["x"]
        mish = graphc.function([x], names["mish"](x))
    assert names["sort"].__name__ == "sort"
    assert mode == "numpy" or mish([1000.0]) == 1000


# Functions of scalars -----------------------------------------------------------------------------


@graphc.elementwise
def swish(x, beta):
    return x / (1 + T.exp(-beta * x))


@graphc.elementwise(partials=[lambda out, x: T.abs_(x) < 1])
def hard_sign(x):
    return T.switch(x < 0, -1.0, 1.0)


@MODES
def test_scalar_functions_are_derived_broadcast_and_fused(mode):
    check_op(swish, [X, np.array([[1.0], [2.0]])], X / (1 + np.exp(-X * [[1], [2]])), mode=mode)
    narrow = check_op(lambda x: swish(x, 2), [X.astype("float32")], mode=mode)
    assert narrow.dtype == "float32"
    check_grad(swish, [X, np.array([1.0, 2.0, 0.5])], order=2, mode=mode)
    constant = graphc.elementwise(lambda x, y: 2 * x)
    check_op(constant, [X, np.ones((2, 1))], np.tile(2 * X, (2, 1)), mode=mode)


def test_scalar_functions_end_up_in_one_kernel():
    x = T.dvector("x")
    f = graphc.function([x], hard_sign(swish(x, 1.5)) + 1, mode="native")
    assert f(X).tolist() == [2, 0, 2]
    assert [s.routine for s in f.plan.steps] == ["kernel"]


@MODES
def test_scalar_functions_with_a_gradient_of_their_own(mode):
    check_op(hard_sign, [X], [1, -1, 1], mode=mode)
    x = T.dmatrix("x")
    g = graphc.function([x], T.grad((hard_sign(x) * x).sum(), x), mode=mode)([X])
    assert np.allclose(g, [[1 + 0.3, -1, 1]])
    assert np.allclose(T.Rop(hard_sign(x), x, x).eval({x: [X]}), [[0.3, 0, 0]])
    weighted = graphc.elementwise(partials=[lambda out, a, b: b, lambda out, a, b: a])(
        lambda a, b: a * b
    )
    check_grad(weighted, [X, np.ones((2, 1))], order=2, mode=mode)


def test_scalar_functions_that_are_none_are_refused():
    import math

    x = T.dvector("x")
    with pytest.raises(ArgumentError, match="(?s)T.exp for math.exp"):
        graphc.elementwise(lambda x: math.exp(x))(x)
    with pytest.raises(DTypeError, match="T.switch"):
        graphc.elementwise(lambda x: x if x > 0 else -x)(x)
    with pytest.raises(ArgumentError, match="(?s)doesn't reduce.*test_user_ops.py|rank 1"):
        graphc.elementwise(lambda x: x.sum())(x)
    with pytest.raises(ArgumentError, match="takes 1 operands"):
        hard_sign(x, x)


# Functions of arrays ------------------------------------------------------------------------------


@graphc.as_op([T.dvector], [T.dvector])
def positive(x):
    return x[x > 0]


def _spread_grad(inputs, grads):
    (x, _), (first, second) = inputs, grads
    return [first.sum(0) + second * x.shape[0], None]


@graphc.as_op(
    itypes=[T.dvector, T.lscalar], otypes=[T.dmatrix, T.dvector],
    infer_shape=lambda node, shapes: [(2, shapes[0][0]), shapes[0]], grad=_spread_grad,
)  # fmt: skip
def spread(x, n):
    return np.stack([x, x]), x * len(x)


@MODES
def test_results_of_sizes_that_only_the_function_knows(mode):
    x = T.dvector("x")
    f = graphc.function([x], [positive(x) * 2, positive(positive(x) - 0.5).shape[0]], mode=mode)
    for value in (X, -X, X[:1], np.ones(4)):
        doubled, count = f(value)
        assert doubled.tolist() == (2 * value[value > 0]).tolist()
        assert count == (value - 0.5 > 0).sum()
    shared = graphc.shared(np.array(X))
    kept = positive(shared)
    step = graphc.function([], kept.sum(), updates=[(shared, shared - 0.4)], mode=mode)
    assert np.allclose([step() for _ in range(3)], [2.3, 1.6, 1.2])


@MODES
def test_several_results_and_their_gradients(mode):
    x, n = T.dvector("x"), T.lscalar("n")
    both, times = spread(x, n)
    assert both.type.shape == (2, None) and spread(T.constant(X), 1)[0].type.shape == (2, 3)
    a, b = graphc.function([x, n], [both, times], mode=mode)(X, 1)
    assert a.tolist() == [X.tolist()] * 2 and b.tolist() == (3 * X).tolist()
    check_grad(lambda x: (spread(x, 2)[0] ** 2).sum(0) * spread(x, 2)[1], [X], order=2, mode=mode)


def test_results_belong_to_the_caller():
    x = T.dvector("x")
    f = graphc.function([x], [positive(x), positive(x)], mode="numpy")
    first = f(X)[0]
    first[:] = -1
    assert f(X)[0].tolist() == [0.3, 2.0]


@MODES
def test_what_goes_wrong_in_a_function_names_the_line_where_it_was_applied(mode):
    def broken(x):
        raise KeyError("no such thing")

    def writes(x):
        x[0] = 1
        return x

    def rank(x):
        return x[None]

    def dtype(x):
        return x.astype(complex)

    x = T.dvector("x")
    for function, what in [(broken, "KeyError"), (writes, "read-only"),
                           (rank, r"float64\[1, 3\]"), (dtype, "complex128")]:  # fmt: skip
        op = graphc.as_op([T.dvector], [T.dvector], lambda node, shapes: [shapes[0]])(function)
        f = graphc.function([x], op(x), mode=mode)
        with pytest.raises(HostError, match=f"(?s){what}.*test_user_ops.py.*op\\(x\\)") as caught:
            f(X)
        assert caught.value.__cause__ is not None
    wrong = graphc.as_op([T.dvector], [T.dvector], lambda node, shapes: [(2,)])(np.sort)
    with pytest.raises(HostError, match="infer_shape said"):
        graphc.function([x], wrong(x), mode=mode)(X)


def test_operands_that_do_not_fit_are_refused_when_they_are_given():
    x = T.dvector("x")
    with pytest.raises(ArgumentError, match="(?s)operand 0 is float64.*test_user_ops.py"):
        positive(T.dmatrix("m"))
    with pytest.raises(DTypeError, match="precision"):
        spread(x, T.dscalar("n"))
    with pytest.raises(DTypeError, match="precision"):
        spread(x, 1.5)
    with pytest.raises(ArgumentError, match="takes 2 operands"):
        spread(x)
    with pytest.raises(NullGradientError, match="positive has no gradient"):
        T.grad(positive(x).sum(), x)
    assert positive(T.fvector("f")).dtype == "float64"
    with pytest.raises(ArgumentError, match="infer_shape"):
        graphc.as_op([T.dvector], [T.dvector], lambda node, shapes: [()])(np.sort)(x)
    assert graphc.compile.ops.as_op is graphc.as_op is graphc.compile.as_op


# Ops ----------------------------------------------------------------------------------------------


def test_plain_ops_say_what_they_lack():
    x = T.dvector("x")
    mystery = graphc.Op(
        "mystery", lambda args, attrs: T.TensorType("float64", (None,)), lambda x: x[x > 0]
    )
    assert graphc.function([x], mystery(x), mode="numpy")(X).tolist() == [0.3, 2.0]
    with pytest.raises(ShapeError, match="(?s)sizes of mystery.*test_user_ops.py.*infer"):
        graphc.function([x], mystery(x), mode="native")(X)
    with pytest.raises(ArgumentError, match="takes variables, not float"):
        mystery(1.0)
    wrong = graphc.Op("wrong", lambda args, attrs: args[0].type, lambda x: x[:1])
    with pytest.raises(ShapeError, match=r"(?s)gave an array of shape \(1,\).*infer"):
        graphc.function([x], wrong(x), mode="native")(X)
    with pytest.raises(KeyError, match="import what declares it"):
        pickle.loads(pickle.dumps(mystery(x)))


# Graphs -------------------------------------------------------------------------------------------


def two_outputs(**more):
    a, b = T.dvectors("a", "b")
    return graphc.OpFromGraph([a, b], [T.tanh(a * b), (a**2).sum()], name="pair", **more)


@MODES
def test_graphs_as_ops_mean_what_they_are_made_of(mode):
    op = two_outputs()

    def build(x, y):
        first, second = op(x, y)
        return first * second + op(y, y)[0]

    check_op(build, [X, X[::-1]], np.tanh(X * X[::-1]) * (X**2).sum() + np.tanh(X[::-1] ** 2),
             mode=mode)  # fmt: skip
    check_grad(build, [X, X[::-1]], order=2, mode=mode)
    shared = graphc.shared(2.0, name="s", allow_downcast=True)
    s = T.dvector("s")
    scaled = graphc.OpFromGraph([s], [op(s * shared, s)[0]])
    x = T.dvector("x")
    grads = T.grad(scaled(x).sum(), [x, shared])
    plain = T.grad(T.tanh(x * shared * x).sum(), [x, shared])
    for g, p in zip(grads, plain):
        assert np.allclose(g.eval({x: X}, mode=mode), p.eval({x: X}, mode=mode))


def test_rules_see_through_graphs():
    m = T.dmatrix("m")
    softmax = graphc.OpFromGraph([m], [T.nnet.softmax(m)], name="my_softmax")
    x = T.dmatrix("x")
    f = graphc.function([x], T.log(softmax(x)), mode="native")
    assert f([[0.0, -1e4]]).tolist() == [[0, -1e4]]
    assert "my_softmax" in str(graphc.pp(T.log(softmax(x))))


def test_overridden_gradients():
    x, y = T.dvectors("x", "y")
    at = {x: X, y: X}
    whole = two_outputs(grad_overrides=lambda inputs, grads: [grads[0] * 10, inputs[0] * grads[1]])
    first, second = whole(x, y)
    gx, gy = T.grad(first.sum() + 3 * second, [x, y])
    assert np.allclose(gx.eval(at), 10) and np.allclose(gy.eval(at), 3 * X)
    listed = two_outputs(grad_overrides=["default", None])
    gx, gy = T.grad(listed(x, y)[0].sum(), [x, y], disconnected_inputs="ignore")
    assert np.allclose(gx.eval(at), X / np.cosh(X * X) ** 2) and np.allclose(gy.eval(at), 0)
    seen = two_outputs(lop_overrides=[lambda i, outs, grads: outs[0] * grads[0], "default"])
    assert np.allclose(T.grad(seen(x, y)[0].sum(), x).eval(at), np.tanh(X * X))
    pushed = two_outputs(rop_overrides=lambda inputs, points: [points[0] * 7, points[0].sum()])
    assert np.allclose(T.Rop(pushed(x, y)[0], x, y).eval(at), 7 * X)
    stops = two_outputs(grad_overrides=lambda i, g: [DisconnectedType()(),
                                                     grad_not_implemented(None, 1, i[1], "later")])
    with pytest.raises(NullGradientError, match="later"):
        T.grad(stops(x, y)[0].sum(), y)
    short = two_outputs(grad_overrides=lambda i, g: [g[0]])
    with pytest.raises(ArgumentError, match="1 results for 2 inputs"):
        T.grad(short(x, y)[0].sum(), y)


def test_graphs_that_are_no_ops_are_refused():
    x, y = T.dvectors("x", "y")
    with pytest.raises(MissingInputError, match="y: float64"):
        graphc.OpFromGraph([x], [x + y])
    with pytest.raises(ArgumentError, match="not a leaf"):
        graphc.OpFromGraph([x + 1], [x])
    with pytest.raises(ArgumentError, match="takes 2 operands"):
        two_outputs()(x)
    with pytest.raises(ArgumentError, match="give one"):
        two_outputs(grad_overrides=[None, None], lop_overrides=[None, None])


def test_ops_of_the_user_are_pickled():
    x = T.dvector("x")
    z = hard_sign(x) + positive(abs(x)) + two_outputs()(x, x)[0] + checkpoint(T.sin, x)
    again = pickle.loads(pickle.dumps(graphc.function([x], z)))
    assert np.allclose(again(X), z.eval({x: X}))


# Steering gradients -------------------------------------------------------------------------------


def test_gradients_are_scaled_and_refused():
    x = T.dscalar("x")
    assert float(T.grad(grad_scale(x, -2) ** 2, x).eval({x: 3.0})) == -12
    assert float(undefined_grad(x).eval({x: 3.0})) == 3
    with pytest.raises(NullGradientError, match="undefined"):
        T.grad(undefined_grad(x) ** 2, x)
    with pytest.raises(NullGradientError, match="undefined"):
        T.Rop(undefined_grad(x), x, x)
    assert "not defined" in grad_undefined(None, 0, x).why


@MODES
def test_rounding_passes_gradients_straight_through(mode):
    x = T.dvector("x")
    y = straight_through_round(x) ** 2
    value, g, t = graphc.function([x], [y, T.grad(y.sum(), x), T.Rop(y, x, x)], mode=mode)(X)
    assert value.tolist() == [0, 1, 4] and g.tolist() == [0, -2, 4]
    assert np.allclose(t, [0, 2.4, 8])
    with pytest.raises(ShapeError, match="rank"):
        straight_through(x, x.sum())


def network(block, depth, keep):
    x = T.dmatrix("x")
    weights = [graphc.shared(np.random.RandomState(k).randn(16, 16) / 4) for k in range(depth)]

    def layers(h, group):
        for w in group:
            h = T.tanh(T.dot(h, w))
        return h

    h = x
    for k in range(0, depth, block):
        group = weights[k : k + block]
        h = layers(h, group) if keep else checkpoint(lambda h, g=group: layers(h, g), h)
    cost = (h**2).sum()
    return graphc.function([x], [cost, *T.grad(cost, [x, *weights])], mode="native")


def test_checkpoints_take_less_memory_for_the_same_gradients():
    x = np.random.RandomState(0).randn(200, 16)
    kept, again = network(3, 9, True), network(3, 9, False)
    assert all(np.allclose(a, b) for a, b in zip(kept(x), again(x)))
    assert again.plan.arena_bytes < 0.75 * kept.plan.arena_bytes


@MODES
def test_checkpoints_are_differentiable_twice(mode):
    def build(x, y):
        return checkpoint(lambda a: T.exp(T.sin(a * y)), x)

    check_grad(build, [X, X], order=2, mode=mode)
    first, second = checkpoint(lambda a: [a + 1, a * 2], T.constant(X))
    assert np.allclose(first.eval(), X + 1) and np.allclose(second.eval(), 2 * X)
