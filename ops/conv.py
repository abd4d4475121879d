"""Convolution of images and of volumes, and the two gradients, which are ops of their own.

The ops correlate: a filter is turned by viewing it backwards before. All three take the
same attributes, and each one's derivatives are the other two. How many axes a filter moves
along is the length of the attribute `stride`: two for images, three for volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, TensorType, Variable
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.shape import dim

Pair = tuple[int, int]
Border = str | tuple[Pair, ...]

LAYOUTS = {2: "(batch, channels, height, width)", 3: "(batch, channels, depth, height, width)"}
"""What the axes of images and of volumes are."""


def border_of(border: Border, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[Pair, ...]:
    """The zeros before and after each axis, of a filter of a size.

    >>> border_of("half", (3, 5), (1, 1))
    ((1, 1), (2, 2))
    """
    if not isinstance(border, str):
        return border
    spans = [(k - 1) * d for k, d in zip(kernel, dilation)]
    halves = [(s + 1) // 2 for s in spans]
    counts = {"valid": [0] * len(spans), "half": halves, "full": spans}[border]
    return tuple((n, n) for n in counts)


def output_size(
    size: int | None, kernel: int | None, border: Border, stride: int, dilation: int, axis: int
) -> int | None:
    """The size of one axis of the result, or None; an error where the filter doesn't fit."""
    if size is None or kernel is None:
        return None
    pads = border_of(border, (kernel,), (dilation,))[axis if not isinstance(border, str) else 0]
    span = (kernel - 1) * dilation + 1
    room = size + sum(pads) - span
    if room < 0 or kernel < 1:
        raise ShapeError(
            f"a filter that spans {span} doesn't fit on an axis of {size} with "
            f"{pads[0]} + {pads[1]} zeros around",
            "border_mode='half' keeps the size, 'full' takes any",
        )
    return room // stride + 1


def _check_same(what: str, a: int | None, b: int | None, axes: int) -> None:
    if a is not None and b is not None and a != b:
        raise ShapeError(f"{what}: {a} and {b}", f"input is {LAYOUTS[axes]}")


def _channels(groups: int, per_group: int | None) -> int | None:
    return None if per_group is None else groups * per_group


def _result_type(x: TensorType, w: TensorType, dtype: str, attrs: Attrs) -> TensorType:
    (n, c, *sizes), (k, per_group, *kernel) = x.shape, w.shape
    _check_same(
        "the input's channels are not the filters' times num_groups",
        c, _channels(attrs["groups"], per_group), len(sizes),
    )  # fmt: skip
    if k is not None and k % attrs["groups"]:
        raise ShapeError(f"{k} filters can't be split into {attrs['groups']} groups")
    found = [
        output_size(sizes[a], kernel[a], attrs["border"], attrs["stride"][a],
                    attrs["dilation"][a], a)
        for a in range(len(sizes))
    ]  # fmt: skip
    return TensorType(dtype, (n, k, *found))


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return _result_type(args[0].type, args[1].type, args[0].dtype, attrs)


def _compare(found: TensorType, g: TensorType) -> None:
    for a, b in zip(found.shape, g.shape):
        _check_same("the gradient's shape is not that of the convolution", a, b, g.ndim - 2)


