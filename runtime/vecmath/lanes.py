"""One lane of vector maths: straight-line LLVM IR for a scalar, written as arithmetic.

A formula built from :class:`Real`, :class:`Word` and :class:`Mask` has no branches, no memory
accesses and no calls but to intrinsics that x86, AArch64 and PTX execute in registers, so LLVM's
loop vectoriser widens it to as many lanes as the machine has.

Every operation is the correctly rounded IEEE one. No fast-math flag is set, and none can be added
afterwards (Numba's ``fastmath`` would otherwise add ``reassoc`` to all instructions of a module,
which merges the two-part constants of range reductions and removes error-free transformations).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

Number = float | int


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes
    ----------
    name : NumPy's name of the dtype.
    bits : width of a number, and of the integer that has the same bits.
    digits : bits of the significand, the hidden one included.
    maximum : the largest exponent, which is also the exponent's bias.
    """

    name: str
    bits: int
    digits: int
    maximum: int

    @property
    def real(self) -> ir.Type:
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @property
    def word(self) -> ir.IntType:
        return ir.IntType(self.bits)

    @property
    def fraction(self) -> int:
        """Bits of the stored significand: how far an exponent is shifted."""
        return self.digits - 1

    @property
    def magic(self) -> float:
        """Added to a small number, it leaves the nearest integer in the lowest bits."""
        return 1.5 * 2.0**self.fraction

    @property
    def least_normal(self) -> float:
        return 2.0 ** (1 - self.maximum)

    @property
    def largest(self) -> float:
        return (2.0 - 2.0 ** (1 - self.digits)) * 2.0**self.maximum

    def encode(self, value: float) -> int:
        """The bits of ``value`` rounded to this format."""
        kind, whole = ("<f", "<I") if self.bits == 32 else ("<d", "<Q")
        return int(struct.unpack(whole, struct.pack(kind, value))[0])


FLOAT32 = Format("float32", 32, 24, 127)
FLOAT64 = Format("float64", 64, 53, 1023)


class _NoFlags(list[str]):
    """The flags of an instruction that nobody may relax."""

    def append(self, flag: str) -> None:
        """Ignore the flag."""


class _NoCallFlags(set[str]):
    """The same for calls."""

    def add(self, flag: str) -> None:
        """Ignore the flag."""


@dataclass(frozen=True, eq=False)
class Value:
    """An LLVM value, the builder that extends its block and the format of its lane."""

    builder: ir.IRBuilder
    value: ir.Value
    format: Format
    fused: bool

    def _like(self, value: ir.Value) -> ir.Value:
        return type(self)(self.builder, value, self.format, self.fused)


