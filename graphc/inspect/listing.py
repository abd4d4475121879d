"""Graphs as indented listings and as formulas."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.core.errors import location
from graphc.core.loop import Loop
from graphc.core.node import Constant, Variable
from graphc.core.text import NO_NAMES, Names, attr_texts, formula, leaf_text
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
    show the letter only. Below a loop are its operands, with what stands for them in a step,
    and what a step does.

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
    >>> total, _ = graphc.reduce(lambda x, total: total + x, x, 0.0)
    >>> graphc.dprint(total)
    subtensor(window=(('i', 0),))
    ├─ scan(last total)
    │  ├─ x[t] in x
    │  ├─ total from 0.0
    │  └─ each step:
    │     └─ next total := add
    │        ├─ total
    │        └─ x[t]
    └─ -1
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


@dataclass(frozen=True)
class Part:
    """Something with a line: an expression, or a title above parts of its own.

    `names` are those of leaves where it is: in the body of a loop, they are the loop's.
    """

    lead: str
    variable: Variable | None = None
    names: Names = field(default_factory=lambda: NO_NAMES)
    parts: tuple[Part, ...] = ()

    @property
    def key(self) -> tuple[Any, int]:
        """What is listed once: loops share leaves that they call by different names."""
        return self.variable, id(self.names)


def _lines(roots: Sequence[Root], depth: int, types: bool, where: bool) -> Iterator[str]:
    inside = _Inside([v for _, v in roots])
    letters = _letters(inside)
    shown: set[Any] = set()
    for title, root in roots:
        if title:
            yield title
        # (part, what precedes its line, what precedes those of its operands, level)
        stack = [(Part("", root), "   " if title else "", "   " if title else "", 1)]
        while stack:
            part, prefix, below, level = stack.pop()
            v = part.variable
            if v is None:
                yield prefix + part.lead
                parts = part.parts
            else:
                repeated = part.key in shown
                cut = v.op is not None and not repeated and 0 <= depth <= level
                label = _label(v, letters.get(part.key, ""), types, where, part.names)
                yield prefix + part.lead + label + (" …" if cut else "")
                if v.op is None or repeated or cut:
                    continue
                if part.key in letters:
                    shown.add(part.key)
                parts = inside.parts_of(part, shown)
            last = len(parts) - 1
            for k in range(last, -1, -1):
                branch, line = ("└─ ", "   ") if k == last else ("├─ ", "│  ")
                stack.append((parts[k], below + branch, below + line, level + 1))


class _Inside:
    """What is listed below expressions: operands, and below a loop, also what a step does.

    Attributes
    ----------
    results : dict
        Of each loop and its operands, the inner values of which rows are asked for.
    """

    def __init__(self, roots: Sequence[Variable]) -> None:
        self.roots = roots
        self.results: dict[Any, dict[Variable, None]] = {}
        seen: set[Variable] = set()
        pending = list(roots)
        while pending:
            v = pending.pop()
            if v in seen:
                continue
            seen.add(v)
            pending += v.args
            if "loop" in v.attrs:
                loop, of, which = v.attrs["loop"], v.attrs["of"], v.attrs["which"]
                wanted = self.results.setdefault((loop, v.args), {})
                pending += loop.results
                if of == "rows":
                    wanted[which] = None
                    pending.append(which)

    def parts_of(self, part: Part, shown: set[Any]) -> Sequence[Part]:
        """What is listed below an expression; a loop's operands and body below one result."""
        v = part.variable
        assert v is not None
        if "loop" not in v.attrs:
            choice = v.op is not None and v.op.name == "ifelse"
            leads = ("if ", "then ", "else ") if choice else ("",) * len(v.args)
            return [Part(lead, a, part.names) for lead, a in zip(leads, v.args)]
        key = (v.attrs["loop"], v.args, id(part.names))
        if key in shown:
            return [Part("(of the same loop as above)")]
        shown.add(key)
        return self._loop_parts(v, part.names)

    def _loop_parts(self, v: Variable, outside: Names) -> list[Part]:
        loop: Loop = v.attrs["loop"]
        given, names = loop.split(v.args), loop.all_names
        found = [] if loop.slices else [Part("n_steps: ", given.steps, outside)]
        found += [Part(f"{names[leaf]} in ", _plain(a), outside)
                  for leaf, a in zip(loop.slices, given.sequences)]  # fmt: skip
        for state, a in zip(loop.states, given.initials):
            reads = ", ".join(names[r] for r in state.reads)
            found.append(Part(f"{reads} from ", _plain(a), outside))
        for leaf, a in zip(loop.constants, given.constants):
            same = a.op is None and leaf_text(a, outside) == names[leaf]
            found.append(Part("" if same else f"{names[leaf]} = ", a, outside))
        body = [Part(f"{loop.next_name(k)} := ", s.next, names)
                for k, s in enumerate(loop.states)]  # fmt: skip
        nexts = {s.next for s in loop.states}
        body += [Part("row: ", r, names) for r in self.results[loop, v.args] if r not in nexts]
        if loop.until is not None:
            body.append(Part("until: ", loop.until, names))
        title = "each step, from the last row to the first:" if loop.reverse else "each step:"
        return [*found, Part(title, parts=tuple(body))]


def _plain(v: Variable) -> Variable:
    """An operand without what makes rows of it: all of ``x[:]``, and one row in front."""
    if v.op is not None and v.op.name in ("subtensor", "dimshuffle"):
        source = v.args[0]
        text = formula(source, 1)
        if formula(v, 1) == text or formula(v, 2) == f"{text}[:]":
            return source
    return v


def _letters(inside: _Inside) -> dict[Any, str]:
    """Letters for expressions with several uses, in the order in which they are listed."""
    stack = [Part("", v) for v in reversed(inside.roots)]
    uses: Counter[Any] = Counter(part.key for part in stack)
    order: dict[Any, None] = {}
    shown: set[Any] = set()
    while stack:
        part = stack.pop()
        if part.variable is None:
            below: Sequence[Part] = part.parts
        elif part.key in order:
            continue
        else:
            order[part.key] = None
            below = inside.parts_of(part, shown)
        uses.update(p.key for p in below)
        stack.extend(reversed(below))
    several = [key for key in order if uses[key] > 1 and key[0].op is not None]
    return {key: letter(k) for k, key in enumerate(several)}


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


def _label(v: Variable, mark: str, types: bool, where: bool, names: Names) -> str:
    if v.op is None:
        text = leaf_text(v, names)
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
