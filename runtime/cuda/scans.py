"""Running sums, products and recurrences: values carried along axes, by threads or by blocks.

Three forms, chosen by sizes and strides alone:

- ``threads``: a thread goes along a row alone, as on the CPU, and with its bits;
- ``blocks``: a block of threads takes a row in tiles, each thread a few elements of one. What the
  threads found is joined in shared memory by doubling distances, and carried to the next tile. Few
  long rows are cut into parts: a first kernel finds what each part comes to, the second starts
  from what the parts before it come to;
- ``moves``: a shift, where every element is on its own.

A recurrence ``r[k] = b[k] + a[k] r[k-1]`` is joined as pairs: behind ``r -> a r + b`` the step
``r -> c r + d`` makes ``r -> (c a) r + (c b + d)``. Nothing is joined with a neutral value, so that
infinities and zeros of an ``a`` meet only what they meet in order.

Blocks of words are those of :mod:`graphc.runtime.running`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from graphc.core.plan import Step
from graphc.runtime.cuda import bits
from graphc.runtime.cuda.combine import CELL
from graphc.runtime.cuda.emit import THREADS
from graphc.runtime.cuda.shapes import Shape, indented
from graphc.runtime.running import (
    OPERANDS,
    arguments,
    names_of,
    places,
    start,
    state_dtype,
)
from graphc.runtime.statements import type_name

EACH = 4  # elements of a tile that a thread takes
SHORT = 64  # elements of a row that a thread goes along alone
MANY = 8192  # rows that lie side by side, from which on threads go along them, however long
TILES = 4  # of a part of a row, at least
WARP = 32


def shapes(step: Step, threads: int, blocks: int) -> tuple[list[Shape], int]:
    """The launches of a step, and the bytes that they need in the work area."""
    p: Any = step.extra
    sizes = [int(n) for n in step.words[-(p.kept + p.carried) :]]  # type: ignore[arg-type]
    rows, length = prod(sizes[: p.kept]), prod(sizes[p.kept :])
    if not rows * length:
        return [], 0
    if p.kind == "shift":
        return [Shape(_moves(p), _grid(rows * length, threads, blocks), threads)], 0
    if length <= SHORT or (p.lanes and rows >= MANY):
        return [Shape(_threads(p), _grid(rows, threads, blocks), threads)], 0
    taking = min(threads, -(-length // (EACH * WARP)) * WARP)
    parts = max(1, min(blocks // rows, length // (TILES * EACH * taking)))
    span = -(-length // parts)
    parts = -(-length // span)  # none is empty
    grid = min(rows * parts, blocks)
    last = Shape(_blocks(p, parts > 1, last=True), grid, taking, parts)
    if parts == 1:
        return [last], 0
    first = Shape(_blocks(p, True, last=False), grid, taking, parts)
    return [first, last], rows * parts * CELL * len(_state(p))


def _grid(count: int, threads: int, blocks: int) -> int:
    return min(-(-count // threads), blocks)


def _text(lines: Sequence[str]) -> str:
    head = ["def kernel(block, work, error, step, parts):", "    if stopped(error, step):",
            "        return"]  # fmt: skip
    return "\n".join([*head, *indented(lines), ""])


def _kept(p: Any) -> list[str]:
    return [f"k{k}" for k in range(p.kept)]


def loaded(p: Any, place: str) -> str:
    """An element in the dtype of what is carried."""
    return bits.loaded(p.dtype, place)


def stored(p: Any, value: str) -> str:
    """What is carried as an element; halves round it there."""
    return bits.stored(p.dtype, bits.rounded(p.dtype, value))


def _count(p: Any, letter: str) -> str:
    return " * ".join(f"n_{letter}{k}" for k in range(p.kept if letter == "k" else p.carried))


DEALT = [
    "first = int64(cuda.blockIdx.x) * int64(cuda.blockDim.x) + int64(cuda.threadIdx.x)",
    "stride = int64(cuda.gridDim.x) * int64(cuda.blockDim.x)",
]


def _element(p: Any, name: str, at: str, to: str) -> tuple[list[str], str]:
    """Where element `at` of a row lies, and the lines that say it first."""
    if p.carried == 1:
        return [], f"{name}[{name}_0 + ({at}) * {name}_c0]"
    lines, rest, terms = [], f"({at})", []
    for k in reversed(range(p.carried)):
        here = rest if k == 0 else f"{rest} % n_c{k}"
        terms.append(f"{here} * {name}_c{k}")
        rest = f"({rest} // n_c{k})"
    lines.append(f"{name}_{to} = {name}_0 + {' + '.join(terms)}")
    return lines, f"{name}[{name}_{to}]"


# --- a thread per row, or per element -------------------------------------------------


def _threads(p: Any) -> str:
    """Every thread goes along rows of its own, one element after the other."""
    at = {name: f"{name}[{name}_0 + " + " + ".join(
        f"c{k} * {name}_c{k}" for k in range(p.carried)) + "]" for name in names_of(p)}  # fmt: skip
    x = {name: loaded(p, at[name]) for name in OPERANDS[p.kind]}
    if p.kind == "recurrence":
        begin = " + ".join(f"c{k}" for k in range(p.carried))
        zero = f"{type_name(state_dtype(p))}(0)"
        step = [f"factor = select({begin} == 0, {zero}, {x['a']})",
                f"carry = {_added(x['b'], _times('factor', 'carry'))}"]  # fmt: skip
    else:
        step = [f"carry = {_joined(p, ['carry'], [x['x']])[0]}"]
    body = [*places(p, "row", _kept(p), "_0"), f"carry = {start(p)}"]
    for k in range(p.carried):
        body += indented([f"for c{k} in range(n_c{k}):"], k)
    body += indented([*step, f"{at['out']} = {stored(p, 'carry')}"], p.carried)
    loop = f"for row in range(first, {_count(p, 'k')}, stride):"
    return _text([*arguments(p), *DEALT, loop, *indented(body)])


def _moves(p: Any) -> str:
    """The value before, for every element; a thread per element."""
    before, value = _element(p, "x", "at - 1", "before")
    here, place = _element(p, "out", "at", "here")
    body = [
        "at, row = step_at % length, step_at // length",
        *places(p, "row", _kept(p), "_0"), f"value = {start(p)}", "if at > 0:",
        *indented([*before, f"value = {loaded(p, value)}"]), *here,
        f"{place} = {stored(p, 'value')}",
    ]  # fmt: skip
    lines = [*arguments(p), *DEALT, f"length = {_count(p, 'c')}"]
    loop = f"for step_at in range(first, length * {_count(p, 'k')}, stride):"
    return _text([*lines, loop, *indented(body)])


# --- how values are joined ------------------------------------------------------------


def _state(p: Any) -> list[str]:
    """What a piece of a row comes to: its result, and for a recurrence what it multiplies by."""
    return ["a", "b"] if p.kind == "recurrence" else ["x"]


def _added(x: str, y: str) -> str:
    return f"reduce_add({x}, {y})"


def _times(x: str, y: str) -> str:
    return f"reduce_mul({x}, {y})"


def _joined(p: Any, earlier: Sequence[str], later: Sequence[str]) -> list[str]:
    """What two neighbouring pieces come to."""
    if p.kind == "sum":
        return [_added(earlier[0], later[0])]
    if p.kind == "prod":
        return [_times(earlier[0], later[0])]
    (a, b), (c, d) = earlier, later
    return [_times(a, c), _added(d, _times(c, b))]


def _join(p: Any, target: str, earlier: str, later: str) -> list[str]:
    """``target_x = earlier_x joined with later_x``; the result first, as it needs both factors."""
    state = _state(p)
    found = _joined(p, [f"{earlier}_{s}" for s in state], [f"{later}_{s}" for s in state])
    return [f"{target}_{s} = {f}" for s, f in reversed(list(zip(state, found)))]


# --- a block per row ------------------------------------------------------------------


def _blocks(p: Any, cut: bool, last: bool) -> str:
    """A block takes a row, or a part of it, in tiles; the first of two kernels only sums up."""
    state, kind = _state(p), state_dtype(p)
    lines = [
        *arguments(p),
        "thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)",
        "here, blocks = int64(cuda.blockIdx.x), int64(cuda.gridDim.x)",
        *(f"shared_{s} = cuda.shared.array({2 * THREADS}, types.{kind})" for s in state),
        f"length, rows = {_count(p, 'c')}, {_count(p, 'k')}",
        "span = (length + parts - 1) // parts",
        *(f"total_{s} = at_{kind}(work + {k} * rows * parts * {CELL})"
          for k, s in enumerate(state) if cut),
    ]  # fmt: skip
    body = ["row, part = at // parts, at % parts", *places(p, "row", _kept(p), "_0")]
    body += [*(f"carry_{s} = {kind}(0)" for s in state), "carried = int64(0)"]
    if cut and last:
        body += _tiles(p, "int64(0)", "part", _totals(p), store=False)
    body += ["low = part * span", "high = imin(length, low + span)"]
    body += _tiles(p, "low", "high", _elements(p), store=last)
    if not last:
        body += ["if thread == 0:", *(f"    total_{s}[at] = carry_{s}" for s in state)]
    loop = "for at in range(here, rows * parts, blocks):"
    return _text([*lines, loop, *indented(body)])


def _elements(p: Any) -> Callable[[str], list[str]]:
    """How a thread gets element `at` of its row: what that alone comes to."""

    def load(at: str) -> list[str]:
        lines: list[str] = []
        for s, name in zip(_state(p), OPERANDS[p.kind]):
            before, place = _element(p, name, at, "there")
            lines += [*before, f"new_{s} = {loaded(p, place)}"]
        if p.kind == "recurrence":  # nothing comes before a row
            lines.append(f"new_a = select({at} == 0, {type_name(state_dtype(p))}(0), new_a)")
        return lines

    return load


def _totals(p: Any) -> Callable[[str], list[str]]:
    """What part `at` of a row comes to, which the first kernel found."""
    return lambda at: [f"new_{s} = total_{s}[row * parts + {at}]" for s in _state(p)]


def _tiles(p: Any, low: str, high: str, load: Callable[[str], list[str]], store: bool) -> list[str]:
    """Carry values through the elements from `low` to `high`, a tile of all threads at a time.

    All conditions around barriers are the same for all threads of the block.
    """
    state = _state(p)
    found: list[str] = []
    for k in range(EACH):
        at = f"mine + {k}" if k else "mine"
        inner = load(at)
        inner += (
            _join(p, f"v{k}", f"v{k - 1}", "new") if k else [f"v0_{s} = new_{s}" for s in state]
        )
        found += [f"v{k}_{s} = v{k - 1}_{s}" for s in state] if k else []
        found += [f"if {at} < {high}:", *indented(inner)]
    end = EACH - 1
    zero = f"{state_dtype(p)}(0)"
    body = [
        f"mine = base + thread * {EACH}",
        # Threads from `active` on have no elements; what they hold is read by nobody.
        f"active = imin(threads, ({high} - base + {EACH - 1}) // {EACH})",
        *(f"v0_{s} = {zero}" for s in state), *found,
        *(f"shared_{s}[thread] = v{end}_{s}" for s in state),
        "now, distance = int64(0), int64(1)",
        "cuda.syncthreads()",  # every thread's pieces are there
        "while distance < active:",
        *indented(_doubled(p)),
        *_finish(p, store, high),
        "cuda.syncthreads()",  # nobody writes the next tile's pieces before all have read these
    ]  # fmt: skip
    return [f"for base in range({low}, {high}, threads * {EACH}):", *indented(body)]


def _doubled(p: Any) -> list[str]:
    """Join with what lies `distance` threads before; from one half of shared memory to the other,
    so that one barrier does: what is read was written before the last one."""
    state = _state(p)
    return [
        *(f"own_{s} = shared_{s}[now * {THREADS} + thread]" for s in state),
        "if thread >= distance:",
        *(f"    near_{s} = shared_{s}[now * {THREADS} + thread - distance]" for s in state),
        *indented(_join(p, "own", "near", "own")),
        "now = 1 - now",
        *(f"shared_{s}[now * {THREADS} + thread] = own_{s}" for s in state),
        "distance = distance * 2",
        "cuda.syncthreads()",
    ]


def _finish(p: Any, store: bool, high: str) -> list[str]:
    """Join a tile with what is carried to it, and carry on."""
    state = _state(p)
    lines: list[str] = []
    if store:
        lines += [
            *(f"before_{s} = carry_{s}" for s in state),
            "if thread > 0:",
            *(f"    before_{s} = shared_{s}[now * {THREADS} + thread - 1]" for s in state),
            "    if carried != 0:",
            *indented(_join(p, "before", "carry", "before"), 2),
        ]
        for k in range(EACH):
            at = f"mine + {k}" if k else "mine"
            result = state[-1]
            before, place = _element(p, "out", at, "there")
            lines += [
                f"if {at} < {high}:",
                "    if carried != 0 or thread > 0:",
                *indented(_join(p, f"v{k}", "before", f"v{k}"), 2),
                *indented([*before, f"{place} = {stored(p, f'v{k}_{result}')}"]),
            ]
    return [
        *lines,
        *(f"whole_{s} = shared_{s}[now * {THREADS} + active - 1]" for s in state),
        "if carried != 0:",
        *indented(_join(p, "whole", "carry", "whole")),
        *(f"carry_{s} = whole_{s}" for s in state),
        "carried = int64(1)",
    ]
