"""Recurrent layers over a sequence, and states that live between calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import SharedVariable, Variable, describe, user_frames
from graphc.looping import scan
from graphc.ops.broadcast import alloc, zeros
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import cast, neq, switch, tanh
from graphc.ops.index import getitem
from graphc.ops.join import concatenate
from graphc.ops.shape import dim, expand_axes
from graphc.recurrent.cells import Parameters, gru_step, lstm_step, rnn_step

Step = Callable[..., list[Variable]]


def rnn(
    x: Any, parameters: Parameters, initial: Any = None, mask: Any = None,
    go_backwards: bool = False, activation: Callable[[Variable], Variable] = tanh,
    kept: Any = None, **options: Any,
) -> Variable:  # fmt: skip
    """The simple recurrent network over a sequence: `rnn_step` for each row.

    Parameters
    ----------
    x : variable, (time, batch, inputs)
    parameters : mapping
        "W", "U" and perhaps "b", as for `rnn_step`; `graphc.nn.RNN` makes them.
    initial : variable, (batch, units) or (units,), optional
        The state before the first step, 0 by default. One vector serves the whole batch, and
        can be a parameter that is learned.
    mask : variable, (time, batch), optional
        Where it is 0, the state stays.
    go_backwards : bool
        Whether to read from the last row to the first. Row t of the result is still the state
        after reading row t of `x`.
    activation : callable
    kept : variable, (batch, units), optional
        Dropout of recurrent connections: a factor of the state in its product with U, the same
        in all steps.
    **options
        ``truncate_gradient``, ``checkpoint_every`` and ``name``, for `graphc.scan`.

    Returns
    -------
    variable, (time, batch, units)
        The states after each step.

    Raises
    ------
    ArgumentError, ShapeError
        If a parameter is missing, or a rank or a known size doesn't fit.

    Examples
    --------
    >>> import numpy as np
    >>> import graphc, graphc.tensor as T
    >>> from graphc import recurrent
    >>> p = {"W": T.ones((1, 1)), "U": T.ones((1, 1))}
    >>> x = T.dtensor3("x")
    >>> h = recurrent.rnn(x, p, activation=lambda v: v)
    >>> h.eval({x: [[[1.0]], [[2.0]], [[3.0]]]}).ravel()
    array([1., 3., 6.])
    """

    def step(row: Variable, h: Variable) -> list[Variable]:
        return [rnn_step(row, h, parameters, activation, kept)]

    return _over(step, "rnn", x, parameters, [initial], mask, go_backwards, options)[0]


def lstm(
    x: Any, parameters: Parameters, initial: tuple[Any, Any] | None = None, mask: Any = None,
    go_backwards: bool = False, kept: Any = None, **options: Any,
) -> tuple[Variable, Variable]:  # fmt: skip
    """The LSTM over a sequence: `lstm_step` for each row.

    Parameters
    ----------
    x : variable, (time, batch, inputs)
    parameters : mapping
        "W", "U" and perhaps "b", "P" for peepholes, as for `lstm_step`; `graphc.nn.LSTM` makes
        them.
    initial : pair of variables, (batch, units) or (units,), optional
        h and c before the first step, 0 by default.
    mask, go_backwards, kept, **options
        As for `rnn`.

    Returns
    -------
    h, c : variables, (time, batch, units)
        The outputs and the cells after each step. What isn't used of them isn't kept.

    Raises
    ------
    ArgumentError, ShapeError
        As `rnn`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphc, graphc.tensor as T
    >>> from graphc import recurrent
    >>> p = {"W": T.ones((3, 20)), "U": T.ones((5, 20)), "P": T.zeros((3, 5))}
    >>> x = T.dtensor3("x")
    >>> h, c = recurrent.lstm(x, p)
    >>> h.eval({x: np.zeros((7, 2, 3))}).shape
    (7, 2, 5)
    """
    states = [None, None] if initial is None else list(initial)
    if len(states) != 2:
        raise ArgumentError(
            f"lstm: {len(states)} initial states", "pass a pair: h and c", user_frames()
        )

    def step(row: Variable, h: Variable, c: Variable) -> list[Variable]:
        return list(lstm_step(row, h, c, parameters, kept))

    h, c = _over(step, "lstm", x, parameters, states, mask, go_backwards, options)
    return h, c


def gru(
    x: Any, parameters: Parameters, initial: Any = None, mask: Any = None,
    go_backwards: bool = False, kept: Any = None, **options: Any,
) -> Variable:  # fmt: skip
    """The gated recurrent unit over a sequence: `gru_step` for each row.

    Parameters
    ----------
    x : variable, (time, batch, inputs)
    parameters : mapping
        "W", "U" and perhaps "b", "c", as for `gru_step`; `graphc.nn.GRU` makes them.
    initial, mask, go_backwards, kept, **options
        As for `rnn`.

    Returns
    -------
    variable, (time, batch, units)
        The states after each step.

    Raises
    ------
    ArgumentError, ShapeError
        As `rnn`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphc, graphc.tensor as T
    >>> from graphc import recurrent
    >>> p = {"W": T.ones((3, 15)), "U": T.ones((5, 15)), "b": T.zeros(15)}
    >>> x, mask = T.dtensor3("x"), T.dmatrix("mask")
    >>> h = recurrent.gru(x, p, mask=mask)
    >>> value = h.eval({x: np.ones((2, 1, 3)), mask: [[1.0], [0.0]]})
    >>> bool((value[1] == value[0]).all())
    True
    """

    def step(row: Variable, h: Variable) -> list[Variable]:
        return [gru_step(row, h, parameters, kept)]

    return _over(step, "gru", x, parameters, [initial], mask, go_backwards, options)[0]


def bidirectional(
    layer: Callable[..., Any], x: Any, forward: Parameters, backward: Parameters,
    mask: Any = None, **options: Any,
) -> Variable:  # fmt: skip
    """A layer that reads forwards beside one that reads backwards.

    Parameters
    ----------
    layer : callable
        `rnn`, `lstm`, `gru`, or another with their parameters.
    x : variable, (time, batch, inputs)
    forward, backward : mapping
        The parameters of the two.
    mask : variable, (time, batch), optional
        Where it is 0, states stay: the backward layer is at its initial state until the last
        real step of each sequence.
    **options
        Passed to both.

    Returns
    -------
    variable, (time, batch, 2 units)
        Row t has what was read up to t, then what was read from t on; of an LSTM, the outputs.

    References
    ----------
    Schuster, Paliwal: Bidirectional recurrent neural networks. IEEE Transactions on Signal
    Processing 45(11), 1997.

    Examples
    --------
    >>> import numpy as np
    >>> import graphc, graphc.tensor as T
    >>> from graphc import recurrent
    >>> p, q = ({"W": T.ones((3, 15)) * k, "U": T.ones((5, 15))} for k in (1, -1))
    >>> x = T.dtensor3("x")
    >>> recurrent.bidirectional(recurrent.gru, x, p, q).eval({x: np.ones((4, 2, 3))}).shape
    (4, 2, 10)
    """
    found = [
        layer(x, forward, mask=mask, **options),
        layer(x, backward, mask=mask, go_backwards=True, **options),
    ]
    return concatenate([h[0] if isinstance(h, tuple) else h for h in found], 2)


def _over(
    step: Step, kind: str, x: Any, parameters: Parameters, initials: Sequence[Any], mask: Any,
    go_backwards: bool, options: dict[str, Any],
) -> list[Variable]:  # fmt: skip
    """The states after each step, a variable for each of them."""
    x = as_variable(x)
    _check(kind, x, parameters, options)
    given = [None if v is None else as_variable(v) for v in initials]
    met = [x, *parameters.values(), *(v for v in given if v is not None)]
    dtype = dtypes.promote([v.dtype for v in met])  # that of the states after a step
    batch, units = dim(x, 1), dim(parameters["U"], 0)
    start = [_initial(kind, v, batch, units, dtype) for v in given]
    rows = [x]
    if mask is not None:
        mask = as_variable(mask)
        if mask.ndim != 2:
            raise ShapeError(
                f"{kind}: the mask {describe(mask)} has {mask.ndim} axes",
                "it has two: time and batch", mask.where or user_frames(),
            )  # fmt: skip
        rows.append(neq(mask, 0))

    def masked(row: Variable, *given: Variable) -> list[Variable]:
        if mask is None:
            return step(row, *given)
        keep = expand_axes(given[0], [1])
        new = step(row, *given[1:])
        return [switch(keep, v, old) for v, old in zip(new, given[1:])]

    found, _ = scan(masked, rows, start, go_backwards=go_backwards, return_list=True,
                    **{"name": kind, **options})  # fmt: skip
    return [getitem(v, slice(None, None, -1)) for v in found] if go_backwards else found


OPTIONS = ("truncate_gradient", "checkpoint_every", "name")


def _check(kind: str, x: Variable, parameters: Parameters, options: dict[str, Any]) -> None:
    unknown = [k for k in options if k not in OPTIONS]
    if unknown:
        raise ArgumentError(
            f"{kind}: unknown option {unknown[0]!r}", f"there are {', '.join(OPTIONS)}",
            user_frames(),
        )  # fmt: skip
    missing = [k for k in ("W", "U") if k not in parameters]
    if missing:
        raise ArgumentError(
            f"{kind}: the parameters have no {missing[0]!r}",
            f"graphc.nn.{kind.upper()} makes them", user_frames(),
        )  # fmt: skip
    if x.ndim != 3:
        raise ShapeError(
            f"{kind}: the sequence {describe(x)} has {x.ndim} axes",
            "it has three: time, batch and features; for a single sequence, x[:, None, :]",
            x.where or user_frames(),
        )  # fmt: skip
    W, features = parameters["W"], x.type.shape[2]
    inputs = W.get_value(borrow=True).shape[0] if isinstance(W, SharedVariable) else None
    if None not in (features, inputs) and features != inputs:
        raise ShapeError(
            f"{kind}: the sequence {describe(x)} has {features} features, and {describe(W)} "
            f"takes {inputs}", at=x.where or user_frames(),
        )  # fmt: skip


def _initial(
    kind: str, value: Variable | None, batch: Variable, units: Variable, dtype: str
) -> Variable:
    if value is None:
        return zeros((batch, units), dtype)
    if value.ndim == 1:
        return alloc(cast(value, dtype), batch, units)
    if value.ndim != 2:
        raise ShapeError(
            f"{kind}: the initial state {describe(value)} has {value.ndim} axes",
            "it is (batch, units), or (units,) for the whole batch", value.where or user_frames(),
        )  # fmt: skip
    return cast(value, dtype)


def state(
    batch: int, units: int, dtype: str | None = None, name: str = "state"
) -> SharedVariable:
    """A state of zeros, (batch, units), that lives between calls; see `carry`."""
    return SharedVariable(
        np.zeros((batch, units), dtypes.numpy_dtype(dtypes.canonical(dtype or "floatX"))), name
    )


def carry(
    states: Sequence[SharedVariable], sequences: Sequence[Variable]
) -> list[tuple[SharedVariable, Variable]]:
    """Updates that set each state to the last row of what a layer returned for it.

    The next call goes on where this one ended, and gradients don't go back beyond its beginning:
    truncated back-propagation through time with a state that lives on. ``state.set_value`` of
    zeros starts anew.

    Parameters
    ----------
    states : list of shared variables
        What the layer started from, as `state` makes them.
    sequences : list of variables, (time, batch, units)
        What it returned, in the same order.

    References
    ----------
    Williams, Peng: An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories. Neural Computation 2(4), 1990.

    Examples
    --------
    >>> import numpy as np
    >>> import graphc, graphc.tensor as T
    >>> from graphc import recurrent
    >>> p = {"W": T.ones((1, 1)), "U": T.ones((1, 1))}
    >>> x, h0 = T.dtensor3("x"), recurrent.state(1, 1, "float64")
    >>> h = recurrent.rnn(x, p, h0, activation=lambda v: v)
    >>> total = graphc.function([x], h[-1, 0, 0], updates=recurrent.carry([h0], [h]))
    >>> [float(total([[[1.0]], [[2.0]]])) for _ in range(3)]
    [3.0, 6.0, 9.0]
    """
    if len(states) != len(sequences):
        raise ArgumentError(
            f"carry: {len(states)} states and {len(sequences)} sequences",
            "an LSTM has two of both: h and c", user_frames(),
        )  # fmt: skip
    return [(s, getitem(v, -1)) for s, v in zip(states, sequences)]
