"""Codes, learned by a model that has to rebuild its input from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from graphc.core.node import Array, TensorType, Variable
from graphc.data.problems import problem
from graphc.estimators.base import Estimator
from graphc.estimators.building import autoencoder, wrong
from graphc.estimators.rows import applied
from graphc.nn import Layer, Sequential
from graphc.nn.losses import squared_error
from graphc.train import Task


class GraphcTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """An autoencoder around any pair of models: its hidden layer is the code.

    `fit` trains ``decoder(encoder(x))`` to be ``x``; `transform` is the encoder, and
    `inverse_transform` the decoder.

    Parameters
    ----------
    build : callable, optional
        ``build(inputs, outputs, seed=..., **options)`` makes two layers, ``(encoder, decoder)``:
        from `inputs` features to `outputs` numbers, and back. By default `autoencoder`.
    n_components : int
        The size of the code: `outputs`.
    hidden : tuple of int
        Sizes of the layers of `autoencoder` between the features and the code; the decoder has
        them in reverse. Without any, it is linear.
    loss : callable, optional
        ``loss(rebuilt, x)``, one number for each row or element; the squared error by default.
    activation, options, epochs, batch_size, optimiser, learning_rate, penalty
        As for `GraphcClassifier`.
    validation_fraction, patience, random_state, verbose, mode
        As for `GraphcClassifier`.

    Attributes
    ----------
    model_ : nn.Sequential
        The encoder and the decoder.
    task_, history_, n_iter_, n_features_in_, feature_names_in_
        As for `GraphcClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from graphc.estimators import GraphcTransformer
    >>> x = load_iris().data
    >>> x = (x - x.mean(axis=0)) / x.std(axis=0)
    >>> model = GraphcTransformer(n_components=2, learning_rate=0.01, random_state=0)
    >>> code = model.fit_transform(x)
    >>> code.shape, bool(((model.inverse_transform(code) - x) ** 2).mean() < 0.1)
    ((150, 2), True)
    """

    def __init__(
        self, build: Any = None, n_components: int = 2, *, hidden: Any = (),
        activation: Any = "relu", options: Any = None, loss: Any = None, epochs: int = 200,
        batch_size: Any = None, optimiser: Any = "adam", learning_rate: Any = None,
        penalty: float = 0.0, validation_fraction: float = 0.0, patience: Any = None,
        random_state: Any = None, verbose: Any = False, mode: Any = None,
    ) -> None:  # fmt: skip
        self.build = build
        self.n_components = n_components
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # --- training ---------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> GraphcTransformer:
        """Train a new model to rebuild `X`, an array or sparse matrix; `y` is not looked at."""
        x = self._checked(X)
        self._start(x)
        self._learn((x,))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> GraphcTransformer:
        """Train for one epoch more, on these rows."""
        first = not hasattr(self, "task_")
        x = self._checked(X, reset=first)
        if first:
            self._start(x)
        self._run((x,), 1)
        return self

    def _start(self, x: Any) -> None:
        count = self.n_components
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise wrong(f"n_components={count!r} is no size of a code", "such as 2")
        self._begin(x, int(count))

    def _try(self, x: Variable, first: Array) -> None:
        code = TensorType(x.dtype, (None, self._shape[1]))
        y = Variable(code, name="code")
        encoder, decoder = self.model_  # type: ignore[attr-defined]
        found = self._expect(encoder(x), x, first, self._shape[1])
        self._expect(decoder(y), y, found, self._shape[0])

    def _build(self, sizes: tuple[int, int], seed: int) -> Layer:
        found = self._called(self.build, sizes, seed, autoencoder)
        if not isinstance(found, tuple | list | Sequential) or len(found) != 2:
            raise wrong(f"build made {found!r}, which is no pair",
                        "return (encoder, decoder)")  # fmt: skip
        return Sequential(*found, name="autoencoder")

    def _declared(self, model: Layer, x: Variable) -> Task:
        chosen = squared_error if self.loss is None else self.loss
        return self._task(x, [], lambda rebuilt: self._weighted(chosen(rebuilt, x), None))

    # --- use --------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return int(self._shape[1])

    def _part(self, place: int, size: int, name: str) -> Any:
        """The encoder or the decoder, compiled."""
        part: Any = self.model_[place]  # type: ignore[index]
        x = Variable(TensorType(self._shape[2], (None, size)), name="x")
        return self._function(name, x, lambda v: part(v))

    def _encode(self) -> Any:
        """The encoder, compiled."""
        return self._part(0, self._shape[0], "encode")

    def transform(self, X: Any) -> Array:
        """The codes, (rows, n_components)."""
        rows = self._ready(X)
        return applied(self._encode(), rows)

    def inverse_transform(self, X: Any) -> Array:
        """What the model rebuilds of codes, (rows, features)."""
        check_is_fitted(self, "task_")
        x = check_array(X, dtype=self._shape[2])
        if x.shape[1] != self._shape[1]:
            raise problem(f"codes have {self._shape[1]} numbers, not {x.shape[1]}")
        return applied(self._part(1, self._shape[1], "decode"), x)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error of what is rebuilt, so that a search looks for the least."""
        x = self._ready(X)
        rebuilt = applied(self.task_.use, x)
        dense = x.toarray() if hasattr(x, "toarray") else x
        return -float(np.mean((rebuilt - dense) ** 2))
