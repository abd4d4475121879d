"""What `scan` means: Theano's words, with NumPy and natively."""

import pickle

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import scan, until
from graphc.core.errors import BadIndexError, GraphError, ShapeError
from graphc.testing import check_grad

MODES = ("numpy", "native")
X = np.arange(12.0).reshape(6, 2) / 10
LINE = np.array([0.3, -0.2, 0.5, 0.1, -0.4, 0.25])


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


def run(outputs, given=(), updates=None):
    """The values with NumPy, after comparing what is native with them."""
    given = dict(given)
    shared = list(updates or {})
    before = [s.get_value() for s in shared]
    found = {}
    for mode in MODES:
        for s, value in zip(shared, before):
            s.set_value(value)
        f = graphc.function(list(given), outputs, updates=updates, mode=mode)
        made = f(*given.values())
        found[mode] = made if isinstance(made, list) else [made]
    for a, b in zip(*found.values(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
    return found["numpy"] if isinstance(outputs, list) else found["numpy"][0]


def close(found, expected):
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


x, v, w = T.dmatrix("x"), T.dvector("v"), T.dvector("w")
a, n = T.dscalar("a"), T.lscalar("n")


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
    found = [scan(lambda row, s: s + row, x, s0)[0]
             for s0 in (start, LINE[:2], T.zeros((2,)), T.alloc(0.0, x.shape[1]), x[0], v * 2)]  # fmt: skip
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


# Updates ------------------------------------------------------------------------------------------

FORMS = {
    "a dict": lambda s, b: {s: s + b},
    "a list of pairs": lambda s, b: [(s, s + b)],
    "a tuple of pairs": lambda s, b: ((s, s + b),),
    "items": lambda s, b: list({s: s + b}.items()),
    "outputs and a dict": lambda s, b: (b * s, {s: s + b}),
    "outputs and a dict in a list": lambda s, b: [b * s, {s: s + b}],
    "outputs and pairs": lambda s, b: (b * s, [(s, s + b)]),
    "outputs and pairs in a list": lambda s, b: [b * s, [(s, s + b)]],
    "a list of outputs and a dict": lambda s, b: ([b * s, b], {s: s + b}),
    "a list of outputs and pairs": lambda s, b: ([b * s, b], [(s, s + b)]),
    "a dict and outputs": lambda s, b: ({s: s + b}, [b * s]),
    "outputs, a dict, a condition": lambda s, b: ([b * s], {s: s + b}, until(s > 1e9)),
    "a dict and a condition": lambda s, b: ({s: s + b}, until(s > 1e9)),
    "pairs and a condition": lambda s, b: ([(s, s + b)], until(s > 1e9)),
}


@pytest.mark.parametrize("form", FORMS)
def test_updates_in_every_form(form):
    s = graphc.shared(1.0, name="s")
    found, updates = scan(lambda b: FORMS[form](s, b), v)
    assert list(updates) == [s]
    outputs = [] if found is None else found if isinstance(found, list) else [found]
    f = graphc.function([v], outputs, updates=updates, mode="numpy")
    earlier = 1 + np.cumsum(LINE) - LINE
    made = f(LINE)
    for value, expected in zip(made, (LINE * earlier, LINE)):
        close(value, expected)
    close(s.get_value(), earlier[-1] + LINE[-1])


def test_updated_variables_go_from_step_to_step_and_from_call_to_call():
    s = graphc.shared(1.0, name="s")
    m = graphc.shared(np.ones(2), name="m")

    def step(row, p):
        return p + s * row, {s: s * 0.5 + row[0], m: m + T.dot(row, p)}

    found, updates = scan(step, x, v)
    outside = s * 2  # the value before the loop
    functions = {}
    for mode in MODES:
        s.set_value(1.0)
        m.set_value(np.ones(2))
        f = graphc.function([x, v], [found, outside], updates=updates, mode=mode)
        functions[mode] = [*f(X, LINE[:2]), *f(X, LINE[:2]), s.get_value(), m.get_value()]
    for p, q in zip(*functions.values()):
        close(p, q)
    si, mi, expected = 1.0, np.ones(2), []
    for _ in range(2):
        p, rows, start = LINE[:2], [], si
        for row in X:
            mi = mi + row @ p
            p, si = p + si * row, si * 0.5 + row[0]
            rows.append(p)
        expected += [rows, start * 2]
    for got, value in zip(functions["native"], [*expected, si, mi]):
        close(got, value)


def test_updates_can_be_joined_with_others():
    s, t = graphc.shared(1.0, name="s"), graphc.shared(0.0, name="t")
    _, updates = scan(lambda b: {s: s + b}, v)
    for joined in ([(t, t + 1), *updates.items()], updates + {t: t + 1}, [(t, t + 1)] + updates,
                   {t: t + 1} | updates):  # fmt: skip
        s.set_value(1.0)
        t.set_value(0.0)
        graphc.function([v], [], updates=joined, mode="numpy")(LINE)
        close(s.get_value(), 1 + LINE.sum())
        close(t.get_value(), 1.0)


def test_a_shared_variable_may_be_updated_in_a_loop_and_read_after_it():
    s = graphc.shared(np.zeros(2), name="s")
    _, updates = scan(lambda row: {s: s + row}, x)
    after = updates[s] * 10
    close(run(after, {x: X}, updates), X.sum(0) * 10)
    close(s.get_value(), X.sum(0))


# Random draws -------------------------------------------------------------------------------------


def draws(build, calls=2):
    """The results of calls of a function of random streams, the same in both modes."""
    found = []
    for mode in MODES:
        outputs, updates = build(graphc.random.RandomStreams(7))
        f = graphc.function([], outputs, updates=updates, mode=mode)
        found.append([f() for _ in range(calls)])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    return np.array(found[0])


def test_draws_differ_from_step_to_step_and_from_call_to_call():
    made = draws(lambda r: scan(lambda: r.normal((3,)), n_steps=5))
    assert made.shape == (2, 5, 3)
    assert len(np.unique(made)) == made.size


def test_draws_beside_states_and_outside_of_the_loop():
    def build(r):
        outside = r.uniform((3,))
        inside, updates = scan(lambda s: s + r.uniform((3,)), outputs_info=T.zeros((3,)), n_steps=4)
        return T.concatenate([inside, outside[None]]), updates

    made = draws(build)
    steps = np.diff(made[:, :4], axis=1, prepend=0)
    everything = np.concatenate([steps.ravel(), made[:, 4].ravel()]).round(12)
    assert len(np.unique(everything)) == everything.size
    assert ((everything > 0) & (everything < 1)).all()


def test_draws_in_a_loop_in_a_loop():
    def build(r):
        def outer():
            inner, updates = scan(lambda: r.normal(()), n_steps=3)
            return inner, updates

        return scan(outer, n_steps=4)

    made = draws(build)
    assert made.shape == (2, 4, 3)
    assert len(np.unique(made)) == made.size


def test_draws_of_a_loop_in_a_loop_advance_even_where_its_updates_are_dropped():
    made = draws(lambda r: scan(lambda: scan(lambda: r.normal(()), n_steps=3)[0], n_steps=4))
    assert len(np.unique(made[0])) == made[0].size


def test_no_step_leaves_the_stream_where_it_is():
    r = graphc.random.RandomStreams(3)
    found, updates = scan(lambda: r.normal((2,)), n_steps=n)
    for mode in MODES:
        r.seed(5)
        f = graphc.function([n], found, updates=updates, mode=mode)
        rows = f(4)
        r.seed(5)
        assert f(0).shape == (0, 2)
        np.testing.assert_allclose(f(4), rows, rtol=1e-12)


def test_gradients_pass_draws_with_the_same_numbers():
    def build(r):
        x0 = graphc.shared(np.array([0.2, -0.3]), name="x0")
        found, updates = scan(lambda s: T.tanh(s) * r.uniform((2,)), outputs_info=x0, n_steps=3)
        return T.concatenate([found.flatten(), T.grad(found[-1].sum(), x0)]), updates

    made = draws(build)
    for row in made:
        states = np.concatenate([[[0.2, -0.3]], row[:6].reshape(3, 2)])
        u = states[1:] / np.tanh(states[:-1])
        close(row[6:], np.prod(u * (1 - np.tanh(states[:-1]) ** 2), axis=0))


# until --------------------------------------------------------------------------------------------


def test_until_ends_after_the_step_in_which_it_is_true():
    found, _ = scan(lambda s, c: (s * 2, until(s * 2 > c)), outputs_info=a, non_sequences=[T.exp(a) * 10],
                    n_steps=n)  # fmt: skip
    for mode in MODES:
        f = graphc.function([a, n], [found, found.sum(), found.shape[0]], mode=mode)
        for start, most, count in ((1.0, 100, 5), (1.0, 3, 3), (50.0, 10, 10), (1.0, 0, 0), (3.0, 50, 7)):
            rows, total, length = f(start, most)
            expected = start * 2.0 ** np.arange(1, count + 1)
            close(rows, expected)
            close(total, expected.sum())
            assert length == count


def test_until_with_sequences_taps_and_several_outputs():
    def step(b, p, q):
        return [p + q * b, b], until(T.abs(b) > 0.45)

    found, _ = scan(step, v, [dict(initial=w, taps=[-1, -2]), None])
    p, q = run(found, {v: LINE, w: LINE[:2]})
    s = list(LINE[:2])
    for b in LINE[:3]:
        s.append(s[-1] + s[-2] * b)
    close(p, s[2:])
    close(q, LINE[:3])


def test_gradients_of_a_loop_that_ends_early():
    found, _ = scan(lambda b, s: (s * T.sin(b) + 1, until(b > 0.45)), v, a)
    slopes = T.grad(found.sum() + found[-1] ** 2, [v, a])
    same, _ = scan(lambda b, s: s * T.sin(b) + 1, v[:3], a)
    expected = T.grad(same.sum() + same[-1] ** 2, [v, a])
    p, q, r, s = run([*slopes, *expected], {v: LINE, a: 0.7})
    close(p, r)
    close(q, s)


def test_until_with_updates():
    s = graphc.shared(1.0, name="s")
    _, updates = scan(lambda b: ([b], {s: s + b}, until(b > 0.45)), v)
    for mode in MODES:
        s.set_value(1.0)
        graphc.function([v], [], updates=updates, mode=mode)(LINE)
        close(s.get_value(), 1 + LINE[:3].sum())


def test_the_same_until_inside_a_loop():
    def outer(limit):
        inner = scan(lambda s: (s * 2, until(s * 2 > limit)), outputs_info=1.0, n_steps=20)[0]
        return inner[-1]

    found = scan(outer, v)[0]
    values = np.array([3.0, 100.0, 7.5, 2.0])
    close(run(found, {v: values}), 2.0 ** np.ceil(np.log2(values + 1e-9)))


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
        return T.sort(T.concatenate([row, s]))[:2] + cumulated(row), T.nlinalg.matrix_inverse(m + s[0]).sum()

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


MATRIX = np.array([[0.4, -0.3], [0.2, 0.7]])


@pytest.mark.parametrize("taps", [False, True], ids=["one tap", "two taps"])
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}], ids=["forwards", "backwards"])
def test_first_and_second_derivatives(taps, options):
    def build(xs, s0, m):
        states, sums = recurrent(xs, s0, m, taps, **options)
        return (states[-1] ** 2).sum() + T.sin(sums).sum() + states[2, 0]

    check_grad(build, [X, X[:2] + 0.1, MATRIX], order=2, mode="numpy")
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
    expected = run(T.grad((last * weights[cut:]).sum(), [x, s0, m]), {x: X[cut:], s0: before, m: MATRIX})
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
