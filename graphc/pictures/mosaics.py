"""Images side by side: filters, and examples with what was predicted for them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    DIVERGING,
    GREY,
    INK,
    RED,
    SOFT,
    bare,
    colour_bar,
    drawn,
    sheet,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 0.07  # between images, in widths of one
_MOST = 16  # channels that are drawn beside each other


def _place(
    figure: Figure, tiles: Sequence[Array], columns: int, cell: float, below: float = 0.0,
    **options: Any,
) -> Axes:  # fmt: skip
    """Draw images at whole places of one pair of axes; `below` them is room for captions."""
    axes = figure.add_subplot()
    bare(axes)
    ratio = tiles[0].shape[0] / tiles[0].shape[1]
    step = (ratio + below / cell) + _GAP
    for k, tile in enumerate(tiles):
        left, top = k % columns * (1 + _GAP), k // columns * step
        axes.imshow(tile, extent=(left, left + 1, top + ratio, top), **options)
    rows = math.ceil(len(tiles) / columns)
    axes.set(xlim=(0, columns * (1 + _GAP) - _GAP), ylim=(rows * step - _GAP, 0), xticks=[],
             yticks=[], aspect="equal")  # fmt: skip
    return axes


def _grid(
    count: int, columns: int | None, shape: tuple[int, ...], least: float
) -> tuple[int, float]:  # fmt: skip
    """How many images stand side by side, and how wide each is in inches."""
    if columns is not None and (not isinstance(columns, int) or columns < 1):
        raise ArgumentError(f"columns is a positive integer, not {columns!r}", "", user_frames())
    ratio = shape[0] / shape[1]
    columns = min(count, columns or math.ceil(math.sqrt(1.6 * count * min(max(ratio, 0.3), 3))))
    return columns, float(np.clip(8 / columns, least, 1.1))


def _sheet(
    count: int, columns: int, cell: float, shape: tuple[int, ...], title: str | None,
    below: float = 0.0, beside: float = 0.0,
) -> Figure:  # fmt: skip
    rows = math.ceil(count / columns)
    height = rows * (cell * (shape[0] / shape[1] + _GAP) + below)
    width = columns * cell * (1 + _GAP) + 0.2 + beside
    return sheet(max(width, 2.4), height + 0.2 + 0.3 * bool(title), title)


@drawn
def filters(
    weights: Any, *, shape: Sequence[int] | None = None, scale: str = "common",
    channel: int | None = None, columns: int | None = None, limit: int = 64,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Learned filters as images.

    Three channels are the colours of an image, of which the smallest weight is the darkest. One
    channel is drawn around zero: red is positive, blue negative. Of other numbers of channels
    each is drawn, a row for each filter.

    Parameters
    ----------
    weights : array, (filters, channels, height, width) or (inputs, units)
        Those of a convolution, or with `shape` those of a dense layer; a shared variable too.
    shape : sequence of int, optional
        What the inputs of a unit are: (height, width) or (channels, height, width).
    scale : {"common", "individual"}
        Whether colours mean the same in all images, or each image uses all of them.
    channel : int, optional
        Draw only this one.
    columns : int, optional
        Images side by side.
    limit : int
        How many filters are drawn at most; the title says if there are more.

    Raises
    ------
    DataError
        For another rank, weights that don't fit the shape, no finite weight.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import pictures
    >>> figure = pictures.filters(np.random.standard_normal((6, 1, 5, 5)))
    >>> len(figure.axes[0].images)
    6
    """
    checks.one_of("scale", scale, ("common", "individual"))
    stack = _as_filters(weights, shape)
    count, channels = stack.shape[:2]
    notes = [f"{limit} of {count} filters"] if count > limit else []
    stack = stack[:limit]
    if channel is not None:
        if not -channels <= channel < channels:
            raise problem(f"channel={channel} of {channels}", f"0 to {channels - 1}")
        stack = stack[:, channel][:, None]
    colours = stack.shape[1] == 3
    if not colours and stack.shape[1] > 1:
        if channels > _MOST:
            notes.append(f"{_MOST} of {channels} channels")
        stack = stack[:, :_MOST]
    across = 1 if colours else stack.shape[1]
    tiles = [np.moveaxis(f, 0, -1) for f in stack] if colours else [c for f in stack for c in f]
    columns, cell = _grid(len(tiles), across if across > 1 else columns, tiles[0].shape, 0.4)
    if across > 1:
        cell = min(cell, 0.6)
    told = " · ".join([*([title] if title else []), *notes]) or None
    signed = scale == "common" and not colours
    figure = _sheet(
        len(tiles), columns, cell, tiles[0].shape, told, beside=0.7 * signed + 0.4 * (across > 1)
    )
    most = float(np.nanmax(np.abs(stack))) or 1.0
    if colours:
        axes = _place(figure, _coloured(tiles, scale), columns, cell)
    elif scale == "common":
        axes = _place(figure, tiles, columns, cell, cmap=DIVERGING, vmin=-most, vmax=most)
        part = min(1.0, 2.5 / figure.get_figheight())
        colour_bar(figure, axes.images[0], axes, "weight", shrink=part)
    else:
        tiles = [t / (np.nanmax(np.abs(t)) or 1.0) for t in tiles]
        axes = _place(figure, tiles, columns, cell, cmap=DIVERGING, vmin=-1, vmax=1)
    if across > 1:
        _label_rows(axes, len(stack), across, tiles[0].shape)
    return figure


