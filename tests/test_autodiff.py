"""Derivatives: Theano's meaning of grad, both modes against differences, twice."""

import zlib

import numpy as np
import pytest
from op_cases import check_derivatives, elementwise_ops

import graphc
import graphc.tensor as T
from graphc.core.errors import DisconnectedInputError, NullGradientError
from graphc.core.op import OPS, Host, Op, apply
from graphc.gradient import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_scale,
    straight_through,
    zero_grad,
)
from graphc.ops import FAMILIES, broadcast
from graphc.testing import check_grad


@pytest.fixture(autouse=True)
def numpy_mode():
    with graphc.config(mode="numpy", floatX="float64"):
        yield


# What a gradient is taken of --------------------------------------------------------------------


def test_the_same_expression_used_twice():
    x = T.dscalar("x")
    h = x**2
    cost = h * h + h
    assert float(T.grad(cost, x).eval({x: 3.0})) == 4 * 27 + 6
    assert float(T.grad(x * x, x).eval({x: 3.0})) == 6
    assert float(T.grad(x + x + x, x).eval({x: 3.0})) == 3


def test_only_paths_through_the_very_variable_count():
    x = T.dscalar("x")
    h, twin = T.exp(x), T.exp(x)
    cost = h * twin
    at = {x: 0.5}
    gh, gtwin, gx = T.grad(cost, [h, twin, x])
    assert np.isclose(gh.eval(at), np.exp(0.5)) and np.isclose(gtwin.eval(at), np.exp(0.5))
    assert np.isclose(gx.eval(at), 2 * np.exp(1.0))
    alone = T.grad(cost, h)
    assert np.isclose(alone.eval(at), np.exp(0.5))


def test_a_variable_reached_by_several_paths():
    def build(a, b):
        h = T.tanh(a * b)
        return (h * a).sum() + (h**2 * b).sum() + (a[:2] * h[1:]).sum()

    check_grad(build, [[0.1, 0.2, 0.3], [1.0, -1.0, 2.0]], order=2)


def test_an_inner_variable_and_a_variable_of_its_own():
    x = T.dvector("x")
    h = x * 2
    cost = (h**2).sum()
    assert T.grad(cost, h).eval({x: [1.0, 2.0]}).tolist() == [4, 8]
    assert T.grad(cost, [x, h])[0].eval({x: [1.0, 2.0]}).tolist() == [8, 16]
    assert float(T.grad(cost, cost).eval({x: [1.0, 2.0]})) == 1


def test_the_form_of_wrt_is_the_form_of_the_result():
    x, y = T.dvectors("x", "y")
    cost = (x * y).sum()
    assert isinstance(T.grad(cost, x), graphc.Variable)
    assert type(T.grad(cost, [x])) is list and type(T.grad(cost, (x, y))) is tuple
    cost.name = "cost"
    assert T.grad(cost, x).name in ("(dcost/dx)", "y")


def test_known_grads_stand_for_the_rest_of_the_graph():
    x = T.dvector("x")
    h = x**2
    k = T.exp(x)
    at = {x: np.array([1.0, 2.0])}
    assert T.grad(None, x, known_grads={h: np.array([1.0, 10.0])}).eval(at).tolist() == [2, 40]
    both = T.grad(None, x, known_grads={h: T.ones_like(h), k: T.ones_like(k)}).eval(at)
    assert np.allclose(both, 2 * at[x] + np.exp(at[x]))
    added = T.grad(h.sum(), x, known_grads={k: T.ones_like(k)}).eval(at)
    assert np.allclose(added, both)


def test_considered_constants_block():
    x = T.dscalar("x")
    h = x**2
    at = {x: 3.0}
    assert float(T.grad(h * x, x, consider_constant=[h]).eval(at)) == 9
    assert float(T.grad(h * x, x).eval(at)) == 27
    assert float(T.grad(consider_constant(h) * x, x).eval(at)) == 9
    assert float(T.grad(zero_grad(h) + x * 0, x).eval(at)) == 0
    assert float(T.grad(disconnected_grad(h) * x, x).eval(at)) == 9
    assert float(T.grad(grad_clip(x, -1, 1) ** 2, x).eval(at)) == 1
    with pytest.raises(DisconnectedInputError):
        T.grad(disconnected_grad(h), x)


