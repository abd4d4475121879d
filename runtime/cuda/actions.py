"""What is launched for a plan's steps: kernels with their grids, and calls of libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any

from graphc.core import dtypes
from graphc.core.errors import TargetError
from graphc.core.plan import Plan, Step
from graphc.runtime.cuda import compressed, convolutions, kernels, pooling, probe, scans, turned
from graphc.runtime.cuda.calls import Call, Solved
from graphc.runtime.cuda.deal import sizes_of
from graphc.runtime.cuda.driver import Driver, Memory
from graphc.runtime.cuda.emit import emit
from graphc.runtime.cuda.products import Gemm, dtypes_of, gemm_of
from graphc.runtime.cuda.shapes import Shape
from graphc.runtime.cuda.solvers import run_of, serve

if TYPE_CHECKING:
    from graphc.runtime.cuda.loops import Loop


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
    sequence: list[Launch | Call] = field(default_factory=list)  # launches, and calls between them
    shared: Memory | None = None  # instead of the work area, for what later steps share

    @property
    def on_host(self) -> bool:
        return self.step.routine == "host"

    @property
    def waits(self) -> bool:
        """Whether it calls cuSOLVER, which may wait for the device: no graph holds such calls."""
        return any(isinstance(item, Call) for item in self.sequence)

    @property
    def driven(self) -> bool:
        """Whether the host does something between its launches."""
        return self.on_host or self.waits or (self.loop is not None and self.loop.driven)

    @property
    def nodes(self) -> int:
        """How much it puts on the stream, where the host does nothing in between."""
        inner = self.loop.nodes if self.loop is not None else 0
        return len(self.launches) + (self.product is not None) + inner


class Actions:
    """Makes the actions of one plan.

    Parameters
    ----------
    products : to what factors of float32 products are rounded.
    solvers : who does linear algebra.
    in_loop : whether the plan is the body of a loop.
    known_steps : the steps that may fail before those of the plan end.

    Attributes
    ----------
    served : list of str
        By what products and linear algebra are served, for people.
    """

    def __init__(
        self, plan: Plan, driver: Driver, products: str, solvers: str, in_loop: bool,
        known_steps: Sequence[Step],
    ) -> None:  # fmt: skip
        self.plan, self.driver, self.products = plan, driver, products
        self.in_loop, self.known_steps = in_loop, known_steps
        self.solvers = solvers
        self.served: list[str] = []
        # By step, what is done for it, the first step with the same decomposition, its memory.
        self.solved: dict[int, tuple[Solved, int, Memory | None]] = {}

    def of(self, number: int, step: Step) -> Action:
        """What is done for a step; a loop's body is linked by whoever asks."""
        if step.routine in ("host", "loop"):
            return Action(step)
        if step.routine == "copy_bytes":
            grid = max(1, min(-(-step.high // self.driver.threads), self.driver.blocks))
            step.source = kernels.COPY
            return Action(step, [self._launch(kernels.COPY, step.label, grid,
                                              self.driver.threads, step.high)])  # fmt: skip
        if step.routine == "kernel":
            return self._kernel(step)
        if step.routine == "gemm":
            return self._product(number, step)
        if step.routine == "implicit":
            found, room = convolutions.shapes(step, self.driver.threads, self.driver.blocks)
            return self._shaped(step, found, room)
        if step.routine == "solver":
            return self._solver(number, step)
        if step.routine == "running":
            return self._shaped(step, *scans.shapes(step, self.driver.threads, self.driver.blocks))
        if step.routine == "compressed" and step.extra.name == "csr_dot_turned":
            return self._shaped(step, *turned.shapes(step, self.driver.threads, self.driver.blocks))
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
        driver = self.driver
        sizes = sizes_of(kernel, step, driver.threads, driver.blocks, driver.warp)
        emitted = emit(kernel, sizes)
        step.source = "\n\n".join(part.source for part in emitted.parts)
        step.served = emitted
        return Action(step, [
            self._launch(part.source, step.label, part.grid, driver.threads, emitted.shared)
            for part in emitted.parts
        ], room=emitted.room)  # fmt: skip

    def _shaped(self, step: Step, shapes: list[Shape], room: int = 0) -> Action:
        step.source = "\n\n".join(shape.source for shape in shapes)
        launches = [
            self._launch(s.source, step.label, s.grid, s.threads, s.parts) for s in shapes
        ]
        return Action(step, launches, room=room)

    def _product(self, number: int, step: Step) -> Action:
        m, n = int(step.words[3]), int(step.words[4])  # type: ignore[arg-type]
        found: Gemm | str | None = self.driver.lacks_products
        if found is None and m and n:
            found = gemm_of(step, self.plan, number, self.products, self.in_loop,
                            self.known_steps)  # fmt: skip
        if isinstance(found, Gemm):
            self.served.append(f"product {step.label}: cuBLAS, {found.compute}")
            return self._library_product(step, found)
        self.served.append(f"product {step.label}: a kernel with tiles, no cuBLAS: {found}")
        source = kernels.PRODUCTS[dtypes_of(step)]
        step.source = source
        side = isqrt(self.driver.threads)
        grid = -(-m // side) * -(-n // side)
        if grid == 0:
            return Action(step)
        return Action(step, [self._launch(source, step.label, grid, side * side, side)])

    def _library_product(self, step: Step, gemm: Gemm) -> Action:
        """A call of cuBLAS, and where its result is added with care the kernel for that."""
        action = Action(step, product=gemm)
        if gemm.apart:
            action.room = gemm.m * gemm.n * dtypes.numpy_dtype(gemm.result).itemsize
            source = kernels.ADDED_PRODUCTS[dtypes_of(step)]
            step.source, parts, threads = source, gemm.m * gemm.n, self.driver.threads
            grid = min(-(-parts // threads), self.driver.blocks)
            action.launches.append(self._launch(source, step.label, grid, threads, parts))
        return action

    def _solver(self, number: int, step: Step) -> Action:
        """Calls of cuSOLVER and what is around them, or a step of the host."""
        lacks = "cuda_solvers is 'host'" if self.solvers == "host" else self.driver.lacks_solvers
        if lacks is not None:
            return self._solved_by_numpy(step, lacks)
        if number not in self.solved:
            run = run_of(self.plan.steps, number)
            made = serve([*run.values()], self.driver.solver_room, self.driver.threads,
                         self.driver.blocks)  # fmt: skip
            what = f"of step {step.label}"
            shared = self.driver.allocate(made[0].room, "work area", what) if len(run) > 1 else None
            self.solved.update((k, (found, number, shared)) for k, found in zip(run, made))
        found, first, shared = self.solved[number]
        by = ", ".join(found.routines) or f"shared with step {first}"
        self.served.append(f"{step.label}: cuSOLVER, {by}")
        step.label = f"{found.label}: cuSOLVER, {by}"
        action = Action(step, room=0 if shared else found.room, shared=shared)
        for item in found.sequence:
            if isinstance(item, Call):
                action.sequence.append(item)
                continue
            launch = self._launch(item.source, step.label, item.grid, item.threads, item.parts)
            action.sequence.append(launch)
            action.launches.append(launch)
        step.source = "\n\n".join(launch.source for launch in action.launches)
        return action

    def _solved_by_numpy(self, step: Step, lacks: str) -> Action:
        """A step of the host, unless cuSOLVER has to do it."""
        if self.solvers == "library":
            raise TargetError(
                f"there is no cuSOLVER for {step.label}: {lacks}",
                f"{probe.INSTALL}; with graphc.config.cuda_solvers = 'auto' NumPy does it",
                step.nodes[-1].where,
            )
        self.served.append(f"{step.label}: NumPy, no cuSOLVER: {lacks}")
        step.routine, step.checks = "host", []
        return Action(step)
