"""The commands that train, judge and use what a file defines, run in this process mostly."""

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import cli, data
from graphc.commands import sources, stops
from graphc.train import History, RunFolder

CHECKOUT = Path(__file__).resolve().parent.parent

FLOWERS = """
import graphc.tensor as T
from graphc import nn, train

def task(hidden=5, activation="tanh", rate=0.05, seed=0):
    x, y = T.dmatrix("x"), T.ivector("y")
    function = {"tanh": T.tanh, "relu": T.nnet.relu}[activation]
    model = nn.Sequential(nn.Dense(3, hidden, function, seed=seed), nn.Dense(hidden, 3, seed=9))
    confusion = train.Figure(lambda p, y: nn.metrics.confusion_matrix(p, y, 3), "sum")
    figures = {"accuracy": nn.metrics.accuracy, "confusion": confusion}
    return train.Task(model, x, y, nn.losses.cross_entropy, figures, learning_rate=rate)
"""

DIGITS = """
import graphc
import graphc.tensor as T
from graphc import nn, train

graphc.config.floatX = "float32"

def task(hidden=16, seed=0):
    x, y = T.matrix("x"), T.ivector("y")
    model = nn.Sequential(nn.Dense(64, hidden, T.tanh, seed=seed), nn.Dense(hidden, 10, seed=1))
    return train.Task(model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy})
"""

NAMES = ("aster", "iris", "rose")


# Tests are known by their parameters: the time must not be in them.
ZIPPED = gzip.compress(b"\0\0\x08\x01\0\0\0\x09abcdefghi", mtime=0)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own for each test, with a model and a table of flowers of three kinds."""
    monkeypatch.chdir(tmp_path)
    Path("flowers.py").write_text(FLOWERS)
    x, y = flowers()
    write_table("flowers.csv", x, y)
    return tmp_path


def flowers(count=90, seed=0):
    random = np.random.RandomState(seed)
    y = np.arange(count) % 3
    return np.eye(3)[y] + 0.2 * random.standard_normal((count, 3)), y


def write_table(name, x, y, order=(0, 1, 2)):
    with open(name, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{k}" for k in order), "kind"])
        writer.writerows([*(repr(float(v)) for v in row[list(order)]), NAMES[k]]
                         for row, k in zip(x, y))  # fmt: skip


def graphc_(*arguments):
    """The status of a command line."""
    return cli.main([str(a) for a in arguments])


def train(*more, model="flowers.py", rows=("--data", "flowers.csv", "--target", "kind")):
    return graphc_("train", model, *rows, *more)


def refused(capsys, status, *arguments, says=()):
    """What a command says on standard error, without a line of graphc's own files."""
    capsys.readouterr()
    assert graphc_(*arguments) == status
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if not line.startswith("note: ")]
    assert str(CHECKOUT / "graphc") not in said and lines[0].startswith(f"graphc {arguments[0]}: ")
    for part in says:
        assert part in said, said
    return said


# --- training, and what a run leaves -------------------------------------------------------------


def test_a_run_is_trained_judged_and_used(capsys):
    assert train("--epochs", 8, "--batch", 10, "--set", "hidden=4", "activation=relu") == 0
    said = capsys.readouterr().out
    assert "flowers.py, hidden=4, activation='relu': 31 parameters to train" in said
    assert "flowers.csv: 72 rows to learn from, 18 to validate with" in said
    assert "epoch 8/8" in said and "graphc evaluate --run runs/flowers" in said
    folder = Path("runs/flowers")
    kept = {p.name for p in folder.iterdir()} - {"curves.png"}
    assert kept == {"best.safetensors", "last.safetensors", "log.csv", "run.json", "checkpoints",
                    ".lock"}  # fmt: skip
    settings = json.loads((folder / "run.json").read_text())
    assert settings["options"] == {"hidden": "4", "activation": "'relu'"}
    assert settings["classes"] == list(NAMES) and settings["versions"]["numpy"] == np.__version__
    assert settings["data"] == [str(Path("flowers.csv").absolute())]

    assert graphc_("evaluate", "--run", folder) == 0
    said = capsys.readouterr().out
    assert "held out, 18 rows" in said and "aster" in said and "accuracy" in said
    assert graphc_("evaluate", "--run", folder, "--json", "--values", "last") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 18 and np.sum(found["figures"]["confusion"]) == 18
    log = list(csv.DictReader(open(folder / "log.csv")))
    assert float(log[-1]["validation loss"]) == pytest.approx(found["figures"]["loss"])
    assert found["figures"]["accuracy"] > 0.9


