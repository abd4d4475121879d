"""Checks for ops and gradients, for graphc's own tests and for users' ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.api import function
from graphc.core import dtypes
from graphc.core.node import Array, TensorType, Variable
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import mul
from graphc.ops.reduce import sum as sum_
from graphc.passes.autodiff import grad
from graphc.passes.tangents import Rop

Build = Callable[..., Any]


def inputs_like(arrays: Sequence[Any], known: bool = False) -> list[Variable]:
    """One input per array, of its dtype and rank, with its sizes if `known`."""
    found = []
    for k, value in enumerate(arrays):
        array = np.asarray(value)
        shape = array.shape if known else (None,) * array.ndim
        found.append(Variable(TensorType(dtypes.canonical(array.dtype), shape), name=f"x{k}"))
    return found


def check_op(
    build: Build, arrays: Sequence[Any], expected: Any = None, mode: str | None = None,
    rtol: float = 1e-6, atol: float = 1e-9,
) -> Array:  # fmt: skip
    """Check that an op's type, with known and with unknown sizes, is that of its values.

    Parameters
    ----------
    build : callable
        From variables to an expression.
    arrays : sequence of arrays
        The operands.
    expected : array, optional
        What must come out.
    mode : str, optional
        As for `graphc.function`.

    Returns
    -------
    numpy.ndarray
        The value.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.testing import check_op
    >>> check_op(T.add, [[1.0, 2.0], [3.0, 4.0]], [4.0, 6.0])
    array([4., 6.])
    """
    values = [np.asarray(a) for a in arrays]
    found: Array | None = None
    for known in (False, True):
        inputs = inputs_like(values, known)
        output = build(*inputs)
        value = function(inputs, output, mode=mode, on_unused_input="ignore")(*values)
        declared = output.type
        if dtypes.name_of(value.dtype) != declared.dtype:
            raise AssertionError(f"declared {declared}, and the value is {value.dtype}")
        if value.ndim != declared.ndim or any(
            n is not None and n != m for n, m in zip(declared.shape, value.shape)
        ):
            raise AssertionError(f"declared {declared}, and the value has shape {value.shape}")
        if expected is not None:
            np.testing.assert_allclose(value, expected, rtol=rtol, atol=atol)
            if np.shape(value) != np.shape(expected):
                raise AssertionError(f"shape {value.shape}, expected {np.shape(expected)}")
        found = value
    assert found is not None
    return found


def check_grad(
    build: Build,
    pt: Sequence[Any],
    n_tests: int = 1,
    rng: np.random.RandomState | None = None,
    eps: float | None = None,
    out_type: str | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: str | None = None,
    order: int = 1,
) -> None:
    """Compare an expression's derivatives with finite differences in float64.

    The reverse mode is compared along a random direction of all operands, and the forward
    mode with the reverse mode.

    Parameters
    ----------
    build : callable
        From variables to an expression.
    pt : sequence of arrays
        Where; operands of integer dtype are left alone.
    n_tests : int
        How many random projections of the result are tried.
    rng : numpy.random.RandomState, optional
        Where directions come from.
    eps : float, optional
        The step of the differences, 1e-6 by default.
    order : int
        2 checks the derivatives of the derivatives as well.
    abs_tol, rel_tol : float, optional
        What may be missing to equality, 2e-6 each by default.

    Raises
    ------
    AssertionError
        With both numbers, if they differ.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc.testing import check_grad
    >>> check_grad(T.tanh, [[0.3, -1.2]], order=2)
    """
    random = rng if rng is not None else np.random.RandomState(0)
    arrays = [np.asarray(p) for p in pt]
    arrays = [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays]
    step = 1e-6 if eps is None else eps
    tolerance = (
        2e-6 if abs_tol is None else abs_tol,
        2e-6 if rel_tol is None else rel_tol,
    )
    for _ in range(n_tests):
        _check_along(build, arrays, random, step, tolerance, mode, order)


verify_grad = check_grad


def _check_along(
    build: Build, arrays: list[Array], random: np.random.RandomState, step: float,
    tolerance: tuple[float, float], mode: str | None, order: int,
) -> None:  # fmt: skip
    inputs = inputs_like(arrays)
    output = as_variable(build(*inputs))
    free = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    forward = function(inputs, output, mode=mode, on_unused_input="ignore")
    weights = np.asarray(random.uniform(0.5, 1.5, forward(*arrays).shape))
    cost = sum_(mul(output, as_variable(weights.astype(output.dtype))))
    directions = {k: np.asarray(random.uniform(-1, 1, arrays[k].shape)) for k in free}
    wrt = [inputs[k] for k in free]
    grads = grad(cost, wrt, disconnected_inputs="ignore")
    tangent = Rop(cost, wrt, [as_variable(directions[k]) for k in free], "ignore")
    derive = function(inputs, [*grads, tangent], mode=mode, on_unused_input="ignore")
    *values, pushed = derive(*arrays)
    for k, g in zip(free, values):
        if g.shape != arrays[k].shape:
            raise AssertionError(f"gradient {k} has shape {g.shape}, not {arrays[k].shape}")
    reverse_mode = sum(float((g * directions[k]).sum()) for k, g in zip(free, values))

    def at(distance: float) -> float:
        moved = [
            a + distance * directions[k] if k in directions else a for k, a in enumerate(arrays)
        ]
        return float((forward(*moved) * weights).sum())

    difference = (at(step) - at(-step)) / (2 * step)
    _compare("reverse mode", reverse_mode, "finite differences", difference, tolerance)
    _compare("forward mode", float(pushed), "reverse mode", reverse_mode, tolerance)
    if order > 1:
        _check_along(
            _derivative(build, free, weights, random), arrays, random, step, tolerance, mode,
            order - 1,
        )  # fmt: skip


def _derivative(
    build: Build, free: Sequence[int], weights: Array, random: np.random.RandomState
) -> Build:
    """An expression made of all first derivatives, as a function of the operands."""
    seed = random.randint(2**31)

    def derived(*inputs: Variable) -> Variable:
        output = build(*inputs)
        cost = sum_(mul(output, as_variable(weights.astype(output.dtype))))
        grads = grad(cost, [inputs[k] for k in free], disconnected_inputs="ignore")
        fixed = np.random.RandomState(seed)
        total: Any = as_variable(0.0, "float64")
        for g in grads:
            weight = as_variable(fixed.uniform(0.5, 1.5), "float64")
            total = total + mul(weight, sum_(mul(g, g))) + sum_(g)
        return total  # type: ignore[no-any-return]

    return derived


def _compare(first: str, a: float, second: str, b: float, tolerance: tuple[float, float]) -> None:
    absolute, relative = tolerance
    if abs(a - b) > absolute + relative * max(abs(a), abs(b)) or np.isnan(a) != np.isnan(b):
        raise AssertionError(f"{first} gives {a!r}, {second} {b!r}")
