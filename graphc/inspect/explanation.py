"""``Function.explain()``: how a declared graph became the steps that run."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.core.errors import Frame
from graphc.core.graph import Graph
from graphc.core.node import Variable
from graphc.core.plan import Address, Plan, Step, size_text, step_number
from graphc.core.text import fitted
from graphc.inspect.parts import counted, operations, quoted, short_lines, sizes_of, table

if TYPE_CHECKING:
    from graphc.core.pattern import Rule
    from graphc.passes.rewrite import Firing

BRIEF = "one form for equal things"
MOST_ROOTS = 12
MOST_PLACES = 3
MOST_LINES = 40
MOST_RANGES = 10
WIDTH = 100


@dataclass(frozen=True)
class Section:
    """A title and the lines below it."""

    title: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.title, *self.lines])


@dataclass(frozen=True)
class Explanation:
    """What `explain` returns; printed, it is a text.

    Attributes
    ----------
    sections : tuple of Section
        ``explanation["rules"]`` gives the first whose title begins so.
    """

    sections: tuple[Section, ...]

    def __getitem__(self, beginning: str) -> Section:
        for section in self.sections:
            if section.title.startswith(beginning):
                return section
        raise KeyError(f"{beginning!r}; there is {', '.join(s.title for s in self.sections)}")

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.sections))

    __repr__ = __str__


def explain(function: Any, full: bool = False) -> Explanation:
    """How a compiled function came to be.

    Parameters
    ----------
    function : Function
        Before its first call, what is known without sizes; later also the steps for the
        sizes that it was called with.
    full : bool
        Whether to tell of every rule and every line, also of small changes.

    Returns
    -------
    Explanation

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> f = graphc.function([x], T.log(1 + x).sum(), name="f")
    >>> print(f.explain()["what it computes"])
    what it computes
      output = sum(log1p(x))
    """
    program = function.program
    sections = [Section(repr(function), ()), _computes(program.graph, full)]
    if not hasattr(program, "optimised"):
        lines = ("  mode 'numpy': the graph is interpreted as it was declared, node by node",)
        return Explanation((*sections, Section("how it runs", lines)))
    log = program.optimised.log
    sections.append(_rules(log, full))
    sections.append(_sizes(program))
    bounds = list(program.bound.values())
    if not bounds:
        text = "  steps and kernels are made for sizes: call the function once, then look again"
        sections.append(Section("not bound yet", (text,)))
    for bound in bounds if full else bounds[-1:]:
        sections += _bound(bound, sizes_of(program, bound), full)
    sections.append(_cost(program))
    if program.decisions:
        sections.append(Section("decisions", tuple(f"  {text}" for text in program.decisions)))
    return Explanation(tuple(sections))


def _computes(graph: Graph, full: bool) -> Section:
    """The roots as formulas."""
    several = len(graph.outputs) > 1
    rows = [
        f"  {f'output {k}' if several else 'output'} = {fitted(v)}"
        for k, v in enumerate(graph.outputs)
    ]
    rows += [f"  {s.name or '<shared>'} := {fitted(new)}" for s, new in graph.updates]
    if not full and len(rows) > MOST_ROOTS:
        rows = [*rows[:MOST_ROOTS], f"  … and {len(rows) - MOST_ROOTS} more"]
    return Section("what it computes", tuple(rows))


# --- rules ----------------------------------------------------------------------------


def families() -> dict[str, tuple[Rule, ...]]:
    """The rules by what they are for; of the last family, only the counts are told.

    They are imported with the first function that is compiled.
    """
    from graphc.passes.algebra import ALGEBRA
    from graphc.passes.canonical import CANONICAL
    from graphc.passes.fold import FOLD
    from graphc.passes.movement import MOVEMENT
    from graphc.passes.stability import STABLE

    return {
        "more precise": STABLE,
        "less work": ALGEBRA + MOVEMENT,
        "computed in advance": FOLD,
        BRIEF: CANONICAL,
    }


def _rules(log: Sequence[Firing], full: bool) -> Section:
    """Which rules fired, family by family, on which of the user's lines."""
    uses: dict[str, list[Firing]] = {}
    for firing in log:
        uses.setdefault(firing.rule, []).append(firing)
    lines: list[str] = []
    for family, rules in families().items():
        found = {r.name: (r.text, uses.pop(r.name)) for r in rules if r.name in uses}
        if not found:
            continue
        total = sum(len(firings) for _, firings in found.values())
        if family == BRIEF and not full:
            names = ", ".join(_times(n, len(f)) for n, (_, f) in found.items())
            lines += _wrapped(f"  {family}, {counted(total, 'time')}: {names}", "    ")
            continue
        lines.append(f"  {family}, {counted(total, 'time')}:")
        for name, (text, firings) in found.items():
            lines += _rule(name, text, firings, full)
    for name, firings in uses.items():
        lines += _rule(name, "", firings, full)
    total = sum(1 for _ in log)
    title = f"rules fired {counted(total, 'time')}" if total else "rules: none fired"
    return Section(title, tuple(lines))


