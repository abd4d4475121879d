"""Losses against sums over everything, metrics against scikit-learn's definitions."""

import itertools

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import nn
from graphc.core.errors import ArgumentError, ShapeError
from graphc.testing import check_grad

rng = np.random.default_rng(11)


def value(*outputs, mode="numpy"):
    found = graphc.function([], list(outputs), mode=mode)()
    return found if len(found) > 1 else found[0]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# --- plain losses ---------------------------------------------------------------------


def test_cross_entropies_agree_in_all_spellings():
    scores = rng.normal(size=(4, 3))
    y = np.array([0, 2, 1, 1])
    p, hot = softmax(scores), np.eye(3)[y]
    found = value(
        nn.losses.cross_entropy(scores, y), nn.losses.cross_entropy(scores, hot),
        nn.losses.cross_entropy_of_probabilities(p, y),
        nn.losses.cross_entropy_of_probabilities(p, hot),
        nn.losses.negative_log_likelihood(np.log(p), y),
        nn.losses.cross_entropy(scores.reshape(2, 2, 3), y.reshape(2, 2)).flatten(),
    )  # fmt: skip
    for f in found:
        np.testing.assert_allclose(f, -np.log(p[np.arange(4), y]), rtol=1e-12)
    smooth = value(nn.losses.cross_entropy(scores, y, smoothing=0.3))
    np.testing.assert_allclose(smooth, -((0.7 * hot + 0.1) * np.log(p)).sum(1), rtol=1e-12)


def test_losses_of_two_classes_agree():
    s = rng.normal(size=5) * 3
    t = np.array([0, 1, 1, 0, 1])
    p = 1 / (1 + np.exp(-s))
    found = value(
        nn.losses.binary_cross_entropy(s, t), nn.losses.logistic(s, 2 * t - 1),
        nn.losses.binary_cross_entropy_of_probabilities(p, t),
    )  # fmt: skip
    for f in found:
        np.testing.assert_allclose(f, -(t * np.log(p) + (1 - t) * np.log(1 - p)), rtol=1e-10)


def test_divergences():
    p, q = softmax(rng.normal(size=(2, 4))), softmax(rng.normal(size=(2, 4)))
    p[0, 1] = 0
    with np.errstate(all="ignore"):
        expected = np.where(p > 0, p * np.log(p / q), 0).sum(1)
    m, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    found, normal, gradient = value(
        nn.losses.kl_divergence(p, q), nn.losses.kl_from_standard_normal(m, v),
        T.grad(nn.losses.kl_divergence(x := T.constant(p), q).sum(), x),
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(normal, 0.5 * (m**2 + np.exp(v) - v - 1).sum(1), rtol=1e-12)


def test_negative_sampling():
    u, v, n = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 2, 4))
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    expected = -np.log(sigmoid((u * v).sum(1)))
    expected -= np.log(sigmoid(-np.einsum("bs,bks->bk", u, n))).sum(1)
    np.testing.assert_allclose(value(nn.losses.negative_sampling(u, v, n)), expected, rtol=1e-12)


