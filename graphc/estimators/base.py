"""What the estimators share: from parameters to a trained model, and through a pickle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from graphc.api import function
from graphc.core.config import config
from graphc.core.node import Array, SharedVariable, TensorType, Variable
from graphc.data.order import read_count
from graphc.estimators.building import built, optimiser_of, wrong
from graphc.estimators.rows import applied, rows_of
from graphc.nn import Layer, states
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import add, mul
from graphc.ops.reduce import mean
from graphc.optim import l2
from graphc.runtime.reference import evaluate
from graphc.train import History, Task, fit

FLOATS = (np.float64, np.float32)
_DECLARING = threading.RLock()  # floatX is the whole process's, and estimators fit in threads


class Estimator(BaseEstimator):
    """Parameters, training and pickles; subclasses know what is learned.

    Attributes that `fit` leaves: `model_`, `task_`, `history_`, `n_iter_`, `n_features_in_`.
    """

    # --- parameters -------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; if `deep`, each of `options` as ``options__name``, too."""
        found = dict(super().get_params(deep))
        if deep and isinstance(self.options, Mapping):
            found |= {f"options__{name}": value for name, value in self.options.items()}
        return found

    def set_params(self, **params: Any) -> Any:
        """Change parameters; ``options__name`` is one of `options`, or a new one."""
        inner = {k: params.pop(k) for k in list(params) if k.startswith("options__")}
        super().set_params(**params)
        if inner:
            named = {k.removeprefix("options__"): value for k, value in inner.items()}
            self.options = {**(self.options or {}), **named}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- what subclasses say ----------------------------------------------------------

    def _build(self, sizes: tuple[int, int], seed: int) -> Layer:
        """The model."""
        raise NotImplementedError

    def _declared(self, model: Layer, x: Variable) -> Task:
        """The task, with the inputs `x`."""
        raise NotImplementedError

    # --- declaring --------------------------------------------------------------------

    def _called(self, build: Any, sizes: tuple[int, int], seed: int, plain: Any) -> Any:
        """What `build` makes; without one, `plain` is called with the estimator's own sizes."""
        options = {} if self.options is None else self.options
        if not isinstance(options, Mapping):
            raise wrong(f"options={options!r} is not a dict", "such as {'units': 50}")
        if build is None:
            build = plain
            options = {"hidden": self.hidden, "activation": self.activation, **options}
        return built(build, sizes, options, seed, self.random_state is not None)

    def _declare(self, first: Array | None = None) -> None:
        """Make `model_` and `task_` for the sizes, the dtype and the seed of this fit.

        The model is tried with `first`, one row, if it is given.
        """
        inputs, outputs, dtype, seed = self._shape
        with _DECLARING, config(floatX=dtype):
            self.model_ = self._build((inputs, outputs), seed)
            x = Variable(TensorType(dtype, (None, inputs)), name="x")
            if first is not None:
                self._try(x, first)
            self._penalty = _shared_scalar(self.penalty, "penalty", dtype)
            self.task_ = self._declared(self.model_, x)
            _ = self.task_.kept  # which declares a step of training; compilation comes later
            self._functions: dict[str, Any] = {}

    def _task(self, x: Variable, targets: list[Variable], loss: Any, **options: Any) -> Task:
        """A task with the estimator's optimiser, rate and mode."""
        rate = self.learning_rate
        if isinstance(rate, bool) or not (
            rate is None or callable(rate) or isinstance(rate, int | float | np.number)
        ):
            raise wrong(f"learning_rate={rate!r} is neither a number nor a schedule",
                        "None takes the optimiser's own")  # fmt: skip
        return Task(
            self.model_, x, targets, loss, optimiser=optimiser_of(self.optimiser),
            learning_rate=rate, mode=self.mode, **options,
        )  # fmt: skip

    def _weighted(self, given: Any, weights: Variable | None) -> Variable:
        """The mean of the losses of all rows, and the penalty: ``mean(w l) + a / 2 sum W^2``."""
        losses = as_variable(given)
        if losses.ndim == 0:
            raise wrong(
                "the loss of a batch is one number, so that rows can't be weighted",
                "give one that has a number for each row, as those of nn.losses",
            )
        if losses.ndim > 1:
            losses = mean(losses, axis=tuple(range(1, losses.ndim)))
        total = mean(losses if weights is None else mul(losses, weights))
        matrices = [p for p in self.model_.parameters if p.ndim > 1]
        if self._penalty is None or not matrices:
            return total
        return add(total, mul(mul(self._penalty, 0.5), l2(matrices)))

    def _try(self, x: Variable, first: Array) -> None:
        """Refuse a model that doesn't give a row of the right size for a row."""
        self._expect(self.model_(x), x, first, self._shape[1])

    def _expect(self, output: Any, x: Variable, first: Array, width: int) -> Array:
        """The value of an output for a row, which has to be a row of `width` numbers."""
        label = f"build made {self.model_!r}, which"
        if not isinstance(output, Variable):
            raise wrong(f"{label} gives {output!r}", "a model gives one variable")
        found: Array = evaluate([output], {x: first})[0]
        if found.shape != (1, width):
            raise wrong(
                f"{label} gives shape {found.shape} for one row of {first.shape[1]} features, not "
                f"(1, {width})", "build(inputs, outputs) says how many outputs there are to be",
            )  # fmt: skip
        return found

    # --- training ---------------------------------------------------------------------

    def _checked(self, x: Any, y: Any = "no_validation", reset: bool = True, **options: Any) -> Any:
        """The data as arrays of the dtype of this estimator."""
        dtype = FLOATS if reset else self._shape[2]
        return validate_data(self, x, y, reset=reset, dtype=dtype, accept_sparse="csr", **options)

    def _begin(self, x: Any, outputs: int) -> None:
        """Make a new model for the data."""
        random = check_random_state(self.random_state)
        seed = int(random.randint(np.iinfo(np.int32).max))
        self._shape = (int(x.shape[1]), outputs, str(x.dtype), seed)
        self.history_, self.n_iter_ = History(), 0
        self._declare(np.ascontiguousarray(rows_of(x)[:1]))

    def _learn(self, fields: tuple[Any, ...], strata: Any = None) -> None:
        """Train on the rows of all fields, some of them held out if there is to be validation."""
        patience, held = self.patience, None
        if patience is not None:
            patience = read_count(patience, "patience")
        if self.validation_fraction:
            fields, held = self._held_out(fields, strata)
        self._run(fields, self.epochs, validation=held, patience=patience)

    def _run(self, fields: tuple[Any, ...], epochs: int, **options: Any) -> None:
        """Make epochs, and count them."""
        rows = tuple(map(rows_of, fields))
        size = 200 if self.batch_size is None else read_count(self.batch_size, "batch_size")
        history = fit(
            self.task_, rows, epochs=epochs, batch=min(size, len(rows[0])), finite=False,
            seed=self._shape[3] + self.n_iter_, progress=bool(self.verbose), **options,
        )  # fmt: skip
        self._append(history)

    def _append(self, history: History) -> None:
        """Count epochs on where there were some."""
        if not self.history_.epochs:
            self.history_ = history
        else:
            last = self.history_.row()
            for k in range(len(history.epochs)):
                row = history.row(k)
                row |= {n: row[n] + last[n] for n in ("epoch", "steps", "seconds")}
                self.history_.append(row)
        self.n_iter_ = len(self.history_.epochs)

    def _held_out(self, fields: tuple[Any, ...], strata: Any) -> tuple[Any, Any]:
        """Fields for training, and for validation."""
        fraction = self.validation_fraction
        if not 0 < fraction < 1:
            raise wrong(f"validation_fraction={fraction!r} is not between 0 and 1")
        parts = train_test_split(
            *fields, test_size=fraction, random_state=self._shape[3], stratify=strata
        )
        return tuple(parts[::2]), tuple(map(rows_of, parts[1::2]))

    # --- use --------------------------------------------------------------------------

    def _ready(self, x: Any) -> Any:
        """Rows for a fitted model."""
        check_is_fitted(self, "task_")
        return self._checked(x, reset=False)

    def _outputs(self, x: Any) -> Array:
        """The model's output for all rows."""
        rows = self._ready(x)
        return applied(self.task_.use, rows)

    def _function(self, name: str, x: Variable, make: Callable[[Variable], Any]) -> Any:
        """A compiled function of the fitted model, made when it is first needed."""
        if name not in self._functions:
            with _DECLARING, config(floatX=self._shape[2]):
                self._functions[name] = function([x], make(x), name=name, mode=self.mode)
        return self._functions[name]

    # --- pickles ----------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, and values instead of a model: functions inside it need no pickle."""
        state = dict(super().__getstate__())
        if "task_" in state:
            kept = {name: v.get_value() for name, v in self.task_.kept.items()}
            for name in ("model_", "task_", "_functions", "_penalty"):
                state.pop(name, None)
            state["_kept"] = kept
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the model again, and give it its values."""
        state = dict(state)
        kept = state.pop("_kept", None)
        super().__setstate__(state)
        if kept is not None:
            self._declare()
            states.assign(f"the pickle of {type(self).__name__}", self.task_.kept, kept)


def _shared_scalar(value: Any, name: str, dtype: str) -> SharedVariable | None:
    """A number that kernels read, so that they are the same for all its values."""
    if not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
        raise wrong(f"{name}={value!r} is no number from 0 on")
    return SharedVariable(np.array(value, dtype), name) if value else None
