"""Python functions of arrays as ops: they run between the native steps of a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from graphc.absent import lookup
from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, TensorType, Variable, user_frames
from graphc.core.op import Host, apply, static_int
from graphc.ops.broadcast import zeros_like
from graphc.ops.convert import as_size
from graphc.ops.shape import dim
from graphc.ops.stacks import remembered
from graphc.subgraphs import PartOp, fitted

__all__ = ["HostFunction", "as_op"]

__getattr__ = lookup("graphc.compile.ops", globals())


def _type(kind: Any) -> TensorType:
    """A type, or what makes inputs of it, like ``T.matrix``."""
    found = kind if isinstance(kind, TensorType) else kind().type
    assert isinstance(found, TensorType)
    return found


class HostFunction:
    """What `as_op` makes of a function of arrays."""

    def __init__(
        self, function: Callable[..., Any], itypes: Any, otypes: Any, infer_shape: Any, grad: Any
    ) -> None:
        functools.update_wrapper(self, function)
        several = isinstance(otypes, list | tuple)
        self.function, self.infer_shape, self.grad = function, infer_shape, grad
        self.itypes = [_type(t) for t in (itypes if isinstance(itypes, list | tuple) else [itypes])]
        self.otypes = [_type(t) for t in (otypes if several else [otypes])]
        again = len(self.otypes) > 1 or infer_shape is None
        self.values = remembered(self._call) if again else self._part
        self.ops = [self._op(k) for k in range(len(self.otypes))]
        self.ops += [
            self._size_op(k, axis) for k, t in enumerate(self.otypes) for axis in range(t.ndim)
        ]

    def _call(self, *arrays: Any) -> list[Any]:
        """The function's results, as a list of arrays in the declared dtypes and ranks."""
        views = [np.asarray(a).view() for a in arrays]
        for view in views:
            view.flags.writeable = False
        found = self.function(*views)
        results = found if isinstance(found, list | tuple) and len(self.otypes) > 1 else [found]
        if len(results) != len(self.otypes):
            raise ValueError(f"it returned {len(results)} results for {len(self.otypes)} otypes")
        return [self._checked(k, np.asarray(r)) for k, r in enumerate(results)]

    def _part(self, k: int, *arrays: Any) -> Any:
        return np.array(self._call(*arrays)[k])

    def _checked(self, k: int, array: Any) -> Any:
        wanted = self.otypes[k]
        lossy = dtypes.promote([dtypes.canonical(array.dtype), wanted.dtype]) != wanted.dtype
        if array.ndim != wanted.ndim or lossy:
            raise TypeError(
                f"result {k} is {array.dtype}{list(array.shape)}, and its otype is {wanted}"
            )
        return dtypes.convert(array, wanted.dtype)

    def _op(self, k: int) -> PartOp:
        count, wanted = len(self.itypes), self.otypes[k]

        def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
            return TensorType(wanted.dtype, tuple(static_int(n) for n in args[count:]))

        def numpy(*arrays: Any) -> Any:
            found = self.values(k, *arrays[:count])
            sizes = tuple(int(n) for n in arrays[count:])
            if found.shape != sizes:
                raise ValueError(f"result {k} has shape {found.shape}, infer_shape said {sizes}")
            return found

        return PartOp(
            self.function.__name__, infer, numpy, Host(), checks=True,
            vjp=None if self.grad is None else functools.partial(self._vjp, k),
            size_args=lambda n, attrs: tuple(range(count, n)), owner=self, part=k,
            facts={"user": True, "folds": False},
        )  # fmt: skip

    def _size_op(self, k: int, axis: int) -> PartOp:
        """The size of an axis of a result, which only the function itself can tell."""
        return PartOp(
            f"{self.function.__name__}_size", lambda args, attrs: TensorType("int64", ()),
            lambda *arrays: np.asarray(self.values(k, *arrays).shape[axis], "int64"), Host(),
            checks=True, owner=self, part=self._size_part(k, axis),
            facts={"user": True, "folds": False},
        )  # fmt: skip

    def _size_part(self, k: int, axis: int) -> int:
        return len(self.otypes) + sum(t.ndim for t in self.otypes[:k]) + axis

    def __call__(self, *args: Any) -> Any:
        """The result, or the list of results."""
        if len(args) != len(self.itypes):
            raise ArgumentError(
                f"{self.function.__name__} takes {len(self.itypes)} operands, and got {len(args)}",
                at=user_frames(),
            )
        given = tuple(
            fitted(a, t, f"{self.function.__name__}: operand {k}")
            for k, (a, t) in enumerate(zip(args, self.itypes))
        )
        found = self._results(given)
        return found[0] if len(found) == 1 else found

    def _results(self, given: tuple[Variable, ...]) -> list[Variable]:
        sizes = self._sizes(given)
        return [apply(self.ops[k], (*given, *n), {}) for k, n in enumerate(sizes)]

    def _sizes(self, given: tuple[Variable, ...]) -> list[list[Variable]]:
        if self.infer_shape is None:
            return [
                [apply(self.ops[self._size_part(k, axis)], given, {}) for axis in range(t.ndim)]
                for k, t in enumerate(self.otypes)
            ]
        label = f"{self.function.__name__}: infer_shape"
        node = SimpleNamespace(inputs=list(given), op=self)
        shapes = self.infer_shape(node, [tuple(dim(a, k) for k in range(a.ndim)) for a in given])
        if [len(s) for s in shapes] != [t.ndim for t in self.otypes]:
            raise ArgumentError(
                f"{label} gave {shapes!r}, and the otypes are {', '.join(map(str, self.otypes))}",
                "a list with one tuple of sizes per result", user_frames(),
            )  # fmt: skip
        return [[as_size(n, label) for n in shape] for shape in shapes]

    def _vjp(self, k: int, g: Variable, out: Variable, *args: Variable) -> tuple[Any, ...]:
        count = len(self.itypes)
        given = args[:count]
        outputs = [out if j == k else o for j, o in enumerate(self._results(given))]
        grads = [g if o is out else zeros_like(o) for o in outputs]
        found = tuple(self.grad(list(given), grads))
        if len(found) != count:
            raise ArgumentError(
                f"{self.function.__name__}: grad gave {len(found)} results for {count} operands",
                "one for each; None where there is no dependence", out.where,
            )  # fmt: skip
        return *found, *(None,) * (len(args) - count)

    def __reduce__(self) -> str:
        return self.function.__qualname__


