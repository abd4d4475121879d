"""Every example in a docstring does what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import graphc

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = {"graphc": "graphc", "ops": "graphc.ops", "passes": "graphc.passes",
           "runtime": "graphc.runtime"}  # fmt: skip


def modules_with_examples():
    for folder, package in FOLDERS.items():
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            if ">>> " in path.read_text("utf-8"):
                parts = path.relative_to(CHECKOUT / folder).with_suffix("").parts
                yield ".".join([package, *(p for p in parts if p != "__init__")])


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    with graphc.config(floatX="float64"):
        result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed
