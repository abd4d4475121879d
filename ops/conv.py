"""Convolution of images, and its two gradients, which are ops of their own.

The ops correlate: a filter is turned by viewing it backwards before. All three take the
same attributes, and each one's derivatives are the other two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.convert import as_size, as_variable, operands
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem
from graphc.ops.shape import dim

Pair = tuple[int, int]
Border = str | tuple[Pair, Pair]


def border_of(border: Border, kernel: Sequence[int], dilation: Pair) -> tuple[Pair, Pair]:
    """The zeros before and after each axis, of a filter of a size.

    >>> border_of("half", (3, 5), (1, 1))
    ((1, 1), (2, 2))
    """
    if not isinstance(border, str):
        return border
    spans = [(k - 1) * d for k, d in zip(kernel, dilation)]
    counts = {"valid": (0, 0), "half": [(s + 1) // 2 for s in spans], "full": spans}[border]
    return (counts[0], counts[0]), (counts[1], counts[1])


def output_size(
    size: int | None, kernel: int | None, border: Border, stride: int, dilation: int, axis: int
) -> int | None:
    """The size of one axis of the result, or None; an error where the filter doesn't fit."""
    if size is None or kernel is None:
        return None
    pads = border_of(border, (kernel, kernel), (dilation, dilation))[axis]
    span = (kernel - 1) * dilation + 1
    room = size + sum(pads) - span
    if room < 0 or kernel < 1:
        raise ShapeError(
            f"a filter that spans {span} doesn't fit on an axis of {size} with "
            f"{pads[0]} + {pads[1]} zeros around",
            "border_mode='half' keeps the size, 'full' takes any",
        )
    return room // stride + 1


def _check_same(what: str, a: int | None, b: int | None) -> None:
    if a is not None and b is not None and a != b:
        raise ShapeError(f"{what}: {a} and {b}", "input is (batch, channels, height, width)")


def _channels(groups: int, per_group: int | None) -> int | None:
    return None if per_group is None else groups * per_group


def _result_type(x: TensorType, w: TensorType, dtype: str, attrs: Attrs) -> TensorType:
    (n, c, *sizes), (k, per_group, *kernel) = x.shape, w.shape
    _check_same(
        "the input's channels are not the filters' times num_groups",
        c, _channels(attrs["groups"], per_group),
    )  # fmt: skip
    if k is not None and k % attrs["groups"]:
        raise ShapeError(f"{k} filters can't be split into {attrs['groups']} groups")
    found = [
        output_size(sizes[a], kernel[a], attrs["border"], attrs["stride"][a],
                    attrs["dilation"][a], a)
        for a in (0, 1)
    ]  # fmt: skip
    return TensorType(dtype, (n, k, *found))


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return _result_type(args[0].type, args[1].type, args[0].dtype, attrs)


def _compare(found: TensorType, g: TensorType) -> None:
    for a, b in zip(found.shape, g.shape):
        _check_same("the gradient's shape is not that of the convolution", a, b)


