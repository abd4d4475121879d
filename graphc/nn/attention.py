"""Attention: soft, with several heads, and hard."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.gradient import disconnected_grad
from graphc.initial import xavier_uniform
from graphc.nn.layer import Layer, as_shape, derived
from graphc.ops.contractions import matmul
from graphc.ops.convert import as_variable
from graphc.ops.elementwise import add, cast, ge, mul, sub, switch, tanh
from graphc.ops.index import getitem
from graphc.ops.linalg import dot
from graphc.ops.make import arange
from graphc.ops.nnet import logsoftmax, softmax
from graphc.ops.shape import dim, dimshuffle, reshape
from graphc.random import RandomStream


def masked_softmax(scores: Any, mask: Any = None) -> Variable:
    """``softmax(scores)`` over the last axis, 0 where a mask is 0.

    Parameters
    ----------
    scores : (..., n) floats
    mask : (..., n) bool or numbers, optional
        What may be attended to; it broadcasts. Where it is 0 for all of a row, the row is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.masked_softmax(np.zeros((2, 3)), np.array([[1, 1, 0], [0, 0, 0]])).eval()
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]])
    """
    x = as_variable(scores)
    x = cast(x, dtypes.float_for(x.dtype))
    if mask is None:
        return softmax(x)
    allowed = cast(as_variable(mask), "bool")
    least = Constant(-1e4 if x.dtype == "float16" else -1e30, x.dtype)
    return switch(allowed, softmax(switch(allowed, x, least)), Constant(0.0, x.dtype))


def dot_attention(
    queries: Any, keys: Any, values: Any, mask: Any = None, scale: float | None = None
) -> tuple[Variable, Variable]:
    """``softmax(Q K' / sqrt(d)) V``.

    Parameters
    ----------
    queries : (..., m, d)
    keys : (..., n, d)
    values : (..., n, v)
    mask : (..., m, n), optional
        What each query may attend to; it broadcasts.
    scale : float, optional
        Instead of ``1 / sqrt(d)``.

    Returns
    -------
    contexts : (..., m, v)
    weights : (..., m, n)

    Notes
    -----
    Vaswani et al., "Attention Is All You Need", 2017, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> q, k, v = np.zeros((1, 2)), np.ones((3, 2)), np.array([[1.0], [2.0], [6.0]])
    >>> nn.dot_attention(q, k, v)[0].eval()
    array([[3.]])
    """
    q, k, v = as_variable(queries), as_variable(keys), as_variable(values)
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(
            f"dot_attention({describe(q)}, {describe(k)}, {describe(v)}): two axes at least",
            "queries are (..., m, d), keys (..., n, d), values (..., n, v)", user_frames(),
        )  # fmt: skip
    products: Any = matmul(q, dimshuffle(k, *range(k.ndim - 2), k.ndim - 1, k.ndim - 2))
    if scale is None:
        size = cast(dim(q, q.ndim - 1), products.dtype)
        scores = products / size**0.5  # type: ignore[operator]
    else:
        scores = products * scale
    weights = masked_softmax(scores, mask)
    return matmul(weights, v), weights


class AdditiveAttention(Layer):
    """``softmax over n of v . tanh(q W + k[n] U)``, and the values weighted by it.

    Parameters
    ----------
    query, key, units : int
        The sizes of queries, of keys, and of the layer between.
    init, seed, dtype, name
        As for `Dense`.

    Notes
    -----
    Called with queries (batch, query), keys (batch, n, key) and values (batch, n, v), by default
    the keys, and ``mask=`` (batch, n), it gives contexts (batch, v). `weights` gives the
    (batch, n) weights. Bahdanau, Cho and Bengio, 2015, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> attend = nn.AdditiveAttention(2, 3, 4, init=0.0)
    >>> attend(np.zeros((1, 2)), np.array([[[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]])).eval()
    array([[1., 2., 3.]])
    """

    reach = "all"

    def __init__(
        self, query: int, key: int, units: int, init: Any = xavier_uniform, seed: Any = None,
        dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.query, self.key, self.units = query, key, units
        shapes = (("of_query", (query, units)), ("of_key", (key, units)), ("score", (units, 1)))
        self.of_query, self.of_key, self.score = (
            self.parameter(what, shape, init, derived(seed, k), dtype)
            for k, (what, shape) in enumerate(shapes)
        )

    def weights(self, queries: Any, keys: Any, mask: Any = None) -> Variable:
        """How much each key counts: (batch, n)."""
        q, k = as_variable(queries), as_variable(keys)
        as_shape(self.name, q, 2, -1, self.query, "features of queries")
        as_shape(self.name, k, 3, -1, self.key, "features of keys")
        inner = tanh(add(dimshuffle(dot(q, self.of_query), 0, "x", 1), dot(k, self.of_key)))
        scores = getitem(dot(inner, self.score), (slice(None), slice(None), 0))
        return masked_softmax(scores, mask)

    def expression(  # type: ignore[override]
        self, queries: Variable, keys: Variable, values: Variable | None = None, *,
        train: bool, mask: Any = None,
    ) -> Variable:  # fmt: skip
        weights = self.weights(queries, keys, mask)
        given = keys if values is None else values
        return weighted(weights, given)


def weighted(weights: Any, values: Any) -> Variable:
    """``sum over n of weights[b, n] values[b, n]``: (batch, v) of (batch, n) and (batch, n, v)."""
    row = dimshuffle(as_variable(weights), 0, "x", 1)
    return getitem(matmul(row, as_variable(values)), (slice(None), 0))


class MultiHeadAttention(Layer):
    """Several dot attentions in parallel, in projections of what is given, and joined.

    ``head[h] = softmax(Q[h] K[h]' / sqrt(d)) V[h]``, with ``Q = x W_q`` in slices of ``d = size /
    heads``; the result is ``heads joined W_o``.

    Parameters
    ----------
    size, heads : int
        Features of the input and the result, and heads, of ``size / heads`` features each.
    memory : int, optional
        Features of what is attended to, by default `size`.
    causal : bool
        Whether each place attends to itself and earlier ones only.
    bias : bool
    init, seed, dtype, name
        As for `Dense`.

    Notes
    -----
    Called with x (batch, m, size) it attends to x itself; with ``layer(x, memory)``, to memory
    (batch, n, features). ``mask=`` (batch, n), (batch, m, n) or (batch, heads, m, n) says what
    may be attended to. Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.MultiHeadAttention(8, 2, causal=True, seed=0)
    >>> layer(np.ones((3, 5, 8))).eval().shape, layer.count
    ((3, 5, 8), 288)
    """

    reach = "all"

    def __init__(
        self, size: int, heads: int, memory: int | None = None, causal: bool = False,
        bias: bool = True, init: Any = xavier_uniform, seed: Any = None,
        dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if heads < 1 or size % heads:
            raise ArgumentError(
                f"{self.name}: {size} features are no {heads} heads of one size", at=user_frames()
            )
        self.size, self.heads, self.causal = size, heads, causal
        self.memory = size if memory is None else memory
        self.weights: dict[str, Any] = {}
        self.biases: dict[str, Any] = {}
        rows = {"queries": size, "keys": self.memory, "values": self.memory, "result": size}
        for k, (what, n) in enumerate(rows.items()):
            self.weights[what] = self.parameter(what, (n, size), init, derived(seed, k), dtype)
            if bias:
                self.biases[what] = self.parameter(f"{what}_bias", (size,), 0.0, dtype=dtype)

    def _project(self, what: str, x: Variable) -> Variable:
        z = dot(x, self.weights[what])
        return add(z, self.biases[what]) if what in self.biases else z

    def _heads(self, what: str, x: Variable) -> Variable:
        """(batch, heads, places, size / heads)."""
        z = reshape(self._project(what, x), [dim(x, 0), dim(x, 1), self.heads,
                                             self.size // self.heads])  # fmt: skip
        return dimshuffle(z, 0, 2, 1, 3)

    def attend(
        self, x: Any, memory: Any = None, mask: Any = None
    ) -> tuple[Variable, Variable]:
        """The result, and the weights (batch, heads, m, n)."""
        given = as_variable(x)
        other = given if memory is None else as_variable(memory)
        as_shape(self.name, given, 3, -1, self.size, "features")
        as_shape(self.name, other, 3, -1, self.memory, "features of memory")
        allowed = self._allowed(given, other, mask)
        contexts, weights = dot_attention(
            self._heads("queries", given), self._heads("keys", other),
            self._heads("values", other), allowed,
        )  # fmt: skip
        places = dimshuffle(contexts, 0, 2, 1, 3)
        joined = reshape(places, [dim(given, 0), dim(given, 1), self.size])
        return self._project("result", joined), weights

    def _allowed(self, x: Variable, memory: Variable, mask: Any) -> Any:
        allowed: Any = None
        if mask is not None:
            given = cast(as_variable(mask), "bool")
            orders: dict[int, tuple[Any, ...]] = {
                2: (0, "x", "x", 1), 3: (0, "x", 1, 2), 4: (0, 1, 2, 3),
            }  # fmt: skip
            if given.ndim not in orders:
                raise ShapeError(
                    f"{self.name}: the mask {describe(given)} is none of (batch, n), "
                    "(batch, m, n), (batch, heads, m, n)", at=user_frames(),
                )  # fmt: skip
            allowed = dimshuffle(given, *orders[given.ndim])
        if self.causal:
            before = ge(dimshuffle(arange(dim(x, 1)), 0, "x"), arange(dim(memory, 1)))
            before = dimshuffle(before, "x", "x", 0, 1)
            allowed = before if allowed is None else allowed & before
        return allowed

    def expression(  # type: ignore[override]
        self, x: Variable, memory: Variable | None = None, *, train: bool, mask: Any = None
    ) -> Variable:
        return self.attend(x, memory, mask)[0]


def hard_attention(
    scores: Any, values: Any, stream: RandomStream, mask: Any = None
) -> tuple[Variable, Variable, Variable]:
    """One place, drawn by ``softmax(scores)``, and its value.

    No gradient passes through the draw; `score_function` makes one from a reward.

    Parameters
    ----------
    scores : (batch, n)
    values : (batch, n, ...)
    stream : RandomStream
    mask : (batch, n), optional
        What may be drawn; one place of each row at least.

    Returns
    -------
    contexts : (batch, ...)
    log_probabilities : (batch,)
        Of what was drawn.
    places : (batch,) integers

    Notes
    -----
    Xu et al., "Show, Attend and Tell", 2015, section 4.1.

    Examples
    --------
    >>> import numpy as np, graphc
    >>> from graphc import nn
    >>> stream = graphc.random.RandomStream(seed=1)
    >>> values = np.array([[[1.0], [2.0]]])
    >>> context, log_p, place = nn.hard_attention(np.array([[-100.0, 100.0]]), values, stream)
    >>> context.eval(), place.eval()
    (array([[2.]]), array([1]))
    """
    x, v = as_variable(scores), as_variable(values)
    if x.ndim != 2 or v.ndim < 2:
        raise ShapeError(
            f"hard_attention({describe(x)}, {describe(v)})",
            "give (batch, n) scores and (batch, n, ...) values", user_frames(),
        )  # fmt: skip
    if mask is not None:
        x = switch(cast(as_variable(mask), "bool"), x, Constant(np.array(-1e30), x.dtype))
    places = stream.categorical(disconnected_grad(softmax(x)))
    rows = arange(dim(x, 0))
    return getitem(v, (rows, places)), getitem(logsoftmax(x), (rows, places)), places


def score_function(log_probabilities: Any, rewards: Any, baseline: Any = 0.0) -> Variable:
    """What has the score-function gradient: ``(reward - baseline) grad log p``.

    ``mean of (reward - baseline) log p``, the factor taken as a constant. Its gradient is an
    unbiased estimate of that of the mean reward, for any baseline that doesn't depend on the
    draw. To *maximise* the reward, subtract it from the loss.

    Parameters
    ----------
    log_probabilities : (batch,)
        Of what was drawn.
    rewards : (batch,)
    baseline : number, or (batch,)
        A running mean of the rewards keeps the variance down.

    Notes
    -----
    Williams, "Simple Statistical Gradient-Following Algorithms", 1992 (REINFORCE).

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.score_function(np.array([-1.0, -2.0]), np.array([3.0, 1.0]), baseline=1.0).eval().item()
    -1.0
    """
    gain = disconnected_grad(sub(as_variable(rewards), baseline))
    return mul(gain, log_probabilities).mean()  # type: ignore[attr-defined, no-any-return]
