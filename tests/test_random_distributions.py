"""Draws follow the distributions they are named after: SciPy's tests, with fixed seeds."""

import numpy as np
import pytest
from scipy import stats

import graphc
import graphc.tensor as T
from graphc.random import RandomStream

COUNT = 20_000
UNLIKELY = 1e-3  # a right draw is taken for a wrong one this often; the seeds are fixed

CONTINUOUS = {
    "uniform": (lambda s, d: s.uniform((COUNT,), -1, 3, dtype=d), stats.uniform(-1, 4)),
    "normal": (lambda s, d: s.normal((COUNT,), 2, 3, dtype=d), stats.norm(2, 3)),
    "truncated_normal": (
        lambda s, d: s.truncated_normal((COUNT,), 1, 2, dtype=d), stats.truncnorm(-2, 2, 1, 2)
    ),
    "narrow": (
        lambda s, d: s.truncated_normal((COUNT,), bound=0.5, dtype=d), stats.truncnorm(-0.5, 0.5)
    ),
    "exponential": (lambda s, d: s.exponential((COUNT,), 2, dtype=d), stats.expon(scale=2)),
    "gumbel": (lambda s, d: s.gumbel((COUNT,), 1, 2, dtype=d), stats.gumbel_r(1, 2)),
    "gamma": (lambda s, d: s.gamma((COUNT,), 2.5, 2, dtype=d), stats.gamma(2.5, scale=2)),
    "beta": (lambda s, d: s.beta((COUNT,), 2, 3, dtype=d), stats.beta(2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_draws(name, dtype):
    draw, expected = CONTINUOUS[name]
    step = graphc.function([], draw(RandomStream(17), dtype))
    first, second = step(), step()
    assert first.dtype == dtype
    assert stats.kstest(first, expected.cdf).pvalue > UNLIKELY
    assert stats.kstest(second, expected.cdf).pvalue > UNLIKELY
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03


DISCRETE = {
    "bernoulli": (lambda s: s.bernoulli((COUNT,), 0.3), stats.bernoulli(0.3)),
    "binomial": (lambda s: s.binomial((COUNT,), 10, 0.3), stats.binom(10, 0.3)),
    "poisson": (lambda s: s.poisson((COUNT,), 3.5), stats.poisson(3.5)),
    "integers": (lambda s: s.integers(-3, 8, (COUNT,)), stats.randint(-3, 8)),
    "random_integers": (lambda s: s.random_integers((COUNT,), 1, 6), stats.randint(1, 7)),
    "choice": (lambda s: s.choice((COUNT,), a=5), stats.randint(0, 5)),
    "categorical": (
        lambda s: s.categorical([0.5, 0.0, 0.2, 0.3], (COUNT,)),
        stats.rv_discrete(values=([0, 1, 2, 3], [0.5, 0.0, 0.2, 0.3])),
    ),
    "choice with p": (
        lambda s: s.choice((COUNT,), p=[0.5, 0.0, 0.2, 0.3]),
        stats.rv_discrete(values=([0, 1, 2, 3], [0.5, 0.0, 0.2, 0.3])),
    ),
}  # fmt: skip


def agree(counts, probabilities):
    """Whether counts of classes fit their probabilities, by Pearson's test."""
    likely = np.asarray(probabilities) * counts.sum() > 5
    assert counts[np.asarray(probabilities) == 0].sum() == 0
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(np.asarray(probabilities)[likely] * counts.sum(), 0)
    expected[-1] = counts.sum() - expected.sum()
    kept = expected > 1e-9 * counts.sum()
    observed, expected = observed[kept], expected[kept]
    return stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > UNLIKELY


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_draws(name):
    draw, expected = DISCRETE[name]
    values = draw(RandomStream(19)).eval()
    low, high = int(values.min()), int(values.max())
    counts = np.bincount(values - low, minlength=high - low + 1)
    assert values.dtype == "int64"
    assert agree(counts, expected.pmf(np.arange(low, high + 1)))


def test_multinomial_rows():
    p = np.array([[0.2, 0.8, 0.0], [0.1, 0.3, 0.6]])
    P = T.matrix("P")
    stream = RandomStream(23)
    one, many = stream.multinomial(pvals=P), stream.multinomial(n=50, pvals=P)
    rows = np.tile(p, (4000, 1)).astype(P.dtype)
    single, several = graphc.function([P], [one, many])(rows)
    assert (single.sum(1) == 1).all() and (several.sum(1) == 50).all()
    for k in range(2):
        assert agree(single[k::2].sum(0), p[k])
        assert agree(several[k::2].sum(0), p[k])


def test_permutations_are_equally_likely():
    orders = RandomStream(29).permutation((12000,), n=4).eval()
    assert (np.sort(orders, 1) == np.arange(4)).all()
    assert agree(np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1], [1 / 24] * 24)


def test_shuffled_rows_hold_what_they_held():
    x = np.arange(60.0).reshape(2, 5, 6)
    shuffled = RandomStream(31).shuffle_row_elements(x).eval()
    assert shuffled.shape == x.shape and (np.sort(shuffled, -1) == x).all()
    assert len(np.unique(np.argsort(shuffled.reshape(10, 6), 1), axis=0)) > 8


def test_choices_without_replacement():
    stream, entries = RandomStream(37), np.array([10.0, 20.0, 30.0, 40.0])
    chosen = stream.choice((3,), a=entries, replace=False).eval()
    assert len(set(chosen)) == 3 and set(chosen) <= set(entries)
    assert set(stream.choice((2,), p=[0.5, 0.0, 0.5], replace=False).eval()) == {0, 2}
    p = np.tile([0.7, 0.1, 0.2], (6000, 1))
    rows = stream.choice(2, p=p, replace=False).eval()
    assert rows.shape == (6000, 2) and (rows[:, 0] != rows[:, 1]).all()
    assert agree(np.bincount(rows[:, 0]), [0.7, 0.1, 0.2])


def test_tails_reach_as_far_as_they_should():
    stream = RandomStream(41)
    x, e = graphc.function([], [stream.normal((4_000_000,), dtype="float32"),
                                stream.exponential((4_000_000,), dtype="float32")])()  # fmt: skip
    assert np.isfinite(x).all() and 4.7 < np.abs(x).max() < 6.7
    assert (e > 0).all() and 13 < e.max() < 23 and e.min() < 1e-5
    assert abs((np.abs(x) > 4).sum() / (4e6 * 2 * stats.norm.sf(4)) - 1) < 0.3
