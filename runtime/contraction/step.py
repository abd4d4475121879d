"""What every contraction step begins with: its signature, its arguments, its share of C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from .block import SPLIT_COLUMNS, Word
from .build import I32, I64, Kit, Values, ceil_div, repeat, smaller, word

Raw = dict[Word, ir.Value]

_EXCHANGED = (
    (Word.A, Word.B),
    (Word.M, Word.N),
    (Word.A_ROW, Word.B_COL),
    (Word.A_COL, Word.B_ROW),
)
"""The arguments that change places in ``C.T = B.T A.T``."""


@dataclass(frozen=True)
class Block:
    """A block of k: A and B at its first element, its extent, and how C's old values count."""

    a: ir.Value
    b: ir.Value
    extent: ir.Value
    beta: ir.Value


@dataclass(frozen=True)
class Arguments:
    """The values of a step's block, moved to the part of C that the call works on."""

    a: ir.Value
    b: ir.Value
    c: ir.Value
    m: ir.Value
    n: ir.Value
    k: ir.Value
    a_row: ir.Value
    a_col: ir.Value
    b_row: ir.Value
    b_col: ir.Value
    c_row: ir.Value
    c_col: ir.Value
    alpha: ir.Value
    beta: ir.Value


def emit_step(kit: Kit, name: str, swapped: bool = False) -> tuple[ir.IRBuilder, Arguments]:
    """Emit the head of ``i32 name(ptr retptr, ptr excinfo, i64 block, i64 low, i64 high)``.

    Parameters
    ----------
    kit : Kit
        Element type, level and module.
    name : str
        The function's name.
    swapped : bool
        Hand the arguments over as those of ``C.T = B.T A.T``, whose columns of C are `C_ROW` apart.

    Returns
    -------
    b : ir.IRBuilder
        Stands behind the head; `emit_end` closes the function.
    arguments : Arguments
        Pointers moved to `low`, and M or N, whichever is split, cut to ``high - low``.
    """
    kind = ir.FunctionType(I32, [kit.pointer, kit.pointer, I64, I64, I64])
    function = ir.Function(kit.module, kind, name)
    function.attributes.add("nounwind")
    result, _, address, low, high = function.args
    b = ir.IRBuilder(function.append_basic_block("start"))
    b.store(word(0), result)
    table = b.inttoptr(address, kit.pointer)
    places = {w: b.gep(table, [word(w)], source_etype=I64) for w in Word}
    raw = {w: b.load(place, name=w.name.lower(), typ=I64) for w, place in places.items()}
    _cut(b, kit, raw, low, high)
    scales = [_scale(b, kit, raw[w]) for w in (Word.ALPHA, Word.BETA)]
    c_strides = [raw[Word.C_ROW], word(1)]
    if swapped:
        for x, y in _EXCHANGED:
            raw[x], raw[y] = raw[y], raw[x]
        c_strides.reverse()
    addresses = [b.inttoptr(raw[w], kit.pointer) for w in (Word.A, Word.B, Word.C)]
    sizes = [raw[w] for w in (Word.M, Word.N, Word.K)]
    strides = [raw[w] for w in (Word.A_ROW, Word.A_COL, Word.B_ROW, Word.B_COL)]
    body = function.append_basic_block("body")
    b.branch(body)  # so that later allocations have the block before to go to
    b.position_at_end(body)
    return b, Arguments(*addresses, *sizes, *strides, *c_strides, *scales)


def each_block(
    b: ir.IRBuilder,
    kit: Kit,
    x: Arguments,
    depth: int,
    whole: ir.Value,
    body: Callable[[Block], None],
) -> None:
    """Emit the loop over blocks of k of at most `depth`, of equal size but for rounding.

    K = 0 is one empty block, which scales C; so is any K where the flag `whole` is set. From the
    second block on, C is added to.
    """
    count = ceil_div(b, x.k, depth)
    whole = b.or_(whole, b.icmp_signed("==", count, word(0)))
    count = b.select(whole, word(1), count)
    each = b.udiv(b.add(x.k, b.sub(count, word(1))), count)

    def block(values: Values) -> Values:
        a, line, left, beta = values
        body(Block(a, line, smaller(b, left, each), beta))
        return [
            kit.at(b, a, b.mul(each, x.a_col)),
            kit.at(b, line, b.mul(each, x.b_row)),
            b.sub(left, each),
            ir.Constant(kit.element, 1.0),
        ]

    repeat(b, count, [x.a, x.b, x.k, x.beta], block)


def emit_end(b: ir.IRBuilder) -> None:
    """Emit the return of a step that succeeded."""
    b.ret(ir.Constant(I32, 0))


def _cut(b: ir.IRBuilder, kit: Kit, raw: Raw, low: ir.Value, high: ir.Value) -> None:
    """Move the addresses to `low` along the split axis and cut its extent, in place."""
    columns = b.icmp_signed("==", raw[Word.SPLIT], word(SPLIT_COLUMNS))
    count, bytes_low = b.sub(high, low), b.mul(low, word(kit.size))
    in_rows = b.select(columns, word(0), bytes_low)
    in_columns = b.select(columns, bytes_low, word(0))
    raw[Word.M] = b.select(columns, raw[Word.M], count)
    raw[Word.N] = b.select(columns, count, raw[Word.N])
    raw[Word.A] = b.add(raw[Word.A], b.mul(in_rows, raw[Word.A_ROW]))
    raw[Word.B] = b.add(raw[Word.B], b.mul(in_columns, raw[Word.B_COL]))
    c_rows = b.add(b.mul(in_rows, raw[Word.C_ROW]), in_columns)
    raw[Word.C] = b.add(raw[Word.C], c_rows)


def _scale(b: ir.IRBuilder, kit: Kit, pattern: ir.Value) -> ir.Value:
    """Emit alpha or beta from its float64 bit pattern."""
    value = b.bitcast(pattern, ir.DoubleType())
    return value if kit.dtype == "float64" else b.fptrunc(value, kit.element)
