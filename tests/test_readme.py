"""The README's program runs as it stands there, and what the README promises is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import graphc

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text("utf-8")
FILE = re.compile(r"<!-- file: (\S+) -->")
LINKS = re.findall(r"\]\((?!https?://|#)([^)#]+)\)", TEXT)


def python_program(text: str) -> str:
    """All Python blocks but those that are files, each on the lines that it has in the file."""
    lines, inside, before = [], False, ""
    for line in text.splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line.strip() == "```python" and not FILE.match(before) if fence else inside
        before = line
    return "\n".join(lines)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The names that the README's program leaves, and what it printed."""
    pytest.importorskip("sklearn")
    printed = []
    names = {
        "__name__": "readme",
        "print": lambda *parts: printed.append(" ".join(map(str, parts))),
    }
    floatX = graphc.config.floatX
    try:
        exec(compile(python_program(TEXT), str(README), "exec"), names)
    finally:
        graphc.config.floatX = floatX
    return names, printed


def test_the_program_has_all_its_blocks():
    assert python_program(TEXT).count("graphc.function(") >= 4


def test_the_classifier_learns(run):
    _, printed = run
    accuracy = next(line for line in printed if line.startswith("accuracy"))
    assert float(accuracy.split()[1]) > 0.9
    losses = [float(line.split()[-1]) for line in printed if line.startswith("epoch")]
    assert losses[-1] < losses[0] / 2


def test_the_insides_are_shown_with_the_program_s_own_lines(run):
    _, printed = run
    everything = "\n".join(printed)
    assert "README.md:" in everything
    assert "log_softmax" in everything and "def kernel(" in everything and "gemm" in everything


def test_interpreted_and_compiled_steps_agree(run):
    names, _ = run
    images, labels = names["images"][:50], names["labels"][:50]
    slow = names["slow_step"](images, labels)
    assert slow == pytest.approx(
        float(names["loss"].eval({names["x"]: images, names["y"]: labels}))
    )


@pytest.mark.parametrize("target", sorted(set(LINKS)))
def test_links_lead_somewhere(target):
    assert (README.parent / target).exists()


def test_pictures_are_embedded_and_not_too_large():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert pictures
    for picture in pictures:
        assert (README.parent / picture).stat().st_size < 200_000


def test_what_is_trained_today_is_used_tomorrow(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("safetensors")
    pytest.importorskip("matplotlib")
    files = re.findall(FILE.pattern + r"\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert [name for name, _ in files] == ["digits.py", "tomorrow.py"]
    paths = [str(README.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    for name, source in files:
        (tmp_path / name).write_text(source)
        done = subprocess.run([sys.executable, name], cwd=tmp_path, env=environment, text=True,
                              capture_output=True, timeout=300)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "curves.png").stat().st_size > 5000
    accuracy = float(re.search(r"'accuracy': ([\d.]+)", done.stdout).group(1))
    assert accuracy > 0.95
    said, are = re.search(r"read as \[(.*)\] and are \[(.*)\]", done.stdout).groups()
    assert sum(a == b for a, b in zip(said.split(), are.split())) >= 8
