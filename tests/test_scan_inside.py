"""Loops in loops, in other ops and in pickles; steps of the host and indices inside."""

import pickle

import numpy as np
import pytest
from loops import LINE, MODES, X, a, close, run, v, w, x

import graphc
import graphc.tensor as T
from graphc import scan, until
from graphc.core.errors import BadIndexError, GraphError
from graphc.testing import check_grad


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


# Inside and around --------------------------------------------------------------------------------


def test_a_loop_in_a_loop():
    """Powers of a matrix applied to each row, with a state of both loops."""

    def outer(row, total, m):
        inner = scan(lambda s, m: T.tanh(T.dot(s, m)), None, row, m, n_steps=3)[0]
        return [inner, total + inner[-1]]

    m = T.dmatrix("m")
    inner, totals = scan(outer, x, [None, v], m)[0]
    cost = (totals**2).sum() + T.sin(inner).sum()
    matrix = np.array([[0.4, -0.3], [0.2, 0.7]])
    found = run([inner, totals, *T.grad(cost, [x, v, m])], {x: X, v: LINE[:2], m: matrix})
    rows, total = [], LINE[:2]
    totals_expected = []
    for row in X:
        for _ in range(3):
            row = np.tanh(row @ matrix)
            rows.append(row)
        total = total + row
        totals_expected.append(total)
    close(found[0], np.reshape(rows, (6, 3, 2)))
    close(found[1], totals_expected)

    def build(x, v, m):
        inner, totals = scan(outer, x, [None, v], m)[0]
        return (totals**2).sum() + T.sin(inner).sum()

    check_grad(build, [X, LINE[:2], matrix], mode="numpy")


def test_an_inner_loop_whose_length_changes_from_step_to_step():
    k = T.lvector("k")
    found = scan(lambda j: scan(lambda s: s * 2.0, outputs_info=a, n_steps=j)[0].sum(), k)[0]
    counts = np.array([3, 0, 1, 4])
    f, g = run([found, T.grad(found.sum(), a)], {k: counts, a: 1.5})
    close(f, 1.5 * (2.0 ** (counts + 1) - 2))
    close(g, (2.0 ** (counts + 1) - 2).sum())

    def build(start):
        def outer(j, total):
            rows = scan(lambda s: T.tanh(s) + 0.1 * total, outputs_info=start, n_steps=j)[0]
            return T.exp(-rows).sum() + 0.5 * total

        return scan(outer, T.constant(counts), 0.2)[0].sum()

    check_grad(build, [np.array(0.4)], order=2, mode="numpy")
    slope = T.grad(build(a), a)
    run([slope, T.grad(slope, a)], {a: 0.4})


def test_an_inner_loop_over_what_the_outer_one_carries():
    def outer(s):
        return scan(lambda b, c: c * 0.5 + b, s, 0.1)[0]

    found = scan(outer, outputs_info=v, n_steps=3)[0]
    s, expected = LINE, []
    for _ in range(3):
        c, rows = 0.1, []
        for b in s:
            c = c * 0.5 + b
            rows.append(c)
        s = np.array(rows)
        expected.append(s)
    close(run(found, {v: LINE}), expected)


def test_a_loop_in_an_op_from_a_graph():
    inside = graphc.OpFromGraph([v, a], [scan(lambda b, s: T.tanh(s) + b, v, a)[0]])
    found = inside(w * 2, a + 1)
    plain = scan(lambda b, s: T.tanh(s) + b, w * 2, a + 1)[0]
    outputs = [found, plain, *T.grad(found.sum(), [w, a]), *T.grad(plain.sum(), [w, a])]
    f, p, *slopes = run(outputs, {w: LINE, a: 0.2})
    close(f, p)
    close(slopes[0], slopes[2])
    close(slopes[1], slopes[3])


