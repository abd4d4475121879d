"""From a plan to native memory: compiled steps, argument blocks, and what is patched per call."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Array
from graphc.core.plan import Address, Place, Plan, Real, Step, Word, WordAddress
from graphc.runtime import compressed, convolutions, depthwise, natives, pooling, products, running
from graphc.runtime.buffers import allocate
from graphc.runtime.compile import Compiled, compile_source
from graphc.runtime.emit import emit
from graphc.runtime.emit_parts import emit_end, emit_part
from graphc.runtime.parts import leaves_totals, share_out
from graphc.runtime.team import threads

ROW = 4  # words of a step: function, block, low, high


@dataclass
class Linked:
    """A plan in memory.

    Parameters
    ----------
    table : int64 array
        A row per step: function, block, low, high.
    words : int64 array
        The argument blocks, one after the other.
    starts : list of int
        Where each step's block begins in `words`.
    inputs, outputs : list of (number, byte offset, word)
        Words that hold an address inside an argument or a result.
    error : int64 array
        Where kernels say what went wrong.
    """

    plan: Plan
    table: Array
    words: Array
    starts: list[int]
    inputs: list[tuple[int, int, int]]
    outputs: list[tuple[int, int, int]]
    shared: list[tuple[Any, int, int]]
    error: Array
    arena: Array
    functions: list[Compiled | None]
    kept: list[Any] = field(default_factory=list)
    loops: dict[int, Linked] = field(default_factory=dict)  # the bodies of loop steps
    ends: dict[int, Compiled] = field(default_factory=dict)  # what completes steps in parts

    def all_functions(self) -> Iterator[tuple[Step, Compiled | None]]:
        """All steps with their native functions; those of loops' bodies follow the loop."""
        for k, (step, function) in enumerate(zip(self.plan.steps, self.functions)):
            yield step, function
            if k in self.ends:
                yield step, self.ends[k]
            if k in self.loops:
                yield from self.loops[k].all_functions()

    def relocate(self) -> None:
        """Write the addresses of shared variables again, after one has moved."""
        for variable, offset, word in self.shared:
            self.words[word] = variable.storage.array.ctypes.data + offset


def compile_step(
    step: Step, before: Step | None = None, *, part: bool = False
) -> Compiled | None:
    """The native function of a step; None for host steps.

    `before` is the step of an earlier plan that did the same for other sizes. Of a kernel in
    two stages, it is the `part`.
    """
    if step.routine == "kernel":
        assert step.kernel is not None
        step.source = emit_part(step.kernel) if part else emit(step.kernel)
        return compile_source(step.source, step.label)
    if step.routine in natives.SOURCES:
        step.source = natives.SOURCES[step.routine]
        return natives.native(step.routine)
    if step.routine == "gemm":
        return products.prepare(step, before)
    if step.routine == "convolution":
        return convolutions.prepare(step)
    if step.routine == "depthwise":
        return depthwise.prepare(step)
    if step.routine == "pooling":
        return pooling.prepare(step)
    if step.routine == "compressed":
        return compressed.prepare(step)
    if step.routine == "running":
        return running.prepare(step)
    return None


def link(plan: Plan, earlier: Plan | None = None) -> Linked:
    """Compile a plan's steps and lay out its argument blocks.

    `earlier` is a plan of the same program for other sizes.
    """
    same = earlier is not None and len(earlier.steps) == len(plan.steps)
    before = earlier.steps if same and earlier is not None else [None] * len(plan.steps)
    most = threads()
    staged = [leaves_totals(s, most) for s in plan.steps]
    functions = [
        compile_step(s, b if b is not None and b.routine == s.routine else None, part=t)
        for s, b, t in zip(plan.steps, before, staged)
    ]
    starts, total = [], 0
    for step in plan.steps:
        starts.append(total)
        total += max(len(step.words), 1)
    words = np.zeros(max(total, 1), "int64")
    table = np.zeros((len(plan.steps), ROW), "int64")
    arena = allocate(plan.arena_bytes)
    error = np.zeros(4, "int64")
    linked = Linked(plan, table, words, starts, [], [], [], error, arena, functions)
    base = words.ctypes.data
    for k, (step, function) in enumerate(zip(plan.steps, functions)):
        for w, word in enumerate(step.words):
            words[starts[k] + w] = _resolve(linked, word, starts[k] + w, base)
        address = function.address if function is not None else 0
        table[k] = (address, base + 8 * starts[k], step.low, step.high)
        if step.routine == "loop":
            linked.loops[k] = link_loop(linked, step, starts[k])
    for k, step in enumerate(plan.steps):
        if staged[k] and step.kernel is not None:
            linked.ends[k] = compile_source(emit_end(step.kernel), f"{step.label}: end")
    ends = {k: function.address for k, function in linked.ends.items()}
    shared = share_out(plan.steps, most, ends, table, words, starts, linked.kept)
    if shared:
        plan.notes.append(f"{shared} of {len(plan.steps)} steps in parts, on {most} threads")
    return linked