class Mask(Value):
    """A truth value per lane."""

    def __and__(self, other: Mask) -> Mask:
        return self._like(self.builder.and_(self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return self._like(self.builder.or_(self.value, other.value))

    def __invert__(self) -> Mask:
        return self._like(self.builder.not_(self.value))


class Word(Value):
    """An integer as wide as the lane. Arithmetic wraps around."""

    def constant(self, number: int) -> Word:
        return self._like(ir.Constant(self.format.word, number % 2**self.format.bits))

    def _apply(self, name: str, other: Word | int) -> Word:
        right = self.constant(other) if isinstance(other, int) else other
        return self._like(getattr(self.builder, name)(self.value, right.value))

    def __add__(self, other: Word | int) -> Word:
        return self._apply("add", other)

    def __sub__(self, other: Word | int) -> Word:
        return self._apply("sub", other)

    def __rsub__(self, other: int) -> Word:
        return self.constant(other) - self

    def __and__(self, other: Word | int) -> Word:
        return self._apply("and_", other)

    def __or__(self, other: Word | int) -> Word:
        return self._apply("or_", other)

    def __xor__(self, other: Word | int) -> Word:
        return self._apply("xor", other)

    def __lshift__(self, count: Word | int) -> Word:
        return self._apply("shl", count)

    def __rshift__(self, count: Word | int) -> Word:
        """Shift zeros in (AVX2 has no other shift of 64 bits)."""
        return self._apply("lshr", count)

    def equals(self, other: Word | int) -> Mask:
        right = self.constant(other) if isinstance(other, int) else other
        return Mask(self.builder, self.builder.icmp_signed("==", self.value, right.value),
                    self.format, self.fused)

    def differs(self, other: Word | int) -> Mask:
        return ~self.equals(other)

    def to(self, target: Format) -> Word:
        """The lowest bits, as wide as the target's lane."""
        return Word(self.builder, self.builder.trunc(self.value, target.word), target, self.fused)

    def real(self) -> Real:
        """The number with these bits."""
        value = self.builder.bitcast(self.value, self.format.real)
        return Real(self.builder, value, self.format, self.fused)

    def small_integer(self) -> Real:
        """This integer, at least 0 and below ``2**fraction``, as a number.

        AVX2 can't convert 64-bit integers; setting them as the lowest bits of a number can.
        """
        exponent = 2.0**self.format.fraction
        return (self | self.format.encode(exponent)).real() - exponent


class Real(Value):
    """A floating-point number. Python numbers beside it are rounded to its format."""

    def constant(self, number: Number) -> Real:
        if self.format is FLOAT32 and math.isfinite(number):
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        return self._like(ir.Constant(self.format.real, float(number)))

    def coerce(self, other: Real | Number) -> Real:
        return self.constant(other) if isinstance(other, float | int) else other

    def _apply(self, name: str, left: Real | Number, right: Real | Number) -> Real:
        a, b = self.coerce(left), self.coerce(right)
        result = getattr(self.builder, name)(a.value, b.value)
        result.flags = _NoFlags()
        return self._like(result)

    def intrinsic(self, name: str, *others: Real | Number) -> Real:
        """The LLVM intrinsic ``llvm.NAME`` of this number and others."""
        values = [self.value, *(self.coerce(other).value for other in others)]
        kind = self.format.real
        signature = ir.FunctionType(kind, [kind] * len(values))
        declared = self.builder.module.declare_intrinsic(f"llvm.{name}", [kind], signature)
        result = self.builder.call(declared, values)
        result.fastmath = _NoCallFlags()
        return self._like(result)

    def _compare(self, operator: str, other: Real | Number) -> Mask:
        compare = self.builder.fcmp_unordered if operator == "!=" else self.builder.fcmp_ordered
        result = compare(operator, self.value, self.coerce(other).value)
        result.flags = _NoFlags()
        return Mask(self.builder, result, self.format, self.fused)

    def __add__(self, other: Real | Number) -> Real:
        return self._apply("fadd", self, other)

    def __radd__(self, other: Number) -> Real:
        return self._apply("fadd", other, self)

    def __sub__(self, other: Real | Number) -> Real:
        return self._apply("fsub", self, other)

    def __rsub__(self, other: Number) -> Real:
        return self._apply("fsub", other, self)

    def __mul__(self, other: Real | Number) -> Real:
        return self._apply("fmul", self, other)

    def __rmul__(self, other: Number) -> Real:
        return self._apply("fmul", other, self)

    def __truediv__(self, other: Real | Number) -> Real:
        return self._apply("fdiv", self, other)

    def __rtruediv__(self, other: Number) -> Real:
        return self._apply("fdiv", other, self)

    def __neg__(self) -> Real:
        return self._like(self.builder.fneg(self.value))

    def __abs__(self) -> Real:
        return self.intrinsic("fabs")

    def __lt__(self, other: Real | Number) -> Mask:
        return self._compare("<", other)

    def __le__(self, other: Real | Number) -> Mask:
        return self._compare("<=", other)

    def __gt__(self, other: Real | Number) -> Mask:
        return self._compare(">", other)

    def __ge__(self, other: Real | Number) -> Mask:
        return self._compare(">=", other)

    def equals(self, other: Real | Number) -> Mask:
        return self._compare("==", other)

    def differs(self, other: Real | Number) -> Mask:
        """True where the numbers differ or one of them is NaN."""
        return self._compare("!=", other)

    def fma(self, factor: Real | Number, term: Real | Number) -> Real:
        """``self * factor + term``, rounded once where the machine can."""
        if self.fused:
            return self.intrinsic("fma", factor, term)
        return self * factor + term

    def sqrt(self) -> Real:
        return self.intrinsic("sqrt")

    def copysign(self, sign: Real) -> Real:
        return self.intrinsic("copysign", sign)

    def bits(self) -> Word:
        """The bits of the number."""
        value = self.builder.bitcast(self.value, self.format.word)
        return Word(self.builder, value, self.format, self.fused)

    def to(self, target: Format) -> Real:
        """The number converted to another format."""
        if target is self.format:
            return self
        cast = self.builder.fpext if target.bits > self.format.bits else self.builder.fptrunc
        return Real(self.builder, cast(self.value, target.real), target, self.fused)


def where(mask: Mask, yes: Real | Number, no: Real | Number) -> Real:
    """``yes`` in the lanes where the mask holds, else ``no``; one of them is a :class:`Real`."""
    like = yes if isinstance(yes, Real) else no
    assert isinstance(like, Real), "select between words with choose()"
    a, b = like.coerce(yes), like.coerce(no)
    return like._like(mask.builder.select(mask.value, a.value, b.value))


def choose(mask: Mask, yes: Word | int, no: Word | int) -> Word:
    """:func:`where` for integers."""
    like = Word(mask.builder, mask.value, mask.format, mask.fused)
    a, b = (like.constant(v) if isinstance(v, int) else v for v in (yes, no))
    return like._like(mask.builder.select(mask.value, a.value, b.value))


def at_least(x: Real, low: Number) -> Real:
    """The larger of both; NaN where ``x`` is NaN."""
    return where(x < low, low, x)


def at_most(x: Real, high: Number) -> Real:
    """The smaller of both; NaN where ``x`` is NaN."""
    return where(x > high, high, x)


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """Horner's scheme, coefficients from the lowest order up.

    It has the fewest operations. Its latency hides behind the loop's other elements, which an
    out-of-order core has in flight.
    """
    result = x.constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = result.fma(x, c)
    return result


def two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """``a + b`` rounded, and its rounding error (Knuth). For any magnitudes."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def fast_two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """``a + b`` rounded, and its rounding error (Dekker), where ``abs(a) >= abs(b)``."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Real, b: Real | Number) -> tuple[Real, Real]:
    """``a * b`` rounded, and its rounding error (Dekker's splitting without fused hardware)."""
    b = a.coerce(b)
    product = a * b
    if a.fused:
        return product, a.fma(b, -product)
    a_high, b_high = (_upper_half(v) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high)
                                     - a_high * b_low)


def _upper_half(x: Real) -> Real:
    """The number cut to the upper half of its significand."""
    low = (x.format.digits + 1) // 2
    return (x.bits() & -(2**low)).real()
