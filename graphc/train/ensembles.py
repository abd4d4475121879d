"""Several trained tasks that answer as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from graphc.compiled import Function
from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.graph import substitute
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.nn.ensembles import stacked
from graphc.nn.layer import Layer
from graphc.ops.nnet import logsoftmax, one_hot
from graphc.ops.reduce import argmax, logsumexp, mean
from graphc.ops.shape import dim
from graphc.train.task import Task

BY = ("mean", "probabilities", "vote")


class Ensemble(Task):
    """A task for use whose output is put together from those of trained ones.

    ::

        mean           (out_1 + ... + out_n) / n
        probabilities  log((softmax(out_1) + ... + softmax(out_n)) / n), again scores
        vote           the part of the members whose largest score is that of the class

    `evaluate` and `predict` take it as they take a task. It is one graph and compiled as one;
    inputs, targets, loss, figures and outputs are those of the first member, with the joint
    output in the place of its own. Parameters stay those of the members.

    Parameters
    ----------
    tasks : list of Task
        With inputs of the same dtypes and ranks, and outputs of the same shapes.
    by : {"mean", "probabilities", "vote"}
        How outputs are joined. The last two are for scores of classes, (..., classes). A vote has
        no loss of its own: it is told the mean of the members' losses.
    mode : str, optional
        Of the compiled functions, that of the first member by default.

    Raises
    ------
    ArgumentError, ShapeError
        If the members don't go together.

    Notes
    -----
    Of models without training, `nn.Average` makes a layer: for a `Task`, or to train together.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn, train
    >>> x, y = T.dmatrix("x"), T.dmatrix("y")
    >>> def member(weight):
    ...     model = nn.Dense(1, 1, init=weight)
    ...     return train.Task(model, x, y, nn.losses.squared_error, mode="numpy")
    >>> both = train.Ensemble([member(1.0), member(3.0)])
    >>> train.predict(both, np.array([[1.0], [2.0]])).ravel()
    array([2., 4.])
    >>> train.evaluate(both, (np.ones((4, 1)), np.full((4, 1), 2.5)))
    {'loss': 0.25}
    """

    def __init__(self, tasks: Sequence[Task], by: str = "mean", mode: str | None = None) -> None:
        self.members = list(tasks) if isinstance(tasks, list | tuple) else [tasks]
        self._check(by)
        first = self.members[0]
        self.by, self.model, self.mode = by, None, first.mode if mode is None else mode
        self.inputs, self.targets, self.figures = first.inputs, first.targets, first.figures
        self.params = [p for p in dict.fromkeys(p for t in self.members for p in t.params)]
        self.rate, self.average, self.updates = None, None, []
        self._outputs, self._states = first._outputs, []
        columns = list(zip(*map(self._outputs_of, self.members)))
        joined = [self._joined(list(column)) for column in columns]
        several = isinstance(first.output[1], list | tuple)
        self.output = (tuple(joined) if several else joined[0],) * 2
        self.losses = (self._loss(columns, joined),) * 2
        self.calls = ([], [])

    def _check(self, by: str) -> None:
        for k, member in enumerate(self.members):
            if not isinstance(member, Task):
                hint = "give tasks; nn.Average(*models) makes one model of several" if isinstance(
                    member, Layer) else "give a list of tasks"  # fmt: skip
                raise ArgumentError(f"Ensemble: {member!r} is no task", hint, user_frames())
            for mine, other in zip(self.members[0].inputs, member.inputs):
                if mine.dtype != other.dtype or mine.ndim != other.ndim:
                    raise ArgumentError(
                        f"Ensemble: member {k} takes {describe(other)}, and the first one "
                        f"{describe(mine)}", "members are shown the same rows", user_frames(),
                    )  # fmt: skip
            for what in ("inputs", "targets"):
                counts = [len(getattr(t, what)) for t in (self.members[0], member)]
                if counts[0] != counts[1]:
                    raise ArgumentError(
                        f"Ensemble: member {k} has {counts[1]} {what}, and the first one "
                        f"{counts[0]}", "members are shown the same rows", user_frames(),
                    )  # fmt: skip
        if not self.members:
            raise ArgumentError("Ensemble: there are no tasks", at=user_frames())
        if by not in BY:
            raise ArgumentError(f"Ensemble: by={by!r} is none of {', '.join(BY)}",
                                at=user_frames())  # fmt: skip

    def _outputs_of(self, member: Task) -> list[Variable]:
        """A member's outputs for the inputs of the first one."""
        output = member.output[1]
        made = list(output) if isinstance(output, list | tuple) else [output]
        if len(made) != len(_several(self.members[0].output[1])):
            raise ArgumentError(f"Ensemble: {member!r} has {len(made)} outputs",
                                "members have equally many", user_frames())  # fmt: skip
        return substitute(made, dict(zip(member.inputs, self.inputs)))

    def _joined(self, outputs: list[Variable]) -> Variable:
        together = stacked("Ensemble", outputs)
        if self.by == "mean":
            return mean(together, axis=0)
        for v in outputs:
            if v.ndim < 2 or dtypes.is_discrete(v.dtype):
                raise ShapeError(
                    f"Ensemble: by={self.by!r} is for scores of classes, not {describe(v)}",
                    "outputs are (rows, classes); by='mean' takes all others", user_frames(),
                )  # fmt: skip
        last = together.ndim - 1
        if self.by == "vote":
            votes = one_hot(argmax(together, axis=last), dim(together, last), together.dtype)
            return mean(votes, axis=0)
        # Scores that a softmax turns into the mean of the members' probabilities.
        logs: Any = logsoftmax(together, axis=last)
        return logsumexp(logs, axis=0) - math.log(len(outputs))  # type: ignore[no-any-return]

    def _loss(self, columns: list[Any], joined: list[Variable]) -> Variable:
        """The first member's loss of the joint output; of a vote, the mean of all losses."""
        first = self.members[0]
        if self.by != "vote":
            own = _several(first.output[1])
            return substitute([first.losses[1]], dict(zip(own, joined)))[0]
        found = []
        for member in self.members:
            known = dict(zip(member.inputs + member.targets, self.inputs + self.targets))
            found += substitute([member.losses[1]], known)
        return mean(stacked("Ensemble", found), axis=0)

    @cached_property
    def step(self) -> Function:
        """There is none: members are trained one by one."""
        raise ArgumentError("Ensemble: an ensemble isn't trained", "train its members",
                            user_frames())  # fmt: skip

    def named(self) -> dict[str, SharedVariable]:
        """The members' parameters and states, by the member's place and path."""
        members = enumerate(self.members)
        return {f"{k}.{path}": v for k, t in members for path, v in t.named().items()}


def _several(output: Any) -> Sequence[Any]:
    return output if isinstance(output, list | tuple) else (output,)
