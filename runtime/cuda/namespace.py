"""What the names in a CUDA kernel mean; importing it defines all words, and imports Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.runtime.cuda import (  # noqa: F401
    accesses,
    arithmetic,
    casts,
    halves,
    maths,
    memory,
    philox,
    vectors,
)
from graphc.runtime.cuda.emit import THREADS
from graphc.runtime.cuda.words import SIMULATED, WORDS, cuda, types


def bounded(threads: int, blocks: int) -> Callable[[Any], Any]:
    """Say of a kernel how large its blocks are, and how many a multiprocessor should hold.

    The compiler then knows how many registers a thread may have.
    """

    def note(function: Any) -> Any:
        function.launch_bounds = threads, blocks
        return function

    return note


NAMESPACE: dict[str, Any] = {
    **WORDS, "bounded": bounded, "cuda": cuda, "types": types, "THREADS": THREADS,
    "inf": float("inf"), "nan": float("nan"),
}  # fmt: skip


def function_of(source: str, name: str) -> Any:
    """The Python function that a kernel's source defines."""
    space = dict(NAMESPACE)
    exec(compile(source, f"<kernel {name}>", "exec"), space)
    return space["kernel"]


def bounds_of(function: Any) -> tuple[int, int] | None:
    """What `bounded` said of a kernel."""
    return getattr(function, "launch_bounds", None)


__all__ = ["NAMESPACE", "SIMULATED", "bounds_of", "cuda", "function_of", "types"]
