"""Sparse matrices that keep their values between calls."""

from __future__ import annotations

from typing import Any

from graphc.core import dtypes
from graphc.core.node import SharedVariable, Variable, as_storage
from graphc.ops.sparse import FORMATS, SparseType, SparseVariable


class SparseSharedVariable(SparseVariable):
    """A sparse matrix with a value of its own: `graphc.shared` of a matrix of SciPy makes it.

    Its format and dtype are fixed; its shape and its entries may change. What functions read
    and update are the shared variables `data`, `indices`, `indptr` and `minor`.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._default_update: SparseVariable | None = None

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The present value as a matrix of SciPy: a copy, or with `borrow` over the very arrays
        that functions use."""
        return self.put_together([_held(p).get_value(borrow) for p in self.parts])

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Give the variable another matrix of SciPy, of its format and dtype."""
        arrays = self.take_apart(value, self.name or "a shared variable")
        for part, array in zip(self.parts, arrays):
            _held(part).set_value(array, borrow)

    @property
    def default_update(self) -> SparseVariable | None:
        """What becomes of the variable in every call that depends on it, if nothing else is
        said; None for nothing."""
        return self._default_update

    @default_update.setter
    def default_update(self, new: Any) -> None:
        found: Any = (None,) * 4 if new is None else self.fit(new, "default_update")
        for part, update in zip(self.parts, found):
            _held(part).default_update = update
        self._default_update = new


def _held(part: Variable) -> SharedVariable:
    assert isinstance(part, SharedVariable)
    return part


def share(value: Any, name: str | None = None) -> SparseSharedVariable:
    """A sparse shared variable that starts from a matrix of SciPy, which is copied."""
    held = value if value.format in FORMATS else value.tocsr()
    model = SparseType(held.format, dtypes.canonical(held.dtype))(name)
    arrays = model.take_apart(held, name or "shared")
    parts = [
        SharedVariable(as_storage(array, copy=True), part.name)
        for part, array in zip(model.parts, arrays)
    ]
    data, indices, indptr, minor = parts
    return SparseSharedVariable(held.format, data, indices, indptr, minor, name=name)
