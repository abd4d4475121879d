"""Recurrent layers: functions from a sequence and parameters to the states over time.

Sequences are ``(time, batch, features)``. A layer has three functions: ``gru_parameters`` makes
its shared variables, ``gru_step`` is one step (for decoders, and for loops of one's own), and
``gru`` runs the step over a sequence with `graphc.scan`.

In the formulas ``x`` is the input of a step, ``h`` the state before it and ``h'`` after it,
``s`` the logistic function, and products without a sign are matrix products with rows on the
left. `W` takes the input, `U` the state, `b` is the bias; the columns of several gates lie side
by side in one matrix, in the order that is stated.

Masks: where ``mask[t, n]`` is 0, step ``t`` leaves the states of sequence ``n`` as they were.
Sequences of different length are padded to one length with a mask of 0; the last row of the
states is then that after the last real step of each.

Truncated back-propagation with a state that lives on: start from a `state`, and let `carry` make
the updates that keep where the sequence ended. Gradients end at the shared variable.
"""

from graphc.recurrent.cells import gru_step, lstm_step, rnn_step
from graphc.recurrent.layers import bidirectional, carry, gru, lstm, rnn, state
from graphc.recurrent.parameters import (
    glorot,
    gru_parameters,
    lstm_parameters,
    orthogonal,
    rnn_parameters,
)

__all__ = [
    "bidirectional", "carry", "glorot", "gru", "gru_parameters", "gru_step", "lstm",
    "lstm_parameters", "lstm_step", "orthogonal", "rnn", "rnn_parameters", "rnn_step", "state",
]  # fmt: skip
