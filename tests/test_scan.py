"""What `scan` means: Theano's words, with NumPy and natively."""

import numpy as np
import pytest
from loops import LINE, MODES, X, a, close, n, run, v, w, x

import graphc
import graphc.tensor as T
from graphc import scan
from graphc.core.errors import GraphError
from graphc.runtime import reference


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


# Sequences ----------------------------------------------------------------------------------------


def test_taps_of_a_sequence_are_rows_around_the_present_one():
    past = scan(lambda b, c: b - 2 * c, dict(input=v, taps=[-2, 0]))[0]
    future = scan(lambda b, c, d: b - 2 * c + 3 * d, dict(input=v, taps=[0, 2, 1]))[0]
    around = scan(lambda b, c, d: b * c - d, dict(input=v, taps=[-1, 1, 0]))[0]
    later = scan(lambda b: 2 * b, dict(input=v, taps=[2]))[0]
    earlier = scan(lambda b: 2 * b, dict(input=v, taps=-1))[0]
    p, f, r, late, early = run([past, future, around, later, earlier], {v: LINE})
    close(p, LINE[:-2] - 2 * LINE[2:])
    close(f, LINE[:-2] - 2 * LINE[2:] + 3 * LINE[1:-1])
    close(r, LINE[:-2] * LINE[2:] - LINE[1:-1])
    close(late, 2 * LINE[2:])
    close(early, 2 * LINE[:-1])


def test_taps_begin_where_all_of_them_exist_also_beside_plain_sequences():
    """As in Theano, each sequence begins at the first row that its own taps allow."""
    found = scan(lambda b, c, d: b + 10 * c + 100 * d, [dict(input=v, taps=[-1, 0]), w])[0]
    close(run(found, {v: LINE, w: LINE[::-1]}), LINE[:-1] + 10 * LINE[1:] + 100 * LINE[:0:-1])


def test_the_shortest_sequence_says_how_many_steps_there_are():
    found = scan(lambda b, c: b * c, [v, w])[0]
    close(run(found, {v: LINE, w: LINE[:4]}), LINE[:4] ** 2)
    close(run(found, {v: LINE[:2], w: LINE}), LINE[:2] ** 2)
    close(run(found, {v: LINE[:0], w: LINE}), np.zeros(0))


def test_steps_can_be_fewer_than_rows_but_not_more():
    found = scan(lambda b: b * 2, v, n_steps=n)[0]
    for mode in MODES:
        f = graphc.function([v, n], found, mode=mode)
        for count in (3, 1, 0, 6):
            close(f(LINE, count), LINE[:count] * 2)
        with pytest.raises((GraphError, ValueError), match="n_steps is 7, and .* rows for 6"):
            f(LINE, 7)
        close(f(LINE, 2), LINE[:2] * 2)


def test_backwards_rows_come_from_the_last_to_the_first_and_results_in_order_of_steps():
    found = scan(lambda b, s: 2 * s + b, v, outputs_info=a, go_backwards=True)[0]
    tapped = scan(lambda b, c: b - 2 * c, dict(input=v, taps=[0, 1]), go_backwards=True)[0]
    cut = scan(lambda b: b + 0.5, v, go_backwards=True, n_steps=2)[0]
    f, t, c = run([found, tapped, cut], {v: LINE, a: 0.5})
    s, expected = 0.5, []
    for b in LINE[::-1]:
        s = 2 * s + b
        expected.append(s)
    close(f, expected)
    close(t, (LINE[:-1] - 2 * LINE[1:])[::-1])
    close(c, LINE[:-3:-1] + 0.5)


def test_rows_of_matrices_and_higher_ranks():
    big = T.dtensor3("big")
    values = np.arange(24.0).reshape(2, 3, 4)
    first, second = scan(lambda m, r: [m.sum(axis=1), m * r[0]], [big, x])[0]
    f, s = run([first, second], {big: values, x: X})
    close(f, values.sum(2))
    close(s, values * X[:2, 0, None, None])


def test_lists_and_arrays_serve_as_sequences():
    close(run(scan(lambda k, b: k * b, [T.arange(6), LINE])[0]), np.arange(6) * LINE)


