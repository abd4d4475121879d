"""Recurrent layers: PyTorch's figures, ragged sequences, states, dropout, what they list."""

import json

import numpy as np
import pytest
import torch_figures
from test_recurrent import LAYERS, filled, run

import graphc
import graphc.tensor as T
from graphc import initial, nn
from graphc.testing import check_grad

BATCH, TIME, INPUTS, UNITS = 3, 5, 4, 6
BOTH = pytest.mark.parametrize("mode", ["numpy", "native"])
ALL = pytest.mark.parametrize("kind", list(LAYERS))
LENGTHS = np.array([TIME, 2, 0])
THERE = np.arange(TIME) < LENGTHS[:, None]


def values(*outputs, inputs=(), given=(), mode="numpy"):
    found = graphc.function(list(inputs), list(outputs), mode=mode)(*given)
    return found if len(found) > 1 else found[0]


def sequences(seed=0, *shape):
    return np.random.RandomState(seed).standard_normal(shape or (BATCH, TIME, INPUTS))


def made(kind, **options):
    """A layer with random numbers in all parameters, and what its formula needs."""
    _, layer, more, step, count = LAYERS[kind]
    found = layer(INPUTS, UNITS, initial=True, **more, **options)
    p = filled(found.matrices, np.random.RandomState(1))
    starts = [np.linspace(-1, 1, UNITS) + k for k in range(count)]
    for v, start in zip(found.initial, starts):
        v.set_value(start)
    return found, p, step, starts


# --- what they give -------------------------------------------------------------------


@BOTH
@ALL
def test_layers_read_ragged_sequences_as_their_formulas_say(kind, mode):
    layer, p, step, starts = made(kind)
    back, _, _, _ = made(kind, backwards=True)
    short, turned = made(kind, last=True)[0], made(kind, last=True, backwards=True)[0]
    xv = sequences()
    x, lengths, mask = T.dtensor3("x"), T.lvector("lengths"), T.dmatrix("mask")
    other = [np.ones((BATCH, UNITS)) * k for k in range(len(starts))]
    given = tuple(T.constant(v) for v in other) if len(other) > 1 else T.constant(other[0])
    outputs = [
        *layer.states(x, lengths=lengths), layer(x, mask=mask, initial=given), layer(x),
        back(x, mask=mask), short(x, lengths=lengths), turned(x, mask=mask),
    ]  # fmt: skip
    found = values(*outputs, inputs=[x, lengths, mask], given=[xv, LENGTHS, THERE * 2.0], mode=mode)
    rows, m = xv.transpose(1, 0, 2), THERE.T
    start = tuple(np.tile(v, (BATCH, 1)) for v in starts)
    ragged, whole = run(step, rows, start, p, m), run(step, rows, start, p)
    turned_rows = run(step, rows, start, p, m, go_backwards=True)[0]
    given_rows = run(step, rows, tuple(other), p, m)[0]
    expected = [v.transpose(1, 0, 2) for v in (*ragged, given_rows, whole[0], turned_rows)]
    expected += [ragged[0][-1], turned_rows[0]]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", list(torch_figures.RECURRENT))
def test_both_directions_are_those_of_pytorch(kind):
    ours, settings, _, gates = torch_figures.RECURRENT[kind]
    size = torch_figures.INPUTS, torch_figures.UNITS
    layers = {}
    for last in (False, True):
        pair = []
        for way in range(2):
            layer = getattr(nn, ours)(*size, backwards=bool(way), last=last, **settings)
            numbers = torch_figures.recurrent_values(gates, way)
            for variable, v in zip(layer.parameters, numbers, strict=True):
                variable.set_value(v)
            pair.append(layer)
        layers[last] = nn.Bidirectional(*pair)
    x = T.constant(torch_figures.SEQUENCES)
    there = np.arange(5) < np.array(torch_figures.LENGTHS)[:, None]
    outputs = layers[False](x, lengths=np.array(torch_figures.LENGTHS)) * there[:, :, None]
    last = layers[True](x, mask=there)
    found = values(outputs, last, T.grad(T.sum(outputs**2), x))
    figures = json.loads(torch_figures.FIGURES.read_text("utf-8"))["recurrent"][kind]
    for a, b in zip(found, figures, strict=True):
        np.testing.assert_allclose(a.ravel(), b, rtol=1e-9, atol=1e-12)


