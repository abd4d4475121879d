"""Recurrent layers: they hold parameters for `graphc.recurrent`, which has formulas and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.nn.containers import Parallel
from graphc.nn.dense import Activation, activation_of
from graphc.nn.recurrence import Recurrent, States
from graphc.ops.elementwise import tanh
from graphc.recurrent import gru, gru_step, lstm, lstm_step, rnn, rnn_step


class RNN(Recurrent):
    """The simple recurrent layer: ``h' = activation(x W + h U + b)``.

    Parameters
    ----------
    inputs, units : int
    activation : function
    **options
        Those of `Recurrent`: `init`, `recurrent_init`, `bias`, `initial`, `backwards`, `last`,
        `recurrent_dropout`, `seed` and so on.

    Notes
    -----
    Elman, "Finding Structure in Time", 1990. With ``T.nnet.relu`` and
    ``recurrent_init=graphc.initial.identity`` it is the network of Le, Jaitly and Hinton, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> total = nn.RNN(1, 1, lambda z: z, init=1.0, recurrent_init=1.0)
    >>> total(np.array([[[1.0], [2.0], [3.0]]])).eval().ravel()
    array([1., 3., 6.])
    """

    def __init__(
        self, inputs: int, units: int, activation: Activation = tanh, **options: Any
    ) -> None:
        super().__init__(inputs, units, **options)
        self.activation: Any = activation_of(self, activation)

    def _step(self, row: Variable, *states: Variable, kept: Any) -> States:
        return (rnn_step(row, *states, self.matrices, self.activation, kept),)

    def _run(self, x: Variable, start: list[Any], options: dict[str, Any]) -> list[Variable]:
        return [rnn(x, self.matrices, *start, activation=self.activation, **options)]


class LSTM(Recurrent):
    """The LSTM: cells that keep, with gates for input, forgetting and output.

    ``i, f, g, o = columns of x W + h U + b``, ``c' = s(f) c + s(i) tanh(g)``, ``h' = s(o)
    tanh(c')``, with s the logistic function.

    Parameters
    ----------
    inputs, units : int
    forget_bias : float
        Where the bias of the forget gate starts, if `bias` is True; the others start with 0.
    peepholes : bool
        Whether gates see the cell, too, through `peepholes`; see `graphc.recurrent.lstm_step`.
    **options
        Those of `Recurrent`.

    Attributes
    ----------
    weights : (inputs, 4 units)
    recurrent : (units, 4 units)
    bias : (4 units,) or None
        Columns are those of i, f, g, o, as in PyTorch, whose matrices are transposed and whose
        two biases are added up here.
    peepholes : (3, units) or None
        Of i, f, o.

    Notes
    -----
    Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins, 2000; for the bias
    Jozefowicz, Zaremba and Sutskever, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.LSTM(3, 4, seed=0)
    >>> layer(np.ones((2, 5, 3)), lengths=np.array([5, 2])).eval().shape, layer.count
    ((2, 5, 4), 128)
    """

    GATES = 4
    STATES = ("h", "c")

    def __init__(
        self, inputs: int, units: int, forget_bias: float = 1.0, peepholes: bool = False,
        bias: Any = True, **options: Any,
    ) -> None:  # fmt: skip
        if bias is True and isinstance(units, int | np.integer):
            bias = np.repeat([0.0, forget_bias, 0.0, 0.0], max(units, 0))
        super().__init__(inputs, units, bias=bias, **options)
        self.peepholes: Any = None
        if peepholes:
            self.peepholes = self.parameter("peepholes", (3, units), 0.0, dtype=self.kind)

    @property
    def matrices(self) -> dict[str, Variable]:
        """The parameters as the functions of `graphc.recurrent` take them."""
        more = {} if self.peepholes is None else {"P": self.peepholes}
        return {**super().matrices, **more}

    def _step(self, row: Variable, *states: Variable, kept: Any) -> States:
        return lstm_step(row, *states, self.matrices, kept)

    def _run(self, x: Variable, start: list[Any], options: dict[str, Any]) -> list[Variable]:
        return list(lstm(x, self.matrices, (start[0], start[1]), **options))


class GRU(Recurrent):
    """The gated recurrent unit.

    ``r, z = s(...)``, ``n = tanh(x Wn + (r h) Un + bn)``, ``h' = z h + (1 - z) n``; see
    `graphc.recurrent.gru_step`.

    Parameters
    ----------
    inputs, units : int
    reset_after : bool
        Whether the reset gate acts behind the recurrent product: ``n = tanh(x Wn + bn + r (h Un
        + c))``, as in PyTorch and cuDNN, with c the `recurrent_bias`.
    **options
        Those of `Recurrent`.

    Attributes
    ----------
    weights : (inputs, 3 units)
    recurrent : (units, 3 units)
    bias : (3 units,) or None
        Columns are those of r, z, n, as in PyTorch, whose matrices are transposed and whose
        biases of r and z are added up here.
    recurrent_bias : (units,) or None

    Notes
    -----
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.GRU(3, 4, last=True, seed=0)(np.ones((2, 5, 3))).eval().shape
    (2, 4)
    """

    GATES = 3

    def __init__(self, inputs: int, units: int, reset_after: bool = False, **options: Any) -> None:
        super().__init__(inputs, units, **options)
        self.recurrent_bias: Any = None
        if reset_after:
            self.recurrent_bias = self.parameter("recurrent_bias", (units,), dtype=self.kind)

    @property
    def matrices(self) -> dict[str, Variable]:
        """The parameters as the functions of `graphc.recurrent` take them."""
        more = {} if self.recurrent_bias is None else {"c": self.recurrent_bias}
        return {**super().matrices, **more}

    def _step(self, row: Variable, *states: Variable, kept: Any) -> States:
        return (gru_step(row, *states, self.matrices, kept),)

    def _run(self, x: Variable, start: list[Any], options: dict[str, Any]) -> list[Variable]:
        return [gru(x, self.matrices, *start, **options)]


class Bidirectional(Parallel):
    """A layer that reads forwards beside one that reads backwards, joined along the features.

    Parameters
    ----------
    forward, backward : recurrent layers
        The second with ``backwards=True``.
    join : callable, optional
        Of the list of both results, instead of concatenation: ``sum``, for example.

    Notes
    -----
    Row t has what was read up to t, then what was read from t on; with ``last=True`` in both
    layers, each gives what it had read at its end. Schuster and Paliwal, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> both = nn.Bidirectional(nn.GRU(3, 4, seed=0), nn.GRU(3, 4, backwards=True, seed=1))
    >>> both(np.ones((2, 5, 3))).eval().shape, list(both.named())[0]
    ((2, 5, 8), 'forward.weights')
    """

    NAMES = ("forward", "backward")

    def __init__(
        self, forward: Recurrent, backward: Recurrent,
        join: Callable[[Sequence[Variable]], Any] | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(forward, backward, axis=-1, join=join, name=name)
        ways = [getattr(layer, "backwards", None) for layer in (forward, backward)]
        if ways != [False, True] or forward.last != backward.last:
            raise ArgumentError(
                f"{self.name}: it takes a recurrent layer that reads forwards and one with "
                "backwards=True, both with the same last=", at=user_frames(),
            )  # fmt: skip
