"""What pictures show, and what they refuse: their artists are looked at, not their pixels."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
from graphc import nn
from graphc.core.errors import GraphError

pytest.importorskip("matplotlib")
from matplotlib import style
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from graphc import pictures
from graphc.pictures.style import RED, distinct, short

RANDOM = np.random.default_rng(0)
HISTORY = {
    "epoch": [1, 2, 3, 4],
    "loss": [2.0, 0.5, 0.2, 0.05],
    "validation loss": [2.1, None, 0.4, 0.6],
    "accuracy": [0.4, 0.8, 0.9, 0.95],
    "validation accuracy": [0.4, float("nan"), 0.7, 0.8],
    "seconds": [1.0, 1.0, 1.0, 1.0],
    "rate": [0.1, 0.1, 0.01, 0.001],
    "margin": [0.01, 0.1, 0.5, 0.9],
}
POINTS = RANDOM.standard_normal((40, 2))
PATH = [(1.0, 1.0), (0.5, 0.2), (0.1, 0.0)]
CHAIN = [("conv1", 5), ("relu", 1), ("pool1", 2, 2), ("conv2", 3, 1, 1)]
TRIALS = [
    {"rate": 10.0**-k, "kind": "ab"[k % 2], "layers": 2, "score": s}
    for k, s in enumerate((None, 0.7, 0.9, 0.8))
]


def title(axes):
    return axes.get_title(loc="left")


def texts(legend):
    return [t.get_text() for t in legend.get_texts()]


# Curves -----------------------------------------------------------------------------------------


def test_curves_pair_training_with_validation_and_leave_gaps():
    figure = pictures.curves(HISTORY, units={"loss": "nat"})
    assert [title(a) for a in figure.axes] == ["loss (nat)", "accuracy", "margin", "learning rate"]
    loss, accuracy, *_ = figure.axes
    trained, validated = loss.lines[:2]
    assert trained.get_ydata().tolist() == HISTORY["loss"]
    assert np.isnan(validated.get_ydata()).tolist() == [False, True, False, False]
    assert trained.get_color() != validated.get_color() == accuracy.lines[1].get_color()
    assert [a.get_yscale() for a in figure.axes] == ["log", "linear", "linear", "log"]
    assert accuracy.yaxis.get_major_formatter()(0.975) == "97.5%"


def test_curves_mark_the_best_epoch():
    figure = pictures.curves(HISTORY)
    assert texts(figure.axes[0].get_legend())[-1] == "best: 0.4, epoch 3"
    assert all(a.lines[-1 - (a is figure.axes[0])].get_xdata()[0] == 3 for a in figure.axes)
    figure = pictures.curves(HISTORY, best="validation accuracy")
    assert texts(figure.axes[1].get_legend())[-1] == "best: 80.00%, epoch 4"
    untold = pictures.curves(HISTORY, best=False)
    assert texts(untold.axes[0].get_legend()) == ["training", "validation"]


def test_curves_never_choose_the_best_epoch_by_test_rows():
    figure = pictures.curves({"test loss": [3.0, 1.0, 2.0], "loss": [3.0, 2.0, 1.0]})
    assert texts(figure.axes[0].get_legend())[-1] == "best: 1, epoch 3"


def test_curves_take_objects_with_columns_one_epoch_and_points_between_gaps():
    class History:
        columns = {"loss": [0.5], "val_loss": [0.7]}

    (axes,) = pictures.curves(History()).axes
    assert axes.get_xticks().tolist() == [1] and len(axes.lines) == 2
    every_third = [float(k) if k % 3 == 0 else None for k in range(90)]
    (axes,) = pictures.curves({"loss": every_third}, best=False).axes
    assert list(axes.lines[0].get_markevery()) == list(range(0, 90, 3))


# Images -----------------------------------------------------------------------------------------


def test_filters_of_convolutions_have_colours_or_a_row_of_channels_each():
    rgb = pictures.filters(RANDOM.standard_normal((6, 3, 5, 5))).axes[0].images
    assert len(rgb) == 6 and all(i.get_array().shape == (5, 5, 3) for i in rgb)
    stacked = np.stack([i.get_array() for i in rgb])
    assert stacked.min() == 0 and stacked.max() == 1
    weights = RANDOM.standard_normal((4, 20, 3, 3))
    figure = pictures.filters(weights, limit=2)
    assert figure.get_suptitle() == "2 of 4 filters · 16 of 20 channels"
    assert len(figure.axes[0].images) == 2 * 16
    np.testing.assert_array_equal(figure.axes[0].images[17].get_array(), weights[1, 1])
    assert len(pictures.filters(weights, channel=-1).axes[0].images) == 4


def test_filters_have_a_common_scale_around_zero_or_one_each():
    weights = np.stack([np.full((1, 2, 2), 0.5), np.full((1, 2, 2), -2.0)])
    common = pictures.filters(weights)
    assert {i.get_clim() for i in common.axes[0].images} == {(-2.0, 2.0)} and len(common.axes) == 2
    each = pictures.filters(weights, scale="individual")
    assert [i.get_array().max() for i in each.axes[0].images] == [1, -1] and len(each.axes) == 1


def test_filters_of_dense_layers_are_columns_of_their_weights():
    weights = graphc.shared(np.arange(12.0).reshape(6, 2), "W")
    images = pictures.filters(weights, shape=(2, 3)).axes[0].images
    np.testing.assert_array_equal(images[1].get_array(), [[1, 3, 5], [7, 9, 11]])


def test_captions_of_wrong_predictions_are_red():
    scores = np.eye(3)[[0, 2, 2]]
    names = ["cat", "dog", "a bird with a very long name"]
    figure = pictures.images(RANDOM.random((3, 4, 4)), [0, 1, 2], scores, names=names)
    captions = [t.get_text() for t in figure.axes[0].texts]
    assert captions[0] == "cat" and captions[1].endswith("is dog") and "…" in captions[2]
    assert [t.get_color() == RED for t in figure.axes[0].texts] == [False, True, False]


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 1, 4, 6), (5, 3, 4, 6), (5, 4, 6, 3)])
def test_images_have_their_channels_first_or_last(shape):
    bytes_ = RANDOM.integers(0, 256, shape).astype("uint8")
    images = pictures.images(bytes_).axes[0].images
    assert len(images) == 5 and images[0].get_array().shape[:2] == (4, 6)
    first = bytes_[0] if shape[1] not in (1, 3) else np.moveaxis(bytes_[0], 0, -1).squeeze()
    np.testing.assert_allclose(images[0].get_array(), first / 255)


def test_only_so_many_images_are_drawn():
    figure = pictures.images(RANDOM.random((30, 16)), shape=(4, 4), limit=10, columns=4)
    assert len(figure.axes[0].images) == 10 and figure.get_suptitle() == "10 of 30 images"


# Layers -----------------------------------------------------------------------------------------


def test_histograms_tell_of_zeros_and_of_what_is_not_finite():
    given = {"hidden": np.array([0.0, 0.0, 1.0, np.nan]), "output": np.arange(100.0)}
    figure = pictures.histograms(given, bins=10, unit="activation")
    assert title(figure.axes[0]).splitlines()[1] == "mean 0.33, sd 0.47, 67% zeros, 1 not finite"
    counts = figure.axes[1].patches[0].get_data().values
    assert len(counts) == 10 and counts.sum() == 98
    assert figure.axes[1].get_xlabel() == "activation"


def test_histograms_over_epochs_are_ridges():
    (axes,) = pictures.histograms({"W": [RANDOM.standard_normal(50) for _ in range(40)]}).axes
    assert len(axes.lines) == 30 and axes.get_ylabel() == "epoch"
    assert [t.get_text() for t in axes.get_yticklabels()][0] == "1"


def test_update_ratios_are_logarithms_with_gaps_and_a_line_at_a_thousandth():
    figure = pictures.update_ratios({"a": [0.01, 0, None, 0.1], "b": [1.0]}, steps=[5, 10, 15, 20])
    a, b, line = figure.axes[0].lines
    assert a.get_xdata().tolist() == [5, 10, 15, 20] and b.get_ydata().tolist() == [0]
    np.testing.assert_allclose(a.get_ydata(), [-2, np.nan, np.nan, -1])
    assert list(line.get_ydata()) == [-3, -3] and texts(figure.legends[0]) == ["a", "b"]


def test_long_names_are_shortened_where_they_are_alike():
    names = [f"encoder.block{k}.attention.weights" for k in (1, 12)]
    assert distinct(names, 20) == ["…block1…", "…block12…"] and distinct(names, 40) == names
    assert short("abcdefghij", 5) == "ab…ij" and short("abc", 3) == "abc"


# Planes and maps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predict", "names"),
    [
        (lambda x: (x[:, 0] > 0).astype(int), ["0", "1"]),
        (lambda x: 1 / (1 + np.exp(-5 * x[:, :1])), ["0", "1"]),
        (lambda x: 3 * x[:, 0], ["0", "1"]),
        (lambda x: np.stack([-x[:, 0], x[:, 0], x[:, 0] - 9], 1), ["0", "1"]),
    ],
    ids=["classes", "probabilities of one", "scores of one", "scores of each"],
)
def test_decision_regions_read_what_classifiers_give(predict, names):
    figure = pictures.decision_regions(predict, POINTS, POINTS[:, 0] > 0, resolution=40)
    axes = figure.axes[0]
    image = axes.images[0].get_array()
    low, high = axes.get_xlim()
    ends = image[20, 0], image[20, -1]
    assert low < 0 < high and ends[0][2] > ends[0][0] and ends[1][0] > ends[1][2]  # blue, orange
    np.testing.assert_allclose(axes.collections[-1].get_offsets(), POINTS[POINTS[:, 0] > 0])


def test_decision_regions_of_a_perceptron_have_two_classes():
    signs = np.where(POINTS[:, 0] > 0, 1, -1)
    first = lambda x: x[:, 0]  # noqa: E731
    for predict in first, lambda x: np.sign(first(x)), lambda x: np.sign(first(x)).astype(int):
        figure = pictures.decision_regions(predict, POINTS, signs, resolution=20)
        assert texts(figure.axes[0].get_legend()) == ["-1", "1"]


def test_decision_regions_have_names_and_other_markers_beyond_ten_classes():
    def nearest(x):
        return np.abs(x[:, :1] - np.linspace(-2, 2, 12)).argmin(axis=1)

    axes = pictures.decision_regions(nearest, POINTS, nearest(POINTS), resolution=30).axes[0]
    assert texts(axes.get_legend()) == [str(k) for k in range(12)]
    first, eleventh = axes.collections[-12], axes.collections[-2]
    assert to_rgba(pictures.PALETTE[0]) == tuple(first.get_facecolor()[0])
    assert (first.get_facecolor() == eleventh.get_facecolor()).all()
    assert len(first.get_paths()[0].vertices) != len(eleventh.get_paths()[0].vertices)


def test_maps_keep_the_largest_variance():
    vectors = RANDOM.standard_normal((30, 6)) * [9, 5, 0.1, 0.1, 0.1, 0.1]
    axes = pictures.embedding(vectors).axes[0]
    places = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(np.abs(places), np.abs(vectors - vectors.mean(0))[:, :2], atol=2)
    assert axes.get_xlabel().startswith("first component, ")


def test_words_on_maps_do_not_overlap():
    words = [f"word{k}" for k in range(60)]
    figure = pictures.embedding(RANDOM.standard_normal((60, 5)), words)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts]
    assert 30 < len(boxes) <= 60
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_classes_on_maps_have_colours_and_names():
    figure = pictures.embedding(RANDOM.random((6, 3)), [0, 1, 0, 1, 1, 1], names=["cat", "dog"])
    assert texts(figure.axes[0].get_legend()) == ["cat", "dog"]
    assert [len(c.get_offsets()) for c in figure.axes[0].collections] == [2, 4]


def test_neighbours_stay_together_on_maps_by_tsne():
    pytest.importorskip("sklearn")
    vectors = np.repeat(np.eye(2, 5) * 50, 8, axis=0) + RANDOM.random((16, 5))
    axes = pictures.embedding(vectors, np.repeat([0, 1], 8), method="tsne").axes[0]
    a, b = (np.asarray(c.get_offsets()) for c in axes.collections)
    assert np.linalg.norm(a.mean(0) - b.mean(0)) > a.std() + b.std()


def test_traces_cut_off_what_diverges_and_have_gaps_for_what_is_not_finite():
    paths = {"sgd": PATH, "diverging": [(1.0, 1.0), (-1e9, 1e9), (np.nan, np.inf)]}
    axes = pictures.trace(lambda x, y: x**2 + 5 * y**2, paths, minimum=(0, 0)).axes[0]
    assert max(map(abs, axes.get_xlim() + axes.get_ylim())) < 2
    assert axes.lines[0].get_xydata().tolist() == [list(p) for p in PATH]
    assert texts(axes.get_legend()) == ["sgd", "diverging"]
    limits = ((-1.0, 3.0), (-2.0, 2.0))
    axes = pictures.trace(lambda x, y: x + y, {"a": PATH}, limits=limits).axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == limits


# Matrices ---------------------------------------------------------------------------------------


def test_heads_of_attention_share_colours_and_tokens():
    weights = RANDOM.random((5, 4, 3))
    figure = pictures.attention(weights, rows=list("abcd"), columns=["x", "y", "a long token"])
    assert [title(a) for a in figure.axes[:5]] == [f"head {k}" for k in range(5)]
    assert {a.images[0].get_clim() for a in figure.axes[:5]} == {(0.0, weights.max())}
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list("abcd")
    assert [t.get_text() for t in figure.axes[4].get_xticklabels()][2] == "a long token"
    assert figure.axes[1].get_yticks().size == figure.axes[0].get_xticks().size == 0


def test_confusion_tells_counts_and_parts_of_rows():
    axes = pictures.confusion([[297, 1], [0, 0]], names=["a", "b"]).axes[0]
    assert [t.get_text() for t in axes.texts] == ["297\n100%", "1\n<1%", "0", "0"]
    assert title(axes) == "accuracy 99.7% of 298"
    assert [t.get_color() for t in axes.texts][:2] == ["#ffffff", "#222222"]


def test_confusion_of_many_classes_lists_the_most_frequent():
    counts = np.diag(np.full(100, 50))
    counts[7, 3], counts[1, 2] = 9, 4
    figure = pictures.confusion(counts)
    assert len(figure.axes[0].texts) == 0
    assert texts(figure.legends[0]) == ["9  7 as 3", "4  1 as 2"]
    assert len(figure.axes[0].get_xticks()) == 50
    assert len(pictures.confusion(np.eye(20)).axes[0].texts) == 20


# Receptive fields and searches ------------------------------------------------------------------


def boxes_of(figure):
    return [(p.get_y() + 0.5, p.get_x() + 0.5, p.get_height(), p.get_width())
            for p in figure.axes[0].patches]  # fmt: skip


def test_fields_of_a_chain_are_what_gradients_reach():
    """The rectangle of the last layer holds exactly the pixels that its place depends on."""
    place = (2, 1)
    figure = pictures.receptive_field(
        [("a", (3, 2), 2, 1), ("b", 3, (1, 2))], shape=(16, 15), place=place
    )
    x = graphc.tensor.dtensor4("x")
    h = graphc.tensor.nnet.conv2d(
        x, np.ones((1, 1, 3, 2)), border_mode=(1, 1), subsample=(2, 2), filter_flip=False
    )
    y = graphc.tensor.nnet.conv2d(h, np.ones((1, 1, 3, 3)), subsample=(1, 2), filter_flip=False)
    reach = graphc.grad(y[0, 0, place[0], place[1]], x)
    seen = graphc.function([x], reach, mode="numpy")(np.zeros((1, 1, 16, 15)))[0, 0]
    rows, columns = np.nonzero(seen)
    expected = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    assert boxes_of(figure)[-1] == expected


def test_fields_of_a_summary_have_its_sizes():
    model = nn.Sequential(nn.Conv2D(1, 2, 3), nn.Pool2D(2), nn.Flatten(), nn.Dense(18, 2))
    figure = pictures.receptive_field(model.summary((1, 8, 8)), image=RANDOM.random((8, 8)))
    assert [box[2:] for box in boxes_of(figure)] == [(3, 3), (4, 4), (8, 8)]
    labels = texts(figure.axes[0].get_legend())
    assert labels[0].endswith("conv2d  3 × 3") and len(labels) == 3


def test_searches_have_log_axes_categories_stars_and_crosses():
    figure = pictures.search(TRIALS, title="three trials")
    rate, kind = figure.axes
    assert (rate.get_xlabel(), rate.get_xscale()) == ("rate", "log")
    assert [t.get_text() for t in kind.get_xticklabels()] == ["a", "b"]
    good, failed, star = (np.asarray(c.get_offsets()) for c in rate.collections)
    assert len(good) == 3 and failed[0, 0] == 1.0 and star.tolist() == [[0.01, 0.9]]
    assert title(rate) == "best: 0.01" and title(kind) == "best: a"
    lowest = pictures.search([{"w": w, "validation loss": w * w} for w in (3, 1, 2)],
                             score="validation loss")  # fmt: skip
    assert title(lowest.axes[0]) == "best: 1"
    assert [a.get_xlabel() for a in pictures.search(TRIALS, names=["layers"]).axes] == ["layers"]


# What is wrong ----------------------------------------------------------------------------------


def zeros(*shape):
    return np.zeros(shape)


WRONG = {
    "curves, empty": (lambda: pictures.curves({}), "history is empty"),
    "curves, no dict": (lambda: pictures.curves([1.0]), "history is list, not a dict"),
    "curves, no epoch": (lambda: pictures.curves({"loss": []}), "no epoch"),
    "curves, lengths": (
        lambda: pictures.curves({"loss": [1.0, 2.0], "validation loss": [1.0]}),
        "'loss' 2, 'validation loss' 1",
    ),
    "curves, NaN": (
        lambda: pictures.curves({"loss": [float("nan"), None, float("inf")]}),
        "no value of 'loss' is finite in 3 epochs",
    ),
    "curves, numbers": (lambda: pictures.curves({"loss": 0.5}), "history['loss'] has rank 0"),
    "curves, texts": (lambda: pictures.curves({"loss": ["a"]}), "history['loss']: list can't be"),
    "curves, names": (lambda: pictures.curves(HISTORY, names=["los"]), "history has no 'los'"),
    "curves, best": (lambda: pictures.curves(HISTORY, best="x"), "best='x'"),
    "filters, rank": (lambda: pictures.filters(zeros(4, 5)), "weights has rank 2, shape (4, 5)"),
    "filters, shape": (
        lambda: pictures.filters(zeros(64, 5), shape=(7, 8)), "shape=(7, 8) for weights of shape",
    ),
    "filters, scale": (lambda: pictures.filters(zeros(1, 1, 3, 3), scale="x"), "scale is one of"),
    "filters, channel": (lambda: pictures.filters(zeros(1, 2, 3, 3), channel=2), "channel=2 of 2"),
    "images, rank": (lambda: pictures.images(zeros(3, 4)), "batch has rank 2"),
    "images, channels": (lambda: pictures.images(zeros(3, 2, 4, 4)), "neither 1 nor 3 channels"),
    "images, empty": (lambda: pictures.images(zeros(0, 4, 4)), "batch is empty, shape (0, 4, 4)"),
    "images, NaN": (lambda: pictures.images(zeros(1, 2, 2) * np.nan), "none of its 4 values"),
    "images, texts": (lambda: pictures.images([[["a"]]]), "can't be read as an array"),
    "images, columns": (lambda: pictures.images(zeros(1, 2, 2), columns=0), "columns is a"),
    "images, labels": (lambda: pictures.images(zeros(3, 4, 4), [1]), "labels has 1 entries"),
    "images, names": (lambda: pictures.images(zeros(1, 4, 4), [2], names=["a"]), "class 2"),
    "histograms, complex": (lambda: pictures.histograms({"a": zeros(2) * 1j}), "'a': complex128"),
    "histograms, empty": (lambda: pictures.histograms({}), "arrays_by_name is empty"),
    "histograms, NaN": (lambda: pictures.histograms({"a": [np.nan]}), "'a': none of its 1"),
    "ratios, negative": (lambda: pictures.update_ratios({"W": [-3.0]}), "'W': a ratio of -3"),
    "ratios, steps": (lambda: pictures.update_ratios({"W": [1.0]}, steps=[1, 2]), "steps has 2"),
    "regions, x": (lambda: pictures.decision_regions(len, zeros(4, 3), [0] * 4), "shape (4, 3)"),
    "regions, y": (lambda: pictures.decision_regions(len, zeros(4, 2), [0]), "y has 1 entries"),
    "regions, predict": (
        lambda: pictures.decision_regions(lambda x: x[:3], zeros(4, 2), [0] * 4),
        "predict gives shape (3, 2)",
    ),
    "regions, classes": (
        lambda: pictures.decision_regions(lambda x: np.full(len(x), 5), zeros(2, 2), ["a", "b"]),
        "predict gives class number 5, y has 2 classes",
    ),
    "embedding, one": (lambda: pictures.embedding(zeros(1, 3)), "two of them or more"),
    "embedding, NaN": (lambda: pictures.embedding([[1, 2], [3, np.nan]]), "1 of 2 rows"),
    "embedding, labels": (lambda: pictures.embedding(zeros(3, 3), ["a"]), "labels has 1 entries"),
    "embedding, method": (lambda: pictures.embedding(zeros(3, 3), method="umap"), "'pca', 'tsne'"),
    "attention, rank": (lambda: pictures.attention(zeros(1, 2, 3, 3)), "rank 2 or 3 is needed"),
    "attention, tokens": (lambda: pictures.attention(zeros(2, 3), rows=["a"]), "rows has 1"),
    "confusion, square": (lambda: pictures.confusion(zeros(2, 3)), "shape (2, 3)"),
    "confusion, counts": (lambda: pictures.confusion([[-1, 2], [3, 4]]), "values from -1 to 4"),
    "confusion, names": (lambda: pictures.confusion(np.eye(2), names=["a"]), "classes: 2"),
    "field, none": (lambda: pictures.receptive_field([], shape=(8, 8)), "layers is []"),
    "field, layer": (lambda: pictures.receptive_field([("a", 0)], shape=(8, 8)), "('a', 0) is no"),
    "field, window": (
        lambda: pictures.receptive_field([("a", 9)], shape=(8, 8)), "9 × 9 on an input of 8 × 8",
    ),
    "field, place": (
        lambda: pictures.receptive_field([("a", 3)], shape=(8, 8), place=(6, 0)), "place=(6, 0)",
    ),
    "field, no size": (lambda: pictures.receptive_field(CHAIN), "needs an image or the shape"),
    "trace, path": (lambda: pictures.trace(np.add, {"a": [1, 2]}), "the path 'a' has rank 1"),
    "trace, function": (lambda: pictures.trace(lambda x, y: 1.0, {"a": PATH}), "gives shape ()"),
    "trace, limits": (
        lambda: pictures.trace(np.add, {"a": PATH}, limits=((1, 0), (0, 1))), "limits=",
    ),
    "search, none": (lambda: pictures.search([]), "results holds 0 entries"),
    "search, score": (lambda: pictures.search([{"rate": 1}]), "no trial has 'score'"),
    "search, NaN": (lambda: pictures.search([{"a": 1, "score": None}]), "'score': none of its 1"),
    "search, names": (lambda: pictures.search(TRIALS, names=["x"]), "no trial has 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case):
    call, expected = WRONG[case]
    with pytest.raises(GraphError) as error:
        call()
    assert expected in error.value.what
    assert any(frame[0] == __file__ for frame in error.value.at), "the user's line is shown"


# All of them ------------------------------------------------------------------------------------


EXTREMES = {
    "one epoch": lambda: pictures.curves({"loss": [1.0], "accuracy": [0.5]}),
    "no finite loss": lambda: pictures.curves({"loss": [np.nan] * 3, "accuracy": [0.5, 0.6, 0.7]}),
    "constant loss": lambda: pictures.curves({"loss": [1.0, 1.0]}, title="of no use"),
    "one weight": lambda: pictures.filters([[[[0.0]]]]),
    "constant images": lambda: pictures.images(zeros(1, 30, 2), ["a long name"], ["another name"]),
    "constant arrays": lambda: pictures.histograms({"bias": zeros(5), "ridge": [zeros(5)] * 2}),
    "forty layers": lambda: pictures.update_ratios({f"layer{k}.W": [1e-3] * 3 for k in range(40)}),
    "one class": lambda: pictures.decision_regions(lambda x: x[:, 0] * 0, zeros(1, 2), [0]),
    "equal vectors": lambda: pictures.embedding(zeros(3, 1), ["a", "b", "c"]),
    "a wide head": lambda: pictures.attention(np.eye(2, 60)),
    "one confusion": lambda: pictures.confusion([[3]], names=["a class with quite a long name"]),
    "sixty classes": lambda: pictures.confusion(np.eye(60), names=[f"name {k}" for k in range(60)]),
    "padding": lambda: pictures.receptive_field([("a", 5, 1, 4)], shape=(3, 9), place=(0, 0)),
    "a flat function": lambda: pictures.trace(lambda x, y: 0 * x, {"a": [(1, 1)]}),
    "one trial": lambda: pictures.search([{"rate": 0.1, "kind": None, "score": 0.5}]),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_are_drawn_without_a_warning(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EXTREMES[case]().draw_without_rendering()


def test_figures_are_drawn_without_pyplot_and_leave_no_settings_behind(tmp_path):
    program = """
