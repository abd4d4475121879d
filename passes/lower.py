"""From tasks to steps: argument blocks over places, one row per native call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.core import dtypes
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
from graphc.core.node import Constant, Variable, describe
from graphc.core.plan import Address, Place, Real, Split, Step, Word
from graphc.passes.layout import Layout, c_strides, shape_of, trace
from graphc.passes.nest import Nest
from graphc.passes.operands import Binding

BLAS_DTYPES = ("float32", "float64")
COLUMNS = 64  # of a part, at least: lines of memory that no other part has


@dataclass
class Launch:
    """A nest whose operands have yet to get places."""

    nest: Nest
    label: str
    nodes: tuple[Variable, ...]
    outputs: dict[str, Variable] = field(default_factory=dict)
    flops: float = 0.0


def itemsize(dtype: str) -> int:
    return dtypes.numpy_dtype(dtype).itemsize


# --- in place -------------------------------------------------------------------------


def sections(kernel: Kernel) -> list[list[Statement]]:
    """The statement lists of a kernel in the order in which they run."""
    found = [kernel.top, kernel.row]
    for phase in kernel.phases:
        found += [phase.elem, phase.row]
    return [*found, kernel.post, kernel.columns]


def inplace_pairs(nest: Nest) -> list[tuple[Variable, Variable, str]]:
    """Pairs (made, read, the operand that writes) in which a value may be written over one
    that is read: each element is read before it is written, and never after."""
    bases: dict[Variable, list[str]] = {}
    for o in nest.kernel.operands:
        layout = nest.bindings[o.name].layout
        if layout is not None and not o.written:
            bases.setdefault(layout.base, []).append(o.name)
    found = []
    for w in nest.kernel.operands:
        made = nest.bindings[w.name].node
        if w.written and made is not None:
            found += [(made, base, w.name) for base, names in bases.items()
                      if _may_alias(nest, w, made, base, names)]  # fmt: skip
    return found


def _may_alias(
    nest: Nest, w: Operand, made: Variable, base: Variable, names: Sequence[str]
) -> bool:
    if base.dtype != made.dtype or base.type.size != made.type.size:
        return False
    strides = nest.bindings[w.name].strides
    once = nest.kernel.post, nest.kernel.columns
    exact = {n for n in names if _same_elements(nest, nest.bindings[n], strides)}
    stored, loops = False, range(len(nest.extents))
    rows = [nest.kernel.row, *(p.row for p in nest.kernel.phases)]
    for statements in sections(nest.kernel):
        last = any(statements is o for o in once)
        for s in statements:
            if isinstance(s, Store) and s.operand == w.name:
                stored = True
                if statements is nest.kernel.top:
                    loops = range(0)
                elif any(statements is r for r in rows):
                    loops = range(len(nest.kernel.outer))
                if len(exact) < len(names) and not last:
                    return False
            elif isinstance(s, Load) and s.operand in names:
                if stored or ((s.offset or s.operand not in exact) and last):
                    return False
    covered = all(strides[k] != 0 or nest.extents[k] == 1 for k in loops)
    return covered or _stored_in(w.name, once[0] + once[1])


def _stored_in(operand: str, statements: Sequence[Statement]) -> bool:
    return any(isinstance(s, Store) and s.operand == operand for s in statements)


def _same_elements(nest: Nest, binding: Binding, strides: tuple[int, ...]) -> bool:
    layout = binding.layout
    if layout is None or layout.offset or layout.dynamic:
        return False
    return binding.strides == strides


def alias(nest: Nest, read: Variable, written: str) -> Kernel:
    """The kernel with every operand over `read` going through the pointer that writes.

    Operands with the strides of what is written become that operand, so that LLVM sees one
    address; others keep their own strides over its pointer.
    """
    strides = nest.bindings[written].strides
    exact: set[str] = set()
    other: set[str] = set()
    for o in nest.kernel.operands:
        layout = nest.bindings[o.name].layout
        if layout is not None and layout.base is read and not o.written:
            same = _same_elements(nest, nest.bindings[o.name], strides)
            (exact if same else other).add(o.name)

    def renamed(statements: list[Statement]) -> list[Statement]:
        return [
            replace(s, operand=written) if isinstance(s, Load) and s.operand in exact else s
            for s in statements
        ]

    kernel = nest.kernel
    return replace(
        kernel,
        operands=[
            replace(o, alias=written) if o.name in other else o
            for o in kernel.operands if o.name not in exact
        ],
        top=renamed(kernel.top),
        row=renamed(kernel.row),
        phases=[Phase(renamed(p.elem), p.accumulators, renamed(p.row)) for p in kernel.phases],
        post=renamed(kernel.post),
        columns=renamed(kernel.columns),
    )  # fmt: skip


# --- collapsing -----------------------------------------------------------------------


def collapse(nest: Nest) -> Nest:
    """Neighbouring axes that every operand walks through evenly become one."""
    while True:
        k = next((k for k in range(len(nest.extents) - 1) if _collapsible(nest, k)), None)
        if k is None:
            return nest
        nest = _merged(nest, k)


def _collapsible(nest: Nest, k: int) -> bool:
    first, second = nest.kernel.axes[k], nest.kernel.axes[k + 1]
    if first.outer != second.outer and not _plain(nest.kernel):
        return False
    if nest.kernel.lanes and first.outer:
        return False
    used = (first.name, second.name)
    for statements in sections(nest.kernel):
        for s in statements:
            if isinstance(s, Let) and any(_mentions(s.text, n) for n in used):
                return False
    extent = nest.extents[k + 1]
    return all(
        b.strides[k] == b.strides[k + 1] * extent for b in nest.bindings.values()
    )


def _mentions(text: str, name: str) -> bool:
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    return name in words


def _plain(kernel: Kernel) -> bool:
    """No reductions: all axes are alike."""
    return not kernel.cross and not any(p.accumulators for p in kernel.phases)


def _merged(nest: Nest, k: int) -> Nest:
    kernel = nest.kernel
    axes = list(kernel.axes)
    axes[k : k + 2] = [Axis(axes[k + 1].name, axes[k].outer and axes[k + 1].outer)]
    extents = list(nest.extents)
    extents[k : k + 2] = [extents[k] * extents[k + 1]]
    bindings = {
        name: replace(b, strides=b.strides[:k] + b.strides[k + 1 :])
        for name, b in nest.bindings.items()
    }
    operands = [
        replace(o, strides=tuple(s if s in (0, 1) else None for s in bindings[o.name].strides))
        for o in kernel.operands
    ]
    merged = replace(kernel, axes=tuple(axes), operands=operands)
    return replace(nest, kernel=merged, extents=tuple(extents), bindings=bindings)


# --- words ----------------------------------------------------------------------------


def kernel_step(
    launch: Launch, places: Mapping[Variable, Place], scratch: Sequence[Place], splittable: bool
) -> Step:
    """The step of a launch whose values have places."""
    nest = launch.nest
    kernel = nest.kernel
    words: list[Word] = []
    waiting = iter(scratch)
    pointers: dict[str, Word] = {}
    own: list[tuple[int, int]] = []
    for o in kernel.operands:
        binding = nest.bindings[o.name]
        if o.alias:
            continue
        if binding.scratch:
            own.append((len(pointers), binding.scratch * itemsize(o.dtype)))
            pointers[o.name] = Address(next(waiting))
        else:
            pointers[o.name] = operand_address(binding, launch, o, places)
    for kind, name, axis in kernel.words():
        if kind == "pointer":
            words.append(pointers[name])
        elif kind == "extent":
            words.append(nest.extents[axis])
        elif kind == "stride":
            words.append(nest.bindings[name].strides[axis])
        elif kind == "size":
            words.append(nest.sizes[name])
        elif kind == "error":
            words.append(Address(Place("error")))
        else:
            value = nest.constants[name]
            dtype = dict(kernel.constants)[name]
            words.append(Real(float(value)) if dtype in dtypes.FLOATS else as_word(int(value)))
    ranged = kernel.range_axis
    high = 1 if ranged is None else nest.extents[ranged]
    return Step(
        "kernel", launch.label, words, 0, high, kernel=kernel, nodes=launch.nodes,
        checks=nest.checks, flops=launch.flops, bytes=_traffic(nest),
        split=_split(nest, own) if splittable and kernel.apart else None,
    )  # fmt: skip


def _split(nest: Nest, own: Sequence[tuple[int, int]]) -> Split:
    """How parts share a kernel; `own` are the words and bytes of its scratch memory."""
    kernel = nest.kernel
    if kernel.by_columns:
        return Split(nest.extents[len(kernel.outer)], COLUMNS)
    return Split(nest.extents[0], scratch=tuple(own), totals=bool(kernel.totals))


def as_word(value: int) -> int:
    """An integer as a signed 64-bit word."""
    return value - 2**64 if value >= 2**63 else value


def operand_address(
    binding: Binding, launch: Launch, o: Operand, places: Mapping[Variable, Place]
) -> Address:
    """Where an operand's first element lies, dynamic offsets left out."""
    layout = binding.layout
    if layout is None:
        assert binding.node is not None
        return Address(places[binding.node])
    base = layout.base
    place = places.get(base)
    if place is None:
        assert isinstance(base, Constant), describe(base)
        place = Place("constant", 0, base.data)
    return Address(place, layout.offset * itemsize(base.dtype))


def _traffic(nest: Nest) -> float:
    total = 0.0
    for o in nest.kernel.operands:
        count = 1
        for n, s in zip(nest.extents, nest.bindings[o.name].strides):
            count *= n if s else 1
        total += count * itemsize(o.dtype)
    return total


def whole(v: Variable) -> Layout:
    """The layout of a value in its own buffer."""
    shape = shape_of(v)
    return Layout(v, shape, c_strides(shape))


def constant_scalar(a: Variable) -> Any | None:
    """The number that a variable is a broadcast of, or None."""
    source, _ = trace(a)
    if isinstance(source, Constant) and source.data.size == 1:
        return dtypes.number(source.data)
    return None
