"""Models: what layers list, tie, freeze, save and say about themselves."""

from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
import graphc.tensor as T
from graphc import nn
from graphc.core.errors import ArgumentError, ShapeError


def evaluate(inputs, outputs, *values, **options):
    return graphc.function(inputs, outputs, mode="numpy", **options)(*values)


def small():
    return nn.Sequential(
        nn.Conv2D(1, 4, 3, border="half", seed=1), nn.BatchNorm(4), T.nnet.relu, nn.Pool2D(2),
        nn.Flatten(), nn.Dropout(0.5, seed=2), nn.Dense(16, 3, seed=3),
    )  # fmt: skip


# --- listings -------------------------------------------------------------------------


def test_names_are_paths_in_the_order_of_layers():
    model = nn.Sequential(nn.Dense(2, 3), nn.Sequential(T.tanh, nn.Dense(3, 1, bias=False)))
    assert list(model.named()) == ["0.weights", "0.bias", "1.1.weights"]
    assert model.parameters == model.all_parameters == list(model.named().values())
    assert model.count == 2 * 3 + 3 + 3


def test_states_are_listed_and_not_trained():
    model = small()
    names = list(model.named())
    assert "1.running_mean" in names and "5.random_state" in names
    assert [p.name for p in model.parameters] == [
        "conv2d.weights", "conv2d.bias", "batchnorm.gain", "batchnorm.bias", "dense.weights",
        "dense.bias",
    ]  # fmt: skip
    assert model.count == 36 + 4 + 4 + 4 + 48 + 3


def test_tied_weights_are_one_parameter_and_get_both_gradients():
    first = nn.Dense(3, 2, seed=0)
    model = nn.Sequential(first, nn.Dense(2, 3, weights=first.weights.T))
    assert list(model.named()) == ["0.weights", "0.bias", "1.bias"]
    x = T.dmatrix("x")
    value = np.random.default_rng(0).normal(size=(4, 3))
    W = first.weights.get_value()
    g = evaluate([x], T.grad(model(x).sum(), first.weights), value)
    one = np.ones((4, 3))
    np.testing.assert_allclose(g, value.T @ (one @ W) + one.T @ (value @ W), rtol=1e-12)


def test_a_shared_layer_is_listed_once():
    layer = nn.Dense(2, 2)
    assert list(nn.Sequential(layer, layer).named()) == ["0.weights", "0.bias"]
    same = nn.Dense(2, 2, weights=layer.weights, bias=layer.bias)
    assert nn.Sequential(layer, same).count == 6


def test_frozen_layers_are_not_trained_and_still_saved():
    model = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 1))
    model[0].freeze()
    assert model.parameters == [model[1].weights, model[1].bias]
    assert list(model.named()) == ["0.weights", "0.bias", "1.weights", "1.bias"]
    model.unfreeze()
    assert len(model.parameters) == 4


@pytest.mark.parametrize("build, message", [
    (lambda: nn.Dense(2, 3, weights=nn.Dense(2, 4).weights), r"\(2, 4\).*\(2, 3\)"),
    (lambda: nn.Dense(2, 3, weights=np.ones((2, 3))), "not made of one shared variable"),
    (lambda: nn.Dense(2, 3, init=np.ones((3, 2))), r"shape \(3, 2\), not \(2, 3\)"),
    (lambda: nn.Sequential(nn.Dense), "neither a layer nor a function"),
    (lambda: nn.Dense(2, 3)(T.constant(np.ones((1, 5)))), "5 features.*is for 2"),
    (lambda: nn.Dense(2, 3)(T.dmatrix(), train=1), "not True or False"),
    (lambda: nn.Dense(2, 3)(T.dmatrix(), True), "by its name"),
    (lambda: nn.Conv2D(1, 1, 3)(T.dmatrix()), "2 axes, not 4"),
    (lambda: nn.Dense(2, 3)(T.dmatrix(), T.dmatrix()), "2 inputs.*not what Dense takes"),
    (lambda: nn.Dense(2, 3)(T.dmatrix(), mask=1), r"options \['mask'\]"),
    (lambda: nn.Dense(2, 3, init="glorot"), "init='glorot'.*a function, a number or an array"),
    (lambda: nn.Dense(2, 3, init=graphc.shared(np.ones((2, 3)))), "given as weights="),
    (lambda: nn.Dense(2, -3), "-3 in the shape"),
    (lambda: nn.Dense(2.0, 3), "2.0 in the shape"),
    (lambda: nn.Conv2D(1, 2.0, 3), "2.0 filters"),
    (lambda: nn.Dense(2, 3, "tanh"), "'tanh' is not a function"),
    (lambda: nn.BatchNorm(2)(T.dvector()), "1 axes, not 2 or more"),
    (lambda: nn.BatchNorm(2, factor=1.5), "factor=1.5.*from 0 to 1"),
    (lambda: nn.Conv2D(4, 6, 3, groups=4), "6 filters can't be split into 4 groups"),
    (lambda: nn.Dropout(1.0), "not a probability below 1"),
    (lambda: nn.Embedding(3, 2)(T.dvector()), "names no rows"),
    (lambda: nn.Residual(nn.Flatten())(T.dtensor4()), "give a shortcut"),
    (lambda: nn.MultiHeadAttention(6, 4), "6 features are no 4 heads"),
])  # fmt: skip
def test_mistakes_are_told_when_the_graph_is_built(build, message):
    with pytest.raises(graphc.GraphError, match="(?s)" + message):
        build()


