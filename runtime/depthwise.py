"""Convolution where groups have one channel, and its gradients, with the filter's size and its
steps as literals.

A block has five words for each operand (address, and strides of its axes), the result's address,
and sizes: images, channels, filters, height and width of images, rows and columns of the
convolution. The range is that of planes of the result. Loops are over a row's elements inside, for
one tap of the filter each: so they are vectors.
"""

from __future__ import annotations

from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compile import Compiled, compile_source

OPERANDS = {"forward": ("x", "w"), "input": ("g", "w"), "weight": ("x", "g")}
SUMS = 8  # at once: one alone would wait for each addition
SIZES = ("images", "channels", "filters", "height", "width", "rows", "columns")


def prepare(step: Step) -> Compiled:
    """The native function of a depthwise step."""
    step.source = source(step.extra)
    return compile_source(step.source, step.label)


def source(p: Any) -> str:
    """The kernel of a request."""
    names = OPERANDS[p.kind]
    lines = ["def kernel(block, low, high):"]
    for k, name in enumerate(names):
        lines.append(f"    {name} = read_{p.dtype}(block, {5 * k})")
        for part, label in enumerate(("first", "plane", "row", "column"), 1):
            lines.append(f"    {name}_{label} = word(block, {5 * k + part})")
    lines.append(f"    out = write_{p.dtype}(block, {5 * len(names)})")
    for k, name in enumerate(SIZES, 5 * len(names) + 1):
        lines.append(f"    {name} = word(block, {k})")
    lines += ["    multiplier = filters // imax(channels, 1)", "    for plane in range(low, high):"]
    body = {"forward": _forward, "input": _input, "weight": _weight}[p.kind](p)
    return "\n".join([*lines, *(f"        {line}" for line in body), "    return 0", ""])


def _bounds(p: Any, a: int, tap: str, size: str, made: str, low: str, high: str) -> list[str]:
    """The places of a result along an axis at which a tap of the filter is inside an image."""
    stride, dilation, pad = p.stride[a], p.dilation[a], p.pad[a]
    return [
        f"{low} = imax(({pad + stride - 1} - {tap} * {dilation}) // {stride}, 0)",
        f"{high} = imin(({size} - 1 + {pad} - {tap} * {dilation}) // {stride} + 1, {made})",
    ]


def _taps(p: Any, body: list[str]) -> list[str]:
    """The loops over a filter; `body` has the places at which each tap is inside."""
    lines = [f"for r in range({p.kernel[0]}):"]
    lines += [f"    {b}" for b in _bounds(p, 0, "r", "height", "rows", "top", "bottom")]
    lines.append(f"    for s in range({p.kernel[1]}):")
    lines += [f"        {b}" for b in _bounds(p, 1, "s", "width", "columns", "left", "right")]
    return lines + [f"        {line}" for line in body]


def _image_row(p: Any) -> str:
    return f"(i * {p.stride[0]} + r * {p.dilation[0]} - {p.pad[0]})"


def _image_column(p: Any) -> str:
    return f"(j * {p.stride[1]} + shift)"


def _shift(p: Any) -> str:
    return f"shift = s * {p.dilation[1]} - {p.pad[1]}"


def _step(name: str, adjacent: bool) -> str:
    return "" if adjacent else f" * {name}_column"


def _forward(p: Any) -> list[str]:
    return [
        "k = plane % filters",
        "at = plane // filters * x_first + k // multiplier * x_plane",
        "to = plane * rows * columns",
        "for i in range(rows * columns):",
        f"    out[to + i] = {p.dtype}(0)",
        *_taps(p, [
            "factor = w[k * w_first + r * w_row + s * w_column]",
            _shift(p),
            "for i in range(top, bottom):",
            f"    line = at + {_image_row(p)} * x_row",
            "    made = to + i * columns",
            "    for j in range(left, right):",
            f"        here = x[line + {_image_column(p)}{_step('x', p.adjacent)}]",
            "        out[made + j] = out[made + j] + factor * here",
        ]),
    ]  # fmt: skip


def _input(p: Any) -> list[str]:
    return [
        "c = plane % channels",
        "to = plane * height * width",
        "for i in range(height * width):",
        f"    out[to + i] = {p.dtype}(0)",
        "for m in range(multiplier):",
        "    k = c * multiplier + m",
        "    at = plane // channels * g_first + k * g_plane",
        *(f"    {line}" for line in _taps(p, [
            "factor = w[k * w_first + r * w_row + s * w_column]",
            _shift(p),
            "for i in range(top, bottom):",
            "    line = at + i * g_row",
            f"    made = to + {_image_row(p)} * width",
            "    for j in range(left, right):",
            f"        place = made + {_image_column(p)}",
            f"        out[place] = out[place] + factor * g[line + j{_step('g', p.adjacent)}]",
        ])),
    ]  # fmt: skip


def _weight(p: Any) -> list[str]:
    def term(j: str) -> str:
        here = _image_column(p).replace("j *", f"({j}) *")
        other = f"({j}){_step('g', p.other_adjacent)}"
        return f"x[line + {here}{_step('x', p.adjacent)}] * g[under + {other}]"

    return _taps(p, [
        _shift(p),
        f"whole = left + imax(right - left, 0) // {SUMS} * {SUMS}",
        *(f"value{t} = {p.dtype}(0)" for t in range(SUMS)),
        "for n in range(images):",
        "    at = n * x_first + plane // multiplier * x_plane",
        "    upper = n * g_first + plane * g_plane",
        "    for i in range(top, bottom):",
        f"        line = at + {_image_row(p)} * x_row",
        "        under = upper + i * g_row",
        f"        for j in range(left, whole, {SUMS}):",
        *(f"            value{t} = value{t} + {term(f'j + {t}')}" for t in range(SUMS)),
        "        for j in range(whole, right):",
        f"            value0 = value0 + {term('j')}",
        f"out[(plane * {p.kernel[0]} + r) * {p.kernel[1]} + s] = "
        + " + ".join(f"value{t}" for t in range(SUMS)),
    ])  # fmt: skip
