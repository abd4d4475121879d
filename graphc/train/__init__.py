"""Training: a task, `fit` over its data, figures, checkpoints.

A `Task` says what is learned; `fit`, `evaluate` and `predict` are functions of a task and rows.
"""

from graphc.train.averages import average_checkpoints, average_values
from graphc.train.board import TensorBoard
from graphc.train.checkpoints import CheckpointError, CheckpointWarning, RunFolder
from graphc.train.ensembles import Ensemble
from graphc.train.figures import Figure
from graphc.train.fitting import Run, fit
from graphc.train.gradients import GradientTable, check_gradients
from graphc.train.history import History
from graphc.train.judging import evaluate, predict
from graphc.train.nonfinite import NonFiniteError
from graphc.train.rates import RateTest, find_learning_rate
from graphc.train.searching import grid_search, random_search
from graphc.train.spaces import choice, integers, log_integers, log_uniform, uniform
from graphc.train.task import Task
from graphc.train.trials import SearchError, Trial, Trials
from graphc.train.watching import Watch

__all__ = [
    "CheckpointError", "CheckpointWarning", "Ensemble", "Figure", "GradientTable", "History",
    "NonFiniteError", "RateTest", "Run", "RunFolder", "SearchError", "Task", "TensorBoard", "Trial",
    "Trials", "Watch", "average_checkpoints", "average_values", "check_gradients", "choice",
    "evaluate", "find_learning_rate", "fit", "grid_search", "integers", "log_integers",
    "log_uniform", "predict", "random_search", "uniform",
]  # fmt: skip
