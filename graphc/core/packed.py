"""Values that users hold as one variable and that the compiler sees as several tensors.

A sparse matrix is three vectors and a number. Whatever takes variables from a user (functions,
gradients, updates, givens) takes a packed one apart at the door and puts results together again;
no pass and no kernel ever meets one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphc.core.errors import DTypeError, Frame
from graphc.core.node import Array, SharedVariable, Variable


class Packed:
    """The base of such variables.

    Attributes
    ----------
    name : str or None
        For listings and messages.
    where : tuple of Frame
        The user's lines that made it.
    labels : tuple of str
        What the parts are called.
    """

    name: str | None
    where: tuple[Frame, ...]
    labels: tuple[str, ...]
    __array_priority__ = 1001
    __array_ufunc__ = None

    @property
    def type(self) -> Any:
        """What it holds, for messages."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Variable, ...]:
        """The tensors that it consists of."""
        raise NotImplementedError

    @property
    def values(self) -> Variable:
        """The part through which gradients pass."""
        raise NotImplementedError

    def with_parts(self, parts: Sequence[Variable]) -> Packed:
        """The same kind of variable made of other tensors."""
        raise NotImplementedError

    def with_values(self, values: Variable) -> Packed:
        """The same variable with another tensor in the place of `values`."""
        raise NotImplementedError

    def fit(self, other: Any, what: str) -> Sequence[Variable]:
        """The parts of what is to stand in this variable's place, or an error."""
        raise NotImplementedError

    def take_apart(self, value: Any, label: str) -> list[Array]:
        """A call's argument as the arrays of the parts, or an error that names `label`."""
        raise NotImplementedError

    def may_lengthen(self, roots: Sequence[Variable]) -> bool:
        """Whether graphs with these roots compute the same from arrays with more than they need."""
        return False

    def lengthen(self, arrays: list[Array]) -> list[Array]:
        """The arrays of a value, longer: to one of few lengths, so that they share plans."""
        raise NotImplementedError

    def put_together(self, arrays: Sequence[Array]) -> Any:
        """What a call returns, from the arrays of the parts."""
        raise NotImplementedError

    @property
    def is_input(self) -> bool:
        """Whether it is declared rather than computed, constant or shared."""
        return type(self.values) is Variable and all(
            p.op is None and not isinstance(p, SharedVariable) for p in self.parts
        )

    @property
    def is_shared(self) -> bool:
        """Whether it keeps a value between calls."""
        return isinstance(self.values, SharedVariable)

    def __repr__(self) -> str:
        return self.name if self.name else describe(self)

    def __bool__(self) -> bool:
        raise DTypeError(
            f"the value of {describe(self)} is not known while the graph is being declared",
            at=self.where,
        )


def describe(packed: Packed) -> str:
    """A packed variable's name with its type, for messages."""
    return f"{packed.name or '<unnamed>'}: {packed.type}"


def flat(variables: Iterable[Any]) -> list[Any]:
    """A list with the parts of packed variables in their places."""
    return [p for v in variables for p in (v.parts if isinstance(v, Packed) else (v,))]


def differentiable(variables: Any) -> Any:
    """Variables, or a mapping from them, with those in the places of packed ones that have
    gradients."""
    if isinstance(variables, Packed):
        return variables.values
    if isinstance(variables, Mapping):
        return {differentiable(k): differentiable(v) for k, v in variables.items()}
    if isinstance(variables, list | tuple):
        return type(variables)(differentiable(v) for v in variables)
    return variables


def regrouped(like: Sequence[Packed | None], found: Sequence[Any], method: str) -> list[Any]:
    """A flat list with the parts of each packed variable made one by its `method`."""
    rest = iter(found)
    return [
        next(rest) if v is None else getattr(v, method)([next(rest) for _ in v.parts])
        for v in like
    ]
