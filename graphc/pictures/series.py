"""Lines that are compared: figures of several runs, methods or models on common axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    PALETTE,
    distinct,
    drawn,
    library,
    lines,
    marker,
    sheet,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 30  # values that are each marked


@drawn
def series(
    values_by_name: Mapping[str, Any], *, x: Any = None, log: str = "",
    axes_names: Sequence[str] = ("step", ""), limits: Sequence[float] | None = None,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Several series of numbers as lines of one plot.

    Parameters
    ----------
    values_by_name : mapping of sequences
        The lines, which may have different lengths. NaN and infinities leave gaps, and so do
        values that a logarithmic axis has no place for.
    x : sequence or mapping of sequences, optional
        Where the values stand, for all or by name; 0, 1, 2, ... by default.
    log : {"", "x", "y", "xy"}
        Which axes are logarithmic.
    axes_names : two str
        What the axes are called.
    limits : two floats, optional
        The lowest and the highest value that is drawn.

    Raises
    ------
    DataError
        For an empty mapping, no finite value, or another number of places than of values.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.series({"sgd": [1.0, 0.5, 0.25], "adam": [1.0, 0.9]}, log="y")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['sgd', 'adam']
    """
    given = checks.named("values_by_name", values_by_name, "lists of numbers")
    checks.one_of("log", log, ("", "x", "y", "xy"))
    drawn_lines = {name: _line(name, values, x, log) for name, values in given.items()}
    beside = len(given) > 4
    figure = sheet(6.6 + 1.2 * beside, 4.0, title)
    axes = figure.add_subplot()
    lines(axes)
    labels = distinct(list(drawn_lines), 36)
    for k, (label, (places, values)) in enumerate(zip(labels, drawn_lines.values())):
        axes.plot(
            places, values, color=marker(k)["color"], label=label,
            marker="o" if len(values) <= _FEW else "", markersize=3.2,
            linestyle="-" if k < len(PALETTE) else "--",
        )  # fmt: skip
    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if letter in log:
            axis._set_axes_scale("log")
            axis.set_minor_formatter(library("ticker").NullFormatter())
    if "x" not in log and all((places % 1 == 0).all() for places, _ in drawn_lines.values()):
        whole_numbers(axes.xaxis)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if limits is not None:
        axes.set_ylim(*limits)
    if beside:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    elif len(given) > 1:
        axes.legend(loc="best")
    return figure


def _line(name: str, given: Any, x: Any, log: str) -> tuple[Array, Array]:
    """Where a line goes."""
    values = checks.column(repr(name), given)
    held = x.get(name) if isinstance(x, Mapping) else x
    if held is None and isinstance(x, Mapping):
        raise problem(f"x has no places for {name!r}", f"it has {', '.join(map(repr, x))}")
    places = np.arange(len(values), dtype=float) if held is None else checks.column("x", held)
    if len(places) != len(values):
        raise problem(f"{name!r} has {len(values)} values, and x {len(places)} places",
                      "give one for each")  # fmt: skip
    if "y" in log:
        values = np.where(values > 0, values, np.nan)
    if "x" in log:
        places = np.where(places > 0, places, np.nan)
    return places, values
