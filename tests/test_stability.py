"""Losses and gradients that stay finite and right at extreme values, in all spellings."""

import numpy as np
import pytest

from graphc import tensor as T
from graphc.core.graph import Graph, toposort
from graphc.core.node import TensorType
from graphc.core.op import OPS, apply
from graphc.passes.autodiff import grad
from graphc.passes.pipeline import PIPELINE, optimise
from graphc.passes.stable_forms import stable_forms
from graphc.passes.tangents import forward
from graphc.runtime.reference import evaluate

Z = np.array([[1e4, 0.0, -1e4], [3.0, 2.0, 1.0], [-800.0, 900.0, 900.0], [0.0, 0.0, 0.0]])
LABELS = np.array([2, 0, 1, -1])
N = len(LABELS)


def by_hand(z):
    return T.exp(z) / T.exp(z).sum(axis=1, keepdims=True)


def log_softmax_numpy(z):
    top = z - z.max(axis=1, keepdims=True)
    return top - np.log(np.exp(top).sum(axis=1, keepdims=True))


rows = T.arange(N)
CROSS_ENTROPIES = {
    "log then pick": lambda z, y: -T.log(T.nnet.softmax(z))[T.arange(y.shape[0]), y],
    "pick then log": lambda z, y: -T.log(T.nnet.softmax(z)[T.arange(y.shape[0]), y]),
    "function": lambda z, y: T.nnet.categorical_crossentropy(T.nnet.softmax(z), y),
    "by hand": lambda z, y: -T.log(by_hand(z))[rows, y],
    "by hand, picked": lambda z, y: -T.log(by_hand(z)[rows, y]),
    "exp and sum": lambda z, y: T.log(T.exp(z).sum(axis=1)) - z[rows, y],
    "difference": lambda z, y: -(z - T.log(T.exp(z).sum(1, keepdims=True)))[rows, y],
    "new axis": lambda z, y: -T.log(T.exp(z) / T.exp(z).sum(axis=1)[:, None])[rows, y],
    "product": lambda z, y: -T.log(T.exp(z) * (1 / T.exp(z).sum(1, keepdims=True)))[rows, y],
    "reshape": lambda z, y: -T.log(T.nnet.softmax(z).reshape((-1,)))[rows * 3 + y % 3],
    "cast": lambda z, y: -T.log(T.nnet.softmax(z).astype("float64"))[rows, y],
    "transposed": lambda z, y: -T.log(T.nnet.softmax(z.T, axis=0).T[rows, y]),
    "exp under cast": lambda z, y: (
        T.log(T.exp(z).astype("float64").sum(axis=1)) - z.astype("float64")[rows, y]
    ),
    "broadcast": lambda z, y: -T.log(T.fill(T.zeros_like(z)[None], T.nnet.softmax(z)))[0][rows, y],
}


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("spelling", CROSS_ENTROPIES)
def test_cross_entropy_of_extreme_logits(spelling, dtype, known):
    z = TensorType(dtype, (N, 3) if known else (None, None))("z")
    y = TensorType("int64", (N,) if known else (None,))("y")
    loss = CROSS_ENTROPIES[spelling](z, y).mean()
    graph = optimise(Graph((z, y), (loss, grad(loss, z)))).graph
    found, gradient = evaluate(graph.roots, {z: Z.astype(dtype), y: LABELS})
    expected = log_softmax_numpy(Z)
    picks = LABELS % 3
    hot = np.eye(3)[picks]
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found, -expected[range(N), picks].mean(), rtol=tolerance)
    np.testing.assert_allclose(gradient, (np.exp(expected) - hot) / N, atol=tolerance)


def soft(x):
    return np.logaddexp(x, 0)


def logistic(x):
    return np.exp(-np.logaddexp(-x, 0))


