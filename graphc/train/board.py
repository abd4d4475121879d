"""Event files for TensorBoard, as a hook of `fit`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.node import user_frames
from graphc.data.problems import MissingPackageError
from graphc.train.nonfinite import all_finite

if TYPE_CHECKING:
    from graphc.train.fitting import Run

WRITERS = ("tensorboardX", "torch.utils.tensorboard")
SILENT = ("epoch", "steps")


class TensorBoard:
    """A hook that writes the history, and on demand the parameters, for TensorBoard.

    ``train.fit(..., hooks=[train.TensorBoard("runs/first")])``, and then
    ``tensorboard --logdir runs``. The columns of the history are scalars over the steps, the
    learning rate among them; those of training and validation stand in one group, ``loss/train``
    and ``loss/validation``.

    Parameters
    ----------
    folder : str or Path
        Where event files go.
    every : int, optional
        Steps from one loss of a batch to the next; without it only epochs are written.
    parameters : bool
        Whether histograms of the model's parameters are written after each epoch.

    Raises
    ------
    MissingPackageError
        Where neither tensorboardX nor PyTorch's writer (with the package tensorboard) is
        installed.
    """

    def __init__(
        self, folder: str | Path, every: int | None = None, parameters: bool = False
    ) -> None:
        self.folder, self.every, self.parameters = Path(folder), every, parameters
        self._make = _writer()
        self._writer: Any = None

    def _open(self, run: Run) -> Any:
        """The writer; after a resumption, what was written of later steps is not shown."""
        if self._writer is None:
            purge = run.begun + 1 if run.begun else None
            self._writer = self._make(str(self.folder), purge_step=purge)
        return self._writer

    def after_step(self, run: Run) -> None:
        """The loss of a batch, from time to time."""
        if self.every and run.step % self.every == 0:
            self._open(run).add_scalar("loss/batch", run.loss, run.step)

    def __call__(self, run: Run) -> None:
        """The latest row of the history."""
        writer = self._open(run)
        for name, value in run.history.row().items():
            if name not in SILENT:
                writer.add_scalar(tag_of(name), value, run.step)
        if self.parameters:
            for path, v in run.task.named().items():
                value = v.get_value()
                if value.size and value.dtype.kind == "f" and all_finite(value):
                    writer.add_histogram(f"parameters/{path}", np.asarray(value), run.step)
        writer.flush()

    def close(self) -> None:
        """Close the file; a later epoch opens another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def tag_of(column: str) -> str:
    """How TensorBoard calls a column: ``validation loss`` is ``loss/validation``."""
    if column in ("seconds", "rate"):
        return f"training/{column}"
    name = column.removeprefix("validation ")
    return f"{name}/{'train' if name == column else 'validation'}"


def _writer() -> Any:
    """A class that writes event files."""
    for module in WRITERS:
        try:
            return importlib.import_module(module).SummaryWriter
        except (ImportError, AttributeError):
            continue
    raise MissingPackageError(
        "TensorBoard needs a package that writes its files, and none is installed",
        "pip install tensorboardX (or tensorboard beside PyTorch)", user_frames(),
    )  # fmt: skip
