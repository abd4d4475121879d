"""The operands, constants and order of axes of a loop nest that is being built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core import dtypes
from graphc.core.kernel import (
    Accumulator,
    Operand,
)
from graphc.core.node import Constant, Variable
from graphc.passes.group import Group, is_reduction, operand_axes
from graphc.passes.layout import Layout, Layouts
from graphc.passes.roles import POSITIONS, Roles, roles


@dataclass
class Binding:
    """What a kernel's operand stands for in one plan."""

    layout: Layout | None
    node: Variable | None
    strides: tuple[int, ...]
    scratch: int = 0


class Operands:
    """What a group's kernel reads, writes and is told, collected while it is built."""

    def __init__(self, group: Group, outputs: Sequence[Variable], layouts: Layouts) -> None:
        self.group, self.outputs, self.layouts = group, outputs, layouts
        found = roles(group)
        assert found is not None
        self.roles: Roles = found
        self.members = set(group.members)
        self.operands: dict[Any, str] = {}
        self.bindings: dict[str, Binding] = {}
        self.order: list[str] = []
        self.written: set[str] = set()
        self.dtype: dict[str, str] = {}
        self.constants: dict[Any, str] = {}
        self.values: dict[str, Any] = {}
        self.constant_dtype: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.checks: list[Variable] = []
        self.used_axes: set[int] = set()
        self.count = 0
        self.stashed: dict[Variable, str] = {}
        self.spilled: dict[Variable, str] = {}
        self.arrays: dict[str, str] = {}
        self.cross: list[Accumulator] = []
        self.axis_name = {a: f"i{a}" for a in range(len(group.sizes))}
        self.outer, self.inner = set(self.roles.outer), set(self.roles.inner)
        self._ready: dict[Variable, int] = {}

    def _fresh(self, stem: str = "v") -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def _axes(self) -> list[int]:
        """Outer axes, then inner ones, each in the order in which memory has them."""
        best = max(self.group.members, key=self._rank)
        seen = [a for a in self.group.domain[best] if a is not None]
        seen += [a for a in range(len(self.group.sizes)) if a not in seen]
        return [a for a in seen if a in self.outer] + [a for a in seen if a in self.inner]

    def _rank(self, v: Variable) -> tuple[bool, int]:
        """How much say a member has about the order: positions are counted in their own."""
        counts = is_reduction(v) and v.op.lower.kind in POSITIONS  # type: ignore[union-attr]
        return counts, sum(a is not None for a in self.group.domain[v])

    def _operand(self, name: str, axes: Sequence[int]) -> Operand:
        binding = self.bindings[name]
        strides = tuple(binding.strides[a] for a in axes)
        binding.strides = strides
        classes = tuple(s if s in (0, 1) else None for s in strides)
        stash = name in self.stashed.values()
        return Operand(name, self.dtype[name], classes, name in self.written, stash=stash)

    def _declare(self, name: str, binding: Binding, dtype: str, written: bool) -> None:
        self.order.append(name)
        self.bindings[name] = binding
        self.dtype[name] = dtype
        if written:
            self.written.add(name)

    def _size(self, value: int) -> str:
        name = f"n{len(self.sizes)}"
        self.sizes[name] = value
        return name

    def _axis_strides(self, v: Variable, k: int, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides per axis of the group, from strides per axis of an operand."""
        found = [0] * len(self.group.sizes)
        domain = self.group.domain[v]
        for place, stride in zip(operand_axes(v, k), strides):
            axis = domain[place] if place is not None else None
            if axis is not None:
                found[axis] = stride
        return tuple(found)

    def _output(self, v: Variable) -> str:
        key = ("out", v)
        operand = self.operands.get(key)
        if operand is None:
            operand = self.operands[key] = f"y{len(self.order)}"
            strides = [0] * len(self.group.sizes)
            layout = self.layouts.of(v)
            for axis, n, s in zip(self.group.axes_of(v), layout.shape, layout.strides):
                if axis is not None and n != 1:
                    strides[axis] = s
            own = layout.base is v
            binding = Binding(None if own else layout, v if own else None, tuple(strides))
            self._declare(operand, binding, v.dtype, True)
        return operand

    def _constant(self, source: Constant, site: Any) -> str:
        """A number's name; equal ones have one name.

        But sizes keep their own: which of them are equal must not make another kernel.
        """
        value = dtypes.number(source.data)
        key = (source.dtype, site if source.dtype == "int64" else repr(value))
        name = self.constants.get(key)
        if name is None:
            name = self.constants[key] = f"c{len(self.constants)}"
            self.values[name] = value
            self.constant_dtype[name] = source.dtype
        return name
