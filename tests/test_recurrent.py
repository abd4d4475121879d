"""Recurrent layers against loops in NumPy that are written from the formulas."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import nn, recurrent
from graphc.testing import check_grad

TIME, BATCH, INPUTS, UNITS = 5, 3, 4, 6


def s(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, states, p):
    return (np.tanh(x @ p["W"] + states[0] @ p["U"] + p["b"]),)


def lstm(x, states, p):
    h, c = states
    i, f, g, o = np.split(x @ p["W"] + h @ p["U"] + p["b"], 4, axis=1)
    pi, pf, po = p.get("P", np.zeros((3, 1)))
    new = s(f + pf * c) * c + s(i + pi * c) * np.tanh(g)
    return s(o + po * new) * np.tanh(new), new


def gru(x, states, p):
    (h,) = states
    (wr, wz, wn), (ur, uz, un) = np.split(p["W"], 3, axis=1), np.split(p["U"], 3, axis=1)
    br, bz, bn = np.split(p["b"], 3)
    r, z = s(x @ wr + h @ ur + br), s(x @ wz + h @ uz + bz)
    if "c" in p:
        n = np.tanh(x @ wn + bn + r * (h @ un + p["c"]))
    else:
        n = np.tanh(x @ wn + bn + (r * h) @ un)
    return (z * h + (1 - z) * n,)


# function, the layer that has its parameters, options of that, what a step means, how many states
LAYERS = {
    "rnn": (recurrent.rnn, nn.RNN, {}, rnn, 1),
    "lstm": (recurrent.lstm, nn.LSTM, {}, lstm, 2),
    "lstm with peepholes": (recurrent.lstm, nn.LSTM, {"peepholes": True}, lstm, 2),
    "gru": (recurrent.gru, nn.GRU, {}, gru, 1),
    "gru, reset after": (recurrent.gru, nn.GRU, {"reset_after": True}, gru, 1),
}
BOTH = pytest.mark.parametrize("mode", ["numpy", "native"])
ALL = pytest.mark.parametrize("kind", list(LAYERS))


def run(step, x, states, p, mask=None, go_backwards=False):
    """The states after each step, in the order of the rows of `x`."""
    found = [np.empty((len(x), *h.shape)) for h in states]
    rows = range(len(x))
    for t in reversed(rows) if go_backwards else rows:
        new = step(x[t], states, p)
        if mask is not None:
            new = [np.where(mask[t][:, None] != 0, a, b) for a, b in zip(new, states)]
        states = tuple(new)
        for k, h in enumerate(states):
            found[k][t] = h
    return found


def filled(parameters, random):
    """Parameters with random values in each of them, and these values."""
    for v in parameters.values():
        v.set_value(0.5 * random.standard_normal(v.get_value().shape))
    return {k: v.get_value() for k, v in parameters.items()}


def data(random):
    x = random.standard_normal((TIME, BATCH, INPUTS))
    lengths = np.array([TIME, 2, 0])
    return x, (np.arange(TIME)[:, None] < lengths).astype("float64")


def as_list(found):
    return list(found) if isinstance(found, tuple) else [found]


@BOTH
@ALL
def test_layers_do_what_their_formulas_say(kind, mode):
    layer, make, options, step, count = LAYERS[kind]
    random = np.random.RandomState(1)
    parameters = make(INPUTS, UNITS, **options).matrices
    p = filled(parameters, random)
    xv, mv = data(random)
    starts = [random.standard_normal((BATCH, UNITS)) for _ in range(count)]
    x, mask = T.dtensor3("x"), T.dmatrix("mask")
    initials = [T.dmatrix() for _ in range(count)]
    initial = tuple(initials) if count > 1 else initials[0]
    outputs = [
        *as_list(layer(x, parameters)),
        *as_list(layer(x, parameters, initial, mask)),
        *as_list(layer(x, parameters, initial, mask, go_backwards=True)),
    ]
    zero = tuple(np.zeros((BATCH, UNITS)) for _ in range(count))
    expected = [
        *run(step, xv, zero, p),
        *run(step, xv, tuple(starts), p, mv),
        *run(step, xv, tuple(starts), p, mv, go_backwards=True),
    ]
    found = graphc.function([x, mask, *initials], outputs, mode=mode)(xv, mv, *starts)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@ALL
def test_gradients(kind):
    layer, _, options, _, count = LAYERS[kind]
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[layer.__name__]
    random = np.random.RandomState(2)
    xv, mv = data(random)
    shapes = [(INPUTS, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,)]
    shapes += [(3, UNITS)] if "peepholes" in options else []
    shapes += [(UNITS,)] if "reset_after" in options else []
    names = "WUB".lower().replace("w", "W").replace("u", "U")
    extra = {"peepholes": "P", "reset_after": "c"}

    def loss(x, *rest):
        weights, starts = rest[: len(shapes)], rest[len(shapes) :]
        parameters = dict(zip([*names, *(extra[o] for o in options)], weights))
        initial = tuple(starts) if count > 1 else starts[0]
        found = as_list(layer(x, parameters, initial, T.constant(mv)))
        return T.concatenate([h.flatten() for h in found])

    weights = [0.5 * random.standard_normal(shape) for shape in shapes]
    starts = [random.standard_normal((BATCH, UNITS)) for _ in range(count)]
    check_grad(loss, [xv, *weights, *starts])


@BOTH
def test_the_state_stays_where_the_mask_is_zero(mode):
    random = np.random.RandomState(3)
    parameters = nn.LSTM(INPUTS, UNITS, seed=0).matrices
    filled(parameters, random)
    xv, mv = data(random)
    x, mask = T.dtensor3("x"), T.imatrix("mask")
    h, c = recurrent.lstm(x, parameters, mask=mask)
    g = graphc.grad(T.sum(T.sqr(h[-1])) + T.sum(c[-1]), x)
    f = graphc.function([x, mask], [h, c, g], mode=mode)
    hv, cv, gv = f(xv, mv.astype("int32"))
    for v in (hv, cv):
        assert (v[2:, 1] == v[1, 1]).all()  # the second sequence has two steps
        assert (v[:, 2] == 0).all()  # the third one none
    assert (gv[mv == 0] == 0).all() and (gv[mv == 1] != 0).all()
    other = np.where(mv[:, :, None] == 0, 1e6, xv)  # padding is not looked at
    assert all(np.array_equal(a, b) for a, b in zip(f(other, mv.astype("int32")), (hv, cv, gv)))
    # A sequence with padding ends where the same sequence without it does.
    short = f(xv[:2, 1:2], np.ones((2, 1), "int32"))[0]
    np.testing.assert_allclose(short[-1, 0], hv[-1, 1], rtol=1e-12)


@BOTH
def test_bidirectional_is_a_run_forwards_beside_one_over_reversed_sequences(mode):
    random = np.random.RandomState(4)
    forward, backward = (nn.LSTM(INPUTS, UNITS, seed=k).matrices for k in range(2))
    xv, mv = data(random)
    x, mask = T.dtensor3("x"), T.dmatrix("mask")
    both = recurrent.bidirectional(recurrent.lstm, x, forward, backward)
    left = recurrent.lstm(x, forward)[0]
    right = recurrent.lstm(x[::-1], backward)[0][::-1]
    padded = recurrent.bidirectional(recurrent.lstm, x, forward, backward, mask)
    f = graphc.function([x, mask], [both, T.concatenate([left, right], 2), padded], mode=mode)
    a, b, c = f(xv, mv)
    assert a.shape == (TIME, BATCH, 2 * UNITS)
    np.testing.assert_allclose(a, b, rtol=1e-12)
    alone = f(xv[:2, 1:2], mv[:2, 1:2])[0]  # the sequence of two steps without its padding
    np.testing.assert_allclose(c[:2, 1], alone[:, 0], rtol=1e-12)


@BOTH
def test_a_state_that_is_carried_on_makes_pieces_one_sequence(mode):
    random = np.random.RandomState(5)
    parameters = nn.LSTM(INPUTS, UNITS, seed=0).matrices
    xv = random.standard_normal((12, BATCH, INPUTS))
    x = T.dtensor3("x")
    whole = graphc.function([x], recurrent.lstm(x, parameters)[0], mode=mode)(xv)
    states = [recurrent.state(BATCH, UNITS, "float64", name) for name in ("h0", "c0")]
    found = recurrent.lstm(x, parameters, tuple(states))
    g = graphc.grad(T.sum(found[0][-1]), parameters["U"])
    f = graphc.function([x], [found[0], g], updates=recurrent.carry(states, found), mode=mode)
    pieces = [f(xv[k : k + 4]) for k in range(0, 12, 4)]
    np.testing.assert_allclose(np.concatenate([h for h, _ in pieces]), whole, rtol=1e-12)
    # Gradients end at the beginning of the piece: they are those of the piece on its own.
    start = pieces[1][0][-1]
    again = graphc.function([x], g, givens=dict(zip(states, [T.constant(start), states[1] * 1])),
                            mode=mode)  # fmt: skip
    for v in states[1:]:
        v.set_value(graphc.function([x], found[1][-1], givens={
            s: T.constant(np.zeros((BATCH, UNITS))) for s in states}, mode=mode)(xv[:8]))
    np.testing.assert_allclose(again(xv[8:]), pieces[2][1], rtol=1e-9)


def test_a_vector_is_the_initial_state_of_the_whole_batch_and_can_be_learned():
    parameters = nn.GRU(INPUTS, UNITS, seed=0).matrices
    xv, mv = data(np.random.RandomState(6))

    def final(x, start):
        return recurrent.gru(x, parameters, start)[-1]

    check_grad(final, [xv, np.linspace(-1, 1, UNITS)])


def test_mistakes_are_explained():
    x, p = T.tensor3("x"), nn.GRU(4, 3).matrices
    with pytest.raises(graphc.GraphError, match="three: time, batch and features"):
        recurrent.gru(T.matrix("x"), p)
    with pytest.raises(graphc.GraphError, match="nn.LSTM makes them"):
        recurrent.lstm(x, {"W": p["W"]})
    with pytest.raises(graphc.GraphError, match="has 5 features.*takes 4"):
        recurrent.gru(T.zeros((2, 3, 5)), p)
    with pytest.raises(graphc.GraphError, match="the mask .* has 3 axes"):
        recurrent.gru(x, p, mask=x)
    with pytest.raises(graphc.GraphError, match="the initial state .* has 3 axes"):
        recurrent.gru(x, p, x)
    with pytest.raises(graphc.GraphError, match="pass a pair"):
        recurrent.lstm(x, nn.LSTM(4, 3).matrices, [x])
    with pytest.raises(graphc.GraphError, match="unknown option 'maks'"):
        recurrent.gru(x, p, maks=x)
    with pytest.raises(graphc.GraphError, match="1 states and 2 sequences"):
        recurrent.carry([recurrent.state(2, 3)], [x, x])
