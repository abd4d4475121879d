"""Nests written by hand: copies, writes into a part, scatters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core.kernel import (
    Axis,
    Kernel,
    Let,
    Load,
    Operand,
    Phase,
    Statement,
    Store,
)
from graphc.core.node import Variable
from graphc.passes.group import Group
from graphc.passes.layout import Layout, Layouts, shape_of
from graphc.passes.lower import collapse
from graphc.passes.nest import Nest
from graphc.passes.operands import Binding
from graphc.passes.values import function_name


def copy_nest(target: Layout, source: Layout, dtype: str, mode: str = "set",
              constant: Any = None) -> Nest:  # fmt: skip
    """A nest that writes (or adds) `source`, or a number, to `target`."""
    rank = len(target.shape)
    names = [f"i{k}" for k in range(rank)]
    lead = rank - len(source.shape)
    strides = (0,) * lead + tuple(
        0 if n == 1 else s for n, s in zip(source.shape, source.strides)
    )
    body: list[Statement] = []
    bindings = {"y0": Binding(target, None, target.strides)}
    operands = [_operand("y0", dtype, target.strides, True)]
    constants: list[tuple[str, str]] = []
    if constant is None:
        bindings["x1"] = Binding(source, source.base, strides)
        operands.append(_operand("x1", dtype, strides, False))
        body.append(Load("v1", "x1"))
        value = "v1"
    else:
        constants.append(("c0", dtype))
        value = "c0"
    if mode == "inc":
        body += [Load("v2", "y0"), Let("v3", f"{function_name(dtype)}(v2 + {value})")]
        value = "v3"
    body.append(Store("y0", value))
    axes = tuple(Axis(n, k < rank - 1) for k, n in enumerate(names))
    kernel = Kernel(axes, operands, constants)
    (kernel.phases.append(Phase(elem=body)) if rank else kernel.top.extend(body))
    values = {"c0": constant} if constants else {}
    nest = Nest(kernel, Group(0), target.shape, bindings, values, {}, [])
    return collapse(nest)


def _operand(name: str, dtype: str, strides: Sequence[int], written: bool) -> Operand:
    return Operand(name, dtype, tuple(s if s in (0, 1) else None for s in strides), written)


def scatter_nest(v: Variable, target: Layout, layouts: Layouts) -> Nest:
    """A serial nest over the (checked) index arrays that writes or adds into `target`."""
    value, indices, axes = v.args[1], v.args[2:], v.attrs["axes"]
    table = v.args[0]
    rank = max(i.ndim for i in indices)
    adjacent = axes == tuple(range(axes[0], axes[0] + len(axes)))
    at = axes[0] if adjacent else 0
    rest = [k for k in range(table.ndim) if k not in axes]
    picked_shape = _picked_shape(indices, rank)
    shape = (*(shape_of(table)[k] for k in rest[:at]), *picked_shape,
             *(shape_of(table)[k] for k in rest[at:]))  # fmt: skip
    total = len(shape)
    bindings: dict[str, Binding] = {}
    operands: list[Operand] = []
    sizes: dict[str, int] = {}
    body: list[Statement] = []
    y_strides = [0] * total
    places = [k for k in range(total) if not at <= k < at + rank]
    for k, place in zip(rest, places):
        y_strides[place] = target.strides[k]
    _bind(operands, bindings, "y0", Binding(target, None, tuple(y_strides)), v.dtype, True)
    terms = []
    for k, (axis, index) in enumerate(zip(axes, indices)):
        _load_aligned(operands, bindings, body, f"x{k + 1}", index, at, rank, total, layouts)
        sizes[f"n{k}"] = target.strides[axis]
        terms.append(f"v{k + 1} * n{k}")
    name = f"x{len(axes) + 1}"
    _load_aligned(operands, bindings, body, name, value, 0, total, total, layouts)
    offset, new = " + ".join(terms), f"v{len(axes) + 1}"
    if v.attrs["mode"] == "inc":
        body += [Load("old", "y0", offset), Let("new", f"{function_name(v.dtype)}(old + {new})"),
                 Store("y0", "new", offset, adds=new)]  # fmt: skip
    else:
        body.append(Store("y0", new, offset))
    kernel = Kernel(
        tuple(Axis(f"i{k}", True) for k in range(total)), operands, [], sizes=list(sizes)
    )
    (kernel.row if total else kernel.top).extend(body)
    return Nest(kernel, Group(0), shape, bindings, {}, sizes, [])


def _picked_shape(indices: Sequence[Variable], rank: int) -> tuple[int, ...]:
    shape = [1] * rank
    for i in indices:
        for k, n in enumerate(shape_of(i)):
            if n != 1:
                shape[rank - i.ndim + k] = n
    return tuple(shape)


def _bind(operands: list[Operand], bindings: dict[str, Binding], name: str, binding: Binding,
          dtype: str, written: bool) -> None:  # fmt: skip
    bindings[name] = binding
    operands.append(_operand(name, dtype, binding.strides, written))


def _load_aligned(
    operands: list[Operand], bindings: dict[str, Binding], body: list[Statement], name: str,
    a: Variable, at: int, rank: int, total: int, layouts: Layouts,
) -> None:  # fmt: skip
    layout = layouts.of(a)
    strides = [0] * total
    for k, (n, s) in enumerate(zip(layout.shape, layout.strides)):
        if n != 1:
            strides[at + rank - a.ndim + k] = s
    _bind(operands, bindings, name, Binding(layout, layout.base, tuple(strides)), a.dtype, False)
    loaded = "v" + name[1:]
    body.append(Load(loaded, name))
