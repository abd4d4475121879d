"""Training: a task, `fit` over its data, figures, checkpoints.

A `Task` says what is learned; `fit`, `evaluate` and `predict` are functions of a task and rows.
"""

from graphc.train.board import TensorBoard
from graphc.train.checkpoints import CheckpointError, CheckpointWarning, RunFolder
from graphc.train.figures import Figure
from graphc.train.fitting import Run, fit
from graphc.train.gradients import GradientTable, check_gradients
from graphc.train.history import History
from graphc.train.judging import evaluate, predict
from graphc.train.nonfinite import NonFiniteError
from graphc.train.task import Task

__all__ = [
    "CheckpointError", "CheckpointWarning", "Figure", "GradientTable", "History", "NonFiniteError",
    "Run", "RunFolder", "Task", "TensorBoard", "check_gradients", "evaluate", "fit", "predict",
]  # fmt: skip