def _infer_input(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, w = args[0].type, args[1].type
    channels = _channels(attrs["groups"], w.shape[1])
    found = TensorType(g.dtype, (g.shape[0], channels, static_int(args[2]), static_int(args[3])))
    _compare(_result_type(found, w, g.dtype, attrs), g)
    return found


def _infer_weight(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, g = args[0].type, args[1].type
    c = x.shape[1]
    if c is not None and c % attrs["groups"]:
        raise ShapeError(f"{c} channels can't be split into {attrs['groups']} groups")
    per_group = None if c is None else c // attrs["groups"]
    kernel = static_int(args[2]), static_int(args[3])
    found = TensorType(g.dtype, (g.shape[1], per_group, *kernel))
    _compare(_result_type(x, found, g.dtype, attrs), g)
    return found


# --- meaning --------------------------------------------------------------------------


def _padded(x: Any, kernel: Sequence[int], attrs: Attrs) -> tuple[Any, tuple[Pair, Pair]]:
    pads = border_of(attrs["border"], kernel, attrs["dilation"])
    return np.pad(x, ((0, 0), (0, 0), *pads)), pads


def _tap(x: Any, at: Pair, size: Sequence[int], attrs: Attrs) -> Any:
    """The elements of a padded input that one tap of the filter meets, by group:
    (groups, channels, batch, height, width)."""
    cut = []
    for k, n, stride, dilation in zip(at, size, attrs["stride"], attrs["dilation"]):
        cut.append(slice(k * dilation, k * dilation + (n - 1) * stride + 1, stride))
    part = x[:, :, cut[0], cut[1]]
    return _grouped(part, attrs["groups"])


def _grouped(x: Any, groups: int) -> Any:
    n, c, *size = x.shape
    return x.reshape(n, groups, c // groups, *size).transpose(1, 2, 0, 3, 4)


def _numpy(x: Any, w: Any, **attrs: Any) -> Any:
    shape = _result_type(TensorType("", x.shape), TensorType("", w.shape), "", attrs).shape
    groups, wide = attrs["groups"], x.dtype
    padded, _ = _padded(x, w.shape[2:], attrs)
    filters = w.astype(wide).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    total = np.zeros((groups, w.shape[0] // groups, shape[0], *shape[2:]), wide)
    for at in np.ndindex(*w.shape[2:]):
        part = _tap(padded, at, shape[2:], attrs)
        flat = part.reshape(*part.shape[:2], int(np.prod(part.shape[2:]))).astype(wide)
        total += np.matmul(filters[(..., *at)], flat).reshape(total.shape)
    return total.transpose(2, 0, 1, 3, 4).reshape(shape).astype(x.dtype)


def _numpy_input(g: Any, w: Any, height: Any, width: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], g.dtype
    shape = (g.shape[0], groups * w.shape[1], int(height), int(width))
    found = _result_type(TensorType("", shape), TensorType("", w.shape), "", attrs)
    _compare(found, TensorType("", g.shape))
    pads = border_of(attrs["border"], w.shape[2:], attrs["dilation"])
    filters = w.astype(wide).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    upper = _grouped(g, groups).astype(wide)
    flat = upper.reshape(*upper.shape[:2], int(np.prod(upper.shape[2:])))
    total = np.zeros((*shape[:2], *(n + sum(p) for n, p in zip(shape[2:], pads))), wide)
    for at in np.ndindex(*w.shape[2:]):
        made = np.matmul(filters[(..., *at)].transpose(0, 2, 1), flat)
        part = _tap(total, at, g.shape[2:], attrs)  # grouping reshapes, which may copy
        part = (part + made.reshape(part.shape)).transpose(2, 0, 1, 3, 4)
        cut = [
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, n, s, d in zip(at, g.shape[2:], attrs["stride"], attrs["dilation"])
        ]
        total[:, :, cut[0], cut[1]] = part.reshape(*shape[:2], *g.shape[2:])
    (top, _), (left, _) = pads
    return total[:, :, top : top + shape[2], left : left + shape[3]].astype(g.dtype)


def _numpy_weight(x: Any, g: Any, height: Any, width: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], g.dtype
    shape = (g.shape[1], x.shape[1] // groups, int(height), int(width))
    found = _result_type(TensorType("", x.shape), TensorType("", shape), "", attrs)
    _compare(found, TensorType("", g.shape))
    padded, _ = _padded(x, shape[2:], attrs)
    upper = _grouped(g, groups).astype(wide)
    flat = upper.reshape(*upper.shape[:2], int(np.prod(upper.shape[2:])))
    total = np.zeros((groups, shape[0] // groups, *shape[1:]), wide)
    for at in np.ndindex(*shape[2:]):
        part = _tap(padded, at, g.shape[2:], attrs)
        other = part.reshape(*part.shape[:2], flat.shape[2]).astype(wide)
        total[(..., *at)] = np.matmul(flat, other.transpose(0, 2, 1))
    return total.reshape(shape).astype(g.dtype)


# --- derivatives ----------------------------------------------------------------------


def _input_gradient(g: Variable, w: Variable, like: Variable, attrs: Attrs) -> Variable:
    return apply(conv2d_grad_input, (g, w, dim(like, 2), dim(like, 3)), attrs)


def _weight_gradient(x: Variable, g: Variable, like: Variable, attrs: Attrs) -> Variable:
    return apply(conv2d_grad_weight, (x, g, dim(like, 2), dim(like, 3)), attrs)


def _vjp(g: Variable, out: Variable, x: Variable, w: Variable, **attrs: Any) -> Any:
    return _input_gradient(g, w, x, attrs), _weight_gradient(x, g, w, attrs)


def _vjp_input(
    c: Variable, out: Variable, g: Variable, w: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    return apply(_conv2d, (c, w), attrs), _weight_gradient(c, g, w, attrs), None, None


def _vjp_weight(
    c: Variable, out: Variable, x: Variable, g: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    return _input_gradient(g, c, x, attrs), apply(_conv2d, (x, c), attrs), None, None


def _jvp(op: Op) -> Any:
    """Of what is linear in each of its first two operands."""

    def push(tangents: Any, out: Variable, a: Variable, b: Variable, *sizes: Any, **attrs: Any
             ) -> Variable:  # fmt: skip
        parts = []
        if tangents[0] is not None:
            parts.append(apply(op, (tangents[0], b, *sizes), attrs))
        if tangents[1] is not None:
            parts.append(apply(op, (a, tangents[1], *sizes), attrs))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator, no-any-return]

    return push


def _declared(name: str, infer: Any, numpy: Any, vjp: Any, formula: str, sizes: Any) -> Op:
    return declare(
        Op(name, infer, numpy, Host(), vjp=vjp, formula=formula, size_args=sizes,
           jvp=lambda *a, **attrs: _jvp(_OPS[name])(*a, **attrs))
    )  # fmt: skip


def _sizes(nargs: int, attrs: Attrs) -> tuple[int, ...]:
    return 2, 3


_conv2d = _declared(
    "conv2d", _infer, _numpy, _vjp,
    "sum over c, r, s of x[n, c, i stride + r dilation, j stride + s dilation] w[k, c, r, s]",
    None,
)  # fmt: skip
conv2d_grad_input = _declared(
    "conv2d_grad_input", _infer_input, _numpy_input, _vjp_input,
    "gradient of conv2d with respect to its input of a height and width", _sizes,
)  # fmt: skip
conv2d_grad_weight = _declared(
    "conv2d_grad_weight", _infer_weight, _numpy_weight, _vjp_weight,
    "gradient of conv2d with respect to its filters of a height and width", _sizes,
)  # fmt: skip
_OPS = {op.name: op for op in (_conv2d, conv2d_grad_input, conv2d_grad_weight)}


# --- what users call ------------------------------------------------------------------


def two_numbers(value: Any, what: str, least: int = 1) -> Pair:
    """One number for both axes, or one for each."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    good = len(pair) == 2 and all(isinstance(n, int | np.integer) and n >= least for n in pair)
    if not good:
        raise ArgumentError(
            f"{what} must be one or two integers of at least {least}, not {value!r}",
            at=user_frames(),
        )
    return int(pair[0]), int(pair[1])


def normal_border(mode: Any) -> Border:
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
        sides = [two_numbers(m, "a side of border_mode", 0) for m in mode]
        if len(sides) != 2:
            raise ArgumentError(f"border_mode {mode!r} must have two axes", at=user_frames())
        return sides[0], sides[1]
    height, width = two_numbers(mode, "border_mode", 0)
    return (height, height), (width, width)


def _attributes(
    border_mode: Any, subsample: Any, filter_dilation: Any, num_groups: int, unshared: bool
) -> dict[str, Any]:
    if unshared:
        raise ArgumentError("unshared convolutions are not supported", at=user_frames())
    if not isinstance(num_groups, int | np.integer) or num_groups < 1:
        raise ArgumentError(f"num_groups must be 1 or more, not {num_groups!r}", at=user_frames())
    return {
        "border": normal_border(border_mode),
        "stride": two_numbers(subsample, "subsample"),
        "dilation": two_numbers(filter_dilation, "filter_dilation"),
        "groups": int(num_groups),
    }


def _images(values: Sequence[Any], what: str) -> list[Variable]:
    found = operands([as_variable(v) for v in values])
    for v in found:
        if v.ndim != 4:
            raise ShapeError(
                f"{what}({', '.join(describe(v) for v in found)}): rank {v.ndim} is not 4",
                "images are (batch, channels, height, width), filters (filters, channels, "
                "height, width); x.reshape or x.dimshuffle make axes",
                user_frames(),
            )
    meeting = dtypes.promote([v.dtype for v in found])
    return [cast(v, "int8" if meeting == "bool" else meeting) for v in found]


def _turned(w: Variable, flip: bool) -> Variable:
    back = slice(None, None, -1)
    return getitem(w, (slice(None), slice(None), back, back)) if flip else w


def _check_shape(v: Variable, shape: Any, what: str) -> None:
    """Compare what the user says about sizes with what is known of them."""
    for a, n in enumerate(shape or ()):
        known = v.type.shape[a]
        given = static_int(as_size(n, what)) if n is not None else None
        if None not in (known, given) and known != given:
            raise ShapeError(
                f"{what} says {tuple(shape)}, and it is {describe(v)}",
                "leave it out: sizes are taken from the values", user_frames(),
            )  # fmt: skip


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
        Filters.
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

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> T.nnet.conv2d(x, w).eval()[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    attrs = _attributes(border_mode, subsample, filter_dilation, num_groups, unshared)
    x, w = _images((input, filters), "conv2d")
    _check_shape(x, input_shape if input_shape is not None else image_shape, "input_shape")
    _check_shape(w, filter_shape, "filter_shape")
    return apply(_conv2d, (x, _turned(w, filter_flip)), attrs)


def conv2d_gradient_of_input(
    output_grad: Any, filters: Any, size: Sequence[Any], border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1),
    num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to images of a (height, width)."""
    attrs = _attributes(border_mode, subsample, filter_dilation, num_groups, unshared)
    g, w = _images((output_grad, filters), "conv2d_gradient_of_input")
    height, width = (as_size(n, "the size of the input") for n in size)
    return apply(conv2d_grad_input, (g, _turned(w, filter_flip), height, width), attrs)


def conv2d_gradient_of_filters(
    input: Any, output_grad: Any, size: Sequence[Any], border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1),
    num_groups: int = 1, unshared: bool = False,
) -> Variable:  # fmt: skip
    """The gradient of `conv2d` with respect to filters of a (height, width)."""
    attrs = _attributes(border_mode, subsample, filter_dilation, num_groups, unshared)
    x, g = _images((input, output_grad), "conv2d_gradient_of_filters")
    height, width = (as_size(n, "the size of the filters") for n in size)
    return _turned(apply(conv2d_grad_weight, (x, g, height, width), attrs), filter_flip)
