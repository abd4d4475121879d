"""Stopped and gone on with: the same bits, the same history, and no damage told as none."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("safetensors")

import train_child
from train_child import Count, rows, run, task

from graphc import data, train
from graphc.train import checkpoints

EPOCH = 13  # steps


class Stop(Exception):
    pass


class At:
    """A hook that does something at a step."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def __call__(self, run):
        pass

    def after_step(self, run):
        if run.step == self.step:
            self.action()


def stop():
    raise Stop


def fitted(folder, hooks=(), **options):
    return run(folder, hooks, mode="numpy", **options)


def end(folder):
    """All that a run leaves but for its time: values, state, log, the best and the last."""
    found, state = train.RunFolder(folder).newest()
    del state["seconds"], state["columns"]["seconds"]
    lines = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    place = lines[0].index("seconds")
    log = [line[:place] + line[place + 1 :] for line in lines]
    files = [(folder / f"{name}.safetensors").read_bytes() for name in ("best", "last")]
    return {k: v.tobytes() for k, v in found.items()}, state, log, files


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    fitted(folder, epochs=3, hooks=[Count()])
    return end(folder)


@pytest.fixture
def stopped(tmp_path):
    """The folder of a run with two checkpoints, at steps 18 and 20."""
    with pytest.raises(Stop):
        fitted(tmp_path / "run", [At(21, stop)], epochs=3)
    folder = tmp_path / "run"
    assert [p.name for p in train.RunFolder(folder).names()] == ["00000018-0001", "00000020-0001"]
    return folder


@pytest.mark.parametrize("step", [1, 2, 12, 13, 14, 26, 33])
def test_a_run_that_a_hook_breaks_ends_with_the_same_bits(tmp_path, whole, step):
    with pytest.raises(Stop):
        fitted(tmp_path, [Count(), At(step, stop)], epochs=3)
    history = fitted(tmp_path, [Count()], epochs=3)
    assert end(tmp_path) == whole
    assert history["steps"] == [EPOCH, 2 * EPOCH, 3 * EPOCH]


@pytest.mark.parametrize("number, error", [(signal.SIGINT, KeyboardInterrupt),
                                           (signal.SIGTERM, SystemExit)])  # fmt: skip
def test_a_signal_stops_between_steps_with_a_checkpoint(tmp_path, whole, capsys, number, error):
    for step in (5, EPOCH, 3 * EPOCH):
        kill = At(step, lambda: os.kill(os.getpid(), number))
        with pytest.raises(error) as raised:
            fitted(tmp_path, [Count(), kill], epochs=3)
        assert train.RunFolder(tmp_path).newest()[1]["step"] == step
        assert error is KeyboardInterrupt or raised.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fitted(tmp_path, [Count()], epochs=3)
    assert end(tmp_path) == whole


def test_a_second_signal_stops_at_once(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal should have been raised here")

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, [At(5, twice)], epochs=1)
    assert train.RunFolder(tmp_path).newest()[1]["step"] == 4


def test_without_a_folder_a_signal_ends_training_all_the_same():
    with pytest.raises(KeyboardInterrupt):
        fitted(None, [At(3, lambda: os.kill(os.getpid(), signal.SIGINT))], epochs=1)


def test_a_run_is_made_longer(tmp_path, whole):
    assert len(fitted(tmp_path, [Count()], epochs=1).epochs) == 1
    assert len(fitted(tmp_path, [Count()], epochs=3).epochs) == 3
    assert end(tmp_path) == whole
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    history = fitted(tmp_path, [Count()], epochs=3)
    assert len(history.epochs) == 3  # finished: no step is made
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_hooks_keep_their_states(stopped):
    with pytest.warns(train.CheckpointWarning, match="state of a hook Count"):
        with pytest.raises(Stop):
            fitted(stopped, [Count(), At(23, stop)], epochs=3)
        counted = Count()
        with pytest.raises(Stop):
            fitted(stopped, [counted, At(25, stop)], epochs=3)
        assert counted.count == 5  # of steps 21 ... 25: it wasn't there before step 20
        fitted(stopped, epochs=3)


# --- what doesn't fit -----------------------------------------------------------------


