"""Pages that are written by programs say what the programs say, and every page is reachable."""

import re
from pathlib import Path

import accuracy
import foreign
import numpy as np
import op_table
import pytest
import scipy.sparse
import theano_page
from test_readme import python_program

import graphc

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_accuracies_is_that_of_the_functions():
    assert accuracy.PAGE.read_text("utf-8") == accuracy.page(), "python tests/accuracy.py"


def test_the_table_of_ops_is_that_of_the_declarations():
    message = "python tests/op_table.py; calls of new ops are in tests/op_examples.py"
    assert op_table.PAGE.read_text("utf-8") == op_table.page(), message


def test_the_page_about_theano_names_what_is_absent():
    assert theano_page.PAGE.read_text("utf-8") == theano_page.page(), "python tests/theano_page.py"


def test_rows_of_the_table_of_ops_are_complete():
    rows = [r for r in op_table.PAGE.read_text("utf-8").splitlines() if r.startswith("| `")]
    named = {name for r in rows for name in re.findall(r"`([^`]*)`", r.split(" | ")[0])}
    assert len(rows) > 250 and {"T.exp", "T.pow", "T.nnet.relu", "stream.normal"} <= named
    for r in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", r)[1:-1]]
        assert len(cells) == 8 and all(cells) and "unknown" not in r, r
        assert set(cells[3].split(", ")) <= {"vjp", "jvp", "0", "no"}, r


def test_names_in_numpy_are_names_in_numpy():
    for entry in op_table.entries():
        path = entry.names[0]
        _, names, _ = foreign.names_of(path, [name.rpartition(".")[2] for name in entry.names])
        for name in names.split(", ") if names != "—" else ():
            found = np.random if name.startswith("Generator.") else np
            if name.startswith("scipy.sparse."):
                found, name = scipy.sparse, name.removeprefix("scipy.sparse.")
            for part in name.split("."):
                found = getattr(found, part)


def test_every_page_is_reached_from_an_index():
    indices = (DOCS / "README.md").read_text() + (DOCS / "decisions" / "README.md").read_text()
    pages = [p for p in DOCS.rglob("*.md") if p.name != "README.md"]
    assert [p.name for p in pages if f"({p.name})" not in indices] == []


def test_the_page_about_loops_runs_and_shows_the_plan_that_is_made():
    page = DOCS / "loops.md"
    text = page.read_text("utf-8")
    program, names = python_program(text), {"__name__": "loops_page"}
    assert program.count("assert ") >= 15
    with graphc.config(floatX="float64"):
        exec(compile(program, str(page), "exec"), names)

    def steps(plan):
        return [line.split(" by ")[0] for line in plan.splitlines()[1:] if "->" not in line]

    assert steps(text.split("```text\n")[1].split("```")[0]) == steps(str(names["train"].plan))


def test_the_page_about_mixed_precision_runs():
    page = DOCS / "mixed-precision.md"
    program = python_program(page.read_text("utf-8"))
    assert program.count("assert ") == 6
    with graphc.config(floatX="float32"):
        exec(compile(program, str(page), "exec"), {"__name__": "mixed_page"})


def test_the_page_about_training_runs(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    page = DOCS / "train.md"
    program, names = python_program(page.read_text("utf-8")), {"__name__": "train_page"}
    assert program.count("assert ") == 11
    with graphc.config(floatX="float32"):
        exec(compile(program, str(page), "exec"), names)
    shown = page.read_text("utf-8").split("| in the folder |")[1].split("\n\n")[0]
    written = {p.name for p in (tmp_path / "runs/digits").iterdir()}
    assert written == {"checkpoints", "best.safetensors", "last.safetensors", "log.csv", ".lock"}
    assert all(name in shown for name in written)
