"""Losses and metrics over the epochs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    BLUE,
    ORANGE,
    SOFT,
    VIOLET,
    drawn,
    lines,
    logarithmic,
    panels,
    percent,
    plain,
    short,
    spans_decades,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROLE = re.compile(r"(?:(train)(?:ing)?|(val)(?:id|idation)?|(test))[ _.](.+)")
_COLOURS = {"training": BLUE, "validation": ORANGE, "test": VIOLET}
_HIGHER = re.compile(
    r"accurac|precision|recall|f1|auc|score|iou|bleu|r2|correct|top.?\d|likelihood|reward"
)
_SPANNING = re.compile(r"loss|rate|perplexity|norm|entropy|error|ratio")
_PARTS = re.compile(r"accurac|precision|recall|error|correct")


def is_better_higher(name: str) -> bool:
    """Whether more of it is better: so with accuracy, not with a loss or an error."""
    return bool(_HIGHER.search(name.lower())) and "loss" not in name.lower()


def split_role(name: str) -> tuple[str, str]:
    """What is measured, and on what: ``validation loss`` is the loss on validation rows."""
    found = _ROLE.fullmatch(name)
    if not found:
        return name, "training"
    return found[4], "training" if found[1] else "validation" if found[2] else "test"


@drawn
def curves(
    history: Any, *, names: Collection[str] | None = None, best: str | bool = True,
    log: bool | None = None, units: Mapping[str, str] | None = None, title: str | None = None,
) -> Figure:  # fmt: skip
    """Loss and metrics over the epochs, those on training and validation rows on common axes.

    Parameters
    ----------
    history : mapping, or object with such a mapping as ``columns``
        A list of numbers, one for each epoch, by name: "loss", "validation loss", "accuracy",
        "test accuracy" and so on. None and NaN leave gaps. "epoch" numbers the epochs, from 1 by
        default; "seconds" is left out unless named; "rate" is the learning rate.
    names : collection of str, optional
        Which of them to draw.
    best : str or bool
        What the best epoch is told by; by default the validation loss, another figure on
        validation rows, or the loss. False marks none. Figures on test rows never choose.
    log : bool, optional
        Whether axes are logarithmic; by default where a loss, an error, a norm or a rate is
        positive and spans more than a factor of 20, and others more than one of 1,000; never
        for what is better high, such as an accuracy.
    units : mapping, optional
        Units by name: ``{"loss": "nat"}``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        For no columns, columns of different lengths, or without one finite value.
    ArgumentError
        For names that the history hasn't.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.curves({"loss": [1.2, 0.5, 0.3], "validation loss": [1.3, 0.7, 0.8]})
    >>> [line.get_label() for line in figure.axes[0].lines[:2]]
    ['training', 'validation']
    """
    columns, epochs = _read(history, names)
    groups: dict[str, dict[str, Array]] = {}
    for name, values in columns.items():
        base, role = split_role(name)
        groups.setdefault(base, {})[role] = values
    order = sorted(groups, key=lambda base: (base != "loss", base == "rate"))
    chosen = _chosen(columns, best)
    figure, grid = panels(len(order), 5.0 if len(order) < 3 else 4.2, 3.7, 3, title)
    for base, axes in zip(order, grid):
        _panel(axes, base, groups[base], epochs, log, (units or {}).get(base))
    if chosen is not None and len(epochs) > 1:
        extreme = np.nanargmax if is_better_higher(chosen) else np.nanargmin
        k = extreme(columns[chosen])
        for axes in grid:
            axes.axvline(epochs[k], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        base, role = split_role(chosen)
        grid[order.index(base)].plot(
            epochs[k], columns[chosen][k], "o", markersize=9, markerfacecolor="none",
            markeredgecolor=SOFT,
            label=f"best: {_text(base, columns[chosen][k])}, epoch {epochs[k]:g}",
        )  # fmt: skip
    for axes in grid:
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend(loc="best")
    return figure


def _read(history: Any, names: Collection[str] | None) -> tuple[dict[str, Array], Array]:
    """The columns to draw, all of one length, and the epochs' numbers."""
    given = dict(checks.named("history", getattr(history, "columns", history), "lists of numbers"))
    numbered = given.pop("epoch", None)
    if names is None:
        wanted = [name for name in given if name != "seconds"]
    else:
        wanted = [names] if isinstance(names, str) else list(names)
        absent = [name for name in wanted if name not in given]
        if absent:
            raise ArgumentError(
                f"history has no {', '.join(map(repr, absent))}",
                f"it has {', '.join(map(repr, given))}", user_frames(),
            )  # fmt: skip
    if not wanted:
        raise problem("history has no column to draw", "{'loss': [1.2, 0.7, 0.5]}")
    shapes = {name: np.shape(given[name]) for name in wanted}
    if numbered is not None:
        shapes["epoch"] = np.shape(numbered)
    for name, shape in shapes.items():
        if len(shape) != 1:
            raise problem(f"history[{name!r}] has rank {len(shape)}, shape {shape}",
                          "a list of numbers, one for each epoch")  # fmt: skip
    lengths = {name: shape[0] for name, shape in shapes.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} {n}" for name, n in lengths.items())
        raise problem(f"columns of history have different lengths: {told}",
                      "put None or nan where a value is missing")  # fmt: skip
    count = lengths[wanted[0]]
    if not count:
        raise problem("history has no epoch", "train for one before drawing curves")
    found = {name: checks.column(f"history[{name!r}]", given[name], finite=False)
             for name in wanted}  # fmt: skip
    if all(np.isnan(v).all() for v in found.values()):
        raise problem(
            f"history: no value of {', '.join(map(repr, wanted))} is finite in {count} epochs",
            "a smaller learning rate, or clipped gradients, may keep the loss finite",
        )
    epochs = np.arange(1, count + 1) if numbered is None else checks.column("epoch", numbered)
    return found, epochs


