"""Whitening: rows whose elements are uncorrelated and of variance 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.data.fitting import Fitted, parts
from graphc.data.order import read_count
from graphc.data.problems import problem
from graphc.data.scaling import as_float


@dataclass(frozen=True, eq=False)
class Whiten(Fitted):
    """``(x - mean) W``, whose covariance over the training rows is about the identity.

    With the covariance ``C = E diag(l) E'``, PCA whitening is ``W = E diag(l + epsilon)^-1/2``,
    strongest component first; ZCA whitening is that times ``E'``, the whitening that changes
    rows least.

    References
    ----------
    A. Bell, T. Sejnowski, "The 'independent components' of natural scenes are edge filters",
    Vision Research 37, 1997. A. Krizhevsky, "Learning multiple layers of features from tiny
    images", 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.data import Whiten
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) @ np.array([[2.0, 1.0], [0.0, 1.0]])
    >>> np.abs(np.cov(Whiten.fit(x, "zca", epsilon=0)(x).T, ddof=0).round(6))
    array([[1., 0.],
           [0., 1.]])
    """

    mean: Array
    matrix: Array
    back: Array
    keeps_shape: Any

    @classmethod
    def fit(
        cls, train: Any, kind: str = "pca", components: int | None = None,
        epsilon: float = 1e-5, field: Any = 0,
    ) -> Whiten:  # fmt: skip
        """Of the training rows: an array (rows, ...), or a field of a data set.

        Parameters
        ----------
        train : array or Dataset
            Rows; each is taken as one vector.
        kind : "pca" or "zca"
            PCA gives (rows, components), ZCA rows of their old shape.
        components : int, optional
            How many of the strongest components PCA keeps; all by default.
        epsilon : float
            Added to the eigenvalues: weak components, which are mostly noise, stay weak.
        field : str or int
            Which one of a data set.

        Raises
        ------
        DataError
            For other arguments, rows that aren't finite, and directions without variance where
            epsilon is 0.
        """
        if kind not in ("pca", "zca") or not epsilon >= 0:
            raise problem(f"Whiten: kind={kind!r}, epsilon={epsilon!r}",
                          "kind is 'pca' or 'zca'; epsilon is at least 0")  # fmt: skip
        mean, covariance = _covariance(train, field)
        size = len(covariance)
        many = components is not None and read_count(components, "components") > size
        if many or (components is not None and kind == "zca"):
            raise problem(f"Whiten: {components} components of {size} elements by {kind}",
                          "PCA keeps as many as there are elements, or fewer")  # fmt: skip
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values[::-1][:components], 0) + epsilon
        vectors = _turned(vectors[:, ::-1][:, :components])
        if values[-1] <= size * np.finfo("float64").eps * values[0]:
            raise problem(
                f"Whiten: rows of {size} elements don't vary in all of {len(values)} directions",
                "pass a positive epsilon, or fewer components",
            )
        matrix, back = vectors / np.sqrt(values), (vectors * np.sqrt(values)).T
        if kind == "zca":
            matrix, back = matrix @ vectors.T, vectors @ back
        return cls(mean, matrix, back, np.asarray(kind == "zca"))

    def __call__(self, x: Any) -> Array:
        rows = self._rows(x, self.mean.shape)
        flat = (rows - self.mean.astype(rows.dtype)).reshape(len(rows), -1)
        found = flat @ self.matrix.astype(rows.dtype)
        return found.reshape(rows.shape) if self.keeps_shape else found

    def inverse(self, x: Any) -> Array:
        """The rows, or the nearest ones where components were left out."""
        rows = as_float(x)
        flat = rows.reshape(len(rows), -1) @ self.back.astype(rows.dtype)
        return flat.reshape(-1, *self.mean.shape) + self.mean.astype(rows.dtype)


def _covariance(train: Any, field: Any) -> tuple[Array, Array]:
    """The mean row and the covariance of flat rows, part by part (Chan et al. 1979)."""
    count, mean, scatter = 0, np.zeros(()), np.zeros(())
    shape: tuple[int, ...] = ()
    for part in parts(train, field):
        m, shape = len(part), part.shape[1:]
        flat = part.reshape(m, math.prod(shape))
        own = flat.mean(axis=0)
        delta, centred = own - mean, flat - own
        scatter = scatter + centred.T @ centred
        scatter += np.outer(delta, delta) * (count * m / (count + m))
        mean = mean + delta * (m / (count + m))
        count += m
    return mean.reshape(shape), scatter / count


def _turned(vectors: Array) -> Array:
    """Eigenvectors with the sign at which their largest element is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
