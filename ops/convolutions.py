"""What users call to convolve: sequences, images and volumes, and the gradients by name.

A sequence is an image of one row. All functions take Theano's arguments; those about sizes
alone are compared with what is known, and nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.core.op import apply, static_int
from graphc.ops.conv import LAYOUTS, OPS, Border
from graphc.ops.convert import as_size, as_variable, operands
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem
from graphc.ops.shape import dimshuffle
from graphc.ops.unshared import unshared_conv2d as _unshared_conv2d
from graphc.ops.unshared import unshared_gradient_of_filters, unshared_gradient_of_input

_AXES = {1: "(batch, channels, length)", **LAYOUTS}
_FILTERS = {
    1: "(filters, channels, length)", 2: "(filters, channels, height, width)",
    3: "(filters, channels, depth, height, width)",
}  # fmt: skip
_COUNT = {1: "one integer", 2: "one or two integers", 3: "one or three integers"}

# --- arguments ------------------------------------------------------------------------


def so_many(value: Any, axes: int, what: str, least: int = 1) -> tuple[int, ...]:
    """One number for all axes, or one for each."""
    found = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    good = len(found) == axes and all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in found
    )
    if not good:
        raise ArgumentError(
            f"{what} must be {_COUNT[axes]} of at least {least}, not {value!r}",
            at=user_frames(),
        )
    return tuple(int(n) for n in found)


def normal_border(mode: Any, axes: int = 2) -> Border:
    """``border_mode`` in one form: a name, or the zeros before and after each axis."""
    if isinstance(mode, str):
        if mode in ("valid", "half", "full"):
            return mode
        known = mode == "same"
        raise ArgumentError(
            f"border_mode must be 'valid', 'half', 'full' or numbers of zeros, not {mode!r}",
            "border_mode='half' keeps the size of an input" if known else "", user_frames(),
        )  # fmt: skip
    if isinstance(mode, list | tuple) and any(isinstance(m, list | tuple) for m in mode):
        sides = [so_many(m, 2, "a side of border_mode", 0) for m in mode]
        if len(sides) != axes:
            raise ArgumentError(
                f"border_mode {mode!r} must have {axes} {'axis' if axes == 1 else 'axes'}",
                at=user_frames(),
            )
        return tuple((before, after) for before, after in sides)
    return tuple((n, n) for n in so_many(mode, axes, "border_mode", 0))


def _attributes(
    axes: int, border_mode: Any, subsample: Any, filter_dilation: Any, num_groups: Any
) -> dict[str, Any]:
    """The attributes of the ops; those of a sequence are an image's of one row."""
    if not isinstance(num_groups, int | np.integer) or num_groups < 1:
        raise ArgumentError(f"num_groups must be 1 or more, not {num_groups!r}", at=user_frames())
    border = normal_border(border_mode, axes)
    row = (1,) if axes == 1 else ()
    if axes == 1 and not isinstance(border, str):
        border = ((0, 0), *border)
    return {
        "border": border,
        "stride": (*row, *so_many(subsample, axes, "subsample")),
        "dilation": (*row, *so_many(filter_dilation, axes, "filter_dilation")),
        "groups": int(num_groups),
    }


def _images(values: Sequence[Any], axes: int, what: str) -> list[Variable]:
    """The operands in one dtype, and sequences as images of one row."""
    found = operands([as_variable(v) for v in values])
    for v in found:
        if v.ndim != axes + 2:
            raise ShapeError(
                f"{what}({', '.join(describe(v) for v in found)}): rank {v.ndim} is not {axes + 2}",
                f"an input is {_AXES[axes]}, filters {_FILTERS[axes]}; x.reshape or "
                "x.dimshuffle make axes",
                user_frames(),
            )
    meeting = dtypes.promote([v.dtype for v in found])
    found = [cast(v, "int8" if meeting == "bool" else meeting) for v in found]
    return [dimshuffle(v, 0, 1, "x", 2) if axes == 1 else v for v in found]


def _without_row(v: Variable, axes: int) -> Variable:
    return dimshuffle(v, 0, 1, 3) if axes == 1 else v


def turned(w: Variable, flip: bool, first: int = 2) -> Variable:
    """Filters viewed backwards along all axes from `first` on, if `flip`."""
    back = slice(None, None, -1)
    return getitem(w, (slice(None),) * first + (back,) * (w.ndim - first)) if flip else w


