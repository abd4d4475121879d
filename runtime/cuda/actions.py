"""What is launched for a plan's steps: kernels with their grids, and calls of cuBLAS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any

from graphc.core import dtypes
from graphc.core.errors import TargetError
from graphc.core.plan import Plan, Step
from graphc.runtime.cuda import compressed, convolutions, kernels, pooling
from graphc.runtime.cuda.deal import sizes_of
from graphc.runtime.cuda.driver import Driver
from graphc.runtime.cuda.emit import emit
from graphc.runtime.cuda.products import Gemm, dtypes_of, gemm_of
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
    """What is done for a step: launches, a loop over a body, or something on the host."""

    step: Step
    launches: list[Launch] = field(default_factory=list)
    loop: Loop | None = None
    room: int = 0  # bytes of the work area
    product: Gemm | None = None

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
        return len(self.launches) + (self.product is not None) + inner


class Actions:
    """Makes the actions of one plan.

    Parameters
    ----------
    products : to what factors of float32 products are rounded.
    in_loop : whether the plan is the body of a loop.
    known_steps : the steps that may fail before those of the plan end.

    Attributes
    ----------
    served : list of str
        By what products are served, for people.
    """

    def __init__(
        self, plan: Plan, driver: Driver, products: str, in_loop: bool,
        known_steps: Sequence[Step],
    ) -> None:  # fmt: skip
        self.plan, self.driver, self.products = plan, driver, products
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
        if step.routine == "gemm":
            return self._product(number, step)
        if step.routine == "implicit":
            found, room = convolutions.shapes(step, self.driver.threads, self.driver.blocks)
            return self._shaped(step, found, room)
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
            self.served.append(f"{step.label}: cuBLAS, {found.compute}")
            return self._library_product(step, found)
        self.served.append(f"{step.label}: a kernel with tiles, no cuBLAS: {found}")
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
