"""Vectors of many dimensions on a map of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import optional, problem
from graphc.pictures import checks
from graphc.pictures.style import BLUE, INK, PAPER, drawn, lines, marker, sheet, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def embedding(
    vectors: Any, labels: Sequence[Any] | None = None, *, method: str = "pca",
    words: bool | None = None, names: Sequence[Any] | None = None, seed: int = 0,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """A map of vectors, with words beside them or colours for their classes.

    Parameters
    ----------
    vectors : array, (n, dimensions)
        Rows of an embedding, activations of a layer; a shared variable too.
    labels : sequence, (n,), optional
        Words, or classes.
    method : {"pca", "tsne"}
        The two directions of largest variance; or scikit-learn's t-SNE (van der Maaten and
        Hinton, 2008), which keeps neighbours together and whose distances mean little else.
    words : bool, optional
        Whether labels are written beside their points; by default if all of them differ and are
        texts. Those without room are left out.
    names : sequence, optional
        What the classes are called, where they are numbered from 0.
    seed : int
        Of t-SNE.

    Raises
    ------
    DataError
        For another rank, fewer than two vectors, NaN, or labels of another length.
    MissingPackageError
        For t-SNE without scikit-learn.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.embedding([[1, 0, 0], [0, 0, 1], [0, 5, 0]], ["cat", "dog", "car"])
    >>> figure.axes[0].get_xlabel()
    'first component, 94% of the variance'
    """
    checks.one_of("method", method, ("pca", "tsne"))
    rows = checks.numbers("vectors", vectors, 2, hint="(n, dimensions)").astype(float)
    if len(rows) < 2:
        raise problem(f"vectors has shape {rows.shape}: a map needs two of them or more")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise problem(f"vectors: {bad} of {len(rows)} rows hold NaN or infinities",
                      "leave them out: vectors[numpy.isfinite(vectors).all(axis=1)]")  # fmt: skip
    listed = None if labels is None else checks.every("labels", labels, len(rows), "vectors")
    if words is None:
        words = listed is not None and len(set(listed)) == len(listed) and all(
            isinstance(v, str) for v in listed)  # fmt: skip
    if words and listed is None:
        raise ArgumentError("words=True without labels", "give a word for each vector",
                            user_frames())  # fmt: skip
    places, axes_names = _pca(rows) if method == "pca" else _tsne(rows, seed)
    figure = sheet(7.4, 5.6, title)
    axes = figure.add_subplot()
    lines(axes, "both" if method == "pca" else "")
    if method == "tsne":
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    axes.margins(0.08)
    axes.set_aspect("equal", adjustable="datalim")  # distances mean the same both ways
    size = float(np.clip(400 / np.sqrt(len(rows)) / 1.5, 6, 26))
    if words or listed is None:
        axes.scatter(*places.T, s=min(size, 14) if words else size, color=BLUE, linewidth=0)
    else:
        _classes(axes, places, listed, names, size)
    if words:
        figure.draw_without_rendering()  # so that places are known in pixels
        _write(axes, places, [short(v, 24) for v in listed or ()])
    return figure


def _pca(rows: Array) -> tuple[Array, list[str]]:
    """Coordinates along the first two principal components."""
    centred = rows - rows.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is chance: its largest weight is made positive.
    signs = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
    places = np.zeros((len(rows), 2))
    places[:, : len(s)] = (u * s * np.where(signs == 0, 1, signs))[:, :2]
    parts = np.pad(s**2, (0, 2))[:2] / (np.sum(s**2) or 1.0)
    return places, [
        f"{name} component, {part:.0%} of the variance"
        for name, part in zip(("first", "second"), parts)
    ]


def _tsne(rows: Array, seed: int) -> tuple[Array, list[str]]:
    manifold = optional("sklearn.manifold", "scikit-learn", "pictures.embedding(method='tsne')")
    near = min(30.0, max(1.0, (len(rows) - 1) / 3))
    start = "pca" if min(rows.shape) >= 2 else "random"
    # The tree of Barnes and Hut pays for many rows; its threads cost seconds where cores are busy.
    way = "exact" if len(rows) < 200 else "barnes_hut"
    model = manifold.TSNE(perplexity=near, random_state=seed, init=start, method=way)
    return model.fit_transform(rows), [f"t-SNE, perplexity {near:.3g}", ""]


def _classes(
    axes: Axes, places: Array, listed: Sequence[Any], names: Sequence[Any] | None, size: float
) -> None:
    """A colour for each class, and beyond ten of them other markers."""
    known = sorted(set(listed), key=lambda v: (str(type(v)), v))
    if names is not None and not all(isinstance(v, int) and 0 <= v < len(names) for v in known):
        raise problem(f"labels {short(known, 60)} for {len(names)} names", "number them from 0")
    for k, value in enumerate(known):
        mine = np.array([v == value for v in listed])
        text = str(value) if names is None else str(names[value])
        look = marker(value if names is not None else k)
        axes.scatter(*places[mine].T, s=size, label=short(text, 22), edgecolor=PAPER,
                     linewidth=0.3, **look)  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), markerscale=1.4,
                ncols=min(3, -(-len(known) // 24)))  # fmt: skip


def _write(axes: Axes, places: Array, texts: Sequence[str], size: float = 8.0) -> None:
    """Each word at the first of eight sides of its point where it covers no point or word."""
    points = axes.transData.transform(places) * 72 / axes.figure.dpi
    frame = axes.get_window_extent().extents * 72 / axes.figure.dpi
    taken = np.concatenate([points - 1.5, points + 1.5], axis=1)
    for k, text in enumerate(texts):
        width, height = 0.6 * size * len(text), 1.1 * size
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            shift = np.array([dx * (4 if not dy else 2), dy * (4 if not dx else 2)])
            corner = points[k] + shift + [(dx - 1) * width / 2, (dy - 1) * height / 2]
            box = np.concatenate([corner - [1.5, 0], corner + [width + 1.5, height]])
            apart = (taken[:, :2] >= box[2:]) | (taken[:, 2:] <= box[:2])
            within = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            if within and apart.any(axis=1).all():
                taken = np.concatenate([taken, box[None]])
                axes.annotate(
                    text, places[k], shift, textcoords="offset points", fontsize=size, color=INK,
                    ha=("right", "center", "left")[dx + 1], va=("top", "center", "bottom")[dy + 1],
                )  # fmt: skip
                break
