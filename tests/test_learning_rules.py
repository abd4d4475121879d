"""The rules of the perceptron and of Adaline."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import optim


def test_the_perceptron_learns_what_that_of_scikit_learn_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    random = np.random.RandomState(3)
    data = random.standard_normal((60, 3))
    labels = np.sign(data @ [1, 2, -1] + 0.5 + random.standard_normal(60))
    theirs = linear_model.Perceptron(shuffle=False, max_iter=1, tol=None).fit(data, labels)
    x, t = T.dvector("x"), T.dscalar("t")
    w, b = graphc.shared(np.zeros(3), name="w"), graphc.shared(0.0, name="b")
    learn = graphc.function([x, t], updates=optim.perceptron(x, t, w, b))
    for row, label in zip(data, labels):
        learn(row, label)
    np.testing.assert_allclose(w.get_value(), theirs.coef_[0], rtol=1e-12)
    np.testing.assert_allclose(b.get_value(), theirs.intercept_[0], rtol=1e-12)


def test_batches_and_several_outputs_of_the_rules():
    random = np.random.RandomState(4)
    data, labels = random.standard_normal((7, 3)), np.sign(random.standard_normal((7, 2)))
    W0, b0 = random.standard_normal((3, 2)), random.standard_normal(2)
    (x, t), (row, aim) = T.dmatrices("xt"), T.dvectors("ra")
    trained, updates = [], []
    for rule in optim.perceptron, optim.adaline:
        for given in (x, t), (row, aim):
            W, b = graphc.shared(W0, name="W"), graphc.shared(b0, name="b")
            updates += rule(*given, W, b, learning_rate=0.5)
            trained += [W, b]
    graphc.function([x, t, row, aim], updates=updates)(data, labels, data[0], labels[0])

    def changes(x, t, linear):
        answer = x @ W0 + b0
        error = t - answer if linear else np.where(t * answer <= 0, t, 0)
        return W0 + 0.5 * x.T @ error / len(x), b0 + 0.5 * error.mean(0)

    expected = [
        v for linear in (False, True) for n in (7, 1) for v in changes(data[:n], labels[:n], linear)
    ]
    for p, v in zip(trained, expected):
        np.testing.assert_allclose(p.get_value(), v, rtol=1e-12)
