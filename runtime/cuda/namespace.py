"""What the names in a CUDA kernel mean; importing it defines all words, and imports Numba."""

from __future__ import annotations

from typing import Any

from graphc.runtime.cuda import arithmetic, casts, maths, memory, philox, vectors  # noqa: F401
from graphc.runtime.cuda.emit import THREADS
from graphc.runtime.cuda.words import SIMULATED, WORDS, cuda, types

NAMESPACE: dict[str, Any] = {
    **WORDS, "cuda": cuda, "types": types, "THREADS": THREADS,
    "inf": float("inf"), "nan": float("nan"),
}  # fmt: skip


def function_of(source: str, name: str) -> Any:
    """The Python function that a kernel's source defines."""
    space = dict(NAMESPACE)
    exec(compile(source, f"<kernel {name}>", "exec"), space)
    return space["kernel"]


__all__ = ["NAMESPACE", "SIMULATED", "cuda", "function_of", "types"]
