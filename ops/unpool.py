"""Max pooling that says where the largest elements are, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.convert import as_variable, need
from graphc.ops.convolutions import last_sizes, so_many
from graphc.ops.elementwise import cast
from graphc.ops.pool import check_pooling, counted, four_axes, pool_2d, pooled_size, spans
from graphc.ops.shape import dim, reshape


def _made(shape: Sequence[int | None], attrs: Attrs) -> list[int | None]:
    found = zip(shape[-2:], attrs["window"], attrs["stride"], attrs["pad"])
    return [None if n is None else pooled_size(n, *rest, attrs["whole"]) for n, *rest in found]


def _infer_positions(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    shape = args[0].type.shape
    return TensorType("int64", (*shape[:-2], *_made(shape, attrs)))


def _positions_numpy(x: Any, **attrs: Any) -> Any:
    size = x.shape[2:]
    made = [n or 0 for n in _made(size, attrs)]
    (top, bottom, _), (left, right, _) = (
        spans(size[a], made[a], attrs["window"][a], attrs["stride"][a], attrs["pad"][a])
        for a in (0, 1)
    )
    best = np.zeros((*x.shape[:2], *made), x.dtype)
    found = np.full(best.shape, -1, "int64")
    for r, s in np.ndindex(*attrs["window"]):
        inside = (top + r < bottom)[:, None] & (left + s < right)
        if not inside.any():
            continue
        rows = np.where(top + r < bottom, top + r, 0)[:, None]
        columns = np.where(left + s < right, left + s, 0)
        part = x[:, :, rows, columns]
        better = inside & ((found < 0) | (part > best) | ((part != part) & (best == best)))
        best = np.where(better, part, best)
        found = np.where(better, rows * size[1] + columns, found)
    return found


_positions = declare(
    Op("pool_positions", _infer_positions, _positions_numpy, Host(),
       formula="where in an image the first largest element of each window is")
)  # fmt: skip


# --- the way back ---------------------------------------------------------------------


def _check_alike(x: TensorType, positions: TensorType) -> None:
    for n, m in zip(x.shape, positions.shape):
        if None not in (n, m) and n != m:
            raise ShapeError(
                f"values of shape {x.shape} and positions of shape {positions.shape} differ",
                "both are results of max_pool_2d_with_positions",
            )


def _infer_unpool(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x = args[0].type
    _check_alike(x, args[1].type)
    return TensorType(x.dtype, (*x.shape[:2], static_int(args[2]), static_int(args[3])))


def _infer_pick(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return TensorType(args[0].dtype, args[1].type.shape)


def _flat(positions: Any, count: int) -> Any:
    """Positions by image, checked; those of windows without elements are -1."""
    if positions.size and not (positions.min() >= -1 and positions.max() < count):
        raise IndexError(
            f"unpool_2d: position {positions.max()} or {positions.min()} is not in an image of "
            f"{count} elements"
        )
    images = int(np.prod(positions.shape[:2]))
    return positions.reshape(images, int(np.prod(positions.shape[2:])))


def _unpool_numpy(x: Any, positions: Any, *size: Any) -> Any:
    height, width = map(int, size)
    flat = _flat(positions, height * width)
    wide = np.dtype("float32") if x.dtype == np.float16 else x.dtype
    total = np.zeros((len(flat), height * width + 1), wide)
    np.add.at(total, (np.arange(len(flat))[:, None], flat), x.reshape(flat.shape))
    return total[:, :-1].reshape(*x.shape[:2], height, width).astype(x.dtype)


def _pick_numpy(g: Any, positions: Any) -> Any:
    count = g.shape[2] * g.shape[3]
    flat = _flat(positions, count)
    wide = np.concatenate([g.reshape(len(flat), count), np.zeros((len(flat), 1), g.dtype)], 1)
    return np.take_along_axis(wide, flat % (count + 1), 1).reshape(positions.shape)


def _unpool_vjp(
    g: Variable, out: Variable, x: Variable, positions: Variable, *sizes: Variable
) -> Any:
    return apply(_pick, (g, positions), {}), None, None, None


def _pick_vjp(c: Variable, out: Variable, g: Variable, positions: Variable) -> Any:
    return apply(_unpool, (c, positions, dim(g, 2), dim(g, 3)), {}), None


_unpool = declare(
    Op("unpool", _infer_unpool, _unpool_numpy, Host(), vjp=_unpool_vjp,
       jvp=lambda t, out, x, *rest: None if t[0] is None else apply(_unpool, (t[0], *rest), {}),
       formula="images of a size with the elements of x at positions, 0 elsewhere",
       size_args=lambda n, attrs: (2, 3), checks=True)
)  # fmt: skip
_pick = declare(
    Op("unpool_pick", _infer_pick, _pick_numpy, Host(), vjp=_pick_vjp,
       jvp=lambda t, out, g, p: None if t[0] is None else apply(_pick, (t[0], p), {}),
       formula="the elements of images at positions", checks=True)
)  # fmt: skip


# --- what users call ------------------------------------------------------------------


def max_pool_2d_with_positions(
    input: Any, ws: Any, ignore_border: bool = False, stride: Any = None, pad: Any = (0, 0)
) -> tuple[Variable, Variable]:
    """`pool_2d` in mode "max", and where the largest elements are, for `unpool_2d`.

    Parameters
    ----------
    input, ws, ignore_border, stride, pad
        As for `pool_2d`.

    Returns
    -------
    tuple of variable
        The largest elements, and the position of the first of them in each window as int64: its
        row times the image's width, and its column.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.array([[1.0, 4.0, 2.0, 0.0], [3.0, 2.0, 5.0, 1.0]])
    >>> values, positions = T.signal.pool.max_pool_2d_with_positions(x, (2, 2))
    >>> positions.eval()
    array([[1, 6]])
    """
    x = as_variable(input)
    what = "max_pool_2d_with_positions"
    window = so_many(ws, 2, "ws")
    steps = window if stride is None else so_many(stride, 2, "stride")
    around = so_many(pad, 2, "pad", 0)
    check_pooling(x, window, around, bool(ignore_border), "max", what)
    values = pool_2d(x, window, ignore_border, steps, around)
    images = x if x.ndim == 4 else reshape(x, four_axes(x))
    attrs = {"window": window, "stride": steps, "pad": around, "whole": bool(ignore_border)}
    found = apply(_positions, (cast(images, counted(x.dtype)),), attrs)
    return values, reshape(found, [dim(values, k) for k in range(values.ndim)])


def unpool_2d(input: Any, positions: Any, size: Any) -> Variable:
    """Images of a size that hold `input` at `positions`, and 0 elsewhere.

    Parameters
    ----------
    input : (..., rows, columns)
        What pooling made, or anything of that shape.
    positions : (..., rows, columns)
        Where to: those of `max_pool_2d_with_positions`. Values that meet are added up.
    size : sequence of int
        The height and width of the images, or their shape; may be symbolic.

    Notes
    -----
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.array([[1.0, 4.0, 2.0, 0.0], [3.0, 2.0, 5.0, 1.0]])
    >>> values, positions = T.signal.pool.max_pool_2d_with_positions(x, (2, 2))
    >>> T.signal.pool.unpool_2d(values, positions, x.shape).eval()
    array([[0., 4., 0., 0.],
           [0., 0., 5., 0.]])
    """
    x, p = as_variable(input), as_variable(positions)
    if x.ndim != p.ndim or x.ndim < 2:
        raise ArgumentError(
            f"unpool_2d: values {describe(x)} and positions {describe(p)} are not of one shape "
            "with two axes or more", at=user_frames(),
        )  # fmt: skip
    need(p.dtype == "int64", [p], "unpool_2d: positions are int64")
    height, width = last_sizes(size, 2, "unpool_2d")
    lead = [dim(x, k) for k in range(x.ndim - 2)]
    values, places = (v if v.ndim == 4 else reshape(v, four_axes(v)) for v in (x, p))
    made = apply(_unpool, (cast(values, counted(x.dtype)), places, height, width), {})
    return made if x.ndim == 4 else reshape(made, [*lead, height, width])
