"""What an op is: one declaration that gives everything about it.

Names, types, meaning, derivatives and lowering stand together; exports, docs tables,
fusion, CUDA code and tests are derived from them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, GraphError
from graphc.core.node import (
    Attrs,
    Constant,
    TensorType,
    Variable,
    describe,
    user_frames,
)

Infer = Callable[[Sequence[Variable], Attrs], TensorType]


@dataclass(frozen=True)
class Scalar:
    """Lowers to one expression per element, in the language of kernels.

    `template` has ``{0}``, ``{1}`` for the operands; `cost` counts about one per add.
    """

    template: str
    cost: float = 1.0


@dataclass(frozen=True)
class Reduction:
    """Lowers to a loop that combines elements; `kind` is a key of the emitter's table."""

    kind: str


@dataclass(frozen=True)
class Running:
    """Lowers to a loop along axes that carries a value from each element to the next.

    `kind` is ``sum``, ``prod``, ``shift`` (the value before) or ``recurrence``. The axes, and
    whether elements are counted from the end, are the op's attributes ``axis`` or ``axes``, and
    ``reverse``.
    """

    kind: str


@dataclass(frozen=True)
class Generator:
    """Lowers to an expression of its own index (``{i0}``, ``{i1}``) and its operands."""

    template: str


@dataclass(frozen=True)
class View:
    """Lowers to other strides over the same memory."""


@dataclass(frozen=True)
class Gather:
    """Lowers to reads at computed positions."""


@dataclass(frozen=True)
class Update:
    """Lowers to writes into part of a copy of its first operand, or of itself in place."""


@dataclass(frozen=True)
class Library:
    """Lowers to a library call or a hand-written kernel named by `routine`."""

    routine: str


@dataclass(frozen=True)
class Host:
    """Runs its NumPy meaning between native steps."""


@dataclass(frozen=True)
class Expand:
    """Lowers by being replaced with other ops: before all rules if `early`, else after them."""

    rule: Callable[..., Variable]
    early: bool = False


Lowering = (
    Scalar | Reduction | Running | Generator | View | Gather | Update | Library | Host | Expand
)


class NullGradient:
    """What a vjp returns for an operand through which no derivative exists, and why."""

    def __init__(self, why: str) -> None:
        self.why = why


class Prepare(Protocol):
    def __call__(self, args: Sequence[Any], name: str) -> list[Variable]: ...


@dataclass(frozen=True, eq=False)
class Op:
    """One operation of the language.

    Parameters
    ----------
    name : str
        Unique among ops.
    infer : callable
        ``(args, attrs) -> TensorType``; works with unknown and with known sizes.
    numpy : callable
        Its meaning: ``numpy(*arrays, **attrs)``.
    lower : Lowering
        How it becomes steps of a plan.
    vjp : callable, optional
        ``(g, out, *args, **attrs) -> tuple`` with one gradient per operand: None where the
        result doesn't depend on it, a `NullGradient` where no derivative exists.
    jvp : callable, optional
        ``(tangents, out, *args, **attrs) -> tangent``; tangents may be None.
    partials : tuple of callable, optional
        For scalar ops: ``(out, *args) -> derivative`` per operand, from which vjp and jvp
        follow; a derivative may be the number 1, -1 or 0.
    formula : str
        One line of mathematics for docs.
    commutative : bool
        Whether the operands may change places.
    size_args : callable, optional
        ``(nargs, attrs) -> positions`` of the operands that determine sizes.
    shape_only : tuple of int
        Operands of which only the shape matters.
    checks : bool
        Whether it may raise at run time (an index out of range).
    """

    name: str
    infer: Infer
    numpy: Callable[..., Any]
    lower: Lowering = Host()
    vjp: Callable[..., tuple[Any, ...]] | None = None
    jvp: Callable[..., Variable | None] | None = None
    partials: tuple[Callable[..., Any], ...] = ()
    formula: str = ""
    commutative: bool = False
    size_args: Callable[[int, Attrs], tuple[int, ...]] | None = None
    shape_only: tuple[int, ...] = ()
    checks: bool = False
    prepare: Prepare | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.widens:
            object.__setattr__(self, "numpy", in_float32(self.numpy))

    @property
    def widens(self) -> bool:
        """Whether operands of float16 and bfloat16 are computed with in float32.

        It is so but for what only moves values, and what is a graph itself.
        """
        given = self.facts.get("widens")
        if given is not None:
            return bool(given)
        moves = isinstance(self.lower, View | Gather | Generator | Expand)
        return not (moves or self.facts.get("user"))

    def __call__(self, *args: Any, **attrs: Any) -> Variable:
        if self.prepare is None:
            for a in args:
                if not isinstance(a, Variable):
                    raise ArgumentError(
                        f"{self.name} takes variables, not {type(a).__name__} {a!r}",
                        "wrap numbers and arrays in T.constant", user_frames(),
                    )  # fmt: skip
            return apply(self, args, attrs)
        return apply(self, self.prepare(args, self.name), attrs)

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def elementwise(self) -> bool:
        return isinstance(self.lower, Scalar)

    @property
    def scalar_op(self) -> Op:
        """Itself, in Theano's terms: an elementwise op serves scalars too."""
        if not self.elementwise:
            raise AttributeError(f"{self.name} is not elementwise and has no scalar_op")
        return self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return find_op, (self.name,)


