"""Choices of which one side is computed: `ifelse`, and what it becomes when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.loop import Branch
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare
from graphc.ops.broadcast import zeros_like
from graphc.ops.convert import as_variable, operands
from graphc.ops.elementwise import cast, neq


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    _, a, b = args
    if a.dtype != b.dtype or a.ndim != b.ndim:
        raise ShapeError(f"the sides are {describe(a)} and {describe(b)}")
    if any(None not in (m, n) and m != n for m, n in zip(a.type.shape, b.type.shape)):
        raise ShapeError(
            f"the sides have different shapes: {describe(a)} and {describe(b)}",
            "both sides of ifelse have the same shape",
        )
    return TensorType(a.dtype, tuple(n if m is None else m
                                     for m, n in zip(a.type.shape, b.type.shape)))  # fmt: skip


def _vjp(
    g: Variable, out: Variable, c: Variable, a: Variable, b: Variable
) -> tuple[Variable | None, ...]:
    return None, choose(c, g, zeros_like(g)), choose(c, zeros_like(g), g)


def _jvp(tangents: Any, out: Variable, c: Variable, a: Variable, b: Variable) -> Variable:
    _, ta, tb = tangents
    return choose(c, zeros_like(a) if ta is None else ta, zeros_like(b) if tb is None else tb)


_ifelse = declare(
    Op(
        "ifelse", _infer, lambda c, a, b: a if c else b, Host(), vjp=_vjp, jvp=_jvp,
        formula="a if c else b; the other side is not computed", facts={"widens": False},
    )
)  # fmt: skip


def choose(c: Variable, a: Variable, b: Variable) -> Variable:
    """One of two variables of one dtype and rank."""
    return apply(_ifelse, (c, a, b), {})


def ifelse(
    condition: Any, then_branch: Any, else_branch: Any, name: str | None = None
) -> Any:
    """``then_branch if condition else else_branch``, of which only that side is computed.

    Parameters
    ----------
    condition : scalar
        True where it isn't zero.
    then_branch, else_branch : variable, or list of variables
        Of the same length, ranks and shapes; dtypes meet as in arithmetic.
    name : str, optional
        Of the result, for listings.

    Returns
    -------
    variable or list of variables
        Their gradients, too, are computed for the chosen side only.

    Notes
    -----
    What both sides need, or something outside of them, is computed in any case. `T.switch`
    chooses element by element, and computes both sides.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> f = graphc.function([x], graphc.ifelse(x > 0, T.sqrt(x), -x))
    >>> float(f(9.0)), float(f(-2.0))
    (3.0, 2.0)
    """
    c = _condition(condition)
    several = isinstance(then_branch, list | tuple)
    if several != isinstance(else_branch, list | tuple):
        raise ArgumentError("ifelse: one side is a list, the other isn't", at=user_frames())
    sides = (then_branch, else_branch) if several else ([then_branch], [else_branch])
    if len(sides[0]) != len(sides[1]):
        raise ArgumentError(
            f"ifelse: the sides have {len(sides[0])} and {len(sides[1])} results",
            "each result has a value on either side", user_frames(),
        )  # fmt: skip
    found = [_choice(c, a, b, name) for a, b in zip(*sides)]
    return found if several else found[0]


def _condition(value: Any) -> Variable:
    c = as_variable(value)
    if c.ndim:
        raise ShapeError(
            f"ifelse: the condition {describe(c)} is not a scalar",
            "take T.all or T.any of it, or T.switch for a choice by element",
            c.where or user_frames(),
        )  # fmt: skip
    return c if c.dtype == "bool" else neq(c, 0)


def _choice(c: Variable, a: Any, b: Any, name: str | None) -> Variable:
    first, second = operands([a, b])
    meeting = dtypes.promote([first.dtype, second.dtype])
    first, second = cast(first, meeting), cast(second, meeting)
    if first.ndim != second.ndim:
        raise ShapeError(
            f"ifelse: the sides {describe(first)} and {describe(second)} have different ranks",
            "add axes with dimshuffle", user_frames(),
        )  # fmt: skip
    found = choose(c, first, second)
    found.name = name
    return found


ifelse.ifelse = ifelse  # type: ignore[attr-defined]  # programs for Theano say ifelse.ifelse


# --- what it becomes ------------------------------------------------------------------


def _branch_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    branch, which = attrs["branch"], attrs["which"]
    sides = [v.type for v in (branch.then[which], branch.otherwise[which]) if v is not None]
    shapes = zip(*(kind.shape for kind in sides))
    shape = tuple(next((n for n in known if n is not None), None) for known in shapes)
    return TensorType(sides[0].dtype, shape)


def run_branch(arrays: Sequence[Any], results: Sequence[Variable], interpret: Any) -> list[Any]:
    """Results of one branch: the bodies of one side, interpreted."""
    branch: Branch = results[0].attrs["branch"]
    side = branch.then if arrays[0] else branch.otherwise
    wanted = [side[v.attrs["which"]] for v in results]
    body = interpret([v for v in wanted if v is not None], branch.leaves)
    found = iter(body(arrays[1:]))
    return [np.zeros((0,) * v.ndim) if w is None else next(found) for v, w in zip(results, wanted)]


def _branch_numpy(*arrays: Any, branch: Branch, which: int) -> Any:
    raise NotImplementedError("a branch is run together with all its results")


branch = declare(
    Op(
        "branch", _branch_infer, _branch_numpy, Host(),
        formula="the results of one of two bodies", checks=True,
        facts={"together": run_branch, "widens": False, "folds": False},
    )
)  # fmt: skip


def is_choice(v: Variable) -> bool:
    return v.op is _ifelse


def is_branch(v: Variable) -> bool:
    return v.op is branch

