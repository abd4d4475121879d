"""Rewrite rules: two expressions, or a function of one node.

A rule is written with the ordinary functions; its parameters are its variables::

    @rule
    def log_one_plus(x: Any) -> Sides:
        return log(1 + x), log1p(x)

Both sides are built once, when the rule is defined. On the left, operands of commutative
ops match in either order, a number matches every constant all of whose elements have that
value, and a variable that occurs twice stands for one and the same node. On the right,
numbers are weak: dtypes follow the operands. What a template can't say is a function that
is given a node of certain ops and returns its replacement, or None.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from graphc.core import dtypes
from graphc.core.errors import RewriteError
from graphc.core.node import Constant, TensorType, Variable, made_at
from graphc.core.op import Op

Sides = tuple[Variable, Variable]
Truth = Any  # written as annotation: a pattern variable that stands for bool
Bindings = dict[Variable, Variable]

ELEMENTWISE = "(elementwise)"  # as a root: every elementwise op
ANYTHING = "(any)"  # as a root: every op
CONSTANT = "(constant)"  # as an operand: a constant
LEAF = "(leaf)"  # as an operand: any other leaf

SPREADING = ("cast", "dimshuffle", "reshape", "broadcast_like", "alloc")


@dataclass(frozen=True, eq=False)
class Rule:
    """What is replaced by what.

    Parameters
    ----------
    name : str
        As it appears in logs.
    text : str
        The rule in one line, or what its docstring says.
    roots : tuple of str
        Names of the ops at which it may fire.
    step : callable
        ``(node) -> replacement or None``.
    operands : tuple of frozenset of str
        For each of these there must be an operand that is an application of an op so
        named, or CONSTANT: drivers needn't try other nodes.
    left, right : variable or None
        Both sides, of a rule that was written as two expressions.
    drops : bool
        Whether a side that is an expression lacks a variable of the other, so that the
        shape may shrink where operands broadcast: that is checked at every firing.
        Functions answer for it themselves.
    """

    name: str
    text: str
    roots: tuple[str, ...]
    step: Callable[[Variable], Variable | None]
    operands: tuple[frozenset[str], ...] = ()
    left: Variable | None = None
    right: Variable | None = None
    when: Callable[..., bool] | None = None
    drops: bool = False

    @property
    def is_template(self) -> bool:
        return self.left is not None

    def may_match(self, op: Op, operands: Sequence[str]) -> bool:
        """Whether nodes of `op` on operands of these kinds are worth a try."""
        root = op.name in self.roots or ANYTHING in self.roots
        if not root and not (op.elementwise and ELEMENTWISE in self.roots):
            return False
        return all(not names.isdisjoint(operands) for names in self.operands)

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.text}>"


def kind_of(operand: Variable) -> str:
    """What an operand is, as far as `Rule.operands` tells: an op's name, CONSTANT, or LEAF."""
    if operand.op is not None:
        return operand.op.name
    return CONSTANT if isinstance(operand, Constant) else LEAF


class Blank(Variable):
    """A variable of a pattern."""


@overload
def rule(sides: Callable[..., Sides]) -> Rule: ...


@overload
def rule(*, when: Callable[..., bool]) -> Callable[[Callable[..., Sides]], Rule]: ...


def rule(
    sides: Callable[..., Sides] | None = None, *, when: Callable[..., bool] | None = None
) -> Any:
    """Make a rule of a function that returns its left and its right side.

    Parameters
    ----------
    sides : callable
        Its parameters are the rule's variables: scalars, bool if annotated `Truth`.
    when : callable, optional
        Is given what the variables stand for, under their names, and says whether the
        rule may fire.

    Raises
    ------
    RewriteError
        If the right side has a variable that the left one lacks, or a side is no
        application of an op.
    """
    if sides is None:
        return lambda function: _rule(function, when)
    return _rule(sides, None)


def _rule(sides: Callable[..., Sides], when: Callable[..., bool] | None) -> Rule:
    blanks = {
        name: Blank(TensorType(_dtype_of(parameter), ()), name=name, where=())
        for name, parameter in inspect.signature(sides).parameters.items()
    }
    with made_at(()):
        left, right = sides(**blanks)
    _check_sides(sides.__name__, left, right)

    def step(node: Variable) -> Variable | None:
        bound = match(left, node)
        if bound is None:
            return None
        if when is not None and not when(**{n: bound[b] for n, b in blanks.items()}):
            return None
        result = instantiate(right, bound)
        return result if isinstance(result, Variable) else None

    assert left.op is not None
    text = inspect.getdoc(sides) or f"{expression(left)} -> {expression(right)}"
    operands = tuple(
        frozenset((CONSTANT, *SPREADING)) if isinstance(a, Constant) else frozenset([kind_of(a)])
        for a in left.args
        if not isinstance(a, Blank)
    )
    drops = _blanks(left) != _blanks(right) or not (_elementwise(left) and _elementwise(right))
    return Rule(sides.__name__, text, (left.op.name,), step, operands, left, right, when, drops)