def _infer_input(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, w = args[0].type, args[1].type
    channels = _channels(attrs["groups"], w.shape[1])
    found = TensorType(g.dtype, (g.shape[0], channels, *map(static_int, args[2:])))
    _compare(_result_type(found, w, g.dtype, attrs), g)
    return found


def _infer_weight(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, g = args[0].type, args[1].type
    c = x.shape[1]
    if c is not None and c % attrs["groups"]:
        raise ShapeError(f"{c} channels can't be split into {attrs['groups']} groups")
    per_group = None if c is None else c // attrs["groups"]
    found = TensorType(g.dtype, (g.shape[1], per_group, *map(static_int, args[2:])))
    _compare(_result_type(x, found, g.dtype, attrs), g)
    return found


# --- meaning --------------------------------------------------------------------------


def padded(x: Any, kernel: Sequence[int], attrs: Attrs) -> Any:
    """Images with the zeros around them that a filter of a size wants."""
    pads = border_of(attrs["border"], kernel, attrs["dilation"])
    return np.pad(x, ((0, 0), (0, 0), *pads))


def cut(at: Sequence[int], size: Sequence[int], attrs: Attrs) -> tuple[slice, ...]:
    """Where in padded images the elements are that one tap of a filter meets."""
    found = []
    for k, n, stride, dilation in zip(at, size, attrs["stride"], attrs["dilation"]):
        found.append(slice(k * dilation, k * dilation + (n - 1) * stride + 1, stride))
    return (slice(None), slice(None), *found)


def grouped(x: Any, groups: int) -> Any:
    """Images as (groups, channels, batch, height, width)."""
    n, c, *size = x.shape
    parted = x.reshape(n, groups, c // groups, *size)
    return parted.transpose(1, 2, 0, *range(3, parted.ndim))


def _joined(x: Any) -> Any:
    """The way back from `grouped`."""
    groups, c, n, *size = x.shape
    return x.transpose(2, 0, 1, *range(3, x.ndim)).reshape(n, groups * c, *size)


def _times(a: Any, b: Any) -> Any:
    """Products of stacks of matrices; those of columns with rows, as groups of one channel have
    them, are no work for a library."""
    return a * b if a.shape[-1] == 1 else np.matmul(a, b)


def _numpy(x: Any, w: Any, **attrs: Any) -> Any:
    shape = _result_type(TensorType("", x.shape), TensorType("", w.shape), "", attrs).shape
    groups, wide = attrs["groups"], x.dtype
    image = padded(x, w.shape[2:], attrs)
    filters = w.astype(wide).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    total = np.zeros((groups, w.shape[0] // groups, shape[0], *shape[2:]), wide)
    for at in np.ndindex(*w.shape[2:]):
        part = grouped(image[cut(at, shape[2:], attrs)], groups)
        flat = part.reshape(*part.shape[:2], int(np.prod(part.shape[2:]))).astype(wide)
        total += _times(filters[(..., *at)], flat).reshape(total.shape)
    return _joined(total).astype(x.dtype)


def _numpy_input(g: Any, w: Any, *size: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], g.dtype
    shape = (g.shape[0], groups * w.shape[1], *map(int, size))
    found = _result_type(TensorType("", shape), TensorType("", w.shape), "", attrs)
    _compare(found, TensorType("", g.shape))
    pads = border_of(attrs["border"], w.shape[2:], attrs["dilation"])
    filters = w.astype(wide).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    upper = grouped(g, groups).astype(wide)
    flat = upper.reshape(*upper.shape[:2], int(np.prod(upper.shape[2:])))
    total = np.zeros((*shape[:2], *(n + sum(p) for n, p in zip(shape[2:], pads))), wide)
    for at in np.ndindex(*w.shape[2:]):
        made = _times(filters[(..., *at)].transpose(0, 2, 1), flat)
        total[cut(at, g.shape[2:], attrs)] += _joined(
            made.reshape(groups, w.shape[1], *upper.shape[2:])
        )
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(shape[2:], pads))
    return total[(slice(None), slice(None), *inside)].astype(g.dtype)


def _numpy_weight(x: Any, g: Any, *size: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], g.dtype
    shape = (g.shape[1], x.shape[1] // groups, *map(int, size))
    found = _result_type(TensorType("", x.shape), TensorType("", shape), "", attrs)
    _compare(found, TensorType("", g.shape))
    image = padded(x, shape[2:], attrs)
    upper = grouped(g, groups).astype(wide)
    flat = upper.reshape(*upper.shape[:2], int(np.prod(upper.shape[2:])))
    total = np.zeros((groups, shape[0] // groups, *shape[1:]), wide)
    for at in np.ndindex(*shape[2:]):
        part = grouped(image[cut(at, g.shape[2:], attrs)], groups)
        other = part.reshape(*part.shape[:2], flat.shape[2]).astype(wide)
        total[(..., *at)] = np.matmul(flat, other.transpose(0, 2, 1))
    return total.reshape(shape).astype(g.dtype)


# --- derivatives ----------------------------------------------------------------------


def _applied(kind: str, args: Sequence[Variable], attrs: Attrs) -> Variable:
    return apply(OPS[kind, len(attrs["stride"])], args, attrs)


def _input_gradient(g: Variable, w: Variable, like: Variable, attrs: Attrs) -> Variable:
    return _applied("grad_input", (g, w, *_sizes_of(like)), attrs)


def _weight_gradient(x: Variable, g: Variable, like: Variable, attrs: Attrs) -> Variable:
    return _applied("grad_weight", (x, g, *_sizes_of(like)), attrs)


def _sizes_of(x: Variable) -> list[Variable]:
    """The sizes of all axes but the first two."""
    return [dim(x, k) for k in range(2, x.ndim)]


def _vjp(g: Variable, out: Variable, x: Variable, w: Variable, **attrs: Any) -> Any:
    return _input_gradient(g, w, x, attrs), _weight_gradient(x, g, w, attrs)


def _vjp_input(
    c: Variable, out: Variable, g: Variable, w: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    nothing = (None,) * len(sizes)
    return _applied("forward", (c, w), attrs), _weight_gradient(c, g, w, attrs), *nothing


def _vjp_weight(
    c: Variable, out: Variable, x: Variable, g: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    nothing = (None,) * len(sizes)
    return _input_gradient(g, c, x, attrs), _applied("forward", (x, c), attrs), *nothing


def bilinear(of: Any) -> Any:
    """The tangent of an op that is linear in each of its first two operands; ``of(attrs)`` is
    the op."""

    def push(tangents: Any, out: Variable, a: Variable, b: Variable, *sizes: Any, **attrs: Any
             ) -> Variable:  # fmt: skip
        parts = []
        if tangents[0] is not None:
            parts.append(apply(of(attrs), (tangents[0], b, *sizes), attrs))
        if tangents[1] is not None:
            parts.append(apply(of(attrs), (a, tangents[1], *sizes), attrs))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator, no-any-return]

    return push


_KINDS: dict[str, tuple[str, Any, Any, Any]] = {
    "forward": ("", _infer, _numpy, _vjp),
    "grad_input": ("_grad_input", _infer_input, _numpy_input, _vjp_input),
    "grad_weight": ("_grad_weight", _infer_weight, _numpy_weight, _vjp_weight),
}
_FORMULAS = {
    ("forward", 2): (
        "sum over c, r, s of x[n, c, i stride + r dilation, j stride + s dilation] w[k, c, r, s]"
    ),
    ("forward", 3): (
        "sum over c, q, r, s of x[n, c, h stride + q dilation, i stride + r dilation, "
        "j stride + s dilation] w[k, c, q, r, s]"
    ),
    ("grad_input", 2): "gradient of conv2d with respect to its input of a height and width",
    ("grad_input", 3): "gradient of conv3d with respect to its input of a size",
    ("grad_weight", 2): "gradient of conv2d with respect to its filters of a height and width",
    ("grad_weight", 3): "gradient of conv3d with respect to its filters of a size",
}


def _declared(kind: str, axes: int) -> Op:
    suffix, infer, numpy, vjp = _KINDS[kind]
    sizes = None if kind == "forward" else lambda nargs, attrs: tuple(range(2, nargs))
    return declare(
        Op(f"conv{axes}d{suffix}", infer, numpy, Host(), vjp=vjp,
           jvp=bilinear(lambda attrs: OPS[kind, axes]), formula=_FORMULAS[kind, axes],
           size_args=sizes)
    )  # fmt: skip


OPS = {(kind, axes): _declared(kind, axes) for axes in (2, 3) for kind in _KINDS}
"""By what is computed, and along how many axes: the op."""
