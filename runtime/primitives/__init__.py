"""The words of the kernel language.

A kernel is the source of one Python function ``kernel(block, low, high)`` that returns 0 or an
error code. ``NAMESPACE`` is what its names mean; ``OPERATORS`` what Python's operators mean.
"""

from graphc.runtime.primitives import (  # noqa: F401
    atomics,
    casts,
    division,
    memory,
    philox,
    raw,
    reductions,
)
from graphc.runtime.primitives.arithmetic import OPERATORS
from graphc.runtime.primitives.kinds import PRIMITIVES, SCOPES, PrimitiveType

NAMESPACE: dict[str, object] = {**PRIMITIVES, "inf": float("inf"), "nan": float("nan")}

__all__ = ["NAMESPACE", "OPERATORS", "PRIMITIVES", "SCOPES", "PrimitiveType"]
