"""Pooling of images: the largest, the sum or the mean of windows, over the last two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.convert import as_variable, need
from graphc.ops.convolutions import so_many
from graphc.ops.elementwise import cast
from graphc.ops.shape import dim, reshape

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def pooled_size(size: int, window: int, stride: int, pad: int, whole: bool) -> int:
    """How many windows an axis has; `whole` leaves out those that end outside.

    >>> pooled_size(5, 2, 2, 0, True), pooled_size(5, 2, 2, 0, False)
    (2, 3)
    """
    total = size + 2 * pad
    if whole:
        return max((total - window) // stride + 1, 0)
    if stride >= window:
        return (total - 1) // stride + 1 if total else 0
    return max((total - 1 - window) // stride + 1, 0) + 1 if total else 0


def _sizes(shape: Sequence[int | None], attrs: Attrs) -> list[int | None]:
    found = zip(shape[-2:], attrs["window"], attrs["stride"], attrs["pad"])
    return [None if n is None else pooled_size(n, *rest, attrs["whole"]) for n, *rest in found]


def spans(size: int, made: int, window: int, stride: int, pad: int) -> tuple[Any, Any, Any]:
    """Of each window along an axis: its first element, the one after its last, and how many
    it has with the padding."""
    start = np.arange(made) * stride
    stop = np.minimum(start + window, size + 2 * pad)
    low = np.maximum(start - pad, 0)
    return low, np.maximum(np.minimum(stop - pad, size), low), stop - start


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    shape = args[0].type.shape
    return TensorType(args[0].dtype, (*shape[:-2], *_sizes(shape, attrs)))


def _infer_back(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    shape = args[0].type.shape
    return TensorType(args[0].dtype, (*shape[:-2], static_int(args[1]), static_int(args[2])))


# --- meaning --------------------------------------------------------------------------


def _geometry(size: Sequence[int], attrs: Attrs) -> list[tuple[Any, Any, Any]]:
    """The spans along both axes of an input of a size."""
    made = _sizes(size, attrs)
    return [
        spans(size[a], made[a] or 0, attrs["window"][a], attrs["stride"][a], attrs["pad"][a])
        for a in (0, 1)
    ]


def _taps(size: Sequence[int], attrs: Attrs) -> Any:
    """For each place in a window: the rows and columns of an image that it meets, and which
    windows have it; others are sent to element 0."""
    (top, bottom, _), (left, right, _) = _geometry(size, attrs)
    for r, s in np.ndindex(*attrs["window"]):
        rows, columns = top + r, left + s
        inside = (rows < bottom)[:, None] & (columns < right)[None, :]
        yield np.where(rows < bottom, rows, 0), np.where(columns < right, columns, 0), inside


def _divisors(size: Sequence[int], attrs: Attrs, dtype: Any) -> Any:
    """By what each window's sum is divided."""
    rows, columns = _geometry(size, attrs)
    if attrs["mode"] == "sum":
        return np.ones((1, 1), dtype)
    if attrs["mode"] == "average_inc_pad":
        return np.outer(rows[2], columns[2]).astype(dtype)
    return np.outer(rows[1] - rows[0], columns[1] - columns[0]).astype(dtype)


def _pool_numpy(x: Any, **attrs: Any) -> Any:
    size, wide = x.shape[2:], x.dtype
    shape = (*x.shape[:2], *_sizes(size, attrs))
    total = np.zeros(shape, wide)
    for rows, columns, inside in _taps(size, attrs):
        if inside.any():
            total += np.where(inside, x[:, :, rows[:, None], columns], 0)
    return (total / _divisors(size, attrs, wide)).astype(x.dtype)


def _back_numpy(g: Any, height: Any, width: Any, **attrs: Any) -> Any:
    size, wide = (int(height), int(width)), g.dtype
    scaled = g / _divisors(size, attrs, wide)
    total = np.zeros((*g.shape[:2], *size), wide)
    for rows, columns, inside in _taps(size, attrs):
        if inside.any():
            np.add.at(total, (..., rows[:, None], columns), np.where(inside, scaled, 0))
    return total.astype(g.dtype)


def _least(dtype: Any) -> Any:
    return -np.inf if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min