def test_sequences_of_integers_and_booleans():
    k = T.ivector("k")
    found, flags = scan(lambda j: [j * j, j > 1], k)[0]
    assert (found.dtype, flags.dtype) == ("int32", "bool")
    f, g = run([found, flags], {k: np.array([0, 1, 2], "int32")})
    assert f.tolist() == [0, 1, 4] and g.tolist() == [False, False, True]


# States -------------------------------------------------------------------------------------------


def test_a_state_with_several_taps_needs_as_many_initial_rows():
    fibonacci = scan(lambda p, q: p + q, outputs_info=dict(initial=v, taps=[-2, -1]), n_steps=8)[0]
    reversed_taps = scan(
        lambda p, q, r: p - 2 * q + r, outputs_info=dict(initial=v, taps=[-1, -3, -2]), n_steps=n
    )[0]
    gap = scan(lambda p: p * 2, outputs_info=dict(initial=v, taps=[-3]), n_steps=7)[0]
    f, r, g = run([fibonacci, reversed_taps, gap], {v: np.array([1.0, 1.0, 3.0]), n: 4})
    close(f, [2, 3, 5, 8, 13, 21, 34, 55])
    s = [1.0, 1.0, 3.0]
    for _ in range(4):
        s.append(s[-1] - 2 * s[-3] + s[-2])
    close(r, s[3:])
    close(g, [2, 2, 6, 4, 4, 12, 8])


def test_several_outputs_in_the_order_of_outputs_info():
    def step(row, p, q, c):
        return [row * p, p + row[0] * c[1], q * 0.5 + p]

    found, updates = scan(step, x, [None, a, dict(initial=v, taps=[-2])], w)
    assert isinstance(found, list) and not updates
    first, second, third = run(found, {x: X, a: 0.5, v: LINE[:2], w: LINE})
    p, q, rows = 0.5, list(LINE[:2]), []
    for row in X:
        rows.append((row * p, p + row[0] * LINE[1], q[-2] * 0.5 + p))
        p = rows[-1][1]
        q.append(rows[-1][2])
    close(first, [r[0] for r in rows])
    close(second, [r[1] for r in rows])
    close(third, [r[2] for r in rows])


def test_a_dict_without_an_initial_value_is_not_fed_back():
    found = scan(lambda b, s: [b * 2, s + b], v, [{}, dict(initial=a)])[0]
    f, s = run(found, {v: LINE, a: 1.0})
    close(f, LINE * 2)
    close(s, 1 + np.cumsum(LINE))


def test_numbers_take_the_dtype_that_fn_makes():
    narrow = T.fvector("narrow")
    k = T.lvector("k")
    found = [
        scan(lambda b, s: s + b, narrow, 0)[0],
        scan(lambda b, s: s + b, narrow, 0.0)[0],
        scan(lambda b, s: s + b, v, 1)[0],
        scan(lambda j, s: s + j, k, 0)[0],
        scan(lambda s: s * 2, outputs_info=1, n_steps=3)[0],
        scan(lambda b, s: s | (b > 1), narrow, False)[0],
    ]
    assert [f.dtype for f in found[:4]] == ["float32", "float64", "float64", "int64"]
    values = {narrow: np.array([1, 2, 3], "float32"), v: LINE[:2], k: np.array([4, 5, 6])}
    made = run(found, values)
    for f, value in zip(made, [[1, 3, 6]] * 2 + [1 + np.cumsum(LINE[:2]), [4, 9, 15], [2, 4, 8]]):
        close(f, value)
    assert made[5].tolist() == [False, True, True]


def test_a_narrow_result_is_cast_to_the_state():
    k = T.lvector("k")
    narrow = T.fvector("narrow")
    found = [scan(lambda j, s: j + 1, k, a)[0], scan(lambda b, s: b + 1, narrow, a)[0]]
    assert [f.dtype for f in found] == ["float64"] * 2
    f, g = run(found, {k: np.array([4, 5]), a: 0.0, narrow: np.array([1, 2], "float32")})
    assert f.tolist() == [5, 6] and g.tolist() == [2, 3]


