"""Ops whose meaning is a graph: `OpFromGraph`, `elementwise`, and checkpoints.

They are written out before the first rule, so that a program with them is optimised and
fused like one without; what they add is a name, a gradient of the user's own, or a choice of
what is kept in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, DTypeError, GraphError, MissingInputError
from graphc.core.graph import ancestors, depending_on, substitute, toposort
from graphc.core.node import (
    Attrs,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    describe,
    fits,
    user_frames,
)
from graphc.core.op import Expand, Op, PlainBuilder, apply, building_with
from graphc.ops.broadcast import zeros_like
from graphc.ops.control import after
from graphc.ops.convert import as_variable, operands
from graphc.ops.elementwise import broadcast_shape, cast, switch
from graphc.passes.autodiff import in_shape, reverse
from graphc.runtime.reference import evaluate

DEFAULT = "default"


@dataclass(frozen=True, eq=False, repr=False)
class PartOp(Op):
    """One output of something of the user's; it is pickled as the part of its owner."""

    owner: Any = None
    part: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return part_of, (self.owner, self.part)


def part_of(owner: Any, part: int) -> PartOp:
    """The op of one output, for unpickling."""
    found: PartOp = owner.ops[part]
    return found


def fitted(value: Any, wanted: TensorType, label: str) -> Variable:
    """An operand in the dtype that an op of the user's declares."""
    variable = as_variable(value)
    if variable.ndim != wanted.ndim:
        raise ArgumentError(f"{label} is {wanted}, not {describe(variable)}", at=user_frames())
    if isinstance(variable, Constant):
        keeps = fits(variable.data, wanted.dtype, scalar=variable.ndim == 0)
    else:
        keeps = dtypes.promote([variable.dtype, wanted.dtype]) == wanted.dtype
    if not keeps:
        raise DTypeError(
            f"{label} is {wanted}; {describe(variable)} would lose precision",
            f"cast it: .astype({wanted.dtype!r})", user_frames(),
        )  # fmt: skip
    return cast(variable, wanted.dtype)


def written_out(root: Variable, leaves: Sequence[Variable], args: Sequence[Variable]) -> Variable:
    """A graph over other leaves, made by the builder in force, nested graphs too."""
    done = dict(zip(leaves, args))
    for v in toposort([root], leaves=leaves):
        if v in done:
            continue
        if v.op is None:
            done[v] = v
            continue
        parts = tuple(done[a] for a in v.args)
        nested = isinstance(v.op.lower, Expand) and v.op.lower.early
        done[v] = v.op.lower.rule(*parts, **v.attrs) if nested else apply(v.op, parts, v.attrs)  # type: ignore
    return done[root]