def _max_numpy(x: Any, **attrs: Any) -> Any:
    size = x.shape[2:]
    best = np.full((*x.shape[:2], *_sizes(size, attrs)), _least(x.dtype), x.dtype)
    for rows, columns, inside in _taps(size, attrs):
        if inside.any():
            part = x[:, :, rows[:, None], columns]
            best = np.where(inside, np.maximum(best, part), best)
    return best


def _max_back_numpy(x: Any, y: Any, g: Any, **attrs: Any) -> Any:
    total = np.zeros(x.shape, g.dtype)
    for rows, columns, inside in _taps(x.shape[2:], attrs):
        if inside.any():
            hit = inside & (x[:, :, rows[:, None], columns] == y)
            np.add.at(total, (..., rows[:, None], columns), np.where(hit, g, 0))
    return total.astype(g.dtype)


def _max_pick_numpy(x: Any, y: Any, c: Any, **attrs: Any) -> Any:
    total = np.zeros(y.shape, c.dtype)
    for rows, columns, inside in _taps(x.shape[2:], attrs):
        if inside.any():
            hit = inside & (x[:, :, rows[:, None], columns] == y)
            total += np.where(hit, c[:, :, rows[:, None], columns], 0)
    return total.astype(c.dtype)


# --- ops ------------------------------------------------------------------------------


def _pool_vjp(g: Variable, out: Variable, x: Variable, **attrs: Any) -> Any:
    return (apply(pool_grad, (g, dim(x, 2), dim(x, 3)), attrs),)


def _back_vjp(c: Variable, out: Variable, g: Variable, *sizes: Variable, **attrs: Any) -> Any:
    return apply(_pool, (c,), attrs), None, None


_pool = declare(
    Op("pool", _infer, _pool_numpy, Host(), vjp=_pool_vjp,
       jvp=lambda t, out, x, **attrs: apply(_pool, (t[0],), attrs),
       formula="sum or mean of x over windows")
)  # fmt: skip
pool_grad = declare(
    Op("pool_grad", _infer_back, _back_numpy, Host(), vjp=_back_vjp,
       jvp=lambda t, out, g, *sizes, **attrs: apply(pool_grad, (t[0], *sizes), attrs),
       formula="gradient of pool with respect to its input of a height and width",
       size_args=lambda n, attrs: (1, 2))
)  # fmt: skip


def _max_vjp(g: Variable, out: Variable, x: Variable, **attrs: Any) -> Any:
    return (apply(pool_max_grad, (x, out, g), attrs),)


def _max_back_vjp(
    c: Variable, out: Variable, x: Variable, y: Variable, g: Variable, **attrs: Any
) -> Any:
    return None, None, apply(pool_max_pick, (x, y, c), attrs)


def _max_pick_vjp(
    c: Variable, out: Variable, x: Variable, y: Variable, g: Variable, **attrs: Any
) -> Any:
    return None, None, apply(pool_max_grad, (x, y, c), attrs)


def _like(k: int) -> Any:
    return lambda args, attrs: TensorType(args[2].dtype, args[k].type.shape)


def _of_third(name: str) -> Any:
    """The tangent of what is linear in its third operand and constant in the others nearly
    everywhere."""

    def push(t: Any, out: Variable, x: Variable, y: Variable, g: Variable, **attrs: Any) -> Any:
        return None if t[2] is None else apply(_THIRD[name], (x, y, t[2]), attrs)

    return push


_pool_max = declare(
    Op("pool_max", _infer, _max_numpy, Host(), vjp=_max_vjp,
       jvp=lambda t, out, x, **attrs: apply(pool_max_pick, (x, out, t[0]), attrs),
       formula="largest of x over windows; NaN if there is one")
)  # fmt: skip
pool_max_grad = declare(
    Op("pool_max_grad", _like(0), _max_back_numpy, Host(), vjp=_max_back_vjp,
       jvp=_of_third("pool_max_grad"),
       formula="each window's g at all of its elements that are its largest")
)  # fmt: skip
pool_max_pick = declare(
    Op("pool_max_pick", _like(1), _max_pick_numpy, Host(), vjp=_max_pick_vjp,
       jvp=_of_third("pool_max_pick"),
       formula="sum over windows of c where x is the largest of its window")
)  # fmt: skip
_THIRD = {"pool_max_grad": pool_max_grad, "pool_max_pick": pool_max_pick}


