"""Pooling and its gradients as kernels, with the window and its stride as literals.

A block has five words for each operand (address, and strides of image, channel, row and column),
the result's address, and the sizes: channels, height, width, and how many windows there are along
each. The range is that of images times channels.
"""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compile import Compiled, compile_source

OPERANDS = {
    "pool": ("x",), "pool_max": ("x",), "pool_max_pick": ("x", "y", "c"),
    "pool_grad": ("g",), "pool_max_grad": ("x", "y", "g"),
}  # fmt: skip
SCATTERS = ("pool_grad", "pool_max_grad")
MOST_TAPS = 25  # of a window that is written out


def prepare(step: Step) -> Compiled:
    """The native function of a pooling step."""
    step.source = source(step.extra)
    return compile_source(step.source, step.label)


def source(p: Any) -> str:
    """The kernel of a request: `name`, `dtype`, `adjacent`, `inside`, and the op's attributes."""
    names = OPERANDS[p.name]
    words = 5 * len(names)
    lines = ["def kernel(block, low, high):"]
    for k, name in enumerate(names):
        lines.append(f"    {name} = read_{p.dtype}(block, {5 * k})")
        for part, label in enumerate(("image", "plane", "row", "column"), 1):
            lines.append(f"    {name}_{label} = word(block, {5 * k + part})")
    lines.append(f"    out = write_{p.dtype}(block, {words})")
    for k, name in enumerate(("channels", "height", "width", "rows", "columns"), words + 1):
        lines.append(f"    {name} = word(block, {k})")
    lines.append("    for plane in range(low, high):")
    body = [
        f"{n}_at = plane // channels * {n}_image + plane % channels * {n}_plane" for n in names
    ]
    body += _scatter(p) if p.name in SCATTERS else _gather(p)
    return "\n".join([*lines, *(f"        {line}" for line in body), "    return 0", ""])


def _element(p: Any, name: str, row: str, column: str) -> str:
    step = "" if p.adjacent else f" * {name}_column"
    return f"{name}[{name}_at + ({row}) * {name}_row + ({column}){step}]"


def _taps(p: Any, lines: list[str]) -> list[str]:
    """The loop over a window's places: `lines` with ``{r}`` and ``{s}`` for each."""
    (height, width), (down, right) = p.window, p.stride
    if p.inside and height * width <= MOST_TAPS:
        return [
            line.format(r=f"i * {down} + {r}", s=f"j * {right} + {s}")
            for r in range(height) for s in range(width) for line in lines
        ]  # fmt: skip
    return [
        "for r in range(top, bottom):",
        "    for s in range(left, right):",
        *(f"        {line.format(r='r', s='s')}" for line in lines),
    ]


def _windows(p: Any, body: list[str]) -> list[str]:
    """The loops over windows."""
    lines = ["for i in range(rows):"]
    lines += [f"    {b}" for b in bounds("i", "top", "bottom", "height", 0, p)]
    lines += ["    for j in range(columns):"]
    lines += [f"        {b}" for b in bounds("j", "left", "right", "width", 1, p)]
    return lines + [f"        {line}" for line in body]


def bounds(i: str, low: str, high: str, size: str, a: int, p: Any) -> list[str]:
    """A window's first element along axis `a`, the one after its last, and how many it has with
    the padding."""
    window, stride, pad = p.window[a], p.stride[a], p.pad[a]
    return [
        f"{low} = imax({i} * {stride} - {pad}, 0)",
        f"{high} = imin({i} * {stride} + {window - pad}, {size})",
        f"{low}_all = imin({i} * {stride} + {window}, {size} + {2 * pad}) - {i} * {stride}",
    ]


def divided(p: Any, value: str) -> str:
    """What becomes of a window's sum, from its bounds."""
    if p.mode == "sum":
        return value
    if p.inside:
        return f"{value} / {p.dtype}({p.window[0] * p.window[1]})"
    counts = {
        "average_inc_pad": "top_all * left_all",
        "average_exc_pad": "(bottom - top) * (right - left)",
    }
    return f"{value} / {p.dtype}({counts[p.mode]})"


def _gather(p: Any) -> list[str]:
    place = "out[(plane * rows + i) * columns + j]"
    x, y, c = (_element(p, n, *at) for n, at in
               (("x", ("{r}", "{s}")), ("y", ("i", "j")), ("c", ("{r}", "{s}"))))  # fmt: skip
    if p.name == "pool_max":
        first = ("i * {0}", "j * {1}") if p.inside else ("top", "left")
        start = _element(p, "x", *(part.format(*p.stride) for part in first))
        body = [f"value = {start}", *_taps(p, [f"value = maximum(value, {x})"])]
        return _windows(p, [*body, f"{place} = value"])
    start = f"value = {p.dtype}(0)"
    if p.name == "pool":
        body = [start, *_taps(p, [f"value = value + {x}"])]
        return _windows(p, [*body, f"{place} = {divided(p, 'value')}"])
    add = f"value = value + select({x} == best, {c}, {p.dtype}(0))"
    return _windows(p, [f"best = {y}", start, *_taps(p, [add]), f"{place} = value"])


def _scatter(p: Any) -> list[str]:
    place = "out[(plane * height + {r}) * width + {s}]"
    g = _element(p, "g", "i", "j")
    given = f"given = {divided(p, g) if p.name == 'pool_grad' else g}"
    value, start = "given", [given]
    if p.name == "pool_max_grad":
        start.append(f"best = {_element(p, 'y', 'i', 'j')}")
        value = f"select({_element(p, 'x', '{r}', '{s}')} == best, given, {p.dtype}(0))"
    apart = all(s >= w for s, w in zip(p.stride, p.window))
    added = value if apart else f"{place} + {value}"
    clear = [
        "for i in range(height * width):",
        f"    out[plane * height * width + i] = {p.dtype}(0)",
    ]
    return clear + _windows(p, [*start, *_taps(p, [f"{place} = {added}"])])
