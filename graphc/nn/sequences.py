"""Losses of sequences: connectionist temporal classification, linear-chain random fields.

Both sum over very many paths, by a recurrence in logarithms along time. Time is the first axis,
as `graphc.scan` walks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import DTypeError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.gradient import disconnected_grad
from graphc.looping import reduce, scan
from graphc.ops.broadcast import broadcast_to
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import (
    add,
    cast,
    eq,
    exp,
    gt,
    le,
    log,
    lt,
    maximum,
    mul,
    neq,
    sub,
    switch,
)
from graphc.ops.index import getitem, set_subtensor
from graphc.ops.join import concatenate
from graphc.ops.make import arange
from graphc.ops.nnet import logsoftmax
from graphc.ops.reduce import argmax, logsumexp
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import sum as sum_
from graphc.ops.shape import dim

# The logarithm of "impossible". It is finite, so that no gradient is infinity less infinity, and
# so large that nothing it is added to can be told from it.
_NEVER = -1e30


def _never(dtype: str) -> Constant:
    return Constant(np.array(_NEVER), dtype)


def _finite(x: Any) -> Any:
    """With the logarithm of 0 as a finite number."""
    return maximum(x, _never(x.dtype))


def _log_sum(parts: list[Any]) -> Any:
    """``log(sum of exp(part))`` of variables of one shape, which must be finite."""
    top: Any = parts[0]
    for p in parts[1:]:
        top = maximum(top, p)
    top = disconnected_grad(top)  # its derivatives cancel
    total: Any = 0
    for p in parts:
        total = add(total, exp(sub(p, top)))
    return add(top, log(total))


def _scores(x: Any, what: str) -> Any:
    """Scores as float32 or float64 (time, batch, classes)."""
    variable = as_variable(x)
    if variable.ndim != 3:
        raise ShapeError(
            f"{what}: the scores {describe(variable)} have {variable.ndim} axes",
            "they are (time, batch, classes); x.dimshuffle(1, 0, 2) of a batch-first tensor",
            user_frames(),
        )
    return cast(variable, dtypes.wide(dtypes.float_for(variable.dtype)))


def same_size(what: str, first: tuple[Variable, int], second: tuple[Variable, int]) -> None:
    """Raise if two axes that must agree have sizes that are known and differ."""
    (x, a), (y, b) = first, second
    m, n = x.type.shape[a], y.type.shape[b]
    if None not in (m, n) and m != n:
        raise ShapeError(
            f"{what}: {describe(x)} has {m} along axis {a}, {describe(y)} has {n} along axis {b}",
            at=user_frames(),
        )


def _integers(x: Any, ndim: int, what: str, shape: str) -> Any:
    variable = as_variable(x)
    if not dtypes.is_integer(variable.dtype):
        raise DTypeError(f"{what}: {describe(variable)} must be integers", at=user_frames())
    if variable.ndim != ndim:
        raise ShapeError(f"{what}: {describe(variable)} must be {shape}", at=user_frames())
    return variable


def _lengths(given: Any, all_of: Any, batch: Any, what: str) -> Any:
    if given is None:
        return broadcast_to(cast(all_of, "int64"), [batch])
    return cast(_integers(given, 1, what, "(batch,)"), "int64")


# --- connectionist temporal classification --------------------------------------------


def ctc(
    scores: Any, labels: Any, score_lengths: Any = None, label_lengths: Any = None, blank: int = 0
) -> Variable:
    """``-log`` of the probability of label sequences, summed over all their alignments.

    An alignment gives every time a class or the blank; leaving out repetitions, and then blanks,
    makes the labels. With ``l'`` the labels with blanks between, before and after,
    ``a[t, s] = y[t, l'[s]] (a[t-1, s] + a[t-1, s-1] + a[t-1, s-2])``, the last term only where
    ``l'[s]`` is no blank and not ``l'[s-2]``; computed in logarithms.

    Parameters
    ----------
    scores : (time, batch, classes) floats
        Before softmax; one of the classes is the blank.
    labels : (batch, length) integers
        None of them the blank; what lies behind a label's length is not read.
    score_lengths, label_lengths : (batch,) integers, optional
        How much of each counts, by default all of it.
    blank : int
        The number of the blank.

    Returns
    -------
    (batch,) floats
        Infinity, with a gradient of 0, where the time is too short for the labels.

    Notes
    -----
    Graves et al., "Connectionist Temporal Classification", 2006, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> scores, labels = np.zeros((2, 1, 2)), np.array([[1]])  # of 4 paths, 3 give the label
    >>> np.exp(-nn.losses.ctc(scores, labels).eval()).round(3)
    array([0.75])
    """
    x, y = _scores(scores, "ctc"), _integers(labels, 2, "ctc: labels", "(batch, length)")
    same_size("ctc", (x, 1), (y, 0))
    time, batch, length = dim(x, 0), dim(x, 1), cast(dim(y, 1), "int64")
    times = _lengths(score_lengths, time, batch, "ctc: score_lengths")
    sizes = _lengths(label_lengths, length, batch, "ctc: label_lengths")
    states, skips = _with_blanks(y, sizes, batch, length, blank)
    rows: Any = arange(batch)
    emissions = getitem(logsoftmax(x), (slice(None), rows.dimshuffle(0, "x"), states))
    emissions = _finite(emissions)
    place: Any = arange(dim(states, 1)).dimshuffle("x", 0)  # type: ignore[attr-defined]
    never = _never(x.dtype)
    start = switch(le(place, 1), 0.0, never)
    start = broadcast_to(cast(start, x.dtype), [batch, dim(states, 1)])
    first = add(start, getitem(emissions, 0))

    def step(t: Any, emitted: Any, before: Any, skips: Any, times: Any) -> Any:
        pad = broadcast_to(never, [dim(before, 0), 2])
        padded: Any = concatenate([pad, before], axis=1)
        one = getitem(padded, (slice(None), slice(1, -1)))
        two = switch(skips, getitem(padded, (slice(None), slice(None, -2))), never)
        after = add(_log_sum([before, one, two]), emitted)
        return switch(lt(t, times).dimshuffle(0, "x"), after, before)  # type: ignore[attr-defined]

    last, _ = reduce(
        step, [arange(1, time), getitem(emissions, slice(1, None))], first, [skips, times],
        name="ctc",
    )  # fmt: skip
    end = sizes * 2
    whole = getitem(last, (rows, end))
    short = getitem(last, (rows, maximum(end - 1, 0)))
    total = _log_sum([whole, switch(eq(sizes, 0), never, short)])
    impossible = lt(total, _NEVER / 2)
    return switch(impossible, Constant(np.array(np.inf), x.dtype), -total)


def _with_blanks(y: Any, sizes: Any, batch: Any, length: Any, blank: int) -> tuple[Any, Any]:
    """The labels with blanks around each, and where a path may leave one out."""
    inside = lt(arange(length).dimshuffle("x", 0), sizes.dimshuffle(0, "x"))  # type: ignore
    labels = switch(inside, cast(y, "int64"), blank)
    blanks = broadcast_to(Constant(blank, "int64"), [batch, length * 2 + 1])
    states: Any = set_subtensor(blanks[:, 1::2], labels)  # type: ignore[index]
    two_before = concatenate([getitem(states, (slice(None), slice(0, 2))), states], axis=1)
    two_before = getitem(two_before, (slice(None), slice(None, dim(states, 1))))
    skips = neq(states, blank) & neq(states, two_before)  # type: ignore[operator]
    return states, skips  # the first label is compared with itself: it has nothing before


# --- linear-chain conditional random fields -------------------------------------------


def _field(
    scores: Any, transitions: Any, start: Any, end: Any, what: str
) -> tuple[Any, Any, Any, Any]:
    """Scores, transitions, and scores of beginning and ending with each tag."""
    x = _scores(scores, what)
    moves: Any = cast(as_variable(transitions), x.dtype)
    if moves.ndim != 2:
        raise ShapeError(
            f"{what}: the transitions {describe(moves)} must be (tags, tags)",
            "transitions[i, j] is the score of j behind i", user_frames(),
        )  # fmt: skip
    same_size(what, (x, 2), (moves, 0))
    same_size(what, (x, 2), (moves, 1))
    ends = []
    for name, value in (("start", start), ("end", end)):
        v: Any = Constant(np.zeros(1), x.dtype) if value is None else as_variable(value)
        if v.ndim != 1:
            raise ShapeError(f"{what}: {name}={describe(v)} must be (tags,)", at=user_frames())
        if value is not None:
            same_size(what, (x, 2), (v, 0))
        ends.append(_finite(cast(v, x.dtype)))
    return _finite(x), _finite(moves), ends[0], ends[1]


def crf_log_likelihood(
    scores: Any, tags: Any, transitions: Any, start: Any = None, end: Any = None,
    lengths: Any = None,
) -> Variable:  # fmt: skip
    """``log p(tags | scores)`` in a linear-chain conditional random field.

    ``score(y) = start[y[0]] + sum over t of scores[t, y[t]] + sum over t of
    transitions[y[t-1], y[t]] + end[y[-1]]``, and p its exponential over the sum of those of all
    sequences of tags, which the forward recurrence computes in logarithms.

    Parameters
    ----------
    scores : (time, batch, tags) floats
    tags : (time, batch) integers
    transitions : (tags, tags) floats
        ``transitions[i, j]`` is for j behind i.
    start, end : (tags,) floats, optional
        0 by default.
    lengths : (batch,) integers, optional
        How many times count, at least 1; all by default.

    Returns
    -------
    (batch,) floats
        The loss is this, negated. Scores of minus infinity, for what can't be, count as -1e30.

    Notes
    -----
    Lafferty, McCallum and Pereira, "Conditional Random Fields", 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> scores, tags = np.zeros((3, 1, 2)), np.array([[0], [1], [0]])  # one of 8 equal ones
    >>> np.exp(nn.losses.crf_log_likelihood(scores, tags, np.zeros((2, 2))).eval())
    array([0.125])
    """
    x, moves, first, last = _field(scores, transitions, start, end, "crf_log_likelihood")
    y = cast(_integers(tags, 2, "crf_log_likelihood: tags", "(time, batch)"), "int64")
    for axis in (0, 1):
        same_size("crf_log_likelihood", (x, axis), (y, axis))
    time, batch, count = dim(x, 0), dim(x, 1), dim(x, 2)
    sizes = _lengths(lengths, time, batch, "crf_log_likelihood: lengths")
    rows: Any = arange(batch)
    steps: Any = arange(time).dimshuffle(0, "x")  # type: ignore[attr-defined]
    inside: Any = cast(lt(steps, sizes), x.dtype)
    first, last = (broadcast_to(v, [count]) for v in (first, last))
    own = getitem(x, (steps, rows, y))
    along = getitem(moves, (getitem(y, slice(None, -1)), getitem(y, slice(1, None))))
    path: Any = sum_(mul(own, inside), 0)
    path = path + sum_(mul(along, getitem(inside, slice(1, None))), 0)
    final = getitem(y, (maximum(sub(sizes, 1), 0), rows))
    path = path + getitem(first, getitem(y, 0)) + getitem(last, final)

    def step(t: Any, emitted: Any, before: Any, moves: Any, sizes: Any) -> Any:
        joined = add(before.dimshuffle(0, 1, "x"), moves.dimshuffle("x", 0, 1))
        after = add(logsumexp(joined, 1), emitted)
        return switch(lt(t, sizes).dimshuffle(0, "x"), after, before)  # type: ignore[attr-defined]

    begin: Any = add(getitem(x, 0), first)
    whole, _ = reduce(
        step, [arange(1, time), getitem(x, slice(1, None))], begin, [moves, sizes], name="crf"
    )
    return path - logsumexp(add(whole, last), 1)  # type: ignore[no-any-return]


def crf_viterbi(
    scores: Any, transitions: Any, start: Any = None, end: Any = None, lengths: Any = None
) -> tuple[Variable, Variable]:
    """The likeliest tags of a linear-chain conditional random field, and their score.

    Parameters
    ----------
    scores, transitions, start, end, lengths
        As for `crf_log_likelihood`.

    Returns
    -------
    tags : (time, batch) int64
        Behind the length of a sequence, its last tag again.
    scores : (batch,) floats

    Notes
    -----
    Viterbi, 1967. Of equal ones, tags with lower numbers, from the end on.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> scores = np.array([[[1.0, 0.0]], [[0.0, 0.5]]])
    >>> tags, best = nn.losses.crf_viterbi(scores, np.array([[0.0, -2.0], [0.0, 0.0]]))
    >>> tags.eval().ravel(), best.eval()
    (array([0, 0]), array([1.]))
    """
    x, moves, first, last = _field(scores, transitions, start, end, "crf_viterbi")
    time, batch, count = dim(x, 0), dim(x, 1), dim(x, 2)
    sizes = _lengths(lengths, time, batch, "crf_viterbi: lengths")
    rows: Any = arange(batch)
    own: Any = broadcast_to(arange(count).dimshuffle("x", 0), [batch, count])  # type: ignore

    def forward(t: Any, emitted: Any, before: Any, moves: Any, sizes: Any, own: Any) -> list[Any]:
        joined = add(before.dimshuffle(0, 1, "x"), moves.dimshuffle("x", 0, 1))
        later: Any = gt(t, 0)
        inside = (later & lt(t, sizes)).dimshuffle(0, "x")
        after = switch(inside, add(max_(joined, 1), emitted), before)
        return [after, switch(inside, argmax(joined, 1), own)]

    def backward(chosen: Any, tag: Any, rows: Any) -> Any:
        return getitem(chosen, (rows, tag))

    begin: Any = add(getitem(x, 0), broadcast_to(first, [count]))
    (best, origins), _ = scan(
        forward, [arange(time), x], [begin, None], [moves, sizes, own], name="viterbi",
    )  # fmt: skip
    ending = add(getitem(best, -1), broadcast_to(last, [count]))
    final: Any = argmax(ending, 1)
    path, _ = scan(backward, origins, final, rows, go_backwards=True, name="viterbi back")
    # The first time comes from nowhere: its row repeats the tag of the first.
    tags = concatenate([path[::-1][1:], final.dimshuffle("x", 0)], axis=0)
    return tags, max_(ending, 1)