def test_a_model_s_values_are_chosen(capsys):
    train("--epochs", 3, "--rate", 0.01)
    capsys.readouterr()
    losses = {}
    for which in ("best", "last", "runs/flowers/best.safetensors"):
        graphc_("evaluate", "--run", "runs/flowers", "--values", which, "--json")
        losses[which] = json.loads(capsys.readouterr().out)["figures"]["loss"]
    assert losses["best"] == losses["runs/flowers/best.safetensors"] == losses["last"]
    train("--epochs", 5, rows=())
    Path("copy.safetensors").write_bytes(Path("runs/flowers/best.safetensors").read_bytes())
    Path("runs/flowers/best.safetensors").unlink()
    capsys.readouterr()
    graphc_("evaluate", "--run", "runs/flowers", "--json")
    found = json.loads(capsys.readouterr().out)
    assert "checkpoint" in found["values"] and found["figures"]["loss"] < losses["best"]
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", "--values", "best",
            says=["isn't there"])  # fmt: skip
    Path("copy.safetensors").write_bytes(Path("copy.safetensors").read_bytes()[:-9])
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", "--values", "copy.safetensors",
            says=["not a whole file"])  # fmt: skip
    refused(capsys, 2, "evaluate", "--run", "runs/flowers", "--values", "none.npz",
            says=["there is no such file"])  # fmt: skip


def values_of(folder):
    return {n: (Path(folder) / n).read_bytes() for n in ("best.safetensors", "last.safetensors")}


def test_training_again_goes_on_with_the_same_settings(capsys):
    train("--epochs", 4, "--out", "whole", "--seed", 3, "--every", 2)
    train("--epochs", 2, "--out", "parts", "--seed", 3, "--batch", 32)
    assert train("--epochs", 4, "--out", "parts", rows=()) == 0
    assert values_of("parts") == values_of("whole")
    capsys.readouterr()
    assert graphc_("train", "flowers.py", "--out", "parts") == 0
    assert "nothing is left to do: 4 epochs are over" in capsys.readouterr().out
    before = Path("parts/run.json").read_bytes()
    for other in (("--seed", 0), ("--batch", 5), ("--set", "hidden=6"), ("--split", "0.5,0.5")):
        refused(capsys, 2, "train", "flowers.py", "--out", "parts", *other,
                says=["holds a run with other settings", other[0], "--fresh"])  # fmt: skip
    assert Path("parts/run.json").read_bytes() == before


def test_fresh_begins_again(capsys):
    train("--epochs", 3)
    train("--epochs", 1, "--fresh", "--seed", 5)
    log = list(csv.DictReader(open("runs/flowers/log.csv")))
    assert len(log) == 1 and json.loads(Path("runs/flowers/run.json").read_text())["seed"] == 5