def _check_shape(v: Variable, shape: Any, what: str) -> None:
    """Compare what the user says about sizes with what is known of them."""
    if shape is not None and not isinstance(shape, Variable) and len(shape) != v.ndim:
        raise ShapeError(
            f"{what} {tuple(shape)} has {len(shape)} sizes, and it is {describe(v)}",
            "leave it out: sizes are taken from the values", user_frames(),
        )  # fmt: skip
    for a, n in enumerate(shape if isinstance(shape, list | tuple) else ()):
        known = v.type.shape[a]
        given = static_int(as_size(n, what)) if n is not None else None
        if None not in (known, given) and known != given:
            raise ShapeError(
                f"{what} says {tuple(shape)}, and it is {describe(v)}",
                "leave it out: sizes are taken from the values", user_frames(),
            )  # fmt: skip


def last_sizes(shape: Any, axes: int, what: str) -> list[Variable]:
    """The sizes of the last axes, given as such or at the end of a shape."""
    if shape is None:
        raise ArgumentError(f"{what}: the size of the result is not given", at=user_frames())
    if isinstance(shape, Variable):
        count = shape.type.shape[0] if shape.ndim == 1 else None
        if count is None:
            raise ArgumentError(
                f"{what}: {describe(shape)} is no shape of a known rank",
                "give a tuple, whose entries may be symbolic", user_frames(),
            )  # fmt: skip
        given: list[Any] = [shape[k] for k in range(count)]  # type: ignore[index]
    else:
        given = list(shape)
    if len(given) < axes:
        raise ArgumentError(
            f"{what}: {len(given)} sizes are given for {axes} axes", at=user_frames()
        )
    return [as_size(n, f"{what}: a size") for n in given[-axes:]]


# --- the three computations -----------------------------------------------------------


def convolved(
    axes: int, input: Any, filters: Any, border_mode: Any, subsample: Any, filter_flip: bool,
    filter_dilation: Any, num_groups: Any, shapes: tuple[Any, Any] = (None, None),
) -> Variable:  # fmt: skip
    """The convolution along so many axes."""
    given = [as_variable(input), as_variable(filters)]
    attrs = _attributes(axes, border_mode, subsample, filter_dilation, num_groups)
    x, w = _images(given, axes, f"conv{axes}d")
    for v, shape, what in zip(given, shapes, ("input_shape", "filter_shape")):
        _check_shape(v, shape, what)
    made = apply(OPS["forward", max(axes, 2)], (x, turned(w, filter_flip)), attrs)
    return _without_row(made, axes)


