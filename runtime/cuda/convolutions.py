"""Convolutions and their two gradients as products of matrices that nobody writes out.

Which matrices they are is said in :mod:`graphc.runtime.cuda.pixels`. Two kernels compute that:
:mod:`graphc.runtime.cuda.implicit`, where a block makes a tile of the result, and `direct`, where
a thread (of gradients of filters a block) makes one element, for groups with few rows such as
those of depthwise convolutions.

Where results are few and sums long (those of gradients of filters go over the pixels of all
images), several blocks share them, and a second kernel adds up what they found, in order. How
many depends on sizes alone.

Images, filters and gradients of float16 and bfloat16 (`stored`) are widened as they are loaded, and
results rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from graphc.core.plan import Step
from graphc.runtime.cuda import implicit, tiles
from graphc.runtime.cuda.bits import loaded, rounded, stored
from graphc.runtime.cuda.pixels import (
    columns_of,
    decoded,
    head,
    met_of,
    pixels,
    rows_of,
    taps,
)
from graphc.runtime.cuda.shapes import Shape, indented, kernel_of
from graphc.runtime.cuda.tiles import COMPUTED, itemsize

FEW_ROWS = 4  # of a group; with fewer, tiles would be mostly empty
LARGE = 2**31  # numbers that are no longer divided as 32-bit ones


def shapes(step: Step, threads: int, blocks: int) -> tuple[list[Shape], int]:
    """The launches of a step, and the bytes of the work area that they want."""
    p: Any = step.extra
    images = int(step.words[-1])  # type: ignore[arg-type]
    made = columns_of(p) * (1 if p.kind == "weight" else images)
    rows = rows_of(p)
    count = rows * made * p.groups
    if not count:
        return [], 0
    large = max(count, images * prod(p.made), met_of(p) * prod(p.kernel)) >= LARGE // 2
    if rows < FEW_ROWS:
        by_block = p.kind == "weight"
        grid = count if by_block else -(-count // threads)
        return [Shape(direct(p, large), min(grid, blocks), threads)], 0
    depth = images * prod(p.made) if p.kind == "weight" else met_of(p) * prod(p.kernel)
    menus = tiles.IMPLICIT_MENUS
    tile, parts = tiles.chosen(menus, p.dtype, rows, made, p.groups, depth, threads)
    grid = tile.count(rows, made) * p.groups * parts
    source = implicit.tiled(p, tile, large, p.stored if parts == 1 else COMPUTED[p.dtype])
    found = [Shape(source, grid, tile.threads, parts)]
    if parts == 1:
        return found, 0
    grid = min(-(-count // threads), blocks)
    found.append(Shape(implicit.gathered(p), grid, threads, parts))
    return found, parts * count * itemsize(COMPUTED[p.dtype])


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
    own = f"(group * {rows_of(p)} + row)"
    if p.kind == "weight":
        return _of(p, "g", "image", own, _names("p", p))
    if p.kind == "input":
        return _of(p, "w", f"(group * {met_of(p)} + c)", "row", _names("t", p))
    return _of(p, "w", own, "c", _names("t", p))


def _right(p: Any) -> tuple[list[str], str, str]:
    """B's element: lines before, whether it is inside an image, and the element."""
    lines, inside = [], []
    other = f"(group * {met_of(p)} + c)"
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


def direct(p: Any, large: bool) -> str:
    """The kernel that makes each element of C for itself."""
    before, inside, element = _right(p)
    add = [*before, f"if {inside}:", f"    total = total + {_left(p)} * {element}"]
    made = _by_block if p.kind == "weight" else _by_thread
    return kernel_of(head(p, addresses=False) + made(p, add, large))


def _by_thread(p: Any, add: Sequence[str], large: bool) -> list[str]:
    rows = rows_of(p)
    places = [pixels(p)[0], ("own", rows * p.groups), *pixels(p)[1:]]
    body = list(add)
    for name, extent in reversed(taps(p)):
        body = [f"for {name} in range({extent}):", *indented(body)]
    total = f"images * {rows * p.groups * columns_of(p)}"
    return [
        f"for at in range(here * threads + thread, {total}, blocks * threads):",
        *indented([
            *decoded("at", places, large), f"group, row = own // {rows}, own % {rows}",
            f"total = {p.dtype}(0)", *body, _store(p, "at", "total"),
        ]),
    ]  # fmt: skip


def _by_block(p: Any, add: Sequence[str], large: bool) -> list[str]:
    """A block makes an element of a gradient of filters; its threads share in the sum."""
    rows = rows_of(p)
    own, *below = ("own", 0), *taps(p)
    return [
        f"found = cuda.shared.array(THREADS, types.{p.dtype})",
        f"depth = images * {prod(p.made)}",
        f"for at in range(here, {rows * p.groups * columns_of(p)}, blocks):",
        *indented([
            *decoded("at", [own, *below], large), f"group, row = own // {rows}, own % {rows}",
            f"total = {p.dtype}(0)",
            "for r in range(thread, depth, threads):",
            *indented([*decoded("r", pixels(p), large), *add]),
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
