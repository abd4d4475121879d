"""``model.summary(...)``: what each layer makes, holds and costs, read from the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.graph import Interner, toposort
from graphc.core.node import SharedVariable, TensorType, Variable, user_frames
from graphc.core.op import building_with, static_int
from graphc.passes import loop_bodies
from graphc.passes.specialise import resolve, sized_bodies

Shape = tuple[int | None, ...]
Axis = tuple[int, Fraction]  # how many places of the input are seen, and their distance
Field = tuple[Axis, ...] | str


@dataclass(frozen=True)
class Call:
    """That a layer was called: with what, and what it gave."""

    layer: Any
    inputs: tuple[Variable, ...]
    output: Variable


@dataclass(frozen=True)
class Row:
    """One layer: its path, the shape of its result for one example, and its figures.

    `multiply_adds` are those of matrix products and convolutions, for one example. `field` is
    how many places of the input one place of the result depends on, along each axis; "all", or
    None where an input has no axes of places.
    """

    name: str
    layer: str
    output: Shape
    parameters: int
    multiply_adds: int
    field: tuple[int, ...] | str | None


@dataclass(frozen=True)
class Summary:
    """The rows of a model and their totals; printed, a table.

    `parameters` counts a tied parameter once, `frozen` those of them that are not trained.
    """

    rows: tuple[Row, ...]
    parameters: int
    frozen: int
    states: int
    multiply_adds: int

    def __str__(self) -> str:
        cells = [("layer", "output", "parameters", "multiply-adds", "field")]
        cells += [
            (r.name, _shape(r.output), f"{r.parameters:,}", f"{r.multiply_adds:,}", _field(r.field))
            for r in self.rows
        ]
        many = f"{len(self.rows)} layer{'s' if len(self.rows) != 1 else ''}"
        cells.append((many, "", f"{self.parameters:,}", f"{self.multiply_adds:,}", ""))
        widths = [max(len(row[k]) for row in cells) for k in range(5)]
        widths[0] = max(widths[0], 12)
        lines = [
            row[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
            for row in cells
        ]
        if self.frozen:
            lines.append(f"{self.frozen:,} of the parameters are frozen")
        if self.states:
            lines.append(f"{self.states:,} numbers of state besides")
        return "\n".join(line.rstrip() for line in lines)


def _shape(shape: Shape) -> str:
    inner = ", ".join("?" if n is None else str(n) for n in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _field(field: tuple[int, ...] | str | None) -> str:
    if field is None:
        return "-"
    return field if isinstance(field, str) else "x".join(map(str, field))


def summarise(model: Any, calls: list[Call], shapes: Sequence[Any], dtype: str) -> Summary:
    """Call the model with inputs of given sizes, and look at what it declares."""
    if not shapes or not all(isinstance(s, list | tuple) for s in shapes):
        raise ArgumentError(
            f"{model.name}.summary{tuple(shapes)}: shapes of one example are needed",
            "model.summary((3, 32, 32)), without the batch", user_frames(),
        )  # fmt: skip
    kind = dtypes.canonical(dtype)
    inputs = [
        Variable(TensorType(kind, (1, *shape)), name=f"input{k}") for k, shape in enumerate(shapes)
    ]
    output = model(*inputs)
    sized = _sized(output, calls)
    paths = layer_paths(model)
    # A layer's row is that of its call; those of layers with others inside only hold together.
    leaves = [c for c in calls if not c.layer.children]
    fields = _fields(output, leaves, inputs)
    costs = _costs(leaves, sized)
    rows = tuple(
        Row(
            paths.get(c.layer, c.layer.name), type(c.layer).__name__,
            sized[c.output].type.shape[1:], c.layer.count, costs[k],
            fields.get(c.output),
        )
        for k, c in enumerate(leaves)
    )  # fmt: skip
    trained = {v for _, v in _trained(model)}
    everything = model.all_parameters
    return Summary(
        rows, model.count, sum(_size(v) for v in trained if getattr(v.tag, "frozen", False)),
        sum(_size(v) for v in everything if v not in trained), sum(costs),
    )  # fmt: skip


def _trained(model: Any) -> list[tuple[str, SharedVariable]]:
    return [(path, e.variable) for path, e in model._entries().items() if e.trained]


def _size(variable: SharedVariable) -> int:
    return int(variable.get_value(borrow=True).size)


def layer_paths(model: Any) -> dict[Any, str]:
    """What each layer inside is called, by its place; the model itself by its name."""
    found: dict[Any, str] = {}
    stack = [("", model)]
    while stack:
        path, layer = stack.pop()
        label = f"{path} {layer.name}" if path and path.split(".")[-1] != layer.name else path
        found.setdefault(layer, label or layer.name)
        inner = [(f"{path}.{n}" if path else n, c) for n, c in layer.children.items()]
        stack.extend(reversed(inner))
    return found


def _sized(output: Variable, calls: Sequence[Call]) -> dict[Variable, Variable]:
    """The graph again with the present sizes of all shared variables; sizes become numbers."""
    interner = Interner()
    roots = [output, *(c.output for c in calls)]
    done: dict[Variable, Variable] = {}
    order = toposort(roots)
    for v in order:
        if isinstance(v, SharedVariable):
            done[v] = Variable(TensorType(v.dtype, v.get_value(borrow=True).shape), name=v.name)
    with building_with(interner):
        return loop_bodies.rebuild(order, interner, done, resolve, sized_bodies(interner))


# --- multiply-adds --------------------------------------------------------------------


def _costs(calls: Sequence[Call], sized: Mapping[Variable, Variable]) -> list[int]:
    """For each call, the multiply-adds between its inputs and its output; equal ones once."""
    counted: set[Variable] = set()
    found = []
    for c in calls:
        leaves = set(c.inputs)
        nodes = (sized[v] for v in toposort([c.output], leaves=leaves) if v not in leaves)
        inner = [v for v in dict.fromkeys(nodes) if v not in counted]
        counted.update(inner)
        found.append(multiply_adds(inner))
    return found


def multiply_adds(nodes: Sequence[Variable]) -> int:
    """How many products are added up to make applications' results, whose sizes are known."""
    total = 0
    for v in nodes:
        count = _COUNTED.get(v.op.name) if v.op is not None else None
        if count is not None and all(x.type.known for x in (v, *v.args)):
            total += count(v)
    for (loop, args), results in loop_bodies.loops_of(nodes).items():
        steps = static_int(args[0])
        body = toposort([*loop.results, *loop_bodies.traced(results)])
        total += (steps or 0) * multiply_adds(body)
    return total


