"""Graphs as indented listings and as formulas."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from graphc.core.errors import location
from graphc.core.node import Constant, Variable
from graphc.core.text import attr_texts, formula, leaf_text
from graphc.inspect.parts import Root, roots_of

MOST_LINES = 100


def dprint(
    x: Any,
    depth: int = -1,
    print_type: bool = False,
    file: Any = None,
    *,
    print_where: bool = False,
    most: int | None = MOST_LINES,
    declared: bool = False,
) -> str | None:
    """Print a graph as an indented listing, operands below what they are operands of.

    An expression that is used more than once is listed once, with a letter; further uses
    show the letter only.

    Parameters
    ----------
    x : variable, list or dict of variables, or Function
        Of a compiled function, the optimised graph is shown.
    depth : int
        How many levels to show; -1 for all.
    print_type : bool
        Whether to add dtypes and shapes.
    file : file or "str", optional
        Where to print; ``"str"`` returns the text instead.
    print_where : bool
        Whether to add the lines of the program that expressions come from.
    most : int or None
        The number of lines after which the listing is cut; None for no limit.
    declared : bool
        Of a function, show the graph as it was declared.

    Returns
    -------
    str or None

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> y = T.exp(x)
    >>> graphc.dprint((y / y.sum()).sum())
    sum
    └─ true_div
       ├─ exp [A]
       │  └─ x
       └─ sum
          └─ exp [A]
    """
    text = listing(roots_of(x, not declared), depth, print_type, print_where, most)
    if file == "str":
        return text
    print(text, file=sys.stdout if file is None else file)
    return None


def listing(roots: Sequence[Root], depth: int, types: bool, where: bool, most: int | None) -> str:
    """The text that `dprint` prints."""
    lines: list[str] = []
    total = 0
    for line in _lines(roots, depth, types, where):
        total += 1
        if most is None or total <= most:
            lines.append(line)
        elif total > 100 * most:
            break
    if total > len(lines):
        more = f"{total - len(lines)}{'' if most is None or total <= 100 * most else '+'}"
        lines.append(f"… {more} more lines; most=None shows all, depth=3 the top")
    return "\n".join(lines)


def _lines(roots: Sequence[Root], depth: int, types: bool, where: bool) -> Iterator[str]:
    letters = _letters([v for _, v in roots])
    shown: set[Variable] = set()
    for title, root in roots:
        if title:
            yield title
        # (variable, what precedes its line, what precedes those of its operands, level)
        stack = [(root, "   " if title else "", "   " if title else "", 1)]
        while stack:
            v, prefix, below, level = stack.pop()
            repeated = v in shown
            cut = v.op is not None and not repeated and 0 <= depth <= level
            yield prefix + _label(v, letters.get(v, ""), types, where) + (" …" if cut else "")
            if v.op is None or repeated or cut:
                continue
            if v in letters:
                shown.add(v)
            last = len(v.args) - 1
            for k in range(last, -1, -1):
                branch, line = ("└─ ", "   ") if k == last else ("├─ ", "│  ")
                stack.append((v.args[k], below + branch, below + line, level + 1))


def _letters(roots: Sequence[Variable]) -> dict[Variable, str]:
    """Letters for expressions with several uses, in the order in which they are listed."""
    uses: Counter[Variable] = Counter(roots)
    order: dict[Variable, None] = {}
    stack = list(reversed(roots))
    while stack:
        v = stack.pop()
        if v in order:
            continue
        order[v] = None
        uses.update(v.args)
        stack.extend(reversed(v.args))
    several = [v for v in order if uses[v] > 1 and v.op is not None]
    return {v: letter(k) for k, v in enumerate(several)}


def letter(k: int) -> str:
    """A, B, ..., Z, AA, AB, ...

    Examples
    --------
    >>> letter(0), letter(25), letter(26), letter(27)
    ('A', 'Z', 'AA', 'AB')
    """
    text = ""
    k += 1
    while k:
        k, rest = divmod(k - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _label(v: Variable, mark: str, types: bool, where: bool) -> str:
    if v.op is None:
        text = leaf_text(v)
    else:
        attrs = attr_texts(v.attrs, v)
        if v.op.name == "cast":
            attrs = [v.dtype]
        text = v.op.name.rstrip("_") + (f"({', '.join(attrs)})" if attrs else "")
        text += f" '{v.name}'" if v.name else ""
    text += f" [{mark}]" if mark else ""
    if types and not text.startswith("<"):
        text += f": {v.type}"
    if where and v.where and not isinstance(v, Constant):
        text += f"  # {location(v.where)}"
    return text


def pp(x: Any, depth: int = -1) -> str:
    """An expression as a formula in one line; of several, or of a function, a line for each.

    Parameters
    ----------
    x : variable, list or dict of variables, or Function
        Of a compiled function, the optimised graph is shown.
    depth : int
        How many operations deep to go; -1 for all. Very long operands become ``…``.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x, W, b = T.dmatrix("x"), T.dmatrix("W"), T.dvector("b")
    >>> graphc.pp(T.tanh(T.dot(x, W) + b).sum(axis=1))
    'sum(tanh(x @ W + b), axis=1)'
    """
    lines = []
    for title, v in roots_of(x):
        text = formula(v, depth, width=1000, through=True)
        lines.append(f"{title} {text}" if title.endswith("=") else text)
    return "\n".join(lines)


pprint = pp