def test_disconnected_inputs_raise_warn_or_pass():
    x, y = T.dvectors("x", "y")
    with pytest.raises(DisconnectedInputError, match="y: float64"):
        T.grad(x.sum(), [x, y])
    with pytest.warns(UserWarning, match="y: float64") as caught:
        T.grad(x.sum(), y, disconnected_inputs="warn")
    assert caught[0].filename == __file__
    gx, gy = T.grad(x.sum(), [x, y], disconnected_inputs="ignore")
    assert gy.eval({y: [1.0, 2.0]}).tolist() == [0, 0]
    assert T.grad(x.sum(), y, disconnected_inputs="ignore", return_disconnected="none") is None


def test_gradients_of_linear_costs_still_take_their_inputs():
    x, y = T.dscalars("x", "y")
    f = graphc.function([x, y], T.grad(2 * x + 3 * y, [x, y]))
    assert [float(g) for g in f(1.0, 1.0)] == [2, 3]
    v = T.dvector("v")
    assert graphc.function([v], T.grad(v.sum(), v))([1.0, 2.0]).tolist() == [1, 1]


def test_shapes_are_no_paths():
    x = T.dvector("x")
    cost = (T.zeros_like(x) + x.shape[0]).sum() + x.sum()
    assert T.grad(cost, x).eval({x: [1.0, 2.0]}).tolist() == [1, 1]


def test_dtypes_of_gradients_are_those_of_the_variables():
    x, y = T.fvector("x"), T.dvector("y")
    gx, gy = T.grad((x * y).sum(), [x, y])
    assert (gx.dtype, gy.dtype) == ("float32", "float64")
    i = T.ivector("i")
    assert T.grad((x * i).mean(), x).dtype == "float32"


@pytest.mark.parametrize("first", [(), (3,), (1,), (2, 3), (2, 1), (1, 3), (1, 1), (4, 2, 3)])
@pytest.mark.parametrize("second", [(2, 3), (3,), (1, 3)])
def test_gradients_are_summed_over_axes_that_turn_out_to_be_broadcast(first, second):
    rng = np.random.RandomState(0)
    pt = [rng.rand(*first) + 0.5, rng.rand(*second) + 0.5]
    for op in (T.mul, T.sub, T.true_div, T.maximum, T.arctan2, T.pow):
        check_grad(op, pt)
    check_grad(lambda a, b: T.switch(a > b, a * b, b), pt)


# Both modes -------------------------------------------------------------------------------------


def test_forward_and_reverse_mode_agree_on_jacobians():
    rng = np.random.RandomState(1)
    x, w = T.dvector("x"), T.dmatrix("w")
    f = T.nnet.softmax(T.dot(T.tanh(w), x)) * x.sum()
    u, v, vw = T.dvectors("u", "v", "vw")
    vw = T.dmatrix("vw")
    pushed = T.Rop(f, [x, w], [v, vw])
    pulled = T.Lop(f, [x, w], u)
    left = (u * pushed).sum()
    right = (pulled[0] * v).sum() + (pulled[1] * vw).sum()
    check = graphc.function([x, w, u, v, vw], [left, right])
    a, b = check(rng.rand(3), rng.rand(4, 3), rng.rand(4), rng.rand(3), rng.rand(4, 3))
    assert np.isclose(a, b)
    with pytest.raises(DisconnectedInputError):
        T.Rop(x.sum(), w, vw)
    assert float(T.Rop(x.sum(), w, vw, "ignore").eval({x: [1.0]})) == 0