@ALL
def test_gradients_reach_all_parameters(kind):
    layer, _, _, _ = made(kind, last=True)
    variables = layer.parameters
    point = [v.get_value() for v in variables]

    def final(x, *parameters):
        y = layer(x, lengths=np.array([TIME, 2, 1]))
        return graphc.clone(y, replace=dict(zip(variables, parameters)))

    check_grad(final, [sequences(), *point])


@ALL
def test_steps_in_a_loop_of_one_s_own_are_the_layer(kind):
    layer, _, _, _ = made(kind)
    x = T.dtensor3("x")

    def body(row, *states):
        return list(layer.step(row, *states))

    rows, _ = graphc.scan(body, x.dimshuffle(1, 0, 2), list(layer.first(x.shape[0])),
                          return_list=True)  # fmt: skip
    a, b = values(rows[0].dimshuffle(1, 0, 2), layer(x), inputs=[x], given=[sequences()])
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_stacks_pass_on_where_sequences_end():
    model = nn.Sequential(
        nn.Embedding(7, INPUTS, seed=0),
        nn.Bidirectional(nn.LSTM(INPUTS, 3, seed=1), nn.LSTM(INPUTS, 3, backwards=True, seed=2)),
        nn.Dropout(0.5, seed=3), nn.Residual(nn.GRU(6, 6, seed=4)),
        nn.Parallel(nn.RNN(6, 2, last=True, seed=5), nn.RNN(6, 2, last=True, seed=6)),
        nn.Dense(4, 2, seed=7),
    )  # fmt: skip
    x = np.random.RandomState(0).randint(0, 7, (BATCH, TIME)).astype("int32")
    changed = np.where(THERE, x, 6 - x)  # what is behind the end doesn't count
    a, b, short, whole = values(
        model(x, lengths=LENGTHS), model(changed, mask=THERE), model(x[1:2, :2]), model(x)
    )
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a[1], short[0], rtol=1e-12)
    assert not np.allclose(a[1], whole[1])


def test_sequences_and_states_of_other_dtypes_are_promoted():
    x = sequences()
    for initial_ in (False, 0.5):
        layer = nn.LSTM(INPUTS, UNITS, dtype="float32", initial=initial_, seed=0)
        states = (np.zeros(UNITS), np.zeros((BATCH, UNITS), "float32"))
        made = [layer(x), layer(x.astype("float32")), layer(x.astype("int32")),
                layer(x.astype("float32"), initial=states)]  # fmt: skip
        assert [v.dtype for v in values(*made)] == ["float64", "float32", "float32", "float64"]


# --- states that live on, dropout -----------------------------------------------------


@BOTH
def test_pieces_with_carried_states_are_one_sequence(mode):
    layer = nn.LSTM(INPUTS, UNITS, seed=0)
    xv = sequences(0, BATCH, 12, INPUTS)
    x, states = T.dtensor3("x"), layer.shared_states(BATCH)
    y = layer(x, initial=states, carry=True)
    loss = T.sum(y[:, -1])
    slope = T.grad(loss, layer.recurrent)
    f = graphc.function([x], [y, slope], updates=nn.updates(loss), mode=mode)
    pieces = [f(xv[:, k : k + 4]) for k in range(0, 12, 4)]
    whole = values(layer(xv), mode=mode)
    np.testing.assert_allclose(np.concatenate([v for v, _ in pieces], 1), whole, rtol=1e-10)
    assert list(layer.named()) == ["weights", "recurrent", "bias"]  # states belong to the reader
    for s in states:
        s.set_value(np.zeros((BATCH, UNITS)))
    again = f(xv[:, :4])
    np.testing.assert_array_equal(again[1], pieces[0][1])
    assert not np.allclose(pieces[1][1], pieces[0][1])


