"""What one place of a result sees of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Array, user_frames
from graphc.data.problems import problem
from graphc.pictures import checks
from graphc.pictures.mosaics import as_images
from graphc.pictures.style import (
    FAINT,
    GREY,
    PALETTE,
    PAPER,
    SOFT,
    drawn,
    library,
    lines,
    sheet,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Box = tuple[float, float, float, float]  # top, left, bottom, right: in pixels of the input


@drawn
def receptive_field(
    layers: Any, *, image: Any = None, shape: Sequence[int] | None = None,
    place: Sequence[int] | None = None, title: str | None = None,
) -> Figure:  # fmt: skip
    """The receptive fields of a chain of layers, drawn over an image.

    One place of a layer's result depends on ``[s a - p, s b - p + w - 1]`` of its input if the
    layers above depend on ``[a, b]`` of its result, for a window w, stride s and padding p.

    Parameters
    ----------
    layers : list of tuples, or a summary
        ``(name, window, stride, padding)`` of each layer, from the input on; stride 1 and padding
        0 may be left out, and each is a number or one for each axis. A dilated window counts with
        its gaps. Or ``model.summary(shape)``: the fields are then drawn around `place`, since a
        summary knows their sizes alone.
    image : array, (height, width), (channels, height, width) or (height, width, channels), optional
        What the input is.
    shape : (height, width), optional
        Of the input, where there is no image.
    place : (row, column), optional
        Of the last layer's result, or, with a summary, of the input; the middle by default.

    Raises
    ------
    DataError
        For no layers, windows that don't fit into the input, or a place outside of the result.

    Examples
    --------
    >>> from graphc import pictures
    >>> figure = pictures.receptive_field([("conv", 3), ("pool", 2, 2)], shape=(12, 12))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['conv  3 × 3', 'pool  4 × 4']
    """
    picture = None if image is None else _picture(image)
    if picture is None and shape is None:
        raise ArgumentError("receptive_field needs an image or the shape of the input",
                            "shape=(28, 28)", user_frames())  # fmt: skip
    size = tuple(shape)[-2:] if picture is None else picture.shape[:2]  # type: ignore[arg-type]
    rows = getattr(layers, "rows", None)
    boxes = _of_chain(layers, size, place) if rows is None else _of_summary(rows, size, place)
    wide = min(6.0, max(3.0, 4.6 * size[1] / size[0]))
    figure = sheet(wide + 2.0, max(wide * size[0] / size[1], 2.2) + 0.5, title)
    axes = figure.add_subplot()
    lines(axes, "")
    if picture is None:
        picture = np.ones(size)
    axes.set_facecolor(FAINT)
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    axes.imshow(picture, cmap=GREY, vmin=0, vmax=1, extent=extent)
    if image is None and max(size) <= 64:
        axes.set_xticks(np.arange(size[1] + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size[0] + 1) - 0.5, minor=True)
        axes.grid(True, which="minor", color=FAINT, linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    patches, effects = library("patches"), library("patheffects")
    for k, (name, box) in enumerate(boxes):
        top, left, bottom, right = box
        colour = PALETTE[k % len(PALETTE)]
        axes.add_patch(patches.Rectangle(
            (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, fill=False,
            edgecolor=colour, linewidth=2.0, zorder=20 - k,
            path_effects=[effects.withStroke(linewidth=3.6, foreground=PAPER)],
            label=f"{short(name, 24)}  {bottom - top + 1:g} × {right - left + 1:g}",
        ))  # fmt: skip
    spread = np.array([box for _, box in boxes])
    axes.set(
        xlim=(min(-0.5, spread[:, 1].min() - 1), max(size[1] - 0.5, spread[:, 3].max() + 1)),
        ylim=(max(size[0] - 0.5, spread[:, 2].max() + 1), min(-0.5, spread[:, 0].min() - 1)),
        xlabel="column (pixels)", ylabel="row (pixels)",
    )  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="sees, rows × columns",
                alignment="left")  # fmt: skip
    axes.spines[:].set_color(SOFT)
    return figure


def _picture(image: Any) -> Array:
    array = checks.numbers("image", image, 2, 3, hint="one image: images[0]")
    return as_images(array[None], None)[0]


def _of_chain(
    layers: Any, size: Sequence[int], place: Sequence[int] | None
) -> list[tuple[str, Box]]:
    """The field of one place of each layer's result: the middle of what the last one sees."""
    if not isinstance(layers, list | tuple) or not layers:
        raise problem(f"layers is {short(repr(layers), 60)}: a list of layers is needed",
                      "[('conv1', 3, 1, 1), ('pool1', 2, 2)], or model.summary(shape)")  # fmt: skip
    chain = [_layer(entry) for entry in layers]
    sizes = [np.array(size[:2])]
    for name, window, stride, padding in chain:
        room = sizes[-1] + 2 * padding - window
        if (room < 0).any():
            raise problem(
                f"{name!r}: a window of {_times(window)} on an input of {_times(sizes[-1])}, "
                f"padded by {_times(padding)}", "a larger input, or smaller windows",
            )  # fmt: skip
        sizes.append(room // stride + 1)
    at = (sizes[-1] - 1) // 2 if place is None else np.array(place)
    if at.shape != (2,) or (at < 0).any() or (at >= sizes[-1]).any():
        raise problem(f"place={place!r} in a result of {_times(sizes[-1])}", "(row, column)")
    found: list[tuple[str, Box]] = []
    for k in range(len(chain), 0, -1):
        low = high = at
        for _, window, stride, padding in chain[k - 1 :: -1]:
            low, high = low * stride - padding, high * stride - padding + window - 1
        found.append((chain[k - 1][0], (*low.tolist(), *high.tolist())))
        _, window, stride, padding = chain[k - 1]
        at = np.clip(at * stride - padding + (window - 1) // 2, 0, sizes[k - 1] - 1)
    return _grown(found[::-1])


def _layer(entry: Any) -> tuple[str, Array, Array, Array]:
    """The name, and window, stride and padding along both axes."""
    parts = tuple(entry) if isinstance(entry, list | tuple) else ()
    try:
        window, stride, padding = (
            np.broadcast_to(np.array(p), 2) for p in (*parts[1:], *(1, 1, 0)[len(parts) - 1 :])
        )
        good = 2 <= len(parts) <= 4 and all(v.dtype.kind in "iu" for v in (window, stride, padding))
    except (ValueError, TypeError):
        good = False
    if not good or (window < 1).any() or (stride < 1).any() or (padding < 0).any():
        raise problem(f"layers: {entry!r} is no layer", "('conv1', window, stride, padding)")
    return str(parts[0]), window, stride, padding


def _of_summary(
    rows: Any, size: Sequence[int], place: Sequence[int] | None
) -> list[tuple[str, Box]]:
    """Fields of a summary's rows around a place of the input."""
    at = (np.array(size[:2]) - 1) / 2 if place is None else np.array(place)
    found: list[tuple[str, Box]] = []
    for row in rows:
        if row.field is None or (row.field != "all" and len(row.field) != 2):
            continue
        if row.field == "all":
            box: Box = (0, 0, size[0] - 1, size[1] - 1)
        else:
            start = np.ceil(at - np.array(row.field) / 2 + (0.5 if place is not None else 0))
            box = (*start.tolist(), *(start + row.field - 1).tolist())
        found.append((row.name, box))
    if not found:
        raise problem("no row of the summary has a field of two axes", "images, not sequences")
    return _grown(found)


def _grown(fields: Sequence[tuple[str, Box]]) -> list[tuple[str, Box]]:
    """Without layers that see what the one before does: activations, normalisation."""
    def area(box: Box) -> tuple[float, float]:
        return box[2] - box[0], box[3] - box[1]

    return [f for k, f in enumerate(fields) if not k or area(f[1]) != area(fields[k - 1][1])]


def _times(sizes: Any) -> str:
    return " × ".join(str(int(n)) for n in sizes)
