"""What steps that NumPy does need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.core.node import Constant, Variable
from graphc.core.plan import Address, Place
from graphc.passes.layout import Layout, Layouts, shape_of
from graphc.passes.lower import constant_scalar


def for_host(
    v: Variable, layouts: Layouts, pointer: Callable[[Layout], Address],
    places: Mapping[Variable, Place],
) -> tuple[Any, ...]:  # fmt: skip
    """An op, its operands (arrays, numbers with shapes, or where they lie), the result's place."""
    operands: list[Any] = []
    for a in v.args:
        number = constant_scalar(a)
        if isinstance(a, Constant):
            operands.append(a.data)
        elif number is not None:
            operands.append((number, shape_of(a), a.dtype))
        else:
            layout = layouts.of(a)
            moves = [(pointer(layouts.of(d.index)), d) for d in layout.dynamic]
            operands.append((pointer(layout), layout, a.dtype, moves))
    return v, operands, Address(places[v])
