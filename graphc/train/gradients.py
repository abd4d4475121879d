"""Gradients of a task's loss beside finite differences, on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.api import function
from graphc.core import dtypes
from graphc.core.errors import GradientError, GraphError
from graphc.core.graph import toposort
from graphc.core.node import (
    Array,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    made_at,
    user_frames,
)
from graphc.core.op import infer_type
from graphc.passes.autodiff import grad
from graphc.train.judging import fed
from graphc.train.task import Task

NARROW = ("float16", "bfloat16", "float32")
STEP = {"float64": 1e-6, "float32": 1e-2}
TOLERANCE = {"float64": 1e-5, "float32": 2e-2}


@dataclass(frozen=True)
class GradientRow:
    """How a parameter's gradient compares with differences of the loss.

    Attributes
    ----------
    name : str
    shape : tuple of int
    size : float
        The Euclidean norm of the gradient.
    along : float
        The largest relative error along random directions.
    single : float
        The largest relative error of single entries.
    entry : tuple of int
        Which entry that was.
    """

    name: str
    shape: tuple[int, ...]
    size: float
    along: float
    single: float
    entry: tuple[int, ...]

    @property
    def error(self) -> float:
        """The larger one of both errors."""
        return max(self.along, self.single)


@dataclass(frozen=True)
class GradientTable:
    """A row for each parameter; printed, it is a table.

    Attributes
    ----------
    rows : list of GradientRow
    precision : str
        The dtype in which both sides were computed.
    tolerance : float
        The relative error up to which a gradient is taken for right.
    """

    rows: list[GradientRow]
    precision: str
    tolerance: float

    @property
    def worst(self) -> GradientRow:
        """The parameter with the largest error."""
        return max(self.rows, key=lambda row: row.error)

    @property
    def right(self) -> bool:
        """Whether all errors are within the tolerance."""
        return all(row.error <= self.tolerance for row in self.rows)

    def __str__(self) -> str:
        head = ["parameter", "shape", "|gradient|", "along", "single", "at", ""]
        table = [head] + [
            [row.name, "x".join(map(str, row.shape)) or "()", f"{row.size:.3e}",
             f"{row.along:.1e}", f"{row.single:.1e}", ",".join(map(str, row.entry)),
             "" if row.error <= self.tolerance else "<- wrong"]
            for row in self.rows
        ]  # fmt: skip
        widths = [max(len(line[k]) for line in table) for k in range(len(head))]
        lines = ["  ".join(f"{c:{w}s}" for c, w in zip(line, widths)).rstrip() for line in table]
        return "\n".join([*lines, f"in {self.precision}; right up to {self.tolerance:g}"])

    __repr__ = __str__


def check_gradients(
    task: Task, rows: Any, *, batch: int = 16, directions: int = 2, entries: int = 4,
    seed: int = 0, step: float | None = None, tolerance: float | None = None,
    train: bool = True, raises: bool = False, mode: str = "numpy",
) -> GradientTable:  # fmt: skip
    """Compare the gradient of a task's loss with differences of the loss.

    For a direction ``d``, ``<gradient, d>`` is compared with
    ``(loss(p + h d) - loss(p - h d)) / 2h``, and the same for single entries, the largest of the
    gradient among them. Both are computed in a copy of the graph in float64; where that can't be
    made (a loop over float32), in the precision of the task, which tells large errors only.
    Random draws, such as dropout, are the same for all of it. No value is changed.

    Parameters
    ----------
    task : Task
    rows : Dataset, or tuple or dict of arrays
        The first `batch` of them are taken.
    directions, entries : int
        How many are tried for each parameter.
    seed : int
        Of the directions and entries.
    step : float, optional
        ``h``; 1e-6 by default, and 1e-2 in float32.
    tolerance : float, optional
        The relative error up to which a gradient is right; 1e-5 by default, 2e-2 in float32.
    train : bool
        Whether the model is as in training, or as in use.
    raises : bool
        Whether a wrong gradient is an error.
    mode : str
        Of the functions that are compiled for it.

    Returns
    -------
    GradientTable

    Raises
    ------
    GradientError
        If asked for, with the table.

    Notes
    -----
    Near a kink, such as that of ReLU at 0, differences are wrong and gradients right: try another
    seed or a smaller step before a gradient is blamed.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn, train
    >>> x, y = T.dmatrix("x"), T.ivector("y")
    >>> model = nn.Sequential(nn.Dense(3, 4, seed=1), T.tanh, nn.Dense(4, 2, seed=2))
    >>> task = train.Task(model, x, y, nn.losses.cross_entropy)
    >>> table = train.check_gradients(task, (np.eye(3), np.array([0, 1, 0], "int32")))
    >>> [row.name for row in table.rows], table.right
    (['0.weights', '0.bias', '2.weights', '2.bias'], True)
    """
    checker = _Checker(task, rows, batch, train, mode, step)
    random = np.random.RandomState(seed)
    named = {v: path for path, v in task.named().items()}
    found = [
        checker.row(k, named.get(p) or p.name or f"parameter {k}", random, directions, entries)
        for k, p in enumerate(task.params)
    ]
    limit = TOLERANCE[checker.precision] if tolerance is None else tolerance
    table = GradientTable(found, checker.precision, limit)
    if raises and not table.right:
        raise GradientError(
            f"the gradient of {table.worst.name} is not that of the loss\n{table}",
            "which op of your own, or which grad_scale, grad_clip or disconnected_grad, is on the "
            "way? Near a kink (ReLU at 0) differences are wrong: try another seed", user_frames(),
        )  # fmt: skip
    return table


class _Checker:
    """The loss and its gradient as functions of the parameters, at one batch."""

    def __init__(
        self, task: Task, rows: Any, batch: int, train: bool, mode: str, step: float | None
    ) -> None:
        given, feed = fed(task, rows, task.leaves)
        length = given.length()
        arrays = feed(next(iter(given.batches(batch if length is None else min(batch, length)))))
        loss = task.losses[0 if train else 1]
        inputs = task.leaves
        try:
            made, new = widened(loss)
            self.precision = "float64"
        except GraphError:  # a loop, whose body says its dtypes itself
            made, new = loss, {}
            self.precision = "float64" if loss.dtype == "float64" else "float32"
        for p in task.params:  # shared variables become arguments
            new.setdefault(p, Variable(TensorType(p.dtype, p.type.shape), name=p.name))
        if made is loss:
            (made,) = replaced([loss], new)
        arguments = [new[p] for p in task.params] + [new.get(v, v) for v in inputs]
        gradients = grad(made, arguments[: len(task.params)], disconnected_inputs="ignore")
        options: Any = {"mode": mode, "no_default_updates": True, "on_unused_input": "ignore"}
        others = [v for v in new if isinstance(v, SharedVariable) and v not in task.params]
        arguments += [new[v] for v in others]
        self.values = [_as(p.get_value(), new[p].dtype) for p in task.params]
        self.rest = [_as(a, new.get(v, v).dtype) for v, a in zip(inputs, arrays)]
        self.rest += [_as(v.get_value(), new[v].dtype) for v in others]
        self.loss: Callable[..., Array] = function(arguments, made, **options)
        found = function(arguments, gradients, **options)(*self.values, *self.rest)
        self.gradients = [g.astype("float64") for g in found]
        self.step = STEP[self.precision] if step is None else step
        self.level = abs(float(self.at(self.values)))

    def at(self, values: Sequence[Array]) -> float:
        return float(self.loss(*values, *self.rest))

    def error(self, k: int, direction: Array) -> float:
        """The relative error of the k-th parameter's gradient along a direction."""
        moved = []
        for sign in (1, -1):
            values = list(self.values)
            values[k] = (values[k] + sign * self.step * direction).astype(values[k].dtype)
            moved.append(self.at(values))
        numeric = (moved[0] - moved[1]) / (2 * self.step)
        exact = float((self.gradients[k] * direction).sum())
        if not np.isfinite([numeric, exact]).all():
            return float("inf")
        # Rounding of the loss is all that differences of smaller gradients would show.
        noise = 4 * (1 + self.level) * float(np.finfo(self.precision).eps) / self.step
        least = noise / TOLERANCE[self.precision]
        return abs(exact - numeric) / max(abs(exact), abs(numeric), least)

    def row(
        self, k: int, name: str, random: np.random.RandomState, directions: int, entries: int
    ) -> GradientRow:
        shape, gradient = self.values[k].shape, self.gradients[k]
        along = 0.0
        for _ in range(directions):
            d = random.standard_normal(shape)
            along = max(along, self.error(k, d / max(float(np.sqrt((d**2).sum())), 1e-300)))
        chosen = random.randint(gradient.size, size=max(0, entries - 1)) if gradient.size else []
        if entries and gradient.size:
            chosen = [int(np.abs(gradient).argmax()), *chosen]
        worst, place = 0.0, ()
        for flat in chosen:
            single = np.zeros(gradient.size)
            single[flat] = 1
            error = self.error(k, single.reshape(shape))
            if not place or error > worst:
                worst, place = error, tuple(map(int, np.unravel_index(flat, shape)))
        size = float(np.sqrt((gradient**2).sum()))
        return GradientRow(name, shape, size, along, worst, place)


