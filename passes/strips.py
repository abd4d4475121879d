"""Convolutions of few images, in strips of rows: as many as vectors have lanes.

The kernels hold a pixel of as many images as a vector has lanes (`passes/convolution.py`), so
that four images would leave three quarters of the work to zeros. Here the rows of all images,
zeros around them included, stand below each other and are cut into strips that overlap by what
a filter reaches: strips are images of their own. Rows of their results that belong to no image
are left out when it is put together. Both are picks of rows by constant tables, which fuse with
what is around. Of images that are wider than high, as sequences are, columns take the place of
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphc.core.node import Array, Constant, Variable
from graphc.core.op import apply
from graphc.ops.elementwise import add, switch
from graphc.ops.gather import gather
from graphc.ops.shape import dimshuffle
from graphc.passes.convolution import BLOCK_BYTES, KINDS, Geometry, geometry
from graphc.passes.lower import BLAS_DTYPES, itemsize

LEAST = 2e5  # operations; fewer are done before the steps around them are
SHARE = 0.8  # of the rows that whole images have: the most that strips may have


@dataclass(frozen=True)
class Strips:
    """How the rows of the images of a convolution are cut, and put together again."""

    g: Geometry
    lanes: int
    axis: int
    """The one along which images are cut; that of rows is 0."""

    @property
    def size(self) -> int:
        return self.g.size[self.axis]

    @property
    def stride(self) -> int:
        return self.g.stride[self.axis]

    @property
    def before(self) -> int:
        """Rows of zeros before an image."""
        return self.g.pads[self.axis][0]

    @property
    def reach(self) -> int:
        return (self.g.kernel[self.axis] - 1) * self.g.dilation[self.axis] + 1

    @property
    def result(self) -> int:
        """Rows of an image's result."""
        return self.g.made[self.axis]

    @property
    def made(self) -> int:
        """Rows of a result from one image to the next, with those that belong to none."""
        rows = max((self.result - 1) * self.stride + self.reach, self.before + self.size)
        return -(-rows // self.stride)

    @property
    def rows(self) -> int:
        """Rows of a strip's result."""
        return -(-self.g.images * self.made // self.lanes)

    @property
    def step(self) -> int:
        """Rows from the beginning of a strip to that of the next."""
        return self.rows * self.stride

    @property
    def overlap(self) -> int:
        return max(0, self.reach - self.stride)

    @property
    def pays(self) -> bool:
        g = self.g
        return (
            0 < g.images < self.lanes and g.flops >= LEAST and not 1 < g.channels == g.groups
            and self.rows <= SHARE * self.result and self.overlap <= self.step
        )  # fmt: skip

    @cached_property
    def of_input(self) -> tuple[Array, Array, Array]:
        """For each row of each strip: its image, its row, and whether it is one."""
        apart = self.made * self.stride
        at = np.arange(self.lanes)[:, None] * self.step + np.arange(self.step + self.overlap)
        return self._table(at, apart, self.before, self.size)

    @cached_property
    def of_result(self) -> tuple[Array, Array, Array]:
        """The same for rows of results."""
        at = np.arange(self.lanes * self.rows).reshape(self.lanes, self.rows)
        return self._table(at, self.made, 0, self.result)

    def _table(self, at: Array, apart: int, before: int, count: int) -> tuple[Array, Array, Array]:
        image, row = at // apart, at % apart - before
        there = (image < self.g.images) & (row >= 0) & (row < count)
        return np.where(there, image, 0), np.where(there, row, 0), there

    @cached_property
    def back(self) -> tuple[Array, Array]:
        """For each row of each image's result, its strip and its row there."""
        at = np.arange(self.g.images)[:, None] * self.made + np.arange(self.result)
        return at // self.rows, at % self.rows

    @cached_property
    def back_to_input(self) -> tuple[Array, Array, Array]:
        """For each row of each image, its strip, its row there, and whether the strip before
        has it too, `step` rows further down."""
        apart = self.made * self.stride
        at = np.arange(self.g.images)[:, None] * apart + self.before + np.arange(self.size)
        strip, row = at // self.step, at % self.step
        return strip, row, (row < self.overlap) & (strip > 0)


def in_strips(v: Variable) -> Variable | None:
    """A convolution of known sizes, or a gradient of one, of few images: the same of strips."""
    assert v.op is not None
    if v.op.name not in KINDS or v.dtype not in BLAS_DTYPES or len(v.attrs["stride"]) != 2:
        return None
    g = geometry(v)
    axis = int(g.made[1] > g.made[0])
    strips = Strips(g, BLOCK_BYTES // itemsize(v.dtype), axis)
    if not strips.pays:
        return None
    border = tuple((0, 0) if a == axis else pads for a, pads in enumerate(g.pads))
    attrs = {**v.attrs, "border": border}
    kind, (first, second, *sizes) = KINDS[v.op.name], v.args
    if kind == "weight":
        images = _cut(first, strips.of_input, axis), _cut(second, strips.of_result, axis)
        return apply(v.op, (*images, *sizes), attrs)
    if kind == "forward":
        made = apply(v.op, (_cut(first, strips.of_input, axis), second), attrs)
        return _rows(made, *strips.back, axis)
    sizes[axis] = Constant(strips.step + strips.overlap, "int64")
    made = apply(v.op, (_cut(first, strips.of_result, axis), second, *sizes), attrs)
    strip, row, both = strips.back_to_input
    own = _rows(made, strip, row, axis)
    if not both.any():
        return own
    other = _rows(made, np.where(both, strip - 1, 0), np.where(both, row + strips.step, 0), axis)
    return add(own, _where(both, other, axis))


def _cut(x: Variable, table: Sequence[Array], axis: int) -> Variable:
    """Images as strips, with zeros where a strip's row is none of an image."""
    image, row, there = table
    picked = _rows(x, image, row, axis)
    return picked if there.all() else _where(there, picked, axis)


def _rows(x: Variable, image: Array, row: Array, axis: int) -> Variable:
    """``y[i, c, j] = x[image[i, j], c, row[i, j]]``, and so on for columns."""
    indices = [Constant(np.ascontiguousarray(n), "int64") for n in (image, row)]
    picked = apply(gather, (x, *indices), {"axes": (0, 2 + axis)})  # (i, j, c, the other axis)
    return dimshuffle(picked, *((0, 2, 1, 3), (0, 2, 3, 1))[axis])


def _where(there: Array, x: Variable, axis: int) -> Variable:
    pattern = (0, "x", 1, "x") if axis == 0 else (0, "x", "x", 1)
    return switch(dimshuffle(Constant(there, "bool"), *pattern), x, Constant(0.0, x.dtype))
