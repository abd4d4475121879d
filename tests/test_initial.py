"""Initialisers: variances, ranges, orthogonality, seeds, shapes."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import initial, nn

DENSE, FILTERS = (300, 200), (60, 40, 3, 5)
FAN_IN, FAN_OUT = {DENSE: 300, FILTERS: 600}, {DENSE: 200, FILTERS: 900}
# name: the variance from fan-in and fan-out, and whether numbers are uniform
VARIANCES = {
    "xavier_uniform": (lambda i, o: 2 / (i + o), True),
    "xavier_normal": (lambda i, o: 2 / (i + o), False),
    "he_uniform": (lambda i, o: 2 / i, True),
    "he_normal": (lambda i, o: 2 / i, False),
    "lecun_uniform": (lambda i, o: 1 / i, True),
    "lecun_normal": (lambda i, o: 1 / i, False),
}


def kurtosis(x):
    return float((x**4).mean() / (x**2).mean() ** 2)


@pytest.mark.parametrize("shape", [DENSE, FILTERS], ids=["dense", "filters"])
@pytest.mark.parametrize("name", VARIANCES)
def test_variances_are_those_of_the_papers(name, shape):
    variance, is_uniform = VARIANCES[name]
    expected = variance(FAN_IN[shape], FAN_OUT[shape])
    x = getattr(initial, name)(shape, seed=5, dtype="float64")
    assert x.shape == shape and abs(x.mean()) < 4 * (expected / x.size) ** 0.5
    assert x.var() == pytest.approx(expected, rel=0.03)  # its error is about 0.005
    assert kurtosis(x) == pytest.approx(1.8 if is_uniform else 3, rel=0.05)
    if is_uniform:
        assert 0.999 < abs(x).max() / (3 * expected) ** 0.5 <= 1
    twice = getattr(initial, name)(shape, gain=2.0, seed=5, dtype="float64")
    once = getattr(initial, name)(shape, gain=1.0, seed=5, dtype="float64")
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


def test_activations_keep_their_variance_through_many_layers():
    random = np.random.default_rng(0)
    x = random.standard_normal((100, 400))
    for _ in range(20):
        x = np.maximum(x @ initial.he_normal((400, 400), seed=random, dtype="float64"), 0)
    assert 0.3 < (x**2).mean() < 3


def test_gains_are_those_of_pytorch():
    found = [initial.gain_of(a) for a in ("linear", "sigmoid", "tanh", "relu", "selu")]
    np.testing.assert_allclose(found, [1, 1, 1.6666666666666667, 1.4142135623730951, 0.75])
    assert initial.gain_of("leaky_relu", 0.2) == pytest.approx(1.3867504905630728)
    assert initial.gain_of("leaky_relu") == pytest.approx(1.4141428569978354)


@pytest.mark.parametrize("shape", [(6, 6), (7, 4), (4, 7), (5, 2, 3, 3), (20, 2, 3), (3, 0)])
def test_orthogonal_arrays_are_orthogonal(shape):
    W = initial.orthogonal(shape, gain=1.5, seed=2, dtype="float64")
    assert W.shape == shape
    flat = W.reshape(shape[0], int(np.prod(shape[1:])))
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 2.25 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly():
    """Their entries have mean 0; without the signs, QR's diagonal entries lean to one side."""
    random = np.random.default_rng(1)
    found = [initial.orthogonal((2, 2), seed=random, dtype="float64") for _ in range(2000)]
    assert abs(np.mean(found, axis=0)).max() < 0.06
    assert abs(np.mean([np.linalg.det(W) for W in found])) < 0.08


def test_sparse_columns_have_as_many_weights_as_was_said():
    W = initial.sparse((100, 50), connections=12, deviation=0.5, seed=3)
    assert ((W != 0).sum(axis=0) == 12).all()
    assert W[W != 0].std() == pytest.approx(0.5, rel=0.1)
    assert ((W != 0).sum(axis=1) > 0).all()  # other inputs for each unit
    assert (initial.sparse((5, 3), connections=12, seed=3) != 0).all()


