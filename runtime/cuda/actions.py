"""What is launched for a plan's steps: kernels with their grids, and calls of libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from graphc.core import dtypes
from graphc.core.errors import TargetError
from graphc.core.plan import Plan, Step
from graphc.runtime.cuda import compressed, convolutions, cudnn, kernels, matrices, pooling
from graphc.runtime.cuda.deal import sizes_of
from graphc.runtime.cuda.driver import Driver
from graphc.runtime.cuda.emit import emit
from graphc.runtime.cuda.products import Gemm, dtypes_of, gemm_of, stack_of
from graphc.runtime.cuda.shapes import Shape

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
    def driven(self) -> bool:
        """Whether the host does something between its launches."""
        return self.on_host or (self.loop is not None and self.loop.driven)

    @property
    def nodes(self) -> int:
        """How much it puts on the stream, where the host does nothing in between."""
        inner = self.loop.nodes if self.loop is not None else 0
        return len(self.launches) + self.by_library + inner


class Actions:
    """Makes the actions of one plan.

    Parameters
    ----------
    products : to what factors of float32 products are rounded.
    convolutions : whose kernels do convolutions, "graphc" or "cudnn".
    in_loop : whether the plan is the body of a loop.
    known_steps : the steps that may fail before those of the plan end.

    Attributes
    ----------
    served : list of str
        By what products and convolutions are served, for people.
    """

    def __init__(
        self, plan: Plan, driver: Driver, products: str, convolutions: str, in_loop: bool,
        known_steps: Sequence[Step],
    ) -> None:  # fmt: skip
        self.plan, self.driver = plan, driver
        self.products, self.convolutions = products, convolutions
        self.in_loop, self.known_steps = in_loop, known_steps
        self.served: list[str] = []

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
        return Action(step, self._launches(step, shapes), room=room)

    def _launches(self, step: Step, shapes: list[Shape]) -> list[Launch]:
        return [self._launch(s.source, step.label, s.grid, s.threads, s.parts) for s in shapes]

    def _product(self, number: int, step: Step) -> Action:
        """A call of cuBLAS where it can be had, or kernels of ours."""
        shapes, room = matrices.shapes(step, self.driver.threads, self.driver.blocks)
        found: Gemm | str | None = self.driver.lacks_products
        if found is None and shapes:
            ask = gemm_of if step.routine == "gemm" else stack_of
            found = ask(step, self.plan, number, self.products, self.in_loop, self.known_steps)
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
        if self.convolutions == "graphc" or not shapes:
            return self._shaped(step, shapes, room)
        lacking = self.driver.lacks_convolutions
        if lacking is not None:
            raise TargetError(
                f"cuda_convolutions is 'cudnn', and there is none: {lacking}",
                f"{cudnn.INSTALL}; cuda_convolutions='graphc' does without",
            )
        failing = any(s.checks for s in self.known_steps)
        found = cudnn.convolution_of(
            step, self.plan, number, self.products, self.in_loop, failing
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