def test_a_run_is_not_begun_over_another(stopped):
    with pytest.raises(train.CheckpointError, match="holds a run already"):
        fitted(stopped, resume=False)


@pytest.mark.parametrize("what", ["model", "constant", "figure"])
def test_another_task_is_refused(stopped, monkeypatch, what):
    def changed(mode=None):
        if what == "model":
            monkeypatch.setattr(train_child.nn.Dropout, "__init__", original_with(0.4))
        made = original(mode)
        if what == "figure":
            made.figures["more"] = made.figures["accuracy"]
        return made

    def original_with(rate):
        init = train_child.nn.Dropout.__init__
        return lambda self, _, seed: init(self, rate, seed=seed)

    original = task
    if what == "constant":
        adam = train_child.optim.adam
        monkeypatch.setattr(train_child.optim, "adam", lambda *a: adam(*a, beta1=0.91))
    monkeypatch.setattr(train_child, "task", changed)
    with pytest.raises(train.CheckpointError, match="of a task with another graph"):
        fitted(stopped, epochs=3)
    if what == "constant":
        assert fitted(stopped, epochs=3, resume="anyway")["epoch"] == [1, 2, 3]


def test_other_rows_are_refused(stopped, monkeypatch):
    for given, message in (
        (rows(104), "100 rows, and these are 104"),
        (rows().take(np.arange(100)[::-1]), "as many rows, with other values"),
        (data.from_arrays(*(rows().columns[k] for k in "xy")), "dtypes or transforms"),
    ):
        monkeypatch.setattr(train_child, "rows", lambda given=given: given)
        with pytest.raises(train.CheckpointError, match=message):
            fitted(stopped, epochs=3)


def test_other_batches_are_refused(stopped):
    with pytest.raises(train.CheckpointError, match="drop_last was False and is True"):
        fitted(stopped, epochs=3, drop_last=True)


# --- damage ---------------------------------------------------------------------------