def test_an_op_from_a_graph_in_a_loop():
    cell = graphc.OpFromGraph([v, w], [T.tanh(v * 2 + w)])
    found = scan(lambda row, s: cell(row, s), x, w)[0]
    s, expected = LINE[:2], []
    for row in X:
        s = np.tanh(row * 2 + s)
        expected.append(s)
    got, slope = run([found, T.grad(found[-1].sum(), w)], {x: X, w: LINE[:2]})
    close(got, expected)
    close(slope, np.prod([1 - e**2 for e in expected], 0))


def test_clone_and_givens_reach_into_loops():
    outside = T.exp(a)
    found = scan(lambda b, s: s * outside + b, v, 0.5)[0]
    b = T.dscalar("b")
    expected = run(found, {v: LINE, a: 0.3})
    cloned = graphc.clone(found, replace={a: b * 0.1, v: w + 1})
    close(run(cloned, {w: LINE - 1, b: 3.0}), expected)
    replaced = graphc.clone(found, replace={outside: b})
    close(run(replaced, {v: LINE, b: np.exp(0.3)}), expected)
    for mode in MODES:
        f = graphc.function([w, b], found, givens={a: b * 0.1, v: w + 1}, mode=mode)
        close(f(LINE - 1, 3.0), expected)
        g = graphc.function([v, b], found, givens=[(outside, b)], mode=mode)
        close(g(LINE, np.exp(0.3)), expected)


def test_givens_may_replace_a_shared_variable_that_a_loop_reads():
    scale = graphc.shared(2.0, name="scale")
    found = scan(lambda b: b * scale, v)[0]
    for mode in MODES:
        f = graphc.function([v, a], found, givens={scale: a}, mode=mode)
        close(f(LINE, 5.0), LINE * 5)


def test_functions_with_loops_can_be_pickled():
    scale = graphc.shared(2.0, name="scale")
    found, updates = scan(lambda b, s: (s * scale + b, {scale: scale + b}), v, a)
    for mode in MODES:
        scale.set_value(2.0)
        f = graphc.function([v, a], [found, T.grad(found.sum(), a)], updates=updates, mode=mode)
        again = pickle.loads(pickle.dumps(f))
        for p, q in zip(f(LINE, 0.5) + f(LINE, 0.5), again(LINE, 0.5) + again(LINE, 0.5)):
            close(q, p)


def test_graphs_with_loops_can_be_pickled():
    found = scan(lambda b, s: (s * 2 + b, until(b > 0.45)), v, a)[0]
    inputs, again = pickle.loads(pickle.dumps(([v, a], found)))
    close(run(again, dict(zip(inputs, (LINE, 0.5)))), run(found, {v: LINE, a: 0.5}))


def test_steps_of_the_host_inside():
    @graphc.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def cumulated(row):
        return np.cumsum(row)

    m = T.dmatrix("m")

    def step(row, s, m):
        new = T.sort(T.concatenate([row, s]))[:2] + cumulated(row)
        return new, T.nlinalg.matrix_inverse(m + s[0]).sum()

    found = scan(step, x, [v, None], m)[0]
    matrix = np.array([[2.0, 0.5], [0.1, 1.5]])
    f, g = run(found, {x: X, v: LINE[:2], m: matrix})
    s, rows, sums = LINE[:2], [], []
    for row in X:
        sums.append(np.linalg.inv(matrix + s[0]).sum())
        s = np.sort(np.concatenate([row, s]))[:2] + np.cumsum(row)
        rows.append(s)
    close(f, rows)
    np.testing.assert_allclose(g, sums, rtol=1e-10)


def test_gradients_through_steps_of_the_host():
    def build(m, b):
        inverse = lambda r, s: T.tanh(T.nlinalg.matrix_inverse(s + 3 * T.eye(2)) * r)  # noqa: E731
        found = scan(inverse, b, m)[0]
        return found.sum() + T.sort(found[-1].flatten())[1]

    matrix = np.array([[2.0, 0.5], [0.1, 1.5]])
    check_grad(build, [matrix, LINE[:3]], mode="numpy")
    m = T.dmatrix("m")
    run(T.grad(build(m, v), [m, v]), {m: matrix, v: LINE[:3]})