HEAD, POINTER_WORDS = 10, 7  # of a loop's block: see graphc.passes.loop_plan
TABLE_WORD, CONDITION_WORD, RESULT_WORD = 1, 5, 7


def link_loop(outer: Linked, step: Step, start: int) -> Linked:
    """Link the body of a loop, and say in the step's block which of its words move."""
    plan, pointers = step.extra
    body = link(plan.body)
    outer.words[start + TABLE_WORD] = body.table.ctypes.data
    outer.words[start + TABLE_WORD + 1] = len(plan.body.steps)
    base = body.words.ctypes.data
    if plan.until is not None:
        for number, offset, word in body.outputs:
            if number == plan.until:
                body.words[word] = outer.words[start + CONDITION_WORD] + offset
    targets = []
    for p in pointers:
        found = {"input": body.inputs, "output": body.outputs, "shared": body.shared}[p.kind]
        targets.append([(base + 8 * word, offset) for n, offset, word in found if n is p.number
                        or (p.kind != "shared" and n == p.number)])  # fmt: skip
    table = np.array([pair for group in targets for pair in group], "int64").reshape(-1, 2)
    body.kept.append(table)
    first = 0
    for k, group in enumerate(targets):
        entry = start + HEAD + k * POINTER_WORDS
        outer.words[entry + 5] = table.ctypes.data + 16 * first
        outer.words[entry + 6] = len(group)
        first += len(group)
    return body


def _resolve(linked: Linked, word: Word, at: int, base: int) -> int:
    if isinstance(word, Real):
        return int(struct.unpack("<q", struct.pack("<d", word.value))[0])
    if isinstance(word, WordAddress):
        return base + 8 * (linked.starts[word.step] + word.word)
    if isinstance(word, Address):
        return _address(linked, word, at)
    return int(word)


def _address(linked: Linked, word: Address, at: int) -> int:
    place = word.place
    if place.kind == "arena":
        return int(linked.arena.ctypes.data + place.index + word.offset)
    if place.kind == "input":
        linked.inputs.append((place.index, word.offset, at))
        return 0
    if place.kind == "output":
        linked.outputs.append((place.index, word.offset, at))
        return 0
    if place.kind == "error":
        return int(linked.error.ctypes.data)
    if place.kind == "shared":
        variable: Any = place.owner
        linked.shared.append((variable, word.offset, at))
        return int(variable.storage.array.ctypes.data + word.offset)
    array = np.ascontiguousarray(place.owner)  # type: ignore[arg-type]
    linked.kept.append(array)
    return int(array.ctypes.data + word.offset)


def view_of(
    linked: Linked, place: Place, offset: int, shape: Sequence[int], strides: Sequence[int],
    dtype: str, inputs: Sequence[Array], outputs: Sequence[Array],
) -> Array:  # fmt: skip
    """A NumPy view of a value's memory, for host steps."""
    kind = dtypes.numpy_dtype(dtype)
    item = kind.itemsize
    owner: Any
    if place.kind == "arena":
        owner, offset = linked.arena, offset + place.index
    elif place.kind == "input":
        owner = inputs[place.index]
    elif place.kind == "output":
        owner = outputs[place.index]
    elif place.kind == "shared":
        owner = place.owner.storage.array  # type: ignore[union-attr]
    else:
        owner = place.owner
    flat = np.asarray(owner)
    start = flat.reshape(-1).view("uint8") if flat.flags.c_contiguous else flat
    return np.ndarray(
        tuple(shape), kind, buffer=start.data, offset=offset,
        strides=tuple(s * item for s in strides),
    ) if flat.size else np.zeros(tuple(shape), kind)  # fmt: skip


