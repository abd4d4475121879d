"""Derivatives of loops: reverse and forward, of second order, truncated."""

import numpy as np
import pytest
from loops import LINE, MATRIX, MODES, X, a, close, run, v, w, x

import graphc
import graphc.tensor as T
from graphc import scan
from graphc.core.errors import ShapeError
from graphc.testing import check_grad


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


# Derivatives --------------------------------------------------------------------------------------


def recurrent(xs, s0, m, taps=False, **options):
    """A recurrence with most features at once: the sum over what it computes."""
    first = dict(initial=s0, taps=[-2, -1]) if taps else s0[0]

    def step(row, *rest):
        *states, m = rest
        s = states[0] * 0.5 + states[1] if taps else states[0]
        new = T.tanh(T.dot(s, m) + row)
        return [new, (new * row).sum()]

    states, sums = scan(step, xs, [first, None], m, **options)[0]
    return states, sums


@pytest.mark.parametrize("taps", [False, True], ids=["one tap", "two taps"])
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}], ids=["forwards", "backwards"])
def test_first_and_second_derivatives(taps, options):
    def build(xs, s0, m):
        states, sums = recurrent(xs, s0, m, taps, **options)
        return (states[-1] ** 2).sum() + T.sin(sums).sum() + states[2, 0]

    check_grad(build, [X, X[:2] + 0.1, MATRIX], order=2, mode="numpy")
    if taps == bool(options):
        return  # natively, the others are enough
    m, s0 = T.dmatrix("m"), T.dmatrix("s0")
    slopes = T.grad(build(x, s0, m), [x, s0, m])
    second = T.grad(sum((g * (k + 1)).sum() for k, g in enumerate(slopes)), [x, s0, m])
    run([*slopes, *second], {x: X, s0: X[:2] + 0.1, m: MATRIX})


def test_forward_mode_agrees_with_reverse_mode():
    m, s0, dx, ds, dm = T.dmatrices("m", "s0", "dx", "ds", "dm")
    states, sums = recurrent(x, s0, m, True)
    u, t = T.dmatrix("u"), T.dvector("t")
    pushed = graphc.Rop([states, sums], [x, s0, m], [dx, ds, dm])
    forward = (pushed[0] * u).sum() + (pushed[1] * t).sum()
    pulled = graphc.Lop([states, sums], [x, s0, m], [u, t])
    reverse = sum((g * d).sum() for g, d in zip(pulled, (dx, ds, dm)))
    r = np.random.RandomState(0).uniform(-1, 1, (6, 2))
    values = {x: X, s0: X[:2], m: MATRIX, dx: r, ds: r[:2], dm: r[2:4], u: r[::-1], t: r[:, 0]}
    p, q = run([forward, reverse], values)
    np.testing.assert_allclose(p, q, rtol=1e-10)


def test_jacobian_and_hessian_through_a_loop():
    found = scan(lambda s, c: T.sin(s) * c + 0.1, None, v, w, n_steps=3)[0][-1]
    jacobian = graphc.gradient.jacobian(found, v)
    cost = (found**2).sum() * v[0]
    hessian = graphc.gradient.hessian(cost, v)
    got = run([jacobian, hessian], {v: LINE[:3], w: LINE[2:5]})
    f = graphc.function([v, w], [found, T.grad(cost, v)], mode="numpy")
    for value, which in zip(got, (0, 1)):
        columns = []
        for k in range(3):
            h = np.eye(3)[k] * 1e-6
            high, low = (f(LINE[:3] + d, LINE[2:5])[which] for d in (h, -h))
            columns.append((high - low) / 2e-6)
        np.testing.assert_allclose(value, np.transpose(columns), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got[1], got[1].T, rtol=1e-10)


def test_a_jacobian_written_as_a_loop():
    y = T.tanh(T.dot(x, v))
    found, updates = scan(lambda i, y, v: T.grad(y[i], v), T.arange(y.shape[0]),
                          non_sequences=[y, v])  # fmt: skip
    assert not updates
    expected = (1 - np.tanh(X @ LINE[:2]) ** 2)[:, None] * X
    close(run(found, {x: X, v: LINE[:2]}), expected)


