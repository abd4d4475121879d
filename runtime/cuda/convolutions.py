"""Convolutions and their two gradients as products of matrices that nobody writes out.

Of a group of channels, ``C[row, column] = sum over r of A[row, r] B[r, column]``, where

- forward: rows are filters, columns pixels of all images of the result, and `r` goes over
  channels and taps: A is the filters, B the images as the taps meet them;
- input: rows are channels, columns pixels of all images, and `r` goes over filters and taps: B is
  the gradient where a tap's stride meets it, else 0;
- weight: rows are filters, columns channels and taps, and `r` goes over the pixels of the
  gradients of all images.

Two kernels compute that from the same index arithmetic: `tiled`, where a block makes a square of
C from squares of A and B in shared memory, and `direct`, where a thread (of gradients of filters
a block) makes one element, for groups with few rows such as those of depthwise convolutions.

Sums over the pixels of all images are long, and their results small: several blocks share them,
and a second kernel adds up what they found, in order. How many depends on sizes alone.

Extents, strides and dilation are literals, so that no division is by a number unknown to the
compiler; the number of images is a word, so that batches of any size share kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from typing import Any

from graphc.core.dtypes import numpy_dtype
from graphc.core.plan import Step
from graphc.runtime.cuda.bits import loaded, rounded, stored
from graphc.runtime.cuda.shapes import Shape, indented

FEW_ROWS = 4  # of a group; with fewer, squares would be mostly empty
BLOCKS_WANTED = 512  # that share in a gradient of filters
SQUARES = 16  # along a sum; fewer are no work for another block
OPERANDS = {"forward": ("x", "w"), "input": ("g", "w"), "weight": ("x", "g")}


def shapes(step: Step, threads: int, blocks: int) -> tuple[list[Shape], int]:
    """The launches of a step, and the bytes of the work area that they want."""
    p: Any = step.extra
    images, side = int(step.words[-1]), isqrt(threads)  # type: ignore[arg-type]
    made = _columns(p) * (1 if p.kind == "weight" else images)
    rows = _rows(p)
    if not made * rows * p.groups:
        return [], 0
    if rows < FEW_ROWS:
        count = rows * made * p.groups
        by_block = p.kind == "weight"
        grid = count if by_block else -(-count // threads)
        return [Shape(direct(p), min(grid, blocks), threads)], 0
    tiles = -(-rows // side) * -(-made // side) * p.groups
    deep = images * prod(p.made) if p.kind == "weight" else 0
    parts = max(1, min(BLOCKS_WANTED // tiles, deep // (SQUARES * side)))
    found = [Shape(tiled(p, side, parts > 1), tiles * parts, side * side, parts)]
    if parts == 1:
        return found, 0
    count = rows * made * p.groups
    found.append(Shape(_gathered(p, count), min(-(-count // threads), blocks), threads, parts))
    return found, parts * count * numpy_dtype(p.dtype).itemsize


# --- where elements lie ---------------------------------------------------------------


def _rows(p: Any) -> int:
    return int((p.channels if p.kind == "input" else p.filters) // p.groups)


def _columns(p: Any) -> int:
    """Of one group; for images and their results, of one image."""
    if p.kind == "weight":
        return int(p.channels // p.groups * prod(p.kernel))
    return prod(p.size if p.kind == "input" else p.made)


def _met(p: Any) -> int:
    """How many channels (for gradients of images: filters) a group's sums are over."""
    return int((p.filters if p.kind == "input" else p.channels) // p.groups)


def _taps(p: Any) -> list[tuple[str, int]]:
    return [("c", _met(p)), *((f"t{a}", n) for a, n in enumerate(p.kernel))]


def _pixels(p: Any) -> list[tuple[str, int]]:
    name, sizes = ("y", p.size) if p.kind == "input" else ("p", p.made)
    return [("image", 0), *((f"{name}{a}", n) for a, n in enumerate(sizes))]


def _column(p: Any) -> list[tuple[str, int]]:
    """What a column's number consists of; and `_summed` that of a product of a sum."""
    return _taps(p) if p.kind == "weight" else _pixels(p)


def _summed(p: Any) -> list[tuple[str, int]]:
    return _pixels(p) if p.kind == "weight" else _taps(p)


def _decoded(at: str, parts: Sequence[tuple[str, int]]) -> list[str]:
    """The parts of a number, the last one fastest; the first takes what is left."""
    lines, below = [], 1
    for k, (name, extent) in reversed(list(enumerate(parts))):
        rest = at if below == 1 else f"{at} // {below}"
        lines.append(f"{name} = {rest}" + (f" % {max(extent, 1)}" if k else ""))
        below *= max(extent, 1)
    return lines


def _of(p: Any, name: str, first: str, second: str, rest: Sequence[str]) -> str:
    """An element of an operand."""
    places = [first, second, *rest]
    place = " + ".join(f"{at} * {name}_{k}" for k, at in enumerate(places))
    return loaded(p.stored, f"{name}[{place}]")


def _store(p: Any, place: str, value: str) -> str:
    """A sum goes to its place; halves round it there."""
    return f"out[{place}] = {stored(p.stored, rounded(p.stored, value))}"


def _names(letter: str, p: Any) -> list[str]:
    return [f"{letter}{a}" for a in range(len(p.kernel))]


def _left(p: Any) -> str:
    """A's element at `row` and where a sum is."""
    own = f"(group * {_rows(p)} + row)"
    if p.kind == "weight":
        return _of(p, "g", "image", own, _names("p", p))
    if p.kind == "input":
        return _of(p, "w", f"(group * {_met(p)} + c)", "row", _names("t", p))
    return _of(p, "w", own, "c", _names("t", p))


def _right(p: Any) -> tuple[list[str], str, str]:
    """B's element: lines before, whether it is inside an image, and the element."""
    lines, inside = [], []
    other = f"(group * {_met(p)} + c)"
    for a, (stride, dilation, pad) in enumerate(zip(p.stride, p.dilation, p.pad)):
        if p.kind == "input":
            lines += [f"q{a} = y{a} + {pad} - t{a} * {dilation}", f"p{a} = q{a} // {stride}"]
            inside += [f"q{a} >= 0", f"p{a} < {p.made[a]}"]
            inside += [f"q{a} % {stride} == 0"] if stride > 1 else []
        else:
            lines.append(f"y{a} = p{a} * {stride} + t{a} * {dilation} - {pad}")
            inside += [f"y{a} >= 0", f"y{a} < {p.size[a]}"]
    name, places = ("g", "p") if p.kind == "input" else ("x", "y")
    return lines, " and ".join(inside), _of(p, name, "image", other, _names(places, p))


# --- kernels --------------------------------------------------------------------------


def _head(p: Any) -> list[str]:
    lines = ["if stopped(error, step):", "    return"]
    word = 0
    for name in OPERANDS[p.kind]:
        lines.append(f"{name} = read_{p.stored}(block, {word})")
        steps = range(2 + len(p.kernel))
        lines += [f"{name}_{k} = word(block, {word + 1 + k})" for k in steps]
        word += 1 + len(steps)
    lines += [
        f"out = write_{p.stored}(block, {word})", f"images = word(block, {word + 1})",
        "thread, here = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)",
        "threads, blocks = int64(cuda.blockDim.x), int64(cuda.gridDim.x)",
    ]  # fmt: skip
    return lines


def _kernel(lines: Sequence[str]) -> str:
    return "\n".join(["def kernel(block, work, error, step, parts):", *indented(lines), ""])


def _extent(p: Any, summed: bool) -> str:
    """How many columns there are, or how many products are in a sum."""
    if summed == (p.kind == "weight"):
        return f"images * {prod(p.made) if summed else _columns(p)}"
    return str(_met(p) * prod(p.kernel))


def _result(p: Any) -> str:
    """Where an element of C goes."""
    own = f"group * {_rows(p)} + row"
    if p.kind == "weight":
        return f"({own}) * {_columns(p)} + column"
    return f"(image * {_rows(p) * p.groups} + {own}) * {_columns(p)} + column % {_columns(p)}"


def tiled(p: Any, side: int, shared: bool) -> str:
    """The kernel whose blocks make squares of C, `side` wide.

    With `shared`, `parts` blocks share in each square, and leave what they find in the work area.
    """
    zero, rows = f"{p.dtype}(0)", _rows(p)
    before, inside, element = _right(p)
    result = _result(p)
    lines = _head(p) + [
        f"left = cuda.shared.array(THREADS, types.{p.dtype})",
        f"right = cuda.shared.array(THREADS, types.{p.dtype})",
        f"columns, depth = {_extent(p, False)}, {_extent(p, True)}",
        f"across = (columns + {side - 1}) // {side}",
        f"tile = here % (across * {-(-rows // side)})",
        f"rest = here // (across * {-(-rows // side)})",
        f"group, part = rest % {p.groups}, rest // {p.groups}",
        f"y, x_ = thread // {side}, thread % {side}",
        f"row, column = tile // across * {side} + y, tile % across * {side} + x_",
        *_decoded("column", _column(p)),
        f"span = (depth + parts * {side} - 1) // (parts * {side}) * {side}",
        "low, high = part * span, imin(part * span + span, depth)",
        f"total = {zero}",
        f"for start in range(low, high, {side}):",
        *indented([
            f"left[thread] = {zero}",
            f"right[thread] = {zero}",
            "r = start + x_",
            f"if row < {rows} and r < high:",
            *indented([*_decoded("r", _summed(p)), f"left[thread] = {_left(p)}"]),
            "r = start + y",
            "if column < columns and r < high:",
            *indented([
                *_decoded("r", _summed(p)), *before, f"if {inside}:",
                f"    right[thread] = {element}",
            ]),
            "cuda.syncthreads()",
            f"for i in range({side}):",
            f"    total = total + left[y * {side} + i] * right[i * {side} + x_]",
            "cuda.syncthreads()",
        ]),
        f"if row < {rows} and column < columns:",
    ]  # fmt: skip
    if shared:
        count = rows * p.groups * _columns(p)
        lines.append(f"    found = at_{p.dtype}(work)")
        lines.append(f"    found[part * {count} + {result}] = total")
    else:
        lines.append(f"    {_store(p, result, 'total')}")
    return _kernel(lines)


def _gathered(p: Any, count: int) -> str:
    """The kernel that adds up what blocks left in the work area."""
    return _kernel([
        *_head(p),
        f"found = at_{p.dtype}(work)",
        f"for at in range(here * threads + thread, {count}, blocks * threads):",
        f"    total = {p.dtype}(0)",
        "    for part in range(parts):",
        f"        total = total + found[part * {count} + at]",
        f"    {_store(p, 'at', 'total')}",
    ])  # fmt: skip


def direct(p: Any) -> str:
    """The kernel that makes each element of C for itself."""
    before, inside, element = _right(p)
    add = [*before, f"if {inside}:", f"    total = total + {_left(p)} * {element}"]
    return _kernel(_head(p) + (_by_block(p, add) if p.kind == "weight" else _by_thread(p, add)))


def _by_thread(p: Any, add: Sequence[str]) -> list[str]:
    rows = _rows(p)
    places = [_pixels(p)[0], ("own", rows * p.groups), *_pixels(p)[1:]]
    body = list(add)
    for name, extent in reversed(_taps(p)):
        body = [f"for {name} in range({extent}):", *indented(body)]
    total = f"images * {rows * p.groups * _columns(p)}"
    return [
        f"for at in range(here * threads + thread, {total}, blocks * threads):",
        *indented([
            *_decoded("at", places), f"group, row = own // {rows}, own % {rows}",
            f"total = {p.dtype}(0)", *body, _store(p, "at", "total"),
        ]),
    ]  # fmt: skip


def _by_block(p: Any, add: Sequence[str]) -> list[str]:
    """A block makes an element of a gradient of filters; its threads share in the sum."""
    rows = _rows(p)
    own, *taps = ("own", 0), *_taps(p)
    return [
        f"found = cuda.shared.array(THREADS, types.{p.dtype})",
        f"depth = {_extent(p, True)}",
        f"for at in range(here, {rows * p.groups * _columns(p)}, blocks):",
        *indented([
            *_decoded("at", [own, *taps]), f"group, row = own // {rows}, own % {rows}",
            f"total = {p.dtype}(0)",
            "for r in range(thread, depth, threads):",
            *indented([*_decoded("r", _pixels(p)), *add]),
            "found[thread] = total",
            "cuda.syncthreads()",
            "half = threads // 2",
            "while half > 0:",
            "    if thread < half:",
            "        found[thread] = found[thread] + found[thread + half]",
            "    cuda.syncthreads()",
            "    half = half // 2",
            "if thread == 0:",
            f"    {_store(p, 'at', 'found[0]')}",
            "cuda.syncthreads()",
        ]),
    ]  # fmt: skip