def test_a_model_of_a_function_passes_inputs_and_the_switch_on():
    drop, top = nn.Dropout(0.5, seed=0), nn.Dense(2, 1, init=1.0)

    def network(x, z, train):
        return top(drop(x * z, train=train))

    model = nn.Model(network, drop=drop, top=top)
    x, z = T.dmatrix("x"), T.dmatrix("z")
    values = np.ones((50, 2)), np.full((50, 2), 2.0)
    used, trained = evaluate([x, z], [model(x, z), model(x, z, train=True)], *values)
    assert (used == 4).all() and set(trained.ravel()) == {0.0, 4.0, 8.0}
    assert list(model.named()) == ["drop.random_state", "top.weights", "top.bias"]


# --- values ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", ".npz", ".safetensors"])
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path, ending):
    model, other = small(), small()
    for p in model.all_parameters:
        if p.dtype != "uint64":
            p.set_value(np.random.default_rng(5).normal(size=p.get_value().shape))
    model[5].stream.state.set_value(np.array([2**63 + 1, 7], "uint64"))
    path = model.save(tmp_path / ("net" + ending))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    other.load(tmp_path / ("net" + ending))
    for name, value in model.state().items():
        np.testing.assert_array_equal(other.state()[name], value)


def test_what_another_precision_or_a_folder_that_is_missing_needs(tmp_path):
    with graphc.config(floatX="float64"):
        path = nn.Dense(2, 3, seed=0).save(tmp_path / "wide.npz")
    with graphc.config(floatX="float32"):
        layer = nn.Dense(2, 3)
        with pytest.raises(ArgumentError, match="float64, not float32(.|\n)*config.floatX"):
            layer.load(path)
    with pytest.raises(FileNotFoundError, match="no folder .*absent"):
        layer.save(tmp_path / "absent" / "net.npz")


def test_half_precision_is_saved_exactly(tmp_path):
    layer, other = nn.Dense(3, 2, dtype="bfloat16", seed=1), nn.Dense(3, 2, dtype="bfloat16")
    other.load(layer.save(tmp_path / "half"))
    assert layer.weights.dtype == "bfloat16"
    np.testing.assert_array_equal(other.state()["weights"], layer.state()["weights"])


