"""Types of the kernel language and what a primitive is.

Importing this package imports Numba: only :mod:`graphc.runtime.frontend` does, when a kernel is
compiled that no cache holds.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.errors import TypingError
from numba.core.typing import signature

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()

class Half(types.Float):
    """16 bits in memory, a float32 in registers; see :mod:`graphc.runtime.primitives.halves`."""

    def __init__(self, name: str) -> None:
        types.Number.__init__(self, name=name)
        self.bitwidth = 16


@register_default(Half)
class _HalfModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Half) -> None:
        super().__init__(manager, kind, FLOAT)


HALF_TYPES = Half("float16"), Half("bfloat16")

SCALARS: dict[str, types.Type] = {
    "bool": types.boolean,
    **{f"{sign}int{bits}": getattr(types, f"{sign}int{bits}")
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{kind.name: kind for kind in HALF_TYPES},
    "float32": types.float32,
    "float64": types.float64,
}
"""Numba's type of each dtype."""

NAMES = {kind: name for name, kind in SCALARS.items()}


def in_memory(kind: types.Type) -> ir.Type:
    """The LLVM type of an element: a bool is a byte."""
    if is_half(kind):
        return I16
    return I8 if kind == types.boolean else in_register(kind)


def in_register(kind: types.Type) -> ir.Type:
    """The LLVM type of a value."""
    if kind == types.boolean:
        return I1
    if is_float(kind):
        return DOUBLE if kind == types.float64 else FLOAT
    return ir.IntType(kind.bitwidth)


def is_float(kind: types.Type) -> bool:
    return isinstance(kind, types.Float)


def is_half(kind: types.Type) -> bool:
    return isinstance(kind, Half)


def is_signed(kind: types.Type) -> bool:
    """Signed integers; bool counts as unsigned."""
    return isinstance(kind, types.Integer) and kind.signed


def is_scalar(kind: types.Type) -> bool:
    return kind in NAMES


class Pointer(types.Type):
    """A pointer to elements of one dtype.

    Attributes
    ----------
    dtype : the element's dtype.
    mode : ``"read"``, ``"write"`` or ``"local"``.
    slot : the word of the block that holds the address; -1 for local memory.
    """

    def __init__(self, dtype: str, mode: str, slot: int) -> None:
        self.dtype, self.mode, self.slot = dtype, mode, slot
        super().__init__(f"{mode}_{dtype}[{slot}]")


@register_default(Pointer)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Pointer) -> None:
        super().__init__(manager, kind, in_memory(SCALARS[kind.dtype]).as_pointer())


@dataclass
class Scopes:
    """The written arrays of the kernel being compiled, for the alias metadata.

    Typing collects them, and all of it is done before the first instruction is emitted.
    """

    written: set[int] = field(default_factory=set)

    def scope(self, module: ir.Module, slot: int) -> ir.MDValue:
        domain = module.add_metadata(["graphc"])
        return module.add_metadata([f"word {slot}", domain])

    def annotate(self, access: ir.Instruction, module: ir.Module, slot: int | None) -> None:
        """Say that a load or store touches none of the written arrays but its own."""
        own = slot if slot in self.written else None
        others = [self.scope(module, s) for s in sorted(self.written) if s != own]
        if others:
            access.set_metadata("noalias", module.add_metadata(others))
        if own is not None:
            mine = module.add_metadata([self.scope(module, own)])
            access.set_metadata("alias.scope", mine)


SCOPES = Scopes()
"""Of the kernel being compiled; the frontend's lock guards it."""


@dataclass(frozen=True)
class Site:
    """Where a primitive's instructions go, and the types of its arguments and result."""

    builder: ir.IRBuilder
    arguments: tuple[types.Type, ...]
    result: types.Type

    @property
    def module(self) -> ir.Module:
        return self.builder.module

    @property
    def kind(self) -> types.Type:
        """The type of the first argument."""
        return self.arguments[0]

    def constant(self, number: float) -> ir.Constant:
        """A constant of the first argument's type."""
        return ir.Constant(in_register(self.kind), number)

    def intrinsic(self, name: str, *values: ir.Value) -> ir.Instruction:
        """Call an LLVM intrinsic whose arguments and result have one type."""
        kind = values[0].type
        function_type = ir.FunctionType(kind, [kind] * len(values))
        callee = self.module.declare_intrinsic(f"llvm.{name}", [kind], function_type)
        return self.builder.call(callee, values)


Infer = Callable[..., "types.Type | None"]
Emit = Callable[..., "ir.Value | None"]


class Primitive:
    """A function of the kernel language.

    Parameters
    ----------
    name : as kernels write it.
    infer : argument types to result type; None if they don't fit.
    emit : ``emit(site, *values)`` appends the instructions and returns the value.
    """

    def __init__(self, name: str, infer: Infer, emit: Emit) -> None:
        self.name, self.infer, self.emit = name, infer, emit
        self._numba_type_ = PrimitiveType(self)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *arguments: object) -> None:
        raise TypeError(f"{self.name} is a word of the kernel language: it runs compiled only")

    @functools.cached_property
    def lower(self) -> Callable[..., Any]:
        """What Numba's lowering calls."""

        def lower(context: Any, builder: ir.IRBuilder, sig: Any, values: Sequence[Any]) -> Any:
            value = self.emit(Site(builder, sig.args, sig.return_type), *values)
            return context.get_dummy_value() if value is None else value

        lower.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
        return lower


def _signature(context: Any, builder: Any, sig: Any, values: Any) -> None: ...


_SIGNATURE = inspect.signature(_signature)
"""Numba asks for it at every call of a primitive: given, it isn't worked out each time."""


class PrimitiveType(types.Callable, types.Opaque):
    """What Numba takes a primitive for."""

    def __init__(self, primitive: Primitive) -> None:
        self.primitive = primitive
        super().__init__(f"primitive {primitive.name}")

    @property
    def key(self) -> Primitive:
        return self.primitive

    def get_call_type(self, context: Any, args: Sequence[types.Type], kws: object) -> Any:
        plain = [types.unliteral(kind) for kind in args]
        try:
            result = None if kws else self.primitive.infer(*args)
        except TypeError:  # another number of arguments
            result = None
        if result is None:
            given = ", ".join(str(kind) for kind in plain)
            raise TypingError(f"{self.primitive.name}({given}): no such primitive")
        return signature(result, *plain)

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        return [], True

    def get_impl_key(self, sig: Any) -> Primitive:
        return self.primitive


PRIMITIVES: dict[str, Primitive] = {}
"""All primitives by name."""


def primitive(name: str, infer: Infer) -> Callable[[Emit], Emit]:
    """Define a primitive by the function that emits it."""

    def define(emit: Emit) -> Emit:
        if name in PRIMITIVES:
            raise ValueError(f"the kernel language has a primitive {name!r} already")
        PRIMITIVES[name] = Primitive(name, infer, emit)
        return emit

    return define


def same(*kinds: types.Type) -> types.Type | None:
    """All arguments of one scalar type, and the result too."""
    first = types.unliteral(kinds[0])
    alike = all(types.unliteral(kind) == first for kind in kinds[1:])
    return first if alike and is_scalar(first) else None


def unary(kind: types.Type) -> types.Type | None:
    return same(kind)


def binary(left: types.Type, right: types.Type) -> types.Type | None:
    return same(left, right)


def comparison(left: types.Type, right: types.Type) -> types.Type | None:
    return types.boolean if same(left, right) else None


def test(kind: types.Type) -> types.Type | None:
    return types.boolean if same(kind) else None
