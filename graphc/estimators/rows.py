"""Rows as functions take them: sparse ones made dense a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.core.node import Array

AT_ONCE = 1024


class SparseRows:
    """A SciPy matrix in compressed rows as a column of a data set: rows come out dense."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> Array:
        return self.matrix[rows].toarray()  # type: ignore[no-any-return]


def rows_of(x: Any) -> Any:
    """Dense rows as they are, sparse ones as rows that come out dense."""
    return SparseRows(x) if hasattr(x, "toarray") else x


def applied(function: Callable[[Array], Array], x: Any, size: int = AT_ONCE) -> Array:
    """What a function makes of all rows, `size` at a time."""
    rows = rows_of(x)
    parts = [function(np.ascontiguousarray(rows[k : k + size])) for k in range(0, len(rows), size)]
    return np.concatenate(parts)
