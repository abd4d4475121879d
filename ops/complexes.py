"""Complex numbers. They run as NumPy steps between the compiled ones.

The gradient of a real cost with respect to a complex variable has the derivative with respect
to the real part as its real part, and that with respect to the imaginary part as its
imaginary part, as in Theano.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.node import Attrs, TensorType, Variable
from graphc.core.op import Host, Op, apply, declare
from graphc.ops.broadcast import zeros_like
from graphc.ops.convert import as_variable, need, operands
from graphc.ops.elementwise import abs_ as _abs
from graphc.ops.elementwise import (
    add,
    arctan2,
    broadcast_shape,
    cast,
    cos,
    mul,
    real_part,
    sin,
    sqr,
    sqrt,
)


def is_complex(x: Variable) -> bool:
    return x.dtype in dtypes.COMPLEX


def _real_type(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    return args[0].type.with_dtype(dtypes.real_of(args[0].dtype))


_imag = declare(
    Op(
        "imag", _real_type, lambda x: np.array(np.imag(x)), Host(),
        vjp=lambda g, out, x: (complex(zeros_like(g), g),),
        jvp=lambda tangents, out, x: imag(tangents[0]),
        formula="the imaginary part of z",
    )
)  # fmt: skip
_conj = declare(
    Op(
        "conj", lambda args, attrs: args[0].type, np.conj, Host(),
        vjp=lambda g, out, x: (conj(g),), jvp=lambda tangents, out, x: conj(tangents[0]),
        formula="re z - i im z",
    )
)  # fmt: skip


def _complex_infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
    wide = {"float64": "complex128"}.get(args[0].dtype, "complex64")
    return TensorType(wide, broadcast_shape([a.type.shape for a in args]))


def _complex_numpy(re: Any, im: Any) -> Any:
    wide = np.complex128 if re.dtype == np.float64 else np.complex64
    result = np.empty(np.broadcast_shapes(re.shape, im.shape), wide)
    result.real, result.imag = re, im
    return result


def _complex_jvp(tangents: Any, out: Variable, re: Variable, im: Variable) -> Variable:
    first, second = (zeros_like(a) if t is None else t for t, a in zip(tangents, (re, im)))
    return complex(first, second)


_complex = declare(
    Op(
        "complex", _complex_infer, _complex_numpy, Host(),
        vjp=lambda g, out, re, im: (real(g), imag(g)), jvp=_complex_jvp,
        formula="a + i b",
    )
)  # fmt: skip


def _reals(args: Sequence[Any], name: str) -> list[Variable]:
    found = operands(args)
    meeting = dtypes.float_for(dtypes.promote([a.dtype for a in found]))
    need(meeting not in dtypes.COMPLEX, found, f"{name} is made of real numbers")
    return [cast(a, meeting) for a in found]


def real(z: Any) -> Variable:
    """The real part; a real variable as it is."""
    variable = as_variable(z)
    return apply(real_part, (variable,), {}) if is_complex(variable) else variable


def imag(z: Any) -> Variable:
    """The imaginary part; zeros of a real variable."""
    variable = as_variable(z)
    return apply(_imag, (variable,), {}) if is_complex(variable) else zeros_like(variable)


def conj(z: Any) -> Variable:
    """The complex conjugate; a real variable as it is."""
    variable = as_variable(z)
    return apply(_conj, (variable,), {}) if is_complex(variable) else variable


def complex(real: Any, imag: Any) -> Variable:
    """``real + i imag``, complex64 unless a part is float64.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> T.complex(T.constant([1.0, 0.0]), 2.0).eval()
    array([1.+2.j, 0.+2.j])
    """
    return apply(_complex, _reals([real, imag], "complex"), {})


def complex_from_polar(abs: Any, angle: Any) -> Variable:
    """``abs (cos angle + i sin angle)``."""
    radius, turn = _reals([abs, angle], "complex_from_polar")
    return complex(mul(radius, cos(turn)), mul(radius, sin(turn)))


def angle(z: Any) -> Variable:
    """The angle of a complex number, in ``[-pi, pi]``; 0 or pi for real numbers."""
    variable = as_variable(z)
    return arctan2(imag(variable), real(variable))


def abs_(x: Any) -> Variable:
    """The absolute value; of complex numbers a real one."""
    variable = as_variable(x)
    if not is_complex(variable):
        return _abs(variable)
    return sqrt(add(sqr(real(variable)), sqr(imag(variable))))
