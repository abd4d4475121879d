"""Fourier transforms of real tensors; complex numbers are pairs along a last axis of size 2.

The first axis numbers the tensors, all others are transformed, as in Theano.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.convert import as_variable, need
from graphc.ops.elementwise import and_, cast, gt, lt, sqrt, switch
from graphc.ops.make import arange
from graphc.ops.shape import dim, dimshuffle


def _rfft_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    *front, n = args[0].type.shape
    return TensorType(args[0].dtype, (*front, None if n is None else n // 2 + 1, 2))


def _rfft_numpy(x: Any) -> Any:
    found = np.fft.rfftn(x, axes=tuple(range(1, x.ndim)))
    return np.stack([found.real, found.imag], -1).astype(x.dtype)


def _inner_scaled(x: Variable, last: Variable, by: float) -> Variable:
    """`x`, with the frequencies scaled that stand for two of a transform of `last` numbers."""
    k = arange(dim(x, x.ndim - 2))
    twice = and_(gt(k, 0), lt(2 * k, last))  # type: ignore[operator]
    scale = switch(twice, as_variable(by, x.dtype), as_variable(1.0, x.dtype))
    return x * dimshuffle(scale, 0, "x")  # type: ignore[operator, no-any-return]


def _rfft_vjp(g: Variable, out: Variable, x: Variable) -> tuple[Variable]:
    sizes = [dim(x, k) for k in range(1, x.ndim)]
    return (apply(_irfft, (_inner_scaled(g, sizes[-1], 0.5), *sizes), {}),)


_rfft = declare(
    Op(
        "rfft", _rfft_infer, _rfft_numpy, Host(), vjp=_rfft_vjp,
        jvp=lambda tangents, out, x: apply(_rfft, (tangents[0],), {}),
        formula="sum over n of x[n] exp(-2 pi i k n / N), for k up to N / 2",
    )
)  # fmt: skip


def _irfft_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, *sizes = args
    return TensorType(x.dtype, (x.type.shape[0], *(static_int(n) for n in sizes)))


def _irfft_numpy(x: Any, *sizes: Any) -> Any:
    shape = tuple(int(n) for n in sizes)
    found = np.fft.irfftn(x[..., 0] + 1j * x[..., 1], s=shape, axes=range(1, 1 + len(shape)))
    return (found * np.prod(shape, dtype=float)).astype(x.dtype)


def _irfft_vjp(g: Variable, out: Variable, x: Variable, *sizes: Variable) -> tuple[Any, ...]:
    found = _inner_scaled(apply(_rfft, (g,), {}), sizes[-1], 2.0)
    return found, *(None,) * len(sizes)


_irfft = declare(
    Op(
        "irfft", _irfft_infer, _irfft_numpy, Host(), vjp=_irfft_vjp,
        jvp=lambda tangents, out, x, *sizes: apply(_irfft, (tangents[0], *sizes), {}),
        formula="the inverse of rfft, times the number of elements",
        size_args=lambda n, attrs: tuple(range(1, n)),
    )
)  # fmt: skip


def _prepare(x: Any, name: str, ndim: int) -> Variable:
    variable = as_variable(x)
    dtype = dtypes.float_for(variable.dtype)
    need(dtypes.is_float(dtype), [variable], f"{name} is for real numbers")
    if variable.ndim < ndim:
        raise ShapeError(
            f"{name} takes a batch of tensors, of rank {ndim} or more, not {describe(variable)}",
            "the first axis numbers them; x.dimshuffle('x', ...) makes a batch of one",
            user_frames(),
        )
    return cast(variable, dtype)


def _scaled(x: Variable, sizes: Sequence[Variable], power: float) -> Variable:
    """`x` over the number of elements, or over its square root."""
    if not power:
        return x
    total: Any = as_variable(1.0, x.dtype)
    for n in sizes:
        total = total * cast(n, x.dtype)
    return x / (total if power == 1 else sqrt(total))  # type: ignore[operator, no-any-return]


def _power(norm: str | None, default: float, name: str) -> float:
    if norm not in (None, "ortho", "no_norm"):
        raise ArgumentError(
            f"{name}: norm is None, 'ortho' or 'no_norm', not {norm!r}", at=user_frames()
        )
    return {None: default, "ortho": 0.5, "no_norm": 0.0}[norm]


def rfft(inp: Any, norm: str | None = None) -> Variable:
    """The Fourier transform of real tensors: as ``numpy.fft.rfftn`` over all axes but the first.

    Parameters
    ----------
    inp : variable
        Of shape (m, ..., n): m tensors.
    norm : {None, 'ortho', 'no_norm'}
        With 'ortho', divided by the square root of the number of elements.

    Returns
    -------
    variable
        Of shape (m, ..., n // 2 + 1, 2): real and imaginary parts of the first half.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.fft.rfft([[1.0, 1.0]]).eval().tolist()
    [[[2.0, 0.0], [0.0, 0.0]]]
    """
    x = _prepare(inp, "rfft", 2)
    sizes = [dim(x, k) for k in range(1, x.ndim)]
    return _scaled(apply(_rfft, (x,), {}), sizes, _power(norm, 0, "rfft"))


def irfft(inp: Any, norm: str | None = None, is_odd: bool = False) -> Variable:
    """The real tensors of which `rfft` makes `inp`.

    Parameters
    ----------
    inp : variable
        Of shape (m, ..., n // 2 + 1, 2), as `rfft` gives.
    norm : {None, 'ortho', 'no_norm'}
        What `rfft` was called with: the result is divided by the number of elements, by its
        square root, or ('no_norm') not at all.
    is_odd : bool
        Whether n was odd.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.fft.irfft([[[2.0, 0.0], [0.0, 0.0]]]).eval().tolist()
    [[1.0, 1.0]]
    """
    x = _prepare(inp, "irfft", 3)
    half = dim(x, x.ndim - 2)
    last = (half - 1) * 2 + int(bool(is_odd))  # type: ignore[operator]
    sizes = [*(dim(x, k) for k in range(1, x.ndim - 2)), last]
    return _scaled(apply(_irfft, (x, *sizes), {}), sizes, _power(norm, 1, "irfft"))
