"""Motion across the wall of a loop.

What is the same in every step, and products of sequences, are computed before the loop; what
no step needs is computed behind it, for all steps at once: so a product of every row with the
same matrix is one product. Sums of rows are accumulated in the loop, or become one product
too. States that nobody reads go away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from graphc.core.dtypes import is_discrete
from graphc.core.graph import Graph, Interner, ancestors, depending_on, toposort, users
from graphc.core.loop import Loop, Operands, State
from graphc.core.node import Constant, TensorType, Variable, made_at
from graphc.core.op import Generator, View, apply, building_with
from graphc.ops import scan
from graphc.ops.broadcast import alloc
from graphc.ops.elementwise import add, copy_
from graphc.ops.index import getitem
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim
from graphc.passes.loop_bodies import Found, again, imported, loops_of
from graphc.passes.stacking import Stacked, Stacker, is_zero

Key = tuple[Loop, tuple[Variable, ...]]
MOST_ROUNDS = 8
WRITES = ("scatter", "update_subtensor")


def move(graph: Graph, interner: Interner) -> Graph:
    """`graph` with everything moved out of its loops that can be."""
    for _ in range(MOST_ROUNDS):
        groups = loops_of(graph.nodes())
        if not groups:
            return graph
        before, graph = graph, _moved_once(graph, interner, groups)
        if all(a is b for a, b in zip(before.roots, graph.roots)):
            break
    return graph


def _moved_once(
    graph: Graph, interner: Interner, groups: dict[Key, list[Variable]]
) -> Graph:
    order = graph.nodes()
    sums = _sums_of_rows(order, graph.roots)
    totals = {total: v for v, total in sums.items()}
    made: dict[Key, dict[Variable, Variable]] = {}

    def visit(v: Variable, args: tuple[Variable, ...]) -> Variable:
        assert v.op is not None
        if scan.is_scan(v):
            key = scan.key_of(v)
            if key not in made:
                made[key] = Mover(key[0], args, groups[key], sums).run(interner)
            found = made[key].get(v)
        else:
            source = totals.get(v)
            found = None if source is None else made[scan.key_of(source)].get(v)
        return apply(v.op, args, v.attrs) if found is None else found

    done = interner.rebuild(order, {}, visit)
    for old, new in done.items():
        interner.note(new, old)
    return graph.with_roots([done[r] for r in graph.roots])


def _sums_of_rows(
    order: Sequence[Variable], roots: Sequence[Variable]
) -> dict[Variable, Variable]:
    """The rows that are only read by a sum over steps, and that sum."""
    readers, wanted = users(order), set(roots)
    found = {}
    for v in order:
        if not scan.is_scan(v) or v.attrs["of"] != "rows" or v in wanted or len(readers[v]) != 1:
            continue
        (total,) = readers[v]
        if total.op is not None and total.op.name == "sum" and 0 in total.attrs["axes"]:
            found[v] = total
    return found


class Mover:
    """One loop taken apart and put together again.

    Parameters
    ----------
    loop, args
        The loop and its operands.
    results : sequence of Variable
        Which of its results are asked for.
    sums : dict
        Of rows that only a sum reads, that sum.
    """

    def __init__(
        self, loop: Loop, args: tuple[Variable, ...], results: Sequence[Variable],
        sums: dict[Variable, Variable],
    ) -> None:  # fmt: skip
        self.loop, self.args, self.given = loop, args, loop.split(args)
        self.results, self.sums = results, sums
        self.steps = self.given.steps
        self.outside: dict[Variable, Stacked] = {}
        self.outside.update({v: (a, True) for v, a in zip(loop.slices, self.given.sequences)})
        self.outside.update({v: (a, False) for v, a in zip(loop.constants, self.given.constants)})
        self.reads = {
            r: (k, tap) for k, s in enumerate(loop.states) for tap, r in zip(s.taps, s.reads)
        }
        wanted = [v.attrs["which"] for v in results if v.attrs["of"] == "rows"]
        self.order = toposort([*loop.results, *wanted])
        self.carried = depending_on(self.order, self.reads)
        self.core = self._core()
        self.pending: dict[tuple[str, Any], Variable] = {}  # results of the new loop
        self.hoisted: dict[Variable, Variable] = {}  # leaves in the places of what moves out
        self.extra: list[tuple[State, Variable]] = []  # accumulators, with their initial values
        self.stacker = Stacker(self._base, self.steps)

    def _core(self) -> set[Variable]:
        """What has to be computed in the loop for the sake of later steps."""
        live: set[int] = set()
        roots = [] if self.loop.until is None else [self.loop.until]
        pending = list(roots)
        for v in self.results:
            of, which = scan.wanted_of(v)
            if of == "rows":
                pending.append(which)
            elif of != "count":
                live.add(which)
                roots.append(self.loop.states[which].next)
                pending.append(roots[-1])
        while pending:
            found = {self.reads[v][0] for v in ancestors(pending) if v in self.reads} - live
            live |= found
            pending = [self.loop.states[k].next for k in found]
            roots += pending
        self.live = sorted(live)
        return ancestors(roots)

    # --- what values are outside --------------------------------------------------------

    def _base(self, v: Variable) -> Stacked | None:
        if isinstance(v, Constant):
            return v, False
        if v in self.outside:
            return self.outside[v]
        if v in self.reads:
            return self._earlier(*self.reads[v]), True
        if v in self.core and v in self.carried:
            return self._result("rows", v, v.type, 0), True
        return None

    def _earlier(self, k: int, tap: int) -> Variable:
        state = self.loop.states[k]
        whole = self._result("history", k, state.reads[0].type, state.back)
        start = -tap if self.loop.reverse else state.back + tap
        return getitem(whole, slice(start, add(self.steps, Constant(start, "int64"))))

    def _result(self, of: str, which: Any, row: TensorType, more: int) -> Variable:
        """A stand-in for rows of the new loop, which isn't there yet."""
        n = self.steps.data.item() + more if isinstance(self.steps, Constant) else None
        return self._stand_in(of, which, TensorType(row.dtype, (n, *row.shape)))

    def _stand_in(self, of: str, which: Any, type: TensorType) -> Variable:
        return self.pending.setdefault((of, which), Variable(type, where=()))

    # --- the parts ----------------------------------------------------------------------

    def run(self, interner: Interner) -> dict[Variable, Variable]:
        """For results, and for sums of them, what they are now."""
        self._hoist()
        found: dict[Variable, Variable] = {}
        for v in self.results:
            of, which = scan.wanted_of(v)
            with made_at(v.where):
                if v in self.sums:
                    total = self.sums[v]
                    new = self._sum(which, total)
                    if new is not None:
                        found[total] = new
                        continue
                if of == "rows":
                    found[v] = self._rows(which)
                else:
                    found[v] = self._stand_in(of, which, v.type)
        return self._closed(found, interner)

    def _hoist(self) -> None:
        """Find what is computed before the loop: as much in one piece as possible."""
        pending = [a for v in self.order if v in self.carried for a in v.args]
        pending += [v for v in self.core if v not in self.carried]
        seen: set[Variable] = set()
        while pending:
            v = pending.pop()
            if v in seen or v in self.carried or v.op is None:
                continue
            seen.add(v)
            found = self.stacker.of(v) if self._pays(v) else self._turned(v)
            if found is None:
                pending.extend(v.args)
                continue
            value, is_stacked = found
            leaf = Variable(v.type, name=v.name, where=v.where)
            self.hoisted[v] = leaf
            self.outside[leaf] = (value, is_stacked)

    def _turned(self, v: Variable) -> Stacked | None:
        """A transposed matrix, written out once: products in the loop read it in order."""
        if not v.type.known or v.op is None or v.op.name != "dimshuffle" or v.ndim != 2:
            return None
        if v.attrs["pattern"] != (1, 0) or v.args[0] not in self.loop.constants:
            return None
        if not any(u.op is not None and u.op.name == "dot" and v in u.args for u in self.order):
            return None
        found = self.stacker.of(v)
        return None if found is None else (apply(copy_, (found[0],), {}), False)

    def _pays(self, v: Variable) -> bool:
        """Whether computing a value once, or for all steps at once, saves work."""
        cone = _values_for(v)
        if v.ndim == 0 and is_discrete(v.dtype):
            return False  # a size, perhaps
        if any(u in self.loop.slices for u in cone):
            return any(u.op is not None and u.op.name == "dot" for u in cone)
        return any(
            u.op is not None and not isinstance(u.op.lower, View | Generator) for u in cone
        )

    def _rows(self, v: Variable) -> Variable:
        """The rows of a value: computed outside where that saves products in the loop."""
        base = self._base(v)
        if base is None and (v not in self.carried or self._has_product(v)):
            base = self.stacker.of(v)
        if base is None:
            return self._result("rows", v, v.type, 0)
        value, is_stacked = base
        if is_stacked:
            return value
        return alloc(value, self.steps, *(dim(value, k) for k in range(value.ndim)))

    def _has_product(self, v: Variable) -> bool:
        cone = _values_for(v, self.core)
        return any(u.op is not None and u.op.name == "dot" for u in cone - self.core)

    def _sum(self, v: Variable, total: Variable) -> Variable | None:
        """The sum of rows; None if the rows are to be made."""
        axes = tuple(k - 1 for k in total.attrs["axes"] if k > 0)
        if v not in self.core:
            found = self.stacker.summed(v, axes)
            if found is not None:
                return found
        if v not in self.carried or (v not in self.core and self._has_product(v)):
            if self.stacker.of(v) is not None:
                return None  # the rows are computed outside
        if v in self.core and self._base(v) is None:
            return None
        return self._accumulated(v, axes)

    def _accumulated(self, v: Variable, axes: tuple[int, ...]) -> Variable | None:
        """A state that adds up what would be rows."""
        if v in self.reads or self._wanted_otherwise(v):
            return None
        part = sum_(v, axes, dtype=v.dtype) if axes else v
        if not part.type.known or part.dtype == "bool":
            return None
        read = Variable(part.type, name="total", where=v.where)
        zeros = alloc(Constant(0, part.dtype), 1, *part.type.shape)
        self.extra.append((State((-1,), (read,), _added(read, part)), zeros))
        k = len(self.loop.states) + len(self.extra) - 1
        whole = self._stand_in("final", k, TensorType(part.dtype, (1, *part.type.shape)))
        return getitem(whole, 0)

    def _wanted_otherwise(self, v: Variable) -> bool:
        rows = [w for w in self.results if scan.wanted_of(w) == ("rows", v)]
        return any(w not in self.sums for w in rows) or ("rows", v) in self.pending

    # --- together again -------------------------------------------------------------------

    def _closed(
        self, found: dict[Variable, Variable], interner: Interner
    ) -> dict[Variable, Variable]:
        """The new loop, with only what is needed; stand-ins become its results."""
        states = [*self.loop.states, *(s for s, _ in self.extra)]
        initials = [*self.given.initials, *(i for _, i in self.extra)]
        needed = {v for v in ancestors(found.values()) if v in set(self.pending.values())}
        wanted = {key: v for key, v in self.pending.items() if v in needed}
        traced = [which for of, which in wanted if of == "rows"]
        live = {which for of, which in wanted if of in ("history", "final")}
        until = [] if self.loop.until is None else [self.loop.until]
        make = self._inside()
        reads = {r: k for k, s in enumerate(states) for r in s.reads}
        while True:
            roots = [*until, *traced, *(states[k].next for k in live)]
            new = make(roots)
            touched = {reads[v] for v in ancestors(new) if v in reads}
            if touched <= live:
                break
            live |= touched
        order = sorted(live)
        nexts = make([states[k].next for k in order])
        rows = make(traced)
        condition = make(until)
        inside = ancestors([*nexts, *rows, *condition])
        slices: list[tuple[Variable, Variable]] = []
        constants: list[tuple[Variable, Variable]] = []
        for leaf, (value, is_stacked) in self.outside.items():
            if leaf in inside:
                (slices if is_stacked else constants).append((leaf, value))
        loop = Loop(
            tuple(v for v, _ in slices),
            tuple(State(states[k].taps, states[k].reads, n, states[k].shared)
                  for k, n in zip(order, nexts)),
            tuple(v for v, _ in constants), condition[0] if condition else None,
            self.loop.reverse, self.loop.truncate, self.loop.recompute, self.loop.name,
            self.loop.where, self.loop.names,
        )  # fmt: skip
        args = Operands(
            self.steps, tuple(v for _, v in slices), tuple(initials[k] for k in order),
            tuple(v for _, v in constants),
        ).all  # fmt: skip
        return self._results(loop, args, dict(zip(traced, rows)), order, wanted, found, interner)

    def _inside(self) -> Callable[[Sequence[Variable]], list[Variable]]:
        """Rebuilds values of the body over what has been hoisted."""
        done: dict[Variable, Variable] = dict(self.hoisted)

        def make(roots: Sequence[Variable]) -> list[Variable]:
            for v in toposort(roots, leaves=frozenset(done)):
                if v in done:
                    continue
                args = tuple(done[a] for a in v.args)
                same = all(a is b for a, b in zip(args, v.args))
                with made_at(v.where):
                    done[v] = v if v.op is None or same else apply(v.op, args, v.attrs)
            return [done[r] for r in roots]

        return make

    def _results(
        self, loop: Loop, args: tuple[Variable, ...], rows: dict[Variable, Variable],
        order: list[int], wanted: dict[tuple[str, Any], Variable],
        found: dict[Variable, Variable], interner: Interner,
    ) -> dict[Variable, Variable]:  # fmt: skip
        canonical: Found = imported(interner, again)(
            loop, list(rows.values()), args
        )
        new, inner = canonical
        done: dict[Variable, Variable] = {}
        for (of, which), stand_in in wanted.items():
            if of == "rows":
                done[stand_in] = scan.rows(new, args, inner[rows[which]])
            elif of == "count":
                done[stand_in] = scan.count(new, args)
            else:
                make = scan.history if of == "history" else scan.final
                done[stand_in] = make(new, args, order.index(which))
        roots = list(found.values())
        with building_with(interner):
            interner.rebuild(toposort(roots, leaves=frozenset(done)), done)
        return {old: done[value] for old, value in found.items()}


def _values_for(v: Variable, leaves: Collection[Variable] = ()) -> set[Variable]:
    """What has to be computed for a value: not what is only asked for its shape."""
    found: set[Variable] = set()
    stack = [v]
    while stack:
        u = stack.pop()
        if u in found:
            continue
        found.add(u)
        if u.op is not None and u not in leaves:
            stack += [a for k, a in enumerate(u.args) if k not in u.op.shape_only]
    return found


def _added(total: Variable, part: Variable) -> Variable:
    """``total + part``; a write into zeros is a write into the total."""
    if part.op is not None and part.op.name in WRITES and is_zero(part.args[0]):
        if part.attrs["mode"] == "inc" or part.op.name == "update_subtensor":
            attrs = {**part.attrs, "mode": "inc"}
            return apply(part.op, (total, *part.args[1:]), attrs)
    return add(total, part)
