"""Convolutions as steps: where every pixel and every tap of a filter lies, as a table.

The kernels know nothing of strides, dilation or padding, nor of how many axes an image has. A
padded image (or volume) is a row of pixels; the sum for an output is over pixels at its place
plus the place of each tap. What each number of a table means stands in
`runtime/contraction/convolve.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np

from graphc.core.node import Array, Variable
from graphc.core.plan import Address, Place, Split, Step, Word
from graphc.ops.conv import border_of
from graphc.passes.layout import Layout, shape_of
from graphc.passes.lower import BLAS_DTYPES, itemsize

KINDS = {
    f"conv{axes}d{suffix}": kind
    for axes in (2, 3)
    for suffix, kind in (("", "forward"), ("_grad_input", "input"), ("_grad_weight", "weight"))
}
"""Of each op that has kernels, what it computes."""
BLOCK_BYTES = 64  # of a pixel of a block of images
TILE = 16  # the most rows or columns that a tile has
FEW = 4  # images; fewer leave most of a block empty
MANY = 8  # images; from there on blocks serve groups of one channel too
_WORTH = 0.15  # of the work: what phases for the edges of an image have to save
SMALL = 2e7  # operations that are done soon, however empty blocks are


@dataclass(frozen=True)
class Geometry:
    """A convolution with all its sizes: filters are (groups x m, channels / groups, ...)."""

    images: int
    channels: int
    filters: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    made: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def flops(self) -> float:
        per_group = self.channels // self.groups
        pixels = prod(self.made) * prod(self.kernel)
        return 2.0 * self.images * self.filters * per_group * pixels


@dataclass
class Request:
    """What the choice of a kernel needs: its kind, dtype, and the extents of its tiles."""

    kind: str
    dtype: str
    m: int
    n: int


@dataclass(frozen=True)
class Depthwise:
    """What a kernel that goes plane by plane is made of."""

    kind: str
    dtype: str
    adjacent: bool
    other_adjacent: bool
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]


@dataclass
class _Frame:
    """A padded block of images: its extents, and where the image's first pixel is."""

    channels: int
    size: tuple[int, ...]
    before: tuple[int, ...]

    @property
    def plane(self) -> int:
        return prod(self.size)

    @property
    def start(self) -> int:
        return self.at(self.before)

    @property
    def steps(self) -> list[int]:
        """How far neighbours along each axis are from each other."""
        return [prod(self.size[a + 1 :]) for a in range(len(self.size))]

    def at(self, place: Sequence[int], channel: int = 0) -> int:
        """The position of a pixel."""
        return channel * self.plane + sum(i * step for i, step in zip(place, self.steps))

    @property
    def total(self) -> int:
        return self.channels * self.plane


@dataclass
class Work:
    """Everything of a step but addresses of values."""

    request: Request
    frames: list[_Frame]
    scratch: list[int]
    table: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def is_native(v: Variable) -> bool:
    """Whether a convolution of known sizes has a kernel that is better than NumPy."""
    if v.op is None or v.op.name not in KINDS or v.dtype not in BLAS_DTYPES:
        return False
    found = geometry(v)
    return (found.images >= FEW or found.flops < SMALL) and not by_plane(found)


def by_plane(g: Geometry) -> bool:
    """Whether to go plane by plane: groups are of one channel, of images, and blocks of images
    would be mostly empty."""
    return len(g.size) == 2 and 1 < g.channels == g.groups and g.images < MANY


def geometry(v: Variable) -> Geometry:
    """The sizes of any of the three ops."""
    assert v.op is not None
    first, second = (shape_of(a) for a in v.args[:2])
    x, w, y = {
        "forward": (first, second, shape_of(v)),
        "input": (shape_of(v), second, first),
        "weight": (first, shape_of(v), second),
    }[KINDS[v.op.name]]
    pads = border_of(v.attrs["border"], w[2:], v.attrs["dilation"])
    return Geometry(
        x[0], x[1], w[0], x[2:], w[2:], y[2:], pads, v.attrs["stride"], v.attrs["dilation"],
        v.attrs["groups"],
    )  # fmt: skip


def work_of(v: Variable, filters: Layout | None) -> Work:
    """The tables and scratch memory of a convolution; `filters` where it has an operand so."""
    g, size = geometry(v), itemsize(v.dtype)
    assert v.op is not None
    if KINDS[v.op.name] == "weight":
        return _correlation(g, v.dtype, size)
    assert filters is not None
    made = _forward if KINDS[v.op.name] == "forward" else _backward
    return made(g, v.dtype, size, filters.strides)


# --- images times filters -------------------------------------------------------------


