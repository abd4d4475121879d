"""From a plan to a device: blocks of words with the device's addresses, kernels, launches."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from graphc.core.errors import TargetError
from graphc.core.kernel import Kernel
from graphc.core.node import Array, SharedVariable, Storage
from graphc.core.plan import Address, Place, Plan, Real, Step, Word, WordAddress
from graphc.runtime.cuda import compressed, convolutions, cudnn, kernels, matrices, pooling
from graphc.runtime.cuda.combine import CELL
from graphc.runtime.cuda.driver import Driver, Memory
from graphc.runtime.cuda.emit import BLOCKS, Part, emit, steps_of
from graphc.runtime.cuda.homes import Homes
from graphc.runtime.cuda.products import Gemm, gemm_of, stack_of
from graphc.runtime.cuda.shapes import Shape
from graphc.runtime.cuda.source import CudaKernel

Moved = dict[int, list[tuple[int, int]]]
"""By number (or identity), the words that hold such an address, and the bytes to add to it."""
RECORD_WORDS = 4  # of the error record


@dataclass
class Launch:
    """One launch of a kernel: its grid, and its last argument."""

    kernel: Any
    grid: int
    threads: int
    parts: int
    source: str


@dataclass
class Action:
    """What is done for a step: launches, a loop over a body, or something on the host."""

    step: Step
    launches: list[Launch] = field(default_factory=list)
    loop: Loop | None = None
    room: int = 0  # bytes of the work area
    product: Gemm | None = None
    convolution: cudnn.Convolution | None = None

    @property
    def on_host(self) -> bool:
        return self.step.routine == "host"


class Linked:
    """A plan on a device.

    Attributes
    ----------
    actions : list of Action
        What is done for each step.
    shared : list of SharedVariable
        Those that steps read or overwrite.
    inputs, outputs : list of Memory
        Where arguments and results of the call lie; whoever calls says it before `place`.
    """

    def __init__(
        self, plan: Plan, driver: Driver, homes: Homes, outer: Linked | None = None,
        products: str = "float32", convolutions: str = "graphc",
    ) -> None:  # fmt: skip
        self.plan, self.driver, self.homes, self.outer = plan, driver, homes, outer
        self.products = outer.products if outer is not None else products
        self.convolutions = outer.convolutions if outer is not None else convolutions
        self.served: list[str] = []
        self.known_steps: list[Step] = outer.known_steps if outer is not None else []
        self.first = len(self.known_steps)  # the number of the plan's first step among all
        self.known_steps += plan.steps
        self.error = outer.error if outer is not None else driver.allocate(8 * RECORD_WORDS)
        self.actions = [self._action(k, s) for k, s in enumerate(plan.steps)]
        self.starts, total = [], 0
        for step in plan.steps:
            self.starts.append(total)
            total += max(len(step.words), 1)
        self.words = np.zeros(max(total, 1), "int64")
        self.shared: list[SharedVariable] = []
        self._allocate(total)
        self._known: tuple[int, ...] | None = None

    def _allocate(self, words: int) -> None:
        plan, allocate = self.plan, self.driver.allocate
        self.block = allocate(8 * max(words, 1))
        self.arena = allocate(plan.arena_bytes)
        self.work = allocate(max((a.room for a in self.actions), default=0))
        self.work_word = allocate(8)
        self.work_word.write(np.array([self.work.address], "int64"))
        # A call says where its arguments and results lie, a loop where its body's do.
        self.inputs: list[Memory] = []
        self.outputs: list[Memory] = []
        self.constants: dict[int, tuple[Array, Memory]] = {}
        self.input_words: Moved = {}
        self.output_words: Moved = {}
        self.cell_words: Moved = {}
        for start, step in zip(self.starts, plan.steps):
            for w, word in enumerate(step.words):
                if isinstance(word, Address):
                    self._note(word, start + w)

    def _note(self, word: Address, at: int) -> None:
        """Make room for a constant, remember a shared variable or what a loop moves."""
        place = word.place
        owner: Any = place.owner
        if self.outer is not None and place.kind in ("input", "output", "shared"):
            table = {"input": self.input_words, "output": self.output_words,
                     "shared": self.cell_words}[place.kind]  # fmt: skip
            key = id(owner) if place.kind == "shared" else place.index
            table.setdefault(key, []).append((at, word.offset))
            return
        if place.kind == "shared" and not any(owner is v for v in self.shared):
            self.shared.append(owner)
        if place.kind == "constant" and id(owner) not in self.constants:
            array = np.ascontiguousarray(owner)
            memory = self.driver.allocate(array.nbytes)
            memory.write(array)
            self.constants[id(owner)] = (owner, memory)

    @property
    def all_served(self) -> list[str]:
        """By what products and convolutions are served, for people; those in loops, too."""
        inner = [a.loop.body.all_served for a in self.actions if a.loop is not None]
        return [*self.served, *(text for found in inner for text in found)]

    # --- words ------------------------------------------------------------------------

    def place(self) -> None:
        """Bring shared variables to the device, and write all words where an address changed."""
        addresses = (
            *(self.homes.address(v.storage) for v in self.shared),
            *(memory.address for memory in (*self.inputs, *self.outputs)),
        )
        if addresses == self._known:
            return
        self._known = addresses
        for k, step in enumerate(self.plan.steps):
            for w, word in enumerate(step.words):
                self.words[self.starts[k] + w] = self.resolved(word)
            loop = self.actions[k].loop
            if loop is not None:
                loop.place(self.words[self.starts[k] :])
        self.block.write(self.words)

    def resolved(self, word: Word) -> int:
        """A word as the device's kernels read it."""
        if isinstance(word, Real):
            return int(struct.unpack("<q", struct.pack("<d", word.value))[0])
        if isinstance(word, WordAddress):
            return self.block.address + 8 * (self.starts[word.step] + word.word)
        if isinstance(word, Address):
            if self.outer is not None and word.place.kind in ("input", "output", "shared"):
                return 0  # written before every step of the loop
            memory, start = self.memory_of(word.place)
            return memory.address + start + word.offset
        return int(word)

    def memory_of(self, place: Place) -> tuple[Any, int]:
        """The memory in which a place lies, and where there."""
        if place.kind == "arena":
            return self.arena, place.index
        if place.kind == "input":
            return self.inputs[place.index], 0
        if place.kind == "output":
            return self.outputs[place.index], 0
        if place.kind == "error":
            return self.error, 0
        if place.kind == "shared":
            storage: Storage = place.owner.storage  # type: ignore[union-attr]
            self.homes.address(storage)
            return storage.remote.memory, 0  # type: ignore[union-attr]
        return self.constants[id(place.owner)][1], 0

    # --- steps ------------------------------------------------------------------------

    def _action(self, number: int, step: Step) -> Action:
        if step.routine == "host":
            return Action(step)
        if step.routine == "copy_bytes":
            grid = max(1, min(-(-step.high // self.driver.threads), self.driver.blocks))
            step.source = kernels.COPY
            return Action(step, [self._launch(kernels.COPY, step.label, grid,
                                              self.driver.threads, step.high)])  # fmt: skip
        if step.routine == "loop":
            return Action(step, loop=Loop(self, number, step))
        if step.routine == "kernel":
            return self._kernel(step)
        if step.routine in ("gemm", "stacked"):
            return self._product(number, step)
        if step.routine == "implicit":
            return self._convolution(number, step)
        if step.routine in ("pooling", "compressed"):
            shapes = (pooling if step.routine == "pooling" else compressed).shapes
            return self._shaped(step, shapes(step, self.driver.threads, self.driver.blocks))
        if step.routine in kernels.SINGLE:
            source = kernels.SINGLE[step.routine]
            step.source = source
            return Action(step, [self._launch(source, step.routine, 1, 1, 1)])
        raise TargetError(
            f"the CUDA target has no {step.routine} yet: step {number}, {step.label}",
            "compile this function with target='cpu'",
            step.nodes[-1].where if step.nodes else (),
        )

    def _launch(self, source: str, name: str, grid: int, threads: int, parts: int) -> Launch:
        return Launch(self.driver.load(source, name), grid, threads, parts, source)

    def _kernel(self, step: Step) -> Action:
        kernel = step.kernel
        assert kernel is not None
        refuse_halves(kernel, step)
        emitted = emit(kernel)
        extents = extents_of(kernel, step)
        action = Action(step)
        parts = 1
        for k, part in enumerate(emitted.parts):
            grid = self._grid(part, extents)
            parts = grid if k == 0 else parts
            action.launches.append(
                self._launch(part.source, step.label, grid, self.driver.threads, parts)
            )
        step.source = "\n\n".join(part.source for part in emitted.parts)
        step.served = emitted
        inner = prod(extents[k] for k in _inner(kernel))
        action.room = (emitted.cells + emitted.rows * inner) * parts * CELL
        return action

    def _grid(self, part: Part, extents: list[int]) -> int:
        count = steps_of(part, extents)
        if not part.by_block:
            count = -(-count // self.driver.threads)
        return 1 if part.single else max(1, min(count, self.driver.blocks, BLOCKS))

    def _shaped(self, step: Step, shapes: list[Shape], room: int = 0) -> Action:
        step.source = "\n\n".join(shape.source for shape in shapes)
        launches = [
            self._launch(s.source, step.label, s.grid, s.threads, s.parts) for s in shapes
        ]
        return Action(step, launches, room=room)

    def _product(self, number: int, step: Step) -> Action:
        found: Gemm | str | None = self.driver.lacks_products
        shapes, room = matrices.shapes(step, self.driver.threads, self.driver.blocks)
        if found is None and shapes:
            ask = gemm_of if step.routine == "gemm" else stack_of
            found = ask(step, self.plan, number, self.products, self.outer is not None,
                        self.known_steps)  # fmt: skip
        if isinstance(found, Gemm):
            self.served.append(f"product {step.label}: cuBLAS, {found.compute}")
            return self._library_product(step, found)
        self.served.append(f"product {step.label}: a kernel with tiles, no cuBLAS: {found}")
        return self._shaped(step, shapes, room)

    def _convolution(self, number: int, step: Step) -> Action:
        """A call of cuDNN where that is asked for and can be had, or kernels of ours."""
        shapes, room = convolutions.shapes(step, self.driver.threads, self.driver.blocks)
        if self.convolutions == "graphc" or not shapes:
            return self._shaped(step, shapes, room)
        lacking = self.driver.lacks_convolutions
        if lacking is not None:
            raise TargetError(
                f"cuda_convolutions is 'cudnn', and there is none: {lacking}",
                f"{cudnn.INSTALL}; cuda_convolutions='graphc' does without",
            )
        failing = any(s.checks for s in self.known_steps)
        found = cudnn.convolution_of(step, self.plan, number, self.products,
                                     self.outer is not None, failing)  # fmt: skip
        wanted = found if isinstance(found, str) else self.driver.convolution_room(found)
        if isinstance(found, str) or isinstance(wanted, str):
            self.served.append(f"convolution {step.label}: kernels of graphc, no cuDNN: {wanted}")
            return self._shaped(step, shapes, room)
        self.served.append(f"convolution {step.label}: cuDNN, {found.rounded}")
        return Action(step, room=wanted, convolution=found)

    def _convolve(self, number: int, c: cudnn.Convolution) -> None:
        words = self.words[self.starts[number] :]
        first, second, result = (int(words[k]) for k in cudnn.address_words(c))
        self.driver.convolve(c, first, second, result, self.work.address)

    def _library_product(self, step: Step, gemm: Gemm) -> Action:
        """A call of cuBLAS, and where its result is added with care the kernel for that."""
        action = Action(step, product=gemm)
        if gemm.apart:
            action.room = gemm.m * gemm.n * np.dtype(gemm.dtype).itemsize
            source = kernels.ADDED_PRODUCTS[gemm.dtype]
            step.source, parts, threads = source, gemm.m * gemm.n, self.driver.threads
            grid = min(-(-parts // threads), self.driver.blocks)
            action.launches.append(self._launch(source, step.label, grid, threads, parts))
        return action

    def _multiply(self, number: int, gemm: Gemm) -> None:
        first = self.starts[number]
        if gemm.indirect:  # the words on the device, which other kernels write
            places = [self.block.address + 8 * (first + w) for w in range(3)]
            result = self.work_word.address
        else:
            places = [int(w) for w in self.words[first : first + 3]]
            result = self.work.address
        target = result if gemm.apart else places[2]
        self.driver.multiply(gemm, places[1], places[0], target)

    def product_addresses(self) -> tuple[int, ...]:
        """The addresses that calls of the library hold, not reading them from the device."""
        found: list[int] = []
        for start, action in zip(self.starts, self.actions):
            if action.product is not None and not action.product.indirect:
                found += [int(w) for w in self.words[start : start + 3]]
            if action.convolution is not None:
                places = cudnn.address_words(action.convolution)
                found += [int(self.words[start + k]) for k in places]
        return tuple(found)

    def all_functions(self) -> Iterator[tuple[Step, CudaKernel | None]]:
        """All steps with what they launch."""
        for action in self.actions:
            sources = tuple(launch.source for launch in action.launches)
            yield action.step, CudaKernel(action.step.source, sources) if sources else None
            if action.loop is not None:
                yield from action.loop.body.all_functions()

    def run_device(self, number: int) -> None:
        """Put a step's work on the device's stream."""
        action = self.actions[number]
        if action.product is not None:
            self._multiply(number, action.product)
        if action.convolution is not None:
            self._convolve(number, action.convolution)
        for launch in action.launches:
            self.launch(number, launch, launch.parts)
        if action.loop is not None:
            action.loop.run()

    def launch(self, number: int, launch: Launch, parts: int, work: int | None = None) -> None:
        """Launch a kernel of a step, with its last argument."""
        self.driver.launch(
            launch.kernel, launch.grid, launch.threads,
            (self.block.address + 8 * self.starts[number], work or self.work.address,
             self.error.address, self.first + number + 1, parts),
        )  # fmt: skip


class Loop:
    """A loop's body on the device, whose pointers a kernel moves before every step.

    The host counts the steps. It looks at the device in between only where the loop may stop
    early.
    """

    def __init__(self, outer: Linked, number: int, step: Step) -> None:
        self.outer, self.number, self.step = outer, number, step
        self.plan, self.pointers = step.extra
        self.body = Linked(self.plan.body, outer.driver, outer.homes, outer)
        for action in self.body.actions:
            if action.on_host:
                raise TargetError(
                    f"the CUDA target has no loops with steps that NumPy does yet: "
                    f"{action.step.label} in {step.label}",
                    "compile this function with target='cpu'",
                    action.step.nodes[-1].where,
                )
        self.advance, self.look, self.count = (
            Launch(outer.driver.load(source, name), 1, 1, 0, source)
            for name, source in kernels.OF_LOOPS.items()
        )
        self.targets: Memory | None = None
        self.flag = outer.driver.allocate(8)

    def place(self, words: Array) -> None:
        """Place the body, and write into the loop's words which of the body's it moves."""
        self.body.place()
        until = self.plan.until
        found = []
        for p in self.pointers:
            table = {"input": self.body.input_words, "output": self.body.output_words,
                     "shared": self.body.cell_words}[p.kind]  # fmt: skip
            key = id(p.number) if p.kind == "shared" else p.number
            found.append(table.get(key, []))
        base = self.body.block.address
        pairs = [(base + 8 * w, offset) for group in found for w, offset in group]
        if self.targets is None:
            self.targets = self.outer.driver.allocate(16 * max(len(pairs), 1))
        self.targets.write(np.array(pairs or [(0, 0)], "int64"))
        first = 0
        for k, group in enumerate(found):
            entry = HEAD + k * POINTER_WORDS
            words[entry + 5] = self.targets.address + 16 * first
            words[entry + 6] = len(group)
            first += len(group)
        if until is not None:
            condition = int(words[CONDITION_WORD])
            for w, offset in self.body.output_words.get(until, []):
                self.body.words[w] = condition + offset
            self.body.block.write(self.body.words)

    def run(self) -> None:
        """Run the steps; those of the body go to the stream one after the other."""
        outer, done = self.outer, 0
        if self.plan.when is None or self._flag(CHOICE_WORD) == self.plan.when[1]:
            while done < self.plan.steps:
                outer.launch(self.number, self.advance, done)
                for k in range(len(self.body.actions)):
                    self.body.run_device(k)
                done += 1
                if self.plan.until is not None and self._flag(CONDITION_WORD):
                    break
        if self.plan.count is not None:
            outer.launch(self.number, self.count, done)

    def _flag(self, word: int) -> bool:
        """A condition at the address in a word of the loop's block; the host waits for it."""
        self.outer.launch(self.number, self.look, word, self.flag.address)
        found = np.zeros(1, "uint8")
        self.flag.read(found)
        return bool(found[0])


HEAD, POINTER_WORDS = 10, 7  # of a loop's block: see graphc.passes.loop_plan
CONDITION_WORD, CHOICE_WORD = 5, 8

MISSING = {
    "convolution": "convolutions", "depthwise": "convolutions", "pooling": "pooling",
    "compressed": "products with compressed rows",
}  # fmt: skip
"""What people call the routines that this target doesn't serve."""


def refuse_halves(kernel: Kernel, step: Step) -> None:
    """Raise for dtypes that kernels don't have here."""
    for o in kernel.operands:
        if o.dtype in ("float16", "bfloat16"):
            raise TargetError(
                f"the CUDA target has no {o.dtype} yet: {step.label}",
                "cast to float32, or compile this function with target='cpu'",
                step.nodes[-1].where if step.nodes else (),
            )


def extents_of(kernel: Kernel, step: Step) -> list[int]:
    """The sizes of a kernel's axes in one plan."""
    return [
        int(word)  # type: ignore[arg-type]
        for (kind, _, _), word in zip(kernel.words(), step.words) if kind == "extent"
    ]  # fmt: skip


def _inner(kernel: Kernel) -> list[int]:
    return [k for k, a in enumerate(kernel.axes) if not a.outer]

