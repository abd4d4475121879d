"""Random numbers: streams whose draws are expressions.

A stream is a key and a count of calls, kept in one shared variable; a draw is a function of
them, of its place among the stream's draws, and of each element's position (Philox 4x32-10).
So a compiled function draws where it needs a number, inside a fused kernel, and gets the same
ones in every mode and on any number of threads. Each call of a function that draws advances the
count; ``no_default_updates`` holds it still.

Uniform, normal, exponential and Gumbel numbers have gradients for their parameters. Discrete
draws have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Constant, Variable, describe, user_frames
from graphc.core.op import static_int
from graphc.drawing import (
    as_dtype,
    check,
    read_sizes,
    real_parameters,
    spread,
)
from graphc.ops import random as ops
from graphc.ops.broadcast import broadcast_to
from graphc.ops.convert import as_size, as_variable
from graphc.ops.elementwise import add, cast, eq, floor, lt, minimum, mul, sub, true_div
from graphc.ops.index import getitem
from graphc.ops.make import arange
from graphc.ops.reduce import argmin
from graphc.ops.shape import dim, expand_axes
from graphc.streams import Stream


class RandomStream(Stream):
    """A stream of random numbers.

    Parameters
    ----------
    seed : int or sequence of int, optional
        Equal seeds give equal numbers. None takes one from the operating system.
    name : str, optional
        Of the state, for listings.

    Attributes
    ----------
    state : SharedVariable
        Two words, uint64: the key and the number of calls so far. Save it with ``get_value``,
        restore it with ``set_value``.

    Notes
    -----
    Draws are told apart by the order in which they are declared. The same draw used twice in a
    function has one value there.

    Each method takes `size`, a tuple of integers and symbolic integers or a symbolic vector
    (with `ndim`, its length); without one, the shape is that in which the parameters meet.
    `nstreams` is taken for the sake of programs written for Theano.

    Examples
    --------
    >>> import graphc
    >>> stream = graphc.random.RandomStream(seed=1)
    >>> toss = graphc.function([], stream.binomial((8,), p=0.5))
    >>> toss(), toss()
    (array([0, 0, 0, 0, 1, 1, 0, 0]), array([1, 1, 1, 0, 0, 0, 1, 1]))
    >>> stream.seed(1)
    >>> toss()
    array([0, 0, 0, 0, 1, 1, 0, 0])
    """

    # --- discrete ---------------------------------------------------------------------

    def bernoulli(self, size: Any = None, p: Any = 0.5, ndim: int | None = None,
                  dtype: Any = "int64", nstreams: Any = None) -> Variable:  # fmt: skip
        """1 with probability `p`, else 0: a uniform number below `p`.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).bernoulli((10000,), p=0.3).eval()
        >>> round(float(x.mean()), 1)
        0.3
        """
        check("bernoulli", lambda a: (a >= 0) & (a <= 1), "p must lie in [0, 1]", p=p)
        found = real_parameters("bernoulli", p=p)["p"]
        sizes = read_sizes("bernoulli", size, ndim, [found])
        wide = isinstance(p, Variable) and p.dtype == "float64"
        kind = "float64" if wide else "float32"
        drawn = lt(self._draw(ops.UNIFORM, sizes, kind), cast(spread(found, sizes), kind))
        return self._given(as_dtype(drawn, dtype))

    def binomial(self, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: int | None = None,
                 dtype: Any = "int64", prob: Any = None,
                 nstreams: Any = None) -> Variable:  # fmt: skip
        """How many of `n` trials succeed, each with probability `p` (also called `prob`).

        A single trial is drawn inside kernels; several are drawn by NumPy.

        Examples
        --------
        >>> import graphc
        >>> stream = graphc.random.RandomStream(seed=1)
        >>> mask = stream.binomial((2, 3), p=0.8, dtype="float32")
        >>> mask.type
        TensorType(dtype='float32', shape=(2, 3))
        """
        p = p if prob is None else prob
        count = as_variable(n)
        if static_int(count) == 1:
            return self.bernoulli(size, p, ndim, dtype)
        if not dtypes.is_discrete(count.dtype):
            raise ArgumentError(
                f"binomial: n counts trials, it can't be {describe(count)}", at=user_frames()
            )
        check("binomial", lambda a: a >= 0, "n must not be negative", n=n)
        check("binomial", lambda a: (a >= 0) & (a <= 1), "p must lie in [0, 1]", p=p)
        found = real_parameters("binomial", p=p)["p"]
        sizes = read_sizes("binomial", size, ndim, [count, found])
        drawn = self._host(ops.BINOMIAL, [count, found], sizes, "int64")
        return self._given(as_dtype(drawn, dtype))

    def integers(self, low: Any, high: Any = None, size: Any = None, ndim: int | None = None,
                 dtype: Any = "int64") -> Variable:  # fmt: skip
        """Integers in ``[low, high)``, or in ``[0, low)``, as `numpy.random.Generator.integers`.

        Of a range of m numbers, none is more than ``m / 2^53`` likelier than another.

        Examples
        --------
        >>> import graphc
        >>> graphc.random.RandomStream(seed=1).integers(6, size=(4,)).eval()
        array([4, 5, 5, 5])
        """
        first, last = (0, low) if high is None else (low, high)
        check("integers", lambda a, b: a < b, "low must be below high", low=first, high=last)
        return self._integers("integers", first, last, size, ndim, dtype)

    def random_integers(self, size: Any = None, low: Any = 0, high: Any = 1,
                        ndim: int | None = None, dtype: Any = "int64") -> Variable:  # fmt: skip
        """Integers from `low` to `high`, both included.

        Examples
        --------
        >>> import graphc
        >>> graphc.random.RandomStream(seed=1).random_integers((4,), 1, 6).eval()
        array([5, 6, 6, 6])
        """
        what = "random_integers"
        check(what, lambda a, b: a <= b, "low must not be above high", low=low, high=high)
        return self._integers(what, low, add(as_variable(high), 1), size, ndim, dtype)

    def _integers(self, what: str, low: Any, high: Any, size: Any, ndim: int | None,
                  dtype: Any) -> Variable:  # fmt: skip
        found = real_parameters(what, low=low, high=high)
        for p in found.values():
            if not dtypes.is_discrete(p.dtype):
                raise ArgumentError(f"{what}: {describe(p)} is not an integer", at=user_frames())
        sizes = read_sizes(what, size, ndim, list(found.values()))
        first, last = (cast(spread(p, sizes), "int64") for p in found.values())
        width = sub(last, first)
        drawn = floor(mul(self._draw(ops.UNIFORM, sizes, "float64"), cast(width, "float64")))
        drawn = minimum(cast(drawn, "int64"), sub(width, 1))
        return self._given(as_dtype(add(first, drawn), dtype))

    def categorical(self, p: Any, size: Any = None, ndim: int | None = None,
                    dtype: Any = "int64") -> Variable:  # fmt: skip
        """Class numbers, with the probabilities along the last axis of `p`.

        They needn't sum up to 1. Exponential numbers over the probabilities run a race, which
        the class with the smallest wins.

        Parameters
        ----------
        p : (..., k)
            The probabilities of k classes.
        size : optional
            The shape of the result, ``p.shape[:-1]`` unless given; the rows of `p` broadcast to it.

        Examples
        --------
        >>> import graphc
        >>> graphc.random.RandomStream(seed=1).categorical([[0.0, 1.0], [1.0, 0.0]]).eval()
        array([1, 0])
        """
        found = self._probabilities("categorical", p)
        sizes = [dim(found, k) for k in range(found.ndim - 1)]
        if size is not None:
            sizes = read_sizes("categorical", size, ndim, [found[..., 0]])
        return self._given(as_dtype(self._class(found, sizes), dtype))

    def _class(self, p: Variable, sizes: Sequence[Variable]) -> Variable:
        kind = p.dtype if p.dtype == "float64" else "float32"
        race = self._draw(ops.EXPONENTIAL, [*sizes, dim(p, p.ndim - 1)], kind)
        return argmin(true_div(race, cast(p, kind)), axis=-1)

    def _probabilities(self, what: str, p: Any) -> Variable:
        check(what, lambda a: a >= 0, "probabilities must not be negative", p=p)
        check(what, lambda a: np.ndim(a) > 0 and np.shape(a)[-1] > 0 and a.sum(-1) > 0,
              "the last axis must hold probabilities, not all 0", p=p)  # fmt: skip
        found = real_parameters(what, p=p)["p"]
        if found.ndim == 0:
            raise ArgumentError(
                f"{what}: {describe(found)} is one number, not the probabilities of classes",
                "give them along the last axis", user_frames(),
            )  # fmt: skip
        return found if dtypes.is_float(found.dtype) else cast(found, dtypes.float_x())

    def multinomial(self, size: Any = None, n: Any = 1, pvals: Any = None,
                    ndim: int | None = None, dtype: Any = "int64",
                    nstreams: Any = None) -> Variable:  # fmt: skip
        """How many of `n` draws fall into each class: rows of counts that sum up to `n`.

        Parameters
        ----------
        size : optional
            The shape of the result without its last axis, ``pvals.shape[:-1]`` unless given.
        n : int
            For 1, rows are one-hot and drawn inside kernels; more are drawn by NumPy.
        pvals : (..., k)
            The probabilities of k classes; each row is divided by its sum.

        Examples
        --------
        >>> import graphc
        >>> graphc.random.RandomStream(seed=1).multinomial(pvals=[[0.0, 1.0], [1.0, 0.0]]).eval()
        array([[0, 1],
               [1, 0]])
        """
        p = self._probabilities("multinomial", [[0.5, 0.5]] if pvals is None else pvals)
        sizes = [dim(p, k) for k in range(p.ndim - 1)]
        if size is not None:
            sizes = read_sizes("multinomial", size, ndim, [p[..., 0]])
        count = as_variable(n)
        check("multinomial", lambda a: a >= 0, "n must not be negative", n=n)
        if static_int(count) == 1:
            chosen = expand_axes(self._class(p, sizes), (len(sizes),))
            drawn = eq(chosen, arange(dim(p, p.ndim - 1)))
        else:
            drawn = self._host(ops.MULTINOMIAL, [count, p], sizes, "int64")
        return self._given(as_dtype(drawn, dtype))

    def poisson(self, size: Any = None, lam: Any = 1.0, ndim: int | None = None,
                dtype: Any = "int64", nstreams: Any = None) -> Variable:  # fmt: skip
        """Poisson, of mean `lam`; drawn by NumPy.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).poisson((10000,), lam=4.0).eval()
        >>> round(float(x.mean()))
        4
        """
        check("poisson", lambda a: a >= 0, "lam must not be negative", lam=lam)
        found = real_parameters("poisson", lam=lam)["lam"]
        sizes = read_sizes("poisson", size, ndim, [found])
        return self._given(as_dtype(self._host(ops.POISSON, [found], sizes, "int64"), dtype))

    # --- orders -----------------------------------------------------------------------

    def choice(self, size: Any = None, a: Any = None, replace: bool = True, p: Any = None,
               ndim: int | None = None, dtype: Any = "int64",
               nstreams: Any = None) -> Variable:  # fmt: skip
        """Entries of `a` (an integer stands for ``arange(a)``), with probabilities `p`.

        As `numpy.random.Generator.choice`. For a matrix `p`, as Theano's ``MRG_RandomStreams``:
        in each row, `size` different class numbers.

        Examples
        --------
        >>> import graphc
        >>> stream = graphc.random.RandomStream(seed=1)
        >>> sorted(stream.choice((3,), a=3, replace=False).eval().tolist())
        [0, 1, 2]
        """
        entries = None if a is None else as_variable(a)
        if p is None:
            weights = None
            count = as_variable(2) if entries is None else entries
            count = dim(count, 0) if count.ndim else as_size(count, "choice: a")
        else:
            weights = self._probabilities("choice", p)
            count = dim(weights, weights.ndim - 1)
        if weights is not None and weights.ndim == 2:
            return self._rows(weights, size, replace, dtype)
        sizes = read_sizes("choice", size, ndim, [])
        if not replace:
            places = self._without_replacement(weights, count, sizes)
        elif weights is None:
            places = self._integers("choice", 0, count, sizes, None, "int64")
        else:
            places = self._host(ops.CHOICE, [weights], sizes, "int64")
        if entries is not None and entries.ndim:
            return self._given(entries[places])
        return self._given(as_dtype(places, dtype))

    def _without_replacement(self, weights: Variable | None, count: Variable,
                             sizes: Sequence[Variable]) -> Variable:  # fmt: skip
        known, wanted = static_int(count), 1
        for n in sizes:
            wanted *= static_int(n) or 0
        if known is not None and wanted > known:
            raise ArgumentError(
                f"choice: {wanted} different ones out of {known}",
                "draw fewer, or with replace=True", user_frames(),
            )  # fmt: skip
        even = broadcast_to(Constant(1.0, "float32"), [count])
        order = self._host(ops.RANKS, [even if weights is None else weights], [], "int64")
        total: Any = Constant(1, "int64")
        for n in sizes:
            total = mul(total, n)
        return order[:total].reshape(tuple(sizes))

    def _rows(self, weights: Variable, size: Any, replace: bool, dtype: Any) -> Variable:
        if replace:
            raise ArgumentError(
                "choice: with a matrix of probabilities, draws are without replacement",
                "pass replace=False, or use categorical", user_frames(),
            )  # fmt: skip
        wanted = as_size(1 if size is None else size, "choice: size")
        order = self._host(ops.RANKS, [weights], [], "int64")
        return self._given(as_dtype(order[:, :wanted], dtype))

    def permutation(self, size: Any = None, n: Any = 1, ndim: int | None = None,
                    dtype: Any = "int64") -> Variable:  # fmt: skip
        """The integers below `n` in a random order; `size` of them, along the last axis.

        For a tensor `n`, its rows in a random order.

        Examples
        --------
        >>> import graphc
        >>> sorted(graphc.random.RandomStream(seed=1).permutation(n=4).eval().tolist())
        [0, 1, 2, 3]
        """
        entries = as_variable(n)
        count = dim(entries, 0) if entries.ndim else as_size(entries, "permutation: n")
        check("permutation", lambda a: a >= 0, "n must not be negative", n=count)
        sizes = read_sizes("permutation", () if size is None else size, ndim, [])
        even = broadcast_to(Constant(1.0, "float32"), [count])
        order = self._host(ops.RANKS, [even], sizes, "int64")
        return self._given(entries[order] if entries.ndim else as_dtype(order, dtype))

    def shuffle_row_elements(self, input: Any) -> Variable:
        """The elements of each row (the last axis) in a random order of its own.

        Examples
        --------
        >>> import graphc, graphc.tensor as T
        >>> x = T.matrix("x")
        >>> shuffled = graphc.random.RandomStream(seed=1).shuffle_row_elements(x)
        >>> shuffled.eval({x: [[1, 2, 3]]}).sum()
        np.float64(6.0)
        """
        x = as_variable(input)
        if x.ndim == 0:
            raise ArgumentError(
                f"shuffle_row_elements: {describe(x)} has no rows", at=user_frames()
            )
        sizes = [dim(x, k) for k in range(x.ndim)]
        even = broadcast_to(Constant(1.0, "float32"), sizes[-1:])
        order = self._host(ops.RANKS, [even], sizes[:-1], "int64")
        places: list[Variable] = []
        for k in range(x.ndim - 1):
            after = tuple(range(1, x.ndim - k))
            places.append(expand_axes(arange(sizes[k]), after))
        return self._given(getitem(x, (*places, order)))


class RandomStreams(RandomStream):
    """Theano's ``RandomStreams``, in ``T.shared_randomstreams`` too: a `RandomStream`."""


class MRG_RandomStreams(RandomStream):
    """Theano's ``MRG_RandomStreams``, in ``graphc.sandbox.rng_mrg`` too: a `RandomStream`.

    It draws Philox's numbers and not MRG31k3p's: the name is for programs that ask for it.
    """

    def __init__(self, seed: Any = 12345, use_cuda: Any = None) -> None:
        super().__init__(seed)


__all__ = ["MRG_RandomStreams", "RandomStream", "RandomStreams"]
