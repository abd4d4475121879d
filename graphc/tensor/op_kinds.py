"""Theano's classes of ops: ``isinstance(v.owner.op, T.Elemwise)``, ``T.DimShuffle(...)(x)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.core.node import TensorType, Variable
from graphc.core.op import Op
from graphc.ops import axes, nnet, shape
from graphc.ops.elementwise import sigmoid, softplus
from graphc.ops.index import getitem


class Kind(type):
    """Classes whose instances are the ops of some names, and whose calls make functions."""

    ops: tuple[str, ...]
    make: Callable[..., Any]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.make(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Op) and instance.name in cls.ops


class _Elementwise(Kind):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Op) and instance.elementwise


class Elemwise(metaclass=_Elementwise):
    """Ops that work element by element; ``Elemwise(graphc.scalar.add)`` is `T.add`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> x = T.dvector("x")
    >>> isinstance(T.exp(x).owner.op, T.Elemwise), isinstance(x.sum().owner.op, T.Elemwise)
    (True, False)
    """

    @staticmethod
    def make(scalar_op: Any, *ignored: Any, **more: Any) -> Any:
        return scalar_op


class DimShuffle(metaclass=Kind):
    """``DimShuffle(flags, order)(x)`` is ``x.dimshuffle(order)``; the flags are not needed."""

    ops = ("dimshuffle",)

    @staticmethod
    def make(input_broadcastable: Any, new_order: Sequence[Any], inplace: bool = True) -> Any:
        return lambda x: shape.dimshuffle(x, *new_order)


class Rebroadcast(metaclass=Kind):
    """``Rebroadcast((0, True))(x)`` promises that axis 0 has size 1; see `T.addbroadcast`."""

    ops = ("specify_shape",)

    @staticmethod
    def make(*axis: tuple[int, bool]) -> Any:
        ones = [k for k, flag in axis if flag]
        return lambda x: axes.addbroadcast(x, *ones)


class Subtensor(metaclass=Kind):
    """``Subtensor([slice(0, T.lscalar), 1])(x, n)``: types stand for the operands after `x`."""

    ops = ("subtensor",)

    @staticmethod
    def make(idx_list: Sequence[Any]) -> Any:
        def part(x: Variable, *inputs: Variable) -> Variable:
            waiting = iter(inputs)

            def filled(entry: Any) -> Any:
                if isinstance(entry, slice):
                    return slice(*(filled(e) for e in (entry.start, entry.stop, entry.step)))
                return next(waiting) if isinstance(entry, TensorType) else entry

            return getitem(x, tuple(filled(e) for e in idx_list))

        return part


def _kind(name: str, op: str, function: Any) -> type:
    def make(*ignored: Any, **more: Any) -> Any:
        return function

    doc = f"``{name}()(x)``, and the class of the op that it applies, in Theano's terms."
    return Kind(name, (), {"ops": (op,), "make": staticmethod(make), "__doc__": doc,
                           "__module__": __name__})  # fmt: skip


Softmax: Any = _kind("Softmax", "softmax", nnet.softmax)
LogSoftmax: Any = _kind("LogSoftmax", "logsoftmax", nnet.logsoftmax)
SoftmaxWithBias: Any = _kind("SoftmaxWithBias", "softmax", nnet.softmax_with_bias)
ScalarSigmoid: Any = _kind("ScalarSigmoid", "sigmoid", sigmoid)
ScalarSoftplus: Any = _kind("ScalarSoftplus", "softplus", softplus)

__all__ = [
    "DimShuffle", "Elemwise", "LogSoftmax", "Rebroadcast", "ScalarSigmoid", "ScalarSoftplus",
    "Softmax", "SoftmaxWithBias", "Subtensor",
]  # fmt: skip
