"""What a plan wants memory for, told when there is none."""

from __future__ import annotations

from types import TracebackType

from graphc.core.errors import DeviceMemoryError, location
from graphc.core.node import describe
from graphc.core.plan import Plan, size_text

MOST = 3  # values that are named


class largest:
    """A block whose errors of memory name the largest values between a plan's steps."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if isinstance(error, DeviceMemoryError):
            error.what += "".join(f"\n  {line}" for line in self.lines())

    def lines(self) -> list[str]:
        """The largest values of the arena, with the steps that make them."""
        steps = {v: k for k, step in enumerate(self.plan.steps) for v in step.nodes}
        inside = [v for v, place in self.plan.places.items() if place.kind == "arena"]
        inside.sort(key=lambda v: -v.type.nbytes)
        found = [
            f"{size_text(v.type.nbytes)} {describe(v)}"
            + (f" of step {steps[v]}" if v in steps else "")
            + (f" ({location(v.where)})" if v.where else "")
            for v in inside[:MOST] if v.type.nbytes
        ]  # fmt: skip
        return [f"largest between its steps: {'; '.join(found)}"] if found else []
