"""Matrices with names along their sides: attention and confusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    INK,
    PAPER,
    SEQUENTIAL,
    SOFT,
    bare,
    colour_bar,
    drawn,
    library,
    names_along,
    panels,
    sheet,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def attention(
    weights: Any, *, rows: Sequence[Any] | None = None, columns: Sequence[Any] | None = None,
    names: Sequence[Any] | None = None, title: str | None = None,
) -> Figure:  # fmt: skip
    """Attention maps, one for each head, with common colours from 0 on.

    Parameters
    ----------
    weights : array, (queries, keys) or (heads, queries, keys)
        Row by row, how much each query attends to each key.
    rows, columns : sequences, optional
        The tokens of queries and keys.
    names : sequence, optional
        What the heads are called.

    Raises
    ------
    DataError
        For another rank, or other numbers of tokens.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import pictures
    >>> figure = pictures.attention(np.eye(3), rows=["the", "cat", "sat"])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['the', 'cat', 'sat']
    """
    array = checks.numbers(
        "weights", weights, 2, 3, hint="(heads, queries, keys) of one example: weights[0]"
    ).astype(float)
    heads = array[None] if array.ndim == 2 else array
    count, height, width = heads.shape
    down = _tokens("rows", rows, height)
    across = _tokens("columns", columns, width)
    labels = [f"head {k}" for k in range(count)] if names is None else [
        str(n) for n in checks.every("names", names, count, "heads")
    ]  # fmt: skip
    most = 4.6 if count == 1 else 3.4 if count <= 4 else 2.5
    wide = float(np.clip(0.28 * width, 1.4, most))
    tall = float(np.clip(wide * height / width, 1.1, most))
    letters = 12 if count > 4 else 18
    room = 0.075 * min(letters, max(map(len, down)))
    under = 0.06 * min(letters, max(map(len, across)))
    abreast = min(4, math.ceil(math.sqrt(count)) if count > 3 else count)
    high = math.ceil(count / abreast)
    headed = 0.3 * (count > 1 or names is not None)
    figure, grid = panels(
        count, wide + 0.2 + (room + 1.0) / abreast, tall + 0.1 + headed + (under + 0.35) / high,
        abreast, title,
    )  # fmt: skip
    top = float(np.nanmax(heads))
    for k, (head, axes) in enumerate(zip(heads, grid)):
        bare(axes)
        axes.imshow(head, cmap=SEQUENTIAL, vmin=min(0.0, float(np.nanmin(heads))), vmax=top,
                    aspect="auto" if max(height, width) > 4 * min(height, width) else "equal",
                    interpolation="nearest")  # fmt: skip
        axes.set(xticks=[], yticks=[])
        if k % abreast == 0:
            names_along(axes, "y", down, tall, letters)
        if k + abreast >= count:
            names_along(axes, "x", across, wide, letters)
        if count > 1 or names is not None:
            axes.set_title(short(labels[k], 24))
        if k % abreast == 0 and rows is None:
            axes.set_ylabel("query")
        if k + abreast >= count and columns is None:
            axes.set_xlabel("key")
    whole = high * tall
    colour_bar(figure, grid[0].images[0], grid, "weight", shrink=min(1.0, 3 / whole),
               aspect=max(6, min(3, whole) / 0.14), fraction=0.15 / abreast)  # fmt: skip
    return figure


def _tokens(what: str, given: Sequence[Any] | None, count: int) -> list[str]:
    if given is None:
        return [str(k) for k in range(count)]
    return [str(t) for t in checks.every(what, given, count, f"{what} of the weights")]


@drawn
def confusion(
    matrix: Any, *, names: Sequence[Any] | None = None, title: str | None = None
) -> Figure:  # fmt: skip
    """A confusion matrix: counts and, as colours too, their parts of a row.

    Up to 12 classes, counts and percentages stand in the cells; up to 25, counts. Beyond, colours
    alone do, and the most frequent confusions are listed.

    Parameters
    ----------
    matrix : array of counts, (classes, classes)
        Rows are true classes, columns predicted ones.
    names : sequence, optional
        What the classes are called.

    Raises
    ------
    DataError
        If it isn't square, has negative or only zero counts, or other names than classes.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.confusion([[9, 1], [2, 8]], names=["cat", "dog"])
    >>> print(figure.axes[0].texts[1].get_text(), figure.axes[0].get_title(loc="left"), sep="\\n")
    1
    10%
    accuracy 85.0% of 20
    """
    counts = checks.numbers("matrix", matrix, 2, hint="(classes, classes)").astype(float)
    if counts.shape[0] != counts.shape[1]:
        raise problem(f"matrix has shape {counts.shape}: a confusion matrix is square",
                      "rows are true classes, columns predicted ones")  # fmt: skip
    if not np.isfinite(counts).all() or counts.min() < 0 or not counts.any():
        raise problem(f"matrix holds values from {counts.min():g} to {counts.max():g}",
                      "counts are finite, not negative and not all zero")  # fmt: skip
    size = len(counts)
    called = checks.class_names(names, size)
    rows = counts.sum(axis=1, keepdims=True)
    parts = np.divide(counts, rows, out=np.full_like(counts, np.nan), where=rows > 0)
    side = float(np.clip(0.62 * size, 1.8, 6.6 if size <= 25 else 7.4))
    room = 0.075 * min(18, max(map(len, called)))
    listed = size > 25
    height = max(side + 0.8 * room + 0.8, 2.6) + 0.3 * bool(title)
    figure = sheet(side + room + 1.5 + 2.0 * listed, height, title)
    axes = figure.add_subplot()
    bare(axes)
    # Rare confusions among many classes are seen by the root's steep start.
    norm = library("colors").PowerNorm(0.5 if listed else 1.0, 0, 1)
    image = axes.imshow(parts, cmap=SEQUENTIAL, norm=norm, interpolation="nearest")
    names_along(axes, "y", called, side)
    names_along(axes, "x", called, side)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"accuracy {np.trace(counts) / counts.sum():.1%} of {counts.sum():,.0f}")
    percent = library("ticker").PercentFormatter(1.0)
    colour_bar(figure, image, axes, "part of the true class", format=percent, shrink=0.8,
               aspect=max(8, side * 6))  # fmt: skip
    if listed:
        _list_confusions(figure, counts, called)
    else:
        _write_cells(axes, counts, parts, side / size)
    return figure


def _write_cells(axes: Axes, counts: Array, parts: Array, inches: float) -> None:
    """Counts, and percentages where there is room for them."""
    size = len(counts)
    widest = len(f"{counts.max():.0f}")
    letters = float(np.clip(inches * 72 / (0.7 * max(widest, 4 if size <= 12 else 3)), 4.5, 8.5))
    for (i, j), count in np.ndenumerate(counts):
        if count or size <= 12:
            text = f"{count:.0f}" if count == round(count) else f"{count:.3g}"
            if size <= 12 and count:
                text += "\n<1%" if parts[i, j] < 0.005 else f"\n{parts[i, j]:.0%}"
            dark = not np.isnan(parts[i, j]) and parts[i, j] > 0.55
            axes.text(j, i, text, ha="center", va="center", fontsize=letters, linespacing=1.15,
                      color=PAPER if dark else INK if count else SOFT)  # fmt: skip


def _list_confusions(figure: Figure, counts: Array, names: Sequence[str], most: int = 20) -> None:
    """The most frequent ones beside the matrix."""
    wrong = counts * (1 - np.eye(len(counts)))
    order = [k for k in np.argsort(-wrong, axis=None, kind="stable")[:most] if wrong.flat[k]]
    told = [f"{wrong.flat[k]:,.0f}  {short(names[k // len(counts)], 14)} as "
            f"{short(names[k % len(counts)], 14)}" for k in order]  # fmt: skip
    figure.legend(
        [library("lines").Line2D([], [], linestyle="")] * len(told), told, handlelength=0,
        loc="outside right center", title="most frequent confusions", alignment="left",
        handletextpad=0, fontsize=7.5, title_fontsize=8.5,
    )  # fmt: skip
