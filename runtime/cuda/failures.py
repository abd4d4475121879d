"""What stopped a plan on a device: its error record, read by the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.node import Array
from graphc.core.plan import Plan, Step
from graphc.runtime.cuda.driver import Driver
from graphc.runtime.cuda.emit import STEP_BITS
from graphc.runtime.cuda.solvers import failure

RECORD_WORDS = 4  # of the error record


class Failures:
    """The error record that all steps of a plan share, those in the bodies of its loops too.

    Attributes
    ----------
    memory : the record; see :mod:`graphc.runtime.cuda.memory`.
    steps : the steps that may be named in it, by their number less one.
    """

    def __init__(self, plan: Plan, driver: Driver, program: Any) -> None:
        self.plan, self.program = plan, program
        self.memory = driver.allocate(8 * RECORD_WORDS, "words")
        self.steps: list[Step] = []

    def blank(self) -> Array:
        """A record of the host's."""
        return np.zeros(RECORD_WORDS, "int64")

    def clear(self) -> None:
        self.memory.write(self.blank())

    def found(self, record: Array | None = None) -> tuple[int, int, Array] | None:
        """Which step noted what, and the record; None where none did.

        The host waits for it, unless it has read the record already.
        """
        if record is None:
            record = self.blank()
            self.memory.read(record)
        if not record[2]:
            return None
        return (int(record[2]) >> STEP_BITS) - 1, int(record[2]) & (2**STEP_BITS - 1), record

    def error(self, number: int, code: int, record: Array) -> Exception | None:
        """The error for what a step noted; None if the plan is for other sizes."""
        step = self.steps[number]
        about = step.checks[code - 1] if 0 < code <= len(step.checks) else step.nodes[-1]
        if about in self.plan.guards:
            return None
        if step.routine == "solver":
            return failure(step, code, int(record[0]))
        if step.routine == "compressed":  # its codes say what is wrong, as the CPU's records do
            record = np.array([code, *record[:2]])
        return self.outside(about, record)

    def outside(self, about: Any, record: Array) -> Exception:
        failed: Exception = self.program.failed(about, record)
        return failed

    def raise_if_any(self, record: Array | None = None) -> None:
        """Raise what the first step that stopped has noted."""
        found = self.found(record)
        if found is not None:
            raise self.error(*found) or RuntimeError("a size changed while the plan ran")
