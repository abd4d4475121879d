"""Short loops written out: their steps fuse with one another and with what is around them."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.graph import Graph, Interner, toposort
from graphc.core.loop import Loop
from graphc.core.node import Constant, Variable, made_at
from graphc.core.op import Generator, Reduction, Scalar, View, building_with
from graphc.ops import scan
from graphc.ops.broadcast import alloc
from graphc.ops.index import getitem
from graphc.ops.join import concatenate, stack
from graphc.passes.loop_bodies import again, in_bodies, loops_of, traced
from graphc.passes.pipeline import Rewrite

Key = tuple[Loop, tuple[Variable, ...]]
MOST_STEPS = 4  # of several steps, and
MOST_OPERATIONS = 40  # operations in all of them together, elementwise ones


def unroll(graph: Graph, interner: Interner, tidy: Rewrite) -> Graph:
    """`graph`, whose sizes are known, with short loops written out, in bodies of others, too.

    `tidy` brings the result to the normal form of rules.
    """

    def change(part: Graph) -> Graph:
        groups = loops_of(part.nodes())
        short = {key for key, results in groups.items() if _is_short(*key, results)}
        return _unrolled(part, interner, short) if short else part

    changed = change(in_bodies(graph, interner, change))
    same = all(a is b for a, b in zip(changed.roots, graph.roots))
    return graph if same else tidy(changed, interner, [])


def _is_short(loop: Loop, args: tuple[Variable, ...], results: Sequence[Variable]) -> bool:
    steps = args[0]
    if not isinstance(steps, Constant) or loop.until is not None:
        return False
    if not all(leaf.type.known for leaf in loop.leaves):
        return False
    count = int(steps.data)
    if count <= 1:
        return True
    body = [v for v in toposort([*loop.results, *traced(results)]) if v.op is not None]
    cheap = all(
        isinstance(v.op.lower, Scalar | Reduction | View | Generator) for v in body if v.op
    )
    return count <= MOST_STEPS and cheap and count * len(body) <= MOST_OPERATIONS


def _unrolled(graph: Graph, interner: Interner, short: set[Key]) -> Graph:
    groups = loops_of(graph.nodes())
    made: dict[Key, dict[Variable, Variable]] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        if scan.is_scan(v) and scan.key_of(v) in short:
            key = scan.key_of(v)
            if key not in made:
                made[key] = _written_out(key[0], args, groups[key], interner)
            return made[key][v]
        return again(v, args)

    done = interner.rebuild(graph.nodes(), {}, visit)
    for old, new in done.items():
        interner.note(new, old)
    return graph.with_roots([done[r] for r in graph.roots])


def _written_out(
    loop: Loop, args: tuple[Variable, ...], results: Sequence[Variable], interner: Interner
) -> dict[Variable, Variable]:
    given = loop.split(args)
    steps = int(given.steps.data)  # type: ignore[attr-defined]
    inner = traced(results)
    # Of each state its values, the earliest first; a loop that runs backwards has them turned.
    values = [
        [getitem(i, k) for k in range(s.back)][:: -1 if loop.reverse else 1]
        for i, s in zip(given.initials, loop.states)
    ]
    rows: dict[Variable, list[Variable]] = {v: [] for v in inner}
    order = toposort([*loop.results, *inner], leaves=frozenset(loop.leaves))
    for t in range(steps - 1, -1, -1) if loop.reverse else range(steps):
        reads = [v[tap] for v, s in zip(values, loop.states) for tap in s.taps]
        leaves = [*(getitem(s, t) for s in given.sequences), *reads, *given.constants]
        done = dict(zip(loop.leaves, leaves))
        with building_with(interner):
            interner.rebuild(order, done)
        for state, found in zip(loop.states, values):
            found.append(done[state.next])
        for v in inner:
            rows[v].append(done[v])
    turn = -1 if loop.reverse else 1
    made = {}
    for result in results:
        of, which = scan.wanted_of(result)
        with made_at(result.where):
            if of == "rows":
                made[result] = _stacked(rows[which][::turn], result)
            elif of == "count":
                made[result] = given.steps
            else:
                back = loop.states[which].back
                kept = values[which] if of == "history" else values[which][-back:]
                made[result] = _stacked(kept[::turn], result)
    return made


def _stacked(parts: Sequence[Variable], result: Variable) -> Variable:
    if not parts:
        return alloc(Constant(0, result.dtype), *result.type.shape)
    if parts[0].ndim == 0:
        return stack(list(parts))
    return concatenate([getitem(p, None) for p in parts], 0)
