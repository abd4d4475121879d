"""Inputs and outputs of functions: how they are declared, and what may be passed in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.config import config
from graphc.core.devices import ordinal_of
from graphc.core.errors import ArgumentError, DTypeError, ShapeError, TargetError
from graphc.core.graph import Graph
from graphc.core.node import (
    Array,
    Constant,
    SharedVariable,
    Storage,
    Variable,
    describe,
    fits,
    type_name,
    user_frames,
)
from graphc.core.packed import Packed
from graphc.ops.convert import as_variable, is_number
from graphc.runtime.cuda.arrays import lies_on_device


class In:
    """An input of a function, with a default value or a state of its own.

    Parameters
    ----------
    variable : Variable
        The input.
    name : str, optional
        By which it is passed; the variable's own name by default.
    value : array-like, shared variable or its container, optional
        What the input is when a call leaves it out.
    update : Variable, optional
        What `value` becomes after every call; needs `value`.
    mutable : bool
        Whether the function may overwrite the array that is passed.
    borrow : bool, optional
        Whether outputs may share memory with the array that is passed; `mutable` by default.
    strict : bool
        Whether an array of exactly the declared dtype must be passed.
    allow_downcast : bool or None
        Whether arguments may lose precision; None: Python numbers may.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> f = graphc.function([x, graphc.In(y, value=2.0)], x * y)
    >>> float(f(3.0)), float(f(3.0, y=5.0))
    (6.0, 15.0)
    """

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        borrow: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
    ) -> None:
        if not isinstance(variable, Variable | Packed):
            raise ArgumentError(f"In: {variable!r} is not a variable", at=user_frames())
        if update is not None and value is None:
            raise ArgumentError(
                f"In({describe(variable)}): an update needs a value to start from",
                "give it: In(x, value=0, update=x + 1)",
                user_frames(),
            )
        self.variable = variable
        self.name = name if name is not None else variable.name
        self.value = value
        self.update = None if update is None else as_variable(update)
        self.mutable = bool(mutable)
        self.borrow = self.mutable if borrow is None else borrow
        self.strict = strict
        self.allow_downcast = allow_downcast

    def __repr__(self) -> str:
        return f"In({describe(self.variable)})"


class Out:
    """An output of a function; with `borrow` it may share memory with what it came from.

    Parameters
    ----------
    variable : Variable
        The output.
    borrow : bool
        Whether the result may be memory that the function uses itself, which a later
        call may overwrite.
    device : bool
        Whether the result stays on the device of a function of the target ``cuda``: it is a
        `graphc.DeviceArray` then, which other such functions, CuPy, PyTorch and JAX take
        without a copy.
    """

    def __init__(self, variable: Variable, borrow: bool = False, device: bool = False) -> None:
        self.variable, self.borrow, self.device = variable, borrow, bool(device)

    def __repr__(self) -> str:
        return f"Out({describe(self.variable)})"


@dataclass(frozen=True, eq=False)
class Parameter:
    """One input of a compiled function: what it accepts, and its default."""

    variable: Variable
    name: str | None
    default: Storage | None = None
    strict: bool = False
    allow_downcast: bool | None = None
    borrow: bool = False
    position: int = 0

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"`{self.name}`" if self.name else f"number {self.position}"

    @property
    def parts(self) -> tuple[Variable, ...]:
        """The inputs of the graph that it stands for."""
        return (self.variable,)

    def in_graph(self, graph: Graph) -> Parameter:
        """The parameter with what it has to know about the graph."""
        return self

    def arrays(self, value: Any, target: str = "cpu") -> list[Any]:
        """`value` as the arrays of `parts`; one that lies on a device stays there."""
        if lies_on_device(value):
            return [self._on_device(value, target)]
        return [self.convert(value)]

    def _on_device(self, value: Any, target: str) -> Any:
        """An array on a device, as it is; nothing is copied or cast behind the user's back."""
        if target == "cpu" or isinstance(self.variable, Packed):
            self._refuse(
                f"a {type(value).__name__} that lies on a device came, and "
                + ("the function runs on the host" if target == "cpu"
                   else "sparse matrices are taken from the host only"),
                "pass a copy, numpy.asarray(value) or what its library has for that"
                + ("; or compile the function with target='cuda'" if target == "cpu" else ""),
                TargetError,
            )  # fmt: skip
        from graphc.runtime.cuda import arrays  # asked for, so worth its imports
        from graphc.runtime.cuda.driver import current_driver

        try:
            found = arrays.import_array(value, current_driver(ordinal_of(target)))
        except arrays.WrongDevice as error:
            self._refuse(
                str(error), f"copy it there first: a DeviceArray has transfer({target!r}), other "
                "libraries have ways of their own; or compile the function for its device",
                TargetError,
            )  # fmt: skip
        except TargetError:
            raise
        except (ValueError, BufferError, RuntimeError) as error:
            self._refuse(f"{type(value).__name__} can't be taken from its device: {error}",
                         "pass one without a mask or gradient", TargetError)  # fmt: skip
        given = dtypes.name_of(found.dtype)
        if given != self.variable.dtype:
            self._refuse(
                f"it is declared {self.variable.type} and an array of dtype {given} on a device "
                "came, which is not cast",
                f"cast it there to {self.variable.dtype}, or declare the input {given}",
            )
        self._check_shape(found)
        return found

    def convert(self, value: Any) -> Any:
        """`value` as an array of the declared dtype and rank, or an error that says why not."""
        native = dtypes.numpy_dtype(self.variable.dtype)
        if type(value) is np.ndarray and value.dtype == native:
            array = value if value.dtype.isnative else value.astype(native)
        else:
            array = self._cast(value)
        self._check_shape(array)
        return array

    def _cast(self, value: Any) -> Array:
        array = self._read(value)
        given = dtypes.name_of(array.dtype)
        wanted = self.variable.dtype
        if given == wanted:
            return dtypes.convert(array, wanted)
        if self.strict:
            self._refuse(f"its dtype must be {wanted} (strict=True), not {given}", "")
        if self.allow_downcast is True and given not in dtypes.COMPLEX:
            return dtypes.convert(array, wanted)
        if not may_become(value, array, wanted, self.allow_downcast):
            self._refuse(
                f"it is declared {self.variable.type} and {_brief(value, array)} came: that "
                "would lose precision",
                f"{pass_as(wanted)}, or declare the function with allow_input_downcast=True",
            )
        return dtypes.convert(array, wanted)

    def _read(self, value: Any) -> Array:
        if isinstance(value, Variable):
            self._refuse(
                f"it is {describe(value)}, a symbolic variable, where an array is expected",
                "pass .get_value() of a shared variable, or use givens",
            )
        try:
            array = np.asarray(value)
        except ValueError as error:
            self._refuse(f"{type(value).__name__} is no array: {error}", "")
        if dtypes.name_of(array.dtype) not in dtypes.ALL:
            self._refuse(
                f"it is declared {self.variable.type} and {_brief(value, array)} came",
                "pass a number, a list of numbers or an array",
            )
        return array

    def _check_shape(self, array: Any) -> None:
        declared = self.variable.type
        if array.ndim != declared.ndim:
            self._refuse(
                f"it is declared {declared}, a {type_name(declared.ndim)}, and an array of shape "
                f"{array.shape}, a {type_name(array.ndim)}, came",
                "declare it with another rank, or reshape what you pass",
                ShapeError,
            )
        for k, (n, m) in enumerate(zip(declared.shape, array.shape)):
            if n is not None and n != m:
                self._refuse(
                    f"it is declared {declared} and an array of shape {array.shape} came: axis "
                    f"{k} must have size {n}",
                    "declare the axis with an open size (None) if it varies",
                    ShapeError,
                )

    def _refuse(self, what: str, hint: str, kind: Any = DTypeError) -> Any:
        raise kind(f"input {self.label}: {what}", hint, self.variable.where)


