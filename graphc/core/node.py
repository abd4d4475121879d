"""What a symbolic graph is made of: types, variables, constants, shared variables.

A variable is the result of an op applied to other variables, or a leaf. It has identity:
``==`` is ``is``, so variables can be keys, and a gradient with respect to one counts only
the paths through that very one. Every variable remembers the user's line that made it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core import dtypes
from graphc.core.config import config
from graphc.core.errors import DTypeError, Frame, ShapeError
from graphc.core.storage import Array as Array
from graphc.core.storage import Storage as Storage

if TYPE_CHECKING:
    from graphc.core.op import Op

CACHE_LINE = 64  # bytes
Shape = tuple[int | None, ...]
Attrs = Mapping[str, Any]

_PROGRAMS = {"graphc.demo"}  # programs that come with graphc: their lines are a user's
_BETWEEN = {"functools", "contextlib"}  # Python's own, through which graphc calls itself
_NAMES = {0: "scalar", 1: "vector", 2: "matrix", 3: "tensor3", 4: "tensor4", 5: "tensor5"}


@dataclass(frozen=True)
class TensorType:
    """The dtype of a tensor and its sizes; ``None`` is a size known only at run time."""

    dtype: str
    shape: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """Which axes are known to have size 1."""
        return tuple(n == 1 for n in self.shape)

    @property
    def known(self) -> bool:
        """Whether all sizes are known."""
        return None not in self.shape

    @property
    def size(self) -> int:
        """The number of elements; only of types whose sizes are known."""
        count = 1
        for n in self.shape:
            assert n is not None
            count *= n
        return count

    @property
    def nbytes(self) -> int:
        """The bytes that a value takes; only of types whose sizes are known."""
        return self.size * dtypes.numpy_dtype(self.dtype).itemsize

    def with_dtype(self, dtype: str) -> TensorType:
        return TensorType(dtype, self.shape)

    def __call__(self, name: str | None = None) -> Variable:
        """A new input variable of this type."""
        return Variable(self, name=name)

    def accepts(self, other: TensorType) -> bool:
        """Whether every value of `other` may be a value of this type."""
        return (
            self.dtype == other.dtype
            and self.ndim == other.ndim
            and all(a is None or b is None or a == b for a, b in zip(self.shape, other.shape))
        )

    def __str__(self) -> str:
        sizes = ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.dtype}[{sizes}]"


class Variable:
    """One value of a graph: an op's result, or a leaf when `op` is None.

    Any attribute may be set on it, as programs written for Theano do.
    """

    __array_priority__ = 1000
    __array_ufunc__ = None

    def __init__(
        self,
        type: TensorType,
        op: Op | None = None,
        args: tuple[Variable, ...] = (),
        attrs: Attrs | None = None,
        name: str | None = None,
        where: tuple[Frame, ...] | None = None,
    ) -> None:
        self.type = type
        self.op = op
        self.args = args
        self.attrs: Attrs = attrs if attrs is not None else {}
        self.name = name
        self.where = user_frames() if where is None else where

    @property
    def tag(self) -> SimpleNamespace:
        """A place for the user's own notes."""
        found = self.__dict__.get("_tag")
        if found is None:
            found = self.__dict__["_tag"] = SimpleNamespace()
        return found

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return self.type.broadcastable

    @property
    def owner(self) -> Apply | None:
        """The application that makes this variable, in Theano's terms; None for leaves."""
        return None if self.op is None else Apply(self)

    def __repr__(self) -> str:
        return self.name if self.name else f"{describe(self)}"

    __str__ = __repr__

    def __bool__(self) -> bool:
        raise DTypeError(
            f"the value of {describe(self)} is not known while the graph is being declared",
            "use T.switch or ifelse for a choice at run time, T.and_ / T.or_ for logic",
            self.where,
        )

    def __len__(self) -> int:
        size = self.type.shape[0] if self.ndim else None
        if size is None:
            raise DTypeError(
                f"the length of {describe(self)} is not known while the graph is declared",
                "use x.shape[0], a symbolic number",
                self.where,
            )
        return size

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


