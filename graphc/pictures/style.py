"""How pictures look, and what they are drawn on. All of it is here.

`STYLE` lies over the user's own settings of matplotlib while a picture is drawn; what it doesn't
name, such as the font, is theirs.
"""

from __future__ import annotations

import functools
import importlib
import math
import os.path
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = TypeVar("Draw", bound=Callable[..., Any])

PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70",
    "#717581", "#92dadb",
)  # fmt: skip
"""Ten colours that colour-blind people can tell apart (M. Petroff, arXiv:2107.02270)."""

BLUE, ORANGE, RED, VIOLET = PALETTE[:4]
MARKERS = "os^DvPX*<>"
"""Where there are more classes than colours, the second ten have the second marker."""

INK, SOFT, FAINT, PAPER = "#222222", "#5f6368", "#dfe1e5", "#ffffff"
"""Text; lines and marks of axes; grids; the background."""

SEQUENTIAL, DIVERGING, GREY = "Blues", "RdBu_r", "gray"
"""Colour maps: from nothing to much, around zero, and of images."""

STYLE: dict[str, Any] = {
    "figure.facecolor": PAPER, "figure.dpi": 110, "figure.titlesize": 12, "savefig.dpi": "figure",
    "figure.constrained_layout.h_pad": 0.09, "figure.constrained_layout.w_pad": 0.09,
    "font.size": 9, "text.color": INK, "axes.labelcolor": SOFT, "axes.titlecolor": INK,
    "axes.facecolor": PAPER, "axes.edgecolor": SOFT, "axes.linewidth": 0.7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.titlesize": 10, "axes.titlelocation": "left", "axes.titlepad": 7, "axes.labelsize": 9,
    "lines.linewidth": 1.6, "lines.markersize": 4, "patch.linewidth": 0.7,
    "legend.fontsize": 8.5, "legend.edgecolor": "none", "legend.framealpha": 0.85,
    "legend.facecolor": PAPER, "legend.fancybox": False,
}  # fmt: skip

_TICKS = {"color": SOFT, "labelcolor": SOFT, "labelsize": 8.5, "width": 0.7, "length": 3}


def library(module: str) -> Any:
    """A part of matplotlib, or an error that says how to install it."""
    return optional(f"matplotlib.{module}", "matplotlib", "graphc.pictures")


def drawn(draw: Draw) -> Draw:
    """Have a function draw in `STYLE`, and leave the settings of matplotlib as they were."""

    @functools.wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Any:
        matplotlib = optional("matplotlib", "matplotlib", f"graphc.pictures.{draw.__name__}")
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled  # type: ignore[return-value]


def sheet(width: float, height: float, title: str | None = None) -> Figure:
    """An empty figure; sizes are in inches."""
    library("figure")
    figure = importlib.import_module("graphc.pictures.sheet").Sheet(
        figsize=(width, height), layout="constrained"
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left", wrap=True)
    return figure


def panels(
    count: int, width: float, height: float, columns: int, title: str | None = None,
    share: bool = False,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with so many axes, in rows of at most `columns`; sizes are those of one."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = sheet(columns * width, rows * height + 0.3 * bool(title), title)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel()
    for unused in grid[count:]:
        unused.remove()
    return figure, list(grid[:count])


def lines(axes: Axes, axis: str = "both") -> None:
    """Marks and a grid behind the data. Marks are made when drawn, so all is said here."""
    axes.tick_params(which="both", **_TICKS)
    if axis:
        axes.grid(True, axis=axis, color=FAINT, linewidth=0.7)  # type: ignore[arg-type]


def bare(axes: Axes) -> None:
    """No marks and no frame: for images."""
    axes.tick_params(which="both", **{**_TICKS, "length": 0})
    for spine in axes.spines.values():
        spine.set_visible(False)


def colour_bar(figure: Figure, image: Any, axes: Any, label: str, **options: Any) -> None:
    """What the colours of an image mean."""
    bar = figure.colorbar(image, ax=axes, pad=0.02, **options)
    bar.ax.tick_params(which="both", **_TICKS)
    bar.outline.set_visible(False)
    bar.set_label(label, color=SOFT)


def whole_numbers(axis: Any) -> None:
    """Marks at integers only."""
    axis.set_major_locator(library("ticker").MaxNLocator(integer=True))


def logarithmic(axis: Any, values: Array) -> None:
    """A log scale, marked with plain numbers: 1, 2 and 5 of each decade if there are few."""
    ticker = library("ticker")
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = np.log10(values.min()), np.log10(values.max())
    subs = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3 else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=10))
    axis.set_major_formatter(_mark)
    axis.set_minor_formatter(ticker.NullFormatter())