@pytest.mark.parametrize("build, error, message", [
    (lambda: nn.losses.cross_entropy(T.dmatrix(), T.dvector()), ArgumentError, "integers"),
    (lambda: nn.losses.cross_entropy(T.dmatrix(), T.itensor3()), ArgumentError, "class numbers"),
    (lambda: nn.losses.negative_sampling(T.dmatrix(), T.dmatrix(), T.dmatrix()), ShapeError, "k"),
    (lambda: nn.losses.ctc(np.zeros((3, 2, 2)), np.array([[1]])), ShapeError, "2 along axis 1"),
    (lambda: nn.losses.crf_viterbi(np.zeros((3, 2, 2)), np.zeros((3, 3))), ShapeError, "has 3"),
    (lambda: nn.losses.cross_entropy(np.ones((3, 2)), np.array([0, 1])), ShapeError, "3 and 2"),
    (lambda: nn.losses.ctc(T.dmatrix(), T.imatrix()), ShapeError, "time, batch, classes"),
    (lambda: nn.losses.crf_log_likelihood(T.dtensor3(), T.imatrix(), T.dvector()), ShapeError,
     "tags, tags"),
    (lambda: nn.losses.squared_error(T.dmatrix(), T.dvector()), ShapeError, "2 and 1 axes"),
    (lambda: nn.losses.huber(T.dvector(), T.dmatrix()), ShapeError, "targets...., 0."),
    (lambda: nn.losses.binary_cross_entropy(T.dmatrix(), T.ivector()), ShapeError, "broadcasting"),
    (lambda: nn.metrics.binary_accuracy(T.dmatrix(), T.ivector()), ShapeError, "2 and 1 axes"),
    (lambda: nn.metrics.accuracy(T.dvector(), T.ivector()), ShapeError, "scores"),
    (lambda: nn.losses.squared_error(T.dmatrix("p"), T.dvector("t")), ShapeError, "all pairs"),
    (lambda: nn.losses.binary_cross_entropy(T.dcol("p"), T.dvector("t")), ShapeError, "all pairs"),
    (lambda: nn.losses.hinge(T.dvector("p"), T.dcol("t")), ShapeError, "2 axes"),
    (lambda: nn.metrics.binary_accuracy(T.dcol("p"), T.dvector("t")), ShapeError, "all pairs"),
    (lambda: nn.metrics.perplexity(T.dvector("l"), T.dcol("m")), ShapeError, "all pairs"),
    (lambda: nn.losses.cross_entropy(np.ones((3, 2)), np.ones((3, 1), int)), ShapeError, "size 2"),
    (lambda: nn.losses.cross_entropy(T.dmatrix(), T.ivector(), 1.5), ArgumentError, "smoothing"),
    (lambda: nn.losses.multiclass_hinge(T.dmatrix(), T.ivector(), over="all"), ArgumentError,
     "'max' or 'sum'"),
])  # fmt: skip
def test_mistakes_are_told(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_class_numbers_in_a_column_are_no_probabilities(mode):
    scores, y = T.dmatrix("scores"), T.lmatrix("y")
    p = np.array([[0.25, 0.75], [0.5, 0.5]])
    for loss in (nn.losses.cross_entropy, nn.losses.cross_entropy_of_probabilities):
        f = graphc.function([scores, y], loss(scores, y), mode=mode)
        assert f(p, np.eye(2, dtype="int64")).shape == (2,)
        with pytest.raises(ShapeError, match="axis 1 was to have size 2, and has 1"):
            f(p, np.array([[1], [0]]))


def test_hinges_of_several_classes():
    scores, y = rng.normal(size=(2, 4, 5)), rng.integers(5, size=(2, 4))
    own = np.take_along_axis(scores, y[..., None], -1)
    each = np.where(np.arange(5) == y[..., None], 0, np.maximum(0, 0.5 + scores - own))
    hinge = nn.losses.multiclass_hinge
    found = value(hinge(scores, y, 0.5), hinge(scores, y, 0.5, over="sum"),
                  hinge(scores[0], y[0], 0.5, over="sum"))  # fmt: skip
    for f, expected in zip(found, (each.max(-1), each.sum(-1), each[0].sum(-1))):
        np.testing.assert_allclose(f, expected, rtol=1e-12)


# --- connectionist temporal classification --------------------------------------------


def collapse(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


def ctc_of_all_paths(scores, labels, blank):
    p = softmax(scores)
    total = sum(
        np.prod([p[t, k] for t, k in enumerate(path)])
        for path in itertools.product(range(scores.shape[1]), repeat=len(scores))
        if collapse(path, blank) == list(labels)
    )
    return -np.log(total) if total else np.inf


CTC = (
    # labels, how many of them count, and how much of the time
    ([1, 2], 2, 5), ([1, 1], 2, 5), ([2, 0], 1, 5), ([0, 0], 0, 4), ([1, 1], 2, 2), ([2, 1], 2, 2),
)  # fmt: skip


@pytest.mark.parametrize("blank", [0, 3])
def test_ctc_is_the_sum_over_all_alignments(blank):
    scores = rng.normal(size=(5, len(CTC), 4)) * 2
    labels = np.array([c[0] for c in CTC], "int32")
    labels = np.where(labels == blank, 1, labels) if blank else labels
    sizes, times = np.array([c[1] for c in CTC]), np.array([c[2] for c in CTC])
    x = T.constant(scores)
    loss = nn.losses.ctc(x, labels, times, sizes, blank)
    finite = T.switch(T.isinf(loss), 0.0, loss)
    found, gradient = value(loss, T.grad(finite.sum(), x))
    expected = [
        ctc_of_all_paths(scores[:times[n], n], labels[n, : sizes[n]], blank)
        for n in range(len(CTC))
    ]
    assert np.isinf(expected[4])  # two equal labels need a blank between: three times
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isfinite(gradient).all() and not gradient[:, 4].any()
    assert not gradient[4, 3].any()  # behind its length


def test_the_gradient_of_ctc():
    labels, times, sizes = np.array([[1, 2], [2, 2]]), np.array([4, 3]), np.array([2, 1])
    check_grad(lambda x: nn.losses.ctc(x, labels, times, sizes), [rng.normal(size=(4, 2, 3))],
               mode="numpy")  # fmt: skip


def test_ctc_in_kernels_is_that_of_numpy():
    scores, labels = rng.normal(size=(12, 3, 5)).astype("float32"), np.array([[1, 2, 2]] * 3)
    x, y = T.ftensor3("x"), T.lmatrix("y")
    loss = nn.losses.ctc(x, y)
    outputs = [loss, T.grad(loss.sum(), x)]
    fast = graphc.function([x, y], outputs)(scores, labels)
    slow = graphc.function([x, y], outputs, mode="numpy")(scores, labels)
    assert fast[0].dtype == "float32"
    for a, b in zip(fast, slow):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


# --- conditional random fields --------------------------------------------------------


def field():
    scores, moves = rng.normal(size=(4, 3, 3)), rng.normal(size=(3, 3)) - 2 * np.eye(3)
    return scores, moves, rng.normal(size=3), rng.normal(size=3), np.array([4, 1, 3])


def all_scores(scores, moves, start, end):
    """The score of every sequence of tags."""
    found = {}
    for tags in itertools.product(range(3), repeat=len(scores)):
        total = start[tags[0]] + end[tags[-1]] + sum(scores[t, k] for t, k in enumerate(tags))
        found[tags] = total + sum(moves[a, b] for a, b in zip(tags, tags[1:]))
    return found


def test_a_random_field_is_normalised_over_all_sequences():
    scores, moves, start, end, lengths = field()
    tags = rng.integers(3, size=(4, 3))
    found, (paths, best) = (
        value(nn.losses.crf_log_likelihood(scores, tags, moves, start, end, lengths)),
        value(*nn.losses.crf_viterbi(scores, moves, start, end, lengths)),
    )
    for n, length in enumerate(lengths):
        every = all_scores(scores[:length, n], moves, start, end)
        total = np.log(np.sum(np.exp(list(every.values()))))
        np.testing.assert_allclose(found[n], every[tuple(tags[:length, n])] - total, rtol=1e-10)
        top = max(every, key=every.get)
        assert tuple(paths[:length, n]) == top
        np.testing.assert_allclose(best[n], every[top], rtol=1e-10)
        assert (paths[length:, n] == top[-1]).all()


def test_fields_without_ends_and_lengths():
    scores, moves, *_ = field()
    tags = rng.integers(3, size=(4, 3))
    found = value(nn.losses.crf_log_likelihood(scores, tags, moves))
    paths, _ = value(*nn.losses.crf_viterbi(scores, moves))
    for n in range(3):
        every = all_scores(scores[:, n], moves, np.zeros(3), np.zeros(3))
        total = np.log(np.sum(np.exp(list(every.values()))))
        np.testing.assert_allclose(found[n], every[tuple(tags[:, n])] - total, rtol=1e-10)
        assert tuple(paths[:, n]) == max(every, key=every.get)


def test_what_can_not_be_has_a_score_of_minus_infinity():
    scores, moves, *_ = field()
    moves[0, 1] = -np.inf
    x, m = T.constant(scores), T.constant(moves)
    tags = np.zeros((4, 3), int)
    likelihood = nn.losses.crf_log_likelihood(x, tags, m)
    found, *gradients = value(likelihood, *T.grad(likelihood.sum(), [x, m]))
    for n in range(3):
        every = all_scores(scores[:, n], moves, np.zeros(3), np.zeros(3))
        total = np.log(np.sum(np.exp(list(every.values()))))
        np.testing.assert_allclose(found[n], every[0, 0, 0, 0] - total, rtol=1e-10)
    assert all(np.isfinite(g).all() for g in gradients) and gradients[1][0, 1] == 0
    masked = np.array([[[0.0, -np.inf]], [[0.0, 0.0]]])
    x = T.constant(masked)
    loss = nn.losses.ctc(x, np.array([[1]]))
    found, gradient = value(loss, T.grad(loss.sum(), x))
    np.testing.assert_allclose(np.exp(-found), [0.5])
    assert np.isfinite(gradient).all()


def test_sequences_of_one_time_and_of_no_labels():
    scores = rng.normal(size=(1, 2, 3))
    p = softmax(scores[0])
    a, b, c, d = value(
        nn.losses.ctc(scores, np.array([[1], [2]])), nn.losses.ctc(scores, np.zeros((2, 0), int)),
        nn.losses.crf_log_likelihood(scores, np.array([[1, 2]]), np.zeros((3, 3))),
        nn.losses.crf_viterbi(scores, np.zeros((3, 3)))[0],
    )  # fmt: skip
    own = -np.log(p[[0, 1], [1, 2]])
    np.testing.assert_allclose(a, own, rtol=1e-12)
    np.testing.assert_allclose(b, -np.log(p[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(c, -own, rtol=1e-12)
    np.testing.assert_array_equal(d, p.argmax(1)[None])


def test_the_gradient_of_a_random_field():
    scores, moves, start, end, lengths = field()
    tags = rng.integers(3, size=(4, 3))
    check_grad(
        lambda *args: nn.losses.crf_log_likelihood(args[0], tags, *args[1:], lengths),
        [scores, moves, start, end], mode="numpy",
    )  # fmt: skip


def test_random_fields_in_kernels_are_those_of_numpy():
    scores, moves, start, end, lengths = field()
    x, m = T.dtensor3("x"), T.dmatrix("m")
    tags = rng.integers(3, size=(4, 3))
    likelihood = nn.losses.crf_log_likelihood(x, tags, m, start, end, lengths)
    outputs = [likelihood, *T.grad(likelihood.sum(), [x, m]),
               *nn.losses.crf_viterbi(x, m, start, end, lengths)]  # fmt: skip
    fast = graphc.function([x, m], outputs)(scores, moves)
    slow = graphc.function([x, m], outputs, mode="numpy")(scores, moves)
    for a, b in zip(fast, slow):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


# --- metrics and penalties ------------------------------------------------------------


def test_metrics():
    scores = rng.normal(size=(40, 6))
    y, mask = rng.integers(6, size=40), rng.integers(2, size=40)
    order = np.argsort(-scores, 1)
    predicted = order[:, 0]
    matrix = np.zeros((6, 6), int)
    np.add.at(matrix, (y, predicted), 1)
    found = value(
        nn.metrics.accuracy(scores, y), nn.metrics.accuracy(predicted, y),
        nn.metrics.top_k_accuracy(scores, y, 3), nn.metrics.confusion_matrix(scores, y, 6),
        nn.metrics.perplexity(np.array([np.log(2), 9.0]), np.array([1, 0])),
        nn.metrics.binary_accuracy(scores[:, 0], scores[:, 1] > 0),
        nn.metrics.accuracy(scores.reshape(8, 5, 6), y.reshape(8, 5), mask.reshape(8, 5)),
        nn.metrics.top_k_accuracy(scores, y, 3, counted=mask),
        nn.metrics.binary_accuracy(scores[:, 0], scores[:, 1] > 0, counted=mask),
    )  # fmt: skip
    kept = mask > 0
    assert found[6] == pytest.approx((predicted == y)[kept].mean())
    assert found[7] == pytest.approx((order[:, :3] == y[:, None]).any(1)[kept].mean())
    assert found[8] == pytest.approx(((scores[:, 0] > 0) == (scores[:, 1] > 0))[kept].mean())
    assert found[0] == found[1] == pytest.approx((predicted == y).mean())
    assert found[2] == pytest.approx((order[:, :3] == y[:, None]).any(1).mean())
    np.testing.assert_array_equal(found[3], matrix)
    assert found[4] == pytest.approx(2)
    assert found[5] == pytest.approx(((scores[:, 0] > 0) == (scores[:, 1] > 0)).mean())


def test_penalties_and_constraints():
    layer = nn.Dense(3, 2, seed=0)
    w = layer.weights.get_value()
    one, two, both = value(
        nn.penalties.l1(layer.parameters), nn.penalties.l2([layer.weights]),
        nn.penalties.elastic(layer.weights, 0.25),
    )  # fmt: skip
    assert one == pytest.approx(np.abs(w).sum()) and two == pytest.approx((w**2).sum())
    assert both == pytest.approx(0.25 * np.abs(w).sum() + 0.375 * (w**2).sum())
    updates = [(layer.weights, layer.weights * 10), (layer.bias, layer.bias + 5)]
    pairs = nn.penalties.constrained(
        updates, {layer.weights: lambda v: nn.penalties.within_norm(v, 2.0)}
    )
    graphc.function([], updates=pairs, mode="numpy")()
    np.testing.assert_allclose(np.linalg.norm(layer.weights.get_value(), axis=0), 2.0)
    assert (layer.bias.get_value() == 5).all()
    with pytest.raises(ArgumentError, match="constrained: .*bias.* is not among the updates"):
        nn.penalties.constrained(updates[:1], {layer.bias: abs})
    assert value(nn.penalties.l1(np.array([[1.0, -2.0], [3.0, 0.0]]))) == 6  # one array, no list
