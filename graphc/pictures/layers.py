"""What happens in each layer: distributions of activations and gradients, sizes of updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.node import Array
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    BLUE,
    PALETTE,
    PAPER,
    SOFT,
    distinct,
    drawn,
    lines,
    panels,
    plain,
    shades,
    sheet,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIDGES = 30


@drawn
def histograms(
    arrays_by_name: Mapping[str, Any], *, bins: int = 50, unit: str = "",
    title: str | None = None,
) -> Figure:  # fmt: skip
    """How activations, gradients or weights are distributed, layer by layer.

    Below each name stand mean, standard deviation and, if there are any, the part of zeros and
    how many values are not finite, all of them of the last array where there are several. The
    half percent of values at each end lies outside of the axes.

    Parameters
    ----------
    arrays_by_name : mapping of arrays, or of lists of arrays
        Arrays of any shape give histograms. Lists of arrays, one for each epoch, give ridges: the
        first epoch stands behind, at the top, the last one in front.
    bins : int
        Of each histogram.
    unit : str
        What the horizontal axes are called, such as "gradient".

    Raises
    ------
    DataError
        For an empty dict or array, or an array without one finite value.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import pictures
    >>> figure = pictures.histograms({"hidden": np.array([0.0, 0.0, 1.0, 3.0])})
    >>> print(figure.axes[0].get_title(loc="left"))
    hidden
    mean 1, sd 1.2, 50% zeros
    """
    given = checks.named("arrays_by_name", arrays_by_name, "arrays")
    moving = {name: _is_series(values) for name, values in given.items()}
    tall = any(moving.values())
    figure, grid = panels(len(given), 2.4, 3.2 if tall else 1.9, 5, title)
    for (name, values), called, axes in zip(given.items(), distinct(list(given), 26), grid):
        lines(axes, "x")
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        series = list(values) if moving[name] else [values]
        arrays = [checks.numbers(f"{name!r}", v).astype(float).ravel() for v in series]
        finite = [v[np.isfinite(v)] for v in arrays]
        low, high = np.percentile(np.concatenate(finite), (0.5, 99.5))
        edges = np.histogram_bin_edges(np.array([low, high]), bins)
        counts = [np.histogram(v, edges)[0] for v in finite]
        if moving[name]:
            _ridge(axes, counts, edges)
        else:
            axes.stairs(counts[0], edges, fill=True, color=BLUE, alpha=0.85)
            axes.set_yticks([])
        axes.set_title(f"{called}\n{_figures(arrays[-1])}", fontsize=8.5, linespacing=1.35)
    for axes in grid[-5:]:
        axes.set_xlabel(unit)
    return figure


def _is_series(values: Any) -> bool:
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(np.ndim(v) >= 1 for v in values)


def _figures(values: Array) -> str:
    """Mean and deviation, and what is unusual."""
    finite = values[np.isfinite(values)]
    told = [f"mean {plain(finite.mean(), 2)}, sd {plain(finite.std(), 2)}"]
    zeros = float(np.mean(finite == 0))
    if zeros >= 0.005:
        told.append(f"{zeros:.0%} zeros")
    if len(finite) < len(values):
        told.append(f"{len(values) - len(finite)} not finite")
    return ", ".join(told)


def _ridge(axes: Axes, counts: Sequence[Array], edges: Array) -> None:
    """One outline behind the other; those in front are darker."""
    even = np.linspace(0, len(counts) - 1, min(len(counts), _RIDGES))
    chosen = np.unique(even.round().astype(int))
    middle = (edges[1:] + edges[:-1]) / 2
    rise = 3.0 if len(chosen) > 3 else 0.9
    for place, (k, colour) in enumerate(zip(chosen, shades(len(chosen))[::-1])):
        base = len(chosen) - 1 - place
        top = base + rise * counts[k] / max(counts[k].max(), 1)
        axes.fill_between(middle, base, top, color=colour, alpha=0.8, linewidth=0, zorder=2 + place)
        axes.plot(middle, top, color=PAPER, linewidth=0.8, zorder=2 + place)
    every = math.ceil(len(chosen) / 8)
    axes.set_yticks([len(chosen) - 1 - p for p in range(0, len(chosen), every)],
                    [str(chosen[p] + 1) for p in range(0, len(chosen), every)])  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("epoch")


@drawn
def update_ratios(
    ratios_by_name: Mapping[str, Any], *, steps: Sequence[float] | None = None,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """log10 of \\|update\\| / \\|weight\\| over the steps, for each parameter.

    About 1e-3, the dashed line, is usual. Far below, a layer hardly learns; far above, its
    learning rate is too high.

    Parameters
    ----------
    ratios_by_name : mapping of lists of numbers
        The ratios themselves, not their logarithms. None, NaN and zeros leave gaps.
    steps : sequence of numbers, optional
        The number of each step; 1, 2, ... by default.

    Raises
    ------
    DataError
        For an empty dict, negative ratios, or other numbers of steps.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.update_ratios({"W": [1e-2, 1e-3], "b": [1e-1, None]})
    >>> figure.axes[0].lines[0].get_ydata().round(6).tolist()
    [-2.0, -3.0]
    """
    given = checks.named("ratios_by_name", ratios_by_name, "lists of ratios")
    columns = {name: checks.column(f"{name!r}", values) for name, values in given.items()}
    for name, values in columns.items():
        if np.nanmin(values) < 0:
            raise problem(f"{name!r}: a ratio of {np.nanmin(values):.3g}",
                          "give ratios of norms, not their logarithms")  # fmt: skip
    longest = max(map(len, columns.values()))
    if steps is None:
        places = np.arange(1, longest + 1)
    else:
        places = np.asarray(checks.every("steps", steps, longest, "ratios"))
    wide = len(columns) > 20
    figure = sheet(8.2 + 1.6 * wide, 4.2, title)
    axes = figure.add_subplot()
    lines(axes)
    colours = PALETTE if len(columns) <= len(PALETTE) else shades(len(columns))
    called = distinct(list(columns), 28)
    for name, values, colour in zip(called, columns.values(), colours):
        axes.plot(
            places[: len(values)], np.log10(np.where(values > 0, values, np.nan)), color=colour,
            label=name, linewidth=1.2, alpha=0.9, marker="o" if len(values) <= 30 else "",
            markersize=3,
        )  # fmt: skip
    axes.axhline(-3, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlabel="step", ylabel="log₁₀ |update| / |weight|")
    whole_numbers(axes.xaxis)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside right upper",
        ncols=2 if wide else 1, fontsize=8 if len(columns) <= 20 else 6.5,
    )  # fmt: skip
    return figure
