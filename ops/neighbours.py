"""Windows of images as rows of a matrix, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Attrs, Constant, TensorType, Variable, describe, user_frames
from graphc.core.op import Host, Op, apply, declare, static_int
from graphc.ops.convert import as_variable, unpack_sizes
from graphc.ops.convolutions import last_sizes
from graphc.ops.elementwise import cast
from graphc.ops.shape import dim

MODES = ("valid", "ignore_borders", "wrap_centered", "half", "full")


def _before(window: int, mode: str) -> int:
    """How far before an image the first window begins."""
    return {"wrap_centered": window // 2, "half": window // 2, "full": window - 1}.get(mode, 0)


def windows(size: int | None, window: int, step: int, mode: str) -> int | None:
    """How many windows an axis has; an error where the mode wants them to fit.

    >>> windows(10, 5, 5, "valid"), windows(10, 4, 3, "ignore_borders"), windows(7, 3, 2, "full")
    (2, 3, 5)
    """
    if size is None:
        return None
    if mode == "wrap_centered":
        if size < window:
            raise ShapeError(f"a window of {window} is larger than an axis of {size}")
        return -(-size // step)
    room = size + 2 * _before(window, mode) - window
    if room < 0 and mode == "ignore_borders":
        return 0
    if room < 0 or (mode != "ignore_borders" and room % step):
        raise ShapeError(
            f"windows of {window} with a step of {step} don't fit on an axis of {size} in mode "
            f"{mode!r}",
            "mode='ignore_borders' leaves out what is over",
        )
    return room // step + 1


def _counts(shape: Sequence[int | None], attrs: Attrs) -> list[int | None]:
    return [
        windows(n, k, s, attrs["mode"])
        for n, k, s in zip(shape[2:], attrs["window"], attrs["step"])
    ]


def _rows(shape: Sequence[int | None], attrs: Attrs) -> int | None:
    total = 1
    for n in (*shape[:2], *_counts(shape, attrs)):
        if n is None:
            return None
        total *= n
    return total


def _infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    x = args[0].type
    return TensorType(x.dtype, (_rows(x.shape, attrs), attrs["window"][0] * attrs["window"][1]))


def _infer_back(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    g, shape = args[0].type, tuple(map(static_int, args[1:]))
    wanted = _rows(shape, attrs), attrs["window"][0] * attrs["window"][1]
    for n, m in zip(wanted, g.shape):
        if None not in (n, m) and n != m:
            raise ShapeError(
                f"images of shape {shape} have windows of shape {wanted}, not {g.shape}",
                "original_shape and neib_shape are those of images2neibs",
            )
    return TensorType(g.dtype, shape)


# --- meaning --------------------------------------------------------------------------


def _taps(shape: Sequence[int], attrs: Attrs) -> Any:
    """For each place in a window: in which windows it meets an element, and which one. No two
    windows have one element at one place."""
    counts = _counts(shape, attrs)
    for at in np.ndindex(*attrs["window"]):
        having, found = [], []
        for a in (0, 1):
            place = np.arange(counts[a] or 0) * attrs["step"][a] + at[a]
            place = place - _before(attrs["window"][a], attrs["mode"])
            if attrs["mode"] == "wrap_centered":
                place = place % shape[2 + a]
            (number,) = np.nonzero((place >= 0) & (place < shape[2 + a]))
            having.append(number)
            found.append(place[number])
        everything = slice(None), slice(None)
        rows, columns = np.ix_(*having)
        yield (*everything, rows, columns, *at), (*everything, *np.ix_(*found))


def _numpy(x: Any, **attrs: Any) -> Any:
    made = np.zeros((*x.shape[:2], *_counts(x.shape, attrs), *attrs["window"]), x.dtype)
    for of_windows, of_image in _taps(x.shape, attrs):
        made[of_windows] = x[of_image]
    return made.reshape(_rows(x.shape, attrs), attrs["window"][0] * attrs["window"][1])


def _numpy_back(g: Any, *sizes: Any, **attrs: Any) -> Any:
    shape = tuple(map(int, sizes))
    parts = g.reshape(*shape[:2], *_counts(shape, attrs), *attrs["window"])
    total = np.zeros(shape, np.float32 if g.dtype == np.float16 else g.dtype)
    for of_windows, of_image in _taps(shape, attrs):
        total[of_image] += parts[of_windows]
    return total.astype(g.dtype)


# --- ops ------------------------------------------------------------------------------


def _vjp(g: Variable, out: Variable, x: Variable, **attrs: Any) -> Any:
    return (apply(_sum_of_windows, (g, *(dim(x, k) for k in range(4))), attrs),)


def _vjp_back(c: Variable, out: Variable, g: Variable, *sizes: Variable, **attrs: Any) -> Any:
    return apply(_windows, (c,), attrs), None, None, None, None


_windows = declare(
    Op("images2neibs", _infer, _numpy, Host(), vjp=_vjp,
       jvp=lambda t, out, x, **attrs: apply(_windows, (t[0],), attrs),
       formula="the windows of images, each as a row")
)  # fmt: skip
_sum_of_windows = declare(
    Op("neibs2images", _infer_back, _numpy_back, Host(), vjp=_vjp_back,
       jvp=lambda t, out, g, *sizes, **attrs: apply(_sum_of_windows, (t[0], *sizes), attrs),
       formula="images of a shape as the sums of their windows",
       size_args=lambda n, attrs: (1, 2, 3, 4))
)  # fmt: skip


# --- what users call ------------------------------------------------------------------


def _pair(value: Any, what: str) -> tuple[int, int]:
    found = [static_int(n) for n in unpack_sizes(value, what)]
    if len(found) != 2 or any(n is None or n < 1 for n in found):
        raise ArgumentError(
            f"{what} must be two numbers of at least 1, not {value!r}",
            "the size and the step of windows are known when a graph is declared", user_frames(),
        )  # fmt: skip
    return found[0] or 0, found[1] or 0


def _attributes(neib_shape: Any, neib_step: Any, mode: str) -> dict[str, Any]:
    if mode not in MODES:
        raise ArgumentError(
            f"images2neibs: mode {mode!r} is none of {', '.join(MODES)}", at=user_frames()
        )
    window = _pair(neib_shape, "neib_shape")
    step = window if neib_step is None else _pair(neib_step, "neib_step")
    if mode == "wrap_centered" and not all(n % 2 for n in window):
        raise ArgumentError(
            f"images2neibs: in mode 'wrap_centered' sizes of windows are odd, not {window}",
            at=user_frames(),
        )
    return {"window": window, "step": step, "mode": mode}


def images2neibs(
    ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid"
) -> Variable:
    """The windows of images, each as a row: (images * channels * windows, elements).

    Rows are in the order of images, channels, rows and columns of windows; elements in that of a
    window's rows and columns.

    Parameters
    ----------
    ten4 : (batch, channels, height, width)
        Images.
    neib_shape : pair of int
        The height and width of a window.
    neib_step : pair of int, optional
        From window to window, by default `neib_shape`.
    mode : {"valid", "ignore_borders", "wrap_centered", "half", "full"}
        Windows that lie inside and have to end at the image's end; the same, and what is over at
        the end is left out; windows around every `neib_step`-th element, where the image goes on
        with its other side; windows of images with half a window, or a window less one, of
        zeros around, which have to end at their end.

    Raises
    ------
    ShapeError
        If windows don't fit; for sizes that are not known before, when the function is called.

    Notes
    -----
    As ``theano.tensor.nnet.neighbours.images2neibs``.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> T.nnet.neighbours.images2neibs(np.arange(8.0).reshape(1, 1, 2, 4), (2, 2)).eval()
    array([[0., 1., 4., 5.],
           [2., 3., 6., 7.]])
    """
    x = as_variable(ten4)
    if x.ndim != 4:
        raise ShapeError(
            f"images2neibs: rank of {describe(x)} is not 4",
            "images are (batch, channels, height, width)", user_frames(),
        )  # fmt: skip
    x = cast(x, "int8" if x.dtype == "bool" else x.dtype)
    return apply(_windows, (x,), _attributes(neib_shape, neib_step, mode))


def neibs2images(
    neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid", neib_step: Any = None
) -> Variable:
    """Images from their windows: what `images2neibs` does backwards.

    Parameters
    ----------
    neibs : matrix
        The windows.
    neib_shape, mode, neib_step
        As `images2neibs` had them. Where windows share elements, these are added up; elements
        that are in no window are 0.
    original_shape : sequence of int
        The shape of the images, four numbers that may be symbolic.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> x = np.arange(8.0).reshape(1, 1, 2, 4)
    >>> rows = T.nnet.neighbours.images2neibs(x, (2, 2))
    >>> T.nnet.neighbours.neibs2images(rows, (2, 2), x.shape).eval()[0, 0]
    array([[0., 1., 2., 3.],
           [4., 5., 6., 7.]])
    """
    rows = as_variable(neibs)
    if rows.ndim != 2:
        raise ShapeError(f"neibs2images: {describe(rows)} is no matrix", at=user_frames())
    attrs = _attributes(neib_shape, neib_step, mode)
    sizes: list[Variable] = last_sizes(original_shape, 4, "neibs2images")
    known = [static_int(n) for n in sizes]
    args = [n if m is None else Constant(m, "int64") for n, m in zip(sizes, known)]
    rows = cast(rows, "int8" if rows.dtype == "bool" else rows.dtype)
    return apply(_sum_of_windows, (rows, *args), attrs)