def cut(path, by=10):
    path.write_bytes(path.read_bytes()[:-by])


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {
    "cut values": lambda p: cut(p / "values.safetensors"),
    "cut state": lambda p: cut(p / "state.json"),
    "empty state": lambda p: (p / "state.json").write_bytes(b""),
    "flipped value": lambda p: flip(p / "values.safetensors", -5),
    "no values": lambda p: (p / "values.safetensors").unlink(),
    "no state": lambda p: (p / "state.json").unlink(),
    "other number": lambda p: (p / "state.json").write_text(
        (p / "state.json").read_text().replace('"step": 20', '"step": 21')
    ),
    "other form": lambda p: (p / "state.json").write_text("[1, 2]"),
    "other version": lambda p: (p / "state.json").write_text(
        (p / "state.json").read_text().replace('"version": 1', '"version": 3', 1)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over(stopped, damage):
    folder = train.RunFolder(stopped)
    damage(folder.names()[-1])
    with pytest.warns(train.CheckpointWarning, match="00000020-0001.*the one before is used"):
        assert folder.newest()[1]["step"] == 18


def test_going_on_from_the_one_before_ends_with_the_same_bits(tmp_path, whole):
    with pytest.raises(Stop):
        fitted(tmp_path, [Count(), At(21, stop)], epochs=3)
    flip(train.RunFolder(tmp_path).names()[-1] / "values.safetensors", 200)
    with pytest.warns(train.CheckpointWarning):
        fitted(tmp_path, [Count()], epochs=3, keep=1)
    assert len(train.RunFolder(tmp_path).names()) == 1
    assert end(tmp_path) == whole


def test_every_byte_of_a_state_counts(stopped):
    path = train.RunFolder(stopped).names()[-1]
    state = path / "state.json"
    content = state.read_bytes()
    read = checkpoints.read(path)
    silent = 0
    for place in np.random.RandomState(0).randint(len(content), size=60):
        flip(state, place)
        try:
            silent += 1
            assert repr(checkpoints.read(path)) == repr(read)  # white space, at most
        except train.CheckpointError:
            silent -= 1
        state.write_bytes(content)
    assert silent < 40


def test_the_time_of_a_part_of_an_epoch_is_kept(tmp_path):
    with pytest.raises(Stop):
        fitted(tmp_path, [At(7, stop)])
    seconds = train.RunFolder(tmp_path).newest()[1]["seconds"]
    assert seconds > 0
    fitted(tmp_path, epochs=1)
    assert train.RunFolder(tmp_path).newest()[1]["seconds"] > seconds


def test_where_all_are_damaged_nothing_is_touched(stopped):
    for path in train.RunFolder(stopped).names():
        cut(path / "values.safetensors")
    before = {p: p.read_bytes() for p in stopped.rglob("*") if p.is_file()}
    with pytest.warns(train.CheckpointWarning):
        with pytest.raises(train.CheckpointError, match="none of the 2 checkpoints .* is whole"):
            fitted(stopped, epochs=3)
    assert {p: p.read_bytes() for p in stopped.rglob("*") if p.is_file()} == before


def test_a_lost_file_of_the_best_epoch_is_told(tmp_path):
    options = {"epochs": 30, "patience": 1, "better": "higher", "monitor": "loss"}
    history = fitted(tmp_path, **options)
    assert history.stopped
    (tmp_path / "best.safetensors").unlink()
    with pytest.raises(train.CheckpointError, match="best epoch, .* can't be read"):
        fitted(tmp_path, **options)


# --- the folder -----------------------------------------------------------------------


def test_two_processes_don_t_train_in_one_folder(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    tmp_path.mkdir(exist_ok=True)
    program = (f"import fcntl; f = open({str(tmp_path / '.lock')!r}, 'w'); "
               "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:  # fmt: skip
        assert other.stdout.readline() == "held\n"
        with pytest.raises(train.CheckpointError, match="another run trains in"):
            fitted(tmp_path, epochs=1)
        other.communicate("\n")
    assert fcntl and fitted(tmp_path, epochs=1)["epoch"] == [1]


def test_what_a_kill_left_is_swept_and_what_is_not_ours_stays(tmp_path):
    ours = [".log.csv.12-00000001", ".best.safetensors.12-0a1b2c3d"]
    theirs = [".pre-commit-config.yaml", ".my-notes", "notes.txt"]
    for name in ours + theirs:
        (tmp_path / name).write_text("x")
    half = tmp_path / "checkpoints" / ".00000007-0000-12"
    half.mkdir(parents=True)
    (half / "values.safetensors").write_text("x")
    (tmp_path / "checkpoints" / "readme-00000001-0000").mkdir()
    fitted(tmp_path, epochs=1)
    assert not half.exists() and not any((tmp_path / name).exists() for name in ours)
    assert all((tmp_path / name).exists() for name in theirs)
    assert (tmp_path / "checkpoints" / "readme-00000001-0000").exists()


@pytest.mark.parametrize("where", ["values", "state", "rename"])
def test_a_full_disk_is_told_and_leaves_the_older_ones(stopped, monkeypatch, where):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = {p: p.read_bytes() for p in (stopped / "checkpoints").rglob("*") if p.is_file()}
    with monkeypatch.context() as patch:
        if where == "values":
            patch.setattr(checkpoints.states, "write", full)
        elif where == "state":
            patch.setattr(checkpoints, "whole", full)
        else:
            patch.setattr(checkpoints.os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            fitted(stopped, epochs=3)
    after = {p: p.read_bytes() for p in (stopped / "checkpoints").rglob("*") if p.is_file()}
    assert after == before
    assert fitted(stopped, epochs=3)["epoch"] == [1, 2, 3]


def test_a_state_is_plain_json_and_a_run_moves_with_its_folder(stopped, tmp_path):
    state = json.loads((train.RunFolder(stopped).names()[-1] / "state.json").read_text())
    assert state["state"]["step"] == 20 and state["version"] == 1
    shutil.copytree(stopped, tmp_path / "moved")
    assert fitted(tmp_path / "moved", epochs=2)["epoch"] == [1, 2]


@pytest.mark.parametrize("name", ["best.safetensors", "log.csv"])
def test_files_of_something_else_are_not_written_over(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(train.CheckpointError, match=f"holds {name} and no checkpoints"):
        fitted(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"