def test_a_state_that_does_not_fit_changes_nothing():
    model = nn.Sequential(nn.Dense(2, 3, seed=0), nn.Dense(3, 1, seed=1))
    before = model.state()
    wrong = dict(before, extra=np.zeros(2))
    wrong["0.bias"] = np.zeros(4)
    wrong["0.weights"] = np.ones((2, 3), complex)
    del wrong["1.bias"]
    with pytest.raises(ArgumentError) as info:
        model.load_state(wrong)
    text = str(info.value)
    assert "missing: '1.bias'" in text and "not in the model: 'extra'" in text
    assert "'0.bias' has shape (4,), not (3,)" in text
    assert "'0.weights' has dtype complex128" in text
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_truncated_file_is_an_error(tmp_path, ending):
    model = nn.Dense(20, 30, seed=0)
    path = model.save(tmp_path / f"net{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArgumentError, match="not a whole file"):
        model.load(path)
    with pytest.raises(FileNotFoundError):
        model.load(tmp_path / "other")


# --- updates --------------------------------------------------------------------------


def test_running_averages_follow_the_batches_and_are_used_after():
    norm = nn.BatchNorm(3, factor=0.25)
    x = T.dtensor4("x")
    y = norm(x, train=True)
    step = graphc.function([x], y, updates=nn.updates((y**2).sum()), mode="numpy")
    rng = np.random.default_rng(0)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        value = rng.normal(2.0, 3.0, (4, 3, 2, 5))
        made = step(value)
        m, v = value.mean((0, 2, 3)), value.var((0, 2, 3), ddof=1)
        mean, variance = 0.75 * mean + 0.25 * m, 0.75 * variance + 0.25 * v
        np.testing.assert_allclose(made.mean((0, 2, 3)), 0, atol=1e-12)
        np.testing.assert_allclose(made.var((0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(norm.running_mean.get_value(), mean, rtol=1e-10)
    np.testing.assert_allclose(norm.running_variance.get_value(), variance, rtol=1e-10)
    used = evaluate([x], norm(x), value)
    shape = (1, 3, 1, 1)
    expected = (value - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-5)
    np.testing.assert_allclose(used, expected, rtol=1e-10)


def test_updates_go_with_givens():
    norm, drop = nn.BatchNorm(2, factor=1.0), nn.Dropout(0.5, seed=0)
    data = np.arange(12.0).reshape(6, 2)
    x, k = T.dmatrix("x"), T.lscalar("k")
    loss = drop(norm(x, train=True), train=True).sum()
    step = graphc.function(
        [k], loss, updates=nn.updates(loss), givens={x: graphc.shared(data)[3 * k : 3 * k + 3]},
        mode="numpy",
    )  # fmt: skip
    step(1)
    np.testing.assert_allclose(norm.running_mean.get_value(), data[3:].mean(0))
    assert drop.stream.state.get_value()[1] == 1


def test_a_batch_of_one_leaves_finite_averages():
    norm = nn.BatchNorm(2)
    x = T.dmatrix("x")
    y = norm(x, train=True)
    evaluate([x], y, np.ones((1, 2)), updates=nn.updates(y))
    assert np.isfinite(norm.running_variance.get_value()).all()


def test_a_layer_called_twice_updates_twice():
    norm = nn.BatchNorm(1, factor=0.5)
    x, z = T.dmatrix("x"), T.dmatrix("z")
    y = norm(x, train=True).sum() + norm(z, train=True).sum()
    evaluate([x, z], y, np.full((2, 1), 4.0), np.full((2, 1), 8.0), updates=nn.updates(y))
    assert norm.running_mean.get_value().item() == 0.5 * (0.5 * 4) + 0.5 * 8


def test_updates_inside_a_loop_are_refused():
    norm = nn.BatchNorm(2)
    rows, _ = graphc.scan(lambda x: norm(x, train=True), T.dtensor3("x"))
    with pytest.raises(ArgumentError, match="running_mean.*inside a loop"):
        nn.updates(rows)


def test_a_small_network_is_trained_natively():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(60, 1, 4, 4)).astype("float32")
    classes = (data.mean((1, 2, 3)) > 0).astype("int32")
    with graphc.config(floatX="float32"):
        model = nn.Sequential(
            nn.Conv2D(1, 4, 3, border="half", seed=1), nn.BatchNorm(4), T.nnet.relu,
            nn.Pool2D(2), nn.Flatten(), nn.Dense(16, 2, seed=3),
        )  # fmt: skip
        x, y = T.tensor4("x"), T.ivector("y")
        loss = nn.losses.cross_entropy(model(x, train=True), y).mean()
        updates = graphc.optim.adam(loss, model.parameters, 0.01) + nn.updates(loss)
        step = graphc.function([x, y], loss, updates=updates)
        right = graphc.function([x, y], nn.metrics.accuracy(model(x), y), mode="numpy")
    losses = [float(step(data, classes)) for _ in range(60)]
    assert losses[-1] < losses[0] / 4 and right(data, classes) > 0.9


# --- summaries ------------------------------------------------------------------------


def test_the_summary_of_lenet():
    model = nn.Sequential(
        nn.Conv2D(1, 6, 5, T.tanh, border=2), nn.Pool2D(2, mode="average"),
        nn.Conv2D(6, 16, 5, T.tanh), nn.Pool2D(2, mode="average"), nn.Flatten(),
        nn.Dropout(0.5), nn.Dense(400, 120, T.tanh), nn.Dense(120, 10),
    )  # fmt: skip
    found = model.summary((1, 28, 28))
    assert [r.output for r in found.rows] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (400,), (120,), (10,)
    ]  # fmt: skip
    assert [r.field for r in found.rows] == [
        (5, 5), (6, 6), (14, 14), (16, 16), (16, 16), (16, 16), "all", "all"
    ]  # fmt: skip
    assert [r.parameters for r in found.rows] == [156, 0, 2416, 0, 0, 0, 48120, 1210]
    costs = [28 * 28 * 6 * 25, 0, 100 * 16 * 150, 0, 0, 0, 48000, 1200]
    assert [r.multiply_adds for r in found.rows] == costs
    assert found.parameters == 51902 and found.multiply_adds == sum(costs)
    text = str(found)
    assert "51,902" in text and "14x14" in text and "8 layers" in text


def test_the_summary_looks_into_branches_and_counts_ties_once():
    first = nn.Conv2D(2, 4, 1, seed=0)
    model = nn.Sequential(
        nn.Parallel(
            first, nn.Sequential(nn.Conv2D(2, 4, 3, border=1), nn.Conv2D(4, 4, 3, border=1)),
            nn.Conv2D(2, 4, 1, weights=first.weights),
        ),
        nn.Residual(nn.DepthwiseConv2D(12, 3, border="half", dilation=2)),
        nn.ConvTranspose2D(12, 3, 2, stride=2), nn.GlobalPool(),
    )  # fmt: skip
    found = model.summary((2, 8, 8))
    assert [r.name for r in found.rows][:3] == ["0.0 conv2d", "0.1.0 conv2d", "0.1.1 conv2d"]
    assert [r.field for r in found.rows] == [
        (1, 1), (3, 3), (5, 5), (1, 1), (9, 9), (9, 9), "all"
    ]  # fmt: skip
    assert [r.output for r in found.rows][-3:] == [(12, 8, 8), (3, 16, 16), (3,)]
    assert found.rows[5].multiply_adds == 12 * 64 * 3 * 4
    assert found.parameters == model.count == 12 + 76 + 148 + 4 + 120 + 147
    model[0].freeze()
    assert "240 of the parameters are frozen" in str(model.summary((2, 8, 8)))


def test_the_summary_counts_products_inside_layers_and_loops():
    attention = nn.MultiHeadAttention(8, 2, bias=False, seed=0)
    (row,) = attention.summary((5, 8)).rows
    assert row.multiply_adds == 4 * 5 * 64 + 2 * 5 * 5 * 8 and row.field == "all"
    top = nn.Dense(3, 3)

    def loop(x, train):
        rows, _ = graphc.scan(lambda x, h: T.tanh(x + T.dot(h, top.weights)),
                              x.dimshuffle(1, 0, 2), x[:, 0] * 0)  # fmt: skip
        return rows[-1]

    class Loop(nn.Layer):
        expression = staticmethod(loop)

    assert Loop().summary((7, 3)).multiply_adds == 7 * 9


def test_dense_layers_over_sequences_keep_the_field():
    turn = nn.Sequential(lambda x: x.dimshuffle(0, 2, 1), nn.Dense(3, 4))
    found = nn.Sequential(nn.Conv1D(2, 3, 3, dilation=2), turn).summary((2, 9))
    assert [(r.output, r.field) for r in found.rows] == [((3, 5), (5,)), ((5, 4), (5,))]


def test_the_page_about_layers_does_what_it_says(capsys):
    text = (Path(__file__).parent.parent / "docs" / "nn.md").read_text("utf-8")
    with graphc.config(mode="numpy", floatX="float32"):
        exec(compile(python_program(text), "nn.md", "exec"), {"__name__": "nn_page"})
    assert capsys.readouterr().out in text
    table = text.split("## What there is")[1]
    for name in set(nn.__all__) - {"Layer", "carrying", "updates", "losses", "metrics"}:
        assert f"`{name}`" in table or f"`nn.{name}`" in table or f"`{name}`" in text, name
    for module in (nn.losses, nn.metrics, nn.penalties):
        assert all(f"`{name}`" in table for name in module.__all__), module


def test_a_summary_of_two_inputs():
    first, second = nn.Conv2D(1, 2, 3, name="images"), nn.Dense(4, 2, name="words")

    def network(x, z, train):
        return first(x).mean((2, 3)) + second(z)

    found = nn.Model(network, first=first, second=second).summary((1, 5, 5), (4,))
    assert [(r.name, r.output, r.multiply_adds) for r in found.rows] == [
        ("first images", (2, 3, 3), 162), ("second words", (2,), 8)
    ]  # fmt: skip


def test_files_are_readable_by_whom_the_user_s_mask_allows(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    path = nn.Dense(2, 3).save(tmp_path / "net.npz")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    layer = nn.Dense(2, 3, seed=0)
    path = layer.save(tmp_path / "net.npz")
    before = path.read_bytes()

    def fail(*args, **arrays):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="no space"):
        layer.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_summary_needs_shapes():
    with pytest.raises(ArgumentError, match="without the batch"):
        nn.Dense(2, 3).summary(2)
    with pytest.raises(ShapeError, match="3 features"):
        nn.Dense(2, 3).summary((3,))


def test_layers_of_one_s_own_that_are_not_whole():
    class Late(nn.Layer):
        def __init__(self):
            self.w = self.parameter("w", (3,))

    class Bare(nn.Layer):
        def expression(self, x):
            return x

    with pytest.raises(ArgumentError, match="Late: 'w'(.|\n)*super"):
        Late()
    with pytest.raises(ArgumentError, match=r"expression\(x\) has to take train"):
        Bare()(np.ones(3))
    with pytest.raises(ArgumentError, match="neither a layer(.|\n)*layers"):
        nn.Sequential([nn.Dense(2, 3)])
