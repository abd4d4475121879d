"""Loops of a thread over its part of some axes, several elements in each step."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.core.kernel import Axis, Kernel, Load, Statement, Store
from graphc.runtime.cuda.copies import Copying
from graphc.runtime.cuda.deal import Deal


class Walking(Copying):
    """Writes loops over steps that are dealt out, and stores by one thread for others."""

    def __init__(self, kernel: Kernel, form: str, deal: Deal, is_second: bool = False) -> None:
        super().__init__(kernel, form, deal)
        self.is_second = is_second
        self.guard: str | None = None  # the condition under which a thread stores, if not always
        self.member = "thread"  # a thread's number in its team
        self.cross = [a for a in kernel.cross if a.scope == "cross"]
        self.columns = [a for a in kernel.cross if a.scope == "column"]
        self.read_here = {self.memory(s.operand) for s in self.all() if isinstance(s, Load)}

    def all(self) -> list[Statement]:
        k = self.kernel
        found = k.top + k.row + k.post + k.columns
        for p in k.phases:
            found = found + p.elem + p.row
        return found

    def number(self, axes: Sequence[Axis]) -> str:
        return " * ".join(f"n_{a.name}" for a in axes) or "int64(1)"

    def places_of(self, axes: Sequence[Axis], at: str, names: Sequence[str]) -> None:
        """The places along axes from a position among all their steps."""
        rest = at
        for k in range(len(axes) - 1, 0, -1):
            self.put(f"{names[k]} = low({rest}, m_{axes[k].name})")
            self.put(f"rest_{k} = high({rest}, m_{axes[k].name})")
            rest = f"rest_{k}"
        if axes:
            self.put(f"{names[0]} = {rest}")

    def runs(self, axes: Sequence[Axis], width: int) -> str:
        """How many steps axes have, each ``m_...``, and all together."""
        for a in axes:
            last = width > 1 and a is axes[-1]
            self.put(f"m_{a.name} = n_{a.name} // {width}" if last else f"m_{a.name} = n_{a.name}")
        return " * ".join(f"m_{a.name}" for a in axes) or "int64(1)"

    def _elements(self, axes: Sequence[Axis], run: str, width: int, first: int) -> None:
        """The elements of a run: of copy `first` and those after it."""
        if width == 1 or not axes:
            return
        last = axes[-1].name
        self.put(f"{self.names[first][last]} = {run} * {width}")
        for k in range(first + 1, first + width):
            self.put(f"{self.names[k][last]} = {self.names[first][last]} + {k - first}")

    def walk(
        self, axes: Sequence[Axis], first: str, hop: str, body: Sequence[Statement],
        width: int, groups: int, tail: bool = False,
    ) -> None:  # fmt: skip
        """Let a thread take the steps of axes from `first` on in hops.

        Places along several axes go on by adding those of a hop, axis by axis with a carry:
        neither is more than an axis has, so one subtraction is enough, and no step divides.
        """
        if not body:
            return
        self.begin(axes, width, groups, ["", *(f"ok_{g}" for g in range(1, groups))])
        self.put(f"span = {self.runs(axes, width)}")
        self.put(f"hop = {hop}")
        self.put(f"at = {first}")
        places = [[self._place_name(a, axes, width, g) for a in axes] for g in range(groups)]
        several = len(axes) > 1
        if several:
            self.places_of(axes, "at", places[0])
            self.places_of(axes, "hop", [f"hop_{a.name}" for a in axes])
        self.put("while at < span:")
        self.depth += 1
        self.put("rolled()")
        for g in range(groups):
            later = "at + hop" if g == 1 else f"at + {g} * hop"
            if g:
                self.put(f"ok_{g} = {later} < span")
            if several and g:
                self._go_on(axes, places[g - 1], places[g])
                self.put(f"if not ok_{g}:")
                for mine, plain in zip(places[g], places[0]):
                    self.put(f"    {mine} = {plain}")
            elif len(axes) == 1 and g == 0:
                self.put(f"{places[g][0]} = at")
            elif len(axes) == 1:
                self.put(f"{places[g][0]} = {later} if ok_{g} else at")
            self._elements(axes, places[g][-1] if axes else "", width, g * width)
        self.body(body)
        self.put("at = at + hop" if groups == 1 else f"at = at + {groups} * hop")
        if several:
            self._go_on(axes, places[-1], places[0])
        self.depth -= 1
        if tail and width > 1:
            self.begin(axes, 1, 1, [""])
            name = axes[-1].name
            self.put(f"{name} = span * {width} + {first}")
            self.put(f"while {name} < n_{name}:")
            self.depth += 1
            self.put("rolled()")
            self.body(body)
            self.put(f"{name} = {name} + hop")
            self.depth -= 1

    def _place_name(self, axis: Axis, axes: Sequence[Axis], width: int, group: int) -> str:
        """Where along an axis a run is; with vectors, the last axis counts runs."""
        if width > 1 and axis is axes[-1]:
            return f"run_{group}" if group else "run"
        return self.names[group * width][axis.name]

    def _go_on(self, axes: Sequence[Axis], old: Sequence[str], new: Sequence[str]) -> None:
        """The places that are a hop after others."""
        for k, a in enumerate(axes):
            self.put(f"{new[k]} = {old[k]} + hop_{a.name}")
        for k in range(len(axes) - 1, 0, -1):
            self.put(f"if {new[k]} >= m_{axes[k].name}:")
            self.put(f"    {new[k]} = {new[k]} - m_{axes[k].name}")
            self.put(f"    {new[k - 1]} = {new[k - 1]} + 1")

    def here(self, axes: Sequence[Axis], at: str) -> None:
        """The indices of axes at a position."""
        for a in axes[1:]:
            self.put(f"m_{a.name} = n_{a.name}")
        self.places_of(axes, at, [a.name for a in axes])

    def shared_rows(self) -> bool:
        """Whether blocks share rows; the second kernel combines them."""
        return self.deal.shares > 1 or (
            self.is_second and not self.kernel.cross and not self.kernel.post
        )

    def store(self, s: Store) -> None:
        if self.guard is None:
            super().store(s)
            return
        # Others may have yet to read what is overwritten, or read it later.
        read = self.memory(s.operand) in self.read_here
        if read:
            self.put("cuda.syncthreads()")
        self.put(f"if {self.guard}:")
        self.depth += 1
        super().store(s)
        self.depth -= 1
        if read:
            self.put("cuda.syncthreads()")

    def once(self, statements: Sequence[Statement], stores: bool) -> None:
        """All threads compute what is the kernel's own; one stores it, in the last kernel."""
        kept = [s for s in statements if stores or not isinstance(s, Store)]
        self.guard = "thread == 0 and here == 0"
        self.statements(kept)
        self.guard = None
