"""A folder in which a run of training survives: checkpoints, a log, the best values.

::

    folder/
      checkpoints/00000120-0003/values.safetensors   all that training changes
                                state.json           where it was, and the history
      best.safetensors, last.safetensors          the model's values, for ``model.load``
      log.csv                                     the history, for other programs

A checkpoint is named by the steps and the epochs that were made. It is written to a hidden
folder, synchronised to the disk, and then renamed: under its name there is a whole one or none.
Each state holds a hash of the values and one of itself, so that a damaged checkpoint (a full
disk, a cut cable) is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphc.core.errors import GraphError
from graphc.core.node import Array, user_frames
from graphc.data.problems import optional
from graphc.files import half_written, lock, sync, whole
from graphc.nn import states

VERSION = 1
WRITTEN = ("best.safetensors", "last.safetensors", "log.csv")
VALUES, STATE = "values.safetensors", "state.json"
NAME = re.compile(r"(\d{8,})-(\d{4,})")
# What a killed process leaves: nothing else that is hidden is ours to remove.
HALF_CHECKPOINT = re.compile(r"\.(old-)?\d{8,}-\d{4,}-\d+")
FILES = r"log\.csv|(best|last)\.safetensors"


class CheckpointError(GraphError, RuntimeError):
    """A folder of checkpoints that can't be used as it was meant."""


class CheckpointWarning(UserWarning):
    """A damaged checkpoint that was passed over."""


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : str or Path
        Made if it is not there.
    keep : int
        How many checkpoints are left when a new one is written.
    """

    def __init__(self, path: str | Path, keep: int = 2) -> None:
        optional("safetensors.numpy", "safetensors", "a folder for checkpoints")
        self.path, self.keep = Path(path), keep
        self.checkpoints = self.path / "checkpoints"

    @contextmanager
    def held(self) -> Iterator[RunFolder]:
        """Keep other processes from training in the same folder; the system undoes it."""
        self._refuse_foreign()
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            _lock(file, self.path)
            self._sweep()
            yield self

    def _refuse_foreign(self) -> None:
        """Don't write over what no run here has left, or what one without checkpoints has."""
        there = [name for name in WRITTEN if (self.path / name).exists()]
        if there and not self.checkpoints.is_dir():
            raise CheckpointError(
                f"{self.path} holds {', '.join(there)} and no checkpoints: training would write "
                "over them", "give another folder, or move them", user_frames(),
            )  # fmt: skip

    def _sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for left in self.checkpoints.iterdir():
            if HALF_CHECKPOINT.fullmatch(left.name):
                shutil.rmtree(left, ignore_errors=True)
        for half in half_written(self.path, FILES):
            half.unlink(missing_ok=True)

    # --- checkpoints ------------------------------------------------------------------

    def names(self) -> list[Path]:
        """The checkpoints, oldest first."""
        there = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        found = [(_place(p), p) for p in there if NAME.fullmatch(p.name)]
        return [path for _, path in sorted(found) if path.is_dir()]

    def save(self, step: int, values: Mapping[str, Array], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, which is there as a whole or not at all.

        Older ones than the newest `keep` are removed once it is there, and so are those of later
        steps: they were damaged, or this run would have gone on from them.
        """
        target = self.checkpoints / f"{step:08d}-{state.get('epoch', 0):04d}"
        if target.exists() and _is_whole(target):  # gone on with, and not a step was made
            return target
        hidden = self.checkpoints / f".{target.name}-{os.getpid()}"
        shutil.rmtree(hidden, ignore_errors=True)
        try:
            hidden.mkdir(parents=True)
            states.write(hidden / VALUES, values)
            with whole(hidden / STATE) as file:
                file.write(_stated(_hash(hidden / VALUES), state))
            sync(hidden)
            if target.exists():
                self._remove(target)
            os.replace(hidden, target)
        except BaseException:  # a full disk: leave what was there before, and no rubbish
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        sync(self.checkpoints)
        names = self.names()
        place = names.index(target)
        for other in (*names[: max(0, place + 1 - self.keep)], *names[place + 1 :]):
            self._remove(other)
        return target

    def _remove(self, path: Path) -> None:
        """Delete a checkpoint, which is hidden first: half of one is never seen."""
        hidden = path.with_name(f".old-{path.name}-{os.getpid()}")
        shutil.rmtree(hidden, ignore_errors=True)
        os.replace(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)  # what stays is removed at the next start

    def newest(self) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """The values and the state of the newest checkpoint that is whole; None if there is none.

        Raises
        ------
        CheckpointError
            If there are checkpoints, and none of them is whole.
        """
        names = self.names()
        for path in reversed(names):
            try:
                return read(path)
            except CheckpointError as error:
                warnings.warn(f"{error.what}; the one before is used", CheckpointWarning, 3)
        if names:
            raise CheckpointError(
                f"none of the {len(names)} checkpoints in {self.checkpoints} is whole",
                "take them from a copy, or train in another folder", user_frames(),
            )  # fmt: skip
        return None

    # --- what other programs read -----------------------------------------------------

    def write_text(self, name: str, text: str) -> None:
        """Write a file, which appears when it is whole."""
        with whole(self.path / name) as file:
            file.write(text.encode())

    def write_values(self, name: str, values: Mapping[str, Array]) -> None:
        """Write the model's values, for ``model.load``."""
        states.write(self.path / f"{name}.safetensors", values)


def read(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The values and the state of a checkpoint.

    Raises
    ------
    CheckpointError
        If it is damaged, or of another version.
    """
    path = Path(path)
    try:
        found = json.loads((path / STATE).read_text())
        version, digest, own = found["version"], found["values"], found["sha256"]
        state: dict[str, Any] = found["state"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{STATE}: {type(error).__name__}: {error}") from error
    if version != VERSION:
        raise CheckpointError(f"{path} has version {version}, not {VERSION}",
                              "it was written by another graphc", user_frames())  # fmt: skip
    if own != _digest(state):
        raise _damaged(path, f"{STATE} is not what was written")
    try:
        written = _hash(path / VALUES)
    except OSError as error:
        raise _damaged(path, f"{VALUES}: {error}") from error
    if written != digest:
        raise _damaged(path, f"{VALUES} is not what was written")
    return states.read(path / VALUES), state


def _stated(values: str, state: Mapping[str, Any]) -> bytes:
    """The text of a state, with the hash of the values and that of itself."""
    plain = json.loads(json.dumps(state))  # as it will be read: tuples are lists
    full = {"version": VERSION, "values": values, "sha256": _digest(plain), "state": plain}
    return json.dumps(full, indent=1).encode()


def _digest(state: Any) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _place(path: Path) -> tuple[int, ...]:
    return tuple(map(int, path.name.split("-")))


def _is_whole(path: Path) -> bool:
    try:
        read(path)
    except CheckpointError:
        return False
    return True


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint {path} is damaged ({why})",
                           "use an older one, or a copy", user_frames())  # fmt: skip


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _lock(file: Any, path: Path) -> None:
    try:
        lock(file)
    except BlockingIOError as error:
        raise CheckpointError(
            f"another run trains in {path}", "give each run a folder of its own",
            user_frames(),
        ) from error  # fmt: skip
    except OSError as error:  # some file systems of networks have no locks
        warnings.warn(f"{path} can't be locked ({error}): see that only one run uses it",
                      CheckpointWarning, 4)  # fmt: skip