def test_recurrent_dropout_is_one_draw_for_all_steps():
    layer = nn.RNN(1, 400, lambda z: z, init=0.0, recurrent_init=initial.identity, initial=1.0,
                   recurrent_dropout=0.25, seed=1)  # fmt: skip
    x = np.zeros((2, 3, 1))
    used, drawn = layer(x), layer(x, train=True)
    a, b, c = values(used, drawn, layer.kept(2))
    assert (a == 1).all()
    kept = b[:, 0] > 0
    assert 0.65 < kept.mean() < 0.85 and (kept[0] != kept[1]).any()
    for t in range(3):  # what is kept is scaled in each step
        np.testing.assert_allclose(b[:, t], np.where(kept, (4 / 3) ** (t + 1), 0), rtol=1e-12)
    assert set(np.unique(c).round(9)) == {0, round(4 / 3, 9)}
    assert "random_state" in layer.named() and layer.parameters[-1] is layer.initial[0]


@ALL
def test_recurrent_dropout_thins_the_recurrent_product_only(kind):
    layer, p, step, starts = made(kind, recurrent_dropout=0.5, seed=2)
    x = sequences()[:, :1]
    kept = layer.kept(BATCH)
    new = layer.step(x[:, 0], *layer.first(BATCH), kept=kept)
    factor, *found = values(kept, *new)
    # A draw is U with the rows of what is dropped left out, for each sequence.
    for n in range(BATCH):
        thinned = {**p, "U": factor[n][:, None] * p["U"]}
        expected = step(x[n : n + 1, 0], tuple(v[None] for v in starts), thinned)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a[n], b[0], rtol=1e-10)


def test_draws_of_ragged_sequences_are_averaged():
    layer = nn.RNN(INPUTS, 8, lambda z: z, last=True, recurrent_dropout=0.5, seed=0)
    x, lengths = sequences(), np.array([2, 1, 0])  # a draw enters linearly: the mean is unbiased
    mean, variance = nn.monte_carlo(layer, x, 4000, lengths=lengths)
    a, b, c = values(mean, variance, layer(x, lengths=lengths))
    np.testing.assert_allclose(a, c, atol=0.15)
    # The first step starts from zeros, which have nothing to leave out.
    assert (b[0] > 0.1).all() and (b[1:] < 1e-20).all()


# --- parameters -----------------------------------------------------------------------


def test_parameters_have_names_first_values_and_a_seed(tmp_path):
    layer = nn.LSTM(4, 3, peepholes=True, initial=True, seed=0, dtype="float32", name="top")
    assert {k: v.get_value().shape for k, v in layer.named().items()} == {
        "weights": (4, 12), "recurrent": (3, 12), "bias": (12,), "initial_h": (3,),
        "initial_c": (3,), "peepholes": (3, 3),
    }  # fmt: skip
    assert {v.dtype for v in layer.parameters} == {"float32"}
    assert layer.weights.name == "top.weights"
    assert layer.bias.get_value().tolist() == [0] * 3 + [1] * 3 + [0] * 6
    W, U = layer.weights.get_value(), layer.recurrent.get_value()
    gates = np.split(U, 4, axis=1)
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(3), atol=1e-6)
    assert not np.allclose(gates[0], gates[1])
    assert np.abs(W).max() <= (6 / 7) ** 0.5  # the width of one gate, (4, 3)
    same, other = (nn.LSTM(4, 3, seed=k, dtype="float32") for k in (0, 1))
    assert (same.weights.get_value() == W).all() and (other.weights.get_value() != W).any()
    random = np.random.default_rng(0)
    one, two = nn.GRU(2, 2, seed=random), nn.GRU(2, 2, seed=random)
    assert (one.weights.get_value() != two.weights.get_value()).all()
    layer.load(nn.LSTM(4, 3, peepholes=True, initial=2.0, seed=1, dtype="float32").save(
        tmp_path / "values.npz"))  # fmt: skip
    assert (layer.weights.get_value() == other.weights.get_value()).all()
    assert (layer.initial[1].get_value() == 2).all()
    layer.freeze()
    assert layer.parameters == [] and layer.count == 48 + 36 + 12 + 6 + 9