@dataclass(frozen=True)
class Apply:
    """Theano's view of a variable's making: ``v.owner.op``, ``v.owner.inputs``."""

    variable: Variable

    @property
    def op(self) -> Op:
        assert self.variable.op is not None
        return self.variable.op

    @property
    def inputs(self) -> list[Variable]:
        return list(self.variable.args)

    @property
    def outputs(self) -> list[Variable]:
        return [self.variable]


class Constant(Variable):
    """A leaf whose value is known; the array is read-only."""

    def __init__(self, value: Any, dtype: str | None = None, name: str | None = None,
                 where: tuple[Frame, ...] | None = None) -> None:  # fmt: skip
        plain = dtype if dtype != "bfloat16" else None
        array = np.array(value, dtype=None if plain is None else dtypes.numpy_dtype(plain))
        canonical = dtypes.canonical(array.dtype)
        if dtype != plain or canonical == "bfloat16":
            canonical = "bfloat16"
            array = dtypes.convert(array, canonical, copy=True)
        array.setflags(write=False)
        self.data: Array = array
        super().__init__(TensorType(canonical, array.shape), name=name, where=where)

    @property
    def value(self) -> Array:
        return self.data

    def uniform(self) -> Any | None:
        """The one value that all elements have, as a Python number, or None."""
        data = self.data
        if data.size == 0:
            return None
        first = data.reshape(-1)[0]
        if data.size > 1 and not bool((data == first).all()):
            return None
        return dtypes.number(data)


class SharedVariable(Variable):
    """A leaf that keeps its value between calls; compiled functions may update it.

    Its rank and dtype are fixed, its sizes may change with `set_value`.
    """

    def __init__(self, value: Array, name: str | None = None,
                 broadcastable: Sequence[bool] | None = None) -> None:  # fmt: skip
        self.storage = Storage(value)
        self.default_update: Variable | None = None
        flags = broadcastable if broadcastable is not None else (False,) * value.ndim
        if len(flags) != value.ndim:
            raise ShapeError(
                f"shared: broadcastable={tuple(flags)} has {len(flags)} entries, "
                f"the value has shape {value.shape}",
                at=user_frames(),
            )
        shape = tuple(1 if flag else None for flag in flags)
        super().__init__(TensorType(dtypes.canonical(value.dtype), shape), name=name)

    @property
    def container(self) -> Storage:
        return self.storage

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Array:
        """The present value: a copy, or with `borrow` the very array that functions use."""
        return self.storage.array if borrow else self.storage.copy()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Give the variable another value of the same rank and dtype.

        With `borrow`, the array itself is kept where its dtype and layout allow it.
        """
        array = self.check_value(value)
        if not borrow and array.shape == self.storage.shape:
            self.storage.fill(array)
        elif borrow:
            self.storage.replace(as_storage(array, copy=False))
        else:
            self.storage.replace(as_storage(array, copy=True))

    def check_value(self, value: Any) -> Array:
        """`value` as an array that this variable can take."""
        array = np.asarray(value)
        label = self.name or "a shared variable"
        if dtypes.canonical(array.dtype) != self.dtype:
            if not fits(array, self.dtype, scalar=np.ndim(value) == 0):
                raise DTypeError(
                    f"{label} holds {self.type}; a value of dtype {array.dtype} would lose "
                    f"precision or change its kind",
                    conversion_hint(self.dtype),
                    user_frames(),
                )
            array = dtypes.convert(array, self.dtype)
        elif self.dtype == "bfloat16":
            array = dtypes.convert(array, self.dtype)
        if array.ndim != self.ndim or any(
            n == 1 and m != 1 for n, m in zip(self.type.shape, array.shape)
        ):
            raise ShapeError(
                f"{label} holds {self.type}; a value of shape {array.shape} does not fit",
                "its rank is fixed when it is made",
                user_frames(),
            )
        return array


def as_storage(array: Array, copy: bool) -> Array:
    """A C-contiguous, aligned, writable array in native byte order for kernels to use.

    A copy starts on a cache line: otherwise every vector that is read would touch two.
    """
    native = array.dtype.newbyteorder("=")
    if copy and not native.hasobject:
        memory = np.empty(array.size * native.itemsize + CACHE_LINE, np.uint8)
        start = -int(memory.__array_interface__["data"][0]) % CACHE_LINE
        made: Array = np.ndarray(array.shape, native, memory, start)
        made[...] = array
        return made
    if copy:
        return np.array(array, dtype=native, order="C", copy=True)
    return np.require(array, dtype=native, requirements=["C", "A", "W"])


def fits(array: Array, dtype: str, scalar: bool = False) -> bool:
    """Whether `array` becomes `dtype` without a loss that its owner would not expect."""
    source = dtypes.canonical(array.dtype)
    if source == dtype or safely(source, dtype):
        return True
    if dtypes.is_discrete(source) and dtypes.is_continuous(dtype):
        back = dtypes.convert(dtypes.convert(array, dtype), source)
        return source == "bool" or bool((back == array).all())
    if dtypes.is_integer(source) and dtypes.is_integer(dtype):
        limits = np.iinfo(dtype)
        return array.size == 0 or bool(array.min() >= limits.min and array.max() <= limits.max)
    return scalar and dtypes.is_float(source) and dtypes.is_float(dtype)


def safely(source: str, dtype: str) -> bool:
    """Whether a dtype holds all values of another."""
    if source == dtype:
        return True
    if dtype == "bfloat16":
        return source in ("bool", "int8", "uint8")
    wide = "float32" if source == "bfloat16" else source
    return bool(np.can_cast(wide, dtype, "safe"))


def conversion_hint(dtype: str) -> str:
    """How users make an array of a dtype."""
    if dtype == "bfloat16":
        return "convert it: graphc.to_bfloat16(value)"
    return f"convert it: numpy.asarray(value, dtype={dtype!r})"


def describe(variable: Variable) -> str:
    """A variable's name or op with its type, for messages."""
    if variable.name:
        label = variable.name
    elif isinstance(variable, Constant):
        label = constant_text(variable)
    elif variable.op is not None:
        label = variable.op.name
    else:
        label = "<unnamed>"
    return f"{label}: {variable.type}"