def _rule(name: str, text: str, firings: Sequence[Firing], full: bool) -> list[str]:
    """A rule: how often, and on each line of the user's, one thing that it changed."""
    first = text.splitlines()[0] if text else ""
    lines = [f"    {_times(name, len(firings))}" + (f"   {first}" if first else "")]
    by_line: dict[Frame | None, list[Firing]] = {}
    for firing in firings:
        by_line.setdefault(firing.lines[-1] if firing.lines else None, []).append(firing)
    shown = list(by_line.items()) if full else list(by_line.items())[:MOST_PLACES]
    for frame, there in shown:
        lines.append("      " + (quoted(frame) if frame else "(no line of yours)"))
        for firing in there if full else there[:1]:
            before, after = fitted(firing.before, 60), fitted(firing.after, 60)
            lines.append(f"        {before}   ->   {after}")
    if len(by_line) > len(shown):
        lines.append(f"      … and on {counted(len(by_line) - len(shown), 'more line')}")
    return lines


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{name} ×{count}"


def _wrapped(text: str, indent: str) -> list[str]:
    """A long list of words in lines of about `WIDTH` columns."""
    lead = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(), WIDTH, initial_indent=lead, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


# --- from graph to steps --------------------------------------------------------------


def _sizes(program: Any) -> Section:
    """How the number of operations went down."""
    declared, optimised = operations(program.declared), operations(program.graph)
    rows = [("declared", counted(len(declared), "operation"), _kinds(declared)),
            ("optimised", counted(len(optimised), "operation"), _kinds(optimised))]  # fmt: skip
    for bound in list(program.bound.values())[-1:]:
        steps = list(bound.plan.all_steps())
        for title, found in (("runs as", [s for number, s in steps if len(number) == 1]),
                             ("in loops", [s for number, s in steps if len(number) > 1])):
            kinds = Counter(s.routine for s in found)
            parts = [f"{n} {name}" for name, n in kinds.most_common()]
            if found or title == "runs as":
                rows.append((title, counted(len(found), "step"), ", ".join(parts)))
    return Section("what became of the graph", tuple(table(rows, "lr")))


def _kinds(nodes: Iterable[Variable]) -> str:
    found = Counter(v.op.name for v in nodes if v.op is not None)
    names = [_times(name, n) for name, n in found.most_common(6)]
    return ", ".join(names) + (", …" if len(found) > 6 else "")


def _bound(bound: Any, sizes: str, full: bool) -> list[Section]:
    """The steps for one set of sizes, what they are about, and their memory."""
    plan: Plan = bound.plan
    rows = []
    for number, step in plan.all_steps():
        deep = "  " * (len(number) - 1)
        label = step.label if full or len(step.label) <= 64 else step.label[:63] + "…"
        rows.append((step_number(number), deep + step.routine, label,
                     short_lines(lines_of(bound, step))))  # fmt: skip
    steps = Section(f"steps for {sizes}", _some(table(rows, "r"), full))
    return [steps, _lines(bound, full), _memory(plan, full)]


