"""Pages that are written by programs say what the programs say, and every page is reachable."""

from pathlib import Path

import accuracy

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_accuracies_is_that_of_the_functions():
    assert accuracy.PAGE.read_text("utf-8") == accuracy.page(), "python tests/accuracy.py"


def test_every_page_is_reached_from_an_index():
    indices = (DOCS / "README.md").read_text() + (DOCS / "decisions" / "README.md").read_text()
    pages = [p for p in DOCS.rglob("*.md") if p.name != "README.md"]
    assert [p.name for p in pages if f"({p.name})" not in indices] == []