import sys
import matplotlib
from graphc import pictures
before = matplotlib.rcParams.copy()
figure = pictures.confusion([[1, 2], [3, 4]])
figure.savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules and matplotlib.rcParams.copy() == before
"""
    path = tmp_path / "picture.png"
    subprocess.run([sys.executable, "-c", program, path], check=True, timeout=120)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_figures_show_themselves_in_notebooks_and_can_be_pickled():
    figure = pictures.curves(HISTORY)
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    again = pickle.loads(pickle.dumps(figure))
    assert [title(a) for a in again.axes] == [title(a) for a in figure.axes]


def test_a_dark_style_of_the_user_s_does_not_mix_with_ours():
    with style.context("dark_background"):
        figure = pictures.update_ratios({"W": [1e-3, 1e-2]})
        figure.draw_without_rendering()
    assert to_rgba(figure.get_facecolor()) == to_rgba("white")
    assert {t.get_color() for t in figure.axes[0].get_xticklabels()} == {"#5f6368"}
    assert figure.legends[0].get_texts()[0].get_color() == pictures.STYLE["text.color"]


def test_without_matplotlib_pictures_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError) as error:
        pictures.confusion([[1]])
    assert "pictures.confusion needs matplotlib" in str(error.value)
    assert "pip install matplotlib" in str(error.value)


def test_the_page_about_pictures_runs_and_names_all_of_them(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    page = Path(__file__).parent.parent / "docs" / "pictures.md"
    text = page.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    with graphc.config(floatX="float32"):
        exec(compile(python_program(text), str(page), "exec"), {"__name__": "pictures_page"})
    assert all((tmp_path / name).exists() for name in ("curves.png", "filters.png"))
    functions = set(pictures.__all__) - {"PALETTE", "STYLE"}
    assert [name for name in functions if f"`{name}(" not in text] == []