def test_initial_values_may_be_arrays_constants_and_shared_variables():
    start = graphc.shared(LINE[:2], name="start")
    starts = (start, LINE[:2], T.zeros((2,)), T.alloc(0.0, x.shape[1]), x[0], v * 2)
    found = [scan(lambda row, s: s + row, x, s0)[0] for s0 in starts]
    made = run(found, {x: X, v: LINE[:2]})
    for f, s0 in zip(made, (LINE[:2], LINE[:2], 0, 0, X[0], LINE[:2] * 2)):
        close(f, s0 + np.cumsum(X, 0))


def test_an_output_that_is_an_input_of_the_step():
    found = scan(lambda b, s, c: [b, s, c], v, [None, a, None], w)[0]
    f, s, c = run(found, {v: LINE, a: 2.0, w: LINE[:2]})
    close(f, LINE)
    close(s, [2.0] * 6)
    close(c, [LINE[:2]] * 6)


def test_one_output_twice_and_a_state_read_by_another():
    found = scan(lambda b, p, q: [q, p + b, p + b], v, [a, a, None])[0]
    p, q, rows = 0.5, 0.5, []
    for b in LINE:
        p, q = q, p + b
        rows.append((p, q, q))
    for f, column in zip(run(found, {v: LINE, a: 0.5}), zip(*rows)):
        close(f, column)


# What stays the same ------------------------------------------------------------------------------


def test_variables_from_outside_are_captured():
    scale = graphc.shared(2.0, name="scale")
    outside = T.exp(a) * scale
    found = scan(lambda b, s, c: s * c + b * outside + scale, v, 0.0, T.tanh(a))[0]
    for value in (2.0, 3.0):
        scale.set_value(value)
        s, expected = 0.0, []
        for b in LINE:
            s = s * np.tanh(0.3) + b * np.exp(0.3) * value + value
            expected.append(s)
        close(run(found, {v: LINE, a: 0.3}), expected)


def test_non_sequences_may_be_numbers_arrays_and_the_same_thing_twice():
    found = scan(lambda b, p, q, r, s: b * p + q[0] + r - s, v, None, [2.0, LINE, a, a])[0]
    close(run(found, {v: LINE, a: 1.5}), LINE * 2 + 0.3)


def test_the_same_variable_as_sequence_and_non_sequence():
    found = scan(lambda row, s, m: T.tanh(s + T.dot(m, row)[:2]), x, x[0] * 0, x)[0]
    s, expected = np.zeros(2), []
    for row in X:
        s = np.tanh(s + (X @ row)[:2])
        expected.append(s)
    close(run(found, {x: X}), expected)


def test_strict_takes_only_what_is_given():
    scale = graphc.shared(2.0, name="scale")
    given = scan(lambda b, c: b * c, v, non_sequences=scale, strict=True)[0]
    close(run(given, {v: LINE}), LINE * 2)
    with pytest.raises(GraphError, match="(?s)scale.*strict.*non_sequence"):
        scan(lambda b: b * scale, v, strict=True)
    with pytest.raises(GraphError, match="(?s)a: float64.*strict"):
        scan(lambda b: b * a, v, strict=True)


# Results ------------------------------------------------------------------------------------------


def test_lists_of_results():
    assert scan(lambda b: b, v)[0].ndim == 1
    assert scan(lambda b: [b], v)[0].ndim == 1
    (one,) = scan(lambda b: b, v, return_list=True)[0]
    assert one.ndim == 1
    two = scan(lambda b: (b, 2 * b), v)[0]
    assert isinstance(two, list) and len(two) == 2
    assert scan(lambda b: [], v, [])[0] in ([], None)


def test_types_of_results_know_what_is_known():
    known = T.TensorType("float32", (4, 3))("known")
    found = scan(lambda row, s: [s + row, row[0]], known, [T.zeros((3,), "float32"), None])[0]
    assert [f.type.shape for f in found] == [(4, 3), (4,)]
    assert scan(lambda row: row, known, n_steps=2)[0].type.shape == (2, 3)
    assert scan(lambda row: row, dict(input=known, taps=[-1]))[0].type.shape == (3, 3)


