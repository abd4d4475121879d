"""Convolution with filters of its own for every place of the result, and its gradients.

Filters are (filters, output height, output width, channels / groups, height, width). The three
ops take the attributes of `conv`, correlate as those do, and each one's derivatives are the
other two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.conv import bilinear, border_of, cut, grouped, output_size, padded
from graphc.ops.convert import as_variable, operands
from graphc.ops.elementwise import cast
from graphc.ops.index import getitem
from graphc.ops.shape import dim

_NAMES = ("filters", "output height", "output width", "channels / groups", "height", "width")


def _made(x: Sequence[int | None], kernel: Sequence[int | None], attrs: Attrs) -> list[int | None]:
    return [
        output_size(x[2 + a], kernel[a], attrs["border"], attrs["stride"][a],
                    attrs["dilation"][a], a)
        for a in (0, 1)
    ]  # fmt: skip


def _filter_shape(x: TensorType, filters: int | None, kernel: Any, attrs: Attrs) -> Any:
    """The shape that filters have for images of a type."""
    c, groups = x.shape[1], attrs["groups"]
    for n, what in ((c, "channels"), (filters, "filters")):
        if n is not None and n % groups:
            raise ShapeError(f"{n} {what} can't be split into {groups} groups")
    made = _made(x.shape, kernel, attrs)
    return (filters, *made, None if c is None else c // groups, *kernel)


def _agree(wanted: Sequence[int | None], found: Sequence[int | None], names: Any) -> None:
    for n, m, name in zip(wanted, found, names):
        if n is not None and m is not None and n != m:
            raise ShapeError(
                f"unshared convolution: {name} must be {n}, and is {m}",
                f"unshared filters are ({', '.join(_NAMES)})",
            )


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, w = args[0].type, args[1].type
    wanted = _filter_shape(x, w.shape[0], w.shape[4:], attrs)
    _agree(wanted, w.shape, _NAMES)
    made = [n if n is not None else m for n, m in zip(wanted[1:3], w.shape[1:3])]
    return TensorType(args[0].dtype, (x.shape[0], w.shape[0], *made))


def _infer_input(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, w = args[0].type, args[1].type
    channels = None if w.shape[3] is None else w.shape[3] * attrs["groups"]
    found = TensorType(g.dtype, (g.shape[0], channels, *map(static_int, args[2:])))
    _agree(_filter_shape(found, w.shape[0], w.shape[4:], attrs), w.shape, _NAMES)
    _agree((w.shape[0], *w.shape[1:3]), g.shape[1:], _NAMES)
    return found


def _infer_weight(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x, g = args[0].type, args[1].type
    shape = _filter_shape(x, g.shape[1], tuple(map(static_int, args[2:])), attrs)
    _agree(shape[:3], g.shape[1:], _NAMES)
    made = [n if n is not None else m for n, m in zip(shape[1:3], g.shape[2:])]
    return TensorType(g.dtype, (shape[0], *made, *shape[3:]))


# --- meaning --------------------------------------------------------------------------


def _by_group(w: Any, groups: int) -> Any:
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _numpy(x: Any, w: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], x.dtype
    image, filters = padded(x, w.shape[4:], attrs), _by_group(w, groups)
    total = np.zeros((*filters.shape[:2], x.shape[0], *w.shape[1:3]), wide)
    for at in np.ndindex(*w.shape[4:]):
        part = grouped(image[cut(at, w.shape[1:3], attrs)], groups)
        total += np.einsum("gcnhw,gkhwc->gknhw", part, filters[(..., *at)], dtype=wide)
    return total.transpose(2, 0, 1, 3, 4).reshape(len(x), *w.shape[:3]).astype(x.dtype)


def _numpy_input(g: Any, w: Any, *size: Any, **attrs: Any) -> Any:
    groups, wide = attrs["groups"], g.dtype
    pads = border_of(attrs["border"], w.shape[4:], attrs["dilation"])
    upper, filters = grouped(g, groups), _by_group(w, groups)
    shape = (len(g), groups * w.shape[3], *(int(n) + sum(p) for n, p in zip(size, pads)))
    total = np.zeros(shape, wide)
    for at in np.ndindex(*w.shape[4:]):
        made = np.einsum("gknhw,gkhwc->ngchw", upper, filters[(..., *at)], dtype=wide)
        total[cut(at, w.shape[1:3], attrs)] += made.reshape(*shape[:2], *w.shape[1:3])
    inside = tuple(slice(before, before + int(n)) for n, (before, _) in zip(size, pads))
    return total[(slice(None), slice(None), *inside)].astype(g.dtype)


def _numpy_weight(x: Any, g: Any, *size: Any, **attrs: Any) -> Any:
    groups, wide, kernel = attrs["groups"], g.dtype, tuple(map(int, size))
    image, upper = padded(x, kernel, attrs), grouped(g, groups)
    total = np.zeros((*g.shape[1:], x.shape[1] // groups, *kernel), wide)
    for at in np.ndindex(*kernel):
        part = grouped(image[cut(at, g.shape[2:], attrs)], groups)
        made = np.einsum("gknhw,gcnhw->gkhwc", upper, part, dtype=wide)
        total[(..., *at)] = made.reshape(total.shape[:4])
    return total.astype(g.dtype)


# --- ops ------------------------------------------------------------------------------


def _input_gradient(g: Variable, w: Variable, like: Variable, attrs: Attrs) -> Variable:
    return apply(_OPS["grad_input"], (g, w, dim(like, 2), dim(like, 3)), attrs)


def _weight_gradient(x: Variable, g: Variable, like: Variable, attrs: Attrs) -> Variable:
    return apply(_OPS["grad_weight"], (x, g, dim(like, 4), dim(like, 5)), attrs)


def _vjp(g: Variable, out: Variable, x: Variable, w: Variable, **attrs: Any) -> Any:
    return _input_gradient(g, w, x, attrs), _weight_gradient(x, g, w, attrs)


def _vjp_input(
    c: Variable, out: Variable, g: Variable, w: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    return apply(_OPS["forward"], (c, w), attrs), _weight_gradient(c, g, w, attrs), None, None


def _vjp_weight(
    c: Variable, out: Variable, x: Variable, g: Variable, *sizes: Variable, **attrs: Any
) -> Any:
    return _input_gradient(g, c, x, attrs), apply(_OPS["forward"], (x, c), attrs), None, None


def _declared(kind: str, suffix: str, infer: Any, numpy: Any, vjp: Any, formula: str) -> Op:
    sizes = None if kind == "forward" else lambda nargs, attrs: (2, 3)
    return declare(
        Op(f"unshared_conv2d{suffix}", infer, numpy, Host(), vjp=vjp,
           jvp=bilinear(lambda attrs: _OPS[kind]), formula=formula, size_args=sizes)
    )  # fmt: skip


_OPS = {
    "forward": _declared(
        "forward", "", _infer, _numpy, _vjp,
        "sum over c, r, s of x[n, c, i stride + r dilation, j stride + s dilation] "
        "w[k, i, j, c, r, s]",
    ),
    "grad_input": _declared(
        "grad_input", "_grad_input", _infer_input, _numpy_input, _vjp_input,
        "gradient of unshared_conv2d with respect to its input of a height and width",
    ),
    "grad_weight": _declared(
        "grad_weight", "_grad_weight", _infer_weight, _numpy_weight, _vjp_weight,
        "gradient of unshared_conv2d with respect to its filters of a height and width",
    ),
}  # fmt: skip


# --- what the convolutions call -------------------------------------------------------


def _of_ranks(values: Sequence[Any], ranks: Sequence[int], what: str) -> list[Variable]:
    found = operands([as_variable(v) for v in values])
    for v, rank in zip(found, ranks):
        if v.ndim != rank:
            raise ShapeError(
                f"{what}({', '.join(describe(v) for v in found)}): rank {v.ndim} is not {rank}",
                f"unshared filters are ({', '.join(_NAMES)})", user_frames(),
            )  # fmt: skip
    meeting = dtypes.promote([v.dtype for v in found])
    return [cast(v, "int8" if meeting == "bool" else meeting) for v in found]


def _turned(w: Variable, flip: bool) -> Variable:
    back = slice(None, None, -1)
    return getitem(w, (slice(None),) * 4 + (back, back)) if flip else w


def unshared_conv2d(input: Any, filters: Any, attrs: Attrs, flip: bool) -> Variable:
    """The convolution of images with unshared filters."""
    x, w = _of_ranks((input, filters), (4, 6), "unshared conv2d")
    return apply(_OPS["forward"], (x, _turned(w, flip)), attrs)


def unshared_gradient_of_input(
    output_grad: Any, filters: Any, size: Sequence[Variable], attrs: Attrs, flip: bool
) -> Variable:
    """Its gradient with respect to images of a size."""
    g, w = _of_ranks((output_grad, filters), (4, 6), "conv2d_grad_wrt_inputs")
    return apply(_OPS["grad_input"], (g, _turned(w, flip), *size), attrs)


def unshared_gradient_of_filters(
    input: Any, output_grad: Any, size: Sequence[Variable], attrs: Attrs, flip: bool
) -> Variable:
    """Its gradient with respect to filters of a size."""
    x, g = _of_ranks((input, output_grad), (4, 4), "conv2d_grad_wrt_weights")
    return _turned(apply(_OPS["grad_weight"], (x, g, *size), attrs), flip)
