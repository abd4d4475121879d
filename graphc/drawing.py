"""What the draws of `graphc.random` have in common: sizes, parameters, dtypes and their checks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, DTypeError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.core.op import static_int
from graphc.ops.broadcast import broadcast_to
from graphc.ops.convert import as_variable, is_number, unpack_sizes
from graphc.ops.elementwise import add, cast
from graphc.ops.shape import dim

WORD = (1 << 64) - 1


def mix(number: int) -> int:
    """64 bits that look like chance, different for different numbers (splitmix64's finaliser).

    Examples
    --------
    >>> from graphc.drawing import mix
    >>> hex(mix(1)), hex(mix(2))
    ('0x5692161d100b05e5', '0xdbd238973a2b148a')
    """
    z = number & WORD
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & WORD
    return z ^ z >> 31


def key_of(seed: Any) -> int:
    """The key that a seed stands for: an integer, several of them, or None for a fresh one."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    numbers = np.ravel(np.asarray(seed)) if isinstance(seed, list | tuple | np.ndarray) else [seed]
    key = 0
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, int | np.integer):
            raise ArgumentError(
                f"a seed is an integer, several of them, or None, not {seed!r}",
                "RandomStream(seed=234)", user_frames(),
            )  # fmt: skip
        rest = int(n) & ((1 << 128) - 1)
        key = mix(mix(key + 0x9E3779B97F4A7C15 + (rest & WORD)) + (rest >> 64))
    return key


def read_sizes(
    what: str, size: Any, ndim: int | None, params: Sequence[Variable]
) -> list[Variable]:
    """The sizes of a draw: as given, or those in which its parameters meet.

    `size` is a tuple of integers and symbolic ones, one of them, or a symbolic vector, whose
    length `ndim` tells if nothing else does.
    """
    if size is None:
        sizes = _meeting_sizes(params)
    elif isinstance(size, Variable) and size.ndim == 1 and ndim is not None:
        sizes = unpack_sizes([size[k] for k in range(ndim)], f"{what}: size")
    else:
        sizes = unpack_sizes(size, f"{what}: size")
    if ndim is not None and ndim != len(sizes):
        raise ArgumentError(
            f"{what}: ndim={ndim}, but the size has {len(sizes)} entries",
            "leave ndim out where the size tells it", user_frames(),
        )  # fmt: skip
    known = [static_int(n) for n in sizes]
    for n in known:
        if n is not None and n < 0:
            raise ShapeError(f"{what}: size {n} is negative", at=user_frames())
    for p in params if size is not None else ():
        _must_fit(what, p, known)
    return sizes


def _meeting_sizes(params: Sequence[Variable]) -> list[Variable]:
    if not any(p.ndim for p in params):
        return []
    meeting = params[0]
    for p in params[1:]:
        meeting = add(meeting, p)
    return [dim(meeting, k) for k in range(meeting.ndim)]


def _must_fit(what: str, p: Variable, known: Sequence[int | None]) -> None:
    lead = len(known) - p.ndim
    pairs = zip(p.type.shape, known[lead:]) if lead >= 0 else ()
    if lead < 0 or any(n not in (None, 1) and m not in (None, n) for n, m in pairs):
        shape = tuple("?" if n is None else n for n in known)
        raise ShapeError(
            f"{what}: {describe(p)} does not broadcast to the size ({', '.join(map(str, shape))})",
            "give a size that holds all parameters, or none", user_frames(),
        )  # fmt: skip


def spread(p: Variable, sizes: Sequence[Variable]) -> Variable:
    """A parameter that takes no more room than the draw it belongs to."""
    return p if p.ndim == 0 else broadcast_to(p, list(sizes))


def real_parameters(what: str, **given: Any) -> dict[str, Variable]:
    """Parameters as variables; all must be real numbers."""
    found = {}
    for name, value in given.items():
        variable = as_variable(value)
        if variable.dtype in dtypes.COMPLEX:
            raise DTypeError(f"{what}: {name} is complex: {describe(variable)}", at=user_frames())
        found[name] = variable
    return found


def float_dtype(what: str, dtype: Any, **given: Any) -> str:
    """The dtype of a continuous draw: as asked for, or that of floatX and its parameters."""
    if dtype is None:
        floats = [v.dtype for v in given.values()
                  if isinstance(v, Variable) and dtypes.is_float(v.dtype)]  # fmt: skip
        return dtypes.promote([dtypes.float_x(), *floats])
    name = dtypes.canonical(dtype)
    if not dtypes.is_float(name):
        raise DTypeError(
            f"{what}: its values are real, dtype {name} can't hold them",
            "ask for a float dtype, and cast the result", user_frames(),
        )  # fmt: skip
    return name


def drawn_dtype(dtype: str) -> str:
    """The dtype in which a value of a dtype is drawn."""
    return "float64" if dtype == "float64" else "float32"


def check(what: str, good: Any, wanted: str, **given: Any) -> None:
    """Raise unless `good` holds for the parameters whose values are known.

    `good` is a function of arrays; what it isn't true of is quoted.
    """
    values = []
    for value in given.values():
        if isinstance(value, Constant):
            values.append(value.data)
        elif is_number(value):
            values.append(np.asarray(value))
        elif isinstance(value, Variable):
            return
        else:
            values.append(np.asarray(value))
    with np.errstate(all="ignore"):
        fine = bool(np.all(good(*values)))
    if not fine:
        told = ", ".join(f"{n} = {v.item() if v.size == 1 else v.tolist()}"
                         for n, v in zip(given, values))  # fmt: skip
        raise ArgumentError(f"{what}: {wanted}, not {told}", at=user_frames())


def as_dtype(variable: Variable, dtype: Any) -> Variable:
    """A discrete draw in the dtype that was asked for."""
    return cast(variable, dtypes.canonical(dtype))