def test_a_changed_file_is_noticed(capsys):
    train("--epochs", 1)
    before = Path("runs/flowers/run.json").read_bytes()
    Path("flowers.py").write_text(FLOWERS + "\n# a remark\n")
    assert train("--epochs", 2, rows=()) == 0
    assert "flowers.py has changed since" in capsys.readouterr().err
    Path("runs/flowers/run.json").write_bytes(before)
    Path("flowers.py").write_text(FLOWERS.replace("T.tanh", "T.sin"))
    refused(capsys, 1, "train", "flowers.py", says=["another graph", "--fresh to begin again"])
    assert Path("runs/flowers/run.json").read_bytes() == before
    Path("flowers.py").write_text(FLOWERS.replace("hidden=5", "hidden=6"))
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", says=["not the values of this model"])
    Path("flowers.py").unlink()
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", says=["is gone"])
    Path("moved.py").write_text(FLOWERS)
    assert graphc_("evaluate", "--run", "runs/flowers", "moved.py") == 0


def test_curves_are_saved_or_missed_in_a_line(capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    train("--epochs", 1)
    assert Path("runs/flowers/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "curves.png in runs/flowers" in capsys.readouterr().out

    def missing(self):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(History, "curves", missing)
    assert train("--epochs", 1, "--out", "plain") == 0
    assert "no curves.png: No module named 'matplotlib'" in capsys.readouterr().out
    assert not Path("plain/curves.png").exists()


def test_settings_of_the_file_end_with_the_command(capsys):
    Path("digits.py").write_text(DIGITS)
    pytest.importorskip("sklearn")
    with graphc.config(floatX="float64"):
        assert train("--epochs", 1, "--batch", 200, "--mode", "numpy", "--quiet", model="digits.py",
                     rows=("--data", "digits")) == 0  # fmt: skip
        assert graphc.config.floatX == "float64" and graphc.config.mode == "native"
    said = capsys.readouterr().out
    assert "digits: 1,438 rows to learn from, 359 to validate with" in said
    assert "epoch 1/" not in said


# --- data ----------------------------------------------------------------------------------------


def test_predictions_have_the_names_of_classes(capsys):
    train("--epochs", 8, "--batch", 9)
    x, y = flowers(12, seed=1)
    write_table("others.csv", x[y != 0], y[y != 0], order=(2, 0, 1))
    capsys.readouterr()
    assert graphc_("predict", "--run", "runs/flowers", "--data", "others.csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [r["prediction"] for r in rows] == [NAMES[k] for k in y[y != 0]]
    for r in rows:
        assert max(NAMES, key=lambda name: float(r[name])) == r["prediction"]
    graphc_("evaluate", "--run", "runs/flowers", "--data", "others.csv", "--json")
    assert json.loads(capsys.readouterr().out)["figures"]["accuracy"] == 1

    np.save("x.npy", x)
    assert graphc_("predict", "--run", "runs/flowers", "--data", "x.npy", "--out", "p.npz") == 0
    assert graphc_("predict", "--run", "runs/flowers", "--data", "x.npy", "--out", "p.npy") == 0
    assert graphc_("predict", "--run", "runs/flowers", "--data", "x.npy", "--out", "p.csv") == 0
    with np.load("p.npz") as found:
        assert found["output"].shape == (12, 3) and found["classes"].tolist() == list(NAMES)
        np.testing.assert_array_equal(found["prediction"], y)
        np.testing.assert_array_equal(np.load("p.npy"), found["output"])
        exact = [[float(r[n]) for n in NAMES] for r in csv.DictReader(open("p.csv"))]
        np.testing.assert_array_equal(exact, found["output"])
    assert not [p for p in Path().iterdir() if p.name.startswith(".")]

    others = Path("others.csv").read_text()
    Path("others.csv").write_text(others.replace("rose", "tulip"))
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", "--data", "others.csv",
            says=["'tulip' is none of the classes that were learned"])  # fmt: skip
    Path("others.csv").write_text(others.replace("f1", "g1"))
    refused(capsys, 1, "predict", "--run", "runs/flowers", "--data", "others.csv",
            says=["no column 'f1'"])  # fmt: skip


def loaded_task(**options):
    namespace = {}
    exec(FLOWERS, namespace)
    return namespace["task"](**options)


def rows_of(*given, task=None, **how):
    class Model:
        name = "model.py"

        def function(self, name):
            return None

    return sources.load([str(g) for g in given], task or loaded_task(), Model(),
                        sources.Source(**how))  # fmt: skip


def test_every_kind_of_file_is_read(place):
    x, y = flowers()
    np.savez("named.npz", other=np.zeros(3), y=y.astype("int32"), x=x)
    np.savez("ordered.npz", a=x, b=y.astype("int32"))
    np.save("x.npy", x), np.save("y.npy", y.astype("int32"))
    Path("table.tsv").write_text(Path("flowers.csv").read_text().replace(",", "\t"))
    for given in (["named.npz"], ["ordered.npz"], ["x.npy", "y.npy"]):
        rows = rows_of(*given)
        np.testing.assert_array_equal(rows[0], x)
        np.testing.assert_array_equal(rows[1], y)
    for name in ("flowers.csv", "table.tsv"):
        rows = rows_of(name, target="kind")
        np.testing.assert_array_equal(rows["x"], x)
        np.testing.assert_array_equal(rows["y"], y)
    Path("bare.csv").write_text("".join(f"{a},{b},{c},{k}\n" for (a, b, c), k in zip(x, y)))
    for target in ("-1", "3"):
        rows = rows_of("bare.csv", target=target)
        np.testing.assert_array_equal(rows["y"], y)


def test_images_take_the_form_of_the_input(place):
    class Images:
        targets = [T.ivector("y")]

        def __init__(self, x):
            self.inputs = [x]
            self.leaves = [x, *self.targets]

    images = np.arange(5 * 4 * 3, dtype="uint8").reshape(5, 4, 3)
    data.write_idx("images-ubyte.gz", images)
    data.write_idx("labels.idx", np.arange(5, dtype="uint8"))
    for kind, shape in ((T.matrix, (12,)), (T.tensor3, (4, 3)), (T.tensor4, (1, 4, 3))):
        rows = rows_of("images-ubyte.gz", "labels.idx", task=Images(kind("x")))
        np.testing.assert_allclose(rows["x"], images.reshape(5, *shape) / 255)
    image = pytest.importorskip("PIL.Image")
    for name in "ab":
        (place / "pictures" / name).mkdir(parents=True)
        image.fromarray(images[0]).save(place / "pictures" / name / "0.png")
    rows = rows_of("pictures", task=Images(T.tensor4("x")), size=(2, 2))
    assert rows["x"].shape == (2, 3, 2, 2) and rows.classes == ("a", "b")
    rows = rows_of("pictures", task=Images(T.matrix("x")), grey=True, classes=("c", "b", "a"))
    assert rows["x"].shape == (2, 12) and rows["y"].tolist() == [2, 1]


def test_a_number_in_a_table_is_learned_as_a_float(capsys):
    Path("line.py").write_text(
        "import graphc.tensor as T\nfrom graphc import nn, train, optim\n"
        "x, y = T.fmatrix('x'), T.fvector('y')\n"
        "model = nn.Dense(1, 1, init=0.0, dtype='float32')\n"
        "task = train.Task(model, x, y, lambda p, y: (p[:, 0] - y) ** 2, optimiser=optim.sgd)\n"
    )
    Path("line.csv").write_text("x,y\n" + "".join(f"{k / 4},{k}\n" for k in range(-8, 9)))
    rows = ("--data", "line.csv", "--target", "y", "--split", "1", "--rate", "0.3")
    assert train("--epochs", 8, "--batch", 4, model="line.py", rows=rows) == 0
    assert "17 rows to learn from\n" in capsys.readouterr().out
    assert graphc_("predict", "--run", "runs/line", "--data", "line.csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [round(float(r["output0"])) for r in rows] == list(range(-8, 9))
    refused(capsys, 2, "train", "line.py", "--data", "line.csv", "--target", "y", "--out", "o",
            "--set", "a=1", says=["'task' is a variable, which takes no options"])  # fmt: skip


def test_the_file_s_own_data_come_first(capsys):
    own = FLOWERS + """
import numpy as np

def data(source=None):
    y = np.arange(30, dtype="int32") % 3
    rows = np.eye(3)[y], y
    return rows if source is None else (rows, rows) if source == "pair" else source
"""
    Path("flowers.py").write_text(own)
    for given, expected in (
        ((), "24 rows to learn from, 6 to validate"),
        (("--data", "pair"), "30 rows to learn from, 30 to validate"),
        (("--validation", "pair"), "30 rows to learn from, 30 to validate"),
    ):
        assert train("--epochs", 1, "--out", "-".join(("o", *given)), rows=given) == 0
        assert expected in capsys.readouterr().out
    refused(capsys, 1, "train", "flowers.py", "--data", "word", says=["data() returned a str"])
    Path("flowers.py").write_text(FLOWERS + "\ndef data():\n    return 1 / 0\n")
    said = refused(capsys, 1, "train", "flowers.py", says=["data() failed:", "ZeroDivisionError"])
    assert said.count("File ") == 1
    refused(capsys, 2, "train", "flowers.py", "--data", "digits", says=["takes no source"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("cut.csv", b"f0,f1,f2,kind\n1,2,3,rose\n1,2", ["line 3", "may be cut off"]),
        ("cut.npz", b"PK\x03\x04 and no more", ["cut.npz"]),
        ("cut.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", ["cut.npy", "incomplete"]),
        ("cut-ubyte", b"\0\0\x08\x01\0\0\0\x09abc", ["3 of the 9 bytes"]),
        ("cut.idx.gz", ZIPPED[:-6], ["incomplete"]),
        ("nan.csv", b"f0,f1,f2,kind\n" + b"1,2,nan,rose\n1,2,3,iris\n" * 40, ["not finite"]),
        ("wide.csv", b"f0,f1,f2,f3,kind\n" + b"1,2,3,4,rose\n1,2,3,4,iris\n" * 40, ["sizes"]),
        ("floats.csv", b"f0,f1,f2,kind\n" + b"1,2,3,0.5\n" * 40, ["field 'y'", "int32"]),
        ("seven.csv", b"f0,f1,f2,kind\n" + b"1,2,3,7\n" * 40, ["class 7", "3 classes"]),
    ],
)
def test_bad_files_end_with_a_message_and_nothing_is_written(capsys, name, content, says):
    Path(name).write_bytes(content)
    refused(capsys, 1, "train", "flowers.py", "--data", name, "--target", "kind", says=says)
    assert not Path("runs").exists()


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["flower.py"], ["flower.py is not there", "did you mean flowers.py?"]),
        (["."], ["is a folder"]),
        (["flowers.py"], ["no data", "--data NAME"]),
        (["flowers.py", "--data", "digts"], ["did you mean digits", "breast_cancer"]),
        (["flowers.py", "--data", "flower.csv"], ["did you mean flowers.csv?"]),
        (["flowers.py", "--data", "flowers.py"], ["nobody knows how to read it", ".npz"]),
        (["flowers.py", "--data", "iris", "wine"], ["name it alone"]),
        (["flowers.py", "--data", "flowers.csv"], ["--target COLUMN; it has f0, f1, f2, kind"]),
        (["flowers.py", "--data", "iris", "--set", "hiden=3"],
         ["takes no hiden", "did you mean hidden?", "it takes hidden=5, activation='tanh'"]),
        (["flowers.py", "--data", "iris", "--rate", "1", "--set", "rate=2"], ["give one"]),
        (["flowers.py", "--data", "iris", "--batch", "121"], ["more than the 120 rows"]),
        (["flowers.py", "--data", "iris", "--out", "flowers.csv"], ["is a file, not a folder"]),
    ],
)  # fmt: skip
def test_wrong_calls_end_with_status_2(capsys, arguments, says):
    pytest.importorskip("sklearn")
    refused(capsys, 2, "train", *arguments, says=says)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--set", "hidden"], "name=value"),
        (["--set", "hidden=[3"], "neither a Python literal nor a plain word"),
        (["--split", "0.9,0.2"], "add up to 1"),
        (["--epochs", "0"], "at least 1"),
        (["--rate", "-1"], "not above 0"),
        (["--size", "3,4,5"], "height and width"),
        (["--seed", "one"], "'one' is no whole number"),
    ],
)
def test_wrong_options_end_with_the_usage(capsys, option, says):
    with pytest.raises(SystemExit) as end:
        train(*option)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: graphc train MODEL.py") and says in said


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def task(:\n", ["SyntaxError", "line 1"]),
        ("import no_such_module\n", ["no_such_module", "line 1"]),
        ("def tsk(): pass\n", ["defines no 'task' (there is tsk)"]),
        ("def task(): pass\n", ["task() returned None", "is its 'return' missing?"]),
        ("task = 3\n", ["'task' is a int, not a graphc.train.Task"]),
        ("def helper():\n    return [][1]\n\ndef task():\n    return helper()\n",
         ["task() failed:", "line 2, in helper", "line 5, in task", "IndexError"]),
        ("def task():\n    raise SystemExit('enough')\n", ["exit('enough')"]),
        ("import graphc.tensor as T\ndef task():\n    return T.dot(T.matrix(), 'b')\n",
         ["line 3, in task"]),
        ("data = 3\n" + FLOWERS, ["'data' is a int, not a function"]),
    ],
)  # fmt: skip
def test_mistakes_in_the_file_are_shown_without_graphc_s_own_lines(capsys, source, says):
    Path("model.py").write_text(source)
    said = refused(capsys, 1, "train", "model.py", "--data", "iris", says=["model.py", *says])
    assert "site-packages" not in said and __file__ not in said
    assert not Path("runs").exists()


