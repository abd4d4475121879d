"""Passes through the bodies of loops: whatever is done to a graph is done to them, too.

Leaves of bodies are the same for all loops: number and type tell them apart. Equal bodies so
consist of the same nodes, and equal loops over equal operands are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from graphc.core.graph import Graph, Interner, toposort
from graphc.core.loop import Loop
from graphc.core.node import TensorType, Variable
from graphc.core.op import apply
from graphc.ops import scan

Visit = Callable[[Variable, tuple[Variable, ...]], Variable]
Found = tuple[Loop, dict[Variable, Variable]]  # a new loop, and what its body's values became
Transform = Callable[[Loop, Sequence[Variable], tuple[Variable, ...]], Found]


def loops_of(order: Iterable[Variable]) -> dict[tuple[Loop, tuple[Variable, ...]], list[Variable]]:
    """The results of each loop that are asked for."""
    found: dict[tuple[Loop, tuple[Variable, ...]], list[Variable]] = {}
    for v in order:
        if scan.is_scan(v):
            found.setdefault(scan.key_of(v), []).append(v)
    return found


def all_nodes(roots: Iterable[Variable]) -> Iterator[Variable]:
    """Everything that roots need, in the bodies of loops, too."""
    order = toposort(roots)
    yield from order
    for (loop, _), results in loops_of(order).items():
        yield from all_nodes([*loop.results, *traced(results)])


def traced(results: Iterable[Variable]) -> list[Variable]:
    """The inner variables of which rows are asked for, each once."""
    wanted = (scan.wanted_of(v) for v in results)
    return list(dict.fromkeys(which for of, which in wanted if of == "rows"))


def leaf(
    interner: Interner, number: int, like: Variable, type: TensorType | None = None
) -> Variable:
    """The leaf number so and so of any loop's body."""
    kind = like.type if type is None else type
    key = ("leaf of a loop", number, kind)
    found = interner.table.get(key)
    if found is None:
        found = Variable(kind, name=like.name, where=like.where)
        interner._enter(key, found)
    return found


def rebuild(
    order: Sequence[Variable], interner: Interner, done: dict[Variable, Variable],
    visit: Visit | None, transform: Transform,
) -> dict[Variable, Variable]:  # fmt: skip
    """`Interner.rebuild`, where the bodies of loops become what `transform` makes of them."""
    groups = loops_of(order)
    made: dict[tuple[Loop, tuple[Variable, ...]], Found] = {}

    def visit_any(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if not scan.is_scan(v):
            return visit(v, args) if visit is not None else apply(v.op, args, v.attrs)
        key = scan.key_of(v)
        if key not in made:
            made[key] = transform(key[0], traced(groups[key]), args)
        loop, found = made[key]
        of, which = scan.wanted_of(v)
        new = found[which] if of == "rows" else which
        return apply(v.op, args, {"loop": loop, "of": of, "which": new})

    return interner.rebuild(order, done, visit_any)


def imported(interner: Interner, visit: Visit) -> Transform:
    """Bodies over the common leaves, their nodes made by `interner`."""

    def transform(loop: Loop, wanted: Sequence[Variable], args: tuple[Variable, ...]) -> Found:
        done = {v: leaf(interner, k, v) for k, v in enumerate(loop.leaves)}
        leaves = dict(done)
        order = toposort([*loop.results, *wanted], leaves=frozenset(done))
        rebuild(order, interner, done, visit, transform)
        return loop.over(leaves, lambda roots: [done[r] for r in roots]), done

    return transform


def in_bodies(graph: Graph, interner: Interner, change: Callable[[Graph], Graph]) -> Graph:
    """`graph` with `change` done to the bodies of all its loops, inner ones first."""
    order = graph.nodes()
    if not any(scan.is_scan(v) for v in order):
        return graph

    def transform(loop: Loop, wanted: Sequence[Variable], args: tuple[Variable, ...]) -> Found:
        body = Graph(loop.leaves, (*loop.results, *wanted))
        changed = change(in_bodies(body, interner, change))
        found = dict(zip(body.outputs, changed.outputs))
        own = {v: v for v in loop.leaves}
        return loop.over(own, lambda roots: [found[r] for r in roots]), found

    done = rebuild(order, interner, {}, None, transform)
    return graph.with_roots([done[r] for r in graph.roots])