def in_float32(numpy: Callable[..., Any]) -> Callable[..., Any]:
    """An op's meaning for float16 and bfloat16 too: computed in float32, and rounded once."""

    @functools.wraps(numpy)
    def meaning(*args: Any, **attrs: Any) -> Any:
        kinds = [dtypes.name_of(a.dtype) if isinstance(a, _ARRAYS) else "" for a in args]
        half = next((k for k in kinds if dtypes.is_half(k)), None)
        if half is None or attrs.get("mode") == "set":
            return numpy(*args, **attrs)
        wide = [dtypes.convert(a, "float32") if dtypes.is_half(k) else a
                for a, k in zip(args, kinds)]  # fmt: skip
        found = np.asarray(numpy(*wide, **attrs))
        rounds = found.dtype == np.float32 and "dtype" not in attrs
        return dtypes.convert(found, half) if rounds else found

    return meaning


_ARRAYS = np.ndarray | np.generic

OPS: dict[str, Op] = {}


def declare(op: Op) -> Op:
    """Enter an op into the table by which pickles find it; names are unique."""
    if OPS.get(op.name, op) is not op:
        raise ValueError(f"an op named {op.name!r} exists already")
    OPS[op.name] = op
    return op


def find_op(name: str) -> Op:
    """The op of a name, for unpickling."""
    if name not in OPS:
        raise KeyError(
            f"no op is named {name!r}: import what declares it, with graphc.core.op.declare, "
            "before unpickling"
        )
    return OPS[name]


class Builder(Protocol):
    """Makes the variable of an application: plainly, or interned."""

    def build(self, op: Op, args: tuple[Variable, ...], attrs: Attrs) -> Variable: ...


class PlainBuilder:
    """User graphs: every application is a variable of its own."""

    def build(self, op: Op, args: tuple[Variable, ...], attrs: Attrs) -> Variable:
        where = user_frames()
        return Variable(infer_type(op, args, attrs), op, args, attrs, where=where)


class _State(threading.local):
    builder: Builder = PlainBuilder()


_state = _State()


@contextmanager
def building_with(builder: Builder) -> Iterator[None]:
    """Applications inside the block are made by `builder`."""
    before = _state.builder
    _state.builder = builder
    try:
        yield
    finally:
        _state.builder = before


def apply(op: Op, args: Sequence[Variable], attrs: Attrs) -> Variable:
    """`op` applied to variables, by the builder in force."""
    return _state.builder.build(op, tuple(args), attrs)


def infer_type(op: Op, args: Sequence[Variable], attrs: Attrs) -> TensorType:
    """The type of an application; errors name the operands and the user's line."""
    try:
        return op.infer(args, attrs)
    except GraphError as error:
        if error.at:
            raise
        operands = ", ".join(describe(a) for a in args)
        error.what = f"{op.name}({operands}): {error.what}"
        error.at = user_frames()
        raise


def static_int(variable: Variable) -> int | None:
    """The value of a constant integer scalar, or None."""
    if isinstance(variable, Constant) and variable.ndim == 0:
        if dtypes.is_discrete(variable.dtype):
            return int(variable.data)
    return None