def test_errors_within_training_are_those_of_the_file(capsys):
    own = FLOWERS + """
import numpy as np
from graphc import data as d

def bad(x):
    raise KeyError("lost")

def data(source=None):
    return d.from_arrays(np.eye(3), np.arange(3, dtype="int32")).map(bad)
"""
    Path("flowers.py").write_text(own)
    said = refused(capsys, 1, "train", "flowers.py", says=["in bad", "KeyError: 'lost'"])
    assert said.count("File ") == 1 and not Path("runs").exists()


def test_a_schedule_is_not_overruled(capsys):
    changed = FLOWERS.replace("rate=0.05, ", "").replace("rate=rate", "rate=lambda step: 0.1")
    Path("flowers.py").write_text(changed)
    refused(capsys, 2, "train", "flowers.py", "--data", "flowers.csv", "--target", "kind",
            "--rate", 1, says=["schedule", "a parameter 'rate'"])  # fmt: skip


def test_training_that_explodes_keeps_what_there_was(capsys):
    source = FLOWERS.replace("from graphc import", "from graphc import optim,")
    source = source.replace("learning_rate=rate", "optimiser=optim.sgd, learning_rate=rate")
    source = source.replace(
        "nn.losses.cross_entropy, f", "lambda p, y: (p ** 4).sum(axis=1), f"
    )
    Path("flowers.py").write_text(source)
    command = ("train", "flowers.py", "--data", "flowers.csv", "--target", "kind")
    refused(capsys, 1, *command, "--rate", 1e30, "--every", 1, "--mode", "numpy",
            says=["loss of step", "smaller learning rate", "runs/flowers keeps"])  # fmt: skip
    assert Path("runs/flowers/run.json").is_file()
    assert graphc_("evaluate", "--run", "runs/flowers", "--values", "last") in (0, 1)


