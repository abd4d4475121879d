"""Recurrence over given parameters: functions from a sequence to the states over time.

Sequences are ``(time, batch, features)``. Each kind has two functions: ``gru_step`` is one step,
and ``gru`` runs the step over a sequence with `graphc.scan`. Parameters are a mapping from "W",
"U" and so on to variables. The layers `graphc.nn.RNN`, `LSTM` and `GRU` hold parameters of their
own and call these functions; they take (batch, time, features).

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

__all__ = [
    "bidirectional", "carry", "gru", "gru_step", "lstm", "lstm_step", "rnn", "rnn_step", "state",
]  # fmt: skip
