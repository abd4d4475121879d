"""Elementary and special functions: those of NVIDIA's libdevice, and what is made of them.

Errors are those of the CUDA Programming Guide's table of mathematical functions (1 to 2 ULP for
most, more for the gamma functions); the CPU's own vector maths is not used here. In the simulator
NumPy and SciPy stand in for libdevice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.runtime.cuda.words import SIMULATED, Kind, word

# By the names of libdevice, what stands in for its functions in the simulator.
STAND_INS = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
    "fabs": np.fabs, "fmod": np.fmod, "copysign": np.copysign, "pow": np.power,
}  # fmt: skip
SPECIAL = {"erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "erfcinv": "erfcinv",
           "tgamma": "gamma", "lgamma": "gammaln"}  # fmt: skip


def library(name: str, kind: Kind) -> Any:
    """A function of libdevice for a float dtype, or what stands in for it."""
    if SIMULATED:
        if name in SPECIAL:
            from scipy import special  # heavy, and few kernels need it

            found = getattr(special, SPECIAL[name])
            if name == "lgamma":  # libdevice's is infinite on both sides
                return lambda x: found(abs(x)) if np.isinf(x) else found(x)
            return found
        return STAND_INS[name]
    from numba.cuda import libdevice

    return getattr(libdevice, name + ("f" if kind.dtype == "float32" else ""))


def _direct(name: str, device: str, operands: int = 1) -> None:
    @word(name, operands)
    def make(kind: Kind) -> Any:
        found, to = library(device, kind), kind.cast
        if operands == 2:
            return lambda x, y: to(found(x, y))
        return lambda x: to(found(x))


for _name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan",
              "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "rint", "erf", "erfc", "erfinv",
              "erfcinv"):  # fmt: skip
    _direct(_name, _name)
for _name, _device in {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "gamma": "tgamma", "gammaln": "lgamma",
}.items():  # fmt: skip
    _direct(_name, _device)
_direct("arctan2", "atan2", 2)


@word("rsqrt")
def _rsqrt(kind: Kind) -> Any:
    sqrt, one = library("sqrt", kind), kind.number(1)
    return lambda x: one / sqrt(x)


@word("sigmoid")
def _sigmoid(kind: Kind) -> Any:
    """``1 / (1 + exp(-x))``, with all digits where it is tiny."""
    exp, one, zero = library("exp", kind), kind.number(1), kind.number(0)

    def sigmoid(x):
        if x < zero:
            part = exp(x)
            return part / (one + part)
        return one / (one + exp(-x))

    return sigmoid


@word("softplus")
def _softplus(kind: Kind) -> Any:
    """``log(1 + exp(x))`` without overflow."""
    exp, log1p, fabs = (library(name, kind) for name in ("exp", "log1p", "fabs"))
    zero = kind.number(0)

    def softplus(x):
        part = log1p(exp(-fabs(x)))
        return x + part if x > zero else part

    return softplus


@word("round_half_away")
def _round_half_away(kind: Kind) -> Any:
    trunc, copysign, fabs = (library(name, kind) for name in ("trunc", "copysign", "fabs"))
    one, half = kind.number(1), kind.number(0.5)

    def rounded(x):
        whole = trunc(x)
        return whole + copysign(one, x) if fabs(x - whole) >= half else whole

    return rounded


# B_2k / 2k for k = 1 ... 7: the asymptotic series of digamma (Abramowitz and Stegun 6.3.18).
SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
FAR = 10.0


@word("digamma")
def _digamma(kind: Kind) -> Any:
    """In float64: reflection below 0, recurrence up to `FAR`, then the asymptotic series."""
    double = Kind("float64")
    log, tan, floor, copysign = (
        library(name, double) for name in ("log", "tan", "floor", "copysign")
    )
    wide, to, pi = double.cast, kind.cast, np.pi
    infinite, undefined = double.number(np.inf), double.number(np.nan)
    c1, c2, c3, c4, c5, c6, c7 = SERIES

    def digamma(x):
        z = wide(x)
        result = wide(0.0)
        if z <= 0.0:
            if z == 0.0:
                return to(-copysign(infinite, z))
            rest = z - floor(z)
            if rest == 0.0:
                return to(undefined)
            result = -pi / tan(pi * rest)
            z = 1.0 - z
        while z < FAR:
            result = result - 1.0 / z
            z = z + 1.0
        s = 1.0 / (z * z)
        series = s * (c1 + s * (c2 + s * (c3 + s * (c4 + s * (c5 + s * (c6 + s * c7))))))
        return to(result + log(z) - 0.5 / z - series)

    return digamma