def _forward(g: Geometry, dtype: str, size: int, w: Sequence[int]) -> Work:
    frame = _input_frame(g)
    taps = _taps(g, frame)
    weights = [
        sum(i * step for i, step in zip(at, w[1:]))
        for at in product(range(g.channels // g.groups), *map(range, g.kernel))
    ]
    at = _places(g, frame)
    phase = taps, weights, at, list(range(len(at)))
    m, channels = g.filters // g.groups, g.channels // g.groups
    return _filtered(
        dtype, size, frame, [phase], g.groups, channels, m * w[0], m, w[0], g.made
    )  # fmt: skip


def _backward(g: Geometry, dtype: str, size: int, w: Sequence[int]) -> Work:
    """Each axis falls into phases of pixels that meet the same taps."""
    every = range(len(g.size))
    axes = [_phases(g, a, split=a == 0) for a in every]
    before, extents = [], []
    for a in every:
        reached = [i + t for at, taps in axes[a] for _, i in taps for t in (0, len(at) - 1)]
        before.append(max(0, -min(reached, default=0)))
        extents.append(before[a] + max(g.made[a], max(reached, default=0) + 1))
    frame = _Frame(g.filters, tuple(extents), tuple(before))
    image, per_group = _Frame(1, g.size, ()), g.filters // g.groups
    phases = []
    for phase in product(*axes):
        taps, weights = [], []
        for k, meeting in product(range(per_group), list(product(*(t for _, t in phase)))):
            taps.append(frame.at([i for _, i in meeting], k))
            weights.append(k * w[0] + sum(r * step for (r, _), step in zip(meeting, w[2:])))
        numbers = product(*(range(len(pixels)) for pixels, _ in phase))
        at = [frame.start + frame.at(i) for i in numbers]
        to = [image.at(i) for i in product(*(pixels for pixels, _ in phase))]
        phases.append((taps, weights, at, to))
    m = g.channels // g.groups
    return _filtered(
        dtype, size, frame, phases, g.groups, per_group, per_group * w[0], m, w[1], g.size
    )  # fmt: skip


_Phase = tuple[Sequence[int], list[tuple[int, int]]]


def _phases(g: Geometry, a: int, split: bool) -> list[_Phase]:
    """Along an axis: pixels of an image, a stride apart, and the taps that meet the first of
    them, each with the place in the gradient.

    With `split`, pixels that some taps miss, for there is padding, are phases of their own
    where that saves enough.
    """
    stride, found = g.stride[a], []
    for first in range(min(stride, g.size[a])):
        pixels, taps = range(first, g.size[a], stride), []
        for k in range(g.kernel[a]):
            distance = first + g.pads[a][0] - k * g.dilation[a]
            if distance % stride == 0:
                taps.append((k, distance // stride))
        found.append((pixels, taps))
    parts = [part for whole in found for part in _split(*whole, g.made[a])]
    saved = _met(found) - _met(parts)
    return parts if split and saved > _WORTH * _met(found) else list(found)


def _met(phases: Sequence[_Phase]) -> int:
    return sum(len(pixels) * len(taps) for pixels, taps in phases)


def _split(pixels: range, taps: list[tuple[int, int]], made: int) -> list[_Phase]:
    """The runs of pixels that meet the same taps, inside the gradient."""
    runs: list[tuple[list[int], list[tuple[int, int]]]] = []
    for t, pixel in enumerate(pixels):
        inside = [(k, i + t) for k, i in taps if 0 <= i + t < made]
        same = runs and [k for k, _ in runs[-1][1]] == [k for k, _ in inside]
        if same:
            runs[-1][0].append(pixel)
        else:
            runs.append(([pixel], inside))
    return list(runs)


def _filtered(
    dtype: str, size: int, frame: _Frame, phases: Sequence[tuple[list[int], ...]], groups: int,
    per_group: int, filter_step: int, m: int, filter_row: int, made: Sequence[int],
) -> Work:  # fmt: skip
    pixels = prod(made)
    deep = sum(len(taps) for taps, *_ in phases)
    scratch = [
        frame.total * BLOCK_BYTES, deep * groups * (m + TILE) * size,
        groups * m * pixels * BLOCK_BYTES,
    ]  # fmt: skip
    head: list[int] = []
    rest: list[int] = []
    start = 6 * len(phases)
    for taps, weights, at, to in phases:
        head += [len(taps), start + len(rest)]
        rest += taps
        head += [start + len(rest), len(at), start + len(rest) + len(weights)]
        rest += [*weights, *at, *at[-1:] * TILE]
        head.append(start + len(rest))
        rest += [*to, *to[-1:] * TILE]
    request = Request("filter", dtype, m, max((len(at) for _, _, at, _ in phases), default=0))
    numbers = [len(phases), groups, per_group * frame.plane, filter_step, m, filter_row, pixels]
    return Work(request, [frame], scratch, head + rest, numbers)


# --- images times images --------------------------------------------------------------


def _correlation(g: Geometry, dtype: str, size: int) -> Work:
    frame, upper = _input_frame(g), _Frame(g.filters, g.made, (0,) * len(g.made))
    per_group, m = g.channels // g.groups, g.filters // g.groups
    taps = _taps(g, frame)
    at, q = _places(g, frame), len(taps)
    scratch = [
        frame.total * BLOCK_BYTES, upper.total * BLOCK_BYTES,
        g.groups * (m + TILE) * (q + TILE) * size,
    ]  # fmt: skip
    numbers = [g.groups, per_group * frame.plane, m, q, len(at), 0, len(at)]
    table = [*at, *taps, *taps[-1:] * TILE]
    return Work(Request("correlate", dtype, m, q), [frame, upper], scratch, table, numbers)


def _input_frame(g: Geometry) -> _Frame:
    size = tuple(n + sum(pad) for n, pad in zip(g.size, g.pads))
    return _Frame(g.channels, size, tuple(before for before, _ in g.pads))


def _taps(g: Geometry, frame: _Frame) -> list[int]:
    """From a window's beginning to each of its elements, channel by channel."""
    spread = [
        frame.at([i * d for i, d in zip(at, g.dilation)]) for at in product(*map(range, g.kernel))
    ]
    return [c * frame.plane + n for c in range(g.channels // g.groups) for n in spread]


def _places(g: Geometry, frame: _Frame) -> list[int]:
    return [
        frame.at([i * stride for i, stride in zip(at, g.stride)])
        for at in product(*map(range, g.made))
    ]


# --- the step -------------------------------------------------------------------------


LEVELS = 4  # of the loops that pack images; `SOURCE_WORDS` counts the words of a source
SOURCE_WORDS = 3 * LEVELS + 3


def _source(layout: Layout, address: Word, frame: _Frame) -> list[Word]:
    """The words of a value's packing; neighbouring axes without zeros between are one."""
    levels = list(zip(layout.shape[1:], layout.strides[1:], (frame.plane, *frame.steps)))
    count, step, to = levels.pop()
    while levels and levels[-1][1:] == (count * step, count * to):
        count *= levels.pop()[0]
    levels = [(1, 0, 0)] * (LEVELS - 1 - len(levels)) + levels + [(count, step, to)]
    extents = [n for count, step, _ in levels for n in (count, step)]
    targets = [to for *_, to in levels[:-1]]
    return [address, layout.strides[0], *extents, frame.start, *targets, frame.total]


def convolution_step(
    v: Variable, work: Work, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place], scratch: Sequence[Place],
) -> Step:  # fmt: skip
    """The step; its operands' addresses are the words `operand_words`."""
    g = geometry(v)
    packed = [Address(p) for p in scratch]
    table: Array = np.array(work.table or [0], "int64")
    known = Address(Place("constant", 0, table))
    words: list[Word] = []
    for layout, address, frame in zip(layouts, addresses, work.frames):
        words += _source(layout, address, frame)
    words.append(g.images)
    if work.request.kind == "filter":
        words.append(addresses[1])
    words += [Address(places[v]), *packed, known, *work.numbers]
    split = _parts(v, work, layouts, len(work.frames) * SOURCE_WORDS)
    traffic = sum(a.type.nbytes for a in (v, *v.args[:2]))
    assert v.op is not None
    label = f"{v.op.name} {_by(g.kernel)}, {g.channels} -> {g.filters} on {_by(g.size)}"
    return Step(
        "convolution", label, words, nodes=(v,), flops=g.flops, bytes=float(traffic),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),),
        extra=work.request, split=split,
    )  # fmt: skip


def _parts(v: Variable, work: Work, layouts: Sequence[Layout], images: int) -> Split:
    """Parts take whole blocks of images; `images` is the word that counts them."""
    g, size, correlates = geometry(v), itemsize(v.dtype), work.request.kind == "correlate"
    sources = range(len(work.frames))
    moves = [(SOURCE_WORDS * k, layouts[k].strides[0] * size) for k in sources]
    out = images + (1 if correlates else 2)
    if not correlates:
        moves.append((out, v.type.size // max(g.images, 1) * size))
    scratch = tuple((out + 1 + k, count) for k, count in enumerate(work.scratch))
    sums = (out, v.type.size, v.dtype) if correlates else None
    return Split(g.images, BLOCK_BYTES // size, images, tuple(moves), scratch, sums)


def operand_words(work: Work) -> tuple[int, int]:
    """Which words of the step are the addresses of the first and of the second operand."""
    return (0, SOURCE_WORDS if work.request.kind == "correlate" else SOURCE_WORDS + 1)


def _by(size: Sequence[Any]) -> str:
    return "x".join(map(str, size))
