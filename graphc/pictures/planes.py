"""Pictures of a plane: what a classifier decides, and how optimisers move over a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    FAINT,
    INK,
    PALETTE,
    PAPER,
    SOFT,
    colour_bar,
    drawn,
    library,
    lines,
    marker,
    sheet,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KEYS = 20  # classes that a legend names at most


@drawn
def decision_regions(
    predict: Callable[[Array], Any], x: Any, y: Any, *, names: Sequence[Any] | None = None,
    axes_names: Sequence[str] = ("x₀", "x₁"), resolution: int = 200, margin: float = 0.1,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Which class a classifier of points gives to each place, and the points on top.

    Parameters
    ----------
    predict : function from (n, 2) to (n,) or (n, classes)
        It gives classes; or probabilities or scores of each class, of which the largest wins; or
        one float per row: a score that is positive for class 1, or, if all lie between 0 and 1,
        its probability. The surer the probabilities, the stronger the colour.
    x : array, (n, 2)
        The points. Places are asked for in their dtype.
    y : sequence, (n,)
        Their classes: numbers from 0, or other labels, which are numbered in their order.
    names : sequence, optional
        What the classes are called.
    axes_names : two str
        What the coordinates are called.
    resolution : int
        Places along each axis.
    margin : float
        Room around the points, as a part of their range.

    Raises
    ------
    DataError
        If `x` isn't (n, 2), `y` has another length, or `predict` gives another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import pictures
    >>> x = np.random.standard_normal((20, 2))
    >>> figure = pictures.decision_regions(lambda x: x[:, 0] > 0, x, x[:, 0] > 0)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['False', 'True']
    """
    points = checks.numbers("x", x, 2, hint="(n, 2)")
    if points.shape[1] != 2:
        raise problem(f"x has shape {points.shape}: two coordinates can be drawn",
                      "x[:, :2], or pictures.embedding for more")  # fmt: skip
    if points.dtype.kind != "f":
        points = points.astype(float)
    labels = np.asarray(checks.every("y", y, len(points), "rows of x"))
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    room = margin * np.where(high > low, high - low, 1.0)
    low, high = low - room, high + room
    across, up = (np.linspace(a, b, resolution, dtype=points.dtype) for a, b in zip(low, high))
    places = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    answer, sure, counted = _decided(predict(places), len(places))
    known, answer, numbered = _numbered(labels, answer, counted)
    called = [str(k) for k in known] if names is None else checks.class_names(names, len(known))
    figure = sheet(6.2, 4.8, title)
    axes = figure.add_subplot()
    lines(axes, "")
    to_rgb = library("colors").to_rgb
    colours = np.array([to_rgb(marker(k)["color"]) for k in range(len(known))])
    strength = (0.12 + 0.33 * sure)[:, None]
    image = 1 - strength * (1 - colours[answer])
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(image.reshape(resolution, resolution, 3), extent=extent, origin="lower",
                aspect="auto", interpolation="bilinear")  # fmt: skip
    for k in np.unique(answer)[1:]:  # the last boundary is that of all others
        inside = (answer == k).reshape(resolution, resolution)
        axes.contour(across, up, inside, [0.5], colors=[PAPER], linewidths=1.2)
    for k, name in enumerate(called):
        axes.scatter(*points[numbered == k].T, s=20, edgecolor=PAPER, linewidth=0.6,
                     label=short(name, 24), **marker(k))  # fmt: skip
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel=axes_names[0], ylabel=axes_names[1])
    if len(known) <= _KEYS:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="class", alignment="left")
    return figure


