"""float16 and bfloat16 in the text of kernels: bits in memory, float32 in registers.

What the words mean stands in :mod:`graphc.runtime.cuda.halves`.
"""

from __future__ import annotations

from graphc.core.dtypes import is_half


def loaded(dtype: str, element: str) -> str:
    """The value of an element of an array of a dtype."""
    return f"from_{dtype}({element})" if is_half(dtype) else element


def stored(dtype: str, value: str) -> str:
    """The element that a value of a dtype becomes; of halves, one that is rounded already."""
    return f"to_{dtype}({value})" if is_half(dtype) else value


def rounded(dtype: str, value: str) -> str:
    """A value of the dtype in which another one is computed, rounded to that."""
    return f"{dtype}({value})" if is_half(dtype) else value
