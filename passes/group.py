"""Operations that become one kernel, and those that are a step of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from graphc.core.node import Variable
from graphc.core.op import Gather, Generator, Reduction, Scalar
from graphc.passes.layout import shape_of

NATIVE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "bfloat16", "float32", "float64")  # fmt: skip

AxisMap = tuple[int | None, ...]


@dataclass(eq=False)
class Group:
    """Operations that become one kernel, over common axes."""

    number: int
    sizes: list[int] = field(default_factory=list)
    members: list[Variable] = field(default_factory=list)
    domain: dict[Variable, AxisMap] = field(default_factory=dict)
    first_user: float = inf
    users: dict[Variable, None] = field(default_factory=dict)
    leaves: set[Variable] = field(default_factory=set)
    joined: list[Variable] = field(default_factory=list)  # made by writing their parts

    def axes_of(self, v: Variable) -> AxisMap:
        """The group's axes along which the value of `v` runs, one per axis of it."""
        domain = self.domain[v]
        if is_reduction(v):
            reduced = v.attrs["axes"]
            return tuple(a for k, a in enumerate(domain) if k not in reduced)
        return domain

    def reduced(self, v: Variable) -> frozenset[int]:
        """The group's axes that a reduction combines."""
        domain = self.domain[v]
        return frozenset(a for k in v.attrs["axes"] if (a := domain[k]) is not None)


@dataclass(eq=False)
class Single:
    """One operation that is a step of its own; of a loop, all results that are asked for."""

    number: int
    members: list[Variable]
    first_user: float = inf

    @property
    def node(self) -> Variable:
        return self.members[0]


Task = Group | Single


def is_reduction(v: Variable) -> bool:
    return v.op is not None and isinstance(v.op.lower, Reduction)


def whole_of(v: Variable) -> tuple[object, tuple[Variable, ...]] | None:
    """What the results of one loop or of one branch have in common."""
    whole = v.attrs.get("loop") or v.attrs.get("branch")
    return None if whole is None else (whole, v.args)


def is_generator(v: Variable) -> bool:
    return v.op is not None and isinstance(v.op.lower, Generator)


def is_fusable(v: Variable) -> bool:
    """Whether a variable's op lowers to scalar statements in a loop nest."""
    if v.op is None or not isinstance(v.op.lower, Scalar | Reduction | Gather):
        return False
    return v.dtype in NATIVE and all(a.dtype in NATIVE for a in v.args)


def loop_shape(v: Variable) -> tuple[int, ...]:
    """The sizes over which an operation loops."""
    return shape_of(v.args[0]) if is_reduction(v) else shape_of(v)


def operand_axes(v: Variable, k: int) -> list[int | None]:
    """For each axis of operand `k`, the axis of the loop over which it runs."""
    operand, rank = v.args[k], len(loop_shape(v))
    assert v.op is not None
    if isinstance(v.op.lower, Gather) and k > 0:
        at, picked = gather_axes(v)
        start = at + picked - operand.ndim
        return list(range(start, start + operand.ndim))
    return list(range(rank - operand.ndim, rank))


def gather_axes(v: Variable) -> tuple[int, int]:
    """Where the axes of the index arrays stand in a gather's result, and how many."""
    axes = v.attrs["axes"]
    picked = v.ndim - (v.args[0].ndim - len(axes))
    adjacent = axes == tuple(range(axes[0], axes[0] + len(axes)))
    return (axes[0] if adjacent else 0), picked