def test_rows_picked_by_a_sequence_of_numbers():
    k = T.lvector("k")
    W = graphc.shared(X, name="W")

    def step(j, s, W):
        return T.tanh(W[j] * s + W[-j - 1]) + W[T.stack([j, 0])].sum(0)

    found = scan(step, k, v, W)[0]
    slopes = T.grad((found**2).sum(), [W, v])
    picks = np.array([3, 0, 5, -1, 3])
    values = run([found, *slopes], {k: picks, v: LINE[:2]})
    s, rows = LINE[:2], []
    for j in picks:
        s = np.tanh(X[j] * s + X[-j - 1]) + X[[j, 0]].sum(0)
        rows.append(s)
    close(values[0], rows)

    def build(W, v):
        return (scan(step, T.constant(picks), v, W)[0] ** 2).sum()

    check_grad(build, [X, LINE[:2]], mode="numpy")
    W0 = T.dmatrix("W0")
    for g, h in zip(values[1:], run(list(T.grad(build(W0, v), [W0, v])), {W0: X, v: LINE[:2]})):
        close(g, h)


def test_writes_at_places_that_a_sequence_gives():
    k = T.lvector("k")
    found = scan(lambda j, b, s: T.inc_subtensor(s[j], b * s.sum()), [k, v], T.ones((4,)))[0]
    picks = np.array([3, 0, -1, 2, 2, 1])
    values = run([found, T.grad(found[-1].prod(), v)], {k: picks, v: LINE})
    s, rows = np.ones(4), []
    for j, b in zip(picks, LINE):
        s = s.copy()
        s[j] += b * s.sum()
        rows.append(s)
    close(values[0], rows)

    def build(b):
        step = lambda j, b, s: T.inc_subtensor(s[j], b * s.sum())  # noqa: E731
        return scan(step, [T.constant(picks), b], T.ones((4,)))[0][-1].prod()

    check_grad(build, [LINE], mode="numpy")


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_index_in_a_loop_names_the_line(mode):
    k = T.lvector("k")

    def by_number(j, s):
        return s + x[j].sum()  # by number

    def by_numbers(j, s):
        return s + x[T.stack([j, j])].sum()  # by numbers

    def alone(j):
        return x[j] * 2  # alone

    for fn, comment, start in ((by_number, "by number", 0.0), (by_numbers, "by numbers", 0.0),
                               (alone, "alone", None)):  # fmt: skip
        f = graphc.function([x, k], scan(fn, k, start)[0], mode=mode)
        good = f(X, np.array([0, 5, -6]))
        with pytest.raises((BadIndexError, IndexError), match=f"(?s)6.*# {comment}"):
            f(X, np.array([0, 1, 6, 2]))
        with pytest.raises((BadIndexError, IndexError), match=f"(?s)-7.*# {comment}"):
            f(X, np.array([-7]))
        close(f(X, np.array([0, 5, -6])), good)


@pytest.mark.parametrize("mode", MODES)
def test_sizes_that_do_not_fit_in_a_loop_name_the_line(mode):
    def step(row, s):
        return T.dot(row, s)  # the product

    m = T.dmatrix("m")
    f = graphc.function([x, m], scan(step, x, None, m)[0], mode=mode)
    close(f(X, np.eye(2)), X)
    with pytest.raises(GraphError, match="(?s)# the product"):
        f(X, np.eye(3))


@pytest.mark.xfail(strict=True, reason="a native plan needs the sizes of rows before the loop runs")
def test_rows_whose_size_only_the_steps_tell():
    @graphc.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def positive(row):
        return row[row > 0]

    found = scan(lambda row: positive(row), x)[0]
    values = np.array([[1.0, -2.0, 3.0], [-1.0, 2.0, 0.5]])
    close(run(found, {x: values}), [[1.0, 3.0], [2.0, 0.5]])