def _decided(given: Any, count: int) -> tuple[Array, Array, bool]:
    """The class of each place, from 0 to 1 how sure it is, and whether classes are counted."""
    made = np.asarray(given)
    if made.dtype.kind == "f":
        made = checks.numbers("what predict gives", made)
    if made.ndim == 2 and made.shape[1] == 1:
        made = made[:, 0]
    if made.ndim not in (1, 2) or len(made) != count:
        raise problem(
            f"predict gives shape {made.shape} for an input of shape ({count}, 2)",
            "(n,) classes or scores, or (n, classes) probabilities or scores",
        )
    plain = np.ones(count)
    if made.ndim == 1:
        if made.dtype.kind != "f" or _is_whole(made):
            return (made.astype(int) if made.dtype.kind == "f" else made), plain, False
        if made.min() >= 0 and made.max() <= 1:
            return (made > 0.5).astype(int), 2 * np.abs(made - 0.5), True
        return (made > 0).astype(int), plain, True
    best = made.argmax(axis=1)
    if made.min() < 0 or not np.allclose(made.sum(axis=1), 1, atol=1e-3):
        return best, plain, True
    least = 1 / made.shape[1]
    return best, np.clip((made.max(axis=1) - least) / (1 - least), 0, 1), True


def _is_whole(values: Array) -> bool:
    return bool(np.isfinite(values).all() and not (values % 1).any() and values.min() >= 0)


def _numbered(labels: Array, answer: Array, counted: bool) -> tuple[list[Any], Array, Array]:
    """All classes in their order, and which of them the places and the points have."""
    whole = labels.dtype.kind in "iu"
    if whole and answer.dtype.kind in "iu" and min(labels.min(), answer.min()) >= 0:
        known = list(range(max(int(labels.max()), int(answer.max())) + 1))
        return known, answer, labels
    found = np.unique(labels)
    if counted or (answer.dtype.kind in "iu" and not whole):
        if not 0 <= answer.min() <= answer.max() < len(found):
            raise problem(
                f"predict gives class number {answer.max()}, y has {len(found)} classes: "
                f"{short(found.tolist(), 60)}", "have predict give the labels themselves",
            )  # fmt: skip
        return found.tolist(), answer, np.searchsorted(found, labels)
    found = np.unique(np.concatenate([found, np.unique(answer)]))
    return found.tolist(), np.searchsorted(found, answer), np.searchsorted(found, labels)


@drawn
def trace(
    function: Callable[[Array, Array], Any], paths_by_name: Mapping[str, Any], *,
    limits: Sequence[Sequence[float]] | None = None, log: bool | None = None,
    minimum: Sequence[float] | None = None, axes_names: Sequence[str] = ("x", "y"),
    resolution: int = 200, title: str | None = None,
) -> Figure:  # fmt: skip
    """The contours of a function of two variables, and the paths that optimisers took.

    Parameters
    ----------
    function : function of two arrays
        Elementwise: of x and y of any shape, it gives values of that shape.
    paths_by_name : mapping of arrays, (steps, 2)
        The places that each optimiser was at. A ring stands at the start, a disc at the end.
    limits : ((lowest x, highest x), (lowest y, highest y)), optional
        What is drawn; by default what holds all paths but those that go twenty times as far as
        most: they are cut off.
    log : bool, optional
        Whether levels are equally far apart in the logarithm of the height above the lowest;
        by default where heights span more than a factor of 100.
    minimum : two floats, optional
        A place to mark with a cross.
    axes_names : two str
        What the variables are called.
    resolution : int
        Places along each axis.

    Raises
    ------
    DataError
        For a path that isn't (steps, 2), or a function that gives another shape.

    Examples
    --------
    >>> from graphc import pictures
    >>> path = [(1.0, 1.0), (0.5, 0.2), (0.1, 0.0)]
    >>> figure = pictures.trace(lambda x, y: x**2 + 5 * y**2, {"sgd": path})
    >>> figure.axes[0].lines[0].get_xdata().tolist()
    [1.0, 0.5, 0.1]
    """
    given = checks.named("paths_by_name", paths_by_name, "arrays (steps, 2)")
    paths = {name: _path(name, path) for name, path in given.items()}
    (left, right), (bottom, top) = _limits(list(paths.values()), limits, minimum)
    x, y = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    grid = np.meshgrid(x, y)
    heights = np.asarray(function(*grid))
    if heights.shape != grid[0].shape:
        raise problem(
            f"function gives shape {heights.shape} for arguments of shape {grid[0].shape}",
            "it is to work elementwise; numpy.vectorize(function) does",
        )
    heights = checks.numbers("function(x, y)", heights).astype(float)
    figure = sheet(6.8, 4.9, title)
    axes = figure.add_subplot()
    lines(axes, "")
    levels = _levels(heights, log)
    style = {"levels": levels, "norm": library("colors").BoundaryNorm(levels, 256)}
    filled = axes.contourf(x, y, np.ma.masked_invalid(heights), cmap="Greys", alpha=0.35,
                           extend="both", **style)  # fmt: skip
    axes.contour(x, y, np.ma.masked_invalid(heights), levels=levels, colors=[SOFT],
                 linewidths=0.4, alpha=0.35)  # fmt: skip
    for k, (name, path) in enumerate(paths.items()):
        colour = marker(k)["color"]
        end = path[np.isfinite(path).all(axis=1)][-1]
        axes.plot(*path.T, color=colour, linewidth=1.5, markersize=2.5, label=short(name, 24),
                  marker="o" if len(path) <= 60 else "", zorder=3,
                  linestyle="-" if k < len(PALETTE) else "--")  # fmt: skip
        axes.plot(*path[0], "o", color=PAPER, markeredgecolor=colour, markersize=7, zorder=4)
        axes.plot(*end, "o", color=colour, markeredgecolor=PAPER, markersize=8, zorder=4)
    if minimum is not None:
        axes.plot(*minimum, "+", color=INK, markersize=11, markeredgewidth=1.6, zorder=5)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=axes_names[0], ylabel=axes_names[1])
    colour_bar(figure, filled, axes, "value", shrink=0.9, format="%.3g", ticks=levels[::2])
    axes.legend(loc="best", facecolor=PAPER, edgecolor=FAINT)
    return figure


