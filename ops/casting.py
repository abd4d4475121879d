"""Conversion between dtypes, and the declaration of elementwise ops.

Broadcasting is NumPy's, at run time; operands meet in one dtype before the op, by explicit casts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable
from graphc.core.op import Host, Op, Scalar, apply, declare
from graphc.ops.convert import as_variable, need, operands

Result = Callable[[str], str]


def broadcast_shape(shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """The shape in which shapes meet; a size is known where NumPy's rule decides it."""
    rank = max(map(len, shapes), default=0)
    result: list[int | None] = []
    for k in range(rank):
        sizes = [s[len(s) - rank + k] for s in shapes if len(s) - rank + k >= 0]
        known = {n for n in sizes if n is not None and n != 1}
        if len(known) > 1:
            raise ShapeError(
                f"sizes {' and '.join(map(str, sorted(known)))} of axis {k} don't broadcast",
                "sizes must be equal or 1; .dimshuffle or .reshape adds axes of size 1",
            )
        if known:
            result.append(known.pop())
        else:
            result.append(None if None in sizes else 1)
    return tuple(result)


def _infer(result: Result, args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(result(args[-1].dtype), broadcast_shape([a.type.shape for a in args]))


def meet(accepts: Callable[[str], bool], lift: Result, wanted: str) -> Any:
    """A `prepare` that brings all operands to one dtype."""

    def prepare(args: Sequence[Any], name: str) -> list[Variable]:
        found = operands(args)
        meeting = lift(dtypes.promote([a.dtype for a in found]))
        need(accepts(meeting), found, f"{name} is for {wanted}")
        return [cast(a, meeting) for a in found]

    return prepare


def same(dtype: str) -> str:
    return dtype


def boolean(dtype: str) -> str:
    return "bool"


def not_bool(dtype: str) -> str:
    return "int8" if dtype == "bool" else dtype


ANY = meet(lambda d: True, same, "anything")
NUMBERS = meet(lambda d: d != "bool", same, "numbers, not bool")
REAL = meet(lambda d: d not in dtypes.COMPLEX, same, "real numbers")
COUNTS = meet(lambda d: d not in dtypes.COMPLEX, not_bool, "real numbers")
FLOAT = meet(lambda d: True, dtypes.float_for, "floats")
REAL_FLOAT = meet(lambda d: d not in dtypes.COMPLEX, dtypes.float_for, "real floats")
DISCRETE = meet(dtypes.is_discrete, same, "integers and bool")


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    template: str,
    *partials: Callable[..., Any],
    formula: str,
    prepare: Any = ANY,
    result: Result = same,
    cost: float = 1.0,
    **more: Any,
) -> Op:
    """Declare an elementwise op.

    Parameters
    ----------
    name : str
        What it is called everywhere.
    numpy : callable
        Its meaning.
    template : str
        Its expression in kernels, with ``{0}``, ``{1}`` for the operands.
    partials : callables
        One per operand: ``(out, *args) -> derivative``; none for ops without gradient.
    formula : str
        For the docs.
    prepare, result : callable
        Which dtypes it takes, and what comes out.
    cost : float
        In additions, about.
    """

    def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
        return _infer(result, args, attrs)

    return declare(
        Op(name, infer, numpy, Scalar(template, cost), partials=partials, formula=formula,
           prepare=prepare, **more)
    )  # fmt: skip


def scipy_special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported at its first use."""

    def meaning(*args: Any) -> Any:
        import scipy.special

        found = getattr(scipy.special, name)(*args)
        return np.asarray(found).astype(np.result_type(*args), copy=False)

    return meaning


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    def meaning(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return meaning


def float_op(
    name: str, numpy: Any, partial: Any, formula: str, cost: float = 10, prepare: Any = REAL_FLOAT
) -> Op:
    """Declare a function of one real float whose kernel expression is ``name(x)``."""
    return elementwise(name, quiet(numpy), name + "({0})", partial, formula=formula,
                       prepare=prepare, cost=cost)  # fmt: skip


def analytic(name: str, numpy: Any, partial: Any, formula: str, cost: float = 10) -> Op:
    """Declare a `float_op` that complex numbers have too, with NumPy's branch cuts."""
    return float_op(name, numpy, partial, formula, cost, FLOAT)


# --- conversion -----------------------------------------------------------------------


def _cast_vjp(g: Variable, out: Variable, x: Variable, dtype: str) -> tuple[Variable | None]:
    if g.dtype in dtypes.COMPLEX and x.dtype not in dtypes.COMPLEX:
        g = apply(real_part, (g,), {})
    return (cast(g, x.dtype) if dtypes.is_continuous(out.dtype) else None,)


def _cast_jvp(tangents: Any, out: Variable, x: Variable, dtype: str) -> Variable | None:
    return cast(tangents[0], dtype) if dtypes.is_continuous(dtype) else None


def _cast_numpy(x: Any, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        return dtypes.convert(x, dtype, copy=True)


_cast = declare(
    Op(
        "cast",
        lambda args, attrs: args[0].type.with_dtype(attrs["dtype"]),
        _cast_numpy,
        Scalar("cast({0})", 1.0),
        vjp=_cast_vjp,
        jvp=_cast_jvp,
        formula="x as another dtype",
        facts={"widens": False},
    )
)


def cast(x: Any, dtype: Any) -> Variable:
    """`x` as `dtype`; nothing if it has that dtype already.

    Floats become integers by truncation. The gradient passes between continuous dtypes.
    """
    variable, name = as_variable(x), dtypes.canonical(dtype)
    if variable.dtype == name:
        return variable
    if variable.dtype in dtypes.COMPLEX and name not in dtypes.COMPLEX:
        need(False, [variable], f"cast to {name} would drop the imaginary part", "use T.real")
    if isinstance(variable, Constant) and variable.ndim == 0:
        return Constant(_cast_numpy(variable.data, name), name, where=variable.where)
    return apply(_cast, (variable,), {"dtype": name})


def _real_numpy(x: Any) -> Any:
    return np.array(np.real(x))


real_part = declare(
    Op(
        "real",
        lambda args, attrs: args[0].type.with_dtype(dtypes.real_of(args[0].dtype)),
        _real_numpy,
        Host(),
        vjp=lambda g, out, x: (cast(g, x.dtype),),
        jvp=lambda tangents, out, x: apply(real_part, (tangents[0],), {}),
        formula="the real part of z",
    )
)


copy_ = declare(
    Op(
        "copy",
        lambda args, attrs: args[0].type,
        lambda x, copy=0: np.array(x),
        Scalar("{0}", 1.0),
        vjp=lambda g, out, x, copy=0: (g,),
        jvp=lambda tangents, out, x, copy=0: tangents[0],
        formula="x in memory of its own",
        facts={"folds": False, "widens": False},
    )
)