def _of_product(v: Variable) -> int:
    return prod(v.type.shape) * v.args[0].type.shape[-1]  # type: ignore[arg-type, operator]


def _of_convolution(v: Variable) -> int:
    return prod(v.type.shape) * prod(v.args[1].type.shape[1:])  # type: ignore[arg-type]


def _of_transposed(v: Variable) -> int:
    """Each element of what is given meets each tap of the filters of its channel."""
    return prod(v.args[0].type.shape) * prod(v.args[1].type.shape[1:])  # type: ignore[arg-type]


_COUNTED: dict[str, Callable[[Variable], int]] = {
    "dot": _of_product, "matmul": _of_product, "conv2d": _of_convolution,
    "conv3d": _of_convolution, "conv2d_grad_input": _of_transposed,
    "conv3d_grad_input": _of_transposed,
}  # fmt: skip


# --- receptive fields -----------------------------------------------------------------


def _fields(
    output: Variable, calls: Sequence[Call], inputs: Sequence[Variable]
) -> dict[Variable, Any]:
    """For the result of each call, how much of the input each place of it depends on."""
    places = max(v.ndim for v in inputs) - 2
    # One that does nothing (dropout when used) gives back its input.
    reaches = {c.output: c for c in calls if c.output not in c.inputs}
    known: dict[Variable, Field] = {v: ((1, Fraction(1)),) * places for v in inputs}
    outputs = [c.output for c in calls]
    for v in toposort([output, *outputs]):
        if v in known:
            continue
        call = reaches.get(v)
        before = [known[a] for a in (call.inputs if call else v.args) if a in known]
        if before:
            known[v] = _after(_widest(before), call.layer if call else None, v)
    return {
        v: f if isinstance(f, str) else tuple(size for size, _ in f) or None
        for v, f in ((v, known[v]) for v in outputs if v in known)
    }


def _widest(fields: Sequence[Field]) -> Field:
    if any(isinstance(f, str) for f in fields):
        return "all"
    return tuple(max(axes) for axes in zip(*fields))  # type: ignore[arg-type, type-var]


def _after(field: Field, layer: Any, output: Variable) -> Field:
    reach = layer.reach if layer is not None else None
    if callable(reach):
        reach = reach(output)
    if isinstance(field, str) or reach == "all":
        return "all"
    if reach is None:
        return field
    kept = field[: len(field) - len(reach)]
    found = []
    for (size, jump), (window, stride) in zip(field[len(kept) :], reach):
        step = Fraction(stride)
        # A transposed convolution has a stride below 1: neighbours share what they see.
        taps = window if step >= 1 else ceil(window * step)
        found.append((size + ceil((taps - 1) * jump), jump * step))
    return (*kept, *found)
