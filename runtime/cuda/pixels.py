"""What the numbers of rows, columns and terms of convolutions stand for, as lines of kernels.

Of a group of channels, ``C[row, column] = sum over r of A[row, r] B[r, column]``, where

- forward: rows are filters, columns pixels of all images of the result, and `r` goes over
  channels and taps: A is the filters, B the images as the taps meet them;
- input: rows are channels, columns pixels of all images, and `r` goes over filters and taps: B is
  the gradient where a tap's stride meets it, else 0;
- weight: rows are filters, columns channels and taps, and `r` goes over the pixels of the
  gradients of all images.
"""

from __future__ import annotations

from math import prod
from typing import Any

OPERANDS = {"forward": ("x", "w"), "input": ("g", "w"), "weight": ("x", "g")}
Parts = list[tuple[str, int]]
"""Names of what a number consists of, and the extent of each; the last is the fastest."""


def rows_of(p: Any) -> int:
    return int((p.channels if p.kind == "input" else p.filters) // p.groups)


def columns_of(p: Any) -> int:
    """Of one group; for images and their results, of one image."""
    if p.kind == "weight":
        return int(p.channels // p.groups * prod(p.kernel))
    return prod(p.size if p.kind == "input" else p.made)


def met_of(p: Any) -> int:
    """How many channels (for gradients of images: filters) a group's sums are over."""
    return int((p.filters if p.kind == "input" else p.channels) // p.groups)


def taps(p: Any) -> Parts:
    return [("c", met_of(p)), *((f"t{a}", n) for a, n in enumerate(p.kernel))]


def pixels(p: Any) -> Parts:
    name, sizes = ("y", p.size) if p.kind == "input" else ("p", p.made)
    return [("image", 0), *((f"{name}{a}", n) for a, n in enumerate(sizes))]


def column_parts(p: Any) -> Parts:
    """What a column's number consists of; and `summed_parts` that of a term of a sum."""
    return taps(p) if p.kind == "weight" else pixels(p)


def summed_parts(p: Any) -> Parts:
    return pixels(p) if p.kind == "weight" else taps(p)


def decoded(at: str, parts: Parts, large: bool) -> list[str]:
    """The parts of a number, the last one fastest; the first takes what is left.

    Only where numbers are `large`, they are divided as 64-bit ones.
    """
    lines, below = [], 1
    for k, (name, extent) in reversed(list(enumerate(parts))):
        extent = max(extent, 1)
        if large:
            rest = at if below == 1 else f"{at} // {below}"
            lines.append(f"{name} = {rest}" + (f" % {extent}" if k else ""))
        else:
            rest = at if below == 1 else f"quotient({at}, {below})"
            lines.append(f"{name} = remainder({rest}, {extent})" if k else f"{name} = {rest}")
        below *= extent
    return lines


def renamed(parts: Parts, suffix: str) -> Parts:
    return [(f"{suffix}_{name}", extent) for name, extent in parts]


def head(p: Any, addresses: bool) -> list[str]:
    """The words of a block: operands with strides, the result, and how many images there are."""
    lines = ["if stopped(error, step):", "    return"]
    word = 0
    read, write = ("word", "word") if addresses else (f"read_{p.stored}", f"write_{p.stored}")
    for name in OPERANDS[p.kind]:
        lines.append(f"{name} = {read}(block, {word})")
        steps = range(2 + len(p.kernel))
        lines += [f"{name}_{k} = word(block, {word + 1 + k})" for k in steps]
        word += 1 + len(steps)
    lines += [
        f"out = {write}(block, {word})", f"images = word(block, {word + 1})",
        "thread, here = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)",
        "threads, blocks = int64(cuda.blockDim.x), int64(cuda.gridDim.x)",
    ]  # fmt: skip
    return lines
