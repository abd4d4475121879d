"""What is launched for a plan's steps: kernels with their grids, and calls of libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from graphc.core import dtypes
from graphc.core.errors import TargetError
from graphc.core.plan import Plan, Step
from graphc.runtime.cuda import (
    compressed,
    convolutions,
    cudnn,
    kernels,
    matrices,
    pooling,
    probe,
    scans,
    turned,
)
from graphc.runtime.cuda.calls import Call, Solved
from graphc.runtime.cuda.deal import sizes_of
from graphc.runtime.cuda.driver import Driver, Memory
from graphc.runtime.cuda.emit import emit
from graphc.runtime.cuda.products import Gemm, dtypes_of, gemm_of, stack_of
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
    """What is done for a step: launches, a loop over a body, or something on the host.

    A call of a library comes before launches. Where it holds addresses, and a kernel moves the
    plan's arguments and results from call to call, `instead` gives launches that do without it.
    """

    step: Step
    launches: list[Launch] = field(default_factory=list)
    loop: Loop | None = None
    room: int = 0  # bytes of the work area
    product: Gemm | None = None
    sequence: list[Launch | Call] = field(default_factory=list)  # launches, and calls between them
    shared: Memory | None = None  # instead of the work area, for what later steps share
    convolution: cudnn.Convolution | None = None
    instead: Callable[[], list[Launch]] | None = None

    @property
    def by_library(self) -> bool:
        """Whether a library is called."""
        return self.product is not None or self.convolution is not None

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
        return len(self.launches) + self.by_library + inner


@dataclass(frozen=True)
class Libraries:
    """Who does what: the values of `config.cuda_products`, `cuda_convolutions`, `cuda_solvers`.

    `deterministic` is that of `config.cuda_deterministic`.
    """

    products: str = "float32"
    convolutions: str = "graphc"
    solvers: str = "auto"
    deterministic: bool = True


class Actions:
    """Makes the actions of one plan.

    Parameters
    ----------
    libraries : who does what.
    in_loop : whether the plan is the body of a loop.
    known_steps : the steps that may fail before those of the plan end.

    Attributes
    ----------
    served : list of str
        By what products, convolutions and linear algebra are served, and which additions have
        no fixed order, for people.
    """

    def __init__(
        self, plan: Plan, driver: Driver, libraries: Libraries, in_loop: bool,
        known_steps: Sequence[Step],
    ) -> None:  # fmt: skip
        self.plan, self.driver, self.libraries = plan, driver, libraries
        self.in_loop, self.known_steps = in_loop, known_steps
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
        if step.routine in ("gemm", "stacked"):
            return self._product(number, step)
        if step.routine == "implicit":
            return self._convolution(number, step)
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
        emitted = emit(kernel, sizes, self.libraries.deterministic)
        if emitted.form == "atomic":
            self.served.append(f"{step.label}: atomic additions, in no fixed order")
        step.source = "\n\n".join(part.source for part in emitted.parts)
        step.served = emitted
        return Action(step, [
            self._launch(part.source, step.label, part.grid, driver.threads, emitted.shared)
            for part in emitted.parts
        ], room=emitted.room)  # fmt: skip

    def _shaped(self, step: Step, shapes: list[Shape], room: int = 0) -> Action:
        step.source = "\n\n".join(shape.source for shape in shapes)
        return Action(step, self._launches(step, shapes), room=room)

    def _launches(self, step: Step, shapes: list[Shape]) -> list[Launch]:
        return [self._launch(s.source, step.label, s.grid, s.threads, s.parts) for s in shapes]

    def _product(self, number: int, step: Step) -> Action:
        """A call of cuBLAS where it can be had, or kernels of ours."""
        shapes, room = matrices.shapes(step, self.driver.threads, self.driver.blocks)
        found: Gemm | str | None = self.driver.lacks_products
        if found is None and shapes:
            ask = gemm_of if step.routine == "gemm" else stack_of
            found = ask(step, self.plan, number, self.libraries.products, self.in_loop,
                        self.known_steps)  # fmt: skip
        if isinstance(found, Gemm):
            self.served.append(f"product {step.label}: cuBLAS, {found.compute}")
            action = self._library_product(step, found)
            if step.routine == "stacked":  # pointers of one product may be read on the device
                action.room = max(action.room, room)
                action.instead = partial(self._launches, step, shapes)
            return action
        self.served.append(f"product {step.label}: a kernel with tiles, no cuBLAS: {found}")
        return self._shaped(step, shapes, room)

    def _convolution(self, number: int, step: Step) -> Action:
        """A call of cuDNN where that is asked for and can be had, or kernels of ours."""
        shapes, room = convolutions.shapes(step, self.driver.threads, self.driver.blocks)
        if self.libraries.convolutions == "graphc" or not shapes:
            return self._shaped(step, shapes, room)
        lacking = self.driver.lacks_convolutions
        if lacking is not None:
            raise TargetError(
                f"cuda_convolutions is 'cudnn', and there is none: {lacking}",
                f"{cudnn.INSTALL}; cuda_convolutions='graphc' does without",
            )
        failing = any(s.checks for s in self.known_steps)
        found = cudnn.convolution_of(
            step, self.plan, number, self.libraries.products, self.in_loop, failing
        )  # fmt: skip
        wanted = found if isinstance(found, str) else self.driver.convolution_room(found)
        if isinstance(found, str) or isinstance(wanted, str):
            self.served.append(f"convolution {step.label}: kernels of graphc, no cuDNN: {wanted}")
            return self._shaped(step, shapes, room)
        self.served.append(f"convolution {step.label}: cuDNN, {found.rounded}")
        instead = partial(self._launches, step, shapes)
        return Action(step, room=max(wanted, room), convolution=found, instead=instead)

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
        by_host = self.libraries.solvers == "host"
        lacks = "cuda_solvers is 'host'" if by_host else self.driver.lacks_solvers
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
        if self.libraries.solvers == "library":
            raise TargetError(
                f"there is no cuSOLVER for {step.label}: {lacks}",
                f"{probe.INSTALL}; with graphc.config.cuda_solvers = 'auto' NumPy does it",
                step.nodes[-1].where,
            )
        self.served.append(f"{step.label}: NumPy, no cuSOLVER: {lacks}")
        step.routine, step.checks = "host", []
        return Action(step)
