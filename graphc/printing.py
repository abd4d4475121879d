"""``graphc.printing``: Theano's names for looking at graphs, and values while they run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.inspect.listing import dprint, letter, pp
from graphc.inspect.networks import to_dot
from graphc.ops.convert import as_variable
from graphc.ops.printing import printed

pprint = pp


def debugprint(
    obj: Any, depth: int = -1, print_type: bool = False, file: Any = None, ids: Any = None,
    stop_on_name: bool = False, done: Any = None, **more: Any,
) -> str | None:  # fmt: skip
    """`graphc.dprint` under Theano's name and with its parameters.

    Parameters
    ----------
    obj : variable, list of variables, or Function
        What to list.
    depth, print_type, file
        As for `graphc.dprint`.
    ids, stop_on_name, done
        Taken for the sake of programs written for Theano; they change nothing.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> graphc.printing.debugprint(T.exp(T.dscalar("x")))
    exp
    └─ x
    """
    return dprint(obj, depth, print_type, file)


class Print:
    """The identity, printing what passes through it each time it is computed.

    Parameters
    ----------
    message : str
        What each line begins with.
    attrs : sequence of str
        Attributes or methods of the array that are printed.
    global_fn : callable, optional
        ``(op, array)``, called instead.

    Notes
    -----
    What nothing depends on is not computed and not printed: use the result. Values are printed
    when they have been computed, which may be in another order than that of the program.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> y = graphc.printing.Print("x is", attrs=("shape", "__str__"))(x)
    >>> (2 * y).eval({x: [1.0, 2.0]})
    x is shape = (2,)
    x is __str__ = [1. 2.]
    array([2., 4.])
    """

    def __init__(
        self, message: str = "", attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Any, Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self.message, self.attrs, self.global_fn = message, tuple(attrs), global_fn
        self._show = None if global_fn is None else self._shown

    def _shown(self, array: Any) -> None:
        assert self.global_fn is not None
        self.global_fn(self, array)

    def __call__(self, x: Any) -> Variable:
        return printed(as_variable(x), self.message, self.attrs, self._show)


def pydotprint(
    fct: Any, outfile: Any = None, compact: bool = True, format: str = "png", **more: Any
) -> None:
    """Draw a graph to a file.

    Parameters
    ----------
    fct : variable, list of variables, or Function
        What to draw.
    outfile : path
        Where. The file's suffix says the format, else `format` does. ``.dot`` and ``.gv`` are
        text; others are drawn by Graphviz's program ``dot``, which must be installed.

    Raises
    ------
    ArgumentError
        If there is no file name, or Graphviz is needed and not found.
    """
    if outfile is None:
        raise ArgumentError(
            "pydotprint: outfile is not given", "pydotprint(f, 'graph.dot')", user_frames()
        )
    path = Path(outfile)
    kind = path.suffix[1:] or format
    text = to_dot(fct)
    if kind in ("dot", "gv"):
        path.write_text(text, "utf-8")
        return
    program = shutil.which("dot")
    if program is None:
        raise ArgumentError(
            f"pydotprint: {path.name} needs Graphviz's program `dot`, which is not installed",
            "write the description instead, with outfile='graph.dot'", user_frames(),
        )  # fmt: skip
    subprocess.run([program, f"-T{kind}", "-o", str(path)], input=text.encode(), check=True)


def var_descriptor(obj: Any, **more: Any) -> str:
    """A text that is equal for equal graphs: its listing with types.

    >>> import graphc.tensor as T
    >>> print(var_descriptor(T.exp(T.dscalar("x"))))
    exp: float64[]
    └─ x: float64[]
    """
    return str(dprint(obj, -1, True, "str", most=None))


def min_informative_str(obj: Any, indent_level: int = 0, **more: Any) -> str:
    """An expression with a letter for each part, one a line, operands indented.

    >>> import graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> print(min_informative_str(x + y))
    A. add
     B. x
     C. y
    """
    lines, letters = [], {}
    stack = [(obj, indent_level)]
    while stack:
        v, level = stack.pop()
        if v in letters:
            lines.append(" " * level + f"<{letters[v]}>")
            continue
        letters[v] = letter(len(letters))
        label = v.name or (v.op.name if v.op is not None else str(v))
        lines.append(" " * level + f"{letters[v]}. {label}")
        stack.extend((a, level + 1) for a in reversed(v.args))
    return "\n".join(lines)


__all__ = [
    "Print", "debugprint", "min_informative_str", "pp", "pprint", "pydotprint", "var_descriptor",
]  # fmt: skip
