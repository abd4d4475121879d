"""The values of a loop nest: where each is computed, kept, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.core.kernel import (
    Check,
    Let,
    Load,
    Phase,
    Statement,
    Store,
)
from graphc.core.node import Constant, Variable
from graphc.core.op import Gather, Scalar, static_int
from graphc.passes.group import Group, gather_axes, is_generator, is_reduction, operand_axes
from graphc.passes.layout import Layout, Layouts, inside, trace
from graphc.passes.operands import Binding, Operands

EXPENSIVE = 8.0  # operations from this cost on are kept between phases, not done again
SMALL_INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "bool")
# By dtype: divisors below and above which a reciprocal is scaled, and the power of two for it.
WIDE = {"float32": ("1e-36", "1e36", 2.0**64), "float64": ("1e-300", "1e300", 2.0**512)}


@dataclass
class Scope:
    """A list of statements and what is known while they run."""

    level: str
    index: int
    out: list[Statement]
    names: dict[Any, str] = field(default_factory=dict)
    parent: Scope | None = None


def function_name(dtype: str) -> str:
    """The kernel language's name of a dtype, which is also its cast."""
    return "bool_" if dtype == "bool" else dtype


class Values(Operands):
    """Statements that make the values of a group's members, each in the scope it belongs to.

    A scope is the top of the kernel, the rows before, between and after the passes over the
    inner axes, the body of such a pass, or what follows all rows.
    """

    def __init__(self, group: Group, outputs: Sequence[Variable], layouts: Layouts) -> None:
        super().__init__(group, outputs, layouts)
        self._prepare_scopes()

    def _prepare_scopes(self) -> None:
        for v in self.group.members:
            self._ready[v] = self._compute_ready(v)
        last = 0
        for v in self.group.members:
            if is_reduction(v) and self.group.reduced(v):
                last = max(last, self._ready[v])
            elif v in self.outputs and v not in self.roles.post and self._level(v) == "elem":
                last = max(last, self._ready[v] + 1)
            last = max(last, self._ready[v] if v not in self.roles.post else 0)
        self.top = Scope("top", 0, [])
        self.rows = [Scope("row", k, [], parent=self.top) for k in range(last + 1)]
        if not self.roles.lanes:
            for k in range(1, last + 1):
                self.rows[k].parent = self.rows[k - 1]
        self.elems = [Scope("elem", k, [], parent=self.rows[k]) for k in range(last)]
        self.phases = [Phase(self.elems[k].out, [], self.rows[k + 1].out) for k in range(last)]
        self.post = Scope("post", 0, [], parent=self.top)
        self.columns = Scope("columns", 0, [], parent=self.post)

    def _compute_ready(self, v: Variable) -> int:
        """After how many passes over the inner axes a value can be had."""
        inputs = [self._ready[s] for a in v.args if (s := trace(a)[0]) in self.members]
        base = max(inputs, default=0)
        if not is_reduction(v) or not self.group.reduced(v):
            return base
        if self.roles.kind[v] != "row":
            span = {a for a in self.group.domain[v] if a is not None}
            return base if span <= self.outer else base + 1
        return base + 1

    def _level(self, v: Variable) -> str:
        axes = {a for a in self.group.axes_of(v) if a is not None}
        if v in self.roles.post:
            return "columns" if axes else "post"
        if not axes:
            return "top" if self._ready[v] == 0 else "row"
        return "row" if axes <= self.outer else "elem"

    def _visible(self, key: Any, scope: Scope | None) -> str | None:
        while scope is not None:
            if key in scope.names:
                return scope.names[key]
            if self.roles.lanes and scope.level == "elem":
                scope = self.top
            else:
                scope = scope.parent
        return None

    def _home(self, v: Variable, scope: Scope) -> Scope:
        """The scope in which a value is computed when `scope` wants it."""
        if scope.level in ("post", "columns") and v not in self.roles.post:
            return self.top if self._level(v) == "top" else scope
        level = self._level(v)
        if level == "top":
            return self.top
        if level == "row":
            return self.rows[self._ready[v]]
        if level in ("post", "columns"):
            return self.post if level == "post" else scope
        return scope

    def need(self, v: Variable, scope: Scope) -> str:
        """The name under which a member's value is known in `scope`."""
        name = self._visible(v, scope)
        if name is not None:
            return name
        home = self._home(v, scope)
        if home is not scope and home.level != "top" and self._must_spill(home, scope):
            return self._from_spill(v, home, scope)
        name = self._visible(v, home)
        if name is None:
            kept = self._kept(v, scope) if home is scope and scope.level == "elem" else None
            name = kept if kept is not None else self._compute(v, home)
            home.names[v] = name
        return name

    def _must_spill(self, home: Scope, scope: Scope) -> bool:
        return self.roles.lanes and home.level == "row"

    def _from_spill(self, v: Variable, home: Scope, scope: Scope) -> str:
        """With lanes, row values reach other sections through a small array."""
        array = self.spilled.get(v)
        if array is None:
            inner = self._visible(v, home)
            if inner is None:
                inner = self._compute(v, home)
                home.names[v] = inner
            array = self.spilled[v] = self._fresh("s")
            self.arrays[array] = v.dtype
            home.out.append(Let(f"{array}[t]", inner))
        name = self._fresh()
        scope.out.append(Let(name, f"{array}[t]"))
        scope.names[v] = name
        return name

    def _kept(self, v: Variable, scope: Scope) -> str | None:
        """An expensive value of an earlier phase, read back from where it was kept."""
        if self._ready[v] >= scope.index or self.roles.lanes:
            return None
        cost = v.op.lower.cost if isinstance(v.op.lower, Scalar) else 0.0  # type: ignore[union-attr]
        if v in self.outputs:
            operand = self._output(v)
        elif cost >= EXPENSIVE:
            operand = self._stash(v)
        else:
            return None
        name = self._fresh()
        scope.out.append(Load(name, operand))
        return name

    def _stash(self, v: Variable) -> str:
        """A row of scratch memory that holds a value from one phase to the next."""
        operand = self.stashed.get(v)
        if operand is None:
            operand = self.stashed[v] = f"w{len(self.order)}"
            strides, step = [0] * len(self.group.sizes), 1
            for a in reversed(self._axes()):
                if a in self.inner:
                    strides[a] = step
                    step *= self.group.sizes[a]
            self._declare(operand, Binding(None, None, tuple(strides), max(step, 1)), v.dtype, True)
            scope = self.elems[self._ready[v]]
            scope.out.append(Store(operand, self.need(v, scope)))
        return operand

    def _compute(self, v: Variable, scope: Scope) -> str:
        lower = v.op.lower  # type: ignore[union-attr]
        if isinstance(lower, Gather):
            return self._gather(v, scope)
        assert isinstance(lower, Scalar), v
        args = [self._argument(v, k, scope) for k in range(len(v.args))]
        if v.op.name == "eq" and _small_positions(v):  # type: ignore[union-attr]
            args = [self._narrowed(v, k, name, scope) for k, name in enumerate(args)]
        if lower.template.startswith("checked("):
            return self._checked(v, args[0], args[1], scope)
        cast = function_name(v.dtype)
        kind = function_name(v.args[-1].dtype)
        if lower.template.startswith("cast("):
            text = f"{cast}({args[0]})"
        else:
            text = lower.template.format(*args, T=kind)
            if v.dtype in SMALL_INTEGERS and v.args[-1].dtype == v.dtype:
                text = f"{cast}({text})"
        if v.op.name == "true_div" and scope.level == "elem" and v.dtype in WIDE:  # type: ignore
            text = self._by_reciprocal(v, args, scope) or text
        name = self._fresh()
        scope.out.append(Let(name, text))
        return name

    def _narrowed(self, v: Variable, k: int, name: str, scope: Scope) -> str:
        """A position as int32, whose comparison fills vectors as float32 does."""
        source = trace(v.args[k])[0]
        home = scope
        if source in self.members and scope.level == "elem" and not self.roles.lanes:
            row = self.rows[scope.index]
            home = row if self._defined(name, row) else scope
        known = self._visible(("int32", name), scope)
        if known is None:
            known = self._fresh()
            home.out.append(Let(known, f"int32({name})"))
            home.names["int32", name] = known
        return known

    def _by_reciprocal(self, v: Variable, args: Sequence[str], scope: Scope) -> str | None:
        """Division by a row's value as a product: ``x / d = (x * r) * s``, ``r = 1 / (d s)``.

        The power of two `s` keeps `r` normal where `d` is tiny or huge.
        """
        row = self.rows[scope.index]
        divisor = next((s for s in (row, self.top) if self._defined(args[1], s)), None)
        if divisor is None or self.roles.lanes:
            return None
        key = ("reciprocal", args[1])
        found = self._visible(key, scope)
        if found is None:
            kind, (tiny, huge, power) = v.dtype, WIDE[v.dtype]
            scale, found = self._fresh(), self._fresh()
            d = args[1]
            down = f"select(abs({d}) > {kind}({huge}), {kind}({1 / power!r}), {kind}(1))"
            text = f"select(abs({d}) < {kind}({tiny}), {kind}({power!r}), {down})"
            divisor.out.append(Let(scale, text))
            divisor.out.append(Let(found, f"{kind}(1) / ({d} * {scale})"))
            divisor.names[key] = found
            divisor.names["scale", found] = scale
        return f"{args[0]} * {found} * {self._visible(('scale', found), scope)}"

    def _defined(self, name: str, scope: Scope) -> bool:
        chain: Scope | None = scope
        while chain is not None:
            if any(isinstance(s, Let | Load) and s.name == name for s in chain.out):
                return True
            chain = chain.parent
        return False

    def _argument(self, v: Variable, k: int, scope: Scope) -> str:
        """Operand `k` of a member: another member, a constant, an index, or memory."""
        a = v.args[k]
        source, along = trace(a)
        if source in self.members:
            return self.need(source, scope)
        if isinstance(source, Constant) and source.data.size == 1:
            return self._constant(source, (v, k))
        if is_generator(source):
            return self._generate(v, k, source, along, scope)
        return self._load(v, k, scope)

    def _load(self, v: Variable, k: int, scope: Scope) -> str:
        a = v.args[k]
        layout = self.layouts.of(a)
        strides = [0 if n == 1 else s for n, s in zip(layout.shape, layout.strides)]
        return self._load_from(layout, self._axis_strides(v, k, strides), a.dtype, scope, "")

    def _load_from(
        self, layout: Layout, strides: tuple[int, ...], dtype: str, scope: Scope, offset: str
    ) -> str:
        key = (layout.base, layout.offset, layout.dynamic, strides)
        operand = self.operands.get(key)
        if operand is None:
            operand = self.operands[key] = f"x{len(self.order)}"
            self._declare(operand, Binding(layout, layout.base, strides), dtype, False)
        axes = {a for a, s in enumerate(strides) if s}
        home = scope
        if not offset and scope.level not in ("post", "columns"):
            if not axes:
                home = self.top
            elif axes <= self.outer and not (self.roles.lanes and scope.level == "elem"):
                home = scope if scope.level == "row" else self.rows[0]
        elif not axes and not offset:
            home = self.top
        name = self._visible((key, offset), scope) or self._visible((key, offset), home)
        if name is None:
            name = self._fresh()
            home.out.append(Load(name, operand, offset))
            home.names[key, offset] = name
        return name

    def _generate(
        self, v: Variable, k: int, source: Variable, along: Sequence[int | None], scope: Scope
    ) -> str:
        """A value made from the position: arange, eye."""
        domain = self.group.domain[v]
        index = {f"i{n}": "0" for n in range(source.ndim)}
        for place, inner in zip(operand_axes(v, k), along):
            if place is None or inner is None or source.type.shape[inner] == 1:
                continue
            axis = domain[place]
            if axis is not None:
                index[f"i{inner}"] = self.axis_name[axis]
                self.used_axes.add(axis)
        if _counts_up(source) and index["i0"] != "0":
            name = self._fresh()
            scope.out.append(Let(name, index["i0"]))
            return name
        args = [self._scalar_argument(a) for a in source.args]
        template = source.op.lower.template  # type: ignore[union-attr]
        kind = function_name(source.args[0].dtype)
        text = template.replace("cast(", f"{function_name(source.dtype)}(")
        text = text.format(*args, **index, T=kind)
        name = self._fresh()
        scope.out.append(Let(name, text))
        return name

    def _scalar_argument(self, a: Variable) -> str:
        source, _ = trace(a)
        if isinstance(source, Constant):
            return self._constant(source, a)
        layout = self.layouts.of(a)
        return self._load_from(layout, (0,) * len(self.group.sizes), a.dtype, self.top, "")

    def _checked(self, v: Variable, index: str, size: str, scope: Scope) -> str:
        extent = self.sizes.get(size, self.values.get(size))
        known = self._visible(("checked", index, extent), scope)
        if known is not None:
            return known
        name = self._fresh()
        scope.out.append(Let(name, f"select({index} < 0, {index} + {size}, {index})"))
        self.checks.append(v)
        scope.out.append(Check(name, size, len(self.checks), index))
        scope.names["checked", index, extent] = name
        return name

    def _gather(self, v: Variable, scope: Scope) -> str:
        table, indices = v.args[0], v.args[1:]
        layout = self.layouts.of(table)
        terms = []
        for k, axis in enumerate(v.attrs["axes"]):
            index = self._argument(v, k + 1, scope)
            place = index
            if not inside(indices[k], layout.shape[axis]):
                place = self._checked(v, index, self._size(layout.shape[axis]), scope)
            terms.append(f"{place} * {self._size(layout.strides[axis])}")
        at, picked = gather_axes(v)
        rest = [k for k in range(table.ndim) if k not in v.attrs["axes"]]
        places = [k for k in range(v.ndim) if not at <= k < at + picked]
        strides = [0] * len(self.group.sizes)
        for k, where in zip(rest, places):
            group_axis = self.group.domain[v][where]
            if group_axis is not None:
                strides[group_axis] = layout.strides[k]
        return self._load_from(layout, tuple(strides), v.dtype, scope, " + ".join(terms))


def _counts_up(source: Variable) -> bool:
    """Whether a generator is 0, 1, 2, ..., its own index."""
    if source.op is None or source.op.name != "arange" or source.dtype != "int64":
        return False
    return [static_int(a) for a in source.args[:2]] == [0, 1]


def _small_positions(v: Variable) -> bool:
    """Whether an equality compares an index with a checked one, both within int32."""
    first, second = (trace(a)[0] for a in v.args)
    if _counts_up(second):
        first, second = second, first
    if not _counts_up(first) or second.op is None or second.op.name != "checked_index":
        return False
    sizes = static_int(first.args[2]), static_int(trace(second.args[1])[0])
    return all(n is not None and n < 2**31 for n in sizes)