def _as_filters(weights: Any, shape: Sequence[int] | None) -> Array:
    """(filters, channels, height, width), whatever was given."""
    if shape is None:
        hint = ("(filters, channels, height, width), or (inputs, units) with "
                "shape=(height, width)")  # fmt: skip
        array = checks.numbers("weights", weights, 3, 4, hint=hint)
        return (array[:, None] if array.ndim == 3 else array).astype(float)
    array = checks.numbers("weights", weights, 2, hint="(inputs, units); without shape= for others")
    if len(shape) not in (2, 3) or math.prod(shape) != array.shape[0]:
        raise problem(
            f"shape={tuple(shape)} for weights of shape {array.shape}: {array.shape[0]} inputs",
            f"(height, width) or (channels, height, width) with a product of {array.shape[0]}",
        )
    return array.T.reshape(array.shape[1], *([1] if len(shape) == 2 else []), *shape).astype(float)


def _coloured(tiles: Sequence[Array], scale: str) -> list[Array]:
    """Colours between 0 and 1."""
    groups = [np.stack(tiles)] if scale == "common" else [t[None] for t in tiles]
    found = []
    for group in groups:
        low, high = np.nanmin(group), np.nanmax(group)
        found += list(np.nan_to_num((group - low) / ((high - low) or 1.0)))
    return found


def _label_rows(axes: Axes, rows: int, across: int, shape: tuple[int, ...]) -> None:
    ratio = shape[0] / shape[1]
    every = math.ceil(rows / 32)
    axes.set_yticks([k * (ratio + _GAP) + ratio / 2 for k in range(0, rows, every)],
                    [str(k) for k in range(0, rows, every)])  # fmt: skip
    axes.set_xticks([k * (1 + _GAP) + 0.5 for k in range(across)], [str(k) for k in range(across)])
    axes.set(xlabel="channel", ylabel="filter")