def gradient_of_input(
    axes: int, output_grad: Any, filters: Any, shape: Any, border_mode: Any = "valid",
    subsample: Any = 1, filter_flip: bool = True, filter_dilation: Any = 1,
    num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of a convolution with respect to an input whose last sizes are given."""
    what = f"conv{axes}d_grad_wrt_inputs"
    attrs = _attributes(axes, border_mode, subsample, filter_dilation, num_groups)
    size = last_sizes(shape, axes, what)
    if unshared:
        _two_axes(axes)
        return unshared_gradient_of_input(output_grad, filters, size, attrs, filter_flip)
    g, w = _images((output_grad, filters), axes, what)
    row = [as_size(1, what)] if axes == 1 else []
    args = (g, turned(w, filter_flip), *row, *size)
    return _without_row(apply(OPS["grad_input", max(axes, 2)], args, attrs), axes)


def gradient_of_filters(
    axes: int, input: Any, output_grad: Any, shape: Any, border_mode: Any = "valid",
    subsample: Any = 1, filter_flip: bool = True, filter_dilation: Any = 1,
    num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of a convolution with respect to filters whose last sizes are given."""
    what = f"conv{axes}d_grad_wrt_weights"
    attrs = _attributes(axes, border_mode, subsample, filter_dilation, num_groups)
    size = last_sizes(shape, axes, what)
    if unshared:
        _two_axes(axes)
        return unshared_gradient_of_filters(input, output_grad, size, attrs, filter_flip)
    x, g = _images((input, output_grad), axes, what)
    row = [as_size(1, what)] if axes == 1 else []
    made = apply(OPS["grad_weight", max(axes, 2)], (x, g, *row, *size), attrs)
    return turned(_without_row(made, axes), filter_flip)


def _two_axes(axes: int) -> None:
    if axes != 2:
        raise ArgumentError(
            f"unshared convolutions are there for images, not for conv{axes}d",
            "give a sequence an axis of size 1: x.dimshuffle(0, 1, 'x', 2)" if axes == 1 else "",
            user_frames(),
        )


# --- what users call ------------------------------------------------------------------


def conv2d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    image_shape: Any = None, filter_dilation: Any = (1, 1), num_groups: int = 1,
    unshared: bool = False,
) -> Variable:  # fmt: skip
    """The convolution of images with filters.

    ``out[n, k, i, j] = sum over c, r, s of x[n, c, i + r, j + s] w[k, c, -1 - r, -1 - s]``

    Parameters
    ----------
    input : (batch, channels, height, width)
        Images.
    filters : (filters, channels / num_groups, height, width)
        Filters. Unshared ones are (filters, output height, output width,
        channels / num_groups, height, width).
    input_shape, filter_shape : sequence, optional
        Sizes, each a number or None. Nothing depends on them; they are compared with what is
        known when the graph is declared. `image_shape` is an older name.
    border_mode : {"valid", "half", "full"}, int, or a tuple
        Zeros around an image: none, half a filter (which keeps the size for odd filters), a
        filter less one, or numbers: for all sides, for each axis, or for each side of each.
    subsample : pair of int
        The stride.
    filter_flip : bool
        Whether filters are turned by 180 degrees, as a convolution does; correlation
        doesn't.
    filter_dilation : pair of int
        The distance of neighbouring elements of a filter on an image.
    num_groups : int
        Channels and filters in so many groups, which don't meet.
    unshared : bool
        Whether every place of the result has filters of its own (a locally connected layer).

    Raises
    ------
    ShapeError
        If sizes that are known don't fit together.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> T.nnet.conv2d(x, w).eval()[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    shape = input_shape if input_shape is not None else image_shape
    if unshared:
        attrs = _attributes(2, border_mode, subsample, filter_dilation, num_groups)
        return _unshared_conv2d(input, filters, attrs, filter_flip)
    return convolved(
        2, input, filters, border_mode, subsample, filter_flip, filter_dilation, num_groups,
        (shape, filter_shape),
    )  # fmt: skip


def conv1d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = 1, filter_flip: bool = True,
    filter_dilation: Any = 1, num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The convolution of sequences (batch, channels, length) with filters (filters, channels /
    num_groups, length): `conv2d` with one axis.

    `border_mode` is a name as there, a number of zeros at both ends, or ``((before, after),)``.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, -1.0]]])
    >>> T.nnet.conv1d(x, w).eval()[0, 0]
    array([1., 1., 1., 1.])
    """
    return convolved(
        1, input, filters, border_mode, subsample, filter_flip, filter_dilation, num_groups,
        (input_shape, filter_shape),
    )  # fmt: skip


def causal_conv1d(
    input: Any, filters: Any, filter_shape: Any = None, input_shape: Any = None,
    subsample: Any = 1, filter_flip: bool = True, filter_dilation: Any = 1, num_groups: int = 1,
) -> Variable:  # fmt: skip
    """`conv1d` whose result at a time depends on no later time: all zeros stand before.

    The filters' length must be known: from `filters`, or from `filter_shape`.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.arange(5.0).reshape(1, 1, 5), np.ones((1, 1, 3))
    >>> T.nnet.causal_conv1d(x, w).eval()[0, 0]
    array([0., 1., 3., 6., 9.])
    """
    w = as_variable(filters)
    length = w.type.shape[-1] if w.ndim == 3 else None
    if length is None and filter_shape is not None:
        length = static_int(as_size(filter_shape[-1], "filter_shape"))
    if length is None:
        raise ArgumentError(
            f"causal_conv1d: the length of filters {describe(w)} is not known",
            "give filter_shape=(filters, channels, length)", user_frames(),
        )  # fmt: skip
    (dilation,) = so_many(filter_dilation, 1, "filter_dilation")
    return conv1d(
        input, filters, input_shape, filter_shape, (((length - 1) * dilation, 0),), subsample,
        filter_flip, dilation, num_groups,
    )  # fmt: skip


def conv3d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1, 1), filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1), num_groups: int = 1,
) -> Variable:  # fmt: skip
    """The convolution of volumes (batch, channels, depth, height, width) with filters (filters,
    channels / num_groups, depth, height, width): `conv2d` with three axes.

    ``out[n, k, h, i, j] = sum over c, q, r, s of
    x[n, c, h + q, i + r, j + s] w[k, c, -1 - q, -1 - r, -1 - s]``

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 2, 3, 3))
    >>> T.nnet.conv3d(x, w).eval().ravel()
    array([18., 18.])
    """
    return convolved(
        3, input, filters, border_mode, subsample, filter_flip, filter_dilation, num_groups,
        (input_shape, filter_shape),
    )  # fmt: skip