def test_filters_of_an_identity_pass_images_on():
    image = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    x = T.dtensor4("x")
    filters = initial.identity((3, 3, 3, 5), dtype="float64")
    found = graphc.function([x], T.nnet.conv2d(x, filters, border_mode="half"))(image)
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(initial.identity((3, 2), dtype="float64"), np.eye(3, 2))


RANDOM = [*VARIANCES, "normal", "uniform", "orthogonal", "sparse"]


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_repeat_and_generators_go_on(name):
    draw = getattr(initial, name)
    assert (draw((4, 5), seed=7) == draw((4, 5), seed=7)).all()
    assert (draw((4, 5), seed=7) != draw((4, 5), seed=8)).any()
    random = np.random.default_rng(7)
    first, second = draw((4, 5), seed=random), draw((4, 5), seed=random)
    assert (first == draw((4, 5), seed=7)).all() and (first != second).any()
    assert (draw((4, 5)) != draw((4, 5))).any()


@pytest.mark.parametrize("name", ["constant", "identity", *RANDOM])
def test_dtypes_are_floatX_or_what_is_asked_for(name):
    draw = getattr(initial, name)
    for floatX in "float32", "float64":
        with graphc.config(floatX=floatX):
            assert draw((4, 3)).dtype == floatX
    assert draw((4, 3), dtype="float16").dtype == "float16"
    half = draw((4, 3), dtype="bfloat16")
    assert graphc.shared(half).dtype == "bfloat16"


def test_ranges_and_means_of_the_plain_ones():
    x = initial.uniform((20000,), 3.0, low=1.0, seed=1, dtype="float64")
    assert 1 <= x.min() < 1.01 and 2.99 < x.max() < 3 and x.mean() == pytest.approx(2, abs=0.02)
    x = initial.normal((20000,), 2.0, mean=5.0, seed=1, dtype="float64")
    assert x.mean() == pytest.approx(5, abs=0.06) and x.std() == pytest.approx(2, rel=0.03)
    assert (initial.constant(3, 0.1, "float64") == [0.1] * 3).all()


WRONG = {
    r"a parameter of shape \(10,\) has no fan-in": lambda: initial.he_normal((10,)),
    "is no shape": lambda: initial.constant((3, None)),
    "sizes are integers, not negative": lambda: initial.normal((3, -1)),
    r"sparse: \(2, 3, 4\) is no shape of a matrix": lambda: initial.sparse((2, 3, 4)),
    "sparse: connections=-1": lambda: initial.sparse((2, 3), connections=-1),
    "no gain is known for 'swish'": lambda: initial.xavier_normal((2, 3), gain="swish"),
    "weights of dtype int64": lambda: initial.constant((2,), dtype="int64"),
    "nothing lies in": lambda: initial.uniform((2,), 1.0, low=2.0),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_made_is_refused(message):
    with pytest.raises(graphc.GraphError, match=message):
        WRONG[message]()


def test_layers_take_every_initialiser_with_a_seed_or_a_generator():
    makers = [getattr(initial, n) for n in initial.__all__ if n not in ("GAINS", "Seed", "fans")]
    random = np.random.default_rng(0)
    for make in (f for f in makers if f is not initial.gain_of):
        first, second = (nn.Dense(20, 20, init=make, seed=s).weights.get_value() for s in (3, 3))
        np.testing.assert_array_equal(first, second)
        drawn = [nn.Dense(20, 20, init=make, seed=random).weights.get_value() for _ in range(2)]
        fixed = make in (initial.constant, initial.identity)
        assert (drawn[0] == drawn[1]).all() == fixed


def test_one_generator_serves_layers_of_all_kinds():
    def model(seed):
        random = np.random.default_rng(seed)
        return nn.Sequential(
            nn.Dense(4, 4, seed=random), nn.Dropout(0.5, seed=random),
            nn.LSTM(4, 4, recurrent_dropout=0.5, seed=random),
            nn.MultiHeadAttention(4, 2, seed=random), nn.StochasticPool2D(2, seed=random),
        ).state()  # fmt: skip

    same, again, other = model(1), model(1), model(2)
    drawn = [k for k in same if "bias" not in k]
    assert all((same[k] == again[k]).all() for k in same) and len(drawn) == 10
    assert all((same[k] != other[k]).any() for k in drawn)