def percent(axis: Any) -> None:
    """Parts of one as percentages, with as many digits as tell them apart."""
    axis.set_major_formatter(_mark_percent)


# matplotlib calls these with a value and its number among the marks; pickle needs their names.


def _mark(value: float, _: Any = None) -> str:
    return plain(value)


def _mark_percent(value: float, _: Any = None) -> str:
    return f"{100 * value:.4g}%"


def plain(value: float, digits: int = 6) -> str:
    """A number as people write it: 0.001, 1e-5."""
    text = f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return text.replace("-", "−", 1) if value < 0 else text


def spans_decades(values: Array, factor: float = 20) -> bool:
    """Whether values are positive and their largest is many times the smallest."""
    return bool(len(values) and values.min() > 0 and values.max() > factor * values.min())


def marker(k: int) -> dict[str, Any]:
    """Colour and marker of the k-th class."""
    return {
        "color": PALETTE[k % len(PALETTE)],
        "marker": MARKERS[k // len(PALETTE) % len(MARKERS)],
    }


def shades(count: int, name: str = "viridis") -> list[Any]:
    """Colours for things in an order, from dark to light; the lightest are left out."""
    return list(library("cm").ScalarMappable(cmap=name).to_rgba(np.linspace(0, 0.85, count)))


def short(text: Any, most: int) -> str:
    """A text of at most so many letters: the middle of a longer one is left out."""
    line = " ".join(str(text).split())
    if len(line) <= most:
        return line
    tail = (most - 1) // 2
    return f"{line[: most - 1 - tail]}…{line[len(line) - tail :]}"


def distinct(names: Sequence[Any], most: int) -> list[str]:
    """Short names that still differ: what all of them begin and end with is left out first."""
    texts = [" ".join(str(name).split()) for name in names]
    if len(texts) > 1 and max(map(len, texts)) > most:
        ahead = os.path.commonprefix(texts)
        start = 1 + max(ahead.rfind(mark) for mark in "._/ ")
        behind = os.path.commonprefix([t[start:][::-1] for t in texts])
        end = 1 + max(behind.rfind(mark) for mark in "._/ ")
        texts = ["…" * (start > 0) + t[start : len(t) - end] + "…" * (end > 0) for t in texts]
    return [short(t, most) for t in texts]


def names_along(axes: Axes, axis: str, names: Sequence[Any], inches: float, most: int = 18) -> None:
    """Names of the rows or columns of a matrix; so few of them that they don't overlap."""
    size = float(np.clip(inches * 72 / len(names) * 0.9, 5.5, 8.5))
    pitch = inches * 72 / len(names)
    numbered = all(str(name).isdigit() for name in names)
    wide = 0.75 * max(len(str(name)) for name in names) if numbered and axis == "x" else 1.1
    step = math.ceil(size * wide / pitch)
    if numbered:
        step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if s >= step), step)
    shown = list(range(0, len(names), step))
    texts = [short(names[k], most) for k in shown]
    room = pitch * step / (0.65 * size)  # letters side by side
    if axis == "y" or numbered or max(map(len, texts)) <= room:
        turned: dict[str, Any] = {}
    else:
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        if step > 1 or size < 7:
            turned = {"rotation": 90}
    put = axes.set_yticks if axis == "y" else axes.set_xticks
    put(shown, texts, fontsize=size, **turned)