def constant_text(constant: Constant) -> str:
    """A constant as a short literal."""
    data = constant.data
    if data.ndim == 0:
        return repr(dtypes.number(data))
    if constant.dtype == "bfloat16":
        data = dtypes.convert(data, "float32")
    if data.size <= 4:
        return np.array2string(data, separator=", ", threshold=8).replace("\n", "")
    value = constant.uniform()
    return f"full({value!r})" if value is not None else "<array>"


class _State(threading.local):
    origin: tuple[Frame, ...] | None = None


_state = _State()


@contextmanager
def made_at(where: tuple[Frame, ...]) -> Iterator[None]:
    """Variables made inside the block belong to these lines of the user's program."""
    before = _state.origin
    _state.origin = where
    try:
        yield
    finally:
        _state.origin = before


def user_frames() -> tuple[Frame, ...]:
    """The user's stack, innermost last: the frames outside graphc."""
    if _state.origin is not None:
        return _state.origin
    frame = sys._getframe(1)
    found: list[Frame] = []
    limit = config.traceback_limit
    while frame is not None and len(found) < limit:
        module = frame.f_globals.get("__name__", "")
        if not (module.startswith("graphc.") or module == "graphc") or module in _PROGRAMS:
            code = frame.f_code
            if module in _BETWEEN:
                frame = frame.f_back  # type: ignore[assignment]
                continue
            if code.co_filename.startswith("<frozen") or "/_pytest/" in code.co_filename:
                break
            found.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(reversed(found))


def type_name(ndim: int) -> str:
    """``matrix`` and the like, for messages about ranks."""
    return _NAMES.get(ndim, f"tensor of rank {ndim}")
