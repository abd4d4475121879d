"""What is to be learned: a model, what it is shown, and what counts as an error."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from graphc.api import function
from graphc.compiled import Function
from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, SharedVariable, Variable, describe, user_frames
from graphc.inspect import dprint
from graphc.nn import notes
from graphc.nn.layer import Layer, recorded
from graphc.nn.summaries import Call
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast
from graphc.ops.reduce import mean
from graphc.optim import Average, adam, counter
from graphc.passes.autodiff import grad
from graphc.passes.loop_bodies import all_nodes
from graphc.train.arguments import (
    check_calls,
    check_leaves,
    read_figures,
    read_optimiser,
    read_rate,
    read_updates,
)
from graphc.train.figures import Figure

Updates = list[tuple[SharedVariable, Variable]]


class Task:
    """A model with its inputs, its loss, its figures and its optimiser.

    ::

        output = model(*inputs, train=...)        once for training, once for use
        loss   = mean(loss(output, *targets))
        figure = figure(output, *targets)

    What a model of float16 or bfloat16 says is made float32 before it is judged or returned.
    Functions are compiled when they are first needed: `step` trains on a batch, `test` judges
    one, `use` predicts.

    Parameters
    ----------
    model : nn.Layer or callable
        Called as ``model(*inputs, train=True)`` and ``train=False``. What it returns, a variable
        or a tuple of them, is what `loss`, `figures` and `outputs` are given. A plain function
        may have no parameter `train`, and needs `params`.
    inputs : variable or list of variables
        What the model is shown.
    targets : variable or list of variables
        What it should say; they are known in training and tests only.
    loss : callable
        ``loss(output, *targets)``, one number for each example or their mean.
    figures : dict of callables or `Figure`, optional
        What else is told of each epoch, such as ``{"accuracy": nn.metrics.accuracy}``.
    outputs : callable, optional
        What `predict` returns, from the model's output; the output itself by default.
    optimiser : callable
        ``optimiser(loss or gradients, params, learning_rate)``, such as ``optim.adam``; with
        ``functools.partial`` for its further options, ``optim.MixedPrecision(optim.adam)`` for
        models of float16 and bfloat16. With `optim.Averaged`, `fit` judges, keeps
        and leaves averages of the weights.
    learning_rate : float, callable or None
        A number is kept in `rate`, a shared variable that may be changed between steps. A function
        of the number of the step, a variable, is a schedule. None leaves it to the optimiser.
    params : list of shared variables, optional
        What is trained, ``model.parameters`` by default.
    gradients : callable, optional
        From the list of gradients to another one, such as ``optim.clip_by_global_norm``.
    states : list of shared variables, optional
        Whatever else has to be kept with a checkpoint, because the program changes it.
    mode : str, optional
        Of the compiled functions.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc import nn, optim, train
    >>> x, y = T.dmatrix("x"), T.ivector("y")
    >>> model = nn.Dense(2, 2, init=0.0)
    >>> task = train.Task(model, x, y, nn.losses.cross_entropy, {"accuracy": nn.metrics.accuracy},
    ...                   optimiser=optim.sgd, learning_rate=1.0, mode="numpy")
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1], "int32")
    >>> history = train.fit(task, rows, epochs=5, batch=2, progress=False)
    >>> round(history["loss"][-1], 3), history["accuracy"]
    (0.219, [0.5, 1.0, 1.0, 1.0, 1.0])
    >>> train.predict(task, rows[0]).argmax(axis=1)
    array([0, 1])
    """

    def __init__(
        self,
        model: Any,
        inputs: Any,
        targets: Any = (),
        loss: Callable[..., Variable] | None = None,
        figures: Mapping[str, Any] | None = None,
        *,
        outputs: Callable[..., Any] | None = None,
        optimiser: Callable[..., Updates] = adam,
        learning_rate: Any = 0.001,
        params: Sequence[SharedVariable] | None = None,
        gradients: Callable[[list[Variable]], list[Variable]] | None = None,
        states: Sequence[SharedVariable] = (),
        mode: str | None = None,
    ) -> None:
        self.model, self.mode = model, mode
        self.inputs, self.targets = _leaves(inputs, "inputs"), _leaves(targets, "targets")
        if not callable(loss):
            raise ArgumentError(
                f"Task: loss={loss!r} can't be called",
                "give a function of the model's output and the targets, nn.losses.cross_entropy",
                user_frames(),
            )
        made = [_recorded(model, self.inputs, train) for train in (True, False)]
        self.output = tuple(_wide(output) for output, _ in made)
        self.calls = tuple(calls for _, calls in made)
        self.losses = tuple(self._loss_of(loss, output) for output in self.output)
        check_leaves("the loss", self.losses, self.leaves)
        self.params = self._listed(params)
        self.steps, counting = counter("steps")
        self.rate = self._rate(learning_rate)
        self.updates = self._updates(read_optimiser(optimiser), gradients) + counting
        self.average: Average | None = getattr(optimiser, "average", None)
        self.updates += notes.updates(self.losses[0])
        self.figures = read_figures(figures)
        self._outputs = outputs
        self._states = list(states)
        for name, figure in self.figures.items():
            output = _several(self.output[1])
            check_leaves(f"figure {name!r}", figure.parts(*output, *self.targets),
                         self.leaves)  # fmt: skip

    # --- how it is put together -------------------------------------------------------

    def _loss_of(self, loss: Callable[..., Any], output: Any) -> Variable:
        made = as_variable(loss(*_several(output), *self.targets))
        return made if made.ndim == 0 else mean(made)

    def _listed(self, params: Any) -> list[SharedVariable]:
        found = getattr(self.model, "parameters", None) if params is None else list(params)
        if params is None and isinstance(self.model, Layer):
            check_calls(self.model, self.calls[0])
        if not found:
            raise ArgumentError(
                "Task: there is nothing to train",
                "give params=[...], the shared variables of the model" if found is None
                else "are all layers frozen?", user_frames(),
            )  # fmt: skip
        return list(found)

    def _rate(self, given: Any) -> Variable | None:
        if given is None:
            return None
        if callable(given):
            return as_variable(given(self.steps))
        if isinstance(given, Variable):
            return given
        return SharedVariable(np.array(read_rate(given)), "rate")

    def _updates(self, optimiser: Any, gradients: Any) -> Updates:
        loss: Any = self.losses[0]
        options = {}
        if gradients is not None and getattr(optimiser, "takes_loss", False):
            options["gradients"] = gradients  # it scales the loss first
        elif gradients is not None:
            loss = gradients(grad(loss, self.params))
        given = () if self.rate is None else (self.rate,)
        return read_updates(optimiser(loss, self.params, *given, **options))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block, parameters have the averages of an `optim.Averaged`, if there are."""
        if self.average is None or not self.average.count.get_value():
            yield
        else:
            with self.average.swapped():
                yield

    @property
    def leaves(self) -> list[Variable]:
        """Inputs and targets, in order; one that is both, as an autoencoder's, is there once."""
        return list(dict.fromkeys([*self.inputs, *self.targets]))

    def parts(self, train: bool) -> list[Variable]:
        """What the figures need of a batch, in order."""
        output = _several(self.output[0 if train else 1])
        return [part for figure in self.figures.values()
                for part in figure.parts(*output, *self.targets)]  # fmt: skip

    # --- what is compiled -------------------------------------------------------------

    @cached_property
    def step(self) -> Function:
        """A step of training: from a batch to the loss and the parts of the figures."""
        outputs = [self.losses[0], *self.parts(train=True)]
        return self._function(self.leaves, outputs, self.updates, "step")

    @cached_property
    def test(self) -> Function:
        """The loss and the parts of the figures for a batch, in use."""
        outputs = [self.losses[1], *self.parts(train=False)]
        return self._function(self.leaves, outputs, [], "test")

    @cached_property
    def use(self) -> Function:
        """From inputs to predictions."""
        output = self.output[1]
        if self._outputs is not None:
            output = self._outputs(*_several(output))
        return self._function(self.inputs, output, [], "use")

    def _function(self, inputs: Any, outputs: Any, updates: Updates, name: str) -> Function:
        unused = {"on_unused_input": "ignore"}
        return function(inputs, outputs, updates=updates, name=name, mode=self.mode, **unused)

    def present_rate(self) -> float | None:
        """The learning rate that the next step will take."""
        if self.rate is None:
            return None
        if isinstance(self.rate, SharedVariable):
            return float(self.rate.get_value(borrow=True))
        return float(self._rate_now())

    @cached_property
    def _rate_now(self) -> Function:
        return function([], self.rate, mode="numpy")

    # --- what is kept -----------------------------------------------------------------

    @cached_property
    def kept(self) -> dict[str, SharedVariable]:
        """All shared variables that training changes, by a name of their own."""
        found = {f"model/{path}": v for path, v in self.named().items()}
        seen = set(found.values())
        others = [*self.step.updates, *self._states]
        if isinstance(self.rate, SharedVariable):
            others.append(self.rate)
        for k, variable in enumerate(v for v in dict.fromkeys(others) if v not in seen):
            found[f"training/{k}/{variable.name or 'state'}"] = variable
        return found

    def named(self) -> dict[str, SharedVariable]:
        """The model's parameters and states by path."""
        if isinstance(self.model, Layer):
            return self.model.named()
        return {f"{k}.{p.name or 'param'}": p for k, p in enumerate(self.params)}

    @cached_property
    def fingerprint(self) -> str:
        """What tells this task from another one: a hash of the graph of a step."""
        listing = dprint(self.step, file="str", most=None, declared=True, print_type=True)
        digest = hashlib.sha256(str(listing).encode())
        for name, figure in self.figures.items():
            digest.update(f"{name} {figure.over}\n".encode())
        for v in all_nodes(self.step.graph.roots):
            if isinstance(v, Constant):  # large ones aren't in the listing
                digest.update(np.ascontiguousarray(v.data).tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        inputs = ", ".join(str(v.name) for v in self.leaves)
        return f"<task: ({inputs}) -> {', '.join(['loss', *self.figures])}>"


def _leaves(given: Any, what: str) -> list[Variable]:
    found = list(given) if isinstance(given, list | tuple) else [given]
    for v in found:
        if not isinstance(v, Variable) or v.op is not None or isinstance(v, SharedVariable):
            label = describe(v) if isinstance(v, Variable) else repr(v)
            raise ArgumentError(
                f"Task: {what} has {label}, which is no input",
                "declare inputs with T.matrix('x') and its relatives", user_frames(),
            )  # fmt: skip
    return found


def _several(output: Any) -> Sequence[Any]:
    return output if isinstance(output, list | tuple) else (output,)


def _wide(output: Any) -> Any:
    """What a model of float16 or bfloat16 says, in float32."""
    if isinstance(output, list | tuple):
        parts = [_wide(part) for part in output]
        return parts if isinstance(output, list) else tuple(parts)
    half = isinstance(output, Variable) and dtypes.is_half(output.dtype)
    return cast(output, dtypes.wide(output.dtype)) if half else output


def _recorded(model: Any, inputs: Iterable[Variable], train: bool) -> tuple[Any, list[Call]]:
    """The model's output, and the calls of layers that made it."""
    with recorded() as calls:
        return _called(model, inputs, train), calls


def _called(model: Any, inputs: Iterable[Variable], train: bool) -> Any:
    """The model's output; plain functions need no parameter `train`."""
    if isinstance(model, Layer) or _takes_train(model):
        return model(*inputs, train=train)
    return model(*inputs)


def _takes_train(model: Any) -> bool:
    if not callable(model):
        raise ArgumentError(f"Task: the model {model!r} can't be called",
                            "give a layer or a function of the inputs", user_frames())  # fmt: skip
    try:
        parameters = inspect.signature(model).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "train" or p.kind is p.VAR_KEYWORD for p in parameters)


__all__ = ["Figure", "Task"]
