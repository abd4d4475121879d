"""What is done in each step of a loop, as data.

A loop runs over `slices` of sequences, `states` that it carries from step to step, and
`constants`. Everything that its body computes can be asked for: the rows that an inner
variable had, one per step, or what a state has come to.

The application that stands for a result has the operands ``(steps, *sequences, *initials,
*constants)``; sequences have one row per step, an initial value as many rows as its state
looks back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from graphc.core.errors import Frame
from graphc.core.graph import substitute
from graphc.core.node import Variable


@dataclass(frozen=True)
class State:
    """A value that later steps read.

    Parameters
    ----------
    taps : tuple of int
        How many steps ago the values were made that a step reads: -1 is the latest.
    reads : tuple of Variable
        The leaf of the body that stands for each.
    next : Variable
        The value that a step makes.
    shared : bool
        Whether it is the value of a shared variable, which the loop updates.
    """

    taps: tuple[int, ...]
    reads: tuple[Variable, ...]
    next: Variable
    shared: bool = False

    @property
    def back(self) -> int:
        """How many steps it looks back, which is the number of initial rows."""
        return -min(self.taps)


@dataclass(frozen=True)
class Loop:
    """The body of a loop. Equal bodies over equal leaves are equal.

    Parameters
    ----------
    slices, constants : tuple of Variable
        Leaves that stand for the rows of the sequences, and for what stays the same.
    states : tuple of State
    until : Variable, optional
        The loop ends after the step in which this is true.
    reverse : bool
        Whether it runs from the last row to the first; rows keep their numbers, and the
        initial rows of a state lie behind the last one.
    truncate : int, optional
        How many steps gradients go back.
    recompute : bool
        Whether gradients compute a step again instead of keeping what it made.
    where : frames
        The user's lines that it is about.
    names : mapping
        What leaves are called in this loop, where it isn't by their own name: passes give the
        same leaves to all loops.
    """

    slices: tuple[Variable, ...]
    states: tuple[State, ...]
    constants: tuple[Variable, ...]
    until: Variable | None = None
    reverse: bool = False
    truncate: int | None = None
    recompute: bool = False
    name: str | None = field(default=None, compare=False)
    where: tuple[Frame, ...] = field(default=(), compare=False)
    names: Mapping[Variable, str] = field(default_factory=dict, compare=False)

    def name_of(self, leaf: Variable) -> str | None:
        """What a leaf of the body is called."""
        return self.names.get(leaf, leaf.name) or None

    @cached_property
    def all_names(self) -> Mapping[Variable, str]:
        """What to call each leaf of the body: those without a name are numbered."""
        found: dict[Variable, str] = {}
        for k, v in enumerate(self.slices):
            found[v] = self.name_of(v) or f"row{k}[t]"
        for k, state in enumerate(self.states):
            for tap, v in zip(state.taps, state.reads):
                found[v] = self.name_of(v) or f"state{k}[t{tap}]"
        for k, v in enumerate(self.constants):
            found[v] = self.name_of(v) or f"const{k}"
        return found

    def next_name(self, k: int) -> str:
        """What the value is called that a step makes of state `k`: ``h[t]`` after ``h[t-1]``."""
        state = self.states[k]
        name, suffix = self.all_names[state.reads[-1]], f"[t{state.taps[-1]}]"
        return f"{name[: -len(suffix)]}[t]" if name.endswith(suffix) else f"next {name}"

    @property
    def leaves(self) -> tuple[Variable, ...]:
        """What the body reads, in the order of the operands."""
        reads = tuple(r for s in self.states for r in s.reads)
        return (*self.slices, *reads, *self.constants)

    @property
    def results(self) -> tuple[Variable, ...]:
        """What has to be computed in each step for the sake of the next."""
        last = () if self.until is None else (self.until,)
        return (*(s.next for s in self.states), *last)

    def split(self, args: Sequence[Variable]) -> Operands:
        """The operands of an application by what they are."""
        first, second = 1 + len(self.slices), 1 + len(self.slices) + len(self.states)
        return Operands(args[0], tuple(args[1:first]), tuple(args[first:second]),
                        tuple(args[second:]))  # fmt: skip

    def over(
        self, leaves: Mapping[Variable, Variable],
        rebuild: Callable[[Sequence[Variable]], Sequence[Variable]] | None = None,
    ) -> Loop:  # fmt: skip
        """The same body over other leaves; `rebuild` makes its results anew."""
        make = rebuild or (lambda roots: substitute(roots, leaves))
        made = list(make(self.results))
        states = tuple(
            replace(s, reads=tuple(leaves[r] for r in s.reads), next=new)
            for s, new in zip(self.states, made)
        )
        return replace(
            self, slices=tuple(leaves[v] for v in self.slices), states=states,
            constants=tuple(leaves[v] for v in self.constants),
            until=None if self.until is None else made[-1],
            names={leaves[v]: self.name_of(v) or "" for v in self.leaves},
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<loop {self.name}>" if self.name else "<loop>"


@dataclass(frozen=True)
class Operands:
    """The operands of a loop."""

    steps: Variable
    sequences: tuple[Variable, ...]
    initials: tuple[Variable, ...]
    constants: tuple[Variable, ...]

    @property
    def all(self) -> tuple[Variable, ...]:
        return (self.steps, *self.sequences, *self.initials, *self.constants)


@dataclass(frozen=True)
class Branch:
    """Two bodies over the same leaves, of which one is computed.

    Parameters
    ----------
    leaves : tuple of Variable
        What either body reads.
    then, otherwise : tuple of Variable or None
        The results, if the condition is true and if it isn't; None for one that nobody reads
        in that case.
    """

    leaves: tuple[Variable, ...]
    then: tuple[Variable | None, ...]
    otherwise: tuple[Variable | None, ...]

    def __repr__(self) -> str:
        return "<branch>"
