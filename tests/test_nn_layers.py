"""Layers against plain NumPy."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import nn
from graphc.testing import check_grad

rng = np.random.default_rng(3)


def values_of(pairs):
    """What several layers make of several arrays, in one function."""
    outputs = [layer(T.constant(x)) for layer, x in pairs]
    return graphc.function([], outputs, mode="numpy")()


def correlate(x, w, stride, pad):
    """A convolution of images without turning the filters, place by place."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k, _, r, s = w.shape
    height, width = (x.shape[2] - r) // stride + 1, (x.shape[3] - s) // stride + 1
    out = np.zeros((len(x), k, height, width))
    for i in range(height):
        for j in range(width):
            part = x[:, :, i * stride : i * stride + r, j * stride : j * stride + s]
            out[:, :, i, j] = np.einsum("ncrs,kcrs->nk", part, w)
    return out


def test_dense_maxout_and_prelu():
    x = rng.normal(size=(4, 2, 3))
    dense = nn.Dense(3, 5, T.tanh, bias=0.5, seed=1)
    maxout = nn.Maxout(3, 2, 4, bias=rng.normal(size=8), seed=1)
    prelu = nn.PReLU(2, init=np.array([0.1, 0.7]))
    a, b, c = values_of([(dense, x), (maxout, x), (prelu, x)])
    np.testing.assert_allclose(a, np.tanh(x @ dense.weights.get_value() + 0.5), rtol=1e-12)
    z = x @ maxout.weights.get_value() + maxout.bias.get_value()
    np.testing.assert_allclose(b, z.reshape(4, 2, 2, 4).max(-1), rtol=1e-12)
    np.testing.assert_allclose(c, np.where(x > 0, x, x * np.array([0.1, 0.7])[:, None]))


def test_dense_layers_take_sparse_rows():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rows = scipy_sparse.random(5, 3, 0.5, format="csr", random_state=0)
    layer = nn.Sequential(nn.Dense(3, 2, bias=1.0, seed=0), T.tanh)
    x = graphc.sparse.csr_matrix("x", dtype="float64")
    w = layer[0].weights
    f = graphc.function([x], [layer(x), T.grad(layer(x).sum(), w)], mode="numpy")
    made, gradient = f(rows)
    expected = np.tanh(rows.toarray() @ w.get_value() + 1)
    np.testing.assert_allclose(made, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, rows.toarray().T @ (1 - expected**2), rtol=1e-12)


def test_convolutions_forwards_and_transposed():
    x = rng.normal(size=(2, 3, 7, 6))
    conv = nn.Conv2D(3, 4, 3, stride=2, border=1, bias=rng.normal(size=4), seed=0)
    wide = nn.ConvTranspose2D(4, 3, 3, stride=2, border=1, extra=(0, 1), bias=False,
                              weights=conv.weights)  # fmt: skip
    turned = nn.Conv2D(3, 4, 3, flip=True, bias=False, weights=conv.weights)
    made, other = values_of([(conv, x), (turned, x)])
    w = conv.weights.get_value()
    expected = correlate(x, w, 2, 1) + conv.bias.get_value()[:, None, None]
    np.testing.assert_allclose(made, expected, rtol=1e-10)
    np.testing.assert_allclose(other, correlate(x, w[..., ::-1, ::-1], 1, 0), rtol=1e-10)
    # What is transposed is the adjoint: <conv(x), y> = <x, transposed(y)>.
    y = rng.normal(size=made.shape)
    (back,) = values_of([(wide, y)])
    assert back.shape == x.shape
    np.testing.assert_allclose((correlate(x, w, 2, 1) * y).sum(), (x * back).sum(), rtol=1e-10)


@pytest.mark.parametrize("axes, conv, transposed", [
    (1, nn.Conv1D, nn.ConvTranspose1D), (3, nn.Conv3D, nn.ConvTranspose3D),
])  # fmt: skip
def test_sequences_and_volumes_are_convolved_and_stretched(axes, conv, transposed):
    x = rng.normal(size=(2, 2) + (5,) * axes)
    forward = conv(2, 3, 2, stride=2, dilation=2, bias=False, seed=0)
    back = transposed(3, 2, 2, stride=2, dilation=2, bias=False, weights=forward.weights)
    (made,) = values_of([(forward, x)])
    y = rng.normal(size=made.shape)
    (wide,) = values_of([(back, y)])
    assert made.shape == (2, 3) + (2,) * axes and wide.shape == x.shape
    np.testing.assert_allclose((made * y).sum(), (x * wide).sum(), rtol=1e-10)
    corner = x[(slice(None), slice(None), *(slice(0, 3, 2),) * axes)]
    first = np.tensordot(corner.reshape(2, -1), forward.weights.get_value().reshape(3, -1), (1, 1))
    np.testing.assert_allclose(made[(..., *(0,) * axes)], first, rtol=1e-10)


