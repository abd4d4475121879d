"""Loops and choices on a device: a body whose pointers a kernel moves before every step."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.node import Array
from graphc.core.plan import Step
from graphc.runtime.cuda import kernels
from graphc.runtime.cuda.actions import Launch
from graphc.runtime.cuda.driver import Driver, Memory

if TYPE_CHECKING:
    from graphc.runtime.cuda.link import Call, Linked
    from graphc.runtime.cuda.schedule import Captures, Schedule

HEAD, POINTER_WORDS = 10, 7  # of a loop's block: see graphc.passes.loop_plan
COUNTER_WORD, CONDITION_WORD, CHOICE_WORD = 1, 5, 8
LIMIT = 4000  # nodes of a graph; a longer loop captures its body, and launches that
STOPPED = 2  # what a look at a condition finds after a failure


class LoopKernels:
    """The launches that loops need besides those of their bodies.

    The step number lies in the loop's block (word 1, which the CPU uses for something else):
    the launches of all steps are the same, and a captured step can be replayed.
    """

    def __init__(self, driver: Driver) -> None:
        self.start, self.advance, self.look, self.count, self.stop = (
            Launch(driver.load(source, name), 1, 1, 0, source)
            for name, source in kernels.OF_LOOPS.items()
        )


class Targets:
    """The words that a loop moves, as its `advance` kernel reads them."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.memory: Memory | None = None

    def write(self, base: int, found: list[list[tuple[int, int]]], words: Array) -> None:
        """Say, in a loop's words, which words of a block at `base` each pointer goes to."""
        pairs = [(base + 8 * w, offset) for group in found for w, offset in group]
        size = 16 * max(len(pairs), 1)
        if self.memory is None:
            self.memory = self.driver.allocate(size, "words")
        self.memory.write(np.array(pairs or [(0, 0)], "int64"))
        first = 0
        for k, group in enumerate(found):
            entry = HEAD + k * POINTER_WORDS
            words[entry + 5] = self.memory.address + 16 * first
            words[entry + 6] = len(group)
            first += len(group)


class Loop:
    """A loop, or a side of a choice.

    Where the number of steps is known, and no step needs the host, all of them go to the stream
    one after the other (`calls`). A driven one is run from the host (`run`): step by step, with a
    look at the device in between where it may stop early. So is a choice: the host looks at
    the condition. (A graph of CUDA 12.4 could do both with conditional nodes. These need a call
    from a kernel into a library of the device's, which nothing but a device can test.)
    """

    def __init__(self, outer: Linked, body: Linked, number: int, step: Step) -> None:
        self.outer, self.body, self.number, self.step = outer, body, number, step
        self.plan, self.pointers = step.extra
        self.kernels = LoopKernels(outer.driver)
        self.targets = Targets(outer.driver)
        self.flag = outer.driver.allocate(8, "words")
        self.schedule: Schedule | None = None

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
        self.targets.write(self.body.block.address, found, words)
        if until is not None:
            condition = int(words[CONDITION_WORD])
            for w, offset in self.body.output_words.get(until, []):
                self.body.words[w] = condition + offset
            self.body.block.write(self.body.words)

    # --- all at once ------------------------------------------------------------------

    @cached_property
    def driven(self) -> bool:
        """Whether the host does something between the steps, if only counting many of them."""
        asked = self.plan.until is not None or self.plan.when is not None
        return asked or any(a.driven for a in self.body.actions) or self.nodes > LIMIT

    @cached_property
    def nodes(self) -> int:
        """How many calls the steps are."""
        return 2 + int(self.plan.steps) * (1 + sum(a.nodes for a in self.body.actions))

    def calls(self) -> list[Call]:
        """The calls of all steps of a loop that isn't driven."""
        steps = [self._call(self.kernels.advance)]
        for k in range(len(self.body.actions)):
            steps += self.body.calls_of(k)
        return [self._call(self.kernels.start), *steps * self.plan.steps, *self._counting()]

    def _counting(self) -> list[Call]:
        return [self._call(self.kernels.count)] if self.plan.count is not None else []

    def _call(self, launch: Launch) -> Call:
        return self.outer.call_of(self.number, launch)

    def _looking(self, word: int) -> Call:
        return self.outer.call_of(self.number, self.kernels.look, word, self.flag.address)

    # --- from the host ----------------------------------------------------------------

    def drive(self, captures: Captures, schedule: type[Schedule]) -> None:
        """Prepare the calls of a step, those of inner loops too."""
        if self.schedule is not None:
            return
        after = [self._looking(CONDITION_WORD)] if self.plan.until is not None else []
        advance = [self._call(self.kernels.advance)]
        self.schedule = schedule(self.body, captures, before=advance, after=after)
        self.starting, self.ending = self._call(self.kernels.start), self._counting()
        self.choosing = self._looking(CHOICE_WORD) if self.plan.when is not None else None

    def run(self) -> None:
        """Run the steps; the host waits where it needs to know a condition."""
        assert self.schedule is not None
        plan = self.plan
        if self.choosing is not None:
            self.choosing()
            if self._flag() != plan.when[1]:
                return
        self.starting()
        for _ in range(plan.steps):
            self.schedule.run()
            if plan.until is not None and self._flag():
                break
        for call in self.ending:
            call()

    def _flag(self) -> int:
        """What a look found: 0, 1, or `STOPPED`."""
        found: Any = np.zeros(1, "uint8")
        self.flag.read(found)
        return int(found[0])
