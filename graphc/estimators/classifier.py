"""Classes, predicted by a model with an output for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from graphc.core.node import Array, TensorType, Variable
from graphc.data.problems import problem
from graphc.estimators.base import Estimator
from graphc.estimators.building import multilayer, wrong
from graphc.nn import Layer
from graphc.nn.losses import cross_entropy
from graphc.ops.elementwise import cast, eq, mul
from graphc.ops.reduce import argmax
from graphc.ops.reduce import sum as total
from graphc.train import Figure, Task


class GraphcClassifier(ClassifierMixin, Estimator):
    """A classifier around any model definition.

    Parameters
    ----------
    build : callable, optional
        ``build(inputs, outputs, seed=..., **options)`` makes a new layer: from `inputs` features
        to scores, one for each of `outputs` classes, without a softmax. Images are reshaped
        inside. By default `multilayer`.
    hidden, activation : tuple of int, str or function
        Of `multilayer`; a `build` of one's own has its options instead.
    options : dict, optional
        What else `build` is given; one of them is set as ``options__name``.
    loss : callable, optional
        ``loss(scores, classes)``, one number for each row, as those of `graphc.nn.losses` give;
        the cross-entropy by default.
    epochs : int
        How often all rows are shown.
    batch_size : int, optional
        Rows of a step, 200 by default; never more than there are.
    optimiser : str or callable
        One of ``optim.OPTIMISERS``, or such a function.
    learning_rate : float, callable or None
        A number, a schedule, or the optimiser's own.
    penalty : float
        ``a`` in ``mean of losses + a / 2 * sum of squares of all weight matrices``.
    class_weight : dict, "balanced" or None
        How much the rows of each class count.
    validation_fraction : float
        Which part of the rows is held out, by class in proportion, and judged after each epoch.
    patience : int, optional
        After how many epochs without a better loss (of the rows held out, if there are any)
        training ends, with the values of the best one.
    random_state : int, RandomState or None
        Of first values, dropout, orders and what is held out: equal ones give equal bits.
    verbose : bool
        Whether to show a bar, and a line for each epoch.
    mode : str, optional
        ``"numpy"`` interprets instead of compiling.

    Attributes
    ----------
    classes_ : array
        What was in `y`, sorted: integers, strings, bools.
    model_ : nn.Layer
    task_ : train.Task
    history_ : train.History
    n_iter_ : int
        Epochs.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    The model computes in float32 if `fit` is given float32, else in float64. Sparse matrices are
    made dense a batch at a time. Weights of rows are divided by their mean.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from graphc.estimators import GraphcClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> network = GraphcClassifier(hidden=(20,), learning_rate=0.01, random_state=0)
    >>> model = make_pipeline(StandardScaler(), network).fit(x, y)
    >>> bool(model.score(x, y) > 0.95), model.predict_proba(x[:2]).shape
    (True, (2, 3))
    """

    def __init__(
        self, build: Any = None, *, hidden: Any = (100,), activation: Any = "relu",
        options: Any = None, loss: Any = None, epochs: int = 200, batch_size: Any = None,
        optimiser: Any = "adam", learning_rate: Any = None, penalty: float = 0.0,
        class_weight: Any = None, validation_fraction: float = 0.0, patience: Any = None,
        random_state: Any = None, verbose: Any = False, mode: Any = None,
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
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose
        self.mode = mode

    # --- training ---------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GraphcClassifier:
        """Train a new model.

        Parameters
        ----------
        X : array or sparse matrix, (rows, features)
        y : array, (rows,)
            Classes of any kind.
        sample_weight : array, (rows,), optional
            How much each row counts; 2 is as good as having it twice.
        """
        x, y = self._checked(X, _one_column(y))
        y = self._labels(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        weights = self._weights(x, y, sample_weight)
        _two_or_more(self.classes_[np.unique(numbers[weights > 0])])
        self._begin(x, len(self.classes_))
        fields = x, numbers.astype("int32"), weights / weights.mean()
        self._learn(fields, strata=numbers)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> GraphcClassifier:
        """Train for one epoch more, on these rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; weights are taken as they are.
        classes : array, optional
            All there will ever be; needed the first time.
        """
        first = not hasattr(self, "task_")
        if isinstance(self.class_weight, str):
            raise wrong(f"class_weight={self.class_weight!r} needs all rows at once",
                        "give a dict of numbers, or weights of rows")  # fmt: skip
        x, y = self._checked(X, _one_column(y), reset=first)
        y = self._labels(y)
        if first:
            if classes is None:
                raise wrong("the first call of partial_fit needs classes=, all there will be")
            self.classes_ = _two_or_more(np.unique(column_or_1d(classes)))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise wrong(f"classes={classes!r} are not those of the first call, "
                        f"{self.classes_.tolist()}")  # fmt: skip
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise problem(f"y has classes that were not named: {strange.tolist()}")
        weights = self._weights(x, y, sample_weight)
        if first:
            self._begin(x, len(self.classes_))
        self._run((x, np.searchsorted(self.classes_, y).astype("int32"), weights), 1)
        return self

    def _labels(self, y: Any) -> Array:
        """Classes as a vector."""
        check_classification_targets(y)
        return column_or_1d(y, warn=True)  # type: ignore[no-any-return]

    def _weights(self, x: Any, y: Array, given: Any) -> Array:
        """How much each row counts."""
        weights = _check_sample_weight(given, x, dtype=x.dtype, ensure_non_negative=True, copy=True)
        if self.class_weight is not None:
            weights *= compute_sample_weight(self.class_weight, y).astype(x.dtype)
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
        y = Variable(TensorType("int32", (None,)), name="y")
        weight = Variable(TensorType(x.dtype, (None,)), name="weight")
        chosen = cross_entropy if self.loss is None else self.loss

        def loss(scores: Variable, classes: Variable, weights: Variable) -> Variable:
            return self._weighted(chosen(scores, classes), weights)

        figures = {"accuracy": Figure(_right, over="ratio")}
        return self._task(x, [y, weight], loss, figures=figures)

    # --- use --------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Array:
        """The scores before softmax: (rows, classes), or (rows,) for two classes.

        For two classes it is how much the second one's score is above that of the first.
        """
        scores = self._outputs(X)
        return scores if len(self.classes_) > 2 else scores[:, 1] - scores[:, 0]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (rows, classes)."""
        scores = self._outputs(X)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of the probability of each class, (rows, classes)."""
        scores = self._outputs(X)
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))  # type: ignore

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row."""
        check_is_fitted(self, "task_")
        return self.classes_[self._outputs(X).argmax(axis=1)]  # type: ignore[no-any-return]


def _one_column(y: Any) -> Any:
    """Labels as they are, unless there are several for each row."""
    shape = getattr(y, "shape", ())
    if len(shape) > 1 and shape[1] != 1:
        raise problem(
            f"y has shape {tuple(shape)}, and GraphcClassifier takes one class for each row: "
            "several labels are not supported",
            "sklearn.multioutput.MultiOutputClassifier makes one classifier for each column",
        )
    return y


def _two_or_more(classes: Array) -> Array:
    """Classes as they are, unless there is nothing to tell apart."""
    if len(classes) < 2:
        raise problem(f"there is one class only, {classes.tolist()}",
                      "a classifier needs rows of two classes or more")  # fmt: skip
    return classes


def _right(scores: Variable, classes: Variable, weights: Variable) -> tuple[Variable, Variable]:
    """The weight of the rows that are right, and that of all."""
    hit = cast(eq(argmax(scores, axis=1), classes), weights.dtype)
    return total(mul(weights, hit)), total(weights)
