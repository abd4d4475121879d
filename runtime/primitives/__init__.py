"""The words of the kernel language.

A kernel is the source of one Python function ``kernel(block, low, high)`` that returns 0 or an
error code. ``NAMESPACE`` is what its names mean; ``OPERATORS`` what Python's operators mean.
"""

from graphc.runtime.primitives import casts, division, memory, raw, reductions  # noqa: F401
from graphc.runtime.primitives.arithmetic import OPERATORS
from graphc.runtime.primitives.kinds import PRIMITIVES, SCOPES, PrimitiveType

NAMESPACE: dict[str, object] = {**PRIMITIVES, "inf": float("inf"), "nan": float("nan")}

__all__ = ["NAMESPACE", "OPERATORS", "PRIMITIVES", "SCOPES", "PrimitiveType"]