def _path(name: str, given: Any) -> Array:
    path = checks.numbers(f"the path {name!r}", given, 2, hint="(steps, 2)").astype(float)
    if path.shape[1] != 2:
        raise problem(f"the path {name!r} has shape {path.shape}", "(steps, 2)")
    if not np.isfinite(path[0]).all():
        raise problem(f"the path {name!r} starts at {tuple(path[0].tolist())}", "a finite place")
    return path


def _limits(
    paths: Sequence[Array], limits: Any, minimum: Any
) -> tuple[tuple[float, float], ...]:  # fmt: skip
    """Given ones; or what holds all paths but those that go much further than others."""
    if limits is not None:
        array = np.asarray(limits, float)
        if array.shape != (2, 2) or not (array[:, 0] < array[:, 1]).all():
            raise ArgumentError(f"limits={limits!r}", "((lowest x, highest x), (lowest y, highest "
                                "y))", user_frames())  # fmt: skip
        return tuple((float(a), float(b)) for a, b in array)
    finite = [p[np.isfinite(p).all(axis=1)] for p in paths]
    reaches = [float(np.abs(p - p[0]).max()) for p in finite]
    usual = sorted(reaches)[(len(reaches) - 1) // 2]
    near = [p if reach <= 20 * usual else p[:1] for p, reach in zip(finite, reaches)]
    seen = np.concatenate([*near, *([] if minimum is None else [np.array([minimum], float)])])
    low, high = seen.min(axis=0), seen.max(axis=0)
    widest = float((high - low).max()) or 1.0
    room = np.maximum(0.12 * (high - low), 0.1 * widest)
    return tuple((float(a), float(b)) for a, b in zip(low - room, high + room))


def _levels(heights: Array, log: bool | None) -> Array:
    """About 14 heights at which lines are drawn."""
    finite = heights[np.isfinite(heights)]
    low, high = float(finite.min()), float(np.percentile(finite, 98))
    high = high if high > low else low + 1.0
    above = finite[finite > low] - low
    wide = len(above) > 1 and high - low > 100 * np.percentile(above, 2)
    if wide if log is None else log and len(above):
        least = max(float(np.percentile(above, 1)), 1e-9 * (high - low))
        return low + np.geomspace(least, high - low, 14)
    return np.linspace(low, high, 14)
