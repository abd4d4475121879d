"""What `Task` and `fit` are called with, looked at before anything else is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphc.core.dtypes import is_float
from graphc.core.errors import ArgumentError
from graphc.core.graph import toposort
from graphc.core.node import Constant, SharedVariable, Variable, describe, user_frames
from graphc.data.dataset import Dataset
from graphc.data.order import read_count
from graphc.data.problems import problem
from graphc.nn.layer import Layer
from graphc.nn.summaries import Call
from graphc.optim import LBFGS, OPTIMISERS
from graphc.train.figures import Figure, as_figure
from graphc.updating import read_pairs

BATCH = 32  # rows of a step, where there are as many
COLUMNS = ("epoch", "steps", "seconds", "rate", "loss")  # of every history

# --- of a task ------------------------------------------------------------------------


def read_figures(given: Any) -> dict[str, Figure]:
    """Figures by name, none of which is a column of the history already."""
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentError(f"Task: figures={given!r} have no names",
                            "give a dict, {'accuracy': nn.metrics.accuracy}",
                            user_frames())  # fmt: skip
    for name in given or {}:
        if not isinstance(name, str) or name in COLUMNS or name.startswith("validation "):
            raise ArgumentError(
                f"Task: a figure can't be called {name!r}",
                f"a history has the columns {', '.join(COLUMNS)} and 'validation ...' of its own",
                user_frames(),
            )
    return {name: as_figure(name, figure) for name, figure in (given or {}).items()}


def read_optimiser(given: Any) -> Callable[..., Any]:
    """A function of `graphc.optim`, or one like them."""
    if callable(given) and not isinstance(given, type):
        return given  # type: ignore[no-any-return]
    if given is LBFGS:
        raise ArgumentError("Task: optim.LBFGS is no optimiser for mini-batches",
                            "optim.LBFGS(loss, params, inputs).minimise(...) takes all the data",
                            user_frames())  # fmt: skip
    hint = "give a function, optim.adam; functools.partial(optim.adam, beta1=0.8) has options"
    if isinstance(given, str) and given in OPTIMISERS:
        hint = f"give the function, optim.{given}"
    raise ArgumentError(f"Task: optimiser={given!r} can't be called", hint, user_frames())


def read_updates(made: Any) -> list[tuple[SharedVariable, Variable]]:
    """What an optimiser returned, as a list of pairs."""
    if made is None:
        raise ArgumentError("Task: the optimiser returned nothing",
                            "return a list of pairs, (shared variable, new value)",
                            user_frames())  # fmt: skip
    return read_pairs(made, "updates")


def read_rate(given: Any) -> float:
    """A learning rate that is a number, 0 or more."""
    try:
        rate = math.nan if isinstance(given, str) else float(given)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate < math.inf:
        climbs = isinstance(given, int | float) and given < 0
        raise ArgumentError(
            f"Task: learning_rate={given!r}",
            "to climb, negate the loss" if climbs
            else "give a number from 0 on, a function of the step, or None", user_frames(),
        )  # fmt: skip
    return rate


def check_leaves(what: str, roots: Iterable[Variable], given: Sequence[Variable]) -> None:
    """Refuse an expression that depends on an input which the task isn't given."""
    for v in toposort(list(roots)):
        if v.op is None and v not in given and not isinstance(v, Constant | SharedVariable):
            raise ArgumentError(
                f"Task: {what} depends on {describe(v)}, which is neither among inputs nor targets",
                f"rows have a field for each of them: targets=[..., {v.name or 'it'}]",
                v.where or user_frames(),
            )


def check_calls(model: Layer, calls: Sequence[Call]) -> None:
    """Refuse a model that calls a layer which it hasn't taken in: nothing would train that."""
    known = set(model.named().values())
    for call in calls:
        own = set(call.layer.named().values())
        held = [v for v in vars(call.layer).values() if isinstance(v, SharedVariable)]
        loose = [v.name for v in held if v not in own and is_float(v.dtype)]
        if loose:
            raise ArgumentError(
                f"Task: {call.layer!r} holds {', '.join(map(str, loose))}, which nothing would "
                "train or save",
                "self.parameter(name, shape) makes what is trained; self.adopt(name, variable) "
                "keeps what isn't", user_frames(),
            )  # fmt: skip
        missing = [p.name for p in call.layer.parameters if p not in known]
        if missing:
            raise ArgumentError(
                f"Task: the model calls {call.layer!r} and doesn't have its parameters: "
                f"{', '.join(map(str, missing))} would be neither trained nor saved",
                "take it in, self.child(name, layer) or nn.Model(function, name=layer); freeze() "
                "it, or say what is trained, params=[...]", user_frames(),
            )  # fmt: skip


# --- of a training --------------------------------------------------------------------


def batch_of(batch: int | None, rows: Dataset) -> int:
    """Rows of a step: what was asked for, or 32, or all where there are fewer."""
    length = rows.length()
    if batch is None:
        return BATCH if length is None else min(BATCH, length)
    size = read_count(batch, "batch")
    if length is not None and size > length:
        raise problem(f"fit: a batch of {size} rows is larger than the data, {length} rows",
                      f"batch={length} is the full batch")  # fmt: skip
    return size


def read_hooks(given: Any) -> list[Any]:
    """Functions of a run, or objects with `after_step`."""
    hooks = list(given) if isinstance(given, Iterable) else [given]
    for hook in hooks:
        if isinstance(hook, type) or not (callable(hook) or hasattr(hook, "after_step")):
            raise ArgumentError(
                f"fit: {hook!r} is no hook",
                f"give {hook.__name__}(...), an object of this class" if isinstance(hook, type)
                else "give a function of the run, or an object with after_step(run)",
                user_frames(),
            )  # fmt: skip
    return hooks