def test_a_hessian_times_a_vector_through_the_gradient_of_a_loop():
    states, _ = recurrent(x, x[:2], T.constant(MATRIX))
    slope = T.grad((states**2).sum(), x)
    u = T.dmatrix("u")
    product = T.grad((slope * u).sum(), x)
    forward = graphc.Rop(slope, x, u)
    r = np.random.RandomState(1).uniform(-1, 1, (6, 2))
    p, q = run([product, forward], {x: X, u: r})
    np.testing.assert_allclose(p, q, rtol=1e-10)


@pytest.mark.parametrize("back", [1, 3, 6, 50])
def test_truncated_gradients_go_back_so_many_steps(back):
    """Gradients of the loop over the last steps alone, from the state before them."""

    def step(row, s, m):
        return T.tanh(T.dot(s, m) + row)

    m, s0 = T.dmatrix("m"), T.dvector("s0")
    weights = np.linspace(0.5, 1.5, 12).reshape(6, 2)
    states = scan(step, x, s0, m, truncate_gradient=back)[0]
    cost = (states * weights).sum()
    slopes = T.grad(cost, [x, s0, m])
    values = {x: X, s0: LINE[:2], m: MATRIX}
    gx, gs, gm = run(slopes, values)
    whole = run(scan(step, x, s0, m)[0], values)
    cut = max(6 - back, 0)
    before = whole[cut - 1] if cut else LINE[:2]
    last = scan(step, x, s0, m)[0]
    part = T.grad((last * weights[cut:]).sum(), [x, s0, m])
    expected = run(part, {x: X[cut:], s0: before, m: MATRIX})
    close(gx, np.concatenate([np.zeros((cut, 2)), expected[0]]))
    close(gs, expected[1] if back >= 6 else np.zeros(2))
    close(gm, expected[2])


def test_gradients_of_the_last_state_of_one_of_several():
    p, q = scan(lambda b, p, q: [p * b + q, T.sin(q) * p], v, [a, 0.5])[0]
    slopes = T.grad(p[-1], [v, a])

    def build(v, a):
        return scan(lambda b, p, q: [p * b + q, T.sin(q) * p], v, [a, 0.5])[0][0][-1]

    check_grad(build, [LINE, np.array(0.7)], order=2, mode="numpy")
    run(slopes, {v: LINE, a: 0.7})


def test_gradients_of_a_cost_that_the_loop_makes_of_an_integer_count():
    """A state of integers carries no gradient and stops none."""
    found, count = scan(lambda b, s, k: [s * b + T.cast(k, "float64"), k + 1], v, [a, 1])[0]
    assert count.dtype == "int64"

    def build(v, a):
        return scan(lambda b, s, k: [s * b + T.cast(k, "float64"), k + 1], v, [a, 1])[0][0].sum()

    check_grad(build, [LINE, np.array(0.7)], mode="numpy")
    run([found, count, *T.grad(found.sum(), [v, a])], {v: LINE, a: 0.7})


def test_the_gradient_for_a_variable_inside_of_fn_stays_inside():
    """fn may differentiate what it computes."""

    def descend(s, target):
        return s - 0.3 * T.grad(((s - target) ** 2).sum(), s)

    found = scan(descend, None, v, w, n_steps=4)[0]
    s, rows = LINE[:3], []
    for _ in range(4):
        s = s - 0.6 * (s - LINE[3:])
        rows.append(s)
    close(run(found, {v: LINE[:3], w: LINE[3:]}), rows)


def test_gradients_where_nothing_depends_on_the_loop():
    found = scan(lambda b, s: s + 1, v, a)[0]
    slope = T.grad(found.sum(), v, disconnected_inputs="ignore")
    close(run([slope, found], {v: LINE, a: 0.5})[0], np.zeros(6))


def test_shapes_are_known_without_running_a_loop():
    found = scan(lambda row, s: s + row, x, T.zeros((2,)))[0]
    f = graphc.function([x], found.shape, mode="numpy")
    assert f(X).tolist() == [6, 2]


def test_a_state_that_changes_its_shape_is_an_error_when_it_runs():
    found = scan(lambda b, s: T.concatenate([s, b[None]]), v, w)[0]
    for mode in MODES:
        f = graphc.function([v, w], found, mode=mode)
        with pytest.raises(ShapeError, match=r"(?s)shape \(2,\).*\(3,\).*T.concatenate"):
            f(LINE, LINE[:2])
