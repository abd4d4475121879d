"""Constructors of inputs: ``matrix("x")``, ``ivector("y")``, ``dscalars("a", "b")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, Shape, Variable, user_frames
from graphc.core.node import TensorType as CoreType
from graphc.ops.convert import as_variable

PREFIXES = {
    "b": "int8", "w": "int16", "i": "int32", "l": "int64",
    "f": "float32", "d": "float64", "c": "complex64", "z": "complex128", "bool_": "bool",
}  # fmt: skip
SHAPES: dict[str, Shape] = {
    "scalar": (),
    "vector": (None,),
    "row": (1, None),
    "col": (None, 1),
    "matrix": (None, None),
    "tensor3": (None,) * 3,
    "tensor4": (None,) * 4,
    "tensor5": (None,) * 5,
}
PLURALS = {
    "scalar": "scalars", "vector": "vectors", "row": "rows", "col": "cols",
    "matrix": "matrices", "tensor3": "tensor3s", "tensor4": "tensor4s", "tensor5": "tensor5s",
}  # fmt: skip


def read_shape(shape: Any) -> Shape:
    """Sizes, or flags that say which axes have size 1, as a shape."""
    if isinstance(shape, bool | int):
        shape = (shape,)
    sizes = []
    for n in shape:
        if n is not None and not isinstance(n, bool | int):
            raise ArgumentError(
                f"a shape holds sizes, None for open ones, or flags for axes of size 1: {shape!r}",
                at=user_frames(),
            )
        sizes.append((1 if n else None) if isinstance(n, bool) else n)
    return tuple(sizes)


def _core_type(dtype: Any, shape: Any) -> CoreType:
    if shape is None:
        raise ArgumentError(
            "a tensor's type needs a dtype and a shape", "('float32', (None, 10))", user_frames()
        )
    return CoreType(dtypes.canonical(dtype), read_shape(shape))


class _Spelling(type):
    """Makes ``TensorType(...)`` and ``isinstance(x, TensorType)`` mean the core's type."""

    def __call__(
        cls, dtype: Any, broadcastable: Any = None, name: str | None = None, *, shape: Any = None
    ) -> Any:
        return _core_type(dtype, shape if shape is not None else broadcastable)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, CoreType)


class TensorType(metaclass=_Spelling):
    """The type of a tensor: ``TensorType(dtype, shape)``, callable to make inputs of it.

    Parameters
    ----------
    dtype : str
        Of its elements.
    broadcastable : sequence
        Its sizes, None for open ones; or, as in Theano, which axes have size 1.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.TensorType("float32", (False, True))("x").type
    TensorType(dtype='float32', shape=(None, 1))
    """


def tensor(dtype: Any, broadcastable: Any = None, name: str | None = None, *,
           shape: Any = None) -> Variable:  # fmt: skip
    """An input of any dtype and shape (sizes, None for open ones; or Theano's flags).

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.tensor("float32", (None, 10), "x").type.shape
    (None, 10)
    """
    given = shape if shape is not None else broadcastable
    return Variable(_core_type(dtype, given), name=name)


def constant(x: Any, name: str | None = None, ndim: int | None = None,
             dtype: Any = None) -> Constant:  # fmt: skip
    """A value as part of a graph: ``floatX`` or int64 for numbers unless `dtype` says else.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.constant([1, 2], dtype="float32").type
    TensorType(dtype='float32', shape=(2,))
    """
    if isinstance(x, Variable) and not isinstance(x, Constant):
        raise ArgumentError(f"constant: {x!r} is symbolic", "it is a variable already", x.where)
    found = as_variable(x, None if dtype is None else dtypes.canonical(dtype), name)
    assert isinstance(found, Constant)
    if ndim is not None and found.ndim != ndim:
        padded = found.data.reshape((1,) * (ndim - found.ndim) + found.data.shape)
        found = Constant(padded, name=name)
    return found


def _maker(kind: str, shape: Shape) -> Callable[..., Variable]:
    def make(name: str | None = None, dtype: Any = None) -> Variable:
        return Variable(CoreType(dtypes.canonical(dtype or "floatX"), shape), name=name)

    make.__name__ = make.__qualname__ = kind
    make.__doc__ = f"A {kind}, ``floatX`` by default: ``{kind}('x')``."
    return make


def _plural(single: Callable[..., Variable], label: str) -> Callable[..., Any]:
    def make(*names: Any, dtype: Any = None) -> Any:
        more = {} if dtype is None else {"dtype": dtype}
        if len(names) == 1 and isinstance(names[0], int):
            names = (None,) * names[0]
        elif len(names) == 1 and isinstance(names[0], list | tuple | str):
            names = tuple(names[0])
        made = [single(name, **more) for name in names]
        return made[0] if len(made) == 1 else made

    make.__name__ = make.__qualname__ = label
    make.__doc__ = f"Several at once: ``{label}('x', 'y')`` or ``{label}(2)``."
    return make


def constructors() -> dict[str, Any]:
    """All of them by name; those with a dtype of their own are types, as in Theano."""
    made: dict[str, Any] = {}
    for kind, shape in SHAPES.items():
        made[kind] = _maker(kind, shape)
        made[PLURALS[kind]] = _plural(made[kind], PLURALS[kind])
        for prefix, dtype in PREFIXES.items():
            one = made[prefix + kind] = CoreType(dtype, shape)
            made[prefix + PLURALS[kind]] = _plural(one, prefix + PLURALS[kind])
    return made
