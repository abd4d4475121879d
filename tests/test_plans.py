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
