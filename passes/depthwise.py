"""Convolutions whose groups have one channel, as steps: a plane at a time, without packing.

A block of images has nothing to reuse there: each channel meets a filter of its own. The kernels
(`runtime/depthwise.py`) go along rows of planes instead, which serves few images as well as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Split, Step, Word
from graphc.passes.convolution import KINDS, Depthwise, Geometry, by_plane, geometry
from graphc.passes.layout import Layout
from graphc.passes.lower import BLAS_DTYPES

WORDS = 5  # of an operand: its address, and its strides


def is_depthwise(v: Variable) -> bool:
    """Whether a convolution of known sizes goes plane by plane."""
    if v.op is None or v.op.name not in KINDS or v.dtype not in BLAS_DTYPES:
        return False
    return by_plane(geometry(v))


def depthwise_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> Step:  # fmt: skip
    """The step; operand k's address is word ``WORDS * k``."""
    assert v.op is not None
    g, kind = geometry(v), KINDS[v.op.name]
    request = Depthwise(
        kind, v.dtype, layouts[0].strides[3] == 1, kind != "weight" or layouts[1].strides[3] == 1,
        g.kernel, g.stride, g.dilation, tuple(before for before, _ in g.pads),
    )  # fmt: skip
    words: list[Word] = []
    for layout, address in zip(layouts, addresses):
        words += [address, *layout.strides]
    words += [Address(places[v]), g.images, g.channels, g.filters, *g.size, *g.made]
    planes = {"forward": g.images * g.filters, "input": g.images * g.channels}
    high = planes.get(kind, g.filters)
    return Step(
        "depthwise", f"{v.op.name} {'x'.join(map(str, g.kernel))}, depthwise, {_sizes(g)}", words,
        0, high,
        nodes=(v,), flops=g.flops, bytes=float(sum(a.type.nbytes for a in (v, *v.args[:2]))),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),), extra=request,
        split=Split(high),
    )  # fmt: skip


def _sizes(g: Geometry) -> str:
    return f"{g.channels} -> {g.filters} on {'x'.join(map(str, g.size))}"
