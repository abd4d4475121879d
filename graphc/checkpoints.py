"""Loops that keep the states of every k-th step only: time for memory.

The steps are cut into chunks, each a loop of its own inside a loop over chunks. Gradients keep
what the outer loop carries, and compute the steps of one chunk again at a time. With k near
the square root of the number of steps, memory grows with the square root, too.

Source: A. Griewank, A. Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000), for the idea;
T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
"""

from __future__ import annotations

from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.loop import Loop, Operands, State
from graphc.core.node import Constant, TensorType, Variable, user_frames
from graphc.core.op import static_int
from graphc.ops import scan
from graphc.ops.elementwise import int_div, mul, sub
from graphc.ops.index import getitem
from graphc.ops.join import concatenate
from graphc.ops.shape import dim, reshape


class Plain:
    """The results of a loop as they are."""

    def __init__(self, loop: Loop, args: tuple[Variable, ...]) -> None:
        self.loop, self.args = loop, args

    def rows(self, v: Variable) -> Variable:
        """What an inner variable was in every step."""
        return scan.rows(self.loop, self.args, v)

    def final(self, k: int) -> Variable:
        """The latest rows of a state."""
        return scan.final(self.loop, self.args, k)


class Ended(Plain):
    """The results of a loop that ends by a condition: its rows are as many as it took steps."""

    def __init__(self, loop: Loop, args: tuple[Variable, ...]) -> None:
        self.whole = Plain(loop, args)
        super().__init__(*scan.counted(loop, args))

    def final(self, k: int) -> Variable:
        return self.whole.final(k)


class Chunked(Plain):
    """The results of a loop over chunks of `every` steps, and of one over what is left."""

    def __init__(self, loop: Loop, args: tuple[Variable, ...], every: Any) -> None:
        self.every = _checked(every, loop)
        given = loop.split(args)
        size = Constant(self.every, "int64")
        self.chunks = int_div(given.steps, size)
        done = mul(self.chunks, size)
        self.outer, self.inner_args = self._outer(loop)
        sequences = tuple(
            reshape(getitem(s, slice(None, done)),
                    [self.chunks, size, *(dim(s, k) for k in range(1, s.ndim))])
            for s in given.sequences
        )  # fmt: skip
        self.outer_args = Operands(self.chunks, sequences, _lifted(given.initials),
                                   given.constants).all  # fmt: skip
        self.done = done
        left = static_int(given.steps)
        self.exact = left is not None and left % self.every == 0
        rest = tuple(getitem(s, slice(done, None)) for s in given.sequences)
        after = tuple(
            getitem(scan.final(self.outer, self.outer_args, k), 0) for k in range(len(loop.states))
        )
        super().__init__(loop, Operands(sub(given.steps, done), rest, after, given.constants).all)

    def _outer(self, loop: Loop) -> tuple[Loop, tuple[Variable, ...]]:
        """The loop over chunks; its states are windows, as long as those of the loop look back."""
        size = Constant(self.every, "int64")
        slices = tuple(_several(v, self.every) for v in loop.slices)
        windows = tuple(_several(s.reads[0], s.back) for s in loop.states)
        constants = tuple(Variable(c.type, name=c.name, where=c.where) for c in loop.constants)
        args = Operands(size, slices, windows, constants).all
        states = tuple(
            State((-1,), (w,), scan.final(loop, args, k), s.shared)
            for k, (w, s) in enumerate(zip(windows, loop.states))
        )
        name = f"chunks of {loop.name or 'loop'}"
        outer = Loop(slices, states, constants, recompute=True, name=name, where=loop.where)
        return outer, args

    def rows(self, v: Variable) -> Variable:
        inside = scan.rows(self.loop, self.inner_args, v)
        chunks = scan.rows(self.outer, self.outer_args, inside)
        sizes = [dim(chunks, k) for k in range(2, chunks.ndim)]
        first = reshape(chunks, [self.done, *sizes])
        return first if self.exact else concatenate([first, super().rows(v)], 0)

    def final(self, k: int) -> Variable:
        if self.exact:
            return getitem(scan.final(self.outer, self.outer_args, k), 0)
        return super().final(k)


def _several(v: Variable, count: int) -> Variable:
    """A leaf for so many rows."""
    return Variable(TensorType(v.dtype, (count, *v.type.shape)), name=v.name, where=v.where)


def _lifted(initials: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Windows as the initial rows of states that are windows."""
    return tuple(getitem(i, None) for i in initials)


def _checked(every: Any, loop: Loop) -> int:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ArgumentError(
            f"scan: checkpoint_every is a number of steps, not {every!r}",
            "the square root of the number of steps is a good choice", user_frames(),
        )  # fmt: skip
    if loop.truncate is not None:
        raise ArgumentError(
            "scan: truncate_gradient and checkpoint_every don't go together",
            "gradients that go back a few steps only keep little anyway", user_frames(),
        )  # fmt: skip
    return every