def rewrites(
    *roots: str, on: Sequence[str] = ()
) -> Callable[[Callable[[Variable], Variable | None]], Rule]:
    """Make a rule of a function that is given nodes of the ops named `roots`.

    With `on`, only nodes that have an operand of one of these kinds.
    """

    def decorate(function: Callable[[Variable], Variable | None]) -> Rule:
        text = " ".join((inspect.getdoc(function) or function.__name__).split())
        operands = (frozenset(on),) if on else ()
        return Rule(function.__name__, text, roots, function, operands)

    return decorate


def _dtype_of(parameter: inspect.Parameter) -> str:
    return "bool" if parameter.annotation == "Truth" else "float64"


def _check_sides(name: str, left: Variable, right: Variable) -> None:
    if left.op is None:
        raise RewriteError(f"rule {name}: its left side is no application of an op")
    unbound = _blanks(right) - _blanks(left)
    if unbound:
        names = ", ".join(sorted(str(b.name) for b in unbound))
        raise RewriteError(f"rule {name}: {names} on the right does not occur on the left")
    if not _blanks(right):
        raise RewriteError(f"rule {name}: its right side has no variable to take a dtype from")


def _elementwise(pattern: Variable) -> bool:
    return pattern.op is None or (
        pattern.op.elementwise and all(_elementwise(a) for a in pattern.args)
    )


def _blanks(pattern: Variable) -> set[Variable]:
    if isinstance(pattern, Blank):
        return {pattern}
    return {b for a in pattern.args for b in _blanks(a)}


# --- matching -------------------------------------------------------------------------
# A literal matches only what has a known shape. So if it widens the result, then the type of
# the result says so, and comparing types is enough to see that dropping it loses nothing.

_Goals = Any  # nested pairs ((pattern, node), rest), or None


def match(pattern: Variable, node: Variable) -> Bindings | None:
    """What the variables of a pattern stand for if it matches `node`, else None."""
    return _solve(((pattern, node), None), {})


def _solve(goals: _Goals, bound: Bindings) -> Bindings | None:
    while goals is not None:
        (pattern, node), goals = goals
        if isinstance(pattern, Blank):
            if bound.setdefault(pattern, node) is not node:
                return None
        elif isinstance(pattern, Constant):
            if not (node.type.known and is_uniform(node, pattern.data.item())):
                return None
        elif node.op is not pattern.op or node.attrs != pattern.attrs:
            return None
        elif pattern.op is not None and pattern.op.commutative and len(pattern.args) == 2:
            (p, q), (a, b) = pattern.args, node.args
            straight = _solve(((p, a), ((q, b), goals)), dict(bound))
            if straight is not None or a is b:
                return straight
            goals = ((p, b), ((q, a), goals))
        else:
            for pair in zip(pattern.args, node.args):
                goals = (pair, goals)
    return bound


_uniform: weakref.WeakKeyDictionary[Constant, Any] = weakref.WeakKeyDictionary()


def uniform_value(variable: Variable) -> Any | None:
    """The one value that all elements have, seen through casts and changes of shape."""
    casts = []
    while variable.op is not None:
        if variable.op.name not in SPREADING:
            return None
        if variable.op.name == "cast":
            casts.append(variable.dtype)
        variable = variable.args[0]
    if not isinstance(variable, Constant):
        return None
    if variable.data.ndim == 0:
        value = dtypes.number(variable.data)
    elif variable in _uniform:
        value = _uniform[variable]
    else:
        value = _uniform[variable] = variable.uniform()
    if value is not None:
        for dtype in reversed(casts):
            value = dtypes.rounded(value, dtype)
    return value


def is_uniform(variable: Variable, number: Any) -> bool:
    """Whether all elements of `variable` are known to be `number`, in its own dtype."""
    value = uniform_value(variable)
    if value is None:
        return False
    if value == number:
        return True
    if not dtypes.is_float(variable.dtype) or isinstance(number, complex):
        return False
    return bool(dtypes.rounded(number, variable.dtype) == value)


# --- building -------------------------------------------------------------------------


def instantiate(pattern: Variable, bound: Bindings) -> Any:
    """A side of a rule with what its variables stand for, built by the builder in force."""
    if isinstance(pattern, Blank):
        return bound[pattern]
    if isinstance(pattern, Constant):
        return weak_number(pattern.data.item())
    op: Op | None = pattern.op
    assert op is not None
    return op(*(instantiate(a, bound) for a in pattern.args), **pattern.attrs)


def weak_number(value: Any) -> Any:
    """A number that changes no dtype: 2.0 as 2, which suits integers and floats alike."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def expression(pattern: Variable) -> str:
    """A side of a rule as text."""
    if isinstance(pattern, Blank):
        return str(pattern.name)
    if isinstance(pattern, Constant):
        return repr(weak_number(pattern.data.item()))
    assert pattern.op is not None
    return f"{pattern.op.name}({', '.join(expression(a) for a in pattern.args)})"
