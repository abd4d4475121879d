"""What users say about the sequences and states of a loop, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import static_int
from graphc.ops.convert import as_variable, is_number
from graphc.ops.elementwise import sub
from graphc.ops.index import getitem
from graphc.ops.join import as_tensor_variable
from graphc.ops.scan import steps_of
from graphc.ops.shape import dim, expand_axes


@dataclass
class Carried:
    """An output that is fed back, as declared.

    `initial` has one row for each step that is looked back; `weak` is the number that it
    was, whose dtype is still open.
    """

    taps: tuple[int, ...]
    initial: Variable
    weak: Any = None
    plain: Variable | None = None

    def as_dtype(self, dtype: str) -> Carried:
        """The same with a number of another dtype."""
        value = Constant(self.weak, dtype)
        return Carried(self.taps, expand_axes(value, [0]), self.weak, value)


def as_list(given: Any) -> list[Any]:
    """What is given for one thing or several."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def read_sequences(given: Any) -> tuple[list[Variable], list[Variable]]:
    """One sequence for each row that `fn` gets, and how many steps each allows."""
    found: list[Variable] = []
    lengths: list[Variable] = []
    for k, entry in enumerate(as_list(given)):
        if entry is None:
            raise ArgumentError(
                f"scan: sequence number {k} is None", "leave it out", user_frames()
            )
        taps, source = [0], entry
        if isinstance(entry, Mapping):
            _check_keys(entry, ("input", "taps"), f"sequence number {k}")
            source, taps = entry.get("input"), _taps(entry.get("taps", [0]), k)
            if source is None:
                raise ArgumentError(
                    f"scan: sequence number {k} has no input", "pass dict(input=..., taps=...)",
                    user_frames(),
                )  # fmt: skip
        x = as_tensor_variable(source)
        if x.ndim == 0:
            raise ShapeError(
                f"scan: the sequence {describe(x)} has no axis to walk along",
                "what stays the same is a non_sequence", user_frames(),
            )  # fmt: skip
        found_here, length = _shifted(x, taps)
        found += found_here
        lengths.append(length)
    return found, lengths


def _shifted(x: Variable, taps: Sequence[int]) -> tuple[list[Variable], Variable]:
    """A sequence once per tap, so that row t is what step t reads; and its steps."""
    first, last = min(0, *taps), max(0, *taps)
    span = last - first
    length = dim(x, 0)
    if not span:
        return [x], length
    more, known = Constant(span, "int64"), static_int(length)
    rest = sub(length, more) if known is None else Constant(known - span, "int64")
    steps = steps_of(rest, taps=taps)
    cut = []
    for tap in taps:
        start = tap - first
        end = start - span
        part = getitem(x, slice(start, None if end == 0 else end))
        if part.name is None and x.name:
            part.name = f"{x.name}[{tap:+d}]"
        cut.append(part)
    return cut, steps


def _taps(given: Any, k: int) -> list[int]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    if not values or not all(isinstance(t, int) and not isinstance(t, bool) for t in values):
        raise ArgumentError(
            f"scan: the taps of sequence number {k} are {given!r}",
            "they are integers: 0 is the present row, -1 the one before", user_frames(),
        )  # fmt: skip
    return values


def _check_keys(entry: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise ArgumentError(
            f"scan: {what} has the keys {unknown}, which mean nothing",
            f"keys are {', '.join(known)}", user_frames(),
        )  # fmt: skip


def read_states(given: Any) -> list[Carried | None] | None:
    """What each output starts from; None for outputs that are not fed back.

    Where nothing is said at all, there are as many of these as `fn` returns.
    """
    if given is None:
        return None
    entries = as_list(given)
    return [_read_state(entry, k) for k, entry in enumerate(entries)]


def _read_state(entry: Any, k: int) -> Carried | None:
    taps, value = [-1], entry
    if isinstance(entry, Mapping):
        _check_keys(entry, ("initial", "taps", "return_steps"), f"output number {k}")
        value = entry.get("initial")
        if value is None and entry.get("taps"):
            raise ArgumentError(
                f"scan: output number {k} has taps {entry['taps']!r} and no initial value",
                "pass dict(initial=..., taps=...)", user_frames(),
            )  # fmt: skip
        taps = _state_taps(entry.get("taps") or [-1], k)
    if value is None:
        return None
    weak = value if is_number(value) and isinstance(value, bool | int | float) else None
    initial = as_variable(value) if weak is not None else as_tensor_variable(value)
    if taps == [-1]:
        return Carried((-1,), expand_axes(initial, [0]), weak, initial)
    back = -min(taps)
    if initial.ndim == 0:
        raise ShapeError(
            f"scan: output number {k} looks back {back} steps, and its initial value is the "
            f"scalar {describe(initial)}", "pass one row per step", user_frames(),
        )  # fmt: skip
    rows = initial.type.shape[0]
    if rows is not None and rows < back:
        raise ShapeError(
            f"scan: output number {k} looks back {back} steps, and its initial value "
            f"{describe(initial)} has {rows} rows", "pass one row per step",
            user_frames(),
        )  # fmt: skip
    return Carried(tuple(taps), getitem(initial, slice(None, back)), plain=initial)


def _state_taps(given: Any, k: int) -> list[int]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    good = all(isinstance(t, int) and not isinstance(t, bool) and t < 0 for t in values)
    if not values or not good or len(set(values)) != len(values):
        raise ArgumentError(
            f"scan: the taps of output number {k} are {given!r}",
            "they are different negative integers: -1 is the latest value", user_frames(),
        )  # fmt: skip
    return values


def row_type(x: Variable) -> TensorType:
    """The type of one row."""
    return TensorType(x.dtype, x.type.shape[1:])
