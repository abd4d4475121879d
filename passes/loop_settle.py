"""Results of loops, each made once: what others of the same loop hold is a view of them."""

from __future__ import annotations

from graphc.core.graph import Graph, Interner, users
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import apply, static_int
from graphc.ops import scan
from graphc.ops.index import getitem
from graphc.passes.loop_bodies import in_bodies, loops_of


def settle(graph: Graph, interner: Interner) -> Graph:
    """`graph`, whose sizes are known, with each row of a state in one place; bodies, too."""

    def change(part: Graph) -> Graph:
        return _settle(_lasts(part, interner), interner)

    return change(in_bodies(graph, interner, change))


def _lasts(graph: Graph, interner: Interner) -> Graph:
    """The same, where the last row of a state is what the loop ends with.

    Where nothing else reads the rows, they aren't kept.
    """
    order, roots = graph.nodes(), set(graph.roots)
    readers = users(order)
    picked: dict[Variable, int] = {}
    for v in order:
        k = _state_of_rows(v)
        if k is not None and v not in roots and all(_picks_last(u, v) for u in readers[v]):
            picked[v] = k
    if not picked:
        return graph

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if not v.args or v.args[0] not in picked:
            return apply(v.op, args, v.attrs)
        rows, number = args[0], v.attrs["window"][0][1]
        numbers = list(args[1:])
        numbers[number] = interner.leaf(Constant(0, "int64"))
        last = scan.final(rows.attrs["loop"], rows.args, picked[v.args[0]])
        with made_at(v.where):
            return apply(v.op, (last, *numbers), v.attrs)

    done = interner.rebuild(order, {}, visit)
    for old, new in done.items():
        interner.note(new, old)
    return graph.with_roots([done[r] for r in graph.roots])


def _state_of_rows(v: Variable) -> int | None:
    """The state of one tap whose rows a variable is, if there is one row at least."""
    if not scan.is_scan(v) or v.attrs["of"] != "rows" or v.attrs["loop"].until is not None:
        return None
    if not (static_int(v.args[0]) or 0) > 0:
        return None
    states = v.attrs["loop"].states
    return next((k for k, s in enumerate(states)
                 if s.next is v.attrs["which"] and s.back == 1), None)  # fmt: skip


def _picks_last(u: Variable, rows: Variable) -> bool:
    """Whether an operation reads nothing but the row that was made last."""
    if u.op is None or u.op.name != "subtensor" or u.args[0] is not rows or rows in u.args[1:]:
        return False
    entry = u.attrs["window"][0]
    number = static_int(u.args[1 + entry[1]]) if entry[0] == "i" else None
    if number is None:
        return False
    steps = static_int(rows.args[0]) or 0
    return number % steps == (0 if rows.attrs["loop"].reverse else steps - 1)


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
