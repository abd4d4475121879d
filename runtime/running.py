"""Running sums, products and recurrences as kernels that carry a value along axes.

A block has for each operand and for the result its address and its strides along the kept axes and
along the carried ones, then the sizes of these. Either a row is gone along at a time, `ROWS` of
them at once, so that none waits for another's sums; or, where neighbours in memory belong to
different rows, all rows of a strip take each step together, as vectors. The range is that of rows
(of all kept axes, or with lanes of all but the last), or of lanes where there are no others.

Values are added one after the other, in their own dtype: results are NumPy's to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.core.plan import Step
from graphc.runtime.compile import Compiled, compile_source
from graphc.runtime.statements import type_name

ROWS = 4  # at once
STRIP = 256  # lanes whose values wait in the cache nearest to the core
OPERANDS = {"sum": ("x",), "prod": ("x",), "shift": ("x",), "recurrence": ("a", "b")}


def prepare(step: Step) -> Compiled:
    """The native function of a step."""
    step.source = source(step.extra)
    return compile_source(step.source, step.label)


def source(p: Any) -> str:
    """The kernel of a request: `kind`, `dtype`, `kept`, `carried`, `lanes`, `adjacent`, `fill`."""
    lines = ["def kernel(block, low, high):", *_indented(arguments(p))]
    lines += _indented(_lanes(p) if p.lanes else _rows(p))
    return "\n".join([*lines, "    return 0", ""])


def _indented(lines: Sequence[str], steps: int = 1) -> list[str]:
    return ["    " * steps + line for line in lines]


# --- what both targets share ----------------------------------------------------------


def names_of(p: Any) -> tuple[str, ...]:
    """The operands of a request, and the result."""
    return (*OPERANDS[p.kind], "out")


def arguments(p: Any) -> list[str]:
    """Names for what the block holds: ``x_k0`` is a stride along a kept axis, ``x_c0`` along a
    carried one, ``n_k0`` and ``n_c0`` are sizes."""
    lines, word = [], 0
    axes = [*(f"k{k}" for k in range(p.kept)), *(f"c{k}" for k in range(p.carried))]
    for name in names_of(p):
        way = "write" if name == "out" else "read"
        lines.append(f"{name} = {way}_{p.dtype}(block, {word})")
        lines += [f"{name}_{a} = word(block, {word + 1 + k})" for k, a in enumerate(axes)]
        word += 1 + len(axes)
    return lines + [f"n_{a} = word(block, {word + k})" for k, a in enumerate(axes)]


def state_dtype(p: Any) -> str:
    """The dtype of what is carried: that of the values, float32 for those of 16 bits."""
    return "float32" if p.dtype in ("float16", "bfloat16") else p.dtype


def start(p: Any) -> str:
    """What is carried to the first element; adding it changes nothing, not the sign of 0 either."""
    name = type_name(state_dtype(p))
    if p.kind == "sum":
        return f"{name}({'-0.0' if 'float' in p.dtype else '0'})"
    first = {"prod": 1, "shift": p.fill, "recurrence": 0}[p.kind]
    return f"{name}({first})"


def loaded(p: Any, place: str) -> str:
    """An element in the dtype of what is carried."""
    return f"float32({place})" if state_dtype(p) != p.dtype else place


def stored(p: Any, value: str) -> str:
    """What is carried as an element."""
    return f"{p.dtype}({value})" if state_dtype(p) != p.dtype else value


def places(p: Any, at: str, axes: Sequence[str], to: str) -> list[str]:
    """Where each operand's row `at` among some kept axes begins: names ``x{to}``."""
    lines, rest, terms = [], at, []
    for k, a in reversed(list(enumerate(axes))):
        if k == 0:
            terms.append((rest, a))
        else:
            lines.append(f"{a}{to} = {rest} % n_{a}")
            lines.append(f"rest_{a}{to} = {rest} // n_{a}")
            terms.append((f"{a}{to}", a))
            rest = f"rest_{a}{to}"
    for name in names_of(p):
        sums = " + ".join(f"{t} * {name}_{a}" for t, a in terms)
        lines.append(f"{name}{to} = {sums or 'int64(0)'}")
    return lines


