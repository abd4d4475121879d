"""What plans look like: how much is fused, what happens in place, what is computed once."""

import numpy as np

import graphc
import graphc.tensor as T
from graphc.runtime.compile import loaded

R = np.random.default_rng(0)


def array(*shape):
    return R.standard_normal(shape).astype("float32")


def routines(function):
    return [step.routine for step in function.plan.steps]


def classifier(inputs=64, classes=10):
    """Softmax regression, its loss and its SGD step."""
    x, y = T.fmatrix("x"), T.ivector("y")
    W, b = graphc.shared(array(inputs, classes), "W"), graphc.shared(array(classes), "b")
    p = T.nnet.softmax(T.dot(x, W) + b)
    loss = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    gW, gb = graphc.grad(loss, [W, b])
    updates = [(W, W - np.float32(0.1) * gW), (b, b - np.float32(0.1) * gb)]
    return graphc.function([x, y], loss, updates=updates)


def test_softmax_regression_is_two_products_and_one_kernel():
    step = classifier()
    step(array(60, 64), np.zeros(60, "int32"))
    assert routines(step) == ["gemm", "kernel", "gemm"]
    assert step.plan.steps[-1].writes == ("shared W",)
    assert "shared b" in step.plan.steps[1].writes


def test_a_ragged_last_batch_compiles_nothing():
    step = classifier()
    step(array(60, 64), np.zeros(60, "int32"))
    before = len(loaded())
    step(array(17, 64), np.zeros(17, "int32"))
    assert len(loaded()) == before


def test_compiling_the_same_graph_again_adds_no_kernel():
    for _ in range(3):
        step = classifier()
        step(array(60, 64), np.zeros(60, "int32"))
    before = len(loaded())
    for _ in range(5):
        step = classifier()
        step(array(60, 64), np.zeros(60, "int32"))
    assert len(loaded()) == before


def test_weight_decay_is_part_of_the_product():
    x, d = T.fmatrix("x"), T.fmatrix("d")
    W = graphc.shared(array(30, 20), "W")
    g = T.dot(x.T, d) + np.float32(0.02) * W
    f = graphc.function([x, d], [], updates=[(W, W - np.float32(0.1) * g)])
    f(array(50, 30), array(50, 20))
    assert routines(f) == ["gemm"]
    assert f.plan.arena_bytes == 0


def test_tied_weights_accumulate_two_products_in_place():
    x, d, h = T.fmatrix("x"), T.fmatrix("d"), T.fmatrix("h")
    W = graphc.shared(array(30, 20), "W")
    g = T.dot(x.T, d) + T.dot(h.T, x).T
    f = graphc.function([x, d, h], [], updates=[(W, W - np.float32(0.1) * g)])
    f(array(50, 30), array(50, 20), array(50, 20))
    assert routines(f) == ["gemm", "gemm"]
    assert f.plan.arena_bytes == 0


def test_a_product_that_is_read_twice_is_computed_once():
    x, d = T.fmatrix("x"), T.fmatrix("d")
    W = graphc.shared(array(30, 20), "W")
    updates = graphc.optim.nesterov([T.dot(x.T, d)], [W], 0.1)
    f = graphc.function([x, d], [], updates=updates)
    f(array(50, 30), array(50, 20))
    assert routines(f).count("gemm") == 1


def test_layer_norm_with_its_gradients_is_one_kernel():
    x, dy, gamma, beta = T.fmatrix("x"), T.fmatrix("dy"), T.fvector("gamma"), T.fvector("beta")
    centred = x - x.mean(axis=1, keepdims=True)
    y = centred / T.sqrt(T.sqr(centred).mean(axis=1, keepdims=True) + 1e-5) * gamma + beta
    f = graphc.function(
        [x, gamma, beta, dy], [y, *graphc.grad((y * dy).sum(), [x, gamma, beta])]
    )
    f(array(40, 32), array(32), array(32), array(40, 32))
    assert routines(f) == ["kernel"]


def test_a_deep_net_keeps_little_more_than_its_activations():
    x, width, rows, layers = T.fmatrix("x"), 64, 256, 12
    weights = [graphc.shared(array(width, width) / 8) for _ in range(layers)]
    h = x
    for W in weights:
        h = T.nnet.relu(T.dot(h, W))
    loss = T.sqr(h).mean()
    updates = graphc.optim.sgd(loss, weights, 0.01)
    f = graphc.function([x], loss, updates=updates)
    f(array(rows, width))
    assert f.plan.arena_bytes <= (layers + 2) * rows * width * 4


def test_a_large_graph_of_small_operations_shares_kernels():
    x = T.fvector("x")
    W = graphc.shared(array(16, 16) / 4)
    operations = [T.tanh, lambda v: v + x, lambda v: v * x, lambda v: T.maximum(v, x), T.sin]
    order, v = R.integers(len(operations), size=400), x
    for k, choice in enumerate(order):
        v = operations[choice](v) if k % 5 else T.dot(v, W)
    f = graphc.function([x], v)
    expected = graphc.function([x], v, mode="numpy")
    value = array(16)
    np.testing.assert_allclose(f(value), expected(value), rtol=1e-4, atol=1e-5)
    assert len(f.kernels) <= 2 * len(operations)  # in place and not
    assert any("not fused" in d for d in f.program.decisions)