def test_folders_that_hold_no_run(capsys, place):
    for command in (["evaluate"], ["sample"], ["predict", "--data", "flowers.csv"]):
        refused(capsys, 2, *command, "--run", "none", says=["there is no such folder"])
        refused(capsys, 2, *command, "--run", place, says=["no run.json"])
    train("--epochs", 1)
    refused(capsys, 2, "evaluate", "--run", "runs", says=["in it with a run: flowers"])
    refused(capsys, 2, "predict", "--run", "runs/flowers", "--data", "flowers.csv",
            "--out", "p.txt", says=[".csv, .npy, .npz"])  # fmt: skip
    refused(capsys, 2, "predict", "--run", "runs/flowers", "--data", "flowers.csv",
            "--out", "no/p.csv", says=["there is no folder"])  # fmt: skip
    Path("runs/flowers/run.json").write_text('{"version": 1')
    refused(capsys, 1, "evaluate", "--run", "runs/flowers", says=["run.json can't be read"])


def test_a_folder_is_for_one_process(capsys):
    train("--epochs", 1)
    with RunFolder("runs/flowers").held():
        refused(capsys, 1, "train", "flowers.py", "--fresh", "--data", "flowers.csv", "--target",
                "kind", says=["another run trains", "a folder of its own"])  # fmt: skip
    assert Path("runs/flowers/best.safetensors").exists()


