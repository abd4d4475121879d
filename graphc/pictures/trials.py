"""What a search over hyper-parameters found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.style import (
    BLUE,
    ORANGE,
    RED,
    drawn,
    lines,
    logarithmic,
    panels,
    plain,
    short,
    spans_decades,
)
from graphc.pictures.training import is_better_higher

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def search(
    results: Sequence[Mapping[str, Any]], *, score: str = "score", best: str | None = None,
    names: Sequence[str] | None = None, title: str | None = None,
) -> Figure:  # fmt: skip
    """Each hyper-parameter against the score, with a star at the best trial.

    Axes are logarithmic where positive values span more than a factor of ten. Trials without a
    score, such as those that diverged, are red crosses at the bottom. Hyper-parameters that never
    change are left out.

    Parameters
    ----------
    results : sequence of dicts
        The hyper-parameters of each trial by name, and its score.
    score : str
        What the score is called.
    best : {"highest", "lowest"}, optional
        Which score is best; by default the lowest if it is called a loss or an error.
    names : sequence of str, optional
        Which hyper-parameters to draw.

    Raises
    ------
    DataError
        For no trials, none with a finite score, no hyper-parameters, or names that no trial has.

    Examples
    --------
    >>> from graphc import pictures
    >>> trials = [{"rate": r, "layers": 2, "score": s} for r, s in ((1e-3, 0.8), (0.1, 0.9))]
    >>> figure = pictures.search(trials)
    >>> [(axes.get_xlabel(), axes.get_xscale()) for axes in figure.axes]
    [('rate', 'log')]
    """
    trials = list(results)
    if not trials or not all(isinstance(t, Mapping) for t in trials):
        kinds = sorted({type(t).__name__ for t in trials})
        raise problem(f"results holds {len(trials)} entries {', '.join(kinds)}: dicts are needed",
                      "[{'rate': 0.1, 'score': 0.93}, ...]")  # fmt: skip
    if not any(score in t for t in trials):
        raise problem(f"no trial has {score!r}; they have {', '.join(map(repr, trials[0]))}",
                      "score= says what the score is called")  # fmt: skip
    scores = checks.column(f"{score!r}", [t.get(score) for t in trials])
    best = best or ("lowest" if score != "score" and not is_better_higher(score) else "highest")
    checks.one_of("best", best, ("highest", "lowest"))
    k = int(np.nanargmax(scores) if best == "highest" else np.nanargmin(scores))
    drawn_names = _names(trials, score, names)
    figure, grid = panels(len(drawn_names), 3.1, 2.8, 4, title)
    abreast = min(4, len(grid))
    bottom = np.nanmin(scores) - 0.1 * (np.nanmax(scores) - np.nanmin(scores))
    for place, (name, axes) in enumerate(zip(drawn_names, grid)):
        lines(axes)
        found = [t.get(name) for t in trials]
        places, given = _along(axes, found)
        failed = np.isnan(scores) & given
        good = ~np.isnan(scores) & given
        axes.scatter(places[good], scores[good], s=22, color=BLUE, alpha=0.6, linewidth=0)
        axes.scatter(places[failed], np.full(failed.sum(), bottom), s=24, color=RED, marker="x",
                     linewidth=1)  # fmt: skip
        if good[k]:
            axes.scatter(places[k], scores[k], s=130, marker="*", color=ORANGE, zorder=4,
                         edgecolor="white", linewidth=0.7)  # fmt: skip
            axes.set_title(f"best: {_text(found[k])}", fontsize=8.5)
        axes.set_xlabel(short(name, 32))
        if place % abreast == 0:
            axes.set_ylabel(short(score, 32))
    return figure


def _names(
    trials: Sequence[Mapping[str, Any]], score: str, names: Sequence[str] | None
) -> list[str]:
    """The hyper-parameters to draw: those that change, in the order of their coming up."""
    known = [n for n in dict.fromkeys(n for t in trials for n in t) if n != score]
    wanted = known if names is None else [names] if isinstance(names, str) else list(names)
    absent = [n for n in wanted if n not in known]
    if absent or not wanted:
        raise problem(f"no trial has {', '.join(map(repr, absent)) or 'a hyper-parameter'}",
                      f"they have {', '.join(map(repr, known))}" if known else
                      "give them beside the score: {'rate': 0.1, 'score': 0.93}")  # fmt: skip
    changing = [n for n in wanted if len({repr(t.get(n)) for t in trials}) > 1]
    return wanted if names is not None else changing or wanted


def _along(axes: Axes, found: Sequence[Any]) -> tuple[Any, Any]:
    """Where each trial stands on the horizontal axis, and whether it does."""
    given = np.array([v is not None for v in found])
    present = [v for v in found if v is not None]
    if all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in present):
        places = np.array([np.nan if v is None else float(v) for v in found])
        given &= np.isfinite(places)
        few = np.unique(places[given])
        if spans_decades(places[given], 10):
            logarithmic(axes.xaxis, places[given])
        elif len(few) > 6:
            axes.locator_params(axis="x", nbins=5)
        if len(few) <= 6:
            axes.set_xticks(few, [plain(v, 4) for v in few])
            axes.tick_params(axis="x", which="minor", length=0)
        return places, given
    kinds = list(dict.fromkeys(map(_text, present)))
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    long = sum(map(len, kinds)) > 28
    axes.set_xticks(range(len(kinds)), [short(v, 18) for v in kinds], **(turned if long else {}))
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    return np.array([np.nan if v is None else kinds.index(_text(v)) for v in found], float), given


def _text(value: Any) -> str:
    return plain(value, 4) if isinstance(value, float | np.floating) else short(value, 30)