class OpFromGraph:
    """A graph as an op of its own, with a name and, if wanted, another gradient.

    Parameters
    ----------
    inputs : list of variables
        Leaves of the graph; shared variables that it reads need not be listed.
    outputs : list of variables
    inline : bool
        Taken for the sake of programs written for Theano: the graph is always inlined when
        a function is compiled.
    grad_overrides : 'default', callable, or list with one per input
        ``(inputs, output_gradients) -> gradients of the inputs``; in a list, each callable
        gives one of them, None stands for no dependence and 'default' for the graph's own.
    lop_overrides
        The same with the outputs: ``(inputs, outputs, output_gradients)``.
    rop_overrides : 'default' or callable
        ``(inputs, eval_points) -> tangents of the outputs``.
    name : str, optional
        What it is called in listings and errors.

    Notes
    -----
    Each output is differentiated by itself, with zeros for the gradients of the others, and
    the results are added: an overriding gradient is to be linear in those of the outputs.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> square = graphc.OpFromGraph([x], [x**2], grad_overrides=lambda i, g: [100.0 * g[0]])
    >>> y = square(x + 1)
    >>> float(y.eval({x: 2.0})), float(graphc.grad(y, x).eval({x: 2.0}))
    (9.0, 100.0)
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        inline: bool = False,
        lop_overrides: Any = DEFAULT,
        grad_overrides: Any = DEFAULT,
        rop_overrides: Any = DEFAULT,
        connection_pattern: Any = None,
        name: str | None = None,
    ) -> None:
        self.inputs, self.outputs = list(inputs), [as_variable(o) for o in outputs]
        self.name = name or "OpFromGraph"
        if lop_overrides != DEFAULT and grad_overrides != DEFAULT:
            raise ArgumentError(
                f"{self.name}: grad_overrides and lop_overrides say the same thing", "give one",
                user_frames(),
            )  # fmt: skip
        self.lop = lop_overrides
        if grad_overrides != DEFAULT:
            self.lop = _without_outputs(grad_overrides)
        self.rop = rop_overrides
        self.shared = self._check()
        self.leaves = [*self.inputs, *self.shared]
        self.arguments = (self.inputs, self.outputs, inline, lop_overrides, grad_overrides,
                          rop_overrides, connection_pattern, name)  # fmt: skip
        self.ops = [self._op(k) for k in range(len(self.outputs))]

    def _check(self) -> list[SharedVariable]:
        for v in self.inputs:
            if not isinstance(v, Variable) or v.op is not None or isinstance(v, Constant):
                label = describe(v) if isinstance(v, Variable) else repr(v)
                raise ArgumentError(
                    f"{self.name}: the input {label} is not a leaf of a graph",
                    "declare inputs like T.matrix('x'), and build the outputs from them",
                    user_frames(),
                )
        leaves = [v for v in toposort(self.outputs) if v.op is None and v not in self.inputs]
        for v in leaves:
            if not isinstance(v, Constant | SharedVariable):
                raise MissingInputError(
                    f"{self.name}: the outputs depend on {describe(v)}, which is no input",
                    "add it to the inputs", v.where,
                )  # fmt: skip
        return [v for v in leaves if isinstance(v, SharedVariable)]

    def _op(self, k: int) -> PartOp:
        output, leaves = self.outputs[k], self.leaves

        def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
            with building_with(PlainBuilder()):
                return substitute([output], dict(zip(leaves, args)))[0].type

        def numpy(*arrays: Any) -> Any:
            return evaluate([output], dict(zip(leaves, arrays)))[0]

        def rule(*args: Variable) -> Variable:
            return written_out(output, leaves, args)

        return PartOp(
            self.name, infer, numpy, Expand(rule, early=True),
            vjp=functools.partial(self._vjp, k),
            jvp=None if self.rop == DEFAULT else functools.partial(self._jvp, k),
            owner=self, part=k,
        )  # fmt: skip

    def __call__(self, *args: Any) -> Any:
        """The output, or the list of outputs, for other inputs."""
        if len(args) != len(self.inputs):
            raise ArgumentError(
                f"{self.name} takes {len(self.inputs)} operands, and got {len(args)}",
                at=user_frames(),
            )
        given = [
            fitted(a, v.type, f"{self.name}: operand {k}")
            for k, (a, v) in enumerate(zip(args, self.inputs))
        ]
        found = [apply(op, (*given, *self.shared), {}) for op in self.ops]
        return found[0] if len(found) == 1 else found

    def __reduce__(self) -> tuple[Any, ...]:
        return OpFromGraph, self.arguments

    # --- derivatives ------------------------------------------------------------------

    @functools.cached_property
    def _pulled(self) -> list[tuple[Variable, list[Variable | None]]]:
        """For each output, a stand-in for its gradient, and the gradients of the leaves."""
        found = []
        for output in self.outputs:
            g = Variable(output.type, name="g", where=())
            targets = [v for v in self.leaves if dtypes.is_continuous(v.dtype)]
            adjoints: dict[Variable, Variable] = {}
            if dtypes.is_continuous(output.dtype):
                adjoints = reverse({output: g}, targets)
            pulled = [in_shape(adjoints[v], v) if v in adjoints else None for v in self.leaves]
            found.append((g, pulled))
        return found

    def _default(self, k: int, g: Variable, args: Sequence[Variable]) -> list[Variable | None]:
        stand_in, pulled = self._pulled[k]
        replaced = {**dict(zip(self.leaves, args)), stand_in: g}
        present = iter(substitute([p for p in pulled if p is not None], replaced))
        return [None if p is None else next(present) for p in pulled]

    def _vjp(self, k: int, g: Variable, out: Variable, *args: Variable) -> tuple[Any, ...]:
        if self.lop == DEFAULT:
            return tuple(self._default(k, g, args))
        count = len(self.inputs)
        own, shared = list(args[:count]), args[count:]
        outputs = [out if j == k else apply(op, args, {}) for j, op in enumerate(self.ops)]
        grads = [g if o is out else zeros_like(o) for o in outputs]
        if callable(self.lop):
            found = list(self.lop(own, outputs, grads))
        else:
            found = [f(own, outputs, grads) if callable(f) else f for f in self.lop]
        if len(found) != count:
            raise ArgumentError(
                f"{self.name}: its gradient gave {len(found)} results for {count} inputs",
                "one for each; None where there is no dependence", out.where,
            )  # fmt: skip
        if DEFAULT not in [f for f in found if isinstance(f, str)] and not shared:
            return tuple(found)
        default = self._default(k, g, args)
        chosen = [d if isinstance(f, str) else f for f, d in zip(found, default)]
        return *chosen, *default[count:]

    def _jvp(self, k: int, tangents: Any, out: Variable, *args: Variable) -> Any:
        count = len(self.inputs)
        points = [zeros_like(a) if t is None else t for a, t in zip(args[:count], tangents)]
        return list(self.rop(list(args[:count]), points))[k]


def _without_outputs(overrides: Any) -> Any:
    """Overrides that take ``(inputs, gradients)``, as ones that are given outputs as well."""

    def lifted(function: Any) -> Any:
        if not callable(function):
            return function
        return lambda inputs, outputs, grads: function(inputs, grads)

    return lifted(overrides) if callable(overrides) else [lifted(f) for f in overrides]


# --- checkpoints ----------------------------------------------------------------------


class _Checkpoint(OpFromGraph):
    """A graph that a gradient computes once more, when it is needed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Checkpoint, (self.inputs, self.outputs)

    def _vjp(self, k: int, g: Variable, out: Variable, *args: Variable) -> tuple[Any, ...]:
        late = [after(a, g) if dtypes.is_continuous(a.dtype) else a for a in args]
        return tuple(self._default(k, g, late))


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, whose inner values are not kept for the gradient.

    They are computed once more when the gradient needs them: less memory for more time. What
    the function reads besides its arguments is kept.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.gradient import checkpoint
    >>> x = T.dvector("x")
    >>> y = checkpoint(lambda x: T.exp(T.sin(x)), x)
    >>> T.grad(y.sum(), x).eval({x: [0.0]}).tolist()
    [1.0]
    """
    given = [as_variable(a) for a in args]
    inside = [Variable(a.type, name=a.name, where=a.where) for a in given]
    found = function(*inside)
    several = isinstance(found, list | tuple)
    outputs = [as_variable(o) for o in (found if several else [found])]
    order = toposort(outputs)
    inner = depending_on(order, inside)
    read = {a for v in inner for a in v.args} | set(outputs)
    outer = [v for v in order if v not in inner and v in read and not isinstance(v, Constant)]
    stand = {v: Variable(v.type, name=v.name, where=v.where) for v in outer}
    op = _Checkpoint([*inside, *stand.values()], substitute(outputs, stand), name="checkpoint")
    result = op(*given, *outer)
    return [result] if several and len(outputs) == 1 else result


# --- scalar functions -----------------------------------------------------------------


class ScalarFunction:
    """What `elementwise` makes of a function of scalars."""

    def __init__(self, function: Callable[..., Any], partials: Sequence[Any] | None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.ops: list[PartOp] = []
        if partials is not None:
            self.ops = [self._op(tuple(partials))]

    def _op(self, partials: tuple[Any, ...]) -> PartOp:
        def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
            with building_with(PlainBuilder()):
                return self._applied([Variable(a.type, where=()) for a in args]).type

        def numpy(*arrays: Any) -> Any:
            leaves = [
                Variable(TensorType(dtypes.canonical(a.dtype), a.shape), where=()) for a in arrays
            ]
            with building_with(PlainBuilder()):
                found = self._applied(leaves)
            return evaluate([found], dict(zip(leaves, arrays)))[0]

        def rule(*args: Variable) -> Variable:
            leaves = [Variable(a.type, where=()) for a in args]
            with building_with(PlainBuilder()):
                found = self._applied(leaves)
            return written_out(found, leaves, args)

        lower = Expand(rule, early=True)
        return PartOp(self.function.__name__, infer, numpy, lower, partials=partials, owner=self)

    def __call__(self, *args: Any) -> Variable:
        """The function of each element; operands broadcast."""
        given = operands(args)
        if not self.ops:
            return self._applied(given)
        (op,) = self.ops
        if len(given) != len(op.partials):
            raise ArgumentError(
                f"{op.name} takes {len(op.partials)} operands, one per derivative, and got "
                f"{len(given)}", at=user_frames(),
            )  # fmt: skip
        return apply(op, given, {})

    def _applied(self, args: Sequence[Variable]) -> Variable:
        meeting = broadcast_shape([a.type.shape for a in args])
        try:
            found = as_variable(self.function(*args))
        except GraphError:
            raise
        except TypeError as error:
            raise ArgumentError(
                f"elementwise {self.function.__name__}: {error}",
                "it is called with variables: use T.exp for math.exp, T.switch for if and else",
                user_frames(),
            ) from error
        used = ancestors([found])
        for a in args:
            if a not in used and a.ndim:
                found = switch(True, found, cast(a, found.dtype))
        if found.ndim != len(meeting):
            raise ArgumentError(
                f"elementwise {self.function.__name__}: operands that meet in rank "
                f"{len(meeting)} gave {describe(found)}",
                "a function of scalars doesn't reduce, index or reshape", user_frames(),
            )  # fmt: skip
        return found

    def __reduce__(self) -> str:
        return self.function.__qualname__


def elementwise(function: Any = None, *, partials: Sequence[Any] | None = None) -> Any:
    """Make a Python function of scalars one of tensors, compiled into fused kernels.

    It is called with variables, so it is written with operators and the functions of
    `graphc.tensor`: ``T.exp`` for ``math.exp``, ``T.switch`` for a choice.

    Parameters
    ----------
    function : callable
        From scalars to a scalar.
    partials : sequence of callables, optional
        One per operand: ``(result, *operands) -> derivative``. By default the derivatives
        are those of what the function does.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> @graphc.elementwise
    ... def swish(x, beta):
    ...     return x / (1 + T.exp(-beta * x))
    >>> x = T.dvector("x")
    >>> swish(x, 0.0).eval({x: [1.0, 2.0]}).tolist()
    [0.5, 1.0]
    """
    if function is None:
        return lambda function: ScalarFunction(function, partials)
    return ScalarFunction(function, partials)
