"""What all listings need: whose graph it is, what its roots are called, which lines it is about."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from typing import Any

from graphc.core.errors import ArgumentError, Frame, location
from graphc.core.graph import Graph
from graphc.core.node import Variable, user_frames
from graphc.core.packed import Packed

Root = tuple[str, Variable]
"""A title and the variable below it."""


def graph_of(x: Any, optimised: bool = True) -> Graph | None:
    """The graph of a function, as it was optimised or as it was declared; a graph is its own."""
    if isinstance(x, Graph):
        return x
    program = getattr(x, "program", None)
    if program is None:
        return None
    found = program.graph if optimised else x.graph
    assert isinstance(found, Graph)
    return found


def roots_of(x: Any, optimised: bool = True) -> list[Root]:
    """What is to be shown of a variable, a list or dict of them, a graph or a function.

    Raises
    ------
    ArgumentError
        If it is none of these.
    """
    graph = graph_of(x, optimised)
    if graph is not None:
        pairs = [(f"output {k}", v) for k, v in enumerate(graph.outputs)]
        if len(pairs) == 1:
            pairs = [("output", graph.outputs[0])]
        return pairs + [(f"{s.name or 'shared'} :=", new) for s, new in graph.updates]
    if isinstance(x, Variable):
        return [("", x)]
    if isinstance(x, Packed):
        return [(label, part) for label, part in zip(x.labels, x.parts)]
    if isinstance(x, dict):
        x = list(x.items())
    if isinstance(x, list | tuple):
        found: list[Root] = []
        for k, entry in enumerate(x):
            if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], Variable):
                found.append((f"{entry[0]} :=", entry[1]))
            else:
                found += [(title or str(k), v) for title, v in roots_of(entry, optimised)]
        return found
    raise ArgumentError(
        f"{x!r} of type {type(x).__name__} has no graph",
        "pass a variable, a list of variables, or a compiled function",
        user_frames(),
    )


def sizes_of(program: Any, bound: Any) -> str:
    """What a plan was made for: sizes of inputs, and lengths that depend on their values."""
    texts = [f"{v.name or 'input'} {shape_text(v.type.shape)}" for v in bound.plan.inputs]
    key = next((k for k, b in program.bound.items() if b is bound), None)
    lengths = key[2] if isinstance(key, tuple) and len(key) > 2 else ()
    if lengths:
        texts.append(f"parts of length {', '.join(map(str, dict.fromkeys(lengths)))}")
    return ", ".join(texts) or "no inputs"


def shape_text(shape: Sequence[int | None]) -> str:
    """``20x784``, and ``scalar`` for no axes."""
    return "x".join("?" if n is None else str(n) for n in shape) or "scalar"


def quoted(frame: Frame) -> str:
    """``file.py:12  the text of the line``."""
    text = linecache.getline(frame[0], frame[1]).strip()
    return f"{location([frame])}  {text}".rstrip()


def short_lines(frames: Iterable[Frame], most: int = 4) -> str:
    """``file.py:3, 7, 9``: some lines, file by file."""
    files: dict[str, set[int]] = {}
    for filename, number, _ in frames:
        files.setdefault(filename.rsplit("/", 1)[-1], set()).add(number)
    texts = []
    for name, found in sorted(files.items()):
        numbers = sorted(found)
        more = ", …" if len(numbers) > most else ""
        texts.append(f"{name}:{', '.join(map(str, numbers[:most]))}{more}")
    return "; ".join(texts)


def table(rows: Sequence[Sequence[str]], right: str = "", indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; `right` has an ``r`` for each that aligns right."""
    if not rows:
        return []
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            text.rjust(w) if right[k : k + 1] == "r" else text.ljust(w)
            for k, (text, w) in enumerate(zip(row, widths))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def counted(count: int, what: str) -> str:
    """``1 kernel``, ``2 kernels``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def operations(graph: Graph) -> list[Variable]:
    """The applications of a graph: no inputs, constants and shared variables."""
    return [v for v in graph.nodes() if v.op is not None]