# --- copies in float64 ----------------------------------------------------------------


def widened(root: Variable) -> tuple[Variable, dict[Variable, Variable]]:
    """A copy of a graph in float64, and its new leaves by the old ones.

    Shared variables of floats become inputs. Draws keep their dtype, and so their numbers.
    """
    leaves: dict[Variable, Variable] = {}
    for v in toposort([root]):
        if v.op is None and v.dtype in (*NARROW, "float64"):
            if isinstance(v, Constant):
                leaves[v] = Constant(dtypes.convert(v.data, "float64"), where=v.where)
            else:
                leaves[v] = Variable(TensorType("float64", v.type.shape), name=v.name)
    (made,) = replaced([root], leaves, widen=True)
    return made, {v: new for v, new in leaves.items() if not isinstance(v, Constant)}


def replaced(
    roots: Sequence[Variable], leaves: Mapping[Variable, Variable], widen: bool = False
) -> list[Variable]:
    """Graphs over other leaves, of other dtypes."""
    done: dict[Variable, Variable] = dict(leaves)
    for v in toposort(roots, leaves=leaves.keys()):
        if v in done:
            continue
        args = tuple(done[a] for a in v.args)
        if v.op is None or all(a is b for a, b in zip(args, v.args)):
            done[v] = v
            continue
        attrs = dict(v.attrs)
        if widen and v.op.name == "cast" and attrs.get("dtype") in NARROW:
            attrs["dtype"] = "float64"
        with made_at(v.where):
            done[v] = Variable(infer_type(v.op, args, attrs), v.op, args, attrs, v.name, v.where)
    return [done[r] for r in roots]


def _as(array: Array, dtype: str) -> Array:
    return array if dtypes.canonical(array.dtype) == dtype else dtypes.convert(array, dtype)
