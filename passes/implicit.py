"""Convolutions as steps for targets that pack nothing: the kernel finds pixels by arithmetic.

A convolution and its two gradients are products of matrices whose elements lie at places that
follow from sizes ("implicit" matrices). So the step has addresses, strides and sizes, and neither
tables nor scratch memory, which those of :mod:`graphc.passes.convolution` have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.core.dtypes import wide
from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Step, Word
from graphc.passes.convolution import KINDS, geometry
from graphc.passes.layout import Layout
from graphc.passes.lower import BLAS_DTYPES


@dataclass(frozen=True)
class Implicit:
    """What a kernel is made of: everything but strides and the number of images.

    `kind` is "forward", "input" or "weight"; `size` and `made` are the extents of images and of
    the convolution, `pad` the zeros before each axis. `dtype` is that of sums, `stored` that of
    arrays.
    """

    kind: str
    dtype: str
    groups: int
    channels: int
    filters: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    made: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]
    stored: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", self.stored or self.dtype)


def is_implicit(v: Variable) -> bool:
    """Whether an op is a convolution, or a gradient of one, in a dtype that has kernels."""
    return v.op is not None and v.op.name in KINDS and wide(v.dtype) in BLAS_DTYPES


def operand_words(v: Variable) -> tuple[int, int]:
    """Which words of the step are the addresses of the first and of the second operand."""
    return (0, 1 + v.ndim)


def implicit_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> Step:  # fmt: skip
    """The step; its words: address and strides of each operand, the result's address, and how
    many images there are."""
    assert v.op is not None
    g = geometry(v)
    request = Implicit(
        KINDS[v.op.name], wide(v.dtype), g.groups, g.channels, g.filters, g.size, g.kernel, g.made,
        g.stride, g.dilation, tuple(before for before, _ in g.pads),
        v.dtype,
    )  # fmt: skip
    words: list[Word] = []
    for layout, address in zip(layouts, addresses):
        words += [address, *layout.strides]
    words += [Address(places[v]), g.images]
    sizes = "x".join(map(str, g.kernel)), "x".join(map(str, g.size))
    return Step(
        "implicit", f"{v.op.name} {sizes[0]}, {g.channels} -> {g.filters} on {sizes[1]}", words,
        nodes=(v,), flops=g.flops, bytes=float(sum(a.type.nbytes for a in (v, *v.args[:2]))),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),), extra=request,
    )  # fmt: skip
