"""What is done to rows: scaling, whitening, one-hot, augmentation; and how they are split."""

import dataclasses
import re

import numpy as np
import pytest

import graphc
from graphc import data
from graphc.data import DataError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(3, 2, shape)


@pytest.mark.parametrize("rows", [2, 1024, 2500])
def test_fitted_on_parts_is_fitted_on_all(rows):
    x = normal(rows, 3, 2) * [1.0, 100.0]
    fitted = data.Standardise.fit(x)
    np.testing.assert_allclose(fitted.mean, x.mean(axis=0))
    np.testing.assert_allclose(fitted.deviation, x.std(axis=0))
    channel = data.PerChannel.fit(data.from_arrays(x))
    np.testing.assert_allclose(channel.mean, x.mean(axis=(0, 2))[:, None])
    np.testing.assert_allclose(channel.deviation, x.std(axis=(0, 2))[:, None])
    np.testing.assert_allclose(data.MeanImage.fit(x)(x), x - x.mean(axis=0))


def test_transforms_are_fitted_on_what_earlier_transforms_give():
    rows = data.from_arrays(np.array([[0, 255], [255, 0]], "uint8")).map(data.Scale(255))
    np.testing.assert_allclose(data.Standardise.fit(rows).mean, [0.5, 0.5])
    ready = rows.map(data.Standardise.fit(rows))
    np.testing.assert_allclose(ready["x"], [[-1, 1], [1, -1]])


