"""Updates that an expression carries: what training changes besides the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.graph import substitute, toposort
from graphc.core.node import SharedVariable, Variable, describe
from graphc.ops.elementwise import cast
from graphc.passes.loop_bodies import all_nodes

Updates = list[tuple[SharedVariable, Variable]]


def carrying(y: Variable, updates: Iterable[tuple[SharedVariable, Variable]]) -> Variable:
    """`y`, with a note of what becomes of shared variables where it is computed in training.

    `updates` finds the note. The new values may depend on the old ones.
    """
    noted = list(getattr(y.tag, "updates", ()))
    y.tag.updates = [*noted, *((s, cast(new, s.dtype)) for s, new in updates)]
    return y


def updates(*expressions: Any) -> Updates:
    """What expressions carry: the running averages of batch normalisation, for example.

    Parameters
    ----------
    *expressions : variables, or lists of them
        Everything that they depend on is looked through, such as a loss.

    Returns
    -------
    list of (shared variable, expression)
        For ``function(updates=...)``, together with those of an optimiser. Where a layer was
        called twice, its second update starts from the result of the first.

    Raises
    ------
    ArgumentError
        If something inside a loop carries updates.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> from graphc import nn
    >>> x, norm = T.dmatrix("x"), nn.BatchNorm(3)
    >>> loss = norm(x, train=True).sum()
    >>> [shared.name for shared, _ in nn.updates(loss)]
    ['batchnorm.running_mean', 'batchnorm.running_variance']
    >>> nn.updates(norm(x))
    []
    """
    roots: list[Variable] = []
    for e in expressions:
        roots += list(e) if isinstance(e, list | tuple) else [e]
    order = toposort(roots)
    outside = set(order)
    for v in all_nodes(roots):
        if v not in outside and _noted(v):
            raise ArgumentError(
                f"{describe(v)} changes {', '.join(describe(s) for s, _ in _noted(v))} inside a "
                "loop, which its updates don't leave",
                "call the layer before or after scan, or with train=False", v.where,
            )  # fmt: skip
    found: dict[SharedVariable, Variable] = {}
    seen: set[Variable] = set()  # a copy of a graph shares its notes
    for v in order:
        for variable, new in _noted(v):
            if new in seen:
                continue
            seen.add(new)
            if variable in found:
                (new,) = substitute([new], {variable: found[variable]})
            found[variable] = new
    return list(found.items())


def _noted(v: Variable) -> Updates:
    tag = v.__dict__.get("_tag")
    return getattr(tag, "updates", []) if tag is not None else []