def test_no_bias_and_tied_weights():
    first = nn.GRU(2, 2, bias=False, seed=0)
    second = nn.GRU(2, 2, bias=False, weights=first.weights, recurrent=first.recurrent)
    model = nn.Sequential(first, second)
    assert list(model.named()) == ["0.weights", "0.recurrent"]
    x = sequences(0, 1, 3, 2)
    a, b = values(model(x), second(first(x)))
    np.testing.assert_array_equal(a, b)


def test_summaries_count_products_in_every_step():
    model = nn.Sequential(
        nn.Embedding(9, 4), nn.LSTM(4, 3),
        nn.Bidirectional(nn.GRU(3, 2), nn.GRU(3, 2, backwards=True)), nn.RNN(4, 5, last=True),
    )  # fmt: skip
    rows = model.summary((7,), dtype="int32").rows
    assert [(r.name, r.output, r.multiply_adds) for r in rows] == [
        ("0 embedding", (7, 4), 0), ("1 lstm", (7, 3), 7 * (4 * 12 + 3 * 12)),
        ("2.forward gru", (7, 2), 7 * (3 * 6 + 2 * 6)),
        ("2.backward gru", (7, 2), 7 * (3 * 6 + 2 * 6)), ("3 rnn", (5,), 7 * (4 * 5 + 5 * 5)),
    ]  # fmt: skip
    assert {r.field for r in rows[1:]} == {"all"}


# --- mistakes -------------------------------------------------------------------------

layer, pair = nn.GRU(4, 3), nn.LSTM(4, 3)
X = np.zeros((2, 5, 4))
MISTAKES = {
    "has 2 axes, not 3": lambda: layer(X[0]),
    "has 5 features, and the layer is for 4": lambda: layer(np.zeros((2, 4, 5))),
    "mask or lengths, not both": lambda: layer(X, mask=X[:, :, 0], lengths=np.array([1, 2])),
    r"the mask .* is not \(batch, time\)": lambda: layer(X, mask=np.ones((5, 2))),
    r"lengths=.* are not \(batch,\) integers": lambda: layer(X, lengths=np.array([1.0, 2.0])),
    "2 initial states, and GRU has 1: h": lambda: layer(X, initial=(1.0, 2.0)),
    "1 initial states, and LSTM has 2: h, c": lambda: pair(X, initial=np.zeros(3)),
    "is not for 3 units": lambda: layer(X, initial=np.zeros((2, 4))),
    "1 states of a step, and LSTM has 2": lambda: pair.step(X[:, 0], np.zeros((2, 3))),
    "carry=True needs a layer that reads forwards": lambda: nn.GRU(4, 3, initial=True)(
        X, carry=True  # what is learnt is not carried on
    ),
    "shared variables as initial=": lambda: layer(X, initial=np.zeros(3), carry=True),
    "takes a recurrent layer that reads forwards": lambda: nn.Bidirectional(layer, nn.GRU(4, 3)),
    "both with the same last=": lambda: nn.Bidirectional(
        layer, nn.GRU(4, 3, backwards=True, last=True)
    ),
    "asked for one gate's": lambda: nn.GRU(4, 3, init=lambda shape, seed: np.zeros(2)),
    "recurrent_dropout=1.0 is no probability": lambda: nn.GRU(4, 3, recurrent_dropout=1.0),
    "0 in the shape .* is no size": lambda: nn.LSTM(4, 0),
    "no part takes lengths=": lambda: nn.Sequential(T.tanh, nn.Dense(4, 3))(X, lengths=X),
    "2 parts take initial=": lambda: nn.Sequential(layer, nn.GRU(3, 3))(X, initial=np.zeros(3)),
    r"options \['maks'\] are not what": lambda: layer(X, maks=X),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_explained(message):
    with pytest.raises(graphc.GraphError, match=message):
        MISTAKES[message]()
