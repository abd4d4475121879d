"""The gallery shows every example, which says what it shows and what it should reach."""

import re
from pathlib import Path

import gallery
import pytest

LISTED = [name for part in gallery.GALLERY.values() for name in part]
NAMES = sorted(path.stem for path in gallery.EXAMPLES.glob("*.py"))


def test_every_example_is_in_the_gallery_once():
    assert sorted(LISTED) == NAMES


def test_the_page_is_that_of_the_examples():
    assert gallery.PAGE.read_text("utf-8") == gallery.page(), "python tests/gallery.py"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_shows_and_what_it_should_reach(name):
    text = (gallery.EXAMPLES / f"{name}.py").read_text("utf-8")
    title, reach = gallery.docstring(name)
    assert title.endswith(".") and "|" not in title + reach
    assert re.search(r"\d|fewer|more", reach), "Should reach: a figure"
    assert f"\n    python examples/{name}.py\n" in text
    assert text.count("\n") < gallery.MOST_LINES
    assert f'Path("example-output/{name}")' in text


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_a_small_picture_and_a_test_of_its_figures(name):
    png = (gallery.SMALL / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) < gallery.MOST_BYTES
    assert f'printed("{name}.py"' in (Path(__file__).parent / "test_examples.py").read_text()


def test_no_small_picture_is_left_over():
    assert sorted(path.stem for path in gallery.SMALL.glob("*")) == NAMES
