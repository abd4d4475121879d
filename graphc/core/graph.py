"""Graphs as passes see them: traversals, substitution, and interning.

All traversals are iterative: a chain of 100,000 nodes is an ordinary graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core import dtypes
from graphc.core.node import (
    Attrs,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    made_at,
    user_frames,
)
from graphc.core.op import Generator, Op, building_with, infer_type

FOLD_EAGERLY = 64  # elements up to which integer arithmetic on constants is done at once


@dataclass(frozen=True)
class Graph:
    """Inputs, outputs, and new values of shared variables.

    `guards` are computed for their run-time checks only.
    """

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    updates: tuple[tuple[SharedVariable, Variable], ...] = ()
    guards: tuple[Variable, ...] = ()

    @property
    def roots(self) -> tuple[Variable, ...]:
        """Everything that has to be computed."""
        return self.outputs + tuple(new for _, new in self.updates) + self.guards

    def nodes(self) -> list[Variable]:
        """All variables that the roots need, operands first."""
        return toposort(self.roots)

    def shared(self) -> list[SharedVariable]:
        """The shared variables that are read or updated."""
        found = dict.fromkeys(v for v in self.nodes() if isinstance(v, SharedVariable))
        found.update(dict.fromkeys(variable for variable, _ in self.updates))
        return list(found)

    def with_roots(self, roots: Sequence[Variable]) -> Graph:
        """The same graph computing other things in the places of its roots."""
        count = len(self.outputs)
        new = tuple((s, r) for (s, _), r in zip(self.updates, roots[count:]))
        guards = tuple(roots[count + len(new) :])
        return Graph(self.inputs, tuple(roots[:count]), new, guards)


def toposort(roots: Iterable[Variable], leaves: Collection[Variable] = ()) -> list[Variable]:
    """Variables that `roots` need, operands before users; not looking below `leaves`."""
    order: list[Variable] = []
    seen: set[Variable] = set()
    stack: list[tuple[Variable, bool]] = [(v, False) for v in reversed(list(roots))]
    while stack:
        variable, done = stack.pop()
        if done:
            order.append(variable)
            continue
        if variable in seen:
            continue
        seen.add(variable)
        stack.append((variable, True))
        if variable not in leaves:
            stack.extend((a, False) for a in reversed(variable.args) if a not in seen)
    return order


def ancestors(roots: Iterable[Variable]) -> set[Variable]:
    """Everything that `roots` depend on, themselves included."""
    seen: set[Variable] = set()
    stack = list(roots)
    while stack:
        variable = stack.pop()
        if variable not in seen:
            seen.add(variable)
            stack.extend(variable.args)
    return seen


def depending_on(order: Sequence[Variable], sources: Collection[Variable]) -> set[Variable]:
    """Those of a topological `order` that are, or depend on, one of `sources`."""
    found: set[Variable] = set()
    for variable in order:
        if variable in sources or any(a in found for a in variable.args):
            found.add(variable)
    return found


def users(order: Sequence[Variable]) -> dict[Variable, list[Variable]]:
    """For each variable of a topological order, who reads it (once per operand)."""
    found: dict[Variable, list[Variable]] = {v: [] for v in order}
    for variable in order:
        for a in variable.args:
            found[a].append(variable)
    return found


def substitute(
    roots: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    copy_leaves: bool = False,
) -> list[Variable]:
    """`roots` with some variables replaced; what doesn't change stays the same object.

    Replacements are taken as they are: what they contain is not replaced again.
    """
    done: dict[Variable, Variable] = dict(replace)
    for variable in toposort(roots, leaves=replace.keys()):
        if variable in done:
            continue
        if variable.op is None:
            if copy_leaves and not isinstance(variable, Constant | SharedVariable):
                done[variable] = Variable(variable.type, name=variable.name, where=variable.where)
            else:
                done[variable] = variable
            continue
        args = tuple(done[a] for a in variable.args)
        if all(a is b for a, b in zip(args, variable.args)):
            done[variable] = variable
            continue
        with made_at(variable.where):
            new = Variable(
                infer_type(variable.op, args, variable.attrs), variable.op, args, variable.attrs,
                name=variable.name, where=variable.where,
            )  # fmt: skip
        if "_tag" in variable.__dict__:
            new.__dict__["_tag"] = variable.tag
        done[variable] = new
    return [done[r] for r in roots]


class Interner:
    """Makes equal applications one object: common sub-expressions never come to be two.

    It is the builder in force while passes run, so that rules can be written with the
    ordinary functions. Names and lines are kept beside the key and merged.
    """

    def __init__(self) -> None:
        self.table: dict[Any, Variable] = {}
        self.number: dict[Variable, int] = {}
        self.lines: dict[Variable, set[tuple[str, int, str]]] = {}

    def build(self, op: Op, args: tuple[Variable, ...], attrs: Attrs) -> Variable:
        args = tuple(self.leaf(a) for a in args)
        if op.commutative:
            args = tuple(sorted(args, key=self._rank))
        key = (op, tuple(map(id, args)), tuple(sorted(attrs.items())) if attrs else ())
        where = user_frames()
        found = self.table.get(key)
        if found is None:
            type = infer_type(op, args, attrs)
            found = self._fold(op, args, attrs, type)
            if found is None:
                found = Variable(type, op, args, attrs, where=where)
            self._enter(key, found)
        if where:
            self.lines[found].add(where[-1])
        return found

    def leaf(self, variable: Variable) -> Variable:
        """The interned form of a leaf; equal constants are one."""
        if variable in self.number or not isinstance(variable, Constant):
            if variable not in self.number:
                self._enter(("leaf", id(variable)), variable)
            return variable
        if variable.type.nbytes > 4096:
            key: Any = ("leaf", id(variable))
        else:
            key = ("constant", variable.type, variable.data.tobytes())
        found = self.table.get(key)
        if found is None:
            found = variable
            self._enter(key, found)
        return found

    def _enter(self, key: Any, variable: Variable) -> None:
        self.table[key] = variable
        if variable not in self.number:
            self.number[variable] = len(self.number)
            self.lines[variable] = set(variable.where[-1:])

    def _rank(self, variable: Variable) -> tuple[bool, int]:
        return isinstance(variable, Constant), self.number[variable]

    def _fold(
        self, op: Op, args: tuple[Variable, ...], attrs: Attrs, type: TensorType
    ) -> Constant | None:
        """Integer arithmetic on small constants: sizes have to be numbers when needed."""
        if not args or not dtypes.is_discrete(type.dtype) or not type.known:
            return None
        if isinstance(op.lower, Generator) or type.size > FOLD_EAGERLY:
            return None
        if not op.facts.get("folds", True):
            return None
        values = []
        for a in args:
            if not isinstance(a, Constant) or a.type.size > FOLD_EAGERLY:
                return None
            if dtypes.is_continuous(a.dtype):
                return None
            values.append(a.data)
        try:
            constant = Constant(op.numpy(*values, **attrs), type.dtype, where=())
        except (IndexError, ValueError):
            return None  # an error of the user's program: it is reported where it happens
        leaf = self.leaf(constant)
        assert isinstance(leaf, Constant)
        return leaf

    def note(self, new: Variable, old: Variable) -> None:
        """`new` stands where `old` stood: it is about the same lines, under the same name."""
        if new is old:
            return
        self.lines.setdefault(new, set()).update(self.lines.get(old, ()))
        if new.name is None and old.name is not None and new.op is not None:
            new.name = old.name

    def rebuild(
        self,
        order: Iterable[Variable],
        done: dict[Variable, Variable],
        visit: Callable[[Variable, tuple[Variable, ...]], Variable] | None = None,
    ) -> dict[Variable, Variable]:
        """Intern variables given operands first; `done` maps old to new and is extended.

        `visit` may make another variable for an application than the plain one.
        """
        with building_with(self):
            for variable in order:
                if variable in done:
                    continue
                if variable.op is None:
                    done[variable] = self.leaf(variable)
                    continue
                args = tuple(done[a] for a in variable.args)
                with made_at(variable.where):
                    if visit is None:
                        new = self.build(variable.op, args, variable.attrs)
                    else:
                        new = visit(variable, args)
                if new.name is None and new.op is not None:
                    new.name = variable.name
                done[variable] = new
        return done
