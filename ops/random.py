"""Random numbers as functions of a key, a call's number and a position: Philox 4x32-10.

The ops of this file hold no state. `graphc.random` gives them keys and counts calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError
from graphc.core.node import Attrs, TensorType, Variable
from graphc.core.op import Host, Op, Scalar, declare, static_int
from graphc.ops.convert import need
from graphc.ops.elementwise import broadcast_shape

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
LOWER = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(key: Any, counter: Any, index: Any) -> tuple[Any, Any, Any, Any]:
    """Philox 4x32-10 on arrays: four uint32 words for each element.

    Parameters
    ----------
    key : uint64 or array
        The key's two words, the first of them the lower half.
    counter, index : uint64 or int64, or arrays
        The counter's upper and lower 64 bits.

    References
    ----------
    Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC '11.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc.ops.random import philox
    >>> [hex(int(word)) for word in philox(np.uint64(0), np.uint64(0), np.int64(0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    key, upper, lower = (np.asarray(a).astype(np.uint64) for a in (key, counter, index))
    x = [lower & LOWER, lower >> HALF, upper & LOWER, upper >> HALF]
    first, second = key & LOWER, key >> HALF
    for step in range(ROUNDS):
        k0 = (first + np.uint64(step * WEYL[0] & 0xFFFFFFFF)) & LOWER
        k1 = (second + np.uint64(step * WEYL[1] & 0xFFFFFFFF)) & LOWER
        a, c = x[0] * np.uint64(MULTIPLIERS[0]), x[2] * np.uint64(MULTIPLIERS[1])
        x = [c >> HALF ^ x[1] ^ k0, c & LOWER, a >> HALF ^ x[3] ^ k1, a & LOWER]
    w0, w1, w2, w3 = (np.asarray(word, "uint32") for word in np.broadcast_arrays(*x))
    return w0, w1, w2, w3


def _real(word: Any, dtype: str) -> Any:
    return np.asarray(word).astype(dtype)


def unit(dtype: str, *where: Any) -> Any:
    """24 bits (float32) or 53 bits (float64) as numbers in [0, 1)."""
    w0, w1, _, _ = philox(*where)
    if dtype == "float32":
        return _real(w0 >> 8, dtype) * np.float32(2.0**-24)
    return _real(w0 >> 5, dtype) * 2.0**-27 + _real(w1 >> 6, dtype) * 2.0**-53


def _tail(dtype: str, words: Sequence[Any]) -> Any:
    """31 or 63 bits as numbers in (0, 1], fine near 0."""
    lower = np.asarray(words[0] & np.uint32(0x7FFFFFFF)).astype("int32")
    if dtype == "float32":
        return (_real(lower, dtype) + np.float32(0.5)) * np.float32(2.0**-31)
    return _real(lower, dtype) * 2.0**-31 + (_real(words[1], dtype) + 0.5) * 2.0**-63


def _normal(dtype: str, *where: Any) -> Any:
    words, kind = philox(*where), np.dtype(dtype).type
    if dtype == "float32":
        angle = _real(words[2] >> 8, dtype) * np.float32(math.tau * 2.0**-24)
    else:
        angle = _real(words[2], dtype) * (math.tau * 2.0**-32)
    return np.sqrt(kind(-2) * np.log(_tail(dtype, words))) * np.cos(angle)


def _exponential(dtype: str, *where: Any) -> Any:
    words, kind = philox(*where), np.dtype(dtype).type
    half = _tail(dtype, words) * kind(0.5)
    return np.where(words[0] >> 31 == 1, -np.log(half), -np.log1p(-half))


def _truncated(dtype: str, *args: Any) -> Any:
    from scipy.special import erfcinv

    *where, beyond = args
    words, kind = philox(*where), np.dtype(dtype).type
    size = erfcinv(beyond + (kind(1) - beyond) * _tail(dtype, words)).astype(dtype)
    return size * np.where(words[0] >> 31 == 1, kind(math.sqrt(2)), -kind(math.sqrt(2)))


def _infer(dtype: str, args: Sequence[Variable]) -> TensorType:
    return TensorType(dtype, broadcast_shape([a.type.shape for a in args]))


def _prepare(args: Sequence[Any], name: str) -> list[Variable]:
    where = list(args)
    fits = tuple(a.dtype for a in where[:3]) == ("uint64", "uint64", "int64")
    need(fits, where, f"{name} takes a key and a counter, uint64, and positions, int64")
    return where


def _drawn(
    name: str, dtype: str, meaning: Callable[..., Any], template: str, formula: str, cost: float
) -> Op:
    """An op that draws inside kernels; ``{at}`` in its template is where."""
    real = {"at": "{0}, {1}, {2}", "r": dtype, "x": "{3}"}
    for word, text in real.items():
        template = template.replace(f"<{word}>", text)
    return declare(
        Op(
            f"random_{name}", lambda args, attrs: _infer(dtype, args), meaning,
            Scalar(template, cost), formula=formula, prepare=_prepare, facts={"random": True},
        )
    )  # fmt: skip


def _per_float(
    name: str, meaning: Callable[..., Any], template: str, formula: str, cost: float
) -> dict[str, Op]:
    def one(dtype: str) -> Op:
        def drawn(*args: Any) -> Any:
            return np.asarray(meaning(dtype, *args), dtype)

        return _drawn(f"{name}_{dtype}", dtype, drawn, template, formula, cost)

    return {dtype: one(dtype) for dtype in ("float32", "float64")}


WORDS = tuple(
    _drawn(
        f"word_{k}", "uint32", lambda *where, k=k: philox(*where)[k], f"philox_{k}(<at>)",
        f"word {k} of Philox 4x32-10", 40,
    )
    for k in range(4)
)  # fmt: skip
UNIFORM = _per_float("uniform", unit, "philox_unit_<r>(<at>)", "uniform in [0, 1)", 40)
# Box and Muller's transform: half the cost of the inverse of the distribution function.
NORMAL = _per_float(
    "normal", _normal,
    "sqrt(<r>(-2) * log(philox_tail_<r>(<at>))) * cos(philox_angle_<r>(<at>))",
    "normal, of mean 0 and standard deviation 1", 70,
)  # fmt: skip
EXPONENTIAL = _per_float(
    "exponential", _exponential,
    "select(philox_side(<at>), -log(philox_tail_<r>(<at>) * <r>(0.5)),"
    " -log1p(-(philox_tail_<r>(<at>) * <r>(0.5))))",
    "exponential, of mean 1", 70,
)  # fmt: skip
TRUNCATED = _per_float(
    "truncated", _truncated,
    "erfcinv(<x> + (<r>(1) - <x>) * philox_tail_<r>(<at>))"
    f" * select(philox_side(<at>), <r>({math.sqrt(2)!r}), <r>(-{math.sqrt(2)!r}))",
    "normal where erfc(|x| / sqrt 2) is not less than y", 90,
)  # fmt: skip


# --- on the host ----------------------------------------------------------------------


def _generator(key: Any, counter: Any) -> Any:
    """NumPy's generator for one call of one draw."""
    first = np.asarray([int(key), 0], "uint64")
    return np.random.Generator(np.random.Philox(key=first, counter=[0, 0, 0, int(counter)]))


def _host(
    name: str, draw: Callable[..., Any], count: int, formula: str, tail: Any = None
) -> Op:
    """An op that draws with NumPy: operands are key, counter, `count` parameters, sizes.

    `tail` says from the parameters which sizes follow the given ones.
    """

    def infer(args: Sequence[Variable], attrs: Attrs) -> TensorType:
        sizes = tuple(static_int(n) for n in args[2 + count :])
        more = () if tail is None else tail(*args[2 : 2 + count])
        return TensorType(attrs["dtype"], sizes + more)

    def meaning(key: Any, counter: Any, *rest: Any, dtype: str) -> Any:
        size = tuple(int(n) for n in rest[count:])
        try:
            with np.errstate(all="ignore"):
                found = draw(_generator(key, counter), size, *rest[:count])
        except ValueError as error:
            hint = "the parameters' values are outside of what the distribution allows"
            raise ArgumentError(f"{name}: {error}", hint) from None
        return dtypes.convert(found, dtype)

    return declare(
        Op(
            f"random_{name}", infer, meaning, Host(), formula=formula, checks=True,
            size_args=lambda n, attrs: tuple(range(2 + count, n)), facts={"random": True},
        )
    )  # fmt: skip


def _last(p: Variable) -> tuple[int | None, ...]:
    return p.type.shape[-1:]


def _ranks(rng: Any, size: tuple[int, ...], weights: Any) -> Any:
    """The places of the largest keys first: an exponential race that heavier entries win."""
    races = rng.standard_exponential((*size, *np.shape(weights)))
    return np.argsort(races / weights, axis=-1, kind="stable")


def _multinomial(rng: Any, size: tuple[int, ...], n: Any, p: Any) -> Any:
    p = np.asarray(p, "float64")
    return rng.multinomial(np.asarray(n), p / p.sum(-1, keepdims=True), size)


def _chosen(rng: Any, size: tuple[int, ...], p: Any) -> Any:
    sums = np.cumsum(p, dtype="float64")
    found = np.searchsorted(sums, rng.random(size) * sums[-1], side="right")
    return np.minimum(found, np.flatnonzero(p)[-1])


GAMMA = _host("gamma", lambda rng, size, a: rng.standard_gamma(a, size), 1, "gamma of scale 1")
BETA = _host("beta", lambda rng, size, a, b: rng.beta(a, b, size), 2, "beta")
POISSON = _host("poisson", lambda rng, size, m: rng.poisson(m, size), 1, "Poisson of mean x")
BINOMIAL = _host(
    "binomial", lambda rng, size, n, p: rng.binomial(n, p, size), 2, "successes in n trials"
)
MULTINOMIAL = _host(
    "multinomial", _multinomial, 2, "counts of n draws of classes", lambda n, p: _last(p)
)
CHOICE = _host("choice", _chosen, 1, "class numbers, with probabilities x")
RANKS = _host("ranks", _ranks, 1, "a random order, in which larger weights x come early",
              lambda w: w.type.shape)  # fmt: skip