@drawn
def images(
    batch: Any, labels: Any = None, predictions: Any = None, *, names: Sequence[Any] | None = None,
    shape: Sequence[int] | None = None, columns: int | None = None, limit: int = 100,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Images with captions; those of wrong predictions are red.

    Parameters
    ----------
    batch : array
        (n, height, width), (n, channels, height, width) or (n, height, width, channels) with 1 or
        3 channels; (n, pixels) with `shape`. Bytes are 0 to 255. Floats within 0 and 1 stay so,
        others are scaled from their smallest to their largest.
    labels, predictions : sequences, optional
        The class of each, as a number, or a text. Predictions may be scores, (n, classes).
    names : sequence, optional
        What the classes are called, where they are given by number.
    shape : sequence of int, optional
        (height, width) or (channels, height, width) of each row.
    columns : int, optional
        Images side by side.
    limit : int
        How many are drawn at most; the title says if there are more.

    Raises
    ------
    DataError
        For another rank, another number of labels than of images, labels without a name.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import pictures
    >>> figure = pictures.images(np.eye(4).reshape(2, 2, 4), labels=[0, 1], predictions=[0, 0])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '0, is 1']
    """
    tiles = as_images(batch, shape)
    count = len(tiles)
    captions, wrong = _captions(labels, predictions, names, count)
    notes = [f"{limit} of {count} images"] if count > limit else []
    tiles = tiles[:limit]
    columns, cell = _grid(len(tiles), columns, tiles[0].shape, 0.55 if captions else 0.35)
    size = 8.5 if cell > 0.7 else 7.0
    letters = max(4, int(cell * 72 / (0.68 * size)))
    texts = [_wrapped(c, letters) for c in captions[:limit]]
    deep = max((t.count("\n") + 1 for t in texts), default=0)
    below = 0.05 + deep * size * 1.25 / 72 if deep else 0.0
    told = " · ".join([*([title] if title else []), *notes]) or None
    figure = _sheet(len(tiles), columns, cell, tiles[0].shape, told, below)
    axes = _place(figure, list(tiles), columns, cell, below, cmap=GREY, vmin=0, vmax=1)
    ratio = tiles[0].shape[0] / tiles[0].shape[1]
    for k, text in enumerate(texts):
        axes.text(
            k % columns * (1 + _GAP) + 0.5,
            k // columns * (ratio + below / cell + _GAP) + ratio + 0.03 / cell,
            text, ha="center", va="top", fontsize=size, linespacing=1.1,
            color=RED if wrong[k] else INK if predictions is not None else SOFT,
            fontweight="bold" if wrong[k] else "normal",
        )  # fmt: skip
    return figure


def as_images(batch: Any, shape: Sequence[int] | None) -> Array:
    """(n, height, width) or (n, height, width, 3), between 0 and 1."""
    if shape is not None:
        rows = checks.numbers("batch", batch, 2, hint="(n, pixels) goes with shape=")
        if len(shape) not in (2, 3) or math.prod(shape) != rows.shape[1]:
            raise problem(f"shape={tuple(shape)} for rows of {rows.shape[1]} pixels",
                          "(height, width) or (channels, height, width)")  # fmt: skip
        array = rows.reshape(len(rows), *shape)
    else:
        array = checks.numbers(
            "batch", batch, 3, 4,
            hint="(n, height, width), (n, channels, height, width); one image is batch[None]; rows "
            "of pixels go with shape=(height, width)",
        )  # fmt: skip
    if array.ndim == 4:
        if array.shape[1] in (1, 3):
            array = np.moveaxis(array, 1, -1)
        if array.shape[-1] not in (1, 3):
            raise problem(f"batch has shape {array.shape}: neither 1 nor 3 channels",
                          "draw one channel: batch[:, 0]")  # fmt: skip
        array = array[..., 0] if array.shape[-1] == 1 else array
    if array.dtype == np.uint8:
        return array / 255
    array = array.astype(float)
    finite = array[np.isfinite(array)]
    low, high = min(finite.min(), 0.0), max(finite.max(), 1.0)
    if low < 0 or high > 1:
        low, high = finite.min(), finite.max()
    return np.clip(np.nan_to_num((array - low) / ((high - low) or 1.0)), 0, 1)


def _captions(
    labels: Any, predictions: Any, names: Sequence[Any] | None, count: int
) -> tuple[list[str], list[bool]]:
    """A text for each image, and whether its prediction is wrong."""
    wrong = [False] * count
    if predictions is not None and np.ndim(predictions) == 2:
        predictions = np.argmax(checks.numbers("predictions", predictions, 2), axis=1)
    told = [
        [_name(v, names, what) for v in checks.every(what, values, count, "images")]
        for what, values in (("labels", labels), ("predictions", predictions))
        if values is not None
    ]
    if len(told) < 2:
        return (told[0] if told else []), wrong
    wrong = [a != b for a, b in zip(*told)]
    return [f"{b}, is {a}" if bad else b for a, b, bad in zip(*told, wrong)], wrong


def _name(value: Any, names: Sequence[Any] | None, what: str) -> str:
    if names is None or isinstance(value, str):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if value != int(value) or not 0 <= value < len(names):
        raise problem(f"{what}: no name for class {value}; there are {len(names)} names",
                      "classes are numbered from 0")  # fmt: skip
    return str(names[int(value)])


def _wrapped(text: str, letters: int) -> str:
    """Two lines at most."""
    found = textwrap.wrap(text, letters) or [""]
    rest = [" ".join(found[1:])] if found[1:] else []
    return "\n".join(short(line, letters) for line in [found[0], *rest])