def as_op(
    itypes: Any, otypes: Any, infer_shape: Any = None, grad: Any = None
) -> Callable[[Callable[..., Any]], HostFunction]:
    """Make a Python function of arrays an op, which runs between native steps.

    Parameters
    ----------
    itypes, otypes : list of types
        Of the arguments and of the results, as ``T.dmatrix``.
    infer_shape : callable, optional
        ``(node, shapes) -> shapes of the results``, from symbolic sizes. Without it the
        function runs once more, before the plan, to find out the sizes.
    grad : callable, optional
        ``(inputs, output_gradients) -> gradients of the inputs``, of variables; None for an
        input on which nothing depends. Without it, asking for a gradient is an error.

    Notes
    -----
    The function may not change its arguments, which are read-only, and its results may
    depend on nothing else: it is called as often as a plan needs, or not at all.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> @graphc.as_op(itypes=[T.dvector], otypes=[T.dvector],
    ...               infer_shape=lambda node, shapes: [shapes[0]])
    ... def ranks(x):
    ...     return np.argsort(np.argsort(x)).astype(float)
    >>> x = T.dvector("x")
    >>> (ranks(x) * 10).eval({x: [3.0, 1.0, 2.0]}).tolist()
    [20.0, 0.0, 10.0]
    """
    return lambda function: HostFunction(function, itypes, otypes, infer_shape, grad)
