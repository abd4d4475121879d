"""Lines that are compared in a picture: their artists are looked at, not their pixels."""

import numpy as np
import pytest

from graphc import pictures
from graphc.core.errors import GraphError

pytest.importorskip("matplotlib")


def test_series_draw_a_line_for_each_name_and_leave_gaps():
    figure = pictures.series(
        {"sgd": [1.0, 0.5, np.inf, 0.1], "adam": [1.0, 0.0]},
        x={"sgd": [1, 2, 3, 4], "adam": [1, 5]}, log="y", limits=(1e-3, 2),
        axes_names=("step", "loss"),
    )  # fmt: skip
    (axes,) = figure.axes
    first, second = axes.lines
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["sgd", "adam"]
    assert first.get_xdata().tolist() == [1, 2, 3, 4] and second.get_xdata().tolist() == [1, 5]
    assert np.isnan(first.get_ydata()).tolist() == [False, False, True, False]
    assert np.isnan(second.get_ydata()).tolist() == [False, True], "zero has no logarithm"
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert axes.get_ylim() == (1e-3, 2)
    assert pictures.series({"a": [3, 4]}).axes[0].lines[0].get_xdata().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({}, {}, "values_by_name is empty"),
        ({"a": [np.nan]}, {}, "'a'"),
        ({"a": [1, 2]}, {"x": [1]}, "'a' has 2 values, and x 1 places"),
        ({"a": [1, 2]}, {"x": {"b": [1, 2]}}, "no places for 'a'"),
        ({"a": [1, 2]}, {"log": "z"}, "log is one of"),
    ],
)
def test_series_name_what_they_cannot_draw(given, options, words):
    with pytest.raises(GraphError, match=words):
        pictures.series(given, **options)


def test_a_title_that_is_longer_than_its_picture_is_wrapped():
    figure = pictures.attention(np.eye(3), title="a title of many words: " + "more " * 12)
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1