def _some(lines: Sequence[str], full: bool) -> tuple[str, ...]:
    """A list that isn't too long, with a word on the rest."""
    if full or len(lines) <= MOST_LINES:
        return tuple(lines)
    return *lines[:MOST_LINES], f"  … and {len(lines) - MOST_LINES} more: explain(full=True)"


def lines_of(bound: Any, step: Step) -> list[Frame]:
    """The user's lines that a step is about; of a loop, those of its body too."""
    known = getattr(bound, "lines", None) or {}
    found: dict[Frame, None] = {}
    inner = [] if step.body is None else [s for _, s in step.body.all_steps()]
    for v in (v for s in (step, *inner) for v in s.nodes):
        found.update(dict.fromkeys(known.get(v) or v.where[-1:]))
    return sorted(found)


def _lines(bound: Any, full: bool) -> Section:
    """The user's lines, and the steps that each is computed in."""
    steps: dict[tuple[str, int], list[int]] = {}
    for k, step in enumerate(bound.plan.steps):
        for line in dict.fromkeys(frame[:2] for frame in lines_of(bound, step)):
            steps.setdefault(line, []).append(k)
    rows = [
        (quoted((*line, ""))[:WIDTH], f"step{'' if len(numbers) == 1 else 's'} {_ranges(numbers)}")
        for line, numbers in sorted(steps.items())
    ]
    return Section("your lines", _some(table(rows), full))


def _ranges(numbers: Sequence[int]) -> str:
    """``1, 3-5``: ascending numbers."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in parts[:MOST_RANGES]]
    return ", ".join(texts + ["…"] * (len(parts) > MOST_RANGES))


def _memory(plan: Plan, full: bool) -> Section:
    """What lies where, what shares memory, and what is overwritten."""
    inside = [(v, p) for v, p in plan.places.items() if p.kind == "arena"]
    needed = sum(v.type.nbytes for v, _ in inside)
    lines = [
        f"  {counted(len(inside), 'value')} between steps, {size_text(needed)}, in an arena of "
        f"{size_text(plan.arena_bytes)}"
    ]
    if plan.all_arena_bytes > plan.arena_bytes:
        lines.append(f"  between the steps inside loops: arenas of "
                     f"{size_text(plan.all_arena_bytes - plan.arena_bytes)}")  # fmt: skip
    groups: dict[str, int] = Counter(str(p) for _, p in inside)
    again = [f"{place} ({n} values)" for place, n in groups.items() if n > 1]
    copied = {s for s, _, _ in plan.moved}
    for step in plan.steps:
        if step.routine == "copy_bytes":
            copied |= {w.place.owner for w in step.words[:1] if isinstance(w, Address)}
    told = {
        "used again": again,
        "updated in place": [s.name or "?" for s in plan.updated if s not in copied],
        "updated by a copy at the end": [s.name or "?" for s in plan.updated if s in copied],
    }
    for title, names in told.items():
        if names:
            more = [] if full or len(names) <= MOST_ROOTS else [f"… {len(names)} in all"]
            names = names if full else names[:MOST_ROOTS]
            lines += _wrapped(f"  {title}: {', '.join(names + more)}", "    ")
    lines += [f"  {note}" for note in plan.notes]
    return Section("memory", tuple(lines))


def _cost(program: Any) -> Section:
    """What compiling took, for all sets of sizes."""
    origins: dict[str, list[float]] = {}
    for bound in program.bound.values():
        for _, function in bound.linked.all_functions():
            if function is not None:
                origins.setdefault(function.origin, []).append(function.seconds)
    words = {
        "compiled": "compiled now", "disk": "loaded from the cache on disk",
        "memory": "there already, in this process",
    }  # fmt: skip
    rows = [
        (str(len(times)), words.get(origin, origin), f"{sum(times):.3f} s")
        for origin, times in origins.items()
    ]
    lines = ["  native routines"] * bool(rows) + table(rows, "rlr", "    ")
    count = len(program.bound)
    if count:
        lines.append(f"  plans for {counted(count, 'set')} of sizes, kernels included: "
                     f"{program.binding_seconds:.3f} s")  # fmt: skip
    else:
        lines.append("  nothing has been compiled for it yet")
    return Section("what it cost", tuple(lines))