@dataclass(frozen=True, eq=False)
class PackedParameter(Parameter):
    """An input that the graph sees as several tensors; sparse matrices are such.

    A plan is made for sizes, and the number of entries seldom is the same twice: where the graph
    allows it (`flexible`), values of another length than the first are lengthened.
    """

    flexible: bool = False
    lengths: list[int] = field(default_factory=list)

    @property
    def parts(self) -> tuple[Variable, ...]:
        packed: Any = self.variable
        return tuple(p for p in packed.parts if not isinstance(p, Constant))

    def in_graph(self, graph: Graph) -> Parameter:
        packed: Any = self.variable
        return replace(self, flexible=packed.may_lengthen(graph.roots))

    def arrays(self, value: Any, target: str = "cpu") -> list[Any]:
        if lies_on_device(value):
            self._on_device(value, target)
        packed: Any = self.variable
        found = packed.take_apart(value, f"input {self.label}")
        if self.flexible:
            if not self.lengths:
                self.lengths.append(len(found[0]))
            if len(found[0]) != self.lengths[0]:
                found = packed.lengthen(found)
        return [a for p, a in zip(packed.parts, found) if not isinstance(p, Constant)]

    def convert(self, value: Any) -> Any:
        """A copy of `value`, which is checked; it is taken apart at every call."""
        self.arrays(value)
        return value.copy()


