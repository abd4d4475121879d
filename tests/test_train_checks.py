"""`check_gradients`, and the hook for TensorBoard."""

import sys
import types

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((12, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def task(between=T.tanh, dtype="float32", figures=None):
    with graphc.config(floatX=dtype):
        x, y = T.matrix("x"), T.ivector("y")
        model = nn.Sequential(nn.Dense(4, 5, seed=1), between, nn.Dense(5, 2, seed=2))
        return train.Task(model, x, y, nn.losses.cross_entropy, figures, optimiser=optim.sgd,
                          learning_rate=0.1, mode="numpy")  # fmt: skip


# --- gradients ------------------------------------------------------------------------


def test_right_gradients_are_found_right_in_float64():
    with graphc.config(floatX="float32"):
        norm = nn.Sequential(nn.BatchNorm(5), nn.Dropout(0.4, seed=3), T.tanh)
    made = task(norm)
    before = {k: v.get_value() for k, v in made.kept.items()}
    table = train.check_gradients(made, (X, Y), raises=True)
    assert table.precision == "float64" and table.right and table.worst.error < 1e-5
    assert [row.name for row in table.rows] == list(made.model.named())[: len(table.rows)] or (
        {row.name for row in table.rows} <= set(made.model.named())
    )
    assert all(row.size > 0 for row in table.rows if "weights" in row.name)
    for k, v in made.kept.items():
        assert (v.get_value() == before[k]).all(), k
    text = str(table)
    assert "parameter" in text and "4x5" in text and "wrong" not in text


@pytest.mark.parametrize("factor", [0.9, 1.001])
def test_a_wrong_gradient_is_found(factor):
    made = task(lambda h: T.tanh(graphc.gradient.grad_scale(h, factor)))
    table = train.check_gradients(made, (X, Y))
    by_name = {row.name: row for row in table.rows}
    assert not table.right and "<- wrong" in str(table)
    assert by_name["0.weights"].error == pytest.approx(abs(1 - factor), rel=0.2)
    assert by_name["2.weights"].error < 1e-5
    with pytest.raises(graphc.gradient.GradientError, match=r"of 0\.(weights|bias) is not that"):
        train.check_gradients(made, (X, Y), raises=True)


def recurrent(dtype, rate=0.1, **options):
    """A task with a loop: the last state of a recurrent layer."""
    with graphc.config(floatX=dtype):
        x, t = T.tensor3("x"), T.vector("t")
        start = np.random.RandomState(1).standard_normal((3, 3)).astype(dtype)
        W, U = graphc.shared(start[:2], name="W"), graphc.shared(start / 2, name="U")

        def model(x):
            states, _ = graphc.scan(
                lambda row, h: T.tanh(T.dot(row, W) + T.dot(h, U)),
                sequences=x.dimshuffle(1, 0, 2), outputs_info=T.zeros((x.shape[0], 3)),
            )
            return states[-1].sum(axis=1)

        return train.Task(model, x, t, lambda p, t: (p - t) ** 2, optimiser=optim.sgd,
                          learning_rate=rate, params=[W, U], mode="numpy", **options)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_through_loops_are_checked_in_their_precision(dtype):
    sequences = RANDOM.standard_normal((3, 4, 2)).astype(dtype)
    rows = sequences, np.ones(3, dtype)
    found = train.check_gradients(recurrent(dtype), rows, entries=2, directions=1)
    assert found.precision == dtype and found.right, found
    assert [row.name for row in found.rows] == ["0.W", "1.U"]


# --- TensorBoard ----------------------------------------------------------------------


class Writer:
    """Stands in for tensorboardX: notes what it is told."""

    made = []

    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step, self.calls, self.closed = folder, purge_step, [], False
        self.made.append(self)

    def add_scalar(self, tag, value, step):
        assert isinstance(tag, str) and np.isfinite(value) and isinstance(step, int)
        self.calls.append((tag, step))

    def add_histogram(self, tag, values, step):
        assert values.size
        self.calls.append((tag, step))

    def flush(self):
        self.calls.append("flush")

    def close(self):
        self.closed = True


@pytest.fixture
def writers(monkeypatch):
    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


def test_the_history_is_written_for_tensorboard(writers, tmp_path):
    made = task(figures={"accuracy": nn.metrics.accuracy})
    board = train.TensorBoard(tmp_path, every=2, parameters=True)
    train.fit(made, (X, Y), epochs=2, batch=4, validation=(X, Y), hooks=[board], progress=False)
    (writer,) = writers
    assert writer.folder == str(tmp_path) and writer.purge_step is None
    tags = ["loss/train", "accuracy/train", "loss/validation", "accuracy/validation",
            "training/rate", "training/seconds", "parameters/0.weights"]  # fmt: skip
    for tag in tags:
        assert [step for name, step in (c for c in writer.calls if c != "flush")
                if name == tag] == [3, 6]  # fmt: skip
    assert [c[1] for c in writer.calls if c[0] == "loss/batch"] == [2, 4, 6]
    assert writer.calls[-1] == "flush"
    board.close()
    assert writer.closed


def test_steps_after_the_one_that_is_gone_on_from_are_not_shown(writers, tmp_path):
    pytest.importorskip("safetensors")
    for epochs in (1, 2):
        train.fit(task(), (X, Y), epochs=epochs, batch=4, folder=tmp_path / "run", progress=False,
                  hooks=[train.TensorBoard(tmp_path / "board")])  # fmt: skip
    assert [w.purge_step for w in writers] == [None, 4]


def test_a_missing_writer_says_what_to_install(monkeypatch, tmp_path):
    for name in ("tensorboardX", "torch", "torch.utils", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="none is installed") as raised:
        train.TensorBoard(tmp_path)
    assert "pip install tensorboardX" in str(raised.value)


def test_event_files_are_written(tmp_path):
    pytest.importorskip("tensorboardX")
    board = train.TensorBoard(tmp_path, parameters=True)
    train.fit(task(), data.from_arrays(X, Y), epochs=1, batch=4, hooks=[board], progress=False)
    board.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    content = path.read_bytes()
    assert b"loss/train" in content and b"parameters/0.weights" in content