@pytest.mark.parametrize("known", [True, False])
def test_jacobians_and_hessians(known):
    x = T.tensor("float64", (3 if known else None,), "x")
    a = np.array([[1.0, 2, 3], [0, 1, 4], [5, 6, 0]])
    at = {x: np.array([0.5, -1.0, 2.0])}
    assert np.allclose(T.jacobian(T.dot(a, x), x).eval(at), a)
    cost = T.dot(x, T.dot(a, x)) + (x**3).sum()
    assert np.allclose(T.hessian(cost, x).eval(at), a + a.T + np.diag(6 * at[x]))
    jx = T.jacobian(x**2, [x])
    assert type(jx) is list and np.allclose(jx[0].eval(at), np.diag(2 * at[x]))
    third = T.jacobian(T.hessian((x**3).sum(), x).sum(axis=0), x)
    assert np.allclose(third.eval(at), 6 * np.eye(3))
    assert T.jacobian(x.sum(), x).eval(at).tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_jacobians_of_loops(mode):
    x = T.dvector("x")
    totals, _ = graphc.scan(lambda x, total: total * x, x, T.constant(1.0))
    f = graphc.function([x], T.jacobian(totals, x), mode=mode)
    assert np.allclose(f([2.0, 3.0, 5.0]), [[1, 0, 0], [3, 2, 0], [15, 10, 6]])


def test_jacobians_of_unknown_length_are_differentiable_and_may_be_empty():
    x, w = T.dvector("x"), T.dmatrix("w")
    j = T.jacobian(T.tanh(T.dot(w, x)), w)
    assert j.ndim == 3 and j.eval({w: np.ones((2, 3)), x: np.ones(3)}).shape == (2, 2, 3)
    assert j.eval({w: np.ones((0, 3)), x: np.ones(3)}).shape == (0, 0, 3)

    def penalty(x, w):
        return (T.jacobian(T.tanh(T.dot(w, x)), x) ** 2).sum()

    rng = np.random.RandomState(0)
    check_grad(penalty, [rng.rand(3), rng.rand(2, 3)], order=2)


# Every op ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", elementwise_ops(), ids=lambda op: op.name)
def test_elementwise_derivatives_agree_with_differences_to_second_order(op):
    check_derivatives(op)


def _matrix(rng):
    return rng.uniform(0.5, 2.0, (3, 4))


