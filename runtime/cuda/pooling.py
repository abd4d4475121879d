"""Pooling and its gradients: a thread makes one element of the result.

Gradients go the other way round than on the CPU: instead of a window that adds to its elements,
an element adds up the windows that have it, so that threads never write to one place.

Blocks of words are those of :mod:`graphc.runtime.pooling`.
"""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.cuda.bits import loaded, rounded, stored
from graphc.runtime.cuda.shapes import Shape, indented
from graphc.runtime.pooling import OPERANDS, SCATTERS, bounds, divided

AXES = ("image", "plane", "row", "column")
SIZES = ("channels", "height", "width", "rows", "columns")


def shapes(step: Step, threads: int, blocks: int) -> list[Shape]:
    """The launch of a step: as many steps as the result has elements."""
    p: Any = step.extra
    height, width, rows, columns = (int(n) for n in step.words[-4:])  # type: ignore[arg-type]
    each = height * width if p.name in SCATTERS else rows * columns
    grid = min(-(-step.high * each // threads), blocks)
    return [Shape(source(p), grid, threads, step.high)] if grid else []


def source(p: Any) -> str:
    """The kernel of a request; its last argument is the number of images times channels."""
    names = OPERANDS[p.name]
    scatters = p.name in SCATTERS
    lines = ["if stopped(error, step):", "    return"]
    for k, name in enumerate(names):
        lines.append(f"{name} = read_{p.stored}(block, {5 * k})")
        lines += [f"{name}_{axis} = word(block, {5 * k + n})" for n, axis in enumerate(AXES, 1)]
    lines.append(f"out = write_{p.stored}(block, {5 * len(names)})")
    lines += [f"{name} = word(block, {n})" for n, name in enumerate(SIZES, 5 * len(names) + 1)]
    down, over, line, place = (
        ("height", "width", "h", "v") if scatters else ("rows", "columns", "i", "j")
    )
    body = [
        f"{place} = at % {over}", f"{line} = at // {over} % {down}",
        f"plane = at // ({over} * {down})",
        *(f"{n}_at = plane // channels * {n}_image + plane % channels * {n}_plane" for n in names),
        *(_scatter(p) if scatters else _gather(p)), _store(p),
    ]  # fmt: skip
    lines += [
        "first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)",
        "stride = int64(cuda.gridDim.x) * int64(cuda.blockDim.x)",
        f"for at in range(first, parts * {down} * {over}, stride):",
        *indented(body),
    ]
    return "\n".join(["def kernel(block, work, error, step, parts):", *indented(lines), ""])


def _element(p: Any, name: str, row: str, column: str) -> str:
    return loaded(p.stored, f"{name}[{name}_at + {row} * {name}_row + {column} * {name}_column]")


def _store(p: Any) -> str:
    """The sum, or the pick, goes to its place; halves round it there."""
    return f"out[at] = {stored(p.stored, rounded(p.stored, 'value'))}"


def _window(p: Any) -> list[str]:
    """The bounds of a window."""
    return [
        *bounds("i", "top", "bottom", "height", 0, p), *bounds("j", "left", "right", "width", 1, p),
    ]  # fmt: skip


def _gather(p: Any) -> list[str]:
    """An element of the result from its window."""
    here = _element(p, "x", "r", "s")
    picked = _element(p, "c", "r", "s")
    added = {
        "pool": f"value + {here}",
        "pool_max": f"maximum(value, {here})",
        "pool_max_pick": f"value + select({here} == best, {picked}, {p.dtype}(0))",
    }
    lines = [
        *_window(p), f"value = {p.dtype}({'-inf' if p.name == 'pool_max' else '0'})",
        "for r in range(top, bottom):",
        "    for s in range(left, right):",
        f"        value = {added[p.name]}",
    ]  # fmt: skip
    if p.name == "pool_max_pick":
        lines.insert(0, f"best = {_element(p, 'y', 'i', 'j')}")
    if p.name == "pool":
        lines.append(f"value = {divided(p, 'value')}")
    return lines


def _scatter(p: Any) -> list[str]:
    """An element of a gradient from the windows that have it."""
    given = _element(p, "g", "i", "j")
    if p.name == "pool_grad":
        inner = [*_window(p), f"value = value + {divided(p, given)}"]
    else:
        best = _element(p, "y", "i", "j")
        inner = [f"value = value + select(here == {best}, {given}, {p.dtype}(0))"]
    lines = [f"value = {p.dtype}(0)"]
    if p.name == "pool_max_grad":
        lines.append(f"here = {_element(p, 'x', 'h', 'v')}")
    lines += _windows_with("h", "up", "down", "rows", 0, p)
    lines += _windows_with("v", "west", "east", "columns", 1, p)
    return [*lines, "for i in range(up, down):", "    for j in range(west, east):",
            *indented(inner, 2)]  # fmt: skip


def _windows_with(at: str, low: str, high: str, made: str, a: int, p: Any) -> list[str]:
    """The first window that has an element, and the one after the last."""
    window, stride, pad = p.window[a], p.stride[a], p.pad[a]
    return [
        f"{low} = imax(({at} + {pad - window}) // {stride} + 1, 0)",
        f"{high} = imin(({at} + {pad}) // {stride} + 1, {made})",
    ]
