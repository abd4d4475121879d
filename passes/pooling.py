"""Pooling as steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.core.dtypes import wide
from graphc.core.node import Variable
from graphc.core.plan import Address, Place, Split, Step, Word
from graphc.ops.pool import pooled_size
from graphc.passes.layout import Layout, shape_of
from graphc.passes.lower import BLAS_DTYPES

# Each op's operands with elements, and where to find the shapes of images and of windows.
OPERANDS = {"pool": 1, "pool_max": 1, "pool_max_pick": 3, "pool_grad": 1, "pool_max_grad": 3}
WORDS = 5  # of an operand


@dataclass(frozen=True)
class Request:
    """What a kernel is made of; `inside`: every window ends inside, and there is no padding.

    `dtype` is that of sums, `stored` that of arrays: only CUDA's kernels take another one.
    """

    name: str
    dtype: str
    adjacent: bool
    inside: bool
    window: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    mode: str
    stored: str


def is_pooling(v: Variable) -> bool:
    """Whether an op pools in a dtype that has kernels."""
    return v.op is not None and v.op.name in OPERANDS and wide(v.dtype) in BLAS_DTYPES


def pooling_step(
    v: Variable, layouts: Sequence[Layout], addresses: Sequence[Address],
    places: Mapping[Variable, Place],
) -> Step:  # fmt: skip
    """The step of a pooling op; operand k's address is word ``WORDS * k``."""
    assert v.op is not None
    name, attrs = v.op.name, v.attrs
    image = shape_of(v) if name in ("pool_grad", "pool_max_grad") else shape_of(v.args[0])
    made = [
        pooled_size(n, w, s, p, attrs["whole"])
        for n, w, s, p in zip(image[2:], attrs["window"], attrs["stride"], attrs["pad"])
    ]
    inside = not any(attrs["pad"]) and all(
        (m - 1) * s + w <= n
        for m, n, s, w in zip(made, image[2:], attrs["stride"], attrs["window"])
    )
    request = Request(
        name, wide(v.dtype), all(lay.strides[3] == 1 for lay in layouts), inside, attrs["window"],
        attrs["stride"], attrs["pad"], attrs.get("mode", "sum"), v.dtype,
    )  # fmt: skip
    words: list[Word] = []
    for layout, address in zip(layouts, addresses):
        words += [address, *layout.strides]
    words += [Address(places[v]), image[1], *image[2:], *made]
    window = attrs["window"][0] * attrs["window"][1]
    planes = image[0] * image[1]
    return Step(
        "pooling", f"{name} {attrs['window'][0]}x{attrs['window'][1]}", words, 0, planes,
        nodes=(v,), flops=float(planes * made[0] * made[1] * window),
        bytes=float(sum(a.type.nbytes for a in (v, *v.args[: len(layouts)]))),
        reads=tuple(str(a.place) for a in addresses), writes=(str(places[v]),), extra=request,
        split=Split(planes),
    )  # fmt: skip
