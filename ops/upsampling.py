"""Images made larger: by repeating pixels, and by bilinear interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.ops.broadcast import alloc
from graphc.ops.conv import Pair
from graphc.ops.convert import as_variable
from graphc.ops.convolutions import gradient_of_input, so_many
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem
from graphc.ops.join import concatenate
from graphc.ops.shape import dim, dimshuffle, reshape


def upsample(input: Any, ratio: Any) -> Variable:
    """Every element of the last axes repeated: ``out[..., i, j] = x[..., i // a, j // b]``.

    Parameters
    ----------
    input : (..., height, width)
        Images; any axes may stand before.
    ratio : int or sequence of int
        How often along each of the last two axes; a longer sequence is for more last axes (three
        for volumes, one for sequences).

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.nnet.upsample(np.array([[1.0, 2.0]]), 2).eval()
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    x = as_variable(input)
    axes = len(ratio) if isinstance(ratio, list | tuple) and ratio else 2
    counts = _ratios(ratio, axes, "upsample: ratio")
    first = x.ndim - axes
    if first < 0:
        raise ShapeError(
            f"upsample: {describe(x)} has fewer than {axes} axes",
            "give as many ratios as axes", user_frames(),
        )  # fmt: skip
    lead = [dim(x, k) for k in range(first)]
    order: list[Any] = list(range(first))
    wide: list[Any] = list(lead)
    joined: list[Any] = list(lead)
    for k, count in enumerate(counts, first):
        order += [k, "x"]
        wide += [dim(x, k), count]
        joined.append(dim(x, k) * count)  # type: ignore[operator]
    return reshape(alloc(dimshuffle(x, *order), *wide), joined)


def _ratios(value: Any, axes: int, what: str) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if not all(isinstance(n, int | np.integer) and n >= 1 for n in found):
        raise ArgumentError(f"{what} must be integers of at least 1, not {value!r}",
                            at=user_frames())  # fmt: skip
    return tuple(int(n) for n in found)


# --- bilinear -------------------------------------------------------------------------


def _triangle(ratio: int) -> np.ndarray[Any, Any]:
    half = np.arange(1, ratio + 1)
    return np.concatenate([half, half[-2::-1]])


def bilinear_kernel_1D(ratio: int, normalize: bool = True) -> Variable:
    """The filter of `2 ratio - 1` elements that interpolates linearly: ``1, 2, ..., ratio, ...,
    2, 1``, divided by `ratio` if `normalize`.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.nnet.abstract_conv.bilinear_kernel_1D(2).eval()
    array([0.5, 1. , 0.5])
    """
    (count,) = so_many(ratio, 1, "ratio")
    values = _triangle(count) / (count if normalize else 1)
    return Constant(dtypes.convert(values, dtypes.float_x()))


def bilinear_kernel_2D(ratio: Any, normalize: bool = True) -> Variable:
    """The outer product of two such filters; `ratio` is a number or one for each axis."""
    rows, columns = so_many(ratio, 2, "ratio")
    values = np.outer(_triangle(rows), _triangle(columns))
    scaled = values / (rows * columns if normalize else 1)
    return Constant(dtypes.convert(scaled, dtypes.float_x()))


def bilinear_upsampling(
    input: Any, ratio: Any = None, frac_ratio: Any = None, batch_size: Any = None,
    num_input_channels: Any = None, use_1D_kernel: bool = True,
) -> Variable:  # fmt: skip
    """Images made larger by a ratio, with linear interpolation along rows and columns.

    Element i of a result along an axis of size n is the input at the place ``(i - (ratio - 1) //
    2) / ratio``, with its ends continued.

    Parameters
    ----------
    input : (batch, channels, height, width)
        Images.
    ratio : int, optional
        By how much height and width grow.
    frac_ratio : pair, or pair of pairs, of int, optional
        Instead of `ratio`: a numerator and a denominator, for both axes or for each. Of what the
        numerator makes, every element whose number the denominator divides is taken.
    batch_size, num_input_channels : int, optional
        Nothing depends on them.
    use_1D_kernel : bool
        Theano's choice between one pass and two, of the same result; here it is always two.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> T.nnet.abstract_conv.bilinear_upsampling(x, 2).eval()[0, 0]
    array([[1. , 1.5, 2. , 2. ],
           [2. , 2.5, 3. , 3. ],
           [3. , 3.5, 4. , 4. ],
           [3. , 3.5, 4. , 4. ]])
    """
    x = as_variable(input)
    if x.ndim != 4:
        raise ShapeError(
            f"bilinear_upsampling: rank of {describe(x)} is not 4",
            "images are (batch, channels, height, width)", user_frames(),
        )  # fmt: skip
    if (ratio is None) == (frac_ratio is None):
        raise ArgumentError("bilinear_upsampling: give ratio or frac_ratio", at=user_frames())
    fractions = _fractions(frac_ratio) if ratio is None else _whole(ratio)
    x = cast(x, dtypes.float_for(x.dtype))
    lead = [dim(x, 0), dim(x, 1)]
    # Channels are a batch's images of one channel: so blocks of images are full.
    up = reshape(x, [lead[0] * lead[1], 1, dim(x, 2), dim(x, 3)])  # type: ignore[operator]
    for axis, (numerator, denominator) in zip((2, 3), fractions):
        up = _stretched(up, axis, numerator)
        if denominator > 1:
            part = (slice(None),) * axis + (slice(None, None, denominator),)
            up = getitem(up, part)
    return reshape(up, [*lead, dim(up, 2), dim(up, 3)])


def _whole(ratio: Any) -> list[Pair]:
    return [(n, 1) for n in so_many(ratio, 2, "bilinear_upsampling: ratio")]


def _fractions(value: Any) -> list[Pair]:
    """Numerators and denominators for both axes, in lowest terms."""
    entries: Sequence[Any] = value if isinstance(value, list | tuple) else ()
    pairs = entries if entries and isinstance(entries[0], list | tuple) else [entries] * 2
    if len(pairs) != 2 or any(len(p) != 2 for p in pairs):
        raise ArgumentError(
            f"bilinear_upsampling: frac_ratio {value!r} is no (numerator, denominator)",
            "give a pair of integers, or one pair for each axis", user_frames(),
        )  # fmt: skip
    found = [so_many(p, 2, "bilinear_upsampling: frac_ratio") for p in pairs]
    return [(n // math.gcd(n, d), d // math.gcd(n, d)) for n, d in found]


def _stretched(x: Variable, axis: int, ratio: int) -> Variable:
    """One axis of images of one channel, `ratio` times as long."""
    if ratio == 1:
        return x
    before = (slice(None),) * axis
    first, last = (getitem(x, (*before, part)) for part in (slice(None, 1), slice(-1, None)))
    pad = 2 * ratio - (ratio - 1) // 2 - 1
    shape, border, stride = [1, 1, 1, 1], [0, 0], [1, 1]
    shape[axis], border[axis - 2], stride[axis - 2] = 2 * ratio - 1, pad, ratio
    kernel = (_triangle(ratio) / ratio).astype(dtypes.numpy_dtype(x.dtype)).reshape(shape)
    sizes: list[Any] = [dim(x, 2), dim(x, 3)]
    sizes[axis - 2] = sizes[axis - 2] * ratio
    wide = concatenate([first, x, last], axis)
    return gradient_of_input(
        2, wide, Constant(kernel), sizes, tuple(border), tuple(stride), filter_flip=False
    )
