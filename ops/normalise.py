"""Normalisation of activations: by batch, by layer, by neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, describe, user_frames
from graphc.ops.convert import as_variable, normal_axis
from graphc.ops.elementwise import cast, inv, sqr, sqrt
from graphc.ops.index import getitem
from graphc.ops.reduce import count, in_float32, normal_axes
from graphc.ops.reduce import mean as mean_
from graphc.ops.shape import dim, expand_axes
from graphc.ops.tiling import pad


def batch_normalization(
    inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem"
) -> Variable:
    """``(inputs - mean) / std * gamma + beta``, with statistics that are given.

    `mode` is taken for the sake of Theano's signature.
    """
    x = as_variable(inputs)
    return (x - mean) * (gamma / as_variable(std)) + beta  # type: ignore[operator, no-any-return]


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """The axes over which statistics are taken."""
    if axes == "per-activation":
        return (0,)
    if axes == "spatial":
        return (0, *range(2, ndim))
    return normal_axes(axes, ndim, "batch_normalization")


def _parameter(value: Any, x: Variable, axes: Sequence[int]) -> Variable:
    """A parameter with axes of size 1 for those that are normalised."""
    variable = as_variable(value)
    if variable.ndim == x.ndim:
        return variable
    if variable.ndim == x.ndim - len(axes):
        return expand_axes(variable, axes)
    raise ArgumentError(
        f"batch_normalization: {describe(variable)} for {describe(x)} normalised over axes "
        f"{tuple(axes)}",
        f"its rank is {x.ndim}, with sizes 1 there, or {x.ndim - len(axes)}, without them",
        user_frames(),
    )


def _float_input(inputs: Any) -> Variable:
    x = as_variable(inputs)
    return cast(x, dtypes.float_for(x.dtype))


def batch_normalization_train(
    inputs: Any, gamma: Any, beta: Any, axes: Any = "per-activation", epsilon: float = 1e-4,
    running_average_factor: float = 0.1, running_mean: Any = None, running_var: Any = None,
) -> tuple[Variable, ...]:  # fmt: skip
    """Batch normalisation with the statistics of the batch (Ioffe and Szegedy, 2015).

    ``out = (x - mean) / sqrt(var + epsilon) * gamma + beta``, over `axes`.

    Parameters
    ----------
    inputs : tensor
        A batch: its first axis counts examples.
    gamma, beta : tensor
        Of the rank of `inputs` with sizes 1 along `axes`, or without these axes.
    axes : {'per-activation', 'spatial'} or sequence of integers
        Over which axes statistics are taken: the first; all but the second; or those given.
    running_average_factor : float
        How much the batch counts in the new running averages.
    running_mean, running_var : tensor, optional
        Averages to be updated.

    Returns
    -------
    tuple of variables
        The output, the mean, ``1 / sqrt(var + epsilon)``, and where they were given, the new
        running mean and running variance (of the population). Statistics of float16 and
        bfloat16 are float32.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> x = T.constant([[1.0, 2.0], [3.0, 6.0]])
    >>> out, mean, _ = T.nnet.bn.batch_normalization_train(x, T.ones(2), T.zeros(2), epsilon=0)
    >>> out.eval().tolist(), mean.eval().tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [[2.0, 4.0]])
    """
    given = _float_input(inputs)
    x = cast(given, dtypes.wide(given.dtype))
    over = _axes(axes, x.ndim)
    scale, shift = _parameter(gamma, x, over), _parameter(beta, x, over)
    centre = mean_(x, over, keepdims=True)
    variance = mean_(sqr(x - centre), over, keepdims=True)  # type: ignore[operator]
    invstd = inv(sqrt(variance + epsilon))  # type: ignore[operator]
    out = (x - centre) * (scale * invstd) + shift  # type: ignore[operator]
    meeting = dtypes.promote([given.dtype, scale.dtype, shift.dtype])
    found: list[Variable] = [cast(out, meeting), centre, invstd]
    kept = 1.0 - running_average_factor
    if running_mean is not None:
        old = as_variable(running_mean)
        new = centre if old.ndim == x.ndim else _reduced(centre, over)
        found.append(old * kept + new * running_average_factor)  # type: ignore[operator]
    if running_var is not None:
        old = as_variable(running_var)
        n = count(x, over, x.dtype)
        fair = variance * (n / (n - 1))  # type: ignore[operator]
        new = fair if old.ndim == x.ndim else _reduced(fair, over)
        found.append(old * kept + new * running_average_factor)  # type: ignore[operator]
    return tuple(found)


def _reduced(x: Variable, axes: Sequence[int]) -> Variable:
    kept = [k for k in range(x.ndim) if k not in axes]
    return x.dimshuffle(*kept)  # type: ignore[attr-defined, no-any-return]


def batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, axes: Any = "per-activation",
    epsilon: float = 1e-4,
) -> Variable:  # fmt: skip
    """Batch normalisation with given statistics: running averages, for use after training.

    Parameters are those of `batch_normalization_train`; `mean` and `var` have the shape of
    `gamma`.
    """
    x = _float_input(inputs)
    over = _axes(axes, x.ndim)
    scale, shift, centre, variance = (_parameter(p, x, over) for p in (gamma, beta, mean, var))
    return (x - centre) * (scale / sqrt(variance + epsilon)) + shift  # type: ignore


@in_float32
def layer_norm(x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1,
               epsilon: float = 1e-5) -> Variable:  # fmt: skip
    """``(x - mean) / sqrt(var + epsilon) * gamma + beta`` over `axis` (Ba et al., 2016).

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nnet.layer_norm(T.constant([[1.0, 3.0]]), epsilon=0).eval()
    array([[-1.,  1.]])
    """
    variable = _float_input(x)
    over = normal_axes(axis, variable.ndim, "layer_norm")
    centred = variable - mean_(variable, over, keepdims=True)  # type: ignore[operator]
    result = centred / sqrt(mean_(sqr(centred), over, keepdims=True) + epsilon)  # type: ignore
    if gamma is not None:
        result = result * gamma
    return result if beta is None else result + beta  # type: ignore[no-any-return]


@in_float32
def local_response_norm(
    x: Any, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, axis: int = 1
) -> Variable:
    """``x / (k + alpha s)^beta``, s the sum of squares over `n` neighbouring channels.

    Krizhevsky et al., 2012, section 3.3, with their constants by default. `n` is odd.
    """
    variable = _float_input(x)
    place = normal_axis(axis, variable.ndim, "local_response_norm")
    if n < 1 or n % 2 == 0:
        raise ArgumentError(f"local_response_norm: n={n} is not odd", at=user_frames())
    margin = [(0, 0)] * variable.ndim
    margin[place] = (n // 2, n // 2)
    square = pad(sqr(variable), margin)
    channels = dim(variable, place)
    before = (slice(None),) * place
    total: Any = 0
    for j in range(n):
        total = total + getitem(square, (*before, slice(j, channels + j)))
    return variable / (k + alpha * total) ** beta  # type: ignore[operator, no-any-return]