OTHERS = {
    "cast": lambda x: T.cast(x, "float32").astype("float64") * 0 + x**2,
    "sum": lambda x: T.sum(x, 0) * T.sum(x, (0, 1)) + T.sum(x, 1, keepdims=True).sum(),
    "prod": lambda x: T.prod(x, 1),
    "max": lambda x: T.max(x, 0) + T.max(x),
    "min": lambda x: T.min(x, 1),
    "mean": lambda x: T.mean(x, 1) ** 2,
    "var": lambda x: T.var(x, 0),
    "std": lambda x: T.std(x, 1),
    "logsumexp": lambda x: T.logsumexp(x, 1),
    "norm": lambda x: T.norm(x, 2) + T.norm(x, 3, axis=0).sum() + T.norm(x, 1),
    "dimshuffle": lambda x: x.dimshuffle(1, "x", 0) ** 2,
    "reshape": lambda x: x.reshape((2, -1)) ** 2,
    "flatten": lambda x: (x**2).flatten(),
    "broadcast_like": lambda x: T.fill(T.zeros((2, 3, 4)), x) ** 2,
    "sum_like": lambda x: broadcast.sum_like(x**2, x[:, :1]) ** 2,
    "alloc": lambda x: T.alloc(x[0] ** 2, 5, 4),
    "make_vector": lambda x: T.stack([x[0, 0], x[1, 1] ** 2]) ** 2,
    "join": lambda x: T.concatenate([x, x**2, x[:1]], 0) ** 2,
    "stack": lambda x: T.stack([x, x**2], axis=1) ** 2,
    "subtensor": lambda x: x[1, ::-2] ** 2,
    "update_subtensor": lambda x: T.set_subtensor(x[1:, 0], x[0, 1:3] ** 2) ** 2,
    "inc_subtensor": lambda x: T.inc_subtensor(x[1:, :2], (x[0, :2]) ** 2) ** 2,
    "gather": lambda x: x[T.constant([0, 2, 0]), T.constant([1, 1, 3])] ** 2,
    "scatter": lambda x: T.set_subtensor(x[T.constant([2, 0])], x[1] ** 2) ** 2,
    "inc scatter": lambda x: T.inc_subtensor(x[T.constant([0, 0])], x[1:] ** 2) ** 2,
    "dot": lambda x: T.dot(x, x.T) ** 2,
    "dot of vectors": lambda x: T.dot(x[0], x[1]) * T.dot(x, x[2]).sum() * T.dot(x[:, 0], x).sum(),
    "outer": lambda x: T.outer(x[0], x[:, 1]) ** 2,
    "softmax": lambda x: T.nnet.softmax(x) ** 2,
    "softmax over the first axis": lambda x: T.nnet.softmax(x, axis=0) ** 2,
    "logsoftmax": lambda x: T.nnet.logsoftmax(x) * x,
    "log of softmax": lambda x: T.log(T.nnet.softmax(x * x)),
    "categorical_crossentropy": lambda x: T.nnet.categorical_crossentropy(
        T.nnet.softmax(x), T.constant([0, 3, 1])
    ),
    "crossentropy of probabilities": lambda x: T.nnet.categorical_crossentropy(
        T.nnet.softmax(x), T.nnet.softmax(x[::-1])
    ),
    "binary_crossentropy": lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x), x / 3),
    "sigmoid_binary_crossentropy": lambda x: T.nnet.sigmoid_binary_crossentropy(x, x / 3),
    "relu": lambda x: T.nnet.relu(x - 1.234, 0.1) + T.nnet.elu(x - 1.234),
    "softplus": lambda x: T.nnet.softplus(x) + T.nnet.softsign(x) + T.nnet.hard_sigmoid(x),
    "clip": lambda x: T.clip(x, 0.8, 1.7) ** 2,
    "identities": lambda x: zero_grad(x) * 0 + grad_clip(x, -1e6, 1e6) ** 2 + grad_scale(x, 1),
    "straight_through": lambda x: straight_through(x * 1, x) ** 2,
    "transfer": lambda x: T.transfer(x**2, "cuda:1") * x,
    "sort": lambda x: T.sort(x * x[::-1], 0) ** 2,
    "unique": lambda x: T.unique(x) ** 2,
    "cumsum": lambda x: T.cumsum(x**2, 1) ** 2,
    "cumprod": lambda x: T.cumprod(x, 0) ** 2,
    "specify_shape": lambda x: T.specify_shape(x, (3, None)) ** 2,
    "matmul": lambda x: T.matmul(T.stack([x, x**2]), x.T) ** 2,
    "polygamma": lambda x: T.polygamma(1, x) * T.psi(x),
    "complex": lambda x: T.abs_(T.complex(x, x[::-1]) * (1 + 2j) + T.conj(T.complex(x, 1))) ** 2,
    "complex powers": lambda x: T.real(T.complex_from_polar(x, x[::-1]) ** 2) + T.angle(
        1 / T.complex(x, x**2)
    ),
    "complex functions": lambda x: T.imag(T.exp(T.complex(x, x**2)) * T.sqrt(T.complex(x, 1))),
    "complex products": lambda x: T.real(
        T.dot(T.complex(x, x**2), T.complex(x, 1).T) * (1 + 2j)
    ) + T.imag(T.matmul(T.complex(x, 1)[None], T.complex(x**2, x).T[None]))[0],
    "complex running products": lambda x: T.imag(T.prod(T.complex(x, x**2), 1)) + T.real(
        T.cumprod(T.complex(x, 1), 1)[:, 2] * (1 - 1j)
    ),
    "map_rows": lambda x: T.jacobian(T.tanh(x[0] * x[1]), x) ** 2,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_derivatives_of_other_ops_agree_with_differences_to_second_order(name):
    x = _matrix(np.random.RandomState(zlib.crc32(name.encode())))
    check_grad(OTHERS[name], [x], order=2, abs_tol=1e-5, rel_tol=1e-5)


def test_every_differentiable_op_is_among_the_tested_ones():
    tested = {op.name for op in elementwise_ops()}
    x = T.dmatrix("x")
    for build in OTHERS.values():
        output = build(x)
        tested |= {v.op.name for v in graphc.Graph((x,), (output,)).nodes() if v.op is not None}
        gradient = T.grad((output**2).sum(), x)
        tested |= {v.op.name for v in graphc.Graph((x,), (gradient,)).nodes() if v.op is not None}
    # Convolution and pooling are differentiated twice in tests of their own.
    own = ("graphc.ops.conv", "graphc.ops.pool")
    modules = {family.__name__ for family in FAMILIES if family.__name__ not in own}
    lacking = {
        op.name
        for op in OPS.values()
        if op.vjp is not None and getattr(op.vjp, "__module__", "") in modules
    } - tested
    assert lacking <= {"cast", "disconnected_grad", "undefined_grad"}, lacking