def test_faults_of_graphc_keep_their_traceback(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("a fault")

    monkeypatch.setattr("graphc.commands.train.fit", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        train("--epochs", 1)
    assert not Path("runs").exists()


def test_a_traceback_is_cut_to_the_user_s_frames(place):
    path = place / "mine.py"
    path.write_text("def f(g):\n    try:\n        g()\n    except ValueError as e:\n"
                    "        raise KeyError('k') from e\n")  # fmt: skip
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    with pytest.raises(KeyError) as caught:
        names["f"](lambda: int("x"))
    text = stops.traced(caught.value, path)
    assert text.index("ValueError") < text.index("direct cause") < text.index("KeyError: 'k'")
    assert text.count(str(path)) == 2
    assert stops.traced(ValueError("elsewhere"), path) is None


# --- samples -------------------------------------------------------------------------------------


def test_samples_are_made_by_the_file(capsys):
    train("--epochs", 1)
    refused(capsys, 1, "sample", "--run", "runs/flowers", says=["defines no sample()"])
    Path("flowers.py").write_text(FLOWERS + """
def sample(task, length=3, seed=0, prompt="> "):
    return f"{prompt}{'x' * length} of {task.model.count}, {seed}"
""")
    assert graphc_("sample", "--run", "runs/flowers") == 0
    assert capsys.readouterr().out == "> xxx of 38, 0\n"
    options = ("--length", 5, "--prompt", "a", "--seed", 2)
    assert graphc_("sample", "--run", "runs/flowers", *options) == 0
    assert capsys.readouterr().out == "axxxxx of 38, 2\n"
    refused(capsys, 2, "sample", "--run", "runs/flowers", "--temperature", 2,
            says=["sample() takes no temperature", "it takes length=3"])  # fmt: skip
    pieces = "\ndef sample(task):\n    yield from 'abc'\n    1 / 0\n"
    Path("flowers.py").write_text(FLOWERS + pieces)
    said = refused(capsys, 1, "sample", "--run", "runs/flowers", says=["sample() failed"])
    assert "ZeroDivisionError" in said


# --- processes -----------------------------------------------------------------------------------


def process(*arguments, **options):
    paths = [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, "-m", "graphc", *map(str, arguments)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def test_ctrl_c_ends_with_a_checkpoint_from_which_the_same_bits_follow(place):
    rows = ("--data", "flowers.csv", "--target", "kind", "--batch", 4)
    running = process("train", "flowers.py", *rows, "--epochs", 100_000)
    log = Path("runs/flowers/log.csv")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        if log.exists() and log.read_text().count("\n") > 2:
            break
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said, complaint = running.communicate(timeout=60)
    assert running.returncode == 130, complaint
    assert "interrupted after" in said and "Traceback" not in complaint
    assert "to go on: graphc train flowers.py" in complaint
    done = len(log.read_text().splitlines()) - 1
    assert 2 <= done < 100_000
    assert train("--epochs", done + 2, rows=()) == 0
    assert train("--epochs", done + 2, "--batch", 4, "--out", "whole") == 0
    assert values_of("runs/flowers") == values_of("whole")
    same = [[{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(open(p))]
            for p in (log, "whole/log.csv")]  # fmt: skip
    assert same[0] == same[1] and len(same[0]) == done + 2


def test_python_m_graphc_works():
    started = process("--version")
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 0 and said.strip() == f"graphc {graphc.__version__}"


def test_help_texts_have_examples(capsys):
    for command in ("train", "evaluate", "predict", "sample"):
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        said = capsys.readouterr().out
        assert end.value.code == 0 and f"usage: graphc {command}" in said and "example" in said
        assert max(map(len, said.splitlines())) <= 100


def test_the_page_s_commands_do_what_it_says(place, capsys):
    pytest.importorskip("sklearn")
    page = (CHECKOUT / "docs" / "command-line.md").read_text("utf-8")
    Path("mlp.py").write_text(page.split("<!-- file: mlp.py -->\n```python\n")[1].split("```")[0])
    commands = page.split("```sh\n")[1].split("```")[0].splitlines()
    for line in commands:
        assert cli.main(line.split()[1:]) == 0
    shown = page.split("```text\n")[1].split("```")[0].splitlines()
    said = capsys.readouterr().out
    for line in (*shown[:3], shown[-1]):
        assert line in said
    accuracy = float(said.split("\naccuracy")[1].split()[0])
    assert len(commands) == 3 and accuracy > 0.94
    right = data.digits()["y"]
    found = [int(r["prediction"]) for r in csv.DictReader(open("predictions.csv"))]
    assert np.mean(found == right) > 0.94


def test_the_page_lists_all_names_and_endings():
    page = (CHECKOUT / "docs" / "command-line.md").read_text("utf-8")
    for name in (*sources.SMALL, *sources.LARGE):
        assert f"`{name}`" in page
    rows = cli.parser().parse_args(["train", "m.py"])
    for option in vars(rows).keys() - {"command", "model", "options", "quiet", "mode"}:
        assert f"--{option}" in page, option


def test_a_task_without_targets_is_given_no_labels(capsys):
    pytest.importorskip("sklearn")
    Path("auto.py").write_text("""
import graphc
import graphc.tensor as T
from graphc import nn, train

graphc.config.floatX = "float32"


def task():
    x = T.matrix("x")
    model = nn.Sequential(nn.Dense(64, 8, T.tanh, seed=0), nn.Dense(8, 64, seed=1))
    return train.Task(model, x, x, nn.losses.squared_error)
""")
    few = ("--epochs", 1, "--batch", 200, "--mode", "numpy")
    assert train(*few, model="auto.py", rows=("--data", "digits")) == 0
    assert graphc_("evaluate", "--run", "runs/auto") == 0
    assert "loss" in capsys.readouterr().out


def test_the_file_of_the_readme_is_trained_by_the_command(capsys):
    """It imports graphc.data, and has trained in runs/digits itself."""
    pytest.importorskip("sklearn")
    text = (CHECKOUT / "README.md").read_text("utf-8")
    source = text.split("<!-- file: digits.py -->\n```python\n")[1].split("```")[0]
    Path("digits.py").write_text(source)
    line = re.search(r"`graphc (train digits\.py [^`]*)`", text).group(1)
    assert graphc_(*line.split(), "--epochs", 1, "--mode", "numpy", "--quiet") == 0
    (Path("runs/command") / "run.json").unlink()
    before = {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}
    refused(capsys, 1, *line.split(), says=["runs/command holds a run that another program made"])
    assert {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()} == before
