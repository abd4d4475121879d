"""Data types: their names, their families, and which one an expression has.

Rules that differ from NumPy's, because float32 graphs must stay float32:

* Python scalars and NumPy scalars are weak: they take the dtype of what they meet.
* Integers and booleans never widen a float: ``int64 * float32`` is float32.
* What is a float only because an operation needs one (``exp(int)``, ``int / int``)
  is ``config.floatX``.

float16 and bfloat16 are dtypes to store values in: an op computes in float32 and rounds its
result (`graphc.core.halves`). They meet in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.config import config
from graphc.core.halves import BFLOAT16, HALVES, from_bfloat16, is_bfloat16, to_bfloat16

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
Array = np.ndarray[Any, np.dtype[Any]]
ALL = BOOL + INTEGERS + FLOATS + COMPLEX

_DTYPES = {name: BFLOAT16 if name == "bfloat16" else np.dtype(name) for name in ALL}
_FAMILY = {
    **dict.fromkeys(BOOL, 0),
    **dict.fromkeys(INTEGERS, 1),
    **dict.fromkeys(FLOATS, 2),
    **dict.fromkeys(COMPLEX, 3),
}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name."""
    return _DTYPES[name]


def float_x() -> str:
    """The dtype that ``config.floatX`` names."""
    name: str = config.floatX
    return name


def host_float() -> str:
    """``config.floatX`` for arrays that NumPy is to compute with: float32 for bfloat16."""
    return "float32" if config.floatX == "bfloat16" else float_x()


def canonical(dtype: Any) -> str:
    """The graphc name of anything that NumPy takes for a dtype; ``floatX`` too.

    Raises
    ------
    TypeError
        If there is no such dtype, or graphc has none like it.
    """
    if isinstance(dtype, str):
        if dtype in _DTYPES:
            return dtype
        if dtype == "floatX":
            return float_x()
    name = name_of(np.dtype(dtype))
    if name not in _DTYPES:
        raise TypeError(f"graphc has no dtype {name!r}; it has {', '.join(ALL)}")
    return name


def name_of(dtype: np.dtype[Any]) -> str:
    """The name of a NumPy dtype, which may be one that graphc has not."""
    name: str = "bfloat16" if is_bfloat16(dtype) else dtype.name
    return name


def convert(value: Any, dtype: str, copy: bool = False) -> Array:
    """`value` as an array of a dtype, from and to bfloat16 too; what doesn't fit is cast."""
    array = np.asarray(value)
    if is_bfloat16(array.dtype):
        if dtype == "bfloat16":
            return np.array(to_bfloat16(array)) if copy else to_bfloat16(array)
        array = from_bfloat16(array)
    elif dtype == "bfloat16":
        return to_bfloat16(array)
    return np.asarray(array.astype(_DTYPES[dtype], copy=copy))


def number(array: Array) -> Any:
    """The first element as a Python number."""
    first = array.reshape(-1)[:1]
    return (from_bfloat16(first) if is_bfloat16(array.dtype) else first)[0].item()


def rounded(value: Any, dtype: str) -> Any:
    """A Python number as a dtype has it."""
    return number(convert(value, dtype))


def is_half(dtype: str) -> bool:
    """float16 and bfloat16, in which nothing is computed."""
    return dtype in HALVES


def wide(dtype: str) -> str:
    """The dtype in which values of `dtype` are computed."""
    return "float32" if dtype in HALVES else dtype


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def is_integer(dtype: str) -> bool:
    """Integers proper, without bool."""
    return dtype in INTEGERS


def is_discrete(dtype: str) -> bool:
    """Bool or integer: no gradient passes through it."""
    return _FAMILY[dtype] < 2


def is_continuous(dtype: str) -> bool:
    return _FAMILY[dtype] >= 2


def promote(dtypes: list[str]) -> str:
    """The dtype in which values of these dtypes meet; integers never widen floats."""
    family = max(_FAMILY[d] for d in dtypes)
    if family == 3:
        meeting = [d for d in dtypes if _FAMILY[d] >= 2]
    else:
        meeting = [d for d in dtypes if _FAMILY[d] == family]
    result = meeting[0]
    for d in meeting[1:]:
        if d != result:
            pair = ["float32" if name == "bfloat16" else name for name in (result, d)]
            result = np.promote_types(*pair).name
    return result


def weak_dtype(value: Any, others: list[str]) -> str:
    """The dtype a Python or NumPy scalar takes among operands of dtypes `others`."""
    kind = np.asarray(value).dtype.kind
    family = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[kind]
    if not others:
        return _own_dtype(value, family)
    meeting = promote(others)
    if _FAMILY[meeting] >= family:
        return meeting
    if family == 3:
        return "complex64" if meeting in (*HALVES, "float32") else "complex128"
    return _own_dtype(value, family)


def _own_dtype(value: Any, family: int) -> str:
    if family == 2:
        return float_x()
    if family == 3:
        return "complex64" if config.floatX != "float64" else "complex128"
    if family == 0:
        return "bool"
    return "int64" if -(2**63) <= int(value) < 2**63 else "uint64"


def float_for(dtype: str) -> str:
    """The dtype of a float-valued operation on `dtype`: itself, or ``floatX``."""
    return dtype if is_continuous(dtype) else float_x()


def real_of(dtype: str) -> str:
    """The dtype of the real part."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def sum_dtype(dtype: str) -> str:
    """The dtype of a sum: small integers and bool add up in the platform's integer."""
    if dtype in BOOL or dtype in SIGNED:
        return "int64"
    return "uint64" if dtype in UNSIGNED else dtype