@pytest.mark.parametrize(
    "fit",
    [
        data.Standardise.fit, data.PerChannel.fit, data.MeanImage.fit, data.Whiten.fit,
        lambda x: data.Whiten.fit(x, "zca"),
    ],
)  # fmt: skip
def test_fitted_transforms_are_inverted_saved_and_keep_dtypes(fit):
    train, test = normal(50, 4), normal(7, 4, seed=1)
    fitted = fit(train)
    found = fitted(test)
    np.testing.assert_allclose(fitted.inverse(found), test)
    again = type(fitted).from_state(fitted.state_dict())
    np.testing.assert_array_equal(again(test), found)
    assert fitted(test.astype("float32")).dtype == "float32"
    with graphc.config(floatX="float32"):
        assert fitted(np.zeros((2, 4), "uint8")).dtype == "float32"
    for bad in (np.zeros((2, 5)), np.zeros(4)):
        with pytest.raises(DataError, match="rows have shape"):
            fitted(bad)
    with pytest.raises(DataError, match="the state has"):
        type(fitted).from_state({"mean": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.mean = 0


def test_what_never_changes_becomes_zero():
    x = np.column_stack([np.full(5, 7.0), np.arange(5)])
    assert not data.Standardise.fit(x)(x)[:, 0].any()


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_whitened_rows_are_uncorrelated(kind):
    x = normal(3000, 2, 3) @ normal(3, 3, seed=1)
    fitted = data.Whiten.fit(x, kind, epsilon=0)
    found = fitted(x)
    assert found.shape == (x.shape if kind == "zca" else (3000, 6))
    np.testing.assert_allclose(np.cov(found.reshape(3000, -1).T, ddof=0), np.eye(6), atol=1e-9)
    if kind == "zca":
        assert np.allclose(fitted.matrix, fitted.matrix.T)


def test_pca_keeps_the_strongest_components():
    x = normal(400, 3) * [1, 10, 5]
    fitted = data.Whiten.fit(x, components=2)
    assert fitted(x).shape == (400, 2)
    assert np.abs(fitted.matrix).argmax(axis=0).tolist() == [1, 2]
    exact = x - x.mean(axis=0)
    exact -= exact @ np.linalg.svd(exact)[2][2:].T @ np.linalg.svd(exact)[2][2:]
    np.testing.assert_allclose(fitted.inverse(fitted(x)), exact + x.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: data.Whiten.fit(normal(9, 2), "ica"), "kind='ica'"),
        (lambda: data.Whiten.fit(normal(9, 2), components=3), "3 components of 2 elements"),
        (lambda: data.Whiten.fit(normal(9, 2), "zca", components=1), "by zca"),
        (lambda: data.Whiten.fit(np.ones((9, 2)), epsilon=0), "don't vary in all of 2"),
        (lambda: data.Standardise.fit(np.array([[1.0], [np.nan]])), r"x\[1, 0\] = nan"),
        (lambda: data.Standardise.fit(np.zeros((0, 2))), "no rows"),
        (lambda: data.PerChannel.fit(np.zeros(3)), "no axis 1"),
        (lambda: data.one_hot([0, 3], 3), "label 3 in row 1 among 3 classes"),
        (lambda: data.one_hot([0, -1], 3), "label -1 in row 1"),
        (lambda: data.one_hot([0.0, 1.0], 3), r"whole numbers: y.astype\('int32'\)"),
        (lambda: data.one_hot([0.5, 1.0], 3), "labels are float64"),
        (lambda: data.one_hot([[0], [1]], 3), r"labels have shape \(2, 1\)"),
        (lambda: data.one_hot([0], 0), "classes is 0"),
        (lambda: data.Flip(axis=0)(np.zeros((2, 3))), "no axis 0 within rows"),
        (lambda: data.Crop((5, 2))(np.zeros((2, 4, 4))), r"doesn't fit into images of \(4, 4\)"),
        (lambda: data.Shift(1)(np.zeros((2, 64))), "holds no images"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(DataError) as caught:
        make()
    assert re.search(words, str(caught.value)), str(caught.value)


def test_one_hot_rows():
    rows = data.from_arrays(np.zeros(3), np.array([2, 0, 1])).map(data.OneHot(3), "y")
    np.testing.assert_array_equal(rows["y"], np.eye(3)[[2, 0, 1]])
    assert data.OneHot(3).inverse(rows["y"]).tolist() == [2, 0, 1]


# Augmentation ------------------------------------------------------------------------------------

IMAGES = np.arange(1.0, 2 * 30 * 3 * 5 * 4 + 1).reshape(60, 3, 5, 4)


def test_flipped_images_are_images_or_mirrored():
    found = data.Flip(seed=1)(IMAGES)
    kept = (found == IMAGES).all(axis=(1, 2, 3))
    turned = (found == IMAGES[..., ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ turned).all() and 10 < kept.sum() < 50


def test_cropped_images_are_parts():
    found = data.Crop((3, 2), seed=1)(IMAGES)
    places = set()
    for image, part in zip(IMAGES, found):
        (place,) = [
            (i, j) for i in range(3) for j in range(3)
            if np.array_equal(image[:, i : i + 3, j : j + 2], part)
        ]  # fmt: skip
        places.add(place)
    assert len(places) == 9
    assert data.CentreCrop((3, 2))(IMAGES).tolist() == IMAGES[..., 1:4, 1:3].tolist()
    assert data.Crop((5, 4), padding=1)(IMAGES).shape == IMAGES.shape


def test_shifted_images_move_as_a_whole_and_zeros_come_in():
    found = data.Shift(1, seed=1)(IMAGES)
    moved = set()
    for image, other in zip(IMAGES, found):
        padded = np.pad(image, [(0, 0), (1, 1), (1, 1)])
        (place,) = [
            (i, j) for i in range(3) for j in range(3)
            if np.array_equal(padded[:, i : i + 5, j : j + 4], other)
        ]  # fmt: skip
        moved.add(place)
    assert len(moved) == 9


@pytest.mark.parametrize(
    "change", [data.Flip(), data.Crop((4, 3)), data.Shift(2), data.Noise(0.5)]
)
def test_draws_depend_on_seed_epoch_and_place(change):
    rows = data.from_arrays(IMAGES).map(change)

    def epochs(rows):
        batches = rows.batches(30)
        return [[x.tobytes() for x, in batches] for _ in range(2)]

    first = epochs(rows)
    assert first == epochs(rows) and first[0] != first[1]
    other = dataclasses.replace(change, seed=9)
    assert epochs(data.from_arrays(IMAGES).map(other)) != first
    same = data.from_arrays(np.concatenate([IMAGES[:30]] * 2)).map(change)
    a, b = (x.tobytes() for (x,) in same.batches(30))
    assert a != b
    if not isinstance(change, data.Noise):
        assert change(IMAGES.astype("uint8")).dtype == "uint8"


# Splits ------------------------------------------------------------------------------------------


def labelled(rows=200):
    labels = np.random.default_rng(0).choice(4, rows, p=[0.6, 0.25, 0.1, 0.05])
    return data.from_arrays(np.arange(rows), labels)


@pytest.mark.parametrize("stratify", [None, "y"])
def test_parts_are_disjoint_and_the_same_every_time(stratify):
    rows = labelled()
    parts = data.split(rows, (0.5, 0.3, 0.2), stratify=stratify)
    assert [len(p) for p in parts] == [100, 60, 40]
    assert sorted(np.concatenate([p["x"] for p in parts])) == list(range(200))
    again = data.split(rows, (100, 60, 40), stratify=stratify)
    assert [p["x"].tolist() for p in parts] == [p["x"].tolist() for p in again]
    other = data.split(rows, (0.5, 0.3, 0.2), seed=1, stratify=stratify)
    assert other[0]["x"].tolist() != parts[0]["x"].tolist()
    if stratify:
        total = np.bincount(rows["y"])
        for p in parts:
            counts = np.bincount(p["y"], minlength=4)
            assert np.abs(counts - total * len(p) / 200).max() <= 2


def test_parts_in_the_order_of_the_rows():
    a, b = data.split(labelled(10), (0.7, 0.3), shuffle=False)
    assert a["x"].tolist() == list(range(7)) and b["x"].tolist() == [7, 8, 9]


def test_plain_arrays_are_split_as_data_sets_are():
    rows = np.arange(10.0), np.arange(10) % 2
    one, other = data.split(rows, (0.5, 0.5), stratify="y")
    assert len(one) == 5 and sorted([*one["x"], *other["x"]]) == rows[0].tolist()
    assert [held.names for _, held in data.kfold({"a": rows[0]}, 2)] == [("a",), ("a",)]
    with pytest.raises(data.DataError, match="parts=0.8 is one number"):
        data.split(rows, 0.8)


@pytest.mark.parametrize("stratify", [None, "y"])
def test_each_row_is_in_one_test_fold(stratify):
    rows = labelled()
    seen = []
    for train, test in data.kfold(rows, 7, stratify=stratify):
        assert sorted([*train["x"], *test["x"]]) == list(range(200))
        assert len(test) in (28, 29)
        seen += test["x"].tolist()
        if stratify:
            assert (np.bincount(test["y"], minlength=4) > 0).all()
    assert sorted(seen) == list(range(200))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda r: data.split(r, (0.5, 0.4)), "add up to 0.9; there are 200 rows"),
        (lambda r: data.split(r, (100, 90)), "add up to 190"),
        (lambda r: data.split(r, (1.1, -0.1)), "add up to 1"),
        (lambda r: data.split(r, (0.999, 0.001)), "one would be empty"),
        (lambda r: data.split(r, stratify="y", shuffle=False), "leave out shuffle"),
        (lambda r: data.split(r.map(lambda y: y / 2, "y"), stratify="y"), "labels are float64"),
        (lambda r: data.kfold(r, 1), "k is 1"),
        (lambda r: data.kfold(r, 201), "201 folds of 200 rows"),
        (lambda r: data.kfold(r, 50, stratify="y"), "fewer than 50 folds"),
        (lambda r: data.split(data.from_generator(lambda: [1])), "Stream can't be chosen"),
    ],
)
def test_bad_splits(make, words):
    with pytest.raises(DataError) as caught:
        make(labelled())
    assert words in str(caught.value)
