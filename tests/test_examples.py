"""What the examples learn: each is run as a reader would, and its figures are checked.

They take minutes, so they are run by ``python -m pytest -m slow`` only.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


def printed(name):
    """What an example prints."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)], env=environment, text=True,
        capture_output=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(text, pattern):
    """The numbers that groups of a pattern match, all of its matches one after the other."""
    found = [float(x) for match in re.finditer(pattern, text) for x in match.groups()]
    assert found, text
    return found


def test_a_character_lstm_is_better_than_an_ngram_model():
    text = printed("char_lstm.py")
    lstm, ngram = figures(text, r"character: LSTM ([\d.]+), n-gram model ([\d.]+)")
    assert lstm < ngram


def test_sequences_are_reversed_and_added():
    exact = figures(printed("seq2seq_attention.py"), r"(?:reverse|add): ([\d.]+)% of")
    assert len(exact) == 2 and min(exact) > 99


def test_a_random_field_tags_better_than_windows():
    text = printed("crf_tagger.py")
    (off,) = figures(text, r"off by ([\d.e+-]+)")
    alone, chain = figures(text, r"loss [\d.]+, ([\d.]+)% of held-out")
    assert off < 1e-4 and chain > 97 and chain > alone + 10


def test_a_turing_machine_copies_more_than_it_was_shown():
    wrong = figures(printed("copy_task.py"), r"length \d+: ([\d.]+)% of bits wrong")
    assert len(wrong) == 3 and max(wrong) < 1


def test_digits_are_told_apart():
    assert figures(printed("mlp_digits.py"), r"test accuracy +([\d.]+)%")[-1] > 97