def test_slices_by_a_symbolic_index_move_a_pointer():
    index = T.lscalar("index")
    X = graphc.shared(array(47, 8), "X")
    f = graphc.function([index], (X[index * 10 : (index + 1) * 10] ** 2).sum())
    whole = X.get_value()
    for k in (0, 1, 4, 0):
        part = whole[k * 10 : (k + 1) * 10]
        np.testing.assert_allclose(f(k), (part**2).sum(), rtol=1e-5)
    assert "offset" in routines(f)


def test_optimisers_update_each_parameter_in_place_and_in_its_own_order():
    """What only share a number (a step count, a rate) don't share a loop."""
    x = T.fmatrix("x")
    first, second = graphc.shared(array(32, 48), "first"), graphc.shared(array(48, 32), "second")
    bias = graphc.shared(array(48), "bias")
    h = T.tanh(T.dot(x, first) + bias)
    loss = T.sqr(T.dot(h, second) - x).mean()
    updates = graphc.optim.adam(loss, [first, second, bias], 0.01)
    f = graphc.function([x], loss, updates=updates)
    f(array(20, 32))
    assert "copy_bytes" not in routines(f)
    updating = [s for s in f.plan.steps if any("mean" in w for w in s.writes)]
    assert len(updating) == 3


def test_kernels_that_share_an_operand_and_need_each_other_stay_apart():
    x, y, a, U = T.dmatrices("x", "y", "a", "U")
    product = x * a
    # The first kernel makes what the dot product reads, the second reads what that made.
    outputs = [y * T.dot(product, U) + product, a * y]
    values = [R.standard_normal((3, 3)) for _ in range(4)]
    found = graphc.function([x, y, a, U], outputs)(*values)
    expected = graphc.function([x, y, a, U], outputs, mode="numpy")(*values)
    for f, e in zip(found, expected):
        np.testing.assert_allclose(f, e, rtol=1e-12)


def test_what_is_empty_shares_no_loop_with_what_is_not():
    x, a = T.dmatrix("x"), T.dvector("a")
    column = T.exp(a)[:, None]
    outputs = [column * x[:, :1], column * x[:, :0], column * x]
    values = R.standard_normal((4, 20)), R.standard_normal(4)
    found = graphc.function([x, a], outputs)(*values)
    for f, k in zip(found, (1, 0, 20)):
        np.testing.assert_allclose(f, np.exp(values[1])[:, None] * values[0][:, :k], rtol=1e-12)


def test_parts_of_a_join_are_made_in_its_place():
    x, w = T.fmatrix("x"), T.fmatrix("w")
    inner = T.concatenate([T.tanh(x), x * 2, T.exp(-x) + 1], axis=1)
    step = graphc.function([x, w], T.dot(inner, w))
    a, b = array(30, 20), array(60, 7)
    expected = np.concatenate([np.tanh(a), a * 2, np.exp(-a) + 1], axis=1) @ b
    np.testing.assert_allclose(step(a, b), expected, rtol=1e-4, atol=1e-4)
    assert routines(step) == ["kernel", "gemm"]


def test_joins_in_place_keep_what_others_read():
    x, y = T.fmatrix("x"), T.fmatrix("y")
    W = graphc.shared(array(8, 6), "W")
    p, q = T.tanh(x), T.exp(x)
    row = T.tanh(y[:1])
    outputs = [
        T.concatenate([p, q], axis=0) * 2,  # parts that are results, too
        T.dot(T.concatenate([p * 3, q * 3], axis=0), y),
        T.dot(T.concatenate([p + 1, p + 1], axis=0), y),  # one part twice
        T.dot(T.concatenate([q * 5, T.dot(x, y)], axis=1), T.concatenate([W, W, W[:2]], axis=0)),
        T.concatenate([x - 1, x - x.mean(axis=0)], axis=1).sum(axis=1),
        T.dot(T.concatenate([row * row, row + 2], axis=0), W.T),
        T.stack([x * 4, x * 5], axis=1)[:, 1],
        p,
    ]
    updates = [(W, T.concatenate([W[4:] * 0.5, T.tanh(W[:4])], axis=0))]
    values = array(8, 12), array(12, 6)
    start = W.get_value()
    found, news = [], []
    for mode in ("numpy", None):
        W.set_value(start)
        f = graphc.function([x, y], outputs, updates=updates, mode=mode)
        found.append(f(*values))
        news.append(W.get_value())
    for reference, native in zip(*found):
        np.testing.assert_allclose(native, reference, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(news[1], news[0], rtol=1e-6)


def test_a_table_looked_up_often_is_multiplied_once():
    table, w = graphc.shared(array(8, 32), "table"), graphc.shared(array(32, 24), "w")
    index = T.imatrix("index")
    z = T.tanh(T.dot(table[index], w))
    gradients = graphc.grad((z * z).sum(), [table, w])
    step = graphc.function([index], [z, *gradients])
    words = R.integers(0, 8, (20, 6)).astype("int32")
    words[words == 3] = 4  # one row is never read
    found = step(words)
    sizes = {s.extra.m * s.extra.n * s.extra.k for s in step.plan.steps if s.routine == "gemm"}
    assert max(sizes) == 8 * 32 * 24
    reference = graphc.function([index], [z, *gradients], mode="numpy")(words)
    for a, b in zip(found, reference):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert not found[1][3].any()
    rare = step(words[:1])  # few lookups: as written
    np.testing.assert_allclose(rare[0], found[0][:1], rtol=1e-4, atol=1e-5)
