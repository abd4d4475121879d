"""`ifelse`: one side is computed, in gradients too, in every mode."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.errors import ArgumentError, ShapeError

MODES = ["numpy", "native"]
X = np.array([0.5, 1.0, 2.0])


def noting(calls, tag):
    """An op that says when it is run."""

    @graphc.as_op([T.dvector], [T.dvector], infer_shape=lambda node, shapes: shapes)
    def forwards(x):
        calls.append(tag)
        return 2 * x

    return forwards


@pytest.mark.parametrize("mode", MODES)
def test_only_the_chosen_side_runs(mode):
    calls = []
    x, c = T.dvector("x"), T.lscalar("c")
    a, b = noting(calls, "then")(x), noting(calls, "else")(x)
    f = graphc.function([x, c], graphc.ifelse(c, a + 1, b - 1), mode=mode)
    np.testing.assert_array_equal(f(X, 1), 2 * X + 1)
    assert calls == ["then"]
    np.testing.assert_array_equal(f(X, 0), 2 * X - 1)
    assert calls == ["then", "else"]


@pytest.mark.parametrize("mode", MODES)
def test_several_results_share_their_sides(mode):
    calls = []
    x, c = T.dvector("x"), T.lscalar("c")
    a = noting(calls, "then")(x)
    first, second = graphc.ifelse(c, [a, a.sum()], [x, x.prod()])
    f = graphc.function([x, c], [first, second], mode=mode)
    np.testing.assert_array_equal(f(X, 2)[0], 2 * X)
    assert calls == ["then"]
    assert float(f(X, 0)[1]) == X.prod() and calls == ["then"]


@pytest.mark.parametrize("mode", MODES)
def test_what_both_sides_need_is_computed_once(mode):
    calls = []
    x, c = T.dvector("x"), T.lscalar("c")
    shared = noting(calls, "both")(x)
    f = graphc.function([x, c], graphc.ifelse(c, shared + 1, shared * 3), mode=mode)
    np.testing.assert_array_equal(f(X, 0), 6 * X)
    assert calls == ["both"]


@pytest.mark.parametrize("mode", MODES)
def test_gradients_run_the_chosen_side_only(mode):
    x, w, c = T.dvector("x"), T.dmatrix("w"), T.lscalar("c")
    inverse = T.nlinalg.matrix_inverse(w)  # raises for a matrix without one
    y = graphc.ifelse(c, T.dot(x, inverse), T.exp(x))
    gradients = graphc.grad((y**2).sum(), [x, w])
    f = graphc.function([x, w, c], [y, *gradients], mode=mode)
    singular, regular = np.zeros((3, 3)), 2 * np.eye(3)
    found, gx, gw = f(X, singular, 0)
    np.testing.assert_allclose(found, np.exp(X))
    np.testing.assert_allclose(gx, 2 * np.exp(2 * X))
    np.testing.assert_array_equal(gw, np.zeros((3, 3)))
    found, gx, gw = f(X, regular, 1)
    np.testing.assert_allclose(gx, X / 2)
    np.testing.assert_allclose(gw, -np.outer(X, X) / 4)
    with pytest.raises(np.linalg.LinAlgError):
        f(X, singular, 1)


@pytest.mark.parametrize("mode", MODES)
def test_an_error_of_the_other_side_is_not_raised(mode):
    x, i = T.dvector("x"), T.lscalar("i")
    f = graphc.function([x, i], graphc.ifelse(i < x.shape[0], x[i], -1.0), mode=mode)
    assert float(f(X, 2)) == 2.0 and float(f(X, 7)) == -1.0


@pytest.mark.parametrize("mode", MODES)
def test_choices_inside_choices_and_loops(mode):
    calls = []
    x, c, d = T.dvector("x"), T.lscalar("c"), T.lscalar("d")
    inner = graphc.ifelse(d, noting(calls, "inner")(x), x + 1)
    f = graphc.function([x, c, d], graphc.ifelse(c, inner, -x), mode=mode)
    np.testing.assert_array_equal(f(X, 0, 1), -X)
    assert not calls
    np.testing.assert_array_equal(f(X, 1, 0), X + 1)
    assert not calls
    np.testing.assert_array_equal(f(X, 1, 1), 2 * X)
    assert calls == ["inner"]

    rows, _ = graphc.scan(lambda v, s: graphc.ifelse(v > 1, s * v, s - v), x, np.float64(3.0))
    expected, s = [], 3.0
    for v in X:
        s = s * v if v > 1 else s - v
        expected.append(s)
    g = graphc.grad(rows[-1], x)
    found, gradient = graphc.function([x], [rows, g], mode=mode)(X)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(gradient, [-2, -2, 1.5])


@pytest.mark.parametrize("mode", MODES)
def test_updates_through_choices(mode):
    state, c = graphc.shared(np.arange(3.0), name="state"), T.lscalar("c")
    step = graphc.function(
        [c], [], updates=[(state, graphc.ifelse(c, state * 2, state + 1))], mode=mode
    )
    step(1), step(0), step(0)
    np.testing.assert_array_equal(state.get_value(), [2, 4, 6])


def test_known_conditions_and_equal_sides_are_no_choice():
    x = T.dvector("x")
    f = graphc.function([x], [graphc.ifelse(T.constant(1), x + 1, x.sort()),
                              graphc.ifelse(x.sum() > 0, x * 3, x * 3)])  # fmt: skip
    f(X)
    assert all(step.routine == "kernel" for step in f.plan.steps)


def test_second_derivatives_and_rop():
    x, c, v = T.dvector("x"), T.lscalar("c"), T.dvector("v")
    cost = graphc.ifelse(c, (x**3).sum(), T.sin(x).sum())
    g = graphc.grad(cost, x)
    f = graphc.function([x, c, v], [graphc.grad((g * v).sum(), x), graphc.Rop(g, x, v)])
    for found in f(X, 1, X):
        np.testing.assert_allclose(found, 6 * X * X)
    for found in f(X, 0, X):
        np.testing.assert_allclose(found, -np.sin(X) * X)


def test_dtypes_meet():
    x, c = T.fvector("x"), T.lscalar("c")
    assert graphc.ifelse(c, x, x.astype("float64")).dtype == "float64"
    assert graphc.ifelse(c, x.sum(), 0).dtype == "float32"


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda x, c: graphc.ifelse(x, x, x), ShapeError, "not a scalar"),
        (lambda x, c: graphc.ifelse(c, x, x.sum()), ShapeError, "different ranks"),
        (lambda x, c: graphc.ifelse(c, [x], x), ArgumentError, "one side is a list"),
        (lambda x, c: graphc.ifelse(c, [x], [x, x]), ArgumentError, "1 and 2 results"),
        (lambda x, c: graphc.ifelse(c, T.zeros((3,)), T.zeros((4,))), ShapeError,
         "different shapes"),
    ],
)
def test_bad_choices(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make(T.dvector("x"), T.lscalar("c"))
    assert __file__ in str(caught.value)
