"""Results of loops, each made once: what others of the same loop hold is a view of them."""

from __future__ import annotations

from graphc.core.graph import Graph, Interner
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import apply
from graphc.ops import scan
from graphc.ops.index import getitem
from graphc.passes.loop_bodies import in_bodies, loops_of


def settle(graph: Graph, interner: Interner) -> Graph:
    """`graph`, whose sizes are known, with each row of a state in one place; bodies, too."""

    def change(part: Graph) -> Graph:
        return _settle(part, interner)

    return change(in_bodies(graph, interner, change))


def _settle(graph: Graph, interner: Interner) -> Graph:
    """The same without bodies.

    The rows of a state are a part of its history, and so are its last rows; where there is no
    history, the last rows are a part of the rows.
    """
    groups = loops_of(graph.nodes())
    if not groups:
        return graph

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if not scan.is_scan(v) or not isinstance(v.args[0], Constant):
            return apply(v.op, args, v.attrs)
        with made_at(v.where):
            return _settled(v, args, [scan.wanted_of(w) for w in groups[scan.key_of(v)]])

    done = interner.rebuild(graph.nodes(), {}, visit)
    for old, new in done.items():
        interner.note(new, old)
    return graph.with_roots([done[r] for r in graph.roots])


def _settled(
    v: Variable, args: tuple[Variable, ...], wanted: list[scan.Wanted]
) -> Variable:
    loop, (of, which) = v.attrs["loop"], scan.wanted_of(v)
    steps = int(args[0].data)  # type: ignore[attr-defined]
    if of == "count":
        return args[0] if loop.until is None else scan.count(loop, args)
    if of == "rows":
        for k, state in enumerate(loop.states):
            if state.next is which and ("history", k) in wanted:
                whole = scan.history(loop, args, k)
                return getitem(whole, slice(0, steps) if loop.reverse else slice(state.back, None))
        return scan.rows(loop, args, which)
    if of == "history" or loop.until is not None:
        return apply(v.op, args, v.attrs)  # type: ignore[arg-type]
    state = loop.states[which]
    rows_kept = ("rows", state.next) in wanted and steps >= state.back
    if ("history", which) in wanted or (state.back > 1 and not rows_kept):
        whole = scan.history(loop, args, which)
        return getitem(whole, slice(0, state.back) if loop.reverse else slice(steps, None))
    if rows_kept:
        rows = scan.rows(loop, args, state.next)
        return getitem(rows, slice(0, state.back) if loop.reverse
                       else slice(steps - state.back, None))  # fmt: skip
    if ("rows", state.next) in wanted:
        whole = scan.history(loop, args, which)
        return getitem(whole, slice(0, state.back) if loop.reverse else slice(steps, None))
    return scan.final(loop, args, which)
