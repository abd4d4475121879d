"""What recurrent layers have in common: parameters, states, what a call takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Array, Constant, SharedVariable, Variable, describe, user_frames
from graphc.initial import orthogonal, xavier_uniform
from graphc.nn.dense import bias_of
from graphc.nn.layer import Layer, as_shape, derived
from graphc.nn.notes import carrying
from graphc.nn.pooling import stream_of
from graphc.ops.broadcast import alloc, zeros
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import lt, mul
from graphc.ops.index import getitem
from graphc.ops.make import arange
from graphc.ops.shape import dim, dimshuffle
from graphc.recurrent import state

States = tuple[Variable, ...]


class Recurrent(Layer):
    """What `RNN`, `LSTM` and `GRU` have in common.

    Parameters
    ----------
    inputs, units : int
        Features of the input and of the state.
    init, recurrent_init : function, number or array
        The first values of `weights` and `recurrent`; a function is called for each gate with
        the shape of one gate's matrix. By default Xavier's and orthogonal matrices.
    bias : bool, number, array or variable
        Whether there is one, and its first value; a variable ties it.
    initial : bool, number or array
        Whether the states before the first step are learnt, and their first value, (units,).
        False: they are 0, and stay so.
    backwards : bool
        Whether it reads from the last place of time to the first. Row t of the result is still
        the state after reading row t.
    last : bool
        Whether it gives the state after the last step alone, (batch, units).
    recurrent_dropout : float
        In training, the probability with which a unit's state doesn't enter the recurrent
        product; drawn once for all steps of a sequence.
    truncate_gradient, checkpoint_every : int, optional
        As for `graphc.scan`: gradients through the last steps only; less memory for gradients.
    weights, recurrent : variable, optional
        Another layer's, for tied weights.
    seed : int or numpy.random.Generator, optional
        For first values and dropout.
    dtype, name
        As for `Dense`.

    Attributes
    ----------
    weights : (inputs, gates * units)
    recurrent : (units, gates * units)
    bias : (gates * units,) or None

    Notes
    -----
    Called with x (batch, time, inputs) it gives (batch, time, units), with these options:
    ``mask=`` (batch, time), 0 where a sequence has no step, or ``lengths=`` (batch,), integers:
    there the state stays as it was, and so the last row is the state after the last real step;
    ``initial=``, the states before the first step, (batch, units) or (units,), for an LSTM a
    pair of them; ``carry=True`` with shared variables as `initial`, see `shared_states`.
    """

    GATES: ClassVar[int] = 1
    STATES: ClassVar[tuple[str, ...]] = ("h",)
    reach = "all"

    def __init__(
        self, inputs: int, units: int, init: Any = xavier_uniform,
        recurrent_init: Any = orthogonal, bias: Any = True, initial: Any = False,
        backwards: bool = False, last: bool = False, recurrent_dropout: float = 0.0,
        truncate_gradient: int = -1, checkpoint_every: int | None = None, weights: Any = None,
        recurrent: Any = None, seed: Any = None, dtype: str | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if not isinstance(recurrent_dropout, int | float) or not 0 <= recurrent_dropout < 1:
            raise ArgumentError(
                f"{self.name}: recurrent_dropout={recurrent_dropout!r} is no probability below 1",
                at=user_frames(),
            )  # fmt: skip
        self.inputs, self.units, self.backwards, self.last = inputs, units, backwards, last
        self.kind = dtypes.float_x() if dtype is None else dtypes.canonical(dtype)
        self.recurrent_dropout = recurrent_dropout
        self.scan_options = {
            "truncate_gradient": truncate_gradient, "checkpoint_every": checkpoint_every,
        }  # fmt: skip
        width = self.GATES * units
        self.weights = self.parameter("weights", (inputs, width), self._by_gate(init),
                                      derived(seed, 0), dtype, weights)  # fmt: skip
        self.recurrent = self.parameter("recurrent", (units, width), self._by_gate(recurrent_init),
                                        derived(seed, 1), dtype, recurrent)  # fmt: skip
        self.bias = bias_of(self, bias, width, dtype)
        self.initial: States | None = None
        if initial is not False and initial is not None:
            start = 0.0 if initial is True else initial
            self.initial = tuple(
                self.parameter(f"initial_{what}", (units,), start, dtype=dtype)
                for what in self.STATES
            )
        if recurrent_dropout:
            self.stream = stream_of(self, derived(seed, 2))

    def _by_gate(self, init: Any) -> Any:
        """An initialiser of one gate's matrix as that of all gates side by side."""
        if not callable(init):
            return init

        def made(shape: tuple[int, ...], seed: Any) -> Array:
            one = (shape[0], shape[1] // self.GATES)
            parts = [np.asarray(init(one, seed=derived(seed, k))) for k in range(self.GATES)]
            if any(part.shape != one for part in parts):
                raise ShapeError(
                    f"{self.name}: the initialiser made an array of shape {parts[0].shape} when "
                    f"asked for one gate's {one}", at=user_frames(),
                )  # fmt: skip
            return np.hstack(parts)

        return made

    # --- steps, for loops of one's own --------------------------------------------------

    @property
    def matrices(self) -> dict[str, Variable]:
        """The parameters as the functions of `graphc.recurrent` take them."""
        found = {"W": self.weights, "U": self.recurrent, "b": self.bias}
        return {k: v for k, v in found.items() if v is not None}

    def step(self, x: Any, *states: Any, kept: Any = None) -> States:
        """One step: the new states, of which the first is the output.

        Parameters
        ----------
        x : (batch, inputs)
        *states : (batch, units)
            As many as `first` gives.
        kept : (batch, units), optional
            What `kept` draws, for dropout of recurrent connections.
        """
        row = as_variable(x)
        as_shape(self.name, row, 2, -1, self.inputs, "features")
        self._check_count(states, "states of a step")
        return self._step(row, *map(as_variable, states), kept=kept)

    def _step(self, row: Variable, *states: Variable, kept: Any) -> States:
        raise NotImplementedError

    def first(self, batch: Any) -> States:
        """The states before the first step, (batch, units): zeros, or what is learnt.

        Parameters
        ----------
        batch : int or integer scalar
        """
        if self.initial is None:
            return tuple(zeros((batch, self.units), self.kind) for _ in self.STATES)
        return tuple(alloc(v, batch, self.units) for v in self.initial)

    def kept(self, batch: Any) -> Variable | None:
        """A draw of `recurrent_dropout` for all steps, (batch, units); None without dropout."""
        if not self.recurrent_dropout:
            return None
        p = 1 - self.recurrent_dropout
        drawn = self.stream.bernoulli((batch, self.units), p=p, dtype=self.kind)
        return mul(drawn, Constant(1 / p, self.kind))

    def shared_states(self, batch: int) -> tuple[SharedVariable, ...]:
        """Shared variables of zeros, (batch, units), for states that live on between calls.

        ``layer(x, initial=states, carry=True)`` starts from them, and carries updates that keep
        the states after the last step; `nn.updates` collects them. So a long sequence is read
        piece by piece, with gradients that end where a piece begins.
        """
        return tuple(
            state(batch, self.units, self.kind, f"{self.name}.{what}")
            for what in self.STATES
        )

    # --- sequences ----------------------------------------------------------------------

    def states(
        self, x: Any, *, train: bool = False, initial: Any = None, mask: Any = None,
        lengths: Any = None,
    ) -> States:  # fmt: skip
        """All states after each step, (batch, time, units) each: of an LSTM, h and c."""
        found = self._rows(as_variable(x), train, initial, mask, lengths)
        return tuple(dimshuffle(self._turned(v), 1, 0, 2) for v in found)

    def expression(  # type: ignore[override]
        self, x: Variable, train: bool, *, initial: Any = None, carry: bool = False,
        mask: Any = None, lengths: Any = None,
    ) -> Variable:  # fmt: skip
        found = self._rows(x, train, initial, mask, lengths)
        # The last row is taken from the loop itself, which then keeps no other.
        y = getitem(found[0], -1) if self.last else dimshuffle(self._turned(found[0]), 1, 0, 2)
        if not carry:
            return y
        kept = [None] if initial is None else self._listed(initial)
        if self.backwards or not all(isinstance(s, SharedVariable) for s in kept):
            raise ArgumentError(
                f"{self.name}: carry=True needs a layer that reads forwards, and shared variables "
                "as initial=", "make them with layer.shared_states(batch)", user_frames(),
            )  # fmt: skip
        return carrying(y, [(s, getitem(v, -1)) for s, v in zip(kept, found)])

    def _rows(
        self, x: Variable, train: bool, initial: Any, mask: Any, lengths: Any
    ) -> list[Variable]:
        """The states after each step, time first, in the order of reading."""
        as_shape(self.name, x, 3, -1, self.inputs, "features")
        start = self._listed(initial)
        there = self._mask(x, mask, lengths)
        options = {
            **self.scan_options, "name": self.name,
            "mask": None if there is None else self._turned(there),
            "kept": self.kept(dim(x, 0)) if train else None,
        }  # fmt: skip
        return self._run(self._turned(dimshuffle(x, 1, 0, 2)), start, options)

    def _turned(self, rows: Variable) -> Variable:
        return getitem(rows, slice(None, None, -1)) if self.backwards else rows

    def _run(self, x: Variable, start: list[Any], options: dict[str, Any]) -> list[Variable]:
        raise NotImplementedError

    def _listed(self, initial: Any) -> list[Any]:
        if initial is None:
            return list(self.initial or (None,) * len(self.STATES))
        given = list(initial) if isinstance(initial, list | tuple) else [initial]
        self._check_count(given, "initial states")
        found = [as_variable(v) for v in given]
        for v in found:
            if v.ndim == 0 or v.type.shape[-1] not in (None, self.units):
                raise ShapeError(
                    f"{self.name}: the initial state {describe(v)} is not for {self.units} units",
                    "it is (batch, units), or (units,) for the whole batch", user_frames(),
                )  # fmt: skip
        return found

    def _check_count(self, given: Sequence[Any], what: str) -> None:
        if len(given) != len(self.STATES):
            raise ArgumentError(
                f"{self.name}: {len(given)} {what}, and {type(self).__name__} has "
                f"{len(self.STATES)}: {', '.join(self.STATES)}", at=user_frames(),
            )  # fmt: skip

    def _mask(self, x: Variable, mask: Any, lengths: Any) -> Variable | None:
        """Time first, 0 where a sequence has no step."""
        if mask is not None and lengths is not None:
            raise ArgumentError(f"{self.name}: give mask or lengths, not both", at=user_frames())
        if mask is not None:
            given = as_variable(mask)
            known = zip(given.type.shape, x.type.shape)
            if given.ndim != 2 or any(None not in (m, n) and m != n for m, n in known):
                raise ShapeError(
                    f"{self.name}: the mask {describe(given)} is not (batch, time) of the input "
                    f"{describe(x)}", at=user_frames(),
                )  # fmt: skip
            return dimshuffle(given, 1, 0)
        if lengths is None:
            return None
        given = as_variable(lengths)
        if given.ndim != 1 or not dtypes.is_integer(given.dtype):
            raise ShapeError(
                f"{self.name}: lengths={describe(given)} are not (batch,) integers",
                at=user_frames(),
            )
        return lt(dimshuffle(arange(dim(x, 1)), 0, "x"), given)