def test_products_with_zeros_have_the_right_gradient():
    x = T.dvector("x")
    g = graphc.function([x], T.grad(T.prod(x), x))
    assert g([2.0, 0.0, 3.0]).tolist() == [0, 6, 0]
    assert g([0.0, 0.0, 3.0]).tolist() == [0, 0, 0]
    assert g([2.0, 5.0, 3.0]).tolist() == [15, 6, 10]


def hessian_of_a_product(x, weights):
    """Of ``sum_k w[k] prod(x[s] for s in sets[k])`` by the definition: no division."""
    n = len(x)
    found = np.zeros((n, n))
    for w, members in weights:
        for i in members:
            for j in members - {i}:
                found[i, j] += w * np.prod([x[k] for k in members - {i, j}])
    return found


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_products_with_zeros_have_the_right_second_derivatives(mode):
    v = T.dvector("v")
    w = np.array([0.5, -1.0, 2.0, 1.5])
    costs = {
        "prod": (T.prod(v), [(1, set(range(4)))]),
        "cumprod": ((T.cumprod(v) * w).sum(), [(w[k], set(range(k + 1))) for k in range(4)]),
    }
    for cost, weights in costs.values():
        t = T.dvector("t")
        gradient = T.grad(cost, v)
        f = graphc.function([v, t], [gradient, T.hessian(cost, v), T.Rop(gradient, v, t),
                                     T.Rop(cost, v, t)], mode=mode)  # fmt: skip
        direction = np.array([1.0, -2.0, 0.5, 3.0])
        for x in ([2.0, 3.0, 5.0, 7.0], [2.0, 0.0, 5.0, 7.0], [0.0, 3.0, 0.0, 7.0],
                  [0.0, 0.0, 0.0, 7.0], [0.0] * 4):  # fmt: skip
            first, second, pushed, along = f(x, direction)
            by_hand = np.array([
                sum(s * np.prod([x[j] for j in m - {k}]) for s, m in weights if k in m)
                for k in range(4)
            ])  # fmt: skip
            hessian = hessian_of_a_product(x, weights)
            np.testing.assert_allclose(first, by_hand, atol=1e-12)
            np.testing.assert_allclose(second, hessian, atol=1e-12)
            np.testing.assert_allclose(pushed, hessian @ direction, atol=1e-12)
            np.testing.assert_allclose(along, by_hand @ direction, atol=1e-12)


def test_products_over_several_axes_with_zeros_to_third_order():
    x = np.array([[[1.0, 0.0], [2.0, 3.0]], [[0.0, 0.5], [0.0, 2.0]]])
    weight = np.array([1.0, -2.0])
    for build in (lambda x: (T.prod(x, (0, 2)) * weight).sum(), lambda x: T.prod(x, 1).sum(),
                  lambda x: T.cumprod(x, 1).sum(), lambda x: T.cumprod(x).sum()):  # fmt: skip
        check_grad(build, [x], order=3, abs_tol=1e-4)
        check_grad(lambda v, build=build: build(v[::-1, ::-1, ::-1]), [x + 1], order=2)


def test_ops_without_a_derivative_say_so():
    x = T.dvector("x")
    mystery = Op("mystery", lambda args, attrs: args[0].type, np.sort, Host())
    y = apply(mystery, (x,), {})
    with pytest.raises(NullGradientError, match="(?s)mystery has no gradient.*test_autodiff.py"):
        T.grad(y.sum(), x)
    with pytest.raises(NullGradientError, match="mystery"):
        T.Rop(y, x, x)


def test_gradients_of_long_chains_do_not_recurse():
    x = T.dscalar("x")
    y = x
    for _ in range(20_000):
        y = T.sin(y)
    assert np.isfinite(T.grad(y, x).eval({x: 1.0}))