def _brief(value: Any, array: Array) -> str:
    if np.ndim(array) == 0 and not isinstance(value, np.ndarray):
        return f"{type(value).__name__} {value!r}"
    kind = "an array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    name = dtypes.name_of(array.dtype) if array.dtype.kind == "V" else array.dtype
    return f"{kind} of dtype {name} and shape {array.shape}"


def may_become(value: Any, array: Array, dtype: str, downcast: bool | None) -> bool:
    """Whether an argument may be converted to `dtype`.

    Integers and narrower dtypes always may where every value survives. Numbers and lists,
    which have no dtype of their own, may if their values survive, or if only digits of a
    float are lost and `downcast` isn't False.
    """
    source = dtypes.name_of(array.dtype)
    if fits(array, dtype):
        return True
    if isinstance(value, np.ndarray):
        return False
    if downcast is None and not dtypes.is_discrete(dtype) and source not in dtypes.COMPLEX:
        return True
    if source in dtypes.COMPLEX and dtype not in dtypes.COMPLEX:
        return False
    with np.errstate(all="ignore"):
        array = dtypes.convert(array, dtypes.wide(source))
        found = dtypes.convert(dtypes.convert(array, dtype), dtypes.wide(dtype))
        return bool(np.array_equal(found, array, equal_nan=source in dtypes.FLOATS))


def pass_as(dtype: str) -> str:
    """What users do to an argument of another dtype."""
    if dtype == "bfloat16":
        return "pass graphc.to_bfloat16(value)"
    return f"pass numpy.asarray(value, {dtype!r})"


def read_input(entry: Any, position: int, allow_downcast: bool | None) -> tuple[Parameter, Any]:
    """A parameter from what stands in the list of inputs, and its update if it has one."""
    declared = entry if isinstance(entry, In) else None
    variable = declared.variable if declared is not None else entry
    _check_input(variable, position)
    kind = PackedParameter if isinstance(variable, Packed) else Parameter
    plain = kind(variable, variable.name, allow_downcast=allow_downcast, position=position)
    if declared is None:
        return plain, None
    downcast = declared.allow_downcast if declared.allow_downcast is not None else allow_downcast
    parameter = replace(
        plain, name=declared.name, strict=declared.strict, allow_downcast=downcast,
        borrow=declared.borrow,
    )  # fmt: skip
    default = declared.value
    if isinstance(default, SharedVariable):
        default = default.storage
    if isinstance(variable, Packed) and declared.update is not None:
        raise ArgumentError(
            f"function: input {parameter.label} has an update, and is sparse",
            "make it shared: graphc.shared(matrix), and updates=[...]", variable.where,
        )  # fmt: skip
    if default is not None and not isinstance(default, Storage):
        kept = parameter.convert(default)
        default = Storage(kept if isinstance(variable, Packed) else np.array(kept))
    return replace(parameter, default=default), declared.update


def _check_input(variable: Any, position: int) -> None:
    if isinstance(variable, Packed):
        if variable.is_input and not variable.is_shared:
            return
        variable = variable.values
    if not isinstance(variable, Variable):
        hint = "inputs are declared with T.matrix('x') and the like"
        if is_number(variable) or isinstance(variable, np.ndarray):
            hint = "arrays are passed when the function is called"
        elif isinstance(variable, list | tuple):
            hint = "inputs are one flat list"
        raise ArgumentError(
            f"function: input number {position} is {variable!r}, not a variable", hint,
            user_frames(),
        )  # fmt: skip
    if isinstance(variable, SharedVariable):
        raise ArgumentError(
            f"function: the shared variable {describe(variable)} can't be an input: it is always "
            "there",
            "leave it out, or put an input in its place: givens={shared: x}",
            user_frames(),
        )
    if isinstance(variable, Constant):
        raise ArgumentError(
            f"function: the constant {describe(variable)} can't be an input",
            "declare an input with T.scalar('x') or the like", user_frames(),
        )  # fmt: skip
    if variable.op is not None:
        raise ArgumentError(
            f"function: {describe(variable)} can't be an input: it is computed from others",
            "put an input in its place: givens={expression: x}",
            variable.where or user_frames(),
        )


def downcast_policy(allow: bool | None) -> bool | None:
    """The function's own setting, or that of the configuration."""
    return config.allow_input_downcast if allow is None else allow
