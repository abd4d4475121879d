"""Several elements of a nest in one thread: a body's statements, copy by copy.

A thread takes `groups` runs of `width` neighbours at once. Statements are printed one after the
other, each for all copies, so that all loads of a kind go out before the first is used, and runs
of neighbours are loaded and stored as vectors. What depends on no axis of the copies is computed
once, what is the same for a run once per run.

Copies beyond the end are copies of an element that there is; what they would store or accumulate
has a condition. So nothing has to be known about them but that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.core.kernel import (
    Accumulate,
    Accumulator,
    Axis,
    Check,
    Kernel,
    Let,
    Load,
    Statement,
    Store,
)
from graphc.runtime.cuda.combine import LANES, Combining
from graphc.runtime.cuda.deal import Deal, names_in, renamed
from graphc.runtime.statements import POSITIONS

ONCE, RUN, EACH = 0, 1, 2  # how often a name has a value: for all copies, per run, per copy


class Copying(Combining):
    """Writes bodies in copies; see the module's text."""

    def __init__(self, kernel: Kernel, form: str, deal: Deal) -> None:
        super().__init__(kernel, form, deal)
        self.width, self.groups = 1, 1
        self.levels: dict[str, int] = {}
        self.names: list[dict[str, str]] = [{}]
        self.conditions: list[str] = [""]  # by run, when it isn't a copy of another
        self.live = ""  # when a thread's row isn't a copy of another's
        self.reports = ""  # when a check says what it found
        self.active = range(1)
        self.last: Axis | None = None
        self.known: dict[tuple[str, str], str] = {}  # of elements in registers, their names
        self.keeps = False

    @property
    def count(self) -> int:
        return self.width * self.groups

    def begin(
        self, axes: Sequence[Axis], width: int, groups: int, conditions: Sequence[str]
    ) -> None:
        """Copies along axes, the last of which runs through the elements of a run.

        The first copy's names are the plain ones; the k-th's have ``_k`` after them.
        """
        self.width, self.groups, self.conditions = width, groups, list(conditions)
        self.levels = {a.name: RUN for a in axes}
        self.last = axes[-1] if axes else None
        if self.last is not None and width > 1:
            self.levels[self.last.name] = EACH
        self.names = [{} for _ in range(self.count)]
        for k in range(self.count):
            for a in axes:
                self.name(a.name, k)
        self.known = {}
        self.active = range(self.count)

    def name(self, name: str, copy: int) -> str:
        """The name of a copy of what has a level already."""
        level = self.levels.get(name, ONCE)
        number = 0 if level == ONCE else copy if level == EACH else copy - copy % self.width
        found = f"{name}_{number}" if number else name
        self.names[copy][name] = found
        return found

    def level_of(self, text: str) -> int:
        return max((self.levels.get(n, ONCE) for n in names_in(text)), default=ONCE)

    def body(self, statements: Sequence[Statement]) -> None:
        """All copies of a body."""
        for s in statements:
            if isinstance(s, Let):
                self._let(s)
            elif isinstance(s, Load):
                self._load(s)
            elif isinstance(s, Store):
                self._store(s)
            elif isinstance(s, Check):
                self._check(s)
            else:
                self._accumulate(s)

    def body_by_run(self, statements: Sequence[Statement]) -> None:
        """All copies of a body, run by run."""
        known = self.known
        for k in range(0, self.count, self.width):
            self.active, self.known = range(k, k + self.width), dict(known)
            self.body(statements)
        self.active = range(self.count)

    def _copies(self, level: int) -> range:
        if level == ONCE:
            return self.active[: 1 if self.active.start == 0 else 0]
        return self.active[:: self.width if level == RUN else 1]

    def _check(self, s: Check) -> None:
        for k in self._copies(self.level_of(s.index)):
            self.reports = self._condition(k, self.live)
            lines = self._captured(lambda: self.check(s))
            self.lines += [renamed(line, self.names[k]) for line in lines]
        self.reports = ""

    def _captured(self, write: Callable[[], None]) -> list[str]:
        before, self.lines = self.lines, []
        write()
        found, self.lines = self.lines, before
        return found

    def _names(self, name: str, level: int) -> list[str]:
        """Give a new name its level and its copies."""
        self.levels[name] = level
        return [self.name(name, k) for k in range(self.count)]

    def _let(self, s: Let) -> None:
        level = self.level_of(s.text)
        names = self._names(s.name, level)
        for k in self._copies(level):
            self.put(f"{names[k]} = {renamed(s.text, self.names[k])}")

    # --- memory -----------------------------------------------------------------------

    def memory(self, operand: str) -> str:
        """The operand whose memory one has."""
        return self.operands[operand].alias or operand

    def _side_by_side(self, operand: str, offset: str) -> bool:
        """Whether the elements of a run lie side by side."""
        if self.last is None or self.width == 1 or self.level_of(offset) == EACH:
            return False
        return self.operands[operand].strides[self.kernel.axes.index(self.last)] == 1

    def _load(self, s: Load) -> None:
        index = self.index(s.operand, s.offset)
        level = self.level_of(index)
        place = self.memory(s.operand), index
        if self.keeps and level != ONCE and place in self.known:
            self._same(s.name, self.known[place])
            return
        assert not (self.keeps and self.operands[s.operand].stash), "a stash is read as written"
        if level == EACH and self._side_by_side(s.operand, s.offset):
            names = self._names(s.name, EACH)
            for k in self._copies(RUN):
                targets = ", ".join(names[k : k + self.width])
                at = renamed(index, self.names[k])
                self.put(f"{targets} = load{self.width}({s.operand}, {at})")
                for name in names[k : k + self.width]:
                    if (value := self.loaded(s.operand, name)) != name:
                        self.put(f"{name} = {value}")
        else:
            names = self._names(s.name, level)
            for k in self._copies(level):
                element = f"{s.operand}[{renamed(index, self.names[k])}]"
                self.put(f"{names[k]} = {self.loaded(s.operand, element)}")
        if self.keeps and level != ONCE:
            self.known[place] = s.name

    def _shown(self, name: str) -> None:
        """Let a name from outside of the copies be one that they know."""
        if name not in self.levels:
            self._names(name, ONCE)

    def _same(self, name: str, known: str) -> None:
        """A name for what is in registers already."""
        self.levels[name] = self.levels[known]
        for names in self.names:
            names[name] = names[known]

    def _store(self, s: Store) -> None:
        index = self.index(s.operand, s.offset)
        if self.keeps:
            memory = self.memory(s.operand)
            self.known = {p: n for p, n in self.known.items() if p[0] != memory}
            if s.value.isidentifier():
                self._shown(s.value)
                self.known[memory, index] = s.value
            if self.operands[s.operand].stash:
                return  # registers are where it is kept
        runs = self._side_by_side(s.operand, s.offset)
        for k in self._copies(RUN):
            with_condition = self._condition(k, self.live)
            if with_condition:
                self.put(f"if {with_condition}:")
                self.depth += 1
            values = [self.stored(s.operand, renamed(s.value, self.names[j]))
                      for j in range(k, k + self.width)]  # fmt: skip
            if runs:
                at = renamed(index, self.names[k])
                self.put(f"store{self.width}({s.operand}, {at}, {', '.join(values)})")
            else:
                for j, value in zip(range(k, k + self.width), values):
                    self.put(f"{s.operand}[{renamed(index, self.names[j])}] = {value}")
            if with_condition:
                self.depth -= 1

    def _condition(self, copy: int, live: str) -> str:
        own = self.conditions[copy // self.width]
        return f"{own} and {live}" if own and live else own or live

    # --- accumulators -----------------------------------------------------------------

    def _accumulate(self, s: Accumulate) -> None:
        a = self.kinds[s.accumulator]
        lines = self._captured(lambda: self.accumulate(s))
        # What a copy of another's row adds up is never stored, so only runs matter there.
        for k in self.active:
            condition = self._condition(k, "" if a.scope == "row" else self.live)
            if condition and k % self.width == 0:
                self.put(f"if {condition}:")
            deeper = "    " if condition else ""
            names = {**self.names[k], **self._held_by(a, k)}
            self.lines += [deeper + renamed(line, names) for line in lines]

    def _held_by(self, a: Accumulator, copy: int) -> dict[str, str]:
        """What a copy calls what it adds to."""
        if a.scope == "column":
            return {f"{a.name}_c": f"{a.name}_c_{copy}"}
        if a.scope == "cross" and self.form != "flat":
            return {}
        name = self.held(a)
        lane = copy % LANES
        if not lane:
            return {}
        found = {name: f"{name}_{lane}"}
        if a.kind in POSITIONS:
            found[f"{name}_at"] = f"{name}_{lane}_at"
        return found
