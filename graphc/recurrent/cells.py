"""One step of each recurrent layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.core.node import Variable
from graphc.ops.elementwise import add, mul, sigmoid, tanh
from graphc.ops.index import getitem
from graphc.ops.linalg import dot
from graphc.ops.shape import dim

Parameters = Mapping[str, Variable]


def rnn_step(
    x: Variable, h: Variable, parameters: Parameters,
    activation: Callable[[Variable], Variable] = tanh, kept: Any = None,
) -> Variable:  # fmt: skip
    """One step of the simple recurrent network: ``h' = activation(x W + h U + b)``.

    Parameters
    ----------
    x : variable, (batch, inputs)
    h : variable, (batch, units)
    parameters : mapping
        "W" (inputs, units), "U" (units, units), and perhaps "b" (units,).
    activation : callable
    kept : variable, (batch, units), optional
        A factor of h in the product with U: what dropout keeps.

    References
    ----------
    Elman: Finding structure in time. Cognitive Science 14, 1990.
    """
    return activation(_input(x, parameters) + dot(_thinned(h, kept), parameters["U"]))


def lstm_step(
    x: Variable, h: Variable, c: Variable, parameters: Parameters, kept: Any = None
) -> tuple[Variable, Variable]:
    """One step of the LSTM with forget gates.

    ::

        i, f, g, o = columns of x W + h U + b
        c' = s(f + P[1] * c) * c + s(i + P[0] * c) * tanh(g)
        h' = s(o + P[2] * c') * tanh(c')

    The terms with P, the peepholes, are there if the parameters have a "P". The order of the
    gates (input, forget, candidate, output) is that of PyTorch and of Keras.

    Parameters
    ----------
    x : variable, (batch, inputs)
    h, c : variable, (batch, units)
    parameters : mapping
        "W" (inputs, 4 units), "U" (units, 4 units), and perhaps "b" (4 units,), "P" (3, units).
    kept
        As for `rnn_step`.

    Returns
    -------
    h', c' : variables, (batch, units)

    References
    ----------
    Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9(8), 1997. Gers,
    Schmidhuber, Cummins: Learning to forget. Neural Computation 12(10), 2000. Gers, Schmidhuber:
    Recurrent nets that time and count. IJCNN 2000 (peepholes).
    """
    z = _input(x, parameters) + dot(_thinned(h, kept), parameters["U"])
    i, f, g, o = _gates(z, 4, dim(parameters["U"], 0))
    P = parameters.get("P")
    if P is not None:
        i, f = i + getitem(P, 0) * c, f + getitem(P, 1) * c
    new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    if P is not None:
        o = o + getitem(P, 2) * new
    return sigmoid(o) * tanh(new), new


def gru_step(
    x: Variable, h: Variable, parameters: Parameters, kept: Any = None
) -> Variable:
    """One step of the gated recurrent unit.

    ::

        r = s(x Wr + h Ur + br)
        z = s(x Wz + h Uz + bz)
        n = tanh(x Wn + (r * h) Un + bn)           or, if the parameters have a "c",
        n = tanh(x Wn + bn + r * (h Un + c))
        h' = z * h + (1 - z) * n

    The columns of W, U and b are those of r, z, n, as in PyTorch, whose unit is the one with c.

    Parameters
    ----------
    x : variable, (batch, inputs)
    h : variable, (batch, units)
    parameters : mapping
        "W" (inputs, 3 units), "U" (units, 3 units), and perhaps "b" (3 units,), "c" (units,).
    kept
        As for `rnn_step`.

    References
    ----------
    Cho et al.: Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP 2014, arXiv:1406.1078, equations 5 to 8; version 1 of that paper has the
    form with c.
    """
    U = parameters["U"]
    units = dim(U, 0)
    a, seen = _input(x, parameters), _thinned(h, kept)
    if "c" in parameters:
        (r, z, n), (hr, hz, hn) = _gates(a, 3, units), _gates(dot(seen, U), 3, units)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = tanh(n + r * (hn + parameters["c"]))
    else:
        r, z, n = _gates(a, 3, units)
        hr, hz = _gates(dot(seen, getitem(U, (slice(None), slice(None, 2 * units)))), 2, units)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = tanh(n + dot(r * seen, getitem(U, (slice(None), slice(2 * units, None)))))
    return z * h + (1 - z) * n


def _gates(z: Variable, count: int, units: Any) -> list[Variable]:
    return [getitem(z, (slice(None), slice(k * units, (k + 1) * units))) for k in range(count)]


def _input(x: Variable, parameters: Parameters) -> Variable:
    z, b = dot(x, parameters["W"]), parameters.get("b")
    return z if b is None else add(z, b)


def _thinned(h: Variable, kept: Any) -> Variable:
    return h if kept is None else mul(h, kept)