def _chosen(columns: Mapping[str, Array], best: str | bool) -> str | None:
    """The column that tells which epoch is best."""
    if isinstance(best, str):
        if best not in columns:
            raise ArgumentError(
                f"best={best!r} is not among the columns drawn",
                f"one of {', '.join(map(repr, columns))}", user_frames(),
            )  # fmt: skip
        found = [best]
    else:
        roles = {name: split_role(name) for name in columns} if best else {}
        found = [name for name, (_, role) in roles.items() if name == "loss" or role[0] == "v"]
        found.sort(key=lambda name: (name == "loss", roles[name][0] != "loss"))
    finite = [name for name in found if np.isfinite(columns[name]).any()]
    return finite[0] if finite else None


def _panel(
    axes: Axes, base: str, by_role: Mapping[str, Array], epochs: Array, log: bool | None,
    unit: str | None,
) -> None:  # fmt: skip
    """The axes of one figure: a line for each kind of rows."""
    lines(axes)
    together = np.concatenate(list(by_role.values()))
    together = together[np.isfinite(together)]
    for role in _COLOURS:
        if role in by_role:
            values = by_role[role]
            # Points alone between gaps make no line; with many epochs only they are marked.
            seen = np.isfinite(np.pad(values, 1, constant_values=np.nan))
            alone = np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:])
            marked = None if len(values) <= 60 else alone
            axes.plot(epochs, values, color=_COLOURS[role], marker="o", label=role,
                      markevery=marked, markersize=3.2)  # fmt: skip
    if not len(together):
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", color=SOFT)
        axes.set_yticks([])
    part = _PARTS.search(base) and ((0 <= together) & (together <= 1)).all()
    factor = 20 if _SPANNING.search(base) else 1000
    wide = spans_decades(together, factor) and not is_better_higher(base)
    if wide if log is None else log and (together > 0).any():
        logarithmic(axes.yaxis, together[together > 0])
    elif part:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.02), min(high, 1 + 0.03 * (high - low)))
        percent(axes.yaxis)
    name = {"rate": "learning rate", "seconds": "time"}.get(base, base)
    unit = unit or ("s" if base == "seconds" else None)
    axes.set_title(short(name, 44) + (f" ({unit})" if unit else ""))
    axes.set_xlabel("epoch")
    whole_numbers(axes.xaxis)
    if len(epochs) == 1:
        axes.set(xlim=(epochs[0] - 1, epochs[0] + 1), xticks=epochs)
    elif not len(together):
        axes.set_xlim(np.nanmin(epochs), np.nanmax(epochs))


def _text(base: str, value: float) -> str:
    part = _PARTS.search(base) and 0 <= value <= 1
    return f"{value:.2%}" if part else plain(value, 3)