# --- what users call ------------------------------------------------------------------


def pool_2d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None,
    pad: Any = (0, 0), mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Variable:  # fmt: skip
    """One number for each window of the last two axes.

    Parameters
    ----------
    input : (..., height, width)
        Images; any axes may stand before.
    ws : int or pair of int
        The window's height and width. `ds` is an older name.
    ignore_border : bool
        Leave out windows that end outside; False, the default, keeps what is left of them.
    stride : pair of int, optional
        From window to window, by default `ws`. `st` is an older name.
    pad : pair of int
        Rows and columns around an image, less than a window; they are no candidates for the
        largest, and 0 in sums. They need ``ignore_border=True``. `padding` is an older name.
    mode : {"max", "sum", "average_inc_pad", "average_exc_pad"}
        What of the window; the means count the padding or not. The gradient of the largest
        goes to all elements that equal it.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.signal.pool.pool_2d(np.arange(16.0).reshape(4, 4), (2, 2), True).eval()
    array([[ 5.,  7.],
           [13., 15.]])
    """
    x = as_variable(input)
    window = so_many(ws if ws is not None else ds, 2, "ws")
    given = stride if stride is not None else st
    steps = window if given is None else so_many(given, 2, "stride")
    around = so_many(pad if padding is None else padding, 2, "pad", 0)
    check_pooling(x, window, around, bool(ignore_border), mode, "pool_2d")
    attrs: dict[str, Any] = {
        "window": window, "stride": steps, "pad": around, "whole": bool(ignore_border),
    }  # fmt: skip
    lead = [dim(x, k) for k in range(x.ndim - 2)]
    images = x if x.ndim == 4 else reshape(x, four_axes(x))
    if mode == "max":
        need(images.dtype not in dtypes.COMPLEX, [x], "pool_2d: complex numbers have no order")
        found = apply(_pool_max, (cast(images, counted(x.dtype)),), attrs)
    else:
        sums = images if mode == "sum" else cast(images, dtypes.float_for(x.dtype))
        found = apply(_pool, (cast(sums, counted(sums.dtype)),), {**attrs, "mode": mode})
    return found if x.ndim == 4 else reshape(found, [*lead, dim(found, 2), dim(found, 3)])


def counted(dtype: str) -> str:
    return "int8" if dtype == "bool" else dtype


def four_axes(x: Variable) -> list[Any]:
    """The shape of `x` with all that stands before its last two axes as one, or with ones."""
    last = [dim(x, x.ndim - 2), dim(x, x.ndim - 1)]
    if x.ndim < 4:
        return [*(1,) * (4 - x.ndim), *(dim(x, k) for k in range(x.ndim - 2)), *last]
    joined: Any = dim(x, 1)
    for k in range(2, x.ndim - 2):
        joined = joined * dim(x, k)
    return [dim(x, 0), joined, *last]


def check_pooling(
    x: Variable, window: Sequence[int], pad: Sequence[int], whole: bool, mode: str, what: str
) -> None:
    """Errors about arguments of a function that pools, along as many axes as `window` has."""
    if x.ndim < len(window):
        raise ShapeError(
            f"{what} needs {len(window)} axes or more: {describe(x)}", at=user_frames()
        )
    if mode not in MODES:
        raise ArgumentError(
            f"{what}: mode {mode!r} is none of {', '.join(MODES)}", at=user_frames()
        )
    if any(pad) and not whole:
        raise ArgumentError(
            f"{what}: pad={pad} needs ignore_border=True",
            "windows that end outside can't be told from those in the padding", user_frames(),
        )  # fmt: skip
    if any(p >= w for p, w in zip(pad, window)):
        raise ArgumentError(
            f"{what}: pad={pad} must be less than the window {window}", at=user_frames()
        )


def max_pool_2d(
    input: Any, ds: Any, ignore_border: bool = False, st: Any = None, padding: Any = (0, 0),
    mode: str = "max",
) -> Variable:  # fmt: skip
    """`pool_2d` under its older name."""
    return pool_2d(input, ds, ignore_border, st, padding, mode)
