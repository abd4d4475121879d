"""Numbers, predicted by a model with an output for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight

from graphc.core.node import Array, TensorType, Variable
from graphc.data.problems import problem
from graphc.estimators.base import Estimator
from graphc.estimators.building import multilayer, wrong
from graphc.nn import Layer
from graphc.nn.losses import squared_error
from graphc.train import Task


class GraphcRegressor(RegressorMixin, MultiOutputMixin, Estimator):
    """A regressor around any model definition, for one target or several.

    Parameters
    ----------
    build : callable, optional
        ``build(inputs, outputs, seed=..., **options)`` makes a new layer, from `inputs` features
        to `outputs` numbers: (rows, inputs) to (rows, outputs). By default `multilayer`.
    loss : callable, optional
        ``loss(predictions, targets)``, one number for each row or element, as those of
        `graphc.nn.losses` give; the squared error by default.
    hidden, activation, options, epochs, batch_size, optimiser, learning_rate, penalty
        As for `GraphcClassifier`.
    validation_fraction, patience, random_state, verbose, mode
        As for `GraphcClassifier`.

    Attributes
    ----------
    model_, task_, history_, n_iter_, n_features_in_, feature_names_in_
        As for `GraphcClassifier`.

    Notes
    -----
    A network learns slowly what is far from 0 and 1. Scale the features, and the targets:
    ``TransformedTargetRegressor(GraphcRegressor(), transformer=StandardScaler())``.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.estimators import GraphcRegressor
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> model = GraphcRegressor(learning_rate=0.01, random_state=0).fit(x, x[:, 0] ** 2)
    >>> bool(model.score(x, x[:, 0] ** 2) > 0.95), model.predict(x).shape
    (True, (50,))
    """

    def __init__(
        self, build: Any = None, *, hidden: Any = (100,), activation: Any = "relu",
        options: Any = None, loss: Any = None, epochs: int = 200, batch_size: Any = None,
        optimiser: Any = "adam", learning_rate: Any = None, penalty: float = 0.0,
        validation_fraction: float = 0.0, patience: Any = None, random_state: Any = None,
        verbose: Any = False, mode: Any = None,
    ) -> None:  # fmt: skip
        self.build = build
        self.hidden = hidden
        self.activation = activation
        self.options = options
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose
        self.mode = mode

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GraphcRegressor:
        """Train a new model.

        Parameters
        ----------
        X : array or sparse matrix, (rows, features)
        y : array, (rows,) or (rows, targets)
            What `predict` gives has its shape.
        sample_weight : array, (rows,), optional
            How much each row counts; 2 is as good as having it twice.
        """
        x, y = self._checked(X, y, multi_output=True, y_numeric=True)
        weights = self._weights(x, sample_weight)
        self._start(x, y)
        self._learn((x, self._columns(y, x.dtype), weights / weights.mean()))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GraphcRegressor:
        """Train for one epoch more, on these rows; weights are taken as they are."""
        first = not hasattr(self, "task_")
        x, y = self._checked(X, y, reset=first, multi_output=True, y_numeric=True)
        weights = self._weights(x, sample_weight)
        if first:
            self._start(x, y)
        self._run((x, self._columns(y, x.dtype), weights), 1)
        return self

    def _start(self, x: Any, y: Array) -> None:
        self._single = y.ndim == 1
        outputs = 1 if self._single else y.shape[1]
        self._begin(x, outputs)

    def _columns(self, y: Array, dtype: Any) -> Array:
        """Targets as a matrix of the model's dtype."""
        with np.errstate(over="ignore"):
            found = y.reshape(len(y), -1).astype(dtype)
        if (y.ndim == 1, found.shape[1]) != (self._single, self._shape[1]):
            raise problem(f"y has shape {y.shape}; that of the first call was (rows"
                          f"{',)' if self._single else f', {self._shape[1]})'}")  # fmt: skip
        if not np.isfinite(found).all():
            raise problem(f"y has values that are infinite in {found.dtype}", "scale them")
        return found

    def _weights(self, x: Any, given: Any) -> Array:
        weights = _check_sample_weight(given, x, dtype=x.dtype, ensure_non_negative=True)
        if not weights.sum() > 0:
            raise problem("sample_weight is zero for all rows", "at least one has to count")
        return weights  # type: ignore[no-any-return]

    def _build(self, sizes: tuple[int, int], seed: int) -> Layer:
        found: Layer = self._called(self.build, sizes, seed, multilayer)
        if not isinstance(found, Layer):
            raise wrong(f"build made {found!r}, which is no layer",
                        "nn.Sequential and nn.Model make one of functions")  # fmt: skip
        return found

    def _declared(self, model: Layer, x: Variable) -> Task:
        y = Variable(TensorType(x.dtype, (None, self._shape[1])), name="y")
        weight = Variable(TensorType(x.dtype, (None,)), name="weight")
        chosen = squared_error if self.loss is None else self.loss

        def loss(predictions: Variable, targets: Variable, weights: Variable) -> Variable:
            return self._weighted(chosen(predictions, targets), weights)

        return self._task(x, [y, weight], loss)

    def predict(self, X: Any) -> Array:
        """The numbers of each row, in the shape of the `y` that was learned."""
        found = self._outputs(X)
        return found[:, 0] if self._single else found
