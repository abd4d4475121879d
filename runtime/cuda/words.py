"""How the words of the kernel language are defined for CUDA.

A word is a function of one dtype that makes Python functions: for the compiler an overload by
its argument's type, for the simulator a function that looks at its argument's dtype. Both run the
same lines, so that what the simulator shows holds for what is compiled. Two things differ: where
memory lies (:mod:`graphc.runtime.cuda.memory`), and whose elementary functions are called: those
of NVIDIA's libdevice, or NumPy's and SciPy's.

Importing this module imports Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import config, cuda

SIMULATED = bool(config.ENABLE_CUDASIM)
"""Whether kernels run in Numba's simulator (``NUMBA_ENABLE_CUDASIM=1`` at the start)."""

if SIMULATED:
    from numba.core import types
else:
    from numba.cuda import types
    from numba.cuda.extending import overload

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float32", "float64")  # fmt: skip
TYPES = {d: types.boolean if d == "bool" else getattr(types, d) for d in DTYPES}
"""Numba's type of each dtype that registers have."""
MEMORY = {**{d: d for d in DTYPES}, "float16": "uint16", "bfloat16": "uint16"}
"""As what an array's elements are loaded and stored."""


@dataclass(frozen=True)
class Kind:
    """A dtype for which a word is made."""

    dtype: str

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_bool(self) -> bool:
        return self.dtype == "bool"

    @property
    def is_signed(self) -> bool:
        return self.dtype.startswith("int")

    @property
    def bits(self) -> int:
        return 8 * np.dtype(self.dtype).itemsize

    def number(self, value: float) -> Any:
        """A number of the dtype, as a literal of functions."""
        return np.dtype(self.dtype).type(value)

    @property
    def cast(self) -> Callable[..., Any]:
        """The plain conversion to the dtype, for values that it holds (integers wrap around)."""
        return plain_cast(self.dtype)


def plain_cast(dtype: str) -> Any:
    """The conversion that hardware does, without a look at the value."""
    if not SIMULATED:
        return TYPES[dtype]
    kind = np.dtype(dtype)
    return lambda x: np.asarray(x).astype(kind)[()]


Maker = Callable[[Kind], Any]
WORDS: dict[str, Any] = {}
"""What the names of kernels mean."""


def word(name: str, operands: int = 1, typed: int = 0) -> Callable[[Maker], Maker]:
    """Define a word by what makes its function for the dtype of operand number `typed`.

    The function's parameters are called x, y, z.
    """

    def define(make: Maker) -> Maker:
        if name in WORDS:
            raise ValueError(f"the kernel language has a word {name!r} already")
        made: dict[str, Any] = {}

        def of(dtype: str) -> Any:
            if dtype not in made:
                made[dtype] = make(Kind(dtype))
            return made[dtype]

        chosen = _simulated(of, typed) if SIMULATED else _compiled(name, of, operands, typed)
        WORDS[name] = chosen
        return make

    return define


def _simulated(of: Callable[[str], Any], typed: int) -> Callable[..., Any]:
    return lambda *values: of(_dtype_of(values[typed]))(*values)


def _dtype_of(value: Any) -> str:
    if isinstance(value, np.generic):
        return value.dtype.name
    return {bool: "bool", int: "int64", float: "float64"}[type(value)]


def _compiled(name: str, of: Callable[[str], Any], operands: int, typed: int) -> Any:
    def pick(*kinds: Any) -> Any:
        return of(_NAMES[types.unliteral(kinds[typed])])

    # Numba wants the parameters of both functions to have the same names.
    stubs = {1: lambda x: None, 2: lambda x, y: None, 3: lambda x, y, z: None}
    chooser = {1: lambda x: pick(x), 2: lambda x, y: pick(x, y), 3: lambda x, y, z: pick(x, y, z)}
    stub = stubs[operands]
    stub.__name__ = stub.__qualname__ = name
    overload(stub, strict=True)(chooser[operands])
    return stub


_NAMES = {kind: dtype for dtype, kind in TYPES.items()}

__all__ = ["DTYPES", "MEMORY", "SIMULATED", "TYPES", "WORDS", "Kind", "cuda", "types", "word"]
