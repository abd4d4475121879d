"""What a contraction kernel needs to know about a CPU: its vectors and masked memory access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BYTES = {"float32": 4, "float64": 8}


@dataclass(frozen=True)
class Level:
    """One class of CPUs that share their register tiles.

    Attributes
    ----------
    name : str
        The key that variants and symbols carry.
    vector_bytes : int
        Width of a vector register.
    masked : bool
        Whether a load or store under a lane mask costs the same as a whole one, so that the ragged
        last vector of a row needs no code of its own.
    cpu : str
        An LLVM CPU name of the class, for compiling a lower level than the host's.
    """

    name: str
    vector_bytes: int
    masked: bool
    cpu: str

    def lanes(self, dtype: str) -> int:
        """Return how many elements of `dtype` a vector register holds."""
        return self.vector_bytes // BYTES[dtype]


LEVELS = {
    level.name: level
    for level in (
        Level("avx512", 64, True, "skylake-avx512"),
        Level("avx2", 32, False, "haswell"),
        Level("plain", 16, False, "x86-64"),
    )
}


def level_of(features: Mapping[str, bool]) -> Level:
    """Return the best level that a CPU with these LLVM feature flags can run.

    Examples
    --------
    >>> level_of({"avx2": True, "fma": True}).name
    'avx2'
    >>> level_of({}).name
    'plain'
    """
    if all(features.get(name) for name in ("avx512f", "avx512vl", "avx512bw", "avx512dq")):
        return LEVELS["avx512"]
    if features.get("avx2") and features.get("fma"):
        return LEVELS["avx2"]
    return LEVELS["plain"]
