"""What happens inside a model while it trains: activations, gradients, sizes of updates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from graphc.api import function
from graphc.compiled import Function
from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Array, Variable, describe, user_frames
from graphc.data.order import read_count
from graphc.data.problems import problem
from graphc.nn.layer import Layer
from graphc.nn.outputs import named_outputs
from graphc.ops.elementwise import cast, sqr, sqrt
from graphc.ops.reduce import sum as sum_
from graphc.passes.autodiff import grad
from graphc.train.judging import fed
from graphc.train.task import Task

LIMITS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softsign": (-1.0, 1.0), "erf": (-1.0, 1.0)}
"""The bounds of activations that have any."""

_NEAR = 0.025  # of the range from one limit to the other: tanh beyond 0.95

Series = dict[str, list[Array]]
Numbers = dict[str, dict[str, list[float]]]


class Watch:
    """A hook of `fit` that looks at the inside of a model, always on the same rows.

    After each epoch, or every few steps, it computes what each layer makes of the rows in
    training, the gradients of the loss with respect to the parameters, and the update that the
    optimiser would make. Nothing is changed by that: no parameter, no running average, and draws
    are those that the next step will make.

    Parameters
    ----------
    task : Task
        The one that is trained.
    rows : Dataset, or tuple or dict of arrays
        What to look at, as for `fit`; the first `batch` of them.
    layers : list of layers, or dict of variables, optional
        Whose results to record, or which expressions of the task's inputs; by default all layers
        that have none inside, as `nn.layer_outputs` names them.
    every : int, optional
        Steps from one look to the next, instead of one after each epoch.
    batch : int
        How many rows.
    values : int
        How many numbers of an array are kept of each look, from its least to its largest at even
        distances in their order, so that they are distributed as all are.

    Attributes
    ----------
    steps : list of int
        At which each look was; the lists below have an entry for each.
    activations, gradients : dict of lists of arrays
        By layer, and by the parameter's path: sorted samples, for ``graphc.pictures.histograms``.
    ratios : dict of lists of float
        ``|update| / |parameter|``, norms of both, for ``graphc.pictures.update_ratios``; NaN
        where a parameter is 0.
    statistics : dict of dicts of lists
        Of all numbers of each activation: ``mean``, ``deviation``, ``zeros`` (the part that is
        0), ``dead`` (the part of units, features or channels, that are 0 for all rows), and
        ``saturated`` where an activation has limits: the part closer to one of them than a
        fortieth of the range, beyond 0.95 for tanh.
    gradient_statistics : dict of dicts of lists
        ``mean``, ``deviation`` and ``norm``.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn, optim, train
    >>> x, y = T.dmatrix("x"), T.ivector("y")
    >>> model = nn.Sequential(nn.Dense(2, 3, T.nnet.relu, seed=0), nn.Dense(3, 2, seed=1))
    >>> task = train.Task(model, x, y, nn.losses.cross_entropy, optimiser=optim.sgd, mode="numpy")
    >>> rows = np.eye(2), np.array([0, 1], "int32")
    >>> watch = train.Watch(task, rows)
    >>> history = train.fit(task, rows, epochs=3, batch=2, hooks=[watch], progress=False)
    >>> watch.steps, list(watch.activations), list(watch.statistics["0 dense"])
    ([1, 2, 3], ['0 dense', '1 dense'], ['mean', 'deviation', 'zeros', 'dead'])
    >>> watch.gradients["1.bias"][-1].shape, len(watch.ratios["0.weights"])
    ((2,), 3)
    """

    def __init__(
        self, task: Task, rows: Any, layers: Any = None, *, every: int | None = None,
        batch: int = 256, values: int = 400,
    ) -> None:  # fmt: skip
        self.task = task
        self.every = None if every is None else read_count(every, "every")
        self.values = read_count(values, "values", 2)
        self.expressions = self._expressions(layers)
        self.names = {v: path for path, v in task.named().items() if v in set(task.params)}
        self.arrays = self._first(rows, read_count(batch, "batch"))
        self.steps: list[int] = []
        self.activations: Series = {name: [] for name in self.expressions}
        self.gradients: Series = {self._path(p): [] for p in task.params}
        self.ratios: dict[str, list[float]] = {self._path(p): [] for p in task.params}
        self.statistics: Numbers = {name: {} for name in self.expressions}
        self.gradient_statistics: Numbers = {name: {} for name in self.gradients}

    def _path(self, parameter: Any) -> str:
        return self.names.get(parameter) or parameter.name or f"{self.task.params.index(parameter)}"

    def _expressions(self, layers: Any) -> dict[str, Variable]:
        """What is recorded, by name."""
        if isinstance(layers, Mapping):
            for name, v in layers.items():
                if not isinstance(v, Variable):
                    raise ArgumentError(f"Watch: {name!r} is {v!r}, no expression",
                                        "{'hidden': expression}", user_frames())  # fmt: skip
            return {str(name): v for name, v in layers.items()}
        calls, inputs = self.task.calls[0], self.task.inputs
        if layers is None:
            return named_outputs(self.task.model, calls, inputs)
        wanted = [layers] if isinstance(layers, Layer) else list(layers)
        called = {call.layer for call in calls}
        for layer in wanted:
            if layer not in called:
                raise ArgumentError(f"Watch: the task's model doesn't call {layer!r}",
                                    "give layers of the model, or a dict of expressions",
                                    user_frames())  # fmt: skip
        chosen = [call for call in calls if call.layer in wanted]
        return named_outputs(self.task.model, chosen, inputs, containers=True)

    def _first(self, rows: Any, batch: int) -> list[Array]:
        given, feed = fed(self.task, rows, self.task.leaves)
        known = given.length()
        batches = given.batches(batch if known is None else min(batch, known))
        for taken in batches:
            batches.close()
            return [np.array(array) for array in feed(taken)]
        raise problem("Watch: there are no rows", "is the generator used up?")

    # --- what is compiled -------------------------------------------------------------

    @cached_property
    def compute(self) -> Function:
        """From the rows to activations, gradients, and norms of updates and parameters."""
        task = self.task
        for name, v in self.expressions.items():
            if dtypes.is_continuous(v.dtype) and v.dtype != dtypes.real_of(v.dtype):
                raise ArgumentError(f"Watch: {name!r}, {describe(v)}, is complex",
                                    "give its real and imaginary part", user_frames())  # fmt: skip
        new = dict(task.updates)
        norms: list[Variable] = []
        for p in task.params:
            wide: Any = cast(p, dtypes.wide(p.dtype))
            change = cast(new[p], dtypes.wide(p.dtype)) - wide if p in new else wide * 0
            norms += [_norm(change), _norm(wide)]
        outputs = [*self.expressions.values(), *grad(task.losses[0], task.params), *norms]
        return function(
            task.leaves, outputs, no_default_updates=True, name="watch",
            mode=task.mode, on_unused_input="ignore",
        )  # fmt: skip

    # --- looking ----------------------------------------------------------------------

    def look(self, step: int = 0) -> None:
        """Look once: before training, for example."""
        found = self.compute(*self.arrays)
        count, trained = len(self.expressions), len(self.task.params)
        self.steps.append(int(step))
        for (name, v), array in zip(self.expressions.items(), found):
            array = _as_float(array)
            self.activations[name].append(sample(array, self.values))
            _enter(self.statistics[name], _of_activation(v, array, self._unit_axis(v)))
        norms = found[count + trained :]
        for k, p in enumerate(self.task.params):
            name, array = self._path(p), _as_float(found[count + k])
            self.gradients[name].append(sample(array, self.values))
            norm = float(np.sqrt((array**2).sum()))
            _enter(self.gradient_statistics[name], {**_moments(array), "norm": norm})
            change, size = (float(v) for v in norms[2 * k : 2 * k + 2])
            self.ratios[name].append(change / size if size > 0 else float("nan"))

    def _unit_axis(self, v: Variable) -> int | None:
        """The axis of features or channels."""
        if v.ndim < 2:
            return None
        call = next((c for c in self.task.calls[0] if c.output is v), None)
        places = call is not None and call.layer.reach not in (None, "all")
        return v.ndim - 1 if v.ndim == 3 and not places else 1

    def __call__(self, run: Any) -> None:
        if self.every is None:
            self.look(run.step)

    def after_step(self, run: Any) -> None:
        """Look, if it is time."""
        if self.every is not None and run.step % self.every == 0:
            self.look(run.step)

    # --- what a checkpoint keeps ------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that was seen, as JSON can hold it."""
        return {
            "steps": self.steps, "ratios": self.ratios, "statistics": self.statistics,
            "gradient_statistics": self.gradient_statistics,
            "activations": {k: [v.tolist() for v in s] for k, s in self.activations.items()},
            "gradients": {k: [v.tolist() for v in s] for k, s in self.gradients.items()},
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen."""
        if set(state["activations"]) != set(self.activations) or set(state["ratios"]) != set(
            self.ratios
        ):
            raise ArgumentError(
                "Watch: the checkpoint is of a watch over "
                + ", ".join([*state["activations"], *state["ratios"]]),
                "watch the same layers, or train in another folder", user_frames(),
            )  # fmt: skip
        self.steps, self.ratios = list(state["steps"]), dict(state["ratios"])
        self.statistics = dict(state["statistics"])
        self.gradient_statistics = dict(state["gradient_statistics"])
        for name in ("activations", "gradients"):
            held = {k: [np.array(v) for v in s] for k, s in state[name].items()}
            setattr(self, name, held)


def sample(array: Array, count: int) -> Array:
    """At most so many numbers of an array, sorted, and distributed as all are."""
    ordered = np.sort(array, axis=None)
    if ordered.size <= count:
        return ordered
    return ordered[np.linspace(0, ordered.size - 1, count).round().astype(int)]


def _of_activation(v: Variable, array: Array, axis: int | None) -> dict[str, float]:
    zero = array == 0
    others = tuple(k for k in range(array.ndim) if k != axis)
    found = {
        **_moments(array), "zeros": float(zero.mean()),
        "dead": float(zero.all(axis=others).mean()),
    }  # fmt: skip
    limits = LIMITS.get(v.op.name) if v.op is not None else None
    if limits is not None:
        near = _NEAR * (limits[1] - limits[0])
        beyond = (array < limits[0] + near) | (array > limits[1] - near)
        found["saturated"] = float(beyond.mean())
    return found


def _moments(array: Array) -> dict[str, float]:
    with np.errstate(all="ignore"):
        return {"mean": float(array.mean()), "deviation": float(array.std())}


def _enter(columns: dict[str, list[float]], row: Mapping[str, float]) -> None:
    for name, value in row.items():
        columns.setdefault(name, []).append(value)


def _as_float(array: Any) -> Array:
    return dtypes.convert(array, "float64")


def _norm(v: Any) -> Variable:
    return sqrt(sum_(sqr(v)))