LOGISTIC = {
    "op": lambda x: T.nnet.sigmoid(x),
    "inverse": lambda x: T.inv(1 + T.exp(-x)),
    "quotient": lambda x: 1 / (1 + T.exp(-x)),
    "reversed": lambda x: 1 / (T.exp(-x) + 1),
    "exponentials": lambda x: T.exp(x) / (1 + T.exp(x)),
    "power": lambda x: (1 + T.exp(-x)) ** -1,
    "scaled": lambda x: 1 / (1 + T.exp(x * -1.0)),
}
OF_LOGISTIC = {
    "itself": (lambda s: s, logistic, lambda x: logistic(x) * logistic(-x)),
    "complement": (lambda s: 1 - s, lambda x: logistic(-x), lambda x: -logistic(x) * logistic(-x)),
    "log": (lambda s: T.log(s), lambda x: -soft(-x), lambda x: logistic(-x)),
    "log of complement": (lambda s: T.log(1 - s), lambda x: -soft(x), lambda x: -logistic(x)),
    "log1p": (lambda s: T.log1p(-s), lambda x: -soft(x), lambda x: -logistic(x)),
    "log of part": (lambda s: T.log(s[1:]), lambda x: -soft(-x)[1:],
                    lambda x: np.where(np.arange(len(x)) > 0, logistic(-x), 0)),
    "log1p of part": (lambda s: T.log1p(-s[1:]), lambda x: -soft(x)[1:],
                      lambda x: np.where(np.arange(len(x)) > 0, -logistic(x), 0)),
}  # fmt: skip
X = np.array([-1e4, -800.0, -30.0, -1.0, 0.0, 0.5, 40.0, 750.0, 1e4])


@pytest.mark.parametrize("outer", OF_LOGISTIC)
@pytest.mark.parametrize("spelling", LOGISTIC)
def test_logistic_function_at_extremes(spelling, outer):
    build, value, derivative = OF_LOGISTIC[outer]
    x = T.dvector("x")
    y = build(LOGISTIC[spelling](x))
    graph = optimise(Graph((x,), (y, grad(y.sum(), x)))).graph
    found, gradient = evaluate(graph.roots, {x: X})
    np.testing.assert_allclose(found, value(X), rtol=1e-12, atol=0)
    np.testing.assert_allclose(gradient, derivative(X), rtol=1e-9, atol=1e-15)