def test_depthwise_and_separable_convolutions():
    x = rng.normal(size=(2, 3, 5, 5))
    deep = nn.DepthwiseConv2D(3, 3, multiplier=2, bias=False, seed=0)
    both = nn.SeparableConv2D(3, 4, 3, seed=1)
    a, b = values_of([(deep, x), (both, x)])
    w = deep.weights.get_value()
    parts = [correlate(x[:, c : c + 1], w[2 * c : 2 * c + 2], 1, 0) for c in range(3)]
    np.testing.assert_allclose(a, np.concatenate(parts, 1), rtol=1e-10)
    one = both.depthwise.weights.get_value()
    inner = np.concatenate([correlate(x[:, c : c + 1], one[c : c + 1], 1, 0) for c in range(3)], 1)
    mix = both.pointwise.weights.get_value()[:, :, 0, 0]
    np.testing.assert_allclose(b, np.einsum("kc,ncij->nkij", mix, inner), rtol=1e-10, atol=1e-12)


def test_pooling_of_every_kind():
    x = rng.normal(size=(2, 3, 4, 6))
    sequence, volume = x[:, :, 0], x[:, :, None]
    a, b, c, d, e, f = values_of([
        (nn.Pool2D(2), x), (nn.Pool2D(2, mode="average"), x), (nn.Pool1D(3, mode="sum"), sequence),
        (nn.Pool3D((1, 2, 2)), volume), (nn.GlobalPool("max"), x),
        (nn.Pool2D(3, stride=1, pad=1), x),
    ])  # fmt: skip
    blocks = x.reshape(2, 3, 2, 2, 3, 2)
    np.testing.assert_allclose(a, blocks.max((3, 5)))
    np.testing.assert_allclose(b, blocks.mean((3, 5)))
    np.testing.assert_allclose(c, sequence.reshape(2, 3, 2, 3).sum(-1))
    np.testing.assert_allclose(d[:, :, 0], a)
    np.testing.assert_allclose(e, x.max((2, 3)))
    assert f.shape == x.shape and f[0, 0, 0, 0] == x[0, 0, :2, :2].max()


