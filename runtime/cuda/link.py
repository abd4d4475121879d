"""From a plan to a device: blocks of words with the device's addresses, and what is launched."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from graphc.core.node import Array, SharedVariable, Storage
from graphc.core.plan import Address, Place, Plan, Real, Step, Word, WordAddress
from graphc.runtime.cuda import cudnn
from graphc.runtime.cuda.actions import Action, Actions, Launch, Libraries
from graphc.runtime.cuda.driver import Driver, Memory
from graphc.runtime.cuda.failures import Failures
from graphc.runtime.cuda.homes import Homes
from graphc.runtime.cuda.host_steps import MOVED, HostSteps, places_that_move
from graphc.runtime.cuda.loops import Loop
from graphc.runtime.cuda.products import Gemm
from graphc.runtime.cuda.source import CudaKernel

Moved = dict[int, list[tuple[int, int]]]
"""By number (or identity), the words that hold such an address, and the bytes to add to it."""
Call = Callable[[], Any]
"""What puts one thing on the stream; its arguments are the same every time."""


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
    input_words, output_words, cell_words : dict
        The words that hold addresses in arguments, results and, in a loop's body, its states.
    """

    def __init__(
        self, plan: Plan, driver: Driver, homes: Homes, failures: Failures,
        libraries: Libraries, outer: Linked | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.driver, self.homes, self.outer = plan, driver, homes, outer
        self.failures, self.error = failures, failures.memory
        self.first = len(failures.steps)  # the number of the plan's first step among all
        failures.steps += plan.steps
        makes = Actions(plan, driver, libraries, outer is not None, failures.steps)
        self.served = makes.served
        self.actions: list[Action] = []
        for k, step in enumerate(plan.steps):
            action = makes.of(k, step)
            if step.routine == "loop":
                body = Linked(step.extra[0].body, driver, homes, failures, libraries, self)
                action.loop = Loop(self, body, k, step)
            self.actions.append(action)
        self.hosts = HostSteps(self)
        self.blocks = [self._block_of(step) for step in plan.steps]
        self.starts, total = [], 0
        for words in self.blocks:
            self.starts.append(total)
            total += max(len(words), 1)
        self.words = np.zeros(max(total, 1), "int64")
        self.shared: list[SharedVariable] = []
        self._allocate(total)
        self._known: tuple[int, ...] | None = None

    def _block_of(self, step: Step) -> list[Word]:
        """A step's words; those of a host step in a loop are the addresses that move."""
        if self.outer is not None and step.routine == "host":
            return [Address(place) for place in places_that_move(step)]
        return step.words

    def _allocate(self, words: int) -> None:
        plan, allocate = self.plan, self.driver.allocate
        self.block = allocate(8 * max(words, 1), "words")
        self.arena = allocate(plan.arena_bytes, "values between steps")
        most = max(self.actions, key=lambda a: a.room, default=None)
        room, step = (0, "") if most is None else (most.room, f"of step {most.step.label}")
        self.work = allocate(room, "work area", step)
        self.work_word = allocate(8, "words")
        self.work_word.write(np.array([self.work.address], "int64"))
        # A call says where its arguments and results lie, a loop where its body's do.
        self.inputs: list[Memory] = []
        self.outputs: list[Memory] = []
        self.constants: dict[int, tuple[Array, Memory]] = {}
        self.input_words: Moved = {}
        self.output_words: Moved = {}
        self.cell_words: Moved = {}
        for start, block in zip(self.starts, self.blocks):
            for w, word in enumerate(block):
                if isinstance(word, Address):
                    self._note(word, start + w)

    def _note(self, word: Address, at: int) -> None:
        """Make room for a constant, remember a shared variable or what a loop moves."""
        place = word.place
        owner: Any = place.owner
        inside = self.outer is not None
        if place.kind in MOVED and (inside or place.kind != "shared"):
            table = {"input": self.input_words, "output": self.output_words,
                     "shared": self.cell_words}[place.kind]  # fmt: skip
            key = id(owner) if place.kind == "shared" else place.index
            table.setdefault(key, []).append((at, word.offset))
        elif place.kind == "shared" and not any(owner is v for v in self.shared):
            self.shared.append(owner)
        if place.kind == "constant" and id(owner) not in self.constants:
            array = np.ascontiguousarray(owner)
            memory = self.driver.allocate(array.nbytes, "constant")
            memory.write(array)
            self.constants[id(owner)] = (owner, memory)

    @property
    def all_served(self) -> list[str]:
        """By what libraries or kernels are served, for people; those in loops, too."""
        inner = [a.loop.body.all_served for a in self.actions if a.loop is not None]
        return [*self.served, *(text for found in inner for text in found)]

    # --- words ------------------------------------------------------------------------

    def place(self) -> None:
        """Bring shared variables to the device, and write all words where an address changed."""
        addresses = (
            *(self.homes.address(v.storage, v.name) for v in self.shared),
            *(memory.address for memory in (*self.inputs, *self.outputs)),
        )
        if addresses == self._known:
            return
        self._known = None
        for k, block in enumerate(self.blocks):
            for w, word in enumerate(block):
                self.words[self.starts[k] + w] = self.resolved(word)
            loop = self.actions[k].loop
            if loop is not None:
                loop.place(self.words[self.starts[k] :])
        self.block.write(self.words)
        self._known = addresses  # now that they are written

    def forget_places(self) -> None:
        """Let `place` write all words again: a kernel has moved some."""
        self._known = None

    def resolved(self, word: Word) -> int:
        """A word as the device's kernels read it."""
        if isinstance(word, Real):
            return int(struct.unpack("<q", struct.pack("<d", word.value))[0])
        if isinstance(word, WordAddress):
            return self.block.address + 8 * (self.starts[word.step] + word.word)
        if isinstance(word, Address):
            if self.outer is not None and word.place.kind in MOVED:
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

    # --- calls ------------------------------------------------------------------------

    def calls_of(self, number: int, moving: bool = False) -> list[Call]:
        """What puts a step's work on the stream, where the host does nothing in between.

        With `moving`, a kernel moves the plan's arguments and results from call to call.
        """
        action, calls = self.actions[number], list[Call]()
        launches = action.launches
        moves = moving and action.by_library and self._moves(number)
        if moves and action.instead is not None:
            launches = action.instead()
        elif action.product is not None:
            gemm = replace(action.product, indirect=True) if moves else action.product
            calls.append(partial(self._multiply, number, gemm))
        elif action.convolution is not None:
            calls.append(partial(self._convolve, number, action.convolution))
        work = (action.shared or self.work).address
        for item in action.sequence or launches:
            if isinstance(item, Launch):
                calls.append(self.call_of(number, item, work=work))
            else:
                given = item.resolved(work)
                calls.append(partial(self.driver.solve, item.routine, item.dtype, given))
        if action.loop is not None:
            calls += action.loop.calls()
        return calls

    def call_of(
        self, number: int, launch: Launch, parts: int | None = None, work: int | None = None
    ) -> Call:
        """A launch of a kernel over a step's block."""
        given = (self.block.address + 8 * self.starts[number], work or self.work.address,
                 self.error.address, self.first + number + 1,
                 launch.parts if parts is None else parts)  # fmt: skip
        return self.driver.prepare(launch.kernel, launch.grid, launch.threads, given)

    def _moves(self, number: int) -> bool:
        """Whether the addresses that a library is given are those of arguments or results."""
        block = self.blocks[number]
        places = (block[w] for w in self._address_words(number))
        return any(
            isinstance(w, Address) and w.place.kind in ("input", "output") for w in places
        )

    def _address_words(self, number: int) -> tuple[int, int, int]:
        """Which of a step's words are the addresses of operands and result."""
        convolution = self.actions[number].convolution
        return (0, 1, 2) if convolution is None else cudnn.address_words(convolution)

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

    def _convolve(self, number: int, convolution: cudnn.Convolution) -> None:
        first, second, result = (
            int(self.words[self.starts[number] + w]) for w in cudnn.address_words(convolution)
        )
        self.driver.convolve(convolution, first, second, result, self.work.address)

    def held_words(self, number: int, moving: bool = False) -> list[int]:
        """The words of addresses that a step's call of a library holds, not the device."""
        action = self.actions[number]
        indirect = action.product is not None and action.product.indirect
        if not action.by_library or indirect or moving and self._moves(number):
            return []
        return [self.starts[number] + w for w in self._address_words(number)]

    def all_functions(self) -> Iterator[tuple[Step, CudaKernel | None]]:
        """All steps with what they launch."""
        for action in self.actions:
            sources = tuple(launch.source for launch in action.launches)
            step = action.step
            yield step, CudaKernel(step.label, step.source, sources) if sources else None
            if action.loop is not None:
                yield from action.loop.body.all_functions()
