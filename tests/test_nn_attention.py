"""Attention against NumPy, and the score function's gradient against the exact one."""

import numpy as np

import graphc
import graphc.tensor as T
from graphc import nn

rng = np.random.default_rng(7)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def value(*outputs):
    found = graphc.function([], list(outputs), mode="numpy")()
    return found if len(found) > 1 else found[0]


def test_several_heads_are_slices_that_attend_by_themselves():
    layer = nn.MultiHeadAttention(6, 3, memory=4, seed=0)
    for name, p in layer.named().items():
        if name.endswith("bias"):
            p.set_value(rng.normal(size=6))
    x, memory = rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 7, 4))
    mask = rng.integers(2, size=(2, 7))
    mask[:, 0] = 1
    made, weights = value(*layer.attend(x, memory, mask))
    w = {k: v.get_value() for k, v in layer.weights.items()}
    b = {k: v.get_value() for k, v in layer.biases.items()}
    q = x @ w["queries"] + b["queries"]
    k, v = (memory @ w[n] + b[n] for n in ("keys", "values"))
    heads = []
    for h in range(3):
        part = slice(2 * h, 2 * h + 2)
        scores = q[..., part] @ k[..., part].swapaxes(1, 2) / np.sqrt(2)
        p = softmax(np.where(mask[:, None] == 1, scores, -np.inf))
        np.testing.assert_allclose(weights[:, h], p, rtol=1e-9, atol=1e-15)
        heads.append(p @ v[..., part])
    expected = np.concatenate(heads, -1) @ w["result"] + b["result"]
    np.testing.assert_allclose(made, expected, rtol=1e-9)
    np.testing.assert_allclose(value(layer(x, memory, mask=mask)), expected, rtol=1e-9)


def test_causal_attention_sees_nothing_later():
    layer = nn.MultiHeadAttention(4, 2, causal=True, seed=0)
    x = rng.normal(size=(1, 5, 4))
    changed = x.copy()
    changed[:, 3:] += 1
    a, b, weights = value(layer(x), layer(changed), layer.attend(x, mask=np.ones((1, 5, 5)))[1])
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert not np.triu(weights[0, 0], 1).any() and (a[:, 3:] != b[:, 3:]).all()


def test_a_row_with_everything_masked_is_zero_and_has_a_gradient():
    x = T.constant(rng.normal(size=(2, 3)))
    p = nn.masked_softmax(x, np.array([[0, 0, 0], [1, 0, 1]]))
    found, gradient = value(p, T.grad((p**2).sum(), x))
    assert not found[0].any() and found[1, 1] == 0 and np.isclose(found[1].sum(), 1)
    assert np.isfinite(gradient).all() and not gradient[0].any() and gradient[1, 1] == 0


def test_additive_attention():
    layer = nn.AdditiveAttention(3, 2, 4, seed=0)
    q, k, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 5, 2)), rng.normal(size=(2, 5, 6))
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0]])
    w = {n: p.get_value() for n, p in layer.named().items()}
    inner = np.tanh((q @ w["of_query"])[:, None] + k @ w["of_key"]) @ w["score"]
    p = softmax(np.where(mask == 1, inner[..., 0], -np.inf))
    made, weights = value(layer(q, k, v, mask=mask), layer.weights(q, k, mask))
    np.testing.assert_allclose(weights, p, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(made, np.einsum("bn,bnv->bv", p, v), rtol=1e-10)


def test_the_score_function_estimates_the_gradient_of_the_mean_reward():
    count = 40_000
    logits = graphc.shared(np.array([0.3, -0.5, 1.0]), name="logits")
    values = np.array([1.0, 4.0, -2.0])
    stream = graphc.random.RandomStream(seed=5)
    scores = T.zeros((count, 1)) + logits
    context, log_p, places = nn.hard_attention(
        scores, np.broadcast_to(values, (count, 3)), stream
    )
    rewards = context**2
    plain = T.grad(nn.score_function(log_p, rewards), logits)
    based = T.grad(nn.score_function(log_p, rewards, baseline=5.0), logits)
    direct = T.grad(rewards.mean(), logits, disconnected_inputs="ignore")
    a, b, none, drawn, at = graphc.function(
        [], [plain, based, direct, context, places], mode="numpy"
    )()
    p = softmax(logits.get_value())
    exact = p * (values**2 - (p * values**2).sum())
    np.testing.assert_allclose(a, exact, atol=0.15)
    np.testing.assert_allclose(b, exact, atol=0.1)
    assert not none.any()
    np.testing.assert_array_equal(drawn, values[at])
    np.testing.assert_allclose(np.bincount(at) / count, p, atol=0.01)


def test_hard_attention_never_draws_what_is_masked():
    stream = graphc.random.RandomStream(seed=1)
    mask = np.tile([True, False, True], (500, 1))
    _, log_p, places = nn.hard_attention(np.zeros((500, 3)), np.zeros((500, 3)), stream, mask)
    at, logs = value(places, log_p)
    assert set(at.tolist()) == {0, 2}
    np.testing.assert_allclose(logs, np.log(0.5))
