"""floor, ceil, trunc, rint and rounding half away from zero, all exact.

Machines with fused multiply-add also round to integers in one instruction (SSE 4.1 and later, all
AArch64, PTX). For the rest, adding and subtracting ``2**fraction`` leaves the nearest integer.
"""

from graphc.runtime.vecmath.lanes import Real, where


def rint(x: Real) -> Real:
    """The nearest integer, ties to the even one."""
    if x.fused:
        return x.intrinsic("rint")
    limit = 2.0**x.format.fraction
    size = abs(x)
    return where(size < limit, ((size + limit) - limit).copysign(x), x)


def floor(x: Real) -> Real:
    """The largest integer that is not above x."""
    if x.fused:
        return x.intrinsic("floor")
    near = rint(x)
    return where(near > x, near - 1.0, near).copysign(x)


def ceil(x: Real) -> Real:
    """The smallest integer that is not below x."""
    if x.fused:
        return x.intrinsic("ceil")
    near = rint(x)
    return where(near < x, near + 1.0, near).copysign(x)


def trunc(x: Real) -> Real:
    """The integer part: rounding towards zero."""
    if x.fused:
        return x.intrinsic("trunc")
    return floor(abs(x)).copysign(x)


def round_half_away(x: Real) -> Real:
    """The nearest integer, ties away from zero: ``trunc(x + copysign(1/2, x))``.

    The half is the number just below it; with 1/2 itself the number below 1/2 would round up.
    """
    half = 0.5 - 2.0 ** -(x.format.digits + 1)
    return trunc(x + x.constant(half).copysign(x))