# --- loops of a CPU -------------------------------------------------------------------


def _along(p: Any, body: list[str]) -> list[str]:
    """Loops over the carried axes."""
    lines: list[str] = []
    for k in range(p.carried):
        lines += _indented([f"for c{k} in range(n_c{k}):"], k)
    return lines + _indented(body, p.carried)


def _place(p: Any, name: str, base: str) -> str:
    """An element of a row that begins at `base`; the innermost axis may need no stride."""
    terms = [base]
    for k in range(p.carried):
        last = not p.lanes and k == p.carried - 1
        side = last and p.adjacent[names_of(p).index(name)]
        terms.append(f"c{k}" if side else f"c{k} * {name}_c{k}")
    return " + ".join(terms)


def _step(p: Any, carry: str, element: Callable[[str], str]) -> list[str]:
    """From one element to the next."""

    def value(name: str) -> str:
        return loaded(p, f"{name}[{element(name)}]")

    out, cast = f"out[{element('out')}]", type_name(state_dtype(p))
    if p.kind == "shift":
        return [f"{carry}_x = {value('x')}", f"{out} = {stored(p, carry)}", f"{carry} = {carry}_x"]
    if p.kind == "recurrence":
        first = " + ".join(f"c{k}" for k in range(p.carried))
        factor = f"select({first} == 0, {cast}(0), {value('a')})"
        found = f"{cast}({value('b')} + {cast}({factor} * {carry}))"
    else:
        found = f"{cast}({carry} {'+' if p.kind == 'sum' else '*'} {value('x')})"
    return [f"{carry} = {found}", f"{out} = {stored(p, carry)}"]


def _rows(p: Any) -> list[str]:
    axes = [f"k{k}" for k in range(p.kept)]

    def body(count: int) -> list[str]:
        lines, steps = [], []
        for t in range(count):
            lines += places(p, f"(row + {t})" if t else "row", axes, f"_{t}")
            lines.append(f"carry{t} = {start(p)}")
            steps += _step(p, f"carry{t}", lambda name, t=t: _place(p, name, f"{name}_{t}"))
        return [*lines, *_along(p, steps)]

    return [
        f"whole = low + imax(high - low, 0) // {ROWS} * {ROWS}",
        f"for row in range(low, whole, {ROWS}):", *_indented(body(ROWS)),
        "for row in range(whole, high):", *_indented(body(1)),
    ]  # fmt: skip


def _lanes(p: Any) -> list[str]:
    lane, outer = f"k{p.kept - 1}", [f"k{k}" for k in range(p.kept - 1)]
    span = ("0", f"n_{lane}") if outer else ("low", "high")
    names = names_of(p)

    def element(name: str) -> str:
        side = p.adjacent[names.index(name)]
        return f"{name}_line + {'t' if side else f't * {name}_{lane}'}"

    step = ["carry = carries[t]", *_step(p, "carry", element), "carries[t] = carry"]
    lines = [
        f"for strip in range({span[0]}, {span[1]}, {STRIP}):",
        f"    m = imin({STRIP}, {span[1]} - strip)",
        "    for t in range(m):",
        f"        carries[t] = {start(p)}",
        *_indented(_along(p, [
            *(f"{n}_line = {_place(p, n, f'{n}_0')} + strip * {n}_{lane}" for n in names),
            "for t in range(m):", *_indented(step),
        ])),
    ]  # fmt: skip
    carries = f"carries = local_{state_dtype(p)}({STRIP})"
    if not outer:
        return [carries, *places(p, "0", [], "_0"), *lines]
    return [carries, "for row in range(low, high):",
            *_indented([*places(p, "row", outer, "_0"), *lines])]  # fmt: skip