def test_stochastic_pooling_draws_in_training_only():
    layer, x = nn.StochasticPool2D(2, seed=1), np.abs(rng.normal(size=(1, 1, 8, 8)))
    drawn, used = graphc.function(
        [], [layer(x, train=True), layer(T.constant(x))], mode="numpy"
    )()
    blocks = x.reshape(1, 1, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(4, 4, 4)
    assert all(v in block for v, block in zip(drawn.ravel(), blocks.reshape(16, 4)))
    np.testing.assert_allclose(used[0, 0], (blocks**2).sum(-1) / blocks.sum(-1))


def test_normalisation_by_layer_and_by_channels():
    x = rng.normal(size=(3, 4, 5))
    norm, response = nn.LayerNorm(4, 5), nn.LocalResponseNorm(3, 1.0, 0.5, 0.75)
    norm.gain.set_value(rng.normal(size=(4, 5)))
    a, b = values_of([(norm, x), (response, x)])
    centred = x - x.mean((1, 2), keepdims=True)
    scaled = centred / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(a, scaled * norm.gain.get_value(), rtol=1e-10)
    square = np.pad(x**2, ((0, 0), (1, 1), (0, 0)))
    total = square[:, :-2] + square[:, 1:-1] + square[:, 2:]
    np.testing.assert_allclose(b, x / (1 + 0.5 * total) ** 0.75, rtol=1e-10)


def test_batch_normalisation_without_gain_is_the_plain_one():
    x = rng.normal(size=(6, 2))
    y = nn.BatchNorm(2, gain=False, bias=False, epsilon=0.0)(x, train=True)
    expected = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(graphc.function([], y, mode="numpy")(), expected, rtol=1e-10)


def test_embedding_adds_the_gradients_of_a_row():
    table = nn.Embedding(4, 2, seed=0)
    x = T.imatrix("x")
    f = graphc.function([x], [table(x), T.grad(table(x).sum(), table.weights)], mode="numpy")
    rows, gradient = f(np.array([[3, 3], [0, 3]], "int32"))
    np.testing.assert_array_equal(rows[0, 1], table.weights.get_value()[3])
    np.testing.assert_array_equal(gradient, [[1, 1], [0, 0], [0, 0], [3, 3]])


def test_dropout_keeps_the_mean_and_draws_anew():
    layer = nn.Dropout(0.8, seed=3)
    whole = nn.Dropout(0.5, seed=4, together=(2, 3))
    x = T.dtensor4("x")
    f = graphc.function([x], [layer(x, train=True), whole(x, train=True), layer(x)], mode="numpy")
    one = np.ones((50, 40, 2, 2))
    (a, b, c), (a2, _, _) = f(one), f(one)
    np.testing.assert_allclose(np.unique(a), [0, 5])
    assert abs(a.mean() - 1) < 0.1 and (a != a2).any()
    assert (b == b[:, :, :1, :1]).all() and set(np.unique(b)) == {0, 2}
    np.testing.assert_array_equal(c, one)
    layer.stream.seed(3)
    np.testing.assert_array_equal(f(one)[0], a)


def test_monte_carlo_averages_over_draws():
    model = nn.Sequential(nn.Dropout(0.5, seed=1), nn.Dense(3, 1, init=1.0))
    x = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    mean, variance = graphc.function([], list(nn.monte_carlo(model, x, 4000)), mode="numpy")()
    np.testing.assert_allclose(mean.ravel(), [6, 1], rtol=0.1)
    np.testing.assert_allclose(variance.ravel(), [14, 1], rtol=0.1)


def test_blocks_have_the_shapes_of_their_papers():
    same, half = nn.residual_block(4, 4, seed=0), nn.residual_block(4, 6, stride=2, seed=0)
    inception = nn.inception_block(4, 2, (3, 4), (1, 2), 2, seed=0)
    x = rng.normal(size=(2, 4, 6, 6))
    a, b, c = values_of([(same, x), (half, x), (inception, x)])
    assert a.shape == x.shape and b.shape == (2, 6, 3, 3) and c.shape == (2, 10, 6, 6)
    for p in same.parameters:
        p.set_value(np.zeros_like(p.get_value()))
    np.testing.assert_array_equal(values_of([(same, x)])[0], np.maximum(x, 0))


@pytest.mark.parametrize("layer, shape", [
    (nn.Conv2D(2, 2, 2, T.tanh, stride=2, border=1, seed=0), (1, 2, 3, 3)),
    (nn.ConvTranspose2D(2, 1, 2, stride=2, seed=0), (1, 2, 2, 2)),
    (nn.BatchNorm(2), (4, 2)), (nn.LayerNorm(3), (2, 3)), (nn.Maxout(3, 2, seed=0), (2, 3)),
    (nn.PReLU(2), (2, 2)), (nn.MultiHeadAttention(4, 2, causal=True, seed=0), (2, 3, 4)),
    (nn.residual_block(1, 2, 2, seed=0), (2, 1, 3, 3)),
])  # fmt: skip
def test_gradients_by_finite_differences(layer, shape):
    """With respect to the input and all parameters, in training mode."""
    givens = layer.parameters
    points = [rng.normal(size=shape), *(p.get_value() + 0.1 for p in givens)]

    def build(x, *parameters):
        return graphc.clone(layer(x, train=True), dict(zip(givens, parameters)))

    check_grad(build, points, mode="numpy")


def test_layers_in_kernels_are_those_of_numpy():
    """One function with many layers and all gradients, in float32, with the same draws."""
    with graphc.config(floatX="float32"):
        images = nn.Sequential(
            nn.Conv2D(2, 4, 3, border="half", seed=0), nn.BatchNorm(4), nn.PReLU(4),
            nn.Dropout(0.3, seed=1), nn.LocalResponseNorm(3), nn.Residual(nn.Scale(4)),
            nn.Pool2D(2, mode="average"), nn.ConvTranspose2D(4, 2, 2, stride=2, seed=2),
            nn.Flatten(), nn.Maxout(32, 3, 2, seed=3),
        )  # fmt: skip
        words = nn.Sequential(
            nn.Embedding(7, 4, seed=4), nn.LayerNorm(4),
            nn.MultiHeadAttention(4, 2, causal=True, seed=5), nn.Flatten(), nn.Dense(20, 3, seed=6),
        )  # fmt: skip
        x, i, y = T.tensor4("x"), T.imatrix("i"), T.ivector("y")
        scores = images(x, train=True) + words(i)
        loss = nn.losses.cross_entropy(scores, y, smoothing=0.1).mean()
        parameters = images.parameters + words.parameters
        pairs = nn.updates(loss)
        outputs = [scores, *T.grad(loss, parameters), *(new for _, new in pairs)]
        arguments = (
            rng.normal(size=(3, 2, 4, 4)).astype("float32"),
            rng.integers(7, size=(3, 5)).astype("int32"), np.array([0, 2, 1], "int32"),
        )  # fmt: skip
        fast, slow = (
            graphc.function([x, i, y], outputs, mode=mode, no_default_updates=True)(*arguments)
            for mode in ("native", "numpy")
        )
    for a, b in zip(fast, slow):
        assert a.dtype == b.dtype == "float32"
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
