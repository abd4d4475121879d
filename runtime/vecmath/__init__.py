"""Vector maths: elementary and special functions as IR that LLVM's loop vectoriser widens.

``FUNCTIONS`` maps a name to a :class:`Function`; ``FUNCTIONS["exp"].emit(builder, x)`` appends the
function's instructions for a scalar x of type ``float`` or ``double``. The code has no branches,
calls or tables, so a loop around it becomes vector code as wide as the machine.

Errors are stated in units in the last place (ULP) of the exact result and hold over the whole
range: subnormal numbers, signed zeros, infinities and, for sin, cos and tan, the largest numbers
included. NaN gives NaN. Three cases have fewer digits:

- gammaln and digamma below -1/5: the unit is that of the largest term of the reflection formula,
  because they have a zero between any two negative integers;
- float64 sin, cos and tan of numbers beyond ``2**48`` that lie nearer than ``2**-35`` to a zero
  (one in ``10**10``), see ``quadrant.py``;
- machines without fused multiply-add: up to one unit more.
"""

from types import MappingProxyType

from graphc.runtime.vecmath import (
    exponential,
    gamma,
    hyperbolic,
    inverse,
    logarithm,
    power,
    rounding,
    special,
    trigonometric,
)
from graphc.runtime.vecmath.function import Function


def _ulp(single: float, double: float) -> dict[str, float]:
    return {"float32": single, "float64": double}


_TABLE = (
    Function("exp", 1, exponential.exp, _ulp(1, 1)),
    Function("exp2", 1, exponential.exp2, _ulp(1, 1)),
    Function("expm1", 1, exponential.expm1, _ulp(1.5, 1.5)),
    Function("sigmoid", 1, exponential.sigmoid, _ulp(1.7, 1.7)),
    Function("softplus", 1, exponential.softplus, _ulp(2, 2.1)),
    Function("tanh", 1, exponential.tanh, _ulp(2, 2)),
    Function("log", 1, logarithm.log, _ulp(1, 1)),
    Function("log2", 1, logarithm.log2, _ulp(1.1, 1.1)),
    Function("log10", 1, logarithm.log10, _ulp(1.1, 1.1)),
    Function("log1p", 1, logarithm.log1p, _ulp(1.6, 1.6)),
    Function("pow", 2, power.power, _ulp(0.6, 1.3)),
    Function("sqrt", 1, power.sqrt, _ulp(0.5, 0.5)),
    Function("rsqrt", 1, power.rsqrt, _ulp(1.5, 1.5)),
    Function("sin", 1, trigonometric.sin, _ulp(1.1, 1)),
    Function("cos", 1, trigonometric.cos, _ulp(1.1, 1)),
    Function("tan", 1, trigonometric.tan, _ulp(1.4, 1.4)),
    Function("arcsin", 1, inverse.arcsin, _ulp(2, 2)),
    Function("arccos", 1, inverse.arccos, _ulp(1.2, 1.2)),
    Function("arctan", 1, inverse.arctan, _ulp(1.7, 1.9)),
    Function("arctan2", 2, inverse.arctan2, _ulp(2, 2)),
    Function("sinh", 1, hyperbolic.sinh, _ulp(1.7, 1.7)),
    Function("cosh", 1, hyperbolic.cosh, _ulp(1.5, 1.4)),
    Function("arcsinh", 1, hyperbolic.arcsinh, _ulp(1.8, 1.8)),
    Function("arccosh", 1, hyperbolic.arccosh, _ulp(1.8, 1.9)),
    Function("arctanh", 1, hyperbolic.arctanh, _ulp(1.7, 1.7)),
    Function("erf", 1, special.erf, _ulp(1, 1)),
    Function("erfc", 1, special.erfc, _ulp(1.6, 1.5)),
    Function("erfinv", 1, special.erfinv, _ulp(0.6, 2)),
    Function("erfcinv", 1, special.erfcinv, _ulp(0.6, 2)),
    Function("gamma", 1, gamma.gamma, _ulp(0.6, 3.5)),
    Function("gammaln", 1, gamma.gammaln, _ulp(0.6, 3)),
    Function("digamma", 1, gamma.digamma, _ulp(0.6, 4)),
    Function("floor", 1, rounding.floor, _ulp(0, 0)),
    Function("ceil", 1, rounding.ceil, _ulp(0, 0)),
    Function("trunc", 1, rounding.trunc, _ulp(0, 0)),
    Function("rint", 1, rounding.rint, _ulp(0, 0)),
    Function("round_half_away", 1, rounding.round_half_away, _ulp(0, 0)),
)
FUNCTIONS = MappingProxyType({function.name: function for function in _TABLE})

__all__ = ["FUNCTIONS", "Function"]
