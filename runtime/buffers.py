"""Memory for values: aligned to cache lines."""

from __future__ import annotations

from typing import Any

import numpy as np

ALIGN = 64


def aligned(nbytes: int) -> np.ndarray[Any, Any]:
    """Uninitialised bytes that begin at a cache line."""
    raw = np.empty(nbytes + ALIGN, "uint8")
    start = -raw.ctypes.data % ALIGN
    return raw[start : start + nbytes]
