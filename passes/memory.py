"""Where every value lives: exact sizes, dying memory reused, in-place decided here only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.plan import Place

ALIGN = 64


@dataclass
class Demand:
    """What one task reads, makes, may overwrite, and needs as scratch.

    `inplace` lists pairs (made, read): the made value may take the memory of the one that
    is read, if that dies here. `exposed` are the made values that are written before the
    last check of the plan: not in the memory of shared variables.
    """

    reads: list[Variable]
    makes: list[Variable]
    inplace: list[tuple[Variable, Variable]] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    exposed: set[Variable] = field(default_factory=set)


@dataclass
class Assignment:
    """Places of values, of scratch per task, and which in-place pairs came true."""

    places: dict[Variable, Place]
    scratch: list[list[Place]]
    aliases: list[list[tuple[Variable, Variable]]]
    late: list[tuple[SharedVariable, Variable]]
    total: int


class Arena:
    """Free ranges of one block of memory, best fit first, neighbours joined."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []
        self.top = 0

    def take(self, size: int) -> int:
        best = None
        for k, (_, room) in enumerate(self.free):
            if room >= size and (best is None or room < self.free[best][1]):
                best = k
        if best is not None:
            start, room = self.free.pop(best)
            if room > size:
                self.free.append((start + size, room - size))
            return start
        for k, (start, room) in enumerate(self.free):
            if start + room == self.top:  # grow the range at the end
                self.free.pop(k)
                self.top = start + size
                return start
        self.top += size
        return self.top - size

    def give(self, start: int, size: int) -> None:
        end = start + size
        for k, (s, n) in reversed(list(enumerate(self.free))):
            if s + n == start:
                start = s
                self.free.pop(k)
            elif s == end:
                end = s + n
                self.free.pop(k)
        self.free.append((start, end - start))


def rounded(nbytes: int) -> int:
    """A size in whole cache lines."""
    return max(ALIGN, -(-nbytes // ALIGN) * ALIGN)


def assign(
    demands: Sequence[Demand],
    outputs: Mapping[Variable, int],
    updates: Mapping[Variable, tuple[SharedVariable, Variable | None]],
    leaves: Mapping[Variable, Place],
    roots: set[Variable],
) -> Assignment:
    """Give every made value a place.

    Parameters
    ----------
    outputs : mapping
        Values that are results, and their numbers: they are made in the result's array.
    updates : mapping
        New values of shared variables, with the leaf that stands for the old one (None if
        nobody reads it). They are made in the variable's memory where no reader of the
        old value comes later; others are copied there at the end (`late`).
    leaves : mapping
        Places of inputs and shared variables.
    roots : set
        Those keys of `updates` that are the new values; others are on the way to them.
    """
    return _Assigner(demands, outputs, updates, leaves, roots).run()


class _Assigner:
    def __init__(self, demands, outputs, updates, leaves, roots) -> None:  # type: ignore[no-untyped-def]
        self.demands: Sequence[Demand] = demands
        self.outputs: Mapping[Variable, int] = outputs
        self.updates: Mapping[Variable, tuple[SharedVariable, Variable | None]] = updates
        self.roots: set[Variable] = roots
        self.result = Assignment(dict(leaves), [], [], [], 0)
        self.arena = Arena()
        self.last: dict[Variable, int] = {}
        for k, d in enumerate(self.demands):
            for v in (*d.reads, *d.makes):
                self.last[v] = k
        self.owned: dict[Variable, tuple[int, int]] = {}
        self.late: set[Variable] = set()  # needed after the last step

    def run(self) -> Assignment:
        for k, demand in enumerate(self.demands):
            taken: set[Variable] = set()
            aliases: list[tuple[Variable, Variable]] = []
            for v in demand.makes:
                self._place(k, demand, v, taken, aliases)
            scratch = []
            for size in demand.scratch:
                start = self.arena.take(rounded(size))
                scratch.append((start, rounded(size)))
            self.result.scratch.append([Place("arena", start) for start, _ in scratch])
            self.result.aliases.append(aliases)
            for start, size in scratch:
                self.arena.give(start, size)
            for v in dict.fromkeys((*demand.reads, *demand.makes)):
                if self.last[v] == k and v in self.owned and v not in self.late:
                    self.arena.give(*self.owned.pop(v))
        self.result.total = self.arena.top
        return self.result

    def _place(
        self, k: int, demand: Demand, v: Variable, taken: set[Variable],
        aliases: list[tuple[Variable, Variable]],
    ) -> None:  # fmt: skip
        places = self.result.places
        if v in self.outputs:
            places[v] = Place("output", self.outputs[v])
            return
        if v in self.updates and self._update_in_place(k, demand, v, aliases):
            return
        for made, u in demand.inplace:
            if made is v and u in self.owned and self.last[u] == k and u not in taken:
                if v.type.nbytes == u.type.nbytes and u not in self.late:
                    taken.add(u)
                    places[v] = places[u]
                    self.owned[v] = self.owned.pop(u)
                    aliases.append((v, u))
                    return
        size = rounded(v.type.nbytes)
        start = self.arena.take(size)
        self.owned[v] = (start, size)
        places[v] = Place("arena", start)

    def _update_in_place(
        self, k: int, demand: Demand, v: Variable, aliases: list[tuple[Variable, Variable]]
    ) -> bool:
        shared, leaf = self.updates[v]
        before = next(
            (u for made, u in demand.inplace
             if made is v and u in self.updates and self.updates[u][0] is shared), None
        )  # fmt: skip
        if before is not None and self.result.places[before].kind == "shared":
            self.result.places[v] = self.result.places[before]
            aliases.append((v, before))
            return True
        fits = shared.storage.shape == v.type.shape and v not in demand.exposed
        reader = leaf is not None and leaf in demand.reads
        pair = (v, leaf) in demand.inplace
        later = leaf is not None and self.last.get(leaf, -1) > k
        if fits and not later and (not reader or pair):
            self.result.places[v] = Place("shared", 0, shared)
            if reader and leaf is not None:
                aliases.append((v, leaf))
            return True
        if v in self.roots:
            self.result.late.append((shared, v))
            self.late.add(v)
        return False


def constant_place(constant: Constant) -> Place:
    """The place of a constant's array."""
    return Place("constant", 0, constant.data)
