"""What a random stream is, and its draws of real numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.core.node import Constant, SharedVariable, Variable
from graphc.core.op import Op, apply
from graphc.drawing import (
    check,
    drawn_dtype,
    float_dtype,
    key_of,
    mix,
    read_sizes,
    real_parameters,
    spread,
)
from graphc.ops import random as ops
from graphc.ops.elementwise import add, cast, clip, log, mul, neg, sub, xor
from graphc.ops.make import positions
from graphc.sharing import shared


class Stream:
    """A key, a count of calls, and the draws of real numbers that have gradients."""

    def __init__(self, seed: Any = None, name: str | None = None) -> None:
        self.default_instance_seed = seed
        self.draws = 0
        self.state: SharedVariable = shared(self._fresh(seed), name=name or "random_state")
        self._next = add(self.state, Constant(np.array([0, 1], "uint64")))
        self.state.default_update = self._next

    @staticmethod
    def _fresh(seed: Any) -> Any:
        return np.array([key_of(seed), 0], "uint64")

    def seed(self, seed: Any = None) -> None:
        """Start again, from another seed or from that of the beginning."""
        self.state.set_value(self._fresh(self.default_instance_seed if seed is None else seed))

    def updates(self) -> list[tuple[SharedVariable, Variable]]:
        """The update that functions make by themselves, for ``function(updates=...)``."""
        return [(self.state, self._next)]

    @property
    def state_updates(self) -> list[tuple[SharedVariable, Variable]]:
        """As `updates`, under Theano's name."""
        return self.updates()

    # --- how a value is drawn ---------------------------------------------------------

    def _place(self) -> tuple[Variable, Variable]:
        """The key of another draw, and the call's number."""
        self.draws += 1
        own = Constant(mix(self.draws), "uint64")
        return xor(self.state[0], own), self.state[1]

    def _draw(self, family: dict[str, Op], sizes: Sequence[Variable], dtype: str) -> Variable:
        key, counter = self._place()
        kind = drawn_dtype(dtype)
        return cast(family[kind](key, counter, positions(sizes)), dtype)

    def _host(self, op: Op, parameters: Sequence[Variable], sizes: Sequence[Variable],
              dtype: str) -> Variable:  # fmt: skip
        return apply(op, (*self._place(), *parameters, *sizes), {"dtype": dtype})

    def _given(self, variable: Variable) -> Variable:
        """A finished draw, with what Theano's programs ask it for."""
        variable.rng = self.state  # type: ignore[attr-defined]
        variable.update = self.updates()[0]  # type: ignore[attr-defined]
        return variable

    def _scaled(self, what: str, family: dict[str, Op], size: Any, ndim: int | None,
                dtype: Any, start: Any, scale: Any) -> Variable:  # fmt: skip
        """``start + scale * x``, through which gradients pass."""
        name = float_dtype(what, dtype, start=start, scale=scale)
        found = real_parameters(what, start=start, scale=scale)
        sizes = read_sizes(what, size, ndim, list(found.values()))
        first, by = (cast(spread(p, sizes), name) for p in found.values())
        return self._given(add(first, mul(by, self._draw(family, sizes, name))))

    # --- continuous -------------------------------------------------------------------

    def uniform(self, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None,
                dtype: Any = None, nstreams: Any = None) -> Variable:  # fmt: skip
        """Uniform in ``[low, high)``: ``low + (high - low) k / 2^24``, or ``2^53`` in float64.

        Examples
        --------
        >>> import graphc
        >>> stream = graphc.random.RandomStream(seed=1)
        >>> stream.uniform((2, 3), low=-1).eval().shape
        (2, 3)
        """
        check("uniform", lambda a, b: a <= b, "low must not be above high", low=low, high=high)
        if all(isinstance(p, int | float) for p in (low, high)):
            width: Any = high - low
        else:
            width = sub(high, low)
        return self._scaled("uniform", ops.UNIFORM, size, ndim, dtype, low, width)

    def normal(self, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None,
               dtype: Any = None, nstreams: Any = None,
               truncate: bool = False) -> Variable:  # fmt: skip
        """Normal, by Box and Muller's transform: ``avg + std sqrt(-2 ln u) cos(2 pi v)``.

        With `truncate`, as `truncated_normal`.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).normal((10000,), avg=3.0).eval()
        >>> round(float(x.mean()), 1), round(float(x.std()), 1)
        (3.0, 1.0)
        """
        if truncate:
            return self.truncated_normal(size, avg, std, ndim, dtype)
        check("normal", lambda s: s >= 0, "std must not be negative", std=std)
        return self._scaled("normal", ops.NORMAL, size, ndim, dtype, avg, std)

    def truncated_normal(self, size: Any = None, avg: Any = 0.0, std: Any = 1.0,
                         ndim: int | None = None, dtype: Any = None, nstreams: Any = None,
                         bound: float = 2.0) -> Variable:  # fmt: skip
        """Normal, given that it lies within `bound` standard deviations of `avg`.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).truncated_normal((10000,)).eval()
        >>> float(abs(x).max()) <= 2
        True
        """
        what = "truncated_normal"
        check(what, lambda s: s >= 0, "std must not be negative", std=std)
        check(what, lambda b: b > 0, "bound must be above 0", bound=bound)
        name = float_dtype(what, dtype, avg=avg, std=std)
        found = real_parameters(what, avg=avg, std=std)
        sizes = read_sizes(what, size, ndim, list(found.values()))
        first, by = (cast(spread(p, sizes), name) for p in found.values())
        kind, (key, counter) = drawn_dtype(name), self._place()
        beyond = Constant(math.erfc(bound / math.sqrt(2)), kind)
        drawn = ops.TRUNCATED[kind](key, counter, positions(sizes), beyond)
        drawn = cast(clip(drawn, -bound, bound), name)
        return self._given(add(first, mul(by, drawn)))

    def exponential(self, size: Any = None, scale: Any = 1.0, ndim: int | None = None,
                    dtype: Any = None, nstreams: Any = None) -> Variable:  # fmt: skip
        """Exponential, of mean `scale`: ``-scale ln u``.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).exponential((10000,), scale=2.0).eval()
        >>> round(float(x.mean()), 1)
        2.0
        """
        check("exponential", lambda s: s >= 0, "scale must not be negative", scale=scale)
        name = float_dtype("exponential", dtype, scale=scale)
        found = real_parameters("exponential", scale=scale)["scale"]
        sizes = read_sizes("exponential", size, ndim, [found])
        by = cast(spread(found, sizes), name)
        return self._given(mul(by, self._draw(ops.EXPONENTIAL, sizes, name)))

    def gumbel(self, size: Any = None, loc: Any = 0.0, scale: Any = 1.0, ndim: int | None = None,
               dtype: Any = None, nstreams: Any = None) -> Variable:  # fmt: skip
        """Gumbel: ``loc - scale ln(-ln u)``.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).gumbel((10000,)).eval()
        >>> round(float(x.mean()), 1)  # Euler's constant
        0.6
        """
        check("gumbel", lambda s: s >= 0, "scale must not be negative", scale=scale)
        name = float_dtype("gumbel", dtype, loc=loc, scale=scale)
        found = real_parameters("gumbel", loc=loc, scale=scale)
        sizes = read_sizes("gumbel", size, ndim, list(found.values()))
        first, by = (cast(spread(p, sizes), name) for p in found.values())
        drawn = neg(log(self._draw(ops.EXPONENTIAL, sizes, name)))
        return self._given(add(first, mul(by, drawn)))

    def gamma(self, size: Any = None, shape: Any = 1.0, scale: Any = 1.0, ndim: int | None = None,
              dtype: Any = None) -> Variable:  # fmt: skip
        """Gamma, of density proportional to ``x^(shape - 1) e^(-x / scale)``; drawn by NumPy.

        The scale has a gradient, the shape has none.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).gamma((10000,), shape=3.0).eval()
        >>> round(float(x.mean()))
        3
        """
        check("gamma", lambda a, s: (a >= 0) & (s >= 0), "shape and scale must not be negative",
              shape=shape, scale=scale)  # fmt: skip
        name = float_dtype("gamma", dtype, shape=shape, scale=scale)
        found = real_parameters("gamma", shape=shape, scale=scale)
        sizes = read_sizes("gamma", size, ndim, list(found.values()))
        drawn = self._host(ops.GAMMA, [found["shape"]], sizes, name)
        return self._given(mul(cast(spread(found["scale"], sizes), name), drawn))

    def beta(self, size: Any = None, a: Any = 1.0, b: Any = 1.0, ndim: int | None = None,
             dtype: Any = None) -> Variable:  # fmt: skip
        """Beta, of density proportional to ``x^(a - 1) (1 - x)^(b - 1)``; drawn by NumPy.

        Examples
        --------
        >>> import graphc
        >>> x = graphc.random.RandomStream(seed=1).beta((10000,), a=2.0, b=2.0).eval()
        >>> round(float(x.mean()), 1)
        0.5
        """
        check("beta", lambda a, b: (a > 0) & (b > 0), "a and b must be above 0", a=a, b=b)
        name = float_dtype("beta", dtype, a=a, b=b)
        found = real_parameters("beta", a=a, b=b)
        sizes = read_sizes("beta", size, ndim, list(found.values()))
        return self._given(self._host(ops.BETA, list(found.values()), sizes, name))