OTHERS = {
    "log of exp": (lambda x: T.log(T.exp(x)), lambda x: x, np.ones_like),
    "log1p": (lambda x: T.log(1 + x * x * 1e-30), lambda x: x * x * 1e-30, lambda x: 2e-30 * x),
    "expm1": (lambda x: T.exp(x * 1e-30) - 1, lambda x: x * 1e-30, lambda x: 0 * x + 1e-30),
    "softplus": (lambda x: T.log(1 + T.exp(x)), soft, logistic),
    "softplus reversed": (lambda x: T.log(T.exp(x) + 1), soft, logistic),
    "binary cross-entropy": (
        lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x), 0.25),
        lambda x: soft(x) - 0.25 * x, lambda x: logistic(x) - 0.25,
    ),
    "density": (lambda x: T.log(T.exp(-x * x) * 0.5), lambda x: -x * x + np.log(0.5),
                lambda x: -2 * x),
    "norm": (lambda x: T.sqrt(x * x), np.abs, np.sign),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_stable_forms_at_extremes(name):
    build, value, derivative = OTHERS[name]
    x = T.dvector("x")
    y = build(x)
    graph = optimise(Graph((x,), (y, grad(y.sum(), x)))).graph
    found, gradient = evaluate(graph.roots, {x: X})
    np.testing.assert_allclose(found, value(X), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gradient, derivative(X), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("row", [[-np.inf, 1e4, 3.0], [np.inf, 0.0, -np.inf], [-np.inf] * 3])
def test_log_of_sum_of_exponentials_with_infinities(axes, row):
    x = T.dmatrix("x")
    graph = optimise(Graph((x,), (T.log(T.exp(x).sum(axis=axes)),))).graph
    assert any(v.op is OPS["logsumexp"] for v in graph.nodes())
    value = np.array([row, row])
    with np.errstate(all="ignore"):
        expected = np.logaddexp.reduce(value, axis=axes[0])
        expected = expected if len(axes) == 1 else np.logaddexp.reduce(expected)
    np.testing.assert_allclose(evaluate(graph.roots, {x: value})[0], expected)


# --- what is differentiated -----------------------------------------------------------


def test_gradient_of_what_lies_between_is_its_own():
    z = T.dmatrix("z")
    p = T.nnet.softmax(z)
    loss = T.log(p).sum()
    gp, gz = grad(loss, [p, z])
    value = np.array([[0.5, -1.0, 2.0]])
    exact = np.exp(log_softmax_numpy(value))
    found_p, found_z = evaluate([gp, gz], {z: value})
    np.testing.assert_allclose(found_p, 1 / exact)
    np.testing.assert_allclose(found_z, 1 - 3 * exact, rtol=1e-12)


def test_nothing_passes_through_a_constant_in_between():
    z = T.dmatrix("z")
    p = T.nnet.softmax(z)
    loss = T.log(p).sum() + (z * z).sum()
    gradient = grad(loss, z, consider_constant=[p])
    assert evaluate([gradient], {z: Z})[0].tolist() == (2 * Z).tolist()


def test_only_paths_through_that_very_variable_count():
    z = T.dmatrix("z")
    one, other = T.exp(z), T.exp(z)
    loss = T.log(one / other.sum(axis=1, keepdims=True)).sum()
    value = np.array([[0.5, -1.0, 2.0]])
    found = evaluate([grad(loss, one)], {z: value})[0]
    np.testing.assert_allclose(found, 1 / np.exp(value))


def test_a_variable_used_elsewhere_too_gets_both_gradients():
    z = T.dmatrix("z")
    p = T.nnet.softmax(z)
    loss = T.log(p)[:, 0].sum() + T.sqr(p).sum()
    value = np.array([[0.5, -1.0, 2.0]])
    exact = np.exp(log_softmax_numpy(value))
    pulled = exact * (2 * exact - (2 * exact * exact).sum(axis=1, keepdims=True))
    found = evaluate([grad(loss, z)], {z: value})[0]
    np.testing.assert_allclose(found, np.eye(3)[[0]] - exact + pulled, rtol=1e-12)


def test_graphs_without_exponentials_have_no_stable_forms():
    x = T.dvector("x")
    order = toposort([T.log(1 + x * x) / (1 - x)])
    assert stable_forms(order, [x]) == {}


@pytest.mark.parametrize("spelling", CROSS_ENTROPIES)
def test_gradients_agree_with_finite_differences(spelling):
    rng = np.random.default_rng(1)
    value, direction = rng.standard_normal((2, N, 3))
    z, y = T.dmatrix("z"), T.lvector("y")
    loss = (CROSS_ENTROPIES[spelling](z, y) ** 2).sum()
    gradient = grad(loss, z)
    second = grad((gradient * direction).sum(), z)

    def at(variable, x):
        return evaluate([variable], {z: x, y: LABELS})[0]

    for function, derivative in ((loss, gradient), ((gradient * direction).sum(), second)):
        step = 1e-6 * direction
        difference = (at(function, value + step) - at(function, value - step)) / 2e-6
        np.testing.assert_allclose((at(derivative, value) * direction).sum(), difference, rtol=1e-6)


@pytest.mark.parametrize("passes", range(len(PIPELINE) + 1))
def test_forward_derivatives_agree_with_backward_ones(passes):
    x, t = T.dvector("x"), T.dvector("t")
    y = T.log(1 / (1 + T.exp(-x))) + apply(OPS["logsumexp"], (x,), {"axes": (0,)})
    tangent = forward([y], {x: t})[y]
    value, direction = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.5, -2.0])
    graph = optimise(Graph((x, t), (tangent, grad(y.sum(), x))), PIPELINE[:passes]).graph
    found, gradient = evaluate(graph.roots, {x: value, t: direction})
    np.testing.assert_allclose(found.sum(), (gradient * direction).sum(), rtol=1e-12)