def test_map_reduce_and_the_folds():
    mapped = graphc.map(lambda b, c: b * c, v, [a])[0]
    backwards = graphc.map(lambda b: b + 1, v, go_backwards=True)[0]
    reduced = graphc.reduce(lambda b, s: s * 0.5 + b, v, 1.0)[0]
    two = graphc.reduce(lambda b, s, t: [s + b, t * b], v, [0.0, T.constant(1.0)])[0]
    left = graphc.foldl(lambda b, s, c: s * c + b, v, a, [2.0])[0]
    right = graphc.foldr(lambda b, s, c: s * c + b, v, a, [2.0])[0]
    found = run([mapped, backwards, reduced, *two, left, right], {v: LINE, a: 0.5})
    close(found[0], LINE * 0.5)
    close(found[1], LINE[::-1] + 1)
    for got, rows, s, c in ((found[2], LINE, 1.0, 0.5), (found[5], LINE, 0.5, 2.0),
                            (found[6], LINE[::-1], 0.5, 2.0)):  # fmt: skip
        for b in rows:
            s = s * c + b
        close(got, s)
    close(found[3], LINE.sum())
    close(found[4], LINE.prod())


def test_the_number_of_steps_may_change_from_call_to_call():
    found, _ = scan(lambda s, c: [s * c + 1, s[0]], outputs_info=[v, None], non_sequences=a,
                    n_steps=n)  # fmt: skip
    outputs = [*found, T.grad((found[0] ** 2).sum(), v)]
    functions = {mode: graphc.function([v, a, n], outputs, mode=mode) for mode in MODES}
    for count in (3, 0, 1, 40, 3):
        rows, firsts, s = [], [], LINE[:2]
        for _ in range(count):
            firsts.append(s[0])
            s = s * 0.5 + 1
            rows.append(s)
        slope = sum((2 * r * 0.5 ** (k + 1) for k, r in enumerate(rows)), np.zeros(2))
        for f in functions.values():
            got = f(LINE[:2], 0.5, count)
            close(got[0], np.reshape(rows, (count, 2)))
            close(got[1], np.reshape(firsts, (count,)))
            close(got[2], slope)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "int64"])
def test_the_number_of_steps_may_have_any_integer_dtype(dtype):
    count = T.scalar("count", dtype=dtype)
    found = scan(lambda s: s + 1, outputs_info=0, n_steps=count)[0]
    assert graphc.function([count], found, mode="numpy")(np.array(3, dtype)).tolist() == [1, 2, 3]
    fixed = scan(lambda s: s + 1, outputs_info=0, n_steps=np.array(3, dtype))[0]
    assert fixed.eval().tolist() == [1, 2, 3]


def test_the_number_of_steps_may_be_a_size_of_something():
    found = scan(lambda s: s + a, outputs_info=0.0, n_steps=x.shape[0] - 2)[0]
    close(run(found, {x: X, a: 2.0}), [2, 4, 6, 8])


def test_the_rows_of_a_loop_are_not_made_to_count_them(monkeypatch):
    """Sizes that depend on a call's numbers are inferred; only the plan runs the loop."""
    data = graphc.shared(np.arange(40.0).reshape(4, 10), name="data")
    first, x = T.lscalar("first"), T.dmatrix("x")
    W = graphc.shared(np.eye(4) / 2, name="W")
    rows = graphc.scan(lambda row, h: T.tanh(row + T.dot(h, W)), x, T.zeros(4))[0]
    slope = graphc.grad(rows.sum(), W)
    window = data[:, first : first + 3].T
    f = graphc.function([first], [rows, slope], givens={x: window})
    expected = [f(k) for k in (0, 8)]  # the second is shorter

    def never(*_):
        raise AssertionError("the loop was interpreted")

    monkeypatch.setattr(reference, "_run_together", never)
    for k, (one, other) in zip((0, 8), expected):
        again = f(np.int64(k))  # not a Python int: with all checks
        assert len(again[0]) == (3 if k == 0 else 2)
        assert (again[0] == one).all() and (again[1] == other).all()
