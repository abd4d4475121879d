"""What becomes of loops: what is taken out of them, what they keep, and what their plans are."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import scan, until
from graphc.core.graph import toposort
from graphc.ops.scan import is_scan
from graphc.runtime.compile import loaded

R = np.random.default_rng(0)
ROWS, WIDTH, STEPS = 16, 32, 40


def array(*shape):
    return (R.standard_normal(shape) * 0.2).astype("float32")


def routines(function):
    return [step.routine for step in function.plan.steps]


def bodies(function):
    """Of each loop step of a plan, the routines of its body."""
    loops = [step.extra[0] for step in function.plan.steps if step.routine == "loop"]
    return [[s.routine for s in plan.body.steps] for plan in loops]


def loops(function):
    """The loops of the optimised graph, each once."""
    found = [v for v in toposort(function.program.graph.roots) if is_scan(v)]
    return list(dict.fromkeys(v.attrs["loop"] for v in found))


def same_as_numpy(inputs, outputs, arrays, tolerance=1e-4):
    """A native function, after a call whose results are those of the interpreter."""
    f = graphc.function(inputs, outputs)
    expected = graphc.function(inputs, outputs, mode="numpy")(*arrays)
    for a, b in zip(f(*arrays), expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, tolerance, tolerance * max(1, np.abs(b).max(initial=0)))
    return f


x, h0 = T.ftensor3("x"), T.fmatrix("h0")
W, U, b = T.fmatrix("W"), T.fmatrix("U"), T.fvector("b")
ARRAYS = [array(STEPS, ROWS, WIDTH), array(ROWS, WIDTH), array(WIDTH, WIDTH), array(WIDTH, WIDTH),
          array(WIDTH)]  # fmt: skip


def recurrent():
    """The states of a simple recurrent layer."""
    step = lambda row, h, W, U, b: T.tanh(T.dot(row, W) + T.dot(h, U) + b)  # noqa: E731
    return scan(step, x, h0, [W, U, b])[0]


def test_the_product_of_a_sequence_is_one_product_before_the_loop():
    f = same_as_numpy([x, h0, W, U, b], [recurrent()], ARRAYS)
    assert routines(f).count("gemm") == 1
    assert [body.count("gemm") for body in bodies(f)] == [1]  # that of the state
    gated = scan(lambda row, h, W: T.tanh(T.dot(row, W)) * h + row, x, h0, W)[0]
    g = same_as_numpy([x, h0, W], [gated], ARRAYS[:3])
    assert routines(g).count("gemm") == 1
    assert [body.count("gemm") for body in bodies(g)] == [0]


def test_gradients_of_weights_are_one_product_behind_the_backward_loop():
    states = recurrent()
    slopes = T.grad((states**2).sum(), [W, U, b, h0, x])
    f = same_as_numpy([x, h0, W, U, b], slopes, ARRAYS)
    assert [body.count("gemm") for body in bodies(f)] == [1, 1]  # h U, and adjoint U'
    # x W before; x' d, h' d behind, and d W' for the sequence
    assert routines(f).count("gemm") == 4
    assert "host" not in routines(f)


def test_what_is_the_same_in_every_step_is_computed_once():
    c = T.fvector("c")
    found = scan(lambda row, s, c: s * T.exp(c) + row * T.sin(c).sum(), b[:, None] + c, c, c)[0]
    f = same_as_numpy([b, c], [found], [array(5), array(7)])
    (loop,) = loops(f)
    names = {v.op.name for v in toposort(loop.results) if v.op is not None}
    assert not names & {"exp", "sin", "sum"}


def test_what_needs_no_earlier_step_needs_no_loop():
    found = scan(lambda row, c: T.tanh(row) * c + row.sum(), x, None, b)[0]
    f = same_as_numpy([x, b], [found, T.grad(found.sum(), b)], [ARRAYS[0], ARRAYS[4]])
    assert "loop" not in routines(f)


def test_outputs_that_need_only_states_are_computed_behind_the_loop():
    def step(row, h, W, U):
        new = T.tanh(row + T.dot(h, U))
        return [new, T.dot(new, W)]

    states, outputs = scan(step, x, [h0, None], [W, U])[0]
    f = same_as_numpy([x, h0, W, U], [states, outputs], ARRAYS[:4])
    assert [body.count("gemm") for body in bodies(f)] == [1]
    assert routines(f).count("gemm") == 1


@pytest.mark.parametrize("steps", [50, 1000])
def test_a_last_state_that_alone_is_wanted_is_all_that_is_kept(steps):
    row = ROWS * WIDTH * 4
    step = lambda h, U: T.tanh(T.dot(h, U))  # noqa: E731
    f = graphc.function([h0, U], scan(step, None, h0, U, n_steps=steps)[0][-1])
    g = graphc.function([h0, U], scan(step, None, h0, U, n_steps=steps)[0][-1], mode="numpy")
    np.testing.assert_allclose(f(*ARRAYS[1:3]), g(*ARRAYS[1:3]), 1e-3, 1e-5)
    assert f.plan.arena_bytes <= 4 * row


def test_a_gradient_keeps_each_state_once():
    """Theory: T states, and T adjoints for the product behind the loop."""
    row = ROWS * WIDTH * 4
    states = scan(lambda h, U: T.tanh(T.dot(h, U)), None, h0, U, n_steps=100)[0]
    f = graphc.function([h0, U], T.grad((states[-1] ** 2).sum(), U))
    f(*ARRAYS[1:3])
    assert f.plan.arena_bytes <= 2 * 100 * row + 12 * row


def test_equal_loops_are_one():
    first, second = recurrent(), recurrent()
    f = same_as_numpy([x, h0, W, U, b], [first[-1], (second**2).sum(), first.sum()], ARRAYS)
    assert len(bodies(f)) == 1 and len(loops(f)) == 1
    other = scan(lambda row, h, W, U, b: T.tanh(T.dot(row, W) + T.dot(h, U) - b), x, h0, [W, U, b])
    g = graphc.function([x, h0, W, U, b], [first[-1], other[0][-1]], mode="numpy")
    assert len(loops(g)) == 2


def test_forward_states_for_a_cost_and_its_gradient_are_made_once():
    states = recurrent()
    cost = (states**2).sum()
    f = same_as_numpy([x, h0, W, U, b], [cost, *T.grad(cost, [W, U])], ARRAYS)
    assert len(bodies(f)) == 2


def test_states_and_outputs_that_nobody_wants_go_away():
    def step(row, h, dead, chained, W, U):
        new = T.tanh(row + T.dot(h, U))
        return [new, T.dot(dead, W) + row, chained + dead, T.dot(row, W).sum()]

    found = scan(step, x, [h0, h0, h0, None], [W, U])[0]
    f = same_as_numpy([x, h0, U, W], [found[0], W], [*ARRAYS[:2], *ARRAYS[3:1:-1]])
    (loop,) = loops(f)
    assert len(loop.states) == 1
    assert [body.count("gemm") for body in bodies(f)] == [1] and "gemm" not in routines(f)
    g = graphc.function([x, h0, W, U], [found[2]], on_unused_input="ignore")
    g(*ARRAYS[:4])
    (loop,) = loops(g)
    assert len(loop.states) == 2  # the one that it is made of, too


def test_a_state_further_back_that_only_another_state_reads():
    def step(p, q):
        return [T.tanh(p + q), q * 0.5 + p]

    found = scan(step, None, [dict(initial=h0, taps=[-2]), h0[0]], n_steps=7)[0]
    f = same_as_numpy([h0], [found[1][-1]], [array(2, 5)])
    assert len(bodies(f)) == 1


def gradient(steps):
    states = scan(lambda row, h, U: T.tanh(row + T.dot(h, U)), x, h0, U)[0]
    f = graphc.function([x, h0, U], T.grad((states**2).sum(), [U, h0]))
    f(array(steps, ROWS, WIDTH), *ARRAYS[1:3])
    return f


def test_the_plan_of_a_gradient_does_not_grow_with_the_number_of_steps():
    short, long = gradient(20), gradient(700)
    assert routines(short) == routines(long) and bodies(short) == bodies(long)
    before = len(loaded())
    short(array(300, ROWS, WIDTH), *ARRAYS[1:3])
    assert len(loaded()) == before


def test_second_derivatives_do_not_grow_with_the_number_of_steps_either():
    counts = []
    for steps in (3, 60):
        s = T.dvector("s")
        found = scan(lambda s: T.sin(s) * 1.1, outputs_info=s, n_steps=steps)[0]
        slope = T.grad((found**2).sum(), s)
        f = graphc.function([s], T.grad((slope**2).sum(), s), mode="numpy")
        counts.append(len(toposort(f.program.graph.roots)))
    assert counts[0] == counts[1]


def test_loops_with_random_draws_conditions_and_inner_loops_are_native():
    r = graphc.random.RandomStreams(1)
    s = T.fscalar("s")
    drawn, updates = scan(lambda h: h * 0.9 + r.normal(h.shape, dtype="float32"),
                          outputs_info=h0, n_steps=5)  # fmt: skip
    ended = scan(lambda v: (v * 2, until(v > 50)), outputs_info=s, n_steps=100)[0]
    inner = scan(lambda row, h: scan(lambda e, u: T.tanh(e + u), row, h)[0][-1], x, h0[0])[0]
    for inputs, output, arrays, more in (
        ([h0], drawn, [ARRAYS[1]], updates), ([s], ended, [np.float32(1)], None),
        ([x, h0], inner, ARRAYS[:2], None),
    ):  # fmt: skip
        f = graphc.function(inputs, output, updates=more)
        f(*arrays)
        found = routines(f)
        for plan in [p.extra[0] for p in f.plan.steps if p.routine == "loop"]:
            found += [t.routine for t in plan.body.steps]
        assert "loop" in found and "host" not in found


def test_a_body_with_a_step_of_the_host_has_one_only():
    def step(row, h):
        return T.sort(T.tanh(row + h), axis=-1)

    f = same_as_numpy([x, h0], [scan(step, x, h0)[0]], ARRAYS[:2])
    assert [body.count("host") for body in bodies(f)] == [1]
    assert "host" not in routines(f)


def test_a_second_call_with_the_same_sizes_binds_nothing():
    f = graphc.function([x, h0, W, U, b], recurrent()[-1])
    f(*ARRAYS)
    spent = f.program.binding_seconds
    f(*ARRAYS)
    assert f.program.binding_seconds == spent


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_the_last_row_of_no_step_is_an_error(mode):
    n = T.lscalar("n")
    f = graphc.function([h0, n], scan(T.tanh, None, h0, n_steps=n)[0][-1], mode=mode)
    value = array(2, 3)
    np.testing.assert_allclose(f(value, 1), np.tanh(value), 1e-5)
    np.testing.assert_allclose(f(value, 9), f(f(value, 4), 5), 1e-5)
    with pytest.raises(graphc.GraphError, match="index -1|axis of size 0|size 0"):
        f(value, 0)
    np.testing.assert_allclose(f(value, 1), np.tanh(value), 1e-5)
