"""From a group of operations to the loop nest that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.kernel import (
    Accumulate,
    Accumulator,
    Axis,
    Kernel,
    Let,
    Load,
    Store,
)
from graphc.core.node import Variable
from graphc.passes.group import Group, is_reduction
from graphc.passes.layout import Layouts, trace
from graphc.passes.operands import Binding
from graphc.passes.values import Scope, Values, function_name


@dataclass
class Nest:
    """A kernel with the sizes, operands and constants of one plan."""

    kernel: Kernel
    group: Group
    extents: tuple[int, ...]
    bindings: dict[str, Binding]
    constants: dict[str, Any]
    sizes: dict[str, int]
    checks: list[Variable]


def build_nest(group: Group, outputs: Sequence[Variable], layouts: Layouts) -> Nest:
    """The loop nest of a group that stores `outputs`."""
    return _Builder(group, outputs, layouts).build()


class _Builder(Values):
    """Adds to the values what is done with them: reductions and stores."""

    def build(self) -> Nest:
        for v in self.group.members:
            if is_reduction(v):
                self._reduce(v)
            if v in self.outputs:
                self._store(v)
        axes = self._axes()
        operands = [self._operand(name, axes) for name in self.order]
        kernel = Kernel(
            axes=tuple(Axis(self.axis_name[a], a in self.outer) for a in axes),
            operands=operands,
            constants=[(name, self.constant_dtype[name]) for name in self.constants.values()],
            top=self.top.out,
            row=self.rows[0].out,
            phases=self.phases,
            cross=self.cross,
            post=self.post.out,
            columns=self.columns.out,
            lanes=self.roles.lanes,
            arrays=self.arrays,
            sizes=list(self.sizes),
        )
        extents = tuple(self.group.sizes[a] for a in axes)
        return Nest(kernel, self.group, extents, self.bindings, self.values, self.sizes,
                    self.checks)  # fmt: skip

    def _reduce(self, v: Variable) -> None:
        kind = self.roles.kind[v]
        operand = trace(v.args[0])[0]
        if not self.group.reduced(v):
            self._reduce_nothing(v)
            return
        span = {a for a in self.group.domain[v] if a is not None}
        op_kind = v.op.lower.kind  # type: ignore[union-attr]
        if kind == "cross" and span <= self.outer:
            scope = self.rows[self._ready[operand] if operand in self._ready else 0]
            self._accumulate_cross(v, op_kind, self._argument(v, 0, scope), scope)
            return
        phase = self._ready[v] - 1
        scope = self.elems[phase]
        value = self._argument(v, 0, scope)
        name = self._fresh("a")
        if kind == "column":
            self._accumulate_column(v, op_kind, name, value, scope)
            return
        dtype = v.args[0].dtype
        self.phases[phase].accumulators.append(Accumulator(name, op_kind, dtype, "row"))
        scope.out.append(Accumulate(name, value))
        row = self.rows[phase + 1]
        result = self._fresh()
        row.out.append(Let(result, self._result(v, name, self.roles.lanes)))
        if kind == "row":
            row.names[v] = result
        else:
            self._accumulate_cross(v, op_kind, result, row)

    def _result(self, v: Variable, name: str, lanes: bool) -> str:
        suffix = "[t]" if lanes else ""
        if v.op.lower.kind in ("argmax", "argmin"):  # type: ignore[union-attr]
            return f"{name}_at{suffix}"
        return f"{function_name(v.dtype)}({name}{suffix})"

    def _reduce_nothing(self, v: Variable) -> None:
        """A reduction over axes of size 1: the value itself, or position 0."""
        level = self._level(v)
        scope = {"top": self.top, "row": self.rows[self._ready[v]]}.get(level)
        scopes = [scope] if scope is not None else self.elems[self._ready[v] :]
        for s in scopes:
            value = self._argument(v, 0, s)
            name = self._fresh()
            position = v.op.lower.kind in ("argmax", "argmin")  # type: ignore[union-attr]
            s.out.append(Let(name, "int64(0)" if position else value))
            s.names[v] = name

    def _accumulate_cross(self, v: Variable, kind: str, value: str, scope: Scope) -> None:
        name = self._fresh("a")
        self.cross.append(Accumulator(name, kind, v.args[0].dtype, "cross"))
        scope.out.append(Accumulate(name, value))
        result = self._fresh()
        self.post.out.append(Let(result, self._result(v, name, False)))
        self.post.names[v] = result

    def _accumulate_column(
        self, v: Variable, kind: str, name: str, value: str, scope: Scope
    ) -> None:
        wide = "float64" if v.dtype == "float32" and kind == "sum" else v.dtype
        strides, step = [0] * len(self.group.sizes), 1
        for a in reversed(self._axes()):
            if a in self.inner:
                strides[a] = step
                step *= self.group.sizes[a]
        self._declare(name, Binding(None, None, tuple(strides), max(step, 1)), wide, True)
        block = ""
        if wide != v.dtype:
            block = f"{name}_b"
            binding = Binding(None, None, tuple(strides), max(step, 1))
            self._declare(block, binding, v.dtype, True)
        self.cross.append(Accumulator(name, kind, wide, "column", name, block))
        scope.out.append(Accumulate(name, value))
        loaded, result = self._fresh(), self._fresh()
        self.columns.out.append(Load(loaded, name))
        self.columns.out.append(Let(result, f"{function_name(v.dtype)}({loaded})"))
        self.columns.names[v] = result

    def _store(self, v: Variable) -> None:
        level = self._level(v)
        scope = {"top": self.top, "post": self.post, "columns": self.columns}.get(level)
        if scope is None:
            ready = self._ready[v]
            scope = self.rows[ready] if level == "row" else self.elems[ready]
        operand = self._output(v)
        name = self._visible(v, scope)
        if name is None:
            if is_reduction(v) and self.roles.lanes:
                name = self.need(v, scope)
            elif is_reduction(v):
                name = self.need(v, scope)
            else:
                name = self._compute(v, scope)
                scope.names[v] = name
        scope.out.append(Store(operand, name))
