"""Loops that update shared variables, draw random numbers, and end early."""

import numpy as np
import pytest
from loops import LINE, MODES, X, a, close, n, run, v, w, x

import graphc
import graphc.tensor as T
from graphc import scan, until


@pytest.fixture(autouse=True)
def float64():
    with graphc.config(floatX="float64"):
        yield


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
    found, _ = scan(lambda s, c: (s * 2, until(s * 2 > c)), None, a, T.exp(a) * 10, n)
    cases = ((1.0, 100, 5), (1.0, 3, 3), (50.0, 10, 10), (1.0, 0, 0), (3.0, 50, 7))
    for mode in MODES:
        f = graphc.function([a, n], [found, found.sum(), found.shape[0]], mode=mode)
        for start, most, count in cases:
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
