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


def printed(name, out):
    """What an example prints; it must save pictures, too."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), "--out", str(out / "pictures")],
        env=environment, text=True, capture_output=True, timeout=900, cwd=out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["pictures"], "it writes elsewhere"
    assert list((out / "pictures").glob("*.png"))
    return done.stdout


def figures(text, pattern):
    """The numbers that groups of a pattern match, all of its matches one after the other."""
    found = [float(x) for match in re.finditer(pattern, text) for x in match.groups()]
    assert found, text
    return found


def test_a_character_lstm_is_better_than_an_ngram_model(tmp_path):
    text = printed("char_lstm.py", tmp_path)
    lstm, ngram = figures(text, r"character: LSTM ([\d.]+), n-gram model ([\d.]+)")
    assert lstm < ngram


def test_sequences_are_reversed_and_added(tmp_path):
    exact = figures(printed("seq2seq_attention.py", tmp_path), r"(?:reverse|add): ([\d.]+)% of")
    assert len(exact) == 2 and min(exact) > 99


def test_a_random_field_tags_better_than_windows(tmp_path):
    text = printed("crf_tagger.py", tmp_path)
    (off,) = figures(text, r"off by ([\d.e+-]+)")
    alone, chain = figures(text, r"loss [\d.]+, ([\d.]+)% of held-out")
    assert off < 1e-4 and chain > 97 and chain > alone + 10


def test_a_turing_machine_copies_more_than_it_was_shown(tmp_path):
    wrong = figures(printed("copy_task.py", tmp_path), r"length \d+: ([\d.]+)% of bits wrong")
    assert len(wrong) == 3 and max(wrong) < 1


def test_digits_are_told_apart(tmp_path):
    assert figures(printed("mlp_digits.py", tmp_path), r"test accuracy +([\d.]+)%")[-1] >= 97.5


def test_descent_finds_the_least_squares(tmp_path):
    text = printed("linear_regression.py", tmp_path)
    (closed,) = figures(text, r"closed form: R2 ([\d.]+)")
    found = figures(text, r"(?:momentum|gradient descent) .* ([\d.]+) +([\d.e+-]+)\n")
    assert closed == 0.51774842 and found[::2] == [closed] * 2
    assert max(found[1::2]) < 1e-5


def test_the_perceptron_separates_what_can_be_separated(tmp_path):
    text = printed("perceptron_adaline.py", tmp_path)
    pattern = r"{}, {}: ([\d.]+)% right, .* ([\d]+) to (\d+) wrong"
    assert figures(text, pattern.format("setosa and versicolor", "perceptron")) == [100, 0, 0]
    assert figures(text, pattern.format("setosa and versicolor", "Adaline"))[0] >= 99
    apart, least, most = figures(text, pattern.format("versicolor and virginica", "perceptron"))
    assert most > least + 5, "it never comes to rest"
    assert figures(text, pattern.format("versicolor and virginica", "Adaline"))[0] >= 94


def test_linear_scores_read_digits(tmp_path):
    text = printed("softmax_regression.py", tmp_path)
    assert figures(text, r"test accuracy ([\d.]+)%") >= [96]
    assert figures(text, r"differ by ([\d.e+-]+)")[0] < 1e-7


def test_hinge_loss_comes_as_low_as_that_of_the_dual_problem(tmp_path):
    text = printed("svm_hinge.py", tmp_path)
    (above,) = figures(text, r": (-?[\d.]+)% above")
    assert -1e-3 <= above < 0.5
    ours, known = figures(text, r"graphc ([\d.]+)%, LinearSVC ([\d.]+)%")
    assert abs(ours - known) <= 1 and ours > 95


def test_xor_needs_two_layers(tmp_path):
    text = printed("xor.py", tmp_path)
    one, two = figures(text, r"layers?: loss [\d.]+, test accuracy ([\d.]+)%")
    assert one <= 75 and two >= 99
    succeeded = figures(text, r"hidden units: (\d+) of 20")
    assert succeeded[0] == 0 and 0 < succeeded[1] < 20 and succeeded[-1] == 20


def test_activations_without_small_slopes_learn_at_once(tmp_path):
    text = printed("activations.py", tmp_path)
    rows = {name: figures(text, rf"(?m)^{name} +[\d,]+ +(\d+) +[\d.]+ +([\d.]+)% +([\d.]+)")
            for name in "sigmoid tanh ReLU leaky PReLU ELU maxout".split()}  # fmt: skip
    slow = rows.pop("sigmoid")
    assert max(accuracy for _, accuracy, _ in rows.values()) >= 97
    assert min(accuracy for _, accuracy, _ in rows.values()) >= 96
    assert max(epochs for epochs, _, _ in rows.values()) <= 4 < slow[0]
    assert slow[2] < 1 / 64 < min(ratio for _, _, ratio in rows.values())


def test_optimisers_come_down_an_ill_conditioned_bowl(tmp_path):
    text = printed("descent.py", tmp_path)
    above = {name.strip(): float(value) for name, value in re.findall(
        r"(?m)^(\w[\w ,]*?)(?: rate| \d|,| *:).*? ([\d.e+-]+) above the least", text)}  # fmt: skip
    assert above["sgd"] < 0.01
    for name in ("momentum", "nesterov", "adagrad", "adam", "amsgrad", "adamax", "nadam"):
        assert above[name] < 1e-5, name
    assert above["lbfgs"] < 1e-10
    assert figures(text, r"falling rate .*? ([\d.e+-]+) above")[0] < 0.01
    assert figures(text, r"full batch .*? ([\d.e+-]+) above")[0] > 0.1


def test_gradients_are_those_of_finite_differences(tmp_path):
    text = printed("gradients.py", tmp_path)
    errors = figures(text, r"(?m)^\d\.\w+ +\d+ +[\d.]+ +([\d.e+-]+)$")
    assert len(errors) == 4 and max(errors) < 1e-8
    forward, central = figures(text, r"(?:forward|central), float64: .* wrong by ([\d.e+-]+)")
    assert central < forward / 10 < 1e-7
    assert "12 expressions passed" in text and "the mistake is caught" in text


def test_three_lenets_read_digits(tmp_path):
    text = printed("lenet_digits.py", tmp_path)
    assert figures(text, r"together: test accuracy ([\d.]+)%")[0] >= 98.8
    assert min(figures(text, r"seed \d+: test accuracy ([\d.]+)%")) >= 98


def test_autoencoders_do_what_pca_does_and_more(tmp_path):
    text = printed("autoencoders.py", tmp_path)
    error = {name: figures(text, rf"(?m)^{name} +([\d.]+) +([\d.]+)$")
             for name in ("PCA, 2", "PCA, 8", "linear, 8", "deep, 2", "8 of 128")}  # fmt: skip
    assert 0.9999 < error["linear, 8"][0] / error["PCA, 8"][0] < 1.01
    assert error["deep, 2"][1] < 0.7 * error["PCA, 2"][1]
    assert error["8 of 128"][1] < 0.7 * error["PCA, 8"][1]
    pca, denoised = figures(text, r"PCA ([\d.]+) \(\d+ components\), denoised ([\d.]+)")
    assert denoised < 0.7 * pca
    restored, trials = figures(text, r"restored (\d+) times of (\d+)")
    assert restored == trials > 0


def test_words_that_are_used_alike_are_near(tmp_path):
    text = printed("word_embeddings.py", tmp_path)
    share, pairs, chance = figures(text, r"nearest: ([\d.]+)% of (\d+), by chance ([\d.]+)%")
    assert share >= 70 and pairs >= 60 and chance < 1


def test_weights_too_small_need_batch_normalisation(tmp_path):
    text = printed("initialisation.py", tmp_path)
    accuracy = {name: figures(text, rf"(?m)^{name}  .* ([\d.]+)%$")[0]
                for name in ("too small", "Xavier", "orthogonal", "He, ReLU")}  # fmt: skip
    assert accuracy.pop("too small") <= 30 and min(accuracy.values()) >= 94
    assert figures(text, r"too small, normalised .* ([\d.]+)%")[0] >= 94


def test_regularised_networks_read_more_digits(tmp_path):
    text = printed("overfitting.py", tmp_path)
    pattern = r"(?m)^{}  .* ([\d.]+)% +([\d.]+)$"
    plain, plain_loss = figures(text, pattern.format("256 units"))
    for name in ("L2", "dropout", "early stop"):
        share, loss = figures(text, pattern.format(name))
        assert share > plain and loss < plain_loss, name
    share, loss = figures(text, pattern.format("dropout, max-norm"))
    assert share >= plain + 2 and loss < 0.75 * plain_loss


def test_the_best_networks_of_a_search_are_better_together(tmp_path):
    text = printed("hyperparameters.py", tmp_path)
    alone, together = figures(text, r"members ([\d.]+)%, ensemble ([\d.]+)%")
    assert together >= 95 and together > alone
