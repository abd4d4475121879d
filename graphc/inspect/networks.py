"""Graphs for other tools: networkx and Graphviz's DOT."""

from __future__ import annotations

from typing import Any

from graphc.core.errors import location
from graphc.core.graph import toposort
from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.text import attr_texts, leaf_text
from graphc.inspect.parts import roots_of

SHAPES = {
    "input": ("ellipse", "#d8e8f8"), "shared": ("ellipse", "#f8e8c8"),
    "constant": ("plaintext", "#ffffff"), "op": ("box", "#f0f0f0"),
}  # fmt: skip
"""Outline and colour in DOT, by the kind of node."""


def to_networkx(x: Any, declared: bool = False) -> Any:
    """A graph as a ``networkx.DiGraph``, edges leading from operands to what is made of them.

    Parameters
    ----------
    x : variable, list or dict of variables, or Function
        Of a compiled function, the optimised graph unless `declared`.

    Returns
    -------
    networkx.DiGraph
        Nodes are numbers, operands before users, with the attributes ``label``, ``kind``
        (``op``, ``input``, ``shared``, ``constant``), ``op``, ``name``, ``dtype``, ``shape``,
        ``where``, ``root`` (what is computed: ``output 0``, ``W :=``, or empty) and
        ``variable``. Edges have ``operands``, the positions at which they enter.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> from graphc.inspect import to_networkx
    >>> x = T.dvector("x")
    >>> graph = to_networkx(x * T.exp(x))
    >>> [graph.nodes[n]["label"] for n in graph], list(graph.edges)
    (['x', 'exp', 'mul'], [(0, 1), (0, 2), (1, 2)])
    """
    import networkx

    roots = roots_of(x, not declared)
    titles: dict[Variable, list[str]] = {}
    for title, v in roots:
        titles.setdefault(v, []).append(title)
    graph = networkx.DiGraph()
    number: dict[Variable, int] = {}
    for k, v in enumerate(toposort([v for _, v in roots])):
        number[v] = k
        graph.add_node(
            k, label=node_label(v), kind=kind_of(v), op=v.op.name if v.op else "",
            name=v.name or "", dtype=v.dtype, shape=v.type.shape,
            where=location(v.where) if v.where else "",
            root=", ".join(filter(None, titles.get(v, ()))), variable=v,
        )  # fmt: skip
        for position, a in enumerate(v.args):
            edge = (number[a], k)
            before = graph.edges[edge]["operands"] if graph.has_edge(*edge) else ()
            graph.add_edge(*edge, operands=(*before, position))
    return graph


def to_dot(x: Any, declared: bool = False) -> str:
    """A graph in the DOT language, for Graphviz and its viewers.

    Parameters
    ----------
    x : variable, list or dict of variables, or Function
        Of a compiled function, the optimised graph unless `declared`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.inspect import to_dot
    >>> print(to_dot(-T.dscalar("x")))
    digraph graphc {
      rankdir=TB; node [style=filled, fontname="Helvetica", fontsize=11];
      n0 [label="x\\nfloat64[]", shape=ellipse, fillcolor="#d8e8f8"];
      n1 [label="neg\\nfloat64[]", shape=box, fillcolor="#f0f0f0"];
      n0 -> n1;
    }
    """
    roots = roots_of(x, not declared)
    titles: dict[Variable, list[str]] = {}
    for title, v in roots:
        titles.setdefault(v, []).append(title)
    lines = [
        "digraph graphc {",
        '  rankdir=TB; node [style=filled, fontname="Helvetica", fontsize=11];',
    ]
    number: dict[Variable, int] = {}
    for k, v in enumerate(toposort([v for _, v in roots])):
        number[v] = k
        shape, colour = SHAPES[kind_of(v)]
        text = "\n".join(filter(None, (*titles.get(v, ()), node_label(v), str(v.type))))
        bold = ", penwidth=2" if v in titles and any(titles[v]) else ""
        lines.append(f'  n{k} [label={_string(text)}, shape={shape}, fillcolor="{colour}"{bold}];')
        several = len(v.args) > 1 and not (v.op is not None and v.op.commutative)
        for position, a in enumerate(v.args):
            label = f" [label={position}]" if several else ""
            lines.append(f"  n{number[a]} -> n{k}{label};")
    return "\n".join([*lines, "}"])


def kind_of(v: Variable) -> str:
    """``op``, ``input``, ``shared`` or ``constant``."""
    if v.op is not None:
        return "op"
    if isinstance(v, Constant):
        return "constant"
    return "shared" if isinstance(v, SharedVariable) else "input"


def node_label(v: Variable) -> str:
    """What to write into a node."""
    if v.op is None:
        return leaf_text(v)
    attrs = [v.dtype] if v.op.name == "cast" else attr_texts(v.attrs, v)
    text = v.op.name.rstrip("_") + (f"({', '.join(attrs)})" if attrs else "")
    return f"{v.name}: {text}" if v.name else text


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
