"""Pickles of variables, graphs and functions.

A variable is saved as a flat list of all that it depends on, operands first, so that a
chain of 100,000 nodes doesn't recurse. Each entry of the list is a `Cell`, one per
variable: in one pickle, however many variables share an ancestor, it is saved once and
stays one object.
"""

from __future__ import annotations

from typing import Any

from graphc.core.graph import Graph, toposort
from graphc.core.node import Constant, Variable

TRANSIENT = ("_cell", "_compiled")  # what a variable holds for this process only
OWN = {"type", "op", "attrs", "name", "where", "data", "storage"}  # the rest may lead back to it


class Cell:
    """Stands for one variable in a pickle, naming its operands by their cells."""

    __slots__ = ("variable",)

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __reduce__(self) -> tuple[Any, ...]:
        v = self.variable
        state = {k: s for k, s in v.__dict__.items() if k not in TRANSIENT and k != "args"}
        later = {k: state.pop(k) for k in list(state) if k not in OWN}
        args = tuple(cell_of(a) for a in v.args)
        return make, (type(v), state, args), later


def cell_of(variable: Variable) -> Cell:
    """The one cell of a variable."""
    found = variable.__dict__.get("_cell")
    if found is None:
        found = variable.__dict__["_cell"] = Cell(variable)
    return found


def make(kind: type[Variable], state: dict[str, Any], args: tuple[Variable, ...]) -> Variable:
    """A variable from what its cell saved; user attributes follow."""
    variable = kind.__new__(kind)
    variable.__dict__.update(state, args=args)
    if isinstance(variable, Constant):
        variable.data.setflags(write=False)
    return variable


def last(variables: list[Variable]) -> Variable:
    """The variable that a flat list was made for."""
    return variables[-1]


def _reduce_variable(self: Variable) -> tuple[Any, ...]:
    return last, ([cell_of(v) for v in toposort([self])],)


def _copy_variable(self: Variable) -> Variable:
    new = type(self).__new__(type(self))
    new.__dict__.update({k: s for k, s in self.__dict__.items() if k not in TRANSIENT})
    return new


def make_graph(variables: list[Variable], inputs: Any, outputs: Any, updates: Any) -> Graph:
    """A graph from its flat list; the other arguments are members of it."""
    return Graph(inputs, outputs, updates)


def _reduce_graph(self: Graph) -> tuple[Any, ...]:
    cells = [cell_of(v) for v in toposort([*self.roots, *self.inputs])]
    return make_graph, (
        cells,
        tuple(map(cell_of, self.inputs)),
        tuple(map(cell_of, self.outputs)),
        tuple((cell_of(target), cell_of(new)) for target, new in self.updates),
    )


def install() -> None:
    """Teach variables and graphs how they are pickled and copied."""
    Variable.__reduce__ = _reduce_variable  # type: ignore[method-assign,assignment]
    Variable.__copy__ = _copy_variable  # type: ignore[attr-defined]
    Graph.__reduce__ = _reduce_graph  # type: ignore[method-assign,assignment]


install()
